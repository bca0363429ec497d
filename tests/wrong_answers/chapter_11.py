"""Wrong answers to the exercises of chapter 11."""

import math

import numpy as np
import torch


def _find(slot, starts):
    return sum(start <= slot for start in starts) - 1


def pop_without_start(state, starts, widths, b):
    slot = state & ((1 << b) - 1)
    k = _find(slot, starts)
    return k, widths[k] * (state >> b) + slot


def pop_without_rest(state, starts, widths, b):
    k = _find(state % 2**b, starts)
    return k, widths[k] * (state >> b)


def pop_without_width(state, starts, widths, b):
    slot = state % 2**b
    k = _find(slot, starts)
    return k, (state >> b) + slot - starts[k]


def pop_without_division(state, starts, widths, b):
    slot = state % 2**b
    k = _find(slot, starts)
    return k, widths[k] * state + slot - starts[k]


def pop_open_range(state, starts, widths, b):
    slot = state % 2**b
    k = max([k for k, start in enumerate(starts) if start < slot], default=0)
    return k, widths[k] * (state >> b) + slot - starts[k]


def slots_rounded(p, b):
    return np.round(np.asarray(p) * 2**b).astype(int).clip(1)


def slots_floored(p, b):
    widths = torch.floor(p * 2**b)
    widths[p.argmax()] += 2**b - widths.sum()
    return widths


def slots_equal(p, b):
    widths = torch.full_like(p, 2**b // len(p))
    widths[-1] += 2**b - widths.sum()
    return widths


def slots_not_whole(p, b):
    return 1 + p * (2**b - len(p))


def slots_of_two(p, b):
    return torch.tensor([1, 2**b - 1])


def bits_in_nats(log_q, log_pz, log_px):
    q = log_q.exp()
    return (torch.special.xlogy(q, q) - q * (log_pz + log_px)).sum(1)


def bits_not_back(log_q, log_pz, log_px):
    return -(log_q.exp() * (log_pz + log_px)).sum(1) / math.log(2)


def bits_paid_twice(log_q, log_pz, log_px):
    q = log_q.exp()
    return (-torch.special.xlogy(q, q) - q * (log_pz + log_px)).sum(1) / math.log(2)


def bits_of_kl(log_q, log_pz, log_px):
    q = log_q.exp()
    return (torch.special.xlogy(q, q) - q * log_pz).sum(1) / math.log(2)


def bits_with_nan(log_q, log_pz, log_px):
    return (log_q.exp() * (log_q - log_pz - log_px)).sum(1) / math.log(2)


def bits_elbo(log_q, log_pz, log_px):
    q = log_q.exp()
    return (q * (log_pz + log_px) - torch.special.xlogy(q, q)).sum(1) / math.log(2)


WRONG = {
    "pop-symbol": [
        (pop_without_start, "counts from the range's start"),
        (pop_without_rest, "remainder of the division is lost"),
        (pop_without_width, "multiply by the width"),
        (pop_without_division, "divide by 2ᵇ"),
        (pop_open_range, "A range includes its first slot"),
    ],
    "slots": [
        (slots_rounded, "give the difference to the most probable"),
        (slots_floored, "Give every symbol one slot"),
        (slots_equal, "nearly proportional to p"),
        (slots_not_whole, "A slot can't be shared"),
        (slots_of_two, "where (n,) is expected"),
    ],
    "bits-of": [
        (bits_in_nats, "Divide by log 2"),
        (bits_not_back, "The bits that z takes from the stack are missing"),
        (bits_paid_twice, "So log q has a plus"),
        (bits_of_kl, "The image is pushed too"),
        (bits_with_nan, "not a number"),
        (bits_elbo, "That is the ELBO"),
    ],
}
