"""Six small data sets for the second ward, none of them in the first."""

from __future__ import annotations

import torch
from torch import Tensor


def crosses(grey: bool = False) -> Tensor:
    """One horizontal and one vertical bar on 12 × 12 pixels: `(90, 1, 12, 12)`, 0 or 1."""
    rows, columns = torch.rand(2, 90, 12, 1).unbind()
    ink = rows.eq(rows.amax(1, keepdim=True)) | columns.eq(columns.amax(1, keepdim=True)).mT
    x = ink.float()[:, None]
    return x * torch.rand(90, 1, 1, 1).clamp(0.3) if grey else x


def shades() -> Tensor:
    """Colour gradients of any direction, with noise: `(72, 3, 8, 8)`, mostly in [0, 1]."""
    t = torch.linspace(-1, 1, 8)
    slope = 0.3 * torch.randn(2, 72, 3, 1, 1)
    plane = torch.rand(72, 3, 1, 1) + slope[0] * t + slope[1] * t[:, None]
    return torch.sigmoid(3 * plane - 1.5) + 0.1 * torch.randn(72, 3, 8, 8)


def waves() -> Tensor:
    """Sums of two sines with noise, float64: `(80, 1, 32)`."""
    t = torch.linspace(0, 6.28, 32, dtype=torch.float64)
    speed, phase = 1 + 2 * torch.rand(80, 1).double(), 6.28 * torch.rand(80, 1).double()
    x = torch.sin(speed * t + phase) + 0.5 * torch.sin(3 * t + phase)
    return (x + 0.2 * torch.randn(80, 32).double())[:, None]


def table(columns: int = 10) -> Tensor:
    """Ten correlated measurements of each of 100 things, standardised: `(100, 10)`."""
    factors = torch.randn(100, 2)
    x = torch.tanh(factors @ torch.randn(2, columns)) + 0.3 * torch.randn(100, columns)
    return (x - x.mean(0)) / x.std(0)


def counts(columns: int = 10) -> Tensor:
    """Counts that two factors govern: `(100, 10)`, whole numbers from 0."""
    rate = torch.exp(0.5 * torch.randn(100, 2) @ torch.randn(2, columns) + 0.5)
    return torch.poisson(rate.clamp(max=20.0))


def bars() -> Tensor:
    """4 × 4 pixels without a channel, each row on with probability ½: `(64, 4, 4)`."""
    rows = torch.rand(64, 4, 1).round().expand(64, 4, 4)
    flips = torch.rand(64, 4, 4) < 0.05
    return (rows - flips.float()).abs()


def walks() -> Tensor:
    """Random walks in three dimensions: `(60, 20, 3)`, spread about 1."""
    return torch.randn(60, 20, 3).cumsum(1) / 4
