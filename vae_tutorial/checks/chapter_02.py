"""The exercises of chapter 2, latent variables and variational inference."""

from __future__ import annotations

import math

import torch

from vae_tutorial.checks.chapter_02_oracles import (
    ascent,
    coordinate_ascent,
    draw_images,
    draw_log_densities,
    draw_long_runs,
    draw_pairs,
    draw_targets,
    kl_of_two,
    kl_terms,
    log_mean_weight,
    log_sum,
    means,
    pull,
    sweeping,
    variances,
)
from vae_tutorial.checks.core import (
    Exercise,
    Property,
    Suspect,
    gradient,
    keeps_inputs,
    only_arguments,
)

_KL_SUSPECTS = (
    Suspect(
        lambda a, b, c, d: kl_terms(a, b, c, d).mean(-1),
        "You averaged over the dimensions. Independent dimensions add their divergences: "
        "`.sum(-1)`.",
    ),
    Suspect(
        lambda a, b, c, d: kl_terms(c, d, a, b).sum(-1),
        "That is the divergence the other way round, KL(p ‖ q). The expectation is under the "
        "first argument, q, and the variance of p stands in the denominator.",
    ),
    Suspect(
        lambda a, b, c, d: -kl_terms(a, b, c, d).sum(-1),
        "The sign is wrong: these are minus the divergences, and a divergence is never negative.",
    ),
    Suspect(
        lambda a, b, c, d: 2 * kl_terms(a, b, c, d).sum(-1),
        "A factor ½ is missing: these are twice the right values.",
    ),
    Suspect(
        lambda a, b, c, d: (kl_terms(a, b, c, d) + 0.5 * (d - b)).sum(-1),
        "The logarithm counts twice: log(s₂/s₁) is ½ (logvar_p − logvar_q), since the logarithm "
        "of a standard deviation is half that of the variance.",
    ),
    Suspect(
        lambda a, b, c, d: kl_terms(a, 2 * b, c, 2 * d).sum(-1),
        "You took log σ for log σ²: `logvar` is the logarithm of the variance, so that "
        "`logvar.exp()` is σ² already, and not σ.",
    ),
    Suspect(
        lambda a, b, c, d: (kl_terms(a, 0.5 * b, c, 0.5 * d) + 0.25 * (d - b)).sum(-1),
        "You put standard deviations where variances belong: s² is `logvar.exp()`, and "
        "`(0.5 * logvar).exp()` is s.",
    ),
    Suspect(
        lambda a, b, c, d: (kl_terms(a, b, c, d) + 0.5).sum(-1),
        "The −½ is missing: your values are D/2 too large. For two equal Gaussians the "
        "divergence must be 0.",
    ),
    Suspect(
        lambda a, b, c, d: (kl_terms(a, b, a, d) + 0.5 * (a - c).square()).sum(-1),
        "The distance of the means is not divided by the variance of p: a step of 1 weighs "
        "little for a wide p and much for a narrow one.",
    ),
    Suspect(
        lambda a, b, c, d: kl_terms(a, b, 0 * a, 0 * b).sum(-1),
        "That is the divergence from the standard normal: p is not used. Equation (2.12), not "
        "(2.13), is asked for.",
    ),
)

_WEIGHT_SUSPECTS = (
    Suspect(
        lambda p, q: (p - q).mean(0),
        "You averaged the logarithms: that estimates the ELBO, which is lower. The weights are "
        "averaged first, and the logarithm is taken of their mean.",
    ),
    Suspect(
        log_sum,
        "You have the logarithm of the sum of the weights. Their mean is the sum divided by K: "
        "subtract log K.",
    ),
    Suspect(
        lambda p, q: log_sum(p, q) + math.log(len(p)),
        "You added log K. Dividing by K means subtracting log K.",
    ),
    Suspect(
        lambda p, q: log_sum(p, q) / len(p),
        "You divided the logarithm by K. The sum of the weights is divided, which subtracts "
        "log K from its logarithm.",
    ),
    Suspect(
        lambda p, q: (p - q).exp().mean(0),
        "These are the means of the weights. Return their logarithms.",
    ),
    Suspect(
        lambda p, q: log_sum(p, 0 * q) - math.log(len(p)),
        "q is not used: these are the weights p(x, z). A draw that q favours must count for "
        "less, so divide by q(z): `log_joint - log_q`.",
    ),
    Suspect(
        lambda p, q: log_sum(p, -q) - math.log(len(p)),
        "You multiplied by q(z). A weight is p(x, z) / q(z), so its logarithm is "
        "`log_joint - log_q`.",
    ),
    Suspect(
        lambda p, q: torch.logsumexp(p - q, 1) - math.log(p.shape[1]),
        "You averaged over the images, the last axis. The draws run along the first: "
        "`torch.logsumexp(…, 0)`.",
    ),
)

