"""Watching a computation: every tensor that an operation returns, and a way to overwrite it.

The doctor asks "what if μ were larger here?" of code that it has never seen. It runs the code
once and keeps the result of every operation, finds the operation whose result is μ, and runs the
code again with that result overwritten. So it sees through functions, methods and `detach`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Edit = Callable[[Tensor], Any]
RANDOM = ("normal", "rand", "uniform", "bernoulli", "dropout", "exponential")
LINEAR = ("addmm", "mm", "bmm", "baddbmm", "convolution", "linear", "matmul")


class Recorder(TorchDispatchMode):
    """Within it, `tensors` gets a copy of what each operation returns, `names` its name.

    `edits` maps the number of a tensor to a function that changes it in place, before anything
    else sees it.
    """

    def __init__(self, edits: Mapping[int, Edit] | None = None) -> None:
        super().__init__()
        self.edits = dict(edits or {})
        self.tensors: list[Tensor] = []
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        for tensor in tree_leaves(result):
            if not isinstance(tensor, Tensor):
                continue
            edit = self.edits.get(len(self.tensors))
            if edit is not None:
                edit(tensor)
            self.tensors.append(tensor.detach().clone())
            self.names.append(name)
        return result

    def is_random(self, number: int) -> bool:
        return any(word in self.names[number] for word in RANDOM)

    def find(self, wanted: Tensor, start: int = 0) -> int | None:
        """The first operation whose result holds the numbers of `wanted`, in its order."""
        flat = wanted.detach().flatten()
        for number in range(start, len(self.tensors)):
            tensor = self.tensors[number]
            alike = tensor.numel() == flat.numel() and tensor.dtype == flat.dtype
            if alike and torch.equal(tensor.flatten(), flat):
                return number
        return None


def write(value: Tensor | float) -> Edit:
    """An edit that overwrites a tensor with `value`, whatever its shape."""

    def edit(tensor: Tensor) -> None:
        if isinstance(value, Tensor):
            tensor.copy_(value.to(tensor.dtype).reshape(tensor.shape))
        else:
            tensor.fill_(value)

    return edit


def add(value: float) -> Edit:
    """An edit that adds `value` to every number of a tensor."""
    return lambda tensor: tensor.add_(value)
