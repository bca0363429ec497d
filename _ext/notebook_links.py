"""Links of chapters into the book: on Colab by the book's address, on a page by the page's place.

A chapter links to a page by its full address, since Colab and JupyterLab know no other. Here the
address becomes a path again, before the chapter is read, so that the book works from disk and a
strict build notices where a link leads nowhere. The line that leads to the chapter's own page has
done its work in the notebook, and is left out.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))
import notebooks


def to_paths(app: Sphinx, docname: str, source: list[str]) -> None:
    """Addresses of pages of the book become paths to their sources."""
    site = notebooks.site_address(notebooks.repository_address(Path(app.srcdir)))

    def path(found: re.Match[str]) -> str:
        name = found[1]
        if name == docname:
            return found[0]
        known = name in app.env.found_docs
        target = app.env.doc2path(name, base=False) if known else f"{name}.md"
        return os.path.relpath(target, Path(docname).parent).replace(os.sep, "/")

    source[0] = re.sub(rf"{re.escape(site)}/([\w/-]+)\.html", path, source[0])


def drop_own_link(app: Sphinx, doctree: nodes.document) -> None:
    """Remove the paragraph that leads from a notebook to the page that this is."""
    site = notebooks.site_address(notebooks.repository_address(Path(app.srcdir)))
    own = f"{site}/{app.env.docname}.html"
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if any(link.get("refuri") == own for link in paragraph.findall(nodes.reference)):
            paragraph.parent.remove(paragraph)


def setup(app: Sphinx) -> None:
    app.connect("source-read", to_paths)
    app.connect("doctree-read", drop_own_link)
