"""The training loop.

`fit` is meant to be read: one loop over epochs, and in `train_epoch` one over batches. What it
adds to the loop of a first tutorial is what makes that loop fast, and its numbers right:

- the images stay where the training happens, as bytes, and become floats batch by batch;
- nothing in a step makes the processor wait for the GPU: what the objective returns is summed
  on the device and read once for each epoch;
- means are sums over images divided by the number of images, so a smaller last batch counts
  for what it is;
- a run that was stopped, by whatever, goes on from its last checkpoint to the same result.

What a step does is in `steps`, where batches come from in `batches`, what a run is made of in
`runs`.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vae_tutorial.batches import Data, Feed, feed
from vae_tutorial.checkpoints import CheckpointFolder
from vae_tutorial.devices import (
    matrix_products,
    out_of_memory_explained,
    pick_device,
    pick_precision,
)
from vae_tutorial.floats import Floats
from vae_tutorial.history import History
from vae_tutorial.interrupts import StopRequest, stop_request
from vae_tutorial.objectives import elbo
from vae_tutorial.processes import Team, losing_a_process
from vae_tutorial.progress import progress_bar
from vae_tutorial.runs import Run, TrainingDivergedError, largest_gradient
from vae_tutorial.schedules import Schedule, describe, one_cycle
from vae_tutorial.steps import Loss, Rates, Step, make_optimiser, make_step
from vae_tutorial.validation import (
    VALIDATION_BATCH,
    Objective,
    check_same_shape,
    evaluate,
    means,
    modes_kept,
    wants_binary_pixels,
    whole_number,
)

__all__ = ["TrainingDivergedError", "evaluate", "fit", "one_cycle", "pick_device", "train_epoch"]


@dataclass
class Plan:
    """What a run does, from its first step to its last; what changes meanwhile is in `Run`."""

    epochs: int
    step: Step
    source: Feed
    rates: Rates
    floats: Floats
    held_out: Feed | None
    objective: Objective
    folder: CheckpointFolder | None
    on_epoch: Callable[[History], object] | None


@torch.enable_grad()
def fit(
    model: nn.Module,
    data: Data,
    *,
    validation: Data | None = None,
    objective: Objective = elbo,
    epochs: int = 10,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    schedule: Schedule = one_cycle,
    beta: Schedule | None = None,
    binarise: bool | None = None,
    device: str | torch.device | None = None,
    precision: str = "auto",
    compile: bool = False,
    cuda_graph: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    on_epoch: Callable[[History], object] | None = None,
    progress: bool | None = None,
) -> History:
    """Train `model` with Adam (Kingma and Ba, 2015) and return what was recorded.

    - `data`, `validation`: an `ImageSet`, `uint8` images `(N, C, H, W)`, floats `(N, ...)`, or
      an iterable of such batches with a `len`, a `DataLoader` for one. Images stay on the device
      if they fit into half of its free memory; else they travel there batch by batch.
    - `objective`: a function `(model, x) -> dict` of `(B,)` tensors with an entry `"loss"`.
      The next batch is written over `x`: clone what is to be kept.
    - `batch_size`: images in one step; with several processes, in each of them.
    - `learning_rate`: the highest of the run; `schedule` says how it rises and falls.
    - `beta`: a schedule for the objective's argument `beta`; see `schedules`. Validation leaves
      that argument at its default.
    - `binarise`: draw binary pixels afresh for every batch. By default for a model whose
      likelihood is Bernoulli, since that is a distribution over binary pixels; else not.
    - `device`: by default `pick_device()`. The model stays there.
    - `precision`: `"auto"`, `"float32"`, `"tf32"` or `"bfloat16"`; see `devices.pick_precision`.
    - `compile`, `cuda_graph`: have torch translate the step, or the GPU replay it; see `steps`.
    - `checkpoint`: a folder. After each epoch, all that the run consists of is written there.
      Where the folder holds a checkpoint of a run with the same settings, that run goes on.
    - `on_epoch`: called after each epoch with the history so far.
    - `progress`: show a bar; by default unless the environment has `VAE_TUTORIAL_PROGRESS=0`.

    For a run that can be repeated, call `torch.manual_seed` before the model is made and before
    `fit`. Ctrl-C and SIGTERM end the run after the step that is under way; weights, history and
    checkpoint are kept. Pressed twice, Ctrl-C does not wait for the step.

    Raises `ValueError` or `TypeError` for arguments that cannot be meant, before anything is
    changed (what the objective returns is looked at in the first batch, before any weight
    changes), and `TrainingDivergedError` where the loss is no longer finite: the model then has
    the weights of the last good epoch.
    """
    epochs, batch_size = whole_number("epochs", epochs), whole_number("batch_size", batch_size)
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be a positive number, got {learning_rate!r}")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("model has no parameter that requires a gradient: nothing can be learnt")
    device = pick_device() if device is None else torch.device(device)
    how = pick_precision(device, precision)
    if cuda_graph and (device.type != "cuda" or compile):
        raise ValueError(f"cuda_graph needs CUDA and compile=False, got {device}, {compile=}")
    binarise = wants_binary_pixels(model) if binarise is None else binarise
    team, real_pixels, held_out = Team(), getattr(model, "real_pixels", False), None
    source = feed(data, "data", batch_size, device, team, real_pixels)
    if validation is not None:
        held_out = feed(validation, "validation", VALIDATION_BATCH, device, team, real_pixels)
        check_same_shape(source, held_out)

    kind = "compiled" if compile else "cuda graph" if cuda_graph else "plain"
    optimiser = make_optimiser(model.to(device), learning_rate, device, cuda_graph)
    step = make_step(
        Loss(model, objective, device, how), optimiser, team, kind,
        beta=None if beta is None else torch.zeros((), device=device),
    )  # fmt: skip
    rates = Rates(step, epochs * source.steps, learning_rate, schedule, beta)
    folder = None if checkpoint is None else CheckpointFolder(checkpoint)
    plan = Plan(
        epochs, step, source, rates, Floats(binarise), held_out, objective, folder, on_epoch
    )  # fmt: skip
    run = Run(model, optimiser, device, team, settings={
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "schedule": describe(schedule), "beta": describe(beta), "objective": describe(objective),
        "images": source.images, "binarisation": "dynamic" if binarise else "none",
        "data": source.place, "device": str(device), "precision": how.name,
        "precision_reason": how.reason, "step": kind, "processes": team.size,
        "torch": str(torch.__version__),
    })  # fmt: skip
    if folder is not None:
        run.go_on(folder)
    done = run.history.epochs * source.steps + run.batches
    with (
        modes_kept(model),
        matrix_products(device, how),
        out_of_memory_explained(batch_size, device),
        progress_bar(epochs * source.steps, done, progress if team.rank == 0 else False) as bar,
        stop_request() as stop,
    ):
        try:
            train_epochs(run, plan, stop, bar)
        except KeyboardInterrupt:  # the second one
            run.interrupted(epochs)
    return run.history


def train_epochs(run: Run, plan: Plan, stop: StopRequest, bar: Any) -> None:
    """The rest of a run, epoch by epoch, until somebody asks to stop."""
    history = run.history
    while history.epochs < plan.epochs and not run.team.agree(0, bool(stop))[1]:
        run.begin_epoch()
        run.model.train()
        train_epoch(run, plan, stop, bar)
        sums = run.sums()
        if problem := run.divergence(plan.step.names, sums):
            raise _diverged(problem, run, plan)
        if run.batches < plan.source.steps:
            break  # asked to stop
        measured = {}
        if plan.held_out is not None:
            binarise = plan.floats.binarise
            measured = means(run.model, plan.held_out, plan.objective, binarise, run.team)
        best = run.end_epoch(plan.step.names, sums, measured)
        if plan.folder is not None:
            run.save(plan.folder, best)
        if plan.on_epoch is not None and run.team.rank == 0:
            plan.on_epoch(history)
        bar.set_postfix({"loss": measured.get("loss", history.train["loss"][-1])})
    if history.epochs < plan.epochs:
        if plan.folder is not None and run.batches:
            run.save(plan.folder)
        run.interrupted(plan.epochs, stop.signal_name)


def train_epoch(
    run: Run, plan: Plan, stop: StopRequest | None = None, bar: Any = None, until: int | None = None
) -> None:
    """The rest of an epoch: one step for each batch, until somebody asks to stop.

    What each step returns is added to `run.record`, still on the device. With `until`, only
    that many steps of the epoch.
    """
    done = run.history.epochs * plan.source.steps
    for images in plan.source.shuffled(run.batches, run.order_is_drawn):  # (B, ...), as stored
        share, last = run.team.agree(len(images), bool(stop))
        plan.rates.set(done + run.batches)
        with losing_a_process():
            sums = plan.step(plan.floats(images), share)  # (entries,)
        run.add(sums, len(images))
        if bar is not None:
            bar.update()
        alone = run.team.size == 1  # several processes have to stop after the same step
        if last or (alone and stop) or run.batches == until:
            break


def _diverged(problem: tuple[int, str], run: Run, plan: Plan) -> TrainingDivergedError:
    """The error to raise. The model is back where the epoch began.

    To tell the gradients, the epoch is run again from its beginning to the step in question:
    watching them in every step would cost every run some of its speed.
    """
    at, what = problem
    largest = ""
    run.restore(run.start)
    with contextlib.suppress(Exception):  # whatever happens here, the divergence is the news
        found = {}
        for until in (at - 1, at):
            if until > run.batches:
                train_epoch(run, plan, until=until)
                found[until] = largest_gradient(run.model)
        if run.divergence(plan.step.names, torch.stack(run.record).cpu()) == problem:
            before = f" (one step before: {found[at - 1]})" if at - 1 in found else ""
            largest = f" The largest gradient there: {found[at]}{before}."
    run.restore(run.start)
    done = run.history.epochs
    kept = f"epoch {done}" if done else "before training"
    return TrainingDivergedError(
        f"training diverged in epoch {done + 1}, step {at} of {plan.source.steps}: not "
        f"finite: {what}.{largest} The model has its weights of {kept} again. A lower "
        "learning_rate is the first thing to try; then look at the data.",
        run.history,
    )
