"""Reading what students hand in: notebooks and Python files, damaged ones too.

Nothing is believed but the text of the cells: metadata, outputs and numbers of executions may be
missing, wrong or of another version.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST = 50_000_000  # bytes; a notebook with large pictures has some ten million
PERCENT = re.compile(r"^# %%(.*)$", re.MULTILINE)


class UnreadableError(ValueError):
    """A file is no notebook; the message says why, for the student to read."""


@dataclass(frozen=True)
class Cell:
    """The text of one cell; `header` is what stands behind `# %%` in a Python file."""

    code: bool
    text: str
    header: str = ""


@contextlib.contextmanager
def named(where: object) -> Iterator[None]:
    """Errors of what is read inside are told with its name, such as that of the file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def read_cells(path: Path) -> list[Cell]:
    """The cells of a notebook, or of a Python file. Raises `UnreadableError`."""
    try:
        if path.stat().st_size > LARGEST:
            raise UnreadableError(f"the file is larger than {LARGEST // 10**6} MB")
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"the file cannot be read: {error.strerror}") from error
    if not data.strip():
        raise UnreadableError("the file is empty")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = data.decode(encoding, errors="replace").replace("\r\n", "\n")
    return percent_cells(text) if path.suffix == ".py" else notebook_cells(text)


def notebook_cells(text: str) -> list[Cell]:
    """The cells of a notebook of format 3 or 4."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"it is no notebook, or a damaged one: {error}") from error
    sheets = found.get("worksheets") if isinstance(found, dict) else None
    if isinstance(sheets, list) and sheets and isinstance(sheets[0], dict):  # format 3
        found = sheets[0]
    cells = found.get("cells") if isinstance(found, dict) else None
    if not isinstance(cells, list):
        raise UnreadableError("it is no notebook: it has no list of cells")
    return [_cell(each) for each in cells if isinstance(each, dict)]


def _cell(found: dict[str, Any]) -> Cell:
    text = found.get("source", found.get("input", ""))
    if isinstance(text, list):
        text = "".join(part for part in text if isinstance(part, str))
    return Cell(found.get("cell_type") == "code", text if isinstance(text, str) else "")


def percent_cells(text: str) -> list[Cell]:
    """The cells of a Python file; without `# %%` lines it is one cell."""
    first, *rest = PERCENT.split(text)
    cells = [Cell(True, first.strip("\n"))] if first.strip() else []
    for header, body in zip(rest[::2], rest[1::2]):
        markdown = header.strip().startswith("[markdown]")
        body = body.strip("\n")
        if markdown:
            body = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        cells.append(Cell(not markdown, body, header.replace("[markdown]", "").strip()))
    return cells
