"""What the contenders of the benchmarks share, and the usual loop that they are compared with.

A contender is a function `(job, watch)`. It sets up its model and data, calls `watch.ready`, and
trains for `job.epochs` epochs, each between `watch.epoch_begins` and `watch.epoch_ends`, with
`watch.step_ends` after each step where it can. So one description of a loop serves both
benchmarks: `training.py` times whole epochs, `nats.py` looks at the model between two steps.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets, transforms

import vae_tutorial as vt

LATENT_DIM = 20


@dataclass(frozen=True)
class Job:
    """What to train: every contender gets the same. `images` is how many an epoch passes over."""

    network: str  # "mlp" or "conv"
    batch_size: int
    epochs: int
    images: int = 60_000
    device: str = "cpu"
    learning_rate: float = 1e-3
    binarise: bool = False
    seed: int = 0


class Watch:
    """What a contender reports to; a benchmark overrides what it is interested in."""

    def ready(self, model: vt.VAE) -> None:
        """Everything is set up; `model` is what will be trained."""

    def epoch_begins(self) -> None:
        """The next thing to happen is the first step of an epoch."""

    def step_ends(self) -> None:
        """The optimiser has just changed the weights."""

    def epoch_ends(self, images: int | None = None) -> None:
        """All steps of an epoch are done, over `images` images if not over `job.images`."""


def build(job: Job) -> vt.VAE:
    """A new model with the weights of `job.seed`: 784-400-20, or the book's convolutional VAE."""
    torch.manual_seed(job.seed)
    if job.network == "mlp":
        hidden = (400,)
        return vt.VAE(vt.MLPEncoder(LATENT_DIM, hidden), vt.MLPDecoder(LATENT_DIM, hidden))
    return vt.VAE(vt.ConvEncoder(LATENT_DIM), vt.ConvDecoder(LATENT_DIM))


def data_folder() -> Path:
    """Where MNIST is: what `VAE_TUTORIAL_DATA` names, else `data` in the current folder."""
    return Path(os.environ.get("VAE_TUTORIAL_DATA") or "data")


def mnist_images(job: Job) -> torch.Tensor:
    """The first `job.images` training images, `uint8`, `(N, 1, 28, 28)`."""
    return vt.load_images("mnist", root=data_folder()).train.images[: job.images]


def mnist_dataset(job: Job) -> Dataset:
    """The same images as most tutorials read them: torchvision's set with `ToTensor`."""
    steps = [transforms.ToTensor()]
    if job.binarise:
        steps.append(torch.bernoulli)
    images = datasets.MNIST(
        data_folder(), train=True, download=True, transform=transforms.Compose(steps)
    )
    return images if job.images == len(images) else Subset(images, range(job.images))


def usual_loop(job: Job, watch: Watch, workers: int = 0) -> None:
    """The loop of most tutorials. The objective is ours, so that only the loop differs.

    With `workers`, batches are made in that many processes and, for a GPU, in pinned memory.
    """
    model = build(job).to(job.device)
    loader = DataLoader(
        mnist_dataset(job), batch_size=job.batch_size, shuffle=True, num_workers=workers,
        pin_memory=workers > 0 and job.device != "cpu",
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=job.learning_rate)
    watch.ready(model)
    for _ in range(job.epochs):
        watch.epoch_begins()
        model.train()
        train_loss = 0.0
        for x, _label in loader:
            x = x.to(job.device)
            optimizer.zero_grad()
            loss = vt.elbo(model, x)["loss"].mean()
            loss.backward()
            optimizer.step()
            train_loss += loss.item()
            watch.step_ends()
        watch.epoch_ends()


def parameters(model: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(p.numel() for p in model.parameters())
