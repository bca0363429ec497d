"""Right answers to the exercises of chapter 11."""

import math

import numpy as np
import torch

# pop-symbol


def pop_by_loop(state, starts, widths, b):
    rest, slot = divmod(state, 1 << b)
    for symbol, (start, width) in enumerate(zip(starts, widths)):
        if start <= slot < start + width:
            return symbol, rest * width + slot - start
    raise AssertionError("no such slot")


def pop_by_search(state, starts, widths, b):
    slot = state & ((1 << b) - 1)
    k = int(np.searchsorted(starts, slot, side="right")) - 1
    return [k, widths[k] * (state >> b) + slot - starts[k]]


def pop_by_list(state, starts, widths, b):
    owner = [k for k, width in enumerate(widths) for _ in range(width)]
    inside = [n for width in widths for n in range(width)]
    slot = state % 2**b
    return owner[slot], state // 2**b * widths[owner[slot]] + inside[slot]


# slots


def slots_by_numpy(p, b):
    p = np.asarray(p)
    widths = np.maximum(np.round(p * 2**b).astype(int), 1)
    while widths.sum() != 2**b:
        widths[widths.argmax()] += np.sign(2**b - widths.sum())
    return widths


def slots_one_by_one(p, b):
    """Each further slot goes where it shortens the code most."""
    widths = torch.ones(len(p))
    for _ in range(2**b - len(p)):
        widths[(p * torch.log1p(1 / widths)).argmax()] += 1
    return widths.long()


def slots_by_cumulative(p, b):
    free = 2**b - len(p)
    ends = torch.cat([torch.zeros(1), p.cumsum(0) / p.sum() * free]).round().long()
    ends[-1] = free
    return (ends.diff() + 1).tolist()


# bits-of


def bits_by_loops(log_q, log_pz, log_px):
    found = []
    for row, (log_qi, log_pi) in enumerate(zip(log_q.tolist(), log_px.tolist())):
        total = 0.0
        for k, (q, px) in enumerate(zip(log_qi, log_pi)):
            if q > -math.inf:
                total += math.exp(q) * (q - float(log_pz[k]) - px)
        found.append(total / math.log(2))
        assert row == len(found) - 1
    return found


def bits_by_nan(log_q, log_pz, log_px):
    q = torch.exp(log_q)
    each = q * (log_q - log_pz - log_px) / torch.log(torch.tensor(2.0, dtype=log_q.dtype))
    return torch.nan_to_num(each, nan=0.0).sum(-1)


def bits_by_xlogy(log_q, log_pz, log_px):
    q = log_q.exp()
    return (torch.special.xlogy(q, q) - q * (log_pz + log_px)).sum(1) * math.log2(math.e)


RIGHT = {
    "pop-symbol": [pop_by_loop, pop_by_search, pop_by_list],
    "slots": [slots_by_numpy, slots_one_by_one, slots_by_cumulative],
    "bits-of": [bits_by_loops, bits_by_nan, bits_by_xlogy],
}
