"""Hamiltonian Monte Carlo along the path of densities that `annealing` follows.

A move gives z a random momentum and lets it roll on the landscape −log f_β for some leapfrog
steps; a Metropolis test on the energy makes up for what the steps of finite size got wrong, so
that f_β is left exactly as it was (Neal, 2011).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_tutorial.measuring import wide
from vae_tutorial.objectives import log_px_given, posterior_of

WANTED_ACCEPTANCE = 0.65
"""The share of accepted moves that costs least for each independent draw (Neal, 2011)."""

TUNING_RATE = 0.1
"""How fast the logarithm of the step's size follows the acceptance, in one move."""


@dataclass
class Point:
    """Where the chains are, and the landscape there: `z` `(C, B, D)`, for C chains.

    `base` is log π(z) and `ratio` is log p(x, z) − log π(z), both `(C, B)`; `base_slope` and
    `ratio_slope` are their gradients `(C, B, D)`.
    """

    z: Tensor
    base: Tensor
    ratio: Tensor
    base_slope: Tensor
    ratio_slope: Tensor

    @property
    def log_ratio(self) -> Tensor:
        """`ratio` as float64: weights are sums of many small parts of it."""
        return wide(self.ratio)

    def height(self, beta: float) -> Tensor:
        """log f_β(z), `(C, B)`."""
        return self.base + beta * self.ratio

    def slope(self, beta: float) -> Tensor:
        """The gradient of log f_β, `(C, B, D)`."""
        return self.base_slope + beta * self.ratio_slope


class Path:
    """The densities f_β(z) = π(z)^(1−β) p(x, z)^β for images `x` `(B, ...)`."""

    def __init__(self, model: nn.Module, x: Tensor, start: str) -> None:
        self.model, self.x = model, x
        q = posterior_of(model, x)
        self.shape = (len(x),) if start == "prior" else ()
        self.base: Distribution = model.prior if start == "prior" else _joined(q)
        # Coordinates are stretched to what their width should be: 1 under the prior, q's own
        # standard deviation at the other end. A guess: it costs time where it is wrong, nothing
        # else.
        self.narrow = q.stddev  # (B, D)
        self.wide = torch.ones_like(q.stddev) if start == "prior" else q.stddev

    def begin(self, chains: int) -> Point:
        """Draws from π: `z` `(chains, B, D)`."""
        return self.at(self.base.sample((chains, *self.shape)))

    def at(self, z: Tensor) -> Point:
        """The landscape at z `(C, B, D)`."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            base = self.base.log_prob(z)
            ratio = log_px_given(self.model, z, self.x)
            if self.shape == ():
                ratio = ratio + self.model.prior.log_prob(z) - base
            ratio_slope, base_slope = (
                torch.autograd.grad(height.sum(), z, retain_graph=True)[0]
                for height in (ratio, base)
            )
        return Point(z.detach(), base.detach(), ratio.detach(), base_slope, ratio_slope)

    def scale(self, beta: float) -> Tensor:
        """The width of f_β in each direction, as far as q knows it, `(B, D)`."""
        precision = (1 - beta) / self.wide.square() + beta / self.narrow.square()
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
    energy = point.height(beta) - 0.5 * momentum.square().sum(-1)
    new, momentum = point, momentum + 0.5 * step * point.slope(beta)
    for turn in range(leapfrog):
        new = path.at(new.z + step * momentum)
        share = 1.0 if turn < leapfrog - 1 else 0.5  # the last half step of the momentum
        momentum = momentum + share * step * new.slope(beta)
    change = new.height(beta) - 0.5 * momentum.square().sum(-1) - energy
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


def _joined(q: Distribution) -> Distribution:
    """q with its latent dimensions as one event, so that `log_prob` is `(C, B)`."""
    return q if q.event_shape else torch.distributions.Independent(q, 1, validate_args=False)
