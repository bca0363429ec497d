"""Estimates with their errors, and the sums that they are made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number


# eq: comparing tensors has no single yes or no; repr: nobody wants to read all the numbers
@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """A number for each image, in nats unless said otherwise, and its mean with two errors.

    - `per_image`: the estimates, `(N,)`, float64 on the CPU;
    - `sampling_errors`: the standard error of each, `(N,)`: how far it would move with other
      random numbers. NaN where one draw does not tell.
    """

    per_image: Tensor
    sampling_errors: Tensor

    @property
    def mean(self) -> float:
        """The mean over images."""
        return self.per_image.mean().item()

    @property
    def standard_error(self) -> float:
        """Of the mean, over images: how far it would move with other images of the same source."""
        count = len(self.per_image)
        return self.per_image.std().item() / math.sqrt(count) if count > 1 else math.nan

    @property
    def sampling_error(self) -> float:
        """Of the mean, with these images: how far it would move with other random numbers."""
        return self.sampling_errors.square().sum().sqrt().item() / len(self.per_image)

    def __len__(self) -> int:
        return len(self.per_image)

    def __str__(self) -> str:
        return (
            f"{self.mean:.2f} ± {self.standard_error:.2f} (standard error over {len(self):,} "
            f"images; {self.sampling_error:.3f} from sampling)"
        )

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, eq=False, repr=False)
class LogLikelihood(Estimate):
    """Estimates of log p(x), each the logarithm of a mean of weights: too low on average.

    - `sampling_errors`: by the delta method, which knows only the weights that it has seen;
    - `ess`: the effective sample size of each image's weights, (Σ w)² / Σ w², `(N,)`, between 1
      and `samples`. Near 1 a single weight decides, and the estimate is no more than a lower
      bound;
    - `samples`: the number of weights for each image;
    - `half`, `quarter`: the same from half and from a quarter of the weights, averaged over the
      two halves and the four quarters.

    Errors of images average out in the mean, their bias does not. What the mean gained from a
    quarter to a half and from a half to all tells how fast the bias falls, and so what is left.
    """

    ess: Tensor
    samples: int
    half: Estimate
    quarter: Estimate

    @property
    def sampling_error(self) -> float:
        """Of the mean: by the delta method or from the two halves, whichever is larger."""
        return max(super().sampling_error, self.half.sampling_error)

    @property
    def bias(self) -> float:
        """How far the mean lies below the mean of log p(x), extrapolated; not negative.

        With a bias that falls by the factor r whenever the number of weights doubles, the gains
        form a geometric series, and what is still to come is gain · r / (1 − r). Where weights
        have a finite variance r is ½; it is taken to be between that and 0.8.
        """
        return max(0.0, self._gain.mean) * self._later_gains

    def interval(self, errors: float = 1.96) -> tuple[float, float]:
        """Where the mean of log p(x) over these images lies: `errors` sampling errors either side.

        At the upper end come twice the bias, since its estimate may itself be too small, and
        `errors` of the bias's standard errors over images.
        """
        reach, unsure = errors * self.sampling_error, 0.0
        if self.bias > 0 and len(self) > 1:
            unsure = errors * self._gain.standard_error * self._later_gains
        return self.mean - reach, self.mean + 2 * self.bias + reach + unsure

    @property
    def _gain(self) -> Estimate:
        """What the second half of the weights has added."""
        return difference(self, self.half)

    @property
    def _later_gains(self) -> float:
        """Σ r + r² + …, all later gains in units of the last one."""
        before = self.half.mean - self.quarter.mean
        ratio = min(max(self._gain.mean / before, 0.5), 0.8) if before > 0 else 0.5
        return ratio / (1 - ratio)

    def bits_per_dimension(self, dimensions: int) -> float:
        """Minus the mean in bits for each pixel, of which an image has `dimensions`."""
        return -self.mean / (whole_number("dimensions", dimensions) * math.log(2))

    def __str__(self) -> str:
        low, high = self.interval()
        ess = self.ess.sort().values[len(self) // 10].item()
        return (
            f"log p(x): {self.mean:.2f} nats per image, ± {self.standard_error:.2f} over "
            f"{len(self):,} images; for these images between {low:.2f} and {high:.2f}, with "
            f"{self.samples:,} samples each and an effective sample size of {ess:,.0f} or more "
            "for nine in ten"
        )


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a − b image by image, for estimates with independent random numbers."""
    errors = (a.sampling_errors.square() + b.sampling_errors.square()).sqrt()
    return Estimate(a.per_image - b.per_image, errors)


