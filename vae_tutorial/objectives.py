"""Objectives: what training minimises, one number for each image, in nats.

An objective is a function `(model, x) -> dict` of tensors `(B,)`, one entry of which is called
`"loss"`; with a third argument `y` it also gets the labels or conditions of the batch. `fit`
minimises the mean of `"loss"` over the batch and records the mean of every entry. Settings are
bound with `functools.partial`: `partial(elbo, beta=4.0)`.

Sums run over pixels and over latent dimensions, and means only over images. A mean over pixels
beside a sum over latents would train another objective: one with a hidden β.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from vae_tutorial.models.vae import VAE, Autoencoder, StandardNormal, at_least_float32


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, diag exp logvar) ‖ N(0, I)) in nats, summed over the last dimension.

    ½ Σ_d (μ_d² + σ_d² − 1 − log σ_d²): Kingma and Welling (2014), appendix B, with the sign of a
    divergence. `mu` and `logvar` are `(..., D)`, the result is `(...)`. Never negative (up to
    rounding), zero only for mu = 0 and logvar = 0.
    """
    if mu.shape != logvar.shape:
        raise ValueError(
            f"mu and logvar must have one shape, got {tuple(mu.shape)} and {tuple(logvar.shape)}"
        )
    # expm1(a) - a, not exp(a) - 1 - a: near a = 0 the latter loses every digit in float32
    return 0.5 * (mu.square() + torch.expm1(logvar) - logvar).sum(-1)


def kl(q: Distribution, p: Distribution, z: Tensor | None = None) -> Tensor:
    """KL(q ‖ p) in nats, with the batch shape of q and p, `(B,)`.

    The closed form where `closed_kl` has one, else the Monte Carlo estimate: the mean over K of
    log q(z_k) − log p(z_k) for draws z `(K, B, D)` from q.

    Raises `ValueError` where draws are needed and none are given.
    """
    exact = closed_kl(q, p)
    if exact is None and z is None:
        raise ValueError(f"z must be draws from q: KL({_name(q)} ‖ {_name(p)}) has no closed form")
    return (q.log_prob(z) - p.log_prob(z)).mean(0) if exact is None else exact


