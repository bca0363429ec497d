"""Check chapters against the project's rules: `python tools/check_notebooks.py [FILE …]`."""

from __future__ import annotations

import sys
from pathlib import Path

import notebooks
import rules


def problems(path: Path, repository: str) -> list[str]:
    """One line for each thing that is wrong with a chapter."""
    try:
        notebook = notebooks.read(path)
        chapter = rules.Chapter(notebooks.chapter_number(path), notebook, repository)
    except (OSError, ValueError) as error:
        return [str(error)]
    found = [problem for rule in rules.RULES for problem in rule(chapter)]
    return [
        f"chapter {chapter.number}{f', cell {cell}' if cell else ''}: {message}"
        for cell, message in sorted(set(found))
    ]


def main(arguments: list[str]) -> int:
    paths = [Path(name) for name in arguments] or notebooks.chapter_files()
    repository = notebooks.repository_address()
    found = [line for path in paths for line in problems(path, repository)]
    print("\n".join(found) or f"{len(paths)} chapters keep the rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
