"""Many cells of Burda's table at once, on one GPU.

    python benchmarks/iwae_on_gpu.py --seconds 200
    python benchmarks/iwae_on_gpu.py --cells iwae-k50-2layer vae-k50-2layer --epochs 300

The networks of `iwae_table` are so small that one of them leaves a GPU idle: what takes time is
starting a thousand tiny kernels one after the other. So all cells are trained in lockstep: one
CUDA graph holds one step of every cell, each on a stream of its own, and their kernels overlap.
In every step all cells see the same images of the training set, each with pixels of its own
drawing. The incomplete last batch of an epoch is left out.

With `--seconds`, after each epoch it is decided anew how many more fit in, so that the learning
rate has come down to zero when the time is up, whatever else the machine does meanwhile.

If the graph cannot be recorded, or does something else than the steps it was recorded from, the
script starts itself anew with one stream for all cells, and then without a graph.

All weights are written to `--work` before anything is measured, and each cell's figures to `--out`
as soon as they are known. Started again, it trains and measures only what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from iwae_models import model_and_objective, start_at_the_mean_image
from iwae_table import PAPER, Cell, measured, store
from torch import Tensor

import vae_tutorial as vt
from vae_tutorial.files import write_atomically
from vae_tutorial.train.engine.environment import Precision, matrix_products, pick_precision
from vae_tutorial.train.schedules import describe, one_cycle

CAPTURES = ("streams", "serial", "eager")
"""Ways to run a step: a graph with a stream for each cell, a graph with one, no graph."""

WARM_UP_STEPS, PROBE_STEPS = 3, 50
"""Steps at rate zero: before recording, for libraries to choose their algorithms; and after it, to
see that the recording does what it should, and how fast."""

FIRST_TO_MEASURE = ("2layer", "1layer", "conv")


class RecordingError(RuntimeError):
    """The step could not be recorded, or the recording computes something else."""


@dataclass(eq=False)
class Member:
    """One cell with a seed: its model, how it is trained, and the sum of its losses so far."""

    cell: Cell
    seed: int
    device: torch.device
    learning_rate: float | Tensor
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        cell, cuda = self.cell, self.device.type == "cuda"
        self.model, self.objective = model_and_objective(cell.network, cell.objective, cell.k)
        self.model.to(self.device)
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), lr=self.learning_rate, fused=True, capturable=cuda
        )
        self.stream = torch.cuda.Stream() if cuda else None
        self.total = torch.zeros((), device=self.device)  # of losses; a graph adds to it
        self.random = torch.get_rng_state()  # where its numbers go on, in steps on a CPU

    @property
    def name(self) -> str:
        return f"{self.cell}-seed{self.seed}"

    def step(self, pixels: Tensor, precision: Precision) -> None:
        """Train on grey `pixels` `(B, C, H, W)` in [0, 1], drawn as 0 or 1."""
        x = (torch.rand_like(pixels) < pixels).to(pixels.dtype)
        half = precision.name == "bfloat16"
        # no cached casts: a captured graph must not depend on them
        with torch.autocast(self.device.type, torch.bfloat16, half, cache_enabled=False):
            loss = self.objective(self.model, x)["loss"]
        self.optimiser.zero_grad(set_to_none=True)  # in a graph: gradients from its own memory
        loss.mean().backward()
        self.optimiser.step()
        self.total.add_(loss.detach().float().sum())

    @contextlib.contextmanager
    def own_random_numbers(self) -> Iterator[None]:
        """The CPU's random numbers go on from this member's last, even if others draw meanwhile."""
        before = torch.get_rng_state()
        torch.set_rng_state(self.random)
        yield
        self.random = torch.get_rng_state()
        torch.set_rng_state(before)


class Lockstep:
    """One step of all members, as it is or recorded; `images` are `uint8`, `(N, C, H, W)`."""

    def __init__(
        self, members: list[Member], images: Tensor, batch_size: int,
        precision: Precision, rate: float | Tensor, order_seed: int,
    ) -> None:  # fmt: skip
        self.members, self.images, self.batch_size = members, images, batch_size
        self.precision, self.rate = precision, rate
        self.steps = len(images) // batch_size
        if self.steps < 1:
            raise SystemExit(f"{len(images)} images are fewer than a batch of {batch_size}")
        self.index = torch.zeros(batch_size, dtype=torch.int64, device=images.device)
        self.order = torch.Generator(images.device).manual_seed(order_seed)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.pixels: Tensor | None = None

    def shuffled(self) -> Tensor:
        """The batches of a new epoch, as indices `(steps, B)`."""
        device = self.images.device
        order = torch.randperm(len(self.images), generator=self.order, device=device)
        return order[: self.steps * self.batch_size].view(self.steps, self.batch_size)

    def train(self, batches: Tensor, rates: list[float]) -> None:
        """One step for each of `batches` `(steps, B)`. Nothing in here waits for a GPU."""
        for index, rate in zip(batches, rates, strict=True):
            self.set_rate(rate)
            self.index.copy_(index)
            if self.graph is None:
                self.steps_in_turn()
            else:
                self.graph.replay()

    def set_rate(self, rate: float) -> None:
        if isinstance(self.rate, Tensor):
            self.rate.fill_(rate)  # all optimisers, and the graph, look in this one place
            return
        for member in self.members:
            for group in member.optimiser.param_groups:
                group["lr"] = rate

    def steps_in_turn(self) -> None:
        """The step of one member after the other; what a graph with one stream records."""
        cpu = self.images.device.type == "cpu"
        self.gather()
        for member in self.members:
            with member.own_random_numbers() if cpu else contextlib.nullcontext():
                member.step(self.pixels, self.precision)

    def steps_side_by_side(self) -> None:
        """The step of each member on its own stream: apart from the present one, and back."""
        here = torch.cuda.current_stream()
        self.gather()  # kept as an attribute, else its memory could be used again too early
        for member in self.members:
            member.stream.wait_stream(here)
            with torch.cuda.stream(member.stream):
                member.step(self.pixels, self.precision)
        for member in self.members:
            here.wait_stream(member.stream)

    def gather(self) -> None:
        self.pixels = self.images.index_select(0, self.index) / 255

    def record(self, capture: str) -> None:
        """Record one step. The weights stay as they are: all steps in here are at rate zero.

        Raises `RecordingError`; the process should not go on with CUDA after that.
        """
        step = self.steps_side_by_side if capture == "streams" else self.steps_in_turn
        try:
            batches = self.shuffled()
            expected = self._record(step, batches[:WARM_UP_STEPS])
            self.train(batches[:1], [0.0])
            torch.cuda.synchronize()
            self.mean_losses(1)  # also sets the sums back to zero
            self.train(batches, [0.0] * self.steps)  # another sample of the same means
            found = self.mean_losses(self.steps)
        except Exception as error:
            raise RecordingError(f"{type(error).__name__}: {error}") from error
        for member, before, after in zip(self.members, expected, found):
            if not abs(after - before) <= 0.1 * abs(before):
                raise RecordingError(f"{member.name}: loss {after:.2f} recorded, {before:.2f} not")

    def _record(self, step: Callable[[], None], batches: Tensor) -> list[float]:
        """Make some ordinary steps, then the recording; return the losses of the former."""
        aside = torch.cuda.Stream()  # both on one stream, whose libraries then have their memory
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self.set_rate(0.0)
            for index in batches:
                self.index.copy_(index)
                step()
        torch.cuda.current_stream().wait_stream(aside)
        torch.cuda.synchronize()
        losses = self.mean_losses(len(batches))
        for member in self.members:
            member.optimiser.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=aside):
            step()
        return losses

    def forget_moments(self) -> None:
        """Set Adam's averages and step counts back to zero, where a graph looks for them."""
        for member in self.members:
            for state in member.optimiser.state.values():
                for value in state.values():
                    value.zero_()

    def mean_losses(self, steps: int) -> list[float]:
        """The mean loss of each member over the last `steps` steps. Waits for the device."""
        totals = torch.stack([member.total for member in self.members]).tolist()
        for member in self.members:
            member.total.zero_()
        return [total / (steps * self.batch_size) for total in totals]

    def seconds_per_epoch(self) -> float:
        """Timed over a few steps at rate zero, which leave all weights as they are."""
        batches = self.shuffled()[:PROBE_STEPS]
        start = time.perf_counter()
        self.train(batches, [0.0] * len(batches))
        self.mean_losses(len(batches))
        return (time.perf_counter() - start) / len(batches) * self.steps


