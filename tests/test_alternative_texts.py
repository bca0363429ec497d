"""Figures' alternative texts: whole sentences in plain words, the same as the captions."""

from __future__ import annotations

import json

import notebooks
import pytest
from alternative_texts import LONGEST, alternative_text, figures, rewrite

START = "**Figure 1.1.** "


@pytest.mark.parametrize(
    ("caption", "text"),
    [
        ("A *line* from $x=1$, in `blue`.\n\nMore.", "A line from x=1, in blue."),
        ("See [Chapter 2](02.ipynb).", "See Chapter 2."),
        (r"It is $\log p_\theta(x\mid z)$.", "It is log p_θ(x | z)."),
        (r"$\mathcal N(0, \sigma^2)$ and $\pm\pi$.", "N(0, σ²) and ±π."),
        (r"At $\beta = 1$, $\lambda\le 2$, $\sin\omega z$.", "At β = 1, λ ≤ 2, sin ωz."),
    ],
)
def test_words_without_markdown_and_tex(caption, text):
    assert alternative_text(START + caption) == f"Figure 1.1. {text}"


def test_sentences_stay_whole():
    first, second = "It has a " + "long " * 40 + "start.", "Then a " + "second " * 20 + "one."
    assert alternative_text(START + f"{first} {second}") == f"Figure 1.1. {first}"
    assert alternative_text(START + f"{first} Short. {second}") == f"Figure 1.1. {first} Short."


def test_a_first_sentence_is_there_however_long_it_is():
    first = "word " * 100 + "end."
    text = alternative_text(START + f"{first} Second.")
    assert len(text) > LONGEST
    assert text == f"Figure 1.1. {first}"


def test_points_that_end_no_sentence():
    caption = "By A. Kingma et al. (2014), e.g. 3.5 nats vs. 4. " + "Two " * 100 + "."
    assert alternative_text(START + caption).endswith("3.5 nats vs. 4.")


def test_captions_are_read_again_without_a_run(tmp_path):
    path = tmp_path / "01_one.ipynb"
    settings = {"alt": "old", "width": "9px"}
    cells = [
        {"metadata": {"mystnb": {"image": settings}}, "source": "draw()"},
        {"metadata": {}, "source": ["**Figure 1.1.** ", "New – text."]},
    ]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert rewrite(path) == 1
    assert rewrite(path) == 0
    ((stored, _),) = figures(json.loads(path.read_text(encoding="utf-8")))
    assert stored == {"alt": "Figure 1.1. New – text.", "width": "9px"}


@pytest.mark.parametrize("path", notebooks.chapter_files(), ids=lambda path: path.stem)
def test_chapters_store_the_text_of_their_captions(path):
    found = figures(notebooks.read(path))
    assert found
    stale = [
        stored["alt"] for stored, caption in found if stored["alt"] != alternative_text(caption)
    ]
    assert not stale, "run `python tools/alternative_texts.py`"
