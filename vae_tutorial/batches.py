"""From a data set to the batches that a step of training sees."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vae_tutorial.image_set import ImageSet


def as_images(data: ImageSet | Tensor, name: str, real_pixels: bool = False) -> Tensor:
    """The images of `data`, checked once so that no step of training has to.

    Accepted are an `ImageSet`, a `uint8` tensor `(N, C, H, W)`, and a floating-point tensor
    `(N, ...)` with values in [0, 1] (any finite values with `real_pixels=True`). `name` is
    the argument's name, for the message. Nothing is copied.

    Raises `TypeError` for anything else, `ValueError` for a wrong shape or range.
    """
    images = data.images if isinstance(data, ImageSet) else data
    if not isinstance(images, Tensor):
        raise TypeError(
            f"{name} must be an ImageSet or a tensor, got {type(data).__name__}. "
            "A NumPy array becomes a tensor by torch.from_numpy."
        )
    if len(images.shape) < 2 or images.numel() == 0:
        raise ValueError(f"{name} must hold images, shape (N, ...), got {tuple(images.shape)}")
    if images.dtype == torch.uint8:
        if images.dim() != 4:
            raise ValueError(
                f"{name} of dtype uint8 must have shape (N, C, H, W), got {tuple(images.shape)}. "
                "A missing channel axis is added by .unsqueeze(1)."
            )
    elif images.is_floating_point():
        _check_range(images, name, real_pixels)
    else:
        raise TypeError(f"{name} must be uint8 or floating point, got {images.dtype}")
    return images


def float_batch(images: Tensor, binarise: bool) -> Tensor:
    """A batch as floating-point numbers, on the device where it lies.

    `uint8` is divided by 255. With `binarise`, each pixel is drawn afresh as 0 or 1 with its
    grey value as the probability of a 1 (dynamic binarisation, Salakhutdinov and Murray, 2008).
    """
    x = images / 255 if images.dtype == torch.uint8 else images
    return (torch.rand_like(x) < x).to(x.dtype) if binarise else x


def shuffled_batches(images: Tensor, batch_size: int, binarise: bool) -> Iterator[Tensor]:
    """Every image once, in a new random order, as float batches; the last may be smaller.

    The permutation is drawn on the images' own device, with torch's global random numbers.
    """
    for index in torch.randperm(len(images), device=images.device).split(batch_size):
        yield float_batch(images[index], binarise)


def ordered_batches(images: Tensor, batch_size: int, binarise: bool) -> Iterator[Tensor]:
    """Every image once, in the order of the data set, as float batches."""
    for part in images.split(batch_size):
        yield float_batch(part, binarise)


def _check_range(images: Tensor, name: str, real_pixels: bool) -> None:
    low, high = images.min().item(), images.max().item()  # NaN comes through both
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise ValueError(f"{name} holds NaN or infinite values")
    if not real_pixels and (low < 0 or high > 1):
        raise ValueError(
            f"{name} must lie in [0, 1] for this model, got values from {low:g} to {high:g}. "
            "Bytes stored as floats are divided by 255; data that may take any real value need "
            "VAE(..., likelihood=GaussianLikelihood(...))."
        )
