"""Wrong answers to the exercises of chapter 8."""

import numpy as np
import torch


def tc_without_half(cov):
    return torch.log(torch.diag(cov)).sum() - torch.logdet(cov)


def tc_turned(cov):
    return 0.5 * torch.logdet(cov) - 0.5 * torch.diag(cov).log().sum()


def tc_of_the_trace(cov):
    return 0.5 * (torch.trace(cov).log() - torch.logdet(cov))


def tc_to_the_prior(cov):
    return 0.5 * (cov.diagonal().sum() - len(cov) - torch.logdet(cov))


def tc_without_logarithm(cov):
    return 0.5 * (cov.diagonal().log().sum() - torch.linalg.det(cov))


def tc_of_two(cov):
    rho2 = cov[0, 1] ** 2 / (cov[0, 0] * cov[1, 1])
    return -0.5 * torch.log(1 - rho2)


def _nats(counts):
    p = counts / counts.sum((2, 3), keepdim=True)
    product = p.sum(3, keepdim=True) * p.sum(2, keepdim=True)
    share = p.sum(2)[0]
    return torch.special.xlogy(p, p / product).sum((2, 3)), -(torch.xlogy(share, share)).sum(1)


def gap_of_codes(counts):
    nats, entropy = _nats(counts)
    two = nats.sort(1, descending=True).values
    return ((two[:, 0] - two[:, 1]) / entropy.mean()).mean()


def gap_to_the_worst(counts):
    nats, entropy = _nats(counts)
    return ((nats.max(0).values - nats.min(0).values) / entropy).mean()


def gap_without_second(counts):
    nats, entropy = _nats(counts)
    return (nats.max(0).values / entropy).mean()


def gap_in_nats(counts):
    nats, _ = _nats(counts)
    two = nats.topk(2, 0).values
    return (two[0] - two[1]).mean()


def gap_with_empty_cells(counts):
    p = counts / counts.sum((2, 3), keepdim=True)
    nats = (p * (p / (p.sum(3, keepdim=True) * p.sum(2, keepdim=True))).log()).sum((2, 3))
    share = p.sum(2)[0]
    two = nats.topk(2, 0).values
    return ((two[0] - two[1]) / -(share * share.log()).sum(1)).mean()


def gap_summed(counts):
    nats, entropy = _nats(counts)
    two = nats.topk(2, 0).values
    return ((two[0] - two[1]) / entropy).sum()


def _tc(log_q, weight):
    joint = torch.logsumexp(weight.log() + log_q.sum(-1), 1)
    return (joint - torch.logsumexp(weight.log()[..., None] + log_q, 1).sum(-1)).mean()


def batch_tc_weighted(log_q, N):
    B = len(log_q)
    return _tc(log_q, torch.full((B, B), 1 / (N * B), dtype=log_q.dtype))


def batch_tc_first_column(log_q, N):
    B = len(log_q)
    weight = torch.full((B, B), (N - 1) / (N * (B - 1)), dtype=log_q.dtype)
    weight.view(-1)[::B] = 1 / N
    return _tc(log_q, weight)


def batch_tc_without_own(log_q, N):
    B = len(log_q)
    return _tc(log_q, torch.full((B, B), (N - 1) / (N * (B - 1)), dtype=log_q.dtype))


def _weights(log_q, N):
    B = len(log_q)
    weight = torch.full((B, B), (N - 1) / (N * (B - 1)), dtype=log_q.dtype)
    return weight.fill_diagonal_(1 / N)


def batch_tc_turned(log_q, N):
    return -_tc(log_q, _weights(log_q, N))


def batch_tc_over_draws(log_q, N):
    weight = _weights(log_q, N).log()
    joint = torch.logsumexp(weight + log_q.sum(-1), 0)
    return (joint - torch.logsumexp(weight[..., None] + log_q, 1).sum(-1)).mean()


def batch_tc_with_exponentials(log_q, N):
    weight = _weights(log_q, N)
    joint = (weight * log_q.sum(-1).exp()).sum(1).log()
    return (joint - torch.logsumexp(weight.log()[..., None] + log_q, 1).sum(-1)).mean()


def free_bits_for_each_image(kl, floor):
    return torch.clamp(kl, min=floor).sum(1).mean()


def free_bits_for_the_sum(kl, floor):
    return torch.clamp(kl.sum(1).mean(), min=floor)


def free_bits_subtracted(kl, floor):
    return np.maximum(kl.mean(0).numpy() - floor, 0).sum()


def free_bits_upside_down(kl, floor):
    return kl.mean(0).clamp(max=floor).sum()


def free_bits_averaged(kl, floor):
    return kl.mean(0).clamp(min=floor).mean()


WRONG = {
    "gaussian-tc": [
        (tc_without_half, "½"),
        (tc_turned, "sign"),
        (tc_of_the_trace, "logarithm of the trace"),
        (tc_to_the_prior, "not with the prior"),
        (tc_without_logarithm, "determinant wants a logarithm"),
        (tc_of_two, "first two latents"),
    ],
    "information-gap": [
        (gap_of_codes, "best *codes* of each"),
        (gap_to_the_worst, "worst code"),
        (gap_without_second, "Subtract the second best"),
        (gap_in_nats, "Divide by the entropy"),
        (gap_with_empty_cells, "0 · log 0"),
        (gap_summed, "mean"),
    ],
    "batch-tc": [
        (batch_tc_weighted, "stand for all N − 1"),
        (batch_tc_first_column, "first column"),
        (batch_tc_without_own, "no weight of its own"),
        (batch_tc_turned, "sign"),
        (batch_tc_over_draws, "over the posteriors j"),
        (batch_tc_with_exponentials, "Stay with logarithms"),
    ],
    "free-bits": [
        (free_bits_for_each_image, "Average over the batch first"),
        (free_bits_for_the_sum, "Each latent has a floor of its own"),
        (free_bits_subtracted, "You subtract the floor"),
        (free_bits_upside_down, "smaller of the two"),
        (free_bits_averaged, "sum over latents"),
    ],
}
