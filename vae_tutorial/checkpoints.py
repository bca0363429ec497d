"""Checkpoints: everything that a run needs to go on as if it had never stopped.

A checkpoint folder holds up to three files:

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
from pathlib import Path
from typing import Any

import torch

from vae_tutorial.files import remove_leftovers, write_atomically

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"


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


class CheckpointFolder:
    """The folder in which one run leaves its checkpoints."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def newest(self) -> dict[str, Any] | None:
        """The newest checkpoint that is whole; `None` where there is none yet.

        Temporary files of a killed run are cleared away. A damaged `last.pt` is named in a
        warning, and the one before is taken. Raises `DamagedCheckpointError` where all are
        damaged: to start anew, the folder has to go.
        """
        remove_leftovers(self.path)
        damaged = None
        for name in (LAST, PREVIOUS):
            try:
                checkpoint = read_checkpoint(self.path / name)
            except FileNotFoundError:
                continue
            except DamagedCheckpointError as error:
                damaged = error
                continue
            if damaged is not None:
                warnings.warn(f"{damaged}; going on from {PREVIOUS}", stacklevel=2)
            return checkpoint
        if damaged is not None:
            raise DamagedCheckpointError(
                f"{damaged}, and there is no other checkpoint. To begin anew, remove {self.path}"
            ) from damaged
        return None

    def save(self, checkpoint: dict[str, Any], best: bool) -> None:
        """Write `checkpoint`, as `best.pt` too if `best`. A full disk is a warning, no error.

        The best goes first: a run that dies in between repeats its last epoch, and finds the
        same best again.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        try:
            if best:
                write_atomically(self.path / BEST, buffer.getvalue())
            self._rotate(buffer.getvalue())
        except OSError as error:
            warnings.warn(
                f"the checkpoint was not written, and training goes on: {error}. The one before "
                "is still there.",
                stacklevel=2,
            )

    def _rotate(self, content: bytes) -> None:
        """`content` becomes `last.pt`; what was there becomes `previous.pt`, but not sooner
        than the new one is safely on the disk."""
        fresh = self.path / f"{LAST}.new"
        write_atomically(fresh, content)
        if (self.path / LAST).exists():
            (self.path / LAST).replace(self.path / PREVIOUS)
        fresh.replace(self.path / LAST)
