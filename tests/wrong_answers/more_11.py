"""More wrong answers to the exercises of chapter 11."""

import math

import torch


def _find(slot, starts):
    return sum(start <= slot for start in starts) - 1


def pop_added_start(state, starts, widths, b):
    slot = state % 2**b
    k = _find(slot, starts)
    return k, widths[k] * (state >> b) + slot + starts[k]


def pop_by_b(state, starts, widths, b):
    slot = state % b
    k = _find(slot, starts)
    return k, widths[k] * (state // 2**b) + slot - starts[k]


def pop_only_state(state, starts, widths, b):
    slot = state % 2**b
    k = _find(slot, starts)
    return widths[k] * (state >> b) + slot - starts[k]


def pop_other_order(state, starts, widths, b):
    slot = state % 2**b
    k = _find(slot, starts)
    return widths[k] * (state >> b) + slot - starts[k], k


def pop_rounded_up(state, starts, widths, b):
    slot = state % 2**b
    k = _find(slot, starts)
    return k, widths[k] * -(-state // 2**b) + slot - starts[k]


def slots_by_ceiling(p, b):
    return torch.ceil(p * 2**b).clamp(min=1)


def slots_one_over(p, b):
    widths = 1 + torch.floor(p * 2**b)
    widths[p.argmax()] += 2**b + 1 - widths.sum()
    return widths


def slots_by_root(p, b):
    widths = 1 + torch.floor(p.sqrt() / p.sqrt().sum() * (2**b - len(p)))
    widths[-1] += 2**b - widths.sum()
    return widths


def slots_as_text(p, b):
    return "slots"


def slots_of_half(p, b):
    widths = 1 + torch.floor(p * (2 ** (b - 1) - len(p)))
    widths[p.argmax()] += 2 ** (b - 1) - widths.sum()
    return widths


def bits_times_log_two(log_q, log_pz, log_px):
    q = log_q.exp()
    return (torch.special.xlogy(q, q) - q * (log_pz + log_px)).sum(1) * math.log(2)


def bits_without_prior(log_q, log_pz, log_px):
    q = log_q.exp()
    return (torch.special.xlogy(q, q) - q * log_px).sum(1) / math.log(2)


def bits_unweighted(log_q, log_pz, log_px):
    usable = torch.where(log_q.isinf(), torch.zeros_like(log_q), log_q)
    return (usable - log_pz - log_px).sum(1) / math.log(2)


def bits_under_the_prior(log_q, log_pz, log_px):
    usable = torch.where(log_q.isinf(), torch.zeros_like(log_q), log_q)
    return ((usable - log_pz - log_px) * log_pz.exp()).sum(1) / math.log(2)


def bits_averaged(log_q, log_pz, log_px):
    q = log_q.exp()
    return (torch.special.xlogy(q, q) - q * (log_pz + log_px)).mean(1) / math.log(2)


# of which one check alone knows


def pop_counts_from_one(state, starts, widths, b):
    slot = state % 2**b
    k = _find(slot, starts)
    return k + 1, widths[k] * (state >> b) + slot - starts[k]


def pop_with_sentinel(state, starts, widths, b):
    slot = state % 2**b
    starts.append(2**b)
    k = _find(slot, starts)
    return k, widths[k] * (state >> b) + slot - starts[k]


def slots_in_place(p, b):
    p /= 2 * p.sum()
    widths = 1 + torch.floor(2 * p * (2**b - len(p)))
    widths[p.argmax()] += 2**b - widths.sum()
    return widths


def bits_in_place(log_q, log_pz, log_px):
    log_px += log_pz
    q = log_q.exp()
    return (torch.special.xlogy(q, q) - q * log_px).sum(1) / math.log(2)


WRONG = {
    "pop-symbol": [
        (pop_counts_from_one, "too large by 1"),
        (pop_with_sentinel, "is changed in place"),
        (pop_added_start, "To undo it, subtract it"),
        (pop_by_b, "There are 2ᵇ slots"),
        (pop_only_state, "pair of whole numbers"),
        (pop_other_order, ""),
        (pop_rounded_up, ""),
    ],
    "slots": [
        (slots_in_place, "is changed in place"),
        (slots_by_ceiling, "The slots sum to"),
        (slots_one_over, "The slots sum to"),
        (slots_by_root, "nearly proportional to p"),
        (slots_as_text, "whole numbers belong"),
        (slots_of_half, "The slots sum to"),
    ],
    "bits-of": [
        (bits_in_place, "is changed in place"),
        (bits_times_log_two, "divide by log 2"),
        (bits_without_prior, "z is pushed too"),
        (bits_unweighted, "Weigh each z"),
        (bits_under_the_prior, "popped by q, not by the prior"),
        (bits_averaged, "The weights q already sum to 1"),
    ],
}
