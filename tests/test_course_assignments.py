"""The assignments: masters that hold, and student notebooks made from them without solutions."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

from vae_tutorial.course.__main__ import main
from vae_tutorial.course.batch import grade_files
from vae_tutorial.course.export import SOLUTION, export, nbgrader_master, student_notebook
from vae_tutorial.course.notebook import notebook_cells, percent_cells, read_cells
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
    """Made anew by `python -m vae_tutorial.course export --overwrite`."""
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


MASTER = """\
# %% answer=free-bits
def free_bits(kl, floor):
    ### BEGIN SOLUTION
    return kl.mean(0).clamp(min=floor).sum()
    ### END SOLUTION

# %% check=free-bits
check("free-bits", free_bits)
"""


def test_export_never_replaces_a_master(tmp_path):
    """Its solutions would be gone, `overwrite` or not."""
    python, master = tmp_path / "hw.py", tmp_path / "hw.ipynb"
    python.write_text(MASTER)
    solved = json.dumps({"cells": [{"cell_type": "code", "source": MASTER}]})
    master.write_text(solved)
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path)
    for paths, out in (([master], tmp_path), ([master], linked), ([python, master], tmp_path / "b"),
                       ([python, master], tmp_path)):  # fmt: skip
        with pytest.raises(ValueError, match=r"hw\.ipynb is a master itself|two masters"):
            export(paths, out, overwrite=True)
    assert master.read_text() == solved and not (tmp_path / "b").exists()


def test_export_replaces_an_edited_notebook_only_by_force(tmp_path, capsys):
    """And writes nothing at all where it refuses one of them."""
    for name in "ab":
        (tmp_path / f"{name}.py").write_text(MASTER)
    out, (a, b) = tmp_path / "out", (tmp_path / "out" / f"{name}.ipynb" for name in "ab")
    command = ["export", str(tmp_path / "a.py"), str(tmp_path / "b.py"), "--out", str(out)]
    assert main(command) == 0
    made = a.read_text()
    assert main(command) == 0  # they are current
    a.unlink()
    b.write_text(made.replace("your code here", "the teacher's words"))
    assert main(command) == 1
    assert re.search(r"b\.ipynb is there already and differs.*--overwrite", capsys.readouterr().err)
    assert "the teacher's words" in b.read_text() and not a.exists()
    assert main([*command, "--overwrite"]) == 0
    assert a.read_text() == b.read_text() == made


WRONG_MASTERS = {
    "# %% [markdown] written=1.1\n# Why?": r"written=1\.1`: points must be .* got nothing",
    "# %% written=1.1 points=many": "points must be a whole number from 1, .* got many",
    "# %% written=1.1 points=0": "points must be a whole number from 1, .* got 0",
    "# %% measured=err points=3": r"measured=err points=3`: between must be .* got nothing",
    "# %% measured=err points=3 between=25": "between must be two numbers, .* got 25",
    "# %% measured=err points=3 between=31,25": "between must be two numbers, .* got 31,25",
    "# %% measured=err points=3 between=a,b": "between must be two numbers, .* got a,b",
    "# %% check=kl\n\n# %% check=kl": "kl is there 2 times",
    "# %% check=no-such": "check=no-such`: There is no exercise 'no-such'",
    "# %%\n### BEGIN SOLUTION": "BEGIN and END SOLUTION do not match",
}


@pytest.mark.parametrize("text", WRONG_MASTERS)
def test_a_wrong_master_is_refused_with_file_and_cell(text, tmp_path, capsys):
    master = tmp_path / "hw.py"
    master.write_text(text + "\n")
    assert main(["export", str(master), "--out", str(tmp_path / "out")]) == 1
    assert re.search(f"hw.py: .*{WRONG_MASTERS[text]}", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_master_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["export", str(tmp_path / "nope.py"), "--out", str(tmp_path / "out")]) == 1
    assert "nope.py: the file cannot be read" in capsys.readouterr().err


CALLS = (
    'check("free-bits", free_bits)',
    'check("free-bits", answer=free_bits)',
    'check(\n    "free-bits",\n    free_bits,\n)',
)


@pytest.mark.parametrize("call", CALLS)
def test_the_function_that_is_checked_is_found_for_nbgrader(call):
    notebook = nbgrader_master(percent_cells(MASTER.replace(CALLS[0], call)))
    assert 'grade("free-bits", free_bits).points' in "".join(notebook["cells"][1]["source"])


@pytest.mark.parametrize("call", ["free_bits", 'check("free-bits")', 'check("free-bits", f(1))'])
def test_a_check_of_no_function_is_refused_for_nbgrader(call):
    with pytest.raises(ValueError, match=r"`# %% check=free-bits` must call check .*free_bits\)"):
        nbgrader_master(percent_cells(MASTER.replace(CALLS[0], call)))


def test_masters_are_in_neither_the_wheel_nor_the_book():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'packages.find.include = ["vae_tutorial*"]' in project
    assert "assignments" not in (ROOT / "_toc.yml").read_text(encoding="utf-8")
    assert "assignments" in (ROOT / "_config.yml").read_text(encoding="utf-8")
