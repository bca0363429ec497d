"""Print the built book to one PDF: `python tools/pdf.py [HTML FOLDER]`, after `make book`.

All pages are put one after the other into one page, in the order of the contents, and a headless
Chromium prints that: so links lead to places in the PDF, headings become its bookmarks, and pages
are numbered throughout. How it looks is said in `_static/print.css`.

Boxes with proofs and side topics are printed open. A check is printed as its title. Hints,
solutions, and the code of checks and figures are left to the book on a screen; the first page says
so.
"""

from __future__ import annotations

import posixpath
import sys
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import notebooks
import yaml
from browser import QUIET, browser_path
from bs4 import BeautifulSoup, Tag

HTML = notebooks.ROOT / "_build" / "html"
NAME = "vae-tutorial.pdf"
WHOLE = "whole-book.html"  # for the time of printing
LEFT_OUT = ("Hint", "Solution", "Show the code", "Set-up:")  # how the titles of such boxes start
IMPRINT = (
    '<p>Printed from <a href="{0}">{0}</a>. Hints and solutions, and the code of checks and '
    "figures, are in the book there.</p>"
)
FOOTER = (
    '<div style="font-size:8pt;width:100%;text-align:center;color:#555">'
    '<span class="pageNumber"></span></div>'
)
PAPER = {
    "format": "A4",
    "margin": {"top": "18mm", "bottom": "20mm", "left": "20mm", "right": "20mm"},
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": FOOTER,
    "print_background": True,
    "tagged": True,  # for screen readers; bookmarks need it too
    "outline": True,
}
LINE = {"width": 643, "height": 980}  # the 170 mm between the margins, in CSS pixels
SECONDS = 900  # for all formulas of the book
FIT = """() => {
  for (const box of document.querySelectorAll("div.math, .pst-scrollable-table-container")) {
    const share = box.clientWidth / box.scrollWidth;
    if (share < 1) box.style.fontSize = `${98 * share}%`;
  }
  return [...document.querySelectorAll("div.math")].filter(
    (box) => box.scrollWidth > box.clientWidth + 2).map((box) => box.textContent.slice(0, 60));
}"""  # what is wider than a line becomes smaller; returns what still does not fit


def contents(root: Path = notebooks.ROOT) -> list[str]:
    """The pages in the order of the table of contents, without their ending."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(page["file"] for part in toc["parts"] for page in part["chapters"])]


def place(page: str, fragment: str = "") -> str:
    """The id, in the one page, of a page or of a place on it; ids of pages may be the same."""
    return f"{page.replace('/', '--')}--{fragment}" if fragment else page.replace("/", "--")


def article(html: Path, page: str, pages: list[str]) -> Tag:
    """A page's text, with ids of its own and links that fit the one page."""
    soup = BeautifulSoup((html / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    text = soup.select_one("article.bd-article")
    for node in text.select("[id]"):
        node["id"] = place(page, node["id"])
    for node in text.select("[src]"):
        if not urlsplit(node["src"]).scheme:
            node["src"] = resolved(page, node["src"])
    for link in text.select("a[href]"):
        link["href"] = printed_link(page, link["href"], pages)
    for box in text.select("details"):
        prepare_box(box)
    for noise in text.select("a.headerlink, button, script"):
        noise.decompose()
    text["id"] = place(page)
    return text


def resolved(page: str, address: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), address))


def printed_link(page: str, link: str, pages: list[str]) -> str:
    """Within the book a place in the PDF; a file of the book, its address on the site."""
    if urlsplit(link).scheme:
        return link
    target, fragment = urldefrag(link)
    name = resolved(page, target).removesuffix(".html") if target else page
    if name in pages:
        return f"#{place(name, fragment)}"
    return f"{notebooks.site_address(notebooks.repository_address())}/{resolved(page, link)}"


def prepare_box(box: Tag) -> None:
    """Open what a reader of paper cannot open; of a check, and of an equation's, keep the title."""
    title = " ".join(box.summary.get_text(" ").split()) if box.summary else ""
    if title.startswith(LEFT_OUT):
        box.decompose()
    elif "hide" not in box.get("class", []) and not title.startswith("The check:"):
        box["open"] = ""


def whole_book(html: Path, pages: list[str]) -> str:
    """The one page: the head of the first, and the text of all."""
    first = BeautifulSoup((html / f"{pages[0]}.html").read_text(encoding="utf-8"), "html.parser")
    wanted = [tag for tag in first.head.find_all(["link", "script", "title", "meta"]) if keep(tag)]
    texts = [article(html, page, pages) for page in pages]
    site = notebooks.site_address(notebooks.repository_address())
    texts[0].h1.insert_after(BeautifulSoup(IMPRINT.format(site), "html.parser"))
    body = "\n".join(map(str, texts))
    return (
        '<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light">'
        f"<head>{''.join(map(str, wanted))}</head>"
        f'<body class="whole-book"><main class="bd-content">{body}</main></body></html>'
    )


def keep(tag: Tag) -> bool:
    """Styles, and MathJax with its settings."""
    if tag.name == "script":
        return "mathjax" in (tag.get("src", "") + tag.get_text()).lower()
    return tag.name != "link" or tag.get("rel") == ["stylesheet"]


def print_book(html: Path, pages: list[str]) -> Path:
    """Write the PDF into the folder of the built book; returns its path."""
    from playwright.sync_api import sync_playwright

    page_file, target = html / WHOLE, html / NAME
    page_file.write_text(whole_book(html, pages), encoding="utf-8")
    try:
        with sync_playwright() as playwright:
            path = browser_path(playwright)
            if path is None:
                raise RuntimeError("there is no Chromium or Chrome here to print with")
            browser = playwright.chromium.launch(executable_path=path, args=QUIET)
            page = browser.new_page(color_scheme="light", viewport=LINE)
            page.set_default_timeout(1000 * SECONDS)
            page.emulate_media(media="print")
            page.goto(page_file.as_uri(), wait_until="load")
            page.evaluate("MathJax.startup.promise.then(() => null)")
            left = page.locator(".math:not(:has(mjx-container))").count()
            if left:
                raise RuntimeError(f"{left} formulas were not set")
            if wide := page.evaluate(FIT):
                raise RuntimeError(f"formulas are wider than the paper: {'; '.join(wide)}")
            page.pdf(path=target, **PAPER)
            browser.close()
    finally:
        page_file.unlink()
    return target


def main(arguments: list[str]) -> int:
    html = Path(arguments[0]) if arguments else HTML
    if not (html / "index.html").exists():
        print(f"there is no book in {html}; `make book` builds it", file=sys.stderr)
        return 2
    try:
        target = print_book(html, contents())
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"the book is printed: {target}, {target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
