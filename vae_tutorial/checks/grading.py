"""From an exercise and an answer to a report: the gate, the properties, the hints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from vae_tutorial.checks.compare import Misfit, excess, fitted, form
from vae_tutorial.checks.core import Case, Exercise, Property, Unmet
from vae_tutorial.checks.limit import TooSlow
from vae_tutorial.checks.names import foreign_values
from vae_tutorial.checks.report import Report
from vae_tutorial.checks.runner import RESULT, Runner
from vae_tutorial.checks.sandbox import Outcome, attempt, caller_state_kept, told


def grade_exercise(exercise: Exercise, answer: Any, seed: int) -> Report:
    """The report on an answer; whatever the answer does, nothing is raised."""
    try:
        with caller_state_kept():
            points, lines = _Grading(exercise, answer, seed).report()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        points, lines = 0, [
            f"{exercise.name}: could not be checked. If your answer is an ordinary function, "
            "this is a fault of the check: please report it.",
            f"  {told(error)}",
        ]  # fmt: skip
    return Report(exercise.name, points, exercise.of, tuple(lines))


class _Grading(Runner):
    """One answer to one exercise."""

    def report(self) -> tuple[int, list[str]]:
        if self.answer is None or self.answer is Ellipsis:
            return 0, [self._unanswered()]
        if not callable(self.answer):
            function = self.exercise.call_as.split("(")[0]
            return 0, [
                self._head(0) + ", so far",
                f"  came: {form(self.answer)}; expected: the function itself, without brackets, as "
                f'in check("{self.exercise.name}", {function})',
            ]
        outcomes = []
        for n, inputs in enumerate(self.drawn):
            outcomes.append(self.measured(RESULT, self.answer, n, inputs))
            if outcomes[-1].error is not None:
                break
        if _left_open(outcomes[0]):
            return 0, [self._unanswered()]
        lines = self._gate(outcomes)
        points, lines = (0, lines) if lines else self._scored()
        return points, [*lines, *self._notes(points, outcomes)]

    # The gate: the type and the shape of every result

    def _gate(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Nothing if every result has the right form, else the lines of the report."""
        for n, (outcome, inputs) in enumerate(zip(outcomes, self.drawn)):
            reason = None if outcome.error is None else _reason(outcome.error)
            if reason is None and self.exercise.gate is not None:
                gate, value = self.exercise.gate, outcome.value
                verdict = attempt(lambda *c, v=value: gate(v, *c), *inputs, seed=self.seed + n)  # noqa: B023
                reason = None if verdict.error is None else _reason(verdict.error)
            elif reason is None:
                right = self.right(RESULT, n, inputs)
                try:
                    fitted(outcome.value, right)
                except Misfit as misfit:
                    return self._wrong_form(outcomes, n, right, str(misfit))
            if reason is not None:
                return [self._head(0) + ", so far", f"  {reason}", self._called(inputs)]
        return []

    def _wrong_form(self, outcomes: Sequence[Outcome], n: int, right: Any, guess: str) -> list[str]:
        hint = None
        if all(each.error is None for each in outcomes):
            hint = self.cause(RESULT, self.drawn, [each.value for each in outcomes])
        hint = hint or guess
        return [
            self._head(0) + ", so far: the result has another form than it should, so its numbers "
            "are not looked at",
            f"  came: {form(outcomes[n].value)}",
            f"  expected: {self.exercise.returns}; here {form(right)}",
            self._called(self.drawn[n]),
            *([f"      Hint: {hint}"] if hint else []),
        ]

    # The properties, one by one

    def _scored(self) -> tuple[int, list[str]]:
        asked = self.exercise.properties
        hints = [self._hint(each, place) for place, each in enumerate(asked, start=1)]
        main = [hint for each, hint in zip(asked, hints) if each.points and not each.hygiene]
        counted = None in main or not main
        points, lines, before = 0, [], set()
        for each, hint in zip(asked, hints):
            if not each.points:
                if hint is not None and counted:
                    lines.append(f"  Remark, no points lost: not so that {each.text}. {hint}")
            elif hint is not None:
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
        """None if the property holds, else what is said of it."""
        if self.slow:
            return "not tried, since a call before did not end"
        cases = self.drawn if each.inputs is None else self.draw(each.inputs, place)
        got, most, says = [], 0.0, ""
        for n, inputs in enumerate(cases):
            outcome = self.measured(each, self.answer, n, inputs)
            if outcome.error is not None:
                self.slow = isinstance(outcome.error, TooSlow)
                where = "" if isinstance(outcome.error, Unmet) else f" ({self._where(inputs)})."
                return _reason(outcome.error) + where
            got.append(outcome.value)
            off, text = excess(got[n], self.right(each, n, inputs), each.rtol, each.atol)
            if off > max(most, 1):
                most, says = off, f"{text} ({self._where(inputs)})."
        return (self.cause(each, cases, got) or says) if says else None

    # Words

    def _unanswered(self) -> str:
        start = f"{self.exercise.name}: not answered yet."
        if self.exercise.inputs is None:
            return f"{start} Expected: {self.exercise.returns}. Put it in and run this cell again."
        return (
            f"{start} {self.exercise.call_as} should return {self.exercise.returns}. Write it, "
            "end it with `return`, and run this cell again."
        )

    def _head(self, points: int) -> str:
        return f"{self.exercise.name}: {points} of {self.exercise.of} points"

    def _called(self, inputs: Case) -> str:
        given = f" with {self._listed(inputs)}" if inputs else ""
        return f"  called as {self.exercise.call_as}{given}"

    def _notes(self, points: int, outcomes: Sequence[Outcome]) -> list[str]:
        """What costs no points, but should be known."""
        names = attempt(lambda: foreign_values(self.answer), seed=0).value
        notes = []
        if points < self.exercise.of and self.exercise.inputs is not None and names:
            listed = ", ".join(f"`{name}`" for name in names)
            notes.append(
                f"  Note: {listed} from outside the function. It costs nothing; but do the numbers "
                "belong to these inputs?"
            )
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
    return str(error) if isinstance(error, Unmet) else told(error)


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, (bool, int, float, str)):
        return f"= {value!r}"
    return f"a {type(value).__name__}" if isinstance(value, nn.Module) else type(value).__name__
