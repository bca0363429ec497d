"""What all tests share: fixed seeds, small models, small images, and the built book."""

import json
import os
from pathlib import Path

import built_book
import matplotlib
import pytest
import torch
import visitor
from filelock import FileLock
from hypothesis import settings

import vae_tutorial as vt

matplotlib.use("Agg")
# The same examples in every run, so that a change is judged by what it changed. To hunt with new
# ones: pytest --hypothesis-profile=hunt
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("hunt", max_examples=2000, deadline=None)
settings.load_profile("gate")
os.environ.setdefault("VAE_TUTORIAL_PROGRESS", "0")  # bars only clutter a log


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def blobs() -> torch.Tensor:
    """(300, 1, 8, 8) uint8 images with something to learn: a bright square at one of 9 places."""
    images = torch.zeros(300, 1, 8, 8, dtype=torch.uint8)
    for i, (row, column) in enumerate(torch.randint(0, 3, (300, 2)).tolist()):
        images[i, 0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] = 230
    return images


@pytest.fixture
def small_vae() -> vt.VAE:
    """A VAE for 8 × 8 images with two latent dimensions."""
    shape = (1, 8, 8)
    return vt.VAE(vt.MLPEncoder(2, (32,), shape), vt.MLPDecoder(2, (32,), shape))


# --- the built book and its readers -----------------------------------------------------------


@pytest.fixture(scope="session")
def html(tmp_path_factory) -> Path:
    """The folder of pages; VAE_TUTORIAL_HTML names one that is built already."""
    if "VAE_TUTORIAL_HTML" in os.environ:
        return Path(os.environ["VAE_TUTORIAL_HTML"]).resolve()
    # Tests run in several processes, and the first that needs the book builds it for all.
    parts = tmp_path_factory.getbasetemp()
    shared = parts.parent if "PYTEST_XDIST_WORKER" in os.environ else parts
    with FileLock(shared / "book.lock"):
        outcome = shared / "book.json"
        if not outcome.exists():
            folder, wrong = built_book.build(tmp_path_factory.mktemp("book"))
            outcome.write_text(json.dumps([str(folder), wrong]), encoding="utf-8")
        folder, wrong = json.loads(outcome.read_text(encoding="utf-8"))
    if wrong:
        pytest.fail(f"the book does not build strictly:\n{wrong}", pytrace=False)
    return Path(folder)


@pytest.fixture(scope="session")
def pages(html) -> list[str]:
    """All but index.html, which only leads to the introduction."""
    found = sorted(path.relative_to(html).as_posix() for path in html.rglob("*.html"))
    return [page for page in found if page != "index.html"]


@pytest.fixture(scope="module", params=["file", "http"])
def address(request, html):
    """Where the book is: on disk, or on a server."""
    if request.param == "file":
        yield html.as_uri()
    else:
        with visitor.served(html) as address:
            yield address


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        path = visitor.browser_path(playwright)
        if path is None:
            pytest.skip(
                "no Chromium to open the pages with; install one (apt install chromium, or "
                "python -m playwright install chromium)"
            )
        chromium = playwright.chromium.launch(executable_path=path, args=visitor.QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, address):
    """Opens readers, and at the end fails on whatever any of them complained about."""
    readers = []

    def make(**settings) -> visitor.Visitor:
        readers.append(visitor.Visitor(browser, address, **settings))
        return readers[-1]

    yield make
    for reader in readers:
        reader.context.close()
    complaints = [line for reader in readers for line in reader.complaints]
    assert not complaints, "\n".join(["", *complaints])
