"""Whose file is it? Names from Canvas, Moodle, Gradescope, nbgrader and plain folders."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

CANVAS = re.compile(r"(?P<name>[^_]+)(?P<late>_LATE)?_(?P<id>\d+)_\d+_.+")
MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(file|onlinetext)_?.*")
GRADESCOPE = re.compile(r"submission_(?P<id>\d+)")
COPIES = re.compile(r"^(copy of |kopie von |copie de )+|( ?\(\d+\)| - copy|-copy\d*|_copy)+$", re.I)
SUFFIXES = (".ipynb", ".py")


def files_by_student(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Students with their files, both in order, and names of files that were left out."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    found: dict[str, list[Path]] = defaultdict(list)
    left_out = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in inside.parts)
        if hidden or path.is_dir():
            continue
        if path.is_symlink() or path.suffix.lower() not in SUFFIXES:
            left_out.append(str(inside))
            continue
        found[student_of(inside)].append(path)
    return dict(sorted(found.items())), left_out


def student_of(path: Path) -> str:
    """The name in the path of a file, relative to the folder of submissions.

    Platforms that give a number get it in brackets, since two students may share a name.
    """
    first = path.parts[0]
    name = first if len(path.parts) > 1 else Path(first).stem
    if (
        len(path.parts) > 1
        and first.lower() in ("submitted", "submissions")
        and len(path.parts) > 2
    ):
        name = path.parts[1]
    for pattern in (MOODLE, CANVAS):
        if match := pattern.fullmatch(name):
            return f"{match['name'].strip()} ({match['id']})"
    if match := GRADESCOPE.fullmatch(name):
        return name
    return COPIES.sub("", name).strip() or name
