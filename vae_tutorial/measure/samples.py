"""Samples judged by features: Fréchet distance, precision and recall, without a downloaded network.

Both compare two clouds of points: the features of images that a model made, and of real ones. What
features are is the caller's choice; `classifier` trains a small network whose features serve here.
The published "FID" (Heusel et al., 2017) is the Fréchet distance in the features of one certain
network, Inception-v3, trained on photographs. **The numbers here are not FID** and compare only
with numbers from the same features, the same real images and the same count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number

ROWS_AT_ONCE = 1000
"""Points whose distances to all others are held in memory at once."""


@dataclass(frozen=True)
class SampleScores:
    """How a set of images compares with real ones, in the features of one network.

    - `frechet`: Fréchet distance; 0 is best, in squared units of the features;
    - `precision`: the share of made images that lie among the real ones: how real they look;
    - `recall`: the share of real images that lie among the made ones: how much is covered;
    - `images`, `real_images`: how many of each were compared.
    """

    frechet: float
    precision: float
    recall: float
    images: int
    real_images: int

    def __str__(self) -> str:
        return (
            f"Fréchet distance {self.frechet:.2f}, precision {self.precision:.3f}, recall "
            f"{self.recall:.3f} ({self.images:,} images against {self.real_images:,})"
        )


def compare_samples(made: Tensor, real: Tensor, neighbours: int = 3) -> SampleScores:
    """All scores of the features `made` `(M, F)` against `real` `(N, F)`.

    Put half of the real images in the place of `made` once: what they score against the other
    half is the best that a model can be expected to reach at that count.
    """
    precision, recall = precision_recall(real, made, neighbours)
    frechet = frechet_distance(made, real)
    return SampleScores(frechet, precision, recall, len(made), len(real))


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The squared Fréchet distance of normals fitted to the features `a` `(N, F)` and `b` `(M, F)`.

    ‖m_a − m_b‖² + tr(C_a + C_b − 2 (C_a C_b)^½) with means m and covariances C (Dowson and Landau,
    1982), for normals also the squared 2-Wasserstein distance. From samples it is too high on
    average, the more so the fewer there are: two halves of one set have a positive distance.
    Compare at equal counts, with many more images than features.

    Raises `ValueError` for tensors of other shapes, fewer than two rows, or NaN.
    """
    a, b = _features("a", a), _features("b", b)
    _check_widths(a, b)
    cov_a, cov_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(a.shape[1], -1)
    # tr (C_a C_b)^½ is the sum of the roots of the eigenvalues of C_a C_b, and those are also
    # the eigenvalues of the symmetric C_a^½ C_b C_a^½, which can be computed safely.
    root = _root(cov_a)
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    shift = (a.mean(0) - b.mean(0)).square().sum()
    return max(0.0, (shift + cov_a.trace() + cov_b.trace() - 2 * cross).item())


def precision_recall(real: Tensor, made: Tensor, neighbours: int = 3) -> tuple[float, float]:
    """Precision and recall of Kynkäänniemi, Karras, Laine, Lehtinen and Aila (2019).

    Around each point of a set lies a ball that reaches to its k-th nearest neighbour in that set,
    k = `neighbours`; the union of the balls stands for the set's support. Precision is the share
    of `made` `(M, F)` in the balls of `real` `(N, F)`, recall that of `real` in the balls of
    `made`. k = 3 is their choice. With fewer points the balls are larger, and both numbers mean
    less: compare at equal counts. A model that copies the real images scores 1 in both.

    Raises `ValueError` for tensors of other shapes, NaN, or no more rows than `neighbours`.
    """
    real, made = _features("real", real), _features("made", made)
    _check_widths(real, made)
    neighbours = whole_number("neighbours", neighbours)
    if neighbours >= min(len(real), len(made)):
        raise ValueError(
            f"neighbours must be below the number of rows, {min(len(real), len(made))}, got "
            f"{neighbours}"
        )
    return _fraction_inside(made, real, neighbours), _fraction_inside(real, made, neighbours)


def _fraction_inside(points: Tensor, centres: Tensor, neighbours: int) -> float:
    """The share of `points` that lie in the ball of one of the `centres`, or of several."""
    radii = torch.cat([
        # the nearest of all is the point itself, at distance zero: hence one more
        _distances(rows, centres).kthvalue(neighbours + 1, dim=1).values
        for rows in centres.split(ROWS_AT_ONCE)
    ])  # fmt: skip
    inside = [
        (_distances(rows, centres) <= radii).any(1) for rows in points.split(ROWS_AT_ONCE)
    ]  # fmt: skip
    return torch.cat(inside).double().mean().item()


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # not by a product of matrices: that leaves points at a small distance from themselves
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root; rounding may have made zero eigenvalues negative."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def _features(name: str, features: Tensor) -> Tensor:
    """Features as float64 on the CPU, where these small sums are exact enough and quick."""
    if not isinstance(features, Tensor) or features.dim() != 2 or len(features) < 2:
        found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(
            f"{name} must be features, a tensor (N, F) with at least two rows, got {found}. "
            "Images become features by classifier.features(images)."
        )
    features = features.detach().cpu().double()
    if not math.isfinite(features.abs().max()):
        raise ValueError(f"{name} holds NaN or infinite values")
    return features


def _check_widths(a: Tensor, b: Tensor) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"both must have equally many features, got {a.shape[1]} and {b.shape[1]}")
