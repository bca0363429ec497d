"""Exercise 11.4, the probabilities of 256 grey levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.compare import doubles
from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs


def _draw_mixtures(rng: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Components that reach beyond black and white, so that both ends matter."""
    cases = []
    for K in (2, 3, 5):
        w = torch.rand(K, generator=rng) + 0.1
        a = 2 + 15 * torch.rand(K, generator=rng)
        c = torch.linspace(0, 1, K)
        cases.append((w / w.sum(), a, c, 1.5 * torch.randn(K, generator=rng)))
    return cases


def level_probabilities(w: Tensor, a: Tensor, c: Tensor, b: Tensor) -> Tensor:
    t = torch.arange(257, dtype=w.dtype) / 256
    F = (w * torch.sigmoid(a * (t[:, None] - c) - b)).sum(1)
    F[0], F[-1] = 0, 1
    return F[1:] - F[:-1]


def _middle(answer: Callable[..., Any], *case: Tensor) -> Tensor:
    return doubles(answer(*(part.clone() for part in case)))[1:-1]


def _ends(answer: Callable[..., Any], *case: Tensor) -> Tensor:
    return doubles(answer(*(part.clone() for part in case)))[[0, -1]]


LEVELS = Exercise(
    name="grey-levels",
    call_as="level_probabilities(w, a, c, b)",
    returns="the probabilities of the 256 levels, (256,)",
    inputs=_draw_mixtures,
    answer=level_probabilities,
    sizes=lambda w, a, c, b: {"K": len(w)},
    properties=(
        Property("levels 1 to 254", 3, _middle, rtol=1e-3, atol=1e-6),
        Property("black and white, the two ends", 2, _ends, rtol=1e-3, atol=1e-6),
        keeps_inputs(),
    ),
    slips=(
        ("    F[0], F[-1] = 0, 1\n", "",
         "What the mixture has below 0 belongs to black, and what it has above 1 to white: set "
         "F(0) = 0 and F(1) = 1."),
        ("F[0], F[-1] = 0, 1", "F[0] = 0",
         "White gets everything above its cell too: set F(1) = 1."),
        ("F[0], F[-1] = 0, 1", "F[-1] = 1",
         "Black gets everything below its cell too: set F(0) = 0."),
        (".sum(1)", ".mean(1)", "You divided by K. The weights sum to 1 already."),
        ("w * torch.sigmoid", "torch.sigmoid", "The weights w are missing."),
        ("w * torch.sigmoid", "w.softmax(0) * torch.sigmoid",
         "w are the weights, not their logits: they sum to 1 as they are."),
        (" - b)", " + b)", "The shift has a minus: σ(a (t − c) − b)."),
        ("a * (t[:, None] - c) - b", "a * (t[:, None] - c - b)",
         "b is not multiplied by the slope: σ(a (t − c) − b)."),
        ("a * (t[:, None] - c)", "(t[:, None] - c) / a",
         "a is a slope, not a width: multiply by it."),
        ("a * (t[:, None] - c)", "a * t[:, None] - c",
         "The anchor is multiplied by the slope too: σ(a (t − c) − b)."),
        ("a * (t[:, None] - c)", "a * t[:, None]", "The anchors c are missing."),
        ("a * (t[:, None] - c)", "(t[:, None] - c)", "The slopes a are missing."),
        ("dtype=w.dtype) / 256", "dtype=w.dtype) / 255",
         "There are 256 cells between 0 and 1: level g begins at g / 256."),
        ("dtype=w.dtype) / 256", "dtype=w.dtype)",
         "The line goes from 0 to 1: level g begins at g / 256."),
        ("/ 256\n", "/ 256 + 0.5 / 256\n",
         "Level g has the cell from g / 256 to (g + 1) / 256, not one around g / 256."),
        ("F[1:] - F[:-1]", "F[:-1] - F[1:]", "The sign: F rises, so the upper end comes first."),
    ),
    suspects=(
        Suspect(
            lambda w, a, c, b: (
                (t := torch.arange(256, dtype=w.dtype)[:, None] / 256),
                (s := torch.sigmoid(a * (t - c) - b)),
                (w * a * s * (1 - s)).sum(1) / 256,
            )[-1],
            "That is a density times the width of a cell. A level's probability is the difference "
            "of F at the two ends of its cell.",
        ),
    ),
)  # fmt: skip
