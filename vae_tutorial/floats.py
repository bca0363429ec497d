"""Batches as floating-point numbers, made in the same memory in every step."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_tutorial.batches import float_batch


class Floats:
    """Calling it returns `float_batch(images, binarise)`; on a CPU, in memory of its own.

    A CPU gets fresh memory page by page from the system, which costs a small network up to a
    tenth of its step; GPUs keep what was freed at hand. So a result holds until the next call.
    Random numbers are drawn as by `float_batch`.
    """

    def __init__(self, binarise: bool) -> None:
        self.binarise = binarise
        self.room: Tensor | None = None  # (2, B, C, H, W): the batch, and noise to binarise it

    def __call__(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu" or images.dtype != torch.uint8:
            return float_batch(images, self.binarise)
        if self.room is None or self.room.shape[2:] != images.shape[1:] or (
            self.room.shape[1] < len(images)
        ):  # fmt: skip
            self.room = torch.empty(1 + self.binarise, *images.shape)
        x = torch.div(images, 255, out=self.room[0, : len(images)])
        if self.binarise:
            noise = self.room[1, : len(images)].uniform_()
            torch.lt(noise, x, out=x)
        return x
