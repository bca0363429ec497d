"""What ends a run early: divergence, an interruption, an error that can be explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vae_tutorial.train.engine.distributed import LostProcessError, is_lost_connection
from vae_tutorial.train.history import History

if TYPE_CHECKING:
    from vae_tutorial.train.loop import Run

STEPS_SHOWN = 4
"""Steps before the divergence whose loss the message tells."""


class TrainingDivergedError(RuntimeError):
    """The loss or a weight became NaN or infinite. `history` holds the epochs before that."""

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history

    def __reduce__(self) -> tuple[type, tuple[str, History]]:
        return type(self), (str(self), self.history)  # else it could not cross processes


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came; the model keeps what it has learnt. `history` tells how far.

    A KeyboardInterrupt, so that a program's own loop over several runs ends as well.
    """

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history

    def __reduce__(self) -> tuple[type, tuple[str, History]]:
        return type(self), (str(self), self.history)


def raise_if_diverged(run: Run, sums: Tensor, seen: int) -> None:
    """Raise `TrainingDivergedError` if one of an epoch's `sums` `(steps, entries)`, or a weight,
    is not finite. The model then has its weights of the epoch's beginning again."""
    bad = ~torch.isfinite(sums)
    if bad.any():
        at = int(bad.any(1).nonzero()[0])
        found = [n for n, is_bad in zip(run.names, bad[at].tolist(), strict=True) if is_bad]
        what = ", ".join(found)
    elif broken := broken_weights(run.model):
        at, what = len(sums) - 1, f"weights {broken[0]}"
    else:
        return
    run.model.load_state_dict(run.before)
    size = seen / len(sums)
    losses = sums[max(0, at - STEPS_SHOWN) : at, run.names.index("loss")] / size
    steps_before = f" Loss in the steps before: {', '.join(f'{v:.4g}' for v in losses)}."
    done = run.epoch
    raise TrainingDivergedError(
        f"training diverged in epoch {done + 1}, step {at + 1} of {run.batches.steps}: not "
        f"finite: {what}.{steps_before if len(losses) else ''} The model has its weights of "
        f"{f'epoch {done}' if done else 'before training'} again. Try a lower learning_rate, or "
        f"clip=100 to limit the gradient.{_scale_of_data(run)}",
        run.history,
    )


def interrupted(run: Run, signal_name: str) -> TrainingInterrupted:
    """The error to raise after an interruption. Weights that are not finite are never kept."""
    history, by = run.history, " by SIGTERM" if signal_name == "SIGTERM" else ""
    kept = "what it has learnt"
    if broken_weights(run.model):  # people interrupt just such runs
        run.model.load_state_dict(run.before)
        kept = f"its weights of epoch {run.epoch}; the last ones were not finite"
    elif run.saver is not None and run.step and run.step == len(run.record):
        run.saver.save(run, improved=False)
    history.stopped = f"interrupted{by} in epoch {run.epoch + 1} of {run.epochs}"
    return TrainingInterrupted(f"training {history.stopped}; the model keeps {kept}", history)


def explain(error: Exception, run: Run, batch_size: int) -> None:
    """Raise a better error where it is known what `error`, from torch, means; else return."""
    first, device = (str(error).strip() or type(error).__name__).splitlines()[0], run.device
    if broken_weights(run.model) and run.before:
        run.model.load_state_dict(run.before)
        raise TrainingDivergedError(
            f"training diverged in epoch {run.epoch + 1}, step {run.step + 1} of "
            f"{run.batches.steps}: weights are not finite. The model has its weights of "
            f"{f'epoch {run.epoch}' if run.epoch else 'before training'} again. Try a lower "
            f"learning_rate, or clip=100 to limit the gradient.{_scale_of_data(run)} ({first})",
            run.history,
        ) from error
    if "stack expects each tensor to be equal size" in str(error):
        raise ValueError(
            "data has examples of several sizes, which make no batch. A data set of torchvision "
            "brings pictures to one size with transform=Compose([Resize(64), CenterCrop(64), "
            f"ToTensor()]). ({first})"
        ) from error
    if is_out_of_memory(error):
        smaller = f"batch_size={batch_size // 2}" if batch_size > 1 else "a smaller network"
        raise MemoryError(
            f"out of memory on {device} with batch_size={batch_size}. Try {smaller}, fewer "
            f"samples in the objective, or precision='bfloat16'. ({first})"
        ) from error
    if "Expected more than 1 value per channel" in str(error):
        raise ValueError(
            "batch normalisation cannot train on a batch of one example, which the last batch of "
            f"an epoch is here. Take another batch_size than {batch_size}, or drop_last=True in "
            f"a DataLoader. ({first})"
        ) from error
    if is_lost_connection(error) and not isinstance(error, LostProcessError):
        raise LostProcessError(first) from error


def broken_weights(model: nn.Module) -> list[str]:
    """The names of parameters that hold NaN or infinity."""
    return [name for name, p in model.named_parameters() if not torch.isfinite(p).all()]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the host, had no memory left; torch has several words for it."""
    words = str(error).lower()
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(
        sign in words for sign in ("out of memory", "can't allocate memory", "not enough memory")
    )


def _scale_of_data(run: Run) -> str:
    x = getattr(run.batches, "x", None)
    if x is None or not x.is_floating_point() or x.abs().max() <= 30:
        return ""
    return (
        f" The data reach {x.abs().max().item():.3g}: bring each column to mean 0 and standard "
        "deviation 1 first, (x - x.mean(0)) / x.std(0)."
    )
