"""Pages load little: of the theme's icons only those that occur."""

from __future__ import annotations

import sys
from urllib.parse import urldefrag

import notebooks
import pytest

pytest.importorskip("sphinx", reason="the icons are put together when the book is built")
sys.path.append(str(notebooks.ROOT / "_ext"))
import icons

SCRIPT = 'x={sun:[512,512,[],"f185","M1 1"],"file-pdf":[384,512,[],"f1c1","M2 2"],'
SCRIPT += 'bars:[448,512,["navicon"],"f0c9","M3 3z"],sun:[512,512,[9],"f185","M4 4"]}'


def test_icons_of_a_page():
    page = '<i class="fa-solid fa-sun fa-lg"></i><span class="fas fa-bars" title="fa-no"></span>'
    assert icons.used([page]) == {"sun", "bars"}


def test_an_outline_is_the_solid_one():
    assert "viewBox='0 0 512 512'" in icons.outline("sun", SCRIPT)
    assert "d='M4 4'" in icons.outline("sun", SCRIPT)
    assert icons.outline("moon", SCRIPT) is None


def test_without_an_icon_there_is_no_sheet(monkeypatch):
    monkeypatch.setattr(icons, "BY_SCRIPT", {"file-pdf"})
    assert ".fa-bars {" in icons.sheet({"sun", "bars"}, SCRIPT)
    assert icons.sheet({"moon"}, SCRIPT) is None


def test_fonts_go_and_rules_stay():
    css = "@font-face{src:url(../vendor/fontawesome/a.woff2)}.fa-sun:before,.fa-s:before"
    css += '{content:"\\f185"}.fa-lg{font-size:1.25em}'
    assert icons.FONTS.sub("", css) == ".fa-lg{font-size:1.25em}"


@pytest.mark.slow
@pytest.mark.parametrize("address", ["http"], indirect=True)
def test_a_page_loads_little_but_formulas_and_pictures(visit, html):
    reader, asked = visit(), set()
    reader.page.on("request", lambda request: asked.add(urldefrag(request.url.split("?")[0])[0]))
    reader.open("chapters/03_elbo.html")
    reader.page.wait_for_load_state("networkidle")
    names = {url.removeprefix(f"{reader.address}/") for url in asked}
    names = {n for n in names if "mathjax" not in n and n.endswith((".js", ".css", ".woff2"))}
    sizes = {name: (html / name).stat().st_size for name in names}
    assert sum(sizes.values()) < 1_000_000, sizes


@pytest.mark.slow
@pytest.mark.parametrize("address", ["file"], indirect=True)
def test_every_icon_is_drawn(visit):
    reader = visit(viewport={"width": 1400, "height": 900})
    reader.open("chapters/03_elbo.html")
    masks = reader.page.locator("i[class*=fa-], span[class*='fa-']").evaluate_all(
        "nodes => nodes.filter((node) => node.checkVisibility())"
        ".map((node) => [node.className, getComputedStyle(node, '::before').maskImage])"
    )
    assert masks
    assert [name for name, mask in masks if "svg" not in mask] == []
