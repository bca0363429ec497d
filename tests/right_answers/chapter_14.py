"""Right answers to the exercises of chapter 14."""

import math

import numpy as np
import torch
from torch.nn import functional as F

# sequence-log-px


def log_px_by_loops(logits, x):
    found = []
    for row, tokens in zip(logits.log_softmax(-1), x.tolist()):
        total = 0.0
        for t, token in enumerate(tokens):
            total += row[t, token].item()
            if token == 0:
                break
        found.append(total)
    return torch.tensor(found)


def log_px_by_cross_entropy(logits, x):
    nats = F.cross_entropy(logits.transpose(1, 2), x, reduction="none")
    after = (x == 0).cumsum(1) - (x == 0).long() > 0
    return -nats.masked_fill(after, 0).sum(1)


def log_px_by_categorical(logits, x):
    each = torch.distributions.Categorical(logits=logits).log_prob(x)
    seen = F.pad((x == 0).cumsum(1)[:, :-1], (1, 0))
    return torch.where(seen == 0, each, 0).sum(1)


def log_px_by_logsumexp(logits, x):
    length = (x != 0).sum(1)
    each = torch.take_along_dim(logits, x[..., None], -1)[..., 0] - logits.logsumexp(-1)
    return (each * (torch.arange(x.shape[1]) <= length[:, None])).sum(1)


def log_px_by_numpy(logits, x):
    z, tokens = logits.double().numpy(), x.numpy()
    logs = z - np.log(np.exp(z).sum(-1, keepdims=True))
    each = np.take_along_axis(logs, tokens[..., None], -1)[..., 0]
    return [row[: int((t != 0).sum()) + 1].sum() for row, t in zip(each, tokens)]


def log_px_by_onehot(logits, x):
    onehot = F.one_hot(x, logits.shape[-1]).to(logits)
    each = (onehot * logits.log_softmax(-1)).sum(-1)
    mask = torch.cat([torch.ones(len(x), 1), (x[:, :-1] != 0).cumprod(1)], 1)
    return (each * mask).sum(1)


# perplexity-of


def perplexity_by_loops(log_px, x):
    tokens = 0
    for row in x.tolist():
        tokens += row.index(0) + 1 if 0 in row else len(row)
    return math.exp(-sum(log_px.tolist()) / tokens)


def perplexity_by_lengths(log_px, x):
    length = ((x != 0).sum(1) + 1).clamp(max=x.shape[1])
    return torch.exp(-log_px.sum() / length.sum())


def perplexity_by_means(log_px, x):
    length = ((x != 0).sum(1) + 1).double()
    return torch.exp(-log_px.mean() / length.mean())


def perplexity_by_weights(log_px, x):
    length = ((x != 0).sum(1) + 1).double()
    weights = length / length.sum()
    return torch.exp((weights * (-log_px / length)).sum())


def perplexity_by_numpy(log_px, x):
    tokens = np.count_nonzero(x.numpy()) + len(x)
    return np.exp(-log_px.numpy().sum() / tokens)


def perplexity_by_bits(log_px, x):
    bits = -log_px.double().sum() / math.log(2)
    return 2 ** (bits / ((x != 0).sum() + len(x)))


# drop-words


def drop_by_clone(before, chance, hidden, noise):
    out = before.clone()
    hide = noise < chance
    hide[:, 0] = False
    out[hide] = hidden
    return out


def drop_by_fill(before, chance, hidden, noise):
    hide = (noise < chance) & (torch.arange(before.shape[1]) > 0)
    return before.masked_fill(hide, hidden)


def drop_by_parts(before, chance, hidden, noise):
    rest = torch.where(noise[:, 1:] < chance, torch.tensor(hidden), before[:, 1:])
    return torch.cat([before[:, :1], rest], 1)


def drop_by_loops(before, chance, hidden, noise):
    return [
        [token if t == 0 or u >= chance else hidden for t, (token, u) in enumerate(zip(row, us))]
        for row, us in zip(before.tolist(), noise.tolist())
    ]


def drop_by_numpy(before, chance, hidden, noise):
    out = np.where(noise.numpy() < chance, hidden, before.numpy())
    out[:, 0] = before.numpy()[:, 0]
    return out


def drop_by_sums(before, chance, hidden, noise):
    keep = (noise >= chance).long()
    keep[:, 0] = 1
    return keep * before + (1 - keep) * hidden


RIGHT = {
    "sequence-log-px": [log_px_by_loops, log_px_by_cross_entropy, log_px_by_categorical,
                        log_px_by_logsumexp, log_px_by_numpy, log_px_by_onehot],
    "perplexity-of": [perplexity_by_loops, perplexity_by_lengths, perplexity_by_means,
                      perplexity_by_weights, perplexity_by_numpy, perplexity_by_bits],
    "drop-words": [drop_by_clone, drop_by_fill, drop_by_parts, drop_by_loops, drop_by_numpy,
                   drop_by_sums],
}  # fmt: skip
