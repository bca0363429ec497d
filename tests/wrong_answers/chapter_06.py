"""Wrong answers to the exercises of chapter 6."""

import math
from itertools import pairwise

import torch
from torch.distributions import Normal

# The jackknife


def left_out(log_w):
    K = len(log_w)
    rows = [torch.cat([log_w[:k], log_w[k + 1 :]]).logsumexp(0) for k in range(K)]
    return torch.stack(rows) - math.log(K - 1)


def log_mean(log_w):
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))


def spread(without):
    K = len(without)
    return ((K - 1) / K * ((without - without.mean(0)) ** 2).sum(0)) ** 0.5


def jackknife_uncorrected(log_w):
    return log_mean(log_w), spread(left_out(log_w))


def jackknife_mean_of_others(log_w):
    without = left_out(log_w)
    return without.mean(0), spread(without)


def jackknife_one_difference(log_w):
    whole, without = log_mean(log_w), left_out(log_w)
    return whole + (whole - without.mean(0)), spread(without)


def jackknife_downwards(log_w):
    K, whole, without = len(log_w), log_mean(log_w), left_out(log_w)
    return whole - (K - 1) * (whole - without.mean(0)), spread(without)


def jackknife_factor_k_twice(log_w):
    K, without = len(log_w), left_out(log_w)
    return K * log_mean(log_w) - K * without.mean(0), spread(without)


def jackknife_others_over_k(log_w):
    K = len(log_w)
    rows = []
    for k in range(K):
        keep = torch.arange(K) != k
        rows.append(log_w[keep].logsumexp(0) - math.log(K))
    without = torch.stack(rows)
    return K * log_mean(log_w) - (K - 1) * without.mean(0), spread(without)


def jackknife_log_weight_zero(log_w):
    K = len(log_w)
    rows = []
    for k in range(K):
        w = log_w.clone()
        w[k] = 0
        rows.append(w.logsumexp(0) - math.log(K - 1))
    without = torch.stack(rows)
    return K * log_mean(log_w) - (K - 1) * without.mean(0), spread(without)


def jackknife_elbo(log_w):
    K, without = len(log_w), left_out(log_w)
    return K * log_w.mean(0) - (K - 1) * without.mean(0), spread(without)


def jackknife_error_of_mean(log_w):
    K, without = len(log_w), left_out(log_w)
    estimate = K * log_mean(log_w) - (K - 1) * without.mean(0)
    return estimate, without.std(0) / K**0.5


def jackknife_std(log_w):
    K, without = len(log_w), left_out(log_w)
    return K * log_mean(log_w) - (K - 1) * without.mean(0), without.std(0)


def jackknife_numpy_std(log_w):
    K, without = len(log_w), left_out(log_w)
    estimate = K * log_mean(log_w) - (K - 1) * without.mean(0)
    return estimate, torch.as_tensor(without.numpy().std(0))


def jackknife_variance(log_w):
    K, without = len(log_w), left_out(log_w)
    variance = (K - 1) / K * ((without - without.mean(0)) ** 2).sum(0)
    return K * log_mean(log_w) - (K - 1) * without.mean(0), variance


def jackknife_no_factor(log_w):
    K, without = len(log_w), left_out(log_w)
    estimate = K * log_mean(log_w) - (K - 1) * without.mean(0)
    return estimate, torch.linalg.vector_norm(without - without.mean(0), dim=0)


def jackknife_around_whole(log_w):
    K, whole, without = len(log_w), log_mean(log_w), left_out(log_w)
    squares = (without - whole).pow(2).sum(0)
    return K * whole - (K - 1) * without.mean(0), (squares * (K - 1) / K).sqrt()


def jackknife_by_exponentials(log_w):
    K, w = len(log_w), log_w.exp()
    without = torch.log((w.sum(0) - w) / (K - 1))
    return K * torch.log(w.mean(0)) - (K - 1) * without.mean(0), spread(without)


def jackknife_by_subtraction(log_w):
    K, whole = len(log_w), log_w.logsumexp(0)
    share = torch.exp(log_w - whole)
    without = whole + torch.log(1 - share) - math.log(K - 1)
    return K * (whole - math.log(K)) - (K - 1) * without.mean(0), spread(without)


