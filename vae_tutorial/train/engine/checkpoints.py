"""Checkpoints: everything that a run needs to be resumed as if it had never stopped.

A checkpoint folder holds up to three files, and a lock while a run writes there:

- `last.pt`, the newest checkpoint;
- `previous.pt`, the one before, for the case that `last.pt` is damaged;
- `best.pt`, the one with the lowest validation loss.

Each is written whole to a temporary file, forced to disk, and then renamed, so a crash at any
moment leaves a whole file under the old name or the new one. Files are read by torch's safe
reader, which builds tensors and plain containers and runs no code.
"""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from vae_tutorial.data.batches import Data
from vae_tutorial.files import remove_leftovers, write_atomically
from vae_tutorial.train.engine.environment import random_state, set_random_state
from vae_tutorial.train.engine.fingerprint import check_same_run, fingerprint, resumable_settings
from vae_tutorial.train.engine.saved import design_of

if TYPE_CHECKING:
    from vae_tutorial.train.loop import Run

LAST, PREVIOUS, BEST, NEW, LOCK = "last.pt", "previous.pt", "best.pt", "last.pt.new", "run.lock"
OWN_FILES = (LAST, PREVIOUS, BEST, NEW, ".writable")
FORMAT = 2
"""The number of the format; another one cannot be resumed."""


class BusyFolderError(RuntimeError):
    """Another process writes its checkpoints into the folder at this moment."""


class DamagedCheckpointError(ValueError):
    """The file is cut short or its bytes have changed."""


class UnsafeCheckpointError(ValueError):
    """The file wants to run code, or holds other objects than a checkpoint does."""


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The contents of a checkpoint file, with all tensors on the CPU.

    Raises `FileNotFoundError`; `DamagedCheckpointError` where the file is not whole;
    `UnsafeCheckpointError` where it holds anything but tensors and plain values.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        # torch checks no sums of its own when it reads
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise DamagedCheckpointError(f"{path} is damaged or no checkpoint ({error})") from error
    if damaged is not None:
        raise DamagedCheckpointError(f"{path} is damaged: the sum of its part {damaged} is wrong")
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafeCheckpointError(
            f"{path} was not opened: it holds something else than tensors and plain values, and "
            "could run code of its author's. Checkpoints of this package hold no such thing. "
            f"({str(error).splitlines()[0]})"
        ) from error
    except (RuntimeError, EOFError, KeyError, OSError) as error:
        raise DamagedCheckpointError(f"{path} is damaged ({error})") from error


