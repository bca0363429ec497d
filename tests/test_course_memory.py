"""What the grader remembers between students changes no report."""

from __future__ import annotations

import pytest
import submissions
import torch

from vae_tutorial.checks import grade
from vae_tutorial.checks.grading import grade_exercise
from vae_tutorial.checks.memory import Memory, remembering
from vae_tutorial.checks.registry import find
from vae_tutorial.checks.runner import Runner
from vae_tutorial.checks.sandbox import attempt

NAMES = ("kl", "bits-per-dimension", "hidden-beta")
MORE = ("jackknife", "rate-in-three", "draw-latents")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [0.0, 0.02, 5.0])
def test_reports_are_the_same_with_a_memory(name, seconds):
    answers = [a for n, a in submissions.all_wrong() + submissions.all_right() if n == name][:12]
    plain = [grade(name, answer, 7).lines for answer in answers]
    with remembering([find(name)], 7, seconds):
        assert [grade(name, answer, 7).lines for answer in answers] == plain
        other = [grade(name, answer, 8).lines for answer in answers]  # another seed is not mixed up
    assert Runner.memory is None
    assert [grade(name, answer, 8).lines for answer in answers] == other


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_reports_are_the_same_for_exercises_with_many_properties(name):
    wrong, right = ([a for n, a in found() if n == name]
                    for found in (submissions.all_wrong, submissions.all_right))  # fmt: skip
    answers = [*wrong[:: max(1, len(wrong) // 8)], right[-1]]
    plain = [grade(name, answer, 7).lines for answer in answers]
    with remembering([find(name)], 7, 5.0):
        assert [grade(name, answer, 7).lines for answer in answers] == plain


def test_only_what_is_not_the_students_is_remembered():
    calls = []

    def answer(mu, logvar):
        calls.append(1)
        return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1)

    with remembering([find("kl")], 7, 1.0):
        assert grade_exercise(find("kl"), answer, 7).points == 8
        once = len(calls)
        grade_exercise(find("kl"), answer, 7)
        assert len(calls) == 2 * once > 0


def test_inputs_that_were_not_drawn_are_measured_anew():
    memory, calls = Memory(), []

    def measure():
        calls.append(1)
        return attempt(lambda: len(calls), seed=1)

    (case,) = memory.cases("a", lambda: [(torch.ones(2),)])
    assert memory.cases("a", list) == [case]
    assert [memory.outcome("key", case, measure).value for _ in range(3)] == [1, 1, 1]
    moved = (torch.zeros(2),)
    assert [memory.outcome("key", moved, measure).value for _ in range(2)] == [2, 3]


def test_the_memory_is_gone_after_an_error():
    with pytest.raises(RuntimeError), remembering([find("kl")], 7, 0.0):
        raise RuntimeError
    assert Runner.memory is None
