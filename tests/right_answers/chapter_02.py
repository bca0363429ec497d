"""Right answers to the exercises of chapter 2."""

import math

import numpy as np
import torch
from torch import distributions as td

# kl-of-two


def two_by_distributions(mu_q, logvar_q, mu_p, logvar_p):
    q, p = (td.Normal(m, (0.5 * v).exp()) for m, v in ((mu_q, logvar_q), (mu_p, logvar_p)))
    return td.kl_divergence(q, p).sum(-1)


def two_by_independent(mu_q, logvar_q, mu_p, logvar_p):
    q = td.Independent(td.Normal(mu_q, torch.exp(logvar_q / 2)), 1)
    return td.kl_divergence(q, td.Independent(td.Normal(mu_p, torch.exp(logvar_p / 2)), 1))


def two_by_numpy(mu_q, logvar_q, mu_p, logvar_p):
    a, b, c, d = (x.numpy() for x in (mu_q, logvar_q, mu_p, logvar_p))
    return 0.5 * np.sum(d - b + (np.exp(b) + (a - c) ** 2) / np.exp(d) - 1, axis=1)


def two_by_loops(mu_q, logvar_q, mu_p, logvar_p):
    out = []
    for row in zip(mu_q.tolist(), logvar_q.tolist(), mu_p.tolist(), logvar_p.tolist()):
        out.append(
            sum(
                0.5 * (d - b + math.exp(b - d) + (a - c) ** 2 * math.exp(-d) - 1)
                for a, b, c, d in zip(*row)
            )
        )
    return torch.tensor(out)


def two_with_deviations(mu_q, logvar_q, mu_p, logvar_p):
    s1, s2 = torch.exp(0.5 * logvar_q), torch.exp(0.5 * logvar_p)
    each = torch.log(s2 / s1) + (s1**2 + (mu_q - mu_p) ** 2) / (2 * s2**2) - 0.5
    return each.sum(dim=1)


def two_in_double(mu_q, logvar_q, mu_p, logvar_p):
    mu_q, logvar_q, mu_p, logvar_p = (x.double() for x in (mu_q, logvar_q, mu_p, logvar_p))
    precision = (-logvar_p).exp()
    inside = logvar_p - logvar_q + (logvar_q.exp() + (mu_q - mu_p).square()) * precision
    return 0.5 * (inside.sum(1) - mu_q.shape[1])


def two_by_einsum(mu_q, logvar_q, mu_p, logvar_p):
    off = mu_q - mu_p
    distance = torch.einsum("bd,bd,bd->b", off, off, torch.exp(-logvar_p))
    return 0.5 * (distance + (torch.exp(logvar_q - logvar_p) - 1 + logvar_p - logvar_q).sum(-1))


def two_by_expm1(mu_q, logvar_q, mu_p, logvar_p):
    gap = logvar_q - logvar_p
    return ((torch.expm1(gap) - gap) / 2 + (mu_q - mu_p) ** 2 / 2 / logvar_p.exp()).sum(1)


def two_by_matrices(mu_q, logvar_q, mu_p, logvar_p):
    q = td.MultivariateNormal(mu_q, torch.diag_embed(logvar_q.exp()))
    return td.kl_divergence(q, td.MultivariateNormal(mu_p, torch.diag_embed(logvar_p.exp())))


half = torch.tensor(0.5)


def two_with_half_outside(mu_q, logvar_q, mu_p, logvar_p):
    ratio = torch.exp(logvar_q - logvar_p)
    return half * torch.sum(
        logvar_p - logvar_q + ratio + (mu_q - mu_p) ** 2 * torch.exp(-logvar_p) - 1, -1
    )


# log-mean-weight


def weight_by_logsumexp(log_joint, log_q):
    return torch.logsumexp(log_joint - log_q, dim=0) - math.log(log_joint.shape[0])


def weight_by_maximum(log_joint, log_q):
    w = log_joint - log_q
    top = w.max(dim=0).values
    return top + torch.exp(w - top).mean(0).log()


def weight_by_numpy(log_joint, log_q):
    w = (log_joint - log_q).numpy()
    return np.logaddexp.reduce(w, axis=0) - np.log(len(w))


def weight_by_loops(log_joint, log_q):
    out = []
    for b in range(log_q.shape[1]):
        w = [p - q for p, q in zip(log_joint[:, b].tolist(), log_q[:, b].tolist())]
        top = max(w)
        out.append(top + math.log(sum(math.exp(v - top) for v in w) / len(w)))
    return out


def weight_by_softmax(log_joint, log_q):
    w = log_joint - log_q
    return (w - w.log_softmax(0))[0] - math.log(len(w))


def weight_by_mixture(log_joint, log_q):
    share = -torch.log(torch.tensor(float(len(log_q))))
    return (log_joint - log_q + share).logsumexp(0)


def weight_in_double(log_joint, log_q):
    w = log_joint.double() - log_q.double()
    return (torch.logsumexp(w.T, 1) - np.log(w.shape[0])).float()


def weight_step_by_step(log_joint, log_q):
    total = (log_joint - log_q)[0]
    for row in (log_joint - log_q)[1:]:
        total = torch.logaddexp(total, row)
    return total - math.log(len(log_q))


