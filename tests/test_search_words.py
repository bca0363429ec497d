"""What the search finds: Chinese pieces, both spellings, readers' words, and chapters first."""

from __future__ import annotations

import re
import sys

import notebooks
import pytest

pytest.importorskip("sphinx", reason="the search is Sphinx's")
sys.path.append(str(notebooks.ROOT / "_ext"))
import search_words

ON_DISK = pytest.mark.parametrize("address", ["file"], indirect=True)


def test_pieces_of_a_chinese_term():
    assert search_words.pieces("变分推断") == ["变分", "变分推", "分推", "分推断", "推断"]
    assert search_words.pieces("变分") == []


def test_the_index_gets_terms_pieces_and_both_spellings():
    words = search_words.BookWords({}).split("变分推断 binarised")
    assert words[:3] == ["变分推断", "binarised", "binarized"]
    assert "推断" in words


def first_results(reader, query: str) -> list[str]:
    """Where the search leads, best first, as `pages/training.html#schedules`."""
    reader.open(f"search.html?q={query.replace(' ', '+')}")
    reader.page.locator("#search-results .search-summary", has_text="found").or_(
        reader.page.locator("#search-results .search-summary", has_text="match")
    ).wait_for()
    links = reader.page.locator("#search-results ul.search li a").evaluate_all(
        "links => links.map((link) => link.getAttribute('href').replace('../', ''))"
    )
    return [re.sub(r"\?[^#]*", "", link) for link in links]


ASKED = [(word, place) for place, words in search_words.WORDS.items() for word in words]


@pytest.mark.slow
@ON_DISK
def test_readers_words_lead_to_the_section_that_answers(visit):
    reader, lost = visit(), []
    for word, place in ASKED:
        page, _, name = place.partition("#")
        found = first_results(reader, word)[:1]
        if found != [f"{page}.html#{name}"]:
            lost.append((word, place, found))
    assert not lost


@pytest.mark.slow
@ON_DISK
@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("elbo", "chapters/03_elbo.html"),
        ("变分", "pages/glossary.html"),
        ("推断", "pages/glossary.html"),
        ("softplus", "pages/questions.html"),
        ("reparameterisation", "chapters/04_reparameterization.html"),
        ("reparameterization", "chapters/04_reparameterization.html"),
    ],
)
def test_what_comes_first(visit, query, page):
    assert first_results(visit(), query)[0].startswith(page)


@pytest.mark.slow
@ON_DISK
def test_the_packages_names_come_after_the_text(visit):
    found = first_results(visit(), "elbo")
    names = [n for n, link in enumerate(found) if link.startswith("pages/reference")]
    texts = [n for n, link in enumerate(found) if not link.startswith("pages/reference")]
    assert names, "the reference is found too"
    assert min(names) > max(texts)
