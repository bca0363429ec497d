"""Writing files so that a full disk, a crash or a second process never leaves half a file."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

TEMPORARY = ".vae-tutorial-tmp"
"""How the names of temporary files end. Only such names are ever removed."""


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    The bytes go to a temporary file in the same folder, are forced to disk and only then take
    the file's name; whatever stood there before survives any failure. Missing folders are made.

    Raises `OSError`, naming the file, where that is not possible.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(TEMPORARY, f".{path.name}-", path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes files that only their owner can read
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:  # Ctrl-C too must leave no rest behind
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        if not isinstance(error, OSError):
            raise
        raise OSError(
            error.errno,
            f"could not write ({error.strerror}); what was there before is untouched",
            str(path),
        ) from error


def remove_leftovers(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Remove temporary files that a killed `write_atomically` of one of `names` left in `folder`.

    Their names are `.NAME-XXXXXXXX.vae-tutorial-tmp`; nothing else is touched.
    """
    for name in names:
        pattern = re.compile(rf"\.{re.escape(name)}-[a-z0-9_]{{8}}{re.escape(TEMPORARY)}")
        with contextlib.suppress(OSError):
            for path in Path(folder).iterdir():
                if pattern.fullmatch(path.name):
                    path.unlink()


def _sync_folder(folder: Path) -> None:
    """Force a file's new name to disk as well; Windows cannot, and need not, open folders."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
