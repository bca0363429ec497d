"""Tensors that functions are called with: of the right shape and kind, or refused by their name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def check_tensor(name: str, value: object, shape: Sequence[int | str], hint: str = "") -> None:
    """Raise unless `value` is a tensor of this shape, where a letter stands for any length.

    Raises `TypeError` for what is no tensor, and `ValueError` for another shape; `hint` ends that
    message.
    """
    wanted = "(" + ", ".join(map(str, shape)) + (",)" if len(shape) == 1 else ")")
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name} must be a tensor {wanted}, got {type(value).__name__}. A list or an array "
            "becomes one by torch.as_tensor."
        )
    pairs = zip(shape, value.shape, strict=False)
    if len(value.shape) != len(shape) or any(isinstance(n, int) and n != m for n, m in pairs):
        hint = f"; {hint}" if hint else ""
        raise ValueError(f"{name} must be {wanted}, got {tuple(value.shape)}{hint}")


def check_finite(name: str, value: Tensor) -> None:
    """Raise `ValueError` for a tensor with NaN or infinite values."""
    if not value.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")


def checked_tokens(name: str, value: Tensor, symbols: int) -> Tensor:
    """Rows of tokens `(N, T)`, of any kind of whole number, as int64.

    Raises `TypeError` for what is no tensor of whole numbers, `ValueError` for another shape and
    for numbers outside 0 … `symbols` − 1: as indices, negative ones would count from the end.
    """
    check_tensor(name, value, ("N", "T"), "a single row becomes a batch of one by row[None]")
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} must hold whole numbers, as uint8 or int64, got {value.dtype}")
    tokens = value.long()
    if tokens.numel():
        low, high = torch.stack(tokens.aminmax()).tolist()  # one wait where they lie on a GPU
        if low < 0 or high >= symbols:
            raise ValueError(
                f"{name} must hold whole numbers from 0 to {symbols - 1}, got {low} to {high}"
            )
    return tokens
