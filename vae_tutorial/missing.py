"""Missing pixels, noisy pixels and tables with holes: inference of what was not observed.

The evidence is part of an image. `seen` is a mask with the shape of `x`: True where the value is
known. What `x` holds elsewhere is a first guess, and methods replace it. All of them aim at the
model's own p(hidden | seen); they differ in how they get there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_tutorial.arguments import positive_number, whole_number
from vae_tutorial.models.vae import mean_of
from vae_tutorial.objectives import distributions

Redraw = Callable[[Distribution], Tensor]
"""Draws whole images from p(x | z, evidence), given the distribution p(x | z)."""


class State(NamedTuple):
    """Where the chains stand: images `(B, ...)`, their z `(B, D)`, and whether z moved `(B,)`."""

    x: Tensor
    z: Tensor
    moved: Tensor


def log_px_seen(likelihood: Distribution, x: Tensor, seen: Tensor) -> Tensor:
    """log p(x_seen | z) in nats: the sum over the pixels that are seen, `(..., B)`.

    `likelihood` is p(x | z) with independent pixels, as `model.likelihood(z)` returns it; `x` and
    `seen` are `(B, ...)`. The hidden pixels are summed out, which leaves them out.
    """
    each = getattr(likelihood, "base_dist", None)
    if each is None or likelihood.reinterpreted_batch_ndims != x.dim() - 1:
        raise TypeError(
            "hidden pixels can only be left out of p(x | z) where pixels are independent given z, "
            f"got {type(likelihood).__name__}"
        )
    log_px = each.log_prob(x)  # (..., B, C, H, W)
    return torch.where(_mask(seen, x), log_px, 0.0).flatten(-(x.dim() - 1)).sum(-1)


def fill_hidden(x: Tensor, seen: Tensor) -> Redraw:
    """The redraw for gaps: seen pixels stay, hidden pixels are drawn from p(x | z)."""
    seen = _mask(seen, x)
    return lambda likelihood: torch.where(seen, x, likelihood.sample().to(x.dtype))


def undo_flips(y: Tensor, rate: float) -> Redraw:
    """The redraw for noise: each bit of `y` was flipped with probability `rate`.

    With π = p(x_i = 1 | z), the bit was a one with probability
    π p(y_i | 1) / (π p(y_i | 1) + (1 − π) p(y_i | 0)).
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate must be a probability between 0 and 1, got {rate!r}")
    one, zero = torch.where(y > 0.5, 1 - rate, rate), torch.where(y > 0.5, rate, 1 - rate)

    def redraw(likelihood: Distribution) -> Tensor:
        white = mean_of(likelihood)
        return torch.bernoulli(white * one / (white * one + (1 - white) * zero)).to(y.dtype)

    return redraw


@torch.no_grad()
def gibbs(
    model: nn.Module,
    x: Tensor,
    redraw: Redraw,
    steps: int,
    *,
    corrected: bool = True,
    pseudo_first: int = 0,
) -> Iterator[State]:
    """Chains of images and z, one for each image of `x` `(B, ...)`; yields after every step.

    One step proposes z' from q(z | x) and redraws the image. Without correction every z' is taken
    (Rezende, Mohamed and Wierstra, 2014): the chain is exact if q(z | x) is p(z | x), and biased
    else. With `corrected`, z' is taken with probability min(1, w(z') / w(z)), where w(z) =
    p(x | z) p(z) / q(z | x) on the same x: the chain then has p(z, hidden | evidence) as its
    stationary distribution for any q (Mattei and Frellsen, 2018). The first `pseudo_first` steps
    are taken uncorrected, since a chain that starts far out may reject everything.

    Raises `ValueError` for NaN in `x`, which is no first guess.
    """
    _require_guess(x)
    steps, first = whole_number("steps", steps), whole_number("pseudo_first", pseudo_first, least=0)
    z = given = None
    for step in range(steps):
        q, p, likelihood = distributions(model, x)
        proposal = q.sample()
        moved = torch.ones(len(x), dtype=torch.bool, device=x.device)
        if corrected and step >= first and z is not None:
            new = likelihood(proposal).log_prob(x) + p.log_prob(proposal) - q.log_prob(proposal)
            old = given.log_prob(x) + p.log_prob(z) - q.log_prob(z)  # the same x, the last z
            moved = torch.rand_like(new).log() < new - old
            proposal = torch.where(moved[:, None], proposal, z)
        z, given = proposal, likelihood(proposal)
        x = redraw(given)
        yield State(x, z, moved)


