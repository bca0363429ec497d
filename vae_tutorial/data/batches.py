"""From a data set to the batches that a step of training sees.

`open_batches` checks the data and picks one of two ways: `TensorBatches` selects from a tensor in
memory, `LoaderBatches` reads what somebody else batches (a `DataLoader`, say). A batch is a pair
(x, y) of tensors on the training device; y is `None` where the data have no labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vae_tutorial.data.image_set import ImageSet

Data = ImageSet | Tensor | tuple | Dataset | Iterable
"""What `fit` and `evaluate` take as data."""

Batch = tuple[Tensor, Tensor | None]
"""x `(B, ...)` as stored, and y `(B, ...)` or `None`."""

RESIDENT_FRACTION = 0.5
"""How much of a GPU's free memory `fit` gives to the data; the rest is for the network."""


def open_batches(
    data: Data,
    name: str,
    batch_size: int,
    device: torch.device,
    values: str = "unit",
    levels: int | None = None,
    shuffle: bool = False,
) -> TensorBatches | LoaderBatches:
    """The fastest way from `data` to batches on `device`.

    `values` and `levels` are what the model declares of its data, see `models.likelihoods`; a
    torch `Dataset` is read through a `DataLoader`, which shuffles it with `shuffle`.

    Raises `TypeError` or `ValueError`, naming the argument `name`, for data that the model cannot
    use.
    """
    if isinstance(data, Dataset):
        data = _loader(data, name, batch_size, shuffle)
    known = (ImageSet, Tensor, np.ndarray, str, bytes, dict, tuple)
    if hasattr(data, "__iter__") and not isinstance(data, known):
        return LoaderBatches(data, name, device, values, levels)
    if isinstance(data, tuple):
        _check_pair(data, name)
        x, y = data
    else:
        x, y = (data.images, data.labels) if isinstance(data, ImageSet) else (data, None)
    checked(x, name, values, levels)
    resident = x.device.type == device.type
    if resident or x.nbytes <= RESIDENT_FRACTION * free_memory(device):
        x, y = x.to(device), None if y is None else y.to(device)
    return TensorBatches(x, y, batch_size, device)


def checked(x: Tensor, name: str, values: str = "unit", levels: int | None = None) -> Tensor:
    """`x` `(N, ...)`, if it is data of the kind `values`; looked through once, copied never.

    `name` is the argument's name, for the message. Raises `TypeError` for anything but a tensor
    of the right type, `ValueError` for a wrong shape or range.
    """
    if not isinstance(x, Tensor):
        way = " A NumPy array becomes a tensor by torch.from_numpy." * isinstance(x, np.ndarray)
        raise TypeError(
            f"{name} must be an ImageSet, a tensor, a pair of tensors (x, y), a torch Dataset or "
            f"a DataLoader, got {type(x).__name__}.{way}"
        )
    if x.dim() < 2 or x.numel() == 0:
        raise ValueError(f"{name} must hold examples, shape (N, ...), got {tuple(x.shape)}")
    if x.is_complex() or x.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor of real numbers, got {x.dtype}, {x.layout}")
    if values == "integer":
        _check_integers(x, name, levels)
    elif x.dtype == torch.uint8:
        _check_bytes(x, name)
    elif x.is_floating_point():
        _check_range(x, name, values == "real")
    else:
        way = " .float() turns it into numbers that this model can use." * (x.dtype == torch.bool)
        raise TypeError(f"{name} must be uint8 or floating point, got {x.dtype}.{way}")
    return x


def float_batch(x: Tensor, binarise: bool = False) -> Tensor:
    """A batch as floating-point numbers, on the device where it lies.

    `uint8` is divided by 255. With `binarise`, each pixel is drawn afresh as 0 or 1 with its
    grey value as the probability of a 1 (dynamic binarisation, Salakhutdinov and Murray, 2008).
    """
    x = x / 255 if x.dtype == torch.uint8 else x
    return (torch.rand_like(x) < x).to(x.dtype) if binarise else x


