"""More wrong answers to the exercises of chapter 6, from a trial without a look at the checks."""

import math
from itertools import pairwise

import torch
from torch.distributions import Normal, kl_divergence


def _parts(w):
    K = len(w)
    rows = [w[[j for j in range(K) if j != k]].logsumexp(0) - math.log(K - 1) for k in range(K)]
    return w.logsumexp(0) - math.log(K), torch.stack(rows), K


def _error(rows, K):
    return ((K - 1) / K * (rows - rows.mean(0)).square().sum(0)).sqrt()


def jackknife_half_correction(log_w):
    whole, rows, K = _parts(log_w)
    return whole + (K - 1) / 2 * (whole - rows.mean(0)), _error(rows, K)


def jackknife_k_times(log_w):
    whole, rows, K = _parts(log_w)
    return K * whole - rows.mean(0), _error(rows, K)


def jackknife_plus(log_w):
    whole, rows, K = _parts(log_w)
    return K * whole + (K - 1) * rows.mean(0), _error(rows, K)


def jackknife_median(log_w):
    whole, rows, K = _parts(log_w)
    return K * whole - (K - 1) * rows.median(0).values, _error(rows, K)


def jackknife_one_maximum(log_w):
    K, top = len(log_w), log_w.max()
    w = (log_w - top).exp()
    rows = [torch.cat([w[:k], w[k + 1 :]]).mean(0).log() + top for k in range(K)]
    rows = torch.stack(rows)
    return K * (w.mean(0).log() + top) - (K - 1) * rows.mean(0), _error(rows, K)


def jackknife_error_over_k(log_w):
    whole, rows, K = _parts(log_w)
    return K * whole - (K - 1) * rows.mean(0), (rows - rows.mean(0)).square().mean(0).sqrt() / K


def jackknife_factor_inside_out(log_w):
    whole, rows, K = _parts(log_w)
    error = (K / (K - 1) * (rows - rows.mean(0)).square().sum(0)).sqrt()
    return K * whole - (K - 1) * rows.mean(0), error


def jackknife_error_around_estimate(log_w):
    whole, rows, K = _parts(log_w)
    estimate = K * whole - (K - 1) * rows.mean(0)
    return estimate, ((K - 1) / K * (rows - estimate).square().sum(0)).sqrt()


def jackknife_first_left_out(log_w):
    whole, rows, K = _parts(log_w)
    return K * whole - (K - 1) * rows[0], _error(rows, K)


def jackknife_error_of_weights(log_w):
    whole, rows, K = _parts(log_w)
    return K * whole - (K - 1) * rows.mean(0), log_w.std(0) / K**0.5


def jackknife_dictionary(log_w):
    whole, rows, K = _parts(log_w)
    return {"estimate": K * whole - (K - 1) * rows.mean(0), "error": _error(rows, K)}


def _table(mu, logvar, z):
    return Normal(mu, (0.5 * logvar).exp()).log_prob(z[:, :, None])


def _rate(mu, logvar):
    return kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(1).mean()


def _right(mu, logvar, z):
    each, n = _table(mu, logvar, z), math.log(len(mu))
    own = each.diagonal(dim1=1, dim2=2).sum(1).mean()
    joint, apart = each.sum(3).logsumexp(2) - n, (each.logsumexp(2) - n).sum(2)
    a, b = own - joint.mean(), joint.mean() - apart.mean()
    return a, b, _rate(mu, logvar) - a - b


def rate_information_from_prior(mu, logvar, z):
    _, b, c = _right(mu, logvar, z)
    own = _table(mu, logvar, z).diagonal(dim1=1, dim2=2).sum(1).mean()
    return own - Normal(0.0, 1.0).log_prob(z).sum(-1).mean(), b, c


def rate_log_s(mu, logvar, z):
    each, s = _table(mu, logvar, z), math.log(len(z))
    own = each.diagonal(dim1=1, dim2=2).sum(1).mean()
    joint, apart = each.sum(3).logsumexp(2) - s, (each.logsumexp(2) - s).sum(2)
    a, b = own - joint.mean(), joint.mean() - apart.mean()
    return a, b, _rate(mu, logvar) - a - b


def rate_log_n_once(mu, logvar, z):
    each, n = _table(mu, logvar, z), math.log(len(mu))
    own = each.diagonal(dim1=1, dim2=2).sum(1).mean()
    joint, apart = each.sum(3).logsumexp(2) - n, each.logsumexp(2).sum(2) - n
    a, b = own - joint.mean(), joint.mean() - apart.mean()
    return a, b, _rate(mu, logvar) - a - b


def rate_information_turned(mu, logvar, z):
    a, b, _ = _right(mu, logvar, z)
    return -a, b, _rate(mu, logvar) + a - b


def rate_parts_added(mu, logvar, z):
    a, b, _ = _right(mu, logvar, z)
    return a, b, _rate(mu, logvar) + a + b


def rate_correlation_not_subtracted(mu, logvar, z):
    a, b, _ = _right(mu, logvar, z)
    return a, _rate(mu, logvar) - a, b


def rate_in_bits(mu, logvar, z):
    return tuple(part / math.log(2) for part in _right(mu, logvar, z))


