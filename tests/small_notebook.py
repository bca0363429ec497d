"""A made-up chapter that keeps every rule, for tests that break it in one way."""

from __future__ import annotations

import copy
from typing import Any

import notebooks

REPOSITORY = "https://github.com/some-school/some-book"
RUN = {
    "date": "2030-01-02",
    "device": "2 CPU cores",
    "python": "3.11",
    "seconds": 7,
    "torch": "9.8",
}
PICTURE = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "aGVsbG8="}}


def markdown(source: str, *tags: str) -> dict[str, Any]:
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": "markdown", "metadata": metadata, "source": source}


def code(source: str, *outputs: dict[str, Any], tags: tuple[str, ...] = ()) -> dict[str, Any]:
    metadata: dict[str, Any] = {notebooks.KEY: {"source": notebooks.digest(source)}}
    if source.startswith("#@title"):
        metadata |= copy.deepcopy(notebooks.FOLDED)
    if tags:
        metadata["tags"] = list(tags)
    return {
        "cell_type": "code",
        "metadata": metadata,
        "source": source,
        "outputs": copy.deepcopy(list(outputs)),
        "execution_count": None,
    }


def printed(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": [text]}


def small_notebook() -> dict[str, Any]:
    """Chapter 3 in thirteen cells; `cells[n - 1]` is what messages call cell n."""
    cells = [
        markdown("# A title\n\n" + notebooks.book_line(REPOSITORY, "03_sums")),
        code(notebooks.setup_source(REPOSITORY), tags=("setup", "hide-cell")),
        markdown(notebooks.measured_text(RUN), "measured"),
        markdown("## A section\n\n$$ 1 + 1 = 2 \\tag{3.1} $$\n\n$$ 2 = 2 \\tag{3.2} $$"),
        code(
            "#@title ✓ checked: (3.1) (3.2) by counting\nassert 1 + 1 == 2\nprint(2)",
            printed("2\n"),
            tags=("hide-cell",),
        ),
        markdown("## Another section"),
        code("#@title Draw Figure 3.1\ndiagrams.one();", PICTURE, tags=("hide-input",)),
        markdown("**Figure 3.1.** What is seen."),
        markdown("## Takeaways\n\n- A point."),
        markdown(
            "## Exercises\n\n### Exercise 3.1 (code)\n\n<details><summary>Solution</summary>\n\n"
            "```python\n# a comment, no heading\n```\n\n</details>"
        ),
        markdown("## Where to read on\n\n- [There](https://example.org)."),
        code("#@title Draw Figure 3.2\ndiagrams.two();", PICTURE, tags=("hide-input",)),
        markdown("**Figure 3.2.** What else is seen."),
    ]
    for n, cell in enumerate((c for c in cells if c["cell_type"] == "code"), start=1):
        cell["execution_count"] = n
    return {
        "cells": cells,
        "metadata": {notebooks.KEY: {"run": dict(RUN)}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
