"""Live figures in the book: their scripts go into the pages that have one, and into no other."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SOURCE = Path(__file__).resolve().parent.parent / "vae_tutorial" / "live"
FOLDER = "live"  # below _static of the built book


def load_figures() -> ModuleType:
    """`vae_tutorial.live` alone: the package imports torch, which building does not need."""
    spec = importlib.util.spec_from_file_location("live_figures", SOURCE / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


FIGURES = load_figures()


class LiveFigure(SphinxDirective):
    """`{live-figure} name`, with options as JSON below: a live figure in a Markdown page."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        up = "../" * self.env.docname.count("/")
        options = json.loads("\n".join(self.content) or "{}")
        text = FIGURES.element(name, options, f"{up}_static/{FOLDER}/{name}.png")
        return [nodes.raw("", text, format="html")]


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add the style and the scripts of the page's figures; data are loaded when needed."""
    names = sorted(set(re.findall(r'data-live="([\w-]+)"', context.get("body", ""))))
    if names:
        app.add_css_file(f"{FOLDER}/live.css")
    for script in [*FIGURES.SHARED, *names] if names else []:
        app.add_js_file(f"{FOLDER}/{script}.js", loading_method="defer")


def copy_scripts(app: Sphinx, error: Exception | None) -> None:
    """Copy scripts, style and pictures: what lies in `_static` itself would go into every page."""
    if error is not None or app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(SOURCE.iterdir()):
        if path.suffix in (".js", ".css", ".png"):
            shutil.copyfile(path, target / path.name)


def setup(app: Sphinx) -> None:
    app.add_directive("live-figure", LiveFigure)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", copy_scripts)
