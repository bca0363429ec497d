"""The slides: what they refer to is there, they load nothing from elsewhere, and all of it fits."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("markdown_it", reason="the book's tools are not installed")
pytest.importorskip("mdit_py_plugins", reason="the book's tools are not installed")

from live_pages import chromium

import slides

SOURCES = sorted(slides.SOURCES.glob("*.md"))
by_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
WORDS = 70


@pytest.fixture(scope="module")
def known():
    return slides.material()


def test_there_are_two_lectures():
    assert [path.stem for path in SOURCES] == ["lecture_1", "lecture_2"]


@by_source
def test_every_reference_leads_to_something_in_a_chapter(source, known):
    found = slides.references(source.read_text(encoding="utf-8"))
    assert len(found) >= 15
    for kind, name in found:
        assert name in getattr(known, kind), f"{source.name}: there is no {kind} {name}"


@by_source
def test_nothing_that_looks_like_a_reference_is_left_as_text(source, known):
    for body, notes in slides.slides_of(source.read_text(encoding="utf-8")):
        made = slides.section(body, notes, known)
        assert "PIECE" not in made and "{figure" not in made and "{live" not in made
        assert "<img" not in made or 'alt="Figure' in made


@by_source
def test_a_slide_has_few_words_and_a_heading(source):
    for body, _ in slides.slides_of(source.read_text(encoding="utf-8")):
        assert body.startswith("#"), body
        assert len(slides.REFERENCE.sub("", body).split()) <= WORDS, body


@by_source
def test_formulas_of_the_chapters_are_not_written_twice(source, known):
    text = source.read_text(encoding="utf-8")
    assert "$$" not in text and r"\tag" not in text
    assert "![" not in text


def test_a_reference_that_leads_nowhere_is_an_error(known):
    with pytest.raises(ValueError, match=r"no figure 99\.1"):
        slides.section("## A\n\n{figure 99.1}", "", known)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The pages; reveal.js is the real one where `make slides` has fetched it, else empty files."""
    folder = tmp_path_factory.mktemp("slides")
    reveal = slides.REVEAL
    if not reveal.is_dir():
        reveal = folder / "empty"
        for part in slides.REVEAL_PARTS:
            slides._write(reveal / part, b"")
    return folder, slides.build(folder / "out", reveal)


def test_pages_load_nothing_from_another_host(built):
    _, pages = built
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text)
        for name in re.findall(r"(?:src|href)=\"([^\"]+)\"", text):
            assert (page.parent / name).is_file(), name


@pytest.mark.slow
@pytest.mark.skipif(not slides.REVEAL.is_dir(), reason="`make slides` fetches reveal.js")
def test_every_slide_fits_on_its_page_in_a_browser(built):
    """From a disk, without network, with formulas and live figures."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for path in built[1]:
            page.goto(path.as_uri())
            page.wait_for_function("window.Reveal && Reveal.isReady() && MathJax.startup.promise")
            page.evaluate("MathJax.startup.promise.then(() => 1)")
            for number in range(page.evaluate("Reveal.getTotalSlides()")):
                page.evaluate(f"Reveal.slide({number})")
                assert page.evaluate(OVER) == [], f"{path.stem}, slide {number + 1}"
                if live := page.query_selector(".present iframe"):
                    live.content_frame().wait_for_selector("[data-state=live]")
    assert not errors
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)


OVER = """() => {
  const slide = Reveal.getCurrentSlide();
  const box = slide.querySelector(".body").getBoundingClientRect();
  const parts = slide.querySelectorAll(".body > *, .body img, .body mjx-container > svg");
  return [...parts].filter(part => {
    const own = part.getBoundingClientRect();
    return own.bottom > box.bottom + 1 || own.right > box.right + 1;
  }).map(part => part.outerHTML.slice(0, 80));
}"""
