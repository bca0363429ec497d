"""Which wrong answer shows that a check is needed: it passes as soon as that check is left out.

`each_check.json` holds one such answer for every property of every exercise that is worth points,
found by `python benchmarks/grading.py`. `test_each_check.py` leaves each check out and looks.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vae_tutorial.checks import grade
from vae_tutorial.checks.core import Exercise, Property
from vae_tutorial.checks.grading import grade_exercise
from vae_tutorial.checks.registry import chapters, exercises

FILE = Path(__file__).with_suffix(".json")
SEED = 11
Wrong = dict[str, dict[str, Any]]  # by exercise and by the answer's name


def all_exercises() -> list[Exercise]:
    return [each for chapter in chapters() for each in exercises(chapter)]


def scoring(exercise: Exercise) -> list[Property]:
    """The checks that are worth points. The others only remark on something."""
    return [each for each in exercise.properties if each.points]


def left_out(exercise: Exercise, check: Property) -> Exercise:
    """The exercise without one of its checks."""
    rest = tuple(each for each in exercise.properties if each is not check)
    return dataclasses.replace(exercise, properties=rest)


def passes(exercise: Exercise, answer: Any) -> bool:
    report = grade_exercise(exercise, answer, SEED)
    return report.points == report.of > 0


def shown_by(exercise: Exercise, check: Property, answer: Any) -> bool:
    """Whether the answer fails, and passes without this check."""
    return not passes(exercise, answer) and passes(left_out(exercise, check), answer)


def named(pairs: list[tuple[str, Callable[..., Any]]]) -> Wrong:
    """Answers by exercise and name; those without a name get a number."""
    found: Wrong = {}
    for exercise, answer in pairs:
        mine = found.setdefault(exercise, {})
        mine[getattr(answer, "__name__", f"answer {len(mine)}")] = answer
    return found


def failing(name: str, answer: Any) -> set[str]:
    """The texts of the checks that an answer fails or that are not counted for it."""
    report = grade(name, answer, SEED)
    return {each.text for each in scoring_of(name) if _lost(each, report.lines)}


def scoring_of(name: str) -> list[Property]:
    return next(scoring(each) for each in all_exercises() if each.name == name)


def _lost(check: Property, lines: tuple[str, ...]) -> bool:
    return not any(line.startswith("  ✓ ") and line.endswith(f": {check.text}") for line in lines)


def find(wrong: Wrong, names: Sequence[str] | None = None) -> dict[str, dict[str, str | None]]:
    """For each exercise and check an answer that shows it, or None where there is none."""
    found: dict[str, dict[str, str | None]] = {}
    for exercise in all_exercises():
        if names is not None and exercise.name not in names:
            continue
        answers = wrong.get(exercise.name, {})
        lost = {name: failing(exercise.name, answer) for name, answer in answers.items()}
        found[exercise.name] = {
            check.text: next(
                (
                    name
                    for name in sorted(answers, key=lambda name: len(lost[name]))
                    if check.text in lost[name] and shown_by(exercise, check, answers[name])
                ),
                None,
            )
            for check in scoring(exercise)
        }
    return found


def stored() -> dict[str, dict[str, str | None]]:
    return json.loads(FILE.read_text(encoding="utf-8"))