def jackknife_estimate_only(log_w):
    K = len(log_w)
    return K * log_mean(log_w) - (K - 1) * left_out(log_w).mean(0)


def jackknife_swapped(log_w):
    K, without = len(log_w), left_out(log_w)
    return spread(without), K * log_mean(log_w) - (K - 1) * without.mean(0)


def jackknife_of_images(log_w):
    return jackknife_swapped(log_w.T)[::-1]


def jackknife_one_number(log_w):
    estimate, error = jackknife_swapped(log_w)[::-1]
    return estimate.mean(), error.mean()


def jackknife_in_place(log_w):
    largest = log_w.amax(0)
    log_w -= largest
    error, estimate = jackknife_swapped(log_w)
    return estimate + largest, error


K = 12


def jackknife_k_of_the_notebook(log_w):
    without = left_out(log_w)
    return K * log_mean(log_w) - (K - 1) * without.mean(0), spread(without)


# The rate in three parts


def rate_of(mu, logvar):
    return (-0.5 * (1 + logvar - mu**2 - logvar.exp())).sum(1).mean()


def log_densities(mu, logvar, z):
    """(S, N, N, D)"""
    return Normal(mu, (logvar / 2).exp()).log_prob(z.unsqueeze(2))


def own_density(mu, logvar, z):
    return Normal(mu, (logvar / 2).exp()).log_prob(z).sum(-1)


def rate_three(mu, logvar, own, joint, apart):
    information, correlation = (own - joint).mean(), (joint - apart).mean()
    return information, correlation, rate_of(mu, logvar) - information - correlation


def rate_without_log_n(mu, logvar, z):
    table = log_densities(mu, logvar, z)
    joint, apart = table.sum(-1).logsumexp(-1), table.logsumexp(-2).sum(-1)
    return rate_three(mu, logvar, own_density(mu, logvar, z), joint, apart)


def rate_without_log_n_as_numbers(mu, logvar, z):
    return tuple(part.item() for part in rate_without_log_n(mu, logvar, z))


def rate_plus_log_n(mu, logvar, z):
    table, n = log_densities(mu, logvar, z), math.log(len(mu))
    joint, apart = table.sum(-1).logsumexp(-1) + n, (table.logsumexp(-2) + n).sum(-1)
    return rate_three(mu, logvar, own_density(mu, logvar, z), joint, apart)


def rate_mean_of_logs(mu, logvar, z):
    table = log_densities(mu, logvar, z)
    joint, apart = table.sum(-1).mean(-1), table.mean(-2).sum(-1)
    return rate_three(mu, logvar, own_density(mu, logvar, z), joint, apart)


def rate_over_draws(mu, logvar, z):
    table, n = log_densities(mu, logvar, z), math.log(len(mu))
    joint = torch.logsumexp(table.sum(-1), 1) - n
    apart = (torch.logsumexp(table, 1) - n).sum(-1)
    return rate_three(mu, logvar, own_density(mu, logvar, z), joint, apart)


def rate_leave_one_out(mu, logvar, z):
    N = len(mu)
    table = log_densities(mu, logvar, z)
    rows = []
    for n in range(N):
        others = [m for m in range(N) if m != n]
        rows.append(table[:, n, others])
    table = torch.stack(rows, 1)  # (S, N, N - 1, D)
    joint = table.sum(-1).logsumexp(2) - math.log(N - 1)
    apart = (table.logsumexp(2) - math.log(N - 1)).sum(-1)
    return rate_three(mu, logvar, own_density(mu, logvar, z), joint, apart)


def rate_log_sigma(mu, logvar, z):
    q = Normal(mu, logvar.exp())
    table, n = q.log_prob(z[:, :, None]), math.log(len(mu))
    joint, apart = table.sum(-1).logsumexp(2) - n, (table.logsumexp(2) - n).sum(-1)
    information = (q.log_prob(z).sum(-1) - joint).mean()
    correlation = (joint - apart).mean()
    rate = torch.distributions.kl_divergence(q, Normal(0.0, 1.0)).sum(1).mean()
    return information, correlation, rate - information - correlation


