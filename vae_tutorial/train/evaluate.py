"""Means over a data set: repeatable, and without a trace in the model or the random numbers."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from vae_tutorial.arguments import whole_number
from vae_tutorial.data.batches import (
    BatchConverter,
    Data,
    LoaderBatches,
    TensorBatches,
    open_batches,
)
from vae_tutorial.objectives import Objective, checked_terms, elbo, sum_of_each
from vae_tutorial.train.engine.environment import own_random_numbers

if TYPE_CHECKING:
    from vae_tutorial.train.engine.distributed import ProcessGroup

VALIDATION_BATCH = 1000
"""Images in one batch of `evaluate`; without gradients, more fit into memory than in training."""


def evaluate(
    model: nn.Module,
    data: Data,
    *,
    objective: Objective = elbo,
    batch_size: int = VALIDATION_BATCH,
    binarise: bool | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """The mean over all images of every entry of the objective, on the model's device.

    `data` and `binarise` are as in `fit`. Every image counts once. Everything is computed in the
    precision of the weights, in training with autocast too.

    The random numbers (binarisation, samples of z) come from `seed` alone and leave torch's
    global ones untouched: two calls see the same noise, and so do two models that draw equally
    many numbers. The model's mode and gradients are as before afterwards.
    """
    batch_size, seed = whole_number("batch_size", batch_size), whole_number("seed", seed, least=0)
    if not callable(objective):
        raise TypeError(f"objective must be a function, got {objective!r}")
    batches, convert = open_for(model, data, batch_size, binarise)
    return means(model, batches, objective, convert, seed=seed)


@torch.no_grad()
def means(
    model: nn.Module,
    batches: TensorBatches | LoaderBatches,
    objective: Objective,
    convert: BatchConverter,
    group: ProcessGroup | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """What `evaluate` returns; each process of a `group` measures its part of the examples."""
    names, count, sums = None, 0, []
    with_y = "y" in inspect.signature(objective).parameters
    rank = 0 if group is None else group.rank
    with own_random_numbers(model_device(model), seed + rank), evaluation_mode(model):
        for x, y in batches.ordered():
            terms = objective(model, convert(x), **({"y": y} if with_y else {}))
            terms = checked_terms(terms, len(x), names)
            names = list(terms)
            sums.append(sum_of_each(terms))
            count += len(x)
    part = (names, count, torch.stack(sums).cpu().double().sum(0) if sums else 0.0)
    parts = [part] if group is None else group.gather(part)
    names = next(names for names, _, _ in parts if names is not None)
    total = sum(sums for _, _, sums in parts) / sum(count for _, count, _ in parts)
    return dict(zip(names, total.tolist(), strict=True))


def open_for(
    model: nn.Module, data: Data, batch_size: int, binarise: bool | None
) -> tuple[TensorBatches | LoaderBatches, BatchConverter]:
    """The batches of `data` for `model`, on its device, and what converts them to floats.

    Raises `TypeError` or `ValueError` for data that the model cannot use.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if binarise is not None and not isinstance(binarise, bool):
        raise TypeError(f"binarise must be True or False, got {binarise!r}")
    values, levels = getattr(model, "values", "unit"), getattr(model, "levels", None)
    if binarise and values in ("real", "integer"):
        raise ValueError(f"binarise=True needs grey levels in [0, 1], and the data are {values}")
    binarise = values == "binary" if binarise is None else binarise
    batches = open_batches(data, "data", batch_size, model_device(model), values, levels)
    return batches, BatchConverter(values, binarise)


def model_device(model: nn.Module) -> torch.device:
    """Where the model's weights live; the CPU for a model without weights."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards each part has the mode that it had."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
