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


# grey-levels


def levels_by_loops(w, a, c, b):
    def below(t):
        if t in (0, 1):
            return t
        exponents = [float(a[k] * (t - c[k]) - b[k]) for k in range(len(w))]
        return sum(float(w[k]) / (1 + math.exp(-e)) for k, e in enumerate(exponents))

    return [below((g + 1) / 256) - below(g / 256) for g in range(256)]


def levels_by_tanh(w, a, c, b):
    t = torch.linspace(0, 1, 257, dtype=torch.float64)[1:-1, None]
    inner = (w * (0.5 + 0.5 * torch.tanh(0.5 * (a * (t - c) - b)))).sum(1)
    ends = torch.cat([torch.zeros(1).double(), inner, torch.ones(1).double()])
    return ends.diff()


def levels_by_numpy(w, a, c, b):
    w, a, c, b = (np.asarray(part, dtype=float) for part in (w, a, c, b))
    edges = np.arange(1, 256) / 256
    inner = 1 / (1 + np.exp(b - a * (edges[:, None] - c))) @ w
    return np.diff(inner, prepend=0, append=1)


def levels_by_matrix(w, a, c, b):
    t = torch.arange(257) / 256
    t[0], t[-1] = -torch.inf, torch.inf
    return torch.sigmoid(torch.outer(t, a) - a * c - b).diff(dim=0) @ w


def levels_component_by_component(w, a, c, b):
    total = torch.zeros(256)
    low = torch.arange(256) / 256
    for k in range(len(w)):
        above = torch.sigmoid(a[k] * (low + 1 / 256 - c[k]) - b[k])
        below = torch.sigmoid(a[k] * (low - c[k]) - b[k])
        above[255], below[0] = 1.0, 0.0
        total = total + w[k] * (above - below)
    return total


def levels_from_above(w, a, c, b):
    """By the probability of at least each level."""
    edges = torch.arange(1, 256).double()[:, None] / 256
    inner = torch.sigmoid(b - a * (edges - c)) @ w.double()
    above = torch.cat([torch.ones(1).double(), inner, torch.zeros(1).double()])
    return above[:-1] - above[1:]


RIGHT = {
    "pop-symbol": [pop_by_bisection, pop_by_tensors, pop_by_binary_text],
    "slots": [slots_by_largest_rest, slots_by_fractions, slots_taken_from_the_largest],
    "bits-of": [bits_in_base_two, bits_by_parts, bits_by_numpy],
    "grey-levels": [
        levels_by_loops,
        levels_by_tanh,
        levels_by_numpy,
        levels_by_matrix,
        levels_component_by_component,
        levels_from_above,
    ],
}
