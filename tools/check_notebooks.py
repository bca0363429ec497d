"""Check chapters against the project's rules: `python tools/check_notebooks.py [FILE …]`.

With `--count` it prints the size of each chapter instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

import notebooks
import numbered
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


def counted(path: Path) -> str:
    """One line: words, diagrams and checks of a chapter."""
    cells = notebooks.read(path)["cells"]
    main, boxes, exercises = numbered.words(cells)
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    drawn = sum("diagrams." in source for source in code)
    checks = sum(numbered.named_in_check(source) is not None for source in code)
    return (
        f"{path.stem:26} main path {main:5,} words, boxes {boxes:5,}, exercises {exercises:5,}; "
        f"{drawn} diagrams, {checks} checks, {len(code)} code cells"
    )


def main(arguments: list[str]) -> int:
    if "--count" in arguments:
        print("\n".join(counted(path) for path in notebooks.chapter_files()))
        return 0
    paths = [Path(name) for name in arguments] or notebooks.chapter_files()
    repository = notebooks.repository_address()
    found = [line for path in paths for line in problems(path, repository)]
    print("\n".join(found) or f"{len(paths)} chapters keep the rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
