"""The general search for the cause of a wrong result: slips that any formula allows.

Candidates are tried on all cases at once, whose sizes differ: a factor that is D in each of them is
no accident. What is looked for: a factor or a constant made of sizes, a function of the right
result, arguments that are exchanged, transposed, scaled or unused, and the mutants of the right
answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.compare import close, doubles, flat
from vae_tutorial.checks.mutants import mutants

LOOSE = 1e-3  # relative: results in single precision are recognised too
Answer = Callable[..., Any]


@dataclass(frozen=True)
class _Way:
    """A change of the right answer; two with one name are equal, so that it can be remembered."""

    name: Any
    answer: Answer = field(compare=False)

    def __call__(self, *case: Any) -> Any:
        return self.answer(*case)


@dataclass(frozen=True)
class Search:
    """What is known of a wrong result: the results of all cases, and how right ones are made.

    `measured(answer, case)` is what the property measures of an answer.
    """

    got: Sequence[Any]
    cases: Sequence[tuple[Any, ...]]
    right: Answer
    measured: Callable[[Answer, tuple[Any, ...]], Any]
    names: Sequence[str]  # of the arguments
    sizes: Sequence[dict[str, float]]  # one dictionary for each case
    mine: Answer

    def cause(self) -> str | None:
        """One or two sentences that name the cause, or None."""
        ways = (self._numbers, self._functions, self._arguments, self._mutants, self._unused)
        return next(filter(None, (way() for way in ways)), None)

    def made_by(self, answer: Answer) -> bool:
        """Whether an answer gives the student's results in every case, and not the right ones."""
        try:
            pairs = zip(self.got, self.cases)
            if not all(close(mine, self.measured(answer, case), LOOSE) for mine, case in pairs):
                return False
            return not all(
                close(self.measured(answer, case), self.measured(self.right, case), LOOSE)
                for case in self.cases
            )
        except Exception:  # a shape, or a type, for which it cannot be made
            return False

    def _numbers(self) -> str | None:
        """A factor or a constant."""
        try:
            pairs = [(flat(g), flat(self.measured(self.right, c))) for g, c in self._pairs()]
            if any(mine.shape != right.shape for mine, right in pairs):
                return None
            factors = [float((a * b).sum() / b.square().sum()) for a, b in pairs]
            shifts = [float((a - b).mean()) for a, b in pairs]
            scaled = all(close(a, f * b, LOOSE) for (a, b), f in zip(pairs, factors))
            moved = all(close(a, b + s, LOOSE) for (a, b), s in zip(pairs, shifts))
        except Exception:
            return None
        if sum(len(b) for _, b in pairs) < 3 or max(abs(s) for s in shifts) < 1e-4:
            return None
        scales = [_scales(each) for each in self.sizes]
        if scaled and max(abs(f - 1) for f in factors) > 0.01:
            if all(abs(f + 1) < LOOSE for f in factors):
                return "All results are minus what they should be: the sign is wrong."
            if name := _named(factors, scales):
                return f"All results are {name} times what they should be."
        logs = [each | _logs(each, sizes) for each, sizes in zip(scales, self.sizes)]
        if moved and (name := _named([abs(s) for s in shifts], logs)):
            return f"All results are too {'large' if shifts[0] > 0 else 'small'} by {name}."
        return None

    def _pairs(self) -> Iterator[tuple[Any, tuple[Any, ...]]]:
        return zip(self.got, self.cases)

    def _functions(self) -> str | None:
        for name, function in _FUNCTIONS.items():
            way = lambda *case, f=function: f(doubles(self.right(*case)))  # noqa: E731
            if self.made_by(_Way(name, way)):
                return f"These are {name} the right results."
        return None

    def _arguments(self) -> str | None:
        """Right for other arguments: exchanged, transposed, scaled."""
        count, right = len(self.names), self.right
        half = count // 2
        turned = _Way("turned", lambda *c: right(*c[half:], *c[:half]))
        if count == 2 * half > 2 and self.made_by(turned):
            first, second = (
                " and ".join(f"`{n}`" for n in self.names[i : i + half]) for i in (0, half)
            )
            return f"You have it the other way round: {first} stand where {second} belong."
        for a, b in itertools.combinations(range(count), 2):
            order = [{a: b, b: a}.get(n, n) for n in range(count)]
            if self.made_by(_Way((a, b), lambda *case, o=order: right(*(case[n] for n in o)))):
                return f"`{self.names[a]}` and `{self.names[b]}` are exchanged."
        if self.made_by(_Way("transposed", lambda *case: right(*map(_transposed, case)))):
            return "Rows and columns are exchanged: look at the axis over which you sum or average."
        for chosen, listed in self._scalable():
            for factor, hint in _SCALED.items():
                if "variance" in hint and "logvar" not in listed:
                    continue
                scaled = lambda *case, s=chosen, f=factor: right(  # noqa: E731
                    *(f * each if n in s else each for n, each in enumerate(case))
                )
                if self.made_by(_Way((listed, factor), scaled)):
                    return hint.format(listed)
        return None

    def _scalable(self) -> list[tuple[set[int], str]]:
        """Arguments to scale: each tensor of fractions, and all log-variances together."""
        floats = [n for n, x in enumerate(self.cases[0]) if _is_float(x)]
        logs = [n for n in floats if "logvar" in self.names[n]]
        groups = [[n] for n in floats] + ([logs] if len(logs) > 1 else [])
        return [(set(g), " and ".join(f"`{self.names[n]}`" for n in g)) for g in groups]

    def _mutants(self) -> str | None:
        return next((hint for hint, each in mutants(self.right) if self.made_by(each)), None)

    def _unused(self) -> str | None:
        """Arguments that make no difference to the student's result, though they should."""
        unused = []
        for n, name in enumerate(self.names):
            moved = [(*case[:n], _moved(case[n]), *case[n + 1 :]) for case in self.cases]
            if any(case[n] is new[n] for case, new in zip(self.cases, moved)):
                continue
            if self._unmoved(self.mine, moved) and not self._unmoved(self.right, moved):
                unused.append(f"`{name}`")
        return f"Your result does not depend on {' and '.join(unused)}." if unused else None

    def _unmoved(self, answer: Answer, moved: Sequence[tuple[Any, ...]]) -> bool:
        """Whether an answer gives the same for the moved inputs in every case."""
        measured = self.measured
        return all(
            close(measured(answer, a), measured(answer, b)) for a, b in zip(moved, self.cases)
        )


