"""What all measurements of a model share: the images, the circumstances, the importance weights.

A measurement draws its random numbers from its own seed, leaves torch's global ones, the model's
mode and its gradients as they were, and computes in the precision of the weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial import devices
from vae_tutorial.batches import Data, feed, float_batch
from vae_tutorial.objectives import log_px_given, posterior_of
from vae_tutorial.processes import Team
from vae_tutorial.progress import progress_bar
from vae_tutorial.validation import (
    VALIDATION_BATCH,
    model_device,
    modes_kept,
    wants_binary_pixels,
    whole_number,
)

DECODED_ON_CPU = 1_000_000
"""Pixels that are decoded at once on a CPU: what its caches like."""

DECODED_ON_GPU = 100_000_000
"""Pixels that are decoded at once elsewhere: what keeps a GPU busy, and fits into a small one."""


class TestImages:
    """The images of `data` as float batches on the model's device, in order.

    With `binarise` (by default for a model of binary pixels) each pixel is drawn once as 0 or 1.
    The draw depends on `seed` and the images alone, not on device, batch size or what is
    measured: two measurements with one seed see the same pixels.
    """

    __test__ = False  # pytest: no test class in spite of its name

    def __init__(self, model: nn.Module, data: Data, binarise: bool | None, seed: int) -> None:
        real_pixels = getattr(model, "real_pixels", False)
        team = Team(alone=True)
        self.source = feed(
            data, "data", VALIDATION_BATCH, model_device(model), team, real_pixels
        )  # fmt: skip
        self.binarise = wants_binary_pixels(model) if binarise is None else binarise
        self.seed = seed

    @property
    def count(self) -> int | None:
        """How many images there are; `None` for a stream, which tells at its end."""
        return self.source.images

    def batches(self, size: int | None = None) -> Iterator[Tensor]:
        """Batches `(B, C, H, W)` of at most `size` images."""
        # Another stream of numbers than the one that `seed` itself starts, which draws z.
        noise = torch.Generator().manual_seed((self.seed + 0x9E3779B9) % 2**32)
        for images in self.source.ordered():
            x = float_batch(images, binarise=False)
            if self.binarise:
                x = (torch.rand(x.shape, generator=noise).to(x.device) < x).to(x.dtype)
            yield from x.split(size or len(x))


@contextlib.contextmanager
def measurement(
    model: nn.Module, seed: int, what: str, steps: int | None, progress: bool | None
) -> Iterator[Any]:
    """Evaluation mode, no gradients, own random numbers and exact products; gives the bar."""
    device = model_device(model)
    exact = devices.Precision("float32", "likelihoods are told to hundredths of a nat")
    with (
        torch.no_grad(),
        devices.own_random_numbers(device, seed),
        devices.matrix_products(device, exact),
        modes_kept(model),
        progress_bar(steps, show=progress, what=what, unit="draw") as bar,
    ):
        model.eval()
        yield bar


def pairs_at_once(model: nn.Module, x_shape: torch.Size, chunk: int | None) -> int:
    """How many pairs of an image and a z are decoded at once: `chunk`, or what suits the device.

    This is what bounds the memory of a measurement.
    """
    if chunk is not None:
        return whole_number("chunk", chunk)
    pixels = DECODED_ON_CPU if model_device(model).type == "cpu" else DECODED_ON_GPU
    return max(1, pixels // x_shape.numel())


def shares(pairs: int, samples: int) -> tuple[int, int]:
    """How many images, and how many of the `samples` of each, make up to `pairs` pairs."""
    images = min(pairs, max(16, pairs // samples))
    return images, min(samples, pairs // images)


def log_weights(model: nn.Module, x: Tensor, samples: int) -> Tensor:
    """log w = log p(x | z) + log p(z) − log q(z | x) for z from q: `(B, ...)` → `(K, B)`.

    A model with several layers of latent variables has a method `log_weights(x, samples)` of its
    own, which is asked instead.
    """
    if hasattr(model, "log_weights"):
        return wide(model.log_weights(x, samples))
    q = posterior_of(model, x)
    z = q.sample((samples,))  # (K, B, D)
    log_q = q.log_prob(z)
    log_q = log_q.sum(-1) if log_q.dim() == z.dim() else log_q  # (K, B)
    return wide(log_px_given(model, z, x) + model.prior.log_prob(z) - log_q)


def weights_in_chunks(
    model: nn.Module, x: Tensor, samples: int, at_once: int, bar: Any
) -> Iterator[Tensor]:
    """`log_weights` of `samples` draws, at most `at_once` at a time: `(k, B)` each."""
    for start in range(0, samples, at_once):
        count = min(at_once, samples - start)
        yield log_weights(model, x, count)
        bar.update(count * len(x))


def wide(values: Tensor) -> Tensor:
    """As float64, on the CPU where the device has none."""
    return (values.cpu() if values.device.type == "mps" else values).double()