@dataclass(eq=False)
class BatchConverter:
    """Calling it returns `float_batch(x, binarise)`; on a CPU, in memory of its own.

    Data of the kind `"integer"` stay as they are: bytes become int64, as tokens are. A CPU gets
    fresh memory page by page from the system, which costs a small network up to a tenth of its
    step; GPUs keep what was freed at hand. So a result holds until the next call. Random numbers
    are drawn as by `float_batch`.
    """

    values: str
    binarise: bool
    memory: Tensor | None = None  # (2, B, C, H, W): the batch, and noise to binarise it

    def __call__(self, x: Tensor) -> Tensor:
        if self.values == "integer":
            return x.long()
        if x.device.type != "cpu" or x.dtype != torch.uint8:
            return float_batch(x, self.binarise)
        memory = self.memory
        if memory is None or memory.shape[2:] != x.shape[1:] or memory.shape[1] < len(x):
            memory = self.memory = torch.empty(1 + self.binarise, *x.shape)
        floats = torch.div(x, 255, out=memory[0, : len(x)])
        if self.binarise:
            torch.lt(memory[1, : len(x)].uniform_(), floats, out=floats)
        return floats


class TensorBatches:
    """Batches from tensors in memory: x `(N, ...)`, and y `(N, ...)` or `None`.

    Where the tensors lie in the host's memory and `device` is a GPU, each batch is gathered into
    pinned memory and copied while the device computes on the one before.
    """

    def __init__(self, x: Tensor, y: Tensor | None, batch_size: int, device: torch.device) -> None:
        self.x, self.y, self.batch_size, self.device = x, y, batch_size, device
        self.count, self.shape = len(x), tuple(x.shape[1:])
        self.steps = math.ceil(self.count / batch_size)
        resident = x.device.type == device.type
        self.place = f"in memory of {device.type}" if resident else "in memory of the host"

    def select(self, index: Tensor) -> Batch:
        """The examples at `index`, on the device."""
        x, y = self.x.index_select(0, index), self.y
        y = None if y is None else y.index_select(0, index)
        return (x, y) if x.device == self.device else (_sent(x, self.device), _sent(y, self.device))

    def shuffled(self, skip: int = 0, ready: Callable[[], object] | None = None) -> Iterator[Batch]:
        """The batches of a new epoch, without the first `skip`, in an order drawn with torch's
        global random numbers; `ready` is called once it is drawn."""
        order = torch.randperm(self.count, device=self.x.device)
        if ready is not None:
            ready()
        for index in order.split(self.batch_size)[skip:]:
            yield self.select(index)

    def ordered(self) -> Iterator[Batch]:
        """All examples once, in the order of the data set."""
        for index in torch.arange(self.count, device=self.x.device).split(self.batch_size):
            yield self.select(index)


class LoaderBatches:
    """Batches that somebody else makes: tensors x, or pairs (x, y). Each is checked as it comes.

    Every process of a run must be given its own part of the data.
    """

    count, shape, place = None, None, "from a loader"

    def __init__(
        self, loader: Iterable, name: str, device: torch.device, values: str, levels: int | None
    ) -> None:
        self.loader, self.name, self.device = loader, name, device
        self.values, self.levels = values, levels
        try:
            self.steps = len(loader)
        except TypeError:
            raise TypeError(
                f"{name}, a {type(loader).__name__}, must know its number of batches, since the "
                "schedule of the learning rate depends on it. Give its class a __len__, or put "
                "the batches into a list."
            ) from None
        if self.steps < 1:
            raise ValueError(f"{name} must hold at least one batch, got none")

    def shuffled(self, skip: int = 0, ready: Callable[[], object] | None = None) -> Iterator[Batch]:
        """The order is the loader's own affair; the first `skip` batches are read and dropped."""
        loader, found = iter(self.loader), skip
        for _ in range(skip):
            next(loader)
        if ready is not None:
            ready()
        for found, batch in enumerate(loader, start=skip + 1):
            yield self._checked(batch, found)
        if found != self.steps:
            raise ValueError(
                f"{self.name} gave {found} batches instead of the {self.steps} that its len() "
                "promised. An iterator can be read once only: give something whose __iter__ "
                "starts anew in each epoch, such as a DataLoader."
            )

    def ordered(self) -> Iterator[Batch]:
        """All batches once, in the loader's order."""
        return self.shuffled()

    def _checked(self, batch: Any, number: int) -> Batch:
        name = f"batch {number} of {self.name}"
        x, y = batch, None
        if isinstance(batch, (tuple, list)):
            if not 1 <= len(batch) <= 2:
                raise TypeError(f"{name} must be x or (x, y), got {len(batch)} parts")
            x, y = batch if len(batch) == 2 else (batch[0], None)
        checked(x, name, self.values, self.levels)
        if y is not None and not isinstance(y, Tensor):
            raise TypeError(f"y of {name} must be a tensor, got {type(y).__name__}")
        if y is not None and len(y) != len(x):
            raise ValueError(f"y of {name} must have {len(x)} rows, as x has, got {len(y)}")
        to = self.device
        y = None if y is None else y.to(to, non_blocking=True)
        return x.to(to, non_blocking=True), y


