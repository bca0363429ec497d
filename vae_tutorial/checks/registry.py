"""The book's exercises by name: the `EXERCISES` of the modules `chapter_01`, `chapter_02`, …"""

from __future__ import annotations

import difflib
import importlib
import re
from pathlib import Path
from typing import Any

from vae_tutorial.checks.core import Exercise


class UnknownExerciseError(ValueError):
    """There is no exercise of that name; the message lists those that there are."""


def chapters() -> list[int]:
    """The numbers of the chapters that have exercises with a check."""
    names = sorted(path.name for path in Path(__file__).parent.glob("chapter_*.py"))
    found = (re.fullmatch(r"chapter_(\d+)\.py", name) for name in names)
    return [int(match[1]) for match in found if match]


def exercises(chapter: int) -> tuple[Exercise, ...]:
    """The exercises of a chapter, in its order."""
    return importlib.import_module(f"vae_tutorial.checks.chapter_{chapter:02d}").EXERCISES


def find(name: Any) -> Exercise:
    """The exercise called `name`. Raises `UnknownExerciseError` with the names that are near."""
    if not isinstance(name, str):
        raise UnknownExerciseError(
            f'name must be the name of an exercise, as in check("kl", my_kl), got '
            f"{type(name).__name__}. The name comes first, the answer second."
        )
    known = {each.name: (chapter, each) for chapter in chapters() for each in exercises(chapter)}
    if name in known:
        return known[name][1]
    near = difflib.get_close_matches(name.lower(), known, n=3)
    lines = [f"There is no exercise {name!r}."]
    if near:
        lines[0] += f" Did you mean {' or '.join(map(repr, near))}?"
    for chapter in sorted({known[each][0] for each in near or known}):
        listed = ", ".join(repr(each) for each, (where, _) in known.items() if where == chapter)
        lines.append(f"  Chapter {chapter} has: {listed}")
    raise UnknownExerciseError("\n".join(lines))
