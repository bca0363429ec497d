"""The rules that every chapter keeps. Each rule is a function that yields what is wrong.

A rule takes a `Chapter` and yields pairs `(cell, message)`; `cell` counts from 1, as a reader
counts, and is 0 for the notebook as a whole. The message says the way out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import notebooks
import numbered

Problem = tuple[int, str]
MAX_OUTPUT = 2_000_000  # characters of all outputs of a chapter; figures have two pixels for one
MAX_WORDS = 4000  # on the main path; see numbered.words
MAX_LINES, MAX_COLUMNS = 20, 88  # of an open code cell
MIN_DIAGRAMS = 2
STIFF = re.compile(
    r"\b(?:(?:held|holds?|holding) (?:\w+ )?against|(?:to|cannot|can.t) be had"
    r"|[Ww]ho(?:so)?ever|one who)\b"
)
FORBIDDEN_TAGS = {"nbval-ignore-output", "nbval-skip", "raises-exception", "skip-execution"}
SECTIONS = ["Takeaways", "Exercises", "Where to read on"]
MACHINE_PATH = re.compile(
    r"(?<![\w.:/])/(?:home|root|tmp|Users|work|content|private|var|opt|mnt|usr)/|\b[A-Za-z]:\\\w"
)
PROGRESS = re.compile(r"\d+%\|| ?\d+(?:\.\d+)?(?:it/s|s/it)\b|\r|█")
WARNING = re.compile(r"\b\w*Warning\b")


@dataclass
class Chapter:
    number: int
    notebook: dict[str, Any]
    repository: str

    @property
    def cells(self) -> list[tuple[int, dict[str, Any]]]:
        return list(enumerate(self.notebook["cells"], start=1))

    @property
    def code(self) -> list[tuple[int, dict[str, Any]]]:
        return [(n, cell) for n, cell in self.cells if cell["cell_type"] == "code"]

    @property
    def markdown(self) -> list[tuple[int, str]]:
        """Markdown cells without their fenced code, in which `#` is a comment."""
        return [
            (n, numbered.prose(cell["source"]))
            for n, cell in self.cells
            if cell["cell_type"] == "markdown"
        ]

    @property
    def remake(self) -> str:
        return f"run `make run CHAPTERS={self.number:02d}`"


def setup_cell(chapter: Chapter) -> Iterator[Problem]:
    """The first code cell is the second cell, and is the one that the project generates."""
    wanted = notebooks.setup_source(chapter.repository)
    place, cell = chapter.code[0] if chapter.code else (0, None)
    if cell is None or cell["source"] != wanted:
        yield place, f"the first code cell is not the set-up cell; {chapter.remake}"
    elif place != 2:
        yield place, "the set-up cell comes second, after the title; move it"
    elif not set(notebooks.SETUP_TAGS) <= set(notebooks.tags(cell)):
        yield place, f"the set-up cell needs the tags {', '.join(notebooks.SETUP_TAGS)}"


def executed(chapter: Chapter) -> Iterator[Problem]:
    """What is shown came from the code above it, in one run from top to bottom."""
    for count, (n, cell) in enumerate(chapter.code, start=1):
        if not cell["source"].strip():
            yield n, "an empty code cell; delete it"
        stored = cell["metadata"].get(notebooks.KEY, {}).get("source")
        if stored is None:
            yield n, f"was never executed by the project; {chapter.remake}"
        elif stored != notebooks.digest(cell["source"]):
            yield n, f"its code changed after its output was stored; {chapter.remake}"
        if cell.get("execution_count") != count:
            yield (
                n,
                (
                    f"ran as number {cell.get('execution_count')} where {count} was due; "
                    f"{chapter.remake}"
                ),
            )


def measured(chapter: Chapter) -> Iterator[Problem]:
    """The third cell states seconds, device and versions, as stored when it ran."""
    places = [n for n, cell in chapter.cells if "measured" in notebooks.tags(cell)]
    if places != [3]:
        yield 0, f"the third cell, and no other, has the tag `measured`; found {places or 'none'}"
        return
    run = chapter.notebook.get("metadata", {}).get(notebooks.KEY, {}).get("run")
    if run is None or chapter.notebook["cells"][2]["source"] != notebooks.measured_text(run):
        yield 3, f"does not state the measurement in the notebook's metadata; {chapter.remake}"


def clean_outputs(chapter: Chapter) -> Iterator[Problem]:
    """No errors, warnings, progress bars or paths of one machine, and not too much of it all."""
    for n, cell in chapter.code:
        for output in notebooks.outputs(cell):
            if output["output_type"] == "error":
                yield n, f"its output is an error ({output.get('ename')}); mend it"
            if output.get("name") == "stderr":
                yield n, "its output holds text from stderr; mend what wrote it"
        for text in notebooks.output_texts(cell):
            if WARNING.search(text):
                yield n, "its output holds a warning; mend its cause"
            if PROGRESS.search(text):
                yield n, "its output holds a progress bar; switch it off (progress=False)"
            if found := MACHINE_PATH.search(text):
                yield n, f"its output holds a path of one machine ({found[0]}…); do not print it"
    size = sum(len(json.dumps(notebooks.outputs(cell))) for _, cell in chapter.code)
    if size > MAX_OUTPUT:
        yield 0, f"its outputs take {size:,} characters; {MAX_OUTPUT:,} is the most. Shrink figures"


def no_loose_ends(chapter: Chapter) -> Iterator[Problem]:
    """No left-over `<Figure …>` or `History(…)`, and no cell that the tests would pass over."""
    for n, cell in chapter.cells:
        if forbidden := FORBIDDEN_TAGS & set(notebooks.tags(cell)):
            yield n, f"the tag {', '.join(forbidden)} hides failures from the tests; remove it"
        if re.search(r"^# *(NBVAL_|PYTEST_VALIDATE_)", cell["source"], re.MULTILINE):
            yield n, "a marker comment for the tests; use the tag nbval-check-output"
        for output in notebooks.outputs(cell):
            text = notebooks.joined(output.get("data", {}).get("text/plain", ""))
            lone = not any(kind.startswith("image/") for kind in output.get("data", {}))
            if lone and re.search(r"<(Figure|Axes)|<matplotlib\.|object at 0x|^History\(", text):
                yield n, f"shows {text[:40]!r}; end its last line with `;`"


def figures(chapter: Chapter) -> Iterator[Problem]:
    """One figure for a cell; below it `**Figure N.M.**`, counted through the chapter."""
    count = 0
    cells = [cell for _, cell in chapter.cells]
    captions = {n for n, text in chapter.markdown if text.startswith("**Figure ")}
    for n, cell in chapter.code:
        shown = notebooks.images(cell)
        if shown == 0:
            continue
        if shown > 1:
            yield n, f"shows {shown} figures; give each its own cell and caption"
        count += 1
        start = f"**Figure {chapter.number}.{count}.** "
        below = cells[n] if n < len(cells) else {"cell_type": "none", "source": ""}
        captions.discard(n + 1)
        if below["cell_type"] != "markdown" or not below["source"].startswith(start):
            yield n, f"has a figure; the next cell must be Markdown that starts `{start.strip()}`"
    for n in sorted(captions):
        yield n, "is a figure's caption, but the cell above shows no figure"


def equations(chapter: Chapter) -> Iterator[Problem]:
    """Numbers run 1, 2, …; a cell titled `✓ checked: (N.M)` follows each in its section."""
    count, open_ones, known = 0, {}, set()
    for mark in numbered.marks(chapter.notebook["cells"]):
        if mark.kind == "section":
            yield from _unchecked(open_ones)
            open_ones = {}
        elif mark.kind == "equation":
            count += 1
            (name,) = mark.names
            if name != f"{chapter.number}.{count}":
                yield mark.cell, f"equation ({name}) should be ({chapter.number}.{count})"
            open_ones[name] = mark.cell
            known.add(name)
        else:
            for name in mark.names:
                open_ones.pop(name, None)
                if name not in known:
                    yield mark.cell, f"checks ({name}), but no equation above has that number"
    yield from _unchecked(open_ones)


def _unchecked(open_ones: dict[str, int]) -> Iterator[Problem]:
    for name, n in open_ones.items():
        yield (
            n,
            (
                f"equation ({name}) is not checked before its section ends; add a code cell whose "
                f"first line is `#@title ✓ checked: ({name}) …`"
            ),
        )


def plain_markdown(chapter: Chapter) -> Iterator[Problem]:
    """Markdown that Colab shows as well as the book does."""
    for n, cell in chapter.cells:
        if cell["cell_type"] != "markdown":
            continue
        source = cell["source"]
        if re.search(r"^\s*(```+\{|:::)", source, re.MULTILINE):
            yield n, "holds a MyST directive, which Colab shows raw; write plain Markdown"
        if role := re.search(r"\{[a-z:]+\}`", numbered.prose(source)):
            yield n, f"holds the role {role[0]}, which Colab shows raw; write a plain link"
        for word in ("details", "summary"):
            if len(re.findall(rf"<{word}[\s>]", source)) != source.count(f"</{word}>"):
                yield n, f"<{word}> and </{word}> do not pair up within the cell"


def links(chapter: Chapter) -> Iterator[Problem]:
    """Links work on Colab and in JupyterLab, where a chapter's neighbours are notebooks.

    Colab resolves `03_elbo.ipynb`, but no link to a Markdown page and none within a notebook.
    """
    site = notebooks.site_address(chapter.repository)
    page = rf"{re.escape(site)}/chapters/{chapter.number:02d}_\w+\.html"
    line = numbered.BOOK_LINE.search(chapter.notebook["cells"][0]["source"])
    if line is None or not re.search(rf"\({page}\)", line[0]):
        yield 1, f"does not end with the link to its page in the book; {chapter.remake}"
    for n, text in chapter.markdown:
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
            if not re.fullmatch(r"https?://\S+|\d\d_\w+\.ipynb", target):
                yield (
                    n,
                    (
                        f"links to {target}, which leads nowhere on Colab; name another chapter by "
                        f"its file alone, a page by its address in the book, {site}/pages/….html"
                    ),
                )


def headings(chapter: Chapter) -> Iterator[Problem]:
    """One title, which comes first, and the closing sections in their order."""
    found = [
        (n, *match.groups())
        for n, text in chapter.markdown
        for match in re.finditer(r"^(#{1,6}) +(.+?)\s*$", text, re.MULTILINE)
    ]
    titles = [n for n, marks, _ in found if marks == "#"]
    if titles != [1] or not chapter.notebook["cells"][0]["source"].startswith("# "):
        yield 0, "the first cell starts with `# ` and the title, and no other heading has one `#`"
    closing = [text for _, marks, text in found if marks == "##" and text in SECTIONS]
    if closing != SECTIONS:
        yield 0, f"the closing sections are ## {', ## '.join(SECTIONS)}; found {closing or 'none'}"


def main_path(chapter: Chapter) -> Iterator[Problem]:
    """A reader gets through a chapter: the rest goes into closed boxes, or out."""
    words, _, _ = numbered.words(chapter.notebook["cells"])
    if words > MAX_WORDS:
        yield 0, f"its main path has {words:,} words; {MAX_WORDS:,} is the most. Use closed boxes"
    for n, text in chapter.markdown:
        if re.search(r"<details[^>]*\bopen\b", text):
            yield n, "a box is closed when the page opens; remove `open`"


def short_code(chapter: Chapter) -> Iterator[Problem]:
    """Open code teaches, so it is short; no code is wider than a page."""
    for n, cell in chapter.cells:
        lines = cell["source"].splitlines()
        if cell["cell_type"] == "code":
            folded = numbered.title_of(cell["source"]) is not None
            if not folded and len(lines) > MAX_LINES:
                yield n, f"has {len(lines)} lines; an open cell has {MAX_LINES} at most"
        else:
            lines = [line for block in fenced(cell["source"]) for line in block.splitlines()]
        if widest := [line for line in lines if len(line) > MAX_COLUMNS]:
            yield n, f"a line of code has {len(widest[0])} columns; {MAX_COLUMNS} is the most"


def fenced(markdown: str) -> list[str]:
    return [match[0] for match in numbered.FENCE.finditer(markdown)]


def folded(chapter: Chapter) -> Iterator[Problem]:
    """A cell with a title is closed in the book, on Colab and in JupyterLab; no other cell is."""
    for n, cell in chapter.code:
        if notebooks.tags(cell).count("setup"):
            continue
        meta = {key: cell["metadata"].get(key) for key in ("cellView", "jupyter")}
        hidden = {"hide-input", "hide-cell"} & set(notebooks.tags(cell))
        if numbered.title_of(cell["source"]) is None:
            if hidden or any(meta.values()):
                yield n, "is folded without a title; its first line should be `#@title …`"
        elif hidden != {notebooks.fold_tag(cell)} or meta != notebooks.FOLDED:
            yield n, f"has a title but is not folded; {chapter.remake}"


def diagrams(chapter: Chapter) -> Iterator[Problem]:
    drawn = [n for n, cell in chapter.code if "diagrams." in cell["source"]]
    if len(drawn) < MIN_DIAGRAMS:
        yield 0, f"it has {len(drawn)} of {MIN_DIAGRAMS} diagrams; draw them with vt.diagrams"


def english(chapter: Chapter) -> Iterator[Problem]:
    """Phrases that no lecturer would say."""
    for n, cell in chapter.cells:
        if found := STIFF.search(cell["source"]):
            yield n, f"says {found[0]!r}; write “compared with”, “available”, “a reader who”, …"


RULES: list[Callable[[Chapter], Iterator[Problem]]] = [
    setup_cell, executed, measured, clean_outputs, no_loose_ends,
    figures, equations, plain_markdown, links, headings, main_path, short_code, folded, diagrams,
    english,
]  # fmt: skip
