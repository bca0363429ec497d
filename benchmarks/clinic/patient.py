"""What a patient is, and the list of all patients.

A patient is a function that builds a `Case` from random numbers: the weights and the data differ
from seed to seed, the fault does not. Its `codes` were chosen before any detector was run; where
two describe the fault equally well both stand, the better one first. A control has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["mutant", "control", "real"]


@dataclass
class Case:
    """What `examine` is given: `examine(model, loss, data, **settings)`.

    `settings` may hold `beta` (the weight of the KL that the author meant), `epoch`, `adapter`.
    """

    model: nn.Module
    loss: Callable | None
    data: Tensor
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Patient:
    """One VAE on file; `make(seed)` builds it afresh.

    `network`, `data` and `style` say what it is made of; `source` is the address of the report
    that a real fault was told in; `story` says in a sentence or two what is wrong and what
    follows. `healthy(seed)` builds the VAE without the fault, with the same weights and data.
    """

    name: str
    kind: Kind
    make: Callable[[int], Case]
    codes: tuple[str, ...]
    network: str
    data: str
    style: str
    source: str = ""
    story: str = ""
    healthy: Callable[[int], Case] | None = None


PATIENTS: dict[str, Patient] = {}


def patients(kind: Kind | None = None) -> list[Patient]:
    """All patients, or those of one kind, in the order in which they are written down."""
    return [p for p in PATIENTS.values() if kind in (None, p.kind)]


def admit(patient: Patient) -> None:
    """Put a patient on the list. Raises `ValueError` for a name that is taken."""
    if patient.name in PATIENTS:
        raise ValueError(f"there is a patient {patient.name} already")
    PATIENTS[patient.name] = patient


def seeded(build: Callable[[], Case]) -> Callable[[int], Case]:
    """`build`, with all random numbers taken from a seed and the global ones left alone."""

    def make(seed: int) -> Case:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build()

    return make


def told(function: Callable) -> str:
    """The docstring of a function as one line."""
    return " ".join((function.__doc__ or "").split())


def control(network: str, data: str, style: str) -> Callable:
    """Decorator: a healthy patient, from a function without arguments that builds its case."""

    def register(build: Callable[[], Case]) -> Callable[[], Case]:
        name, make = build.__name__, seeded(build)
        admit(Patient(name, "control", make, (), network, data, style, story=told(build)))
        return build

    return register
