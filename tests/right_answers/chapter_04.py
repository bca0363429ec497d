"""Right answers to the exercises of chapter 4."""

import math

import numpy as np
import torch
from torch import distributions as td

# draw-latents


def latents_plain(mu, logvar, K):
    return mu + (logvar / 2).exp() * torch.randn((K, *mu.shape))


def latents_by_rsample(mu, logvar, K):
    return td.Normal(mu, torch.exp(0.5 * logvar)).rsample((K,))


def latents_by_independent(mu, logvar, K):
    return td.Independent(td.Normal(mu, logvar.exp().sqrt()), 1).rsample(torch.Size([K]))


def latents_stacked(mu, logvar, K):
    sigma = torch.exp(logvar * 0.5)
    return torch.stack([mu + sigma * torch.randn_like(mu) for _ in range(K)])


def latents_expanded(mu, logvar, K):
    m, v = (x.unsqueeze(0).expand(K, -1, -1) for x in (mu, logvar))
    return m + torch.randn_like(m) * torch.exp(v / 2)


def latents_with_numpy_noise(mu, logvar, K):
    eps = torch.from_numpy(np.random.randn(K, *mu.shape)).to(mu)
    return torch.addcmul(mu, torch.exp(0.5 * logvar), eps)


def latents_by_box_muller(mu, logvar, K):
    u, v = torch.rand(2, K, *mu.shape, dtype=torch.float64)
    eps = torch.sqrt(-2 * torch.log(1 - u)) * torch.cos(2 * math.pi * v)
    return mu + torch.exp(0.5 * logvar) * eps.float()


def latents_by_quantile(mu, logvar, K):
    u = torch.rand(K, *mu.shape, dtype=torch.float64).clamp_min(1e-12)
    return (mu + logvar.mul(0.5).exp() * torch.special.ndtri(u)).float()


def latents_by_lerp(mu, logvar, K):
    eps = torch.empty(K, *mu.shape).normal_()
    return torch.lerp(mu.expand_as(eps), mu + eps, torch.exp(0.5 * logvar).expand_as(eps))


def latents_by_matrices(mu, logvar, K):
    q = td.MultivariateNormal(mu, scale_tril=torch.diag_embed((0.5 * logvar).exp()))
    return q.rsample((K,))


# leave-one-out


def loo_plain(values, scores):
    K = values.shape[0]
    baseline = (values.sum(0, keepdim=True) - values) / (K - 1)
    return ((values - baseline) * scores).mean(0)


def loo_by_loops(values, scores):
    K = len(values)
    total = 0
    for k in range(K):
        others = torch.cat([values[:k], values[k + 1 :]]).mean(0)
        total = total + (values[k] - others) * scores[k]
    return total / K


def loo_as_covariance(values, scores):
    K = len(values)
    return ((values - values.mean(0)) * (scores - scores.mean(0))).sum(0) / (K - 1)


def loo_by_rescaling(values, scores):
    K = len(values)
    return K / (K - 1) * ((values - values.mean(0)) * scores).mean(0)


def loo_by_numpy(values, scores):
    f, s = values.numpy(), scores.numpy()
    return np.array([np.cov(f[:, n], s[:, n])[0, 1] for n in range(f.shape[1])])


def loo_by_einsum(values, scores):
    K = len(values)
    weights = (torch.ones(K, K) - torch.eye(K)) / (K - 1)
    return torch.einsum("kn,kn->n", values - weights @ values, scores) / K


def loo_by_masks(values, scores):
    K = len(values)
    keep = ~torch.eye(K, dtype=torch.bool)
    others = torch.stack([values[keep[k]].mean(0) for k in range(K)])
    return torch.mean((values - others) * scores, dim=0)


def loo_in_double(values, scores):
    f, s = values.double(), scores.double()
    others = (f.sum(0) - f).div(len(f) - 1)
    return (f.sub(others).mul(s).sum(0) / len(f)).float()


def loo_by_pairs(values, scores):
    K = len(values)
    pairs = (values[:, None] - values) * (scores[:, None] - scores)
    return pairs.sum((0, 1)) / (2 * K * (K - 1))


def loo_column_by_column(values, scores):
    def one(f, s):
        K = len(f)
        return sum((a - (sum(f) - a) / (K - 1)) * b for a, b in zip(f, s)) / K

    return [one(f, s) for f, s in zip(values.T.tolist(), scores.T.tolist())]


# von-mises-slope


def _a(kappa):
    return torch.special.i1e(kappa) / torch.special.i0e(kappa)


def circle_by_trapezoid(kappa, z):
    t = torch.stack([torch.linspace(-math.pi, v.item(), 4001, dtype=z.dtype) for v in z])
    k = kappa[:, None]
    inside = (t.cos() - _a(k)) * torch.exp(k * t.cos())
    return -torch.trapezoid(inside, t) / torch.exp(kappa * z.cos())


