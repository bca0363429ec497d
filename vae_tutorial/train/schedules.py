"""Schedules: how a rate changes over a run. Plain functions of the step.

A schedule is a function `(step, steps) -> float`, where `step` counts from 0 and `steps` is the
length of the whole run. `fit` multiplies the learning rate by its `schedule`; what it gets as
`beta` is the weight of the KL itself. Settings are bound with `functools.partial`:

    vt.fit(model, images, beta=partial(linear, rise=0.3))

A schedule has no memory, so a run that was stopped is resumed as if nothing had happened.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

Schedule = Callable[[int, int], float]
"""A function `(step, steps) -> float`."""


def constant(step: int, steps: int) -> float:
    """1 at every step."""
    return 1.0


def one_cycle(step: int, steps: int, warmup: float = 0.05) -> float:
    """The factor on the learning rate at `step` of `steps`: a short rise, then a cosine to zero.

    A small start protects Adam, whose first estimates of the gradient's variance are poor; the
    slow end averages out the noise of the batches.
    """
    done = step / max(1, steps)
    if done < warmup:
        return (step + 1) / (warmup * steps + 1)
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def linear(step: int, steps: int, rise: float = 0.5) -> float:
    """From 0 in a straight line to 1 over the first fraction `rise` of the run, then 1.

    As a weight of the KL: the warm-up of Sønderby et al. (2016).
    """
    _check_fraction("rise", rise)
    return min(1.0, step / (rise * max(1, steps)))


def cyclical(step: int, steps: int, cycles: int = 4, rise: float = 0.5) -> float:
    """`linear`, started anew `cycles` times (Fu et al., 2019)."""
    _check_fraction("rise", rise)
    if isinstance(cycles, bool) or not isinstance(cycles, int) or cycles < 1:
        raise ValueError(f"cycles must be a whole number of at least 1, got {cycles!r}")
    within = (step * cycles / max(1, steps)) % 1.0  # fraction of the present cycle that is over
    return min(1.0, within / rise)


def sigmoid(step: int, steps: int, middle: float = 0.25, width: float = 0.05) -> float:
    """1 / (1 + exp(−(t − middle) / width)), where t = step / steps (Bowman et al., 2016).

    Half of the way up at the fraction `middle` of the run; from 0.12 to 0.88 within two `width` on
    either side.
    """
    _check_fraction("middle", middle)
    _check_fraction("width", width)
    # tanh does not overflow, however far t lies from the middle
    return 0.5 * (1 + math.tanh((step / max(1, steps) - middle) / (2 * width)))


def describe(function: object) -> str:
    """A function and what `partial` has bound to it, as text: `"linear(rise=0.3)"`."""
    if function is None or isinstance(function, (int, float, str)):
        return str(function)
    bound: list[str] = []
    while isinstance(function, partial):
        named = [f"{key}={describe(value)}" for key, value in function.keywords.items()]
        bound = [describe(value) for value in function.args] + named + bound
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    return f"{name}({', '.join(bound)})" if bound else name


def _check_fraction(name: str, fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise ValueError(
            f"{name} must be a fraction of the run, above 0 and at most 1, got {fraction!r}"
        )
