r"""Labels of the bibliography, as `KL51`, from names with accents too.

The style that comes with pybtex shortens names as they are written in LaTeX, so that
`S{\o}nderby` becomes a label of nine letters. Here names are read first.
"""

from __future__ import annotations

from typing import Any

from pybtex.database import Entry, Person
from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.alpha import Style as AlphaStyle
from pybtex.style.labels.alpha import LabelStyle
from sphinx.application import Sphinx

NOT_ASCII = str.maketrans("ØøŁłĐđÆæŒœ", "OoLlDdAaOo")  # these have no accent that could be dropped


class ShortLabels(LabelStyle):
    """The first letters of the names, and the year: `SRM+16`."""

    def format_label(self, entry: Entry) -> str:
        persons = {role: [read(person) for person in some] for role, some in entry.persons.items()}
        plain = Entry(entry.type, fields=entry.fields, persons=persons)
        plain.key = entry.key
        return super().format_label(plain)


def read(person: Person) -> Person:
    return Person(str(Text.from_latex(str(person))).translate(NOT_ASCII))


class BookStyle(AlphaStyle):
    default_label_style = ShortLabels


def drop_roles(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Citations are no list to a screen reader: the list would hold what no list may hold."""
    body = context.get("body", "").replace(
        ' role="list" class="citation-list"', ' class="citation-list"'
    )
    context["body"] = body.replace(' role="doc-biblioentry"', "")


def setup(app: Sphinx) -> None:
    """Make the style known to the directive `bibliography` by its name."""
    register_plugin("pybtex.style.formatting", "book", BookStyle)
    app.connect("html-page-context", drop_roles)
