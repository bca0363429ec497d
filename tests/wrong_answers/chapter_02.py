"""Wrong answers to the exercises of chapter 2."""

import math

import torch
from torch.distributions import Normal, kl_divergence


def two_one_number(mu_q, logvar_q, mu_p, logvar_p):
    q = Normal(mu_q, (0.5 * logvar_q).exp())
    p = Normal(mu_p, (0.5 * logvar_p).exp())
    return kl_divergence(q, p).sum()


def two_not_summed(mu_q, logvar_q, mu_p, logvar_p):
    q = Normal(mu_q, (0.5 * logvar_q).exp())
    p = Normal(mu_p, (0.5 * logvar_p).exp())
    return kl_divergence(q, p)


def two_averaged(mu_q, logvar_q, mu_p, logvar_p):
    q = Normal(mu_q, (0.5 * logvar_q).exp())
    p = Normal(mu_p, (0.5 * logvar_p).exp())
    return torch.mean(kl_divergence(q, p), dim=1)


def two_reversed(mu_q, logvar_q, mu_p, logvar_p):
    q = Normal(mu_q, (0.5 * logvar_q).exp())
    p = Normal(mu_p, (0.5 * logvar_p).exp())
    return kl_divergence(p, q).sum(1)


def two_negative(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_q - logvar_p).exp()
    distance = (mu_q - mu_p) ** 2 * (-logvar_p).exp()
    return 0.5 * (1 + logvar_q - logvar_p - ratio - distance).sum(1)


def two_without_half(mu_q, logvar_q, mu_p, logvar_p):
    ratio = (logvar_q - logvar_p).exp()
    distance = (mu_q - mu_p) ** 2 * (-logvar_p).exp()
    return (ratio + distance - 1 - logvar_q + logvar_p).sum(1)


def two_logarithm_of_variances(mu_q, logvar_q, mu_p, logvar_p):
    s1, s2 = logvar_q.exp(), logvar_p.exp()  # variances; the logarithm below wants deviations
    return (torch.log(s2 / s1) + (s1 + (mu_q - mu_p) ** 2) / (2 * s2) - 1 / 2).sum(-1)


def two_log_sigma(mu_q, logvar_q, mu_p, logvar_p):
    s1, s2 = logvar_q.exp(), logvar_p.exp()
    return (torch.log(s2 / s1) + (s1**2 + (mu_q - mu_p) ** 2) / (2 * s2**2) - 1 / 2).sum(-1)


def two_deviations(mu_q, logvar_q, mu_p, logvar_p):
    s1, s2 = (logvar_q / 2).exp(), (logvar_p / 2).exp()
    return (torch.log(s2 / s1) + (s1 + (mu_q - mu_p) ** 2) / (2 * s2) - 1 / 2).sum(-1)


def two_without_constant(mu_q, logvar_q, mu_p, logvar_p):
    s1, s2 = (logvar_q / 2).exp(), (logvar_p / 2).exp()
    return (torch.log(s2 / s1) + (s1**2 + (mu_q - mu_p) ** 2) / (2 * s2**2)).sum(-1)


def two_distance_unscaled(mu_q, logvar_q, mu_p, logvar_p):
    terms = logvar_p - logvar_q + logvar_q.exp() / logvar_p.exp() + (mu_q - mu_p) ** 2 - 1
    return terms.sum(-1) / 2


def two_standard(mu_q, logvar_q, mu_p, logvar_p):
    return -0.5 * (1 + logvar_q - mu_q**2 - logvar_q.exp()).sum(dim=1)


def two_half_cut(mu_q, logvar_q, mu_p, logvar_p):
    p = Normal(mu_p.detach(), (0.5 * logvar_p).exp().detach())
    return kl_divergence(Normal(mu_q, (0.5 * logvar_q).exp()), p).sum(-1)


def two_in_place(mu_q, logvar_q, mu_p, logvar_p):
    distance = mu_q.sub_(mu_p) ** 2
    terms = logvar_p - logvar_q + (logvar_q.exp() + distance) / logvar_p.exp() - 1
    return 0.5 * terms.sum(-1)


