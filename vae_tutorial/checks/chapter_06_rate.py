"""Exercise 6.4, the rate in three parts."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs

Three = tuple[(Tensor, Tensor, Tensor)]


def _drawn(mu: Tensor, logvar: Tensor, draws: int, rng: torch.Generator) -> Three:
    """Means, log-variances, and z `(S, N, D)` from q(z | x) of each image."""
    eps = torch.randn(draws, *mu.shape, generator=rng)
    return mu, logvar, mu + torch.exp(0.5 * logvar) * eps


def _draw_encodings(rng: torch.Generator) -> list[Three]:
    cases = []
    for images, latents, draws in ((6, 3, 4), (9, 2, 3), (5, 4, 2)):
        mu, logvar = torch.randn(2, images, latents, generator=rng)
        cases.append(_drawn(mu, logvar - 1, draws, rng))
    return cases


def _draw_collapsed(rng: torch.Generator) -> list[Three]:
    """The same q for every image."""
    mu, logvar = torch.randn(2, 1, 3, generator=rng)
    return [_drawn(mu.expand(7, 3).clone(), logvar.expand(7, 3).clone(), 3, rng)]


def _draw_far(rng: torch.Generator) -> list[Three]:
    """Four posteriors of unit width, forty apart in each of a thousand dimensions."""
    mu = 40 * torch.stack([torch.randperm(4, generator=rng) for _ in range(1000)], 1).float()
    return [_drawn(mu, torch.zeros_like(mu), 2, rng)]


def rate_in_three(mu: Tensor, logvar: Tensor, z: Tensor) -> Three:
    q, log_n = Normal(mu, torch.exp(0.5 * logvar)), math.log(len(mu))
    each = q.log_prob(z[:, :, None])  # (S, N, N, D): every draw under every posterior
    own = q.log_prob(z).sum(-1).mean()
    joint = (each.sum(-1).logsumexp(2) - log_n).mean()
    apart = (each.logsumexp(2) - log_n).sum(-1).mean()
    rate = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1).mean()
    information, correlation = own - joint, joint - apart
    return information, correlation, rate - information - correlation


_REST = "rate - information - correlation"
_LOG_P = "Normal(0.0, 1.0).log_prob(z).sum(-1).mean()"
_OWN = "torch.eye(len(mu), dtype=torch.bool).view(1, len(mu), len(mu), 1)"
_SLIPS = (
    (" - log_n", "",
     "The aggregate posterior is the mean of the N posteriors, and this is their sum: log N is "
     "missing."),
    ("- log_n", "+ log_n",
     "log N has the wrong sign: the logarithm of a mean is that of the sum minus log N."),
    (".logsumexp(2) - log_n", ".mean(2)",
     "You took the mean of the log-densities. log q(z) is the logarithm of the mean density."),
    ("logsumexp(2)", "logsumexp(1)",
     "You mixed over the images that z was drawn from. The mean is over the N posteriors."),
    ("[:, :, None])",
     f"[:, :, None]).masked_fill({_OWN}, -math.inf) + log_n - math.log(len(mu) - 1)",
     "The posterior that z was drawn from is left out of the mixture. All N are in it."),
    ("0.5 * logvar)", "logvar)", "You took log σ for log σ²: σ is `(0.5 * logvar).exp()`."),
    ("[:, :, None])", "[:, :, None]) + 0.5 * logvar",
     "The 1/σ in front of the exponential is missing in the mixtures. It differs from image to "
     "image."),
    ("information, correlation = own - joint", f"information, correlation = own - {_LOG_P}",
     "That is the rate, estimated from the draws. The information has log q(z), not log p(z)."),
    ("own - joint", "rate - joint + apart",
     "That is the rate less the total correlation. The information is E[log q(z | x) − log q(z)]."),
    ("own - joint", "joint - own",
     "The information has the wrong sign: E[log q(z | x) − log q(z)]."),
    ("own - joint", "own - apart",
     "That is the information and the total correlation in one: sum over the dimensions first, "
     "and mix then."),
    ("joint - apart", "apart - joint",
     "The total correlation has the wrong sign: it is a divergence, E[log q(z) − Σ log q(z_d)]."),
    (_REST, f"apart - {_LOG_P}",
     "That is estimated from the draws. The rate is known in closed form: take the rest of it."),
    (_REST, "rate - information",
     "That is the whole KL(q(z) ‖ p(z)). The total correlation is a part of it: subtract that "
     "too."),
    (_REST, "rate", "That is the rate. The third part is what the other two leave of it."),
    ("- logvar).sum(-1).mean()", "- logvar).mean()",
     "The rate in it is averaged over the latent dimensions. It is a sum over them."),
    ("rate = 0.5 * ", "rate = ",
     "The rate in it is twice what it should be: look for a missing ½."),
    (f", correlation, {_REST}", ", rate - information",
     "The second is the rate less the information, KL(q(z) ‖ p(z)). Split it once more: three "
     "numbers are asked for."),
    ("(-1).mean()", "(-1)", "One number for each draw came. Take the mean over draws and images."),
    (".sum(-1).logsumexp(2) - log_n)", ".sum(-1).exp().mean(2).log())",
     "A density in a thousand dimensions is 0 to the computer. Mix the logarithms with "
     "torch.logsumexp."),
)  # fmt: skip


def _unscaled(mu: Tensor, logvar: Tensor, z: Tensor) -> Three:
    """Without the 1/σ in the densities."""
    (information, correlation, rest) = rate_in_three(mu, logvar, z)
    each = -0.5 * (z[:, :, None] - mu).square() / logvar.exp()
    own, log_n = -0.5 * ((z - mu).square() / logvar.exp()).sum(-1), math.log(len(mu))
    joint, apart = each.sum(-1).logsumexp(2) - log_n, (each.logsumexp(2) - log_n).sum(-1)
    parts = (own - joint).mean(), (joint - apart).mean()
    return *parts, information + correlation + rest - sum(parts)


_SUSPECTS = (
    Suspect(
        _unscaled,
        "The 1/σ in front of the exponential is missing in the densities. It differs from image to "
        "image, and so does not cancel in the mixture.",
    ),
    Suspect(
        lambda mu, logvar, z: rate_in_three(mu, logvar, mu.expand_as(z)),
        "You put the means in the place of the draws. The expectation is over z from q(z | x).",
    ),
)

RATE_IN_THREE = Exercise(
    name="rate-in-three",
    call_as="rate_in_three(mu, logvar, z)",
    returns="a tuple of three numbers: information, total correlation, and the rest of the rate",
    inputs=_draw_encodings,
    answer=rate_in_three,
    sizes=lambda mu, logvar, z: {"N": len(mu), "D": mu.shape[1], "S": len(z)},
    properties=(
        Property("the mutual information", 3, lambda f, *case: f(*case)[0], rtol=1e-3),
        Property("the total correlation", 3, lambda f, *case: f(*case)[1], rtol=1e-3),
        Property(
            "the divergences of the single dimensions",
            2,
            lambda f, *case: f(*case)[2],
            rtol=1e-3,
            atol=1e-4,
        ),
        Property(
            "a collapsed encoder carries no information", 1, inputs=_draw_collapsed, atol=1e-4
        ),
        Property(
            "posteriors that are far apart, in a thousand dimensions",
            2,
            inputs=_draw_far,
            rtol=1e-3,
            atol=1e-2,
        ),
        keeps_inputs(),
    ),
    slips=_SLIPS,
    suspects=_SUSPECTS,
)
