"""The book's exercises by name: the `EXERCISES` of the modules `chapter_01`, `chapter_02`, …"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae_tutorial.checks.core import Exercise


class UnknownExerciseError(ValueError):
    """There is no exercise of that name; the message lists those that there are."""


def chapters() -> Iterator[int]:
    """The numbers of the chapters that have exercises with a check."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        start, _, number = module.name.partition("_")
        if start == "chapter" and number.isdecimal():
            yield int(number)


def exercises(chapter: int) -> tuple[Exercise, ...]:
    """The exercises of a chapter, in its order."""
    module = importlib.import_module(f"vae_tutorial.checks.chapter_{chapter:02d}")
    return tuple(module.EXERCISES)


def find(name: Any) -> Exercise:
    """The exercise called `name`. Raises `UnknownExerciseError` with the names that are near."""
    known: dict[str, int] = {}
    for chapter in chapters():
        for each in exercises(chapter):
            if isinstance(name, str) and each.name == name:
                return each
            known[each.name] = chapter
    raise UnknownExerciseError(_unknown(name, known))


def _unknown(name: Any, known: dict[str, int]) -> str:
    if not isinstance(name, str):
        return (
            f'name must be the name of an exercise, as in check("kl", my_kl), got '
            f"{type(name).__name__}. The name comes first, the answer second."
        )
    lowered = {each.lower(): each for each in known}
    near = [lowered[each] for each in difflib.get_close_matches(name.lower(), lowered, n=3)]
    wanted = sorted({known[each] for each in near} or set(known.values()))
    lines = [f"There is no exercise {name!r}."]
    if near:
        lines[0] += f" Did you mean {' or '.join(map(repr, near))}?"
    for chapter in wanted:
        listed = ", ".join(repr(each) for each, where in known.items() if where == chapter)
        lines.append(f"  Chapter {chapter} has: {listed}")
    return "\n".join(lines)
