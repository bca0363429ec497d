"""Exercises that answer back: `check` prints what is right, what is wrong, and probably why.

The cell below an exercise's stub calls `check`; a teacher's program calls `grade`::

    from vae_tutorial.checks import check, grade

    check("kl", my_kl)               # prints a report
    grade("kl", my_kl).points        # the same as numbers, for teachers

How an exercise is written stands in `vae_tutorial.checks.core`.
"""

from __future__ import annotations

import secrets
from typing import Any

from vae_tutorial.checks.grading import grade_exercise
from vae_tutorial.checks.registry import UnknownExerciseError, find
from vae_tutorial.checks.report import Report

__all__ = ["Report", "UnknownExerciseError", "check", "grade"]


def check(name: str, answer: Any = None) -> None:
    """Prints the report on `answer`, a student's answer to the exercise `name`.

    Points come property by property, with a hint for each that does not hold. Inputs are drawn
    afresh at each call. Nothing is raised, whatever the answer does, a call that does not end is
    stopped, and the caller's random state stays as it was.
    """
    try:
        print(grade(name, answer))
    except UnknownExerciseError as error:
        print(error)


def grade(name: str, answer: Any = None, seed: int | None = None) -> Report:
    """The report on `answer` as a `Report`, whose text is what `check` prints.

    `seed` makes the inputs the same at every call, so that a class is graded on the same ones.
    Raises `UnknownExerciseError`, a `ValueError`, if there is no exercise of that name.
    """
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise ValueError(f"seed must be a whole number or None, got {seed!r}")
    exercise = find(name)
    return grade_exercise(exercise, answer, secrets.randbits(60) if seed is None else seed)
