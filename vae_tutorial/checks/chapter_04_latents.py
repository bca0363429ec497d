"""Exercise 4.1, several samples for each image: their distribution, and their derivatives.

The noise of the samples is found from them, eps = (z − mu)/σ. Every bound is seven standard
errors wide or more, or comes from the inequality of Dvoretzky, Kiefer and Wolfowitz: a right
answer fails with a probability below 1e-9 for a whole check.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.compare import Misfit, doubles
from vae_tutorial.checks.core import Exercise, Property, Unmet, keeps_inputs
from vae_tutorial.checks.measures import stacked

Sampler = Callable[[Tensor, Tensor, int], Tensor]
MANY = 6000  # samples for each entry


def _draw_encodings(rng: torch.Generator) -> list[tuple[(Tensor, Tensor, int)]]:
    """`mu`, `logvar` and K, away from 0: there σ, σ² and 1/σ are one number."""
    return [_encoding(rng, shape, K) for shape, K in (((4, 3), 5), ((1, 2), 3), ((3, 1), 1))]


def _draw_many(rng: torch.Generator) -> list[tuple[(Tensor, Tensor, int)]]:
    return [_encoding(rng, (3, 2), MANY)]


def _encoding(rng: torch.Generator, shape: tuple[int, int], K: int) -> tuple[(Tensor, Tensor, int)]:
    signs = torch.randint(0, 2, shape, generator=rng) * 2 - 1
    mu = signs * (1 + torch.rand(shape, generator=rng))
    return (mu, -3 + 2 * torch.rand(shape, generator=rng), K)


def _right(mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    return mu + (0.5 * logvar).exp() * torch.randn(K, *mu.shape)


def _shape(z: Any, mu: Tensor, logvar: Tensor, K: int) -> None:
    """The gate: (K, B, D), with the reason if it is another shape."""
    wanted = (K, *mu.shape)
    try:
        shape = tuple(doubles(z).shape)
    except Misfit:
        shape = None
    if shape == wanted:
        return
    reason = {
        tuple(mu.shape): "one sample for each image, or their mean. K samples of each are asked "
        "for: draw the noise in the shape (K, *mu.shape).",
        (len(mu), K, mu.shape[1]): "the axes in another order. Samples come first, as in "
        "`rsample((K,))`.",
        (K * len(mu), mu.shape[1]): "samples and images in one axis: reshape it to (K, B, D).",
    }.get(shape, "something else.")
    came = f"a tensor of shape {shape}" if shape is not None else type(z).__name__
    raise Unmet(f"{came} came, where (K, B, D) is expected, here {wanted}: {reason}")


def _noise(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    """The noise of the samples, (K, B·D), in units of σ."""
    z = doubles(answer(mu, logvar, K))
    if K > 1 and torch.allclose(z[0], z[1]) and torch.allclose(z[0], z[-1]):
        raise Unmet(
            "The K samples of an image are all the same: there is no noise, or it was drawn once "
            "for all K. Draw it in the full shape, (K, B, D)."
        )
    return ((z - mu) / (0.5 * logvar.double()).exp()).flatten(1)


def _mean(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> bool:
    sigma = (0.5 * logvar.double()).exp()
    z = mu + sigma * _noise(answer, mu, logvar, K).view(K, *mu.shape)
    own = z.std(0) + 1e-9  # the spread of the samples themselves: σ has its own property
    off = (z.mean(0) - mu).abs() / own * K**0.5
    if float(off.max()) < 7:
        return True
    if float((z.mean(0).abs() / own).max()) * K**0.5 < 7:
        raise Unmet("mu is forgotten: all samples are centred at 0. Add it to the scaled noise.")
    if float((z.mean(0) - mu - sigma / 2).abs().max()) < 0.1:
        raise Unmet("The noise is not centred: `torch.rand` lies between 0 and 1. Use `randn`.")
    raise Unmet(
        f"The mean of {K} samples is {float(z.mean(0)[0, 0]):.3f} where mu is "
        f"{float(mu[0, 0]):.3f}: that is {float(off[0, 0]):.0f} standard errors."
    )


def _spread(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> bool:
    """The standard error of a normal sample's standard deviation is about σ / √(2K)."""
    sigma, eps = (0.5 * logvar.double()).exp().flatten(), _noise(answer, mu, logvar, K)
    spread = eps.std(0) * sigma
    error = 7 / (2 * K) ** 0.5
    if bool(((spread / sigma - 1).abs() < error).all()):
        return True
    flat = logvar.double().flatten()
    for other, hint in (
        (flat.exp(), "You took the variance for σ: the exponential of `logvar` is σ². The standard "
         "deviation is `torch.exp(0.5 * logvar)`."),
        ((-0.5 * flat).exp(), "The sign of `logvar` is turned round: you read it as the logarithm "
         "of 1/σ²."),
        (flat.abs(), "You multiplied the noise by `logvar`. σ is `torch.exp(0.5 * logvar)`."),
        (torch.ones_like(flat), "The noise is not scaled: every sample has a spread of 1. Multiply "
         "it by σ."),
        ((0.25 * flat).exp(), "You took the root twice: `torch.exp(0.5 * logvar)` is σ already."),
        (sigma / 12**0.5, "`torch.rand` is uniform between 0 and 1. Use `torch.randn`."),
        (sigma / 3**0.5, "The noise is uniform between −1 and 1. Use `torch.randn`."),
        (sigma * 2**0.5, "The noise has the variance 2, as that of a Laplace variable, or of a sum "
         "of two: use `torch.randn` once."),
    ):  # fmt: skip
        if bool(((spread / other - 1).abs() < 1.5 * error).all()):
            raise Unmet(hint)
    raise Unmet(
        f"The spread of {K} samples is {float(spread[0]):.4f} where σ is {float(sigma[0]):.4f}."
    )