class Groups:
    """Running sums over groups of `size` weights: of log-means and of their squares, `(B,)`.

    Weights come in pieces of any length; only the group that is being filled is remembered, as
    the logarithm of its sum.
    """

    def __init__(self, size: int) -> None:
        self.size, self.count, self.filled = size, 0, 0
        self.total: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0
        self.open: Tensor | None = None

    def add(self, log_w: Tensor) -> None:
        """Take `log_w` `(k, B)` in."""
        if self.filled:
            missing = self.size - self.filled
            self._fill(log_w[:missing])
            log_w = log_w[missing:]
        whole = len(log_w) // self.size * self.size
        if whole:  # full groups at once
            self._close(log_w[:whole].unflatten(0, (-1, self.size)).logsumexp(1))  # (groups, B)
        if len(log_w) > whole:
            self._fill(log_w[whole:])

    def error(self, ess: Tensor) -> Tensor:
        """The standard error of the mean over groups, `(B,)`."""
        if self.count > 1:
            return error_of_mean(self.total, self.squares, self.count)
        return error_of_log_mean(ess, self.size)

    def _fill(self, log_w: Tensor) -> None:
        """The next weights of the group that is being filled, no more than it lacks."""
        part = log_w.logsumexp(0)
        self.open = part if self.open is None else torch.logaddexp(self.open, part)
        self.filled += len(log_w)
        if self.filled == self.size:
            self._close(self.open.unsqueeze(0))
            self.open, self.filled = None, 0

    def _close(self, log_sums: Tensor) -> None:
        bounds = log_sums - math.log(self.size)
        self.count += len(bounds)
        self.total = self.total + bounds.sum(0)
        self.squares = self.squares + bounds.square().sum(0)


def error_of_mean(total: Tensor, squares: Tensor, count: int) -> Tensor:
    """s / √n of n = `count` numbers, from their sum and their sum of squares; NaN for one."""
    if count < 2:
        return torch.full_like(total, math.nan)
    variance = (squares - total.square() / count).clamp(min=0) / (count - 1)
    return (variance / count).sqrt()


def error_of_log_mean(ess: Tensor, count: int) -> Tensor:
    """The standard error of the logarithm of a mean of `count` weights; NaN for one.

    By the delta method that of the mean over the mean, √((n / ESS − 1) / (n − 1)): n / ESS − 1 is
    the squared coefficient of variation of the weights. At most 1, also where nothing is known.
    """
    if count < 2:
        return torch.full_like(ess, math.nan)
    return ((count / ess - 1).clamp(min=0) / (count - 1)).sqrt()


def nested_sizes(samples: int) -> list[int]:
    """All weights, half of them and a quarter: what a `LogLikelihood` is made from."""
    return [samples, max(1, samples // 2), max(1, samples // 4)]


def weigh(
    pieces: Iterable[Tensor], sizes: Sequence[int]
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Log-means of weights, for a batch of images; `pieces` are log w, `(k, B)` each.

    For each of the `sizes` the mean over groups of that size of their log-means, and its error,
    `(B,)` each; and the effective sample size of all weights, as many as the largest size.
    """
    samples = max(sizes)
    groups, squares = [Groups(size) for size in sizes], Groups(samples)
    for log_w in pieces:
        squares.add(2 * log_w)
        for group in groups:
            group.add(log_w)
    log_mean = groups[sizes.index(samples)].total
    ess = samples * (2 * log_mean - squares.total).exp()
    return [g.total / g.count for g in groups], [g.error(ess) for g in groups], ess


def joined(
    parts: Sequence[tuple[list[Tensor], list[Tensor], Tensor]],
) -> tuple[list[Estimate], Tensor]:
    """From what `weigh` found in each batch, one estimate for each size, and the ESS `(N,)`."""
    values, errors, ess = zip(*parts)
    by_size = zip(zip(*values), zip(*errors))
    return [Estimate(collected(v), collected(e)) for v, e in by_size], collected(ess)


def collected(parts: Sequence[Tensor]) -> Tensor:
    """The images' values, one tensor `(N, ...)` on the CPU."""
    return torch.cat(list(parts)).cpu()
