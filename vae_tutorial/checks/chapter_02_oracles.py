"""The exercises of chapter 2: inputs, right answers, and the formulas that mistakes are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

# kl-of-two: a and b are mean and log-variance of q, c and d those of p, all (B, D)


def draw_pairs(rng: torch.Generator) -> list[tuple[Tensor, ...]]:
    return [
        tuple(scale * torch.randn(shape, generator=rng) for scale in (1.0, 0.7, 1.0, 0.7))
        for shape in [(5, 3), (1, 4), (6, 1), (1, 1)]
    ]


def kl_of_two(mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor, logvar_p: Tensor) -> Tensor:
    """The divergence that torch.distributions computes, in double precision."""
    q = Normal(mu_q.double(), torch.exp(0.5 * logvar_q.double()))
    p = Normal(mu_p.double(), torch.exp(0.5 * logvar_p.double()))
    return kl_divergence(q, p).sum(-1)


def kl_terms(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return 0.5 * (d - b + (b.exp() + (a - c).square()) / d.exp() - 1)


# log-mean-weight: p is log p(x, z) and q is log q(z), both (K, B)


def draw_log_densities(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    return [
        (torch.randn(shape, generator=rng) - 3, torch.randn(shape, generator=rng) - 1)
        for shape in [(7, 3), (1, 4), (5, 1), (300, 2)]
    ]


def draw_images(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """As for whole images: far below zero, and hundreds of nats between one and the next."""
    level = torch.tensor([-900.0, -1300.0, -2000.0, -5000.0])
    return [(3 * torch.randn(20, 4, generator=rng) + level, torch.randn(20, 4, generator=rng))]


def log_mean_weight(log_joint: Tensor, log_q: Tensor) -> Tensor:
    """Weight for weight, relative to the largest."""
    results = []
    for log_w in (log_joint.double() - log_q.double()).unbind(1):
        largest = float(log_w.max())
        mean = sum((each - largest).exp() for each in log_w) / len(log_w)
        results.append(largest + torch.log(mean))
    return torch.stack(results)


def log_sum(p: Tensor, q: Tensor) -> Tensor:
    return torch.logsumexp(p - q, 0)


# coordinate-ascent: answers are (mean, covariance, start, sweeps) -> (m, v)


def draw_targets(rng: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor, int]]:
    cases = []
    for size, sweeps in [(3, 1), (2, 2), (5, 3), (1, 1)]:
        root = torch.randn(size, size, generator=rng)
        mean, away = torch.randn(2, size, generator=rng)
        covariance = root @ root.T + 0.5 * torch.eye(size)
        cases.append((mean, covariance, mean + 2 + away.abs(), sweeps))
    return cases


def draw_long_runs(rng: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor, int]]:
    return [(*case[:3], 300) for case in draw_targets(rng)[:2]]


def coordinate_ascent(
    mean: Tensor, covariance: Tensor, start: Tensor, sweeps: int
) -> tuple[Tensor, Tensor]:
    """A sweep solves a triangular system; a variance is that of z_i given all the others."""
    precision, variances = torch.linalg.inv(covariance.double()), []
    error = (start - mean).double().unsqueeze(-1)
    for _ in range(sweeps):
        right = -precision.triu(1) @ error
        error = torch.linalg.solve_triangular(precision.tril(), right, upper=False)
    for i, row in enumerate(covariance.double()):
        others = [j for j in range(len(mean)) if j != i]
        known = torch.linalg.solve(covariance.double()[others][:, others], row[others])
        variances.append(row[i] - row[others] @ known)
    return mean + error.squeeze(-1), torch.stack(variances)


def sweeping(step: Callable[..., Tensor], together: bool = False) -> Callable:
    """An answer that sets m_i to mean_i - step(row i of Λ, m - mean, i)."""

    def answer(mean: Tensor, matrix: Tensor, start: Tensor, sweeps: int) -> tuple[Tensor, Tensor]:
        precision, m = torch.linalg.inv(matrix), start.clone()
        for _ in range(sweeps):
            seen = m.clone() if together else m
            for i in range(len(m)):
                m[i] = mean[i] - step(precision[i], seen - mean, i)
        return m, 1 / precision.diagonal()

    return answer


def pull(row: Tensor, error: Tensor, i: int) -> Tensor:
    return (row @ error - row[i] * error[i]) / row[i]


ascent = sweeping(pull)  # right, written as a student would


def means(answer: Callable[..., tuple[Tensor, Tensor]], *inputs: Any) -> Tensor:
    return answer(*inputs)[0]


def variances(answer: Callable[..., tuple[Tensor, Tensor]], *inputs: Any) -> Tensor:
    return answer(*inputs)[1]
