"""Faults that people reported in public, rebuilt in a few lines: the KL and the reconstruction.

Each comes with the address of the report. Most were mended within days of it, often by their
authors; everybody who has written a VAE has written some of them. The code here is our own, in
PyTorch whatever the original was written in, and only the fault is theirs.
"""

import torch
from torch import nn
from torch.nn import functional as F

from clinic.healthy import Parts, change, kl, mutant
from clinic.vaes import (
    conv_blobs,
    conv_digits,
    gru_digits,
    gru_series,
    mlp_digits,
    mlp_digits_method,
    mlp_series,
)

GITHUB = "https://github.com/"
COLLECTION = (  # PyTorch-VAE, with the weight in configs/vae.yaml
    GITHUB + "AntixK/PyTorch-VAE/blob/2946d7a0b9e31eb023ca60f8793656fe97cc198a"
    "/models/vanilla_vae.py"
)
BOOK = (  # D. Foster, Generative Deep Learning
    GITHUB + "davidADSP/Generative_Deep_Learning_2nd_Edition"
    "/blob/3d281720dcb220cbed2bb353d948b56ed272e11c"
    "/notebooks/03_vae/02_vae_fashion/vae_fashion.ipynb"
)
BOLTS = (
    GITHUB + "Lightning-Universe/lightning-bolts/blob/c6f6d3b589340e10d073df7bb3f6c35f94969bb7"
    "/src/pl_bolts/models/autoencoders/basic_vae/basic_vae_module.py"
)

# ---- terms of the KL


@mutant("kl-part-missing", of=mlp_digits, source=GITHUB + "FluxML/model-zoo/issues/73")
def flux_square_of_log(parts: Parts) -> None:
    """Flux's VAE had (log σ)² in its KL for 2 log σ, until a reader did the integral."""

    def kl(mu, logvar):
        log_std = 0.5 * logvar
        return 0.5 * ((2 * log_std).exp() + mu.pow(2) - 1 + log_std.pow(2)).sum(1)

    parts.kl = kl


@mutant("kl-part-missing", of=mlp_series, source=GITHUB + "FluxML/model-zoo/pull/147")
def flux_sign_of_log(parts: Parts) -> None:
    """The mended KL then had +2 log σ for −2 log σ: found and mended by another reader."""
    parts.kl = lambda mu, logvar: 0.5 * (logvar.exp() + mu.pow(2) - 1 + logvar).sum(1)


@mutant("kl-part-missing", "kl-wrong-prior", of=mlp_digits_method,
        source=GITHUB + "SupaeroDataScience/deep-learning/pull/6")  # fmt: skip
def course_half_forgotten(parts: Parts) -> None:
    """A course's loss: μ² + σ² − log σ − ½, where μ² and σ² want a ½. Its minimum is at σ² = ½."""
    parts.kl = lambda mu, logvar: (mu.pow(2) + logvar.exp() - 0.5 * logvar - 0.5).sum(1)


@mutant("kl-part-missing", "logstd-as-logvar", of=mlp_digits,
        source=GITHUB + "DaehanKim/vgae_pytorch/issues/2")  # fmt: skip
def graph_vae_square_missing(parts: Parts) -> None:
    """The heads give log σ, and the KL has exp(log σ) without its square beside 2 log σ."""

    def reparameterize(self, mu, log_std):
        return mu + log_std.exp() * torch.randn_like(mu)

    change(parts.model, reparameterize=reparameterize)
    parts.kl = lambda mu, log_std: -0.5 * (1 + 2 * log_std - mu.pow(2) - log_std.exp()).sum(1)


@mutant("kl-constant", of=gru_digits, source=GITHUB + "ericjang/draw/issues/2")
def draw_half_a_step(parts: Parts) -> None:
    """DRAW took off ½ once a step, not once a step and dimension: no gradient changed."""
    parts.kl = lambda mu, logvar: 0.5 * (mu.pow(2) + logvar.exp() - logvar).sum(1) - 0.5


# ---- means and weights


@mutant("kl-averaged-over-latents", of=gru_series,
        source=GITHUB + "maxhodak/keras-molecules/issues/59")  # fmt: skip
def molecules_mean_over_latents(parts: Parts) -> None:
    """A famous VAE of molecules took the mean of the KL over 292 latents."""
    parts.kl = lambda mu, logvar: -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).mean(dim=-1)


@mutant("kl-averaged-over-latents", "hidden-beta", of=conv_digits,
        source=GITHUB + "podgorskiy/VAE/issues/1")  # fmt: skip
def mean_and_a_tenth(parts: Parts) -> None:
    """A mean over latents, and a weight of 0.1 on top: a reader asked why both."""

    def kl(mu, logvar):
        return 0.1 * -0.5 * torch.mean(torch.mean(1 + logvar - mu.pow(2) - logvar.exp(), 1))

    parts.kl = kl


