"""The exercises of chapter 6, measuring a VAE."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_06_annealing import ANNEALING
from vae_tutorial.checks.chapter_06_oracles import (
    draw_far_weights,
    draw_ruling_weights,
    draw_weights,
    jackknife_oracle,
)
from vae_tutorial.checks.chapter_06_rate import RATE_IN_THREE
from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs, only_arguments

# The jackknife


def _estimate(whole: Tensor, without: Tensor, count: int) -> Tensor:
    return count * whole - (count - 1) * without.mean(0)


def _error(whole: Tensor, without: Tensor, count: int) -> Tensor:
    return (count - 1) / math.sqrt(count) * without.std(0)


def _without(log_w: Tensor, left_out: float = -math.inf) -> Tensor:
    """The log-mean of the others, for each weight, `(K, B)`."""
    own = torch.eye(len(log_w), dtype=torch.bool)[..., None]  # (K, K, 1)
    others = log_w.expand(len(log_w), *log_w.shape).masked_fill(own, left_out)  # (K, K, B)
    return others.logsumexp(1) - math.log(len(log_w) - 1)


def _mistake(
    hint: str,
    estimate: Callable[[Tensor, Tensor, int], Tensor] = _estimate,
    error: Callable[[Tensor, Tensor, int], Tensor] = _error,
    left_out: float = -math.inf,
    log_mean: Callable[[Tensor], Tensor] = lambda w: w.logsumexp(0) - math.log(len(w)),
) -> Suspect:
    """`estimate` and `error` get the log-mean of all `(B,)`, of the others `(K, B)`, and K."""

    def answer(log_w: Tensor) -> tuple[Tensor, Tensor]:
        parts = log_mean(log_w), _without(log_w, left_out), len(log_w)
        return estimate(*parts), error(*parts)

    return Suspect(answer, hint)


def _plainly(log_w: Tensor) -> tuple[Tensor, Tensor]:
    """By weights that are exponentials as they come."""
    return _by_subtraction(log_w, torch.zeros(()))


def _by_subtraction(log_w: Tensor, largest: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """By the sum of all weights, less one's own."""
    largest = log_w.amax(0) if largest is None else largest
    weights = (log_w - largest).exp()
    whole = weights.mean(0).log() + largest
    without = ((weights.sum(0) - weights) / (len(log_w) - 1)).log() + largest
    return _estimate(whole, without, len(log_w)), _error(whole, without, len(log_w))


def _right(log_w: Tensor) -> tuple[Tensor, Tensor]:
    parts = log_w.logsumexp(0) - math.log(len(log_w)), _without(log_w), len(log_w)
    return _estimate(*parts), _error(*parts)


