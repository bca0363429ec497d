"""Calls of a student's code: on copies, with seeded random numbers, quiet, limited, and caught."""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import linecache
import random
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_tutorial.checks import limit


@dataclass(frozen=True)
class Outcome:
    """What a call came to: a value, or the error that ended it."""

    value: Any = None
    error: BaseException | None = None
    printed: bool = False


@contextlib.contextmanager
def caller_state_kept() -> Iterator[None]:
    """Random states, default type, gradient mode and device are afterwards what they were.

    Inside, tensors are made on the CPU, in single precision, with gradients, whatever the notebook
    has set.
    """
    python, array, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    try:
        torch.set_default_dtype(torch.float32)
        with torch.inference_mode(False), torch.enable_grad(), on_cpu():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)


def on_cpu() -> contextlib.AbstractContextManager[Any]:
    """Tensors are made on the CPU inside.

    Where they are anyway, nothing is done: inside `torch.device(…)` every call of torch is slower.
    """
    there = torch.get_default_device().type == "cpu"
    return contextlib.nullcontext() if there else torch.device("cpu")


def seed_all(seed: int) -> None:
    """Seeds Python's, numpy's and torch's random numbers on the CPU."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # numpy takes 32 bits
    torch.default_generator.manual_seed(seed)


def attempt(function: Callable[..., Any], *arguments: Any, seed: int) -> Outcome:
    """Calls `function` on copies of the arguments; what it prints goes nowhere.

    Its result comes back without its graph. Any error is caught, an exit and the end of the time
    limit too; only `KeyboardInterrupt` passes, so that a student can stop the check.
    """
    seed_all(seed)
    torch.set_default_dtype(torch.float32)  # the call before may have changed it
    screen = _Screen()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(screen))
            stack.enter_context(contextlib.redirect_stderr(screen))
            stack.enter_context(warnings.catch_warnings())
            stack.enter_context(torch.enable_grad())
            warnings.simplefilter("ignore")
            stack.enter_context(limit.time_limit(limit.SECONDS))
            return Outcome(plain(function(*copied(arguments))), printed=screen.used)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Outcome(error=error)
    finally:
        if torch.get_default_device().type != "cpu":  # the call has changed it
            torch.set_default_device("cpu")


class _Screen(io.TextIOBase):
    """Takes what is printed and keeps nothing of it, however much it is."""

    used = False

    def write(self, text: str) -> int:
        self.used = True
        return len(text)


def copied(value: Any) -> Any:
    """A copy that can be changed without harm; functions and other values stay themselves."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, (nn.Module, np.ndarray)):
        return copy.deepcopy(value)
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    if type(value) in (tuple, list):
        return type(value)(map(copied, value))
    return value


def plain(value: Any) -> Any:
    """`value` with its tensors cut from their graphs, and no subclass's methods left in them."""
    if inspect.iscoroutine(value):
        value.close()  # else Python warns, later and out of sight, that nobody awaited it
    if isinstance(value, Tensor):
        if value.is_nested or value.layout is not torch.strided:
            raise TypeError(
                "the result is a sparse or nested tensor, where an ordinary one belongs"
            )
        return value.detach().as_subclass(Tensor).clone()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(map(plain, value))
    return value


def told(error: BaseException) -> str:
    """An error in one line: its type, its message, and the student's line that raised it."""
    if isinstance(error, limit.TooSlow):
        return (
            f"it did not end within {limit.SECONDS:g} seconds{_place(error)}. Look for a loop that "
            "never ends; the inputs here are small"
        )
    kind = type.__getattribute__(type(error), "__name__")
    try:
        message = " ".join(str(error).split())
        message = message if len(message) <= 300 else message[:300] + " …"
        return "it raised " + (f"{kind}: {message}" if message else kind) + _place(error)
    except Exception:  # the error's own __str__ fails
        return f"it raised {kind}"


def _place(error: BaseException) -> str:
    """The last line that is not of this package or of a library: ` (at "x = mu.sum(2)")`."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        if module.split(".")[0] in ("torch", "numpy", "vae_tutorial"):
            continue
        source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
        return f' (at "{source}")' if source else f" (in line {line})"
    return ""
