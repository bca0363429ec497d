"""Whose file it is, the table, the feedback, Gradescope's file, and answers that are alike."""

from __future__ import annotations

import ast
import csv
import html
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from submissions import KL, LAPLACE, hand_in

from vae_tutorial.course.__main__ import _parser, main
from vae_tutorial.course.definitions import read_code
from vae_tutorial.course.notebook import Cell
from vae_tutorial.course.results import safe_name
from vae_tutorial.course.similar import alike, normal_form
from vae_tutorial.course.students import files_by_student, student_of
from vae_tutorial.course.worker import written

forking = pytest.mark.skipif(sys.platform != "linux", reason="limits are those of Linux")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("doejane_12345_678901_assignment1.ipynb", "doejane (12345)"),
        ("doejane_LATE_12345_678901_assignment_1-2.ipynb", "doejane (12345)"),
        ("Jane Doe_1234567_assignsubmission_file_/work.ipynb", "Jane Doe (1234567)"),
        ("Jane Doe_1234567_assignsubmission_file_work.ipynb", "Jane Doe (1234567)"),
        ("Zoë Müller-Lüdenscheidt_12_assignsubmission_file_/a/b.ipynb",
         "Zoë Müller-Lüdenscheidt (12)"),
        ("submission_99/work.ipynb", "submission_99"),
        ("jane/1_autoencoders/1_autoencoders.ipynb", "jane"),
        ("submitted/jane/1_autoencoders/1_autoencoders.ipynb", "jane"),
        ("jane.ipynb", "jane"),
        ("jane (1).ipynb", "jane"),
        ("Copy of jane.ipynb", "jane"),
        ("Copy of Copy of jane (2).ipynb", "jane"),
        ("jane - Copy.ipynb", "jane"),
        ("张伟.py", "张伟"),
        ("(1).ipynb", "(1)"),
    ],
)  # fmt: skip
def test_the_student_is_read_from_the_path(path, name):
    assert student_of(Path(path)) == name


def test_only_notebooks_count_and_the_rest_is_named(tmp_path):
    for name in ("a/one", "a/two", "b", ".hidden", "a/.ipynb_checkpoints/one", "__MACOSX/a/one"):
        hand_in(tmp_path / f"{name}.ipynb", KL)
    (tmp_path / "c.pdf").write_bytes(b"%PDF")
    (tmp_path / "d.ipynb").symlink_to("/etc/passwd")
    found, left_out = files_by_student(tmp_path)
    assert {name: [p.name for p in paths] for name, paths in found.items()} == {
        "a": ["one.ipynb", "two.ipynb"], "b": ["b.ipynb"],
    }  # fmt: skip
    assert left_out == ["c.pdf", "d.ipynb"]


def grade(folder, *options):
    out = folder / "out" / "grades.csv"
    status = main(["grade", str(folder / "in"), "--out", str(out), "--seed", "4",
                   "--exercises", "kl,laplace-energy", *options])  # fmt: skip
    assert status == 0
    return list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))


@forking
def test_of_several_files_the_best_answer_to_each_task_counts(tmp_path, capsys):
    hand_in(tmp_path / "in" / "jane.ipynb", KL)
    hand_in(tmp_path / "in" / "jane (1).ipynb", "import math", LAPLACE)
    (tmp_path / "in" / "jane (2).ipynb").write_text("{")
    (row,) = grade(tmp_path)
    assert (row["student"], row["points"], row["of"]) == ("jane", "16", "16")
    assert "damaged" in row["remarks"] and "3 files" in row["remarks"]
    assert "seed 4" in capsys.readouterr().out