class Plan:
    """How far the run is, as a share of the whole, and how many epochs are left.

    Either `epochs` are given, or `seconds`, and then every epoch so far tells how many more there
    will be.
    """

    def __init__(self, epochs: int | None, seconds: float | None, epoch_seconds: float) -> None:
        self.epochs, self.seconds = epochs, seconds
        self.recent = [epoch_seconds]
        self.done, self.share, self.elapsed = 0, 0.0, 0.0

    @property
    def left(self) -> int:
        if self.share >= 1:
            return 0
        if self.seconds is None:
            return self.epochs - self.done
        epoch_seconds = sum(self.recent) / len(self.recent)
        return max(1, int((self.seconds - self.elapsed) / epoch_seconds))

    def rates(self, steps: int, highest: float) -> list[float]:
        """The learning rates of the next epoch's `steps`."""
        left = self.left
        whole, part = (self.done + left) * steps, (1 - self.share) / left
        at = [(self.share + part * step / steps) * whole for step in range(steps)]
        return [highest * one_cycle(step, whole) for step in at]

    def epoch_ends(self, elapsed: float) -> None:
        """`elapsed` are the seconds since training began."""
        left = self.left
        self.share = 1.0 if left == 1 else self.share + (1 - self.share) / left
        self.done += 1
        self.recent = [*self.recent[-2:], elapsed - self.elapsed] if self.done > 1 else [elapsed]
        self.elapsed = elapsed


