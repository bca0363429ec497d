"""The exercises of chapter 6, measuring a VAE."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_06_annealing import ANNEALING
from vae_tutorial.checks.chapter_06_rate import RATE_IN_THREE
from vae_tutorial.checks.core import Exercise, Property, keeps_inputs


def _draw_weights(rng: torch.Generator) -> list[tuple[Tensor]]:
    """Log-weights `(K, B)` of a spread of 1.5 nats."""
    sizes = [torch.Size(shape) for shape in ((12, 4), (5, 2), (20, 3))]
    return [(1.5 * torch.randn(size, generator=rng) - 3,) for size in sizes]


def _draw_far_weights(rng: torch.Generator) -> list[tuple[Tensor]]:
    """The same, thousands of nats up and down, and from one image to the next."""
    levels = torch.tensor([-3000.0, 1000.0, -600.0, 2500.0])
    return [(w + levels[: w.shape[1]],) for (w,) in _draw_weights(rng)]


def _draw_ruling_weights(rng: torch.Generator) -> list[tuple[Tensor]]:
    """The same, with one weight for each image that is e^60 times as large as the others."""
    cases = _draw_weights(rng)
    for (log_w,) in cases:
        ruler = torch.randint(len(log_w), log_w.shape[1:], generator=rng)
        log_w[ruler, torch.arange(log_w.shape[1])] += 60
    return cases


def jackknife(log_w: Tensor) -> tuple[Tensor, Tensor]:
    K = len(log_w)
    own = torch.eye(K, dtype=torch.bool)[:, :, None]
    others = log_w.expand(K, *log_w.shape).masked_fill(own, -math.inf)  # (K, K, B)
    without = others.logsumexp(1) - math.log(K - 1)  # (K, B)
    whole = log_w.logsumexp(0) - math.log(K)  # (B,)
    estimate = K * whole - (K - 1) * without.mean(0)
    error = ((K - 1) / K * (without - without.mean(0)).square().sum(0)).sqrt()
    return estimate, error


_ESTIMATE, _FACTOR = "K * whole - (K - 1) * without.mean(0)", "(K - 1) / K * "
_WEIGHTS = "    K = len(log_w)\n"
_PLAIN = (
    "    K, top = len(log_w), {0}\n    w = (log_w - top).exp()\n    rest = {1}\n"
    "    without, whole = (rest / (K - 1)).log() + top, w.mean(0).log() + top\n"
    "    return K * whole - (K - 1) * without.mean(0), "
    "((K - 1) / K * (without - without.mean(0)).square().sum(0)).sqrt()\n"
)
_LOST = "Exponentials of thousands are 0 or infinite. Stay with logarithms: torch.logsumexp."
_SUMS = "torch.stack([torch.cat([w[:k], w[k + 1 :]]).sum(0) for k in range(K)])"
JACKKNIFE = Exercise(
    name="jackknife",
    call_as="jackknife(log_w)",
    returns="a tuple: the estimate of each image and its error, two (B,)",
    inputs=_draw_weights,
    answer=jackknife,
    sizes=lambda log_w: {"K": len(log_w)},
    properties=(
        Property("the corrected estimate of log p(x)", 4, lambda f, w: f(w)[0], atol=1e-3),
        Property("its standard error", 3, lambda f, w: f(w)[1], rtol=2e-3),
        Property("log-weights of thousands of nats", 2, None, None, _draw_far_weights, 0, 0.05),
        Property("a weight that outweighs all others by e^60", 2, None, None, _draw_ruling_weights,
                 1e-3, 1e-2),
        keeps_inputs(),
    ),
    slips=(
        (_ESTIMATE, "whole", "That is the estimate from all weights, uncorrected."),
        (_ESTIMATE, "without.mean(0)",
         "That is the mean of the log-means without one weight. The correction is made of its "
         "difference to the estimate from all."),
        (_ESTIMATE, "2 * whole - without.mean(0)",
         "The correction is K − 1 times too small. From K − 1 weights to K the bias falls by "
         "about 1/K of itself only."),
        (_ESTIMATE, "(2 - K) * whole + (K - 1) * without.mean(0)",
         "The correction goes the wrong way. Fewer weights give a lower value: the corrected one "
         "lies above."),
        (_ESTIMATE, "whole + (K - 1) / 2 * (whole - without.mean(0))",
         "The correction is half of what it should be."),
        (_ESTIMATE, "K * whole - (K - 1) * without[0]",
         "Only the first weight was left out. Leave out each in turn, and take the mean."),
        (_ESTIMATE, "(K - 1) * (whole - without.mean(0))",
         "That is the correction alone. Add the estimate from all weights."),
        (_ESTIMATE, "K * (whole - without.mean(0))",
         "Both have the factor K, so that log p(x) itself cancels. The second has K − 1."),
        ("math.log(K - 1)", "math.log(K)",
         "The mean of the others is divided by K. There are K − 1."),
        (" - math.log(K", " - 0 * math.log(K",
         "The logarithms are those of sums, not of means: log K and log (K − 1) are missing."),
        ("-math.inf", "0.0",
         "The log-weight that is left out was set to 0, which is a weight of 1. Set it to −∞."),
        ("log_w.logsumexp(0) - math.log(K)", "log_w.mean(0)",
         "The mean of the log-weights stands where the logarithm of the mean weight belongs: that "
         "is the ELBO, L₁."),
        (f"({_FACTOR}(without - without.mean(0)).square().sum(0)).sqrt()",
         "without.std(0) / K**0.5",
         "That is the standard error of independent numbers, s / √K. The K values share all but "
         "one weight each: the error is K − 1 times that."),
        (f"({_FACTOR}(without - without.mean(0)).square().sum(0)).sqrt()", "without.std(0)",
         "That is the spread of the values. Sum the squares of the deviations, times (K − 1) / K."),
        (_FACTOR, "1 / K * ",
         "That is the spread of the values. Multiply the *sum* of the squares by (K − 1) / K, not "
         "their mean."),
        (".sum(0)).sqrt()", ".sum(0))",
         "That is the square of the error, in nats². Take the root."),
        (_FACTOR, "", "The factor (K − 1) / K in front of the sum of squares is missing."),
        ("without - without.mean(0)", "without - estimate",
         "The deviations are taken from the corrected estimate. Take them from the mean of the "
         "values."),
        ("without - without.mean(0)", "without - whole",
         "The deviations are taken from the estimate with all weights. Take them from the mean of "
         "the values."),
        (f"({_FACTOR}(without - without.mean(0)).square().sum(0)).sqrt()",
         f"{_FACTOR}(without - without.mean(0)).square().sum(0).sqrt()",
         "The factor (K − 1) / K belongs under the root."),
        ("return estimate, error", "return estimate", "Only the estimate came. Return a pair."),
        ("return estimate, error", "return estimate.mean(), error.mean()",
         "One number for all images came. Return both (B,)."),
        (_WEIGHTS, _PLAIN.format("log_w.max()", _SUMS),
         "You took out the largest weight of all images; where an image's own are far smaller, "
         "they underflow. Each needs its own."),
        (_WEIGHTS, _PLAIN.format("log_w.amax(0)", "w.sum(0) - w"),
         "You subtract a weight from the sum of all. Where it is nearly the whole sum, rounding "
         "error remains. Sum the others themselves."),
        (_WEIGHTS, _PLAIN.format("0 * log_w[0]", _SUMS), _LOST),
        (_WEIGHTS, _PLAIN.format("0 * log_w[0]", "w.sum(0) - w"), _LOST),
    ),
)  # fmt: skip

EXERCISES = (JACKKNIFE, RATE_IN_THREE, ANNEALING)
