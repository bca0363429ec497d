"""Labels of the bibliography are short, for names with accents too."""

import sys

import notebooks
import pytest

pytest.importorskip("pybtex", reason="the bibliography is made by pybtex")
sys.path.append(str(notebooks.ROOT / "_ext"))
import bibliography
from pybtex.database import parse_file


def test_labels_are_short_and_plain():
    entries = parse_file(str(notebooks.ROOT / "references.bib")).entries
    style = bibliography.ShortLabels()
    labels = {key: style.format_label(entry) for key, entry in entries.items()}
    assert labels["sonderby2016"] == "SRM+16"
    assert labels["kynkaanniemi2019"] == "KKL+19"
    assert labels["bengio2013"] == "BLC13"
    assert labels["kingma2014"] == "KW14"
    assert {key: label for key, label in labels.items() if len(label) > 9} == {}


def test_letters_without_accents_count():
    entry = bibliography.Entry("article", fields={"year": "1820"})
    names = (r"{\O}rsted, Hans", "Wu, A")
    entry.persons["author"] = [bibliography.Person(name) for name in names]
    assert bibliography.ShortLabels().format_label(entry) == "OW20"