_JACKKNIFE_SUSPECTS = (
    _mistake(
        "That is the estimate from all weights, uncorrected. What the others say, each weight "
        "left out in turn, tells by how much it is too low.",
        estimate=lambda whole, without, K: whole,
    ),
    _mistake(
        "That is the mean of the log-means without one weight. It is lower than the estimate from "
        "all, for it comes from K − 1 weights: the difference is what the correction is made of.",
        estimate=lambda whole, without, K: without.mean(0),
    ),
    _mistake(
        "The correction is K − 1 times too small. From K − 1 weights to K the bias falls by about "
        "1/K of itself only, so the whole bias is K − 1 times that difference.",
        estimate=lambda whole, without, K: 2 * whole - without.mean(0),
    ),
    _mistake(
        "The correction goes the wrong way. Fewer weights give a lower value, and so do K weights "
        "when held against infinitely many: the corrected value lies above.",
        estimate=lambda whole, without, K: (2 - K) * whole + (K - 1) * without.mean(0),
    ),
    _mistake(
        "Both have the factor K, so that log p(x) itself cancels. It is K times the one minus "
        "K − 1 times the other.",
        estimate=lambda whole, without, K: K * (whole - without.mean(0)),
    ),
    _mistake(
        "The mean of the others is divided by K. With one weight left out there are K − 1.",
        estimate=lambda whole, without, K: _estimate(whole, without + math.log((K - 1) / K), K),
    ),
    _mistake(
        "The log-weight that is left out was set to 0, which is a weight of 1. To leave it out, "
        "set the weight to 0, and its logarithm to −∞.",
        left_out=0.0,
    ),
    _mistake(
        "The mean of the log-weights stands where the logarithm of the mean weight belongs: that "
        "is the ELBO, L₁.",
        log_mean=lambda log_w: log_w.mean(0),
    ),
    _mistake(
        "That is the standard error of a mean of independent numbers, s / √K. The K values "
        "without one weight share all but one weight each, and hardly differ: the error of the "
        "estimate is K − 1 times that.",
        error=lambda whole, without, K: without.std(0) / math.sqrt(K),
    ),
    _mistake(
        "That is the spread of the values without one weight. They share all but one weight each, "
        "and hardly differ: sum the squares of the deviations and multiply by (K − 1) / K.",
        error=lambda whole, without, K: without.std(0),
    ),
    _mistake(
        "That is the spread of the values without one weight. They share all but one weight each, "
        "and hardly differ: multiply the *sum* of the squares by (K − 1) / K, not their mean.",
        error=lambda whole, without, K: without.std(0, correction=0),
    ),
    _mistake(
        "That is the square of the error, a variance in nats². Take the root.",
        error=lambda whole, without, K: _error(whole, without, K).square(),
    ),
    _mistake(
        "The factor (K − 1) / K in front of the sum of squares is missing.",
        error=lambda whole, without, K: (without - without.mean(0)).square().sum(0).sqrt(),
    ),
    _mistake(
        "The deviations are taken from the estimate with all weights. Take them from the mean of "
        "the values without one weight.",
        error=lambda whole, without, K: ((K - 1) / K * (without - whole).square().sum(0)).sqrt(),
    ),
    Suspect(
        lambda log_w: _right(log_w)[0],
        "Only the estimate came. Return the estimate and its error, a pair.",
    ),
    Suspect(
        lambda log_w: _right(log_w)[::-1],
        "The two are in the other order: first the estimate, then its error.",
    ),
    Suspect(
        lambda log_w: _right(log_w.T.contiguous()),
        "One number for each sample came: you left out the images, along the last axis. The "
        "samples stand along the first.",
    ),
    Suspect(
        lambda log_w: tuple(part.mean() for part in _right(log_w)),
        "One number for all images came. Each has its own estimate and error: return both (B,).",
    ),
)

JACKKNIFE = Exercise(
    name="jackknife",
    call_as="jackknife(log_w)",
    returns="the estimate of each image and its error, two (B,)",
    inputs=draw_weights,
    oracle=jackknife_oracle,
    properties=(
        Property("the corrected estimate of log p(x)", 4, measure=lambda f, w: f(w)[0]),
        Property("its standard error", 3, measure=lambda f, w: f(w)[1]),
        Property(
            "log-weights of thousands of nats",
            2,
            measure=lambda f, w: f(w),
            inputs=draw_far_weights,
            suspects=(
                Suspect(
                    _plainly,
                    "Exponentials of thousands are 0 or infinite, and the logarithm does not bring "
                    "back what is lost. Stay with logarithms: torch.logsumexp.",
                ),
            ),
        ),
        Property(
            "a weight that outweighs all others by e^60",
            2,
            measure=lambda f, w: f(w),
            inputs=draw_ruling_weights,
            suspects=(
                Suspect(
                    _by_subtraction,
                    "You subtract a weight from the sum of all. Where it is nearly the whole sum, "
                    "what remains is rounding error, or 0. Sum the others themselves.",
                ),
            ),
        ),
        keeps_inputs(1),
        only_arguments(1),
    ),
    suspects=_JACKKNIFE_SUSPECTS,
)

EXERCISES = (JACKKNIFE, RATE_IN_THREE, ANNEALING)
