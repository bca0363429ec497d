"""Comparing results: their form (types and shapes), their numbers, and the words for both."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Within:
    """A value that is known up to `error`: a number, or one for each entry."""

    value: Any
    error: Any


@dataclass(frozen=True)
class Deviation:
    """The worst entry of a comparison: where it stands, and the two numbers."""

    place: str
    got: float
    expected: float
    size: float  # in units of the allowed error, where there is one


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit: tensors, arrays, modules and containers of them; NaN equals NaN."""
    if isinstance(a, nn.Module):
        return same(a.state_dict(), b.state_dict())
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (Tensor, np.ndarray)):
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
    return True  # functions and other values are handed over as they are


def form(value: Any) -> str:
    """What a value is, in words: `a tensor of shape (5, 3)`."""
    if isinstance(value, Within):
        return form(value.value)
    if isinstance(value, Tensor):
        kind = "" if value.is_floating_point() else f" of {str(value.dtype).split('.')[-1]}"
        shape = f"shape {tuple(value.shape)}" if value.ndim else "shape (), which is one number"
        where = "" if value.device.type == "cpu" else f" on the device {value.device}"
        return f"a tensor{kind} of {shape}{where}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    if isinstance(value, (tuple, list)):
        return f"{len(value)} values: " + "; ".join(map(form, value)) if value else "no values, ()"
    if isinstance(value, dict):
        return "a dictionary: " + "; ".join(f"{key!r}: {form(v)}" for key, v in value.items())
    if isinstance(value, numbers.Number):
        return f"a number, {value!r}" if isinstance(value, bool) else "a number"
    return "None" if value is None else f"an object of type {type(value).__name__}"


def form_fits(got: Any, expected: Any) -> bool:
    """Whether `got` has the type and shape of `expected`; a number may be a tensor `()`."""
    if isinstance(expected, Within):
        expected = expected.value
    if isinstance(expected, Tensor):
        return (
            isinstance(got, Tensor)
            and got.device == expected.device
            and got.shape == expected.shape
            and (got.is_floating_point() or not expected.is_floating_point())
        )
    if isinstance(expected, (np.ndarray, numbers.Number)):
        shape = np.shape(expected)
        if isinstance(got, (Tensor, np.ndarray, np.generic)):
            return tuple(got.shape) == shape and _holds_numbers(got)
        return shape == () and isinstance(got, numbers.Real)
    if isinstance(expected, (tuple, list)):
        return (
            isinstance(got, (tuple, list))
            and len(got) == len(expected)
            and all(map(form_fits, got, expected))
        )
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(
            key in got and form_fits(got[key], expected[key]) for key in expected
        )
    return expected is None or isinstance(got, type(expected))


def _holds_numbers(value: Tensor | np.ndarray | np.generic) -> bool:
    """Whether the entries are real numbers that can be read from here."""
    if isinstance(value, Tensor):
        return value.device.type == "cpu" and not value.is_complex()
    return value.dtype.kind in "biuf"  # booleans, whole numbers, fractions


def guess(got: Any, expected: Any) -> str | None:
    """Why a result may have the wrong form, from the forms alone."""
    expected = expected.value if isinstance(expected, Within) else expected
    if got is None:
        return "Nothing came back: look for a branch without `return`."
    if isinstance(got, np.ndarray) and isinstance(expected, Tensor):
        return (
            "A numpy array came. numpy computes no gradients: stay with torch's functions, and "
            "return a tensor."
        )
    if isinstance(expected, Tensor) and isinstance(got, (numbers.Number, Tensor)):
        shape = tuple(got.shape) if isinstance(got, Tensor) else ()
        if isinstance(got, Tensor) and got.device != expected.device:
            return (
                f"The result is on the device {got.device}, where the inputs are not. Make new "
                "tensors where the others are, as `torch.zeros_like(x)` and `x.new_zeros(3)` do."
            )
        if isinstance(got, Tensor) and shape == tuple(expected.shape):
            return f"The numbers are of type {got.dtype}, where fractions are expected."
        return _guess_shape(shape, tuple(expected.shape))
    if isinstance(expected, Tensor) and isinstance(got, (list, tuple)):
        return "Several values came, where one tensor is expected: torch.stack joins tensors."
    if isinstance(expected, dict) and isinstance(got, dict):
        missing = [key for key in expected if key not in got]
        return f"The dictionary lacks {', '.join(map(repr, missing))}." if missing else None
    return None


