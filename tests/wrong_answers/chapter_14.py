"""Wrong answers to the exercises of chapter 14."""

import math

import torch
from torch.nn import functional as F


def _each(logits, x):
    return torch.log_softmax(logits, -1).gather(2, x[:, :, None])[:, :, 0]


def _upto_end(x):
    return torch.arange(x.shape[1]) <= (x != 0).sum(1, keepdim=True)


def log_px_of_whole_row(logits, x):
    return -F.cross_entropy(logits.transpose(1, 2), x, reduction="none").sum(1)


def log_px_ignores_zero(logits, x):
    return -F.cross_entropy(logits.transpose(1, 2), x, reduction="none", ignore_index=0).sum(1)


def log_px_mean(logits, x):
    mask = _upto_end(x)
    return (_each(logits, x) * mask).sum(1) / mask.sum(1)


def log_px_of_logits(logits, x):
    return (logits.gather(2, x[:, :, None])[:, :, 0] * _upto_end(x)).sum(1)


def log_px_of_probabilities(logits, x):
    return (_each(logits, x).exp() * _upto_end(x)).sum(1)


def log_px_shifted(logits, x):
    following = F.pad(x[:, 1:], (0, 1))
    return (_each(logits, following) * _upto_end(x)).sum(1)


def log_px_softmax_over_time(logits, x):
    each = F.log_softmax(logits, 1).gather(2, x[:, :, None])[:, :, 0]
    return (each * _upto_end(x)).sum(1)


def log_px_one_number(logits, x):
    return (_each(logits, x) * _upto_end(x)).sum()


def log_px_loss(logits, x):
    return -(_each(logits, x) * _upto_end(x)).sum(1)


def log_px_of_places(logits, x):
    return _each(logits, x) * _upto_end(x)


def log_px_sorts_in_place(logits, x):
    found = (_each(logits, x) * _upto_end(x)).sum(1)
    logits -= logits.mean(-1, keepdim=True)
    return found


def _tokens(x):
    return ((x != 0).sum(1) + 1).double()


def perplexity_mean_of_each(log_px, x):
    return torch.exp(-log_px / _tokens(x)).mean()


def perplexity_mean_of_rates(log_px, x):
    return torch.exp((-log_px / _tokens(x)).mean())


def perplexity_of_words_only(log_px, x):
    return torch.exp(-log_px.sum() / (x > 0).sum())


def perplexity_of_all_places(log_px, x):
    return torch.exp(-log_px.sum() / (x.shape[0] * x.shape[1]))


def perplexity_base_two(log_px, x):
    return 2 ** (-log_px.sum() / _tokens(x).sum())


def perplexity_sign(log_px, x):
    return torch.exp(log_px.sum() / _tokens(x).sum())


def perplexity_in_nats(log_px, x):
    return -log_px.sum() / _tokens(x).sum()


def perplexity_of_sequences(log_px, x):
    return math.exp(-log_px.mean())


def perplexity_vector(log_px, x):
    return torch.exp(-log_px / _tokens(x))


def perplexity_of_the_sum(log_px, x):
    return torch.exp(-log_px.sum())


def perplexity_in_place(log_px, x):
    log_px /= _tokens(x).sum().to(log_px)
    return torch.exp(-log_px.sum())


def drop_start_too(before, chance, hidden, noise):
    return before.masked_fill(noise < chance, hidden)


def drop_the_others(before, chance, hidden, noise):
    hide = noise > chance
    hide[:, 0] = False
    return before.masked_fill(hide, hidden)


def drop_to_end(before, chance, hidden, noise):
    hide = noise < chance
    hide[:, 0] = False
    return before.masked_fill(hide, 0)


def drop_by_place(before, chance, hidden, noise):
    hide = noise[0] < chance
    hide[0] = False
    return torch.where(hide, hidden, before)


def drop_by_sentence(before, chance, hidden, noise):
    out = before.clone()
    for row, u in zip(out, noise):
        if u[1] < chance:
            row[1:] = hidden
    return out


def drop_in_place(before, chance, hidden, noise):
    hide = noise < chance
    hide[:, 0] = False
    before[hide] = hidden
    return before


def drop_nothing(before, chance, hidden, noise):
    return before.clone()


def drop_everything(before, chance, hidden, noise):
    out = torch.full_like(before, hidden)
    out[:, 0] = before[:, 0]
    return out


def drop_with_own_noise(before, chance, hidden, noise):
    hide = torch.rand(before.shape) < chance
    hide[:, 0] = False
    return before.masked_fill(hide, hidden)


def drop_the_last_instead(before, chance, hidden, noise):
    hide = noise < chance
    hide[:, -1] = False
    hide[:, 0] = False
    return before.masked_fill(hide, hidden)


def drop_removes(before, chance, hidden, noise):
    return [[t for t, u in zip(row, us) if u >= chance] for row, us in zip(before, noise)]


WRONG = {
    "sequence-log-px": [
        (log_px_of_whole_row, "Only the first 0 counts"),
        (log_px_ignores_zero, "You left the end out"),
        (log_px_mean, "is the sum"),
        (log_px_of_logits, "Take log_softmax"),
        (log_px_of_probabilities, "Sum their logarithms"),
        (log_px_shifted, "already belongs to"),
        (log_px_softmax_over_time, "It belongs over the symbols"),
        (log_px_one_number, ""),
        (log_px_loss, ""),
        (log_px_of_places, ""),
        (log_px_sorts_in_place, "is changed in place"),
    ],
    "perplexity-of": [
        (perplexity_mean_of_each, "mean of perplexities"),
        (perplexity_mean_of_rates, "averaged the nats per token"),
        (perplexity_of_words_only, "a token too"),
        (perplexity_of_all_places, "the zeros that fill"),
        (perplexity_base_two, "power of 2"),
        (perplexity_sign, "The sign"),
        (perplexity_in_nats, "This is the nats per token"),
        (perplexity_of_sequences, "per sequence"),
        (perplexity_vector, ""),
        (perplexity_of_the_sum, ""),
        (perplexity_in_place, "is changed in place"),
    ],
    "drop-words": [
        (drop_start_too, "Column 0 must stay"),
        (drop_the_others, "above the chance"),
        (drop_to_end, "0 is the end"),
        (drop_by_place, "whole places"),
        (drop_by_sentence, "whole sequences"),
        (drop_in_place, "is changed in place"),
        (drop_nothing, ""),
        (drop_everything, ""),
        (drop_with_own_noise, ""),
        (drop_the_last_instead, ""),
        (drop_removes, ""),
    ],
}
