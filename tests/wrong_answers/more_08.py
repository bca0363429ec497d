"""More wrong answers to the exercises of chapter 8, some of which only one check knows."""

import math

import torch

from wrong_answers.chapter_08 import _nats, _tc, _weights


def _right_tc(cov):
    return 0.5 * (cov.diagonal().log().sum() - torch.logdet(cov))


def tc_never_zero(cov):
    return _right_tc(cov).clamp_min(0.002)


def tc_in_place(cov):
    found = _right_tc(cov)
    cov /= cov.diagonal()
    return found


def tc_joint_alone(cov):
    return 0.5 * cov.diagonal().log().sum()


def tc_squares(cov):
    return 0.5 * (cov - torch.diag(cov.diagonal())).square().sum()


def _two(nats):
    return nats.topk(2, 0).values


def gap_by_log_bins(counts):
    nats, _ = _nats(counts)
    best, second = _two(nats)
    return ((best - second) / math.log(counts.shape[2])).mean()


def gap_capped(counts):
    nats, entropy = _nats(counts)
    best, second = _two(nats)
    return ((best - second) / entropy).mean().clamp_max(0.97)


def gap_of_different_values(counts):
    nats, entropy = _nats(counts)
    gaps = []
    for f in range(nats.shape[1]):
        values = nats[:, f].mul(1e6).round().div(1e6).unique()
        gaps.append((values[-1] - values[-2]) / entropy[f])
    return torch.stack(gaps).mean()


def gap_in_place(counts):
    nats, entropy = _nats(counts)
    counts /= counts.sum((2, 3), keepdim=True)
    best, second = _two(nats)
    return ((best - second) / entropy).mean()


def batch_tc_equal_shares(log_q, N):
    B = len(log_q)
    return _tc(log_q, torch.full((B, B), 1 / B, dtype=log_q.dtype))


def batch_tc_in_place(log_q, N):
    found = _tc(log_q, _weights(log_q, N))
    log_q += 1
    return found


def batch_tc_summed(log_q, N):
    return _tc(log_q, _weights(log_q, N)) * len(log_q)


def batch_tc_joint_twice(log_q, N):
    weight = _weights(log_q, N).log()
    joint = torch.logsumexp(weight + log_q.sum(-1), 1)
    return (joint - torch.logsumexp(weight[..., None] + log_q, 1).mean(-1)).mean()


def free_bits_without_floor(kl, floor):
    return kl.mean(0).sum()


def free_bits_in_place(kl, floor):
    found = kl.mean(0).clamp(min=floor).sum()
    kl.clamp_(min=floor)
    return found


def free_bits_summed(kl, floor):
    return kl.sum(0).clamp(min=floor).sum()


def free_bits_sum_for_each_image(kl, floor):
    return kl.sum(1).clamp(min=floor).mean()


def free_bits_added(kl, floor):
    return (kl.mean(0) + floor).sum()


WRONG = {
    "gaussian-tc": [
        (tc_never_zero, ""),
        (tc_in_place, "Argument 1 is changed in place"),
        (tc_joint_alone, "joint entropy is missing"),
        (tc_squares, "not in nats"),
    ],
    "information-gap": [
        (gap_by_log_bins, ""),
        (gap_capped, ""),
        (gap_of_different_values, ""),
        (gap_in_place, "Argument 1 is changed in place"),
    ],
    "batch-tc": [
        (batch_tc_equal_shares, ""),
        (batch_tc_in_place, "Argument 1 is changed in place"),
        (batch_tc_summed, ""),
        (batch_tc_joint_twice, "Sum them"),
    ],
    "free-bits": [
        (free_bits_without_floor, ""),
        (free_bits_in_place, "Argument 1 is changed in place"),
        (free_bits_summed, "Average over it before"),
        (free_bits_sum_for_each_image, "Each latent has its own"),
        (free_bits_added, ""),
    ],
}
