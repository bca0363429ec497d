"""Inputs and right answers of exercises 6.2 and 6.4: the jackknife, and the rate in three parts."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

Three = tuple[Tensor, Tensor, Tensor]

# The jackknife

SHAPES = ((12, 4), (5, 2), (20, 3))


def draw_weights(rng: torch.Generator) -> list[tuple[Tensor]]:
    """Log-weights `(K, B)` of a spread of 1.5 nats, in double precision."""
    sizes = [torch.Size(shape) for shape in SHAPES]
    return [(1.5 * torch.randn(s, generator=rng, dtype=torch.float64) - 3,) for s in sizes]


def draw_far_weights(rng: torch.Generator) -> list[tuple[Tensor]]:
    """The same, thousands of nats up and down."""
    return [(w + shift,) for (w,), shift in zip(draw_weights(rng), (-3000.0, 2000.0, -900.0))]


def draw_ruling_weights(rng: torch.Generator) -> list[tuple[Tensor]]:
    """The same, with one weight for each image that is e^60 times as large as the others."""
    cases = draw_weights(rng)
    for (log_w,) in cases:
        ruler = torch.randint(len(log_w), log_w.shape[1:], generator=rng)
        log_w[ruler, torch.arange(log_w.shape[1])] += 60
    return cases


def jackknife_oracle(log_w: Tensor) -> tuple[Tensor, Tensor]:
    """By sums of the weights themselves, with fifty digits."""
    found = [_exact(column) for column in log_w.double().T.tolist()]
    return tuple(torch.tensor(part, dtype=torch.float64) for part in zip(*found))


def _exact(log_w: list[float]) -> tuple[float, float]:
    with localcontext() as context:
        context.prec = 50
        weights = [Decimal(each).exp() for each in log_w]
        total, count = sum(weights), len(weights)
        without = [((total - each) / (count - 1)).ln() for each in weights]
        mean = sum(without) / count
        estimate = count * (total / count).ln() - (count - 1) * mean
        spread = sum((each - mean) ** 2 for each in without) * (count - 1) / count
        return float(estimate), float(spread.sqrt())


# The rate in three parts


def _drawn(mu: Tensor, logvar: Tensor, draws: int, rng: torch.Generator) -> Three:
    """Means, log-variances, and z `(S, N, D)` from q(z | x) of each image."""
    eps = torch.randn(draws, *mu.shape, generator=rng, dtype=mu.dtype)
    return mu, logvar, mu + torch.exp(0.5 * logvar) * eps


def draw_encodings(rng: torch.Generator) -> list[Three]:
    cases = []
    for images, latents, draws in ((6, 3, 4), (9, 2, 3), (5, 4, 2)):
        mu, logvar = torch.randn(2, images, latents, generator=rng, dtype=torch.float64)
        cases.append(_drawn(mu, logvar - 1, draws, rng))
    return cases


def draw_collapsed(rng: torch.Generator) -> list[Three]:
    """The same q for every image."""
    mu, logvar = torch.randn(2, 1, 3, generator=rng, dtype=torch.float64)
    return [_drawn(mu.expand(7, 3).clone(), logvar.expand(7, 3).clone(), 3, rng)]


def draw_far_encodings(rng: torch.Generator) -> list[Three]:
    """Posteriors of unit width, forty apart in each of a thousand dimensions."""
    order = [torch.randperm(6, generator=rng) for _ in range(1000)]
    mu = 40 * torch.stack(order, 1).double()
    return [_drawn(mu, torch.zeros_like(mu), 2, rng)]


def far_value(mu: Tensor, logvar: Tensor, z: Tensor) -> tuple[float, float, float]:
    """Where posteriors do not overlap, each q(z_d) tells which image it was: log N nats."""
    images, latents = mu.shape
    rate = 0.5 * float(mu.square().sum()) / images
    each = math.log(images)
    return each, (latents - 1) * each, rate - latents * each


def rate_oracle(mu: Tensor, logvar: Tensor, z: Tensor) -> tuple[float, float, float]:
    """With torch's own mixtures, in double precision."""
    mu, z, stddev = mu.double(), z.double(), torch.exp(0.5 * logvar.double())
    images, latents = mu.shape
    own = Independent(Normal(mu, stddev), 1)
    whole = MixtureSameFamily(Categorical(torch.ones(images)), own)
    single = MixtureSameFamily(
        Categorical(torch.ones(latents, images)), Normal(mu.T.contiguous(), stddev.T.contiguous())
    )
    log_q, log_singles = whole.log_prob(z), single.log_prob(z).sum(-1)  # (S, N)
    prior = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    information = float((own.log_prob(z) - log_q).mean())
    correlation = float((log_q - log_singles).mean())
    rate = float(kl_divergence(own, prior).mean())
    return information, correlation, rate - information - correlation
