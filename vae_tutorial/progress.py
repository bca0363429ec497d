"""A progress bar for what takes long."""

from __future__ import annotations

import os
import warnings
from typing import Any


def progress_bar(
    steps: int | None, done: int = 0, show: bool | None = None, what: str = "training",
    unit: str = "step",
) -> Any:  # fmt: skip
    """A bar that leaves no trace when it is done, for `steps` units (`None`: nobody knows)."""
    if show is None:
        show = os.environ.get("VAE_TUTORIAL_PROGRESS", "1") != "0"
    with warnings.catch_warnings():  # without ipywidgets, tqdm warns and falls back to text
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm(total=steps, initial=done, desc=what, unit=unit, leave=False, disable=not show)
