"""The training loop.

`fit` is meant to be read: one loop over epochs, and in `train_epoch` one over batches, with five
lines for a step. What it adds to the loop of a first tutorial is what makes that loop fast and
its numbers right:

- the images stay where the training happens, as bytes, and become floats batch by batch;
- nothing in a step makes the processor wait for the GPU: what the objective returns is summed
  on the device and read once for each epoch;
- means are sums over images divided by the number of images, so a smaller last batch counts
  for what it is.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.batches import as_images, ordered_batches, shuffled_batches
from vae_tutorial.history import History
from vae_tutorial.image_set import ImageSet
from vae_tutorial.objectives import elbo

Objective = Callable[[nn.Module, Tensor], dict[str, Tensor]]


class TrainingDivergedError(RuntimeError):
    """The loss or a weight became NaN or infinite. `history` holds the epochs before that."""

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history

    def __reduce__(self) -> tuple[type, tuple[str, History]]:
        return type(self), (str(self), self.history)  # else it could not cross processes


def pick_device() -> torch.device:
    """CUDA where there is one, then Apple's MPS, then the CPU; looked up at every call."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def one_cycle(step: int, steps: int, warmup: float = 0.05) -> float:
    """The factor on the learning rate at `step` of `steps`: a short rise, then a cosine to zero.

    A small start protects Adam, whose first estimates of the gradient's variance are poor; the
    slow end averages out the noise of the batches.
    """
    done = step / max(1, steps)
    if done < warmup:
        return (step + 1) / (warmup * steps + 1)
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def fit(
    model: nn.Module,
    data: ImageSet | Tensor,
    *,
    validation: ImageSet | Tensor | None = None,
    objective: Objective = elbo,
    epochs: int = 10,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    binarise: bool | None = None,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> History:
    """Train `model` with Adam (Kingma and Ba, 2015) and return what was recorded.

    - `data`, `validation`: an `ImageSet`, `uint8` images `(N, C, H, W)`, or floats `(N, ...)`.
    - `objective`: a function `(model, x) -> dict` of `(B,)` tensors with an entry `"loss"`.
    - `learning_rate`: the highest of the run; `one_cycle` says how it rises and falls.
    - `binarise`: draw binary pixels afresh for every batch. By default for a model whose
      likelihood is Bernoulli, since that is a distribution over binary pixels; else not.
    - `device`: by default `pick_device()`. The model stays there.
    - `progress`: show a bar; by default unless the environment has `VAE_TUTORIAL_PROGRESS=0`.

    For a run that can be repeated, call `torch.manual_seed` before the model is made and before
    `fit`. Ctrl-C ends the run and keeps the weights and the history so far.

    Raises `ValueError` or `TypeError` for arguments that cannot be meant, before anything is
    changed (what the objective returns is looked at in the first batch, before any weight
    changes), and `TrainingDivergedError` where the loss is no longer finite: the model then has
    the weights of the last good epoch.
    """
    _check_settings(epochs, batch_size, learning_rate)
    real_pixels = getattr(model, "real_pixels", False)
    images = as_images(data, "data", real_pixels)
    held_out = None if validation is None else as_images(validation, "validation", real_pixels)
    if held_out is not None and held_out.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"validation must hold images of the shape of data, {tuple(images.shape[1:])}, got "
            f"{tuple(held_out.shape[1:])}"
        )
    binarise = _wants_binary_pixels(model) if binarise is None else binarise
    device = pick_device() if device is None else torch.device(device)

    model.to(device)
    images = images.to(device)
    steps = math.ceil(len(images) / batch_size)  # in one epoch
    # "fused" updates all weights in one kernel; torch has it for these kinds of device
    optimiser = torch.optim.Adam(
        model.parameters(), lr=learning_rate, fused=device.type in ("cpu", "cuda")
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, partial(one_cycle, steps=epochs * steps)
    )
    history = History(
        settings={"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
        | _settings(objective, images, binarise)
    )
    modes, good = _modes(model), _snapshot(model)
    seconds = 0.0
    with _progress_bar(epochs * steps, progress) as bar:
        try:
            for _ in range(epochs):
                start = time.perf_counter()
                batches = _ticking(bar, shuffled_batches(images, batch_size, binarise))
                model.train()
                names, sums = train_epoch(model, batches, objective, optimiser, schedule)
                if problem := _divergence(model, names, sums):
                    model.load_state_dict(good)
                    raise TrainingDivergedError(_diverged(problem, history), history)
                good = _snapshot(model)
                means = dict(zip(names, (sums.sum(0) / len(images)).tolist(), strict=True))
                seconds += time.perf_counter() - start
                measured = {}
                if held_out is not None:
                    measured = evaluate(model, held_out, objective=objective, binarise=binarise)
                history.append(means, measured, seconds)
                bar.set_postfix({"loss": measured.get("loss", means["loss"])})
        except KeyboardInterrupt:
            history.stopped = f"interrupted in epoch {history.epochs + 1} of {epochs}"
            kept = "what it has learnt"
            if _broken_weights(model):  # people interrupt just such runs
                model.load_state_dict(good)
                kept = f"its weights of epoch {history.epochs}; the last ones were not finite"
            print(f"Training {history.stopped}; the model keeps {kept}.")
        finally:
            _restore_modes(modes)
    return history


def train_epoch(
    model: nn.Module,
    batches: Iterable[Tensor],
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> tuple[list[str], Tensor]:
    """One pass over the batches, one step of the optimiser for each.

    Returns the names of the objective's entries and their sums over the images of each batch,
    `(steps, entries)`, still on the device.
    """
    record, terms = [], {}
    for x in batches:  # (B, C, H, W)
        terms = _checked_terms(objective(model, x), len(x))
        optimiser.zero_grad(set_to_none=True)
        terms["loss"].mean().backward()
        optimiser.step()
        schedule.step()
        record.append(torch.stack([term.detach().sum() for term in terms.values()]))
    return list(terms), torch.stack(record)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: ImageSet | Tensor,
    *,
    objective: Objective = elbo,
    batch_size: int = 1000,
    binarise: bool | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """The mean over all images of every entry of the objective, on the model's device.

    The random numbers (binarisation, samples of z) come from `seed` alone and leave torch's
    global ones untouched: two calls see the same noise, and so do two models that draw equally
    many numbers. The model's mode and gradients are as before afterwards.
    """
    images = as_images(data, "data", getattr(model, "real_pixels", False))
    binarise = _wants_binary_pixels(model) if binarise is None else binarise
    device = next(model.parameters(), images).device
    modes, sums = _modes(model), []
    with _own_random_numbers(device, seed):
        model.eval()
        try:
            for x in ordered_batches(images.to(device), batch_size, binarise):
                terms = _checked_terms(objective(model, x), len(x))
                sums.append(torch.stack([term.sum() for term in terms.values()]))
        finally:
            _restore_modes(modes)
    means = torch.stack(sums).cpu().double().sum(0) / len(images)  # MPS has no float64
    return dict(zip(terms, means.tolist(), strict=True))


def _checked_terms(terms: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """What the objective returned, where it is what `fit` can use; looks at shapes only."""
    if not isinstance(terms, dict) or "loss" not in terms:
        found = sorted(terms) if isinstance(terms, dict) else type(terms).__name__
        raise ValueError(f'objective must return a dict with an entry "loss", got {found}')
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.shape != (count,):
            found = tuple(term.shape) if isinstance(term, Tensor) else type(term).__name__
            raise ValueError(
                f"objective must return one number for each image, a tensor ({count},) for this "
                f'batch; entry "{name}" is {found}. Sum over pixels and latents, not over images.'
            )
    return terms


def _divergence(model: nn.Module, names: list[str], sums: Tensor) -> str:
    """Which entry stopped being finite first, and at which step; empty if none did."""
    bad = ~torch.isfinite(sums)  # (steps, entries)
    if bad.any():
        step = int(bad.any(1).nonzero()[0])
        entries = [name for name, is_bad in zip(names, bad[step].tolist(), strict=True) if is_bad]
        return f"step {step + 1} of {len(sums)}: not finite: {', '.join(entries)}"
    broken = _broken_weights(model)
    return f"step {len(sums)} of {len(sums)}: not finite: weights {broken[0]}" if broken else ""


def _broken_weights(model: nn.Module) -> list[str]:
    """The names of parameters that hold NaN or infinity."""
    return [name for name, p in model.named_parameters() if not torch.isfinite(p).all()]


def _diverged(problem: str, history: History) -> str:
    kept = f"epoch {history.epochs}" if history.epochs else "before training"
    return (
        f"training diverged in epoch {history.epochs + 1}, {problem}. The model has its weights "
        f"of {kept} again. A lower learning_rate is the first thing to try; then look at the data."
    )


def _modes(model: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Whether each part trains or evaluates; parts may differ, as with a frozen encoder."""
    return [(part, part.training) for part in model.modules()]


def _restore_modes(modes: list[tuple[nn.Module, bool]]) -> None:
    for part, training in modes:
        part.training = training


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _wants_binary_pixels(model: nn.Module) -> bool:
    return getattr(model, "binary_pixels", False)


def _settings(objective: Objective, images: Tensor, binarise: bool) -> dict[str, object]:
    name = objective.func if isinstance(objective, partial) else objective
    bound = objective.keywords if isinstance(objective, partial) else {}
    return {
        "objective": getattr(name, "__name__", type(name).__name__),
        **{key: value for key, value in bound.items() if isinstance(value, (int, float, str))},
        "images": len(images),
        "binarisation": "dynamic" if binarise else "none",
        "device": str(images.device),
        "torch": torch.__version__,
    }


def _check_settings(epochs: int, batch_size: int, learning_rate: float) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be a positive number, got {learning_rate!r}")


@contextlib.contextmanager
def _own_random_numbers(device: torch.device, seed: int) -> Iterator[None]:
    """torch's random numbers from `seed` inside, and as they were outside."""
    devices = [device] if device.type != "cpu" else []
    kind = device.type if devices else "cuda"
    with torch.random.fork_rng(devices=devices, device_type=kind):
        # not torch.manual_seed: it would seed the generators of all other GPUs as well
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


def _ticking(bar: Any, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """The same batches; the bar moves on with each."""
    for batch in batches:
        yield batch
        bar.update()


def _progress_bar(steps: int, show: bool | None) -> Any:
    """A bar that leaves no trace when it is done."""
    if show is None:
        show = os.environ.get("VAE_TUTORIAL_PROGRESS", "1") != "0"
    with warnings.catch_warnings():  # without ipywidgets, tqdm warns and falls back to text
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm(total=steps, desc="training", unit="step", leave=False, disable=not show)