@forking
def test_the_table_feedback_and_gradescope(tmp_path):
    hand_in(tmp_path / "in" / "=1+1.ipynb", KL.replace("0.5 *", ""))
    hand_in(tmp_path / "in" / "b.ipynb", KL)
    rows = grade(tmp_path, "--feedback", str(tmp_path / "fb"), "--gradescope")
    assert [row["student"] for row in rows] == ["'=1+1", "b"]  # no formula
    assert rows[0]["kl (8)"] == "1" or "2 times" in rows[0]["hints"]
    assert [row["kl (8)"] for row in rows][1] == "8"
    text = (tmp_path / "fb" / "_1_1.md").read_text(encoding="utf-8")
    assert "Hint: All results are 2 times what they should be" in " ".join(text.split())
    found = json.loads((tmp_path / "out" / "gradescope" / "b.json").read_text())
    assert found["score"] == 8
    assert [each["max_score"] for each in found["tests"]] == [8, 8]


@forking
def test_one_student_gets_results_json(tmp_path):
    hand_in(tmp_path / "in" / "b.ipynb", KL)
    grade(tmp_path, "--gradescope")
    assert json.loads((tmp_path / "out" / "results.json").read_text())["score"] == 8


@forking
def test_the_files_of_one_student_give_one_results_json(tmp_path):
    """An autograder gets one student at a time, under any names of files."""
    hand_in(tmp_path / "in" / "2_inference.ipynb", KL)
    hand_in(tmp_path / "in" / "helpers.ipynb", "import math", LAPLACE)
    (row,) = grade(tmp_path, "--gradescope", "--student", "jane")
    assert (row["student"], row["points"]) == ("jane", "16")
    assert json.loads((tmp_path / "out" / "results.json").read_text())["score"] == 16


COPIED = '''\
def my_kl(mu, logvar):
    """The divergence."""
    total = 0 * mu[:, 0]
    for d in range(mu.shape[1]):  # one dimension < the next
        m, v = mu[:, d], logvar[:, d]
        total = total + 0.5 * (m * m + v.exp() - 1 - v)
    return total
'''


@forking
def test_answers_that_are_alike_stand_side_by_side(tmp_path, capsys):
    hand_in(tmp_path / "in" / "jane.ipynb", COPIED)
    hand_in(tmp_path / "in" / "joe.ipynb", COPIED.replace("total", "s").replace("one", "each"))
    hand_in(tmp_path / "in" / "kim.ipynb", KL)
    grade(tmp_path)
    said = capsys.readouterr().out
    assert "kl: jane, joe" in said and "grades_alike.html" in said
    text = (tmp_path / "out" / "grades_alike.html").read_text(encoding="utf-8")
    assert html.escape(COPIED.strip()) in text and "s = s + 0.5" in text
    assert "each dimension &lt; the next" in text and "kim" not in text


WRITTEN = {
    "after a magic": ("%matplotlib inline\ndef f(x):\n    return 1  # one\n", True),
    "after a magic of the cell": ("%%time\ndef f(x):\n    return 1  # one\n", False),
    "inside an if": ("if 1:\n    def f(x):\n        return 1  # one\n", True),
    "beside what is no Python": ("foo(\ndef f(x):\n    return 1  # one\n", False),
    "with a decorator": ("@cache\ndef f(x):\n    return 1  # one\n", True),
}  # fmt: skip


@pytest.mark.parametrize(("text", "kept"), WRITTEN.values(), ids=WRITTEN)
def test_the_text_of_an_answer_is_found_or_made(text, kept):
    """Comments are kept where the lines can be told."""
    cells = [Cell(False, "# Title"), Cell(True, text)]
    found = written(read_code(cells).versions("f")[0], cells)
    assert ("# one" in found) is kept
    assert "return 1" in found and found.startswith(("def f(x):", "@cache\ndef f(x):"))


@pytest.mark.parametrize("arguments", [["--exercises", "no-such"], ["--assignment", "77"], []])
def test_what_is_wrong_with_the_command_is_said(arguments, tmp_path, capsys):
    hand_in(tmp_path / "in" / "b.ipynb", "x = 1")
    out = str(tmp_path / "o.csv")
    assert main(["grade", str(tmp_path / "in"), "--out", out, *arguments]) == 1
    assert "error: " in capsys.readouterr().err
    assert main(["grade", str(tmp_path / "none"), "--out", out]) == 1