class Checkpoints:
    """The folder in which one run leaves its checkpoints; a context that holds its lock.

    Entering it resumes the run that the folder holds, if there is one. Raises `ValueError` where
    that is another run, `OSError` where nothing can be written, `BusyFolderError` where another
    process trains there.
    """

    def __init__(
        self, path: str | os.PathLike[str], run: Run, data: Data, resume: str | Sequence[str]
    ) -> None:
        self.path, self.run = Path(path), run
        self.may_differ = resumable_settings(resume, run.history.settings)
        self.start = fingerprint(run, data)
        self.order_random: dict | None = None  # random state when the present order was drawn
        self.step_random: dict | None = None  # to be set once a resumed epoch's order is drawn
        self.lock = FileLock(self.path / LOCK)

    def __enter__(self) -> Checkpoints:
        if self._first:
            write_atomically(self.path / ".writable", b"")
            (self.path / ".writable").unlink()
            try:
                self.lock.acquire(timeout=0)
            except Timeout:
                raise BusyFolderError(
                    f"checkpoint: another process trains in {self.path} now. Wait for it, or name "
                    "another folder."
                ) from None
        self.resume()
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def resume(self) -> None:
        """Take up the newest checkpoint, if there is one; nothing is changed if it is refused."""
        run, group = self.run, self.run.group
        state = newest(self.path) if self._first else None
        if group is not None:
            state = group.from_first(state)
        if state is None:
            return
        check_same_run(self.path, state, self.start, run, self.may_differ)
        self.start = state["fingerprint"] | {
            name: value for name, value in self.start.items() if name in self.may_differ
        }
        best = self.path / BEST
        if run.best is not None and best.exists():
            run.best = read_checkpoint(best)["model"]
        random = self._restore(state)
        if run.step:  # in the middle of an epoch, its order has to be drawn again first
            set_random_state(run.device, self.order_random)
            self.step_random = random
        else:
            set_random_state(run.device, random)
        if self._first:
            at = f"step {run.step} of epoch " if run.step else "epoch "
            print(f"Training resumes after {at}{run.epoch + bool(run.step)}.")

    def epoch_begins(self, run: Run) -> None:
        """Remember the random state from which the epoch's order is drawn."""
        if not run.step:
            self.order_random = random_state(run.device)

    def order_drawn(self) -> None:
        """Called before an epoch's first batch: from here random numbers go on as they did."""
        if self.step_random is not None:
            set_random_state(self.run.device, self.step_random)
            self.step_random = None

    def save(self, run: Run, improved: bool) -> None:
        """Write a checkpoint, as `best.pt` too if `improved`. A full disk is a warning, no error.

        The best goes first: a run that dies in between repeats its last epoch, and finds the
        same best again.
        """
        state = self._state(run)
        if not self._first:
            return
        buffer = io.BytesIO()
        torch.save(state, buffer)
        try:
            if improved:
                write_atomically(self.path / BEST, buffer.getvalue())
            self._rotate(buffer.getvalue())
        except OSError as error:
            warnings.warn(
                f"the checkpoint was not written, and training continues: {error}. The one before "
                "is still there.",
                stacklevel=2,
            )

    @property
    def _first(self) -> bool:
        return self.run.group is None or self.run.group.rank == 0

    def _rotate(self, content: bytes) -> None:
        """`content` becomes `last.pt`; what was there becomes `previous.pt`, but not sooner
        than the new one is safely on the disk."""
        fresh = self.path / NEW
        write_atomically(fresh, content)
        if (self.path / LAST).exists():
            (self.path / LAST).replace(self.path / PREVIOUS)
        fresh.replace(self.path / LAST)

    def _state(self, run: Run) -> dict[str, Any]:
        """Everything, as tensors and plain values; with several processes, of all of them."""
        random, order = random_state(run.device), self.order_random or random_state(run.device)
        record = torch.stack(run.record).cpu() if run.record else None
        seen, group = run.seen, run.group
        randoms, orders = [random], [order]
        if group is not None:
            randoms, orders = group.gather(random), group.gather(order)
            seen = group.total(seen)
            record = None if record is None else group.total(record)
        return {
            "format": FORMAT, "design": design_of(run.model), "fingerprint": self.start,
            "model": {n: p.detach().clone() for n, p in run.model.state_dict().items()},
            "optimiser": run.optimiser.state_dict(), "history": asdict(run.history),
            "seconds": run.seconds, "step": run.step, "seen": seen, "names": run.names,
            "record": record, "random": randoms, "order_random": orders,
        }  # fmt: skip

    def _restore(self, state: dict[str, Any]) -> dict:
        """Put the run where `state` was; returns the random state of its next step."""
        run, rank = self.run, 0 if self.run.group is None else self.run.group.rank
        run.model.load_state_dict(state["model"])
        run.optimiser.load_state_dict(state["optimiser"])
        for name in ("train", "validation", "seconds"):
            setattr(run.history, name, state["history"][name])
        if state["history"]["stopped"].startswith("ended"):
            run.history.stopped = state["history"]["stopped"]
        run.epoch = len(run.history.seconds)
        run.seconds, run.step, run.names = state["seconds"], state["step"], state["names"]
        record, run.seen = state["record"], state["seen"]
        if rank > 0 and record is not None:  # process 0 has the sums of all
            record, run.seen = torch.zeros_like(record), 0
        run.record = [] if record is None else list(record.to(run.device).unbind())
        self.order_random = state["order_random"][rank]
        return state["random"][rank]


def newest(path: Path) -> dict[str, Any] | None:
    """The newest checkpoint in the folder that is whole; `None` where there is none yet.

    Temporary files of a killed run are cleared away. A damaged `last.pt` is named in a warning,
    and the one before is taken. Raises `DamagedCheckpointError` where all are damaged: to start
    anew, the folder has to go.
    """
    remove_leftovers(path, OWN_FILES)
    damaged = None
    for name in (LAST, PREVIOUS):
        try:
            checkpoint = read_checkpoint(path / name)
        except FileNotFoundError:
            continue
        except DamagedCheckpointError as error:
            damaged = error
            continue
        if damaged is not None:
            warnings.warn(f"{damaged}; resuming from {PREVIOUS}", stacklevel=2)
        return checkpoint
    if damaged is not None:
        raise DamagedCheckpointError(
            f"{damaged}, and there is no other checkpoint. To begin anew, remove {path}"
        ) from damaged
    return None


def remove_checkpoints(path: Path) -> None:
    """Remove the checkpoints in `path`, by their names; whatever else lies there stays."""
    remove_leftovers(path, OWN_FILES)
    for name in OWN_FILES:
        (path / name).unlink(missing_ok=True)
