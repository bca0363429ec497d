"""The exercises of chapter 4, the reparameterization trick."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_04_latents import DRAW_LATENTS
from vae_tutorial.checks.core import Exercise, Property, keeps_inputs


def _draw_scores(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Values far from zero, as log-likelihoods are, and scores; K = 2 and N = 1 among them."""
    return [
        (10 + 3 * torch.randn(shape, generator=rng), torch.randn(shape, generator=rng))
        for shape in [(4, 6), (2, 3), (5, 1), (3, 3)]
    ]


def leave_one_out(values: Tensor, scores: Tensor) -> Tensor:
    others = (values.sum(0) - values) / (len(values) - 1)
    return ((values - others) * scores).mean(0)


_OTHERS = "(values.sum(0) - values) / (len(values) - 1)"
_LEAVE_ONE_OUT = Exercise(
    name="leave-one-out",
    call_as="leave_one_out(values, scores)",
    returns="one estimate for each column, (N,)",
    inputs=_draw_scores,
    answer=leave_one_out,
    sizes=lambda values, scores: {"K": len(values), "N": values.shape[1]},
    properties=(
        Property("it is the leave-one-out estimate of each column", 8, rtol=1e-3, atol=3e-4),
        keeps_inputs(),
    ),
    slips=(
        (_OTHERS, "values.mean(0)",
         "Your baseline is the mean of all K values, a sample's own among them. That shrinks the "
         "gradient by (K − 1)/K."),
        ("values - others", "values",
         "There is no baseline: subtract from each value the mean of the others."),
        (".mean(0)", ".sum(0)", "You summed over the K samples: K times too large. Take the mean."),
        ("values - others", "others - values",
         "The sign is turned round: it is the value minus the baseline."),
        (" / (len(values) - 1)", "", "The baseline is the sum of the others. Divide it by K − 1."),
        ("(len(values) - 1)", "len(values)",
         "You divided the sum of the others by K. There are K − 1."),
        (_OTHERS, "values.mean()",
         "Your baseline is the mean over all columns. Each column has baselines of its own."),
        (_OTHERS, "(values.sum() - values) / (values.numel() - 1)",
         "The others of all columns are in your baseline. Each column has baselines of its own."),
        ("values - others", "others",
         "You multiplied the baseline by the score. The factor is the value minus the baseline."),
        ("((values - others) * scores).mean(0)", "(values - others).mean(0) * scores.mean(0)",
         "You averaged before you multiplied. Each sample has its own score: multiply first."),
        ("scores).mean(0)", "scores)",
         "All K terms of each estimate came, (K, N). Average over the samples, `.mean(0)`."),
        ("scores).mean(0)", "scores).mean()",
         "You averaged over the N estimates as well. Average over the samples only."),
        ("scores).mean(0)", "scores).mean(1)",
         "You averaged along the wrong axis: samples are the rows."),
    ),
)  # fmt: skip


def _draw_angles(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """κ from 0.2 to 12, and angles within three spreads of the centre, in double precision."""
    cases = []
    for count in (16, 1, 7):
        kappa = 0.2 * 60 ** torch.rand(count, generator=rng, dtype=torch.float64)
        reach = (3 / kappa.sqrt()).clamp_max(2.9)
        signs = torch.randint(0, 2, (count,), generator=rng) * 2 - 1
        share = 0.1 + 0.9 * torch.rand(count, generator=rng, dtype=torch.float64)
        cases.append((kappa, signs * share * reach))
    return cases


def von_mises_slope(kappa: Tensor, z: Tensor) -> Tensor:
    k = kappa[:, None]
    mean_cosine = torch.special.i1e(k) / torch.special.i0e(k)
    t = -math.pi + (z[:, None] + math.pi) * torch.linspace(0, 1, 2001, dtype=z.dtype)  # (N, 2001)
    ratio = torch.exp(k * (t.cos() - z[:, None].cos()))  # q(t) / q(z)
    return -torch.trapezoid((t.cos() - mean_cosine) * ratio, t)


_RESULT = "-torch.trapezoid((t.cos() - mean_cosine) * ratio, t)"
_DENSITY = "(torch.exp(kappa * z.cos()) / (2 * math.pi * torch.special.i0(kappa)))"
_CONSTANT = "The constant 2π I₀(κ) must stand in both, ∂Q/∂κ and the density, or in neither."
_VON_MISES = Exercise(
    name="von-mises-slope",
    call_as="von_mises_slope(kappa, z)",
    returns="dz/dκ for each sample, (N,)",
    inputs=_draw_angles,
    answer=von_mises_slope,
    properties=(
        Property("it is dz/dκ of each sample, to three digits", 8, rtol=5e-3, atol=3e-4),
        keeps_inputs(),
    ),
    slips=(
        (_RESULT, _RESULT[1:],
         "The minus sign of (4.11) is missing: a growing κ pulls every sample towards 0."),
        (" - mean_cosine", "",
         "The normalising constant depends on κ as well: the derivative of log q is cos t − "
         "I₁(κ)/I₀(κ)."),
        (_RESULT, f"{_RESULT} * {_DENSITY}",
         "That is −∂Q/∂κ. Divide it by the density at z, (4.11)."),
        (_RESULT, f"{_RESULT[1:]} * {_DENSITY}",
         "That is ∂Q/∂κ. (4.11) has minus it, divided by the density at z."),
        (_RESULT, f"{_RESULT} * {_DENSITY}**2",
         "You multiplied by the density at z. Divide by it."),
        (_RESULT, f"{_RESULT} / (2 * math.pi * torch.special.i0(kappa))",
         f"{_CONSTANT} Your values are "
         "too small by it."),
        (_RESULT, f"{_RESULT} * (2 * math.pi * torch.special.i0(kappa))",
         f"{_CONSTANT} Your values are "
         "too large by it."),
        (_RESULT, "(z[:, None].cos() - mean_cosine)[:, 0]",
         "That is the score, ∂ log q/∂κ: how the density at z changes, not how z moves. Integrate "
         "it times the density, then divide."),
        ("(t.cos() - mean_cosine) * ratio", "ratio",
         "You integrated the density. (4.11) needs its derivative with respect to κ, q times (cos "
         "t − I₁(κ)/I₀(κ))."),
        ("- mean_cosine", "- 1 / mean_cosine",
         "The derivative of log I₀(κ) is I₁(κ)/I₀(κ); yours is upside down."),
        ("t.cos() - mean_cosine", "-k * t.sin()",
         "You differentiated the density with respect to z. (4.11) has the derivative with "
         "respect to κ."),
        (_RESULT, "-z / (2 * kappa)",
         "That is the slope of a normal variable with variance 1/κ, which the von Mises "
         "distribution resembles only for large κ."),
    ),
)  # fmt: skip

EXERCISES = (DRAW_LATENTS, _LEAVE_ONE_OUT, _VON_MISES)
