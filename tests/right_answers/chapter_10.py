"""Right answers to the exercises of chapter 10."""

import math

import numpy as np
import torch
from torch.nn import functional as F


def quantise_by_cdist(h, codebook):
    codes = torch.cdist(h.flatten(0, 1), codebook).argmin(1).view(h.shape[:2])
    e = codebook.detach()[codes]
    return e + h - h.detach(), codes


def quantise_by_loops(h, codebook):
    codes = torch.zeros(h.shape[:2], dtype=torch.long)
    for b in range(h.shape[0]):
        for p in range(h.shape[1]):
            codes[b, p] = min(range(len(codebook)), key=lambda k: (h[b, p] - codebook[k]).norm())
    return h + codebook[codes].detach() - h.detach(), codes


def quantise_by_expansion(h, codebook):
    away = h.pow(2).sum(-1, keepdim=True) - 2 * h @ codebook.T + codebook.pow(2).sum(-1)
    codes = away.argmin(-1)
    onehot = F.one_hot(codes, len(codebook)).to(h.dtype)
    return h + (onehot @ codebook - h).detach(), codes


def perplexity_in_numpy(batches, K):
    counts = np.zeros(K)
    for batch in batches:
        for code in np.asarray(batch).ravel():
            counts[int(code)] += 1
    p = counts / counts.sum()
    return float(np.prod([q**-q for q in p if q > 0]))


def perplexity_in_bits(batches, K):
    every = torch.cat([b.reshape(-1) for b in batches])
    _, counts = every.unique(return_counts=True)
    p = counts / counts.sum()
    return 2 ** (-(p * p.log2()).sum())


def perplexity_by_entropy(batches, K):
    counts = sum(torch.bincount(b.flatten(), minlength=K) for b in batches)
    return torch.distributions.Categorical(probs=counts / counts.sum()).entropy().exp()


def scalars_in_numpy(h, levels):
    h, top = np.asarray(h), np.array(levels) - 1
    u = np.rint(top / (1 + np.exp(-h)))
    return 2 * u / top - 1, u @ np.cumprod([1, *levels[:-1]])


def scalars_backwards(h, levels):
    codes, columns = torch.zeros(len(h)), []
    for d in reversed(range(len(levels))):
        u = torch.round(torch.sigmoid(h[:, d]) * (levels[d] - 1))
        codes = codes * levels[d] + u
        columns.insert(0, -1 + u * (2 / (levels[d] - 1)))
    return torch.stack(columns, 1), codes.long()


def scalars_by_tanh(h, levels):
    half = (torch.tensor(levels) - 1) / 2
    z = torch.round(half * torch.tanh(h / 2) + half) / half - 1
    place = torch.tensor([math.prod(levels[:d]) for d in range(len(levels))])
    return z, (((z + 1) * half).round() * place).sum(1)


def bits_by_cross_entropy(log_px, prior_logits, codes, pixels):
    cost = F.cross_entropy(prior_logits.movedim(-1, 1), codes, reduction="none").sum(1)
    return ((cost - log_px).mean() / math.log(2) / pixels).item()


def bits_by_loops(log_px, prior_logits, codes, pixels):
    total = 0.0
    for b in range(len(codes)):
        total -= float(log_px[b])
        for p in range(codes.shape[1]):
            row = prior_logits[b, p].softmax(0)
            total -= math.log(float(row[codes[b, p]]))
    return total / len(codes) / pixels / math.log(2)


def bits_by_categorical(log_px, prior_logits, codes, pixels):
    prior = torch.distributions.Categorical(logits=prior_logits)
    return -(prior.log_prob(codes).sum(1) + log_px).mean() * math.log2(math.e) / pixels


def loss_by_centring(log_px, log_q, kl):
    S = log_px.shape[0]
    centred = (log_px - log_px.mean(0)).detach() * S / (S - 1)
    return kl - (log_px + centred * log_q).sum(0) / S


def loss_by_loops(log_px, log_q, kl):
    S, total = len(log_px), kl
    for s in range(S):
        others = [log_px[t].detach() for t in range(S) if t != s]
        advantage = log_px[s].detach() - sum(others) / len(others)
        total = total - (advantage * log_q[s] + log_px[s]) / S
    return total


def loss_with_its_value(log_px, log_q, kl):
    S = len(log_px)
    with torch.no_grad():
        advantage = log_px - (log_px.sum(0, keepdim=True) - log_px) / (S - 1)
    score = (advantage * log_q).mean(0)
    return kl - log_px.mean(0) - score + score.detach()


RIGHT = {
    "quantise": [quantise_by_cdist, quantise_by_loops, quantise_by_expansion],
    "set-perplexity": [perplexity_in_numpy, perplexity_in_bits, perplexity_by_entropy],
    "finite-scalars": [scalars_in_numpy, scalars_backwards, scalars_by_tanh],
    "code-bits": [bits_by_cross_entropy, bits_by_loops, bits_by_categorical],
    "code-loss": [loss_by_centring, loss_by_loops, loss_with_its_value],
}
