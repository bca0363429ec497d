"""Links of chapters into the book: addresses in the notebook, paths on the page."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import notebooks
import pytest

pytest.importorskip("sphinx", reason="the book's extension needs Sphinx")
sys.path.append(str(notebooks.ROOT / "_ext"))
import notebook_links
from docutils import nodes

REPOSITORY = notebooks.repository_address()
SITE = notebooks.site_address(REPOSITORY)
SOURCES = {"chapters/03_elbo": ".ipynb", "chapters/04_x": ".ipynb", "pages/data": ".md"}


def book(docname: str = "chapters/03_elbo") -> SimpleNamespace:
    env = SimpleNamespace(
        docname=docname,
        found_docs=set(SOURCES),
        doc2path=lambda name, base: name + SOURCES[name],
    )
    return SimpleNamespace(srcdir=str(notebooks.ROOT), env=env)


def read(text: str, docname: str = "chapters/03_elbo") -> str:
    source = [text]
    notebook_links.to_paths(book(docname), docname, source)
    return source[0]


def test_the_site_is_that_of_the_repository():
    assert notebooks.site_address("https://github.com/A-School/vae") == (
        "https://a-school.github.io/vae"
    )


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("pages/data.html", "../pages/data.md"),
        ("pages/data.html#real-sets", "../pages/data.md#real-sets"),
        ("chapters/04_x.html", "04_x.ipynb"),
        ("pages/no-such.html", "../pages/no-such.md"),  # which a strict build complains of
    ],
)
def test_an_address_becomes_a_path(address, path):
    assert read(f"[there]({SITE}/{address}).") == f"[there]({path})."


def test_other_addresses_stay():
    for address in (f"{SITE}/book.pdf", "https://example.org/pages/data.html", REPOSITORY):
        assert read(f"[there]({address})") == f"[there]({address})"


def test_the_line_that_leads_to_the_page_itself_is_not_on_it():
    line = notebooks.book_line(REPOSITORY, "03_elbo")
    assert read(line) == line
    paragraphs = [
        nodes.paragraph("", "", nodes.reference("", "here", refuri=f"{SITE}/{name}"))
        for name in ("chapters/03_elbo.html", "chapters/04_x.html")
    ]
    page = nodes.section("", *paragraphs)
    notebook_links.drop_own_link(book(), page)
    assert page.children == paragraphs[1:]
