"""Which values a function takes from the notebook around it: found in its code, not by running it.

A function that reads `x` or `model` from the notebook gives the right numbers today and wrong ones
after the next cell.
"""

from __future__ import annotations

import dis
import functools
import inspect
import math
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

HARMLESS = (
    types.ModuleType,
    type,
    types.GenericAlias,  # list[int]
    types.UnionType,  # int | None
    functools.partial,
    torch.dtype,
    torch.device,
)


def foreign_values(answer: Any) -> list[str]:
    """The names, in alphabetical order, of values that `answer` takes from around itself.

    Modules, functions, classes, builtins and constants of a library (`from math import pi`) are
    no such values. Functions of the same notebook that `answer` calls are searched too, and so are
    functions inside it, its methods where it is a class or an object, and what a partial holds.
    """
    found: set[str] = set()
    _search(answer, found, set())
    return sorted(found)


def _search(value: Any, found: set[str], seen: set[int], home: str | None = None) -> None:
    """Adds to `found`; of what `value` calls, it goes into the functions of the module `home`."""
    for function in _functions(value):
        if id(function.__code__) in seen or (home and function.__module__ != home):
            continue
        seen.add(id(function.__code__))
        for name, each in _outer(function):
            if _harmless(name, each):
                _search(each, found, seen, function.__module__)
            else:
                found.add(name)


def _functions(value: Any) -> Iterator[types.FunctionType]:
    """The Python functions that a call of `value` may run: itself, its methods, what it wraps."""
    while isinstance(value, functools.partial):
        value = value.func
    value = inspect.unwrap(value) if callable(value) else value
    value = getattr(value, "__func__", value)  # of a bound method
    if isinstance(value, types.FunctionType):
        yield value
        return
    owner = value if isinstance(value, type) else type(value)
    if owner.__module__.split(".")[0] in ("torch", "numpy", "builtins", "vae_tutorial"):
        return
    for each in vars(owner).values():
        each = getattr(each, "__func__", getattr(each, "fget", each))  # class methods, properties
        if isinstance(each, types.FunctionType):
            yield each
    for base in owner.__bases__:
        yield from _functions(base)


def _outer(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Names that the function reads from outside, with their values, where they have one."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or ())
    for name, cell in cells:
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            continue
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _global_names(code: types.CodeType) -> set[str]:
    """The names that the code looks up, or writes, outside: a class's body has `LOAD_NAME`."""
    names = {
        each.argval
        for each in dis.get_instructions(code)
        if "GLOBAL" in each.opname or each.opname == "LOAD_NAME"
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):  # a function, lambda or comprehension inside
            names |= _global_names(constant)
    return names


def _harmless(name: str, value: Any) -> bool:
    """A function is; a model or another object that can be called is a value all the same."""
    return (
        isinstance(value, HARMLESS)
        or inspect.isroutine(value)
        or type(value).__module__ == "typing"
        or name.startswith("__")  # `__name__`, which a class's body reads
        or any(getattr(library, name, None) is value for library in (math, np, torch))  # `pi`
    )