_UNDERFLOW = (
    Suspect(
        lambda p, q: (p - q - (p - q).max()).exp().mean(0).log() + (p - q).max(),
        "You took out the largest weight of all images; in an image where all weights are far "
        "smaller, they still underflow. Each image needs its own: `.amax(0)`.",
    ),
    Suspect(
        lambda p, q: (p - q).exp().mean(0).log(),
        "exp(−1000) is zero to a computer, and its logarithm minus infinity. `torch.logsumexp` "
        "takes the largest term out of the sum first.",
    ),
)

_MEAN_SUSPECTS = (
    Suspect(
        sweeping(pull, together=True),
        "You updated all means at once from the old ones. In coordinate ascent each update uses "
        "the newest values of the others; all at once, the divergence may even rise.",
    ),
    Suspect(lambda a, b, c, _: ascent(a, b, c, 1), "Only one sweep was made. Repeat it."),
    Suspect(
        lambda a, b, c, n: ascent(a, b, torch.zeros_like(c), n),
        "You started at zero and not at `start`.",
    ),
    Suspect(
        lambda a, b, c, n: ascent(torch.zeros_like(a), b, c, n),
        "The target's mean is forgotten: your means go to zero. Λ_ij multiplies m_j − mean_j, "
        "and mean_i comes in front.",
    ),
    Suspect(
        sweeping(lambda row, error, i: -pull(row, error, i)),
        "The sign of the sum is wrong. The derivative is Λ_ii (m_i − mean_i) + "
        "Σ_{j≠i} Λ_ij (m_j − mean_j), and it must be zero: the sum changes sides.",
    ),
    Suspect(
        sweeping(lambda row, error, i: row @ error / row[i]),
        "The sum runs over j ≠ i; yours includes j = i.",
    ),
    Suspect(
        lambda a, b, c, n: ascent(a, torch.linalg.inv(b), c, n),
        "You used the covariance Σ where the precision Λ belongs: invert it first.",
    ),
    Suspect(
        sweeping(lambda row, error, i: row[i] * pull(row, error, i)),
        "The sum is not divided by Λ_ii.",
    ),
)
_VARIANCE_SUSPECTS = (
    Suspect(
        lambda a, b, c, n: (a, b.diagonal()),
        "You reported the marginal variances Σ_ii. Mean field arrives at the smaller 1/Λ_ii, "
        "(2.16): the precision enters, not the covariance.",
    ),
    Suspect(
        lambda a, b, c, n: (a, torch.linalg.inv(b).diagonal()),
        "These are the precisions Λ_ii. The variance is 1/Λ_ii.",
    ),
    Suspect(
        lambda a, b, c, n: (a, 1 / b.diagonal()),
        "These are 1/Σ_ii, and (2.16) says 1/Λ_ii: invert the matrix, then take its diagonal.",
    ),
    Suspect(
        lambda a, b, c, n: (a, torch.linalg.inv(b).diagonal().rsqrt()),
        "These are the standard deviations. Variances are asked for.",
    ),
)

EXERCISES = (
    Exercise(
        name="kl-of-two",
        call_as="kl_of_two(mu_q, logvar_q, mu_p, logvar_p)",
        returns="the divergence of each row, (B,)",
        inputs=draw_pairs,
        oracle=kl_of_two,
        properties=(
            Property("it is the divergence of each row, in nats", 5),
            gradient(3, "its gradient reaches both means and both log-variances"),
            keeps_inputs(1),
            only_arguments(1),
        ),
        suspects=_KL_SUSPECTS,
    ),
    Exercise(
        name="log-mean-weight",
        call_as="log_mean_weight(log_joint, log_q)",
        returns="the estimate of log p(x) for each image, (B,)",
        inputs=draw_log_densities,
        oracle=log_mean_weight,
        properties=(
            Property("it is the logarithm of the mean weight of each image", 4),
            Property(
                "log-densities of whole images do not underflow",
                2,
                inputs=draw_images,
                suspects=_UNDERFLOW,
            ),
            gradient(2, "its gradient reaches both log-densities"),
            keeps_inputs(1),
            only_arguments(1),
        ),
        suspects=_WEIGHT_SUSPECTS,
    ),
    Exercise(
        name="coordinate-ascent",
        call_as="coordinate_ascent(mean, covariance, start, sweeps)",
        returns="the means and the variances of q, (D,) each",
        inputs=draw_targets,
        oracle=coordinate_ascent,
        properties=(
            Property("the means after every sweep", 4, means, suspects=_MEAN_SUSPECTS),
            Property(
                "after many sweeps, the mean of the target",
                1,
                means,
                expected=lambda mean, *_: mean,
                inputs=draw_long_runs,
                suspects=_MEAN_SUSPECTS,
            ),
            Property("its variances", 3, variances, suspects=_VARIANCE_SUSPECTS),
            keeps_inputs(1),
            only_arguments(1),
        ),
    ),
)
