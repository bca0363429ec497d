"""Who knows nothing earns at most half: constants, and arguments that are handed back.

An answer of yes or no, or one out of a list, is right by chance in a part of the cases. So a check
holds cases of both kinds, and gives its points for all of them or none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from each_check import all_exercises
from torch import Tensor

from vae_tutorial.checks.core import Exercise
from vae_tutorial.checks.grading import grade_exercise
from vae_tutorial.checks.patients_07 import CANDIDATES
from vae_tutorial.checks.runner import Runner

NUMBERS = (0.0, 1.0, 0.5, -1.0, 9.0)
WITH_INPUTS = [each for each in all_exercises() if each.inputs is not None]


@pytest.fixture(autouse=True)
def no_search_for_hints(monkeypatch):
    """Points alone are looked at."""
    monkeypatch.setattr(Runner, "cause", lambda *_: None)


def filled(like: Any, number: float) -> Any:
    """A result of the same form, all of whose numbers are one number."""
    if isinstance(like, Tensor):
        return torch.full_like(like, number)
    if isinstance(like, dict):
        return {key: filled(each, number) for key, each in like.items()}
    if isinstance(like, (tuple, list)):
        return type(like)(filled(each, number) for each in like)
    return type(like)(number) if isinstance(like, (bool, int, float)) else like


def constant(exercise: Exercise, number: float) -> Callable[..., Any]:
    """The form of the right result, and nothing of its values; no argument is used."""

    def answer(*inputs: Any) -> Any:
        return filled(exercise.answer(*copy.deepcopy(inputs)), number)

    return answer


def handed_back(exercise: Exercise, place: int) -> Callable[..., Any]:
    """One of the arguments, repeated along axes that the right result has more."""

    def answer(*inputs: Any) -> Any:
        given, right = inputs[place], exercise.answer(*copy.deepcopy(inputs))
        if isinstance(given, Tensor) and isinstance(right, Tensor):
            return given.expand(right.shape).clone()
        return given

    return answer


@pytest.mark.parametrize("exercise", WITH_INPUTS, ids=lambda each: each.name)
def test_who_knows_nothing_earns_at_most_half(exercise):
    points = {n: grade_exercise(exercise, constant(exercise, n), 3).points for n in NUMBERS}
    for place, name in enumerate(Runner(exercise, None, 3).names):
        points[name] = grade_exercise(exercise, handed_back(exercise, place), 3).points
    most = max(points, key=points.get)
    assert 2 * points[most] <= exercise.of, (most, points[most], exercise.of)


def test_yes_and_no_earn_nothing_where_both_occur():
    (exercise,) = (each for each in WITH_INPUTS if each.name == "uses-encoder")
    for value in (True, False, 1, 0, torch.tensor(True)):
        assert grade_exercise(exercise, lambda model, x, v=value: v, 3).points == 0


def test_one_diagnosis_for_all_patients_earns_one_point_at_most():
    (exercise,) = (each for each in all_exercises() if each.name == "ward")
    for code in CANDIDATES:
        assert grade_exercise(exercise, dict.fromkeys(range(1, 11), code), 3).points <= 1


def test_slots_that_are_all_alike_earn_half():
    (exercise,) = (each for each in all_exercises() if each.name == "slots")

    def alike(p: Tensor, b: int) -> Tensor:
        widths = torch.full_like(p, 2**b // len(p))
        widths[0] += 2**b - widths.sum()
        return widths

    assert grade_exercise(exercise, alike, 3).points == 3 == exercise.of / 2
