"""Which values a function takes from the notebook around it: found in its code, not by running it.

They cost nothing. But where an answer is wrong, a `K` out of the notebook is often the reason.
"""

from __future__ import annotations

import dis
import inspect
import math
import numbers
import types
from typing import Any

import numpy as np
from torch import Tensor, nn


def foreign_values(answer: Any) -> list[str]:
    """The names, in alphabetical order, of numbers, arrays, tensors and models from outside.

    Functions of the same notebook that `answer` calls are searched too, and functions inside it.
    """
    found: set[str] = set()
    _search(answer, found, set())
    return sorted(found)


def _search(value: Any, found: set[str], seen: set[types.CodeType]) -> None:
    function = inspect.unwrap(value) if callable(value) else value
    function = getattr(function, "func", getattr(function, "__func__", function))
    if not isinstance(function, types.FunctionType) or function.__code__ in seen:
        return
    seen.add(function.__code__)
    around = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    outside = {name: function.__globals__.get(name) for name in _read(function.__code__)}
    outside |= {name: _content(cell) for name, cell in around.items()}
    for name, each in outside.items():
        if each is getattr(math, name, None):
            continue  # `pi`
        if isinstance(each, (numbers.Number, np.ndarray, Tensor, nn.Module, list, dict)):
            found.add(name)
        elif getattr(each, "__module__", None) == function.__module__:
            _search(each, found, seen)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _read(code: types.CodeType) -> set[str]:
    """The names that the code, and functions inside it, look up outside."""
    inside = (_read(each) for each in code.co_consts if isinstance(each, types.CodeType))
    own = {each.argval for each in dis.get_instructions(code) if "GLOBAL" in each.opname}
    return own.union(*inside)
