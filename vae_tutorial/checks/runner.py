"""Runs answers, oracles and suspects of one exercise, all in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vae_tutorial.checks.compare import close, with_error_of
from vae_tutorial.checks.core import Case, Draw, Exercise, Property, Suspect
from vae_tutorial.checks.sandbox import Outcome, attempt, seed_all

RESULT = Property("the result itself", 0)


class Runner:
    """The exercise with its inputs, drawn from `seed`."""

    def __init__(self, exercise: Exercise, seed: int) -> None:
        self.exercise = exercise
        self.seed = seed % 2**60
        self.call = exercise.call or (lambda answer, *inputs: answer(*inputs))
        self.drawn = self._draw(exercise.inputs, 0)

    def cases(self, each: Property, place: int) -> Sequence[Case]:
        """The inputs of the property that stands at `place`."""
        return self.drawn if each.inputs is None else self._draw(each.inputs, place)

    def usable(self, answer: Any) -> Any:
        """The answer as something to call; a value becomes a function that returns it."""
        if self.exercise.inputs is not None or callable(answer) or answer is None:
            return answer
        return lambda: answer

    def measured(self, each: Property, answer: Any, n: int, inputs: Case) -> Outcome:
        """What the property measures on `answer`, on the inputs of case `n`."""
        measure = each.measure or self.call
        if each.measure is not None and each.through_call:
            subject = lambda *arguments: self.call(answer, *arguments)  # noqa: E731
        else:
            subject = answer
        # The subject goes in by closure: it is not one of the things to be copied.
        return attempt(lambda *copies: measure(subject, *copies), *inputs, seed=self.seed + n)

    def expected(self, each: Property, n: int, inputs: Case) -> Any:
        """The right result. An error in finding it is a fault of the check, and goes up."""
        if each.expected is None:
            outcome = self.measured(each, self.exercise.oracle, n, inputs)
        elif callable(each.expected):
            outcome = attempt(each.expected, *inputs, seed=self.seed + n)
        else:
            return each.expected
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def matching(
        self,
        each: Property,
        cases: Sequence[Case],
        got: Sequence[Any],
        expected: Sequence[Any],
    ) -> str | None:
        """The hint of the first suspect that gives the student's results, in every case."""
        for suspect in each.suspects + self.exercise.suspects:
            if self._made_by(suspect, each, cases, got, expected):
                return suspect.hint
        return None

    def _made_by(
        self,
        suspect: Suspect,
        each: Property,
        cases: Sequence[Case],
        got: Sequence[Any],
        expected: Sequence[Any],
    ) -> bool:
        right_too = True
        for n, inputs in enumerate(cases):
            made = self.measured(each, self.usable(suspect.answer), n, inputs)
            if made.error is not None:
                return False
            like = with_error_of(made.value, expected[n])
            if not close(got[n], like, each.rtol, each.atol):
                return False
            right_too = right_too and close(made.value, expected[n], each.rtol, each.atol)
        return not right_too  # a suspect that is right within the error explains nothing

    def _draw(self, draw: Draw | None, place: int) -> Sequence[Case]:
        # Not the seed of a call: an answer's noise would be the very numbers of its inputs.
        seed = self.seed + 1000 * (place + 1)
        seed_all(seed)  # for inputs that take no generator, such as the weights of a network
        return [()] if draw is None else draw(torch.Generator().manual_seed(seed))
