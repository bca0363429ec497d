"""Mixtures of logistic distributions in whole numbers: how much lies below each grey level.

The twin of `gaussian`, for pixels instead of latent variables: tables made with `decimal`, and
between their entries a straight line. So every machine finds the same slots.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

import numpy as np

from vae_tutorial.compress.gaussian import DECIMAL, MASS, POINT, STEP
from vae_tutorial.compress.integers import PLACES
from vae_tutorial.models.grey import LEAST_LOG_SLOPE, LEVELS, MOST_LOG_SLOPE, START_LOG_SLOPE

SLOTS = 24  # a pixel's slots: 2**SLOTS, of which each level gets one, and the mixture the others
REACH = 22  # σ(t) is 0 below −REACH and 1 above it; e^−22 is less than 2**-MASS
FINE = 10  # tables of weights and slopes: an entry for every 1/1024 of a logarithm
LEAST_LOG_WEIGHT = -14  # less than that, compared with the largest weight, is 0
WEIGHT = 20  # the largest weight is 2**WEIGHT
SLOPE = 16  # binary places of a slope


def parameters(raw: np.ndarray, components: int, channels: int) -> np.ndarray:
    """A decoder's output as weights, shifts and slopes: int64 `(B, 3, K, pixels)`.

    `raw` is `(B, C · 3K · H · W)` with PLACES binary places. Weights are whole numbers up to
    2**WEIGHT, shifts have POINT places and slopes SLOPE.
    """
    each = raw.reshape(len(raw), channels, 3, components, -1).transpose(0, 2, 3, 1, 4)
    logits, shifts, log_slopes = each.reshape(len(raw), 3, components, -1).swapaxes(0, 1)
    behind = _fine(logits - logits.max(1, keepdims=True), LEAST_LOG_WEIGHT, 0)
    weights = weight_table()[behind - (LEAST_LOG_WEIGHT << FINE)]
    start = START_LOG_SLOPE * 2.0**PLACES
    slopes = _fine(log_slopes + start, LEAST_LOG_SLOPE, MOST_LOG_SLOPE)
    slopes = slope_table()[slopes - (LEAST_LOG_SLOPE << FINE)]
    far = 2.0**32  # some 10^6 slopes away: nothing of a component is left within the levels
    shifts = np.clip(shifts, -far, far).astype(np.int64) << (POINT - PLACES)
    return np.stack([weights, shifts, slopes], 1)


def below(levels: np.ndarray, mixtures: np.ndarray) -> np.ndarray:
    """Slots below grey levels 0 … 256: int64 `(…, pixels)`, from 0 to 2**SLOTS.

    `mixtures` `(…, 3, K, pixels)` come from `parameters`. No product exceeds 2**52.
    """
    weights, shifts, slopes = np.moveaxis(mixtures, -3, 0)  # each (…, K, pixels)
    components = weights.shape[-2]
    anchors = (np.arange(components) << POINT) // max(components - 1, 1)
    places = (levels[..., None, :] << POINT) // LEVELS - anchors[:, None]
    mass = (weights * logistic_cdf((places * slopes >> SLOPE) - shifts)).sum(-2)
    mass //= weights.sum(-2)  # the mixture's distribution function, MASS places
    mass = np.where(levels <= 0, 0, np.where(levels >= LEVELS, 1 << MASS, mass))
    return (mass * ((1 << SLOTS) - LEVELS) >> MASS) + levels


def find(slots: np.ndarray, mixtures: np.ndarray) -> np.ndarray:
    """The grey levels that hold `slots` `(…, pixels)`, by halving: int64."""
    low = np.zeros(slots.shape, np.int64)
    step = LEVELS // 2
    while step:
        low = np.where(below(low + step, mixtures) <= slots, low + step, low)
        step //= 2
    return low


def logistic_cdf(t: np.ndarray) -> np.ndarray:
    """σ(t) with MASS binary places, for t with POINT: linear between the table's entries."""
    reach = REACH << POINT
    shifted = np.clip(t, -reach, reach) + reach
    index, rest = shifted >> (POINT - STEP), shifted & ((1 << (POINT - STEP)) - 1)
    table = cdf_table()
    return table[index] + (((table[index + 1] - table[index]) * rest) >> (POINT - STEP))


@cache
def cdf_table() -> np.ndarray:
    """σ at −REACH, −REACH + 1/256, … REACH, with MASS places; the last entry stands twice."""
    most = REACH << STEP
    with localcontext(DECIMAL):
        upper = [
            int(((1 << MASS) / (1 + (-Decimal(k) / (1 << STEP)).exp())).to_integral_value())
            for k in range(most + 1)
        ]
    upper[-1] = 1 << MASS  # exactly 1 at the end, and 0 at the other
    lower = [(1 << MASS) - p for p in upper[:0:-1]]
    return np.array([*lower, *upper, upper[-1]], np.int64)


@cache
def weight_table() -> np.ndarray:
    """exp(l) · 2**WEIGHT for every 1/1024 of l from LEAST_LOG_WEIGHT to 0."""
    return _exponentials(LEAST_LOG_WEIGHT, 0, WEIGHT)


@cache
def slope_table() -> np.ndarray:
    """exp(l) with SLOPE places for every 1/1024 of a log-slope in the allowed range."""
    return _exponentials(LEAST_LOG_SLOPE, MOST_LOG_SLOPE, SLOPE)


def _exponentials(least: int, most: int, places: int) -> np.ndarray:
    with localcontext(DECIMAL):
        steps = range(least << FINE, (most << FINE) + 1)
        return np.array([
            int(((Decimal(k) / (1 << FINE)).exp() * (1 << places)).to_integral_value())
            for k in steps
        ], np.int64)  # fmt: skip


def _fine(values: np.ndarray, least: int, most: int) -> np.ndarray:
    """Numbers with PLACES binary places as whole 1/1024, within [least, most]: int64."""
    fine = np.rint(values * 2.0 ** (FINE - PLACES))
    return np.clip(fine, least << FINE, most << FINE).astype(np.int64)