def train(lockstep: Lockstep, options: argparse.Namespace) -> list[float]:
    """Train all members to the end; returns the seconds at the end of each epoch."""
    members, seconds = lockstep.members, []
    plan = Plan(
        options.epochs, options.seconds, lockstep.seconds_per_epoch() if options.seconds else 0.0
    )
    print(f"{len(members)} cells, {lockstep.steps} steps in an epoch, {plan.left} epochs planned")
    lockstep.forget_moments()
    start = time.perf_counter()
    while plan.left:
        lockstep.train(lockstep.shuffled(), plan.rates(lockstep.steps, options.learning_rate))
        losses = lockstep.mean_losses(lockstep.steps)
        plan.epoch_ends(time.perf_counter() - start)
        seconds.append(plan.elapsed)
        for member, loss in zip(members, losses):
            if not math.isfinite(loss) and all(map(math.isfinite, member.losses)):
                print(f"{member.name}: not finite from epoch {plan.done} on", flush=True)
            member.losses.append(loss)
        if plan.done <= 3 or plan.done % 10 == 0 or not plan.left:
            told = "  ".join(f"{m.cell} {loss:.2f}" for m, loss in zip(members, losses))
            print(f"epoch {plan.done}, {plan.left} left, {plan.elapsed:.1f} s: {told}", flush=True)
    return seconds


def make_lockstep(
    chosen: list[tuple[Cell, int]], data: vt.Images, options: argparse.Namespace
) -> Lockstep:
    """Fresh models of the chosen cells and seeds, ready to train."""
    device = torch.device(options.device)
    rate = torch.zeros((), device=device) if device.type == "cuda" else options.learning_rate
    members = [Member(cell, seed, device, rate) for cell, seed in chosen]
    every_image = data.train.images.to(device)
    for member in members:
        start_at_the_mean_image(member.model, every_image)
        if any(group["lr"] is not rate for group in member.optimiser.param_groups):
            raise RuntimeError("this torch's Adam does not keep the tensor of the learning rate")
    torch.manual_seed(options.order_seed + 1)  # on CUDA, what all members draw from in turn
    images = every_image[: options.images]
    precision = pick_precision(device, options.precision)
    return Lockstep(members, images, options.batch_size, precision, rate, options.order_seed)


def train_and_save(
    chosen: list[tuple[Cell, int]], data: vt.Images, options: argparse.Namespace
) -> None:
    """Train the chosen cells and write weights and history of each to the folder `--work`."""
    start = time.perf_counter()
    lockstep = make_lockstep(chosen, data, options)
    with matrix_products(lockstep.images.device, lockstep.precision):
        if options.device == "cuda" and options.capture != "eager":
            lockstep.record(options.capture)
        print(f"ready after {time.perf_counter() - start:.1f} s, step: {options.capture}")
        seconds = train(lockstep, options)
    for member in lockstep.members:
        history = vt.History(
            train={"loss": member.losses}, seconds=seconds,
            settings=settings(member, lockstep, options, len(seconds)),
        )  # fmt: skip
        weights = {name: value.float().cpu() for name, value in member.model.state_dict().items()}
        content = io.BytesIO()
        torch.save(weights, content)
        history.save(options.work / f"{member.name}.json")
        write_atomically(options.work / f"{member.name}.pt", content.getvalue())
    print(f"all weights written after {time.perf_counter() - start:.1f} s", flush=True)


def settings(
    member: Member, lockstep: Lockstep, options: argparse.Namespace, epochs: int
) -> dict[str, object]:
    """What a stored cell says about its training, in the words of `fit`'s history."""
    cuda = options.device == "cuda"
    step = {
        "streams": "one CUDA graph for all cells, each on its own stream",
        "serial": "one CUDA graph for all cells, on one stream", "eager": "plain",
    }[options.capture if cuda else "eager"]  # fmt: skip
    fitted = f", fitted after each epoch to {options.seconds:g} s" if options.seconds else ""
    return {
        "epochs": epochs, "batch_size": options.batch_size,
        "learning_rate": options.learning_rate, "schedule": f"one_cycle{fitted}",
        "objective": describe(member.objective), "images": len(lockstep.images),
        "images_left_out_in_an_epoch": len(lockstep.images) % options.batch_size,
        "binarisation": "dynamic", "data": f"in memory of {options.device}",
        "device": options.device, "precision": lockstep.precision.name, "step": step,
        "in_lockstep_with": [m.name for m in lockstep.members if m is not member],
        "train_seconds": f"of all {len(lockstep.members)} cells together",
        "torch": str(torch.__version__),
    }  # fmt: skip


