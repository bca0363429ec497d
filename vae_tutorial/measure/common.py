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
from torch.distributions import Distribution

from vae_tutorial.arguments import whole_number
from vae_tutorial.data.batches import Batch, Data, float_batch
from vae_tutorial.objectives import log_weights
from vae_tutorial.train.engine.environment import (
    Precision,
    matrix_products,
    own_random_numbers,
    progress_bar,
)
from vae_tutorial.train.evaluate import (
    VALIDATION_BATCH,
    evaluation_mode,
    model_device,
    open_for,
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
        self.source, self.convert = open_for(model, data, VALIDATION_BATCH, binarise)
        self.seed = whole_number("seed", seed, least=0)

    @property
    def count(self) -> int | None:
        """How many images there are; `None` for a loader, which tells at its end."""
        return self.source.count

    def batches(self, size: int | None = None) -> Iterator[Batch]:
        """Batches x `(B, C, H, W)`, and y or `None`, of at most `size` images."""
        # Another stream of numbers than the one that `seed` itself starts, which draws z.
        noise = torch.Generator().manual_seed((self.seed + 0x9E3779B9) % 2**32)
        for images, y in self.source.ordered():
            x = images.long() if self.convert.values == "integer" else float_batch(images)
            if self.convert.binarise:
                x = (torch.rand(x.shape, generator=noise).to(x.device) < x).to(x.dtype)
            yield from in_parts(x, y, size or len(x))


def in_parts(x: Tensor, y: Tensor | None, size: int) -> Iterator[Batch]:
    """A batch cut into batches of at most `size`."""
    conditions = [None] * len(x) if y is None else y.split(size)
    yield from zip(x.split(size), conditions)


@contextlib.contextmanager
def _no_validation() -> Iterator[None]:
    """torch's checks of parameters off inside: annealing tries z far out, where a density is 0."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


@contextlib.contextmanager
def measurement(
    model: nn.Module, seed: int, what: str, steps: int | None, progress: bool | None
) -> Iterator[Any]:
    """Evaluation mode, no gradients, own random numbers and exact products; gives the bar."""
    device = model_device(model)
    exact = Precision("float32", "likelihoods are told to hundredths of a nat")
    with (
        torch.no_grad(),
        own_random_numbers(device, seed),
        matrix_products(device, exact),
        evaluation_mode(model),
        _no_validation(),
        progress_bar(steps, show=progress, what=what, unit="draw") as bar,
    ):
        yield bar


def pairs_at_once(model: nn.Module, x_shape: torch.Size, chunk: int | None) -> int:
    """How many pairs of an image and a z are decoded at once: `chunk`, or what suits the device.

    This is what bounds the memory of a measurement.
    """
    if chunk is not None:
        return whole_number("chunk", chunk)
    pixels = DECODED_ON_CPU if model_device(model).type == "cpu" else DECODED_ON_GPU
    return max(1, pixels // x_shape.numel())


def split_work(pairs: int, samples: int) -> tuple[int, int]:
    """How many images, and how many of the `samples` of each, make up to `pairs` pairs."""
    images = min(pairs, max(16, pairs // samples))
    return images, min(samples, pairs // images)


def weights_in_chunks(
    model: nn.Module, x: Tensor, y: Tensor | None, samples: int, at_once: int, bar: Any
) -> Iterator[Tensor]:
    """`log_weights` of `samples` draws, at most `at_once` at a time: `(k, B)` each."""
    for start in range(0, samples, at_once):
        count = min(at_once, samples - start)
        yield as_float64(log_weights(model, x, y, samples=count))
        bar.update(count * len(x))


def as_float64(values: Tensor) -> Tensor:
    """As float64, on the CPU where the device has none."""
    return (values.cpu() if values.device.type == "mps" else values).double()
