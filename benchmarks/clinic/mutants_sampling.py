"""Faults of the draw z = μ + σ ε."""

import torch
from torch.nn import functional as F

from clinic.healthy import Parts, change, mutant
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

# ---- the wrong scale


@mutant("exp-logvar-as-std", of=(mlp_digits, conv_digits, gru_series, mlp_blobs))
def variance_as_scale(parts: Parts) -> None:
    """The noise is multiplied by the variance, exp(logvar), and not by its root."""

    def reparameterize(self, mu, logvar):
        return mu + logvar.exp() * torch.randn_like(mu)

    change(parts.model, reparameterize=reparameterize)


@mutant("exp-logvar-as-std", of=conv_blobs)
def normal_with_variance(parts: Parts) -> None:
    """torch's Normal takes a standard deviation and is given a variance."""

    def reparameterize(self, mu, logvar):
        return torch.distributions.Normal(mu, logvar.exp()).rsample()

    change(parts.model, reparameterize=reparameterize)


@mutant("logstd-as-logvar", of=(mlp_digits_method, mlp_series))
def kl_of_log_std(parts: Parts) -> None:
    """The KL reads the second head as log σ, the sampler reads it as log σ²."""
    parts.kl = lambda mu, log_std: -0.5 * (1 + 2 * log_std - mu**2 - (2 * log_std).exp()).sum(1)


@mutant("std-as-logvar", of=(mlp_digits, gru_series))
def softplus_scale_in_kl(parts: Parts) -> None:
    """The second head is a scale (softplus) for the sampler, and a log-variance for the KL."""

    def encode(self, x):
        h = self.encoder(x)
        return self.mu(h), F.softplus(self.logvar(h)) + 1e-4

    def reparameterize(self, mu, std):
        return mu + std * torch.randn_like(std)

    change(parts.model, encode=encode, reparameterize=reparameterize)


@mutant("std-as-logvar", of=conv_digits)
def log_variance_where_std_belongs(parts: Parts) -> None:
    """The KL takes a scale and gets log σ²: it squares it, and takes the logarithm of |log σ²|."""

    def kl(mu, std):
        return (0.5 * (mu**2 + std**2 - 1) - (std.abs() + 1e-8).log()).sum(1)

    parts.kl = kl


# ---- part of the encoder is left out


@mutant("sample-ignores-mu", of=(mlp_digits, gru_series))
def mean_left_out(parts: Parts) -> None:
    """z = σ ε: the mean is computed, pays its KL and is never used."""

    def reparameterize(self, mu, logvar):
        return torch.exp(0.5 * logvar) * torch.randn_like(mu)

    change(parts.model, reparameterize=reparameterize)


@mutant("sample-ignores-logvar", of=(conv_digits, mlp_blobs))
def unit_noise(parts: Parts) -> None:
    """z = μ + ε: the noise has σ = 1 whatever the encoder says."""
    change(parts.model, reparameterize=lambda self, mu, logvar: mu + torch.randn_like(mu))


@mutant("sample-ignores-logvar", of=gru_digits)
def fixed_small_noise(parts: Parts) -> None:
    """z = μ + 0.1 ε: somebody made the noise smaller to get sharper images."""
    change(parts.model, reparameterize=lambda self, mu, logvar: mu + 0.1 * torch.randn_like(mu))


@mutant("sample-ignores-encoder", of=(conv_blobs, mlp_digits))
def drawn_from_prior(parts: Parts) -> None:
    """z comes from the prior: the decoder never hears of x."""
    change(parts.model, reparameterize=lambda self, mu, logvar: torch.randn_like(mu))


# ---- no noise, or the wrong noise


@mutant("no-noise", of=(mlp_digits, gru_series, mlp_blobs))
def mean_decoded(parts: Parts) -> None:
    """z = μ: an autoencoder with a penalty on its code."""
    change(parts.model, reparameterize=lambda self, mu, logvar: mu)


@mutant("no-noise", of=conv_grey_blobs)
def scale_without_noise(parts: Parts) -> None:
    """z = μ + σ: the factor ε was forgotten."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar)

    change(parts.model, reparameterize=reparameterize)


@mutant("no-noise", "noise-shared", of=mlp_digits_method)
def seed_in_sampler(parts: Parts) -> None:
    """A seed set inside the sampler, for reproducible runs: every call draws the same numbers."""

    def reparameterize(self, mu, logvar):
        generator = torch.Generator(mu.device).manual_seed(42)
        eps = torch.randn(mu.shape, generator=generator, dtype=mu.dtype, device=mu.device)
        return mu + torch.exp(0.5 * logvar) * eps

    change(parts.model, reparameterize=reparameterize)


@mutant("eval-at-mean", of=(mlp_digits, conv_digits))
def mean_when_evaluating(parts: Parts) -> None:
    """In eval mode z = μ, so the loss reported for test data is not minus an ELBO."""
    healthy = type(parts.model).reparameterize

    def reparameterize(self, mu, logvar):
        return healthy(self, mu, logvar) if self.training else mu

    change(parts.model, reparameterize=reparameterize)


@mutant("noise-shared", of=(mlp_digits, gru_series))
def one_vector_for_all(parts: Parts) -> None:
    """One noise vector for the whole batch: the examples are no independent draws."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape[1], dtype=mu.dtype)

    change(parts.model, reparameterize=reparameterize)


@mutant("noise-shared", of=conv_blobs)
def one_number_for_all(parts: Parts) -> None:
    """One random number for all examples and all latent dimensions."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn(1)

    change(parts.model, reparameterize=reparameterize)


@mutant("noise-shared", of=(conv_digits, mlp_series))
def uniform_noise(parts: Parts) -> None:
    """rand for randn: noise between 0 and 1, which moves the mean and never goes below it."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.rand_like(mu)

    change(parts.model, reparameterize=reparameterize)
