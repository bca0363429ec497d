"""Measuring a model on a data set: means over images, repeatable, and without a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from numbers import Integral

import torch
from torch import Tensor, nn

from vae_tutorial import devices
from vae_tutorial.batches import Data, Feed, feed, float_batch
from vae_tutorial.models import at_least_float32
from vae_tutorial.objectives import elbo
from vae_tutorial.processes import Team

Objective = Callable[..., dict[str, Tensor]]
"""A function `(model, x) -> dict` of tensors `(B,)` with an entry `"loss"`."""


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
    batch_size = whole_number("batch_size", batch_size)
    real_pixels = getattr(model, "real_pixels", False)
    device = model_device(model)
    source = feed(data, "data", batch_size, device, Team(alone=True), real_pixels)
    binarise = wants_binary_pixels(model) if binarise is None else binarise
    return means(model, source, objective, binarise, Team(alone=True), seed)


@torch.no_grad()
def means(
    model: nn.Module, source: Feed, objective: Objective, binarise: bool, team: Team, seed: int = 0
) -> dict[str, float]:
    """What `evaluate` returns, each process of the team measuring its own share of the images."""
    names, count, sums = None, 0, []
    with devices.own_random_numbers(model_device(model), seed + team.rank), modes_kept(model):
        model.eval()
        for images in source.ordered():
            x = float_batch(images, binarise)
            terms = checked_terms(objective(model, x), len(x), names)
            names = list(terms)
            sums.append(sum_of_each(terms))
            count += len(x)
    parts = team.gather((names, count, torch.stack(sums).cpu().double().sum(0) if sums else 0.0))
    names = next(names for names, _, _ in parts if names is not None)
    total = sum(sums for _, _, sums in parts) / sum(count for _, count, _ in parts)
    return dict(zip(names, total.tolist(), strict=True))


def checked_terms(
    terms: dict[str, Tensor], count: int, names: list[str] | None = None
) -> dict[str, Tensor]:
    """What the objective returned, where it is what `fit` can use; looks at shapes only.

    `names` are the entries of the batch before. Raises `ValueError` with what is wrong.
    """
    if not isinstance(terms, dict) or "loss" not in terms:
        found = sorted(terms) if isinstance(terms, dict) else type(terms).__name__
        raise ValueError(f'objective must return a dict with an entry "loss", got {found}')
    if names is not None and list(terms) != names:
        raise ValueError(
            f"objective must return the same entries for every batch, got {list(terms)} "
            f"after {names}"
        )
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.shape != (count,):
            found = tuple(term.shape) if isinstance(term, Tensor) else type(term).__name__
            raise ValueError(
                f"objective must return one number for each image, a tensor ({count},) for this "
                f'batch; entry "{name}" is {found}. Sum over pixels and latents, not over images.'
            )
    return terms


def whole_number(name: str, value: int) -> int:
    """`value` as an `int`; raises `ValueError` unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def sum_of_each(terms: dict[str, Tensor]) -> Tensor:
    """The sums over images of all entries, `(entries,)`, never in half precision."""
    return torch.stack([at_least_float32(term.detach()).sum() for term in terms.values()])


def model_device(model: nn.Module) -> torch.device:
    """Where the model's weights live; the CPU for a model without weights."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def wants_binary_pixels(model: nn.Module) -> bool:
    """Whether the model's likelihood is one of binary pixels."""
    return getattr(model, "binary_pixels", False)


@contextlib.contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Afterwards each part trains or evaluates as before; parts may differ, as with a frozen
    encoder."""
    modes = [(part, part.training) for part in model.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def check_same_shape(source: Feed, held_out: Feed) -> None:
    if None not in (source.shape, held_out.shape) and source.shape != held_out.shape:
        raise ValueError(
            f"validation must hold images of the shape of data, {source.shape}, got "
            f"{held_out.shape}"
        )
