"""Build the slides: `python tools/slides.py [OUT]`, by default into `_build/slides`.

The sources, `slides/*.md`, hold words only. What a chapter has already is taken from there, by its
number, and stands in a paragraph of its own:

    {figure 3.1}      the stored picture, with its alternative text
    {equation 3.2}    the formula, with its number
    {live bound}      the live figure, in a frame of its own

`---` on a line of its own ends a slide; what follows a line `Note:` is for the speaker, who sees it
after pressing S. Reveal.js comes from the package that `requirements-slides.txt` names, MathJax
from the book's tools. The pages load nothing from another host and work from a disk.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import alternative_texts
import notebooks
import numbered
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

sys.path.append(str(notebooks.ROOT / "_ext"))
import itertools

from live import FIGURES

SOURCES = notebooks.ROOT / "slides"
OUT = notebooks.ROOT / "_build" / "slides"
REVEAL = notebooks.ROOT / ".reveal" / "sphinx_revealjs" / "_static" / "revealjs"
REVEAL_PARTS = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js",
                "LICENSE")  # fmt: skip
REFERENCE = re.compile(r"^\{(figure|equation|live) ([\w.-]+)\}$", re.MULTILINE)
CAPTION = re.compile(r"\*\*Figure ([\d.]+)\.\*\*")
LIVE = re.compile(r'<div class="live-figure" data-live="([\w-]+)"[^>]*data-options="([^"]*)"')
FRAME = """<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<body style="margin: 8px; font-family: sans-serif; background: #fff">{body}</body></html>
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="reveal/dist/reset.css">
<link rel="stylesheet" href="reveal/dist/reveal.css">
<link rel="stylesheet" href="slides.css">
<script>window.MathJax = {{options: {{enableMenu: false}}}};</script>
<script src="mathjax.js" defer></script>
</head>
<body>
<div class="reveal"><div class="slides">
{slides}
</div></div>
<script src="reveal/dist/reveal.js"></script>
<script src="reveal/plugin/notes/notes.js"></script>
<script>
Reveal.initialize({{
  width: 1280, height: 720, margin: 0.02, hash: true, slideNumber: "c/t", transition: "none",
  center: false, controls: false, plugins: [RevealNotes],
}});
</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Figure:
    """A picture of a chapter: the bytes of its PNG, and its words."""

    png: bytes
    alt: str
    chapter: int


@dataclass(frozen=True)
class Material:
    """What slides may refer to, by its number or name."""

    figure: dict[str, Figure]
    equation: dict[str, str]
    live: dict[str, Any]


def material() -> Material:
    """Everything that has a number in the chapters, and their live figures."""
    found = Material({}, {}, {})
    for path in notebooks.chapter_files():
        cells, chapter = notebooks.read(path)["cells"], notebooks.chapter_number(path)
        for equation in numbered.notebook_equations(cells):
            found.equation[equation.number] = equation.formula
        for before, cell in itertools.pairwise(cells):
            caption = CAPTION.match(cell["source"])
            png = _png(before) if caption else None
            if png:
                alt = alternative_texts.alternative_text(cell["source"])
                found.figure[caption[1]] = Figure(png, alt, chapter)
        for name, options in filter(None, map(_live, cells)):
            found.live.setdefault(name, FIGURES.figure(name, **options))
    return found


def _outputs(cell: dict[str, Any], kind: str) -> list[str]:
    data = (each.get("data", {}) for each in cell.get("outputs", []))
    return [notebooks.joined(each[kind]) for each in data if kind in each]


def _png(cell: dict[str, Any]) -> bytes | None:
    pictures = _outputs(cell, "image/png")
    return base64.b64decode(pictures[-1]) if pictures else None


