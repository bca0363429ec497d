"""A small language of 24 stories: sentences whose exact probability is known.

Behind each sentence stand three hidden choices: a topic (sea, kitchen, garden, street), a number
(one or several) and a tense (past, present, future). They fix which words may occur; the words
themselves are then drawn independently. So log p(sentence) is a sum over 24 cases, and the mean
of −log p is the entropy, which no model can beat.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number
from vae_tutorial.data.tensors import checked_tokens

TOPICS = ("sea", "kitchen", "garden", "street")
NUMBERS = ("one", "several")
TENSES = ("past", "present", "future")
LONGEST = 12
"""Words of the longest sentence, and the end."""

_PEOPLE = {
    "sea": ("sailor", "captain", "diver", "fisher"),
    "kitchen": ("cook", "baker", "waiter", "guest"),
    "garden": ("gardener", "child", "neighbour", "painter"),
    "street": ("driver", "warden", "neighbour", "child"),
}
_VERBS = {  # the stem; past with -ed, present of one person with -s
    "sea": ("watch", "follow", "call", "load"),
    "kitchen": ("cook", "watch", "lift", "serve"),
    "garden": ("water", "paint", "watch", "plant"),
    "street": ("follow", "stop", "call", "paint"),
}
_THINGS = {
    "sea": ("ship", "whale", "boat", "wave"),
    "kitchen": ("soup", "fish", "bread", "pot"),
    "garden": ("tree", "rose", "hedge", "bird"),
    "street": ("bus", "taxi", "lamp", "bird"),
}
_LIKE = ("tired", "small", "quiet", "young")  # for people, whatever the topic
_LOOK = {
    "sea": ("grey", "large", "distant"),
    "kitchen": ("hot", "fresh", "large"),
    "garden": ("green", "wild", "fresh"),
    "street": ("yellow", "fast", "distant"),
}
_PLACE = {
    "sea": ("on deck", "at dawn"),
    "kitchen": ("by the stove", "at noon"),
    "garden": ("by the pond", "at dawn"),
    "street": ("on the corner", "at noon"),
}
_PAST = {"stop": "stopped", "serve": "served"}
_SHOWS = {"watch": "watches"}
_MANY = {"child": "children"}

Slot = tuple[tuple[tuple[str, ...], float], ...]
"""A part of a sentence: the phrases that may stand there, each with its probability."""


class Story(NamedTuple):
    """The three hidden choices, as numbers: places in `TOPICS`, `NUMBERS` and `TENSES`."""

    topic: int
    number: int
    tense: int


STORIES = tuple(Story(*c) for c in itertools.product(range(4), range(2), range(3)))


@cache
def slots(story: Story) -> tuple[Slot, ...]:
    """The parts of a sentence of this story, in order; phrases of one part are drawn by chance."""
    topic, one = TOPICS[story.topic], story.number == 0
    people = [p if one else _MANY.get(p, p + "s") for p in _PEOPLE[topic]]
    articles = (("the",), ("a",)) if one else (("the",), ("two",))
    return (
        _even(articles),
        _even([(), *((word,) for word in _LIKE)]),
        _even([(person,) for person in people]),
        _even([_verb(stem, one, TENSES[story.tense]) for stem in _VERBS[topic]]),
        _even([("the",), ("a",)]),
        _even([(), *((word,) for word in _LOOK[topic])]),
        _even([(thing,) for thing in _THINGS[topic]]),
        _even([(), *(tuple(place.split()) for place in _PLACE[topic])]),
    )


def draw_sentences(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`count` sentences and their stories: tokens `(N, 12)` uint8, and `(N, 3)` int64.

    A sentence ends with the token 0, which also fills the row. `VOCABULARY` has the words.
    """
    count, seed = whole_number("count", count), whole_number("seed", seed, 0)
    draw = torch.Generator().manual_seed(seed)
    which = torch.randint(len(STORIES), (count,), generator=draw)
    chance = torch.rand(count, 8, generator=draw, dtype=torch.float64)
    rows = torch.zeros(count, LONGEST, dtype=torch.uint8)
    for n, (story, numbers) in enumerate(zip(which.tolist(), chance.tolist(), strict=True)):
        words = [
            word
            for slot, u in zip(slots(STORIES[story]), numbers, strict=True)
            for word in slot[int(u * len(slot))][0]
        ]
        rows[n, : len(words)] = torch.tensor([_INDEX[word] for word in words], dtype=torch.uint8)
    return rows, torch.tensor(STORIES)[which]


def log_prob(tokens: Tensor) -> Tensor:
    """log p of each sentence `(N, 12)`, exactly, in nats: `(N,)` float64; −∞ for what cannot be.

    Raises `TypeError` or `ValueError` unless they are rows of tokens of `VOCABULARY`.
    """
    return _given_stories(tokens).mean(1).log()


def stories_of(tokens: Tensor) -> Tensor:
    """p(story | sentence), `(N, 24)`, in the order of `STORIES`; zeros where none fits.

    Raises `TypeError` or `ValueError` unless they are rows of tokens of `VOCABULARY`.
    """
    found = _given_stories(tokens)
    return found / found.sum(1, keepdim=True).clamp(min=1e-300)


def _given_stories(tokens: Tensor) -> Tensor:
    """p(sentence | story), `(N, 24)` float64, in the order of `STORIES`."""
    sentences = map(_words, checked_tokens("tokens", tokens, len(VOCABULARY)))
    each = [[_probability(words, story) for story in STORIES] for words in sentences]
    return torch.tensor(each, dtype=torch.float64).view(-1, len(STORIES))


def _probability(words: tuple[str, ...], story: Story) -> float:
    """p(words | story): the sum over all ways to cut the words into the parts."""
    reached = {0: 1.0}  # by the number of words used so far
    for slot in slots(story):
        after: dict[int, float] = {}
        for used, weight in reached.items():
            for phrase, chance in slot:
                if words[used : used + len(phrase)] == phrase:
                    end = used + len(phrase)
                    after[end] = after.get(end, 0.0) + weight * chance
        reached = after
    return reached.get(len(words), 0.0)


def _words(row: Tensor) -> tuple[str, ...]:
    """The words of a row before its first 0; whatever follows that must be 0 too."""
    ended = row.tolist()
    length = ended.index(0) if 0 in ended else len(ended)
    if any(ended[length:]):
        return ("",)
    return tuple(VOCABULARY[i] for i in ended[:length])


def _verb(stem: str, one: bool, tense: str) -> tuple[str, ...]:
    if tense == "future":
        return ("will", stem)
    if tense == "past":
        return (_PAST.get(stem, stem + "ed"),)
    return (_SHOWS.get(stem, stem + "s"),) if one else (stem,)


def _even(phrases: Sequence[tuple[str, ...]]) -> Slot:
    return tuple((phrase, 1 / len(phrases)) for phrase in phrases)


def _vocabulary() -> tuple[str, ...]:
    words = {word for s in STORIES for slot in slots(s) for phrase, _ in slot for word in phrase}
    return ("", *sorted(words))


VOCABULARY = _vocabulary()
"""The words; the first is empty and stands for the end of a sentence."""
_INDEX = {word: i for i, word in enumerate(VOCABULARY)}
