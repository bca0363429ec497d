"""A set of images with their labels: what `load_images` returns and `fit` takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)  # comparing tensors has no single yes or no
class ImageSet:
    """Images with their labels and, where they are known, the factors that they were made from.

    Indexing with a slice, an index tensor (or list) or a boolean mask gives a smaller
    `ImageSet`: ``digits.train[digits.train.labels == 3]``. The tensors of a slice are views.

    Raises `TypeError` or `ValueError` where a field or an index has the wrong type, shape or
    range.
    """

    images: Tensor  # (N, C, H, W) uint8; all sets of `load_images` are (N, 1, 28, 28)
    labels: Tensor  # (N,) int64, an index into `class_names`
    class_names: tuple[str, ...]
    factors: Tensor | None = None  # (N, F) float32, stroke digits only
    factor_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_tensor("images", self.images, torch.uint8, "(N, C, H, W)")
        _check_tensor("labels", self.labels, torch.int64, "(N,)")
        for name in ("class_names", "factor_names"):
            names = getattr(self, name)
            if not isinstance(names, tuple) or not all(isinstance(n, str) for n in names):
                raise TypeError(f"{name} must be a tuple of str, got {names!r}")
        count, classes = len(self.images), len(self.class_names)
        if len(self.labels) != count:
            raise ValueError(f"labels must be {count}, one for each image, got {len(self.labels)}")
        if count and (self.labels.min() < 0 or self.labels.max() >= classes):
            low, high = self.labels.min().item(), self.labels.max().item()
            raise ValueError(
                f"labels must index the {classes} class_names (0 to {classes - 1}), "
                f"got {low} to {high}"
            )
        shape = (count, len(self.factor_names))
        if self.factors is not None:
            _check_tensor("factors", self.factors, torch.float32, "(N, F)")
            if tuple(self.factors.shape) != shape:
                raise ValueError(
                    f"factors must have shape {shape}, a row for each image and a column for each "
                    f"of factor_names, got {tuple(self.factors.shape)}"
                )
        elif self.factor_names:
            raise ValueError(f"factor_names name {shape[1]} factors, but factors is None")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | Tensor | list[int]) -> ImageSet:
        if isinstance(index, list):
            index = torch.tensor(index, dtype=None if index else torch.int64)
        indexes = isinstance(index, Tensor) and index.dtype in (torch.bool, torch.int64)
        if not isinstance(index, slice) and not (indexes and index.dim() == 1):
            raise TypeError(
                "an ImageSet is indexed by a slice, a 1-D tensor of int64 or a 1-D mask of bool, "
                f"got {index!r}; for one image use data[i : i + 1]"
            )
        factors = None if self.factors is None else self.factors[index]
        return ImageSet(
            self.images[index], self.labels[index], self.class_names, factors, self.factor_names
        )

    def __repr__(self) -> str:
        shape = " × ".join(str(size) for size in self.images.shape[1:])
        factors = f", factors {', '.join(self.factor_names)}" if self.factor_names else ""
        classes = len(self.class_names)
        return f"ImageSet({len(self):,} images of {shape}, {classes} classes{factors})"


def _check_tensor(name: str, value: object, dtype: torch.dtype, shape: str) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor of shape {shape}, got {type(value).__name__}")
    if value.dim() != len(shape.split(", ")):
        raise ValueError(f"{name} must have shape {shape}, got {tuple(value.shape)}")
    if value.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, got {value.dtype}")