def rate_unscaled(mu, logvar, z):
    table = -((z[:, :, None] - mu) ** 2) / (2 * logvar.exp())
    own = -((z - mu) ** 2 / (2 * logvar.exp())).sum(-1)
    n = math.log(len(mu))
    joint, apart = table.sum(-1).logsumexp(2) - n, (table.logsumexp(2) - n).sum(-1)
    return rate_three(mu, logvar, own, joint, apart)


def rate_at_the_means(mu, logvar, z):
    return rate_right(mu, logvar, mu[None])


def rate_right(mu, logvar, z):
    table, n = log_densities(mu, logvar, z), math.log(len(mu))
    joint, apart = table.sum(-1).logsumexp(-1) - n, (table.logsumexp(-2) - n).sum(-1)
    return rate_three(mu, logvar, own_density(mu, logvar, z), joint, apart)


def rate_mixed_by_dimension(mu, logvar, z):
    table, n = log_densities(mu, logvar, z), math.log(len(mu))
    apart = (table.logsumexp(2) - n).sum(-1)
    joint = table.sum(-1).logsumexp(2) - n
    information = (own_density(mu, logvar, z) - apart).mean()
    correlation = (joint - apart).mean()
    return information, correlation, rate_of(mu, logvar) - information


def rate_sum_over_images(mu, logvar, z):
    a, b, c = rate_right(mu, logvar, z)
    return a * len(mu), b * len(mu), c * len(mu)


def rate_per_dimension(mu, logvar, z):
    D = mu.shape[1]
    return tuple(part / D for part in rate_right(mu, logvar, z))


def rate_minus_correlation(mu, logvar, z):
    table, n = log_densities(mu, logvar, z), math.log(len(mu))
    joint, apart = table.sum(-1).logsumexp(-1) - n, (table.logsumexp(-2) - n).sum(-1)
    information = (own_density(mu, logvar, z) - joint).mean()
    correlation = (apart - joint).mean()
    return information, correlation, rate_of(mu, logvar) - information - correlation


def rate_by_draws(mu, logvar, z):
    a, b, _ = rate_right(mu, logvar, z)
    table = log_densities(mu, logvar, z)
    log_q = (table.logsumexp(2) - math.log(len(mu))).sum(-1)
    return a, b, (log_q - Normal(0, 1).log_prob(z).sum(-1)).mean()


def rate_less_information(mu, logvar, z):
    a, b, _ = rate_right(mu, logvar, z)
    return a, b, rate_of(mu, logvar) - a


def rate_itself(mu, logvar, z):
    a, b, _ = rate_right(mu, logvar, z)
    return a, b, rate_of(mu, logvar)


def rate_latent_mean(mu, logvar, z):
    a, b, _ = rate_right(mu, logvar, z)
    rate = (0.5 * (mu**2 + logvar.exp() - 1 - logvar)).mean()
    return a, b, rate - a - b


def rate_two(mu, logvar, z):
    a, _, _ = rate_right(mu, logvar, z)
    return a, rate_of(mu, logvar) - a


def rate_not_averaged(mu, logvar, z):
    table, n = log_densities(mu, logvar, z), math.log(len(mu))
    joint, apart = table.sum(-1).logsumexp(-1) - n, (table.logsumexp(-2) - n).sum(-1)
    information, correlation = own_density(mu, logvar, z) - joint, joint - apart
    return information, correlation, rate_of(mu, logvar) - information - correlation


def rate_by_densities(mu, logvar, z):
    table, N = log_densities(mu, logvar, z), len(mu)
    joint = torch.log(torch.exp(table.sum(-1)).sum(-1) / N)
    apart = torch.log(torch.exp(table).sum(-2) / N).sum(-1)
    return rate_three(mu, logvar, own_density(mu, logvar, z), joint, apart)


def rate_in_place(mu, logvar, z):
    logvar *= 0.5
    return rate_right(mu, 2 * logvar, z)


half = 0.5


def rate_half_of_the_notebook(mu, logvar, z):
    a, b, _ = rate_right(mu, logvar, z)
    rate = half * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    return a, b, rate - a - b


# Annealing