def _live(cell: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Name and options of a cell's live figure. The stored output is its still picture alone."""
    found = next(filter(None, map(LIVE.search, _outputs(cell, "text/html"))), None)
    return (found[1], json.loads(html.unescape(found[2]))) if found else None


def slides_of(text: str) -> list[tuple[str, str]]:
    """Each slide's Markdown and its notes."""
    found = []
    for part in re.split(r"^---$", text, flags=re.MULTILINE):
        body, _, notes = part.partition("\nNote:")
        found.append((body.strip(), " ".join(notes.split())))
    return found


def references(text: str) -> list[tuple[str, str]]:
    """Kind and name of all that a source takes from the chapters."""
    return [(found[1], found[2]) for found in REFERENCE.finditer(text)]


def title_of(text: str) -> str:
    return re.search(r"^# (.+)$", text, re.MULTILINE)[1]


def section(body: str, notes: str, known: Material) -> str:
    """One slide as HTML. Raises `ValueError` where a reference leads nowhere."""

    def put(found: re.Match[str]) -> str:
        kind, name = found.groups()
        if name not in getattr(known, kind):
            raise ValueError(f"there is no {kind} {name} in the chapters")
        return f"\n{_PUT[kind](name, getattr(known, kind)[name])}\n"

    first = " class='first'" if body.startswith("# ") else ""
    # formulas and pictures are put in afterwards: Markdown would change them
    pieces: list[str] = []
    text = REFERENCE.sub(lambda found: pieces.append(put(found)) or f"PIECE{len(pieces) - 1}", body)
    made = _markdown().render(text)
    made = re.sub(r"<p>PIECE(\d+)</p>", lambda found: pieces[int(found[1])], made)
    aside = f"<aside class='notes'>{_markdown().render(notes)}</aside>" if notes else ""
    return f"<section{first}><div class='body'>\n{made}</div>{aside}</section>"


def _markdown() -> MarkdownIt:
    def formula(text: str, options: dict[str, Any]) -> str:
        start, end = (r"\[", r"\]") if options["display_mode"] else (r"\(", r"\)")
        return f"{start}{html.escape(text)}{end}"

    return MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, renderer=formula)


def _put_figure(name: str, figure: Figure) -> str:
    return (
        f'<figure><img src="figures/{name}.png" alt="{html.escape(figure.alt)}">'
        f"<figcaption>Figure {name}, Chapter {figure.chapter}</figcaption></figure>"
    )


def _put_equation(name: str, formula: str) -> str:
    return rf"<div class='equation'>\[{html.escape(formula)}\]</div>"


def _put_live(name: str, live: Any) -> str:
    label = html.escape(live.kind.description)
    return f'<iframe class="live" src="live/{name}.html" title="{label}"></iframe>'


_PUT = {"figure": _put_figure, "equation": _put_equation, "live": _put_live}


def build(out: Path, reveal: Path = REVEAL) -> list[Path]:
    """Writes the pages and what they need; returns the pages."""
    known, pages = material(), []
    out.mkdir(parents=True, exist_ok=True)
    for source in sorted(SOURCES.glob("*.md")):
        text = source.read_text(encoding="utf-8")
        try:
            sections = "\n".join(section(*slide, known) for slide in slides_of(text))
        except ValueError as error:
            raise ValueError(f"{source.name}: {error}") from error
        pages.append(out / f"{source.stem}.html")
        page = PAGE.format(title=html.escape(title_of(text)), slides=sections)
        pages[-1].write_text(page, encoding="utf-8")
        for kind, name in references(text):
            if kind == "figure":
                _write(out / "figures" / f"{name}.png", known.figure[name].png)
            elif kind == "live":
                frame = FRAME.format(title=f"Live figure: {name}", body=known.live[name].whole())
                _write(out / "live" / f"{name}.html", frame.encode())
    shutil.copyfile(SOURCES / "slides.css", out / "slides.css")
    shutil.copyfile(_mathjax(), out / "mathjax.js")
    for part in REVEAL_PARTS:
        _write(out / "reveal" / part, (reveal / part).read_bytes())
    return pages


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _mathjax() -> Path:
    """One file that draws formulas as pictures, so that no fonts are needed."""
    spec = find_spec("sphinx-mathjax-offline")  # it carries MathJax; a hyphen forbids `import`
    if spec is None or spec.origin is None:
        raise FileNotFoundError("MathJax is missing: pip install -r requirements-book.txt")
    return Path(spec.origin).parent / "static" / "mathjax" / "tex-svg.js"


if __name__ == "__main__":
    for page in build(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT):
        print(page)
