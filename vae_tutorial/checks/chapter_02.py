"""The exercises of chapter 2, latent variables and variational inference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_tutorial.checks.core import Exercise, Property, Suspect, gradient, keeps_inputs


def _draw_pairs(rng: torch.Generator) -> list[tuple[Tensor, ...]]:
    return [
        tuple(scale * torch.randn(shape, generator=rng) for scale in (1.0, 0.7, 1.0, 0.7))
        for shape in [(5, 3), (1, 4), (6, 1), (1, 1)]
    ]


def kl_of_two(mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor, logvar_p: Tensor) -> Tensor:
    ratio = (logvar_q - logvar_p).exp()
    distance = (mu_q - mu_p) ** 2 / logvar_p.exp()
    return (0.5 * (ratio + distance - 1 + logvar_p - logvar_q)).sum(-1)


_KL_OF_TWO = Exercise(
    name="kl-of-two",
    call_as="kl_of_two(mu_q, logvar_q, mu_p, logvar_p)",
    returns="the divergence of each row, (B,)",
    inputs=_draw_pairs,
    answer=kl_of_two,
    sizes=lambda mu_q, *_: {"B": len(mu_q), "D": mu_q.shape[1]},
    properties=(
        Property("it is the divergence of each row, in nats", 7),
        keeps_inputs(),
        gradient(),
    ),
    slips=(
        (".sum(-1)", ".mean(-1)",
         "You averaged over the dimensions. Their divergences add up: sum."),
        (".sum(-1)", "", "One number for each dimension came. Their divergences add up: sum."),
        (".sum(-1)", ".sum()", "You summed over the batch too. Each row has its own divergence."),
        ("logvar_p - logvar_q)", "2 * (logvar_p - logvar_q))",
         "The logarithm counts twice: log(s₂/s₁) is ½ (logvar_p − logvar_q)."),
        (" - 1 +", " +", "The −½ is missing: for two equal Gaussians the divergence must be 0."),
        (" / logvar_p.exp()", "", "The distance of the means is not divided by the variance of p."),
        (".sum(-1)", ".sum(0)", "You summed over the rows, the first axis. Sum over the last."),
        (".exp()", ".mul(0.5).exp()",
         "You put standard deviations where variances belong: s² is `logvar.exp()`."),
    ),
)  # fmt: skip


def _draw_log_densities(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    return [
        (torch.randn(shape, generator=rng) - 3, torch.randn(shape, generator=rng) - 1)
        for shape in [(7, 3), (1, 4), (5, 1), (300, 2)]
    ]


def _draw_images(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Thousands of nats between one image and the next, and between the draws of one image."""
    level = torch.tensor([-900.0, -1300.0, -2500.0, -6000.0])
    near = 3 * torch.randn(20, 4, generator=rng) + level
    far = near - 3000 * torch.rand(20, 4, generator=rng)
    return [(each, torch.randn(20, 4, generator=rng)) for each in (near, far, -far)]


def log_mean_weight(log_joint: Tensor, log_q: Tensor) -> Tensor:
    log_w = log_joint - log_q
    return log_w.logsumexp(0) - math.log(len(log_w))


_MEAN = "log_w.logsumexp(0) - math.log(len(log_w))"
_TOP = "(log_w - {0}).exp().mean(0).log() + {0}"
_LOG_MEAN_WEIGHT = Exercise(
    name="log-mean-weight",
    call_as="log_mean_weight(log_joint, log_q)",
    returns="the estimate of log p(x) for each image, (B,)",
    inputs=_draw_log_densities,
    answer=log_mean_weight,
    sizes=lambda log_joint, log_q: {"K": len(log_q), "B": log_q.shape[1]},
    properties=(
        Property("it is the logarithm of the mean weight of each image", 4),
        Property("log-densities thousands of nats apart neither under- nor overflow", 3,
                 inputs=_draw_images),
        keeps_inputs(),
        gradient(),
    ),
    slips=(
        (_MEAN, "log_w.mean(0)",
         "You averaged the logarithms: that estimates the ELBO. Average the weights first."),
        (" - math.log(len(log_w))", "",
         "That is the logarithm of the sum of the weights. Their mean is the sum divided by K: "
         "subtract log K."),
        ("- math", "+ math", "You added log K. Dividing by K means subtracting log K."),
        (_MEAN, "log_w.logsumexp(0) / len(log_w)",
         "You divided the logarithm by K. Divide the sum of the weights: that subtracts log K."),
        (_MEAN, "log_w.exp().mean(0)",
         "These are the means of the weights. Return their logarithms."),
        (_MEAN, "log_w.amax(0)", "That is the largest log-weight. Take the logarithm of the mean."),
        (" - log_q", "", "q is not used: divide p(x, z) by q(z), so subtract `log_q`."),
        (" - log_q", " + log_q", "You multiplied by q(z). A weight is p(x, z) / q(z)."),
        (_MEAN, "log_joint.logsumexp(0) - log_q.logsumexp(0)",
         "You divided the mean of p(x, z) by that of q(z). Each draw has a weight of its own."),
        (_MEAN, _TOP.format("log_w.max()"),
         "You took out the largest weight of all images; where all weights of an image are far "
         "smaller, they underflow. Each needs its own: `.amax(0)`."),
        (_MEAN, _TOP.format("log_w.mean(0)"),
         "You took out the mean of the log-weights. The largest may lie thousands of nats above "
         "it: take out the largest."),
        (_MEAN, "(log_w - log_w.amax(0)).exp().mean(0).log()",
         "You took the largest log-weight out, and did not add it again."),
        (_MEAN, "(log_w.exp().mean(0) + 1e-8).log()",
         "A small number in the logarithm hides the underflow, and is far larger than the "
         "weights."),
        (_MEAN, "log_w.exp().mean(0).log()",
         "exp(−1000) is zero to a computer, and exp(1000) infinite. `torch.logsumexp` takes the "
         "largest term out of the sum first."),
    ),
)  # fmt: skip


