"""The exercises of chapter 3, the ELBO."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_tutorial.checks.core import Exercise, Property, Suspect, gradient, keeps_inputs


def _draw_images(rng: torch.Generator) -> list[tuple[(Tensor, Tensor, float)]]:
    """Images and reconstructions `(B, C, H, W)`, and a scale; never one pixel alone."""
    shapes = [(4, 1, 3, 2), (1, 1, 2, 4), (3, 2, 2, 2)]
    scales = (0.2 + 1.3 * torch.rand(3, generator=rng)).tolist()
    return [(*torch.rand(2, *shape, generator=rng), s) for shape, s in zip(shapes, scales)]


def laplace_energy(x: Tensor, x_hat: Tensor, scale: float) -> Tensor:
    each = (x - x_hat).abs() / scale + math.log(2 * scale)
    return each.flatten(1).sum(1)


_LAPLACE = Exercise(
    name="laplace-energy",
    call_as="laplace_energy(x, x_hat, scale)",
    returns="minus the log-likelihood of each image, (B,)",
    inputs=_draw_images,
    answer=laplace_energy,
    sizes=lambda x, x_hat, scale: {"B": len(x), "n": x[0].numel(), "2s": 2 * scale},
    properties=(
        Property("it is minus the log-likelihood of each image, in nats", 7),
        keeps_inputs(),
        gradient(),
    ),
    slips=(
        (".flatten(1).sum(1)", ".sum()", "You summed over the batch too. Each image has its own."),
        (
            ".flatten(1).sum(1)",
            "",
            "One number for each pixel came. The pixels of an image add up.",
        ),
        (".sum(1)", ".mean(1)", "You averaged over the pixels. Their logarithms add up."),
        (" + math.log(2 * scale)", "", "The constant is missing: 1/(2s) in front, for each pixel."),
        (
            "+ math",
            "- math",
            "The constant has the wrong sign: minus log of 1/(2s) is plus log 2s.",
        ),
        ("2 * scale", "scale", "The 2 of the factor 1/(2s) is missing: the constant is log 2s."),
        ("/ scale", "/ (2 * scale)", "The error is divided by s: the 2 is not in the exponent."),
        (".abs()", "", "The absolute value is missing: errors of different sign cancel."),
        (
            ".abs() / scale + math.log(2 * scale)",
            ".square() / (2 * scale**2) + 0.5 * math.log(2 * math.pi * scale**2)",
            "That is the energy of a Gaussian. A Laplace density has the absolute error.",
        ),
        (
            "each.flatten(1).sum(1)",
            "(each - math.log(2 * scale)).flatten(1).sum(1) + math.log(2 * scale)",
            "The constant is there once for an image. Every pixel has its own factor 1/(2s).",
        ),
        (
            "each.flatten(1).sum(1)",
            "each.flatten(1).sum(1).neg().exp()",
            "That is the density itself. Minus its logarithm is asked for.",
        ),
    ),
)


def _draw_gaussians(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Means and log-variances `(B, D)`; one image, one latent dimension, and both."""
    shapes = [(5, 3), (1, 4), (6, 1), (1, 1)]
    return [
        (torch.randn(shape, generator=rng), 1.5 * torch.randn(shape, generator=rng))
        for shape in shapes
    ]


def my_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    return (0.5 * (mu**2 + logvar.exp() - 1 - logvar)).sum(-1)