_FUNCTIONS = {
    "the exponential of": torch.exp,
    "the logarithm of": torch.log,
    "the root of": torch.sqrt,
    "the square of": torch.square,
    "1 divided by": torch.reciprocal,
    "1 minus": lambda x: 1 - x,
    "the absolute value of": torch.abs,
    "the sum over the whole batch of": torch.sum,
    "the mean over the whole batch of": torch.mean,
}
_SCALED = {
    2.0: "You took log σ for log σ²: {0} is the logarithm of the variance, so that its exponential "
    "is σ² already, and not σ.",
    0.5: "You put the standard deviation where the variance belongs: σ² is the exponential of {0}, "
    "and not its root.",
    -1.0: "The sign of {0} is turned round.",
}


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


def _transposed(x: Any) -> Any:
    return x.T.contiguous() if isinstance(x, Tensor) and x.ndim == 2 else x


def _moved(x: Any) -> Any:
    """Another value of the same kind, or the same thing where that makes no sense."""
    if _is_float(x):
        return 0.9 * x + 0.05 * torch.arange(1.0, x.numel() + 1).view(x.shape).to(x)
    return 0.9 * x if isinstance(x, float) else x


# Numbers made of sizes, and their names


def _scales(sizes: dict[str, float]) -> dict[str, float]:
    """1, the sizes, sizes less one, their roots, inverses, products and quotients, and units."""
    found = {"1": 1.0}
    for name, value in sizes.items():
        less = {f"({name} − 1)": value - 1} if value > 1.5 else {}
        bases = {name: value, **less}
        found |= bases | {f"1/{n}": 1 / v for n, v in bases.items()}
        found |= {f"√{n}": v**0.5 for n, v in bases.items()}
        found |= {f"1/√{n}": v**-0.5 for n, v in bases.items()}
        for (a, x), (b, y) in itertools.permutations(bases.items(), 2):
            found |= {f"{a}/{b}": x / y, f"√({a}/{b})": (x / y) ** 0.5}
            found |= {f"√{a}/{b}": x**0.5 / y, f"{a}/√{b}": x / y**0.5}
    for (a, x), (b, y) in itertools.permutations(sizes.items(), 2):
        found |= {f"{a}·{b}": x * y, f"1/({a}·{b})": 1 / (x * y), f"{a}/{b}": x / y}
    return found | _UNITS


_UNITS = {
    "log 2": math.log(2),
    "1/log 2": 1 / math.log(2),
    "log 2/log 10": math.log10(2),
    "log² 2": math.log(2) ** 2,
}


def _logs(scales: dict[str, float], sizes: dict[str, float]) -> dict[str, float]:
    """Logarithms of 2, 2π and the sizes, once and times a size."""
    found = {f"log {name}": math.log(value) for name, value in sizes.items() if value > 0}
    found |= {"log 2": math.log(2), "½ · log 2π": 0.5 * math.log(2 * math.pi)}
    return found | {f"{n}·{log}": v * x for n, v in sizes.items() for log, x in found.items()}


def _named(numbers: Sequence[float], tables: Sequence[dict[str, float]]) -> str | None:
    """A name for numbers, one of each case: a simple multiple of a scale; or the number itself.

    A size that is the same in all cases names nothing.
    """
    for name in tables[0]:
        values = [table.get(name, math.nan) for table in tables]
        same = len(set(values)) == 1
        if not all(values) or (same and name != "1" and name not in _UNITS):
            continue
        ratio = numbers[0] / values[0]
        near = round(2 * ratio) / 2
        simple = near and abs(near) <= 4 and abs(ratio - near) < 2e-3
        if simple and all(abs(n / v / ratio - 1) < 2e-3 for n, v in zip(numbers, values)):
            return _times(near, name)
    one = all(abs(n / numbers[0] - 1) < LOOSE for n in numbers if numbers[0])
    return f"{numbers[0]:.4g}" if one and numbers[0] else None


def _times(number: float, name: str) -> str:
    text = {0.5: "½", 1.5: "1½", 2.5: "2½"}.get(abs(number), f"{abs(number):g}")
    text = ("−" if number < 0 else "") + text
    return text if name == "1" else name if text == "1" else f"{text} · {name}"
