"""Right answers to the exercises of chapter 3."""

import math

import numpy as np
import torch
from torch import distributions as td
from torch.nn import functional as F

# laplace-energy


def laplace_by_distribution(x, x_hat, scale):
    return -td.Laplace(x_hat, scale).log_prob(x).sum(dim=(1, 2, 3))


def laplace_by_independent(x, x_hat, scale):
    return -td.Independent(td.Laplace(x_hat, scale * torch.ones_like(x)), 3).log_prob(x)


def laplace_by_l1(x, x_hat, scale):
    n = x[0].numel()
    return F.l1_loss(x_hat, x, reduction="none").flatten(1).sum(1) / scale + n * math.log(2 * scale)


def laplace_by_mean(x, x_hat, scale):
    n = math.prod(x.shape[1:])
    return n * ((x - x_hat).abs().mean(dim=(1, 2, 3)) / scale + np.log(2 * scale))


def laplace_by_numpy(x, x_hat, scale):
    off = np.abs(x.numpy() - x_hat.numpy()).reshape(len(x), -1)
    return (off / scale + np.log(2 * scale)).sum(1)


def laplace_by_norm(x, x_hat, scale):
    off = torch.linalg.vector_norm((x - x_hat).flatten(1), ord=1, dim=1)
    return off / scale - x[0].numel() * torch.log(torch.tensor(1 / (2 * scale)))


def laplace_by_loops(x, x_hat, scale):
    return [
        sum(abs(a - b) / scale + math.log(2 * scale) for a, b in zip(p.tolist(), q.tolist()))
        for p, q in zip(x.flatten(1), x_hat.flatten(1))
    ]


def laplace_by_density(x, x_hat, scale):
    density = torch.exp(-(x - x_hat).abs().double() / scale) / (2 * scale)
    return -density.log().flatten(1).sum(1)


def laplace_by_cdist(x, x_hat, scale):
    off = torch.cdist(x.flatten(1), x_hat.flatten(1), p=1).diagonal()
    return off / scale + (math.log(2) + math.log(scale)) * x[0].numel()


def make_laplace(log=math.log):
    two = 2

    def laplace_of_closure(x, x_hat, scale):
        each = torch.maximum(x - x_hat, x_hat - x) / scale + log(two * scale)
        return torch.einsum("bchw->b", each)

    return laplace_of_closure


# kl