_KL = Exercise(
    name="kl",
    call_as="my_kl(mu, logvar)",
    returns="the divergence of each image, (B,)",
    inputs=_draw_gaussians,
    answer=my_kl,
    sizes=lambda mu, logvar: {"B": len(mu), "D": mu.shape[1]},
    properties=(
        Property("it is the divergence of each image, in nats", 7),
        keeps_inputs(),
        gradient(),
    ),
    slips=(
        (".sum(-1)", ".sum()", "You summed over the batch too. Each image has its own divergence."),
        (".sum(-1)", ".sum(-1).mean()", "You averaged over the batch. Each image has its own."),
        (".sum(-1)", ".mean()", "You averaged over batch and latents. Sum over the latents only."),
        (".sum(-1)", ".mean(-1)", "You averaged over the latents: D times too little. Sum."),
        (".sum(-1)", ".sum(0)", "You summed over the images, the first axis. Sum over the last."),
        (".sum(-1)", "", "One number for each latent came. The divergence is the sum of them."),
        (" - 1 -", " -", "The −½ is missing: for mu = 0 and logvar = 0 it must be 0."),
        ("logvar.exp()", "(logvar / 2).exp()", "That is the standard deviation, not the variance."),
        (
            "mu**2 + logvar.exp() - 1 - logvar",
            "(mu**2 + 1) / logvar.exp() - 1 + logvar",
            "That is the divergence the other way round, KL(N(0, I) ‖ q).",
        ),
    ),
)


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
        x, x_hat, mu, logvar = map(torch.as_tensor, (x, x_hat, mu, logvar))
        error = (x - x_hat).square().flatten(1)
        error = error.mean(1) if self.mean_over_pixels else error.sum(1)
        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
        kl = kl.mean(1) if self.mean_over_latents else kl.sum(1)
        return (self.error_weight * error + self.kl_weight * kl).mean() + self.constant


def _losses(*kinds: tuple[bool, bool], constant: bool) -> Callable[..., list[tuple]]:
    """Losses that average over (pixels, latents) as `kinds` says."""

    def draw(rng: torch.Generator) -> list[tuple[(HiddenLoss, int, int)]]:
        cases = []
        for kind in kinds:
            n = int(torch.randint(20, 60, (), generator=rng))
            latents = int(torch.randint(3, 9, (), generator=rng))
            (error, kl, rest) = (0.5 + 2 * torch.rand(3, generator=rng)).tolist()
            cases.append((HiddenLoss(error, kl, rest if constant else 0.0, *kind), n, latents))
        return cases

    return draw


def hidden_beta(loss: HiddenLoss, n: int, D: int) -> float:
    x, zero = torch.zeros(1, n).double(), torch.zeros(1, D).double()
    base = loss(x, x, zero, zero)
    error = loss(x, x + 1, zero, zero) - base
    kl = loss(x, x, zero + 1, zero) - base
    return float((kl / (D / 2)) / (error / (n / 2)))


_SUMS, _MEANS = ((False, False),) * 3, ((True, False), (False, True), (True, True))
_HIDDEN_BETA = Exercise(
    name="hidden-beta",
    call_as="hidden_beta(loss, n, D)",
    returns="one number, the β that the loss trains",
    inputs=_losses(*_SUMS, constant=False),
    answer=hidden_beta,
    sizes=lambda loss, n, D: {"n": n, "D": D},
    properties=(
        Property("of losses that sum over pixels and latents", 3, rtol=1e-2),
        Property("of losses that average", 3, None, None, _losses(*_MEANS, constant=False), 1e-2),
        Property(
            "of losses with a constant",
            3,
            inputs=_losses(*_SUMS, *_MEANS, constant=True),
            rtol=1e-2,
        ),
    ),
    slips=(
        ("n / 2", "n",
         "Twice the right value: that is the weight compared with ‖x − x̂‖², not ½ of it."),
        ("D / 2", "D", "Half of the right value: for mu = 1 and logvar = 0 the KL is D/2, not D."),
        ("(kl / (D / 2)) / (error / (n / 2))", "kl / error",
         "That depends on how far your inputs moved. Divide each change by that of its term: n/2 "
         "and D/2."),
        ("(kl / (D / 2)) / (error / (n / 2))", "error / (n / 2)",
         "That is the weight of half the squared error alone. Divide that of the KL by it."),
        (" / (error / (n / 2))", "",
         "That is the weight of the KL alone. Compare it with the other."),
        ("(error / (n / 2))", "error",
         "You divided by the KL, D/2, but not by half the squared error, n/2."),
        ("(kl / (D / 2))", "kl", "You divided by half the squared error, but not by the KL, D/2."),
        (" - base", "", "The loss has a constant. Subtract the loss where error and KL are zero."),
    ),
    suspects=(
        Suspect(lambda loss, n, D: 1.0, "A β of 1 comes for every loss. Call the loss and see."),
    ),
)  # fmt: skip

EXERCISES = (_LAPLACE, _KL, _HIDDEN_BETA)
