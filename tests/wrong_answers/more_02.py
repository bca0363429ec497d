"""More wrong answers to the exercises of chapter 2, from a trial without a look at the checks."""

import math

import torch


def two_unsquared(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_q - logvar_p).exp()
    return 0.5 * (logvar_p - logvar_q + ratio + (mu_q - mu_p) / logvar_p.exp() - 1).sum(1)


def two_scaled_by_q(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_q - logvar_p).exp()
    return 0.5 * (logvar_p - logvar_q + ratio + (mu_q - mu_p) ** 2 / logvar_q.exp() - 1).sum(1)


def two_log_ratio_turned(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_q - logvar_p).exp()
    return 0.5 * (logvar_q - logvar_p + ratio + (mu_q - mu_p) ** 2 / logvar_p.exp() - 1).sum(1)


def two_ratio_turned(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_p - logvar_q).exp()
    return 0.5 * (logvar_p - logvar_q + ratio + (mu_q - mu_p) ** 2 / logvar_p.exp() - 1).sum(1)


def two_half_on_the_logs_only(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_q - logvar_p).exp()
    return (0.5 * (logvar_p - logvar_q) + ratio + (mu_q - mu_p) ** 2 / logvar_p.exp() - 1).sum(1)


def two_without_ratio(mu_q, logvar_q, mu_p, logvar_p):
    return 0.5 * (logvar_p - logvar_q + (mu_q - mu_p) ** 2 / logvar_p.exp() - 1).sum(1)


def two_plus_one(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_q - logvar_p).exp()
    return 0.5 * (logvar_p - logvar_q + ratio + (mu_q - mu_p) ** 2 / logvar_p.exp() + 1).sum(1)


def two_symmetric(mu_q, logvar_q, mu_p, logvar_p):
    def kl(a, b, c, d):
        return 0.5 * (d - b + (b.exp() + (a - c) ** 2) / d.exp() - 1).sum(1)

    one = kl(mu_q, logvar_q, mu_p, logvar_p)
    return (one + kl(mu_p, logvar_p, mu_q, logvar_q)) / 2


def two_means_ignored(mu_q, logvar_q, mu_p, logvar_p):
    return 0.5 * (logvar_p - logvar_q + (logvar_q - logvar_p).exp() - 1).sum(1)


def two_over_rows(mu_q, logvar_q, mu_p, logvar_p):
    each = logvar_p - logvar_q + (logvar_q.exp() + (mu_q - mu_p) ** 2) / logvar_p.exp() - 1
    return 0.5 * each.sum(0)


def two_in_bits(mu_q, logvar_q, mu_p, logvar_p):
    each = logvar_p - logvar_q + (logvar_q.exp() + (mu_q - mu_p) ** 2) / logvar_p.exp() - 1
    return 0.5 * each.sum(1) / math.log(2)


def weight_minus_mean(log_joint, log_q):
    w = log_joint - log_q
    m = w.mean(0)
    return m + (w - m).exp().mean(0).log()


def weight_minus_first(log_joint, log_q):
    w = log_joint - log_q
    return w[0] + (w - w[0]).exp().mean(0).log()


def weight_maximum_not_added(log_joint, log_q):
    w = log_joint - log_q
    return (w - w.amax(0)).exp().mean(0).log()


def weight_of_ratio_of_means(log_joint, log_q):
    return log_joint.logsumexp(0) - log_q.logsumexp(0)


def weight_of_ratio_of_logs(log_joint, log_q):
    return (log_joint / log_q).logsumexp(0) - math.log(len(log_q))


def weight_turned(log_joint, log_q):
    return (log_q - log_joint).logsumexp(0) - math.log(len(log_q))


def weight_minus_log_images(log_joint, log_q):
    return (log_joint - log_q).logsumexp(0) - math.log(log_q.shape[1])


def weight_minus_k(log_joint, log_q):
    return (log_joint - log_q).logsumexp(0) - len(log_q)


def weight_one_for_all(log_joint, log_q):
    return (log_joint - log_q).logsumexp(0).mean() - math.log(len(log_q))


def weight_base_two(log_joint, log_q):
    return ((log_joint - log_q).logsumexp(0) - math.log(len(log_q))) / math.log(2)


def weight_median(log_joint, log_q):
    return (log_joint - log_q).median(0).values


def weight_with_small_number(log_joint, log_q):
    return torch.log((log_joint - log_q).exp().mean(0) + 1e-8)


def ascent(L, mean, start, sweeps, v, order=None, denominator=None):
    m, d = start.clone(), L.diag() if denominator is None else denominator
    for _ in range(sweeps):
        for i in order or range(len(m)):
            rest = L[i] @ (m - mean) - L[i, i] * (m[i] - mean[i])
            m[i] = mean[i] - rest / d[i]
    return m, v


def ascent_backwards(mean, covariance, start, sweeps):
    L = covariance.inverse()
    return ascent(L, mean, start, sweeps, 1 / L.diag(), order=range(len(mean))[::-1])


