"""Exercise 6.5, annealed importance sampling on a line."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_06_paths import (
    annealing_oracle,
    draw_leaps,
    draw_long_paths,
    draw_paths,
    height_at,
)
from vae_tutorial.checks.core import (
    Exercise,
    Property,
    Suspect,
    Within,
    keeps_inputs,
    only_arguments,
)


def _moved_at(answer: Callable[..., Tensor], *case: Any) -> Tensor:
    """The β of every move that the answer makes, found from the landscape that it hands over."""
    log_start, log_target, betas, z, move = case
    found = []

    def watched(z: Tensor, log_density: Callable[[Tensor], Tensor]) -> Tensor:
        probe = torch.linspace(-2, 2, len(z), dtype=z.dtype)
        rise, climb = (
            height - height.mean()  # a constant does not matter to a move
            for height in (
                log_density(probe) - log_start(probe),
                log_target(probe) - log_start(probe),
            )
        )
        found.append((rise * climb).sum() / climb.square().sum())
        return move(z, log_density)

    answer(log_start, log_target, betas, z, watched)
    # Moves under the start and under the target do no harm, and are not asked for.
    inner = [beta for beta in found if 1e-6 < beta < 1 - 1e-6]
    return torch.stack(inner) if inner else torch.zeros(0)


def _log_mean(answer: Callable[..., Tensor], *case: Any) -> float:
    log_w = answer(*case)
    return float(log_w.logsumexp(0)) - math.log(len(log_w))


def _suspect(
    hint: str,
    weigh: Callable[..., Tensor] | None = None,
    at: Callable[[list[float], int], float] = lambda betas, t: betas[t],
    height: Callable[..., Tensor] = height_at,
    order: str = "weigh, move",
    end: Callable[[Tensor], Tensor] = lambda log_w: log_w,
) -> Suspect:
    """The loop of the solution, with something in it that is wrong.

    `weigh(start, target, betas, t)` gets the two log-densities at z; `at` says the β of the move
    at step t, None that there is none.
    """
    weigh = weigh or _increment

    def answer(log_start, log_target, betas: list[float], z: Tensor, move: Callable) -> Tensor:
        log_w, last = torch.zeros_like(z), len(betas) - 1
        for t in range(1, last + 1):
            landscape = partial(height, log_start, log_target, at(betas, t))
            if order == "move, weigh" or (order == "move, weigh last" and t < last):
                z = move(z, landscape)
            log_w = log_w + weigh(log_start(z), log_target(z), betas, t)
            if order == "weigh, move" and t < last:
                z = move(z, landscape)
        return end(log_w)

    return Suspect(answer, hint)


def _increment(start: Tensor, target: Tensor, betas: list[float], t: int) -> Tensor:
    return (betas[t] - betas[t - 1]) * (target - start)


def _arithmetic(log_start, log_target, beta: float, z: Tensor) -> Tensor:
    beta = torch.tensor(beta, dtype=z.dtype)
    return torch.logaddexp((1 - beta).log() + log_start(z), beta.log() + log_target(z))


def _weigh_arithmetic(start: Tensor, target: Tensor, betas: list[float], t: int) -> Tensor:
    new, old = (
        torch.logaddexp((1 - beta).log() + start, beta.log() + target)
        for beta in torch.tensor([betas[t], betas[t - 1]], dtype=start.dtype)
    )
    return new - old


_MOVED_FIRST = (
    "You move before you weigh. The weight of step t is f_t / f_{t−1} at the z from *before* the "
    "move under f_t, which that move has not seen yet; else the mean weight is not Z."
)

_SUSPECTS = (
    _suspect(_MOVED_FIRST, order="move, weigh"),
    _suspect(_MOVED_FIRST, order="move, weigh last"),
    _suspect(
        "The sign is wrong: the weight of a step is the new density over the old one, "
        "(β_t − β_{t−1}) (log target − log start).",
        weigh=lambda start, target, betas, t: _increment(target, start, betas, t),
    ),
    _suspect(
        "The move of step t is made under the density of the step before, β_{t−1}, which the "
        "draws follow already. It has to lead on: move under the one that you have just weighed "
        "for, β_t.",
        at=lambda betas, t: betas[t - 1],
    ),
    _suspect(
        "All moves are made under the target. Each is to be made under the density of its own β.",
        at=lambda betas, t: 1.0,
    ),
    _suspect(
        "The moves go along the path from its end: start and target have each other's power. At "
        "β = 0 the density is that of the start.",
        at=lambda betas, t: 1 - betas[t],
    ),
    _suspect(
        "The last step is missing: there are as many weights as steps from β = 0 to β = 1, one "
        "more than moves.",
        weigh=lambda start, target, betas, t: (
            _increment(start, target, betas, t) * (t < len(betas) - 1)
        ),
    ),
    _suspect(
        "The draws are never moved: all steps of the path are taken at the same z, and add up to "
        "plain importance sampling. Take what `move` returns as the new z.",
        order="weigh",
    ),
    _suspect(
        "Each step counts with the whole ratio of target and start. It is raised to the power "
        "β_t − β_{t−1}, a small part of 1.",
        weigh=lambda start, target, betas, t: target - start,
    ),
    _suspect(
        "Each step counts with β_t. What a step adds is the difference β_t − β_{t−1}.",
        weigh=lambda start, target, betas, t: betas[t] * (target - start),
    ),
    _suspect(
        "These are sums of log f_t. The weight of a step is a ratio of two densities at the same "
        "z, so subtract log f_{t−1}.",
        weigh=lambda start, target, betas, t: torch.lerp(start, target, betas[t]),
    ),
    _suspect(
        "That is a path too, but another one: you mix the densities. Here their logarithms are "
        "mixed, (1 − β) log start + β log target.",
        height=_arithmetic,
        weigh=_weigh_arithmetic,
    ),
    _suspect(
        "These are the weights. Their logarithms were asked for: an image's weights are e^−100.",
        end=torch.exp,
    ),
    _suspect(
        "One number came for all chains. Return the log-weight of each; the mean comes after.",
        end=lambda log_w: log_w.logsumexp(0) - math.log(len(log_w)),
    ),
    Suspect(
        lambda log_start, log_target, betas, z, move: annealing_oracle(
            log_start, log_target, betas, move(z, log_start), move
        ),
        "You move once before the first step. The draws in z come from the start already, so the "
        "weights are right on average, but they are not those of these chains: weigh first.",
    ),
)

ANNEALING = Exercise(
    name="annealed-weights",
    call_as="annealed_weights(log_start, log_target, betas, z, move)",
    returns="the log-weight of each chain, (N,)",
    inputs=draw_paths,
    oracle=annealing_oracle,
    properties=(
        Property("the log-weight of each chain", 4),
        Property("each move is made under the density of its step", 2, measure=_moved_at),
        Property("with no β between 0 and 1: importance sampling", 1, inputs=draw_leaps),
        Property(
            "the mean weight is the target's mass",
            3,
            inputs=draw_long_paths,
            measure=_log_mean,
            expected=lambda start, target, *_: Within(target.log_mass, 0.08),
        ),
        keeps_inputs(1),
        only_arguments(1),
    ),
    suspects=_SUSPECTS,
)