def _guess_shape(got: tuple[int, ...], expected: tuple[int, ...]) -> str | None:
    if got == ():
        return (
            "One number came for the whole batch: it was summed or averaged over the batch too, "
            "or over everything. Name the axis to reduce, as in `.sum(-1)`."
        )
    if [n for n in got if n != 1] == [n for n in expected if n != 1]:
        return "Axes of length 1 differ: look for `keepdim`, `unsqueeze`, `squeeze` and `None`."
    if got == expected[::-1]:
        return "The axes are the other way round."
    if got == expected + expected and max(got) > 1:
        return "Broadcasting has paired every row with every other: look for a lost `keepdim`."
    if len(got) > len(expected) and got[: len(expected)] == expected:
        return "The last axis is still there: it should be summed or averaged over."
    if len(got) < len(expected) and got == expected[len(expected) - len(got) :]:
        return "The first axis is gone: it was summed or averaged over, or taken apart."
    return None


def close(got: Any, expected: Any, rtol: float, atol: float) -> bool:
    """Whether the forms agree and every number is within the tolerance; NaN equals NaN."""
    if not form_fits(got, expected):
        return False
    for _, mine, right, error in leaves(got, expected):
        if isinstance(right, Tensor):
            allowed = atol + rtol * right.abs() if error is None else error
            near = ((mine - right).abs() <= allowed) & right.isfinite()
            if not bool((near | (mine == right) | (mine.isnan() & right.isnan())).all()):
                return False
        elif not bool(mine == right):
            return False
    return True


def leaves(got: Any, expected: Any, place: str = "") -> Iterator[tuple[str, Any, Any, Any]]:
    """Pairs of numbers, in double precision, that belong together: place, got, expected, error."""
    error = None
    if isinstance(expected, Within):
        expected, error = expected.value, torch.as_tensor(expected.error).double()
    if isinstance(expected, (tuple, list)):
        for n, (mine, right) in enumerate(zip(got, expected)):
            yield from leaves(mine, right, f"{place}[{n}]")
    elif isinstance(expected, dict):
        for key, right in expected.items():
            yield from leaves(got[key], right, f"{place}[{key!r}]")
    elif isinstance(expected, (Tensor, np.ndarray, numbers.Number)):
        yield place, _double(got), _double(expected), error
    elif expected is not None:
        yield place, got, expected, None


def _double(value: Any) -> Tensor:
    """A number or an array as a tensor of double precision; what is too large is infinite."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        return torch.as_tensor(value).detach().double()
    try:
        return torch.tensor(float(value), dtype=torch.float64)
    except OverflowError:
        return torch.tensor(math.inf, dtype=torch.float64)


def with_error_of(value: Any, expected: Any) -> Any:
    """`value` with the errors that the right results are known up to, wherever they have one."""
    if isinstance(expected, Within):
        return Within(value.value if isinstance(value, Within) else value, expected.error)
    if isinstance(expected, tuple) and isinstance(value, tuple) and len(value) == len(expected):
        return tuple(map(with_error_of, value, expected))
    if isinstance(expected, dict) and isinstance(value, dict):
        return {key: with_error_of(value[key], expected.get(key)) for key in value}
    return value


def worst(got: Any, expected: Any) -> Deviation | None:
    """The entry that is furthest off, in units of its allowed error where it has one."""
    found, most = None, -1.0
    for place, mine, right, error in leaves(got, expected):
        if not isinstance(right, Tensor) or not right.numel():
            continue
        off = (mine - right).abs() / (1.0 if error is None else error)
        off = torch.where(mine == right, 0.0, off.nan_to_num(math.inf)).flatten()
        n = int(off.argmax())
        if float(off[n]) > most:
            most = float(off[n])
            index = [int(i) for i in np.unravel_index(n, right.shape)] if right.ndim else []
            where = place + "".join(f"[{i}]" for i in index)
            found = Deviation(where, float(mine.flatten()[n]), float(right.flatten()[n]), most)
    return found


def pattern(got: Sequence[Any], expected: Sequence[Any]) -> str | None:
    """What a list of results has in common against the right ones: a factor, a constant, NaN."""
    pairs = [(a, b) for g, e in zip(got, expected) for _, a, b, _ in leaves(g, e)]
    pairs = [(a.flatten(), b.flatten()) for a, b in pairs if isinstance(b, Tensor)]
    if not pairs:
        return None
    mine, right = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    if bool((mine.isnan() & ~right.isnan()).any()):
        return "Some of the results are NaN: a logarithm or root of a negative number, or 0/0."
    if not bool(mine.isfinite().all()):
        return "Some of the results are infinite: an exponential too large, or a division by 0."
    if mine.numel() < 3 or float(right.std()) < 1e-6:
        return None
    factor = float((mine * right).sum() / right.square().sum())
    far = abs(factor) > 1e-6 and abs(factor - 1) > 0.01  # else it is no factor, but rounding
    if far and torch.allclose(mine, factor * right, rtol=1e-3, atol=1e-6):
        return f"All results are {factor:.4g} times what they should be."
    shift = float((mine - right).mean())
    if torch.allclose(mine - right, torch.full_like(mine, shift), rtol=1e-3, atol=1e-5):
        return f"All results are {abs(shift):.4g} too {'large' if shift > 0 else 'small'}."
    return None
