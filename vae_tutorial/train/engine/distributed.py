"""One run on many devices: several processes, each with its own device and its own images.

`torchrun` starts the processes and tells each its number by environment variables; `join` reads
them. Every process has the whole model. In each step it sees its part of the batch, and
PyTorch's DistributedDataParallel averages the gradients, so all weights stay equal.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vae_tutorial.data.batches import Batch, TensorBatches
from vae_tutorial.train.engine.compiled import ObjectiveModule
from vae_tutorial.train.engine.environment import StopRequest

if TYPE_CHECKING:
    from vae_tutorial.train.loop import Run

TIMEOUT_SECONDS = 300
"""How long a process waits for the others before it gives up."""


class LostProcessError(RuntimeError):
    """Another process of the run has ended or does not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "another process of this run has ended or does not answer; its own messages stand "
            "above or in its log. Start the same command again: with a checkpoint folder, "
            f"the run is resumed from the last checkpoint. ({reason})"
        )


class ProcessGroup:
    """The processes of a run as one of them sees it: its `rank`, from 0, and their number `size`.

    Needs an initialised `torch.distributed`; `join` sees to that.
    """

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        # What the loop asks between steps goes over gloo, from CPU to CPU: NCCL would make each
        # process wait for its GPU.
        self.cpu = dist.new_group(backend="gloo", timeout=_timeout())

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in one of the processes."""
        return self.total(int(flag)) > 0

    def total(self, value: Tensor | int) -> Tensor | int:
        """The sum over processes of a number, or of a tensor on the CPU."""
        tensor = torch.tensor(value) if isinstance(value, int) else value.clone()
        with losing_a_process():
            dist.all_reduce(tensor, group=self.cpu)
        return tensor.item() if isinstance(value, int) else tensor

    def broadcast(self, tensor: Tensor) -> Tensor:
        """The tensor of process 0."""
        with losing_a_process():
            dist.broadcast(tensor, src=0)
        return tensor

    def gather(self, thing: Any) -> list[Any]:
        """One `thing` from each process, in order of rank."""
        things = [None] * self.size
        with losing_a_process():
            dist.all_gather_object(things, thing, group=self.cpu)
        return things

    def from_first(self, thing: Any) -> Any:
        """Process 0's `thing`."""
        return self.gather(thing)[0]

    def shared(self, stop: StopRequest) -> StopRequest:
        """`stop` for all processes: they have to stop after the same step."""
        return _SharedStop(self, stop)


class _SharedStop(StopRequest):
    def __init__(self, group: ProcessGroup, own: StopRequest) -> None:
        self.group, self.own = group, own

    @property
    def requested(self) -> str:
        """Asks all processes in every call."""
        signals = [name for name in self.group.gather(self.own.requested) if name]
        return signals[0] if signals else ""


class ShardedBatches(TensorBatches):
    """This process's part of each batch: the same number of examples in every process, so that
    the mean of their gradients is the gradient of the whole batch's mean.

    Of a last batch that does not divide evenly, fewer than `size` examples of the epoch are left
    out, others in each epoch.
    """

    def __init__(self, whole: TensorBatches, group: ProcessGroup) -> None:
        self.__dict__.update(whole.__dict__)
        self.group, self.batch = group, whole.batch_size * group.size
        last = whole.count % self.batch
        self.steps = whole.count // self.batch + (last >= group.size)
        if self.steps < 1:
            raise ValueError(
                f"data must hold at least one example for each of {group.size} processes, got "
                f"{whole.count}"
            )

    def shuffled(self, skip: int = 0, ready: Callable[[], object] | None = None) -> Iterator[Batch]:
        order = torch.randperm(self.count, device=self.x.device)
        order = self.group.broadcast(order.to(self.device)).to(self.x.device)
        if ready is not None:
            ready()
        for index in order.split(self.batch)[skip : self.steps]:
            even = len(index) // self.group.size * self.group.size
            yield self.select(index[self.group.rank : even : self.group.size])

    def ordered(self) -> Iterator[Batch]:
        mine = torch.arange(self.count, device=self.x.device)[self.group.rank :: self.group.size]
        for index in mine.split(self.batch_size):
            yield self.select(index)


def spread(run: Run) -> None:
    """Make `run` one process's part of a run of many."""
    group = run.group = ProcessGroup()
    run.history.settings["processes"] = group.size
    for name in ("batches", "held_out"):
        batches = getattr(run, name)
        if isinstance(batches, TensorBatches):
            setattr(run, name, ShardedBatches(batches, group))
    if len(set(group.gather(run.batches.steps))) > 1:
        raise ValueError("data must have equally many batches in every process")
    # each process draws other noise, and the same in every such run
    torch.manual_seed(group.from_first(torch.initial_seed()) + 7919 * group.rank)
    with losing_a_process():
        module = nn.parallel.DistributedDataParallel(ObjectiveModule(run.model, run.objective))
    run.forward = lambda model, x, **settings: module(x, **settings)


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
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_timeout())
    try:
        yield device
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def one_first() -> Iterator[None]:
    """On each machine, one process goes through the block before the others begin it.

    For downloads and caches, which the others then find complete.
    """
    alone = not (dist.is_available() and dist.is_initialized())
    follows = not alone and os.environ.get("LOCAL_RANK", "0") != "0"
    if follows:
        ProcessGroup().gather(None)
    yield
    if not follows and not alone:
        ProcessGroup().gather(None)


def is_first() -> bool:
    """Whether this is process 0, the one that writes files and shows progress."""
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def losing_a_process() -> Iterator[None]:
    """Turns the errors of a broken connection into one that says what happened."""
    try:
        yield
    except RuntimeError as error:  # gloo and NCCL have no class of their own in every version
        if isinstance(error, LostProcessError) or not is_lost_connection(error):
            raise
        raise LostProcessError(str(error).strip().splitlines()[0]) from error


def is_lost_connection(error: BaseException) -> bool:
    """Whether the error says that another process does not answer."""
    if not (dist.is_available() and dist.is_initialized()):
        return False
    if isinstance(error, getattr(dist, "DistError", ())):
        return True
    words = str(error).lower()
    return any(sign in words for sign in ("connection", "gloo", "nccl", "timed out", "peer"))


def _timeout() -> datetime.timedelta:
    return datetime.timedelta(seconds=TIMEOUT_SECONDS)
