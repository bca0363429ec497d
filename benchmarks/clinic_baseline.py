"""What a general debugger of neural networks would say of the same patients.

The checks of tools such as UMLAUT (Schoop, Huang and Hartmann 2021) and of common advice: train
for some steps, and look for a loss that is not finite or does not fall, gradients that vanish or
explode, units that are dead, and data that are not normalised. They know nothing of VAEs, so most
of them name no cause; where one does, it is translated into the doctor's code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from vae_tutorial.doctor.subject import Subject

STEPS = 60


def debug(case: Any) -> list[str]:
    """The alarms: `exception`, `non-finite`, `loss-not-falling`, `gradient-vanishes`,
    `gradient-explodes`, `dead-outputs`, `encoder-unused`, `data-out-of-range`."""
    torch.manual_seed(0)
    adapter = case.settings.get("adapter")
    try:
        subject = Subject(case.model, case.loss, case.data[:16], adapter)
        return _train(subject)
    except Exception:  # whatever it is, the baseline reports it as that
        return ["exception"]


def _train(subject: Subject) -> list[str]:
    x, model = subject.x, subject.model
    if not subject.has_loss:
        subject.forward(x)
        return []
    dead: dict[str, bool] = {}
    hooks = [
        module.register_forward_hook(
            lambda _, __, out, name=name: dead.__setitem__(
                name, dead.get(name, True) and not bool((out > 0).any())
            )
        )
        for name, module in model.named_modules()
        if isinstance(module, nn.ReLU)
    ]
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses, norms, alarms = [], [], []
    if x.is_floating_point() and x.abs().max() > 10:
        alarms.append("data-out-of-range")
    for step in range(STEPS):
        optimiser.zero_grad()
        view = None if subject.whole else subject.forward(x, seed=step)
        loss = subject.loss(view, x, seed=step)
        if not torch.isfinite(loss):
            return [*alarms, "non-finite"]
        loss.backward()
        if step == 0:
            grads = [p.grad for p in model.parameters()]
            if any(g is None for g in grads):
                alarms.append("encoder-unused")
        norms.append(math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()
                                   if p.grad is not None)))  # fmt: skip
        optimiser.step()
        losses.append(loss.item())
    for hook in hooks:
        hook.remove()
    start, end = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    if not end < start - 0.001 * abs(start):
        alarms.append("loss-not-falling")
    if norms[0] < 1e-7:
        alarms.append("gradient-vanishes")
    if max(norms) > 1e6:
        alarms.append("gradient-explodes")
    if any(dead.values()):
        alarms.append("dead-outputs")
    return alarms
