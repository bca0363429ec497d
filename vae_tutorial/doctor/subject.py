"""The model under examination: a copy of it, run with known noise, and its loss.

Everything happens to a copy, so the owner's model keeps its weights, buffers, gradients and
mode; the global random states are put back at the end.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_tutorial.doctor import reading
from vae_tutorial.doctor.reading import View, read_output
from vae_tutorial.doctor.record import Edit, Recorder
from vae_tutorial.models.vae import mean_of
from vae_tutorial.objectives import elbo

LOSS_SEED = 1_000_003  # the noise of the loss is not that of the forward pass
METHODS = ("loss_function", "loss", "compute_loss", "elbo_loss", "criterion", "get_loss")
SAMPLERS = ("reparameterize", "reparametrize", "reparameterise", "reparam", "sample_z", "sampling")
MODELS = ("model", "vae", "net", "network", "self")
OUTPUTS = ("output", "outputs", "out", "result", "results", "forward_output", "model_output", "o")


@contextlib.contextmanager
def random_states_kept() -> Iterator[None]:
    """Put torch's, numpy's and Python's random states back at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def seed_all(seed: int) -> None:
    torch.default_generator.manual_seed(seed)  # torch.manual_seed also walks the stack
    np.random.seed(seed % 2**32)
    random.seed(seed)


class Subject:
    """A model with its loss, ready to be run again and again under the same noise."""

    def __init__(
        self, model: nn.Module, loss: Callable[..., Any] | None, data: Tensor,
        adapter: Callable[..., Any] | None = None, training: bool = True,
    ) -> None:  # fmt: skip
        self.original = model
        self.model = _copy(model)
        self.x = data
        self.adapter = adapter
        self.training = training
        self.loss_of_user = loss if loss is not None else self._loss_of_model()

    def _loss_of_model(self) -> Callable[..., Any] | None:
        for name in METHODS:
            method = getattr(self.model, name, None)
            if callable(method) and not isinstance(method, nn.Module):
                return method
        ours = all(hasattr(self.model, name) for name in ("prior", "posterior", "likelihood"))
        return elbo if ours else None

    # --- the forward pass ---------------------------------------------------------------------

    def forward(self, x: Tensor, seed: int = 0) -> View:
        """The output for `x` with the noise of `seed`, with gradients."""
        self.model.train(self.training)
        seed_all(seed)
        if self.adapter is not None:
            raw = self.adapter(self.model, x)
        elif hasattr(self.model, "posterior") and hasattr(self.model, "likelihood"):
            raw = _forward_ours(self.model, x)
        elif _has_forward(self.model):
            raw = self.model(x)
        else:
            raw = _forward_by_parts(self.model, x)
        view = read_output(raw, x)
        _check_sizes(view)
        return view

    def watched(
        self, x: Tensor, seed: int = 0, edits: Mapping[int, Edit] | None = None
    ) -> tuple[View, Recorder]:
        """The output, and everything that was computed on the way."""
        with Recorder(edits) as recorder:
            view = self.forward(x, seed)
        return view, recorder

    # --- the loss -----------------------------------------------------------------------------

    @property
    def has_loss(self) -> bool:
        return self.loss_of_user is not None

    @property
    def whole(self) -> bool:
        """Whether the loss calls the model itself: then only operations can be overwritten."""
        return self.has_loss and _call_form(self.loss_of_user)[0] in ("model", "x")

    def loss(self, view: View | None, x: Tensor, seed: int = 0) -> Tensor:
        """The loss as one number; per-example values are averaged."""
        seed_all(seed + LOSS_SEED)
        form, names = _call_form(self.loss_of_user)
        if form == "model":
            value = self.loss_of_user(self.model, x)
        elif form == "x":
            value = self.loss_of_user(x)
        elif form == "list":
            flat = view.raw if isinstance(view.raw, (tuple, list)) else [view.raw]
            value = self.loss_of_user(*flat, **names)
        elif form == "roles":
            parts = {"x": x, "recon": view.recon, "mu": view.mu, "scale": view.scale,
                     "z": view.z, "output": view.raw, "model": self.model}  # fmt: skip
            value = self.loss_of_user(**{name: parts[role] for name, role in names.items()})
        elif form == "four":
            value = self.loss_of_user(view.recon, x, view.mu, view.scale)
        else:
            value = self.loss_of_user(view.raw, x)
        return one_number(value)

    def loss_with(self, view: View, x: Tensor, seed: int = 0, **new: Tensor) -> float:
        """The loss if `recon`, `mu`, `scale` or `z` of an output had other values."""
        old = {name: getattr(view, name) for name in new}
        swap = {id(old[name]): value for name, value in new.items() if old[name] is not None}
        if "scale" in new:
            swap = reading.same_in_other_forms(view, new["scale"]) | swap
        other = View(**{**vars(view), **new, "raw": reading.replaced(view.raw, swap)})
        with torch.no_grad():
            return self.loss(other, x, seed).item()


