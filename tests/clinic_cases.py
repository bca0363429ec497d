"""The clinic's patients; a loss, an output or a gradient, from any of their styles."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
clinic = importlib.import_module("clinic")

ORDER = {"kld_weight_declared": (0, 2, 3), "other_order": (3, 0, 1)}  # of recon, mu, logvar
NAMES = ("recon", "x_hat", "reconstruction"), ("mu", "mean"), ("logvar", "log_var", "std")


def parts_of(output, order: tuple[int, ...] = (0, 1, 2)) -> list[Tensor]:
    """Reconstruction, mean and the second head, from whatever a model or an adapter returns."""
    if isinstance(output, tuple | list):
        return [output[i] for i in order]
    entries = output if isinstance(output, dict) else vars(output)
    return [next(entries[n] for n in names if n in entries) for names in NAMES]


def overrides_forward(model) -> bool:
    return type(model).forward is not torch.nn.Module.forward


def unwrapped(model):
    return getattr(model, "module", model)


def outputs(case, x: Tensor):
    """What the adapter or the model returns; for encode and decode alone, a dict of our own."""
    if "adapter" in case.settings:
        return case.settings["adapter"](case.model, x)
    if not overrides_forward(case.model):
        mu, logvar = case.model.encode(x)
        recon = case.model.decode(case.model.reparameterize(mu, logvar))
        return {"recon": recon, "mu": mu, "logvar": logvar}
    return case.model(x)


def loss_of(case, x: Tensor | None = None) -> Tensor:
    """The loss as one number, from any of the styles."""
    x = case.data if x is None else x
    loss = case.loss or unwrapped(case.model).loss_function
    names = list(inspect.signature(loss).parameters)
    if names[0] == "model":
        found = loss(case.model, x)
    elif "mu" in names or "logvar" in names:
        recon, mu, logvar = parts_of(outputs(case, x))
        found = loss(recon, x, mu, logvar)
    else:
        found = loss(outputs(case, x), x)
    found = found["loss"] if isinstance(found, dict) else found
    return (found[0] if isinstance(found, tuple) else found).mean()


def gradients(case, value: Tensor) -> dict[str, float]:
    case.model.zero_grad(set_to_none=True)
    if value.requires_grad:
        value.backward()
    return {
        name: math.nan if p.grad is None else p.grad.norm().item()
        for name, p in case.model.named_parameters()
    }