WRONG_COMMANDS = {
    "--out IN/b.ipynb --exercises kl": r"--out must be a file that ends in \.csv, .*b\.ipynb",
    "--out IN --exercises kl": r"--out must be a file that ends in \.csv",
    "--out IN/b.ipynb/o.csv --exercises kl": "--out needs a folder to write to, and .*b.ipynb is a",
    "--out IN/o.csv --feedback IN/b.ipynb --exercises kl": "--feedback needs a folder",
    "--out IN/o.csv --exercises kl --processes -1": "processes must be a whole number .* got -1",
    "--out IN/o.csv --exercises kl --processes 0": "processes must be a whole number .* got 0",
    "--out IN/o.csv --exercises kl,kl": "--exercises: kl is there 2 times",
    "--out IN/o.csv --exercises kl,no-such": "--exercises: There is no exercise 'no-such'",
    "--out IN/o.csv --assignment IN/b.ipynb": "--assignment: .*b.ipynb asks for nothing",
    "--out IN/o.csv --assignment IN/m.py": r"m\.py: the cell `# %% written=1`: points must be",
}


@pytest.mark.parametrize("options", WRONG_COMMANDS)
def test_what_is_wrong_is_said_before_the_grading(options, tmp_path, capsys, monkeypatch):
    """And the submissions stay as they were, with nothing beside them."""
    never = "vae_tutorial.course.batch.remembering"  # the first thing that is done for a class
    monkeypatch.setattr(never, lambda *_: pytest.fail("it is graded all the same"))
    folder = tmp_path / "in"
    hand_in(folder / "b.ipynb", KL)
    (folder / "m.py").write_text("# %% written=1\n")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    command = shlex.split(options.replace("IN", folder.as_posix()))
    assert main(["grade", str(folder), *command]) == 1
    assert re.search(f"^error: .*{WRONG_COMMANDS[options]}", capsys.readouterr().err)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def commands_of_the_page():
    """What the page for teachers says after `-m vae_tutorial.course`."""
    page = Path(__file__).resolve().parent.parent / "pages" / "teachers.md"
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(r"-m vae_tutorial\.course ([^`\n]+)", text)


def test_the_commands_for_teachers_are_understood():
    commands = commands_of_the_page()
    assert len(commands) >= 6
    for command in commands:
        assert callable(_parser().parse_args(shlex.split(command)).run), command


def test_names_of_files_are_safe_and_unique():
    taken = set()
    names = [safe_name(each, taken) for each in ("../../x", "a/b", "A_b", "", "..", "x" * 300)]
    assert len({name.lower() for name in names}) == 6
    assert not any("/" in name or name.startswith(".") or len(name) > 90 for name in names)


LONG = """\
def f(x, y):
    '''Text.'''
    total = 0
    for a in x:  # a comment
        total = total + a * y
        if total > 3:
            total = total - (a - y) ** 2 + a / 7
    return total
"""


def form(text):
    return normal_form(ast.parse(text).body)


def test_names_and_comments_do_not_change_the_form_and_the_rest_does():
    other = LONG.replace("total", "s").replace("Text", "Words").replace("  # a comment", "")
    assert form(LONG) == form(other.replace("x", "xs").replace("y", "w"))
    assert form(LONG) != form(LONG.replace("7", "8"))
    assert form(LONG) != form(LONG.replace("a * y", "y * a"))
    assert form("def f(x):\n    return 2 * x") == ""  # too short to say anything


def test_answers_of_a_few_are_listed_and_those_of_the_whole_class_are_not():
    students = [f"s{n}" for n in range(20)]
    forms = {(name, "kl"): "usual" for name in students[:12]}
    forms |= {("s12", "kl"): "odd", ("s15", "kl"): "odd", ("s16", "kl"): "", ("s17", "kl"): ""}
    assert alike(forms) == [("kl", ["s12", "s15"])]
