"""Running chapters and moving the book to another repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import check_notebooks
import nbformat
import notebooks
import pytest
import run_chapters
import set_repository
from small_notebook import REPOSITORY

OLD = notebooks.repository_address()
# Put together here, so that the address stands in no file that the test itself rewrites.
NEW = "/".join(["https://github.com", "a-school", "course.vae"])

DRAFT = [
    ("markdown", "# Sums", []),
    ("code", "# set-up", []),
    ("markdown", "*Not measured yet.*", ["measured"]),
    ("code", "import vae_tutorial as vt\n\nvt.plots.use_style()", []),
    ("markdown", "## A sum\n\n$$ 1 + 1 = 2 \\tag{3.1} $$", []),
    ("code", "#@title ✓ checked: (3.1) by counting\nassert 1 + 1 == 2\nprint(1 + 1)", []),
    ("code", "#@title Draw Figure 3.1\nvt.diagrams.Diagram(3, 1);", []),
    ("markdown", "**Figure 3.1.** A *line* from $x=1$, in `blue`.\n\nMore.", []),
    ("code", "#@title Draw Figure 3.2\nvt.diagrams.graphical_model();", []),
    ("markdown", "**Figure 3.2.** A model.", []),
    ("markdown", "## Takeaways\n\n## Exercises\n\n## Where to read on", []),
]


def draft(folder: Path, *more: tuple[str, str, list[str]]) -> Path:
    """A chapter as an author leaves it: no outputs, and no ids."""
    notebook = nbformat.v4.new_notebook()
    for kind, source, tags in [*DRAFT, *more]:
        make = getattr(nbformat.v4, f"new_{kind}_cell")
        notebook.cells.append(make(source, metadata={"tags": tags} if tags else {}))
        notebook.cells[-1].pop("id")
    notebook.nbformat_minor = 4
    path = folder / "03_sums.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    path = draft(tmp_path_factory.mktemp("chapters"))
    run_chapters.run(path, REPOSITORY, "2 CPU cores")
    return path


def test_a_run_makes_a_chapter_that_keeps_the_rules(executed):
    assert check_notebooks.problems(executed, REPOSITORY) == []


def test_a_run_stores_the_measurement(executed):
    notebook = notebooks.read(executed)
    run = notebook["metadata"]["vae_tutorial"]["run"]
    assert set(run) == {"date", "device", "python", "seconds", "torch"}
    assert run["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    shown = notebook["cells"][2]["source"]
    assert re.fullmatch(
        r"\*Measured: \d+ s on 2 CPU cores \(torch [\d.]+\w*, Python [\d.]+\), \d{4}-\d\d-\d\d\.\*",
        shown,
    )


def test_a_run_gives_figures_their_caption_as_alternative_text(executed):
    metadata = notebooks.read(executed)["cells"][6]["metadata"]
    assert metadata["mystnb"]["image"]["width"].endswith("px")  # stored at twice the size
    assert metadata["mystnb"]["image"]["alt"] == "Figure 3.1. A line from x=1, in blue."


def test_a_run_leaves_nothing_that_changes_by_itself(executed, tmp_path):
    """A second run gives the same file, but for the measurement."""
    again = tmp_path / executed.name
    shutil.copyfile(executed, again)
    run_chapters.run(again, REPOSITORY, "2 CPU cores")
    pair = [json.loads(path.read_text(encoding="utf-8")) for path in (executed, again)]
    for notebook in pair:
        notebook["metadata"].pop("vae_tutorial")
        notebook["cells"][2].pop("source")
    assert pair[0] == pair[1]
    text = again.read_text(encoding="utf-8")
    assert text.startswith('{\n "cells": [\n  {\n   "cell_type"')
    assert text.endswith("}\n")
    assert "iopub" not in text


def test_a_failing_chapter_keeps_its_file(tmp_path, capsys, monkeypatch):
    path = draft(tmp_path, ("code", "x = 1\nx / 0", []))
    before = path.read_bytes()
    monkeypatch.setattr(run_chapters, "chosen_files", lambda names: [path])
    assert run_chapters.main([]) == 1
    error = capsys.readouterr().err
    assert "03_sums.ipynb failed; the file is unchanged." in error
    assert "x / 0" in error
    assert "ZeroDivisionError" in error
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_run_uses_this_python_without_progress_bars(tmp_path):
    path = draft(
        tmp_path,
        ("code", f"import os, sys\nassert sys.executable == {sys.executable!r}", []),
        ("code", "assert os.environ['VAE_TUTORIAL_PROGRESS'] == '0'", []),
        ("code", f"from pathlib import Path\nassert Path.cwd() == Path({str(tmp_path)!r})", []),
    )
    run_chapters.run(path, REPOSITORY, "2 CPU cores")


@pytest.mark.parametrize("name", ["3", "03", "03_c", "chapters/03_c.ipynb", "03_c.ipynb"])
def test_ways_to_name_a_chapter(name, tmp_path):
    (tmp_path / "chapters").mkdir()
    for stem in ("01_a", "03_c"):
        (tmp_path / "chapters" / f"{stem}.ipynb").touch()
    assert [p.stem for p in run_chapters.chosen_files([name], tmp_path)] == ["03_c"]
    assert [p.stem for p in run_chapters.chosen_files([], tmp_path)] == ["01_a", "03_c"]
    with pytest.raises(ValueError, match="no chapter '7'; there are 01_a, 03_c"):
        run_chapters.chosen_files(["7"], tmp_path)


@pytest.fixture
def project(tmp_path):
    """A copy of the project's own files, under git as a clone is."""
    for name in notebooks.project_files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(notebooks.ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def contents(project: Path) -> dict[Path, bytes]:
    return {name: (project / name).read_bytes() for name in notebooks.project_files(project)}


def test_moving_to_another_repository_and_back(project):
    before = contents(project)
    assert set_repository.main([NEW], project) == 0
    after = contents(project)
    assert notebooks.repository_address(project) == NEW
    organisation, name = OLD.split("/")[-2:]
    for file, data in after.items():
        text = data.decode("utf-8", errors="replace")
        assert OLD not in text, file
        assert f"github/{organisation}/{name}" not in text, file
        assert f"{organisation}.github.io/{name}" not in text, file
    for path in notebooks.chapter_files(project):
        changed = {
            p for p in check_notebooks.problems(path, NEW) if "set-up" in p or "changed" in p
        }
        assert not changed
    assert NEW in (project / "_config.yml").read_text(encoding="utf-8")
    assert set_repository.main([OLD], project) == 0
    assert contents(project) == before


def test_only_the_repository_itself_is_renamed(tmp_path):
    (tmp_path / "pyproject.toml").write_text('Repository = "https://github.com/a/b"\n')
    text = (
        "https://github.com/a/b.git https://github.com/a/b, https://github.com/a/b. "
        "https://github.com/a/bc https://github.com/a/b-c https://github.com/a/b.js "
        "https://notgithub.com/a/b https://a.github.io/b/x.html\n"
    )
    (tmp_path / "README.md").write_text(text)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff https://github.com/a/b")
    set_repository.rewrite(tmp_path, "https://github.com/C/d")
    assert (tmp_path / "README.md").read_text() == (
        "https://github.com/C/d.git https://github.com/C/d, https://github.com/C/d. "
        "https://github.com/a/bc https://github.com/a/b-c https://github.com/a/b.js "
        "https://notgithub.com/a/b https://c.github.io/d/x.html\n"
    )
    assert (tmp_path / "picture.png").read_bytes() == b"\x89PNG\xff https://github.com/a/b"


@pytest.mark.parametrize(
    "given",
    [
        "https://github.com/some-school/some-book",
        "https://github.com/some-school/some-book/",
        "https://github.com/some-school/some-book.git",
        "http://github.com/some-school/some-book",
        "https://token@github.com/some-school/some-book.git",
        "git@github.com:some-school/some-book.git",
        "ssh://git@github.com/some-school/some-book.git",
        "github.com/some-school/some-book",
    ],
)
def test_spellings_of_an_address(given):
    assert set_repository.normal_address(given) == REPOSITORY


@pytest.mark.parametrize(
    "given",
    [
        "nonsense",
        "https://github.com/only-an-organisation",
        "https://github.com/a/b/tree/main",
        "https://github.com/a/b c",
        "https://example.org/a/b",
        "https://github.com.example.org/a/b",
        "/srv/git/book.git",
        "../book",
        "https://github.com/a/'; rm -rf x",
    ],
)
def test_nonsense_is_refused_and_changes_nothing(given, tmp_path, capsys):
    (tmp_path / "pyproject.toml").write_text('Repository = "https://github.com/a/b"\n')
    assert set_repository.main([given], tmp_path) == 2
    assert "is no address of a GitHub repository" in capsys.readouterr().err
    assert (tmp_path / "pyproject.toml").read_text() == 'Repository = "https://github.com/a/b"\n'


def test_the_default_is_the_origin_of_git(project, capsys):
    assert set_repository.main([], project) == 2
    assert "git knows no `origin` here" in capsys.readouterr().err
    address = NEW.replace("https://github.com/", "git@github.com:") + ".git"
    subprocess.run(["git", "-C", str(project), "remote", "add", "origin", address], check=True)
    assert set_repository.main([], project) == 0
    assert notebooks.repository_address(project) == NEW


def test_requirements_name_what_the_package_needs():
    """requirements.txt bounds from above exactly what pyproject.toml bounds from below."""

    def needs(pattern: str, file: str) -> set[str]:
        text = (notebooks.ROOT / file).read_text(encoding="utf-8")
        return set(re.findall(pattern, text, re.MULTILINE))

    assert needs(r'^    "([\w-]+>=[\d.]+)"', "pyproject.toml") == needs(
        r"^([\w-]+>=[\d.]+),<\d+$", "requirements.txt"
    )


def test_no_script_hides_a_module_of_python():
    """A script's folder is searched first: a `compression.py` there breaks gzip in Python 3.14."""
    root = Path(__file__).parents[1]
    folders = ("benchmarks", "tools", "tests")
    ours = {path.stem for folder in folders for path in (root / folder).glob("*")}
    newer = {"annotationlib", "compression"}  # of Python 3.14, in case an older one runs this
    assert len(ours) > 100
    assert not ours & (sys.stdlib_module_names | newer)