def weight_elbo(log_joint, log_q):
    return torch.mean(log_joint - log_q, dim=0)


def weight_sum(log_joint, log_q):
    return torch.logsumexp(log_joint - log_q, dim=0)


def weight_plus(log_joint, log_q):
    K = log_joint.shape[0]
    return (log_joint - log_q).logsumexp(0) + math.log(K)


def weight_divided(log_joint, log_q):
    K = log_joint.shape[0]
    return (log_joint - log_q).logsumexp(0) / K


def weight_no_log(log_joint, log_q):
    return torch.exp(log_joint - log_q).mean(dim=0)


def weight_no_q(log_joint, log_q):
    K = log_joint.shape[0]
    return torch.logsumexp(log_joint, 0) - math.log(K)


def weight_times_q(log_joint, log_q):
    K = log_joint.shape[0]
    return torch.logsumexp(log_joint + log_q, 0) - math.log(K)


def weight_over_images(log_joint, log_q):
    w = log_joint - log_q
    return torch.logsumexp(w, -1) - math.log(w.size(-1))


def weight_underflow(log_joint, log_q):
    return torch.log(torch.mean(torch.exp(log_joint - log_q), dim=0))


def weight_one_maximum(log_joint, log_q):
    w = log_joint - log_q
    top = torch.max(w)
    return top + torch.log(torch.exp(w - top).mean(0))


def weight_items(log_joint, log_q):
    w = (log_joint - log_q).logsumexp(0) - math.log(len(log_q))
    return torch.tensor([each.item() for each in w])


draws = 7


def weight_from_the_notebook(log_joint, log_q):
    return torch.logsumexp(log_joint - log_q, 0) - math.log(draws)


def ascent_all_at_once(mean, covariance, start, sweeps):
    L = torch.linalg.inv(covariance)
    m = start
    for _ in range(sweeps):
        m = m - L @ (m - mean) / torch.diag(L)
    return m, 1 / torch.diag(L)


def ascent_once(mean, covariance, start, sweeps):
    L, m = torch.inverse(covariance), start.clone()
    for i in range(len(m)):
        others = torch.arange(len(m)) != i
        m[i] = mean[i] - (L[i, others] * (m - mean)[others]).sum() / L[i, i]
    return m, 1 / L.diag()


def ascent_from_zero(mean, covariance, start, sweeps):
    return ascent(mean, covariance, torch.zeros(len(mean)), sweeps)


def ascent_centred(mean, covariance, start, sweeps):
    L, m = torch.inverse(covariance), start.clone()
    for _ in range(sweeps):
        for i in range(len(m)):
            others = torch.arange(len(m)) != i
            m[i] = -(L[i, others] * m[others]).sum() / L[i, i]
    return m, 1 / L.diag()


def ascent_sign(mean, covariance, start, sweeps):
    L, m = torch.inverse(covariance), start.clone()
    for _ in range(sweeps):
        for i in range(len(m)):
            others = torch.arange(len(m)) != i
            m[i] = mean[i] + (L[i, others] * (m - mean)[others]).sum() / L[i, i]
    return m, 1 / L.diag()


def ascent_itself_too(mean, covariance, start, sweeps):
    L, m = torch.inverse(covariance), start.clone()
    for _ in range(sweeps):
        for i in range(len(m)):
            m[i] = mean[i] - (L[i] * (m - mean)).sum() / L[i, i]
    return m, 1 / L.diag()


def ascent_covariance(mean, covariance, start, sweeps):
    m, _ = ascent(mean, torch.inverse(covariance), start, sweeps)
    return m, 1 / torch.inverse(covariance).diag()


def ascent_undivided(mean, covariance, start, sweeps):
    L, m = torch.inverse(covariance), start.clone()
    for _ in range(sweeps):
        for i in range(len(m)):
            others = torch.arange(len(m)) != i
            m[i] = mean[i] - (L[i, others] * (m - mean)[others]).sum()
    return m, 1 / L.diag()


