"""Small exercises for tests of the checks themselves."""

from __future__ import annotations

from typing import Any

import torch

from vae_tutorial.checks.core import (
    Exercise,
    Property,
    Suspect,
    Unmet,
    gradient,
    keeps_inputs,
)
from vae_tutorial.checks.grading import grade_exercise
from vae_tutorial.checks.report import Report


def graded(exercise: Exercise, answer: Any, seed: int = 4) -> Report:
    return grade_exercise(exercise, answer, seed)


def text_of(report: Report) -> str:
    return " ".join(report.lines)


def _draw(rng):
    return [(torch.randn(shape, generator=rng),) for shape in [(5, 3), (1, 4), (6, 1), (1, 1)]]


def square_length(x):
    return (x * x).sum(-1)


SQUARE = Exercise(
    name="square-length",
    call_as="square_length(x)",
    returns="one number for each row, (B,)",
    inputs=_draw,
    answer=square_length,
    sizes=lambda x: {"B": len(x), "D": x.shape[1]},
    properties=(
        Property("the square length of each row", 4),
        keeps_inputs(),
        gradient(),
    ),
    suspects=(
        Suspect(lambda x: x.square().sum(-1).sqrt(), "Not squared."),
        Suspect(lambda x: x.square().sum(-1, keepdim=True).expand(x.shape), "For each column."),
    ),
)


KNEE = Exercise(
    name="knee",
    call_as="knee",
    returns="a whole number",
    answer=lambda: 6,
    properties=(Property("the knee", 2),),
    suspects=(Suspect(5, "Count the class too."),),
)


def _not_less_than_zero(answer, x):
    if float(answer(x).min()) < 0:
        raise Unmet("It is negative somewhere.")
    return True


def _near(answer, x):
    """Seven standard errors of the mean of 400 calls."""
    off = torch.stack([answer(x) for _ in range(400)]).mean(0) - x
    if float(off.abs().max()) > 7 / 400**0.5:
        raise Unmet("The noise is not centred.")
    return True


NOISE = Exercise(
    name="noise",
    call_as="noise(x)",
    returns="the rows with noise of spread 1, (B, D)",
    inputs=_draw,
    answer=lambda x: x + torch.randn_like(x),
    properties=(
        Property("the mean is near x", 3, measure=_near, expected=True),
        Property(
            "a rule", 1, measure=lambda f, x: _not_less_than_zero(f, x.abs() + 9), expected=True
        ),
    ),
)

# An energy, for the general search.


def _draw_gaussians(rng):
    shapes = [(5, 3), (2, 4), (6, 1)]
    return [tuple(torch.randn(2, *shape, generator=rng)) for shape in shapes]


def energy(mu, logvar):
    return (0.5 * mu**2 + 0.5 * logvar.exp() - 0.5 * logvar).sum(-1)


ENERGY = Exercise(
    name="energy",
    call_as="energy(mu, logvar)",
    returns="one number for each row, (B,)",
    inputs=_draw_gaussians,
    answer=energy,
    sizes=lambda mu, logvar: {"B": len(mu), "D": mu.shape[1]},
    properties=(Property("the energy", 2),),
    slips=(("logvar.exp()", "logvar.cosh()", "That is a cosine."),),
)
