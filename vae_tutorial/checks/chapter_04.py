"""The exercises of chapter 4, the reparameterization trick."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_04_oracles import (
    ONE_SAMPLE,
    centred_cosine,
    difference_when_shifted,
    draw_angles,
    draw_encodings,
    draw_many,
    draw_quantiles,
    draw_scores,
    expected_mean,
    expected_spread,
    full_noise,
    gradient_of_mean_cosine,
    integral_from_minus_pi,
    latent_shape,
    mean_of_others,
    mean_of_samples,
    moved_mass,
    moved_quantile,
    ones_like_mu,
    own_noise,
    path_to_logvar,
    path_to_mu,
    right_draw,
    sample_covariance,
    slope_of_mean_cosine,
    spread_of_samples,
    with_sigma,
)
from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs, only_arguments

_LATENT_SUSPECTS = (
    Suspect(
        with_sigma(lambda logvar: logvar.exp()),
        "You took the variance for σ: `logvar.exp()` is σ². The standard deviation is "
        "`torch.exp(0.5 * logvar)`.",
    ),
    Suspect(
        with_sigma(lambda logvar: (-0.5 * logvar).exp()),
        "The sign of `logvar` is turned round: you read it as the logarithm of 1/σ².",
    ),
    Suspect(
        with_sigma(lambda logvar: (0.5 * logvar).exp().detach()),
        "σ is cut off from the gradient, or `logvar` is not used: it would learn from the KL term "
        "alone, and σ would go to 1.",
    ),
    Suspect(
        with_sigma(lambda logvar: logvar),
        "You multiplied the noise by `logvar` itself. σ is `torch.exp(0.5 * logvar)`.",
    ),
    Suspect(
        with_sigma(torch.ones_like),
        "The noise is not scaled: every sample has a spread of 1. Multiply it by σ.",
    ),
    Suspect(
        lambda mu, logvar, K: right_draw(mu, logvar, K).detach(),
        "The samples are cut off from the graph, by `sample`, .detach(), .data or no_grad, or they "
        "leave out mu. The encoder then hears of the KL term only. Use `rsample`, or mu + σ · eps.",
    ),
    Suspect(
        lambda mu, logvar, K: (0.5 * logvar).exp() * full_noise(mu, K),
        "mu is forgotten: all samples are centred at 0. Add it to the scaled noise.",
    ),
    Suspect(lambda mu, logvar, K: mu.expand(K, *mu.shape), ONE_SAMPLE),
    Suspect(lambda mu, logvar, K: right_draw(mu, logvar, 1).expand(K, *mu.shape), ONE_SAMPLE),
)


_DRAW_LATENTS = Exercise(
    name="draw-latents",
    call_as="draw_latents(mu, logvar, K)",
    returns="K samples for each image, (K, B, D)",
    inputs=draw_encodings,
    oracle=right_draw,
    properties=(
        Property(
            "the mean is mu", 2, measure=mean_of_samples, expected=expected_mean, inputs=draw_many
        ),
        Property(
            "the spread is σ", 2, spread_of_samples, expected=expected_spread, inputs=draw_many
        ),
        Property("dz/dmu = 1", 2, path_to_mu, expected=ones_like_mu),
        Property("dz/dlogvar = ½ (z − mu)", 2, path_to_logvar, expected=ones_like_mu, rtol=0.01),
        Property("every sample has noise of its own", 1, own_noise, True, inputs=draw_many),
        keeps_inputs(1),
        only_arguments(1),
    ),
    suspects=_LATENT_SUSPECTS,
    gate=latent_shape,
)


_ITSELF = (
    "Your baseline is the mean of all K values, a sample's own among them. It is then not "
    "independent of the sample's score, and shrinks the gradient by (K − 1)/K. Leave it out."
)

_LEAVE_ONE_OUT = Exercise(
    name="leave-one-out",
    call_as="leave_one_out(values, scores)",
    returns="one estimate for each column, (N,)",
    inputs=draw_scores,
    oracle=sample_covariance,
    properties=(
        Property("it is the leave-one-out estimate of each column", 6, atol=1e-4),
        Property(
            "adding a constant to all values changes nothing",
            2,
            difference_when_shifted,
            expected=lambda values, scores: torch.zeros(values.shape[1]),
            atol=1e-4,
        ),
        keeps_inputs(1),
        only_arguments(1),
    ),
    suspects=(
        Suspect(lambda f, s: ((f - f.mean(0)) * s).mean(0), _ITSELF),
        Suspect(
            lambda f, s: (f * s).mean(0),
            "There is no baseline: that is the plain score-function estimate. Subtract from each "
            "value the mean of the others.",
        ),
        Suspect(
            lambda f, s: ((f - mean_of_others(f)) * s).sum(0),
            "You summed over the K samples: the estimate is K times too large. Take the mean.",
        ),
        Suspect(
            lambda f, s: ((mean_of_others(f) - f) * s).mean(0),
            "The sign is turned round: it is the value minus the baseline.",
        ),
        Suspect(
            lambda f, s: ((f - (f.sum(0) - f)) * s).mean(0),
            "The baseline is the sum of the others. Divide it by K − 1.",
        ),
        Suspect(
            lambda f, s: ((f - (f.sum(0) - f) / len(f)) * s).mean(0),
            "You divided the sum of the others by K. There are K − 1 others.",
        ),
        Suspect(
            lambda f, s: ((f - f.mean()) * s).mean(0),
            "Your baseline is the mean over all columns. Every column is an estimate of its own: "
            "its baselines come from its own K values.",
        ),
        Suspect(
            lambda f, s: (mean_of_others(f) * s).mean(0),
            "You multiplied the baseline by the score. The factor is the value minus the baseline.",
        ),
        Suspect(
            lambda f, s: (f - mean_of_others(f)) * s,
            "All K terms of each estimate came, (K, N). Average them over the samples, `.mean(0)`.",
        ),
        Suspect(
            lambda f, s: ((f - mean_of_others(f)) * s).mean(),
            "You averaged over the N estimates as well. Average over the samples only, `.mean(0)`.",
        ),
        Suspect(
            lambda f, s: ((f - mean_of_others(f)) * s).mean(1),
            "You averaged along the wrong axis: samples are the rows, `.mean(0)`.",
        ),
    ),
)


def _density(kappa: Tensor, z: Tensor) -> Tensor:
    return torch.exp(kappa * (z.cos() - 1)) / (2 * math.pi * torch.special.i0e(kappa))


_VON_MISES = Exercise(
    name="von-mises-slope",
    call_as="von_mises_slope(kappa, z)",
    returns="dz/dκ for each sample, (N,)",
    inputs=draw_angles,
    oracle=moved_quantile,
    properties=(
        Property("it is dz/dκ of each sample, to three digits", 5, rtol=5e-3, atol=1e-4),
        Property(
            "its gradient of E[cos z] is the exact one",
            3,
            gradient_of_mean_cosine,
            expected=slope_of_mean_cosine,
            inputs=draw_quantiles,
            rtol=1e-2,
            atol=1e-4,
        ),
        keeps_inputs(1),
        only_arguments(1),
    ),
    suspects=(
        Suspect(
            lambda kappa, z: moved_mass(kappa, z),
            "The minus sign of (4.13) is missing: a growing κ pulls every sample towards 0.",
        ),
        Suspect(
            lambda kappa, z: -integral_from_minus_pi(kappa, z, lambda k, t: t.cos()),
            "The normalising constant 2π I₀(κ) depends on κ as well: the derivative of log q is "
            "cos t − I₁(κ)/I₀(κ), not cos t.",
        ),
        Suspect(
            lambda kappa, z: -moved_mass(kappa, z) * _density(kappa, z),
            "That is −∂Q/∂κ. Divide it by the density at z, as (4.13) says.",
        ),
        Suspect(
            lambda kappa, z: -moved_mass(kappa, z) / (2 * math.pi * torch.special.i0(kappa)),
            "The constant 2π I₀(κ) must stand in both, ∂Q/∂κ and the density, or in neither: your "
            "values are too small by it.",
        ),
        Suspect(
            lambda kappa, z: -moved_mass(kappa, z) * (2 * math.pi * torch.special.i0(kappa)),
            "The constant 2π I₀(κ) must stand in both, ∂Q/∂κ and the density, or in neither: your "
            "values are too large by it.",
        ),
        Suspect(
            centred_cosine,
            "That is the score, ∂ log q/∂κ. It says how the density at z changes, not how z moves. "
            "Integrate it times the density, from −π to z, and divide by the density at z.",
        ),
        Suspect(
            lambda kappa, z: -integral_from_minus_pi(kappa, z, lambda k, t: torch.ones_like(t)),
            "You integrated the density. (4.13) needs the integral of its derivative with respect "
            "to κ, which is q times (cos t − I₁(κ)/I₀(κ)).",
        ),
        Suspect(
            lambda kappa, z: -z / (2 * kappa),
            "That is the slope of a normal variable with variance 1/κ, which the von Mises "
            "distribution resembles only for large κ.",
        ),
    ),
)

EXERCISES = (_DRAW_LATENTS, _LEAVE_ONE_OUT, _VON_MISES)