def ascent_marginal(mean, covariance, start, sweeps):
    return ascent(mean, covariance, start, sweeps)[0], covariance.diag()


def ascent_precision(mean, covariance, start, sweeps):
    return ascent(mean, covariance, start, sweeps)[0], covariance.inverse().diag()


def ascent_wrong_inverse(mean, covariance, start, sweeps):
    return ascent(mean, covariance, start, sweeps)[0], covariance.diag() ** -1


def ascent_deviation(mean, covariance, start, sweeps):
    m, v = ascent(mean, covariance, start, sweeps)
    return m, v.sqrt()


def ascent_matrix(mean, covariance, start, sweeps):
    m, v = ascent(mean, covariance, start, sweeps)
    return m, torch.diag(v)


def ascent_in_place(mean, covariance, start, sweeps):
    L = torch.inverse(covariance)
    for _ in range(sweeps):
        for i in range(len(start)):
            others = torch.arange(len(start)) != i
            start[i] = mean[i] - (L[i, others] * (start - mean)[others]).sum() / L[i, i]
    return start, 1 / L.diag()


def ascent(mean, covariance, start, sweeps):  # right: the mistakes above are made around it
    return ascent_in_place(mean, covariance, start.clone(), sweeps)


WRONG = {
    "kl-of-two": [
        (two_one_number, "You summed over the batch too. Each row has its own divergence."),
        (two_not_summed, "One number for each dimension came. Their divergences add up: sum."),
        (two_averaged, "You averaged over the dimensions"),
        (two_reversed, "You have it the other way round: `mu_q` and `logvar_q` stand where"),
        (two_negative, "All results are minus what they should be: the sign is wrong."),
        (two_without_half, "All results are 2 times what they should be."),
        (
            two_logarithm_of_variances,
            "The logarithm counts twice: log(s₂/s₁) is ½ (logvar_p − logvar_q).",
        ),
        (two_log_sigma, "You took log σ for log σ²"),
        (two_deviations, "standard deviations where variances belong"),
        (
            two_without_constant,
            "The −½ is missing: for two equal Gaussians the divergence must be 0.",
        ),
        (two_distance_unscaled, "The distance of the means is not divided by the variance of p."),
        (two_standard, "Your result does not depend on `mu_p` and `logvar_p`."),
        (two_in_place, "Argument 1 is changed in place"),
    ],
    "log-mean-weight": [
        (weight_elbo, "You averaged the logarithms"),
        (weight_sum, "That is the logarithm of the sum of the weights. Their mean is the"),
        (weight_plus, "You added log K. Dividing by K means subtracting log K."),
        (weight_divided, "You divided the logarithm by K"),
        (weight_no_log, "These are the means of the weights. Return their logarithms."),
        (weight_no_q, "q is not used: divide p(x, z) by q(z), so subtract `log_q`."),
        (weight_times_q, "You multiplied by q(z). A weight is p(x, z) / q(z)."),
        (weight_over_images, "Rows and columns are exchanged: look at the axis over which you sum"),
        (weight_underflow, "exp(−1000) is zero to a computer"),
        (weight_one_maximum, "the largest weight of all images"),
        (weight_from_the_notebook, "`draws` from outside the function"),
    ],
    "coordinate-ascent": [
        (ascent_all_at_once, "You updated all means at once"),
        (ascent_once, "Only one sweep was made"),
        (ascent_from_zero, "You started at zero"),
        (ascent_centred, "The target's mean is forgotten"),
        (ascent_sign, "The sign of the sum is wrong"),
        (ascent_itself_too, "yours includes j = i"),
        (ascent_covariance, "You used the covariance Σ"),
        (ascent_undivided, "The sum is not divided by Λ_ii"),
        (ascent_marginal, "the marginal variances Σ_ii"),
        (ascent_precision, "These are the precisions Λ_ii"),
        (ascent_wrong_inverse, "These are 1/Σ_ii"),
        (ascent_deviation, "These are the standard deviations"),
        (ascent_matrix, "2 values"),
        (ascent_in_place, "Argument 3 is changed in place"),
    ],
}
