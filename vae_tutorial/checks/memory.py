"""A memory for many answers to one exercise, which all get the same inputs.

`check` in a notebook has none. The grader of a class does: the inputs, the right results, and what
the typical mistakes give are the same for each student, and are found once::

    with remembering(find("kl"), seed=7, seconds=1.0):
        grade("kl", answer_1, seed=7)
        grade("kl", answer_2, seed=7)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from vae_tutorial.checks.core import Case, Exercise
from vae_tutorial.checks.grading import grade_exercise
from vae_tutorial.checks.runner import RESULT, Runner
from vae_tutorial.checks.sandbox import Outcome, caller_state_kept


class Memory:
    """Cases by exercise, seed and place; outcomes of answers that are not the student's."""

    def __init__(self) -> None:
        self._cases: dict[Any, Sequence[Case]] = {}
        self._drawn: set[int] = set()  # ids of cases, which stay alive as long as this memory
        self._outcomes: dict[Any, Outcome] = {}
        self.open_until = float("inf")

    def cases(self, key: Any, draw: Callable[[], Sequence[Case]]) -> Sequence[Case]:
        """The cases of an earlier call with this key, else those that `draw` gives."""
        if key not in self._cases:
            self._cases[key] = draw()
            self._drawn.update(map(id, self._cases[key]))
        return self._cases[key]

    def outcome(self, key: Any, inputs: Case, measure: Callable[[], Outcome]) -> Outcome:
        """The outcome of an earlier call with this key and these inputs, else a new one."""
        if id(inputs) not in self._drawn:
            return measure()
        key = (id(inputs), *key)
        if key not in self._outcomes:
            if time.process_time() > self.open_until:
                raise TimeoutError  # while it is filled: enough
            self._outcomes[key] = measure()
        return self._outcomes[key]


@contextlib.contextmanager
def remembering(exercises: Iterable[Exercise], seed: int, seconds: float) -> Iterator[None]:
    """Inside, answers to `exercises` are checked against what is remembered.

    Filling the memory takes up to about `seconds` of computing for each exercise; what one leaves,
    the others may use. What is missing then is found when it is needed; the reports are the same.
    """
    Runner.memory = Memory()
    try:
        end, unfinished = time.process_time(), []
        for each in exercises:
            end += seconds
            if not _fill(each, seed, end):
                unfinished.append(each)
        for each in unfinished:
            _fill(each, seed, end)
        yield
    finally:
        Runner.memory = None


def _fill(exercise: Exercise, seed: int, end: float) -> bool:
    """Remembers what a search for hints asks for, up to a time; whether it is complete."""

    def answer(*inputs: Any) -> Any:  # not the right answer itself: what is the student's is new
        return exercise.answer(*inputs)

    Runner.memory.open_until = float("inf")
    grade_exercise(exercise, answer, seed)
    Runner.memory.open_until = end
    with caller_state_kept(), contextlib.suppress(TimeoutError):
        runner = Runner(exercise, answer, seed)
        runner.cause(RESULT, runner.drawn, [None] * len(runner.drawn))
        for place, each in enumerate(exercise.properties, start=1):
            cases = runner.drawn if each.inputs is None else runner.draw(each.inputs, place)
            runner.cause(each, cases, [None] * len(cases))  # which nothing explains
    complete = time.process_time() < end
    Runner.memory.open_until = float("inf")
    return complete
