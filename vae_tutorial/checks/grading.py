"""From an exercise and an answer to a report: the gate, the properties, the hints."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from vae_tutorial.checks.compare import close, form, form_fits, guess, pattern, worst
from vae_tutorial.checks.core import Case, Exercise, Property, Unmet
from vae_tutorial.checks.measures import foreign_text, no_foreign_values
from vae_tutorial.checks.names import foreign_values
from vae_tutorial.checks.report import Report
from vae_tutorial.checks.runner import RESULT, Runner
from vae_tutorial.checks.sandbox import Outcome, attempt, caller_state_kept, told


def grade_exercise(exercise: Exercise, answer: Any, seed: int) -> Report:
    """The report on an answer; whatever the answer does, nothing is raised."""
    try:
        with caller_state_kept():
            return _Grading(exercise, answer, seed).report()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        lines = (
            f"{exercise.name}: could not be checked. Where your answer is an ordinary function, "
            "this is a fault of the check: please report it.",
            f"  it raised: {told(error)}",
        )
        return Report(exercise.name, 0, exercise.of, lines)


class _Grading:
    """One answer to one exercise."""

    def __init__(self, exercise: Exercise, answer: Any, seed: int) -> None:
        self.exercise = exercise
        self.runner = Runner(exercise, seed)
        self.answer = self.runner.usable(answer)
        self.results: Sequence[Outcome] = ()
        self.names = list(inspect.signature(exercise.oracle).parameters)

    def report(self) -> Report:
        if self.answer is None or self.answer is Ellipsis:
            return self._report(0, [self._unanswered()])
        if not callable(self.answer):
            return self._report(0, self._not_called())
        drawn = list(enumerate(self.runner.drawn))
        outcomes = [self.runner.measured(RESULT, self.answer, n, each) for n, each in drawn]
        if _left_open(outcomes[0]):
            return self._report(0, [self._unanswered()])
        if lines := self._gate(outcomes):
            return self._report(0, lines)
        self.results = outcomes
        points, lines = self._scored()
        return self._report(points, [*lines, *self._notes(outcomes)])

    def _report(self, points: int, lines: Sequence[str]) -> Report:
        return Report(self.exercise.name, points, self.exercise.of, tuple(lines))

    def _unanswered(self) -> str:
        start = f"{self.exercise.name}: not answered yet."
        if self.exercise.inputs is None:
            return f"{start} Expected: {self.exercise.returns}. Put it in and run this cell again."
        return (
            f"{start} {self.exercise.call_as} should return {self.exercise.returns}. Write it, "
            "end it with `return`, and run this cell again."
        )

    def _not_called(self) -> list[str]:
        function = self.exercise.call_as.split("(")[0]
        return [
            self._head(0) + ", so far",
            f"  came: {form(self.answer)}; expected: the function itself, without brackets, as in "
            f'check("{self.exercise.name}", {function})',
        ]

    def _head(self, points: int) -> str:
        return f"{self.exercise.name}: {points} of {self.exercise.of} points"

    # The gate: the type and the shape of every result

    def _gate(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Nothing where every result has the right form, else the lines of the report."""
        for n, (outcome, inputs) in enumerate(zip(outcomes, self.runner.drawn)):
            if outcome.error is not None:
                return self._stopped(_reason(outcome.error), inputs)
            if self.exercise.gate is not None:
                verdict = attempt(
                    lambda *copies, result=outcome.value: self.exercise.gate(result, *copies),
                    *inputs,
                    seed=self.runner.seed + n,
                )
                if verdict.error is not None:
                    return self._stopped(_reason(verdict.error), inputs)
                continue
            if not form_fits(outcome.value, self.runner.expected(RESULT, n, inputs)):
                return self._wrong_form(outcomes, n)
        return []

    def _stopped(self, reason: str, inputs: Case) -> list[str]:
        return [self._head(0) + ", so far", f"  {reason}", self._called(inputs)]

    def _wrong_form(self, outcomes: Sequence[Outcome], n: int) -> list[str]:
        inputs, got = self.runner.drawn, outcomes[n].value
        expected = [self.runner.expected(RESULT, i, each) for i, each in enumerate(inputs)]
        hint = None
        if all(each.error is None for each in outcomes):
            values = [each.value for each in outcomes]
            hint = self.runner.matching(RESULT, inputs, values, expected)
        hint = hint or guess(got, expected[n])
        return [
            self._head(0) + ", so far: the result has another form than it should, so its numbers "
            "are not looked at",
            f"  came: {form(got)}",
            f"  expected: {self.exercise.returns}; here {form(expected[n])}",
            self._called(inputs[n]),
            *([f"      Hint: {hint}"] if hint else []),
        ]

    def _called(self, inputs: Case) -> str:
        given = f" with {self._listed(inputs)}" if inputs else ""
        return f"  called as {self.exercise.call_as}{given}"

    # The properties, one by one

    def _scored(self) -> tuple[int, list[str]]:
        asked = self.exercise.properties
        hints = [self._hint(each, place) for place, each in enumerate(asked, start=1)]
        main = [hint for each, hint in zip(asked, hints) if not each.hygiene]
        counted = None in main or not main
        points, lines, before = 0, [], set()
        for each, hint in zip(asked, hints):
            if hint is not None:
                lines.append(f"  ✗ wrong, 0 of {each.points}: {each.text}")
                lines.append(f"      Hint: {'as above.' if hint in before else hint}")
                before.add(hint)
            elif each.hygiene and not counted:
                lines.append(
                    f"  – not counted before the rest is right, 0 of {each.points}: {each.text}"
                )
            else:
                points += each.points
                lines.append(f"  ✓ right, {each.points} of {each.points}: {each.text}")
        end = ". All right." if points == self.exercise.of else ""
        return points, [self._head(points) + end, *lines]

    def _hint(self, each: Property, place: int) -> str | None:
        """None where the property holds, else what is said of it."""
        cases = self.runner.cases(each, place)
        expected = [self.runner.expected(each, n, inputs) for n, inputs in enumerate(cases)]
        got = []
        for n, inputs in enumerate(cases):
            if each.measure is None and each.inputs is None:  # the gate has run that already
                outcome = self.results[n]
            else:
                outcome = self.runner.measured(each, self.answer, n, inputs)
            if isinstance(outcome.error, Unmet):
                return str(outcome.error)
            if outcome.error is not None:
                return f"It raised {told(outcome.error)} ({self._where(inputs)})."
            got.append(outcome.value)
        pairs = list(enumerate(zip(got, expected)))
        wrong = [n for n, (a, b) in pairs if not close(a, b, each.rtol, each.atol)]
        if not wrong:
            return None
        found = self.runner.matching(each, cases, got, expected)
        if found is None and each.explain is not None:
            reasons = (each.explain(got[n], expected[n], self.names) for n in wrong)
            found = next((reason for reason in reasons if reason), None)
        return found or self._general(got, expected, cases, wrong)

    def _general(
        self, got: Sequence[Any], expected: Sequence[Any], cases: Sequence[Case], wrong: list[int]
    ) -> str:
        """The hint where no mistake is recognised: a pattern, and the largest deviation."""
        for n in wrong:
            if not form_fits(got[n], expected[n]):
                reason = f"{form(got[n])} came, expected {form(expected[n])}"
                return f"{reason} ({self._where(cases[n])})."
        found = [(worst(got[n], expected[n]), n) for n in wrong]
        found = [(most, n) for most, n in found if most is not None]
        if not found:
            return f"It does not hold ({self._where(cases[wrong[0]])})."
        most, n = max(found, key=lambda pair: pair[0].size)
        at = f" is at result{most.place}" if most.place else ""
        text = f"The largest deviation{at}: {most.got:.6g} came, expected {most.expected:.6g}"
        common = pattern(got, expected)
        return f"{common + ' ' if common else ''}{text} ({self._where(cases[n])})."

    def _notes(self, outcomes: Sequence[Outcome]) -> list[str]:
        """What costs no points, but should be known."""
        notes = []
        asked = any(each.measure is no_foreign_values for each in self.exercise.properties)
        if self.exercise.inputs is not None and not asked:
            names = attempt(lambda: foreign_values(self.answer), seed=0).value
            notes += [f"  Note: {foreign_text(names)}"] if names else []
        if any(each.printed for each in outcomes):
            notes.append("  Note: what the answer prints is not shown here; call it to see it.")
        return notes

    def _where(self, inputs: Case) -> str:
        return f"for {self._listed(inputs)}" if inputs else "the value itself"

    def _listed(self, inputs: Case) -> str:
        return ", ".join(f"{name} {_short(value)}" for name, value in zip(self.names, inputs))


def _left_open(outcome: Outcome) -> bool:
    """Whether a call ended as that of a stub does."""
    if outcome.error is not None:
        # `sigma = ...` and a line of the stub that goes on with it
        dots = isinstance(outcome.error, TypeError) and "ellipsis" in str(outcome.error)
        return isinstance(outcome.error, NotImplementedError) or dots
    value = outcome.value
    parts = value if isinstance(value, tuple) and value else (value,)
    return all(each is None or each is Ellipsis for each in parts)


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, Unmet) else f"it raised {told(error)}"


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, (bool, int, float, str)):
        return f"= {value!r}"
    return f"a {type(value).__name__}" if isinstance(value, nn.Module) else type(value).__name__
