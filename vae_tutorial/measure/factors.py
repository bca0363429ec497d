"""How well the dimensions of a code match the known factors that the images were made from.

Four scores of disentanglement, each for codes `(N, D)` and factors `(N, F)` of the same N
examples. None sees the model. Each is a convention that can be fooled in its own way: chapter 8
tests them on codes whose score is known before it uses them. Factors are numbers, uniform or
nearly so; a class label is no such factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_tutorial.arguments import real_number, whole_number


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness and informativeness, each at most 1.

    - `disentanglement`: 1 where every code dimension predicts one factor;
    - `completeness`: 1 where every factor is predicted by one code dimension;
    - `informativeness`: R² of the prediction on held-out examples, mean over factors.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def mutual_informations(codes: Tensor, factors: Tensor, bins: int = 20) -> Tensor:
    """I(z_d; v_f) of every code dimension and factor, `(D, F)`, in nats.

    Every column is cut into `bins` bins with equally many examples, and the information is that
    of the two-way table. Independent columns get about (bins − 1)² / 2N nats by chance.
    """
    codes, factors = _pair(codes, factors)
    bins = whole_number("bins", bins, least=2)
    z, v = _binned(codes, bins), _binned(factors, bins)
    found = torch.zeros(z.shape[1], v.shape[1], dtype=torch.float64)
    for d in range(z.shape[1]):
        for f in range(v.shape[1]):
            table = torch.bincount(z[:, d] * bins + v[:, f], minlength=bins**2).view(bins, bins)
            joint = table.double() / len(z)
            chance = joint.sum(1, keepdim=True) * joint.sum(0)
            met = joint > 0
            found[d, f] = (joint[met] * (joint[met] / chance[met]).log()).sum()
    return found


def mig(codes: Tensor, factors: Tensor, bins: int = 20) -> float:
    """The mutual information gap of Chen et al. (2018), section 4: between 0 and 1.

    For every factor the largest I(z_d; v_f) less the second largest, divided by the entropy of
    the factor, log `bins`; then the mean over factors. The true factors score 1, less what the
    second best column has by chance. Two copies of a perfect code score 0.
    """
    best = _two_best(mutual_informations(codes, factors, bins))
    return ((best[0] - best[1]) / math.log(bins)).mean().item()


def sap(codes: Tensor, factors: Tensor) -> float:
    """The separated attribute predictability of Kumar et al. (2018), for continuous factors.

    As `mig`, with the squared correlation of z_d and v_f in place of the information: what a
    straight line in one code dimension explains of the factor.
    """
    codes, factors = (_standardised(part) for part in _pair(codes, factors))
    best = _two_best((codes.T @ factors / len(codes)).square())
    return (best[0] - best[1]).mean().item()


def dci(codes: Tensor, factors: Tensor, penalty: float = 0.02) -> DCI:
    """The three scores of Eastwood and Williams (2018), with a lasso as the predictor.

    Each standardised factor is predicted from the standardised codes of the first half of the
    examples, with `penalty` times the sum of absolute weights added to half the mean squared
    error. The importance of z_d for v_f is the size of its weight. A code dimension scores 1 −
    entropy (to the base F) of its importances, a factor likewise (to the base D), and the mean
    over code dimensions is weighted by how important each is. Non-linear use of a code is not
    seen. The second half of the examples judges the prediction.
    """
    codes, factors = (_standardised(part) for part in _pair(codes, factors))
    penalty, half = real_number("penalty", penalty, "positive", 1e-12), len(codes) // 2
    weights = lasso(codes[:half], factors[:half], penalty)  # (D, F)
    rest = factors[half:] - codes[half:] @ weights
    fitted = 1 - rest.square().mean(0) / factors[half:].var(0, unbiased=False)
    size = weights.abs() + 1e-12
    share = size.sum(1) / size.sum()
    own = 1 - _entropy(size / size.sum(1, keepdim=True), 1) / math.log(size.shape[1])
    whole = 1 - _entropy(size / size.sum(0), 0) / math.log(size.shape[0])
    return DCI((share * own).sum().item(), whole.mean().item(), fitted.clamp(min=0).mean().item())


def factor_vae_score(codes: Tensor, fixed: Tensor, spread: Tensor) -> float:
    """The score of Kim and Mnih (2018), section 4: an accuracy, between 1/F or so and 1.

    `codes` `(V, L, D)` holds V groups of L examples; in group v the factor number `fixed[v]`,
    an int64 of `(V,)`, has the same value, and all others vary. `spread` `(D,)` is the standard
    deviation of each code dimension over the whole set. In every group the dimension with the
    smallest variance, in units of its `spread`, votes for the factor. The first half of the
    groups says which factor each dimension stands for, and the second half judges. Dimensions
    with a spread below a hundredth of the largest are left out.
    """
    if codes.dim() != 3 or fixed.shape != codes.shape[:1] or spread.shape != codes.shape[2:]:
        raise ValueError(
            f"codes must be (V, L, D) with fixed (V,) and spread (D,), got {tuple(codes.shape)}, "
            f"{tuple(fixed.shape)} and {tuple(spread.shape)}"
        )
    used = spread > 0.01 * spread.max()
    varies = codes[:, :, used].double().var(1) / spread[used].double().square()  # (V, D)
    votes, half, kinds = varies.argmin(1), len(codes) // 2, int(fixed.max()) + 1
    count = torch.bincount(votes[:half] * kinds + fixed[:half], minlength=int(used.sum()) * kinds)
    means = count.view(-1, kinds).argmax(1)  # the factor that each dimension stands for
    return (means[votes[half:]] == fixed[half:]).double().mean().item()


def lasso(x: Tensor, y: Tensor, penalty: float, steps: int = 500) -> Tensor:
    """The W `(D, F)` with the least ‖y − x W‖² / 2N + penalty · ‖W‖₁, for x `(N, D)`, y `(N, F)`.

    By accelerated proximal gradient steps (Beck and Teboulle, 2009), until nothing moves.
    """
    gram, target = x.T @ x / len(x), x.T @ y / len(x)
    rate = 1 / torch.linalg.eigvalsh(gram).max().clamp(min=1e-12)
    weights = ahead = torch.zeros_like(target)
    momentum = 1.0
    for _ in range(steps):
        moved = ahead - rate * (gram @ ahead - target)
        new = moved.sign() * (moved.abs() - rate * penalty).clamp(min=0)
        then = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / then * (new - weights)
        if (new - weights).abs().max() < 1e-9:
            return new
        weights, momentum = new, then
    return weights


def _pair(codes: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    for name, value in (("codes", codes), ("factors", factors)):
        if not isinstance(value, Tensor) or value.dim() != 2 or value.shape[1] < 2:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"{name} must be a tensor (N, D) with at least two columns, got {found}; an array "
                "becomes one by torch.from_numpy"
            )
    if len(codes) != len(factors):
        raise ValueError(
            f"codes and factors must have a row for each example, got {len(codes)} and "
            f"{len(factors)} rows"
        )
    return codes.double(), factors.double()


def _binned(columns: Tensor, bins: int) -> Tensor:
    """The number of the bin of every entry, `(N, D)`; equal entries share a bin."""
    edges = columns.sort(0).values[[len(columns) * b // bins for b in range(1, bins)]]
    columns, edges = columns.T.contiguous(), edges.T.contiguous()
    return torch.searchsorted(edges, columns, right=True).T


def _standardised(columns: Tensor) -> Tensor:
    """Columns of mean 0 and variance 1; a constant column becomes 0."""
    centred = columns - columns.mean(0)
    return centred / centred.square().mean(0).sqrt().clamp(min=1e-9)


def _two_best(scores: Tensor) -> Tensor:
    """The two largest of each column, `(2, F)`."""
    return scores.topk(2, dim=0).values


def _entropy(p: Tensor, dim: int) -> Tensor:
    return -torch.special.xlogy(p, p).sum(dim)
