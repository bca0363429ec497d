"""What surrounds a run: its arguments, device, precision, random numbers, signals, progress.

Device and precision are decided once, when `fit` is called, and the reason stands beside them in
`history.settings`.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_tutorial.arguments import whole_number

PRECISIONS = ("auto", "float32", "tf32", "bfloat16")
"""What `fit` takes for `precision`."""


def check_arguments(model: nn.Module, given: dict[str, Any]) -> None:
    """What `fit` can refuse by looking at its arguments alone, `given` by name.

    Raises `TypeError` or `ValueError`, naming the argument and the way out.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        raise TypeError(
            f"model must be the model itself, got it wrapped in {type(model).__name__}: give "
            "model.module. Several GPUs are used by starting the program with torchrun."
        )
    if not [p for p in model.parameters() if p.requires_grad]:
        raise ValueError("model has no parameter that requires a gradient: nothing can be learnt")
    values = getattr(model, "values", "unit")
    if values not in ("binary", "unit", "real", "integer"):
        raise ValueError(
            f'model.values must be "binary", "unit", "real" or "integer", got {values!r}'
        )
    for name, also in (("binarise", None), ("progress", None), ("keep_best", False)):
        if not (given[name] is also or isinstance(given[name], bool)):
            raise TypeError(f"{name} must be True or False, got {given[name]!r}")
    if given["binarise"] and values in ("real", "integer"):
        raise ValueError(f"binarise=True needs grey levels in [0, 1], and the data are {values}")
    if not isinstance(given["compile"], (bool, str)):
        raise TypeError(f"compile must be True, False or a mode's name, got {given['compile']!r}")
    for name, kind, word in (
        ("epochs", Integral, "whole"), ("batch_size", Integral, "whole"),
        ("learning_rate", Real, "positive"), ("clip", Real, "positive"),
    ):  # fmt: skip
        value = given[name]
        if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
            value = value.item()
        if name in ("learning_rate", "clip") and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < math.inf:
            least = " of at least 1" if word == "whole" else ""
            raise ValueError(f"{name} must be a {word} number{least}, got {given[name]!r}")
    for name in ("objective", "schedule", "beta", "optimiser", "on_epoch"):
        optional = name not in ("objective", "schedule")
        if not callable(given[name]) and not (optional and given[name] is None):
            raise TypeError(f"{name} must be a function, got {given[name]!r}.{_WAYS.get(name, '')}")
    if not isinstance(given["checkpoint"], (str, os.PathLike, type(None))):
        raise TypeError(f"checkpoint must be a folder or None, got {given['checkpoint']!r}")
    try:
        torch.device("cpu" if given["device"] is None else given["device"])
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device must be one of torch's, such as 'cpu', 'cuda' or 'cuda:1', got "
            f"{given['device']!r}"
        ) from error
    if given["keep_best"] and given["validation"] is None:
        raise ValueError("keep_best=True needs validation data, whose loss tells what is best")


_WAYS = {
    "schedule": " A constant rate is schedule=vt.schedules.constant.",
    "beta": " A constant weight belongs to the objective: objective=partial(vt.elbo, beta=4.0).",
    "optimiser": " It is made by fit: optimiser=partial(torch.optim.AdamW, weight_decay=0.01).",
}


