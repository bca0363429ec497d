"""Execute chapters in place: `python tools/run_chapters.py [03 04_name chapters/05_… …]`.

What is stored beside the outputs: seconds, device and versions, a hash of every cell's source
(so that a later edit shows), and each figure's caption as its alternative text.
"""

from __future__ import annotations

import base64
import datetime
import io
import os
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
import notebooks
import numbered
from alternative_texts import alternative_text
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from PIL import Image

SECONDS_PER_CELL = 1800
DEVICE = """
import torch
gpu = torch.cuda.is_available() and torch.cuda.get_device_name()
print(gpu or ("mps" if torch.backends.mps.is_available() else ""), end="")
"""


def chosen_files(names: list[str], root: Path = notebooks.ROOT) -> list[Path]:
    """The chapters that names like `3`, `03`, `03_elbo` or a path mean; all where none is."""
    files = notebooks.chapter_files(root)
    chosen = []
    for name in names:
        stem = Path(name).name.removesuffix(".ipynb")
        found = [
            path
            for path in files
            if stem == path.stem or (stem.isdigit() and int(stem) == notebooks.chapter_number(path))
        ]
        if not found:
            raise ValueError(f"no chapter {name!r}; there are {', '.join(p.stem for p in files)}")
        chosen += found
    return chosen or files


def this_device() -> str:
    """`2 CPU cores`, or the name of the GPU that torch would use."""
    command = [sys.executable, "-c", DEVICE]
    gpu = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    if gpu:
        return {"mps": "an Apple GPU (MPS)"}.get(gpu, f"one {gpu}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} CPU core{'s' * (cores != 1)}"


def kernel(python: str = sys.executable) -> AsyncKernelManager:
    """A kernel of exactly this Python, whatever kernels the user has registered."""

    class OnePython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            command = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            quiet = ["--log-level=ERROR"]  # else every start prints a notice about encryption
            return KernelSpec(argv=command + quiet, display_name="Python 3", language="python")

    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=OnePython())


def execute(notebook: nbformat.NotebookNode, folder: Path) -> float:
    """Fill in the outputs; returns the seconds that took, start of the kernel included."""
    client = NotebookClient(
        notebook,
        km=kernel(),
        timeout=SECONDS_PER_CELL,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    )
    start = time.perf_counter()
    # no progress bars, and of live figures the still picture: the page brings their scripts
    quiet = {"VAE_TUTORIAL_PROGRESS": "0", "VAE_TUTORIAL_STILL": "1"}
    client.execute(env=os.environ | quiet)
    return time.perf_counter() - start


def prepare(notebook: nbformat.NotebookNode, repository: str, stem: str) -> None:
    """Write the link to the book and the set-up cell, give every cell an id, and drop what
    another program left."""
    title, line = notebook.cells[0], notebooks.book_line(repository, stem)
    title.source = re.sub(numbered.BOOK_LINE, "", title.source).rstrip() + f"\n\n{line}"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if code and (code[0].source.strip() == "# set-up" or "setup" in notebooks.tags(code[0])):
        code[0].source = notebooks.setup_source(repository)
        code[0].metadata["tags"] = notebooks.SETUP_TAGS
    seen: set[str] = set()
    for n, cell in enumerate(notebook.cells, start=1):
        if cell.get("id") is None or cell["id"] in seen:
            cell["id"] = f"cell-{n:03d}"
        seen.add(cell["id"])
        cell.metadata = {"tags": notebooks.tags(cell)}
        if cell.cell_type == "code":
            fold(cell)
        if not cell.metadata["tags"]:
            del cell.metadata["tags"]
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }


def fold(cell: nbformat.NotebookNode) -> None:
    """Close a cell that has a title: in the book, on Colab and in JupyterLab."""
    tags = [tag for tag in cell.metadata["tags"] if tag not in ("hide-input", "hide-cell")]
    title = numbered.title_of(cell.source)
    if title is not None:
        setup = "setup" in tags
        tags.append("hide-cell" if setup else notebooks.fold_tag(cell))
        cell.metadata.update(notebooks.FOLDED)
        if setup or title.startswith(numbered.CHECKED):
            cell.metadata["mystnb"] = {"code_prompt_show": title, "code_prompt_hide": title}
    cell.metadata["tags"] = tags


def shrink_pictures(cell: nbformat.NotebookNode) -> None:
    """Store a PNG with at most 256 colours where that makes it smaller: a third, as a rule."""
    for output in cell.get("outputs", []):
        if "image/png" not in output.get("data", {}):
            continue
        before = base64.b64decode(output["data"]["image/png"])
        picture = Image.open(io.BytesIO(before))
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        after = io.BytesIO()
        few.save(after, "PNG", optimize=True)
        if len(after.getvalue()) < len(before):
            output["data"]["image/png"] = base64.b64encode(after.getvalue()).decode()


def shown_width(cell: nbformat.NotebookNode) -> dict[str, str]:
    """The width of a figure on the page: half its pixels, since it is stored at twice the size."""
    for output in notebooks.outputs(cell):
        size = output.get("metadata", {}).get("image/png", {})
        if "width" in size:
            return {"width": f"{size['width']}px"}
    return {}


def finish(notebook: nbformat.NotebookNode, seconds: float, device: str) -> None:
    """Store the measurement, the hashes and the alternative texts."""
    run = {
        "date": datetime.date.today().isoformat(),
        "device": device,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "seconds": max(1, round(seconds)),
        "torch": version("torch").split("+")[0],
    }
    # The kernel reports its exact Python; only the language matters to a reader.
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    notebook.metadata[notebooks.KEY] = {"run": run}
    for cell, below in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        if "measured" in notebooks.tags(cell):
            cell.source = notebooks.measured_text(run)
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        shrink_pictures(cell)
        cell.metadata[notebooks.KEY] = {"source": notebooks.digest(cell.source)}
        if notebooks.images(cell) and below is not None:
            cell.metadata["mystnb"] = {
                **cell.metadata.get("mystnb", {}),
                "image": {"alt": alternative_text(below.source)} | shown_width(cell),
            }


def run(path: Path, repository: str, device: str) -> int:
    """Execute one chapter and store it; returns its seconds. On failure the file stays."""
    notebook = nbformat.read(path, as_version=4)
    prepare(notebook, repository, path.stem)
    seconds = execute(notebook, path.parent)
    finish(notebook, seconds, device)
    nbformat.validate(notebook)
    unfinished = path.with_suffix(".unfinished")
    nbformat.write(notebook, unfinished)
    unfinished.replace(path)  # in one step, so that Ctrl-C leaves the old file or the new
    return notebook.metadata[notebooks.KEY]["run"]["seconds"]


def describe(error: Exception, path: Path) -> str:
    """The failing cell's number, its code and the traceback's end."""
    if isinstance(error, DeadKernelError):
        return f"{path.name}: the kernel died (out of memory?); the file is unchanged"
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return "\n".join([f"{path.name} failed; the file is unchanged.", *lines])


def main(arguments: list[str]) -> int:
    try:
        files = chosen_files(arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    repository, device, failed = notebooks.repository_address(), this_device(), 0
    for path in files:
        print(f"{path.stem}: running on {device} …", flush=True)
        try:
            print(f"{path.stem}: {run(path, repository, device)} s", flush=True)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            print(describe(error, path), file=sys.stderr, flush=True)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
