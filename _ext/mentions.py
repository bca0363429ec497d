"""Mentions of equations and figures become links: "(3.1)", "Figure 2.4", "Figures 2.4 and 2.5".

Chapters stay plain Markdown. When the book is built, each mention in running text gets a link
to its place, in this chapter or another one. What it leads to goes into the page once, in a
`<template>`, which `_static/preview.js` shows beside the link. A mention that leads nowhere is a
warning, so the strict build fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

NUMBER = r"(?:\d+|M)\.\d+"
EQUATION = rf"\((?P<equation>{NUMBER})\)"
# "Figures" may be followed by several numbers. "Figure 3.1, 4.5 nats" names one.
SEVERAL = rf"Figures\s+{NUMBER}(?:(?:,|,?\s+(?:and|or|to))\s+{NUMBER}|–{NUMBER})*"
FIGURE = rf"\b(?:{SEVERAL}|Figure\s+{NUMBER})"
MENTION = re.compile(rf"{EQUATION}|{FIGURE}")
ONE_FIGURE = re.compile(rf"(?:Figures?\s+)?({NUMBER})")
CAPTION = re.compile(rf"Figure ({NUMBER})\.$")  # the bold start of a figure's caption
# Text within these is no running text, or is a link already.
LEFT_ALONE = (
    nodes.FixedTextElement, nodes.literal, nodes.math, nodes.math_block, nodes.title, nodes.rubric,
    nodes.reference, nodes.raw, nodes.Invisible, addnodes.pending_xref,
    addnodes.desc_signature,
)  # fmt: skip
log = logging.getLogger(__name__)


@dataclass
class Place:
    """Where a mention leads, and what its preview shows."""

    page: str  # the document's name, as "chapters/03_elbo"
    formula: str = ""  # TeX, for an equation
    caption: nodes.Node | None = None  # for a figure
    image: str = ""  # the picture's file, as the environment knows it
    alt: str = ""


class Mention(nodes.reference):  # Sphinx finds the writer's functions by this name
    """A link with a preview: its attributes are `refuri` and `place`, as "figure-3.4"."""


def places(env: BuildEnvironment) -> dict[str, Place]:
    """All places of the book by their ids, as `equation-3.1` and `figure-3.4`."""
    if not hasattr(env, "mention_places"):
        env.mention_places = {}
    return env.mention_places


def forget(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    known = places(env)
    for name in [name for name, place in known.items() if place.page == page]:
        del known[name]


def merge(app: Sphinx, env: BuildEnvironment, pages: set[str], other: BuildEnvironment) -> None:
    """Take over what another process has read."""
    places(env).update({n: place for n, place in places(other).items() if place.page in pages})


# --- reading: what can be mentioned -----------------------------------------------------------


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Note a page's numbered equations and figures; figures get their id here."""
    env = app.env
    known, page = places(env), env.docname
    for block in doctree.findall(nodes.math_block):
        for name in block["ids"]:
            if name.startswith("equation-"):
                known[name] = Place(page, formula=without_tag(block.astext()))
    for paragraph in doctree.findall(nodes.paragraph):
        found = figure_number(paragraph)
        if found:
            name = f"figure-{found}"
            known[name] = Place(page, caption=text_alone(paragraph))
            picture = picture_above(paragraph)
            if picture is None:
                paragraph["ids"].append(name)
            else:
                known[name].image = env.images.get(picture["uri"], ("", ""))[1]
                known[name].alt = picture.get("alt", "")
                shown_box(picture)["ids"].append(name)


def without_tag(tex: str) -> str:
    r"""The formula between `\[` and `\]`, without its number."""
    return re.sub(r"\\tag\{[^}]*\}|^\\\[|\\\]$", "", tex.strip()).strip()


def figure_number(paragraph: nodes.paragraph) -> str | None:
    """`"3.4"` for a caption, a paragraph that starts with a bold `Figure 3.4.`"""
    first = next((child for child in paragraph.children if child.astext()), None)
    found = CAPTION.match(first.astext()) if isinstance(first, nodes.strong) else None
    return found[1] if found else None


def text_alone(paragraph: nodes.paragraph) -> nodes.paragraph:
    """A copy without links, which would lead elsewhere from another page."""
    copy = paragraph.deepcopy()
    for link in [*copy.findall(nodes.reference), *copy.findall(addnodes.pending_xref)]:
        link.replace_self(link.children)
    return copy