def height(log_start, log_target, beta):
    return lambda z: (1 - beta) * log_start(z) + beta * log_target(z)


def anneal_move_first(log_start, log_target, betas, z, move):
    log_w = 0
    for old, new in pairwise(betas):
        z = move(z, height(log_start, log_target, new))
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
    return log_w


def anneal_move_first_but_last(log_start, log_target, betas, z, move):
    log_w = torch.zeros(len(z))
    for t in range(1, len(betas)):
        f_new, f_old = (height(log_start, log_target, b) for b in (betas[t], betas[t - 1]))
        if betas[t] < 1:
            z = move(z, f_new)
        log_w = log_w + f_new(z) - f_old(z)
    return log_w


def anneal_upside_down(log_start, log_target, betas, z, move):
    log_w = 0
    for old, new in pairwise(betas):
        log_w = log_w + height(log_start, log_target, old)(z)
        log_w = log_w - height(log_start, log_target, new)(z)
        z = move(z, height(log_start, log_target, new))
    return log_w


def anneal_old_density(log_start, log_target, betas, z, move):
    log_w = 0
    for old, new in pairwise(betas):
        f_old, f_new = height(log_start, log_target, old), height(log_start, log_target, new)
        log_w = log_w + f_new(z) - f_old(z)
        z = move(z, f_old)
    return log_w


def anneal_to_the_target(log_start, log_target, betas, z, move):
    log_w = 0
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        z = move(z, log_target)
    return log_w


def anneal_from_the_end(log_start, log_target, betas, z, move):
    log_w = 0
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        z = move(z, lambda u, b=new: b * log_start(u) + (1 - b) * log_target(u))
    return log_w


def anneal_last_step_missing(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for t in range(1, len(betas) - 1):
        log_w += (betas[t] - betas[t - 1]) * (log_target(z) - log_start(z))
        z = move(z, height(log_start, log_target, betas[t]))
    return log_w


def anneal_never_moved(log_start, log_target, betas, z, move):
    log_w = 0
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        move(z, height(log_start, log_target, new))
    return log_w


def anneal_whole_ratio(log_start, log_target, betas, z, move):
    log_w = 0
    for new in betas[1:]:
        log_w = log_w + log_target(z) - log_start(z)
        z = move(z, height(log_start, log_target, new))
    return log_w


def anneal_power_beta(log_start, log_target, betas, z, move):
    log_w = 0
    for new in betas[1:]:
        log_w = log_w + new * (log_target(z) - log_start(z))
        z = move(z, height(log_start, log_target, new))
    return log_w


def anneal_heights(log_start, log_target, betas, z, move):
    log_w = 0
    for beta in betas[1:]:
        log_f = height(log_start, log_target, beta)
        log_w = log_w + log_f(z)
        z = move(z, log_f)
    return log_w


def anneal_mixed_densities(log_start, log_target, betas, z, move):
    def log_mixture(beta):
        return lambda u: torch.log((1 - beta) * log_start(u).exp() + beta * log_target(u).exp())

    log_w = 0
    for old, new in pairwise(betas):
        log_w = log_w + log_mixture(new)(z) - log_mixture(old)(z)
        z = move(z, log_mixture(new))
    return log_w


def anneal_right(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z = move(z, height(log_start, log_target, new))
    return log_w


def anneal_weights(*case):
    return anneal_right(*case).exp()


def anneal_log_mean(*case):
    log_w = anneal_right(*case)
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))


