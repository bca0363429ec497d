"""What the book needs of Sphinx and no ready extension gives."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bibliography
import icons
import live
import mentions
import notebook_links
import search_words
from astroid.manager import AstroidManager
from course_plan import ChapterGoals, CoursePlan
from doctor_codes import DoctorCodes, DoctorResults
from docutils import nodes
from equation_list import EquationList
from measured import NatsTable, SpeedTable, StepTable
from reading_plan import ChapterList, ReadingPlan
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# The part of MathJax that the pages ask for: TeX in, HTML and CSS out, the fonts, the TeX
# packages that load when a formula uses them, and English speech for screen readers.
MATHJAX_PARTS = (
    "tex-chtml.js",
    "input/tex/extensions/*.js",
    "output/chtml/fonts/woff-v2/*.woff",
    "a11y/*.js",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
)


def keep_tagged_math_whole(app: Sphinx, doctree: nodes.document) -> None:
    r"""Hand formulas with `\tag` to MathJax as they are, and give them an address.

    Sphinx wraps every formula with a line break in `split`, where `\tag` is an error.
    Formula (3.1) of a chapter can be linked to as `#equation-3.1`, from every page.
    """
    labels = app.env.get_domain("std")
    for block in doctree.findall(nodes.math_block):
        tag = re.search(r"\\tag\{([\w.]+)\}", block.astext())
        if tag is None or block.get("nowrap"):
            continue
        block.children = [nodes.Text(rf"\[{block.astext().strip()}\]")]
        block["nowrap"] = True
        place = f"equation-{tag[1]}"
        block["ids"] = [*block["ids"], place]
        labels.anonlabels[place.lower()] = app.env.docname, place
        labels.labels[place.lower()] = app.env.docname, place, f"({tag[1]})"


class OtherPackages(set):
    """Modules that are not looked into, so that the reference is the same with torch and without.

    Where they are installed, their docstrings would be inherited, and reading them takes longer
    than building the book.
    """

    def __contains__(self, module: object) -> bool:
        return str(module).partition(".")[0] in {
            "torch", "torchvision", "numpy", "matplotlib", "tqdm",
        }  # fmt: skip


def skip_details(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out of the reference what a module imports, and values that nothing is said about."""
    kind = getattr(member, "type", "")
    said = getattr(member, "docstring", "") or getattr(member, "annotation", None)
    silent = kind == "data" and not getattr(member, "docstring", "")
    silent = silent or (kind == "attribute" and not said)
    return True if getattr(member, "imported", False) or silent else None


def offer_open_boxes(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Below the button that prints: one that opens all boxes first (`_static/printing.js`)."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            button = {
                "type": "link",
                "url": "?print=open",
                "text": ".pdf, boxes open",
                "tooltip": "Print with hints, solutions and code",
                "icon": "fas fa-file-pdf",
                "label": "print-open-button",
            }
            group["buttons"].append(button)


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Copy what the pages need of MathJax into the built book."""
    if error is not None or app.builder.format != "html":
        return
    spec = find_spec("sphinx-mathjax-offline")  # it carries MathJax; a hyphen forbids `import`
    if spec is None or spec.origin is None:
        raise ExtensionError("MathJax is missing: pip install -r requirements-book.txt")
    source = Path(spec.origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    for pattern in MATHJAX_PARTS:
        found = sorted(source.glob(pattern))
        if not found:
            raise ExtensionError(f"sphinx-mathjax-offline holds no {pattern}")
        for path in found:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def drop_unused_files(app: Sphinx, error: Exception | None) -> None:
    """Remove what no page asks for: the themes' source maps, translations and templates."""
    if error is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for path in [*static.rglob("*.map"), *static.glob("*webpack-macros.html")]:
        path.unlink()
    shutil.rmtree(static / "locales", ignore_errors=True)


def drop_font_hints(app: Sphinx, error: Exception | None) -> None:
    """Take out hints to load fonts early: on a page opened from disk they are an error.

    The theme for Python 3.10 writes them; fonts load without.
    """
    for page in Path(app.outdir).rglob("*.html"):
        before = page.read_text(encoding="utf-8")
        after = re.sub(r'<link rel="preload" as="font"[^>]*>\s*', "", before)
        if after != before:
            page.write_text(after, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    # Jupyter Book sets it even where the extension that it is for is not loaded.
    app.add_config_value("comments_config", {}, "html")
    AstroidManager.brain["module_denylist"] = OtherPackages()
    app.add_directive("doctor-codes", DoctorCodes)
    app.add_directive("doctor-results", DoctorResults)
    search_words.setup(app)
    app.config.html_search_scorer = str(Path(__file__).with_name("search_scorer.js"))
    app.add_directive("equation-list", EquationList)
    app.add_directive("chapter-list", ChapterList)
    app.add_directive("reading-plan", ReadingPlan)
    app.add_directive("chapter-goals", ChapterGoals)
    app.add_directive("course-plan", CoursePlan)
    app.add_directive("speed-table", SpeedTable)
    app.add_directive("nats-table", NatsTable)
    app.add_directive("step-table", StepTable)
    bibliography.setup(app)
    icons.setup(app)
    live.setup(app)
    notebook_links.setup(app)
    mentions.setup(app)
    app.connect("autodoc-skip-member", skip_details)
    app.connect("doctree-read", keep_tagged_math_whole)
    app.connect("html-page-context", offer_open_boxes, priority=900)  # after the theme's buttons
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", drop_unused_files)
    app.connect("build-finished", drop_font_hints)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
