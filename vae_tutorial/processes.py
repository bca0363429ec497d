"""One run on many devices: several processes, each with its own device and its own images.

`torchrun` starts the processes and tells each its number by environment variables; `join` reads
them. Every process has the whole model. In each step it sees its share of the batch, and
PyTorch's DistributedDataParallel averages the gradients, so all weights stay equal.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE_SECONDS = 300
"""How long a process waits for the others before it gives up."""


class LostProcessError(RuntimeError):
    """Another process of the run has ended or does not answer."""


class Team:
    """The processes of a run as one of them sees it: its `rank`, from 0, and their number `size`.

    Without `torchrun`, or `alone`, the team is of one, and every method returns what it was
    given.
    """

    def __init__(self, alone: bool = False) -> None:
        alone = alone or not (dist.is_available() and dist.is_initialized())
        self.rank, self.size = (0, 1) if alone else (dist.get_rank(), dist.get_world_size())
        # Small talk between the processes goes over gloo, from CPU to CPU: NCCL would make each
        # process wait for its GPU.
        self.talk = None if alone else dist.new_group(backend="gloo", timeout=_patience())

    def agree(self, images: int, stop: bool) -> tuple[float, bool]:
        """What each step needs to know of the others: images per process, and who wants to stop.

        The first number is the mean over processes; a sum over this process's images divided by
        it has the gradient of the whole batch's mean, once gradients have been averaged.
        """
        if self.size == 1:
            return images, stop
        facts = torch.tensor([images, float(stop)], dtype=torch.float64)
        with losing_a_process():
            dist.all_reduce(facts, group=self.talk)
        return facts[0].item() / self.size, facts[1].item() > 0

    def same(self, tensor: Tensor) -> Tensor:
        """The tensor of process 0."""
        if self.size > 1:
            with losing_a_process():
                dist.broadcast(tensor, src=0)
        return tensor

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over processes."""
        if self.size > 1:
            with losing_a_process():
                dist.all_reduce(tensor)
        return tensor

    def gather(self, thing: Any) -> list[Any]:
        """One `thing` from each process, in order of rank."""
        if self.size == 1:
            return [thing]
        things = [None] * self.size
        with losing_a_process():
            dist.all_gather_object(things, thing, group=self.talk)
        return things

    def from_first(self, thing: Any) -> Any:
        """Process 0's `thing`."""
        return self.gather(thing)[0]

    def share(self, indices: Tensor) -> Tensor:
        """This process's part of the indices of one batch; parts differ by at most one image."""
        return indices if self.size == 1 else indices[self.rank :: self.size]


@contextlib.contextmanager
def join(device: str | torch.device | None = None) -> Iterator[torch.device | None]:
    """Join the run that `torchrun` started, and leave it at the end; alone, do nothing.

    Gives the device of this process: its own GPU where there are GPUs, else the CPU; `device`
    is given back where it was named, or where there is no `torchrun`. NCCL carries gradients
    between GPUs, gloo between CPUs.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield None if device is None else torch.device(device)
        return
    if device is None:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        device = f"cuda:{local}" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_patience())
    try:
        yield device
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def one_first(team: Team) -> Iterator[None]:
    """On each machine, one process goes through the block before the others begin it.

    For downloads and caches, which the others then find complete.
    """
    follows = team.size > 1 and os.environ.get("LOCAL_RANK", "0") != "0"
    if follows:
        team.gather(None)
    yield
    if not follows:
        team.gather(None)


def is_first() -> bool:
    """Whether this is process 0, the one that writes files and shows progress."""
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def losing_a_process() -> Iterator[None]:
    """Turns the errors of a broken connection into one that says what happened."""
    try:
        yield
    except RuntimeError as error:  # gloo and NCCL have no class of their own in every version
        if isinstance(error, LostProcessError) or not _is_lost_connection(error):
            raise
        raise LostProcessError(
            "another process of this run has ended or does not answer; its own messages stand "
            "above or in its log. Start the same command again: with a checkpoint folder, "
            f"training goes on from the last checkpoint. ({str(error).strip().splitlines()[0]})"
        ) from error


def _is_lost_connection(error: RuntimeError) -> bool:
    if isinstance(error, getattr(dist, "DistError", ())):
        return True
    words = str(error).lower()
    return any(sign in words for sign in ("connection", "gloo", "nccl", "timed out", "peer"))


def _patience() -> datetime.timedelta:
    return datetime.timedelta(seconds=PATIENCE_SECONDS)
