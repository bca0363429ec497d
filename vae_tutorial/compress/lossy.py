"""Lossy compression in two lines: round a code to a grid, and pay for the grid's cells."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from vae_tutorial.arguments import positive_number


def rounded(codes: Tensor, step: float) -> Tensor:
    """`codes` on a grid of width `step` that contains 0."""
    return torch.round(codes / positive_number("step", step)) * step


def code_bits(codes: Tensor, step: float, mean: Tensor, std: Tensor) -> Tensor:
    """What rounded codes `(B, D)` cost under N(mean, std²) of each dimension: float64 `(B,)`, bits.

    A cell's probability is that of the interval one `step` wide around it, and at least 2⁻²⁴: an
    entropy coder with 24 bits gives every cell something. `mean` and `std` are `(D,)`; take them
    from codes of training images, since the decoder must know them.
    """
    codes, step = codes.double(), positive_number("step", step)
    cell = Normal(mean.double(), std.double().clamp(min=1e-9))
    sign = torch.where(codes > mean, -1.0, 1.0)  # both ends on the side where Φ is small
    ends = [cell.cdf(mean + sign * (codes - mean) + half) for half in (step / 2, -step / 2)]
    return -((ends[0] - ends[1]).clamp(min=2.0**-24).log2()).sum(1)


def root_mean_square(difference: Tensor) -> float:
    """The root mean square over all images and pixels, in units of `difference`."""
    return math.sqrt(float(difference.double().square().mean()))
