"""Faults of the reconstruction term and of how the two terms meet."""

import torch
from torch import nn
from torch.nn import functional as F

from clinic import data
from clinic.healthy import Parts, bce, bce_logits, gaussian, gaussian_nll, kl, mutant
from clinic.vaes import (
    conv_blobs,
    conv_digits,
    conv_grey_blobs,
    gru_digits,
    gru_series,
    mlp_blobs,
    mlp_digits,
    mlp_digits_method,
    mlp_series,
)

# ---- means and sums


@mutant("reconstruction-averaged", of=mlp_digits)
def default_bce(parts: Parts) -> None:
    """F.binary_cross_entropy averages over pixels by default: β is the number of pixels."""
    parts.reconstruction = lambda recon, x: F.binary_cross_entropy(recon, x)


@mutant("reconstruction-averaged", of=(conv_digits, mlp_digits_method))
def default_bce_logits(parts: Parts) -> None:
    """BCEWithLogitsLoss() with its default reduction, beside a summed KL."""
    parts.reconstruction = nn.BCEWithLogitsLoss()


@mutant("reconstruction-averaged", of=(conv_blobs, mlp_series, gru_series))
def default_mse(parts: Parts) -> None:
    """F.mse_loss averages over all values by default, beside a summed KL."""
    parts.reconstruction = lambda recon, x: F.mse_loss(recon, x)


@mutant("reconstruction-averaged", of=gru_digits)
def mean_over_pixels_of_each(parts: Parts) -> None:
    """A mean over pixels for each example, beside a summed KL."""

    def reconstruction(recon, x):
        each = F.binary_cross_entropy_with_logits(recon, x, reduction="none")
        return each.mean(dim=(1, 2, 3))

    parts.reconstruction = reconstruction


@mutant("batch-reduction-mixed", of=mlp_digits)
def kl_summed_over_batch(parts: Parts) -> None:
    """Reconstruction is averaged over the batch and the KL summed: β is the batch size."""
    parts.kl = lambda mu, logvar: kl(mu, logvar).sum()


@mutant("batch-reduction-mixed", of=(conv_digits, mlp_blobs))
def reconstruction_summed_over_batch(parts: Parts) -> None:
    """Reconstruction is summed over the batch and the KL averaged: β is 1 / batch size."""
    reconstruction = parts.reconstruction
    parts.reconstruction = lambda recon, x: reconstruction(recon, x).sum()
    parts.kl = lambda mu, logvar: kl(mu, logvar).mean()


# ---- the sign, the target


@mutant("reconstruction-sign", of=conv_grey_blobs)
def density_minimised(parts: Parts) -> None:
    """log p(x | z) is added to a loss that is minimised."""
    parts.reconstruction = lambda recon, x: -gaussian_nll(recon, x)


@mutant("reconstruction-sign", of=(mlp_digits, gru_series))
def error_rewarded(parts: Parts) -> None:
    """The reconstruction term is subtracted: the worse, the better."""
    reconstruction = parts.reconstruction
    parts.reconstruction = lambda recon, x: -reconstruction(recon, x)


@mutant("reconstruction-missing", of=(mlp_digits_method, gru_series))
def kl_only(parts: Parts) -> None:
    """Only the KL is in the loss: the decoder is never taught."""
    parts.reconstruction = lambda recon, x: 0.0


@mutant("target-wrong", of=mlp_digits)
def noise_as_target(parts: Parts) -> None:
    """The target is fresh noise in the shape of x."""
    parts.reconstruction = lambda recon, x: bce(recon, torch.rand_like(x).round())


@mutant("target-wrong", of=(conv_digits, mlp_blobs))
def neighbour_as_target(parts: Parts) -> None:
    """The targets were shuffled and the inputs were not: each output meets another example."""
    reconstruction = parts.reconstruction
    parts.reconstruction = lambda recon, x: reconstruction(recon, x.roll(1, dims=0))


@mutant("target-wrong", "decoder-unused", "reconstruction-missing", of=conv_blobs)
def compared_with_itself(parts: Parts) -> None:
    """The reconstruction is compared with a copy of itself: the error is 0 for ever."""
    parts.reconstruction = lambda recon, x: gaussian(recon, recon.detach())


# ---- no log-likelihood of these data


@mutant("wrong-likelihood", of=mlp_digits_method)
def categorical_between_images(parts: Parts) -> None:
    """Categorical cross-entropy between images, as if each pixel were a class of its own."""
    parts.reconstruction = lambda recon, x: F.cross_entropy(recon.flatten(1), x.flatten(1))


