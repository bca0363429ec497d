"""The exercises of chapter 14, sequences."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_14_tones import TRANSPOSE
from vae_tutorial.checks.compare import doubles
from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs
from vae_tutorial.models.sequences import counted


def _rows(rng: torch.Generator, symbols: int, lengths: list[int], width: int) -> Tensor:
    """Sequences `(B, width)` of these lengths, without their ends, filled with zeros."""
    x = torch.randint(1, symbols, (len(lengths), width), generator=rng)
    return x * (torch.arange(width) < torch.tensor(lengths)[:, None])


# ---- log p(x) of sequences


def _draw_logits(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Rows that end early, an empty one, and one without an end."""
    cases = []
    for symbols, lengths, width in ((5, [2, 4, 0, 1], 6), (4, [3, 5, 2], 5), (7, [1], 4)):
        x = _rows(rng, symbols, lengths, width)
        cases.append((2 * torch.randn(len(lengths), width, symbols, generator=rng) + 1, x))
    return cases


def sequence_log_px(logits: Tensor, x: Tensor) -> Tensor:
    each = logits.log_softmax(-1).gather(-1, x.unsqueeze(-1)).squeeze(-1)
    return (each * counted(x)).sum(-1)


def _with_padding(logits: Tensor, x: Tensor) -> Tensor:
    return logits.log_softmax(-1).gather(-1, x.unsqueeze(-1)).squeeze(-1).sum(-1)


def _without_end(logits: Tensor, x: Tensor) -> Tensor:
    each = logits.log_softmax(-1).gather(-1, x.unsqueeze(-1)).squeeze(-1)
    return (each * (x != 0)).sum(-1)


def _per_token(logits: Tensor, x: Tensor) -> Tensor:
    return sequence_log_px(logits, x) / counted(x).sum(-1)


def _one_late(logits: Tensor, x: Tensor) -> Tensor:
    moved = torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], 1)
    each = logits.log_softmax(-1).gather(-1, moved.unsqueeze(-1)).squeeze(-1)
    return (each * counted(x)).sum(-1)


def _over_places(logits: Tensor, x: Tensor) -> Tensor:
    each = logits.log_softmax(1).gather(-1, x.unsqueeze(-1)).squeeze(-1)
    return (each * counted(x)).sum(-1)


_LOG_PX = Exercise(
    name="sequence-log-px",
    call_as="sequence_log_px(logits, x)",
    returns="one number for each sequence, (B,)",
    inputs=_draw_logits,
    answer=sequence_log_px,
    sizes=lambda logits, x: {"B": len(x), "T": x.shape[1], "V": logits.shape[-1]},
    properties=(Property("log p(x) of each sequence", 5), keeps_inputs()),
    slips=(
        ("logits.log_softmax(-1)", "logits",
         "Logits are no log-probabilities yet. Take log_softmax over the symbols."),
        ("logits.log_softmax(-1)", "logits.softmax(-1)",
         "These are probabilities. Sum their logarithms."),
    ),
    suspects=(
        Suspect(_with_padding,
                "You counted the zeros that fill a row after its end. Only the first 0 counts."),
        Suspect(_without_end,
                "You left the end out. That a sequence ends here is a part of its probability."),
        Suspect(_per_token,
                "This is a mean over tokens. log p(x) of a sequence is the sum."),
        Suspect(_one_late,
                "You moved x by one place. logits[:, t] already belongs to x[:, t]."),
        Suspect(_over_places,
                "Your log_softmax runs over the places. It belongs over the symbols."),
    ),
)  # fmt: skip


# ---- perplexity


