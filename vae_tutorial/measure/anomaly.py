"""Anomaly scores: how strange an image is to a model, and what a threshold on a score is worth.

Every score here is larger for stranger images. `surprise` makes four of them from one set of
draws. The rest knows nothing of models: it takes scores `(N,)` of any method.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.arguments import whole_number
from vae_tutorial.data.batches import Data
from vae_tutorial.measure.common import (
    TestImages,
    as_float64,
    in_parts,
    measurement,
    pairs_at_once,
    split_work,
)
from vae_tutorial.measure.likelihood import refuse_own_weights
from vae_tutorial.objectives import distributions, kl, log_px_given


def surprise(
    model: nn.Module,
    data: Data,
    samples: int = 50,
    *,
    binarise: bool | None = None,
    chunk: int | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Four anomaly scores of each image, `(N,)` in nats, from `samples` draws of q(z | x).

    - `"log p(x)"`: −log p(x) by importance sampling;
    - `"ELBO"`: −ELBO;
    - `"reconstruction"`: −E_q[log p(x | z)], the ELBO's part that is about pixels;
    - `"KL"`: KL(q(z | x) ‖ p(z)), its other part.

    `data` and `binarise` are as for `log_likelihood`. Raises `TypeError` for a model without a
    posterior, and `ValueError` for fewer than one sample.
    """
    samples = whole_number("samples", samples)
    refuse_own_weights(model, "surprise")
    images, parts = TestImages(model, data, binarise, seed), []
    with measurement(model, seed, "surprise", None, False):
        for batch in images.batches():
            count, at_once = split_work(pairs_at_once(model, batch[0].shape[1:], chunk), samples)
            parts += [_of_batch(model, x, y, samples, at_once) for x, y in in_parts(*batch, count)]
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}


def _of_batch(
    model: nn.Module, x: Tensor, y: Tensor | None, samples: int, at_once: int
) -> dict[str, Tensor]:
    """The scores of images `(B, ...)`, from draws `at_once` at a time."""
    q, p, likelihood = distributions(model, x, y)
    log_px, ratio = [], []
    for start in range(0, samples, at_once):
        z = q.sample((min(at_once, samples - start),))  # (k, B, D)
        log_px.append(as_float64(log_px_given(likelihood(z), x)))
        ratio.append(as_float64(p.log_prob(z) - q.log_prob(z)))
    log_px, ratio = torch.cat(log_px), torch.cat(ratio)  # (K, B)
    cost = as_float64(kl(q, p, z))
    distortion = -log_px.mean(0)
    whole = math.log(samples) - torch.logsumexp(log_px + ratio, 0)
    scores = (whole, distortion + cost, distortion, cost)
    return dict(zip(("log p(x)", "ELBO", "reconstruction", "KL"), scores))


def auroc(normal: Any, anomalous: Any) -> float:
    """The probability that an anomalous score is larger than a normal one; ties count one half.

    That is the area under the ROC curve (Hanley and McNeil, 1982): 1 separates perfectly, 0.5 is
    guessing, less than 0.5 says that the anomalies look *more* normal. Both are scores `(N,)`
    and `(M,)`, larger for stranger images.

    Raises `ValueError` for scores that are empty, not one-dimensional, or not numbers.
    """
    normal = _scores("normal", normal)
    anomalous = _scores("anomalous", anomalous)
    ordered = normal.sort().values
    below = torch.searchsorted(ordered, anomalous, side="left")
    upto = torch.searchsorted(ordered, anomalous, side="right")
    return ((below + upto).double().mean() / (2 * len(normal))).item()


def alarm_threshold(clean: Any, rate: float) -> float:
    """The score above which to raise an alarm, so that clean images raise at most `rate` of them.

    `clean` are the scores `(N,)` of normal images that took no part in training. The result is
    the k-th smallest of them, with k = ⌈(N + 1)(1 − rate)⌉. A new image from the same source has
    each place among the N + 1 with the same probability, so that its false-alarm rate, averaged
    over the choice of the clean images, is at most `rate` (Vovk, Gammerman and Shafer, 2005;
    with the plain quantile it would be a little more).

    Raises `ValueError` for a rate that is not between 0 and 1, and where N is too small: fewer
    than 1 / rate − 1 clean images can promise nothing.
    """
    clean = _scores("clean", clean)
    if not 0 < rate < 1:
        raise ValueError(f"rate must be a share between 0 and 1, such as 0.05, got {rate!r}")
    k = math.ceil((len(clean) + 1) * (1 - rate) - 1e-9)
    if k > len(clean):
        raise ValueError(
            f"clean has {len(clean)} scores, and a false-alarm rate of {rate} needs at least "
            f"{math.ceil(1 / rate - 1 - 1e-9)}. Use more clean images, or a higher rate."
        )
    return clean.sort().values[k - 1].item()


def share_interval(hits: int, count: int, deviations: float = 1.96) -> tuple[float, float]:
    """The interval of Wilson (1927) for a probability, from `hits` of `count` independent trials.

    1.96 `deviations` make a 95 per cent interval. It stays within 0 and 1, also where no trial
    or every trial is a hit.

    Raises `ValueError` where `hits` is not between 0 and `count`, or `count` is not positive.
    """
    count = whole_number("count", count)
    hits = whole_number("hits", hits, least=0)
    if hits > count:
        raise ValueError(f"hits must be at most count={count}, got {hits}")
    share, square = hits / count, deviations**2 / count
    centre = share + square / 2
    half = math.sqrt(square * share * (1 - share) + square**2 / 4)
    return max(0.0, (centre - half) / (1 + square)), min(1.0, (centre + half) / (1 + square))


def _scores(name: str, values: Any) -> Tensor:
    """Scores as a float64 tensor `(N,)`."""
    values = torch.as_tensor(values, dtype=torch.float64)
    if values.dim() != 1 or len(values) == 0 or values.isnan().any():
        raise ValueError(
            f"{name} must be scores of shape (N,), at least one and none of them NaN, got shape "
            f"{tuple(values.shape)} with {int(values.isnan().sum())} NaN"
        )
    return values.contiguous()
