"""Exercise 6.5, annealed importance sampling on a line.

The `move` that an answer gets is no Metropolis move, but one without chance that depends on the
density all the same. So the weights of a right answer are known to the last digit, in whatever
order it draws or moves its chains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.core import Exercise, Property, Unmet, keeps_inputs


@dataclass(frozen=True)
class Humps:
    """The logarithm of a sum of bells of known masses; called with z `(N,)`, it returns `(N,)`."""

    log_masses: tuple[float, ...]
    centres: tuple[float, ...]
    widths: tuple[float, ...]

    def __call__(self, z: Tensor) -> Tensor:
        z = torch.as_tensor(z)
        (mass, centre, width) = (
            torch.tensor(each, dtype=z.dtype)
            for each in (self.log_masses, self.centres, self.widths)
        )
        square = ((z[..., None] - centre) / width).square()
        return (mass - width.log() - 0.5 * (square + math.log(2 * math.pi))).logsumexp(-1)


def climb(z: Tensor, log_density: Callable[[Tensor], Tensor]) -> Tensor:
    """A move without chance: a step up or down, as long as the density is steep."""
    return z + 0.8 * torch.tanh(log_density(z + 0.3) - log_density(z - 0.2)) + 0.1


Case = tuple[Humps, Humps, list[float], Tensor, Callable[..., Tensor]]


def _case(rng: torch.Generator, temperatures: int, chains: int) -> Case:
    """A start of mass one, a target of two humps and another mass, and unevenly spaced β."""
    a, b, c, d = torch.rand(4, generator=rng, dtype=torch.float64).tolist()
    start = Humps((0.0,), (0.5 * d - 0.25,), (1.5,))
    target = Humps((-3 - 2 * a, -4.0), (1 + b, -1.5 - c), (0.4, 0.6))
    steps = 0.5 + torch.rand(temperatures, generator=rng, dtype=torch.float64)
    betas = [0.0, *(steps.cumsum(0) / steps.sum()).tolist()]
    betas[-1] = 1.0
    eps = torch.randn(chains, generator=rng)
    return start, target, betas, start.centres[0] + start.widths[0] * eps, climb


def _draw_paths(rng: torch.Generator) -> list[Case]:
    return [_case(rng, 7, 9), _case(rng, 12, 5), _case(rng, 3, 14)]


def _draw_leaps(rng: torch.Generator) -> list[Case]:
    """From 0 to 1 at once."""
    return [_case(rng, 1, 6), _case(rng, 1, 3)]


def _moved_at(answer: Callable[..., Tensor], *case: Any) -> Tensor:
    """The β of every move that the answer makes, found from the landscape that it hands over."""
    log_start, log_target, betas, z, move = case
    found = []

    def watched(z: Tensor, log_density: Callable[[Tensor], Tensor]) -> Tensor:
        probe = torch.linspace(-2, 2, 40, dtype=torch.float64)
        rise, climb = (
            height - height.mean()  # a constant does not matter to a move
            for height in (
                log_density(probe) - log_start(probe),
                log_target(probe) - log_start(probe),
            )
        )
        beta = float((rise * climb).sum() / climb.square().sum())
        if not torch.allclose(rise, beta * climb, atol=1e-3):
            raise Unmet(
                "A move was made under another density than (1 − β) log start + β log target."
            )
        found.append(beta)
        return move(z, log_density)

    answer(log_start, log_target, betas, z, watched)
    # A move under the target at the end does no harm, and is not asked for. Chains may be moved
    # one by one.
    kept = dict.fromkeys(round(beta, 6) for beta in found)
    return torch.tensor([beta for beta in kept if beta < 1 - 1e-6])


def _betas(log_start, log_target, betas: list[float], *_: Any) -> Tensor:
    return torch.tensor(betas[1:-1])


def annealed_weights(
    log_start: Callable, log_target: Callable, betas: list[float], z: Tensor, move: Callable
) -> Tensor:
    log_w = torch.zeros_like(z)
    for t in range(1, len(betas)):
        log_w = log_w + (betas[t] - betas[t - 1]) * (log_target(z) - log_start(z))
        if t < len(betas) - 1:
            z = move(z, lambda u: (1 - betas[t]) * log_start(u) + betas[t] * log_target(u))  # noqa: B023
    return log_w


_WEIGH = "log_w = log_w + (betas[t] - betas[t - 1]) * (log_target(z) - log_start(z))\n"
_MOVE = (
    "if t < len(betas) - 1:\n            z = move(z, lambda u: (1 - betas[t]) * log_start(u) + "
    "betas[t] * log_target(u))  # noqa: B023\n"
)
_PATH = "(1 - betas[t]) * log_start(u) + betas[t] * log_target(u)"
_STEP, _FIRST = (
    "(betas[t] - betas[t - 1])",
    (
        "You move before you weigh. The weight of step t is f_t / f_{t−1} at the z from *before* "
        "the move under f_t; else the mean weight is not Z."
    ),
)
_MIX = "((1 - b) * log_start({0}).exp() + b * log_target({0}).exp()).log()"
_OTHER = _WEIGH.replace(
    f"{_STEP} * (log_target(z) - log_start(z))",
    "(lambda b: {0})(betas[t]) - (lambda b: {0})(betas[t - 1])".format(_MIX.format("z")),
)
_SLIPS = (
    (f"{_WEIGH}        {_MOVE}", f"{_MOVE}        {_WEIGH}", _FIRST),
    (f"{_WEIGH}        {_MOVE}", f"{_MOVE}        {_WEIGH}".replace("len(betas) - 1", "99"),
     _FIRST),
    ("log_target(z) - log_start(z)", "log_start(z) - log_target(z)",
     "The sign is wrong: the weight of a step is the new density over the old one."),
    (_PATH, _PATH.replace("betas[t]", "betas[t - 1]"),
     "The move of step t is made under the density of the step before, β_{t−1}. Move under the "
     "one that you have just weighed for, β_t."),
    (_PATH, _PATH.replace("betas[t]", "betas[t + 1]"),
     "The moves are made one step ahead, under β_{t+1}. Move under the density that you have just "
     "weighed for, β_t."),
    (_PATH, "log_target(u)",
     "All moves are made under the target. Each has the density of its own β."),
    (_PATH, "log_start(u)",
     "All moves are made under the start. Each has the density of its own β."),
    (_PATH, "betas[t] * log_start(u) + (1 - betas[t]) * log_target(u)",
     "The moves go along the path from its end: start and target have each other's power."),
    ("range(1, len(betas))", "range(1, len(betas) - 1)",
     "The last step is missing: there is one weight more than moves."),
    (_STEP, f"{_STEP} * (t > 1)",
     "The first step is missing: there is one weight more than moves."),
    ("z = move", "move",
     "The draws are never moved: that is plain importance sampling. Take what `move` returns as "
     "the new z."),
    (_STEP, "1",
     "Each step counts with the whole ratio of target and start. Its power is β_t − β_{t−1}."),
    (_STEP, "betas[t]",
     "Each step counts with β_t. What a step adds is the difference β_t − β_{t−1}."),
    (_STEP, "(1 / (len(betas) - 1))", "Every step counts alike. The β are not evenly spaced."),
    ("(log_target(z) - log_start(z))", "log_target(z)",
     "The start is not in the weights. A step adds (β_t − β_{t−1}) (log target − log start)."),
    (f"{_STEP} * (log_target(z) - log_start(z))", _PATH.replace("(u)", "(z)"),
     "These are sums of log f_t. The weight is a ratio of two densities at the same z: subtract "
     "log f_{t−1}."),
    (f"{_WEIGH}        {_MOVE}",
     f"{_OTHER}        " + _MOVE.replace(
        _PATH, "(lambda b: {})(betas[t])".format(_MIX.format("u"))),
     "You mix the densities. Here their logarithms are mixed, (1 − β) log start + β log target."),
    (_STEP + " * (log_target(z) - log_start(z))",
     "(t == len(betas) - 1) * (log_target(z) - log_start(z)) * 1",
     "Only the end of the path counts in your weights. Every step adds its part."),
    (_MOVE, _MOVE.replace("betas[t]", "(t / (len(betas) - 1))"),
     "The moves go along evenly spaced β. Use those that `betas` lists."),
    ("            z = move(z,", "            z = move(move(z, lambda u: " + _PATH + "),",
     "You move twice at each β. One move is asked for."),
    ("return log_w", "return log_w.log_softmax(0)",
     "You normalised the weights. Return them as they are: their mean is the target's integral."),
    ("return log_w", "return log_w / (len(betas) - 1)",
     "You divided by the number of steps. What the steps add is summed."),
    ("return log_w", "return log_w.exp()", "These are the weights. Return their logarithms."),
    ("return log_w", "return log_w.logsumexp(0) - math.log(len(z))",
     "One number came for all chains. Return the log-weight of each; the mean comes after."),
    ("    for t", "    z = move(z, log_start)\n    for t",
     "You move once before the first step. The draws in z come from the start already: move "
     "strictly between β = 0 and 1."),
)  # fmt: skip

ANNEALING = Exercise(
    name="annealed-weights",
    call_as="annealed_weights(log_start, log_target, betas, z, move)",
    returns="the log-weight of each chain, (N,)",
    inputs=_draw_paths,
    answer=annealed_weights,
    properties=(
        Property("the log-weight of each chain", 6, rtol=1e-3, atol=2e-3),
        Property(
            "each move is made under the density of its step",
            2,
            _moved_at,
            _betas,
            rtol=1e-3,
            atol=1e-3,
        ),
        Property(
            "with no β between 0 and 1: importance sampling",
            1,
            inputs=_draw_leaps,
            rtol=1e-3,
            atol=2e-3,
        ),
        keeps_inputs(),
    ),
    slips=_SLIPS,
)
