"""The exercises of chapter 1, autoencoders."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_01_masking import MASKING
from vae_tutorial.checks.core import Exercise, Property, keeps_inputs


def _draw_rebuilt(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Images whose pixels differ in mean and spread, and reconstructions that are off and dull."""
    cases = []
    for shape in ((6, 1, 3, 4), (3, 3, 2, 2), (20, 1, 2, 5)):
        means = 3 * torch.rand(shape[1:], generator=rng)
        spread = 0.2 + torch.rand(shape[1:], generator=rng)
        x = means + spread * torch.randn(shape, generator=rng)
        noise = 0.3 * torch.randn(shape, generator=rng)
        cases.append((x, means + 0.1 + 0.7 * (x - means) + noise))
    return cases


def explained_share(x: Tensor, x_hat: Tensor) -> Tensor:
    error = (x - x_hat).square().flatten(1)
    spread = (x - x.mean(0)).square().flatten(1)
    return 1 - error.sum() / spread.sum()


_RATIO = "error.sum() / spread.sum()"
_EXPLAINED_SHARE = Exercise(
    name="explained-share",
    call_as="explained_share(x, x_hat)",
    returns="one number for the whole set of images",
    inputs=_draw_rebuilt,
    answer=explained_share,
    sizes=lambda x, x_hat: {"N": len(x), "n": x[0].numel()},
    properties=(
        Property("1 − error / total variance", 5),
        Property("perfect reconstructions give 1", 1, lambda f, x, _: f(x, x), expected=1.0),
        Property(
            "answering with the mean image gives 0",
            2,
            lambda f, x, _: f(x, x.mean(0).expand_as(x).clone()),
            expected=0.0,
        ),
        keeps_inputs(),
    ),
    slips=(
        ("1 - error", "error",
         "That is the share that is left over. The share explained is 1 minus it."),
        ("(x - x.mean(0))", "x",
         "You divided by the squares of the pixels. Subtract `x.mean(0)` first."),
        ("x.mean(0)", "x.mean()",
         "`x.mean()` is one grey for all pixels. Take a mean for each pixel, `x.mean(0)`."),
        (_RATIO, "(error.sum(0) / spread.sum(0)).mean()",
         "You averaged the shares of the pixels. Sum first, then divide once."),
        (_RATIO, "(error.sum(1) / spread.sum(1)).mean()",
         "You averaged the shares of the images. Sum first, then divide once."),
        (_RATIO, "error.mean() / spread.sum(1).mean()",
         "The error is a mean over pixels and the variance a sum over them. Treat both alike."),
        (_RATIO, "error.mean() / x.var(0).mean()",
         "`x.var(0)` divides by N − 1 where the mean error divides by N. Use `correction=0`."),
        ("x.mean(0)", "x_hat.mean(0)",
         "You compared with the mean of the reconstructions. The best constant is the mean of the "
         "images."),
        ("1 - error.sum()", "(x_hat - x_hat.mean(0)).square().sum()",
         "That compares how much the two sets vary. Use the error of each image."),
        (".square()", ".abs()",
         "You took absolute differences. Variance, and the error (1.1), are made of squares."),
        (_RATIO, "(error.sum() / spread.sum()).sqrt()",
         "You took the root. The share is one of variance."),
        (_RATIO, "error.sum(1) / spread.sum(1)",
         "That is one number for each image. Sum over the images too, before you divide."),
    ),
)  # fmt: skip


def _draw_noisy(rng: torch.Generator) -> list[tuple[(Tensor, Tensor, float)]]:
    cases = []
    for B, N, shape, sigma in (
        (4, 7, (1, 3, 3), 0.5),
        (3, 5, (1, 2, 4), 0.8),
        (1, 6, (3, 2, 2), 0.6),
    ):
        images = torch.rand(N, *shape, generator=rng)
        which = torch.randint(N, (B,), generator=rng)
        cases.append((images[which] + sigma * torch.randn(B, *shape, generator=rng), images, sigma))
    return cases


def _draw_far(rng: torch.Generator) -> list[tuple[(Tensor, Tensor, float)]]:
    """So many pixels, so little noise, that e^(−distance² / 2σ²) is 0 in double precision too.

    Each noisy image lies between two training images, and far from both, the next one farther.
    """
    images = torch.rand(6, 1, 20, 20, generator=rng)
    images[1::2] = images[::2] + 0.01 * torch.randn(3, 1, 20, 20, generator=rng)
    away = torch.tensor([0.3, 0.6, 0.9]).view(3, 1, 1, 1)
    return [((images[::2] + images[1::2]) / 2 + away, images, 0.15)]


