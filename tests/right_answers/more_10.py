"""More right answers to the exercises of chapter 10."""

import math
from collections import Counter

import numpy as np
import torch
from torch.nn import functional as F


class Through(torch.autograd.Function):
    """Gives the code, and hands the gradient on to h."""

    @staticmethod
    def forward(ctx, h, e):
        return e.clone()

    @staticmethod
    def backward(ctx, slope):
        return slope, None


def quantise_by_function(h, codebook):
    codes = (h.unsqueeze(-2) - codebook).norm(dim=-1).min(-1).indices
    return Through.apply(h, codebook[codes]), codes


def quantise_without_graph(h, codebook):
    with torch.no_grad():
        codes = torch.cdist(h, codebook.repeat(len(h), 1, 1)).argmin(-1)
        step = F.embedding(codes, codebook) - h
    return h + step, codes


def quantise_by_scores(h, codebook):
    """The nearest code has the largest h·e − |e|²/2."""
    scores = torch.einsum("bpd,kd->bpk", h, codebook) - codebook.pow(2).sum(1) / 2
    codes = scores.max(dim=2)[1]
    e = torch.index_select(codebook.data, 0, codes.reshape(-1)).reshape(h.shape)
    return e + (h - h.detach()), codes


# set-perplexity


def perplexity_by_counter(batches, K):
    counts = Counter(int(code) for batch in batches for code in batch.flatten())
    n = sum(counts.values())
    return math.exp(-sum(c / n * math.log(c / n) for c in counts.values()))


def perplexity_by_one_hot(batches, K):
    p = torch.cat([F.one_hot(b.flatten(), K) for b in batches]).double().mean(0)
    return torch.special.entr(p).sum().exp()


def perplexity_from_counts(batches, K):
    every = np.concatenate([np.asarray(b).reshape(-1) for b in batches])
    c = np.unique(every, return_counts=True)[1]
    return len(every) / np.exp((c * np.log(c)).sum() / len(every))


# finite-scalars


def scalars_by_bins(h, levels):
    s, u = torch.sigmoid(h), []
    for d, L in enumerate(levels):
        edges = (torch.arange(L - 1, dtype=h.dtype) + 0.5) / (L - 1)
        u.append(torch.bucketize(s[:, d].contiguous(), edges))
    z = [2 * each / (L - 1) - 1 for each, L in zip(u, levels)]
    codes = sum(each * math.prod(levels[:d]) for d, each in enumerate(u))
    return torch.stack(z, dim=-1), codes


def scalars_by_nearest(h, levels):
    """The nearest entry of a small codebook in each dimension."""
    z, codes, place = torch.empty_like(h), 0, 1
    for d, L in enumerate(levels):
        book = torch.linspace(0, 1, L, dtype=h.dtype)
        k = (h[:, d, None].sigmoid() - book).abs().argmin(1)
        z[:, d] = (book * 2 - 1)[k]
        codes, place = codes + place * k, place * L
    return z, codes


def scalars_by_ravel(h, levels):
    u = [torch.round(torch.sigmoid(column) * (L - 1)) for column, L in zip(h.T, levels)]
    z = torch.stack([(each - (L - 1) / 2) / ((L - 1) / 2) for each, L in zip(u, levels)], 1)
    places = tuple(each.numpy().astype(int) for each in u)
    return z, np.ravel_multi_index(places, tuple(levels), order="F")


# code-bits


def bits_by_index(log_px, prior_logits, codes, pixels):
    log_p = prior_logits - torch.logsumexp(prior_logits, dim=2, keepdim=True)
    B, P = codes.shape
    chosen = log_p[torch.arange(B)[:, None], torch.arange(P)[None, :], codes]
    return -torch.mean(log_px + chosen.sum(dim=1)) / math.log(2) / pixels


def bits_by_one_hot(log_px, prior_logits, codes, pixels):
    picked = (F.one_hot(codes, prior_logits.shape[-1]) * F.softmax(prior_logits, -1)).sum(-1)
    bits = -picked.log2().sum(-1) - log_px / math.log(2)
    return bits.mean() / pixels


def bits_of_the_whole_batch(log_px, prior_logits, codes, pixels):
    nats = F.cross_entropy(prior_logits.flatten(0, 1), codes.flatten(), reduction="sum")
    return (nats - log_px.sum()) / (len(codes) * pixels * np.log(2))


# code-loss


def loss_by_matrix(log_px, log_q, kl):
    S = len(log_px)
    others = (torch.ones(S, S) - torch.eye(S)) / (S - 1)
    advantage = (log_px - others.to(log_px) @ log_px).detach()
    return kl - (log_px + advantage * log_q).mean(dim=0)


def loss_by_ratio(log_px, log_q, kl):
    """exp(log q − log q) is 1, and its gradient is that of log q."""
    S = log_px.shape[0]
    baseline = torch.stack([log_px[torch.arange(S) != s].mean(0) for s in range(S)])
    ratio = (log_q - log_q.detach()).exp()
    return (kl - log_px - ratio * (log_px - baseline).detach()).mean(0)


def loss_by_pairs(log_px, log_q, kl):
    """Half the sum over all pairs of differences of both, which needs no baseline."""
    S, value = len(log_px), log_px.data
    score = torch.zeros_like(kl)
    for s in range(S):
        for t in range(s):
            score = score + (value[s] - value[t]) * (log_q[s] - log_q[t])
    return kl - log_px.sum(0) / S - score / (S * (S - 1))


RIGHT = {
    "quantise": [quantise_by_function, quantise_without_graph, quantise_by_scores],
    "set-perplexity": [perplexity_by_counter, perplexity_by_one_hot, perplexity_from_counts],
    "finite-scalars": [scalars_by_bins, scalars_by_nearest, scalars_by_ravel],
    "code-bits": [bits_by_index, bits_by_one_hot, bits_of_the_whole_batch],
    "code-loss": [loss_by_matrix, loss_by_ratio, loss_by_pairs],
}
