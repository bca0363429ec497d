"""The two models of the book: the autoencoder and the variational autoencoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vae_tutorial.likelihoods import BernoulliLikelihood


class Autoencoder(nn.Module):
    """An encoder and a decoder in a row.

    `encoder` maps images to codes `(B, D)` (make it with `heads=1`), `decoder` maps codes to
    one raw number for each pixel. A sigmoid brings that into [0, 1]; `squash=False` leaves it
    out, as principal component analysis wants.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, squash: bool = True) -> None:
        super().__init__()
        self.latent_dim = _shared_latent_dim(encoder, decoder, heads=1)
        self.encoder, self.decoder = encoder, decoder
        self.squash = squash

    def encode(self, x: Tensor) -> Tensor:
        """The codes `(B, D)` of images `(B, C, H, W)`."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """The images `(..., C, H, W)` of codes `(..., D)`."""
        raw = at_least_float32(self.decoder(z))
        return torch.sigmoid(raw) if self.squash else raw

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class VAE(nn.Module):
    """A variational autoencoder (Kingma and Welling, 2014), as three distributions.

    - `prior`: p(z), a standard normal over `(D,)`;
    - `posterior(x)`: q(z | x), a diagonal normal `(B, D)` whose parameters the encoder gives;
    - `likelihood(z)`: p(x | z), a distribution over images whose parameters the decoder gives.

    `likelihood` is one of the modules of `likelihoods`; the default is Bernoulli.

    Raises `ValueError` where encoder and decoder do not fit together.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, likelihood: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.latent_dim = _shared_latent_dim(encoder, decoder, heads=2)
        self.encoder, self.decoder = encoder, decoder
        self.pixels = BernoulliLikelihood() if likelihood is None else likelihood
        # Buffers, not attributes: they follow the model from device to device.
        self.register_buffer("prior_mean", torch.zeros(self.latent_dim), persistent=False)
        self.register_buffer("prior_scale", torch.ones(self.latent_dim), persistent=False)

    @property
    def binary_pixels(self) -> bool:
        """Whether the likelihood is one of binary pixels, so that `fit` binarises images."""
        return getattr(self.pixels, "binary_pixels", False)

    @property
    def real_pixels(self) -> bool:
        """Whether the likelihood takes any real number as a pixel, not only [0, 1]."""
        return getattr(self.pixels, "real_pixels", False)

    @property
    def prior(self) -> Distribution:
        """p(z): `log_prob` of z `(..., D)` is `(...)`, `sample((B,))` is `(B, D)`."""
        return Independent(Normal(self.prior_mean, self.prior_scale, validate_args=False), 1)

    def posterior(self, x: Tensor) -> Normal:
        """q(z | x) for images `(B, C, H, W)`: a normal of shape `(B, D)`."""
        mu, logvar = map(at_least_float32, self.encoder(x))
        return Normal(mu, torch.exp(0.5 * logvar), validate_args=False)

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x | z) for z `(..., D)`: `log_prob` of images sums over pixels, shape `(...)`."""
        raw = at_least_float32(self.decoder(z))  # (..., C, H, W)
        return Independent(self.pixels(raw), raw.dim() - z.dim() + 1)

    @torch.no_grad()
    def sample(self, count: int, temperature: float = 1.0) -> Tensor:
        """`count` images from the model: z from the prior, then the mean of p(x | z).

        `temperature` scales the prior's standard deviation; 1 draws z from the prior itself,
        less stays closer to the middle of the latent space, where images are more alike.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count!r}")
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature must be a finite number from 0, got {temperature!r}")
        return self.likelihood(temperature * self.prior.sample((count,))).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """The mean of p(x | z) at the mean of q(z | x), for images `(B, C, H, W)`."""
        return self.likelihood(self.posterior(x).mean).mean


def at_least_float32(x: Tensor) -> Tensor:
    """What a network computed in half precision, as float32; other tensors as they are.

    Distributions, log-likelihoods and their sums are never computed in half precision: a sum
    over 784 pixels in bfloat16 would keep two or three digits.
    """
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _shared_latent_dim(encoder: nn.Module, decoder: nn.Module, heads: int) -> int:
    found = getattr(encoder, "heads", heads)
    if found != heads:
        model = {1: "an Autoencoder", 2: "a VAE"}[heads]
        raise ValueError(f"{model} needs an encoder made with heads={heads}, got heads={found}")
    sizes = {
        part: getattr(network, "latent_dim", None)
        for part, network in (("encoder", encoder), ("decoder", decoder))
    }
    if sizes["decoder"] is None or sizes["encoder"] not in (None, sizes["decoder"]):
        raise ValueError(
            "encoder and decoder must have the same attribute latent_dim, got "
            f"encoder {sizes['encoder']}, decoder {sizes['decoder']}"
        )
    return sizes["decoder"]
