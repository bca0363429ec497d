"""Faults of the KL: its sign, its terms, its weight."""

import torch

from clinic.healthy import Parts, kl, mutant
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


@mutant("kl-sign", of=(mlp_digits, conv_digits, gru_series))
def kl_rewarded(parts: Parts) -> None:
    """The ½ lost its minus sign: the loss falls as the posterior leaves the prior."""
    parts.kl = lambda mu, logvar: 0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1)


@mutant("kl-missing", of=(mlp_digits, mlp_blobs))
def no_kl(parts: Parts) -> None:
    """Reconstruction alone: a noisy autoencoder whose noise will vanish."""
    parts.kl = lambda mu, logvar: 0.0


@mutant("kl-missing", of=gru_series)
def kl_logged_only(parts: Parts) -> None:
    """The KL is computed and logged, and never added to the loss."""
    reconstruction = parts.reconstruction

    def loss(output, x):
        nll = reconstruction(output["x_hat"], x).mean()
        return {"loss": nll, "nll": nll, "kl": kl(output["mu"], output["logvar"]).mean()}

    parts.loss = loss


# ---- terms


@mutant("kl-part-missing", of=(mlp_digits, conv_blobs))
def no_exponential(parts: Parts) -> None:
    """logvar where exp(logvar) belongs: the two cancel and the variance costs nothing."""
    parts.kl = lambda mu, logvar: -0.5 * (1 + logvar - mu.pow(2) - logvar).sum(1)


@mutant("kl-part-missing", of=gru_digits)
def no_minus_logvar(parts: Parts) -> None:
    """Without −log σ² a small variance is rewarded down to 0."""
    parts.kl = lambda mu, logvar: 0.5 * (mu.pow(2) + logvar.exp() - 1).sum(1)


@mutant("kl-part-missing", of=mlp_blobs)
def no_mean(parts: Parts) -> None:
    """Without μ² the codes may drift away from the prior at no cost."""
    parts.kl = lambda mu, logvar: -0.5 * (1 + logvar - logvar.exp()).sum(1)


@mutant("kl-part-missing", of=conv_digits)
def absolute_mean(parts: Parts) -> None:
    """|μ| for μ²: a code far out pays too little, and one near 0 too much."""
    parts.kl = lambda mu, logvar: -0.5 * (1 + logvar - mu.abs() - logvar.exp()).sum(1)


@mutant("kl-part-missing", of=mlp_series)
def logarithm_squared(parts: Parts) -> None:
    """(log σ)² for log σ²: a square that went to the wrong place."""

    def kl(mu, logvar):
        return 0.5 * (mu.pow(2) + logvar.exp() - 1 - (0.5 * logvar).pow(2)).sum(1)

    parts.kl = kl


@mutant("kl-constant", of=(mlp_digits_method, gru_series))
def no_minus_one(parts: Parts) -> None:
    """Without −1 the KL of the prior to itself is ½ a nat for each dimension."""
    parts.kl = lambda mu, logvar: -0.5 * (logvar - mu.pow(2) - logvar.exp()).sum(1)


# ---- another prior


@mutant("kl-wrong-prior", of=mlp_digits)
def prior_around_one(parts: Parts) -> None:
    """The KL is 0 at N(1, 1), and samples are drawn from N(0, 1)."""
    parts.kl = lambda mu, logvar: kl(mu - 1, logvar)


@mutant("kl-wrong-prior", of=conv_grey_blobs)
def narrow_prior(parts: Parts) -> None:
    """The KL is 0 at N(0, 0.1²), and samples are drawn from N(0, 1)."""
    prior = torch.distributions.Normal(0.0, 0.1)

    def to_prior(mu, logvar):
        q = torch.distributions.Normal(mu, torch.exp(0.5 * logvar))
        return torch.distributions.kl_divergence(q, prior).sum(1)

    parts.kl = to_prior


@mutant("kl-wrong-prior", of=gru_series)
def variance_one_tenth(parts: Parts) -> None:
    """The prior's variance in the KL is 0.1, and samples are drawn with 1."""

    def to_prior(mu, logvar):
        scaled = (mu.pow(2) + logvar.exp()) / 0.1
        return 0.5 * (scaled - 1 - logvar + torch.tensor(0.1).log()).sum(1)

    parts.kl = to_prior


# ---- the weight


@mutant("kl-without-half", of=(mlp_digits, conv_digits, gru_digits))
def no_half(parts: Parts) -> None:
    """The ½ is missing beside a true log-likelihood: β is 2."""
    parts.kl = lambda mu, logvar: -(1 + logvar - mu.pow(2) - logvar.exp()).sum(1)


@mutant("kl-averaged-over-latents", of=(mlp_digits, gru_series))
def mean_over_latents(parts: Parts) -> None:
    """torch.mean over batch and latents at once: β is 1/D."""
    parts.kl = lambda mu, logvar: -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())


@mutant("kl-averaged-over-latents", of=conv_blobs)
def mean_over_latents_then_batch(parts: Parts) -> None:
    """A mean over the latents of each example: β is 1/D."""
    parts.kl = lambda mu, logvar: kl(mu, logvar) / mu.shape[1]


@mutant("kl-averaged-over-pixels", of=(mlp_digits_method, mlp_blobs))
def divided_by_pixels(parts: Parts) -> None:
    """The KL is divided by the number of pixels, over which reconstruction is summed."""
    values = parts.data[0].numel()
    parts.kl = lambda mu, logvar: kl(mu, logvar) / values


@mutant("hidden-beta", of=conv_digits)
def a_tenth(parts: Parts) -> None:
    """A weight of 0.1 stands in the loss and nowhere in the paper."""
    parts.kl = lambda mu, logvar: 0.1 * kl(mu, logvar)


@mutant("hidden-beta", "batch-reduction-mixed", of=mlp_digits)
def minibatch_weight(parts: Parts) -> None:
    """The KL is weighted by batch size over data size, which a mean over examples has done."""
    parts.kl = lambda mu, logvar: len(mu) / 60_000 * kl(mu, logvar)


@mutant("hidden-beta", of=gru_digits)
def weight_five(parts: Parts) -> None:
    """beta=4 is declared, and the code has 5·KL from an earlier experiment on top."""
    parts.kl = lambda mu, logvar: 4 * 5 * kl(mu, logvar)
    parts.settings["beta"] = 4.0


@mutant("hidden-beta", of=mlp_series)
def annealing_that_never_moves(parts: Parts) -> None:
    """KL annealing whose counter nobody increases: the weight stays where it began."""
    step = 100
    parts.kl = lambda mu, logvar: min(1.0, step / 10_000) * kl(mu, logvar)
