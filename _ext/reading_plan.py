"""The directives `chapter-times` and `reading-plan`: what a chapter or a section takes.

Seconds come from the chapters' stored measurements. Minutes of reading are an estimate from what
stands on the page, at the speeds below, which the introduction states.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))
import notebooks
import numbered

WORDS_PER_MINUTE = 100  # slowly, with a pencil at hand
MINUTES_PER_EQUATION = 2.0  # a numbered one
MINUTES_PER_CELL = 1.0  # any cell of code


@dataclass
class Section:
    title: str
    level: int
    minutes: float = 0.0


def sections(cells: list[dict[str, Any]]) -> list[Section]:
    """A chapter cut at each of its headings, in order; what folds out is not counted."""
    found = [Section("", 0)]
    for cell in cells:
        if cell["cell_type"] == "code":
            found[-1].minutes += 0 if "setup" in notebooks.tags(cell) else MINUTES_PER_CELL
            continue
        text = re.sub(r"<details>.*?</details>", "", cell["source"], flags=re.DOTALL)
        for line in re.split(r"^(?=#{1,6} )", numbered.prose(text), flags=re.MULTILINE):
            if heading := re.match(r"(#{1,6}) +(.+)", line):
                found.append(Section(heading[2].strip(), len(heading[1])))
            found[-1].minutes += reading_minutes(line)
    return found


def reading_minutes(text: str) -> float:
    words = re.findall(r"[^\W\d_]{2,}", re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL))
    equations = len(numbered.TAG.findall(text))
    return len(words) / WORDS_PER_MINUTE + equations * MINUTES_PER_EQUATION


def with_subsections(found: list[Section], title: str) -> float:
    """Minutes of the section of that title and of all below it."""
    starts = [n for n, section in enumerate(found) if section.title == title]
    if len(starts) != 1:
        raise ValueError(f"{len(starts)} sections have the title {title!r}; one is needed")
    start, total = found[starts[0]], 0.0
    for section in found[starts[0] :]:
        if section is not start and section.level <= start.level:
            break
        total += section.minutes
    return total


def rounded(minutes: float) -> str:
    """`5 min`, `1 h 20 min`: to five minutes, since it is an estimate."""
    whole = max(5, 5 * round(minutes / 5))
    hours, rest = divmod(whole, 60)
    parts = ([f"{hours} h"] if hours else []) + ([f"{rest} min"] if rest else [])
    return " ".join(parts).replace(" ", "\N{NO-BREAK SPACE}")


def exercises(found: list[Section]) -> str:
    """`6: 1 h 40 min and an evening`, from headings that end in `(code, 15 minutes)`.

    Older headings have no time; then it is their number alone.
    """
    titles = [section.title for section in found if re.match(r"Exercise \d", section.title)]
    minutes = sum(
        int(number) * (60 if unit == "hour" else 1)
        for title in titles
        for number, unit in re.findall(r"(\d+) (hour|minute)s?\)$", title)
    )
    evenings = sum(title.endswith("an evening)") for title in titles)
    times = [rounded(minutes)] if minutes else []
    times += ["an evening" if evenings == 1 else f"{evenings} evenings"] if evenings else []
    return f"{len(titles)}: {' and '.join(times)}" if times else str(len(titles))


def slug(title: str) -> str:
    """The address of a heading, as MyST makes it."""
    plain = re.sub(r"[^\w\u4e00-\u9fff\- ]", "", title.strip().lower())
    return plain.replace(" ", "-")


class _Pages(SphinxDirective):
    """Shared: reads a chapter by its file's name, and sets Markdown."""

    def chapter(self, stem: str) -> dict[str, Any]:
        path = Path(self.env.srcdir) / "chapters" / f"{stem}.ipynb"
        if not path.exists():
            raise self.error(f"there is no chapter {stem!r}")
        self.env.note_dependency(str(path))
        return notebooks.read(path)

    def set(self, lines: list[str]) -> list[nodes.Node]:
        holder = nodes.Element()
        self.state.nested_parse(StringList(lines, self.get_source_info()[0]), self.lineno, holder)
        return holder.children


class ChapterTimes(_Pages):
    """A table: one row for each chapter, with what it holds and takes."""

    def run(self) -> list[nodes.Node]:
        lines = [
            "| chapter | reading | running | equations | exercises |",
            "| --- |" + " --: |" * 4,
        ]
        for path in notebooks.chapter_files(Path(self.env.srcdir)):
            notebook = self.chapter(path.stem)
            cells = notebook["cells"]
            title = cells[0]["source"].split("\n", 1)[0].lstrip("# ")
            found = sections(cells)
            run = notebook["metadata"].get(notebooks.KEY, {}).get("run", {})
            lines.append(
                f"| [{notebooks.chapter_number(path)} {title}](chapters/{path.name}) "
                f"| {rounded(sum(section.minutes for section in found))} "
                f"| {run.get('seconds', '?')} s "
                f"| {len(numbered.notebook_equations(cells))} | {exercises(found)} |"
            )
        return self.set(lines)


class ReadingPlan(_Pages):
    """Content: `03_elbo: Title of a section` a line, or `03_elbo` for a whole chapter."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        lines, total = [], 0.0
        for entry in self.content:
            stem, _, title = (part.strip() for part in entry.partition(":"))
            found = sections(self.chapter(stem)["cells"])
            whole = next(section.title for section in found if section.level == 1)
            try:
                minutes = with_subsections(found, title or whole)
            except ValueError as error:
                raise self.error(f"{stem}: {error}") from None
            total += minutes
            number = notebooks.chapter_number(Path(f"{stem}.ipynb"))
            shown = f"Chapter {number}, {title}" if title else f"Chapter {number}, {whole}"
            target = f"chapters/{stem}.ipynb" + (f"#{slug(title)}" if title else "")
            lines.append(f"- [{shown}]({target}): {rounded(minutes)}")
        return self.set([*lines, "", f"Together about {rounded(total)}."])
