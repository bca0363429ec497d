"""Whether a checkpoint belongs to the run that wants to resume it.

A run is told by its settings and by a fingerprint of data, model, objective and schedules. What
Python cannot compare, such as the contents of a loader, is said when the run is resumed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vae_tutorial.data.batches import Data, TensorBatches

if TYPE_CHECKING:
    from vae_tutorial.train.loop import Run

ALWAYS = ("data", "device", "precision_reason", "torch")
"""Settings that may always be others on resuming. Results then agree to rounding only."""

HASHED_BYTES = 2**28
"""Of larger tensors, equally spaced rows of that size together are compared."""


def resumable_settings(resume: str | Sequence[str], settings: dict[str, Any]) -> set[str]:
    """The names in `resume`, checked against those of the settings and of the fingerprint."""
    names = [resume] if isinstance(resume, str) else list(resume)
    known = set(settings) | {"contents", "seed", "functions", "model", "constants"}
    for name in names:
        if name not in known:
            raise ValueError(f"resume must name settings, such as 'epochs', got {name!r}")
    return set(names)


def fingerprint(run: Run, data: Data) -> dict[str, Any]:
    """What `run` is made of, as plain values."""
    functions = {
        "objective": run.objective, "schedule": run.schedule, "beta": run.beta,
        "optimiser": {k: v for k, v in run.optimiser.defaults.items() if k != "lr"},
    }  # fmt: skip
    return {
        "contents": contents(run.batches, data),
        "seed": torch.initial_seed() if run.group is None else None,
        "functions": {name: described(value) for name, value in functions.items()},
        "model": structure(run.model),
        "constants": {n: digest(value) for n, value in _untrained(run.model).items()},
    }


def check_same_run(
    path: Path, state: dict[str, Any], now: dict[str, Any], run: Run, may_differ: set[str]
) -> None:
    """Raise `ValueError` with all that differs, unless `state` may be resumed by `run`."""
    then, settings = state.get("fingerprint"), state["history"]["settings"]
    if then is None:
        raise ValueError(f"checkpoint: {path} was written by another version of this package")
    allowed, different = may_differ | set(ALWAYS), []
    for name in sorted(settings.keys() | run.history.settings.keys()):
        old, new = settings.get(name), run.history.settings.get(name)
        if name not in allowed and old != new:
            different.append(f"{name}={old!r} (now {new!r})")
    for name in ("contents", "seed", "functions", "model"):
        if name not in allowed and then[name] != now[name]:
            different.append(f"{name}: {_first_difference(then[name], now[name])}")
    # Buffers that training changes, such as running means, are compared with nothing.
    for name, value in then["constants"].items():
        fixed = name in state["model"] and digest(state["model"][name]) == value
        if fixed and now["constants"].get(name) != value and "constants" not in allowed:
            different.append(f"constants: {name} of the model has another value")
    if different:
        raise ValueError(
            f"checkpoint: {path} holds a run with other settings: {'; '.join(different)}. To "
            "resume it, ask for the same, or name in resume= what may differ; for a new run, "
            "name another folder."
        )
    if isinstance(now["contents"], dict) and "loader" in now["contents"]:
        print("What the loader yields cannot be compared with the stored run's, only its length.")


def contents(batches: object, data: Data) -> dict[str, Any]:
    """What is known of the data: a digest of tensors, lengths of a loader."""
    if isinstance(batches, TensorBatches):
        y = None if batches.y is None else digest(batches.y)
        return {"x": digest(batches.x), "y": y}
    dataset = getattr(data, "dataset", data)
    size = len(dataset) if hasattr(dataset, "__len__") else None
    return {"loader": type(data).__name__, "batches": batches.steps, "examples": size}


def structure(model: nn.Module) -> dict[str, Any]:
    """Names, shapes and types of all weights, and which are trained; the modules' classes."""
    weights = {n: [str(v.dtype), list(v.shape)] for n, v in model.state_dict().items()}
    trained = sorted(n for n, p in model.named_parameters() if p.requires_grad)
    classes = {n: type(m).__qualname__ for n, m in model.named_modules()}
    options = {n: m.extra_repr() for n, m in model.named_modules() if not list(m.children())}
    return {"weights": weights, "trained": trained, "classes": classes, "options": options}


def described(value: object) -> Any:
    """A function, with what is bound to it, or a plain value, as plain values."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        return digest(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [described(part) for part in value]
    if isinstance(value, dict):
        return {str(key): described(part) for key, part in value.items()}
    if isinstance(value, functools.partial):
        return {"partial": described(value.func), "arguments": described(value.args),
                "keywords": described(value.keywords)}  # fmt: skip
    if isinstance(value, nn.Module):
        return structure(value)
    if isinstance(value, types.MethodType):
        return {"method": described(value.__func__), "of": type(value.__self__).__qualname__}
    if isinstance(value, types.FunctionType):
        closure = [_cell(cell) for cell in value.__closure__ or ()]
        return {"name": value.__qualname__, "code": _code(value.__code__), "closure": closure,
                "defaults": described([value.__defaults__, value.__kwdefaults__])}  # fmt: skip
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__qualname__} | described(vars(value))
    return type(value).__qualname__ if not isinstance(value, type) else value.__qualname__


def digest(tensor: Tensor) -> str:
    """A SHA-256 of a tensor's bytes, shape and type; of equally spaced rows for a large one."""
    rows = tensor.detach()
    if rows.nbytes > HASHED_BYTES and rows.dim() > 0:
        rows = rows[:: 1 + rows.nbytes // HASHED_BYTES]
    rows = rows.cpu().contiguous()
    found = hashlib.sha256(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
    found.update(rows.reshape(-1).view(torch.uint8).numpy() if rows.numel() else b"")
    return found.hexdigest()


def _code(code: types.CodeType) -> str:
    """A digest of what a function does; functions written inside it count too."""
    parts = [_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    if parts and code.co_consts[0] == code.co_consts[0] and isinstance(code.co_consts[0], str):
        parts = parts[1:]  # its docstring
    text = code.co_code.hex() + repr(parts) + repr(code.co_names)
    return hashlib.sha256(text.encode()).hexdigest()


def _cell(cell: types.CellType) -> Any:
    try:
        content = cell.cell_contents
    except ValueError:  # not filled yet
        return None
    return content.__qualname__ if isinstance(content, types.FunctionType) else described(content)


def _untrained(model: nn.Module) -> dict[str, Tensor]:
    """Buffers and frozen parameters."""
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    return {n: v for n, v in model.state_dict().items() if n not in trained}


def _first_difference(then: Any, now: Any, path: str = "") -> str:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in [*then, *(key for key in now if key not in then)]:
            if then.get(key) != now.get(key):
                inner = f"{path}.{key}" if path else str(key)
                return _first_difference(then.get(key), now.get(key), inner)
    short = [repr(v) if len(repr(v)) < 60 else "another value" for v in (then, now)]
    where = f"{path} " if path else ""
    return f"{where}differs" if short[0] == short[1] else f"{where}{short[0]} (now {short[1]})"
