"""A search that finds British and American spelling alike: both go into the index."""

from __future__ import annotations

import re

from sphinx.search.en import SearchEnglish

# Ways to spell: each pattern with its replacement. What is no word does no harm in an index.
SPELLINGS = (
    (r"is(e|ed|er|ers|es|ing|ation|ations|able)$", r"iz\1"),
    (r"iz(e|ed|er|ers|es|ing|ation|ations|able)$", r"is\1"),
    (r"ys(e|ed|er|es|ing)$", r"yz\1"),
    (r"yz(e|ed|er|es|ing)$", r"ys\1"),
    (r"^(col|behavi|neighb|fav)our", r"\1or"),
    (r"^(col|behavi|neighb|fav)or", r"\1our"),
    (r"^(model|label|cancel|travel)l(ed|ing|er)", r"\1\2"),
    (r"^(model|label|cancel|travel)(ed|ing|er)", r"\1l\2"),
    (r"^centre", "center"), (r"^center", "centre"),
    (r"^grey", "gray"), (r"^gray", "grey"),
    (r"^licence", "license"), (r"^license", "licence"),
)  # fmt: skip


def other_spellings(word: str) -> set[str]:
    """`{"optimizing"}` for `optimising`; empty for a word that has one spelling."""
    found = {re.sub(pattern, other, word.lower()) for pattern, other in SPELLINGS}
    return found - {word.lower()}


class BothSpellings(SearchEnglish):
    """English whose index holds each word in both spellings."""

    def split(self, input: str) -> list[str]:  # the name is Sphinx's
        words = super().split(input)
        return words + [other for word in words for other in sorted(other_spellings(word))]