@mutant("reconstruction-averaged", of=mlp_digits, source=GITHUB + "keras-team/keras/pull/3383")
def keras_lost_factor(parts: Parts) -> None:
    """Keras's example lost its factor original_dim in a clean-up; all outputs became alike."""
    parts.reconstruction = lambda recon, x: F.binary_cross_entropy(recon, x, reduction="mean")


@mutant("reconstruction-averaged", "hidden-beta", of=conv_blobs, source=COLLECTION)
def collection_kld_weight(parts: Parts) -> None:
    """A much used collection: mean squared error, and 0.00025 × summed KL.

    At 64·64·3 values that is β = 1.54 with unit variance; here, with 768 values, it is 0.1.
    """
    parts.reconstruction = F.mse_loss
    parts.kl = lambda mu, logvar: 0.00025 * kl(mu, logvar).mean()


@mutant("reconstruction-averaged", "hidden-beta", of=mlp_digits_method, source=BOOK)
def book_five_hundred(parts: Parts) -> None:
    """A well-loved book: 500 × the mean cross-entropy, so β is pixels / 500 (there 2.05)."""
    mean = nn.BCEWithLogitsLoss()
    parts.reconstruction = lambda recon, x: 500 * mean(recon, x)


@mutant(
    "kl-averaged-over-latents",
    "reconstruction-averaged",
    "hidden-beta",
    of=conv_blobs,
    source=BOLTS,
)
def bolts_two_means(parts: Parts) -> None:
    """Two means, over pixels and over latents, and a weight of 0.1: β is 4.8 for these sizes."""
    parts.reconstruction = F.mse_loss
    parts.kl = lambda mu, logvar: 0.1 * kl(mu, logvar).mean() / mu.shape[1]


@mutant("hidden-beta", of=gru_series, source=GITHUB + "AlexanderVNikitin/tsgm/issues/69")
def beta_not_used(parts: Parts) -> None:
    """A β-VAE for time series took beta as an argument and never used it. Mended since."""
    parts.settings["beta"] = 4.0


# ---- reconstruction


@mutant("wrong-likelihood", "target-wrong", of=conv_digits,
        source=GITHUB + "autonomousvision/sledge/issues/4")  # fmt: skip
def arguments_exchanged(parts: Parts) -> None:
    """binary_cross_entropy_with_logits(x, logits): the pixels stand where the logits belong."""

    def reconstruction(logits, x):
        each = F.binary_cross_entropy_with_logits(x, logits, reduction="none")
        return each.flatten(1).sum(1)

    parts.reconstruction = reconstruction


@mutant("log-saturates", of=mlp_digits,
        source=GITHUB + "kvfrans/variational-autoencoder/issues/5")  # fmt: skip
def padding_too_small(parts: Parts) -> None:
    """1e-8 + 1 is 1 in single precision, so log(1e-8 + 1 − p) is −∞ at p = 1: NaN at epoch 432."""

    def reconstruction(p, x):
        each = x * torch.log(1e-8 + p) + (1 - x) * torch.log(1e-8 + 1 - p)
        return -each.flatten(1).sum(1)

    parts.reconstruction = reconstruction


@mutant("log-saturates", of=gru_digits,
        source=GITHUB + "emited/VariationalRecurrentNeuralNetwork/issues/2")  # fmt: skip
def recurrent_without_padding(parts: Parts) -> None:
    """A recurrent VAE with bare logarithms: NaN in the third epoch, mended by a small number."""

    def reconstruction(logits, x):
        p = torch.sigmoid(logits)
        return -(x * torch.log(p) + (1 - x) * torch.log(1 - p)).flatten(1).sum(1)

    parts.reconstruction = reconstruction


@mutant("non-finite", "logits-as-probabilities", "log-saturates", of=mlp_digits,
        source=GITHUB + "pkmital/tensorflow_tutorials/issues/23")  # fmt: skip
def tanh_into_logarithm(parts: Parts) -> None:
    """The decoder ended in tanh, and its negative values went into a logarithm."""
    parts.model.decoder[3] = nn.Tanh()

    def reconstruction(p, x):
        each = x * torch.log(1e-10 + p) + (1 - x) * torch.log(1e-10 + 1 - p)
        return -each.flatten(1).sum(1)

    parts.reconstruction = reconstruction


@mutant("data-out-of-range", of=conv_digits,
        source=GITHUB + "Lightning-Universe/lightning-bolts/issues/177")  # fmt: skip
def normalised_images(parts: Parts) -> None:
    """Images normalised as for a classifier, with negative pixels, under a Bernoulli likelihood."""
    parts.data = (parts.data - 0.5) / 0.25


@mutant("bernoulli-on-grey", of=mlp_digits, source=GITHUB + "pytorch/examples/issues/460")
def grey_in_official_example(parts: Parts) -> None:
    """PyTorch's example takes MNIST's grey pixels: a usable loss that is no log-likelihood."""
    blurred = F.avg_pool2d(parts.data, 3, stride=1, padding=1)
    parts.data = 0.7 * parts.data + 0.3 * blurred