def closed_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q ‖ p) in nats where it has a closed form, here or in torch; else `None`."""
    if isinstance(p, StandardNormal) and is_diagonal_normal(q):
        return gaussian_kl(q.mean, 2 * q.stddev.log())
    if is_diagonal_normal(q, p):  # torch's own formula loses digits near 0
        return gaussian_kl((q.mean - p.mean) / p.stddev, 2 * (q.stddev.log() - p.stddev.log()))
    if isinstance(q, MultivariateNormal) and is_diagonal_normal(p):
        p = MultivariateNormal(p.mean, scale_tril=torch.diag_embed(p.stddev), validate_args=False)
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def elbo(
    model: VAE,
    x: Tensor,
    y: Tensor | None = None,
    *,
    beta: float | Tensor = 1.0,
    samples: int = 1,
    free_bits: float = 0.0,
) -> dict[str, Tensor]:
    """The evidence lower bound, ELBO = E_q[log p(x | z)] − KL(q(z | x) ‖ p(z)).

    The expectation is estimated with `samples` reparameterized draws for each image, and the
    divergence is exact where `closed_kl` has it. `x` is `(B, C, H, W)`; the conditions `y`
    `(B, ...)` reach a conditional model only. Entries, each `(B,)`, in nats:

    - `"loss"`: −(log_px − β · kl), which is −ELBO for β = 1 (β-VAE: Higgins et al., 2017);
    - `"elbo"`: log_px − kl, whatever β is;
    - `"log_px"`: the estimate of E_q[log p(x | z)], summed over pixels;
    - `"kl"`: KL(q(z | x) ‖ p(z)), summed over latent dimensions; where it is estimated from the
      same draws, the entry is called `"kl_estimate"` instead.

    A model with a method `log_weights` of its own (see there) is trained by the mean of those:
    its entries are `"loss"` and `"elbo"`.

    `free_bits` is an amount of KL, in nats for each latent dimension and image, that `"loss"`
    does not push down: it counts max(KL_d, free_bits). (Kingma et al., 2016, take that maximum
    after averaging KL_d over the batch; here it is taken for each image, so that an image's
    loss does not depend on its neighbours.)

    Raises `ValueError` for a negative `beta` or `free_bits`, fewer than one sample, or settings
    that need a KL where the model has none of that kind; `TypeError` for a posterior without
    reparameterized draws, such as one over codes. A `beta` that is a tensor is not looked
    at, since that would make a GPU wait.
    """
    for name, value in (("beta", beta), ("free_bits", free_bits)):
        if not isinstance(value, Tensor) and (not isinstance(value, Real) or not value >= 0):
            raise ValueError(f"{name} must not be negative, got {value!r}")
    if not isinstance(samples, Integral) or samples is True or samples < 1:
        raise _wrong_samples(samples)
    if hasattr(model, "log_weights"):
        return _mean_weight(
            model, x, y, samples, free_bits == 0 and not isinstance(beta, Tensor) and beta == 1
        )
    q, p, likelihood = distributions(model, x, y)
    try:
        z = q.rsample((samples,))  # (K, B, D)
    except NotImplementedError as error:
        raise _no_gradient(q) from error
    log_px = log_px_given(likelihood(z), x).mean(0)  # (K, B) -> (B,)
    exact = closed_kl(q, p)
    name, cost = ("kl_estimate", kl(q, p, z)) if exact is None else ("kl", exact)  # (B,)
    counted = kl_of_each(q, p).clamp(min=free_bits).sum(-1) if free_bits > 0 else cost
    return {"loss": beta * counted - log_px, "elbo": log_px - cost, "log_px": log_px, name: cost}


def kl_of_each(q: Distribution, p: Distribution) -> Tensor:
    """KL(q(z_d) ‖ p(z_d)) of each latent dimension, `(B, D)`, of two diagonal normals.

    Raises `ValueError` for others: their KL is no sum over dimensions.
    """
    if not is_diagonal_normal(q, p):
        raise ValueError(
            f"the KL of each latent dimension (free bits, active units) needs a posterior and a "
            f"prior that are diagonal normals, got {_name(q)} and {_name(p)}"
        )
    mu, logvar = (q.mean - p.mean) / p.stddev, 2 * (q.stddev.log() - p.stddev.log())
    return gaussian_kl(mu.unsqueeze(-1), logvar.unsqueeze(-1))


def log_weights(model: VAE, x: Tensor, y: Tensor | None = None, *, samples: int = 1) -> Tensor:
    """log w_k = log p(x, z_k) − log q(z_k | x) for z_k from q(z | x): `(K, B)`, in nats.

    K = `samples`. Everything that measures a model goes through this one function: the mean of
    w is p(x), whatever q is. A model with several layers of latent variables, or another
    factorisation, has a method `log_weights(x, y, samples)` of its own, which is called instead.
    Gradients flow through the draws.
    """
    if not isinstance(samples, Integral) or samples is True or samples < 1:
        raise _wrong_samples(samples)
    if hasattr(model, "log_weights"):
        if not (y is None or isinstance(y, Tensor)):
            raise TypeError(f"y must be a tensor of conditions or None, got {y!r}")
        found = model.log_weights(x, y, samples)
        if found.shape != (samples, len(x)):
            raise ValueError(
                f"log_weights of {type(model).__name__} must return (K, B) = "
                f"{(samples, len(x))}, got {tuple(found.shape)}"
            )
        return found
    q, p, likelihood = distributions(model, x, y)
    z = (q.rsample if q.has_rsample else q.sample)((samples,))  # (K, B, D)
    return log_px_given(likelihood(z), x) + p.log_prob(z) - q.log_prob(z)


def iwae_bound(
    model: VAE, x: Tensor, y: Tensor | None = None, *, samples: int = 5
) -> dict[str, Tensor]:
    """The importance-weighted bound of Burda, Grosse and Salakhutdinov (2016).

    log (1/K) Σ_k w_k with the `log_weights` log w_k and K = `samples`. In expectation it is at
    least the ELBO, at most log p(x), and never falls as K grows. Entries, each `(B,)`, in nats:
    `"loss"` (minus the bound), `"bound"`, and `"elbo"`, the mean of log w_k over the same draws.

    Raises `ValueError` for fewer than one sample.
    """
    log_w = log_weights(model, x, y, samples=samples)  # (K, B)
    bound = torch.logsumexp(log_w, 0) - math.log(samples)
    return {"loss": -bound, "bound": bound, "elbo": log_w.mean(0)}


def reconstruction_error(model: Autoencoder, x: Tensor) -> dict[str, Tensor]:
    """The squared error of an autoencoder, summed over pixels: `"loss"` and `"squared_error"`.

    `"loss"` is half the squared error: minus the log-density of a unit-variance Gaussian, up to
    its constant, so that it is in nats like every other loss here.
    """
    if isinstance(model, VAE):
        raise TypeError("reconstruction_error is for an autoencoder; a VAE trains with elbo")
    rebuilt = model(x)
    if rebuilt.shape != x.shape:
        raise _wrong_shape(rebuilt.shape[1:], x)
    squared_error = (rebuilt - x).square().flatten(1).sum(1)  # (B,)
    return {"loss": 0.5 * squared_error, "squared_error": squared_error}


def distributions(
    model: VAE, x: Tensor, y: Tensor | None = None
) -> tuple[Distribution, Distribution, Callable[[Tensor], Distribution]]:
    """q(z | x), p(z), and p(x | z) as a function of z, for images `(B, ...)`.

    The condition y `(B, ...)` reaches a model with the attribute `conditional=True`.
    Raises `TypeError` for a model without them, `ValueError` for a q that is not joint over
    `(D,)`.
    """
    if not hasattr(model, "posterior"):
        require_distributions(model)
    if not (y is None or isinstance(y, Tensor)):
        raise TypeError(
            f"y must be a tensor of conditions or None, got {y!r}. Settings are given by name, as "
            "in beta=4.0 or samples=50."
        )
    conditional = getattr(model, "conditional", False)
    if y is None and conditional:
        raise ValueError(
            f"{type(model).__name__} is conditional and needs a condition y for each image: give "
            "the data as a pair of tensors (x, y), or a loader of such pairs"
        )
    if conditional:
        q, p, likelihood = model.posterior(x, y), model.prior(y), partial(model.likelihood, y=y)
    else:
        q, p, likelihood = model.posterior(x), model.prior(), model.likelihood
    if not q.event_shape:
        raise ValueError(
            f"posterior(x) of {type(model).__name__} must be joint over the latent dimensions, "
            f"got {_name(q)} without an event shape. Join them: Independent(q, 1)."
        )
    return q, p, likelihood


def require_distributions(model: VAE) -> None:
    """Raise `TypeError` for a model without prior, posterior and likelihood."""
    parts = ("prior", "posterior", "likelihood")
    if isinstance(model, type) or not all(hasattr(model, name) for name in parts):
        raise TypeError(
            f"this needs a VAE, with prior(), posterior(x) and likelihood(z), got "
            f"{type(model).__name__}. An Autoencoder trains with objective=reconstruction_error."
        )


def log_px_given(p: Distribution, x: Tensor) -> Tensor:
    """log p(x | z) of images `(B, ...)` under p(x | z) for z `(K, B, D)`: `(K, B)`, in nats.

    Raises `ValueError` where p is over images of another shape: else broadcasting would compare
    every image with every reconstruction, without a word.
    """
    if p.event_shape != x.shape[1:]:
        raise _wrong_shape(p.event_shape, x)
    return p.log_prob(x)


def is_conditional(model: VAE) -> bool:
    """Whether the model's distributions depend on a condition y."""
    return getattr(model, "conditional", False)