def picture_above(paragraph: nodes.paragraph) -> nodes.image | None:
    """The picture of the block just before the caption."""
    siblings = paragraph.parent.children
    place = siblings.index(paragraph)
    found = list(siblings[place - 1].findall(nodes.image)) if place else []
    return found[-1] if found else None


def shown_box(picture: nodes.image) -> nodes.Element:
    """What holds a picture and stays in the page: a notebook's output, or the picture itself."""
    node: nodes.Element = picture
    while node.parent is not None and not isinstance(node.parent, nodes.section):
        node = node.parent
        if "cell_output" in node.get("classes", []):
            return node
    return picture


# --- writing: links and their previews --------------------------------------------------------


def link(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Replace every mention in the page's running text with a link."""
    for text in list(doctree.findall(nodes.Text)):
        if is_running_text(text):
            made = linked(app, str(text), page, text.parent)
            if any(isinstance(node, Mention) for node in made):
                text.parent.replace(text, made)
                # MathJax comes to pages with formulas alone, and previews show some
                app.env.get_domain("math").data["has_equations"][page] = True


def is_running_text(text: nodes.Text) -> bool:
    if isinstance(text.parent, nodes.strong) and CAPTION.match(str(text)):
        return False  # a figure's own name
    node = text.parent
    if node is None:  # a formula, which `book.py` has put in place of another
        return False
    while node is not None:
        if isinstance(node, LEFT_ALONE):
            return False
        node = node.parent
    return True


def linked(app: Sphinx, text: str, page: str, above: nodes.Element) -> list[nodes.Node]:
    """The text in pieces: plain text and links."""
    made, end = [], 0
    for start, stop, name in mentioned(text):
        place = places(app.env).get(name)
        if place is None:
            if is_of_the_book(app.env, name):
                log.warning("%s is mentioned and is nowhere", shown(name), location=above)
            continue
        target = "" if place.page == page else app.builder.get_relative_uri(page, place.page)
        made += [nodes.Text(text[end:start])] if start > end else []
        made.append(Mention("", text[start:stop], refuri=f"{target}#{name}", place=name))
        end = stop
    return [*made, nodes.Text(text[end:])] if end < len(text) else made


def mentioned(text: str) -> list[tuple[int, int, str]]:
    """The start, the end and the place's name of each mention, in the order of the text."""
    found = []
    for match in MENTION.finditer(text):
        if match["equation"]:
            found.append((*match.span(), f"equation-{match['equation']}"))
            continue
        for one in ONE_FIGURE.finditer(text, *match.span()):
            found.append((*one.span(), f"figure-{one[1]}"))
    return found


def is_of_the_book(env: BuildEnvironment, name: str) -> bool:
    """Whether the number is one of a chapter's; `(108.5)` is a plain number, and no mention."""
    kind, number = name.split("-")
    chapter = number.split(".")[0]
    return kind == "figure" or any(known.startswith(f"{kind}-{chapter}.") for known in places(env))


def shown(name: str) -> str:
    kind, number = name.split("-")
    return f"equation ({number})" if kind == "equation" else f"Figure {number}"


def add_previews(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put what the page's links lead to into the page: each place once, unseen."""
    names = {node["place"]: None for node in doctree.findall(Mention)} if doctree else {}
    if names:
        context["body"] += "".join(preview(app, name, page) for name in names)


def preview(app: Sphinx, name: str, page: str) -> str:
    place = places(app.env)[name]
    if name.startswith("equation"):
        inner = f'<div class="math">\\[{escape(place.formula)}\\]</div>'
    else:
        caption = place.caption.deepcopy()
        inner = picture(app, place, page) + app.builder.render_partial(caption)["fragment"]
    if place.page != page:
        title = app.env.titles[place.page].astext()
        inner += f'<p class="preview-from">{escape(title)}</p>'
    return f'<template data-place="{name}">{inner}</template>\n'


def picture(app: Sphinx, place: Place, page: str) -> str:
    if not place.image:
        return ""
    up = "../" * page.count("/")
    source = f"{up}{app.builder.imagedir}/{place.image}"
    return f'<img src="{source}" alt="{escape(place.alt)}">'


def visit(self, node: Mention) -> None:
    self.body.append(
        f'<a class="reference internal mention" href="{node["refuri"]}" '
        f'data-place="{node["place"]}">'
    )


def depart(self, node: Mention) -> None:
    self.body.append("</a>")


def setup(app: Sphinx) -> None:
    app.add_node(Mention, html=(visit, depart))
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("doctree-read", collect, priority=600)  # after formulas have got their ids
    app.connect("doctree-resolved", link)
    app.connect("html-page-context", add_previews)
