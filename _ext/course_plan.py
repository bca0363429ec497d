"""The directives of the page for teachers: what each chapter teaches, and plans by the week.

`chapter-goals` takes no content: aims, what a chapter builds on, and times are read from the
chapters, a new one too. `course-plan` has a line for each week or two::

    1: 00 01 | Assignment 1
    2: later | the project

Chapters are named by their numbers, and `later` by that they come after the clinic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import notebooks
import reading_plan
from docutils import nodes

AIMS = re.compile(r"\*\*What you will be able to do\*\*\n+((?:- .+\n?)+)")
BUILDS_ON = re.compile(r"^\*\*Builds on\*\* (.+)$", re.MULTILINE)
LAST = 7  # chapters after it come in any order


def aims(first_cell: str) -> list[str]:
    """The list of what a reader will be able to do, from a chapter's first cell."""
    found = AIMS.search(first_cell)
    return re.findall(r"^- (.+)$", found[1], re.MULTILINE) if found else []


def builds_on(first_cell: str) -> str:
    """What a chapter needs, with its links as a page of the book writes them."""
    found = BUILDS_ON.search(first_cell)
    return re.sub(r"\]\((\d\d_\w+\.ipynb)", r"](../chapters/\1", found[1]) if found else ""


class ChapterGoals(reading_plan._Pages):
    """Every chapter with its aims, what it builds on, and its times."""

    def run(self) -> list[nodes.Node]:
        made = []
        for path in notebooks.chapter_files(Path(self.env.srcdir)):
            notebook = self.chapter(path.stem)
            first = notebook["cells"][0]["source"]
            number, title = notebooks.chapter_number(path), first.split("\n", 1)[0].lstrip("# ")
            lines = [f"**[{number} {title}](../chapters/{path.name})**", ""]
            lines += [f"- {aim}" for aim in aims(first)]
            lines += ["", f"*Builds on* {builds_on(first)}"]
            takes = nodes.paragraph("", reading_plan.times(notebook), classes=["times"])
            made.append(nodes.container("", *self.set(lines), takes, classes=["chapter-entry"]))
        return made


def chosen(names: Sequence[str], files: Sequence[Path]) -> list[Path]:
    """The chapters of a week. Raises `ValueError` for a number that there is not."""
    by_number = {notebooks.chapter_number(path): path for path in files}
    found = []
    for name in names:
        if name == "later":
            found += [path for number, path in by_number.items() if number > LAST]
        elif int(name) in by_number:
            found.append(by_number[int(name)])
        else:
            raise ValueError(f"there is no chapter {name}")
    return found


class CoursePlan(reading_plan._Pages):
    """A list of weeks, with the minutes of reading that their chapters take together."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        files, lines = notebooks.chapter_files(Path(self.env.srcdir)), []
        for entry in self.content:
            week, _, rest = entry.partition(":")
            names, _, more = (part.strip() for part in rest.partition("|"))
            try:
                chapters = chosen(names.split(), files)
            except ValueError as error:
                raise self.error(f"week {week}: {error}") from None
            lines.append(f"- **Week {week}.** {self.week(chapters, more)}")
        return self.set(lines)

    def week(self, chapters: Sequence[Path], more: str) -> str:
        minutes = 0.0
        for path in chapters:
            found = reading_plan.sections(self.chapter(path.stem)["cells"])
            minutes += sum(section.minutes for section in found)
        links = [f"[{notebooks.chapter_number(p)}](../chapters/{p.name})" for p in chapters]
        plural = "s" if len(links) > 1 else ""
        read = f"Chapter{plural} {', '.join(links)}, {reading_plan.rounded(minutes)} to read."
        return f"{read if links else ''} {more}".strip()
