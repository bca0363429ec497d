"""Pixels on a stack: what a decoder's output means for zeros and ones, and for grey levels.

A kind of pixel says, in whole numbers alone, how many slots each value has and where they lie,
and which value holds a given slot. `Codec` needs no more of it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from vae_tutorial.compress import container, integers, logistic
from vae_tutorial.models.grey import LEVELS, LogisticMixtureLikelihood
from vae_tutorial.models.likelihoods import BernoulliLikelihood


class Binary:
    """Zeros and ones, as a `BernoulliLikelihood` describes them: ones have the first slots."""

    kind = container.BINARY
    slots = integers.PROBABILITY  # a pixel has 2**slots
    rounds = 16  # so many calls of the coder for an image, and a lane for each pixel of a call
    dtype = torch.float32  # what a decoded image has

    def content(self) -> bytes:
        """What else, besides networks and buckets, a file depends on."""
        return b""

    def outputs(self, pixels: int) -> int:
        """How many numbers the decoder must give for an image."""
        return pixels

    def check(self, images: Tensor) -> None:
        binary = (images == 0) | (images == 1)
        if not binary.all():
            raise ValueError(
                f"images must be binary, zeros and ones; {int((~binary).sum())} values are not. "
                "Binarise them first, as in (images > 127).float()."
            )

    def to_encoder(self, x: np.ndarray) -> np.ndarray:
        """Pixels as the encoder sees them, float64 with PLACES binary places."""
        return x.astype(np.float64) * 2**integers.PLACES

    def parameters(self, raw: np.ndarray) -> np.ndarray:
        """p(pixel = 1 | z) in whole 2**-16, from the decoder's output: uint64 `(B, pixels)`."""
        return integers.probabilities(raw)

    def slots_of(self, x: np.ndarray, ones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Starts and widths of the pixels' slots, uint64 like `x`."""
        whole, lit = np.uint64(1 << self.slots), x.astype(bool)
        return np.where(lit, np.uint64(0), ones), np.where(lit, ones, whole - ones)

    def find(self, slots: np.ndarray, ones: np.ndarray) -> np.ndarray:
        """The pixels that hold `slots`: uint8."""
        return (slots < ones).astype(np.uint8)


class Grey:
    """Grey levels 0 … 255, as a `LogisticMixtureLikelihood` describes them."""

    kind = container.GREY
    slots = logistic.SLOTS
    rounds = 4  # a search among 256 levels is slow in small portions
    dtype = torch.uint8

    def __init__(self, components: int, channels: int) -> None:
        self.components, self.channels = components, channels

    def content(self) -> bytes:
        """Components and tables: where a machine should make another table, it opens no file."""
        tables = logistic.cdf_table(), logistic.weight_table(), logistic.slope_table()
        numbers = b"".join(table.astype("<i8").tobytes() for table in tables)
        return b"grey" + bytes([self.components]) + container.fingerprint(numbers)

    def outputs(self, pixels: int) -> int:
        return 3 * self.components * pixels

    def check(self, images: Tensor) -> None:
        numbers = images.double()  # in bytes, 256 would be 0
        whole = (numbers >= 0) & (numbers < LEVELS) & (numbers == numbers.floor())
        if not whole.all():
            raise ValueError(
                f"images must hold grey levels, whole numbers 0 … {LEVELS - 1}; "
                f"{int((~whole).sum())} values are not. Take them as they came, before a division "
                "by 255."
            )

    def to_encoder(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64) * (2**integers.PLACES // LEVELS)

    def parameters(self, raw: np.ndarray) -> np.ndarray:
        """Weights, shifts and slopes of each pixel's mixture: int64 `(B, 3, K, pixels)`."""
        return logistic.parameters(raw, self.components, self.channels)

    def slots_of(self, x: np.ndarray, mixtures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = x.astype(np.int64)
        start = logistic.below(x, mixtures)
        width = logistic.below(x + 1, mixtures) - start
        return start.astype(np.uint64), width.astype(np.uint64)

    def find(self, slots: np.ndarray, mixtures: np.ndarray) -> np.ndarray:
        return logistic.find(slots.astype(np.int64), mixtures).astype(np.uint8)


def kind_of(likelihood: nn.Module) -> Binary | Grey:
    """The kind of pixel that a likelihood describes; raises `TypeError` for one without a code."""
    if isinstance(likelihood, BernoulliLikelihood):
        return Binary()
    if isinstance(likelihood, LogisticMixtureLikelihood):
        return Grey(likelihood.components, likelihood.channels)
    raise TypeError(
        "a codec needs a model of binary pixels, with a BernoulliLikelihood, or of grey levels, "
        f"with a LogisticMixtureLikelihood, got {type(likelihood).__name__}"
    )
