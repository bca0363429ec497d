"""From the results of files to a table, to feedback for each student, and to Gradescope's file."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_tutorial.course.batch import FileResult
from vae_tutorial.course.similar import alike, page
from vae_tutorial.course.tasks import Task
from vae_tutorial.files import write_atomically

OPEN = "not answered yet"


@dataclass(frozen=True)
class Student:
    """A student's best result in each task, out of all files that he or she handed in."""

    name: str
    files: tuple[FileResult, ...]
    best: Mapping[str, dict[str, Any]]

    @property
    def points(self) -> int:
        return sum(each["points"] for each in self.best.values())

    @property
    def remarks(self) -> list[str]:
        """What is to be known of the files."""
        lines = [f"{each.path.name}: {each.unreadable}" for each in self.files if each.unreadable]
        lines += [f"{each.path.name}: {note}" for each in self.files for note in each.notes]
        if len(self.files) > 1:
            names = ", ".join(each.path.name for each in self.files)
            lines.append(
                f"{len(self.files)} files, of which the best answer to each task counts: {names}"
            )
        return lines


def student(name: str, files: Sequence[FileResult], tasks: Sequence[Task]) -> Student:
    """Chooses the best result for each task; of equal ones, that of the last file."""
    best = {}
    for task in tasks:
        nothing = {"points": 0, "lines": [f"{task.name}: {OPEN}."]}
        found = [each.results.get(task.name, nothing) for each in files]
        best[task.name] = max(reversed(found), key=lambda each: (each["points"], _answered(each)))
    return Student(name, tuple(files), best)


def _answered(result: Mapping[str, Any]) -> bool:
    return OPEN not in result["lines"][0]


def table(students: Sequence[Student], tasks: Sequence[Task]) -> str:
    """The class as CSV: points by task, what the teacher has to read, hints, remarks."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    counted = [task for task in tasks if task.kind != "written"]
    read = [task for task in tasks if task.kind == "written"]
    columns = [f"{task.name} ({task.of})" for task in counted]
    columns += [f"{task.name} (to read, {task.of})" for task in read]
    rows.writerow(["student", "points", "of", *columns, "hints", "remarks"])
    of = sum(task.of for task in counted)
    for each in students:
        points = [each.best[task.name]["points"] for task in counted]
        texts = ["answered" if each.best[task.name].get("text") else "" for task in read]
        hints = [hint for task in counted for hint in _hints(each.best[task.name], task)]
        cells = [each.name, each.points, of, *points, *texts, _joined(hints), _joined(each.remarks)]
        rows.writerow(map(_harmless, cells))
    return text.getvalue()


def _hints(result: Mapping[str, Any], task: Task) -> list[str]:
    """Why points are missing: the first line that says so."""
    if result["points"] == task.of:
        return []
    told = [line.strip() for line in result["lines"] if "Hint:" in line]
    first = told[0].removeprefix("Hint: ") if told else " ".join(result["lines"][:2])
    return [first if first.startswith(task.name) else f"{task.name}: {first}"]


def _joined(lines: Sequence[str]) -> str:
    text = " | ".join(" ".join(line.split()) for line in lines)
    return text if len(text) <= 1000 else text[:1000] + " …"


def _harmless(cell: Any) -> Any:
    """A text that begins like a formula is none in a spreadsheet."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell


def feedback(each: Student, tasks: Sequence[Task]) -> str:
    """What a student gets to read, as Markdown."""
    of = sum(task.of for task in tasks if task.kind != "written")
    lines = [f"# {each.name}", "", f"{each.points} of {of} points, before texts are read.", ""]
    for task in tasks:
        result = each.best[task.name]
        if task.kind == "written":
            lines += [f"## {task.name} (to read, {task.of} points)", ""]
            quoted = [f"> {line}" for line in result.get("text", "").split("\n")]
            lines += [*(quoted if result.get("text") else [f"{OPEN.capitalize()}."]), ""]
        else:
            lines += [f"## {task.name}", "", "```text", *map(_fenced, result["lines"]), "```", ""]
    if each.remarks:
        lines += ["## Your files", "", *(f"- {remark}" for remark in each.remarks), ""]
    return "\n".join(lines)


def _fenced(line: str) -> str:
    return line.replace("```", "'''")


def gradescope(each: Student, tasks: Sequence[Task]) -> str:
    """`results.json` for an autograder of Gradescope."""
    tests = [
        {
            "name": task.name,
            "score": each.best[task.name]["points"],
            "max_score": task.of,
            "output": "\n".join(each.best[task.name]["lines"]),
        }
        for task in tasks if task.kind != "written"
    ]  # fmt: skip
    found = {"score": each.points, "output": "\n".join(each.remarks), "tests": tests}
    return json.dumps(found, indent=1)


def similar(students: Sequence[Student]) -> tuple[list[str], str]:
    """One line for each group of answers that are alike, and a page that shows them."""
    forms, codes = (
        {(s.name, task): result.get(key, "") for s in students for task, result in s.best.items()}
        for key in ("form", "code")
    )
    groups = alike(forms)
    return [f"{task}: {', '.join(names)}" for task, names in groups], page(groups, codes)


def safe_name(name: str, taken: set[str]) -> str:
    """A name for a file that no other student has."""
    plain = re.sub(r"[^\w() .-]", "_", name).strip(" .")[:80] or "student"
    unique, number = plain, 2
    while unique.lower() in taken:
        unique, number = f"{plain} {number}", number + 1
    taken.add(unique.lower())
    return unique


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode("utf-8", errors="replace"))
