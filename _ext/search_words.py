"""Words that readers search for and that the book says in other words, and Chinese terms.

A word of the table becomes an index entry at the section that answers. Sphinx's search puts such
entries first, and the index lists them. Chinese is written without spaces: every piece of a
term goes into the index, so that 变分 finds 变分推断.
"""

from __future__ import annotations

import re

from docutils import nodes
from spelling import BothSpellings
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

# A section's page and name, and the words that readers have for what it answers.
WORDS = {
    "pages/own_data#train-on-your-own-data": (
        "custom dataset", "custom data", "own dataset", "own images",
    ),
    "pages/own_data#a-folder-of-pictures": ("ImageFolder", "image folder", "colour images"),
    "pages/own_data#a-table": ("tabular", "tabular data", "csv", "dataframe"),
    "pages/own_data#sequences": ("recurrent network", "text data"),
    "pages/questions#how-do-i-model-sequences-of-varying-length-lstm-gru": ("LSTM", "GRU"),
    "pages/training#stopping-and-resuming": (
        "resume training", "continue training", "save a model", "load a model",
    ),
    "pages/training#many-processes-many-machines": (
        "multiple gpus", "multi-gpu", "several gpus", "DistributedDataParallel",
    ),
    "pages/questions#what-is-the-codebook-of-a-vq-vae-is-there-one-here": ("codebook", "VQ-VAE"),
    "pages/questions#which-optimiser-does-batchnorm-help-weight-decay": ("weight decay",),
    "pages/questions#clamp-the-log-variance-exp-or-softplus": ("softplus",),
    "pages/questions#how-do-i-get-the-same-result-again-seeds": (
        "reproducible", "reproducibility", "random seed",
    ),
    "pages/questions#several-gpus-how-many-num-workers": ("num_workers",),
}  # fmt: skip
CHINESE = re.compile(r"[\u4e00-\u9fff]{2,}")
log = logging.getLogger(__name__)


class BookWords(BothSpellings):
    """Both spellings of English words, and Chinese terms with all their pieces."""

    def split(self, input: str) -> list[str]:  # the name is Sphinx's
        return super().split(input) + [p for term in CHINESE.findall(input) for p in pieces(term)]


def pieces(term: str) -> list[str]:
    """What a reader may type of `变分推断`: two signs and more in a row, not the whole."""
    ends = range(len(term) + 1)
    found = [term[start:end] for start in ends for end in ends if end - start >= 2]
    return [piece for piece in found if piece != term]


class ReadersWords(SphinxTransform):
    """Puts an index entry for each word of the table at the start of its section."""

    default_priority = 800  # before Sphinx reads the entries

    def apply(self, **kwargs: object) -> None:
        for place, words in WORDS.items():
            page, name = place.split("#")
            if page == self.env.docname:
                self.add(name, words)

    def add(self, name: str, words: tuple[str, ...]) -> None:
        for section in self.document.findall(nodes.section):
            if name in section["ids"]:
                entries = [("single", word, name, "main", None) for word in words]
                section.insert(1, addnodes.index(entries=entries))
                return
        text = "no section #%s, where the words %s should lead"
        log.warning(text, name, ", ".join(words), location=self.env.docname)


def setup(app: Sphinx) -> None:
    app.add_search_language(BookWords)
    app.add_transform(ReadersWords)
