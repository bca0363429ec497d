"""Three small data sets, each made from torch's random numbers in a fraction of a second."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

import vae_tutorial as vt

COUNT = 96


drawn = lru_cache(maxsize=64)(lambda seed: vt.draw_strokes(COUNT, seed).images)


def digits(size: int = 28, binary: bool = True) -> Tensor:
    """Stroke digits `(96, 1, size, size)`: 0 or 1, or grey in [0, 1]. `size` is 28 or 14."""
    seed = int(torch.randint(2**31, ()))
    images = drawn(seed).float() / 255  # (96, 1, 28, 28)
    if size != 28:
        images = F.avg_pool2d(images, 28 // size)
    return (images > 0.5).float() if binary else images


def blobs(channels: int = 3, size: int = 16, noise: float = 0.1) -> Tensor:
    """One soft coloured disc on a grey ground, plus Gaussian noise: `(96, channels, 16, 16)`.

    Place, width and colour vary. Real numbers, mostly between 0 and 1.
    """
    grid = torch.linspace(-1, 1, size)
    centre = 1.2 * torch.rand(COUNT, 2, 1, 1) - 0.6
    width = 0.2 + 0.2 * torch.rand(COUNT, 1, 1)
    squared = (grid - centre[:, 0]) ** 2 + (grid[:, None] - centre[:, 1]) ** 2  # (96, 16, 16)
    disc = torch.exp(-0.5 * squared / width**2)[:, None]  # (96, 1, 16, 16)
    colour = torch.rand(COUNT, channels, 1, 1)
    return 0.3 + disc * (colour - 0.3) + noise * torch.randn(COUNT, channels, size, size)


def series(length: int = 24, noise: float = 0.2) -> Tensor:
    """Damped swings seen through noise, `(96, length, 2)`: real numbers around 0.

    Both channels follow one swing with random size, frequency, phase and damping; the second is
    a quarter of a period late.
    """
    t = torch.linspace(0, 1, length)
    size, frequency, phase, damping = torch.rand(4, COUNT, 1).unbind()
    angle = 2 * math.pi * ((1 + 2 * frequency) * t + phase)
    swing = torch.stack([angle.cos(), angle.sin()], -1)  # (96, length, 2)
    envelope = (0.5 + size) * torch.exp(-2 * damping * t)
    return envelope[..., None] * swing + noise * torch.randn(COUNT, length, 2)
