"""Runs answers, right answers and suspects of one exercise, all in the same way."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.checks.causes import Search
from vae_tutorial.checks.compare import Misfit, flat
from vae_tutorial.checks.core import Case, Exercise, Property
from vae_tutorial.checks.mutants import replaced
from vae_tutorial.checks.sandbox import Outcome, attempt, seed_all

RESULT = Property("the result itself", 0)


class Runner:
    """One answer to one exercise, on inputs drawn from `seed`."""

    memory: Any = None
    """A `vae_tutorial.checks.memory.Memory`, where many answers get the same inputs."""

    def __init__(self, exercise: Exercise, answer: Any, seed: int) -> None:
        self.exercise, self.seed = exercise, seed % 2**60
        self.answer = self.usable(answer)
        self.names = list(inspect.signature(exercise.answer).parameters)
        self.drawn = self.draw(exercise.inputs, 0)
        self.slow = False

    def usable(self, answer: Any) -> Any:
        """The answer as something to call; a value becomes a function that returns it."""
        if self.exercise.inputs is not None or callable(answer) or answer is None:
            return answer
        return lambda: answer

    def draw(self, draw: Any, place: int) -> Sequence[Case]:
        if self.memory is None:
            return self._drawn_anew(draw, place)
        key = (self.exercise.name, self.seed, place)
        return self.memory.cases(key, lambda: self._drawn_anew(draw, place))

    def _drawn_anew(self, draw: Any, place: int) -> Sequence[Case]:
        # Not the seed of a call: an answer's noise would be the very numbers of its inputs.
        seed = self.seed + 1000 * (place + 1)
        seed_all(seed)  # for inputs that take no generator, such as the weights of a network
        return [()] if draw is None else draw(torch.Generator().manual_seed(seed))

    def measured(self, each: Property, answer: Any, n: int, inputs: Case) -> Outcome:
        """What the property measures on `answer`, on the inputs of case `n`.

        Right answers and suspects get double precision, unless a network is among the inputs; the
        student's gets the inputs as they are.
        """
        if answer is self.answer or self.memory is None:
            return self._measured_anew(each, answer, n, inputs)
        key = (each.measure, each.hygiene, answer, n)
        return self.memory.outcome(
            key, inputs, lambda: self._measured_anew(each, answer, n, inputs)
        )

    def _measured_anew(self, each: Property, answer: Any, n: int, inputs: Case) -> Outcome:
        if answer is not self.answer and not any(isinstance(x, nn.Module) for x in inputs):
            inputs = tuple(x.double() if _is_float(x) else x for x in inputs)
        if each.measure is None:
            return attempt(answer, *inputs, seed=self.seed + n)

        def subject(*given: Any) -> Any:  # what it changes in place, a measure does not see
            copies = (x.clone() if isinstance(x, Tensor) else x for x in given)
            return answer(*(given if each.hygiene else copies))

        # The subject goes in by closure: it is not one of the things to be copied.
        return attempt(lambda *copies: each.measure(subject, *copies), *inputs, seed=self.seed + n)

    def right(self, each: Property, n: int, inputs: Case) -> Any:
        """The right result. An error in finding it is a fault of the check, and goes up."""
        if each.expected is None:
            outcome = self.measured(each, self.exercise.answer, n, inputs)
        elif callable(each.expected):
            outcome = attempt(each.expected, *inputs, seed=self.seed + n)
        else:
            return each.expected
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def cause(self, each: Property, cases: Sequence[Case], got: Sequence[Any]) -> str | None:
        """The hint that explains the results in all cases, if there is one."""
        exercise = self.exercise
        if isinstance(each.expected, bool):
            return None

        def measured(answer: Any, case: Case) -> Any:
            n = next((n for n, other in enumerate(cases) if other is case), 0)
            outcome = self.measured(each, answer, n, case)
            if outcome.error is not None:
                raise outcome.error
            return outcome.value

        sizes = [exercise.sizes(*case) if exercise.sizes else {} for case in cases]
        search = Search(got, cases, exercise.answer, measured, self.names, sizes, self.answer)
        trouble = _not_finite(got)
        for old, new, hint in exercise.slips:
            slip = replaced(exercise.answer, old, new)
            if search.made_by(slip) or (trouble and search.made_by(_in_single(slip))):
                return hint
        for suspect in exercise.suspects:
            if search.made_by(self.usable(suspect.answer)):
                return suspect.hint
        return (trouble or search.cause()) if cases[0] else None


def _in_single(answer: Any) -> Any:
    """The answer in single precision, where other numbers under- and overflow."""
    return lambda *inputs: answer(*(x.float() if _is_float(x) else x for x in inputs))


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


def _not_finite(got: Sequence[Any]) -> str | None:
    try:
        numbers = flat(tuple(got))
    except (Misfit, ValueError, RuntimeError):
        return None
    if bool(numbers.isnan().any()):
        return "Some of the results are NaN: a logarithm or root of a negative number, or 0/0."
    if bool(numbers.isinf().any()):
        return "Some of the results are infinite: an exponential too large, or a division by 0."
    return None
