"""Live figures in a browser, without the book: one page that holds one figure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import visitor
from visitor import Visitor

PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>A live figure</title>
<body>{body}</body></html>"""


@contextlib.contextmanager
def chromium() -> Iterator:
    """A headless browser; skips the test where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        path = visitor.browser_path(playwright)
        if path is None:
            pytest.skip("no Chromium to open live figures with")
        browser = playwright.chromium.launch(executable_path=path, args=visitor.QUIET)
        yield browser
        browser.close()


def open_figure(browser, folder: Path, html: str, theme: str = "light", **settings) -> Visitor:
    """A reader of a page from disk that holds `html`, once its figure is live or has failed."""
    (folder / "page.html").write_text(PAGE.format(theme=theme, body=html), encoding="utf-8")
    reader = Visitor(browser, folder.as_uri(), **settings)
    reader.page.goto(f"{reader.address}/page.html")
    reader.page.wait_for_selector("[data-state=live], [data-state=error]")
    return reader


def pixels(reader: Visitor, number: int = 0) -> str:
    """What a canvas of the figure shows, to compare; after the next frame."""
    reader.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    return reader.page.evaluate(
        "n => document.querySelectorAll('.live-figure canvas')[n].toDataURL()", number
    )


def brightness(reader: Visitor, number: int = 0) -> float:
    """The mean grey level of a canvas on the figure's background, 0 to 255."""
    return reader.page.evaluate(
        """n => { const from = document.querySelectorAll('.live-figure canvas')[n];
        const to = document.createElement('canvas'); to.width = to.height = 8;
        const c = to.getContext('2d');
        c.fillStyle = getComputedStyle(from.closest('.live-figure')).backgroundColor;
        c.fillRect(0, 0, 8, 8); c.drawImage(from, 0, 0, 8, 8);
        const d = c.getImageData(0, 0, 8, 8).data;
        return d.reduce((sum, v, i) => sum + (i % 4 < 3 ? v / 192 : 0), 0); }""",
        number,
    )


def sideways(reader: Visitor) -> int:
    """By how many pixels the page is wider than the window."""
    return reader.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def frames_at_rest(reader: Visitor) -> int:
    """How many frames the figure asks for in half a second in which nobody touches it."""
    return reader.page.evaluate(
        """async () => { const real = requestAnimationFrame; let count = 0;
        const wait = (ms) => new Promise(done => setTimeout(done, ms));
        await wait(300);
        window.requestAnimationFrame = (f) => { count += 1; return real(f); };
        await wait(500); window.requestAnimationFrame = real; return count; }"""
    )


def drag(reader: Visitor, number: int, start: tuple, end: tuple, steps: int = 5) -> None:
    """Drag the mouse on a canvas, between two points given as shares of its width and height."""
    box = reader.page.locator(".live-figure canvas").nth(number).bounding_box()
    place = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    reader.page.mouse.move(*place[0])
    reader.page.mouse.down()
    reader.page.mouse.move(*place[1], steps=steps)
    reader.page.mouse.up()


def heights(reader: Visitor) -> tuple[float, float]:
    """The figure's height as it is, and as it was before it was live."""
    return tuple(
        reader.page.evaluate(
            """() => { const root = document.querySelector('.live-figure');
            const measure = () => root.getBoundingClientRect().height, now = measure();
            root.dataset.state = 'pending'; const before = measure();
            root.dataset.state = 'live'; return [now, before]; }"""
        )
    )
