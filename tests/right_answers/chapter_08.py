"""Right answers to the exercises of chapter 8."""

import math

import numpy as np
import torch

# gaussian-tc


def tc_by_numpy(cov):
    c = np.asarray(cov, dtype=float)
    return 0.5 * (np.log(np.diag(c)).sum() - np.linalg.slogdet(c)[1])


def tc_of_the_correlations(cov):
    d = cov.diagonal().sqrt()
    return -0.5 * torch.logdet(cov / d / d[:, None])


def tc_as_a_divergence(cov):
    zero = torch.zeros(len(cov), dtype=cov.dtype)
    joint = torch.distributions.MultivariateNormal(zero, cov)
    apart = torch.distributions.MultivariateNormal(zero, torch.diag(cov.diagonal()))
    return torch.distributions.kl_divergence(joint, apart)


# information-gap


def gap_by_loops(counts):
    D, F, b, _ = counts.shape
    total = 0.0
    for f in range(F):
        nats = []
        for d in range(D):
            table = counts[d, f] / counts[d, f].sum()
            found = 0.0
            for i in range(b):
                for j in range(b):
                    p = table[i, j].item()
                    if p > 0:
                        found += p * math.log(p / (table[i].sum() * table[:, j].sum()).item())
            nats.append(found)
        share = (counts[0, f].sum(0) / counts[0, f].sum()).tolist()
        entropy = -sum(p * math.log(p) for p in share if p > 0)
        first, second = sorted(nats)[::-1][:2]
        total += (first - second) / entropy
    return total / F


def _entropy(p):
    p = p.flatten(2)
    return -(p * p.clamp(min=1e-30).log()).sum(2)


def gap_by_entropies(counts):
    p = counts / counts.sum((2, 3), keepdim=True)
    of_factor = _entropy(p.sum(2))
    nats = _entropy(p.sum(3)) + of_factor - _entropy(p)
    two = nats.topk(2, dim=0).values
    return ((two[0] - two[1]) / of_factor[0]).mean()


def gap_by_numpy(counts):
    p = np.asarray(counts, dtype=float)
    p = p / p.sum((2, 3), keepdims=True)
    product = p.sum(3, keepdims=True) * p.sum(2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = np.nansum(p * np.log(p / product), axis=(2, 3))
    share = p.sum(2)[0]
    nats.sort(axis=0)
    return ((nats[-1] - nats[-2]) / -(share * np.log(share)).sum(1)).mean()


# batch-tc


def batch_tc_by_loops(log_q, N):
    B, _, D = log_q.shape
    total = 0.0
    for i in range(B):
        others = [j for j in range(B) if j != i]
        rest = math.log((N - 1) / (N * (B - 1)))
        terms = [log_q[i, i].sum() - math.log(N)] + [log_q[i, j].sum() + rest for j in others]
        total = total + torch.logsumexp(torch.stack(terms), 0)
        for d in range(D):
            terms = [log_q[i, i, d] - math.log(N)] + [log_q[i, j, d] + rest for j in others]
            total = total - torch.logsumexp(torch.stack(terms), 0)
    return total / B


def batch_tc_by_eye(log_q, N):
    B = len(log_q)
    own = torch.eye(B, dtype=torch.bool)
    weight = torch.where(own, 1 / N, (1 - 1 / N) / (B - 1)).log()
    both = torch.cat([log_q, log_q.sum(-1, keepdim=True)], -1) + weight.unsqueeze(-1)
    mixed = torch.logsumexp(both, 1)
    return (mixed[:, -1] - mixed[:, :-1].sum(-1)).mean()


def batch_tc_by_numpy(log_q, N):
    each = np.asarray(log_q, dtype=float)
    B = len(each)
    weight = np.full((B, B), (N - 1) / N / (B - 1))
    weight[np.arange(B), np.arange(B)] = 1 / N

    def mixed(values):
        top = values.max(1, keepdims=True)
        return np.log((weight * np.exp(values - top)).sum(1)) + top[:, 0]

    apart = sum(mixed(each[:, :, d]) for d in range(each.shape[2]))
    return (mixed(each.sum(2)) - apart).mean()


# free-bits


def free_bits_by_loops(kl, floor):
    return sum(max(kl[:, d].mean().item(), floor) for d in range(kl.shape[1]))


def free_bits_by_maximum(kl, floor):
    mean = kl.mean(dim=0)
    return torch.maximum(mean, torch.full_like(mean, floor)).sum()


def free_bits_by_numpy(kl, floor):
    return np.maximum(np.asarray(kl, dtype=float).mean(0), floor).sum()


RIGHT = {
    "gaussian-tc": [tc_by_numpy, tc_of_the_correlations, tc_as_a_divergence],
    "information-gap": [gap_by_loops, gap_by_entropies, gap_by_numpy],
    "batch-tc": [batch_tc_by_loops, batch_tc_by_eye, batch_tc_by_numpy],
    "free-bits": [free_bits_by_loops, free_bits_by_maximum, free_bits_by_numpy],
}
