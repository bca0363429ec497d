"""The directives `chapter-list` and `reading-plan`: what a chapter or a section takes.

Seconds come from the chapters' stored measurements. Minutes of reading are an estimate from what
stands open on the page, at the speeds below, which the introduction states. Exercises state their
own times.
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
MINUTES_PER_CELL = 1.0  # one of code that stands open
WORTH = {"one": 60, "two": 120, "two to three": 150}  # hours that headings spell out, in minutes


@dataclass
class Section:
    title: str
    level: int
    minutes: float = 0.0


def sections(cells: list[dict[str, Any]]) -> list[Section]:
    """A chapter cut at each of its headings, in order.

    What folds out is not counted, nor is the section "Exercises".
    """
    found, exercises = [Section("", 0)], False
    for cell in cells:
        if cell["cell_type"] == "code":
            folded = numbered.title_of(cell["source"]) or "setup" in notebooks.tags(cell)
            counts = not folded and not exercises
            found[-1].minutes += MINUTES_PER_CELL if counts else 0
            continue
        text = re.sub(r"<details>.*?</details>", "", cell["source"], flags=re.DOTALL)
        for line in re.split(r"^(?=#{1,6} )", numbered.prose(text), flags=re.MULTILINE):
            if heading := re.match(r"(#{1,6}) +(.+)", line):
                found.append(Section(heading[2].strip(), len(heading[1])))
                exercises = _within_exercises(found[-1], exercises)
            found[-1].minutes += 0 if exercises else reading_minutes(line)
    return found


def _within_exercises(section: Section, before: bool) -> bool:
    return section.title == "Exercises" if section.level <= 2 else before


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
    """`6 exercises, 1 h 40 min and an evening`, from headings that end in `(code, 15 minutes)`.

    Empty where a chapter has none.
    """
    titles = [section.title for section in found if re.match(r"Exercise \d", section.title)]
    minutes = sum(
        WORTH.get(number) or int(number) * (60 if unit == "hour" else 1)
        for title in titles
        for number, unit in re.findall(r", ([\w ]+?) (hour|minute)s?\)$", title)
    )
    evenings = sum(title.endswith("an evening)") for title in titles)
    times = [rounded(minutes)] if minutes else []
    times += ["an evening" if evenings == 1 else f"{evenings} evenings"] if evenings else []
    number = f"{len(titles)} exercise{'s' * (len(titles) != 1)}" if titles else ""
    return ", ".join(filter(None, [number, " and ".join(times)]))


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


class ChapterList(_Pages):
    """The book's chapters, each with what a reader learns and how long it takes.

    Content: `03_elbo: derive the bound, …` a line, all chapters in their order.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        said = dict(line.split(": ", 1) for line in self.content if line)
        files = notebooks.chapter_files(Path(self.env.srcdir))
        if list(said) != [path.stem for path in files]:
            raise self.error(f"chapter-list names {', '.join(said)}; it should name every chapter")
        return [self.entry(path, said[path.stem]) for path in files]

    def entry(self, path: Path, says: str) -> nodes.container:
        notebook = self.chapter(path.stem)
        title = notebook["cells"][0]["source"].split("\n", 1)[0].lstrip("# ")
        name = f"{notebooks.chapter_number(path)} {title}"
        parts = self.set([f"**[{name}](chapters/{path.name})**", "", says])
        takes = nodes.paragraph("", times(notebook), classes=["times"])
        return nodes.container("", *parts, takes, classes=["chapter-entry"])


def times(notebook: dict[str, Any]) -> str:
    """`45 min to read · 6 exercises, 2 h and an evening · its code runs in 72 s`."""
    found = sections(notebook["cells"])
    run = notebook["metadata"].get(notebooks.KEY, {}).get("run", {})
    reading = f"{rounded(sum(section.minutes for section in found))} to read"
    running = f"its code runs in {run['seconds']} s" if run else ""
    return " · ".join(filter(None, [reading, exercises(found), running]))


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
