"""The exercises of chapter 4: inputs, right answers, and what is measured of an answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.core import Unmet, Within

Sampler = Callable[[Tensor, Tensor, int], Tensor]
MANY = 4000  # samples for each entry; five standard errors of a spread are then 6 per cent


# draw-latents: the sampling step, with K samples for each image


def draw_encodings(rng: torch.Generator) -> list[tuple[Tensor, Tensor, int]]:
    """`mu`, `logvar` and K, away from 0: there σ, σ² and 1/σ are one number."""
    return [_encoding(rng, shape, K) for shape, K in (((4, 3), 5), ((1, 2), 3), ((3, 1), 1))]


def draw_many(rng: torch.Generator) -> list[tuple[Tensor, Tensor, int]]:
    return [_encoding(rng, (3, 2), MANY)]


def _encoding(rng: torch.Generator, shape: tuple[int, int], K: int) -> tuple[Tensor, Tensor, int]:
    signs = torch.randint(0, 2, shape, generator=rng) * 2 - 1
    mu = signs * (1 + torch.rand(shape, generator=rng))
    return mu, -3 + 2 * torch.rand(shape, generator=rng), K


def right_draw(mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    """By torch's own reparameterized normal distribution."""
    return torch.distributions.Normal(mu, logvar.exp().sqrt()).rsample((K,))


