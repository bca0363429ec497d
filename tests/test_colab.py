"""A chapter alone, as on Colab: its set-up cell brings the package, and nothing else changes.

By default the chapter that was measured as the shortest runs; `VAE_TUTORIAL_COLAB=all` runs all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import nbformat
import notebooks
import pytest
import run_chapters
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

# What Colab has of what the book needs, pip and its build backend included.
COLAB = ["torch", "torchvision", "numpy", "matplotlib", "tqdm", "ipykernel", "pip", "setuptools"]
LIST = (
    "import importlib.metadata as m, json;"
    "print(json.dumps({d.name: d.version for d in m.distributions()}))"
)
WHERE = "import vae_tutorial; print(vae_tutorial.__file__)"


def seconds(path: Path) -> int:
    return notebooks.read(path)["metadata"][notebooks.KEY]["run"]["seconds"]


def chosen() -> list[Path]:
    files = notebooks.chapter_files()
    if os.environ.get("VAE_TUTORIAL_COLAB") == "all":
        return files
    measured = [path for path in files if notebooks.KEY in notebooks.read(path)["metadata"]]
    return sorted(measured, key=seconds)[:1]


def closure(names: list[str]) -> dict[str, Distribution]:
    """The named distributions and all that they need here, by normalised name."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(name) for name in names]
    asked = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras}:
            if (name, extra) in asked:
                continue
            asked.add((name, extra))
            found[name] = distribution(name)
            needs = [Requirement(text) for text in found[name].requires or []]
            waiting += [n for n in needs if not n.marker or n.marker.evaluate({"extra": extra})]
    return found


def top_levels(dist: Distribution) -> dict[str, Path]:
    """The files and folders that a distribution has directly in site-packages."""
    tops = {file.parts[0] for file in dist.files or [] if file.parts[0] != ".."}
    return {top: Path(dist.locate_file(top)) for top in tops - {"__pycache__"}}


def colab_environment(folder: Path) -> Path:
    """A virtual environment of links to Colab's part of this one; returns its python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    variables = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=variables))
    inside = closure(COLAB)
    shared = {  # folders that a distribution outside has a part in
        top for dist in distributions() if canonicalize_name(dist.name) not in inside
        for top in top_levels(dist)
    }  # fmt: skip
    for dist in inside.values():
        for top, source in top_levels(dist).items():
            if top not in shared and not (site / top).exists():
                (site / top).symlink_to(source)
        for file in dist.files or []:
            target = site / file
            if file.parts[0] in shared and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(dist.locate_file(file))
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def local_repository(folder: Path) -> None:
    """The project's files as the only commit on `main` of a repository."""
    for name in notebooks.project_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(notebooks.ROOT / name, folder / name)
    identity = ["-c", "user.name=A reader", "-c", "user.email=reader@example.org"]
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all", "--force"],
        [*identity, "-c", "commit.gpgsign=false", "commit", "--quiet", "--message=Everything"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    if shutil.which("git") is None:
        pytest.skip("there is no git, from which the set-up cell takes the package")
    folder = tmp_path_factory.mktemp("repository")
    local_repository(folder)
    return folder


@pytest.fixture
def colab(repository, tmp_path_factory):
    """A fresh Colab's python, and the variables by which git finds the repository on this disk."""
    folder = tmp_path_factory.mktemp("colab")
    variables = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": notebooks.repository_address(),
        # No network: whatever the package needs must be there, and its build backend too.
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads a "no" of a "no": this is what switches it off
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONNOUSERSITE": "1",
        "VAE_TUTORIAL_PROGRESS": "0",
    }
    foreign = ("PIP_", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return colab_environment(folder / "env"), environment | variables


def asked(python: Path, code: str, environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        [str(python), "-c", code], env=environment, cwd=folder, capture_output=True, text=True
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def run_on_colab(
    notebook: nbformat.NotebookNode, python: Path, environment: dict[str, str], folder: Path
) -> None:
    """Execute a notebook in a folder in which nothing else of the repository is."""
    client = NotebookClient(
        notebook,
        km=run_chapters.kernel(str(python)),
        timeout=1800,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute(env=environment)
    finally:  # pip's complaints, which are no exception of the cell
        setup = next(cell for cell in notebook.cells if cell.cell_type == "code")
        print(*notebooks.output_texts(setup))


@pytest.mark.parametrize("chapter", chosen(), ids=lambda path: path.stem)
def test_a_chapter_alone_runs_on_colab(chapter, colab, tmp_path):
    python, environment = colab
    alone = shutil.copyfile(chapter, tmp_path / chapter.name)
    before = asked(python, LIST, environment, tmp_path)
    assert "ModuleNotFoundError" in asked(python, WHERE, environment, tmp_path)

    run_on_colab(nbformat.read(alone, as_version=4), python, environment, tmp_path)

    package = Path(asked(python, WHERE, environment, tmp_path))
    assert package.is_relative_to(python.parent.parent)  # not this project's folder
    after = json.loads(asked(python, LIST, environment, tmp_path))
    assert after.pop("vae-tutorial")
    assert after == json.loads(before)


def test_stored_results_come_with_the_package(colab, tmp_path):
    """What chapters compare their tables with is there where nothing but the package is."""
    cells = [
        cell["source"]
        for path in notebooks.chapter_files()
        for cell in notebooks.read(path)["cells"]
        if cell["cell_type"] == "code"
    ]
    read = {name for source in cells for name in re.findall(r'stored_runs\("(\w+)"\)', source)}
    assert read, "no chapter reads stored results; take this test out"
    sources = [
        notebooks.setup_source(notebooks.repository_address()),
        "import vae_tutorial as vt",
        *(f'assert len(vt.pretrained.stored_runs("{name}")) > 1' for name in sorted(read)),
    ]
    code = [nbformat.v4.new_code_cell(source) for source in sources]
    run_on_colab(nbformat.v4.new_notebook(cells=code), *colab, tmp_path)


def test_no_chapter_looks_for_files_of_the_repository():
    """On Colab there are none. Comments may name them."""
    for path in notebooks.chapter_files():
        for cell in notebooks.read(path)["cells"]:
            code = re.sub(r"#.*", "", cell["source"]) if cell["cell_type"] == "code" else ""
            assert not re.search(r"benchmarks|__file__|Path\.cwd", code), path.name
