"""The exercises of chapter 3: inputs, right answers, and the formulas that mistakes are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Independent, Laplace, Normal, kl_divergence

from vae_tutorial.checks.core import Suspect


def draw_gaussians(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Means and log-variances `(B, D)`; one image, one latent dimension, and both."""
    shapes = [(5, 3), (1, 4), (6, 1), (1, 1)]
    return [
        (torch.randn(shape, generator=rng), 1.5 * torch.randn(shape, generator=rng))
        for shape in shapes
    ]


def kl_oracle(mu: Tensor, logvar: Tensor) -> Tensor:
    """The divergence that torch.distributions computes, in double precision."""
    q = Normal(mu.double(), torch.exp(0.5 * logvar.double()))
    prior = Normal(torch.zeros_like(q.loc), torch.ones_like(q.scale))
    return kl_divergence(q, prior).sum(-1)


def kl_terms(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def draw_images(rng: torch.Generator) -> list[tuple[Tensor, Tensor, float]]:
    """Images and reconstructions `(B, C, H, W)`, and a scale; never one pixel alone."""
    shapes = [(4, 1, 3, 2), (1, 1, 2, 4), (3, 2, 2, 2)]
    scales = (0.2 + 1.3 * torch.rand(3, generator=rng)).tolist()
    return [
        (torch.rand(shape, generator=rng), torch.rand(shape, generator=rng), scale)
        for shape, scale in zip(shapes, scales)
    ]


def laplace_oracle(x: Tensor, x_hat: Tensor, scale: float) -> Tensor:
    """Minus the log-density of torch.distributions, in double precision."""
    pixels = Laplace(x_hat.double(), torch.full_like(x_hat, scale, dtype=torch.float64))
    return -Independent(pixels, 3).log_prob(x.double())


def laplace_terms(x: Tensor, x_hat: Tensor, scale: float) -> Tensor:
    return (x - x_hat).abs() / scale + math.log(2 * scale)


def image_sums(pixels: Tensor) -> Tensor:
    return pixels.flatten(1).sum(1)


@dataclass(frozen=True)
class HiddenLoss:
    """A loss of unknown making: what `hidden_beta` has to see through by calling it."""

    error_weight: float
    kl_weight: float
    constant: float
    mean_over_pixels: bool
    mean_over_latents: bool

    def __call__(self, x: Tensor, x_hat: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        """One number for images `(B, n)`, the same, and latents `(B, D)`, `(B, D)`."""
        error = (x - x_hat).square().flatten(1)
        error = error.mean(1) if self.mean_over_pixels else error.sum(1)
        q = Normal(mu, torch.exp(0.5 * logvar))
        kl = kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu)))
        kl = kl.mean(1) if self.mean_over_latents else kl.sum(1)
        return (self.error_weight * error + self.kl_weight * kl).mean() + self.constant


def true_beta(loss: HiddenLoss, n: int, D: int) -> float:
    """The weight of the summed KL for a weight of one on half the summed squared error."""
    per_square = loss.error_weight / (n if loss.mean_over_pixels else 1)
    per_kl = loss.kl_weight / (D if loss.mean_over_latents else 1)
    return per_kl / (2 * per_square)


def draw_losses(
    means: tuple[tuple[bool, bool], ...], constant: bool
) -> Callable[[torch.Generator], list[tuple[HiddenLoss, int, int]]]:
    """Losses that average over (pixels, latents) as `means` says."""

    def draw(rng: torch.Generator) -> list[tuple[HiddenLoss, int, int]]:
        cases = []
        for over_pixels, over_latents in means:
            n = int(torch.randint(20, 60, (), generator=rng))
            latents = int(torch.randint(3, 9, (), generator=rng))
            error, kl, rest = (0.5 + 2 * torch.rand(3, generator=rng)).tolist()
            rest = rest if constant else 0.0
            loss = HiddenLoss(error, kl, rest, over_pixels, over_latents)
            cases.append((loss, n, latents))
        return cases

    return draw


def probe(loss: HiddenLoss, n: int, latents: int) -> tuple[float, float, float]:
    """The loss without error and KL, with a squared error of n, and with a KL of D/2."""
    x, zero = torch.zeros(1, n).double(), torch.zeros(1, latents).double()
    values = loss(x, x, zero, zero), loss(x, x + 1, zero, zero), loss(x, x, zero + 1, zero)
    return values[0].item(), values[1].item(), values[2].item()


def beta_suspect(formula: Callable[..., float], hint: str) -> Suspect:
    """`formula(base, error, kl, n, D)` gets what the three calls of `probe` return."""
    return Suspect(lambda loss, n, D: formula(*probe(loss, n, D), n, D), hint)
