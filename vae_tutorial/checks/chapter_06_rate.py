"""Exercise 6.4, the rate in three parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Normal

from vae_tutorial.checks.chapter_06_oracles import (
    Three,
    draw_collapsed,
    draw_encodings,
    draw_far_encodings,
    far_value,
    rate_oracle,
)
from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs, only_arguments


@dataclass(frozen=True)
class _Parts:
    """What mistakes are made of: the densities and the rate, with what may be wrong in them."""

    each: Tensor  # (S, N, N, D): log q of z_d from image n under the posterior of image m
    own: Tensor  # (S, N): log q of z under its own posterior
    joint: Tensor  # (S, N): log q(z)
    apart: Tensor  # (S, N): the sum of log q(z_d)
    rate: Tensor
    log_p: Tensor  # (S, N): log p(z)


def _parts(mu: Tensor, logvar: Tensor, z: Tensor) -> _Parts:
    q, images = Normal(mu, torch.exp(0.5 * logvar)), len(mu)
    each = q.log_prob(z[:, :, None])
    return _Parts(
        each,
        q.log_prob(z).sum(-1),
        each.sum(-1).logsumexp(2) - math.log(images),
        (each.logsumexp(2) - math.log(images)).sum(-1),
        0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(-1).mean(),
        Normal(0.0, 1.0).log_prob(z).sum(-1),
    )


def _three(rate: Tensor, own: Tensor, joint: Tensor, apart: Tensor) -> Three:
    information, correlation = (own - joint).mean(), (joint - apart).mean()
    return information, correlation, rate - information - correlation


def _right(mu: Tensor, logvar: Tensor, z: Tensor) -> Three:
    p = _parts(mu, logvar, z)
    return _three(p.rate, p.own, p.joint, p.apart)


def _suspect(answer: Callable[..., tuple[Tensor, ...]], hint: str) -> Suspect:
    """With numbers for tensors `()`: a student may return either."""

    def numbers(mu: Tensor, logvar: Tensor, z: Tensor) -> tuple[Tensor | float, ...]:
        found = answer(mu, logvar, z)
        return tuple(part if part.ndim else float(part) for part in found)

    return Suspect(numbers, hint)


def _mixed(hint: str, mix: Callable[[Tensor], Tensor]) -> Suspect:
    """`mix` goes from `(S, N, N, …)` to `(S, N, …)`: the wrong way to the log of a mean."""

    def answer(mu: Tensor, logvar: Tensor, z: Tensor) -> Three:
        p = _parts(mu, logvar, z)
        return _three(p.rate, p.own, mix(p.each.sum(-1)), mix(p.each).sum(-1))

    return _suspect(answer, hint)


def _changed(hint: str, change: Callable[[_Parts, Three], tuple[Tensor, ...]]) -> Suspect:
    def answer(mu: Tensor, logvar: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        return change(_parts(mu, logvar, z), _right(mu, logvar, z))

    return _suspect(answer, hint)


def _others(each: Tensor) -> Tensor:
    """The log-mean over the other images."""
    own = torch.eye(each.shape[1], dtype=torch.bool).view(
        1, *each.shape[1:3], *[1] * (each.dim() - 3)
    )
    return each.masked_fill(own, -math.inf).logsumexp(2) - math.log(each.shape[1] - 1)


_SUSPECTS = (
    _mixed(
        "The aggregate posterior is the mean of the N posteriors, and this is their sum: log N is "
        "missing. (Information is never negative.)",
        lambda each: each.logsumexp(2),
    ),
    _mixed(
        "log N has the wrong sign: the logarithm of a mean is that of the sum minus log N.",
        lambda each: each.logsumexp(2) + math.log(each.shape[1]),
    ),
    _mixed(
        "You took the mean of the log-densities. log q(z) is the logarithm of the mean density; "
        "the mean of the logarithms lies below it.",
        lambda each: each.mean(2),
    ),
    _mixed(
        "You mixed over the images that z was drawn from. Each z has its density under all N "
        "posteriors: the mean is over those.",
        lambda each: each.logsumexp(1) - math.log(each.shape[1]),
    ),
    _mixed(
        "The posterior that z was drawn from is left out of the mixture. The aggregate posterior "
        "of these N images has all of them in it.",
        _others,
    ),
    _suspect(
        lambda mu, logvar, z: _right(mu, 2 * logvar, z),
        "You took log σ for log σ²: `logvar` is the logarithm of the variance, so that σ is "
        "`(0.5 * logvar).exp()`.",
    ),
    _suspect(
        lambda mu, logvar, z: _three(
            *_unscaled(mu, logvar, z),
        ),
        "The 1/σ in front of the exponential is missing in the densities. It differs from image to "
        "image, and so does not cancel in the mixture.",
    ),
    _suspect(
        lambda mu, logvar, z: _right(mu, logvar, mu.expand_as(z)),
        "You put the means in the place of the draws. The expectation is over z from q(z | x).",
    ),
    _changed(
        "That is the information and the total correlation in one: log q(z) is the mixture of the "
        "joint densities. Sum over the dimensions first, and mix then.",
        lambda p, right: (right[0] + right[1], right[1], right[2]),
    ),
    _changed(
        "The sum is over images. All three parts are means over images and draws, as the rate is.",
        lambda p, right: tuple(len(p.each[0]) * each for each in right),
    ),
    _changed(
        "That is divided by the number of latent dimensions. The parts are in nats per image.",
        lambda p, right: tuple(each / p.each.shape[-1] for each in right),
    ),
    _changed(
        "The total correlation has the wrong sign: it is a divergence, E[log q(z) − Σ log q(z_d)].",
        lambda p, right: (right[0], -right[1], right[2] + 2 * right[1]),
    ),
    _changed(
        "That is estimated from the draws. It is right on average, but the rate is known in closed "
        "form: take the rest of it, and the three parts add up without an error.",
        lambda p, right: (*right[:2], (p.apart - p.log_p).mean()),
    ),
    _changed(
        "That is the rate less the information, the whole KL(q(z) ‖ p(z)). The total correlation "
        "is a part of it: subtract that too.",
        lambda p, right: (*right[:2], right[1] + right[2]),
    ),
    _changed(
        "That is the rate. The third part is what the other two leave of it.",
        lambda p, right: (*right[:2], p.rate),
    ),
    _changed(
        "The rate in it is averaged over the latent dimensions. It is a sum over them.",
        lambda p, right: (*right[:2], right[2] + p.rate / p.each.shape[-1] - p.rate),
    ),
    _changed(
        "Two came: the information and KL(q(z) ‖ p(z)). Split the second once more.",
        lambda p, right: (right[0], right[1] + right[2]),
    ),
    _changed(
        "One number for each draw came. Take the mean over draws and images.",
        lambda p, right: (p.own - p.joint, p.joint - p.apart, p.rate - p.own + p.apart),
    ),
)


def _unscaled(mu: Tensor, logvar: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """The rate and the log-densities, without their constants."""
    each = -0.5 * (z[:, :, None] - mu).square() / logvar.exp()
    images, rate = len(mu), _parts(mu, logvar, z).rate
    own = -0.5 * ((z - mu).square() / logvar.exp()).sum(-1)
    joint = each.sum(-1).logsumexp(2) - math.log(images)
    return rate, own, joint, (each.logsumexp(2) - math.log(images)).sum(-1)


def _by_densities(mu: Tensor, logvar: Tensor, z: Tensor) -> Three:
    p = _parts(mu, logvar, z)
    joint, apart = p.each.sum(-1).exp().mean(2).log(), p.each.exp().mean(2).log().sum(-1)
    return _three(p.rate, p.own, joint, apart)


RATE_IN_THREE = Exercise(
    name="rate-in-three",
    call_as="rate_in_three(mu, logvar, z)",
    returns="three numbers: information, total correlation, and what is left of the rate",
    inputs=draw_encodings,
    oracle=rate_oracle,
    properties=(
        Property("the mutual information", 3, measure=lambda f, *case: f(*case)[0]),
        Property("the total correlation", 3, measure=lambda f, *case: f(*case)[1]),
        Property("the divergences of the single dimensions", 2, measure=lambda f, *c: f(*c)[2]),
        Property("a collapsed encoder carries no information", 1, inputs=draw_collapsed),
        Property(
            "posteriors that are far apart, in a thousand dimensions",
            2,
            inputs=draw_far_encodings,
            measure=lambda f, *case: f(*case),
            expected=far_value,
            suspects=(
                _suspect(
                    _by_densities,
                    "A density in a thousand dimensions is 0 to the computer, and its logarithm "
                    "−∞. Mix the logarithms with torch.logsumexp.",
                ),
            ),
        ),
        keeps_inputs(1),
        only_arguments(1),
    ),
    suspects=_SUSPECTS,
)
