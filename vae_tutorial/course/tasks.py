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

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_tutorial.checks import grade
from vae_tutorial.course.notebook import Cell, read_cells

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
    """The tasks of a master, in its order."""
    tasks = []
    for cell in cells:
        options = options_of(cell)
        if "check" in options:
            tasks.append(code_task(options["check"]))
        elif "measured" in options:
            low, high = map(float, options["between"].split(","))
            tasks.append(
                Task("measured", options["measured"], int(options["points"]), low=low, high=high)
            )
        elif "written" in options:
            tasks.append(Task("written", options["written"], int(options["points"])))
    return tasks


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
        tasks = [each for each in tasks_of(read_cells(path)) if each.kind == "code"]
        named = sum(each.function.encode() in text for each in tasks for text in texts)
        scores[path] = named / max(len(tasks), 1)
    if not scores or not max(scores.values()):
        raise ValueError(
            "which assignment is it? Say --assignment with its number or master, or --exercises "
            "with the names of exercises, such as --exercises kl,hidden-beta"
        )
    return max(scores, key=lambda path: scores[path])
