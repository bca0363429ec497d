"""The exercises of chapter 5, a convolutional VAE."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vae_tutorial.checks.chapter_05_epoch import ONE_EPOCH
from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs, only_arguments

# Bits per dimension


def _draw_losses(rng: torch.Generator) -> list[tuple[Tensor, tuple[int, int, int]]]:
    """Losses `(B,)` in nats, and shapes whose three sizes all differ from each other."""
    shapes = [(1, 28, 20), (3, 32, 16), (4, 7, 5)]
    return [(50 + 100 * torch.rand(5, generator=rng), shape) for shape in shapes]


def _bits_oracle(nats: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """By the code length: a probability of exp(-nats) is 2^-bits."""
    bits = torch.from_numpy(np.log2(np.exp(nats.double().numpy())))
    return bits / np.zeros(shape).size


_BITS_SUSPECTS = (
    Suspect(
        lambda nats, shape: nats / math.prod(shape),
        "These are nats per dimension. A bit is log 2 ≈ 0.69 nats, so the same loss is a larger "
        "number of bits: divide by log 2.",
    ),
    Suspect(
        lambda nats, shape: nats * math.log(2) / math.prod(shape),
        "You multiplied by log 2. One bit is log 2 ≈ 0.69 nats, so there are more bits than nats: "
        "divide.",
    ),
    Suspect(
        lambda nats, shape: nats / math.log(2),
        "These are bits per image. Divide by the number of values in an image, C · H · W.",
    ),
    Suspect(
        lambda nats, shape: nats / (shape[1] * shape[2] * math.log(2)),
        "The channels are missing: an image has C · H · W values, and not H · W. (For one channel "
        "you are right.)",
    ),
    Suspect(
        lambda nats, shape: nats / (784 * math.log(2)),
        "You divided by 784 whatever the shape. The number of values is C · H · W.",
    ),
    Suspect(
        lambda nats, shape: nats / (math.prod(shape) * math.log(10)),
        "You took log 10 for log 2: the unit is the bit, and not the decimal digit.",
    ),
    Suspect(
        lambda nats, shape: (nats / (math.prod(shape) * math.log(2))).mean(),
        "You averaged over the images. Return one number for each.",
    ),
)

# The direction of an attribute, class by class


def _draw_codes(rng: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Codes `(N, D)`, attribute `(N,)`, labels `(N,)`; classes differ in size, place and share."""
    cases = []
    for classes, latent_dim in ((3, 4), (2, 1), (4, 3)):
        codes, has, labels = [], [], []
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


