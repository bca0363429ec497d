"""Right answers to the exercises of chapter 6."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import distributions as td

# jackknife


def _combined(whole, without):
    K = len(without)
    mean = without.mean(0)
    return K * whole - (K - 1) * mean, ((K - 1) / K * (without - mean).square().sum(0)).sqrt()


def _log_mean(w):
    return torch.logsumexp(w, 0) - math.log(len(w))


def jackknife_by_cat(log_w):
    K = len(log_w)
    rows = [_log_mean(torch.cat([log_w[:k], log_w[k + 1 :]])) for k in range(K)]
    return _combined(_log_mean(log_w), torch.stack(rows))


def jackknife_stacked(log_w):
    return torch.stack(jackknife_by_cat(log_w))


def jackknife_in_double(log_w):
    return jackknife_by_cat(log_w.double())


def jackknife_in_single(log_w):
    return jackknife_by_cat(log_w.float())


def jackknife_by_numpy(log_w):
    w = log_w.numpy().astype(np.float64)
    K = len(w)
    whole = np.logaddexp.reduce(w) - np.log(K)
    rows = [np.logaddexp.reduce(np.delete(w, k, axis=0)) - np.log(K - 1) for k in range(K)]
    without = np.array(rows)
    error = np.sqrt((K - 1) / K * ((without - without.mean(0)) ** 2).sum(0))
    return K * whole - (K - 1) * without.mean(0), error


def jackknife_by_mask(log_w):
    K, B = log_w.shape
    keep = ~torch.eye(K, dtype=torch.bool)
    others = log_w.expand(K, K, B)[keep].view(K, K - 1, B)
    return _combined(_log_mean(log_w), others.logsumexp(1) - math.log(K - 1))


def jackknife_by_index(log_w):
    K = log_w.size(0)
    index = torch.tensor([[j for j in range(K) if j != k] for k in range(K)])
    without = torch.logsumexp(log_w[index], dim=1) - math.log(K - 1)
    whole = torch.logsumexp(log_w, dim=0) - math.log(K)
    mean = without.mean(dim=0)
    error = math.sqrt((K - 1) ** 2 / K) * torch.std(without, dim=0)
    return [whole + (K - 1) * (whole - mean), error]


def jackknife_by_maximum(log_w):
    K, rows = len(log_w), []
    for k in range(K):
        rest = log_w[torch.arange(K) != k]
        top = rest.amax(0)
        rows.append(top + (rest - top).exp().mean(0).log())
    return _combined(_log_mean(log_w), torch.stack(rows))


def jackknife_image_by_image(log_w):
    columns = [jackknife_by_cat(column[:, None]) for column in log_w.unbind(1)]
    return tuple(torch.cat([c[part] for c in columns]) for part in (0, 1))


def jackknife_by_pseudo_values(log_w):
    K = len(log_w)
    w = log_w.double()
    rows = torch.stack([_log_mean(w[[j for j in range(K) if j != k]]) for k in range(K)])
    pseudo = K * _log_mean(w) - (K - 1) * rows
    return pseudo.mean(0), pseudo.std(0) / math.sqrt(K)


# rate-in-three


def _finish(mu, logvar, own, joint, apart):
    rate = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    a, b = (own - joint).mean(), (joint - apart).mean()
    return a, b, rate - a - b


def rate_by_table(mu, logvar, z):
    q, n = td.Normal(mu, (0.5 * logvar).exp()), math.log(len(mu))
    each = q.log_prob(z.unsqueeze(2))
    joint = torch.logsumexp(each.sum(-1), -1) - n
    apart = (torch.logsumexp(each, 2) - n).sum(-1)
    return _finish(mu, logvar, q.log_prob(z).sum(-1), joint, apart)


def rate_stacked(mu, logvar, z):
    return torch.stack(rate_by_table(mu, logvar, z))


def rate_as_floats(mu, logvar, z):
    return [float(part) for part in rate_by_table(mu, logvar, z)]


def rate_as_ones(mu, logvar, z):
    return tuple(part[None] for part in rate_by_table(mu, logvar, z))


def rate_by_mixtures(mu, logvar, z):
    N, D = mu.shape
    s = (0.5 * logvar).exp()
    own = td.Independent(td.Normal(mu, s), 1)
    joint = td.MixtureSameFamily(td.Categorical(torch.ones(N)), own)
    single = td.MixtureSameFamily(
        td.Categorical(torch.ones(D, N)), td.Normal(mu.T.contiguous(), s.T.contiguous())
    )
    return _finish(mu, logvar, own.log_prob(z), joint.log_prob(z), single.log_prob(z).sum(-1))


def rate_by_numpy(mu, logvar, z):
    m, v, z = (a.numpy().astype(float) for a in (mu, logvar, z))
    N = len(m)
    each = -0.5 * (np.log(2 * np.pi) + v + (z[:, :, None] - m) ** 2 / np.exp(v))
    own = np.einsum("snnd->sn", each)
    joint = np.logaddexp.reduce(each.sum(-1), axis=2) - np.log(N)
    apart = (np.logaddexp.reduce(each, axis=2) - np.log(N)).sum(-1)
    rate = 0.5 * (m**2 + np.exp(v) - 1 - v).sum(1).mean()
    a, b = (own - joint).mean(), (joint - apart).mean()
    return np.array([a, b, rate - a - b])


def rate_draw_by_draw(mu, logvar, z):
    N, n = len(mu), math.log(len(mu))
    a = b = 0.0
    for draw in z:
        for i in range(N):
            each = td.Normal(mu, (0.5 * logvar).exp()).log_prob(draw[i])  # (N, D)
            joint = each.sum(1).logsumexp(0) - n
            apart = (each.logsumexp(0) - n).sum()
            a, b = a + (each[i].sum() - joint).item(), b + (joint - apart).item()
    a, b = a / (len(z) * N), b / (len(z) * N)
    rate = td.kl_divergence(td.Normal(mu, (0.5 * logvar).exp()), td.Normal(0.0, 1.0))
    return a, b, rate.sum(1).mean().item() - a - b


def rate_in_double(mu, logvar, z):
    return rate_by_table(mu.double(), logvar.double(), z.double())


def rate_without_two_pi(mu, logvar, z):
    each = -0.5 * ((z[:, :, None] - mu) ** 2 / logvar.exp() + logvar)
    n = math.log(len(mu))
    own = each.diagonal(dim1=1, dim2=2).sum(1)
    joint, apart = each.sum(3).logsumexp(2) - n, (each.logsumexp(2) - n).sum(2)
    return _finish(mu, logvar, own, joint, apart)


def rate_by_log_softmax(mu, logvar, z):
    q, n = td.Normal(mu, (0.5 * logvar).exp()), math.log(len(mu))
    each = q.log_prob(z[:, :, None])
    own = each.diagonal(dim1=1, dim2=2)  # (S, D, N)
    joint = each.sum(-1)
    information = (joint.log_softmax(-1).diagonal(dim1=1, dim2=2) + n).mean()
    single = (own - each.logsumexp(2).transpose(1, 2) + n).sum(1).mean()
    rate = td.kl_divergence(q, td.Normal(0.0, 1.0)).sum(-1).mean()
    return information, single - information, rate - single


# annealed-weights


def anneal_plain(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z = move(z, lambda u, b=new: (1 - b) * log_start(u) + b * log_target(u))
    return log_w


def anneal_by_heights(log_start, log_target, betas, z, move):
    def height(beta):
        return lambda u: (1 - beta) * log_start(u) + beta * log_target(u)

    log_w = 0
    for t in range(1, len(betas)):
        log_w = log_w + height(betas[t])(z) - height(betas[t - 1])(z)
        if t + 1 < len(betas):
            z = move(z, height(betas[t]))
    return log_w


def anneal_chain_by_chain(log_start, log_target, betas, z, move):
    return torch.cat([anneal_plain(log_start, log_target, betas, v[None], move) for v in z])


def anneal_move_to_the_end(log_start, log_target, betas, z, move):
    log_w = torch.zeros(len(z))
    for old, new in pairwise(betas):
        log_w += (new - old) * (log_target(z) - log_start(z))
        z = move(z, lambda u, b=new: torch.lerp(log_start(u), log_target(u), b))
    return log_w


def anneal_by_numpy(log_start, log_target, betas, z, move):
    steps, gaps = np.diff(betas), []
    for new in betas[1:]:
        gaps.append((log_target(z) - log_start(z)).numpy())
        if new < 1:
            z = move(z, lambda u, b=new: log_start(u) + b * (log_target(u) - log_start(u)))
    return steps @ np.array(gaps)


def anneal_as_list(log_start, log_target, betas, z, move):
    return [v.item() for v in anneal_plain(log_start, log_target, betas, z, move)]


def anneal_regrouped(log_start, log_target, betas, z, move):
    log_w = -log_start(z)
    for beta in betas[1:-1]:

        def f(u, b=beta):
            return b * log_target(u) + (1 - b) * log_start(u)

        log_w, z = log_w + f(z), move(z, f)
        log_w = log_w - f(z)
    return log_w + log_target(z)


def anneal_in_double(log_start, log_target, betas, z, move):
    return anneal_plain(log_start, log_target, betas, z.double(), move)


def anneal_recursively(log_start, log_target, betas, z, move):
    if len(betas) == 1:
        return torch.zeros_like(z)
    old, new, *_ = betas
    first = (new - old) * (log_target(z) - log_start(z))
    if len(betas) > 2:
        z = move(z, lambda u: (1 - new) * log_start(u) + new * log_target(u))
    return first + anneal_recursively(log_start, log_target, betas[1:], z, move)


END = 1.0


def anneal_with_a_constant(log_start, log_target, betas, z, move):
    total = []
    for i, beta in enumerate(betas[1:], start=1):
        total.append((beta - betas[i - 1]) * (log_target(z) - log_start(z)))
        if beta != END:
            z = move(z, lambda u, b=beta: (END - b) * log_start(u) + b * log_target(u))
    return torch.stack(total).sum(0)


RIGHT = {
    "jackknife": [
        jackknife_by_cat, jackknife_stacked, jackknife_in_double, jackknife_in_single,
        jackknife_by_numpy, jackknife_by_mask, jackknife_by_index, jackknife_by_maximum,
        jackknife_image_by_image, jackknife_by_pseudo_values,
    ],
    "rate-in-three": [
        rate_by_table, rate_stacked, rate_as_floats, rate_as_ones, rate_by_mixtures, rate_by_numpy,
        rate_draw_by_draw, rate_in_double, rate_without_two_pi, rate_by_log_softmax,
    ],
    "annealed-weights": [
        anneal_plain, anneal_by_heights, anneal_chain_by_chain, anneal_move_to_the_end,
        anneal_by_numpy, anneal_as_list, anneal_regrouped, anneal_in_double, anneal_recursively,
        anneal_with_a_constant,
    ],
}  # fmt: skip