def mean_of_samples(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    return answer(mu, logvar, K).detach().mean(0)


def spread_of_samples(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    return answer(mu, logvar, K).detach().std(0)


def expected_mean(mu: Tensor, logvar: Tensor, K: int) -> Within:
    return Within(mu, 5 * logvar.exp().sqrt() / K**0.5)


def expected_spread(mu: Tensor, logvar: Tensor, K: int) -> Within:
    """The standard error of a normal sample's standard deviation is about σ / √(2K)."""
    sigma = logvar.exp().sqrt()
    return Within(sigma, 5 * sigma / (2 * K) ** 0.5)


def path_to_mu(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    """dz/dmu, a mean over the K samples: 1 in every entry."""
    return _slopes(answer, mu, logvar, K)[1] / K


def path_to_logvar(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    """Σ_k dz_k/dlogvar, divided by ½ Σ_k (z_k − mu): 1 in every entry, whatever the noise is."""
    z, _, slope = _slopes(answer, mu, logvar, K)
    return slope / (0.5 * (z - mu).sum(0))


def ones_like_mu(mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    return torch.ones_like(mu)


def _slopes(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> tuple[Tensor, Tensor, Tensor]:
    leaves = [mu.detach().clone().requires_grad_(), logvar.detach().clone().requires_grad_()]
    z = answer(leaves[0].clone(), leaves[1].clone(), K)
    tied = z.sum() + 0 * (leaves[0].sum() + leaves[1].sum())  # a cut path gives 0, not an error
    return z.detach(), *torch.autograd.grad(tied, leaves)


def own_noise(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> bool:
    """Each entry's noise differs from that of all others, and from that of the next call."""
    z = answer(mu, logvar, K).detach()
    if torch.allclose(z[0], z[1]):
        raise Unmet(ONE_SAMPLE)
    if torch.equal(z, answer(mu, logvar, K).detach()):
        raise Unmet("Two calls gave the same samples. Draw fresh noise in every call.")
    eps = (z - z.mean(0)) / z.std(0)  # (K, B, D)
    for one, other, whose in (
        (eps[:, 0], eps[:, 1], "All images"),
        (eps[..., 0], eps[..., 1], "All latent dimensions of an image"),
    ):
        if torch.allclose(one, other, atol=1e-3):
            raise Unmet(
                f"{whose} got the same noise, by broadcasting. Draw it in the full shape, "
                "(K, B, D): noise that is shared does not average out."
            )
    return True


def full_noise(mu: Tensor, K: int) -> Tensor:
    return torch.randn(K, *mu.shape)


def with_sigma(sigma: Callable[[Tensor], Tensor]) -> Sampler:
    return lambda mu, logvar, K: mu + sigma(logvar) * full_noise(mu, K)


ONE_SAMPLE = (
    "The K samples of an image are all the same: there is no noise, or it was drawn once for all "
    "K. Draw it in the full shape, (K, B, D)."
)


def latent_shape(z: Any, mu: Tensor, logvar: Tensor, K: int) -> None:
    """The gate: (K, B, D), with the reason where it is another shape."""
    wanted = (K, *mu.shape)
    shape = tuple(z.shape) if isinstance(z, Tensor) else None
    if shape == wanted:
        return
    reason = {
        tuple(mu.shape): "one sample for each image, or their mean. K samples of each are asked "
        "for: draw the noise in the shape (K, *mu.shape).",
        (len(mu), K, mu.shape[1]): "the axes in another order. Samples come first, as in "
        "`rsample((K,))`.",
    }.get(shape, "something else.")
    came = f"a tensor of shape {shape}" if shape is not None else type(z).__name__
    raise Unmet(f"{came} came, where (K, B, D) is expected, here {wanted}: {reason}")


# leave-one-out: the score function with the mean of the others as the baseline


def draw_scores(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Values far from zero, as log-likelihoods are, and scores; K = 2 and N = 1 among them."""
    shapes = [(4, 6), (2, 3), (5, 1), (3, 3)]
    return [
        (10 + 3 * torch.randn(shape, generator=rng), torch.randn(shape, generator=rng))
        for shape in shapes
    ]


def sample_covariance(values: Tensor, scores: Tensor) -> Tensor:
    """The same number by another route: the covariance of each column, with K − 1 below."""
    pairs = torch.stack([values.double(), scores.double()])  # (2, K, N)
    return torch.stack([torch.cov(pairs[:, :, n])[0, 1] for n in range(values.shape[1])])


def mean_of_others(values: Tensor) -> Tensor:
    return (values.sum(0) - values) / (len(values) - 1)


def difference_when_shifted(answer: Callable[..., Any], values: Tensor, scores: Tensor) -> Tensor:
    return answer(values + 5.0, scores) - answer(values, scores)


# von-mises-slope: implicit reparameterization on the circle


def draw_angles(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """κ from 0.2 to 12, and angles within three spreads of the centre, in double precision."""
    cases = []
    for count in (12, 1):
        kappa = 0.2 * 60 ** torch.rand(count, generator=rng, dtype=torch.float64)
        reach = (3 / kappa.sqrt()).clamp_max(2.9)
        signs = torch.randint(0, 2, (count,), generator=rng) * 2 - 1
        share = 0.1 + 0.9 * torch.rand(count, generator=rng, dtype=torch.float64)
        cases.append((kappa, signs * share * reach))
    return cases


def draw_quantiles(_: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """200 samples of one distribution, at evenly spaced levels u: a mean is an integral over u."""
    levels = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    cases = []
    for concentration in (0.7, 4.0):
        kappa = torch.full_like(levels, concentration)
        cases.append((kappa, _von_mises_quantile(kappa, levels)))
    return cases


def _von_mises_cdf(kappa: Tensor, z: Tensor) -> Tensor:
    """Q(z) by Simpson's rule on both sides of z, 600 steps each: no density is differentiated."""
    unit = torch.linspace(0, 1, 601, dtype=torch.float64)
    weights = torch.full_like(unit, 2.0)
    weights[1::2] = 4.0
    weights[0] = weights[-1] = 1.0

    def mass(low: Tensor, high: Tensor) -> Tensor:
        t = low[:, None] + (high - low)[:, None] * unit  # (N, 601)
        density = torch.exp(kappa[:, None] * (t.cos() - 1))
        return (density * weights).sum(1) * (high - low) / 1800

    below = mass(torch.full_like(z, -math.pi), z)
    return below / (below + mass(z, torch.full_like(z, math.pi)))


def _von_mises_quantile(kappa: Tensor, levels: Tensor) -> Tensor:
    """The angle with Q(z) = u, by bisection."""
    low, high = torch.full_like(levels, -math.pi), torch.full_like(levels, math.pi)
    for _ in range(45):  # to 2π / 2^45, about 2e-13
        middle = (low + high) / 2
        below = _von_mises_cdf(kappa, middle) < levels
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def moved_quantile(kappa: Tensor, z: Tensor) -> Tensor:
    """dz/dκ at a fixed level, by its definition: the quantile moves, and (4.13) is not used."""
    h = 1e-4 * kappa
    levels = _von_mises_cdf(kappa, z)
    ahead, behind = (_von_mises_quantile(k, levels) for k in (kappa + h, kappa - h))
    return (ahead - behind) / (2 * h)


def gradient_of_mean_cosine(answer: Callable[..., Tensor], kappa: Tensor, z: Tensor) -> Tensor:
    return (-z.sin() * answer(kappa, z)).mean()


def slope_of_mean_cosine(kappa: Tensor, z: Tensor) -> Tensor:
    """d/dκ of A = I₁/I₀ is 1 − A/κ − A²."""
    mean = _mean_cosine(kappa[0])
    return 1 - mean / kappa[0] - mean**2


def _mean_cosine(kappa: Tensor) -> Tensor:
    return torch.special.i1e(kappa) / torch.special.i0e(kappa)


def integral_from_minus_pi(
    kappa: Tensor, z: Tensor, integrand: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """∫ from −π to z of integrand(κ, t) e^{κ (cos t − cos z)} dt."""
    unit = torch.linspace(0, 1, 2001, dtype=z.dtype)
    t = -math.pi + (z[:, None] + math.pi) * unit
    wide = kappa[:, None]
    ratio = torch.exp(wide * (t.cos() - z[:, None].cos()))
    return torch.trapezoid(integrand(wide, t) * ratio, t)


def centred_cosine(kappa: Tensor, t: Tensor) -> Tensor:
    return t.cos() - _mean_cosine(kappa)


def moved_mass(kappa: Tensor, z: Tensor) -> Tensor:
    """∂Q/∂κ over the density at z."""
    return integral_from_minus_pi(kappa, z, centred_cosine)
