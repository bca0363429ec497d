r"""Numbered equations, `\tag{3.1}`, and the checks that stand behind them.

The rules of `rules.py` and the list of equations in the book both read chapters through this
module, so they cannot differ in what they take for an equation or a check. Only the standard
library is used here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

FENCE = re.compile(r"^(```+|~~~+).*?^\1\s*?$", re.MULTILINE | re.DOTALL)
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
TAG = re.compile(r"\\tag\{([^}]*)\}")
CHECKED = "✓ checked:"  # how the title of a cell that only verifies starts
BOOK_LINE = re.compile(r"\n\n\*\[Read this chapter in the book\]\(\S+\)\.\*\s*\Z")
"""The last line of a chapter's first cell, which the page leaves out."""
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Mark:
    """Something that counts for the numbering, at its place in a notebook or on a page."""

    kind: str  # "section" (`#` or `##`), "equation" or "check"
    cell: int  # counts from 1
    names: tuple[str, ...] = ()  # equation: its number; check: those that it names


@dataclass(frozen=True)
class Check:
    """A piece of code that fails where an equation does not hold."""

    names: tuple[str, ...]  # the equations that it checks
    says: str  # how, in its author's words
    code: str

    @property
    def assertions(self) -> int:
        """The number of lines that can fail it: `assert …` and calls of `….assert_…(…)`."""
        return sum(_asserts(node) for node in ast.walk(ast.parse(self.code)))


@dataclass(frozen=True)
class Equation:
    number: str
    formula: str  # TeX, the tag included
    heading: str  # the nearest heading above it
    checks: list[Check] = field(default_factory=list)


def prose(source: str) -> str:
    """Markdown without its fenced code, in which `#` is a comment."""
    return FENCE.sub("", source)


def title_of(source: str) -> str | None:
    """What a folded cell says of itself: `#@title …` in its first line; None for open cells."""
    found = re.match(r"#@title +(.+?) *(?:\n|$)", source)
    return found[1] if found else None


def named_in_check(source: str) -> tuple[str, ...] | None:
    """`("3.1",)` for a cell titled `✓ checked: (3.1) …`; None for cells that are no checks."""
    title = title_of(source)
    if title is None or not title.startswith(CHECKED):
        return None
    return tuple(re.findall(r"\((\w+\.\d+)\)", title))


def marks(cells: list[dict[str, Any]]) -> Iterator[Mark]:
    """Sections, equations and checks of a notebook's cells, in the order of the page."""
    for n, cell in enumerate(cells, start=1):
        if cell["cell_type"] == "code":
            names = named_in_check(cell["source"])
            if names is not None:
                yield Mark("check", n, names)
        elif cell["cell_type"] == "markdown":
            text = prose(cell["source"])
            for found in re.finditer(rf"^##? .*$|{TAG.pattern}", text, re.MULTILINE):
                yield Mark("section", n) if found[1] is None else Mark("equation", n, (found[1],))


BOX = re.compile(r"<details.*?</details>", re.DOTALL)


def words(cells: list[dict[str, Any]]) -> tuple[int, int, int]:
    """The words of a chapter: on its main path, in its boxes, and in its exercises.

    Boxes are `<details>`; exercises run from their heading to the next of that level. A formula
    in a line counts as one word; displayed formulas, code and the link to the book count nothing.
    """
    main = boxes = exercises = 0
    within = False
    for cell in cells:
        if cell["cell_type"] != "markdown":
            continue
        text = BOOK_LINE.sub("", prose(cell["source"]))
        for heading in re.findall(r"^## +(.+?)\s*$", text, re.MULTILINE):
            within = heading == "Exercises"
        if within:
            exercises += _count(text)
        else:
            boxed = sum(_count(box) for box in BOX.findall(text))
            boxes += boxed
            main += _count(BOX.sub("", text))
    return main, boxes, exercises


def _count(text: str) -> int:
    text = re.sub(r"\$[^$]+\$", " formula ", DISPLAY.sub(" ", text))
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"<[^>]+>", " ", text))
    return sum(any(c.isalnum() for c in word) for word in text.split())


def page_equations(markdown: str, heading: str = "") -> list[Equation]:
    """The numbered equations of a piece of Markdown, without checks."""
    text, found = prose(markdown), []
    for display in DISPLAY.finditer(text):
        tag = TAG.search(display[1])
        if tag:
            above = HEADING.findall(text[: display.start()])
            found.append(Equation(tag[1], display[1].strip(), above[-1] if above else heading))
    return found


def notebook_equations(cells: list[dict[str, Any]]) -> list[Equation]:
    """A chapter's numbered equations, each with the code cells that name it."""
    found, heading = {}, ""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for equation in page_equations(cell["source"], heading):
                found[equation.number] = equation
            heading = [heading, *HEADING.findall(prose(cell["source"]))][-1]
        elif names := named_in_check(cell["source"]):
            check = Check(names, _comment(cell["source"]), cell["source"])
            for name in names:
                if name in found:
                    found[name].checks.append(check)
    return list(found.values())


def tested_equations(markdown: str, tests: str) -> list[Equation]:
    """A page's numbered equations, each with the tests that are decorated `@checks("M.1")`."""
    found = {equation.number: equation for equation in page_equations(markdown)}
    for test in ast.parse(tests).body:
        names = _decorated(test)
        code = ast.get_source_segment(tests, test) if names else None
        for name in names:
            if name in found:
                says = (ast.get_docstring(test) or "").rstrip(".")
                found[name].checks.append(Check(names, says, code))
    return list(found.values())


def _comment(source: str) -> str:
    """What a check says of itself: its title, without the equations that it starts with."""
    text = title_of(source).removeprefix(CHECKED)
    return re.sub(r"^(?:[\s,:]|and |\(\w+\.\d+\))+", "", text).strip()


def _decorated(node: ast.stmt) -> tuple[str, ...]:
    for decorator in getattr(node, "decorator_list", []):
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "checks":
            return tuple(argument.value for argument in decorator.args)
    return ()


def _asserts(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Assert)
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    return name.startswith("assert_")
