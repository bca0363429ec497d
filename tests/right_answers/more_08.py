"""More right answers to the exercises of chapter 8."""

import math

import numpy as np
import torch

# gaussian-tc


def tc_by_eigenvalues(cov):
    return 0.5 * (cov.diagonal().log().sum() - torch.linalg.eigvalsh(cov).log().sum())


def tc_by_cholesky(cov):
    root = torch.linalg.cholesky(cov)
    return 0.5 * cov.diagonal().log().sum() - root.diagonal().log().sum()


def tc_by_entropies(cov):
    const = math.log(2 * math.pi * math.e)
    single = sum(0.5 * (const + torch.log(cov[d, d])) for d in range(len(cov)))
    return single - 0.5 * (len(cov) * const + torch.linalg.slogdet(cov).logabsdet)


# information-gap


def gap_by_topk(counts):
    p = counts.double() / counts.double().sum((-2, -1), keepdim=True)
    code, factor = p.sum(-1), p.sum(-2)
    H = torch.special.entr
    nats = H(code).sum(-1) + H(factor).sum(-1) - H(p).sum((-2, -1))
    first, second = nats.topk(2, 0).values
    return torch.mean((first - second) / H(factor[0]).sum(-1))


def gap_by_masks(counts):
    p = counts / counts.sum((2, 3), keepdim=True)
    outer = p.sum(3)[..., None] * p.sum(2)[..., None, :]
    terms = torch.where(p > 0, p * (p.clamp_min(1e-30) / outer.clamp_min(1e-30)).log(), 0.0)
    nats = terms.sum((2, 3)).sort(0).values
    share = p[0].sum(1)
    entropy = torch.where(share > 0, -share * share.clamp_min(1e-30).log(), 0.0).sum(1)
    return ((nats[-1] - nats[-2]) / entropy).sum() / len(entropy)


def gap_in_bits_throughout(counts):
    p = np.asarray(counts, dtype=float)
    p = p / p.sum(axis=(2, 3), keepdims=True)
    code, factor = p.sum(3, keepdims=True), p.sum(2, keepdims=True)
    safe = np.where(p > 0, p / (code * factor + 1e-300), 1.0)
    bits = np.sort((p * np.log2(safe)).sum((2, 3)), axis=0)
    share = factor[0, :, 0]
    return float(np.mean((bits[-1] - bits[-2]) / -(share * np.log2(share + 1e-300)).sum(1)))


# batch-tc


def batch_tc_by_offsets(log_q, N):
    B = len(log_q)
    rest, own = math.log((N - 1) / (N * (B - 1))), -math.log(N)
    offset = torch.full((B, B), rest, dtype=log_q.dtype) + torch.eye(B) * (own - rest)
    joint = torch.logsumexp(log_q.sum(2) + offset, dim=1)
    return (joint - torch.logsumexp(log_q + offset[:, :, None], dim=1).sum(1)).mean()


def batch_tc_by_two_parts(log_q, N):
    B = len(log_q)
    out = ~torch.eye(B, dtype=torch.bool)
    log_rest = math.log(N - 1) - math.log(N) - math.log(B - 1)

    def mixed(values):  # (B, B)
        own = values.diagonal() - math.log(N)
        others = values[out].view(B, B - 1).logsumexp(1) + log_rest
        return torch.logaddexp(own, others)

    apart = torch.stack([mixed(log_q[..., d]) for d in range(log_q.shape[2])]).sum(0)
    return (mixed(log_q.sum(-1)) - apart).mean()


def batch_tc_by_shifts(log_q, N):
    B = len(log_q)
    weight = torch.full((B, B), (1 - 1 / N) / (B - 1), dtype=log_q.dtype)
    weight[range(B), range(B)] = 1 / N
    whole = log_q.sum(2)
    top, tops = whole.amax(1, keepdim=True), log_q.amax(1, keepdim=True)
    joint = (weight * (whole - top).exp()).sum(1).log() + top[:, 0]
    apart = (weight[..., None] * (log_q - tops).exp()).sum(1).log() + tops[:, 0]
    return torch.mean(joint - apart.sum(1))


# free-bits


def free_bits_by_where(kl, floor):
    mean = kl.sum(0) / kl.shape[0]
    return torch.where(mean < floor, floor, mean).sum()


def free_bits_by_relu(kl, floor):
    return (torch.relu(kl.mean(0) - floor) + floor).sum()


def free_bits_by_lists(kl, floor):
    columns = kl.T.tolist()
    return float(sum(max(floor, sum(column) / len(column)) for column in columns))


RIGHT = {
    "gaussian-tc": [tc_by_eigenvalues, tc_by_cholesky, tc_by_entropies],
    "information-gap": [gap_by_topk, gap_by_masks, gap_in_bits_throughout],
    "batch-tc": [batch_tc_by_offsets, batch_tc_by_two_parts, batch_tc_by_shifts],
    "free-bits": [free_bits_by_where, free_bits_by_relu, free_bits_by_lists],
}
