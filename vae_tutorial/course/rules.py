"""What an answer may not do while it is graded: change torch, look into the grader, import answers.

Two nets. Before anything runs, the text of the answer is searched for what no exercise needs. While
it runs, other modules than those of mathematics are replaced, and after calls of the answer the
libraries are compared with what they were. Both are for the careless and the curious, not for
somebody who attacks the grader: both run in the same Python.
"""

from __future__ import annotations

import ast
import builtins
import operator
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

import vae_tutorial.checks

ALLOWED = {
    "torch", "numpy", "scipy", "math", "cmath", "random", "itertools", "functools", "collections",
    "dataclasses", "typing", "operator", "statistics", "fractions", "decimal", "abc", "enum",
    "string", "re", "copy", "time", "warnings", "contextlib", "numbers", "heapq", "bisect",
    "__future__",
}  # fmt: skip
FORBIDDEN = {
    "os", "sys", "builtins", "importlib", "inspect", "gc", "ctypes", "subprocess", "threading",
    "multiprocessing", "overrides", "library", "hub", "cpp_extension", "attrgetter", "methodcaller",
    "f_back", "f_globals", "f_locals", "f_builtins", "tb_frame", "gi_frame", "cr_frame", "ag_frame",
    "get_type_hints", "make_dataclass",
}  # fmt: skip
DUNDERS = {f"__{name}__" for name in ("init", "name", "call", "len", "getitem", "iter", "next",
           "enter", "exit", "doc", "version", "repr", "add", "mul", "sub", "future", "all",
           "post_init", "setitem", "contains", "eq", "hash", "str", "float", "int")}  # fmt: skip
BLOCKED = ("exec", "eval", "compile", "open", "input", "breakpoint", "globals", "locals", "vars",
           "setattr", "delattr", "exit", "quit", "help", "memoryview")  # fmt: skip

CODE = operator.attrgetter("__code__", "__defaults__")


class NotAllowedError(Exception):
    """An answer did what a graded answer may not do."""


class Unavailable:
    """Stands for a module that answers cannot use; a call of it says so."""

    __all__ = ()

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Unavailable:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unavailable(f"{self._name}.{name}")

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise NotAllowedError(f"`{self._name}` is not available while an answer is graded")


def objections(nodes: Iterable[ast.stmt]) -> list[str]:
    """What stands against running these statements; nothing, for ordinary answers."""
    nodes = list(nodes)
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in nodes for each in ast.walk(node)
        if isinstance(each, (ast.Import, ast.ImportFrom)) for alias in each.names
    }  # fmt: skip
    found = []
    for node in nodes:
        for each in ast.walk(node):
            why = _objection(each, imported)
            if why:
                found.append(f"line `{ast.unparse(each)[:70]}`: {why}")
    return found


def _objection(node: ast.AST, imported: set[str]) -> str | None:
    if isinstance(node, ast.Attribute):
        if node.attr in FORBIDDEN or (_is_dunder(node.attr) and node.attr not in DUNDERS):
            return f"`{node.attr}` may not be used in a graded answer"
        root = _root(node)
        if node.attr.startswith("_") and not _is_dunder(node.attr) and root in imported:
            return "the inside of a library may not be used in a graded answer"
    if isinstance(node, ast.Name) and _is_dunder(node.id) and node.id not in DUNDERS:
        return f"`{node.id}` may not be used in a graded answer"
    place = isinstance(node, (ast.Attribute, ast.Subscript))
    if place and not isinstance(node.ctx, ast.Load) and _root(node) in imported:
        return "a library may not be changed"
    if isinstance(node, ast.ImportFrom):
        bad = [n.name for n in node.names if n.name in FORBIDDEN or n.name.startswith("_")]
        if bad and node.module != "__future__":
            return f"`{bad[0]}` may not be used in a graded answer"
    return None


def _root(node: ast.AST) -> str | None:
    """The name at the start of `a.b[c].d`."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_dunder(name: str) -> bool:
    return name.startswith("__")


def graded_builtins() -> dict[str, Any]:
    """Python's builtins for an answer: other modules are replaced, and files stay shut."""
    own = dict(vars(builtins))
    own.update({name: Unavailable(name) for name in BLOCKED})
    own["__import__"] = _import
    own["getattr"] = _getattr
    return own


def _import(name: str, space: Any = None, here: Any = None, names: Any = (), level: int = 0) -> Any:
    parts = name.split(".")
    inside = any(part.startswith("_") for part in parts[1:])
    if level or inside or parts[0] not in ALLOWED or FORBIDDEN & set(parts):
        return Unavailable(name)
    return builtins.__import__(name, space, here, names, level)


def _getattr(thing: Any, name: str, *default: Any) -> Any:
    if name in FORBIDDEN or name.startswith("_"):
        raise NotAllowedError(f"`{name}` may not be used in a graded answer")
    return getattr(thing, name, *default)


class Watch:
    """Remembers what the libraries and the checks consist of, and says whether that changed."""

    def __init__(self) -> None:
        places: list[Any] = [builtins, torch, np, torch.autograd, torch.nn.functional,
                             torch.linalg, torch.special, torch.testing]  # fmt: skip
        closed: list[Any] = [*torch.Tensor.__mro__[:-1], torch.nn.Module]  # get no new names
        for name, module in list(sys.modules.items()):
            if name.startswith(vae_tutorial.checks.__name__):
                closed.append(module)
                own = (v for v in vars(module).values() if isinstance(v, type))
                closed += [each for each in own if each.__module__ == name]
        kept = (type, types.FunctionType, types.ModuleType, types.BuiltinFunctionType,
                types.MethodDescriptorType, types.GetSetDescriptorType, property)  # fmt: skip
        self.spaces = []  # a namespace, its names, and the values that belong to them
        for place in places + closed:
            found = {n: v for n, v in vars(place).items() if isinstance(v, kept)}
            self.spaces.append((vars(place), tuple(found), tuple(found.values())))
        self.sizes = [(vars(place), len(vars(place)), place.__name__) for place in closed]
        every = (value for _, _, values in self.spaces for value in values)
        self.functions = tuple({v for v in every if isinstance(v, types.FunctionType)})
        self.codes = tuple(map(CODE, self.functions))

    def changed(self) -> list[str]:
        """The names of what is no longer what it was."""
        names = [name for space, size, name in self.sizes if len(space) != size]
        for space, own, values in self.spaces:
            if not all(map(operator.is_, map(space.get, own), values)):
                names += [n for n, value in zip(own, values) if space.get(n) is not value]
        if tuple(map(CODE, self.functions)) != self.codes:
            pairs = zip(self.functions, self.codes)
            names += [function.__name__ for function, code in pairs if CODE(function) != code]
        return sorted(set(names))


def watched(answer: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    """`answer`, after whose calls the libraries are looked at: always at first, then less often."""
    calls = 0

    def call(*inputs: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        result = answer(*inputs, **named)
        if (calls < 6 or not calls & (calls - 1)) and watch.changed():
            raise NotAllowedError(f"the answer changed a library: {watch.changed()[:3]}")
        return result

    call.__wrapped__ = answer
    return call
