"""Exercises 1.1 and 1.4: inputs, right answers, and the mistakes that wrong ones come from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

# explained-share: how much of the variance of a set of images its reconstructions explain


def draw_rebuilt(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Images whose pixels differ in mean and spread, and reconstructions that are off and dull."""
    cases = []
    for shape in ((6, 1, 3, 4), (3, 3, 2, 2), (20, 1, 2, 5)):
        means = 3 * torch.rand(shape[1:], generator=rng)
        spread = 0.2 + torch.rand(shape[1:], generator=rng)
        x = means + spread * torch.randn(shape, generator=rng)
        noise = 0.3 * torch.randn(shape, generator=rng)
        cases.append((x, means + 0.1 + 0.7 * (x - means) + noise))
    return cases


def right_share(x: Tensor, x_hat: Tensor) -> float:
    """By sums and sums of squares, one pixel after the other: no centred image is formed."""
    left, total = 0.0, 0.0
    for pixel, rebuilt in zip(x.flatten(1).T.tolist(), x_hat.flatten(1).T.tolist(), strict=True):
        left += sum((a - b) ** 2 for a, b in zip(pixel, rebuilt, strict=True))
        total += sum(a * a for a in pixel) - sum(pixel) ** 2 / len(pixel)
    return 1 - left / total


def error_of_pixels(x: Tensor, x_hat: Tensor) -> Tensor:
    return (x - x_hat).square().flatten(1)


def spread_of_pixels(x: Tensor) -> Tensor:
    return (x - x.mean(0)).square().flatten(1)


# best-denoiser: E[x | x̃] where the images are the training set, each as probable as the others


def draw_noisy(rng: torch.Generator) -> list[tuple[Tensor, Tensor, float]]:
    cases = ((4, 7, (1, 3, 3), 0.5), (3, 5, (1, 2, 4), 0.8), (1, 6, (3, 2, 2), 0.6))
    return [_noisy_case(rng, B, N, shape, sigma) for B, N, shape, sigma in cases]


def draw_far(rng: torch.Generator) -> list[tuple[Tensor, Tensor, float]]:
    """So many pixels, so little noise that every e^(−distance² / 2σ²) is 0 in single precision.

    Each noisy image lies half-way between two training images, up to a little: both count.
    """
    images = torch.rand(6, 1, 20, 20, generator=rng)
    images[1::2] = (images[::2] + 0.01 * torch.randn(3, 1, 20, 20, generator=rng)).clamp(0, 1)
    return [((images[::2] + images[1::2]) / 2 + 0.3, images, 0.2)]


def _noisy_case(
    rng: torch.Generator, B: int, N: int, shape: tuple[int, int, int], sigma: float
) -> tuple[Tensor, Tensor, float]:
    images = torch.rand(N, *shape, generator=rng)
    which = torch.randint(N, (B,), generator=rng)
    return images[which] + sigma * torch.randn(B, *shape, generator=rng), images, sigma


def right_denoiser(noisy: Tensor, images: Tensor, sigma: float) -> Tensor:
    """Bayes' rule with torch's normal density, one pair of images after the other."""
    answers = []
    for one in noisy.double():
        densities = [
            torch.distributions.Normal(clean, float(sigma)).log_prob(one).sum()
            for clean in images.double()
        ]
        shares = (torch.stack(densities) - torch.logsumexp(torch.stack(densities), 0)).exp()
        answers.append(sum(share * clean for share, clean in zip(shares, images.double())))
    return torch.stack(answers).to(noisy.dtype)


def denoiser_with_weights(weigh: Callable[[Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """A denoiser whose weights (B, N) come from squared distances (B, N) and sigma."""

    def answer(noisy: Tensor, images: Tensor, sigma: float) -> Tensor:
        apart = noisy.flatten(1)[:, None] - images.flatten(1)
        weights = weigh(apart.square().sum(-1), sigma)
        return (weights @ images.flatten(1)).reshape(noisy.shape)

    return answer


def denoiser_with_exponent(exponent: Callable[[Tensor, float], Tensor]) -> Callable[..., Tensor]:
    return denoiser_with_weights(lambda d, sigma: exponent(d, sigma).softmax(1))


def correction(noisy: Tensor, images: Tensor, sigma: float) -> Tensor:
    return right_denoiser(noisy, images, sigma) - noisy


def plain_exponentials(noisy: Tensor, images: Tensor, sigma: float) -> Tensor:
    def weigh(d: Tensor, sigma: float) -> Tensor:
        weights = torch.exp(-d / (2 * sigma**2))
        return weights / weights.sum(1, keepdim=True)

    return denoiser_with_weights(weigh)(noisy, images, sigma)


def nearest_alone(d: Tensor, sigma: float) -> Tensor:
    return nn.functional.one_hot(d.argmin(1), d.shape[1]).to(d.dtype)