def _loader(data: Dataset, name: str, batch_size: int, shuffle: bool) -> DataLoader:
    """A `DataLoader` of a data set whose examples are tensors."""
    try:
        example = data[0]
    except (IndexError, KeyError, NotImplementedError, TypeError) as error:
        raise TypeError(
            f"{name}, a {type(data).__name__}, has no example at index 0 ({error}). Give a "
            "DataLoader of it."
        ) from error
    x = example[0] if isinstance(example, (tuple, list)) else example
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name}, a {type(data).__name__}, must give tensors, got {type(x).__name__}. "
            "A data set of torchvision does with transform=torchvision.transforms.ToTensor()."
        )
    return DataLoader(data, batch_size=batch_size, shuffle=shuffle)


def _check_pair(data: tuple, name: str) -> None:
    if len(data) == 2 and all(isinstance(part, ImageSet) for part in data):
        raise TypeError(
            f"{name} must be one set, got a pair of them. Train on the first and measure on the "
            "second: fit(model, train, validation=test)."
        )
    if len(data) != 2 or not all(isinstance(part, Tensor) for part in data):
        found = ", ".join(type(part).__name__ for part in data)
        raise TypeError(f"{name} as a tuple must be a pair of tensors (x, y), got ({found})")
    x, y = data
    if y.dim() and x.dim() > 1 and y.shape[1:] == x.shape[1:] and len(y) != len(x):
        raise ValueError(
            f"{name} must be a pair (x, y) with equally many rows, got {tuple(x.shape)} and "
            f"{tuple(y.shape)}. If these are training and test data: "
            "fit(model, train, validation=test)."
        )
    if y.dim() < 1 or len(y) != len(x):
        raise ValueError(
            f"{name} must be a pair (x, y) with equally many rows, got {tuple(x.shape)} and "
            f"{tuple(y.shape)}"
        )


def _check_integers(x: Tensor, name: str, levels: int | None) -> None:
    if x.is_floating_point() or x.dtype == torch.bool:
        raise TypeError(
            f"{name} must hold whole numbers, as uint8 or int64, for this model, got {x.dtype}"
        )
    low, high = x.min().item(), x.max().item()
    if low < 0 or (levels is not None and high >= levels):
        most = "" if levels is None else f" to {levels - 1}"
        raise ValueError(
            f"{name} must hold whole numbers from 0{most} for this model, got {low} to {high}"
        )


def _check_bytes(x: Tensor, name: str) -> None:
    if x.dim() < 4:
        raise ValueError(
            f"{name} of dtype uint8 must have shape (N, C, H, W), got {tuple(x.shape)}. "
            "A missing channel axis is added by .unsqueeze(1)."
        )
    if x.shape[-1] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        raise ValueError(
            f"{name} of dtype uint8 must have shape (N, C, H, W), got {tuple(x.shape)}, with the "
            "channels last. They are moved by .permute(0, 3, 1, 2)."
        )
    if x.max() == 1:
        raise ValueError(
            f"{name} of dtype uint8 must hold grey levels from 0 to 255, which are divided by "
            "255, and holds only 0 and 1. Binary pixels are given as x.float()."
        )


def _check_range(x: Tensor, name: str, real: bool) -> None:
    low, high = x.min().item(), x.max().item()  # NaN comes through both
    if not (abs(low) < math.inf and abs(high) < math.inf):
        raise ValueError(f"{name} holds NaN or infinite values")
    if not real and (low < 0 or high > 1):
        raise ValueError(
            f"{name} must lie in [0, 1] for this model, got values from {low:g} to {high:g}. "
            "Bytes stored as floats are divided by 255; data that may take any real value need "
            "VAE(..., likelihood=GaussianLikelihood(...))."
        )


def free_memory(device: torch.device) -> float:
    """The bytes that are free on a GPU; no limit for a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return float("inf")


def _sent(x: Tensor | None, device: torch.device) -> Tensor | None:
    """A copy of `x` on the device, under way while Python goes on."""
    if x is None or device.type != "cuda":
        return x if x is None else x.to(device)
    return x.pin_memory().to(device, non_blocking=True)