def kl_usual(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


def kl_by_distribution(mu, logvar):
    return td.kl_divergence(td.Normal(mu, (0.5 * logvar).exp()), td.Normal(0.0, 1.0)).sum(1)


def kl_by_numpy(mu, logvar):
    m, v = mu.numpy(), logvar.numpy()
    return (0.5 * (m**2 + np.exp(v) - 1 - v)).sum(axis=-1)


def kl_by_arrays(mu, logvar):
    return torch.from_numpy(kl_by_numpy(mu.detach(), logvar.detach()))


def kl_by_loops(mu, logvar):
    out = torch.zeros(len(mu))
    for b in range(len(mu)):
        for d in range(mu.shape[1]):
            out[b] += 0.5 * (mu[b, d] ** 2 + logvar[b, d].exp() - 1 - logvar[b, d])
    return out


def kl_by_matrices(mu, logvar):
    q = td.MultivariateNormal(mu, torch.diag_embed(logvar.exp()))
    D = mu.shape[1]
    return td.kl_divergence(q, td.MultivariateNormal(torch.zeros(D), torch.eye(D)))


def kl_by_trace(mu, logvar):
    covariance = torch.diag_embed(logvar.exp())
    trace = covariance.diagonal(dim1=1, dim2=2).sum(-1)
    return 0.5 * (trace + (mu * mu).sum(-1) - mu.shape[1] - torch.logdet(covariance))


def kl_with_sigma(mu, logvar):
    sigma = torch.exp(logvar / 2)
    return (0.5 * (mu**2 + sigma**2 - 1) - torch.log(sigma)).sum(dim=-1)


scale = 0.5


def kl_with_scale_outside(mu, logvar):
    return scale * (mu.double() ** 2 + logvar.double().expm1() - logvar.double()).sum(1)


class ClosedForm(torch.nn.Module):
    def forward(self, mu, logvar):
        inside = torch.stack([mu.square(), logvar.exp(), -torch.ones_like(mu), -logvar])
        return torch.einsum("tbd->b", inside) / 2


# hidden-beta


def beta_by_calls(loss, n, D):
    x, m = torch.zeros(1, n), torch.zeros(1, D)
    c = loss(x, x, m, m)
    rec = (loss(x, x + 1, m, m) - c) / (n / 2)
    return (loss(x, x, m + 1, m) - c) / (D / 2) / rec


def beta_as_float(loss, n, D):
    return float(beta_by_calls(loss, n, D))


def beta_as_array(loss, n, D):
    return np.array([beta_by_calls(loss, n, D).item()])


def beta_by_gradients(loss, n, D):
    x, m = torch.zeros(1, n), torch.zeros(1, D)
    x_hat, mu = torch.ones(1, n, requires_grad=True), torch.ones(1, D, requires_grad=True)
    a, b = torch.autograd.grad(loss(x, x_hat, mu, m), (x_hat, mu))
    return b[0, 0] / a[0, 0]


def beta_by_one_pixel(loss, n, D):
    x, m = torch.zeros(1, n), torch.zeros(1, D)
    y, u = x.clone(), m.clone()
    y[0, 0], u[0, 0] = 10.0, 10.0
    c = loss(x, x, m, m)
    return (loss(x, x, u, m) - c) / (loss(x, y, m, m) - c)


def beta_by_logvar(loss, n, D):
    x, m = torch.zeros(1, n).double(), torch.zeros(1, D).double()
    c = loss(x, x, m, m)
    kl = 0.5 * D * (math.e - 2)
    rec = (loss(x, x - 3, m, m) - c) / (4.5 * n)
    return ((loss(x, x, m, m + 1) - c) / kl / rec).item()


def beta_by_a_batch(loss, n, D):
    x, m = torch.zeros(5, n), torch.zeros(5, D)
    c = loss(x, x, m, m).item()
    error = (loss(x + 2, x, m, m).item() - c) / (2 * n)
    return (loss(x, x, m - 2, m).item() - c) / (2 * D) / error


def beta_by_random_points(loss, n, D):
    x, y = torch.rand(2, 4, n, dtype=torch.float64)
    mu, v = torch.randn(2, 4, D, dtype=torch.float64)
    zero = torch.zeros(4, D).double()
    c = loss(x, x, zero, zero)
    half = 0.5 * (x - y).square().sum(1).mean()
    kl = 0.5 * (mu**2 + v.exp() - 1 - v).sum(1).mean()
    return ((loss(x, x, mu, v) - c) / kl) / ((loss(x, y, zero, zero) - c) / half)


def beta_by_least_squares(loss, n, D):
    rows, values = [], []
    for a, b in ((0, 0), (1, 0), (0, 1), (2, 1), (1, 2)):
        x, m = torch.zeros(1, n).double(), torch.zeros(1, D).double()
        rows.append([a**2 * n / 2, b**2 * D / 2, 1.0])
        values.append(float(loss(x, x + a, m + b, m)))
    weights = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return weights[1] / weights[0]


def beta_by_differences(loss, n, D):
    x, m, h = torch.zeros(1, n).double(), torch.zeros(1, D).double(), 1e-3

    def second(f):
        return (f(h) - 2 * f(0.0) + f(-h)) / h**2

    a = second(lambda t: loss(x, x + t, m, m)) / n
    return second(lambda t: loss(x, x, m + t, m)) / D / a


RIGHT = {
    "laplace-energy": [
        laplace_by_distribution, laplace_by_independent, laplace_by_l1, laplace_by_mean,
        laplace_by_numpy, laplace_by_norm, laplace_by_loops, laplace_by_density, laplace_by_cdist,
        make_laplace(),
    ],
    "kl": [
        kl_usual, kl_by_distribution, kl_by_numpy, kl_by_arrays, kl_by_loops, kl_by_matrices,
        kl_by_trace, kl_with_sigma, kl_with_scale_outside, ClosedForm(),
    ],
    "hidden-beta": [
        beta_by_calls, beta_as_float, beta_as_array, beta_by_gradients, beta_by_one_pixel,
        beta_by_logvar, beta_by_a_batch, beta_by_random_points, beta_by_least_squares,
        beta_by_differences,
    ],
}  # fmt: skip
