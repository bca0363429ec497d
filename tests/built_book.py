"""Building the book from a clean copy of the project, as strictly as `make book` does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import notebooks

BUILD = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
STRICT = ["build", ".", "-W", "-n", "--keep-going"]


def copy_project(target: Path) -> Path:
    for name in notebooks.project_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(notebooks.ROOT / name, target / name)
    return target


def build(target: Path) -> tuple[Path, str]:
    """The folder of pages, and what went wrong: empty for a book without a warning."""
    project = copy_project(target)
    command = [sys.executable, "-c", BUILD, *STRICT]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    failed = done.returncode or "WARNING" in done.stderr
    return project / "_build" / "html", done.stderr if failed else ""