@torch.no_grad()
def weigh_completions(
    model: nn.Module, x: Tensor, seen: Tensor, samples: int = 1000
) -> tuple[Tensor, Tensor]:
    """z `(K, B, D)` from q(z | x), and log weights `(K, B)` for p(z | x_seen).

    w = p(x_seen | z) p(z) / q(z | x), where `x` holds a first guess in the hidden pixels. The
    mean of w is p(x_seen), and z resampled in proportion to w come from p(z | x_seen) as K grows:
    `resample` does it. Where a few weights hold most of the sum, K is too small. Raises
    `ValueError` for NaN in `x`.
    """
    _require_guess(x)
    q, p, likelihood = distributions(model, x)
    z = q.sample((whole_number("samples", samples),))
    return z, log_px_seen(likelihood(z), x, seen) + p.log_prob(z) - q.log_prob(z)


def resample(z: Tensor, log_w: Tensor, count: int) -> Tensor:
    """`count` of the K draws z `(K, B, D)` for each image, in proportion to exp log_w `(K, B)`.

    Returns `(count, B, D)`. Raises `ValueError` where z and log_w do not belong together.
    """
    count = whole_number("count", count)
    if z.dim() != 3 or log_w.shape != z.shape[:2]:
        raise ValueError(
            f"z must be (K, B, D) and log_w (K, B), got {tuple(z.shape)} and {tuple(log_w.shape)}"
        )
    index = torch.multinomial(log_w.softmax(0).T, count, replacement=True).T  # (count, B)
    return z.gather(0, index[..., None].expand(-1, -1, z.shape[-1]))


@torch.enable_grad()
def most_probable_z(
    model: nn.Module, x: Tensor, seen: Tensor, steps: int = 200, learning_rate: float = 0.05
) -> Tensor:
    """The z `(B, D)` with the largest log p(x_seen | z) + log p(z) that Adam finds.

    It starts at the mean of q(z | x), with the first guess in `x`. One point says nothing of
    how sure it is, and two equally good answers become one of them.

    Raises `ValueError` for NaN in `x`, which is no first guess.
    """
    _require_guess(x)
    rate = positive_number("learning_rate", learning_rate)
    q, p, likelihood = distributions(model, x)
    z = q.mean.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([z], lr=rate)
    for _ in range(whole_number("steps", steps)):
        loss = -(log_px_seen(likelihood(z), x, seen) + p.log_prob(z)).sum()
        (z.grad,) = torch.autograd.grad(loss, [z])
        adam.step()
    return z.detach()


def miwae_bound(model: nn.Module, x: Tensor, y: Tensor, *, samples: int = 20) -> dict[str, Tensor]:
    """MIWAE (Mattei and Frellsen, 2019): the importance-weighted bound on log p(x_seen).

    An objective for `fit(model, (x, seen), objective=miwae_bound)`: the condition `y` is the mask,
    1 where a value is seen. The encoder gets `x` with 0 in the holes. Entries, each `(B,)` in
    nats: `"loss"`, and `"bound"`, its negative.
    """
    log_w, _, _ = _seen_weights(model, x, y, samples)
    bound = torch.logsumexp(log_w, 0) - torch.tensor(float(samples)).log()
    return {"loss": -bound, "bound": bound}


@torch.no_grad()
def impute(model: nn.Module, x: Tensor, seen: Tensor, samples: int = 1000) -> Tensor:
    """`x` with E[hidden | seen] in the holes, by self-normalised importance sampling.

    Σ_k w_k E[x | z_k] / Σ_k w_k with the weights of `miwae_bound`, as Mattei and Frellsen (2019)
    impute.
    """
    log_w, z, likelihood = _seen_weights(model, x, seen, samples)
    share = log_w.softmax(0)  # (K, B)
    mean = torch.einsum("kb,kb...->b...", share, mean_of(likelihood(z)))
    return torch.where(_mask(seen, x), x, mean)


def _seen_weights(model: nn.Module, x: Tensor, seen: Tensor, samples: int) -> tuple:
    """log w `(K, B)` on the seen values, z `(K, B, D)`, and p(x | z) as a function."""
    filled = torch.where(_mask(seen, x), x, 0.0)
    q, p, likelihood = distributions(model, filled)
    z = q.rsample((whole_number("samples", samples),))
    log_px = log_px_seen(likelihood(z), filled, seen)
    return log_px + p.log_prob(z) - q.log_prob(z), z, likelihood


def _require_guess(x: Tensor) -> None:
    wrong = int((~x.isfinite()).sum())
    if wrong:
        raise ValueError(
            f"x must hold a finite first guess in the hidden pixels, got NaN or ∞ in {wrong} "
            "places. torch.where(seen, x, 0.0) puts zeros there."
        )


def _mask(seen: Tensor, x: Tensor) -> Tensor:
    """`seen` as a mask of bool with the shape of `x`."""
    if not isinstance(seen, Tensor) or seen.shape != x.shape:
        shape = tuple(seen.shape) if isinstance(seen, Tensor) else type(seen).__name__
        raise ValueError(
            f"seen must be a mask with the shape of x, {tuple(x.shape)}, True where a value is "
            f"known, got {shape}. One mask for all images: seen.expand_as(x)."
        )
    return seen.bool()
