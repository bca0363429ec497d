"""Student notebooks out of masters, without the solutions; and masters for nbgrader."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vae_tutorial.course.notebook import Cell, named, read_cells
from vae_tutorial.course.results import write
from vae_tutorial.course.tasks import MASTERS, function_of, masters, options_of, tasks_of

SOLUTION = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION.*?^[ \t]*### END SOLUTION[^\n]*$", re.MULTILINE | re.DOTALL
)
CHECK = re.compile(r"\bcheck\([^,]+,\s*(?:answer\s*=\s*)?(\w+)\s*,?\s*\)")
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def export(
    paths: Sequence[Path], out: Path | None, *, nbgrader: bool = False, overwrite: bool = False
) -> list[Path]:
    """Writes a notebook for each master, by default for all; returns what was written.

    Raises `ValueError` where there is no master, or one whose marks do not match, where a notebook
    would replace a master, and, unless `overwrite`, where another one stands. Then nothing is
    written.
    """
    paths = list(paths) or masters()
    if not paths:
        raise ValueError("there are no masters here; they come with the repository, not with pip")
    folder = out or MASTERS.parent / ("nbgrader" if nbgrader else "")
    texts: dict[Path, str] = {}
    for path in paths:
        target = folder / f"{path.stem}.ipynb"
        if nbgrader:
            target = folder / "source" / path.stem / target.name
        if target in texts:
            raise ValueError(f"two masters would become {target}; export each with its own --out")
        with named(path):
            notebook = nbgrader_master(read_cells(path)) if nbgrader else student_notebook(path)
        texts[target] = json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"
    for target, text in texts.items():
        _check_loss(target, text, paths, overwrite)
    for target, text in texts.items():
        write(target, text)
    return list(texts)


def _check_loss(target: Path, text: str, masters: Sequence[Path], overwrite: bool) -> None:
    """Raises `ValueError` where writing `text` would destroy what cannot be made again."""
    if not target.exists():
        return
    if any(target.samefile(each) for each in masters):
        raise ValueError(f"{target} is a master itself; give another folder, as in --out students")
    if not overwrite and target.read_bytes() != text.encode("utf-8", errors="replace"):
        raise ValueError(
            f"{target} is there already and differs: it was edited, or made from an earlier "
            "master. Give another folder with --out, or replace it with --overwrite"
        )


def student_notebook(path: Path) -> dict[str, Any]:
    """The notebook of a master without its solutions."""
    cells = read_cells(path)
    tasks_of(cells)  # raises where a task is wrong
    return _notebook([_cell(each, without_solution(each)) for each in cells])


def without_solution(cell: Cell) -> str:
    """A cell's text, with a stub where its solutions stood."""
    begun, ended = (cell.text.count(f"### {word} SOLUTION") for word in ("BEGIN", "END"))
    if begun != ended:
        raise ValueError(f"BEGIN and END SOLUTION do not match in the cell:\n{cell.text[:200]}")
    if not cell.code:
        return SOLUTION.sub("*Write your answer here.*", cell.text)
    if name := options_of(cell).get("measured"):
        return SOLUTION.sub(f"{name} = ...  # your number", cell.text)
    return SOLUTION.sub(r"\1...  # your code here", cell.text)


def nbgrader_master(cells: Sequence[Cell]) -> dict[str, Any]:
    """The master as a notebook with nbgrader's metadata; nbgrader takes out the solutions.

    The last line of a test is a number, which nbgrader takes as the points.
    """
    points = {task.name: task.of for task in tasks_of(cells)}
    made = []
    for cell in cells:
        options = options_of(cell)
        name = next(iter(options.values()), "")
        if "check" in options:
            function = _checked_function(cell, name)
            hidden = f'from vae_tutorial.checks import grade\ngrade("{name}", {function}).points'
            text = f"{cell.text}\n### BEGIN HIDDEN TESTS\n{hidden}\n### END HIDDEN TESTS"
            marks = _marks(f"check-{name}", points[name], grade=True, solution=False)
            made.append(_cell(cell, text, marks))
        elif "written" in options:
            marks = _marks(f"written-{name}", points[name], grade=True, solution=True)
            made.append(_cell(cell, cell.text, marks))
        elif "measured" in options:
            made.append(_cell(cell, cell.text, _marks(f"measured-{name}", None, False, True)))
            low, high = options["between"].split(",")
            test = f"{points[name]} * ({low} <= {name} <= {high})"
            text = f"# {name}\n### BEGIN HIDDEN TESTS\n{test}\n### END HIDDEN TESTS"
            marks = _marks(f"check-{name}", points[name], grade=True, solution=False)
            made.append(_cell(Cell(True, text), text, marks))
        elif "answer" in options:
            made.append(_cell(cell, cell.text, _marks(f"answer-{name}", None, False, True)))
        elif SOLUTION.search(cell.text):  # work that leads to a measurement
            made.append(_cell(cell, cell.text, _marks(f"work-{len(made)}", None, False, True)))
        else:
            made.append(_cell(cell, cell.text))
    return _notebook(made)


def _checked_function(cell: Cell, name: str) -> str:
    """The function that the cell gives to `check`."""
    found = CHECK.search(cell.text)
    if found is None:
        raise ValueError(
            f"the cell `# %% {cell.header}` must call check with the name of a function, as in "
            f'check("{name}", {function_of(name)})'
        )
    return found[1]


def _marks(name: str, points: int | None, grade: bool, solution: bool) -> dict[str, Any]:
    """nbgrader's metadata of one cell."""
    found = {
        "grade": grade,
        "grade_id": re.sub(r"[^\w-]", "-", name),
        "locked": grade and not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return {"nbgrader": found | ({} if points is None else {"points": points})}


def _cell(cell: Cell, text: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    folded = {"cellView": "form"} if text.startswith("#@title") else {}
    made = {
        "cell_type": "code" if cell.code else "markdown",
        "metadata": folded | (metadata or {}),
        "source": text,
    }
    return made | ({"execution_count": None, "outputs": []} if cell.code else {})


def _notebook(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    numbered = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells)]
    for cell in numbered:
        cell["source"] = cell["source"].splitlines(keepends=True)
    return {"cells": numbered, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}
