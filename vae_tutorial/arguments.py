"""Arguments that are numbers, shapes or switches: as plain values, or refused by their name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor


def whole_number(name: str, value: int, least: int = 1) -> int:
    """`value` as an `int`; raises `ValueError` unless it is a whole number from `least`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def real_number(name: str, value: float, what: str = "finite", low: float = -math.inf) -> float:
    """`value` as a `float`; raises `ValueError` unless it is a finite number of at least `low`.

    A tensor or array without dimensions counts as a number. `what` is said of it in the message.
    """
    number: Any = value
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
        number = value.item()
    if isinstance(number, bool) or not isinstance(number, Real) or not low <= number < math.inf:
        raise ValueError(f"{name} must be a {what} number, got {value!r}")
    return float(number)


def positive_number(name: str, value: float) -> float:
    """`value` as a `float`; raises `ValueError` unless it is a finite number above 0."""
    return real_number(name, value, "positive", math.nextafter(0.0, 1.0))


def true_or_false(name: str, value: bool) -> bool:
    """`value`; raises `TypeError` unless it is `True` or `False`."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def whole_numbers(name: str, values: Sequence[int], example: str, least: int = 0) -> tuple:
    """`values` as a tuple; raises `TypeError` unless they list positive whole numbers, at least
    so many. `example` stands in the message."""
    listed = isinstance(values, (list, tuple)) and len(values) >= least
    if not listed or not all(type(v) is int and v > 0 for v in values):
        example = f"({values},)" if type(values) is int and least == 0 else example
        raise TypeError(f"{name} must list whole numbers, as in {example}, got {values!r}")
    return tuple(values)
