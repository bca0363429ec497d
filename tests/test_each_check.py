"""No check is superfluous: leave one out, and some wrong answer gets full points."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import each_check
import pytest
import submissions
from each_check import all_exercises, left_out, passes, scoring

from vae_tutorial.course.notebook import read_cells
from vae_tutorial.course.tasks import masters, tasks_of

BENCHMARK = Path(__file__).resolve().parent.parent / "benchmarks" / "grading.py"
pytestmark = pytest.mark.slow
EXERCISES = [each for each in all_exercises() if each.name in each_check.stored()]
WRONG = each_check.named(submissions.all_wrong())
_WITH_CONSTANT = (
    "what is right for losses with a constant is right for these, where it is 0; the three parts "
    "tell a student which kind of loss fails"
)
UNSHOWN: dict[tuple[str, str], str] = {
    ("hidden-beta", "of losses that sum over pixels and latents"): _WITH_CONSTANT,
    ("hidden-beta", "of losses that average"): _WITH_CONSTANT,
}
"""Checks that no wrong answer shows alone, and why they stay."""


def shown() -> list:
    stored = each_check.stored()
    return [
        pytest.param(exercise, check, stored.get(exercise.name, {}).get(check.text),
                     id=f"{exercise.name}-{check.text}")
        for exercise in EXERCISES for check in scoring(exercise)
    ]  # fmt: skip


@pytest.mark.parametrize(("exercise", "check", "name"), shown())
def test_without_this_check_a_wrong_answer_passes(exercise, check, name):
    """The answers are found anew by `python benchmarks/grading.py --parts each --out …`."""
    if (exercise.name, check.text) in UNSHOWN:
        assert name is None
        return
    assert name is not None, "write a wrong answer that fails by this check alone"
    answer = WRONG[exercise.name][name]
    assert not passes(exercise, answer)
    assert passes(left_out(exercise, check), answer)


def test_every_graded_exercise_is_among_them():
    """A new exercise comes in with `python benchmarks/grading.py --parts each`."""
    graded = {task.name for path in masters() for task in tasks_of(read_cells(path))
              if task.kind == "code"}  # fmt: skip
    assert graded <= {each.name for each in EXERCISES}


def test_exceptions_are_checks_that_exist():
    known = {(each.name, check.text) for each in EXERCISES for check in scoring(each)}
    assert set(UNSHOWN) <= known


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda each: each.name)
def test_an_exercise_has_six_other_right_answers_and_ten_wrong_ones(exercise):
    right = sum(name == exercise.name for name, _ in submissions.all_right())
    assert right >= 6
    assert len(WRONG[exercise.name]) >= 10


@pytest.mark.skipif(sys.platform != "linux", reason="limits are those of Linux")
def test_the_made_up_class_has_all_kinds_of_students(tmp_path):
    master = masters()[1]
    kinds = submissions.class_of(tmp_path, master, 40, 3)
    assert set(kinds.values()) == {"filled in", "unsolved", "trouble", "broken"}
    assert len(list(tmp_path.iterdir())) == 40


# The proof over five seeds, at the level of submissions, and a part of it again

STORED = json.loads((BENCHMARK.parent / "results" / "grading.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", STORED["seeds"]["result"])
def test_over_five_seeds_right_answers_got_all_points_and_wrong_ones_did_not(name):
    """Made by `python benchmarks/grading.py --parts seeds --exercises NAME --out …`."""
    found = STORED["seeds"]["result"][name]
    assert found["unlike"] == []
    assert found["right"] >= 7, "the solution of the master and six others"
    assert found["wrong"] >= 10
    assert found["named"] > 0.5, "most typical mistakes are named"


@pytest.mark.skipif(sys.platform != "linux", reason="limits are those of Linux")
@pytest.mark.parametrize("name", ["ward"])
def test_one_of_the_five_seeds_again(name, tmp_path):
    spec = importlib.util.spec_from_file_location("grading_benchmark", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    right, wrong = (submissions.cells_by_exercise(pairs())[name] for pairs in
                    (submissions.all_right, submissions.all_wrong))  # fmt: skip
    right.insert(0, submissions.solutions()[name])
    found = benchmark.of_exercise(tmp_path, name, right, wrong, benchmark.SEEDS[-1:])
    stored = STORED["seeds"]["result"][name]
    assert found["unlike"] == stored["unlike"] == []
    assert found["named"] == pytest.approx(stored["named"], abs=0.1)
    assert (found["right"], found["wrong"]) >= (stored["right"], stored["wrong"])


def test_the_stored_counts_of_checks_are_those_of_today():
    counts = STORED["each"]["result"]
    every = [name for checks in each_check.stored().values() for name in checks.values()]
    assert counts["shown"] == counts["checks"] - len(UNSHOWN)
    assert counts["checks"] <= len(every)
