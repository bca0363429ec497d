"""Hamiltonian Monte Carlo along the path of densities that `annealing` follows.

A move gives z a random momentum and lets it roll on the potential −log f_β for some leapfrog
steps; a Metropolis test on the energy makes up for what the steps of finite size got wrong, so
that f_β is left exactly as it was (Neal, 2011).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_tutorial.measure.common import as_float64
from vae_tutorial.objectives import distributions, log_px_given

WANTED_ACCEPTANCE = 0.65
"""The fraction of accepted moves that costs least for each independent draw (Neal, 2011)."""

TUNING_RATE = 0.1
"""How fast the logarithm of the step's size follows the acceptance, in one move."""


@dataclass
class Point:
    """Where the chains are, and the log-densities there: `z` `(C, B, D)`, for C chains.

    `base` is log π(z) and `ratio` is log p(x, z) − log π(z), both `(C, B)`; `base_gradient` and
    `ratio_gradient` are their gradients `(C, B, D)`.
    """

    z: Tensor
    base: Tensor
    ratio: Tensor
    base_gradient: Tensor
    ratio_gradient: Tensor

    @property
    def log_ratio(self) -> Tensor:
        """`ratio` as float64: weights are sums of many small parts of it."""
        return as_float64(self.ratio)

    def log_density(self, beta: float) -> Tensor:
        """log f_β(z), `(C, B)`."""
        return self.base + beta * self.ratio

    def gradient(self, beta: float) -> Tensor:
        """The gradient of log f_β, `(C, B, D)`."""
        return self.base_gradient + beta * self.ratio_gradient


class Path:
    """The densities f_β(z) = π(z)^(1−β) p(x, z)^β for images `x` `(B, ...)`."""

    def __init__(self, model: nn.Module, x: Tensor, start: str, y: Tensor | None = None) -> None:
        self.x = x
        q, self.prior, self.likelihood = distributions(model, x, y)
        if not q.has_rsample:
            raise TypeError(
                f"annealing moves z along gradients, and {type(q).__name__} is a distribution "
                "over discrete latents. log_likelihood measures this model."
            )
        self.base: Distribution = self.prior if start == "prior" else q
        self.shape = () if self.base.batch_shape else (len(x),)
        # Coordinates are stretched to what their width should be: 1 under the prior, q's own
        # standard deviation at the other end. A guess: it costs time where it is wrong, nothing
        # else.
        self.width_at_end = q.stddev  # (B, D)
        self.width_at_start = self.base.stddev.expand_as(q.stddev)

    def begin(self, chains: int) -> Point:
        """Draws from π: `z` `(chains, B, D)`."""
        return self.at(self.base.sample((chains, *self.shape)))

    def at(self, z: Tensor) -> Point:
        """Log-densities and gradients at z `(C, B, D)`."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            base = self.base.log_prob(z)
            ratio = log_px_given(self.likelihood(z), self.x)
            if self.base is not self.prior:
                ratio = ratio + self.prior.log_prob(z) - base
            ratio_gradient, base_gradient = (
                torch.autograd.grad(log_density.sum(), z, retain_graph=True)[0]
                for log_density in (ratio, base)
            )
        return Point(z.detach(), base.detach(), ratio.detach(), base_gradient, ratio_gradient)

    def scale(self, beta: float) -> Tensor:
        """The width of f_β in each direction, as far as q knows it, `(B, D)`."""
        start, end = self.width_at_start.square(), self.width_at_end.square()
        precision = (1 - beta) / start + beta / end
        return precision.rsqrt()


def transition(
    path: Path, point: Point, beta: float, size: Tensor, leapfrog: int
) -> tuple[Point, Tensor]:
    """One move of every chain that leaves f_β as it is; with it, each probability of acceptance
    `(C, B)`.

    `size` `(B,)` is that of a leapfrog step in units of `path.scale`. Each move varies it by up
    to a fifth: with steps of one length, z could come round to where it started.
    """
    vary = 0.8 + 0.4 * torch.rand_like(point.ratio)  # (C, B)
    step = (size * vary).unsqueeze(-1) * path.scale(beta)  # (C, B, D)
    momentum = torch.randn_like(point.z)
    energy = point.log_density(beta) - 0.5 * momentum.square().sum(-1)
    new, momentum = point, momentum + 0.5 * step * point.gradient(beta)
    for turn in range(leapfrog):
        new = path.at(new.z + step * momentum)
        part = 1.0 if turn < leapfrog - 1 else 0.5  # the last half step of the momentum
        momentum = momentum + part * step * new.gradient(beta)
    change = new.log_density(beta) - 0.5 * momentum.square().sum(-1) - energy
    probability = change.clamp(max=0).exp().nan_to_num(0.0)  # a NaN: it flew off to infinity
    taken = torch.rand_like(probability) < probability
    return _where(taken, new, point), probability


def tuned(log_size: Tensor, acceptance: Tensor) -> Tensor:
    """The logarithm of the step's size `(B,)` after a move with that mean acceptance `(B,)`."""
    return log_size + TUNING_RATE * (acceptance - WANTED_ACCEPTANCE)


def _where(taken: Tensor, new: Point, old: Point) -> Point:
    values = {}
    for field in fields(Point):
        a, b = getattr(new, field.name), getattr(old, field.name)
        mask = taken.unsqueeze(-1) if a.dim() > taken.dim() else taken
        values[field.name] = torch.where(mask, a, b)
    return Point(**values)
