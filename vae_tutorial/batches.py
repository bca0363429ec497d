"""From a data set to the batches that a step of training sees.

Three ways lead there, and `feed` picks one: images that live on the training device, images
that stay in the host's memory and travel batch by batch, and a stream of batches that somebody
else makes (a `DataLoader`, say) for sets that fit nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vae_tutorial import devices
from vae_tutorial.image_set import ImageSet
from vae_tutorial.processes import Team

Data = ImageSet | Tensor | Iterable
"""What `fit` and `evaluate` take as data."""


def nothing() -> None:
    """For when there is nothing to do."""


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


class Feed(Protocol):
    """Where batches come from: `steps` in an epoch, how many `images` (`None`: not known
    beforehand) of which `shape`, and a word on `place` for the record."""

    steps: int
    images: int | None
    shape: tuple[int, ...] | None
    place: str

    def shuffled(self, start: int = 0, ready: Callable[[], object] = nothing) -> Iterator[Tensor]:
        """The batches of a new epoch on the device, as stored, without the first `start`.

        `ready` is called once the order is drawn and those are passed.
        """

    def ordered(self) -> Iterator[Tensor]:
        """All images once, in the order of the data set."""


def feed(
    data: Data, name: str, batch_size: int, device: torch.device, team: Team, real_pixels: bool
) -> Feed:
    """The fastest way from `data` to batches on `device`.

    Raises `TypeError` or `ValueError`, naming the argument `name`, for data that cannot be meant.
    """
    if is_stream(data):
        return Stream(data, name, device, team, real_pixels)
    images = as_images(data, name, real_pixels)
    if devices.fits(images, device):
        return Resident(images.to(device), batch_size, team)
    return Travelling(images, batch_size, device, team)


def is_stream(data: Data) -> bool:
    """Whether `data` is an iterable of batches rather than a set of images."""
    known = (ImageSet, Tensor, np.ndarray, str, bytes, dict)
    return hasattr(data, "__iter__") and not isinstance(data, known)


class Resident:
    """Images that live on the training device; a batch is a selection of them."""

    def __init__(self, images: Tensor, batch_size: int, team: Team) -> None:
        self.all, self.batch_size, self.team = images, batch_size, team
        self.images, self.shape = len(images), tuple(images.shape[1:])
        self.steps = math.ceil(len(images) / (batch_size * team.size))
        self.place = f"in memory of {images.device.type}"

    def shuffled(self, start: int = 0, ready: Callable[[], object] = nothing) -> Iterator[Tensor]:
        """The permutation is drawn on the device, with torch's global random numbers."""
        order = self.team.same(torch.randperm(self.images, device=self.all.device))
        ready()
        for index in order.split(self.batch_size * self.team.size)[start:]:
            yield self.all.index_select(0, self.team.share(index))

    def ordered(self) -> Iterator[Tensor]:
        yield from self.all[self.team.rank :: self.team.size].split(self.batch_size)


class Travelling:
    """Images that stay in the host's memory: while the device computes on one batch, the next
    is gathered into page-locked memory and copied on a stream of its own."""

    def __init__(self, images: Tensor, batch_size: int, device: torch.device, team: Team) -> None:
        self.all, self.batch_size, self.device, self.team = images, batch_size, device, team
        self.images, self.shape = len(images), tuple(images.shape[1:])
        self.steps = math.ceil(len(images) / (batch_size * team.size))
        self.place = "in memory of the host"
        self.cuda = device.type == "cuda"
        room = (2, batch_size, *self.shape)  # two batches: one travels, one is being filled
        self.dock = torch.empty(room, dtype=images.dtype, pin_memory=self.cuda)
        self.copies = torch.cuda.Stream(device) if self.cuda else None

    def shuffled(self, start: int = 0, ready: Callable[[], object] = nothing) -> Iterator[Tensor]:
        """The permutation is drawn on the host, with torch's global random numbers."""
        order = torch.randperm(self.images)
        if self.team.size > 1:
            order = self.team.same(order.to(self.device)).cpu()
        ready()
        parts = order.split(self.batch_size * self.team.size)[start:]
        yield from self._sent(self.team.share(part) for part in parts)

    def ordered(self) -> Iterator[Tensor]:
        mine = torch.arange(self.images)[self.team.rank :: self.team.size]
        yield from self._sent(mine.split(self.batch_size))

    def _sent(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        """The images at each part's indices, on the device; the next batch is always under way."""
        arrived: list[torch.cuda.Event | None] = [None, None]
        ahead = None
        for turn, index in enumerate(parts):
            place = turn % 2
            if arrived[place] is not None:
                arrived[place].synchronize()  # a copy of two batches ago: done long since
            dock = self.dock[place, : len(index)]
            torch.index_select(self.all, 0, index, out=dock)
            sent, arrived[place] = self._send(dock)
            if ahead is not None:
                yield self._received(*ahead)
            ahead = sent, arrived[place]
        if ahead is not None:
            yield self._received(*ahead)

    def _send(self, dock: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        if not self.cuda:
            return dock.to(self.device, copy=True), None
        with torch.cuda.stream(self.copies):
            batch = dock.to(self.device, non_blocking=True)
            return batch, self.copies.record_event()

    def _received(self, batch: Tensor, arrived: torch.cuda.Event | None) -> Tensor:
        if arrived is not None:
            here = torch.cuda.current_stream(self.device)
            here.wait_event(arrived)
            batch.record_stream(here)  # else its memory could be reused too early
        return batch


class Stream:
    """Batches that somebody else makes: tensors, or tuples whose first part is the images.

    Each process of a team must be given its own share of the images.
    """

    def __init__(
        self, batches: Iterable, name: str, device: torch.device, team: Team, real_pixels: bool
    ) -> None:
        self.batches, self.name, self.device = batches, name, device
        self.real_pixels, self.images, self.shape = real_pixels, None, None
        self.place = "streamed"
        try:
            self.steps = len(batches)
        except TypeError:
            raise TypeError(
                f"{name}, a {type(batches).__name__}, must know its number of batches, since the "
                "schedule of the learning rate depends on it. Give its class a __len__, or put "
                "the batches into a list."
            ) from None
        if self.steps < 1:
            raise ValueError(f"{name} must hold at least one batch, got none")
        if len(set(team.gather(self.steps))) > 1:
            raise ValueError(f"{name} must have equally many batches in every process")

    def shuffled(self, start: int = 0, ready: Callable[[], object] = nothing) -> Iterator[Tensor]:
        """The order is the stream's own affair; the first `start` batches are read and dropped."""
        batches, found = iter(self.batches), start
        for _ in range(start):
            next(batches)
        ready()
        for found, batch in enumerate(batches, start=start + 1):
            yield self._checked(batch, found).to(self.device, non_blocking=True)
        if found != self.steps:
            raise ValueError(
                f"{self.name} gave {found} batches instead of the {self.steps} that its len() "
                "promised. An iterator can be read once only: give something whose __iter__ "
                "starts anew in each epoch, such as a DataLoader."
            )

    def ordered(self) -> Iterator[Tensor]:
        return self.shuffled()

    def _checked(self, batch: object, count: int) -> Tensor:
        images = batch[0] if isinstance(batch, (tuple, list)) else batch
        if count == 1:  # looked through once an epoch; the rest come from the same place
            as_images(images, f"batch 1 of {self.name}", self.real_pixels)
        return images


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
