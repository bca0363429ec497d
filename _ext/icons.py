"""The icons that the pages use, and not the thousands that the theme would load for each page.

The theme's script of icons has 1.5 MB. Of it a style sheet is made that holds the outlines of
those that occur in the built pages, and the script and its fonts are left out.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

SHEET = "icons.css"
BY_SCRIPT = {"xmark"}  # what the theme's own script adds to a page
STYLES = {"solid", "regular", "brands", "lg", "sm", "xs", "fw"}  # no icons, though named alike
# What the theme's style sheet says of icons: its fonts, and the sign of each icon in them.
FONTS = re.compile(
    r'@font-face\{[^}]*fontawesome[^}]*\}|(?:\.fa-[\w-]+:{1,2}before,?)+\{content:"[^"]*"\}'
)
LINKS = re.compile(
    r'\s*<script[^>]*fontawesome[^>]*></script>|\s*<link[^>]*fontawesome[^>]*/?>', re.IGNORECASE
)  # fmt: skip
RULES = """\
[class*="fa-"]::before {
  background: currentcolor;
  content: "" !important;
  display: inline-block;
  height: 1em;
  mask: var(--icon) center / contain no-repeat;
  vertical-align: -0.125em;
  width: 1.25em;
}
"""
log = logging.getLogger(__name__)


def used(pages: list[str]) -> set[str]:
    """The names of the icons in the pages' HTML, as `moon` of `fa-moon`."""
    classes = {name for page in pages for name in re.findall(r'\bclass="([^"]*\bfa-[^"]*)"', page)}
    return {name for some in classes for name in re.findall(r"\bfa-([\w-]+)", some)} - STYLES


def outline(name: str, script: str) -> str | None:
    """An icon as SVG, from the theme's script; the last one of the name is the solid one."""
    entry = rf'[,{{]"?{re.escape(name)}"?:\[(\d+),(\d+),\[[^\]]*\],"\w+","(M[^"]*)"'
    found = re.findall(entry, script)
    if not found:
        return None
    width, height, path = found[-1]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}'>"
        f"<path d='{path}'/></svg>"
    )


def sheet(names: set[str], script: str) -> str | None:
    """The style sheet; None where the script does not have every icon."""
    outlines = {name: outline(name, script) for name in sorted(names | BY_SCRIPT)}
    if None in outlines.values():
        return None
    rules = [
        f'.fa-{name} {{ --icon: url("data:image/svg+xml,{svg.replace("#", "%23")}"); }}\n'
        for name, svg in outlines.items()
    ]
    return "/* Icons: Font Awesome Free, by Fonticons, CC BY 4.0 */\n" + RULES + "".join(rules)


def replace(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    static = out / "_static"
    scripts = [*static.glob("scripts/fontawesome.js"), *static.glob("vendor/**/js/all.min.js")]
    pages = {page: page.read_text(encoding="utf-8") for page in out.rglob("*.html")}
    text = "".join(script.read_text(encoding="utf-8") for script in scripts)
    made = sheet(used(list(pages.values())), text)
    if made is None:
        log.warning("icons.py does not understand the theme's script of icons; it stays")
        made = ""
    else:
        for page, html in pages.items():
            page.write_text(LINKS.sub("", html), encoding="utf-8")
        for path in static.glob("styles/*.css"):
            path.write_text(FONTS.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
        for script in static.glob("scripts/fontawesome.js*"):
            script.unlink()
        shutil.rmtree(static / "vendor" / "fontawesome", ignore_errors=True)
    (static / SHEET).write_text(made, encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.add_css_file(SHEET)
    app.connect("build-finished", replace)
