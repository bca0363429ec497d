"""The built book: strict, whole, and working in a browser with nothing to reach but itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import notebooks
import pytest
from built_book import BUILD, copy_project
from visitor import Visitor

pytestmark = pytest.mark.slow

LARGEST = 40_000_000  # bytes of all that is built


class Links(HTMLParser):
    """Collects what a page loads, what it links to, and the ids that it has."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loads, self.links, self.ids = [], [], set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id"))
        if tag in ("script", "img", "iframe", "source", "link"):
            address = values.get("href" if tag == "link" else "src")
            self.loads += [address] if address else []
        elif tag == "a" and "href" in values:
            self.links.append(values["href"])


def test_every_chapter_is_built(pages):
    built = {Path(page).stem for page in pages if page.startswith("chapters/")}
    assert built == {path.stem for path in notebooks.chapter_files()}
    assert {"intro.html", "search.html", "pages/bibliography.html"} <= set(pages)


def test_pages_load_nothing_from_another_host(html, pages):
    foreign = {
        (page, address)
        for page in pages
        for address in Links(html / page).loads
        if urlsplit(address).netloc or urlsplit(address).scheme not in ("", "data")
    }
    assert not foreign


def test_links_within_the_book_lead_somewhere(html, pages):
    found = {page: Links(html / page) for page in pages}
    ids = {page: links.ids for page, links in found.items()}
    broken = []
    for page, links in found.items():
        for link in links.links:
            target, fragment = urldefrag(urljoin(page, link))
            target = target.partition("?")[0]
            if urlsplit(target).scheme or target.startswith("mailto:"):
                continue
            known = (html / unquote(target)).exists()
            if not known or (fragment and unquote(fragment) not in ids.get(target, {fragment})):
                broken.append((page, link))
    assert not broken


def test_the_reference_shows_every_public_name(html):
    text = (html / "pages/reference.html").read_text(encoding="utf-8")
    listed = (notebooks.ROOT / "vae_tutorial" / "__init__.py").read_text(encoding="utf-8")
    names = listed.split("__all__ = [")[1].split("]")[0].replace('"', "").replace(",", " ").split()
    missing = [name for name in names if f".{name}" not in text]
    assert not missing, "add their module to pages/reference.md, or a docstring to the constant"