def circle_by_simpson(kappa, z):
    out = []
    for k, v in zip(kappa, z):
        t = torch.linspace(-math.pi, v.item(), 1001, dtype=torch.float64)
        y = (t.cos() - _a(k)) * torch.exp(k * (t.cos() - v.cos()))
        h = (v + math.pi) / 1000
        out.append(-(y[0] + y[-1] + 4 * y[1:-1:2].sum() + 2 * y[2:-1:2].sum()) * h / 3)
    return torch.stack(out)


def circle_by_numpy(kappa, z):
    out = []
    for k, v in zip(kappa.numpy(), z.numpy()):
        t = np.linspace(-np.pi, v, 4001)
        a = float(_a(torch.tensor(k)))
        y = (np.cos(t) - a) * np.exp(k * (np.cos(t) - np.cos(v)))
        out.append(-np.sum((y[1:] + y[:-1]) / 2) * (t[1] - t[0]))
    return np.array(out)


def _cdf(kappa, z, steps=4000):
    unit = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    t = -math.pi + (z[:, None] + math.pi) * unit
    density = torch.exp(kappa[:, None] * (t.cos() - 1)) / torch.special.i0e(kappa)[:, None]
    return density.sum(1) * (z + math.pi) / steps / (2 * math.pi)


def _pdf(kappa, z):
    return torch.exp(kappa * (z.cos() - 1)) / (2 * math.pi * torch.special.i0e(kappa))


def circle_by_differences(kappa, z):
    h = 1e-4
    return -(_cdf(kappa + h, z) - _cdf(kappa - h, z)) / (2 * h) / _pdf(kappa, z)


def circle_by_autograd(kappa, z):
    k = kappa.clone().requires_grad_()
    (slope,) = torch.autograd.grad(_cdf(k, z).sum(), k)
    return -slope / _pdf(kappa, z)


def circle_by_two_gradients(kappa, z):
    k, v = kappa.clone().requires_grad_(), z.clone().requires_grad_()
    a, b = torch.autograd.grad(_cdf(k, v).sum(), (k, v))
    return (-a / b).detach()


def circle_by_gauss_legendre(kappa, z):
    nodes, weights = np.polynomial.legendre.leggauss(200)
    nodes, weights = torch.tensor(nodes), torch.tensor(weights)
    half = (z + math.pi)[:, None] / 2
    t = -math.pi + half * (nodes + 1)
    y = (t.cos() - _a(kappa)[:, None]) * torch.exp(kappa[:, None] * (t.cos() - z.cos()[:, None]))
    return -(y * weights * half).sum(1)


def circle_from_zero(kappa, z):
    unit = torch.linspace(0, 1, 3001, dtype=z.dtype)
    t = z[:, None] * unit  # from 0: the integral from −π to 0 of the derivative is 0
    y = (t.cos() - _a(kappa)[:, None]) * torch.exp(kappa[:, None] * (t.cos() - z[:, None].cos()))
    return -torch.trapezoid(y, t, dim=1)


def circle_in_single(kappa, z):
    k, v = kappa.float()[:, None], z.float()[:, None]
    t = -math.pi + (v + math.pi) * torch.linspace(0, 1, 5001)
    y = (t.cos() - _a(k)) * torch.exp(k * (t.cos() - v.cos()))
    return -torch.trapezoid(y, t)


def circle_from_the_right(kappa, z):
    unit = torch.linspace(0, 1, 3001, dtype=z.dtype)
    t = z[:, None] + (math.pi - z[:, None]) * unit
    y = (t.cos() - _a(kappa)[:, None]) * torch.exp(kappa[:, None] * t.cos())
    return torch.trapezoid(y, t) / torch.exp(kappa * z.cos())


RIGHT = {
    "draw-latents": [
        latents_plain, latents_by_rsample, latents_by_independent, latents_stacked,
        latents_expanded, latents_with_numpy_noise, latents_by_box_muller, latents_by_quantile,
        latents_by_lerp, latents_by_matrices,
    ],
    "leave-one-out": [
        loo_plain, loo_by_loops, loo_as_covariance, loo_by_rescaling, loo_by_numpy, loo_by_einsum,
        loo_by_masks, loo_in_double, loo_by_pairs, loo_column_by_column,
    ],
    "von-mises-slope": [
        circle_by_trapezoid, circle_by_simpson, circle_by_numpy, circle_by_differences,
        circle_by_autograd, circle_by_two_gradients, circle_by_gauss_legendre, circle_from_zero,
        circle_in_single, circle_from_the_right,
    ],
}  # fmt: skip
