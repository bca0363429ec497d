"""What all tests share: fixed seeds, small models, small images."""

import os

import matplotlib
import pytest
import torch
from hypothesis import settings

import vae_tutorial as vt

matplotlib.use("Agg")
# The same examples in every run, so that a change is judged by what it changed. To hunt with new
# ones: pytest --hypothesis-profile=hunt
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("hunt", max_examples=2000, deadline=None)
settings.load_profile("gate")
os.environ.setdefault("VAE_TUTORIAL_PROGRESS", "0")  # bars only clutter a log


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def blobs() -> torch.Tensor:
    """(300, 1, 8, 8) uint8 images with something to learn: a bright square at one of 9 places."""
    images = torch.zeros(300, 1, 8, 8, dtype=torch.uint8)
    for i, (row, column) in enumerate(torch.randint(0, 3, (300, 2)).tolist()):
        images[i, 0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] = 230
    return images


@pytest.fixture
def small_vae() -> vt.VAE:
    """A VAE for 8 × 8 images with two latent dimensions."""
    shape = (1, 8, 8)
    return vt.VAE(vt.MLPEncoder(2, (32,), shape), vt.MLPDecoder(2, (32,), shape))