@mutant("wrong-likelihood", of=conv_digits)
def absolute_error_of_logits(parts: Parts) -> None:
    """The absolute difference between logits and pixels."""
    parts.reconstruction = lambda recon, x: (recon - x).abs().flatten(1).sum(1)


@mutant("wrong-likelihood", "target-wrong", "log-saturates", of=mlp_digits)
def arguments_swapped(parts: Parts) -> None:
    """binary_cross_entropy(x, recon): pixels for probabilities, and log 0 is cut at −100."""
    parts.reconstruction = lambda recon, x: bce(x, recon)


@mutant("wrong-likelihood", of=gru_digits)
def cosine_distance(parts: Parts) -> None:
    """One minus the cosine between image and logits: no density, and blind to scale."""
    parts.reconstruction = lambda recon, x: 1 - F.cosine_similarity(recon.flatten(1), x.flatten(1))


# ---- logits and probabilities


@mutant("double-sigmoid", of=mlp_digits)
def probabilities_as_logits(parts: Parts) -> None:
    """The decoder ends in a sigmoid, and the loss on logits applies another."""
    parts.reconstruction = bce_logits


@mutant("double-sigmoid", of=(conv_digits, gru_digits))
def two_sigmoids(parts: Parts) -> None:
    """sigmoid(sigmoid(·)) lies between 0.5 and 0.73: no pixel can be black."""
    parts.model.decoder = nn.Sequential(parts.model.decoder, nn.Sigmoid())
    parts.reconstruction = lambda recon, x: bce(torch.sigmoid(recon), x)


@mutant("logits-as-probabilities", of=(conv_digits, mlp_digits_method))
def clamped_logits(parts: Parts) -> None:
    """Logits are clamped into (0, 1) and taken for probabilities."""
    parts.reconstruction = lambda recon, x: bce(recon.clamp(1e-6, 1 - 1e-6), x)


@mutant("logits-as-probabilities", "non-finite", "log-saturates", of=gru_digits)
def log_of_logits(parts: Parts) -> None:
    """The logarithm of logits, half of which are negative."""

    def reconstruction(recon, x):
        each = x * torch.log(recon) + (1 - x) * torch.log(1 - recon)
        return -each.flatten(1).sum(1)

    parts.reconstruction = reconstruction


@mutant("log-saturates", of=mlp_digits)
def bare_logarithms(parts: Parts) -> None:
    """Cross-entropy by hand: at a probability of exactly 0 or 1 it is 0 · ∞."""

    def reconstruction(recon, x):
        return -(x * recon.log() + (1 - x) * (1 - recon).log()).flatten(1).sum(1)

    parts.reconstruction = reconstruction


@mutant("log-saturates", of=conv_digits)
def thick_padding(parts: Parts) -> None:
    """log(p + 0.01): no NaN, but a confident mistake costs 4.6 nats at the most."""

    def reconstruction(recon, x):
        p = torch.sigmoid(recon)
        each = x * torch.log(p + 0.01) + (1 - x) * torch.log(1 - p + 0.01)
        return -each.flatten(1).sum(1)

    parts.reconstruction = reconstruction


# ---- the data


@mutant("data-out-of-range", of=(conv_digits, gru_digits))
def standardised_pixels(parts: Parts) -> None:
    """Pixels with mean 0 and variance 1 under a Bernoulli likelihood: no bound from below."""
    parts.data = (parts.data - 0.1307) / 0.3081


@mutant("data-out-of-range", of=mlp_digits_method)
def pixels_to_255(parts: Parts) -> None:
    """Somebody forgot to divide by 255."""
    parts.data = (255 * data.digits(28, binary=False)).round()


@mutant("data-out-of-range", "exception", of=mlp_digits)
def range_of_tanh(parts: Parts) -> None:
    """Pixels in [−1, 1], where binary_cross_entropy wants [0, 1] and raises."""
    parts.data = 2 * parts.data - 1


@mutant("bernoulli-on-grey", of=(conv_digits, mlp_digits))
def grey_pixels(parts: Parts) -> None:
    """Grey pixels under a Bernoulli likelihood: usable, but no log-likelihood."""
    parts.data = data.digits(parts.data.shape[-1], binary=False)


@mutant("wrong-likelihood", of=mlp_series)
def poisson_on_real_numbers(parts: Parts) -> None:
    """A Poisson likelihood, for counts, on real numbers of both signs."""

    def reconstruction(recon, x):
        return F.poisson_nll_loss(recon, x, reduction="none").flatten(1).sum(1)

    parts.reconstruction = reconstruction
