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
