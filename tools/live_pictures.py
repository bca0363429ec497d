"""Make the still pictures of live figures: `python tools/live_pictures.py [NAME …]`.

Each is a screenshot of the figure as it begins, on a light page of full width, with two pixels for
one and few colours. Needs playwright and a Chromium.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from vae_tutorial import live

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from live_pages import open_figure
from visitor import QUIET, browser_path

WIDTH = 740  # of the book's column, in CSS pixels
COLOURS = 64


def picture(browser: Browser, name: str) -> bytes:
    """The PNG of one figure."""
    with tempfile.TemporaryDirectory() as folder:
        path = live.FOLDER / f"{name}.png"
        if not path.exists():  # the figure's HTML wants one
            Image.new("RGB", live.KINDS[name].size).save(path)
        html = f"<div style='width: {WIDTH}px'>{live.figure(name).whole()}</div>"
        reader = open_figure(
            browser, Path(folder), html, device_scale_factor=2,
            viewport={"width": WIDTH + 20, "height": 1200},
        )  # fmt: skip
        if name == "trainer":  # as it is when training pauses by itself
            reader.page.get_by_role("button", name="Train").click()
            done = reader.page.get_by_role("button", name="Train", exact=True)
            done.wait_for(timeout=600_000)
        reader.page.wait_for_timeout(500)
        shot = reader.page.locator(".live-body").screenshot()
        reader.context.close()
    whole = Image.open(io.BytesIO(shot)).convert("RGB")
    # the octree keeps rare colours apart, which a median cut among greys would mix
    few = whole.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    content = io.BytesIO()
    few.save(content, "PNG", optimize=True)
    return content.getvalue()


def main(names: list[str]) -> None:
    with sync_playwright() as playwright:
        path = browser_path(playwright)
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        for name in names or live.KINDS:
            content = picture(browser, name)
            (live.FOLDER / f"{name}.png").write_bytes(content)
            width, height = Image.open(io.BytesIO(content)).size
            print(f"{name}: {width / 2:g} × {height / 2:g}, {len(content):,} bytes")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
