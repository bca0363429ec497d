"""The report on an answer."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

WIDTH = 92  # characters of a printed line


@dataclass(frozen=True)
class Report:
    """What a check found: `points` out of `of`, and the lines that say why.

    Its text, `str(report)`, is what `check` prints.
    """

    name: str
    points: int
    of: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(map(_wrapped, self.lines))


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