def weight_by_cumulative(log_joint, log_q):
    return torch.logcumsumexp(log_joint - log_q, 0)[-1] - math.log(len(log_joint))


def make_weight(axis):
    def weight_of_closure(log_joint, log_q):
        return (log_joint - log_q).logsumexp(axis) - math.log(log_q.shape[axis])

    return weight_of_closure


# coordinate-ascent


def _sweep(L, mean, m):
    for i in range(len(m)):
        others = [j for j in range(len(m)) if j != i]
        m[i] = mean[i] - (L[i, others] @ (m - mean)[others]) / L[i, i]
    return m


def ascent_plain(mean, covariance, start, sweeps):
    L, m = torch.inverse(covariance), start.clone()
    for _ in range(sweeps):
        m = _sweep(L, mean, m)
    return m, 1 / L.diag()


def ascent_stacked(mean, covariance, start, sweeps):
    return torch.stack(ascent_plain(mean, covariance, start, sweeps))


def ascent_by_numpy(mean, covariance, start, sweeps):
    L = np.linalg.inv(covariance.numpy().astype(float))
    z, m = mean.numpy().astype(float), start.numpy().astype(float).copy()
    for _ in range(sweeps):
        for i in range(len(m)):
            m[i] = z[i] - sum(L[i, j] * (m[j] - z[j]) for j in range(len(m)) if j != i) / L[i, i]
    return m, 1 / np.diag(L)


def ascent_by_gauss_seidel(mean, covariance, start, sweeps):
    L = torch.linalg.inv(covariance.double())
    e = (start - mean).double()[:, None]
    for _ in range(sweeps):
        e = torch.linalg.solve_triangular(L.tril(), -L.triu(1) @ e, upper=False)
    return (mean + e[:, 0]).float(), L.diagonal().reciprocal()


def ascent_of_errors(mean, covariance, start, sweeps):
    L, e = torch.linalg.inv(covariance), start - mean
    for _ in range(sweeps):
        for i in range(len(e)):
            e = e.clone()
            e[i] = e[i] - L[i] @ e / L[i, i]
    return [mean + e, 1.0 / torch.diagonal(L)]


def ascent_of_lists(mean, covariance, start, sweeps):
    L, z, m = covariance.inverse().tolist(), mean.tolist(), start.tolist()
    D = len(m)
    for _ in range(sweeps):
        for i in range(D):
            m[i] = z[i] - sum(L[i][j] * (m[j] - z[j]) for j in range(D) if j != i) / L[i][i]
    return m, [1 / L[i][i] for i in range(D)]


def ascent_with_zeroed_diagonal(mean, covariance, start, sweeps):
    L = torch.inverse(covariance)
    R, d, m = L - torch.diag(torch.diag(L)), torch.diag(L), start.detach().clone()
    count = 0
    while count < sweeps:
        for i in range(m.shape[0]):
            m[i] = mean[i] - torch.dot(R[i], m - mean) / d[i]
        count += 1
    return m, 1 / d


def ascent_by_solve(mean, covariance, start, sweeps):
    L = torch.linalg.solve(covariance, torch.eye(len(mean)))
    m = start + 0
    for _, i in [(s, i) for s in range(sweeps) for i in range(len(mean))]:
        m = torch.where(torch.arange(len(m)) == i, m - (L @ (m - mean)) / L[i, i], m)
    return m, L.diagonal() ** -1


def ascent_by_natural_parameters(mean, covariance, start, sweeps):
    L = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
    h, m = L @ mean, start.clone()
    for _ in range(sweeps):
        for i in range(len(m)):
            m[i] = (h[i] - L[i] @ m + L[i, i] * m[i]) / L[i, i]
    return m, torch.ones(len(m)) / L.diagonal()


def ascent_by_conditional_variance(mean, covariance, start, sweeps):
    m = ascent_plain(mean, covariance, start, sweeps)[0]
    v = []
    for i in range(len(m)):
        o = [j for j in range(len(m)) if j != i]
        away = covariance[i, o] @ torch.linalg.solve(covariance[o][:, o], covariance[o, i])
        v.append(covariance[i, i] - away)
    return m, torch.stack(v)


RIGHT = {
    "kl-of-two": [
        two_by_distributions, two_by_independent, two_by_numpy, two_by_loops, two_with_deviations,
        two_in_double, two_by_einsum, two_by_expm1, two_by_matrices, two_with_half_outside,
    ],
    "log-mean-weight": [
        weight_by_logsumexp, weight_by_maximum, weight_by_numpy, weight_by_loops,
        weight_by_softmax, weight_by_mixture, weight_in_double, weight_step_by_step,
        weight_by_cumulative, make_weight(0),
    ],
    "coordinate-ascent": [
        ascent_plain, ascent_stacked, ascent_by_numpy, ascent_by_gauss_seidel, ascent_of_errors,
        ascent_of_lists, ascent_with_zeroed_diagonal, ascent_by_solve,
        ascent_by_natural_parameters, ascent_by_conditional_variance,
    ],
}  # fmt: skip