def ascent_one_too_many(mean, covariance, start, sweeps):
    L = covariance.inverse()
    return ascent(L, mean, start, sweeps + 1, 1 / L.diag())


def ascent_target_mean(mean, covariance, start, sweeps):
    return mean.clone(), 1 / covariance.inverse().diag()


def ascent_start_returned(mean, covariance, start, sweeps):
    return start.clone(), 1 / covariance.inverse().diag()


def ascent_means_only(mean, covariance, start, sweeps):
    L = covariance.inverse()
    return ascent(L, mean, start, sweeps, 1)[0]


def ascent_swapped(mean, covariance, start, sweeps):
    L = covariance.inverse()
    return ascent(L, mean, start, sweeps, 1 / L.diag())[::-1]


def ascent_full_matrix(mean, covariance, start, sweeps):
    L = covariance.inverse()
    return ascent(L, mean, start, sweeps, L.inverse())


def ascent_divided_by_covariance(mean, covariance, start, sweeps):
    L = covariance.inverse()
    return ascent(L, mean, start, sweeps, 1 / L.diag(), denominator=covariance.diag())


def ascent_sum_of_means(mean, covariance, start, sweeps):
    L, m = covariance.inverse(), start.clone()
    for _ in range(sweeps):
        for i in range(len(m)):
            m[i] = mean[i] - (L[i] @ m - L[i, i] * m[i]) / L[i, i]
    return m, 1 / L.diag()


def ascent_steps_not_sweeps(mean, covariance, start, sweeps):
    L, m = covariance.inverse(), start.clone()
    for t in range(sweeps):
        i = t % len(m)
        m[i] = mean[i] - (L[i] @ (m - mean) - L[i, i] * (m[i] - mean[i])) / L[i, i]
    return m, 1 / L.diag()


def ascent_log_variances(mean, covariance, start, sweeps):
    L = covariance.inverse()
    return ascent(L, mean, start, sweeps, -L.diag().log())


def ascent_without_dividing_start(mean, covariance, start, sweeps):
    L = covariance.inverse()
    return ascent(L, mean, mean + start, sweeps, 1 / L.diag())


WRONG = {
    "kl-of-two": [
        (two_unsquared, "A right answer without the power in `(mu_q - mu_p) ** 2` gives your"),
        (two_scaled_by_q, "A right answer with `logvar_q` for `logvar_p` gives your results."),
        (two_log_ratio_turned, "The largest deviation"),
        (two_ratio_turned, "A right answer with the sign of `logvar_q - logvar_p` turned round"),
        (two_half_on_the_logs_only, "The largest deviation"),
        (two_without_ratio, "A right answer without `ratio` gives your results."),
        (two_plus_one, "All results are too large by D."),
        (two_symmetric, "The largest deviation"),
        (two_means_ignored, "A right answer with `mu_p` for `mu_q` gives your results."),
        (two_over_rows, "You summed over the rows, the first axis. Sum over the last."),
        (two_in_bits, "All results are 1/log 2 times what they should be."),
    ],
    "log-mean-weight": [
        (weight_minus_mean, "You took out the mean of the log-weights. The largest may lie"),
        (weight_minus_first, "Some of the results are"),
        (
            weight_maximum_not_added,
            "You took the largest log-weight out, and did not add it again.",
        ),
        (
            weight_of_ratio_of_means,
            "You divided the mean of p(x, z) by that of q(z). Each draw has a",
        ),
        (weight_of_ratio_of_logs, "The largest deviation"),
        (weight_turned, "`log_joint` and `log_q` are exchanged."),
        (weight_minus_log_images, "The largest deviation"),
        (weight_minus_k, "A right answer without `log` in `math.log(len(log_w))` gives your"),
        (weight_one_for_all, "These are the mean over the whole batch of the right results."),
        (weight_base_two, "All results are 1/log 2 times what they should be."),
        (weight_median, "The largest deviation"),
        (
            weight_with_small_number,
            "A small number in the logarithm hides the underflow, and is far",
        ),
    ],
    "coordinate-ascent": [
        (ascent_backwards, "You went from the last factor to the first. The text begins with"),
        (ascent_one_too_many, "You made one sweep more than `sweeps` says."),
        (ascent_target_mean, "These are the means after very many sweeps, the target's. Return"),
        (ascent_start_returned, "A right answer without the line `m[i] = mean[i] - others /"),
        (ascent_means_only, "Only one of the results came, `m`."),
        (ascent_swapped, "The results are in another order: m, 1 / precision.diagonal() is the"),
        (ascent_full_matrix, "Broadcasting has paired every row with every other: look for a lost"),
        (
            ascent_divided_by_covariance,
            "A right answer with `covariance` for `precision` gives your results.",
        ),
        (ascent_sum_of_means, "Λ_ij multiplies m_j − mean_j; you left out the means."),
        (ascent_steps_not_sweeps, "The largest deviation"),
        (ascent_log_variances, "These are the logarithm of the right results."),
        (ascent_without_dividing_start, "The largest deviation"),
    ],
}