def best_denoiser(noisy: Tensor, images: Tensor, sigma: float) -> Tensor:
    d = (noisy.flatten(1)[:, None] - images.flatten(1)).square().sum(-1)  # (B, N)
    weights = (-d / (2 * sigma**2)).softmax(1)
    return (weights @ images.flatten(1)).reshape(noisy.shape)


_WEIGHTS, _EXPONENT = "(-d / (2 * sigma**2)).softmax(1)", "-d / (2 * sigma**2)"
_SHIFTED = (
    f"(lambda w: w / w.sum(1, keepdim=True))(({_EXPONENT} + (d / (2 * sigma**2)).min()).exp())"
)
_BEST_DENOISER = Exercise(
    name="best-denoiser",
    call_as="best_denoiser(noisy, images, sigma)",
    returns="the mean of the clean images given each noisy one, (B, C, H, W)",
    inputs=_draw_noisy,
    answer=best_denoiser,
    properties=(
        Property("the mean of the clean images, given the noisy one", 6, rtol=1e-3, atol=1e-4),
        Property("for many pixels and little noise too", 2, None, None, _draw_far, 1e-2, 1e-2),
        keeps_inputs(),
    ),
    slips=(
        ("2 * sigma**2", "2 * sigma", "You divided by 2σ. The exponent has the variance, 2σ²."),
        ("2 * sigma**2", "sigma**2", "The ½ is missing in the exponent: −‖x̃ − x‖² / (2σ²)."),
        ("2 * sigma**2", "sigma",
         "You divided the squared distance by σ. The exponent has 2σ² below."),
        ("2 * sigma**2", "1", "σ is not used: the more noise, the wider the mean."),
        ("2 * sigma**2", "2", "σ is not used: the more noise, the wider the mean."),
        (".square().sum(-1)", ".norm(dim=-1)",
         "You took the distance. The density has its square."),
        (".square().sum(-1)", ".abs().sum(-1)",
         "You took absolute differences. The density has squares."),
        (".square().sum(-1)", ".square().mean(-1)",
         "You averaged the squares over the pixels. Their noise is independent, so the "
         "log-densities add up: sum."),
        (_WEIGHTS, f"({_EXPONENT}).exp()",
         "The weights do not add up to 1. Divide by their sum over the clean images: p(x̃) in "
         "Bayes' rule."),
        (_WEIGHTS, f"({_EXPONENT}).exp() / d.shape[1]",
         "The weights do not add up to 1: you divided by N. Divide by their sum over the clean "
         "images."),
        ("softmax(1)", "softmax(0)",
         "You normalised over the noisy images. For each of them, the weights of the clean ones "
         "add up to 1."),
        (_WEIGHTS, f"({_EXPONENT}).flatten().softmax(0).view(d.shape)",
         "You normalised over all pairs. For each noisy image the weights add up to 1."),
        ("softmax", "log_softmax", "The weights are logarithms: use `softmax`, not `log_softmax`."),
        ("(-d", "(d", "The sign is turned round: the farthest image got the largest weight."),
        (_WEIGHTS, "(1 / d) / (1 / d).sum(1, keepdim=True)",
         "You weighted by the inverse of the squared distance. By Bayes' rule the weights are "
         "Gaussian densities."),
        (_WEIGHTS, "(d == d.amin(1, keepdim=True)).to(d.dtype)",
         "That is the nearest image, the most probable one. The squared error asks for the mean "
         "of all."),
        (_WEIGHTS, "torch.full_like(d, 1 / d.shape[1])",
         "That is the mean of all images, whatever the noisy one looks like."),
        (".reshape(noisy.shape)", ".reshape(noisy.shape) - noisy",
         "That is the correction, r(x̃) − x̃ in (1.7). Asked for is r(x̃)."),
        ("return (weights @ images.flatten(1)).reshape(noisy.shape)",
         "return ((weights @ "
         "images.flatten(1)).reshape(noisy.shape) - noisy) / sigma**2",
         "That is the score. By (1.7) the best denoiser is x̃ + σ² times it."),
        (_WEIGHTS, f"({_EXPONENT}).exp() / ({_EXPONENT}).exp().sum(1, True)",
         "All weights were 0 to the computer, and 0/0 is NaN: use `softmax`, which takes "
         "logarithms."),
        (_WEIGHTS, _SHIFTED,
         "You subtracted the largest exponent of all noisy images. Each needs its own."),
    ),
)  # fmt: skip

EXERCISES = (_EXPLAINED_SHARE, MASKING, _BEST_DENOISER)
