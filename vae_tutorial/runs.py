"""What a run of training consists of: all that a checkpoint holds, and what became of it."""

from __future__ import annotations

import copy
import time
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial import devices
from vae_tutorial.checkpoints import CheckpointFolder
from vae_tutorial.history import History
from vae_tutorial.processes import Team

MAY_DIFFER = ("data", "device", "precision_reason", "torch")
"""Settings that may be others when a run goes on. Results then agree to rounding only."""


class TrainingDivergedError(RuntimeError):
    """The loss or a weight became NaN or infinite. `history` holds the epochs before that."""

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history

    def __reduce__(self) -> tuple[type, tuple[str, History]]:
        return type(self), (str(self), self.history)  # else it could not cross processes


class Run:
    """A run of `fit` as it stands now.

    - `batches`: how many of the present epoch are done;
    - `record`: for each of them the sums `(entries,)` of the objective's terms over its images,
      on the device;
    - `seen`: how many images that were;
    - `start`: the whole state when the epoch began (or went on), to come back to.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        device: torch.device,
        team: Team,
        settings: dict[str, Any],
    ) -> None:
        self.model, self.optimiser, self.device, self.team = model, optimiser, device, team
        self.history = History(settings=settings)
        self.batches, self.seen, self.seconds = 0, 0, 0.0
        self.record: list[Tensor] = []
        if team.size > 1:  # each process draws other noise, and the same in every such run
            torch.manual_seed(team.from_first(torch.initial_seed()) + 7919 * team.rank)
        self.epoch_random = devices.random_state(device)
        self._random_of_next_batch: dict | None = None
        self.start = self.state()

    def state(self) -> dict[str, Any]:
        """A copy of everything, as tensors and plain values."""
        return {
            "model": {name: p.detach().clone() for name, p in self.model.state_dict().items()},
            "optimiser": copy.deepcopy(self.optimiser.state_dict()),
            "random": devices.random_state(self.device),
            "epoch_random": self.epoch_random,
            "history": asdict(self.history),
            "seconds": self.seconds,
            "batches": self.batches,
            "seen": self.seen,
            "record": torch.stack(self.record) if self.record else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Back to what `state()` returned; the history keeps its settings."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name in ("train", "validation", "seconds"):
            setattr(self.history, name, copy.deepcopy(state["history"][name]))
        self.seconds, self.batches, self.seen = state["seconds"], state["batches"], state["seen"]
        record = state["record"]
        self.record = [] if record is None else list(record.to(self.device).unbind())
        self.epoch_random = state["epoch_random"]
        # In the middle of an epoch, its order has to be drawn again first.
        devices.set_random_state(
            self.device, self.epoch_random if self.batches else state["random"]
        )
        self._random_of_next_batch = state["random"] if self.batches else None

    def begin_epoch(self) -> None:
        """Remember the state, and start the clock."""
        if self.batches == 0:
            self.epoch_random = devices.random_state(self.device)
        if self._random_of_next_batch is None:  # else `start` is what was restored
            self.start = self.state()
        self._clock = time.perf_counter()

    def order_is_drawn(self) -> None:
        """Called before an epoch's first batch: from here, random numbers go on as they did."""
        if self._random_of_next_batch is not None:
            devices.set_random_state(self.device, self._random_of_next_batch)
            self._random_of_next_batch = None

    def add(self, sums: Tensor, images: int) -> None:
        """Record one step."""
        self.record.append(sums)
        self.batches += 1
        self.seen += images

    def sums(self) -> Tensor:
        """The record of all processes together, `(steps, entries)`; stops the clock."""
        sums = self.team.total(torch.stack(self.record)).cpu()  # waits for the device
        self.seconds += time.perf_counter() - self._clock
        return sums

    def end_epoch(self, names: list[str], sums: Tensor, measured: dict[str, float]) -> bool:
        """Write the epoch into the history; returns whether its validation loss is the best."""
        images = sum(self.team.gather(self.seen))
        means = sums.sum(0) / images
        self.history.append(dict(zip(names, means.tolist(), strict=True)), measured, self.seconds)
        self.batches, self.seen, self.record = 0, 0, []
        losses = self.history.validation.get("loss")
        return losses is not None and losses[-1] == min(losses)

    def save(self, folder: CheckpointFolder, best: bool = False) -> None:
        """Leave a checkpoint; process 0 writes it, with the random states of all processes."""
        state = self.state()
        for name in ("random", "epoch_random"):
            state[name] = self.team.gather(state[name])
        state["seen"] = sum(self.team.gather(state["seen"]))
        if state["record"] is not None:
            state["record"] = self.team.total(state["record"])
        if self.team.rank == 0:
            folder.save(state, best)

    def go_on(self, folder: CheckpointFolder) -> None:
        """Take up the newest checkpoint of `folder`, if there is one.

        Raises `ValueError` where it belongs to a run with other settings or another network.
        """
        state = self.team.from_first(folder.newest() if self.team.rank == 0 else None)
        if state is None:
            return
        _check_same_run(folder, state["history"]["settings"], self.history.settings)
        for name in ("random", "epoch_random"):
            state[name] = state[name][self.team.rank]
        if self.team.rank > 0 and state["record"] is not None:  # process 0 has the sums of all
            state["record"], state["seen"] = torch.zeros_like(state["record"]), 0
        try:
            self.restore(state)
        except (RuntimeError, KeyError, ValueError) as error:
            raise ValueError(
                f"checkpoint: {folder.path} holds a run of another network. Name another folder "
                f"for this one. ({error})"
            ) from error
        self.start = state
        if self.team.rank == 0:
            at = f"step {self.batches} of epoch " if self.batches else "epoch "
            print(f"Training goes on after {at}{self.history.epochs + bool(self.batches)}.")

    def divergence(self, names: list[str], sums: Tensor) -> tuple[int, str] | None:
        """The step, from 1, at which something stopped being finite, and what it was."""
        bad = ~torch.isfinite(sums)  # (steps, entries)
        if bad.any():
            step = int(bad.any(1).nonzero()[0])
            entries = [n for n, is_bad in zip(names, bad[step].tolist(), strict=True) if is_bad]
            return step + 1, ", ".join(entries)
        broken = broken_weights(self.model)
        return (len(sums), f"weights {broken[0]}") if broken else None

    def interrupted(self, epochs: int, by: str = "") -> None:
        """Say in the history, and aloud, that the run ended early; never keep broken weights."""
        by = f" by {by}" if by == "SIGTERM" else ""
        self.history.stopped = f"interrupted{by} in epoch {self.history.epochs + 1} of {epochs}"
        kept = "what it has learnt"
        if broken_weights(self.model):  # people interrupt just such runs
            self.model.load_state_dict(self.start["model"])
            kept = f"its weights of epoch {self.history.epochs}; the last ones were not finite"
        if self.team.rank == 0:
            print(f"Training {self.history.stopped}; the model keeps {kept}.")


def broken_weights(model: nn.Module) -> list[str]:
    """The names of parameters that hold NaN or infinity."""
    return [name for name, p in model.named_parameters() if not torch.isfinite(p).all()]


def largest_gradient(model: nn.Module) -> str:
    """The parameter whose gradient has the largest norm (a norm that is not finite counts as
    larger than any other), and that norm, as text."""
    norms = {n: p.grad.norm().item() for n, p in model.named_parameters() if p.grad is not None}
    if not norms:
        return "none"
    name = max(norms, key=lambda n: norms[n] if norms[n] < float("inf") else float("inf"))
    return f"{norms[name]:.3g} in {name}"


def _check_same_run(folder: CheckpointFolder, then: dict, now: dict) -> None:
    different = [
        f"{name}={then.get(name)!r} (now {now.get(name)!r})"
        for name in sorted(then.keys() | now.keys())
        if name not in MAY_DIFFER and then.get(name) != now.get(name)
    ]
    if different:
        raise ValueError(
            f"checkpoint: {folder.path} holds a run with other settings: {', '.join(different)}. "
            "To go on with it, ask for the same; for a new run, name another folder."
        )
