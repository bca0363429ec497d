"""Annealed importance sampling: the careful estimate of log p(x), and its check from above.

Importance sampling asks one step to lead from q(z | x) to p(z | x). Annealing goes there in many
small steps, along densities between a start π and the target,

    f_β(z) = π(z)^(1−β) p(x, z)^β,   β from 0 to 1,

and moves z at each by Hamiltonian Monte Carlo (Neal, 2001; Wu, Burda, Salakhutdinov and Grosse,
2017). The weights that gather on the way have the mean p(x), so that their log-mean is a lower
bound in expectation. Run backwards from an exact draw of p(z | x), the same steps give 1 / p(x)
and with it an upper bound. Exact draws exist for images that the model itself has made: z first,
then x. This is bidirectional Monte Carlo (Grosse, Ghahramani and Adams, 2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_tutorial.arguments import whole_number
from vae_tutorial.data.batches import Data
from vae_tutorial.measure.common import TestImages, in_parts, measurement, pairs_at_once
from vae_tutorial.measure.estimates import (
    Estimate,
    LogLikelihood,
    collected,
    difference,
    joined,
    nested_sizes,
    weigh,
)
from vae_tutorial.measure.hamiltonian import Path, transition, tuned
from vae_tutorial.measure.likelihood import refuse_own_weights
from vae_tutorial.objectives import is_conditional


@dataclass(frozen=True, eq=False, repr=False)
class Annealed(LogLikelihood):
    """Estimates of log p(x) by annealing; `samples` is the number of chains for each image.

    - `acceptance`: the share of Hamiltonian moves that were accepted, `(N,)`. Tuning aims at
      0.65; far from it, take smaller or longer moves (`leapfrog`) or more temperatures.
    """

    acceptance: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class BidirectionalBounds:
    """log p(x) of images that the model made, between two bounds.

    - `lower`: from the forward chains, in expectation at most log p(x);
    - `upper`: from the backward chains, in expectation at least log p(x). All chains of an image
      begin at the one exact draw there is, so that their spread (`sampling_errors`) tells less
      than the whole error; the spread of `gap` over images tells it;
    - `images`: the images, `(N, C, H, W)`, on the CPU.
    """

    lower: Annealed
    upper: Estimate
    images: Tensor

    def __repr__(self) -> str:
        return f"log p(x) between {self.lower.mean:.2f} and {self.upper.mean:.2f} nats per image"

    @property
    def gap(self) -> Estimate:
        """upper − lower: in expectation at least the error of either bound."""
        return difference(self.upper, self.lower)

    def interval(self, errors: float = 1.96) -> tuple[float, float]:
        """Where the mean of log p(x) over these images lies: the bounds' means, each widened by
        `errors` standard errors of `gap` over images."""
        reach = errors * self.gap.standard_error
        return self.lower.mean - reach, self.upper.mean + reach


def ais(
    model: nn.Module,
    data: Data,
    temperatures: int = 500,
    chains: int = 16,
    *,
    leapfrog: int = 10,
    start: str = "prior",
    binarise: bool | None = None,
    chunk: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Annealed:
    """log p(x) of each image by annealed importance sampling, in nats.

    - `temperatures`: the number of steps of β from 0 to 1, spaced as a sigmoid, closest at both
      ends. The error falls with it.
    - `chains`: independent chains for each image; log p(x) is the log-mean of their weights.
    - `leapfrog`: steps of one Hamiltonian move, each a gradient of log p(x | z).
    - `start`: π is the `"prior"`, which owes the encoder nothing, or the `"posterior"` q(z | x),
      which is nearer, but misses what q has missed for as long as β is small.

    The size of the moves is tuned on chains that are then thrown away: moves that watched their
    own chain would bias its weight. The other arguments are those of `log_likelihood`; `chunk`
    counts pairs of an image and a chain.

    Raises `ValueError` or `TypeError` for arguments that cannot be meant.
    """
    plan = _Plan(temperatures, chains, leapfrog, start)
    refuse_own_weights(model, "ais")
    images = TestImages(model, data, binarise, seed)
    parts: list[tuple[Tensor, Tensor]] = []
    steps = None if images.count is None else images.count * plan.moves(backwards=False)
    with measurement(model, seed, "annealing", steps, progress) as bar:
        for batch in images.batches():
            count = max(1, pairs_at_once(model, batch[0].shape[1:], chunk) // chains)
            for x, y in in_parts(*batch, count):
                path = Path(model, x, start, y)
                parts.append(_forward(path, plan, _tune(path, plan, bar), bar))
    return _annealed(parts, chains)


def bdmc(
    model: nn.Module,
    images: int = 100,
    temperatures: int = 500,
    chains: int = 16,
    *,
    leapfrog: int = 10,
    start: str = "prior",
    chunk: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> BidirectionalBounds:
    """log p(x) of `images` images that the model makes, caught between two bounds.

    Where the bounds meet, annealing with these settings can be trusted on such images; on real
    ones as far as they are like them (Wu et al., 2017). The other arguments are those
    of `ais`.

    Raises `TypeError` for a model that needs a condition, or whose p(x | z) draws no images.
    """
    plan, images = _Plan(temperatures, chains, leapfrog, start), whole_number("images", images)
    refuse_own_weights(model, "bdmc")
    if is_conditional(model):
        raise TypeError("bdmc draws images from p(z) p(x | z), and this model needs a condition y")
    forward, backward, made = [], [], []
    steps = images * plan.moves(backwards=True)
    with measurement(model, seed, "annealing, both ways", steps, progress) as bar:
        z = model.prior().sample((images,))  # (N, D)
        x = torch.cat([_drawn(model.likelihood(part)) for part in z.split(1000)])
        count = max(1, pairs_at_once(model, x.shape[1:], chunk) // chains)
        for some_x, some_z in zip(x.split(count), z.split(count)):
            path = Path(model, some_x, start)
            sizes = _tune(path, plan, bar)
            forward.append(_forward(path, plan, sizes, bar))
            backward.append(_backward(path, plan, sizes, some_z, bar))
            made.append(some_x)
    (inverse,), _ = joined([weigh([-log_w], [chains]) for log_w in backward])
    upper = Estimate(-inverse.per_image, inverse.sampling_errors)
    return BidirectionalBounds(_annealed(forward, chains), upper, collected(made))


def _drawn(p: Distribution) -> Tensor:
    """Images from p(x | z)."""
    try:
        return p.sample()
    except NotImplementedError as error:
        kind = type(getattr(p, "base_dist", p)).__name__
        raise TypeError(
            f"bdmc draws images from p(x | z), and {kind} has no sample(). ais needs none."
        ) from error


def inverse_temperatures(steps: int) -> list[float]:
    """β_0 = 0 < … < β_T = 1 for T = `steps`: a sigmoid between −4 and 4, stretched to [0, 1]."""
    raw = torch.sigmoid(torch.linspace(-4, 4, steps + 1, dtype=torch.float64))
    return ((raw - raw[0]) / (raw[-1] - raw[0])).tolist()


class _Plan:
    """What a run of annealing does."""

    def __init__(self, temperatures: int, chains: int, leapfrog: int, start: str) -> None:
        self.betas = inverse_temperatures(whole_number("temperatures", temperatures))
        self.chains = whole_number("chains", chains)
        self.leapfrog = whole_number("leapfrog", leapfrog)
        self.tuning_chains = max(2, chains // 4)  # chains to tune on
        if start not in ("prior", "posterior"):
            raise ValueError(f'start must be "prior" or "posterior", got {start!r}')

    def moves(self, backwards: bool) -> int:
        """Moves of chains for each image, for the progress bar."""
        runs = self.tuning_chains + self.chains * (2 if backwards else 1)
        return runs * (len(self.betas) - 2)


def _tune(path: Path, plan: _Plan, bar: Any) -> list[Tensor]:
    """The size of a leapfrog step at each inner β, `(B,)`, found on chains of their own."""
    point, sizes = path.begin(plan.tuning_chains), []
    log_size = torch.full_like(point.ratio[0], math.log(0.5))  # (B,)
    for beta in plan.betas[1:-1]:
        point, accepted = transition(path, point, beta, log_size.exp(), plan.leapfrog)
        log_size = tuned(log_size, accepted.mean(0))
        sizes.append(log_size.exp())
        bar.update(accepted.numel())
    return sizes


def _forward(path: Path, plan: _Plan, sizes: list[Tensor], bar: Any) -> tuple[Tensor, Tensor]:
    """log w of chains from π to the target, `(chains, B)`, and the share of accepted moves."""
    point, betas = path.begin(plan.chains), plan.betas
    log_w = (betas[1] - betas[0]) * point.log_ratio
    rate = torch.zeros_like(point.ratio[0])  # (B,)
    for t, size in enumerate(sizes, start=1):
        point, accepted = transition(path, point, betas[t], size, plan.leapfrog)
        log_w = log_w + (betas[t + 1] - betas[t]) * point.log_ratio
        rate = rate + accepted.mean(0) / len(sizes)
        bar.update(accepted.numel())
    return log_w, rate if sizes else rate + math.nan


def _backward(path: Path, plan: _Plan, sizes: list[Tensor], z: Tensor, bar: Any) -> Tensor:
    """log w of chains from exact draws z `(B, D)` of p(z | x) back to π, `(chains, B)`.

    The moves of `_forward` in reverse order; each is reversible by itself.
    """
    betas = plan.betas
    point = path.at(z.expand(plan.chains, *z.shape))
    log_w = (betas[-1] - betas[-2]) * point.log_ratio
    for t in range(len(sizes), 0, -1):
        point, accepted = transition(path, point, betas[t], sizes[t - 1], plan.leapfrog)
        log_w = log_w + (betas[t] - betas[t - 1]) * point.log_ratio
        bar.update(accepted.numel())
    return log_w


def _annealed(parts: list[tuple[Tensor, Tensor]], chains: int) -> Annealed:
    weighed = [weigh([log_w], nested_sizes(chains)) for log_w, _ in parts]
    (whole, *smaller), ess = joined(weighed)
    rate = collected([rate for _, rate in parts]).double()
    return Annealed(whole.per_image, whole.sampling_errors, ess, chains, *smaller, rate)
