"""Right answers to the exercises of chapter 12."""

import bisect
import heapq
import math

import numpy as np
import torch
from torch.distributions import Bernoulli
from torch.nn import functional as F

# alarm-threshold


def by_sorted(clean, alpha):
    values = sorted(clean.tolist())
    return values[math.ceil((len(values) + 1) * (1 - alpha)) - 1]


def by_numpy(clean, alpha):
    values = np.sort(clean.numpy())
    return values[int(np.ceil((values.size + 1) * (1 - alpha))) - 1]


def by_kth_value(clean, alpha):
    return torch.kthvalue(clean, math.ceil((clean.numel() + 1) * (1 - alpha))).values


def by_the_largest(clean, alpha):
    n = len(clean)
    above = n - math.ceil((n + 1) * (1 - alpha))
    return torch.topk(clean, above + 1).values[-1]


def by_heap(clean, alpha):
    k = -int(-(len(clean) + 1) * (1 - alpha) // 1)
    return heapq.nsmallest(k, clean.tolist())[-1]


def by_counting(clean, alpha):
    need = (len(clean) + 1) * (1 - alpha)
    return min(float(t) for t in clean if (clean <= t).sum() >= need)


def by_insertion(clean, alpha):
    ordered = []
    for value in clean.tolist():
        bisect.insort(ordered, value)
    return torch.tensor(ordered)[math.ceil((1 - alpha) * len(ordered) + 1 - alpha) - 1]


# log-seen


def by_cross_entropy(logits, x, seen):
    each = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
    return -(each * seen).sum(-1)


def by_torch(logits, x, seen):
    return torch.where(seen, Bernoulli(logits=logits).log_prob(x), 0.0).sum(-1)


def by_log_sigmoid(logits, x, seen):
    each = torch.where(x == 1, F.logsigmoid(logits), F.logsigmoid(-logits))
    return each.masked_fill(~seen, 0).sum(dim=2)


def by_einsum(logits, x, seen):
    signs = 2 * x - 1
    return torch.einsum("kbp,bp->kb", F.logsigmoid(signs * logits), seen.to(logits.dtype))


def by_loops(logits, x, seen):
    rows = []
    for draw in logits:
        rows.append([])
        for a, bits, mask in zip(draw, x, seen):
            a, bits = a[mask], bits[mask]
            rows[-1].append(float((bits * a - torch.logaddexp(a, torch.zeros_like(a))).sum()))
    return rows


def by_numpy_logits(logits, x, seen):
    a, bits = logits.numpy(), x.numpy()
    return ((bits * a - np.logaddexp(0, a)) * seen.numpy()).sum(axis=-1)


def by_matrix(logits, x, seen):
    each = -F.softplus((1 - 2 * x) * logits)
    return (each[..., None, :] @ seen[..., None].to(each.dtype))[..., 0, 0]


# clean-bit


def by_odds(white, y, a, b):
    ratio = torch.where(y == 1, torch.full_like(y, (1 - b) / a), torch.full_like(y, b / (1 - a)))
    odds = white / (1 - white) * ratio
    return odds / (1 + odds)


def by_logits(white, y, a, b):
    evidence = y * math.log((1 - b) / a) + (1 - y) * math.log(b / (1 - a))
    return torch.sigmoid(torch.logit(white) + evidence)


def by_arithmetic(white, y, a, b):
    p1 = y * (1 - b) + (1 - y) * b
    p0 = y * a + (1 - y) * (1 - a)
    return white * p1 / (white * p1 + (1 - white) * p0)


def by_numpy_where(white, y, a, b):
    pi, scan = np.asarray(white), np.asarray(y)
    one = np.where(scan > 0.5, 1 - b, b) * pi
    return one / (one + np.where(scan > 0.5, a, 1 - a) * (1 - pi))


def by_table(white, y, a, b):
    table = torch.tensor([[1 - a, a], [b, 1 - b]], dtype=white.dtype)  # [was, scan]
    column = table[:, y.long()]  # (2, B, P)
    joint = torch.stack([1 - white, white]) * column
    return joint[1] / joint.sum(0)


def by_powers(white, y, a, b):
    from_white = (1 - b) ** y * b ** (1 - y) * white
    from_black = a**y * (1 - a) ** (1 - y) * (1 - white)
    return 1 / (1 + from_black / from_white)


def by_pixel(white, y, a, b):
    found = torch.empty_like(white)
    for i in range(white.shape[0]):
        for j in range(white.shape[1]):
            p, bit = float(white[i, j]), int(y[i, j])
            one, zero = (1 - b, a) if bit else (b, 1 - a)
            found[i, j] = p * one / (p * one + (1 - p) * zero)
    return found


RIGHT = {
    "alarm-threshold": [by_sorted, by_numpy, by_kth_value, by_the_largest, by_heap, by_counting,
                        by_insertion],
    "log-seen": [by_cross_entropy, by_torch, by_log_sigmoid, by_einsum, by_loops,
                 by_numpy_logits, by_matrix],
    "clean-bit": [by_odds, by_logits, by_arithmetic, by_numpy_where, by_table, by_powers,
                  by_pixel],
}  # fmt: skip