def pick_device() -> torch.device:
    """CUDA where there is one, then Apple's MPS, then the CPU; looked up at every call."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@dataclass(frozen=True)
class Precision:
    """How numbers are held in the networks (`name`), and why (`reason`)."""

    name: str
    reason: str


def pick_precision(device: torch.device, wanted: str = "auto") -> Precision:
    """The precision of the networks' matrix products; everything else is always float32.

    - `"float32"`: 24 significant bits everywhere, convolutions on CUDA included.
    - `"tf32"`: CUDA from Ampere on: inputs of products are rounded to 11 significant bits,
      sums are float32.
    - `"bfloat16"`: autocast. Products take and give 8 significant bits with the exponents of
      float32; weights and the optimiser stay float32. What autocast leaves in float32 is TF32.
    - `"auto"`: bfloat16 on CUDA from Ampere on, float32 elsewhere. Older GPUs, such as the T4,
      only emulate bfloat16. On a CPU the same seed should give the same weights whatever the
      CPU can do, so bfloat16 has to be asked for there.

    Raises `ValueError` for another name, and for TF32 away from CUDA.
    """
    if wanted not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {wanted!r}")
    if wanted == "tf32" and device.type != "cuda":
        raise ValueError(f"precision='tf32' exists on CUDA only, and the device is {device}")
    if wanted != "auto":
        return Precision(wanted, "asked for")
    if device.type != "cuda":
        return Precision("float32", f"the default on {device.type}")
    major, minor = torch.cuda.get_device_capability(device)
    if major >= 8:
        return Precision("bfloat16", f"native from capability 8.0 on, this is {major}.{minor}")
    return Precision("float32", f"no native bfloat16 at capability {major}.{minor}")


@contextlib.contextmanager
def matrix_products(device: torch.device, precision: Precision) -> Iterator[None]:
    """TF32 on CUDA inside as `precision` says, and torch's settings as they were outside."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    exact = precision.name == "float32"
    try:
        torch.set_float32_matmul_precision("highest" if exact else "high")
        torch.backends.cudnn.allow_tf32 = not exact
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@contextlib.contextmanager
def own_random_numbers(device: torch.device, seed: int) -> Iterator[None]:
    """torch's random numbers from `seed` inside, and as they were outside.

    Raises `ValueError` for a seed that is no whole number from 0.
    """
    seed = whole_number("seed", seed, least=0)
    devices = [device] if device.type != "cpu" else []
    kind = device.type if devices else "cuda"
    with torch.random.fork_rng(devices=devices, device_type=kind):
        # not torch.manual_seed: it would seed the generators of all other GPUs as well
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


def random_state(device: torch.device) -> dict[str, object]:
    """The states of all generators that training may draw from, as plain tensors and numbers."""
    name, keys, position, has_gauss, gauss = np.random.get_state()
    state: dict[str, object] = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "python": random.getstate(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(device: torch.device, state: dict) -> None:
    """Put all generators back to where `random_state` found them.

    A state made on another kind of device says nothing about this device's generator, which
    then goes on from where it is.
    """
    torch.set_rng_state(state["torch"].cpu())
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"].cpu())


@dataclass
class StopRequest:
    """`requested` becomes the name of the signal that came; it is empty before."""

    requested: str = ""


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Inside, SIGINT (Ctrl-C) and SIGTERM leave a note; a second SIGINT is the usual exception.

    Python raises KeyboardInterrupt between any two lines, which may be in the middle of an
    update; so training finishes its step first. SIGTERM is how clusters and containers warn.
    The handlers from before are back afterwards. Signals reach the main thread only, so
    elsewhere the request never comes; a signal that the process was told to ignore (by `nohup`,
    say) stays ignored.
    """
    stop = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            raise KeyboardInterrupt  # somebody is in a hurry, or a step never ends
        stop.requested = signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    taken = [n for n, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    try:
        for number in taken:
            signal.signal(number, note)
        yield stop
    finally:
        for number in taken:
            signal.signal(number, before[number])


def progress_bar(
    steps: int | None, done: int = 0, show: bool | None = None, what: str = "training",
    unit: str = "step",
) -> Any:  # fmt: skip
    """A bar that leaves no trace when it is done, for `steps` units (`None`: not known)."""
    if show is None:
        show = os.environ.get("VAE_TUTORIAL_PROGRESS", "1") != "0"
    with warnings.catch_warnings():  # without ipywidgets, tqdm warns and falls back to text
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm(total=steps, initial=done, desc=what, unit=unit, leave=False, disable=not show)
