"""Where training computes, in what precision, and its random numbers.

Each decision is made once, when `fit` is called, and its reason stands beside it in
`history.settings`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

RESIDENT_SHARE = 0.5
"""The share of a GPU's free memory that `fit` gives to images; the rest is for the network."""

PRECISIONS = ("auto", "float32", "tf32", "bfloat16")
"""What `fit` takes for `precision`."""


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


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context for a forward pass. Leave it before `backward`."""
    # Cached casts of weights save nothing when each weight is used once, and a captured CUDA
    # graph must not depend on them.
    return torch.autocast(
        device.type,
        dtype=torch.bfloat16,
        enabled=precision.name == "bfloat16",
        cache_enabled=False,
    )


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


def fits(images: Tensor, device: torch.device) -> bool:
    """Whether `images` may live on `device`: they do already, or take half of what is free."""
    if images.device.type == device.type:
        return True
    return images.nbytes <= RESIDENT_SHARE * free_memory(device)


def free_memory(device: torch.device) -> float:
    """The bytes that are free on a GPU; no limit for a CPU, where images are at home."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return float("inf")


@contextlib.contextmanager
def own_random_numbers(device: torch.device, seed: int) -> Iterator[None]:
    """torch's random numbers from `seed` inside, and as they were outside."""
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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the host, had no memory left; torch has several words for it."""
    words = str(error).lower()
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(
        sign in words for sign in ("out of memory", "can't allocate memory", "not enough memory")
    )


@contextlib.contextmanager
def out_of_memory_explained(batch_size: int, device: torch.device) -> Iterator[None]:
    """Adds to torch's error what was tried and what to try."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        smaller = f"batch_size={batch_size // 2}" if batch_size > 1 else "a smaller network"
        raise MemoryError(
            f"out of memory on {device} with batch_size={batch_size}. Try {smaller}, fewer "
            f"samples in the objective, or precision='bfloat16'. ({str(error).splitlines()[0]})"
        ) from error