def _draw_targets(rng: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor, int]]:
    cases = []
    for size, sweeps in [(3, 1), (2, 2), (5, 3), (1, 1)]:
        root = torch.randn(size, size, generator=rng)
        mean, away = torch.randn(2, size, generator=rng)
        covariance = root @ root.T + 0.5 * torch.eye(size)
        cases.append((mean, covariance, mean + 2 + away.abs(), sweeps))
    return cases


def coordinate_ascent(mean: Tensor, covariance: Tensor, start: Tensor, sweeps: int) -> tuple:
    precision, m = torch.linalg.inv(covariance), start.clone()
    for _ in range(sweeps):
        for i in range(len(m)):
            others = precision[i] @ (m - mean) - precision[i, i] * (m[i] - mean[i])
            m[i] = mean[i] - others / precision[i, i]
    return m, 1 / precision.diagonal()


_COORDINATE_ASCENT = Exercise(
    name="coordinate-ascent",
    call_as="coordinate_ascent(mean, covariance, start, sweeps)",
    returns="a tuple: the means and the variances of q, (D,) each",
    inputs=_draw_targets,
    answer=coordinate_ascent,
    properties=(
        Property("the means after the sweeps", 5, lambda f, *c: f(*c)[0], rtol=1e-3, atol=1e-3),
        Property("its variances", 3, lambda f, *c: f(*c)[1], rtol=1e-3),
        keeps_inputs(),
    ),
    slips=(
        ("range(sweeps)", "range(1)", "Only one sweep was made. Repeat it."),
        ("range(sweeps)", "range(sweeps + 1)", "You made one sweep more than `sweeps` says."),
        ("range(sweeps)", "range(500)",
         "These are the means after very many sweeps, the target's. Return those after `sweeps` "
         "of them."),
        ("range(len(m))", "reversed(range(len(m)))",
         "You went from the last factor to the first. The text begins with factor 0."),
        ("(m - mean) - precision[i, i] * (m[i] - mean[i])", "m - precision[i, i] * m[i]",
         "Λ_ij multiplies m_j − mean_j; you left out the means."),
        ("start.clone()", "torch.zeros_like(start)", "You started at zero and not at `start`."),
        ("= mean[i] -", "= mean[i] +", "The sign of the sum is wrong: it changes sides."),
        (" - precision[i, i] * (m[i] - mean[i])", "",
         "The sum runs over j ≠ i; yours includes j = i."),
        ("others / precision[i, i]", "others", "The sum is not divided by Λ_ii."),
        ("1 / precision.diagonal()", "covariance.diagonal()",
         "These are the marginal variances Σ_ii. Mean field arrives at the smaller 1/Λ_ii, "
         "(2.13)."),
        ("1 / precision", "precision", "These are the precisions Λ_ii. The variance is 1/Λ_ii."),
        ("1 / precision", "1 / covariance",
         "These are 1/Σ_ii. Invert the matrix, then take its diagonal: 1/Λ_ii."),
        ("torch.linalg.inv(covariance)", "covariance",
         "You used the covariance Σ where the precision Λ belongs: invert it first."),
        ("1 / precision.diagonal()", "precision.diagonal().rsqrt()",
         "These are the standard deviations. Variances are asked for."),
    ),
    suspects=(
        Suspect(
            lambda mean, covariance, start, sweeps: _together(mean, covariance, start, sweeps),
            "You updated all means at once from the old ones. In coordinate ascent each update "
            "uses the newest values of the others; all at once, the divergence may even rise.",
        ),
        Suspect(
            lambda mean, *rest: coordinate_ascent(0 * mean, *rest),
            "The target's mean is forgotten: your means go to zero. Λ_ij multiplies m_j − mean_j, "
            "and mean_i comes in front.",
        ),
    ),
)  # fmt: skip


def _together(mean: Tensor, covariance: Tensor, start: Tensor, sweeps: int) -> tuple:
    precision, m = torch.linalg.inv(covariance), start
    for _ in range(sweeps):
        m = m - precision @ (m - mean) / precision.diagonal()
    return m, 1 / precision.diagonal()


EXERCISES = (_KL_OF_TWO, _LOG_MEAN_WEIGHT, _COORDINATE_ASCENT)
