"""What the latent variables carry: active units, KL for each, mutual information, the aggregate.

All of this is a matter of the encoder and the prior; nothing is decoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Normal

from vae_tutorial.arguments import real_number, whole_number
from vae_tutorial.data.batches import Data
from vae_tutorial.measure.common import TestImages, as_float64, measurement
from vae_tutorial.measure.estimates import Estimate, collected, error_of_mean
from vae_tutorial.measure.likelihood import refuse_own_weights
from vae_tutorial.objectives import (
    closed_kl,
    distributions,
    is_conditional,
    is_diagonal_normal,
    kl_of_each,
)

PAIRS_AT_ONCE = 4_000_000
"""Pairs of a z and an image whose log q(z | x) are held in memory at once: 32 MB."""


@dataclass(frozen=True, eq=False, repr=False)
class LatentUnits:
    """What each of the D latent dimensions, or units, carries, over the images of a data set.

    - `variances`: the variance over images of the posterior mean, Var_x(E_q[z_d]), `(D,)`;
    - `kl`: the mean over images of KL(q(z_d | x) ‖ p(z_d)), `(D,)`, in nats; adds up to the rate.
      NaN for posteriors or priors that are no products over dimensions;
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

    Raises `ValueError` for a negative `threshold` or fewer than two images, `TypeError` for codes,
    whose posterior has no mean.
    """
    threshold = real_number("threshold", threshold, "non-negative", 0.0)
    means, each = [], []
    for q, p in _posteriors(model, data, binarise, seed, "active_units"):
        if not _has_mean(q):
            raise TypeError(
                f"active_units needs latent variables with a mean, and those of "
                f"{type(model).__name__} are codes. vt.code_use(model.encode(x), model.categories) "
                "tells how many of them are in use."
            )
        means.append(as_float64(q.mean))
        known = is_diagonal_normal(q, p)
        each.append(as_float64(kl_of_each(q, p) if known else torch.full_like(q.mean, math.nan)))
    variances = _more_than_one(torch.cat(means)).var(0)
    kl = torch.cat(each).mean(0)
    return LatentUnits(variances.cpu(), kl.cpu(), (variances > threshold).cpu())


@torch.no_grad()
def embed(
    model: nn.Module, data: Data, *, binarise: bool | None = False, seed: int = 0
) -> np.ndarray:
    """The codes of all examples for use elsewhere, an array `(N, D)` of the model's dtype.

    For a VAE the posterior means, for an autoencoder the codes, for a VAE with discrete codes the
    most probable ones, int64 `(N, P)`; in the order of the data, in evaluation mode. With the
    default `binarise=False` grey pixels go in as they are, so that the codes do not depend on a
    draw.

    Raises `TypeError` for a model with neither posterior means nor `encode(x)`.
    """
    images = TestImages(model, data, binarise, seed)
    with measurement(model, seed, "codes", None, False):
        codes = [_code(model, x, y).cpu() for x, y in images.batches()]
    return torch.cat(codes).numpy()


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
    an image's draws; NaN for one draw. A rate without a closed form is estimated from the draws.

    Raises `ValueError` for fewer than one sample or two images.
    """
    samples, found = whole_number("samples", samples), []
    for q, _ in _posteriors(model, data, binarise, seed, "information"):
        if not is_diagonal_normal(q) or is_conditional(model):
            raise TypeError(
                "information needs diagonal normals q(z | x) and one prior for all images, got "
                f"{type(q).__name__} and {'' if is_conditional(model) else 'un'}conditional "
                "parts. mean_elbo gives the rate of any model."
            )
        found.append((as_float64(q.mean), as_float64(q.stddev)))
    mean, stddev = (_more_than_one(torch.cat(part)) for part in zip(*found))  # (N, D)
    prior, count = model.prior(), len(mean)
    q = Independent(Normal(mean, stddev, validate_args=False), 1)
    rate = closed_kl(q, prior)  # (N,), or None
    values, errors, rates = [], [], []
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
            if rate is None:
                log_p = as_float64(prior.log_prob(z.to(prior.mean.dtype)).to(own.device))
                rates.append((own - log_p).mean(0))
            bar.update(len(index))
    rate = torch.cat(rates).cpu() if rate is None else rate.cpu()
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
    model: nn.Module, data: Data, binarise: bool | None, seed: int, function: str
) -> Iterator[tuple[Distribution, Distribution]]:
    """q(z | x) and p(z) of each batch."""
    refuse_own_weights(model, function)
    images = TestImages(model, data, binarise, seed)
    with measurement(model, seed, "q(z | x)", None, False):
        for x, y in images.batches():
            yield distributions(model, x, y)[:2]


def _code(model: nn.Module, x: Tensor, y: Tensor | None) -> Tensor:
    """The posterior means of a batch, or what `encode` says where there are none."""
    q = distributions(model, x, y)[0] if hasattr(model, "posterior") else None
    if q is not None and _has_mean(q):
        return q.mean
    if not hasattr(model, "encode"):
        raise TypeError(
            "embed needs a model with a mean of posterior(x) or encode(x), got "
            f"{type(model).__name__}"
        )
    return model.encode(x)


def _has_mean(q: Distribution) -> bool:
    """Whether q has a mean: torch gives NaN for a `Categorical`, whose values are mere names."""
    return not isinstance(getattr(q, "base_dist", q), Categorical)


def _more_than_one(values: Tensor) -> Tensor:
    if len(values) < 2:
        raise ValueError("data must hold at least two images, else nothing varies over images")
    return values


def _rows(images: int, samples: int) -> int:
    return max(1, PAIRS_AT_ONCE // (images * samples))
