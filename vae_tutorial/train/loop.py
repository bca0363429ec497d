"""The training loop.

Read `train_epoch` first: forward, backward and step for every batch. `fit` prepares it, and
`train_epochs` calls it once an epoch. What the loop does beyond that of a first tutorial makes
it fast, and its numbers right:

- the images stay where the training happens, as bytes, and become floats batch by batch;
- nothing in a step makes Python wait for the GPU: what the objective returns is summed on the
  device and read once an epoch;
- means are sums over images divided by the number of images, so that a smaller last batch
  counts for what it is.

Checkpoints, signals, precision, compiling and several processes are the engine's, in `engine`.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_tutorial.data.batches import (
    BatchConverter,
    Data,
    LoaderBatches,
    TensorBatches,
    open_batches,
)
from vae_tutorial.models.vae import warn_of_outputs
from vae_tutorial.objectives import Objective, checked_terms, elbo, sum_of_each
from vae_tutorial.train.engine import compiled, distributed, errors
from vae_tutorial.train.engine.checkpoints import Checkpoints
from vae_tutorial.train.engine.environment import (
    StopRequest,
    check_arguments,
    matrix_products,
    pick_device,
    pick_precision,
    progress_bar,
    stop_request,
)
from vae_tutorial.train.evaluate import VALIDATION_BATCH, means
from vae_tutorial.train.history import History
from vae_tutorial.train.schedules import Schedule, describe, one_cycle


@dataclass
class Run:
    """A run of training: what it is made of, and how far it has come."""

    model: nn.Module
    objective: Objective
    forward: Objective  # the objective in training: itself, compiled, or over several processes
    batches: TensorBatches | LoaderBatches
    held_out: TensorBatches | LoaderBatches | None
    optimiser: torch.optim.Optimizer
    learning_rate: float  # the highest
    schedule: Schedule
    beta: Schedule | None
    clip: float | None
    convert: BatchConverter  # bytes to floats
    bfloat16: bool
    device: torch.device
    history: History
    epochs: int
    epoch: int = 0  # epochs done
    step: int = 0  # batches done of the present one
    seen: int = 0  # examples in them
    seconds: float = 0.0  # of training, so far
    names: list[str] | None = None  # the entries of the objective
    record: list[Tensor] = field(default_factory=list)  # of each step the sums, (entries,)
    before: dict[str, Tensor] = field(default_factory=dict)  # the weights when the epoch began
    best: dict[str, Tensor] | None = None  # those with the lowest validation loss, if asked for
    saver: Checkpoints | None = None
    group: distributed.ProcessGroup | None = None  # the processes of the run, if it has several


@torch.enable_grad()
def fit(
    model: nn.Module,
    data: Data,
    *,
    validation: Data | None = None,
    objective: Objective = elbo,
    epochs: int = 10,
    batch_size: int = 128,
    learning_rate: float | None = None,
    schedule: Schedule = one_cycle,
    beta: Schedule | None = None,
    binarise: bool | None = None,
    optimiser: Callable[..., torch.optim.Optimizer] | None = None,
    clip: float | None = None,
    device: str | torch.device | None = None,
    precision: str = "auto",
    compile: bool | str = False,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | Sequence[str] = (),
    keep_best: bool = False,
    on_epoch: Callable[[History], object] | None = None,
    progress: bool | None = None,
) -> History:
    """Train `model` with Adam (Kingma and Ba, 2015) and return what was recorded.

    - `data`, `validation`: an `ImageSet`, `uint8` images `(N, C, H, W)`, other tensors
      `(N, ...)`, a pair of tensors (x, y), a torch `Dataset`, or any iterable of batches with a
      `len`, such as a `DataLoader`. What range x must have, the model says: see `likelihoods`.
    - `objective`: a function `(model, x) -> dict` of `(B,)` tensors with an entry `"loss"`, or
      `(model, x, y)` if it wants the labels too. The next batch is written over `x`.
    - `batch_size`: examples in one step; with several processes, in each of them.
    - `learning_rate`: the highest of the run; `schedule` says how it rises and falls. By default
      2e-3, and 5e-4 where the likelihood's σ is learnt: the smaller σ becomes, the more a step
      that is too large costs.
    - `beta`: a schedule for the objective's argument `beta`; see `schedules`. Validation leaves
      that argument at its default.
    - `binarise`: draw binary pixels afresh for every batch. By default for a model whose
      likelihood is Bernoulli, since that is a distribution over binary pixels; else not.
    - `optimiser`: called with the trainable parameters and `lr=`, for example
      `partial(torch.optim.AdamW, weight_decay=0.01)`. By default Adam.
    - `clip`: the largest norm that the gradient of all weights together may have.
    - `device`: by default `pick_device()`. The model stays there.
    - `precision`: `"auto"`, `"float32"`, `"tf32"` or `"bfloat16"`; see `pick_precision`.
    - `compile`: compile the objective with `torch.compile`; a string is its mode, such
      as `"reduce-overhead"`, which on CUDA records the step as a CUDA graph.
    - `checkpoint`: a folder. After each epoch, all that the run consists of is written there.
      Where the folder holds a checkpoint of the same run, that run is resumed.
    - `resume`: settings that may differ from those of the run in the folder, for example
      `"epochs"` to train longer, or `("epochs", "learning_rate")`.
    - `keep_best`: give the model the weights with the lowest validation loss at the end.
    - `on_epoch`: called after each epoch with the history so far; returns `True` to stop.
    - `progress`: show a bar; by default unless the environment has `VAE_TUTORIAL_PROGRESS=0`.

    Parts of the model without a trainable parameter (a frozen encoder) stay in evaluation mode,
    so that batch normalisation does not move in them; afterwards the whole model is in
    evaluation mode. For a run that can be repeated, call `torch.manual_seed` before the model
    is made and before `fit`.

    Raises `ValueError` or `TypeError` for arguments that cannot be used, before any weight has
    changed; `TrainingDivergedError` where the loss or a weight is no longer finite: the model
    then has the weights of the last good epoch; and `TrainingInterrupted`, a KeyboardInterrupt,
    after Ctrl-C or SIGTERM: the step is finished, weights and checkpoint are kept, and the
    error has the `history`. Ctrl-C pressed twice does not wait for the step.
    """
    check_arguments(model, locals())
    if learning_rate is None:
        learnt = getattr(getattr(model, "observation_model", None), "learned", False)
        learning_rate = 5e-4 if learnt else 2e-3
    epochs, batch_size, learning_rate = int(epochs), int(batch_size), float(learning_rate)
    clip = None if clip is None else float(clip)
    device = pick_device() if device is None else torch.device(device)
    how = pick_precision(device, precision)
    values, levels = getattr(model, "values", "unit"), getattr(model, "levels", None)
    binarise = values == "binary" if binarise is None else binarise
    batches, held_out = open_batches(data, "data", batch_size, device, values, levels, True), None
    if validation is not None:
        held_out = open_batches(validation, "validation", VALIDATION_BATCH, device, values, levels)
        if None not in (batches.shape, held_out.shape) and batches.shape != held_out.shape:
            raise ValueError(
                f"validation must hold examples of the shape of data, {batches.shape}, got "
                f"{held_out.shape}"
            )
    trained = [p for p in model.to(device).parameters() if p.requires_grad]
    if optimiser is None:  # fused: one kernel for all weights, where torch has it
        optimiser = partial(torch.optim.Adam, fused=device.type in ("cpu", "cuda"))
    adam = optimiser(trained, lr=learning_rate)
    history = History(settings={
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "schedule": describe(schedule), "beta": describe(beta), "objective": describe(objective),
        "optimiser": type(adam).__name__, "clip": clip, "images": batches.count,
        "binarisation": "dynamic" if binarise else "none", "data": batches.place,
        "device": str(device), "precision": how.name, "precision_reason": how.reason,
        "compile": compile, "processes": 1, "torch": str(torch.__version__),
    })  # fmt: skip
    run = Run(
        model, objective, objective, batches, held_out, adam, learning_rate,
        schedule, beta, clip, BatchConverter(values, binarise), how.name == "bfloat16", device,
        history, epochs, best={} if keep_best else None,
    )  # fmt: skip
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        distributed.spread(run)
    if compile:
        run.forward = compiled.compiled(run.forward, model, compile)
    with contextlib.ExitStack() as surroundings:
        if checkpoint is not None:
            run.saver = surroundings.enter_context(Checkpoints(checkpoint, run, data, resume))
        if device.type == "cuda":
            surroundings.enter_context(matrix_products(device, how))
        shown = False if run.group is not None and run.group.rank > 0 else progress
        steps = run.batches.steps
        bar = progress_bar(epochs * steps, run.epoch * steps + run.step, shown)
        surroundings.enter_context(bar)
        stop = surroundings.enter_context(stop_request())
        if run.group is not None:
            stop = run.group.shared(stop)
        try:
            train_epochs(run, stop, on_epoch, bar)
        except KeyboardInterrupt:  # the second one, in the middle of a step
            stop = StopRequest("SIGINT")
        except (RuntimeError, ValueError) as error:
            errors.explain(error, run, batch_size)  # raises a better one, if it knows why
            raise
        finally:
            model.eval()
        if run.epoch < epochs and not history.stopped:
            raise errors.interrupted(run, stop.requested)
    if run.best:
        model.load_state_dict(run.best)
    return history


def train_epochs(
    run: Run, stop: StopRequest, on_epoch: Callable[[History], object] | None, bar: Any
) -> None:
    """The rest of a run, epoch by epoch, until its end or until somebody asks to stop."""
    while run.epoch < run.epochs and not run.history.stopped and not stop.requested:
        started = time.perf_counter()
        run.before = copy.deepcopy(run.model.state_dict())
        if run.saver is not None:
            run.saver.epoch_begins(run)
        run.model.train()
        for part in run.model.modules():  # a frozen part stays in evaluation mode
            if {p.requires_grad for p in part.parameters()} == {False}:
                part.eval()
        train_epoch(run, stop, bar)
        sums, seen = torch.stack(run.record).cpu(), run.seen  # (steps, entries); waits for a GPU
        if run.group is not None:
            sums, seen = run.group.total(sums), run.group.total(seen)
        run.seconds += time.perf_counter() - started
        errors.raise_if_diverged(run, sums, seen)
        if run.step < run.batches.steps:
            return  # asked to stop
        validation = {}
        if run.held_out is not None:
            validation = means(run.model, run.held_out, run.objective, run.convert, run.group)
        mean = dict(zip(run.names, (sums.sum(0) / seen).tolist(), strict=True))
        run.history.append(mean, validation, run.seconds)
        run.epoch, run.step, run.seen, run.record = run.epoch + 1, 0, 0, []
        bar.set_postfix({"loss": validation.get("loss", mean["loss"])})
        end_epoch(run, on_epoch)


def end_epoch(run: Run, on_epoch: Callable[[History], object] | None) -> None:
    """Keep what was learnt, and ask `on_epoch` whether that is enough."""
    history, losses = run.history, run.history.validation.get("loss", [])
    improved = bool(losses) and losses[-1] == min(losses)
    if improved and run.best is not None:
        run.best = copy.deepcopy(run.model.state_dict())
    enough = False
    if on_epoch is not None and (run.group is None or run.group.rank == 0):
        answer = on_epoch(history)
        enough = isinstance(answer, (bool, np.bool_)) and bool(answer)
    if run.group is not None:
        enough = run.group.any(enough)
    if enough:
        history.stopped = f"ended by on_epoch after epoch {run.epoch} of {run.epochs}"
    if run.saver is not None:
        run.saver.save(run, improved)


def train_epoch(run: Run, stop: StopRequest, bar: Any) -> None:
    """One pass over the data: forward, backward and step for each batch, until asked to stop."""
    model, optimiser, total = run.model, run.optimiser, run.epochs * run.batches.steps
    with_y = "y" in inspect.signature(run.objective).parameters  # labels reach it
    drawn = None if run.saver is None else run.saver.order_drawn
    for x, y in run.batches.shuffled(run.step, drawn):  # (B, ...) as stored, on the device
        now = run.epoch * run.batches.steps + run.step
        for group in optimiser.param_groups:
            group["lr"] = run.learning_rate * run.schedule(now, total)
        settings = {"beta": run.beta(now, total)} if run.beta else {}
        if with_y:
            settings["y"] = y
        x = run.convert(x)  # bytes become floats in [0, 1]

        with torch.autocast(run.device.type, torch.bfloat16, run.bfloat16, cache_enabled=False):
            terms = run.forward(model, x, **settings)  # the objective: a dict of (B,)
        loss = checked_terms(terms, len(x), run.names)["loss"].mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if run.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), run.clip)
        optimiser.step()

        if run.names is None:
            warn_of_outputs(model, x)
        run.names = list(terms)
        run.record.append(sum_of_each(terms))  # stays on the device: read once an epoch
        run.step, run.seen = run.step + 1, run.seen + len(x)
        bar.update()
        if stop.requested:
            break
