"""Small exercises for tests of the checks themselves."""

from __future__ import annotations

from typing import Any

import torch

from vae_tutorial.checks.core import (
    Exercise,
    Property,
    Suspect,
    Unmet,
    Within,
    gradient,
    keeps_inputs,
    only_arguments,
)
from vae_tutorial.checks.grading import grade_exercise
from vae_tutorial.checks.report import Report


def graded(exercise: Exercise, answer: Any, seed: int = 4) -> Report:
    return grade_exercise(exercise, answer, seed)


def text_of(report: Report) -> str:
    return " ".join(report.lines)


def _draw(rng):
    return [(torch.randn(shape, generator=rng),) for shape in [(5, 3), (1, 4), (1, 1)]]


SQUARE = Exercise(
    name="square-length",
    call_as="square_length(x)",
    returns="one number for each row, (B,)",
    inputs=_draw,
    oracle=lambda x: torch.linalg.vector_norm(x.double(), dim=-1).square(),
    properties=(
        Property("the square length of each row", 4),
        gradient(2),
        keeps_inputs(1),
        only_arguments(1),
    ),
    suspects=(
        Suspect(lambda x: x.square().sum(), "One for all."),
        Suspect(lambda x: x.square().mean(-1), "A mean over the row."),
        Suspect(lambda x: x.square().sum(-1).sqrt(), "Not squared."),
    ),
)


def square_length(x):
    return (x * x).sum(-1)


KNEE = Exercise(
    name="knee",
    call_as="knee",
    returns="a whole number",
    oracle=lambda: 6,
    properties=(Property("the knee", 2),),
    suspects=(Suspect(5, "Count the class too."),),
)


class Scaler:
    """A right answer to `SCALER`."""

    def fit(self, x):
        self.mean = x.mean(0)
        return self

    def transform(self, x):
        return x - self.mean


class Forgetful(Scaler):
    def transform(self, x):
        return x


SCALER = Exercise(
    name="scaler",
    call_as="Scaler().fit(x).transform(x)",
    returns="the rows less their mean, (B, D)",
    inputs=_draw,
    call=lambda cls, x: cls().fit(x).transform(x),
    oracle=Scaler,
    properties=(
        Property("the rows are centred", 3),
        Property("new rows too", 2, measure=lambda cls, x: cls().fit(x).transform(x + 1)),
        keeps_inputs(1),
    ),
    suspects=(Suspect(Forgetful, "The mean is still in it."),),
)


def _not_less_than_zero(answer, x):
    if float(answer(x).min()) < 0:
        raise Unmet("It is negative somewhere.")
    return True


NOISE = Exercise(
    name="noise",
    call_as="noise(x)",
    returns="the rows with noise of spread 1, (B, D)",
    inputs=_draw,
    oracle=lambda x: x + torch.randn_like(x),
    properties=(
        Property(
            "the mean over many calls is x",
            3,
            measure=lambda answer, x: torch.stack([answer(x) for _ in range(400)]).mean(0),
            expected=lambda x: Within(x, 5 / 400**0.5),
        ),
        Property(
            "a rule", 1, measure=lambda f, x: _not_less_than_zero(f, x.abs() + 9), expected=True
        ),
    ),
    suspects=(Suspect(lambda x: 1 + x + torch.randn_like(x), "The noise is not centred."),),
)
