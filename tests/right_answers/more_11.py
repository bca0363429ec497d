"""More right answers to the exercises of chapter 11."""

import math
from bisect import bisect_right
from fractions import Fraction

import numpy as np
import torch

# pop-symbol


def pop_by_bisection(state, starts, widths, b):
    above, slot = state >> b, state - (state >> b << b)
    symbol = bisect_right(starts, slot) - 1
    return symbol, above * widths[symbol] + (slot - starts[symbol])


def pop_by_tensors(state, starts, widths, b):
    slot = state % (1 << b)
    k = int((torch.tensor(starts) <= slot).sum()) - 1
    return torch.tensor(k), torch.tensor(widths[k] * (state >> b) + slot - starts[k])


def pop_by_binary_text(state, starts, widths, b):
    text = f"{state:b}".rjust(b, "0")
    above, slot = int(text[:-b] or "0", 2), int(text[-b:], 2)
    (k,) = (k for k, s in enumerate(starts) if slot in range(s, s + widths[k]))
    return (k, widths[k] * above + slot - starts[k])


# slots


def slots_by_largest_rest(p, b):
    exact = p.double() / p.double().sum() * (2**b - len(p))
    widths = exact.floor()
    left = int(2**b - len(p) - widths.sum())
    widths[(exact - widths).argsort(descending=True)[:left]] += 1
    return (widths + 1).int()


def slots_by_fractions(p, b):
    parts = [Fraction(float(value)) for value in p]
    total, free = sum(parts), 2**b - len(parts)
    widths = [1 + int(part / total * free) for part in parts]
    widths[widths.index(max(widths))] += 2**b - sum(widths)
    return widths


def slots_taken_from_the_largest(p, b):
    widths = np.ceil(np.asarray(p, dtype=float) * 2**b).clip(1)
    for _ in range(int(widths.sum()) - 2**b):
        widths[widths.argmax()] -= 1
    return widths


# bits-of


def bits_in_base_two(log_q, log_pz, log_px):
    q = torch.exp(log_q)
    lengths = torch.log2(q.clamp_min(1e-30)) - (log_pz + log_px) / math.log(2)
    return (q * lengths).sum(dim=1)


def bits_by_parts(log_q, log_pz, log_px):
    q = log_q.exp()
    entropy = -torch.where(q > 0, q * log_q, torch.zeros_like(q)).sum(1)
    cross = -(q @ log_pz)
    return (cross - (q * log_px).sum(1) - entropy) / np.log(2)


def bits_by_numpy(log_q, log_pz, log_px):
    q = np.exp(np.asarray(log_q))
    with np.errstate(all="ignore"):
        each = q * (np.asarray(log_q) - np.asarray(log_pz) - np.asarray(log_px))
    return np.where(q > 0, each, 0).sum(1) / np.log(2)


RIGHT = {
    "pop-symbol": [pop_by_bisection, pop_by_tensors, pop_by_binary_text],
    "slots": [slots_by_largest_rest, slots_by_fractions, slots_taken_from_the_largest],
    "bits-of": [bits_in_base_two, bits_by_parts, bits_by_numpy],
}