def _draw_lonely_codes(rng: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The same, with a class that always has the attribute and one that never has."""
    cases = []
    for mu, has, labels in _draw_codes(rng):
        most = int(labels.max())
        labels = torch.cat([labels, torch.tensor([most + 1] * 4 + [most + 2] * 3)])
        more = torch.randn(7, mu.shape[1], generator=rng) + 5
        cases.append((torch.cat([mu, more]), torch.cat([has, torch.arange(7) < 4]), labels))
    return cases


def _direction_oracle(mu: Tensor, has: Tensor, labels: Tensor) -> Tensor:
    """By numpy, with the means of the groups as weights."""
    codes, mask, classes = mu.double().numpy(), has.numpy(), labels.numpy()
    steps = []
    for label in set(classes.tolist()):
        w = np.where(classes == label, 1.0, 0.0)
        if (w * mask).sum() and (w * ~mask).sum():
            steps.append(np.average(codes, 0, w * mask) - np.average(codes, 0, w * ~mask))
    return torch.from_numpy(sum(steps) / len(steps))


def _steps(mu: Tensor, has: Tensor, labels: Tensor, lonely: float | None = None) -> Tensor:
    """The difference within each class that has both groups, `(classes, D)`.

    With `lonely`, a group that is not there has that mean, for the suspects.
    """
    rows = []
    for label in labels.unique():
        with_it, without = mu[(labels == label) & has], mu[(labels == label) & ~has]
        if len(with_it) and len(without):
            rows.append(with_it.mean(0) - without.mean(0))
        elif lonely is not None:
            means = [g.mean(0) if len(g) else lonely * torch.ones(mu.shape[1])
                     for g in (with_it, without)]  # fmt: skip
            rows.append(means[0] - means[1])
    return torch.stack(rows)


def _weighted(mu: Tensor, has: Tensor, labels: Tensor) -> Tensor:
    both = [int(n) for n in labels.unique() if len(has[labels == n].unique()) == 2]
    weights = torch.tensor([float((labels == n).sum()) for n in both])
    return (weights[:, None] * _steps(mu, has, labels)).sum(0) / weights.sum()


_DIRECTION_SUSPECTS = (
    Suspect(
        lambda mu, has, labels: mu[has].mean(0) - mu[~has].mean(0),
        "That is the difference over all classes at once. Where a class has the attribute more "
        "often than another, the difference between the classes leaks in: take the difference "
        "within each class, and then the mean over classes.",
    ),
    Suspect(
        lambda mu, has, labels: -_steps(mu, has, labels).mean(0),
        "The sign is wrong: the direction leads from the images without the attribute to those "
        "with it.",
    ),
    Suspect(
        _weighted,
        "You weighted the classes by their numbers of images. The mean is over classes: each "
        "counts once.",
    ),
    Suspect(
        lambda mu, has, labels: torch.nn.functional.normalize(
            _steps(mu, has, labels).mean(0), dim=0
        ),
        "You scaled the direction to length 1. Its length says how far the codes move from one "
        "group to the other: leave it as it is.",
    ),
    Suspect(
        lambda mu, has, labels: _steps(mu, has, labels).sum(0),
        "You summed over the classes. Take the mean.",
    ),
    Suspect(
        lambda mu, has, labels: _steps(mu, has, labels),
        "One difference for each class came. Take the mean over classes, `.mean(0)`.",
    ),
    Suspect(
        lambda mu, has, labels: _steps(mu, has, labels).mean(),
        "One number came. The mean is over classes only, `.mean(0)`: a direction has D numbers.",
    ),
)
_LONELY_SUSPECTS = (
    Suspect(
        lambda mu, has, labels: _steps(mu, has, labels, lonely=float("nan")).mean(0),
        "The result is NaN: the mean of an empty group. A class in which all images have the "
        "attribute, or none has, says nothing about the direction. Leave it out.",
    ),
    Suspect(
        lambda mu, has, labels: _steps(mu, has, labels, lonely=0.0).mean(0),
        "An empty group counted as a group at 0. A class in which all images have the attribute, "
        "or none has, says nothing about the direction. Leave it out.",
    ),
    Suspect(
        lambda mu, has, labels: _steps(mu, has, labels).sum(0) / len(labels.unique()),
        "You left out the classes that lack a group, and then divided by the number of all "
        "classes. Divide by the number of those that count.",
    ),
)

EXERCISES = (
    Exercise(
        name="bits-per-dimension",
        call_as="bits_per_dim(nats, shape)",
        returns="the bits per dimension of each image, (B,)",
        inputs=_draw_losses,
        oracle=_bits_oracle,
        properties=(
            Property("it turns nats per image into bits per dimension", 2),
            only_arguments(1),
        ),
        suspects=_BITS_SUSPECTS,
    ),
    Exercise(
        name="attribute-direction",
        call_as="attribute_direction(mu, has, labels)",
        returns="one direction, (D,)",
        inputs=_draw_codes,
        oracle=_direction_oracle,
        properties=(
            Property("it is the mean over classes of the differences within a class", 4),
            Property(
                "classes that lack one of the two groups are left out",
                2,
                inputs=_draw_lonely_codes,
                suspects=_LONELY_SUSPECTS,
            ),
            keeps_inputs(1),
            only_arguments(1),
        ),
        suspects=_DIRECTION_SUSPECTS,
    ),
    ONE_EPOCH,
)
