"""The directive `equation-list`: every numbered equation with the check that stands behind it.

Read from the chapters, and from the page of mathematics with its tests, each time the book is
built, so the list cannot fall behind them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

# The tools know how chapters are written. They need nothing but the standard library.
sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))
import notebooks
import numbered

PAGE, TESTS = "pages/mathematics.md", "tests/test_mathematics.py"


class EquationList(SphinxDirective):
    """Takes no content. Makes one section for each chapter and one for the mathematics."""

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        made = []
        for path in notebooks.chapter_files(root):
            self.env.note_dependency(str(path))
            cells, number = notebooks.read(path)["cells"], notebooks.chapter_number(path)
            title = cells[0]["source"].split("\n", 1)[0].lstrip("# ")
            found = numbered.notebook_equations(cells)
            made.append(self.section(f"Chapter {number}: {title}", f"chapter-{number}", found))
        if (root / PAGE).exists():
            for name in (PAGE, TESTS):
                self.env.note_dependency(str(root / name))
            texts = ((root / name).read_text(encoding="utf-8") for name in (PAGE, TESTS))
            found = numbered.tested_equations(*texts)
            made.append(self.section("The mathematics used", "mathematics", found))
        return made

    def section(self, title: str, name: str, equations: list[numbered.Equation]) -> nodes.section:
        section = nodes.section(ids=[f"equations-of-{name}"], names=[name])
        section += nodes.title("", title)
        shown: dict[str, str] = {}  # a check's code, and the equation that it stands below
        for equation in equations:
            section += self.entry(equation, shown)
        return section

    def entry(self, equation: numbered.Equation, shown: dict[str, str]) -> nodes.container:
        """Number with a link to its place, formula, and each check in words and folded code."""
        entry = nodes.container(ids=[f"check-{equation.number}"], classes=["equation-entry"])
        entry += nodes.paragraph("", "", place(equation), *self.inline(f" {equation.heading}"))
        tex = rf"\[{equation.formula}\]"
        entry += nodes.math_block(tex, tex, nowrap=True, number=None, docname=self.env.docname)
        for check in equation.checks:
            if check.code in shown:
                entry += together(shown[check.code])
            else:
                shown[check.code] = equation.number
                entry += nodes.paragraph("", f"Checked: {check.says}.")
                entry += folded(check)
        return entry

    def inline(self, markdown: str) -> list[nodes.Node]:
        return self.state.inline_text(markdown, self.lineno)[0]


def place(equation: numbered.Equation) -> pending_xref:
    """A link to the formula in its chapter; `book.py` gives every numbered formula its label."""
    label = f"equation-{equation.number}".lower()
    link = pending_xref(
        "", refdomain="std", reftype="ref", reftarget=label, refexplicit=True, refwarn=True
    )
    link += nodes.strong("", f"({equation.number})")
    return link


def together(number: str) -> nodes.paragraph:
    paragraph = nodes.paragraph("", "Checked together with ")
    paragraph += nodes.reference("", f"({number})", refid=f"check-{number}", internal=True)
    paragraph += nodes.Text(".")
    return paragraph


def folded(check: numbered.Check) -> list[nodes.Node]:
    lines = len(check.code.strip().splitlines())
    says = f"The check: {lines} lines, {counted(check.assertions, 'assertion')}"
    return [
        nodes.raw("", f"<details><summary>{says}</summary>", format="html"),
        nodes.literal_block(check.code, check.code, language="python"),
        nodes.raw("", "</details>", format="html"),
    ]


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
