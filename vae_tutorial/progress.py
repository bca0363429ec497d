"""A progress bar for what takes long."""

from __future__ import annotations

import os
import warnings
from typing import Any


def progress_bar(steps: int, done: int = 0, show: bool | None = None) -> Any:
    """A bar that leaves no trace when it is done."""
    if show is None:
        show = os.environ.get("VAE_TUTORIAL_PROGRESS", "1") != "0"
    with warnings.catch_warnings():  # without ipywidgets, tqdm warns and falls back to text
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm(
        total=steps, initial=done, desc="training", unit="step", leave=False, disable=not show
    )