def rate_without_half(mu, logvar, z):
    a, b, _ = _right(mu, logvar, z)
    rate = (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    return a, b, rate - a - b


def rate_one_draw(mu, logvar, z):
    return _right(mu, logvar, z[:1])


def rate_marginal_of_first_dimension(mu, logvar, z):
    a, _, _ = _right(mu, logvar, z)
    each, n = _table(mu, logvar, z), math.log(len(mu))
    b = (each.sum(3).logsumexp(2) - each[..., 0].logsumexp(2)).mean()
    return a, b - 0 * n, _rate(mu, logvar) - a - b


def rate_dimension_means(mu, logvar, z):
    each, n = _table(mu, logvar, z), math.log(len(mu))
    own = each.diagonal(dim1=1, dim2=2).mean(1).mean()
    joint, apart = each.mean(3).logsumexp(2) - n, (each.logsumexp(2) - n).mean(2)
    a, b = own - joint.mean(), joint.mean() - apart.mean()
    return a, b, _rate(mu, logvar) - a - b


def _height(log_start, log_target, beta):
    return lambda u: (1 - beta) * log_start(u) + beta * log_target(u)


def anneal_first_step_missing(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for t in range(1, len(betas)):
        if t > 1:
            log_w = log_w + (betas[t] - betas[t - 1]) * (log_target(z) - log_start(z))
        if t < len(betas) - 1:
            z = move(z, _height(log_start, log_target, betas[t]))
    return log_w


def anneal_even_steps(log_start, log_target, betas, z, move):
    log_w, n = torch.zeros_like(z), len(betas) - 1
    for t in range(1, n + 1):
        log_w = log_w + (log_target(z) - log_start(z)) / n
        if t < n:
            z = move(z, _height(log_start, log_target, t / n))
    return log_w


def anneal_under_the_start(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z = move(z, log_start)
    return log_w


def anneal_target_only(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * log_target(z)
        if new < 1:
            z = move(z, _height(log_start, log_target, new))
    return log_w


def anneal_two_moves(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            f = _height(log_start, log_target, new)
            z = move(move(z, f), f)
    return log_w


def anneal_last_only(log_start, log_target, betas, z, move):
    for beta in betas[1:-1]:
        z = move(z, _height(log_start, log_target, beta))
    return log_target(z) - log_start(z)


def anneal_normalised(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z = move(z, _height(log_start, log_target, new))
    return log_w.log_softmax(0)


def anneal_exponent_of_heights(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z = move(z, lambda u, b=new: _height(log_start, log_target, b)(u).exp())
    return log_w


def anneal_one_ahead(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for t in range(1, len(betas)):
        log_w = log_w + (betas[t] - betas[t - 1]) * (log_target(z) - log_start(z))
        if t < len(betas) - 1:
            z = move(z, _height(log_start, log_target, betas[t + 1]))
    return log_w


def anneal_averaged(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z = move(z, _height(log_start, log_target, new))
    return log_w / (len(betas) - 1)


def anneal_mean(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z = move(z, _height(log_start, log_target, new))
    return log_w.mean()


WRONG = {
    "jackknife": [
        (jackknife_half_correction, "The correction is half of what it should be."),
        (jackknife_k_times, "A right answer without the factor `K - 1` gives your results."),
        (jackknife_plus, "A right answer with the sign of `others.logsumexp(1) - math.log(K -"),
        (jackknife_median, "The largest deviation"),
        (
            jackknife_one_maximum,
            "You took out the largest weight of all images; where an image's own",
        ),
        (jackknife_error_over_k, "The largest deviation"),
        (jackknife_factor_inside_out, "All results are K/(K − 1) times what they should be."),
        (
            jackknife_error_around_estimate,
            "The deviations are taken from the corrected estimate. Take them from",
        ),
        (
            jackknife_first_left_out,
            "Only the first weight was left out. Leave out each in turn, and take",
        ),
        (jackknife_error_of_weights, "The largest deviation"),
        (jackknife_dictionary, "2 results are expected, in a tuple."),
    ],
    "rate-in-three": [
        (
            rate_information_from_prior,
            "That is the rate, estimated from the draws. The information has log",
        ),
        (rate_log_s, "A right answer with `z` for `mu` gives your results."),
        (rate_log_n_once, "The aggregate posterior is the mean of the N posteriors, and this is"),
        (
            rate_information_turned,
            "The information has the wrong sign: E[log q(z | x) − log q(z)].",
        ),
        (rate_parts_added, "The largest deviation"),
        (
            rate_correlation_not_subtracted,
            "The second is the rate less the information, KL(q(z) ‖ p(z)). Split",
        ),
        (rate_in_bits, "All results are 1/log 2 times what they should be."),
        (rate_without_half, "The rate in it is twice what it should be: look for a missing ½."),
        (rate_one_draw, "The largest deviation"),
        (rate_marginal_of_first_dimension, "The largest deviation"),
        (rate_dimension_means, "A right answer with `apart` for `joint` gives your results."),
    ],
    "annealed-weights": [
        (
            anneal_first_step_missing,
            "The first step is missing: there is one weight more than moves.",
        ),
        (anneal_even_steps, "The largest deviation"),
        (
            anneal_under_the_start,
            "All moves are made under the start. Each has the density of its own β.",
        ),
        (anneal_target_only, "The start is not in the weights. A step adds (β_t − β_{t−1}) (log"),
        (anneal_two_moves, "You move twice at each β. One move is asked for."),
        (anneal_last_only, "Only the end of the path counts in your weights. Every step adds its"),
        (anneal_normalised, "You normalised the weights. Return them as they are: their mean is"),
        (
            anneal_exponent_of_heights,
            "A move was made under another density than (1 − β) log start + β log",
        ),
        (anneal_one_ahead, "The moves are made one step ahead, under β_{t+1}. Move under the"),
        (anneal_averaged, "You divided by the number of steps. What the steps add is summed."),
        (anneal_mean, "These are the mean over the whole batch of the right results."),
    ],
}