def measure(cell: Cell, seed: int, data: vt.Images, options: argparse.Namespace) -> None:
    """Measure the stored weights of a cell and write what is found."""
    name = f"{cell}-seed{seed}"
    history = vt.History(**json.loads((options.work / f"{name}.json").read_text()))
    if None in history.train["loss"]:
        print(f"{name}: not measured, its loss was not finite", flush=True)
        return
    model, _ = model_and_objective(cell.network, cell.objective, cell.k)
    model.load_state_dict(torch.load(options.work / f"{name}.pt", weights_only=True))
    model.to(options.device)
    found = measured(cell, seed, model, history, data, options, Path(__file__).name)
    store(place(name, options), found)


def place(name: str, options: argparse.Namespace) -> Path:
    """Where a cell's figures go. A file of figures found otherwise is never written over."""
    taken = any((folder / f"{name}.json").exists() for folder in (options.stored, options.out))
    ours = options.out / f"{name}.json"
    if taken and not (ours.exists() and "lockstep" in ours.read_text()):
        return options.out / f"{name}-gpu.json"
    return ours


def urgency(place: tuple[Cell, int], options: argparse.Namespace) -> tuple:
    """What is missing comes first, then two layers, then the largest k."""
    cell, seed = place
    stored = (options.stored / f"{cell}-seed{seed}.json").exists()
    return stored, seed, FIRST_TO_MEASURE.index(cell.network), -cell.k, cell.objective


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cells = [Cell(*place) for place in PAPER]
    results = Path("benchmarks/results/iwae_table")
    parser.add_argument("--cells", nargs="+", type=Cell.read, default=cells, metavar="CELL")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--missing", action="store_true", help="only cells that are not stored")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int)
    length.add_argument("--seconds", type=float, help="of training; default: 200")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="the highest")
    parser.add_argument("--precision", choices=["bfloat16", "tf32", "float32"],
                        help="of the training; default: tf32, on a CPU float32")  # fmt: skip
    parser.add_argument("--capture", choices=CAPTURES, default=CAPTURES[0])
    parser.add_argument("--no-streams", dest="capture", action="store_const", const="serial",
                        help="short for --capture serial")  # fmt: skip
    parser.add_argument("--order-seed", type=int, default=0, help="of the images' order")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--test-seed", type=int, default=0)
    parser.add_argument("--chunk", type=int, help="pairs decoded at once; on CUDA: 2^19")
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--dataset", default="mnist", help="another is for trying the script out")
    parser.add_argument("--images", type=int, help="only the first so many; for trying it out")
    parser.add_argument("--work", type=Path, default=Path("runs/iwae_on_gpu"), help="weights")
    parser.add_argument("--stored", type=Path, default=results, help="what there is already")
    parser.add_argument("--out", type=Path, default=results)
    options = parser.parse_args(arguments)
    cuda, options.start = options.device == "cuda", None
    options.precision = options.precision or ("tf32" if cuda else "float32")
    options.chunk = options.chunk or (2**19 if cuda else None)
    if options.epochs is None and options.seconds is None:
        options.seconds = 200.0
    return options


def main() -> None:
    options = read_options()
    os.environ.setdefault("VAE_TUTORIAL_PROGRESS", "0")
    options.work.mkdir(parents=True, exist_ok=True)
    chosen = sorted(
        itertools.product(options.cells, options.seeds), key=lambda place: urgency(place, options)
    )
    if options.missing:
        chosen = [place for place in chosen if not urgency(place, options)[0]]
    data = vt.load_images(options.dataset)
    data = data._replace(test=data.test[: options.images])
    fresh = [(c, s) for c, s in chosen if not (options.work / f"{c}-seed{s}.pt").exists()]
    if fresh:
        try:
            train_and_save(fresh, data, options)
        except RecordingError as error:
            following = CAPTURES[CAPTURES.index(options.capture) + 1]
            print(f"--capture {options.capture} failed: {error}\nnow --capture {following}")
            start_anew("--capture", following)
        if options.device == "cuda":
            torch.cuda.empty_cache()
    for cell, seed in chosen:
        if place(f"{cell}-seed{seed}", options).exists():
            print(f"{cell}-seed{seed}: measured already")
            continue
        measure(cell, seed, data, options)


def start_anew(*further: str) -> None:
    """This program from its beginning: after a failed recording, CUDA is best set up afresh."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], *further])


if __name__ == "__main__":
    main()
