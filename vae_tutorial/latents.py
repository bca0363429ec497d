"""What the latent variables carry: active units, KL for each, mutual information, the aggregate.

All of this is a matter of the encoder and the prior; nothing is decoded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae_tutorial.batches import Data
from vae_tutorial.estimates import Estimate, collected, error_of_mean
from vae_tutorial.measuring import TestImages, measurement, wide
from vae_tutorial.objectives import gaussian_kl, posterior_of
from vae_tutorial.validation import whole_number

PAIRS_AT_ONCE = 4_000_000
"""Pairs of a z and an image whose log q(z | x) are held in memory at once: 32 MB."""


@dataclass(frozen=True, eq=False, repr=False)
class LatentUnits:
    """What each of the D latent dimensions, or units, carries, over the images of a data set.

    - `variances`: the variance over images of the posterior mean, Var_x(E_q[z_d]), `(D,)`;
    - `kl`: the mean over images of KL(q(z_d | x) ‖ p(z_d)), `(D,)`, in nats; adds up to the rate;
    - `active`: whether the variance is above the threshold, `(D,)`, bool.
    """

    variances: Tensor
    kl: Tensor
    active: Tensor

    @property
    def count(self) -> int:
        """The number of active units."""
        return int(self.active.sum())

    def __repr__(self) -> str:
        return f"{self.count} of {len(self.active)} units active; {self.kl.sum():.2f} nats"


@dataclass(frozen=True, eq=False)
class Information:
    """The rate, split in two: rate = `mutual_information` + `aggregate_kl`.

    - `mutual_information`: I(x; z) where x is one of the N images, each equally likely, and z
      comes from q(z | x). Never above log N.
    - `aggregate_kl`: KL(q(z) ‖ p(z)) of the aggregate posterior q(z) = (1/N) Σ_n q(z | x_n).
    - `rate`: the mean over images of KL(q(z | x) ‖ p(z)), exact.

    Both estimates are unbiased for these N images. Seen as estimates for the source that the
    images come from, they lean: KL(q(z) ‖ p(z)) is too high on average, for a divergence is convex
    and q(z) an average over a sample, and I(x; z) too low by the same amount. Near log N the
    second says only that N images are too few.
    """

    mutual_information: Estimate
    aggregate_kl: Estimate
    rate: float

    @property
    def ceiling(self) -> float:
        """log N, in nats, which I(x; z) of N images cannot exceed."""
        return math.log(len(self.mutual_information))


def active_units(
    model: nn.Module,
    data: Data,
    threshold: float = 0.01,
    *,
    binarise: bool | None = None,
    seed: int = 0,
) -> LatentUnits:
    """The units that the encoder uses: those with Var_x(E_q[z_d]) above `threshold`.

    The definition, and 0.01, are those of Burda, Grosse and Salakhutdinov (2016). A unit that
    has collapsed has the same posterior, the prior, for every image. `data`, `binarise` and `seed`
    are as for `log_likelihood`.

    Raises `ValueError` for a negative `threshold` or fewer than two images.
    """
    if not 0 <= threshold < math.inf:
        raise ValueError(f"threshold must be a number of at least 0, got {threshold!r}")
    mean, stddev = _posteriors(model, data, binarise, seed)  # (N, D)
    each = gaussian_kl(mean.unsqueeze(-1), 2 * stddev.log().unsqueeze(-1))  # (N, D)
    variances = mean.var(0)
    return LatentUnits(variances.cpu(), each.mean(0).cpu(), (variances > threshold).cpu())


def information(
    model: nn.Module,
    data: Data,
    samples: int = 4,
    *,
    binarise: bool | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Information:
    """The mutual information of image and z, and how far the aggregate posterior is from p(z).

    The rate is their sum (Hoffman and Johnson, 2016). For `samples` draws z from each q(z | x_n),
    log q(z | x_n) − log q(z) is averaged, with log q(z) over all N images: N² · `samples` small
    densities in all. What is left of the rate is KL(q(z) ‖ p(z)). Errors come from the spread of
    an image's draws; NaN for one draw. The prior is a standard normal.

    Raises `ValueError` for fewer than one sample or two images.
    """
    samples = whole_number("samples", samples)
    mean, stddev = _posteriors(model, data, binarise, seed)  # (N, D)
    count = len(mean)
    values, errors = [], []
    with measurement(model, seed, "I(x; z)", count, progress) as bar:
        for index in torch.arange(count, device=mean.device).split(_rows(count, samples)):
            z = mean[index] + stddev[index] * torch.randn(
                samples, len(index), mean.shape[1], dtype=mean.dtype, device=mean.device
            )  # (S, B, D)
            log_q = log_densities(z, mean, stddev)  # (S, B, N)
            own = log_q.take_along_dim(index.view(1, -1, 1), -1).squeeze(-1)  # (S, B)
            gain = own - (log_q.logsumexp(-1) - math.log(count))
            values.append(gain.mean(0))
            errors.append(error_of_mean(gain.sum(0), gain.square().sum(0), samples))
            bar.update(len(index))
    rate = gaussian_kl(mean, 2 * stddev.log()).cpu()  # (N,)
    found = Estimate(collected(values), collected(errors))
    rest = Estimate(rate - found.per_image, found.sampling_errors)
    return Information(found, rest, rate.mean().item())


def log_densities(z: Tensor, mean: Tensor, stddev: Tensor) -> Tensor:
    """log N(z; mean_n, diag stddev_n²) of z `(..., D)` under all N normals, `(..., N)`.

    The square is multiplied out, so that two products of matrices do the work; that loses digits,
    and wants float64.
    """
    precision = stddev.square().reciprocal()  # (N, D)
    constant = (mean.square() * precision).sum(-1) + 2 * stddev.log().sum(-1)  # (N,)
    square = z.square() @ precision.T - 2 * z @ (mean * precision).T  # (..., N)
    return -0.5 * (square + constant + z.shape[-1] * math.log(2 * math.pi))


def _posteriors(
    model: nn.Module, data: Data, binarise: bool | None, seed: int
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q(z | x) for all images, `(N, D)`, in float64."""
    images = TestImages(model, data, binarise, seed)
    means, stddevs = [], []
    with measurement(model, seed, "q(z | x)", None, False):
        for x in images.batches():
            q = posterior_of(model, x)
            means.append(wide(q.mean))
            stddevs.append(wide(q.stddev))
    if sum(len(part) for part in means) < 2:
        raise ValueError("data must hold at least two images, else nothing varies over images")
    return torch.cat(means), torch.cat(stddevs)


def _rows(images: int, samples: int) -> int:
    return max(1, PAIRS_AT_ONCE // (images * samples))
