"""What an assignment asks for and what it is worth, read from its master.

A master is a Python file in which `# %%` begins a cell and `# %% [markdown]` a cell of text. Four
kinds of cells carry something behind that::

    # %% answer=kl                                  code; a solution between the marks
    # %% check=kl                                   the cell that calls check("kl", my_kl)
    # %% measured=error_16 points=3 between=25,31   a number that the student measures and types in
    # %% [markdown] written=1.4 points=6            a text for the teacher to read

Solutions stand between lines that read `### BEGIN SOLUTION` and `### END SOLUTION`, which is the
convention of nbgrader.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_tutorial.checks import grade
from vae_tutorial.course.notebook import Cell, named, read_cells

MASTERS = Path(__file__).parents[2] / "assignments" / "masters"


@dataclass(frozen=True)
class Task:
    """One thing that gives points: `kind` is code, measured or written."""

    kind: str
    name: str
    of: int
    function: str = ""
    low: float = 0.0
    high: float = 0.0

    @property
    def marker(self) -> str:
        """The line at the head of a written answer."""
        return f"**Answer {self.name}**"


def code_task(exercise: str) -> Task:
    """The task of an exercise of the book. Raises `UnknownExerciseError`."""
    report = grade(exercise)
    return Task("code", exercise, report.of, function_of(exercise))


def function_of(exercise: str) -> str:
    """The name of the function that an exercise asks for."""
    from vae_tutorial.checks.registry import find

    return find(exercise).call_as.split("(")[0]


def options_of(cell: Cell) -> dict[str, str]:
    """`a=1 b=2` behind the `# %%` of a master's cell."""
    return dict(each.split("=", 1) for each in cell.header.split() if "=" in each)


def tasks_of(cells: Sequence[Cell]) -> list[Task]:
    """The tasks of a master, in its order.

    Raises `ValueError` with the cell that is wrong, and where two tasks have the same name.
    """
    tasks = []
    for cell in cells:
        with named(f"the cell `# %% {cell.header}`"):
            task = _task(options_of(cell))
        tasks += [] if task is None else [task]
    return distinct(tasks)


def read_tasks(master: Path) -> list[Task]:
    """The tasks of a master's file. Raises `ValueError` with its name."""
    with named(master):
        return tasks_of(read_cells(master))


def _task(options: Mapping[str, str]) -> Task | None:
    if "check" in options:
        return code_task(options["check"])
    if "measured" in options:
        low, high = _range(options.get("between", ""))
        return Task("measured", options["measured"], _points(options), low=low, high=high)
    if "written" in options:
        return Task("written", options["written"], _points(options))
    return None


def _points(options: Mapping[str, str]) -> int:
    given = options.get("points", "nothing")
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"points must be a whole number from 1, as in points=3, got {given}")
    return int(given)


def _range(given: str) -> tuple[float, float]:
    try:
        low, high = map(float, given.split(","))
    except ValueError:
        low = high = math.nan
    if not -math.inf < low <= high < math.inf:
        raise ValueError(
            "between must be two numbers, the smaller one first, as in between=25,31, got "
            f"{given or 'nothing'}"
        )
    return low, high


def distinct(tasks: Sequence[Task]) -> list[Task]:
    """The tasks; raises `ValueError` where one is named twice, since each has one result."""
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is there {names.count(name)} times; name each task once")
    return list(tasks)


def masters() -> list[Path]:
    """The masters of this checkout; none where the package was installed without them."""
    return sorted(MASTERS.glob("[0-9]*.py"))


def find_master(name: str) -> Path:
    """A master by its path, or by the start of its name, such as 2. Raises `ValueError`."""
    if Path(name).is_file():
        return Path(name)
    found = [path for path in masters() if path.stem.startswith(name)]
    if len(found) != 1:
        known = ", ".join(path.stem for path in masters()) or "none here"
        raise ValueError(f"--assignment: {name!r} is no master; there are: {known}")
    return found[0]


def guess_master(files: Sequence[Path]) -> Path:
    """The master most of whose functions are named in the files. Raises `ValueError`."""
    texts = [path.read_bytes() for path in files[:20] if path.is_file()]
    scores = {}
    for path in masters():
        tasks = [each for each in read_tasks(path) if each.kind == "code"]
        named = sum(each.function.encode() in text for each in tasks for text in texts)
        scores[path] = named / max(len(tasks), 1)
    if not scores or not max(scores.values()):
        raise ValueError(
            "which assignment is it? Say --assignment with its number or master, or --exercises "
            "with the names of exercises, such as --exercises kl,hidden-beta"
        )
    return max(scores, key=lambda path: scores[path])
