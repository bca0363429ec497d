"""Inputs and right answers of exercise 6.5: landscapes of known mass on a line, and moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor


@dataclass(frozen=True)
class Humps:
    """The logarithm of a sum of bells of known masses; called with z `(N,)`, it returns `(N,)`."""

    log_masses: tuple[float, ...]
    centres: tuple[float, ...]
    widths: tuple[float, ...]

    def __call__(self, z: Tensor) -> Tensor:
        mass, centre, width = (
            torch.tensor(each, dtype=z.dtype)
            for each in (self.log_masses, self.centres, self.widths)
        )
        square = ((z[..., None] - centre) / width).square()
        return (mass - width.log() - 0.5 * (square + math.log(2 * math.pi))).logsumexp(-1)

    @property
    def log_mass(self) -> float:
        return math.log(sum(map(math.exp, self.log_masses)))


@dataclass(frozen=True)
class Metropolis:
    """A move by a normal step, accepted as Metropolis says: it leaves any density as it is."""

    step: float

    def __call__(self, z: Tensor, log_density: Callable[[Tensor], Tensor]) -> Tensor:
        there = z + self.step * torch.randn_like(z)
        better = log_density(there) - log_density(z)
        return torch.where(torch.rand_like(z).log() < better, there, z)


Case = tuple[Humps, Humps, list[float], Tensor, Metropolis]


def _landscape(rng: torch.Generator) -> tuple[Humps, Humps]:
    """A start of mass one, and a target of two humps and another mass."""
    a, b, c, d = torch.rand(4, generator=rng, dtype=torch.float64).tolist()
    target = Humps((-3 - 2 * a, -4.0), (1 + b, -1.5 - c), (0.4, 0.6))
    return Humps((0.0,), (0.5 * d - 0.25,), (1.5,)), target


def _case(rng: torch.Generator, temperatures: int, chains: int) -> Case:
    start, target = _landscape(rng)
    steps = 0.5 + torch.rand(temperatures, generator=rng, dtype=torch.float64)
    betas = [0.0, *(steps.cumsum(0) / steps.sum()).tolist()]
    betas[-1] = 1.0
    eps = torch.randn(chains, generator=rng, dtype=torch.float64)
    return start, target, betas, start.centres[0] + start.widths[0] * eps, Metropolis(1.0)


def draw_paths(rng: torch.Generator) -> list[Case]:
    """Unevenly spaced β, 0 and 1 among them."""
    return [_case(rng, 7, 9), _case(rng, 12, 5), _case(rng, 3, 14)]


def draw_leaps(rng: torch.Generator) -> list[Case]:
    """From 0 to 1 at once."""
    return [_case(rng, 1, 6), _case(rng, 1, 3)]


def draw_long_paths(rng: torch.Generator) -> list[Case]:
    return [_case(rng, 40, 3000)]


def annealing_oracle(
    log_start: Humps, log_target: Humps, betas: list[float], z: Tensor, move
) -> Tensor:
    """Grouped the other way: what each move adds, and the two ends of the path."""
    log_w = -log_start(z)
    for beta in betas[1:-1]:
        height = partial(height_at, log_start, log_target, beta)
        log_w, z = log_w + height(z), move(z, height)
        log_w = log_w - height(z)
    return log_w + log_target(z)


def height_at(log_start: Humps, log_target: Humps, beta: float, z: Tensor) -> Tensor:
    return torch.lerp(log_start(z), log_target(z), beta)
