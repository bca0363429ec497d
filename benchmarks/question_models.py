"""The models of `questions.py`: the package's, with one thing changed."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional as F

import vae_tutorial as vt

LATENTS, HIDDEN = 16, (256,)


class Normalised(nn.Module):
    """A network of the package with batch normalisation before its ReLU."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.latent_dim, self.heads = network, network.latent_dim, 2
        layers = network.layers[-1] if isinstance(network, vt.MLPEncoder) else network.layers
        layers.insert(1, nn.BatchNorm1d(HIDDEN[0]))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if isinstance(self.network, vt.MLPEncoder):
            return self.network(x)
        flat = self.network(x.flatten(0, -2))  # batch normalisation wants one batch axis
        return flat.unflatten(0, x.shape[:-1])


class Bounded(vt.MLPEncoder):
    """log σ² clamped to `[-limit, limit]`."""

    def __init__(self, limit: float) -> None:
        super().__init__(LATENTS, HIDDEN)
        self.limit = limit

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = super().forward(x)
        return mu, logvar.clamp(-self.limit, self.limit)


class Softplus(vt.MLPEncoder):
    """σ by a softplus in place of log σ²."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, raw = super().forward(x)
        return mu, 2 * (F.softplus(raw) + 1e-6).log()


class PixelVariance(nn.Module):
    """A Gaussian for each pixel, with its own σ."""

    values = "real"

    def forward(self, raw: Tensor) -> Normal:
        mean, log_sigma = raw.chunk(2, -3)
        return Normal(mean, log_sigma.exp(), validate_args=False)


def plain(normalised: bool = False, encoder: nn.Module | None = None) -> vt.VAE:
    parts = encoder or vt.MLPEncoder(LATENTS, HIDDEN), vt.MLPDecoder(LATENTS, HIDDEN)
    return vt.VAE(*map(Normalised, parts)) if normalised else vt.VAE(*parts)


def gaussian(kind: str) -> vt.VAE:
    if kind == "one":
        parts = vt.MLPDecoder(LATENTS, HIDDEN), vt.GaussianLikelihood(0.3, learned=True)
    else:
        parts = vt.MLPDecoder(LATENTS, HIDDEN, (2, 28, 28)), PixelVariance()
    return vt.VAE(vt.MLPEncoder(LATENTS, HIDDEN), *parts)
