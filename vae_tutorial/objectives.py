"""Objectives: what training minimises, one number for each image, in nats.

An objective is a function `(model, x) -> dict` of tensors `(B,)`, one entry of which is called
`"loss"`. `fit` minimises the mean of `"loss"` over the batch and records the mean of every
entry. Settings are bound with `functools.partial`: `partial(elbo, beta=4.0)`.

Sums run over pixels and over latent dimensions, and means only over images. A mean over pixels
beside a sum over latents would train another objective: one with a hidden β.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from vae_tutorial.models import VAE, Autoencoder


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


def elbo(
    model: VAE,
    x: Tensor,
    beta: float | Tensor = 1.0,
    samples: int = 1,
    free_bits: float = 0.0,
) -> dict[str, Tensor]:
    """The evidence lower bound, ELBO = E_q[log p(x | z)] − KL(q(z | x) ‖ p(z)).

    The expectation is estimated with `samples` reparameterized draws for each image, the
    divergence is exact. `x` is `(B, C, H, W)`. Entries, each `(B,)`, in nats:

    - `"loss"`: −(log_px − β · kl), which is −ELBO for β = 1 (β-VAE: Higgins et al., 2017);
    - `"elbo"`: log_px − kl, whatever β is;
    - `"log_px"`: the estimate of E_q[log p(x | z)], summed over pixels;
    - `"kl"`: KL(q(z | x) ‖ p(z)), summed over latent dimensions.

    `free_bits` is an amount of KL, in nats for each latent dimension and image, that `"loss"`
    does not push down: it counts max(KL_d, free_bits). (Kingma et al., 2016, take that maximum
    after averaging KL_d over the batch; here it is taken for each image, so that an image's
    loss does not depend on its neighbours.)

    Raises `ValueError` for a negative `beta` or `free_bits`, or fewer than one sample. A `beta`
    that is a tensor is not looked at, since that would make a GPU wait.
    """
    for name, value in (("beta", beta), ("free_bits", free_bits)):
        if not isinstance(value, Tensor) and not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value!r}")
    _check_samples(samples)
    q = posterior_of(model, x)
    z = q.rsample((samples,))  # (K, B, D)
    log_px = log_px_given(model, z, x).mean(0)  # (K, B) -> (B,)
    kl = gaussian_kl(q.mean, 2 * q.stddev.log())
    counted = kl
    if free_bits > 0:
        each = gaussian_kl(q.mean.unsqueeze(-1), 2 * q.stddev.log().unsqueeze(-1))  # (B, D)
        counted = each.clamp(min=free_bits).sum(-1)
    return {"loss": beta * counted - log_px, "elbo": log_px - kl, "log_px": log_px, "kl": kl}


def iwae_bound(model: VAE, x: Tensor, samples: int = 5) -> dict[str, Tensor]:
    """The importance-weighted bound of Burda, Grosse and Salakhutdinov (2016).

    log (1/K) Σ_k w_k with w_k = p(x | z_k) p(z_k) / q(z_k | x) and K = `samples`. In expectation
    it is at least the ELBO, at most log p(x), and never falls as K grows. Entries, each `(B,)`, in
    nats: `"loss"` (minus the bound), `"bound"`, and `"elbo"`, the mean of log w_k over the same
    draws.

    Raises `ValueError` for fewer than one sample.
    """
    _check_samples(samples)
    q = posterior_of(model, x)
    z = q.rsample((samples,))  # (K, B, D)
    log_px = log_px_given(model, z, x)  # (K, B)
    log_w = log_px + model.prior.log_prob(z) - q.log_prob(z).sum(-1)  # (K, B)
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
    _check_same_shape(rebuilt.shape[1:], x)
    squared_error = (rebuilt - x).square().flatten(1).sum(1)  # (B,)
    return {"loss": 0.5 * squared_error, "squared_error": squared_error}


def posterior_of(model: VAE, x: Tensor) -> Normal:
    """q(z | x) of images `(B, ...)`, a normal `(B, D)`; raises `TypeError` for an autoencoder."""
    if not hasattr(model, "posterior"):
        raise TypeError(
            f"this objective needs a VAE, got {type(model).__name__}. An Autoencoder trains with "
            "objective=reconstruction_error."
        )
    return model.posterior(x)


def log_px_given(model: VAE, z: Tensor, x: Tensor) -> Tensor:
    """log p(x | z) of images `(B, ...)` for z `(K, B, D)`: `(K, B)`, in nats.

    Raises `ValueError` where the decoder makes images of another shape.
    """
    p = model.likelihood(z)
    _check_same_shape(p.event_shape, x)
    return p.log_prob(x)


def _check_same_shape(shape: torch.Size, x: Tensor) -> None:
    """Else broadcasting would compare every image with every reconstruction, without a word."""
    if shape != x.shape[1:]:
        raise ValueError(
            f"the decoder must give images of the shape of x, {tuple(x.shape[1:])}, got "
            f"{tuple(shape)}. image_shape of encoder and decoder must agree."
        )


def _check_samples(samples: int) -> None:
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise ValueError(f"samples must be a whole number of at least 1, got {samples!r}")
