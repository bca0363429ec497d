"""The exercises of chapter 5, a convolutional VAE."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_05_epoch import ONE_EPOCH
from vae_tutorial.checks.core import Exercise, Property, keeps_inputs


def _draw_losses(rng: torch.Generator) -> list[tuple[Tensor, tuple[(int, int, int)]]]:
    """Losses `(B,)` in nats, and shapes whose three sizes all differ from each other."""
    shapes = [(1, 28, 20), (3, 32, 16), (4, 7, 5)]
    return [(50 + 100 * torch.rand(5, generator=rng), shape) for shape in shapes]


def bits_per_dim(nats: Tensor, shape: tuple[(int, int, int)]) -> Tensor:
    return nats / (math.prod(shape) * math.log(2))


_BITS = Exercise(
    name="bits-per-dimension",
    call_as="bits_per_dim(nats, shape)",
    returns="the bits per dimension of each image, (B,)",
    inputs=_draw_losses,
    answer=bits_per_dim,
    sizes=lambda nats, shape: dict(zip("CHW", shape)) | {"C·H·W": math.prod(shape)},
    properties=(
        Property("it turns nats per image into bits per dimension", 2, atol=0),
        keeps_inputs(),
    ),
    slips=(
        (" * math.log(2)", "",
         "These are nats per dimension. A bit is log 2 ≈ 0.69 nats: divide by log 2."),
        ("* math.log(2)", "/ math.log(2)",
         "You multiplied by log 2. There are more bits than nats: divide."),
        ("math.prod(shape)", "1",
         "These are bits per image. Divide by its number of values, C · H · W."),
        ("prod(shape)", "prod(shape[1:])",
         "The channels are missing: an image has C · H · W values."),
        ("math.prod(shape)", "784", "You divided by 784 whatever the shape. Divide by C · H · W."),
        ("log(2)", "log(10)",
         "You took log 10 for log 2: the unit is the bit, not the decimal digit."),
        ("math.log(2)", "2", "You divided by 2. One bit is log 2 ≈ 0.69 nats."),
        ("math.prod", "sum", "You added C, H and W. An image has C · H · W values."),
    ),
)  # fmt: skip


def _draw_codes(rng: torch.Generator) -> list[tuple[(Tensor, Tensor, Tensor)]]:
    """Codes `(N, D)`, attribute `(N,)`, labels `(N,)`; classes differ in size, place and share."""
    cases = []
    for classes, latent_dim in ((3, 4), (2, 1), (4, 3)):
        (codes, has, labels) = [], [], []
        for label in range(classes):
            count = 12 + 9 * label
            own = torch.rand(count, generator=rng) < (label + 1) / (classes + 1)
            own[0], own[1] = True, False  # both groups are there
            place = 3 * torch.randn(latent_dim, generator=rng)
            codes.append(place + torch.randn(count, latent_dim, generator=rng))
            has.append(own)
            labels.append(torch.full((count,), label))
        order = torch.randperm(sum(map(len, labels)), generator=rng)
        cases.append((torch.cat(codes)[order], torch.cat(has)[order], torch.cat(labels)[order]))
    return cases


def _draw_lonely_codes(rng: torch.Generator) -> list[tuple[(Tensor, Tensor, Tensor)]]:
    """The same, with a class that always has the attribute and one that never has.

    The labels are neither in a row nor from 0.
    """
    cases = []
    for mu, has, labels in _draw_codes(rng):
        most = int(labels.max())
        labels = torch.cat([labels, torch.tensor([most + 1] * 4 + [most + 2] * 3)])
        more = torch.randn(7, mu.shape[1], generator=rng) + 5
        cases.append((torch.cat([mu, more]), torch.cat([has, torch.arange(7) < 4]), 2 * labels + 3))
    return cases


def attribute_direction(mu: Tensor, has: Tensor, labels: Tensor) -> Tensor:
    steps = []
    for c in labels.unique():
        with_it, without = mu[(labels == c) & has], mu[(labels == c) & ~has]
        if len(with_it) and len(without):
            steps.append(with_it.mean(0) - without.mean(0))
    return torch.stack(steps).mean(0)


_STEP = "with_it.mean(0) - without.mean(0)"
_BOTH = "        if len(with_it) and len(without):\n            "
_END = "torch.stack(steps).mean(0)"
_DIRECTION = Exercise(
    name="attribute-direction",
    call_as="attribute_direction(mu, has, labels)",
    returns="one direction, (D,)",
    inputs=_draw_codes,
    answer=attribute_direction,
    sizes=lambda mu, has, labels: {"the number of classes": len(labels.unique()), "N": len(mu)},
    properties=(
        Property("it is the mean over classes of the differences within a class", 4),
        Property("classes that lack one of the two groups are left out", 2,
                 inputs=_draw_lonely_codes),
        keeps_inputs(),
    ),
    slips=(
        (_END, "mu[has].mean(0) - mu[~has].mean(0)",
         "That is the difference over all classes at once: differences between the classes leak "
         "in. Take it within each class, then the mean."),
        ("with_it, without =", "without, with_it =",
         "The sign is wrong: the direction leads from the images without the attribute to those "
         "with it."),
        (f"{_STEP})\n    return {_END}",
         f"(labels == c).sum() * ({_STEP}))\n    return torch.stack(steps)"
         ".sum(0) / sum(int((labels == c).sum()) for c in labels.unique() if "
         "len(has[labels == c].unique()) == 2)",
         "You weighted the classes by their numbers of images. Each counts once."),
        (_END, "torch.nn.functional.normalize(torch.stack(steps).mean(0), dim=0)",
         "You scaled the direction to length 1. Leave it as long as it is."),
        (_END, "torch.stack(steps).sum(0)", "You summed over the classes. Take the mean."),
        (_END, "torch.stack(steps).median(0).values",
         "You took the median over the classes. Take the mean."),
        (_END, "steps[0]", "That is the first class alone. Take the mean over classes."),
        (_STEP, "with_it.sum(0) - without.sum(0)",
         "You subtracted sums. Subtract the means of the two groups."),
        (_STEP, "with_it.mean(0) - mu[labels == c].mean(0)",
         "You subtracted the mean of the whole class. Subtract that of the images without it."),
        (_STEP, "torch.nn.functional.normalize(with_it.mean(0) - without.mean(0), dim=0)",
         "You scaled each difference to length 1. Leave it as long as it is."),
        ("in labels.unique()", "in range(len(labels.unique()))",
         "You took the labels to be 0, 1, 2, … Go through those that are there, "
         "`labels.unique()`."),
        (_END, "torch.stack(steps)",
         "One difference for each class came. Take the mean over classes."),
        (_END, "torch.stack(steps).mean()",
         "One number came. The mean is over classes only, `.mean(0)`."),
        (_BOTH, "        if 1:\n            ",
         "The result is NaN: the mean of an empty group. Leave out a class in which all images "
         "have the attribute, or none has."),
        (f"{_BOTH}steps.append({_STEP})",
         "        steps.append(with_it.sum(0) / max(1, len(with_it)) - "
         "without.sum(0) / max(1, len(without)))",
         "An empty group counted as a group at 0. Leave out a class in which all images have the "
         "attribute, or none has."),
        (_END, "torch.stack(steps).sum(0) / len(labels.unique())",
         "You left out the classes that lack a group, and then divided by the number of all "
         "classes."),
    ),
)  # fmt: skip

EXERCISES = (_BITS, _DIRECTION, ONE_EPOCH)
