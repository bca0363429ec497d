"""The assignments: masters that hold, and student notebooks made from them without solutions."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

from vae_tutorial.course.batch import grade_files
from vae_tutorial.course.export import SOLUTION, nbgrader_master, student_notebook
from vae_tutorial.course.notebook import notebook_cells, read_cells
from vae_tutorial.course.tasks import MASTERS, guess_master, masters, options_of, tasks_of

ROOT = Path(__file__).parent.parent
by_master = pytest.mark.parametrize("master", masters(), ids=lambda path: path.stem)
forking = pytest.mark.skipif(sys.platform != "linux", reason="limits are those of Linux")


def notebook_of(master):
    return MASTERS.parent / f"{master.stem}.ipynb"


def code_of(path):
    return [cell.text for cell in read_cells(path) if cell.code]


def test_there_are_six():
    assert [path.stem[:2] for path in masters()] == [f"{number}_" for number in range(1, 7)]


@by_master
def test_the_student_notebook_is_current(master):
    """Made anew by `python -m vae_tutorial.course export`."""
    text = json.dumps(student_notebook(master), ensure_ascii=False, indent=1) + "\n"
    assert notebook_of(master).read_text(encoding="utf-8") == text


@by_master
def test_no_line_of_a_solution_is_in_the_student_notebook(master):
    text = "\n".join(cell.text for cell in read_cells(notebook_of(master)))
    assert "SOLUTION" not in text
    given = "\n".join(SOLUTION.sub("", cell.text) for cell in read_cells(master))
    lines = {line.strip() for line in text.split("\n")} - {s.strip() for s in given.split("\n")}
    for cell in read_cells(master):
        for block in SOLUTION.finditer(cell.text):
            secret = [line.strip() for line in block[0].split("\n")[1:-1]]
            assert not [line for line in secret if len(line) > 12 and line in lines]


@by_master
def test_points_are_20_to_40_and_as_the_text_says(master):
    tasks = tasks_of(read_cells(master))
    text = read_cells(master)[0].text
    sums = {kind: sum(t.of for t in tasks if t.kind == kind) for kind in ("code", "measured",
                                                                         "written")}  # fmt: skip
    assert 20 <= sum(sums.values()) <= 40
    assert f"gives {sum(sums.values())} points: {sums['code']} for code" in text
    assert f"{sums['written']} for text" in text
    assert len({task.name for task in tasks}) == len(tasks)
    for task in tasks:
        assert task.kind != "written" or task.marker in "".join(c.text for c in read_cells(master))


@forking
@by_master
def test_the_unsolved_notebook_scores_nothing_and_the_master_everything(master):
    tasks = tasks_of(read_cells(master))
    unsolved, solved = grade_files([notebook_of(master), master], tasks, 3)
    for task in tasks:
        assert unsolved.results[task.name]["points"] == 0
        assert unsolved.results[task.name]["lines"] == [f"{task.name}: not answered yet."]
        if task.kind == "written":
            assert len(solved.results[task.name]["text"]) > 200
            assert not unsolved.results[task.name]["text"]
        else:
            assert solved.results[task.name]["points"] == task.of, solved.results[task.name]


@by_master
def test_the_assignment_is_found_by_its_functions(master):
    assert guess_master([notebook_of(master)]) == master


@pytest.mark.slow
@by_master
def test_the_unsolved_notebook_runs(master, capsys):
    space = {}
    for text in code_of(notebook_of(master)):
        exec(compile(text, str(master), "exec"), space)
    assert "not answered yet" in capsys.readouterr().out


def _is_measured(cell):
    return "measured" in options_of(cell)


@pytest.mark.slow
@by_master
def test_the_master_runs_and_measures_what_it_says(master, capsys):
    space = {}
    cells = read_cells(master)
    last = max(n for n, cell in enumerate(cells) if _is_measured(cell) or n == 0)
    for cell in cells[: last + 1]:  # the runs of a project, which come after, take minutes
        if cell.code:
            exec(compile(cell.text, str(master), "exec"), space)
    printed = capsys.readouterr().out
    for task in tasks_of(read_cells(master)):
        if task.kind == "measured":
            numbers = map(float, re.findall(r"^\d+\.\d+$", printed, re.MULTILINE))
            assert any(task.low <= number <= task.high for number in numbers), printed
            assert task.low <= space[task.name] <= task.high


@by_master
def test_the_master_for_nbgrader_is_a_notebook_with_its_metadata(master):
    notebook = nbgrader_master(read_cells(master))
    marks = [cell["metadata"].get("nbgrader") for cell in notebook["cells"]]
    names = [mark["grade_id"] for mark in marks if mark]
    assert len(set(names)) == len(names)
    tasks = tasks_of(read_cells(master))
    assert sum(m["points"] for m in marks if m and m["grade"]) == sum(t.of for t in tasks)
    for cell, mark in zip(notebook["cells"], marks):
        text = "".join(cell["source"])
        # nbgrader refuses a solution in any other cell
        assert ("BEGIN SOLUTION" in text) <= bool(mark and mark["solution"])
        if mark and mark["grade"] and not mark["solution"]:
            assert "### BEGIN HIDDEN TESTS" in text
            last = ast.parse(text).body[-1]
            assert isinstance(last, ast.Expr), "nbgrader takes the last value as the points"
    assert notebook_cells(json.dumps(notebook))


def test_masters_are_in_neither_the_wheel_nor_the_book():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'packages.find.include = ["vae_tutorial*"]' in project
    assert "assignments" not in (ROOT / "_toc.yml").read_text(encoding="utf-8")
    assert "assignments" in (ROOT / "_config.yml").read_text(encoding="utf-8")