def one_number(value: Any) -> Tensor:
    """The loss in what a loss function returned: a tensor, a dictionary, a tuple."""
    if isinstance(value, Mapping):
        keys = [k for k in ("loss", "total_loss", "total", "objective") if k in value]
        value = value[keys[0]] if keys else next(iter(value.values()))
    elif isinstance(value, (tuple, list)):
        value = value[0]
    elif not isinstance(value, Tensor) and hasattr(value, "loss"):
        value = value.loss
    if not isinstance(value, Tensor):
        value = torch.as_tensor(float(value))
    return value.mean()


def _copy(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception:  # some models cannot be copied; Examination puts them back as they were
        return model


def _has_forward(model: nn.Module) -> bool:
    return type(model).forward is not nn.Module.forward


def _forward_ours(model: Any, x: Tensor) -> dict[str, Tensor]:
    q = model.posterior(x)
    z = q.rsample()
    return {"recon": mean_of(model.likelihood(z)), "mu": q.mean, "std": q.stddev, "z": z}


def _forward_by_parts(model: Any, x: Tensor) -> tuple[Tensor, ...]:
    found = reading.read_output((x, model.encode(x)), x)
    parts = reading._flat(model.encode(x)) if not found.latent else [found.mu, found.scale]
    mu, scale = parts[0], parts[1]
    sample = next((getattr(model, n) for n in SAMPLERS if hasattr(model, n)), None)
    z = sample(mu, scale) if sample else mu + torch.exp(0.5 * scale) * torch.randn_like(mu)
    return model.decode(z), mu, scale, z


def _check_sizes(view: View) -> None:
    if view.latent and view.mu.shape != view.scale.shape:
        view.scale = view.scale.expand_as(view.mu) if view.scale.dim() <= view.mu.dim() else None


def _call_form(loss: Callable[..., Any]) -> tuple[str, dict[str, Any]]:
    """How a loss wants to be called, from the names of its parameters."""
    inner = loss.forward if isinstance(loss, nn.Module) else loss  # __call__ takes anything
    try:
        parameters = list(inspect.signature(inner).parameters.values())
    except (TypeError, ValueError):
        return "pair", {}
    if loss is elbo:
        return "model", {}
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        named = {p.name for p in parameters}
        return "list", {"M_N": 1.0} if any(p.kind is p.VAR_KEYWORD for p in parameters) or (
            "M_N" in named
        ) else {}
    needed = [
        p for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]  # fmt: skip
    roles = {p.name: _role(p.name) for p in needed}
    if len(needed) == 1:
        return ("x", {}) if roles[needed[0].name] != "output" else ("roles", roles)
    if needed and needed[0].name.lower() in MODELS and len(needed) == 2:
        return "model", {}
    if all(roles.values()) and len(set(roles.values())) == len(roles):
        return "roles", roles
    return ("four", {}) if len(needed) == 4 else ("pair", {})


def _role(name: str) -> str | None:
    name = name.lower().strip("_")
    scales = [n for names in reading.SCALES.values() for n in names]
    for role, names in (
        ("x", reading.X), ("output", OUTPUTS), ("mu", reading.MU), ("scale", scales),
        ("z", reading.Z), ("recon", reading.RECON), ("model", MODELS),
    ):  # fmt: skip
        if name in names:
            return role
    return None
