"""Both spellings of a word go into the book's index."""

import sys

import notebooks
import pytest

pytest.importorskip("sphinx", reason="the search is Sphinx's")
sys.path.append(str(notebooks.ROOT / "_ext"))
import spelling


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("optimising", {"optimizing"}),
        ("Reparameterization", {"reparameterisation"}),
        ("analyse", {"analyze"}),
        ("colour", {"color"}),
        ("neighbor", {"neighbour"}),
        ("labelled", {"labeled"}),
        ("modeling", {"modelling"}),
        ("centre", {"center"}),
        ("gray", {"grey"}),
        ("encoder", set()),
    ],
)
def test_other_spellings(word, others):
    assert spelling.other_spellings(word) == others


def test_the_index_gets_both():
    words = spelling.BothSpellings({}).split("binarised pixels")
    assert words == ["binarised", "pixels", "binarized"]
