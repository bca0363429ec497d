"""What an exercise is made of: the parts that the modules `chapter_01` … are written with.

An exercise has inputs that are drawn afresh at every check, an oracle (a right answer that was
found in another way than the solution finds it), properties worth points, and suspects:
answers with a typical mistake, each with the hint that names it. Where a property fails, the
suspects are run on the same inputs, and the hint is that of the suspect whose results are the
student's. A chapter's module is a tuple `EXERCISES`; nothing else has to be registered. A
complete one::

    import torch
    from vae_tutorial.checks.core import Exercise, Property, Suspect, gradient
    from vae_tutorial.checks.core import keeps_inputs, only_arguments

    def draw(rng):                               # a list of cases; a case is a tuple of arguments
        return [(torch.randn(B, D, generator=rng),) for B, D in [(5, 3), (1, 4), (6, 1)]]

    def oracle(x):                               # takes what the answer takes
        return torch.linalg.vector_norm(x.double(), dim=-1).square()

    EXERCISES = (
        Exercise(
            name="square-length",                # unique in the book: check("square-length", f)
            call_as="square_length(x)",          # how the answer is called
            returns="one number for each row, (B,)",
            inputs=draw,
            oracle=oracle,
            properties=(
                Property("the square length of each row", 4),
                gradient(2),                     # the derivative with respect to every input
                keeps_inputs(1),                 # its arguments are afterwards what they were
                only_arguments(1),               # no values out of the notebook, as `x` or `model`
            ),
            suspects=(
                Suspect(lambda x: x.square().sum(), "That is one number for the whole batch. …"),
                Suspect(lambda x: x.square().mean(-1), "You took the mean over the row. …"),
                Suspect(lambda x: x.square().sum(-1).sqrt(), "That is the length, not its …"),
            ),
        ),
    )

How an answer is checked:

1. *Answered?* `None`, `...` and `NotImplementedError` mean: not answered yet.
2. *The gate.* The answer is called on every case. It must return what the oracle returns, in type
   and shape: tensors as tensors `(B,)`, numbers as numbers, tuples and dictionaries part by part.
   Else it scores nothing, and the report says what came, what was expected, and a guess why: the
   hint of a suspect that returns the same (so list suspects of a wrong shape too), or one from the
   shape alone. `Exercise.gate(result, *inputs)` replaces the comparison with the oracle; it
   raises `Unmet("what is wrong")`.
3. *The properties.* For each case, `measure(answer, *inputs)` is compared with
   `measure(oracle, *inputs)`. Without `measure` that is the answer's result itself. More forms:

   - another quantity: `Property("symmetric", 2, measure=lambda f, p, q: f(p, q) - f(q, p))`;
   - a known value: `Property(…, measure=…, expected=0.0)`, or a function of the inputs;
   - an estimate: `expected=lambda mu, logvar: Within(mu, 5 * error)`, right within that distance,
     for each entry; suspects are matched within it too. An oracle may return `Within` as well;
   - a rule: `measure` raises `Unmet("hint")` where it is broken, returns True else, and
     `expected=True`;
   - inputs of its own: `inputs=…`; suspects of its own: `suspects=…`, tried first;
   - a tolerance of its own: right is `|got − expected| <= atol + rtol · |expected|`;
   - `explain(got, expected, names) -> str | None`: a hint from the numbers of one case, `names`
     being those of the arguments. Suspects come before it.

   With no suspect matched, the hint tells the largest deviation, and says so where all results are
   a constant multiple of the right ones, or off by a constant.

Answers, oracles and suspects are called in the same way: on copies of the inputs (tensors,
arrays, modules, and containers of them), with torch's, numpy's and Python's random numbers seeded
alike for the same case, so that two functions that draw the same noise in the same order get the
same noise. The caller's random state is put back. Anything the student's code raises, exits with or
prints is caught (`KeyboardInterrupt` is not).

Answers that are no functions:

- a number or a tensor: leave `inputs` out; the oracle is a function without arguments, suspects
  are values: `Exercise("knee", "knee", "a whole number", oracle=lambda: 6, …,
  suspects=(Suspect(5, "…"),))`;
- a class or a model: `call=lambda cls, x: cls(2).fit(x).transform(x)` says how the answer is used;
  suspects and oracle are used in the same way. `measure` gets the class itself, unless the property
  has `through_call=True`, as those above have.

Wrong answers for the tests stand in `tests/wrong_answers/chapter_0N.py`; its package's docstring
says how. They are not the suspects copied: write them as a student would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vae_tutorial.checks.compare import Within
from vae_tutorial.checks.measures import (
    Unmet,
    explain_gradient,
    gradients,
    no_foreign_values,
    unchanged_inputs,
)

__all__ = [
    "Exercise",
    "Property",
    "Suspect",
    "Unmet",
    "Within",
    "gradient",
    "gradients",
    "keeps_inputs",
    "only_arguments",
]

Case = tuple[Any, ...]
Draw = Callable[[torch.Generator], Sequence[Case]]


@dataclass(frozen=True)
class Suspect:
    """A typical mistake: an answer that makes it, and the hint that names it."""

    answer: Any
    hint: str


@dataclass(frozen=True)
class Property:
    """Something that a right answer has, worth `points`. The module's docstring has the forms."""

    text: str
    points: int
    measure: Callable[..., Any] | None = None
    expected: Any = None
    inputs: Draw | None = None
    suspects: tuple[Suspect, ...] = ()
    explain: Callable[[Any, Any, Sequence[str]], str | None] | None = None
    rtol: float = 1e-4
    atol: float = 1e-5
    through_call: bool = False  # `measure` gets the answer as `Exercise.call` uses it
    hygiene: bool = False  # counts only where some other property holds


@dataclass(frozen=True)
class Exercise:
    """One exercise; the module's docstring has a complete example."""

    name: str
    call_as: str
    returns: str
    oracle: Callable[..., Any]
    properties: tuple[Property, ...]
    inputs: Draw | None = None
    suspects: tuple[Suspect, ...] = ()
    call: Callable[..., Any] | None = None
    gate: Callable[..., None] | None = None

    @property
    def of(self) -> int:
        """The points of all properties."""
        return sum(each.points for each in self.properties)


def gradient(points: int, text: str = "the gradient reaches its inputs", **more: Any) -> Property:
    """The derivative of the result with respect to every input agrees with the oracle's."""
    more = {"explain": explain_gradient, "through_call": True} | more
    return Property(text, points, measure=gradients, **more)


def keeps_inputs(points: int, text: str = "its inputs stay what they were") -> Property:
    """No argument is changed in place."""
    return Property(
        text, points, measure=unchanged_inputs, expected=True, through_call=True, hygiene=True
    )


def only_arguments(points: int, text: str = "it uses its arguments alone") -> Property:
    """Nothing is used but the arguments, and modules, functions and classes.

    Without this property, values out of the notebook give a warning and cost nothing.
    """
    return Property(text, points, measure=no_foreign_values, expected=True, hygiene=True)