def test_size_of_the_book(html):
    size = sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
    assert size < LARGEST, f"the built book takes {size:,} bytes"


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_make_book_is_strict_and_clean_every_time(tmp_path):
    """Sphinx forgets warnings of pages that it does not read again; `make book` reads all."""
    project = copy_project(tmp_path)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    tool = project / ".venv-book" / "bin" / "jupyter-book"
    tool.parent.mkdir(parents=True)
    tool.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{BUILD}' \"$@\"\n")
    tool.chmod(0o755)
    (project / ".venv-book" / ".ready").write_text(f"{project.resolve()} {version}")
    (project / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    (project / "page.md").write_text("# Page\n\n[broken](no-such-page.md)\n")
    for _ in range(2):
        command = ["make", "book", f"PYTHON={sys.executable}"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
        assert done.returncode != 0, done.stdout
        assert "no-such-page" in done.stderr


# --- in a browser -----------------------------------------------------------------------------


ON_DISK = pytest.mark.parametrize("address", ["file"], indirect=True)  # a server changes nothing


def test_every_page_works(visit, pages):
    reader = visit(viewport={"width": 1400, "height": 900})
    for page in pages:
        reader.open(page)
        reader.check("formulas", "images", "width", "fit")


@ON_DISK
def test_every_page_fits_a_phone(visit, pages):
    reader = visit(viewport={"width": 375, "height": 800})
    for page in pages:
        reader.open(page)
        reader.check("width", "formulas", "reach")


@ON_DISK
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_legible(visit, pages, theme):
    reader = visit(color_scheme=theme)
    for page in pages:
        reader.open(page)
        if reader.page.locator("article").count():
            assert reader.page.locator("html").get_attribute("data-theme") == theme
            reader.check("contrast", "figures")


def test_dark_mode_is_one_button_away(visit):
    reader = visit(color_scheme="light")
    reader.open("intro.html")
    root, seen = reader.page.locator("html"), []
    for _ in range(3):  # light, dark, as the system is
        reader.page.locator(".theme-switch-button:visible").first.click()
        seen.append(root.get_attribute("data-theme"))
    assert set(seen) == {"light", "dark"}
    while root.get_attribute("data-theme") != "dark":
        reader.page.locator(".theme-switch-button:visible").first.click()
    reader.open("pages/bibliography.html")
    assert root.get_attribute("data-theme") == "dark", "the choice is forgotten"


def test_search_finds_a_word(visit):
    reader = visit()
    reader.open("intro.html")
    reader.page.locator(".search-button-field:visible, .search-button:visible").first.click()
    reader.page.locator("input[type=search]:visible").first.fill("autoencoders")
    reader.page.keyboard.press("Enter")
    result = reader.page.locator("#search-results li a[href*='01_autoencoders']").first
    result.wait_for()
    if reader.address.startswith("http"):  # from disk, titles alone can be shown
        reader.page.locator("#search-results p.context").first.wait_for()
    result.click()
    assert "01_autoencoders" in reader.page.url


@pytest.mark.parametrize("word", ["reparameterisation", "reparameterization"])
@ON_DISK
def test_search_finds_both_spellings(visit, word):
    reader = visit()
    reader.open(f"search.html?q={word}")
    reader.page.locator("#search-results li a[href*='04_reparam']").first.wait_for()


def test_copy_button_copies_the_code(visit):
    reader = visit()
    reader.open("chapters/01_autoencoders.html")
    page = reader.page
    cell = page.locator("div.cell_input:visible", has=page.locator("button.copybtn")).first
    button = cell.locator("button.copybtn")
    cell.hover()
    button.click()
    page.locator("button.copybtn.success").first.wait_for()
    if reader.address.startswith("http"):  # no page on disk may read what was copied
        reader.context.grant_permissions(["clipboard-read"])
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.strip() == cell.locator("pre").inner_text().strip()


def test_buttons_of_a_chapter_lead_where_they_should(visit, html):
    repository = notebooks.repository_address()
    colab = repository.replace("github.com", "colab.research.google.com/github")
    reader = visit()
    for path in notebooks.chapter_files():
        reader.open(f"chapters/{path.stem}.html")
        links = {
            urljoin(reader.page.url, link.get_attribute("href"))
            for link in reader.page.locator(
                "header a, .header-article a, .bd-header-article a"
            ).all()
        }
        assert f"{colab}/blob/main/chapters/{path.name}" in links
        assert repository in links
        assert f"{reader.address}/_sources/chapters/{path.name}" in links
        assert (html / "_sources" / "chapters" / path.name).read_bytes() == path.read_bytes()


def test_the_front_page_opens_the_introduction(visit):
    reader = visit()
    reader.page.goto(f"{reader.address}/index.html")
    reader.page.wait_for_url("**/intro.html")


def test_a_visitor_complains(browser, tmp_path):
    """The checks themselves: a page with everything wrong gets every complaint."""
    (tmp_path / "bad.html").write_text(
        "<article><style>p { color: #888; width: 3000px }</style><p>Grey \\(x\\)</p>"
        "<span class='math'>x</span><img src='none.png'><div class='cell_output'>"
        "<img src='data:,' alt='a' style='filter: invert(1)'></div>"
        "<script src='https://example.org/x.js'></script><script>no_such_name()</script></article>"
    )
    reader = Visitor(browser, tmp_path.as_uri())
    reader.page.goto(f"{reader.address}/bad.html")
    reader.check("formulas", "images", "width", "contrast", "figures")
    reader.context.close()
    text = "\n".join(reader.complaints)
    for complaint in (
        "formula not set: x", "raw TeX in the text", "image did not load", "px wide in a window",
        "contrast 3.5", "figure without alternative text", "a figure is recoloured",
        "asks another host: https://example.org/x.js", "no_such_name is not defined",
    ):  # fmt: skip
        assert complaint in text