def checked_terms(
    terms: dict[str, Tensor], count: int, names: list[str] | None = None
) -> dict[str, Tensor]:
    """What an objective returned for `count` images, if training can use it; looks at shapes only.

    `names` are the entries of the batch before. Raises `ValueError` with what is wrong.
    """
    if not isinstance(terms, dict) or "loss" not in terms:
        found = sorted(terms) if isinstance(terms, dict) else type(terms).__name__
        raise ValueError(f'objective must return a dict with an entry "loss", got {found}')
    if names is not None and list(terms) != names:
        raise ValueError(
            f"objective must return the same entries for every batch, got {list(terms)} "
            f"after {names}"
        )
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.shape != (count,):
            found = tuple(term.shape) if isinstance(term, Tensor) else type(term).__name__
            raise ValueError(
                f"objective must return one number for each image, a tensor ({count},) for this "
                f'batch; entry "{name}" is {found}. Sum over pixels and latents, not over images.'
            )
    return terms


def sum_of_each(terms: dict[str, Tensor]) -> Tensor:
    """The sums over images of all entries, `(entries,)`, never in half precision."""
    return torch.stack([at_least_float32(term.detach()).sum() for term in terms.values()])


def _mean_weight(
    model: VAE, x: Tensor, y: Tensor | None, samples: int, plain: bool
) -> dict[str, Tensor]:
    """The ELBO of a model that has only `log_weights`."""
    if not plain:
        raise ValueError(
            f"beta and free_bits weigh the KL, and {type(model).__name__} has log_weights of its "
            "own, in which no KL can be told apart. Write an objective for it."
        )
    bound = log_weights(model, x, y, samples=samples).mean(0)
    return {"loss": -bound, "elbo": bound}


def is_diagonal_normal(*found: Distribution) -> bool:
    """Whether each is a normal over `(D,)` with independent dimensions."""
    for d in found:
        joined = isinstance(d, Independent) and d.reinterpreted_batch_ndims == 1
        if not joined or not isinstance(d.base_dist, Normal):
            return False
    return True


def _name(d: Distribution) -> str:
    return f"{type(d).__name__}({_name(d.base_dist)})" if isinstance(d, Independent) else (
        type(d).__name__
    )  # fmt: skip


Objective = Callable[..., dict[str, Tensor]]
"""A function `(model, x) -> dict`, or `(model, x, y) -> dict`, of tensors `(B,)` with `"loss"`."""


def _wrong_shape(shape: torch.Size, x: Tensor) -> ValueError:
    return ValueError(
        f"the decoder must give images of the shape of x, {tuple(x.shape[1:])}, got "
        f"{tuple(shape)}. image_shape of encoder and decoder must agree."
    )


def _wrong_samples(samples: object) -> ValueError:
    return ValueError(f"samples must be a whole number of at least 1, got {samples!r}")


def _no_gradient(q: Distribution) -> TypeError:
    return TypeError(
        f"elbo needs a posterior with reparameterized draws, rsample, got {_name(q)}. A model with "
        "discrete codes trains with an objective of vae_tutorial.discrete: relaxed_elbo, "
        "leave_one_out_elbo or exact_elbo for a CategoricalVAE, quantised_loss for a QuantisedVAE. "
        "mean_elbo measures its bound."
    )
