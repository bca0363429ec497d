"""The Chromium or Chrome with which pages are tested and printed."""

from __future__ import annotations

import shutil
from pathlib import Path

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def browser_path(playwright) -> str | None:
    """The system's Chromium or Chrome, or the one that Playwright brought."""
    own = Path(playwright.chromium.executable_path)
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    return next(iter([*found, *(str(path) for path in (MACOS, own) if path.exists())]), None)
