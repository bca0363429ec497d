"""No page has what axe-core calls a serious or a critical obstacle, in light and in dark."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SOME = ["intro.html", "search.html", "chapters/04_reparameterization.html", "pages/training.html",
        "pages/playground.html", "pages/questions.html"]  # fmt: skip
ON_DISK = pytest.mark.parametrize("address", ["file"], indirect=True)
# Each violation with the places where it was found. `preload` would fetch style sheets again,
# which a page on disk may not. The insides of formulas, nine tenths of a page's elements, are
# MathJax's; that they are read as MathML and are no stops is tested below.
RUN = """async () => {
  const options = { resultTypes: ["violations"], preload: false };
  const { violations } = await axe.run({ exclude: ["mjx-container"] }, options);
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}, ${nodes.length} times: ` +
      nodes.slice(0, 3).map(({ html }) => html.slice(0, 160)).join("\\n    "));
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's script, which this package carries."""
    spec = find_spec("axe_playwright_python")
    if spec is None:
        pytest.skip("axe-core is missing: pip install -r requirements-test.txt")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def obstacles(page, axe: str) -> list[str]:
    page.evaluate(axe)
    return page.evaluate(RUN)


@ON_DISK
@pytest.mark.parametrize(("theme", "width", "some"), [("light", 1400, None), ("dark", 390, SOME)])
def test_no_page_has_an_obstacle(visit, pages, axe, theme, width, some):
    """All pages once; on a phone in dark mode a few of each kind, for axe-core takes long."""
    reader = visit(color_scheme=theme, viewport={"width": width, "height": 900})
    pages = some or pages
    found = {}
    for page in pages:
        reader.open(page)
        found[page] = obstacles(reader.page, axe)
    lines = [f"{page}: {line}" for page, some in found.items() for line in some]
    assert not lines, "\n".join(["", *lines])


@ON_DISK
def test_an_open_preview_is_no_obstacle(visit, axe):
    reader = visit()
    reader.open("intro.html")
    reader.page.locator("a.mention").first.hover()
    reader.page.locator("#preview.placed").wait_for()
    assert obstacles(reader.page, axe) == []


@ON_DISK
def test_the_keyboard_sees_where_it_is(visit):
    """Every button of the header has a mark around it while it has the focus."""
    reader = visit(viewport={"width": 1400, "height": 900})
    reader.open("chapters/03_elbo.html")
    page = reader.page
    page.locator("body").press("Tab")
    marks = {}
    for _ in range(60):
        page.keyboard.press("Tab")
        name, mark = page.evaluate(
            "() => { const node = document.activeElement, style = getComputedStyle(node);"
            "const inside = node.closest('.bd-header-article');"
            "return [inside && node.outerHTML.slice(0, 80),"
            "style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]; }"
        )
        if name:
            marks[name] = mark
    assert len(marks) >= 4
    assert all(marks.values()), marks


@ON_DISK
def test_formulas_are_no_stops_and_are_read_as_mathml(visit):
    reader = visit(viewport={"width": 1400, "height": 900})
    reader.open("chapters/03_elbo.html")
    formulas = reader.page.locator("article mjx-container")
    assert formulas.count() > 300
    assert reader.page.locator("article mjx-container[tabindex='0']").count() == 0
    assert reader.page.locator("mjx-container mjx-assistive-mml math").count() >= formulas.count()


def test_axe_finds_obstacles(browser, axe):
    page = browser.new_page()
    page.set_content("<html><body><img src='data:,'><p style='color:#bbb'>grey</p>")
    assert len(obstacles(page, axe)) >= 3
    page.close()
