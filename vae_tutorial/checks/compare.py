"""Comparing results: their form (types and shapes), their numbers, and the words for both.

Every result that holds the right numbers in the right arrangement counts: tensors, arrays and
lists, in any precision; a tuple may come as one stacked tensor, and a number as a tensor of one.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Misfit(Exception):  # noqa: N818 - a verdict, no error
    """A result has another form than it should; the text is a guess why, and may be empty."""


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
    if isinstance(value, Tensor):
        kind = "" if value.is_floating_point() else f" of {str(value.dtype).split('.')[-1]}"
        shape = f"shape {tuple(value.shape)}" if value.ndim else "shape (), which is one number"
        where = "" if value.device.type == "cpu" else f" on the device {value.device}"
        return f"a tensor{kind} of {shape}{where}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    if isinstance(value, (tuple, list)):
        return f"{len(value)} values: " + "; ".join(map(form, value[:6])) if value else "no values"
    if isinstance(value, dict):
        return "a dictionary: " + "; ".join(f"{key!r}: {form(v)}" for key, v in value.items())
    if isinstance(value, numbers.Number):
        return "a number"
    return "None" if value is None else f"an object of type {type(value).__name__}"


def fitted(got: Any, like: Any) -> Any:
    """The numbers of `got`, in double precision and in the form of `like`, or raises `Misfit`."""
    if got is None:
        raise Misfit("Nothing came back: look for a branch without `return`.")
    if isinstance(like, dict):
        if not isinstance(got, dict):
            raise Misfit("")
        if missing := [key for key in like if key not in got]:
            raise Misfit(f"The dictionary lacks {', '.join(map(repr, missing))}.")
        return {key: fitted(got[key], each) for key, each in like.items()}
    if isinstance(like, (tuple, list)):
        parts = list(got) if isinstance(got, (Tensor, np.ndarray)) and np.ndim(got) else got
        if not isinstance(parts, (tuple, list)) or len(parts) != len(like):
            raise Misfit(f"{len(like)} results are expected, in a tuple.")
        return tuple(map(fitted, parts, like))
    if isinstance(like, bool) or not isinstance(like, (Tensor, np.ndarray, numbers.Number)):
        return got
    mine, wanted = doubles(got), doubles(like)
    if not wanted.ndim and mine.numel() == 1:
        return mine.reshape(())
    if mine.shape != wanted.shape:
        raise Misfit(_guess(tuple(mine.shape), tuple(wanted.shape)))
    return mine


def doubles(value: Any, depth: int = 0) -> Tensor:
    """A tensor, an array, a number, or a list of such, in double precision on the CPU."""
    if isinstance(value, Tensor):
        if value.is_meta or value.is_complex() or value.is_quantized:
            raise Misfit("The result is on the device `meta`, complex or quantised.")
        return value.detach().cpu().double()
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
        return torch.from_numpy(np.array(value, dtype=np.float64))
    if isinstance(value, numbers.Real):
        try:
            return torch.tensor(float(value), dtype=torch.float64)
        except OverflowError:
            return torch.tensor(math.inf, dtype=torch.float64)
    if isinstance(value, (tuple, list)) and value and depth < 5:
        parts = [doubles(each, depth + 1) for each in value]
        if all(each.shape == parts[0].shape for each in parts):
            return torch.stack(parts)
    raise Misfit("")


def flat(value: Any) -> Tensor:
    """All numbers of a result in a row."""
    if isinstance(value, (tuple, list)) and value and isinstance(value[0], (Tensor, tuple)):
        return torch.cat([flat(each) for each in value])
    return doubles(value).flatten()


def _guess(got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Why a shape may be wrong, from the shapes alone."""
    if got == ():
        return (
            "One number came for the whole batch: it was summed or averaged over the batch too, "
            "or over everything. Name the axis to reduce, as in `.sum(-1)`."
        )
    if [n for n in got if n != 1] == [n for n in wanted if n != 1]:
        return "Axes of length 1 differ: look for `keepdim`, `unsqueeze`, `squeeze` and `None`."
    if sorted(got) == sorted(wanted):
        return "The axes are in another order."
    if got == wanted + wanted and max(got) > 1:
        return "Broadcasting has paired every row with every other: look for a lost `keepdim`."
    if len(got) > len(wanted) and got[: len(wanted)] == wanted:
        return "The last axis is still there: it should be summed or averaged over."
    if len(got) < len(wanted) and got == wanted[len(wanted) - len(got) :]:
        return "The first axis is gone: it was summed or averaged over, or taken apart."
    return ""


def leaves(got: Any, expected: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Pairs of numbers that belong together, of a fitted result: place, got, expected."""
    if isinstance(expected, (tuple, list)):
        for n, (mine, right) in enumerate(zip(got, expected)):
            yield from leaves(mine, right, f"{place}[{n}]")
    elif isinstance(expected, dict):
        for key, right in expected.items():
            yield from leaves(got[key], right, f"{place}[{key!r}]")
    elif isinstance(expected, bool) or not isinstance(got, Tensor):
        yield place, got, expected
    else:
        yield place, got, doubles(expected)


def close(got: Any, expected: Any, rtol: float = 1e-4, atol: float = 1e-5) -> bool:
    """Whether the form fits and every number is within the tolerance; NaN equals NaN."""
    return not _apart(got, expected, rtol, atol) and excess(got, expected, rtol, atol)[0] <= 1


def _apart(got: Any, expected: Any, rtol: float, atol: float) -> bool:
    """Whether the first two numbers differ: what most comparisons in a search end with, quickly."""
    if isinstance(got, (tuple, list)) and isinstance(expected, (tuple, list)):
        return bool(got and expected) and _apart(got[0], expected[0], rtol, atol)
    for each in (got, expected):
        if not isinstance(each, Tensor) or each.dtype not in (torch.float32, torch.float64):
            return False
    if got.shape != expected.shape or not got.numel() or got.is_meta or expected.is_meta:
        return False
    mine, right = (each.detach().reshape(-1)[0].item() for each in (got, expected))
    return abs(mine - right) > 1.001 * (atol + rtol * abs(right))  # False where one is NaN


def excess(got: Any, expected: Any, rtol: float, atol: float) -> tuple[float, str]:
    """The largest deviation in units of what is allowed, and a sentence that says where it is."""
    try:
        pairs = list(leaves(fitted(got, expected), expected))
    except Misfit as misfit:
        return math.inf, f"{form(got)} came, expected {form(expected)}. {misfit}".rstrip()
    most, says = 0.0, ""
    for place, mine, right in pairs:
        if not isinstance(right, Tensor):
            off = torch.tensor([0.0 if bool(mine == right) else math.inf])
        else:
            off = (mine - right).abs() / (atol + rtol * right.abs() + 1e-300)
            equal = (mine == right) | (mine.isnan() & right.isnan())
            off = torch.where(equal, 0.0, off.nan_to_num(math.inf, math.inf)).flatten()
        if off.numel() and float(off.max()) > most:
            most, says = float(off.max()), "It does not hold"
            if isinstance(right, Tensor):
                where = np.unravel_index(int(off.argmax()), right.shape) if right.ndim else ()
                at = place + "".join(f"[{int(i)}]" for i in where)
                a, b = float(mine[tuple(where)]), float(right[tuple(where)])
                says = "The largest deviation" + (f" is at result{at}" if at else "")
                says += ": {} came, expected {}".format(*_distinct(a, b))
    return most, says


def _distinct(a: float, b: float) -> tuple[str, str]:
    """Two numbers with so many digits that they differ."""
    for digits in range(6, 17):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            break
    return f"{a:.{digits}g}", f"{b:.{digits}g}"
