"""On paper: code wraps, nothing is cut off, and boxes can be printed open."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow
ON_DISK = pytest.mark.parametrize("address", ["file"], indirect=True)
CUT = """() => [...document.querySelectorAll("article pre")]
  .filter((box) => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.textContent.slice(0, 60))"""


@ON_DISK
def test_code_and_outputs_wrap_on_paper(visit):
    reader = visit(viewport={"width": 700, "height": 900})  # A4 with margins
    reader.open("chapters/06_measuring.html")
    assert reader.page.evaluate(CUT), "on the screen, long lines scroll"
    reader.page.emulate_media(media="print")
    assert reader.page.evaluate(CUT) == []


@ON_DISK
def test_boxes_are_closed_and_open_when_asked_for(visit):
    reader = visit()
    opened = "nodes => nodes.filter((node) => node.open).length"
    boxes = reader.page.locator("article details")
    reader.open("chapters/03_elbo.html")
    assert boxes.evaluate_all(opened) == 0
    link = reader.page.locator("a[href='?print=open']")
    assert link.count() == 1
    reader.context.add_init_script("window.print = () => { window.printed = true; }")
    reader.open("chapters/03_elbo.html?print=open")
    reader.page.wait_for_function("window.printed")
    assert boxes.evaluate_all(opened) == boxes.count() > 10
