"""The rate split in three, exactly for N images and estimated from a batch; the β-TCVAE.

With q(z) = (1/N) Σ_n q(z | x_n), the mean over images of KL(q(z | x) ‖ p(z)) is the sum of

    I(x; z)      = E[log q(z | x) − log q(z)]               index-code mutual information
    TC(z)        = E[log q(z) − Σ_d log q(z_d)]             total correlation
    Σ_d KL(z_d)  = E[Σ_d (log q(z_d) − log p(z_d))]         dimension-wise KL

for a prior that is a product over dimensions (Chen et al., 2018, section 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number
from vae_tutorial.models.vae import VAE
from vae_tutorial.objectives import (
    closed_kl,
    distributions,
    gaussian_kl,
    is_diagonal_normal,
    log_px_given,
)

WEIGHTS = ("weighted", "stratified")


@dataclass(frozen=True)
class RateParts:
    """The three parts of the rate, in nats; they add up to it."""

    mutual_information: float
    total_correlation: float
    dimension_wise: float

    @property
    def rate(self) -> float:
        """The mean over images of KL(q(z | x) ‖ N(0, I))."""
        return self.mutual_information + self.total_correlation + self.dimension_wise


def rate_parts(mu: Tensor, stddev: Tensor, z: Tensor) -> RateParts:
    """The rate of N posteriors N(mu_n, diag stddev_n²) to the prior N(0, I), in three parts.

    `mu`, `stddev` are `(N, D)` and `z` `(S, N, D)` are S draws from each posterior. q(z) and
    q(z_d) are the exact mixtures of all N posteriors, S · N² · D densities in all; the
    expectation over z is a mean over the draws. The rate itself is in closed form, and the
    dimension-wise part is what the other two leave of it.
    """
    _check_shapes(mu, stddev, z)
    mu, stddev = mu.double(), stddev.double()
    information, correlation = [], []
    for some in z.double().flatten(0, 1).split(max(1, 8_000_000 // mu.numel())):
        each = log_normal(some[:, None], mu, stddev)  # (R, N, D): draw under posterior
        joint = each.sum(-1).logsumexp(1) - math.log(len(mu))  # (R,): log q(z)
        apart = (each.logsumexp(1) - math.log(len(mu))).sum(-1)  # (R,): Σ_d log q(z_d)
        information.append(joint)
        correlation.append(joint - apart)
    own = log_normal(z.double(), mu, stddev).sum(-1).mean()
    found = own - torch.cat(information).mean(), torch.cat(correlation).mean()
    rate = gaussian_kl(mu, 2 * stddev.log()).mean()
    return RateParts(found[0].item(), found[1].item(), (rate - sum(found)).item())


def batch_weights(count: int, size: int, kind: str = "weighted") -> Tensor:
    """log of the weight of image j in the estimate of q(z_i), `(B, B)`, for a batch of a set.

    `count` is B, the images in the batch; `size` is N, those in the set. Row i belongs to a z
    from image i.

    - `"weighted"`: 1 / NB for every image, the minibatch-weighted sampling of Chen et al. (2018,
      section 3). On average its log q(z) is too low.
    - `"stratified"`: 1 / N for the image that z came from and (N − 1) / (N (B − 1)) for each
      other. Its mean over batches is q(z). (Chen et al., in their appendix, give one of the others
      a weight of its own; with equal weights the mean is the same and the spread smaller.)

    Raises `ValueError` for another `kind` or a batch larger than the set.
    """
    count, size = whole_number("count", count, least=2), whole_number("size", size)
    if kind not in WEIGHTS:
        raise ValueError(f"kind must be one of {WEIGHTS}, got {kind!r}")
    if count > size:
        raise ValueError(
            f"size must be the number of images in the set, at least the batch's {count}, got "
            f"{size}"
        )
    if kind == "weighted":
        return torch.full((count, count), -math.log(size * count), dtype=torch.float64)
    share = (size - 1) / (size * (count - 1))
    weights = torch.full((count, count), share, dtype=torch.float64)
    return weights.fill_diagonal_(1 / size).log()


def batch_log_q(
    mu: Tensor, stddev: Tensor, z: Tensor, size: int, kind: str = "weighted"
) -> tuple[Tensor, Tensor]:
    """Estimates of log q(z) `(B,)` and log q(z_d) `(B, D)` from a batch of a set of `size` images.

    `mu`, `stddev` and `z` are `(B, D)`, with z_i drawn from posterior i; `kind` as in
    `batch_weights`. Gradients flow through all three.
    """
    _check_shapes(mu, stddev, z[None])
    weights = batch_weights(len(z), size, kind).to(z)  # (B, B)
    each = log_normal(z[:, None], mu, stddev)  # (B, B, D)
    joint = (weights + each.sum(-1)).logsumexp(1)
    return joint, (weights[..., None] + each).logsumexp(1)


def tc_elbo(
    model: VAE, x: Tensor, *, size: int, beta: float | Tensor = 1.0, kind: str = "weighted"
) -> dict[str, Tensor]:
    """The objective of the β-TCVAE (Chen et al., 2018): β weighs the total correlation alone.

    loss = KL − log p(x | z) + (β − 1) · TC, with the KL in closed form and the total correlation
    estimated from the batch (`kind` as in `batch_weights`; `size` is the number of training
    images). For β = 1 it is `elbo`. Entries as in `elbo`, and `"total_correlation"`, whose value
    for one image depends on the others in its batch.

    Raises `ValueError` for a posterior or a prior that is no diagonal normal.
    """
    q, p, likelihood = distributions(model, x)
    if not is_diagonal_normal(q, p):
        raise ValueError("tc_elbo needs a posterior and a prior that are diagonal normals")
    z = q.rsample()  # (B, D)
    log_px = log_px_given(likelihood(z[None]), x).squeeze(0)
    joint, apart = batch_log_q(q.mean, q.stddev, z, size, kind)
    kl, correlation = closed_kl(q, p), joint - apart.sum(-1)
    return {"loss": kl - log_px + (beta - 1) * correlation, "elbo": log_px - kl,
            "log_px": log_px, "kl": kl, "total_correlation": correlation}  # fmt: skip


def gaussian_total_correlation(covariance: Tensor) -> Tensor:
    """TC of N(m, covariance) in nats: ½ (Σ_d log Σ_dd − log det Σ), for `(..., D, D)`."""
    return 0.5 * (covariance.diagonal(dim1=-2, dim2=-1).log().sum(-1) - covariance.logdet())


def log_normal(z: Tensor, mu: Tensor, stddev: Tensor) -> Tensor:
    """log N(z; mu, stddev²), element by element, with broadcasting."""
    return -0.5 * ((z - mu) / stddev).square() - stddev.log() - 0.5 * math.log(2 * math.pi)


def _check_shapes(mu: Tensor, stddev: Tensor, z: Tensor) -> None:
    if mu.dim() != 2 or stddev.shape != mu.shape or z.dim() != 3 or z.shape[1:] != mu.shape:
        raise ValueError(
            f"mu and stddev must be (N, D) and the draws z one (or S) for each, got "
            f"{tuple(mu.shape)}, {tuple(stddev.shape)} and {tuple(z.shape)}"
        )
