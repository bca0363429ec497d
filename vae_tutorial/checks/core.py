"""What an exercise is made of: the parts that the modules `chapter_01` … are written with.

An exercise has inputs that are drawn afresh at every check, a right answer, and properties worth
points. Where a property fails, the check looks for the cause. Most causes need not be listed: the
general search tries factors and constants made of the sizes (−1, ½, 2, D, log K, …), functions of
the right result, exchanged and unused arguments, and mutants of the right answer: its source with
a term, a factor, a function or a line left out, a sign turned round, a mean for a sum, another axis
or another name. `slips` give a hint of their own to the typical ones. A complete example::

    import torch
    from vae_tutorial.checks.core import Exercise, Property, gradient, keeps_inputs

    def draw(rng):                               # a list of cases; a case is a tuple of arguments
        return [(torch.randn(B, D, generator=rng),) for B, D in [(5, 3), (1, 4), (6, 1)]]

    def square_length(x):                        # the right answer; it gets double precision
        return x.square().sum(-1)

    EXERCISES = (
        Exercise(
            name="square-length",                # unique in the book: check("square-length", f)
            call_as="square_length(x)",          # how the answer is called
            returns="one number for each row, (B,)",
            inputs=draw,
            answer=square_length,
            sizes=lambda x: {"B": len(x), "D": x.shape[1]},
            properties=(
                Property("the square length of each row", 4),
                keeps_inputs(),                  # its arguments are afterwards what they were
                gradient(),                      # worth no points: a remark
            ),
            slips=((".square()", ".abs()", "These are absolute values, not squares."),),
        ),
    )

How an answer is checked:

1. *Answered?* `None`, `...` and `NotImplementedError` mean: not answered yet.
2. *The gate.* The answer is called on every case, and must return what the right answer returns:
   tensors, arrays or lists of the same shape; numbers; tuples, or tensors stacked of their parts;
   dictionaries. Else it scores nothing, and the report says what came, what was expected, and why.
   `Exercise.gate(result, *inputs)` replaces this comparison; it raises `Unmet("what is wrong")`.
3. *The properties.* For each case, `measure(answer, *inputs)` is compared with
   `measure(right answer, *inputs)`. Without `measure` that is the answer's result. More forms:

   - another quantity: `Property("symmetric", 2, measure=lambda f, p, q: f(p, q) - f(q, p))`;
   - a known value: `expected=0.0`, or a function of the inputs;
   - a rule: `measure` raises `Unmet("hint")` where it is broken, and returns True else, with
     `expected=True`;
   - inputs of its own: `inputs=…`;
   - a tolerance of its own: right is `|got − expected| <= atol + rtol · |expected|`;
   - no points: a remark, which costs nothing and is shown where it does not hold.

4. *The hint* is the first that explains the results in all cases: a slip, a `Suspect` (an answer
   with a mistake that is no slip), the general search; else the largest deviation is told.

Where an answer is yes or no, each property holds cases of both kinds, so that who always says the
same earns nothing; `tests/test_guessing.py` allows half of the points to a constant.

Whatever costs points has to stand in the text of the exercise. All answers are called in the same
way: on copies of the inputs, with all random numbers seeded alike for the same case, and for at
most `limit.SECONDS` each. The caller's random state is put back. What the student's code raises or
prints is caught. An exercise whose answer is a value has no inputs:
`Exercise("knee", "knee", "a whole number", lambda: 6, …, suspects=(Suspect(5, "…"),))`.

Fresh answers for the tests stand in `tests/right_answers` and `tests/wrong_answers`; write them as
a student would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vae_tutorial.checks.measures import Unmet, gradients, unchanged_inputs

__all__ = [
    "Exercise",
    "Property",
    "Suspect",
    "Unmet",
    "gradient",
    "gradients",
    "keeps_inputs",
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
    rtol: float = 1e-4
    atol: float = 1e-5
    hygiene: bool = False  # counts only where some other property holds


@dataclass(frozen=True)
class Exercise:
    """One exercise; the module's docstring has a complete example."""

    name: str
    call_as: str
    returns: str
    answer: Callable[..., Any]
    properties: tuple[Property, ...]
    inputs: Draw | None = None
    slips: tuple[tuple[str, str, str], ...] = ()  # old and new source of the answer, and a hint
    suspects: tuple[Suspect, ...] = ()
    sizes: Callable[..., dict[str, float]] | None = None  # by name, for the general search
    gate: Callable[..., None] | None = None

    @property
    def of(self) -> int:
        """The points of all properties."""
        return sum(each.points for each in self.properties)


def gradient(points: int = 0, text: str = "gradients reach its inputs") -> Property:
    """The derivative of the result with respect to every input is that of the right answer.

    Worth no points unless the text of the exercise asks for gradients: numpy has none.
    """
    return Property(text, points, measure=gradients)


def keeps_inputs(points: int = 1) -> Property:
    """No argument is changed in place."""
    text = "its arguments stay what they were"
    return Property(text, points, measure=unchanged_inputs, expected=True, hygiene=True)
