"""One epoch of somebody's training loop, watched: zero_grad, the schedule, the reported loss."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.doctor.report import Finding
from vae_tutorial.doctor.subject import Subject, one_number

BATCHES = 4
DRAWS = 4  # of the noise, averaged


class WatchingSGD(torch.optim.SGD):
    """An optimiser that changes nothing and writes down what it is given."""

    def __init__(self, parameters: Any, events: list[tuple[str, float]]) -> None:
        super().__init__(parameters, lr=0.0)
        self.events = events

    def step(self, closure: Any = None) -> Any:
        value = closure() if closure is not None else None
        parts = [p.grad.flatten() for g in self.param_groups for p in g["params"]
                 if p.grad is not None]  # fmt: skip
        norm = torch.cat(parts).norm().item() if parts else 0.0
        self.events.append(("optimiser", norm))
        return value


class WatchingSchedule:
    """Something with `step`, called once an epoch."""

    def __init__(self, events: list[tuple[str, float]]) -> None:
        self.events = events

    def step(self, *_: Any) -> None:
        self.events.append(("scheduler", 0.0))

    def get_last_lr(self) -> list[float]:
        return [0.0]

    def state_dict(self) -> dict[str, Any]:
        return {}


def findings(subject: Subject, epoch: Callable[..., Any]) -> list[Finding]:
    """Run `epoch(model, batches, optimiser, scheduler)` twice and look at what it did."""
    alike = [subject.x] * BATCHES
    events, _ = _watch(subject, epoch, alike, subject.model)
    steps = [value for name, value in events if name == "optimiser"]
    out = []
    if len(steps) >= 2 and steps[0] > 0 and steps[-1] / steps[0] > 0.6 * len(steps):
        out.append(Finding("no-zero-grad", f"on {len(steps)} equal batches the gradient's norm "
                           f"grows from {steps[0]:.3g} to {steps[-1]:.3g}"))  # fmt: skip
    elif steps and max(steps) == 0:
        out.append(Finding("no-zero-grad", f"at each of the {len(steps)} steps all gradients are "
                           "0: they are set to zero between backward and step"))  # fmt: skip
    out += _schedule([name for name, _ in events], len(steps))
    louder = copy.copy(subject)  # before training, a loss is much the same for all data
    louder.model = copy.deepcopy(subject.model)
    with torch.no_grad():
        for parameter in louder.model.parameters():
            parameter.mul_(2.0)
    return out + _reported(louder, epoch)


def _watch(
    subject: Subject,
    epoch: Callable[..., Any],
    batches: list[Tensor],
    watched: nn.Module,
    seed: int = 0,
) -> tuple[list[tuple[str, float]], Any]:
    model: nn.Module = copy.deepcopy(watched)
    model.train()
    events: list[tuple[str, float]] = []
    torch.manual_seed(seed)
    optimiser = WatchingSGD([p for p in model.parameters() if p.requires_grad], events)
    reported = epoch(model, [b.clone() for b in batches], optimiser, WatchingSchedule(events))
    return events, reported


def _schedule(names: list[str], steps: int) -> list[Finding]:
    count = names.count("scheduler")
    if count == 0:
        return [Finding("scheduler-wrong", "the schedule was never stepped in an epoch")]
    if names.index("scheduler") == 0:
        return [Finding("scheduler-wrong", "the schedule was stepped before the optimiser")]
    if count > 1:
        return [Finding("scheduler-wrong", f"the schedule was stepped {count} times in an epoch of "
                        f"{steps} batches; once was meant")]  # fmt: skip
    return []


def _reported(subject: Subject, epoch: Callable[..., Any]) -> list[Finding]:
    """One batch of odd data, as the first and as the last: the mean is the same."""
    if not subject.has_loss:
        return []
    x = subject.x
    other = max(_others(x), key=lambda b: abs(_relative(_loss(subject, b), _loss(subject, x))))
    alike = [x] * (BATCHES - 1)
    values = [
        [_watch(subject, epoch, batches, subject.model, seed)[1] for seed in range(DRAWS)]
        for batches in ([*alike, other], [other, *alike])
    ]
    if None in values[0]:
        return []
    last, first = (sum(one_number(v).item() for v in some) / DRAWS for some in values)
    wanted = _relative(_loss(subject, other), _loss(subject, x))
    found = _relative(last, first)
    if abs(wanted) > 0.02 and found / wanted > 0.5:
        return [Finding("last-batch-reported", f"the same batches in another order: {first:.4g} "
                        f"with odd data as the first, {last:.4g} as the last")]  # fmt: skip
    return []


def _relative(one: float, other: float) -> float:
    return (one - other) / max(abs(one), abs(other), 1e-12)


def _others(x: Tensor) -> list[Tensor]:
    """Batches unlike the data, within their range as far as possible."""
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(8)).to(x.dtype)
    return [noise.round(), noise, torch.zeros_like(x), torch.ones_like(x), 1 - x]


def _loss(subject: Subject, batch: Tensor) -> float:
    values = [
        subject.loss(None if subject.whole else subject.forward(batch, seed), batch, seed).item()
        for seed in range(DRAWS)
    ]
    return sum(values) / DRAWS
