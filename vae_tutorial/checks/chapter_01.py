"""The exercises of chapter 1, autoencoders."""

from __future__ import annotations

import torch

from vae_tutorial.checks.chapter_01_masking import MASKING
from vae_tutorial.checks.chapter_01_oracles import (
    correction,
    denoiser_with_exponent,
    denoiser_with_weights,
    draw_far,
    draw_noisy,
    draw_rebuilt,
    error_of_pixels,
    nearest_alone,
    plain_exponentials,
    right_denoiser,
    right_share,
    spread_of_pixels,
)
from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs, only_arguments

_EXPLAINED_SHARE = Exercise(
    name="explained-share",
    call_as="explained_share(x, x_hat)",
    returns="one number for the whole set of images",
    inputs=draw_rebuilt,
    oracle=right_share,
    properties=(
        Property("1 − error / total variance", 5),
        Property("perfect reconstructions give 1", 1, lambda f, x, _: f(x, x), expected=1.0),
        Property(
            "answering with the mean image gives 0",
            2,
            lambda f, x, _: f(x, x.mean(0).expand_as(x).clone()),
            expected=0.0,
        ),
        keeps_inputs(1),
        only_arguments(1),
    ),
    suspects=(
        Suspect(
            lambda x, x_hat: float(error_of_pixels(x, x_hat).sum() / spread_of_pixels(x).sum()),
            "That is the share that is left over. The share explained is 1 minus it.",
        ),
        Suspect(
            lambda x, x_hat: float(1 - error_of_pixels(x, x_hat).sum() / x.square().sum()),
            "You divided by the squares of the pixels themselves. The yardstick is the error of "
            "the mean image: subtract `x.mean(0)` first.",
        ),
        Suspect(
            lambda x, x_hat: float(
                1 - error_of_pixels(x, x_hat).sum() / (x - x.mean()).square().sum()
            ),
            "`x.mean()` is one grey for all pixels. The best constant picture has a mean for each "
            "pixel, `x.mean(0)`; else a part of what is called explained is only the mean image.",
        ),
        Suspect(
            lambda x, x_hat: float(
                (1 - error_of_pixels(x, x_hat).sum(0) / spread_of_pixels(x).sum(0)).mean()
            ),
            "You averaged the shares of the pixels, so that a pixel at the edge, which hardly "
            "varies, counts as much as one in the middle. Sum first, then divide once.",
        ),
        Suspect(
            lambda x, x_hat: float(
                (1 - error_of_pixels(x, x_hat).sum(1) / spread_of_pixels(x).sum(1)).mean()
            ),
            "You averaged the shares of the images. Sum error and variance over all images, then "
            "divide once.",
        ),
        Suspect(
            lambda x, x_hat: float(
                1 - error_of_pixels(x, x_hat).mean() / spread_of_pixels(x).sum(1).mean()
            ),
            "The error is a mean over pixels and the variance a sum over them. Treat both alike.",
        ),
        Suspect(
            lambda x, x_hat: float(1 - error_of_pixels(x, x_hat).sum(1).mean() / x.var(0).sum()),
            "`x.var(0)` divides by N − 1 where the mean error divides by N. Use "
            "`x.var(0, correction=0)`.",
        ),
        Suspect(
            lambda x, x_hat: float(
                1 - error_of_pixels(x, x_hat).sum() / (x - x_hat.mean(0)).square().sum()
            ),
            "You compared with the mean of the reconstructions. The best constant is the mean of "
            "the images.",
        ),
        Suspect(
            lambda x, x_hat: float(spread_of_pixels(x_hat).sum() / spread_of_pixels(x).sum()),
            "That compares how much the two sets vary. Reconstructions of the wrong images would "
            "score as high: use the error of each.",
        ),
        Suspect(
            lambda x, x_hat: float(1 - (x - x_hat).abs().sum() / (x - x.mean(0)).abs().sum()),
            "You took absolute differences. Variance, and the error (1.1), are made of squares.",
        ),
        Suspect(
            lambda x, x_hat: 1 - error_of_pixels(x, x_hat).sum(1) / spread_of_pixels(x).sum(1),
            "That is one number for each image. Sum over the images too, before you divide.",
        ),
    ),
)

_BEST_DENOISER = Exercise(
    name="best-denoiser",
    call_as="best_denoiser(noisy, images, sigma)",
    returns="the mean of the clean images given each noisy one, (B, C, H, W)",
    inputs=draw_noisy,
    oracle=right_denoiser,
    properties=(
        Property("the mean of the clean images, given the noisy one", 6, rtol=1e-3, atol=1e-4),
        Property(
            "it holds for many pixels and little noise",
            2,
            lambda f, noisy, images, sigma: f(noisy, images, sigma),
            expected=right_denoiser,
            inputs=draw_far,
            suspects=(
                Suspect(
                    plain_exponentials,
                    "All weights were 0 to the computer, and 0/0 is NaN. Never form the "
                    "exponentials themselves: `softmax` subtracts the largest exponent first.",
                ),
            ),
            rtol=1e-2,
            atol=1e-2,
        ),
        keeps_inputs(1),
        only_arguments(1),
    ),
    suspects=(
        Suspect(
            denoiser_with_exponent(lambda d, sigma: -d / (2 * sigma)),
            "You divided the squared distance by 2σ. The exponent has the variance, 2σ².",
        ),
        Suspect(
            denoiser_with_exponent(lambda d, sigma: -d / sigma**2),
            "The ½ is missing in the exponent: −‖x̃ − x‖² / (2σ²).",
        ),
        Suspect(
            denoiser_with_exponent(lambda d, sigma: -d),
            "σ is not used: the more noise, the wider the mean.",
        ),
        Suspect(
            denoiser_with_exponent(lambda d, sigma: -d.sqrt() / (2 * sigma**2)),
            "You took the distance. The Gaussian density has its square.",
        ),
        Suspect(
            lambda noisy, images, sigma: denoiser_with_exponent(
                lambda d, s: -d / (2 * s**2 * noisy[0].numel())
            )(noisy, images, sigma),
            "You averaged the squares over the pixels. The noise of the pixels is independent, so "
            "their log-densities add up: sum.",
        ),
        Suspect(
            denoiser_with_weights(lambda d, sigma: (-d / (2 * sigma**2)).exp()),
            "The weights do not add up to 1. Divide by their sum over the clean images: that is "
            "p(x̃) in Bayes' rule.",
        ),
        Suspect(
            denoiser_with_weights(lambda d, sigma: (-d / (2 * sigma**2)).softmax(0)),
            "You normalised over the noisy images. For each noisy image the weights of the clean "
            "ones must add up to 1.",
        ),
        Suspect(
            denoiser_with_exponent(lambda d, sigma: d / (2 * sigma**2)),
            "The sign is turned round: the farthest image got the largest weight.",
        ),
        Suspect(
            denoiser_with_weights(nearest_alone),
            "That is the nearest image, the most probable one. The squared error asks for the "
            "mean of all, each with its probability.",
        ),
        Suspect(
            denoiser_with_weights(lambda d, sigma: torch.full_like(d, 1 / d.shape[1])),
            "That is the mean of all images, whatever the noisy one looks like.",
        ),
        Suspect(
            correction,
            "That is the correction, r(x̃) − x̃ in (1.11). Asked for is r(x̃).",
        ),
        Suspect(
            lambda noisy, images, sigma: correction(noisy, images, sigma) / sigma**2,
            "That is the score. By (1.11) the best denoiser is x̃ + σ² times it.",
        ),
    ),
)

EXERCISES = (_EXPLAINED_SHARE, MASKING, _BEST_DENOISER)