def _draw_totals(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    cases = []
    for lengths, width in (([2, 5, 1, 7], 9), ([3, 4], 6), ([6, 1, 2], 7)):
        x = _rows(rng, 6, lengths, width)
        nats = (0.5 + torch.rand(len(lengths), generator=rng)) * (torch.tensor(lengths) + 2)
        cases.append((-nats, x))
    return cases


def perplexity_of(log_px: Tensor, x: Tensor) -> Tensor:
    tokens = counted(x).sum()
    return (-log_px.sum() / tokens).exp()


def _mean_of_each(log_px: Tensor, x: Tensor) -> Tensor:
    return (-log_px / counted(x).sum(-1)).exp().mean()


def _mean_of_rates(log_px: Tensor, x: Tensor) -> Tensor:
    return (-log_px / counted(x).sum(-1)).mean().exp()


def _perplexity_without_ends(log_px: Tensor, x: Tensor) -> Tensor:
    return (-log_px.sum() / (x != 0).sum()).exp()


def _perplexity_with_padding(log_px: Tensor, x: Tensor) -> Tensor:
    return (-log_px.sum() / x.numel()).exp()


def _per_sequence(log_px: Tensor, x: Tensor) -> Tensor:
    return (-log_px.mean()).exp()


_PERPLEXITY = Exercise(
    name="perplexity-of",
    call_as="perplexity_of(log_px, x)",
    returns="one number",
    inputs=_draw_totals,
    answer=perplexity_of,
    sizes=lambda log_px, x: {"N": len(x), "T": x.shape[1]},
    properties=(Property("the perplexity of the set", 5, rtol=1e-5), keeps_inputs()),
    slips=(
        (".exp()", "", "This is the nats per token. Perplexity is its exponential."),
        ("-log_px", "log_px", "The sign: log p(x) is negative, and a perplexity is above 1."),
        (".exp()", ".exp2()",
         "You took a power of 2, but log p(x) is in nats: take a power of e."),
    ),
    suspects=(
        Suspect(_mean_of_each,
                "This is a mean of perplexities. (14.2) divides the sum of all nats by the "
                "number of all tokens, and takes one exponential."),
        Suspect(_mean_of_rates,
                "You averaged the nats per token over sequences, so a short one weighs as much "
                "as a long one. Divide the sum of all nats by the number of all tokens."),
        Suspect(_perplexity_without_ends, "The end of each sequence is a token too: count it."),
        Suspect(_perplexity_with_padding, "You counted the zeros that fill a row after its end."),
        Suspect(_per_sequence, "This is per sequence. Divide by the number of tokens."),
    ),
)  # fmt: skip


# ---- word dropout


def _draw_words(rng: torch.Generator) -> list[tuple[Tensor, float, int, Tensor]]:
    cases = []
    for shape, chance, hidden in (((4, 7), 0.4, 11), ((6, 12), 0.25, 30), ((3, 9), 0.7, 12)):
        before = torch.randint(0, 10, shape, generator=rng)
        before[:, 0] = 10
        noise = torch.rand(shape, generator=rng)
        noise[:, 0] = 0.1 * noise[:, 0]  # small at the start: that token must stay all the same
        cases.append((before, chance, hidden, noise))
    return cases


def drop_words(before: Tensor, chance: float, hidden: int, noise: Tensor) -> Tensor:
    hide = noise < chance
    hide[:, 0] = False
    return torch.where(hide, hidden, before)


def _drops_start(before: Tensor, chance: float, hidden: int, noise: Tensor) -> Tensor:
    return torch.where(noise < chance, hidden, before)


def _keeps_too_few(before: Tensor, chance: float, hidden: int, noise: Tensor) -> Tensor:
    hide = noise > chance
    hide[:, 0] = False
    return torch.where(hide, hidden, before)


def _to_zero(before: Tensor, chance: float, hidden: int, noise: Tensor) -> Tensor:
    return before * ((noise >= chance) | (torch.arange(before.shape[1]) == 0))


def _whole_columns(before: Tensor, chance: float, hidden: int, noise: Tensor) -> Tensor:
    hide = (noise[:1] < chance) & (torch.arange(before.shape[1]) > 0)
    return torch.where(hide, hidden, before)


def _whole_rows(before: Tensor, chance: float, hidden: int, noise: Tensor) -> Tensor:
    hide = (noise[:, 1:2] < chance) & (torch.arange(before.shape[1]) > 0)
    return torch.where(hide, hidden, before)


_DROP = Exercise(
    name="drop-words",
    call_as="drop_words(before, chance, hidden, noise)",
    returns="tokens, (B, T)",
    inputs=_draw_words,
    answer=drop_words,
    sizes=lambda before, chance, hidden, noise: {"hidden": hidden},
    properties=(
        Property("words with small noise are hidden, others stay", 3,
                 measure=lambda f, *inputs: doubles(f(*inputs))[:, 1:]),
        Property("the start token stays", 2,
                 measure=lambda f, *inputs: doubles(f(*inputs))[:, 0]),
        keeps_inputs(),
    ),
    suspects=(
        Suspect(_drops_start, "You hide the start token too. Column 0 must stay."),
        Suspect(_keeps_too_few,
                "You hide where the noise is above the chance. Then 1 − chance of the words go."),
        Suspect(_to_zero,
                "You put in 0, and 0 is the end of a sequence. Put in `hidden`."),
        Suspect(_whole_columns, "Each word has its own noise. You hide whole places."),
        Suspect(_whole_rows, "Each word has its own noise. You hide whole sequences."),
    ),
)  # fmt: skip

EXERCISES = (_LOG_PX, _PERPLEXITY, _DROP, TRANSPOSE)
