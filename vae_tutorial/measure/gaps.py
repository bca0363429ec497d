"""Why the ELBO is below log p(x): what the encoder loses, and what its family of q loses.

    log p(x) − ELBO[q] = (log p(x) − ELBO[q*]) + (ELBO[q*] − ELBO[q])

where q* is the best diagonal normal for that one image. The first part is the approximation gap,
the second the amortisation gap (Cremer, Li and Duvenaud, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vae_tutorial.arguments import positive_number, whole_number
from vae_tutorial.data.batches import Data
from vae_tutorial.measure.common import (
    TestImages,
    in_parts,
    measurement,
    pairs_at_once,
    weights_in_chunks,
)
from vae_tutorial.measure.estimates import (
    Estimate,
    LogLikelihood,
    difference,
    joined,
    nested_sizes,
    weigh,
)
from vae_tutorial.measure.likelihood import (
    Elbo,
    elbo_of_batch,
    joined_elbo,
    refuse_own_weights,
)
from vae_tutorial.objectives import (
    distributions,
    elbo,
    is_conditional,
    is_diagonal_normal,
)


@dataclass(frozen=True, eq=False, repr=False)
class Gaps:
    """The ELBO with the encoder's q, with the refined q*, and log p(x), for each image.

    `log_px` is estimated with q* as the proposal, which suits better than q.
    """

    elbo: Elbo
    refined: Elbo
    log_px: LogLikelihood

    def __repr__(self) -> str:
        return (
            f"inference gap {self.inference.mean:.2f} nats: approximation "
            f"{self.approximation.mean:.2f} and amortisation {self.amortisation.mean:.2f}"
        )

    @property
    def amortisation(self) -> Estimate:
        """ELBO[q*] − ELBO[q]: lost because one network serves all images."""
        return difference(self.refined, self.elbo)

    @property
    def approximation(self) -> Estimate:
        """log p(x) − ELBO[q*] = KL(q* ‖ p(z | x)): lost because q* is a diagonal normal."""
        return difference(self.log_px, self.refined)

    @property
    def inference(self) -> Estimate:
        """log p(x) − ELBO[q]: the whole gap, KL(q ‖ p(z | x))."""
        return difference(self.log_px, self.elbo)


def inference_gaps(
    model: nn.Module,
    data: Data,
    *,
    steps: int = 500,
    draws: int = 8,
    learning_rate: float = 0.03,
    samples: int = 1000,
    binarise: bool | None = None,
    chunk: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Gaps:
    """Amortisation gap and approximation gap of every image, by refining q for each.

    From the encoder's mean and log-variance, `steps` steps of Adam climb the ELBO of each image
    by itself, with `draws` samples in each step and a learning rate that falls to zero along half
    a cosine. ELBOs and log p(x) are then estimated with `samples` new draws. The refined q* is the
    best one as far as the search went: the amortisation gap found is at most the true one, up to
    its error, and the approximation gap at least. Other arguments as for `log_likelihood`.

    Raises `ValueError` or `TypeError` for arguments that cannot be meant.
    """
    steps, draws = whole_number("steps", steps), whole_number("draws", draws)
    learning_rate = positive_number("learning_rate", learning_rate)
    refuse_own_weights(model, "inference_gaps")
    samples = whole_number("samples", samples)
    images = TestImages(model, data, binarise, seed)
    found, sizes = [], nested_sizes(samples)
    each = steps * draws + 3 * samples  # pairs of an image and a z
    total = None if images.count is None else images.count * each
    with measurement(model, seed, "refining q", total, progress) as bar:
        for batch in images.batches():
            pairs = pairs_at_once(model, batch[0].shape[1:], chunk)
            for x, y in in_parts(*batch, max(1, pairs // draws)):
                q = refined_posterior(model, x, y, steps, draws, learning_rate, bar)
                best, at_once = WithPosterior(model, q), max(1, pairs // len(x))
                found.append((
                    elbo_of_batch(model, x, y, samples, at_once, bar),
                    elbo_of_batch(best, x, y, samples, at_once, bar),
                    weigh(weights_in_chunks(best, x, y, samples, at_once, bar), sizes),
                ))  # fmt: skip
    before, after, weighed = zip(*found)
    (whole, *smaller), ess = joined(weighed)
    log_px = LogLikelihood(whole.per_image, whole.sampling_errors, ess, samples, *smaller)
    return Gaps(joined_elbo(before), joined_elbo(after), log_px)


def refined_posterior(
    model: nn.Module,
    x: Tensor,
    y: Tensor | None = None,
    steps: int = 500,
    draws: int = 8,
    learning_rate: float = 0.03,
    bar: Any = None,
) -> Distribution:
    """The diagonal normal q* with the highest ELBO for each image of `x` `(B, ...)`: `(B, D)`.

    Starts from the encoder's. Adam keeps its own step for every number, so no image minds the
    others. The model's weights and their gradients are left alone.
    """
    with torch.no_grad():
        q, _, _ = distributions(model, x, y)
    if not is_diagonal_normal(q):
        raise TypeError(
            f"the gaps are those of diagonal normals, and this posterior is a {type(q).__name__}. "
            "log_likelihood minus mean_elbo is the whole gap of any model."
        )
    mu, logvar = (start.clone().requires_grad_() for start in (q.mean, 2 * q.stddev.log()))
    adam = torch.optim.Adam([mu, logvar], learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        with torch.enable_grad():
            q = _diagonal_normal(mu, logvar)
            loss = elbo(WithPosterior(model, q), x, y, samples=draws)["loss"].sum()
        mu.grad, logvar.grad = torch.autograd.grad(loss, (mu, logvar))
        adam.step()
        schedule.step()
        if bar is not None:
            bar.update(draws * len(x))
    return _diagonal_normal(mu.detach(), logvar.detach())


def _diagonal_normal(mu: Tensor, logvar: Tensor) -> Independent:
    return Independent(Normal(mu, torch.exp(0.5 * logvar), validate_args=False), 1)


class WithPosterior:
    """`model` with another q(z | x), for one batch that it was made for."""

    def __init__(self, model: nn.Module, q: Distribution) -> None:
        self.prior, self.likelihood, self.q = model.prior, model.likelihood, q
        self.conditional = is_conditional(model)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Distribution:
        return self.q
