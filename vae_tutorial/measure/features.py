"""What features are good for: nearest neighbours, clusters, and a linear map to a number."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number


def nearest_precision(features: Tensor, labels: Tensor, neighbours: int = 10) -> float:
    """Mean share of the `neighbours` nearest others with the same label, from 0 to 1.

    `features` is `(N, F)`, `labels` `(N,)`; distances are Euclidean, and nothing is its own
    neighbour.
    """
    neighbours = whole_number("neighbours", neighbours)
    if len(features) <= neighbours or len(features) != len(labels):
        raise ValueError(
            f"features and labels must have equally many rows, more than {neighbours}, got "
            f"{len(features)} and {len(labels)}"
        )
    total = 0.0
    for part in torch.arange(len(features)).split(1000):
        distance = torch.cdist(features[part], features)
        distance[torch.arange(len(part)), part] = torch.inf
        near = distance.topk(neighbours, 1, largest=False).indices
        total += (labels[near] == labels[part, None]).double().mean(1).sum().item()
    return total / len(features)


def k_means(features: Tensor, clusters: int, seed: int = 0, starts: int = 10) -> Tensor:
    """The cluster of each row `(N,)`: Lloyd's algorithm, the best of `starts` random starts."""
    clusters, starts = whole_number("clusters", clusters), whole_number("starts", starts)
    draw = torch.Generator().manual_seed(seed)
    best, answer = float("inf"), torch.zeros(len(features), dtype=torch.int64)
    for _ in range(starts):
        centres = features[torch.randperm(len(features), generator=draw)[:clusters]]
        for _ in range(50):
            distance, cluster = torch.cdist(features, centres).min(1)
            weights = torch.nn.functional.one_hot(cluster, clusters).to(features.dtype)
            count = weights.sum(0)
            moved = torch.where(
                count[:, None] > 0, weights.T @ features / count[:, None].clamp(1), centres
            )
            if torch.equal(moved, centres):
                break
            centres = moved
        cost = distance.square().sum().item()
        if cost < best:
            best, answer = cost, cluster
    return answer


def shared_information(a: Tensor, b: Tensor) -> float:
    """Normalised mutual information of two labellings `(N,)`: I(a; b) over the mean of H(a), H(b).

    0 where one tells nothing of the other, 1 where each tells the other.
    """
    table = torch.zeros(int(a.max()) + 1, int(b.max()) + 1, dtype=torch.float64)
    table.index_put_((a, b), torch.ones(len(a), dtype=torch.float64), accumulate=True)
    p = table / len(a)

    def entropy(q: Tensor) -> Tensor:
        return -torch.special.xlogy(q, q).sum()

    h_a, h_b = entropy(p.sum(1)), entropy(p.sum(0))
    return (2 * (h_a + h_b - entropy(p)) / (h_a + h_b)).item() if h_a + h_b > 0 else 1.0


def powers(features: Tensor, degree: int) -> Tensor:
    """Features `(N, F)` with all their products of up to `degree` factors: `(N, more)`.

    A linear law of these is a polynomial of the features. Products of large numbers are larger
    still, so features should have about unit variance.
    """
    columns = range(features.shape[1])
    products = [
        features[:, list(chosen)].prod(1)
        for factors in range(1, whole_number("degree", degree) + 1)
        for chosen in combinations_with_replacement(columns, factors)
    ]
    return torch.stack(products, 1)


def ridge(features: Tensor, targets: Tensor) -> Callable[[Tensor], Tensor]:
    """Linear regression with a penalty, from `(N, F)` to `(N,)`: a function of new features.

    Features are centred and scaled to unit mean variance; of 13 penalties from 1e-6 N to N, the
    one with the least leave-one-out error is taken, which has a closed form (Allen, 1974: PRESS).
    """
    mean, middle = features.mean(0), targets.mean()
    spread = (features - mean).square().mean().sqrt()
    X = ((features - mean) / spread).double()
    y = (targets - middle).double()
    U, S, Vh = torch.linalg.svd(X, full_matrices=False)
    best, weights = float("inf"), torch.zeros(X.shape[1], dtype=torch.float64)
    for penalty in len(X) * torch.logspace(-6, 0, 13, dtype=torch.float64):
        shrink = S.square() / (S.square() + penalty)
        leverage = 1 / len(X) + (U.square() * shrink).sum(1)  # the mean is fitted too
        left_out = (y - U @ (shrink * (U.T @ y))) / (1 - leverage).clamp(min=1e-6)
        if left_out.square().mean() < best:
            best = left_out.square().mean().item()
            weights = Vh.T @ (shrink / S.clamp(min=1e-12) * (U.T @ y))
    W = (weights / spread.double()).to(features.dtype)
    return lambda new: (new - mean) @ W + middle
