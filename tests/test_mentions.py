"""Mentions of equations and figures: found in text, linked, and previewed in a browser."""

from __future__ import annotations

import io
import re
import sys

import notebooks
import pytest

pytest.importorskip("sphinx", reason="mentions are linked by Sphinx")
sys.path.append(str(notebooks.ROOT / "_ext"))
import mentions
from sphinx.application import Sphinx

ON_DISK = pytest.mark.parametrize("address", ["file"], indirect=True)
CONF = """
import sys
sys.path.insert(0, {ext!r})
import mentions
from book import keep_tagged_math_whole
extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath"]
def setup(app):
    mentions.setup(app)
    app.connect("doctree-read", keep_tagged_math_whole)
"""
ONE = r"""# One, not (1.1)

$$ x < y \tag{1.1} $$

![A line](line.png)

**Figure 1.1.** A *line*, see [two](two.md).

In (1.1)–(1.2), (2.1) and `(1.1)`, [see (1.1)](two.md) and $(1.1)$, 3 nats (108.5).

$$ y \tag{1.2} $$
"""
TWO = """# Two

$$ z \\tag{2.1} $$

As Figure 1.1 shows, (1.1) holds. Figures 1.1 and 1.1 too.
"""


def build(folder, **pages: str) -> tuple[dict[str, str], str]:
    """The built pages, and the warnings."""
    (folder / "conf.py").write_text(CONF.format(ext=str(notebooks.ROOT / "_ext")))
    (folder / "line.png").write_bytes((notebooks.ROOT / "_static" / "cover.png").read_bytes())
    (folder / "index.md").write_text("# All\n\n```{toctree}\none\ntwo\n```\n")
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)
    out, warnings = folder / "out", io.StringIO()
    app = Sphinx(folder, folder, out, out, "html", status=None, warning=warnings)
    app.build()
    return {name: (out / f"{name}.html").read_text() for name in pages}, warnings.getvalue()


def links(page: str) -> list[tuple[str, str]]:
    found = re.findall(r'<a class="reference internal mention" href="([^"]*)"[^>]*>(.*?)</a>', page)
    return [(text, address) for address, text in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("by (3.1)", ["(3.1)=equation-3.1"]),
        ("(3.1)–(3.3)", ["(3.1)=equation-3.1", "(3.3)=equation-3.3"]),
        ("(2.13), (M.7)", ["(2.13)=equation-2.13", "(M.7)=equation-M.7"]),
        ("in Figure 3.4.", ["Figure 3.4=figure-3.4"]),
        ("(Figure\n6.7)", ["Figure\n6.7=figure-6.7"]),
        (
            "Figures 3.4, 3.5 and 3.6",
            ["Figures 3.4=figure-3.4", "3.5=figure-3.5", "3.6=figure-3.6"],
        ),
        ("Figures 1.2–1.4", ["Figures 1.2=figure-1.2", "1.4=figure-1.4"]),
        ("in Figure 3.4, 4.5 nats", ["Figure 3.4=figure-3.4"]),
        ("(3.1 nats), 3.1, (a.1), Table 3.1", []),
    ],
)
def test_what_is_a_mention(text, found):
    assert [f"{text[a:b]}={name}" for a, b, name in mentions.mentioned(text)] == found


def test_mentions_become_links_and_nothing_else_does(tmp_path):
    pages, warnings = build(tmp_path, one=ONE, two=TWO)
    assert warnings == ""
    assert links(pages["one"]) == [
        ("(1.1)", "#equation-1.1"), ("(1.2)", "#equation-1.2"), ("(2.1)", "two.html#equation-2.1"),
    ]  # fmt: skip
    assert links(pages["two"]) == [
        ("Figure 1.1", "one.html#figure-1.1"), ("(1.1)", "one.html#equation-1.1"),
        ("Figures 1.1", "one.html#figure-1.1"), ("1.1", "one.html#figure-1.1"),
    ]  # fmt: skip
    assert pages["one"].count('id="figure-1.1"') == 1


def test_a_page_holds_what_its_mentions_lead_to_once(tmp_path):
    pages, _ = build(tmp_path, one=ONE, two=TWO)
    held = dict(re.findall(r'<template data-place="(.*?)">(.*?)</template>', pages["two"], re.S))
    assert set(held) == {"equation-1.1", "figure-1.1"}
    assert r"\[x &lt; y\]" in held["equation-1.1"]
    assert "One, not (1.1)" in held["equation-1.1"]
    assert '<img src="_images/line.png" alt="A line">' in held["figure-1.1"]
    assert "href" not in held["figure-1.1"]


def test_a_mention_that_leads_nowhere_is_a_warning(tmp_path):
    _, warnings = build(tmp_path, one=ONE, two="# Two\n\nSee (1.7) and Figure 9.1.\n")
    assert "two.md:3: WARNING: equation (1.7) is mentioned and is nowhere" in warnings
    assert "Figure 9.1 is mentioned" in warnings


# --- in the book ------------------------------------------------------------------------------


@pytest.mark.slow
@ON_DISK
def test_no_mention_of_the_book_is_left_plain(visit, html, pages):
    texts = {page: (html / page).read_text(encoding="utf-8") for page in pages}
    ids = {name for text in texts.values() for name in re.findall(r' id="([^"]+)"', text)}
    reader, plain = visit(), []
    for page in pages:
        reader.open(page)
        for text in reader.page.evaluate(f"({reader.checks}).plainText()"):
            found = [name for _, _, name in mentions.mentioned(text) if name in ids]
            plain += [(page, name) for name in found]
    assert not plain


@pytest.mark.slow
@ON_DISK
def test_a_preview_shows_the_formula(visit):
    reader = visit(viewport={"width": 1400, "height": 900})
    reader.open("intro.html")
    page, link = reader.page, reader.page.locator("a.mention[data-place='equation-3.3']").first
    link.hover()
    page.locator("#preview.placed mjx-container[display]").wait_for()
    assert page.locator("#preview .preview-from").inner_text().endswith("The ELBO")
    page.locator("#preview").hover()  # what is shown can be reached with the pointer
    page.wait_for_timeout(400)
    assert page.locator("#preview").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#preview").count() == 0
    link.click()
    page.wait_for_url("**/03_elbo.html#equation-3.3")


@pytest.mark.slow
@ON_DISK
def test_a_preview_shows_the_figure_to_the_keyboard(visit):
    reader = visit(viewport={"width": 1400, "height": 900})
    reader.open("chapters/04_reparameterization.html")
    page, link = reader.page, reader.page.locator("a.mention[data-place='figure-4.4']").first
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.locator("#preview.placed img").wait_for()
    assert "Figure 4.4." in page.locator("#preview").inner_text()
    box = page.locator("#preview").bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0
    assert box["x"] + box["width"] <= 1400 and box["y"] + box["height"] <= 900
    assert link.get_attribute("aria-describedby") == "preview"
    page.evaluate("document.activeElement.blur()")
    assert page.locator("#preview").count() == 0


@pytest.mark.slow
@ON_DISK
def test_a_finger_follows_the_link(visit):
    reader = visit(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    reader.open("intro.html")
    reader.page.locator("a.mention").first.tap()
    reader.page.wait_for_url("**/*.html#equation-*")
    assert reader.page.locator("#preview").count() == 0
