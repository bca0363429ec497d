"""The book's exercises: every right answer gets full points, every wrong one its own hint."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator

import pytest
import right_answers
import torch
import wrong_answers
from exercises_in_chapters import Task, all_tasks

from vae_tutorial.checks import check, grade
from vae_tutorial.checks.core import Exercise
from vae_tutorial.checks.mutants import replaced
from vae_tutorial.checks.registry import chapters, exercises, find

pytestmark = pytest.mark.slow

TASKS = all_tasks()
EXERCISES = [each for chapter in chapters() for each in exercises(chapter)]
WRONG: dict[str, list] = {}
for module in pkgutil.iter_modules(wrong_answers.__path__):
    for name, pairs in importlib.import_module(f"wrong_answers.{module.name}").WRONG.items():
        WRONG.setdefault(name, []).extend(pairs)


def label(exercise: str, answer: object) -> str:
    """A test's name, the same in every process: no address of an object in it."""
    text = str(answer)
    own = type(answer).__name__ if " object at 0x" in text else text
    return f"{exercise}-{getattr(answer, '__name__', own)}"


WRONG_PAIRS = [
    pytest.param(name, answer, piece, id=label(name, answer))
    for name, pairs in WRONG.items()
    for answer, piece in pairs
]
RIGHT_PAIRS = [
    pytest.param(name, answer, id=label(name, answer))
    for module in pkgutil.iter_modules(right_answers.__path__)
    for name, answers in importlib.import_module(f"right_answers.{module.name}").RIGHT.items()
    for answer in answers
]
SEEDS = range(10)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The tensors are tiny: more threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


by_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
by_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda each: each.name)


def test_names_are_unique_over_the_book():
    assert [name for name, n in Counter(each.name for each in EXERCISES).items() if n > 1] == []


def test_the_chapters_use_the_registered_exercises_and_no_others():
    """Each in its own chapter, and once."""
    used = sorted((task.chapter, task.name) for task in TASKS)
    registered = sorted((n, each.name) for n in chapters() for each in exercises(n))
    assert used == registered


@by_task
def test_the_worked_solution_gets_full_points(task: Task):
    assert len(task.solutions) == 1, (
        f"chapter {task.chapter}, exercise {task.name!r}: below the stub there should be a "
        f"<details> Solution with one ```python block, found {len(task.solutions)}"
    )
    answer = task.solved()
    for seed in SEEDS:
        report = grade(task.name, answer, seed=seed)
        assert report.points == report.of > 0, f"seed {seed}\n{report}"
        assert not any("Note:" in line or "Remark" in line for line in report.lines), report


@by_task
def test_the_stub_is_not_answered_yet(task: Task, capsys):
    check(task.name, task.unsolved())
    printed = capsys.readouterr().out
    assert "not answered yet" in printed
    assert "0 of" not in printed


@by_exercise
def test_every_exercise_has_three_wrong_answers_or_more(exercise: Exercise):
    pieces = {piece for _, piece in WRONG.get(exercise.name, [])}
    assert len(pieces) >= 3, f"{exercise.name}: wrong answers with {len(pieces)} different hints"


def test_wrong_answers_belong_to_an_exercise():
    assert set(WRONG) <= {each.name for each in EXERCISES}


@pytest.mark.parametrize(("name", "answer"), RIGHT_PAIRS)
def test_a_right_answer_in_another_style_gets_full_points(name, answer):
    for seed in (1, 2, 3):
        report = grade(name, answer, seed=seed)
        assert report.points == report.of > 0, f"seed {seed}\n{report}"


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("name", "answer", "piece"), WRONG_PAIRS)
def test_a_wrong_answer_fails_with_its_own_hint(name, answer, piece, seed):
    report = grade(name, answer, seed=seed)
    text = " ".join(report.lines)
    assert report.points < report.of, report
    assert "could not be checked" not in text, report
    assert piece in text, report


@by_exercise
def test_every_slip_and_suspect_is_recognised(exercise: Exercise):
    """Else its hint is never seen: another one stands before it, or it is right."""
    wrong = [(each.answer, each.hint) for each in exercise.suspects]
    wrong += [(replaced(exercise.answer, old, new), hint) for old, new, hint in exercise.slips]
    for answer, hint in wrong:
        texts = [" ".join(grade(exercise.name, f, seed=5).lines) for f in (answer, single(answer))]
        assert any(hint in text for text in texts), f"{hint}\n{texts[0]}"


def single(answer):
    """The answer in single precision, where more under- and overflows."""
    return lambda *inputs: answer(*(x.float() if is_float(x) else x for x in inputs))


def is_float(x):
    return isinstance(x, torch.Tensor) and x.is_floating_point()


@by_exercise
def test_the_check_itself_does_not_fail(exercise: Exercise):
    """Right answers and expected values come without an error under other seeds too."""
    for seed in SEEDS:
        report = grade(exercise.name, exercise.answer, seed=seed)
        assert "could not be checked" not in " ".join(report.lines), report


@by_exercise
def test_the_random_state_of_the_caller_is_kept(exercise: Exercise):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    grade(exercise.name, exercise.answer)
    assert torch.equal(torch.get_rng_state(), before)


@by_exercise
def test_an_exercise_says_what_it_asks_for(exercise: Exercise):
    assert find(exercise.name) is exercise
    assert exercise.call_as and exercise.returns
    assert exercise.of > 0
    assert all(each.points >= 0 and each.text for each in exercise.properties)
