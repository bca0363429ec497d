"""Latent variables in buckets, and the probabilities of buckets, in whole numbers alone.

The real line is cut into 2**bits buckets of equal probability under N(0, 1). So a bucket costs
exactly `bits` bits under the prior, and N(μ, σ²) gives each bucket a whole number of slots.
A file must mean the same everywhere, but `exp` and `erf` differ in the last digit from machine
to machine. Tables made with `decimal`, whose results are fixed to the last digit, do not.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache

import numpy as np

POINT = 16  # places after the binary point of z, μ and t
STEP = 8  # … of the table of Φ: an entry for every 1/256
REACH = 8  # Φ is 0 below −REACH and 1 above it
MASS = 30  # Φ = 1 is 2**MASS
SLOTS = 24  # the posterior's slots: 2**SLOTS
FINE = 6  # tables of logits and log-variances: an entry for every 1/64
SCALE = 12  # places of 1/σ
LEAST_LOGVAR, MOST_LOGVAR = -14, 4
FAR = 1 << (POINT + 10)  # stands for infinity
DECIMAL = Context(prec=40, rounding=ROUND_HALF_EVEN)  # whatever the caller's own context says


class Buckets:
    """2**`bits` buckets of equal prior probability.

    `centres`, int64 `(2**bits,)`, are the z of each bucket, with POINT binary places.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        count = 1 << bits
        self.edges = quantiles(np.arange(count + 1), count)
        self.edges[0], self.edges[-1] = -FAR, FAR
        self.centres = quantiles(2 * np.arange(count) + 1, 2 * count)

    def below(self, buckets: np.ndarray, mu: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """Slots below each bucket under N(μ, σ²): int64, from 0 to 2**SLOTS.

        `mu` has POINT binary places, `precision` = 1/σ has SCALE. Every bucket gets one slot, and
        the others go by probability.
        """
        t = ((self.edges[buckets] - mu) * precision) >> SCALE
        free = (1 << SLOTS) - (1 << self.bits)
        return ((normal_cdf(t) * free) >> MASS) + buckets

    def find(self, slots: np.ndarray, mu: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """The buckets that hold `slots`, by halving: int64, like `slots`."""
        low = np.zeros_like(slots)
        for bit in reversed(range(self.bits)):
            middle = low + (1 << bit)
            low = np.where(self.below(middle, mu, precision) <= slots, middle, low)
        return low


def normal_cdf(t: np.ndarray) -> np.ndarray:
    """Φ(t) with MASS binary places, for t with POINT: linear between the table's entries."""
    reach = REACH << POINT
    shifted = np.clip(t, -reach, reach) + reach
    index, rest = shifted >> (POINT - STEP), shifted & ((1 << (POINT - STEP)) - 1)
    table = cdf_table()
    return table[index] + (((table[index + 1] - table[index]) * rest) >> (POINT - STEP))


def quantiles(numerators: np.ndarray, denominator: int) -> np.ndarray:
    """Φ⁻¹(numerator / denominator) with POINT binary places, from the table of Φ."""
    wanted = numerators.astype(np.int64) * (1 << MASS) // denominator
    table = cdf_table()[:-1]
    index = np.clip(np.searchsorted(table, wanted, side="right") - 1, 0, len(table) - 2)
    gap = np.maximum(table[index + 1] - table[index], 1)
    places = POINT - STEP
    return (index << places) + ((wanted - table[index] << places) // gap) - (REACH << POINT)


@cache
def cdf_table() -> np.ndarray:
    """Φ at −REACH, −REACH + 1/256, … REACH, with MASS places; the last entry stands twice."""
    half = [_phi_minus_half(k) for k in range((REACH << STEP) + 1)]
    middle = 1 << (MASS - 1)
    half[-1] = middle  # exactly 0 and 1 at the ends
    table = [middle - p for p in half[:0:-1]] + [middle + p for p in half]
    return np.array([*table, table[-1]], np.int64)


def _phi_minus_half(k: int) -> int:
    """Φ(k / 256) − ½ with MASS places, by the series x + x³/3 + x⁵/15 + … times the density."""
    with localcontext(DECIMAL):
        x = Decimal(k) / (1 << STEP)
        term = total = x
        n = 1
        while term > Decimal("1e-20") * total:
            n += 2
            term *= x * x / n
            total += term
        root = (2 * Decimal("3.14159265358979323846264338327950288420")).sqrt()
        return int((total * (-x * x / 2).exp() / root * (1 << MASS)).to_integral_value())


@cache
def precision_table() -> np.ndarray:
    """1/σ = exp(−½ log σ²) with SCALE places, for every 1/64 of log σ² in the allowed range."""
    with localcontext(DECIMAL):
        steps = range(LEAST_LOGVAR << FINE, (MOST_LOGVAR << FINE) + 1)
        return np.array([
            int(((Decimal(-k) / (2 << FINE)).exp() * (1 << SCALE)).to_integral_value())
            for k in steps
        ], np.int64)  # fmt: skip
