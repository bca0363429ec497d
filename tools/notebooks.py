"""What the tools know about chapters: where they are, how they are stored, what is written in.

Only the standard library is used here, so that the checks run in any Python.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numbered

ROOT = Path(__file__).resolve().parent.parent
SETUP_TAGS = ["setup", "hide-cell"]
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}  # Colab's word, JupyterLab's
NOT_PROJECT = {
    ".git", ".venv", ".venv-book", ".venv-nbgrader", ".reveal", "_build", "runs", "__pycache__",
}  # fmt: skip
KEY = "vae_tutorial"  # our place in the metadata of notebooks and cells

# A `%pip` line is no Python, and would be an error inside the `if`.
SETUP = """\
#@title Set-up: on Colab, install this book's package; anywhere else, nothing to do
from importlib.util import find_spec

if find_spec("google") and find_spec("google.colab"):
    package = "vae-tutorial @ git+{repository}@main"
    get_ipython().run_line_magic("pip", f"install --quiet '{{package}}'")"""


def repository_address(root: Path = ROOT) -> str:
    """The repository's address; pyproject.toml is its one place."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^Repository = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('pyproject.toml has no line Repository = "https://…"')
    return found[1]


def site_address(repository: str) -> str:
    """Where GitHub Pages shows the book of that repository."""
    organisation, name = repository.split("/")[-2:]
    return f"https://{organisation.lower()}.github.io/{name}"


def book_line(repository: str, stem: str) -> str:
    """The end of every chapter's first cell, for those who met the notebook before the book."""
    return f"*[Read this chapter in the book]({site_address(repository)}/chapters/{stem}.html).*"


def setup_source(repository: str) -> str:
    """The text of every chapter's first code cell."""
    return SETUP.format(repository=repository)


def chapter_files(root: Path = ROOT) -> list[Path]:
    return sorted((root / "chapters").glob("[0-9][0-9]_*.ipynb"))


def chapter_number(path: Path) -> int:
    """3 for chapters/03_elbo.ipynb."""
    found = re.match(r"(\d\d)_", path.name)
    if found is None:
        raise ValueError(f"{path.name}: the name of a chapter starts with its number, as 03_")
    return int(found[1])


def read(path: Path) -> dict[str, Any]:
    """A notebook whose multi-line strings are joined into one."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            cell["source"] = joined(cell["source"])
            cell.setdefault("metadata", {})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is not a notebook of format 4: {error!r}") from error
    return notebook


def joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def tags(cell: dict[str, Any]) -> list[str]:
    return cell["metadata"].get("tags", [])


def fold_tag(cell: dict[str, Any]) -> str:
    """A check is closed as a whole; of a figure, only the code."""
    return "hide-cell" if numbered.named_in_check(cell["source"]) is not None else "hide-input"


def digest(source: str) -> str:
    """Short, since it only has to notice an edit."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def measured_text(run: dict[str, Any]) -> str:
    """The sentence under a chapter's title, from the notebook's metadata."""
    return (
        f"*Measured: {run['seconds']} s on {run['device']} "
        f"(torch {run['torch']}, Python {run['python']}), {run['date']}.*"
    )


def outputs(cell: dict[str, Any]) -> list[dict[str, Any]]:
    return cell.get("outputs", []) if cell["cell_type"] == "code" else []


def images(cell: dict[str, Any]) -> int:
    """The number of pictures among a cell's outputs."""
    return sum(
        any(kind.startswith("image/") for kind in output.get("data", {}))
        for output in outputs(cell)
    )


def output_texts(cell: dict[str, Any]) -> Iterator[str]:
    """Everything readable among a cell's outputs; pictures are not."""
    for output in outputs(cell):
        yield joined(output.get("text", ""))
        for kind, data in output.get("data", {}).items():
            if kind.startswith("text/") or kind == "image/svg+xml":
                yield joined(data)


def project_files(root: Path = ROOT) -> list[Path]:
    """The project's own files, relative to `root`: git's list, or all but what is made here."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others"]
    try:
        answer = subprocess.run(
            [*command, "--exclude-standard"], capture_output=True, check=True, text=True
        )
        names = {Path(name) for name in answer.stdout.split("\0") if name}
    except (OSError, subprocess.CalledProcessError):  # no git, or an unpacked archive
        names = {
            path.relative_to(root)
            for path in root.rglob("*")
            if NOT_PROJECT.isdisjoint(path.relative_to(root).parts)
        }
    return sorted(name for name in names if (root / name).is_file())
