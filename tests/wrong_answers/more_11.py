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


def _edges(w):
    return torch.arange(257, dtype=w.dtype)[:, None] / 256


def _with_ends(F):
    return torch.cat([torch.zeros(1), F[1:-1], torch.ones(1)]).diff()


def levels_without_ends(w, a, c, b):
    return (torch.sigmoid(a * (_edges(w) - c) - b) * w).sum(1).diff()


def levels_without_white(w, a, c, b):
    F = (torch.sigmoid(a * (_edges(w) - c) - b) * w).sum(1)
    return torch.cat([torch.zeros(1), F[1:]]).diff()


def levels_as_density(w, a, c, b):
    s = torch.sigmoid(a * (_edges(w)[:256] - c) - b)
    return (w * a * s * (1 - s)).sum(1) / 256


def levels_as_density_between_right_ends(w, a, c, b):
    s = torch.sigmoid(a * (_edges(w) - c) - b)
    p = (w * a * s * (1 - s)).sum(1)[:256] / 100
    p[0], p[-1] = (w * s[1]).sum(), 1 - (w * s[255]).sum()
    return p


def levels_of_logits(w, a, c, b):
    return _with_ends((torch.sigmoid(a * (_edges(w) - c) - b) * w.softmax(0)).sum(1))


def levels_averaged(w, a, c, b):
    return _with_ends((torch.sigmoid(a * (_edges(w) - c) - b) * w).mean(1))


def levels_unweighted(w, a, c, b):
    return _with_ends(torch.sigmoid(a * (_edges(w) - c) - b).sum(1))


def levels_with_plus(w, a, c, b):
    return _with_ends((torch.sigmoid(a * (_edges(w) - c) + b) * w).sum(1))


def levels_shift_in_levels(w, a, c, b):
    return _with_ends((torch.sigmoid(a * (_edges(w) - c - b)) * w).sum(1))


def levels_by_width(w, a, c, b):
    return _with_ends((torch.sigmoid((_edges(w) - c) / a - b) * w).sum(1))


def levels_of_255(w, a, c, b):
    return _with_ends((torch.sigmoid(a * (_edges(w) * 256 / 255 - c) - b) * w).sum(1))


def levels_without_anchors(w, a, c, b):
    return _with_ends((torch.sigmoid(a * _edges(w) - b) * w).sum(1))


def levels_falling(w, a, c, b):
    return -_with_ends((torch.sigmoid(a * (_edges(w) - c) - b) * w).sum(1))


def levels_in_place(w, a, c, b):
    w *= 1 / w.sum()
    b += a * c
    return _with_ends((torch.sigmoid(a * _edges(w) - b) * w).sum(1))


def levels_cumulative(w, a, c, b):
    return (torch.sigmoid(a * (_edges(w)[1:] - c) - b) * w).sum(1)


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
    "grey-levels": [
        (levels_without_ends, "set F(0) = 0 and F(1) = 1"),
        (levels_without_white, "set F(1) = 1"),
        (levels_as_density, "density times the width"),
        (levels_as_density_between_right_ends, ""),
        (levels_of_logits, "not their logits"),
        (levels_averaged, "divided by K"),
        (levels_unweighted, "The weights w are missing"),
        (levels_with_plus, "The shift has a minus"),
        (levels_shift_in_levels, "not multiplied by the slope"),
        (levels_by_width, "multiply by it"),
        (levels_of_255, "begins at g / 256"),
        (levels_without_anchors, "anchors c are missing"),
        (levels_falling, "The sign"),
        (levels_in_place, "is changed in place"),
        (levels_cumulative, ""),
    ],
}
