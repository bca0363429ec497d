"""How good a model is, in nats per image: log p(x), its lower bounds, and how sure we are.

Importance sampling with the encoder as proposal underlies all three functions. `log_likelihood`
is the one to report, `iwae_bounds` shows how it is approached, `mean_elbo` is the bound that
training maximises, in its two parts. `annealing` has the estimator for where these fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    weights_in_chunks,
)
from vae_tutorial.measure.estimates import (
    Estimate,
    LogLikelihood,
    collected,
    error_of_mean,
    joined,
    nested_sizes,
    weigh,
)
from vae_tutorial.objectives import (
    closed_kl,
    distributions,
    log_px_given,
    require_distributions,
)


@dataclass(frozen=True, eq=False, repr=False)
class Elbo(Estimate):
    """The ELBO of each image in its two parts: `per_image` is `log_px` − `kl`.

    - `log_px`: E_q[log p(x | z)] of each image, estimated, `(N,)`;
    - `kl`: KL(q(z | x) ‖ p(z)) of each image, `(N,)`;
    - `kl_is_exact`: whether `kl` is a closed form. Else it is estimated from the same draws as
      `log_px`, and `sampling_errors` are those of their difference.
    """

    log_px: Tensor
    kl: Tensor
    kl_is_exact: bool = True

    @property
    def rate(self) -> float:
        """The mean KL, in nats: what the latent variables cost (Alemi et al., 2018)."""
        return self.kl.mean().item()

    @property
    def distortion(self) -> float:
        """Minus the mean of E_q[log p(x | z)], in nats: what they fail to tell."""
        return -self.log_px.mean().item()


def log_likelihood(
    model: nn.Module,
    data: Data,
    samples: int = 5000,
    *,
    binarise: bool | None = None,
    chunk: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> LogLikelihood:
    """log p(x) of each image by importance sampling with q(z | x), in nats.

    log (1/K) Σ_k w_k with w_k = p(x | z_k) p(z_k) / q(z_k | x), K = `samples` (Rezende, Mohamed
    and Wierstra, 2014; Burda, Grosse and Salakhutdinov, 2016, report it with K = 5000). In
    expectation at most log p(x); how far below, and how sure, the result tells by its `interval`.

    - `data`: as for `evaluate`; `binarise`: by default for a model of binary pixels. The binary
      pixels depend on `seed` alone: see `measuring.TestImages`.
    - `chunk`: the largest number of pairs of an image and a z that are decoded at once. It bounds
      the memory, whatever `samples` is.
    - `progress`: show a bar; by default unless the environment has `VAE_TUTORIAL_PROGRESS=0`.

    Raises `ValueError` or `TypeError` for arguments that cannot be meant.
    """
    samples = whole_number("samples", samples)
    sizes = nested_sizes(samples)
    (whole, *smaller), ess = _weighed(model, data, sizes, binarise, chunk, seed, progress)
    return LogLikelihood(whole.per_image, whole.sampling_errors, ess, samples, *smaller)


def iwae_bounds(
    model: nn.Module,
    data: Data,
    samples: Sequence[int] = (1, 5, 50, 5000),
    *,
    binarise: bool | None = None,
    chunk: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> dict[int, Estimate]:
    """The bounds L_K = E[log (1/K) Σ_k w_k] for every K in `samples`, from one set of draws.

    The largest K says how many draws there are, M. They are cut into ⌊M/K⌋ groups of K, and L_K
    is the mean over groups (Burda, Grosse and Salakhutdinov, 2016): so the small K,
    whose groups vary most, have the most of them. Errors come from the spread between groups,
    or, for a single group, from its weights as in `log_likelihood`. The bounds share their draws,
    so that their errors are not independent: the difference of two is known better than either.

    The other arguments are those of `log_likelihood`.
    """
    if isinstance(samples, (str, bytes, dict)) or not isinstance(samples, Sequence) or not samples:
        raise ValueError(f"samples must list numbers of samples, as in (1, 5, 50), got {samples!r}")
    sizes = [whole_number("samples", k) for k in samples]
    found, _ = _weighed(model, data, sizes, binarise, chunk, seed, progress)
    return dict(zip(sizes, found))


def mean_elbo(
    model: nn.Module,
    data: Data,
    samples: int = 100,
    *,
    binarise: bool | None = None,
    chunk: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Elbo:
    """The ELBO of each image with many samples of z, and with it the rate and the distortion.

    Of the two parts of `objectives.elbo`, log p(x | z) is averaged over `samples` draws from
    q(z | x), and the KL is exact where it has a closed form. `sampling_errors` are s / √K, with
    the standard deviation s of one image's draws; NaN for one sample. The other arguments are
    those of `log_likelihood`.
    """
    samples = whole_number("samples", samples)
    refuse_own_weights(model, "mean_elbo")
    images = TestImages(model, data, binarise, seed)
    parts = []
    with measurement(model, seed, "ELBO", _steps(images, samples), progress) as bar:
        for batch in images.batches():
            count, at_once = split_work(pairs_at_once(model, batch[0].shape[1:], chunk), samples)
            for x, y in in_parts(*batch, count):
                parts.append(elbo_of_batch(model, x, y, samples, at_once, bar))
    return joined_elbo(parts)


def elbo_of_batch(
    model: nn.Module, x: Tensor, y: Tensor | None, samples: int, at_once: int, bar: Any
) -> tuple[Tensor, Tensor, Tensor, bool]:
    """log_px, kl and the standard error of their difference for images `(B, ...)`, each `(B,)`,
    from `samples` draws of z, `at_once` at a time; and whether the KL is exact."""
    q, p, likelihood = distributions(model, x, y)
    exact = closed_kl(q, p)
    log_pxs, total, squares = 0.0, 0.0, 0.0
    for start in range(0, samples, at_once):
        z = q.sample((min(at_once, samples - start),))  # (k, B, D)
        log_px = as_float64(log_px_given(likelihood(z), x))  # (k, B)
        each = log_px if exact is not None else (
            log_px - as_float64(q.log_prob(z) - p.log_prob(z))
        )  # fmt: skip
        log_pxs = log_pxs + log_px.sum(0)
        total, squares = total + each.sum(0), squares + each.square().sum(0)
        bar.update(log_px.numel())
    kl = as_float64(exact) if exact is not None else (log_pxs - total) / samples
    error = error_of_mean(total, squares, samples)
    return log_pxs / samples, kl, error, exact is not None


def joined_elbo(parts: Sequence[tuple[Tensor, Tensor, Tensor, bool]]) -> Elbo:
    """One result from those of all batches."""
    *tensors, exact = zip(*parts)
    log_px, kl, error = (collected(part) for part in tensors)
    return Elbo(log_px - kl, error, log_px, kl, all(exact))


def refuse_own_weights(model: nn.Module, function: str) -> None:
    """Raise `TypeError` for a model that is told by its `log_weights` alone, or has no density."""
    if not hasattr(model, "log_weights"):
        require_distributions(model)
    if hasattr(model, "log_weights"):
        raise TypeError(
            f"{function} needs one layer of latent variables, told by prior(), posterior(x) and "
            f"likelihood(z), and {type(model).__name__} has log_weights of its own. "
            "log_likelihood and iwae_bounds measure it; iwae_bounds(..., samples=[1]) is its ELBO."
        )


def _weighed(
    model: nn.Module,
    data: Data,
    sizes: list[int],
    binarise: bool | None,
    chunk: int | None,
    seed: int,
    progress: bool | None,
) -> tuple[list[Estimate], Tensor]:
    """Log-means over groups of each size, from as many weights as the largest has, and the
    effective sample size of them all, `(N,)`."""
    samples, parts = max(sizes), []
    images = TestImages(model, data, binarise, seed)
    with measurement(model, seed, "log p(x)", _steps(images, samples), progress) as bar:
        for batch in images.batches():
            count, at_once = split_work(pairs_at_once(model, batch[0].shape[1:], chunk), samples)
            for x, y in in_parts(*batch, count):
                parts.append(weigh(weights_in_chunks(model, x, y, samples, at_once, bar), sizes))
    return joined(parts)


def _steps(images: TestImages, samples: int) -> int | None:
    return None if images.count is None else images.count * samples
