"""The book on paper: two small made-up pages, printed, and read again."""

from __future__ import annotations

import re

import notebooks
import pdf
import pypdf
import pytest
import yaml
from browser import browser_path

SITE = notebooks.site_address(notebooks.repository_address())
HEAD = """<head><title>{0}</title>
<script>window.MathJax = {{startup: {{promise: Promise.resolve()}}}}</script>
<script src="missing-theme.js"></script></head>"""
FIRST = """<h1 id="start">First page</h1><p><a href="part/two.html#end">To the end</a>
<a href="part/two.html">To the page</a> <a href="file.txt">A file</a>
<a href="#start">Here</a> <a href="https://example.org/x">Elsewhere</a></p>
<details><summary>A proof</summary><p>Proved.</p></details>
<details><summary>Hint</summary><p>Secret.</p></details>
<details class="hide"><summary>Show the code</summary><p>plot()</p></details>
<details class="hide"><summary>\u2713 checked: (1)</summary><p>assert</p></details>
<button>Copy</button><h2 id="more">More<a class="headerlink" href="#more">#</a></h2>"""
SECOND = """<h1 id="start">Second page</h1><img src="../a.png" alt="a"><pre>{0}</pre>
<h2 id="end">The end</h2>"""


@pytest.fixture
def html(tmp_path):
    (tmp_path / "part").mkdir()
    for name, text in {"first": FIRST, "part/two": SECOND.format("wide " * 60)}.items():
        (tmp_path / f"{name}.html").write_text(
            f'<html>{HEAD.format(name)}<body><nav>Menu</nav><article class="bd-article">{text}'
            "</article></body></html>",
            encoding="utf-8",
        )
    return tmp_path


def test_the_contents_are_those_of_the_book():
    pages = pdf.contents()
    toc = (notebooks.ROOT / "_toc.yml").read_text(encoding="utf-8")
    assert pages == re.findall(r"^(?:root:| *- file:) (\S+)$", toc, re.MULTILINE)


def test_one_page_of_all_pages(html):
    text = pdf.whole_book(html, ["first", "part/two"])
    assert 'href="#part--two--end"' in text and 'href="#part--two"' in text
    assert 'href="#first--start"' in text and 'id="first--start"' in text
    assert 'id="part--two--start"' in text and 'src="a.png"' in text
    assert f'href="{SITE}/file.txt"' in text and 'href="https://example.org/x"' in text
    for gone in ("Menu", "Secret", "plot()", "Copy", "headerlink", "missing-theme"):
        assert gone not in text, gone
    assert re.search(r"<details open[^>]*><summary>A proof", text)
    assert re.search(r'<details class="hide"><summary>\u2713 checked', text)
    assert text.index("First page") < text.index(SITE) < text.index("Second page")


@pytest.mark.slow
def test_the_pdf_has_bookmarks_and_links_into_itself(html):
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        if browser_path(playwright) is None:
            pytest.skip("no Chromium to print with")
    printed = pypdf.PdfReader(pdf.print_book(html, ["first", "part/two"]))
    assert not (html / pdf.WHOLE).exists()
    width, height = (float(length) / 72 * 25.4 for length in printed.pages[0].mediabox[2:])
    assert (round(width), round(height)) == (210, 297)

    def titles(outline):
        return [titles(item) if isinstance(item, list) else item.title for item in outline]

    assert titles(printed.outline) == ["First page", ["More"], "Second page", ["The end"]]
    links = [note.get_object() for page in printed.pages for note in page.get("/Annots", [])]
    outside = [note["/A"]["/URI"] for note in links if "/URI" in note.get("/A", {})]
    assert sorted(outside) == sorted([SITE, f"{SITE}/file.txt", "https://example.org/x"])
    assert len(links) - len(outside) == 3
    text = "".join(page.extract_text() for page in printed.pages)
    assert "Proved." in text and "assert" not in text


def test_the_front_page_links_to_the_pdf_that_the_site_gets():
    text = (notebooks.ROOT / "intro.md").read_text(encoding="utf-8")
    assert f"[PDF]({SITE}/{pdf.NAME})" in text
    workflow = (notebooks.ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(workflow)["jobs"]["test"]["steps"]
    printing = [n for n, step in enumerate(steps) if "tools/pdf.py" in step.get("run", "")]
    upload = [n for n, step in enumerate(steps) if "upload-pages" in step.get("uses", "")]
    assert len(printing) == len(upload) == 1 and printing < upload
    assert steps[printing[0]]["if"] == steps[upload[0]]["if"]
