"""Healthy VAEs, written in the four styles that one meets, and the hooks that mutants pull.

A VAE is an encoder, two heads `mu` and `logvar`, a decoder, and two terms of a loss. `Parts`
holds them; `Parts.case()` puts the two terms together in the model's style:

- tuple: `model(x)` is `(recon, mu, logvar)`, with a function `loss(recon, x, mu, logvar)`;
- dict: `model(x)` is a dict, with a function `loss(output, x)` that gives a dict as well;
- method: `model(x)` is a tuple, and the loss is the model's own `loss_function`;
- functions: the model has `encode` and `decode` alone, and `loss(model, x)` does the rest;
- adapter: the same, and an adapter says what recon, mu and logvar are.

A mutant takes the parts, changes one thing, and has them put together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinic.networks import LATENTS, WIDTH
from clinic.patient import Case, Kind, Patient, admit, seeded, told

# ---- the two terms: one number for each example, in nats


def kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp logvar) ‖ N(0, 1)), summed over latents: `(B,)`."""
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1)


def bce(recon: Tensor, x: Tensor) -> Tensor:
    """−log p(x | z) for probabilities `recon`, summed over pixels: `(B,)`."""
    return F.binary_cross_entropy(recon, x, reduction="none").flatten(1).sum(1)


def bce_logits(recon: Tensor, x: Tensor) -> Tensor:
    """−log p(x | z) for logits `recon`, summed over pixels: `(B,)`."""
    return F.binary_cross_entropy_with_logits(recon, x, reduction="none").flatten(1).sum(1)


def gaussian(recon: Tensor, x: Tensor) -> Tensor:
    """−log N(x; recon, 1) without its constant, summed over values: `(B,)`."""
    return 0.5 * (recon - x).pow(2).flatten(1).sum(1)


def gaussian_nll(recon: Tensor, x: Tensor, sigma: float = 0.2) -> Tensor:
    """−log N(x; recon, σ²) with its constant, summed over values: `(B,)`."""
    scaled = ((recon - x) / sigma).pow(2)
    return 0.5 * (scaled + math.log(2 * math.pi * sigma**2)).flatten(1).sum(1)


# ---- the models


class VAE(nn.Module):
    """What all share. Without a `forward`: the styles differ in what that returns."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.mu, self.logvar = nn.Linear(WIDTH, LATENTS), nn.Linear(WIDTH, LATENTS)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)
        return self.mu(h), self.logvar(h)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        std = torch.exp(0.5 * logvar)
        return mu + std * torch.randn_like(std)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


class TupleVAE(VAE):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


class DictVAE(VAE):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        mu, logvar = self.encode(x)
        z = self.reparameterize(mu, logvar)
        return {"x_hat": self.decode(z), "mu": mu, "logvar": logvar, "z": z}


class MethodVAE(TupleVAE):
    reconstruction_term: Callable
    kl_term: Callable

    def loss_function(self, recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return (self.reconstruction_term(recon, x) + self.kl_term(mu, logvar)).mean()


# ---- from parts to a case


@dataclass
class Parts:
    """A VAE before it is put together. `loss`, where given, is used in place of the two terms."""

    model: VAE
    reconstruction: Callable[[Tensor, Tensor], Tensor]
    data: Tensor
    kl: Callable[[Tensor, Tensor], Tensor] = kl
    loss: Callable | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def case(self, style: str) -> Case:
        loss = self.loss or LOSSES[style](self.reconstruction, self.kl)
        if style == "method" and self.loss is None:
            self.model.reconstruction_term, self.model.kl_term = self.reconstruction, self.kl
        if style == "adapter":
            self.settings.setdefault("adapter", adapter)
        return Case(self.model, loss, self.data, self.settings)


def tuple_loss(reconstruction: Callable, kl: Callable) -> Callable:
    def loss(recon, x, mu, logvar):
        return (reconstruction(recon, x) + kl(mu, logvar)).mean()

    return loss


def dict_loss(reconstruction: Callable, kl: Callable) -> Callable:
    def loss(output, x):
        nll = reconstruction(output["x_hat"], x)
        divergence = kl(output["mu"], output["logvar"])
        return {"loss": (nll + divergence).mean(), "nll": nll, "kl": divergence}

    return loss


def functions_loss(reconstruction: Callable, kl: Callable) -> Callable:
    def loss(model, x):
        mu, logvar = model.encode(x)
        recon = model.decode(model.reparameterize(mu, logvar))
        return (reconstruction(recon, x) + kl(mu, logvar)).mean()

    return loss


def adapter(model: VAE, x: Tensor) -> dict[str, Tensor]:
    mu, logvar = model.encode(x)
    return {"recon": model.decode(model.reparameterize(mu, logvar)), "mu": mu, "logvar": logvar}


LOSSES: dict[str, Callable] = {
    "tuple": tuple_loss,
    "dict": dict_loss,
    "method": lambda reconstruction, kl: None,
    "functions": functions_loss,
    "adapter": tuple_loss,
}


# ---- the list of healthy VAEs


@dataclass(frozen=True)
class Healthy:
    """A recipe: `parts()` makes fresh ones. `likelihood` is bernoulli or normal.

    `sigma` is the normal's standard deviation, `logits` whether the output is a logit.
    """

    name: str
    parts: Callable[[], Parts]
    network: str
    data: str
    style: str
    likelihood: str
    logits: bool = False
    sigma: float = 1.0

    def case(self) -> Case:
        return self.parts().case(self.style)


HEALTHY: dict[str, Healthy] = {}


def healthy(network: str, data: str, style: str, likelihood: str, **more: Any) -> Callable:
    """Decorator: turns a function that makes `Parts` into an entry of `HEALTHY`."""

    def register(parts: Callable[[], Parts]) -> Healthy:
        name = parts.__name__
        HEALTHY[name] = Healthy(name, parts, network, data, style, likelihood, **more)
        return HEALTHY[name]

    return register


def mutant(*codes: str, of: Healthy | tuple[Healthy, ...], source: str = "") -> Callable:
    """Decorator: a function that damages `Parts` becomes a patient for each healthy VAE in `of`.

    With a `source`, the address of a public report, it is a real fault and no made-up one.
    """

    def register(damage: Callable[[Parts], None]) -> Callable[[Parts], None]:
        for whole in of if isinstance(of, tuple) else (of,):
            admit(_patient(damage, codes, whole, source))
        return damage

    return register


def _patient(damage: Callable, codes: tuple[str, ...], whole: Healthy, source: str) -> Patient:
    def build() -> Case:
        parts = whole.parts()
        damage(parts)
        return parts.case(whole.style)

    kind: Kind = "real" if source else "mutant"
    traits = (codes, whole.network, whole.data, whole.style, source, told(damage))
    name = f"{whole.name}-{damage.__name__}"
    return Patient(name, kind, seeded(build), *traits, healthy=seeded(whole.case))


def change(model: nn.Module, **methods: Callable) -> None:
    """Give one model other methods, as if its class had been written so."""
    kind = type(model)
    model.__class__ = type(kind.__name__, (kind,), methods)