def anneal_from_the_start(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        z = move(z, height(log_start, log_target, old))
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
    return log_w


def anneal_numbers(log_start, log_target, betas, z, move):
    log_w = anneal_right(log_start, log_target, betas, z, move)
    return [each.item() for each in log_w]


def anneal_in_place(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w += (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z[:] = move(z, height(log_start, log_target, new))
    return log_w


end = 1.0


def anneal_end_of_the_notebook(log_start, log_target, betas, z, move):
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < end:
            z = move(z, height(log_start, log_target, new))
    return log_w


WRONG = {
    "jackknife": [
        (jackknife_uncorrected, "the estimate from all weights, uncorrected"),
        (jackknife_mean_of_others, "the mean of the log-means without one weight"),
        (jackknife_one_difference, "The correction is K − 1 times too small"),
        (jackknife_downwards, "The correction goes the wrong way"),
        (jackknife_factor_k_twice, "Both have the factor K"),
        (jackknife_others_over_k, "The mean of the others is divided by K"),
        (jackknife_log_weight_zero, "was set to 0, which is a weight of 1"),
        (jackknife_elbo, "that is the ELBO"),
        (
            jackknife_error_of_mean,
            "That is the standard error of independent numbers, s / √K. The K",
        ),
        (jackknife_std, "That is the spread of the values. Sum the squares of the deviations,"),
        (jackknife_numpy_std, "not their mean"),
        (jackknife_variance, "Take the root"),
        (jackknife_no_factor, "The factor (K − 1) / K in front"),
        (jackknife_around_whole, "The deviations are taken from the estimate with all weights"),
        (jackknife_by_exponentials, "Exponentials of thousands are 0 or infinite"),
        (jackknife_by_exponentials, "You subtract a weight from the sum of all"),
        (jackknife_by_subtraction, "You subtract a weight from the sum of all"),
        (jackknife_estimate_only, "Only the estimate came"),
        (jackknife_swapped, "The results are in another order: estimate, error is the right one."),
        (
            jackknife_of_images,
            "Rows and columns are exchanged: look at the axis over which you sum",
        ),
        (jackknife_one_number, "One number for all images came"),
        (jackknife_in_place, "Argument 1 is changed in place"),
        (jackknife_k_of_the_notebook, "`K` from outside the function"),
    ],
    "rate-in-three": [
        (rate_without_log_n, "log N is missing"),
        (rate_without_log_n_as_numbers, "log N is missing"),
        (rate_plus_log_n, "log N has the wrong sign"),
        (rate_mean_of_logs, "You took the mean of the log-densities"),
        (rate_over_draws, "You mixed over the images that z was drawn from"),
        (rate_leave_one_out, "is left out of the mixture"),
        (rate_log_sigma, "You took log σ for log σ²"),
        (rate_unscaled, "The 1/σ in front of the exponential is missing"),
        (rate_at_the_means, "You put the means in the place of the draws"),
        (rate_mixed_by_dimension, "the information and the total correlation in one"),
        (rate_sum_over_images, "All results are N times what they should be."),
        (rate_per_dimension, "All results are 1/D times what they should be."),
        (rate_minus_correlation, "The total correlation has the wrong sign"),
        (rate_by_draws, "That is estimated from the draws"),
        (rate_less_information, "the whole KL(q(z) ‖ p(z))"),
        (rate_itself, "That is the rate. The third part"),
        (rate_latent_mean, "The rate in it is averaged over the latent dimensions"),
        (rate_two, "The second is the rate less the information, KL(q(z) ‖ p(z)). Split"),
        (rate_not_averaged, "The last axis is still there: it should be summed or averaged over."),
        (rate_by_densities, "A density in a thousand dimensions is 0 to the computer"),
        (rate_in_place, "Argument 2 is changed in place"),
    ],
    "annealed-weights": [
        (anneal_move_first, "You move before you weigh"),
        (anneal_move_first_but_last, "You move before you weigh"),
        (anneal_upside_down, "The sign is wrong"),
        (anneal_old_density, "is made under the density of the step before"),
        (anneal_to_the_target, "All moves are made under the target"),
        (anneal_from_the_end, "The moves go along the path from its end"),
        (anneal_last_step_missing, "The last step is missing"),
        (anneal_never_moved, "The draws are never moved"),
        (anneal_whole_ratio, "Each step counts with the whole ratio"),
        (anneal_power_beta, "Each step counts with β_t"),
        (anneal_heights, "These are sums of log f_t"),
        (
            anneal_mixed_densities,
            "You mix the densities. Here their logarithms are mixed, (1 − β) log",
        ),
        (anneal_weights, "These are the weights"),
        (anneal_log_mean, "One number came for all chains"),
        (anneal_from_the_start, "You move once before the first step"),
        (anneal_in_place, "Argument 4 is changed in place"),
    ],
}