def _normal(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> bool:
    """The shape of the distribution, by the largest distance of the two distribution functions."""
    eps = _noise(answer, mu, logvar, K)
    eps = (eps - eps.mean(0)) / eps.std(0).clamp_min(1e-9)  # mean and spread are judged elsewhere
    eps = eps.flatten().sort().values
    levels = torch.arange(1, len(eps) + 1) / len(eps)
    distance = float((0.5 * (1 + torch.erf(eps / 2**0.5)) - levels).abs().max())
    far = float((eps.abs() > 3).double().mean())  # 0.0027 ± 0.0003 for a normal variable
    if not 0.0008 < far < 0.0048 or distance > math.sqrt(
        math.log(2e12) / (2 * len(eps))
    ):  # 0.02: 1e-12 by chance
        tails = "lighter" if far < 0.0015 else "heavier" if far > 0.004 else "other"
        raise Unmet(
            f"Mean and spread apart, the noise is not normal; it has {tails} tails (a uniform "
            "variable has lighter ones, a Laplace variable heavier ones). Use `torch.randn`."
        )
    return True


def _independent(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> bool:
    """Each entry's noise is independent of that of all others, and of that of the next call."""
    z = doubles(answer(mu, logvar, K))
    if torch.equal(z, doubles(answer(mu, logvar, K))):
        raise Unmet("Two calls gave the same samples. Draw fresh noise in every call.")
    eps = _noise(answer, mu, logvar, K)
    centred = (eps.mean(0).abs() * K**0.5 < 0.01).all()  # 3e-13 by chance, for six entries
    eps = (eps - eps.mean(0)) / eps.std(0).clamp_min(1e-9)
    shared = (eps.T @ eps / K).view(*mu.shape, *mu.shape)  # correlations of two entries
    bound, (B, D) = 7.5 / K**0.5, mu.shape
    pairs = [(shared[b, d, b, e], 0) for b in range(B) for d in range(D) for e in range(d)]
    pairs += [(shared[b, d, c, e], 1) for b in range(B) for c in range(b)
              for d in range(D) for e in range(D)]  # fmt: skip
    for value, axis in sorted(pairs, key=lambda pair: -abs(float(pair[0]))):
        if abs(float(value)) > bound:
            whose = ("The latent dimensions of an image have", "Images have")[axis]
            raise Unmet(
                f"{whose} the same noise, or noise that depends on each other's (correlation "
                f"{float(value):.2f}). Draw it in the full shape, (K, B, D): noise that is shared "
                "does not average out."
            )
    power = torch.fft.rfft(eps, n=2 * K, dim=0).abs().square().sum(1)
    lags = torch.fft.irfft(power)[1:K] / eps.numel()  # correlations of samples k and k + lag
    lag = int(lags.abs().argmax()) + 1
    if centred or abs(float(lags[lag - 1])) > 8 / eps.numel() ** 0.5:
        raise Unmet(
            "The samples of an image depend on each other: noise is used twice (samples in pairs, "
            "eps and −eps, are such a case), or was centred over the samples. Each needs noise of "
            "its own."
        )
    return True


def _slopes(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> tuple[(Tensor, Tensor, Tensor)]:
    leaves = [mu.detach().clone().requires_grad_(), logvar.detach().clone().requires_grad_()]
    z = stacked(answer(leaves[0].clone(), leaves[1].clone(), K))
    if not isinstance(z, Tensor) or not z.requires_grad:
        raise Unmet(
            "The samples are cut off from the graph, by `sample`, numpy, .detach(), .data or "
            "no_grad. The encoder then hears of the KL term only. Use `rsample`, or mu + σ · eps."
        )
    found = torch.autograd.grad(z.sum(), leaves, allow_unused=True)
    slopes = (torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found))
    return z.detach(), *slopes


def _path_to_mu(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    """dz/dmu, a mean over the K samples: 1 in every entry."""
    slope = _slopes(answer, mu, logvar, K)[1] / K
    if not slope.any():
        raise Unmet("No gradient reaches mu: it is cut off, or forgotten.")
    return slope


def _path_to_logvar(answer: Sampler, mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    """Σ_k dz_k/dlogvar, divided by ½ Σ_k (z_k − mu): 1 in every entry, whatever the noise is."""
    (z, _, slope) = _slopes(answer, mu, logvar, K)
    if not slope.any():
        raise Unmet(
            "σ is cut off from the gradient, or `logvar` is not used: it would learn from the KL "
            "term alone, and σ would go to 1."
        )
    share = slope / (0.5 * (z - mu).sum(0))
    for factor in (2.0, -1.0, 0.5):
        if torch.allclose(share, torch.full_like(share, factor), rtol=0.02):
            raise Unmet(
                f"dz/dlogvar is {factor:g} times ½ (z − mu): σ is e to the power "
                f"{0.5 * factor:g} · logvar in your samples."
            )
    return share


def _ones(mu: Tensor, logvar: Tensor, K: int) -> Tensor:
    return torch.ones_like(mu)


DRAW_LATENTS = Exercise(
    name="draw-latents",
    call_as="draw_latents(mu, logvar, K)",
    returns="K samples for each image, (K, B, D)",
    inputs=_draw_encodings,
    answer=_right,
    gate=_shape,
    slips=(("(0.5 * logvar).exp()", "logvar", "You multiplied the noise by `logvar` itself."),),
    properties=(
        Property("the mean is mu", 1, _mean, True, _draw_many),
        Property("the spread is σ", 2, _spread, True, _draw_many),
        Property("the noise is normal", 1, _normal, True, _draw_many),
        Property("every sample has noise of its own", 1, _independent, True, _draw_many),
        Property("dz/dmu = 1", 2, _path_to_mu, _ones, rtol=1e-3),
        Property(
            "dz/dlogvar = ½ (z − mu)",
            2,
            _path_to_logvar,
            _ones,
            rtol=0.02,
        ),
        keeps_inputs(),
    ),
)
