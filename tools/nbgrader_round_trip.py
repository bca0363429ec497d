"""The assignments through nbgrader and back: `make nbgrader-round-trip`.

For each master: exported for nbgrader, turned into a student version, handed in by three made-up
students (all solutions, nothing, and half of the code), graded and exported as a table. The points
must be those that our own grader gives to the same files; texts are read by people in both.

Runs in the environment of nbgrader, and says what it found, one line for each assignment.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vae_tutorial.course.export import export
from vae_tutorial.course.notebook import read_cells
from vae_tutorial.course.tasks import Task, masters, tasks_of

CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "vae"
c.ExecutePreprocessor.timeout = 900
"""


def run(folder: Path, *arguments: str) -> None:
    """One command of nbgrader in the course's folder. Raises where it fails."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"VAE_TUTORIAL_PROGRESS": "0", "PATH": programs}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nbgrader {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")


def hand_in(course: Path, name: str, solved: dict[str, list[str]]) -> None:
    """Puts each student's notebook where nbgrader expects it; `solved` has names of cells."""
    release = course / "release" / name / f"{name}.ipynb"
    source = json.loads((course / "source" / name / f"{name}.ipynb").read_text("utf-8"))
    answers = {_id(cell): cell["source"] for cell in source["cells"] if _id(cell)}
    for student, names in solved.items():
        notebook = json.loads(release.read_text("utf-8"))
        for cell in notebook["cells"]:
            if _id(cell) in names:
                cell["source"] = answers[_id(cell)]
        target = course / "submitted" / student / name / release.name
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps(notebook), encoding="utf-8")


def _id(cell: dict) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def plan(course: Path, name: str, tasks: list[Task]) -> dict[str, list[str]]:
    """Which cells each student solves: all, none, and the first half of the code."""
    source = json.loads((course / "source" / name / f"{name}.ipynb").read_text("utf-8"))
    every = [_id(cell) for cell in source["cells"]
             if cell["metadata"].get("nbgrader", {}).get("solution")]  # fmt: skip
    code = [task.name for task in tasks if task.kind == "code"]
    half = [f"answer-{each}" for each in code[: (len(code) + 1) // 2]]
    return {"all": every, "none": [], "some": half}


def own_points(folder: Path, name: str) -> dict[str, int]:
    """What `vae_tutorial.course grade` gives to the same files."""
    out = folder / "own.csv"
    command = [sys.executable, "-m", "vae_tutorial.course", "grade", str(folder), "--out", str(out)]
    subprocess.run([*command, "--assignment", name, "--seed", "1"], check=True, capture_output=True)
    with out.open(encoding="utf-8") as file:
        return {row["student"]: int(row["points"]) for row in csv.DictReader(file)}


def round_trip(course: Path, master: Path) -> str:
    """One assignment; returns what was found. Raises where the two graders differ."""
    start, name, tasks = time.monotonic(), master.stem, tasks_of(read_cells(master))
    export([master], course, nbgrader=True)
    run(course, "generate_assignment", name, "--force")
    released = (course / "release" / name / f"{name}.ipynb").read_text("utf-8")
    if "SOLUTION" in released or "HIDDEN TESTS" in released:
        raise RuntimeError(f"{name}: a solution or a hidden test is in the student version")
    hand_in(course, name, plan(course, name, tasks))
    run(course, "autograde", name, "--force")
    table = course / f"{name}.csv"
    run(course, "export", "--to", str(table), "--assignment", f"['{name}']")
    with table.open(encoding="utf-8") as file:
        theirs = {r["student_id"]: float(r["raw_score"] or 0) for r in csv.DictReader(file)
                  if r["assignment"] == name}  # fmt: skip
    for_own = course / "own" / name
    for student in theirs:
        target = for_own / f"{student}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        submitted = course / "submitted" / student / name / f"{name}.ipynb"
        target.write_bytes(submitted.read_bytes())
    ours = own_points(for_own, name)
    if {key: float(value) for key, value in ours.items()} != theirs:
        raise RuntimeError(f"{name}: nbgrader gives {theirs}, our grader {ours}")
    of = sum(task.of for task in tasks if task.kind != "written")
    listed = ", ".join(f"{student} {points:g}" for student, points in sorted(theirs.items()))
    seconds = time.monotonic() - start
    return f"{name}: {listed} of {of}, the same in both graders ({seconds:.0f} s)"


def main(wanted: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        (course / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
        for master in masters():
            if not wanted or master.stem[0] in wanted:
                print(round_trip(course, master), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
