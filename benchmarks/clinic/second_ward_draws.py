"""The second ward's faults of the draw."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import Normal
from torch.nn import functional as F

from clinic.patient import Case
from clinic.second_ward import Residual, Tokens, Waves, residual, sick, tokens, waves
from clinic.second_ward_more import Bare, Clock, bag, bare, clock

# ---- the draw


@sick("bare", "exp-logvar-as-std")
def squared_scale() -> Case:
    """The noise is multiplied by σ², since a line above squares σ for the KL."""

    class M(Bare):
        def noisy(self, mu, log_sigma2):
            sigma = torch.exp(0.5 * log_sigma2)
            return mu + sigma**2 * torch.randn_like(mu)

    return bare(M)


@sick("waves", "logstd-as-logvar")
def root_of_root() -> Case:
    """The root is taken twice in the sampler: σ = exp(log σ² / 4)."""

    class M(Waves):
        def pick(self, q):
            return Normal(q.loc, q.scale.sqrt()).rsample()

    return waves(M)


@sick("tokens", "noise-shared")
def temperature() -> Case:
    """A temperature of 0.3, meant for pictures, was left on in training: noise is too small."""

    class M(Tokens):
        def sample(self, mu, log_var):
            return mu + 0.3 * torch.exp(0.5 * log_var) * torch.randn_like(mu)

    return tokens(M)


@sick("bag", "noise-shared")
def uniform_between_minus_one_and_one() -> Case:
    """2 rand − 1 is taken for a standard normal: its variance is a third."""
    return bag(draw=lambda mu, logvar: mu + (logvar / 2).exp() * (2 * torch.rand_like(mu) - 1))


@sick("residual", "noise-shared")
def one_number_per_example() -> Case:
    """One random number for all 64 latents of an example: the draw lies on a line."""

    class M(Residual):
        def draw(self, means, log_vars):
            return means + torch.exp(0.5 * log_vars) * torch.randn(len(means), 1)

    return residual(M)


@sick("residual", "no-noise", "noise-shared")
def noise_in_a_buffer() -> Case:
    """The noise was drawn once, in the constructor, and is kept in a buffer."""

    class M(Residual):
        def __init__(self):
            super().__init__()
            self.register_buffer("eps", torch.randn(1, self.latents))

        def draw(self, means, log_vars):
            return means + torch.exp(0.5 * log_vars) * self.eps

    return residual(M)


@sick("waves", "no-noise")
def mode_of_the_posterior() -> Case:
    """z is the mean of the Normal object, which is nowhere sampled."""

    class M(Waves):
        def pick(self, q):
            return q.mean

    return waves(M)


@sick("waves", "eval-at-mean")
def sampled_while_training_only() -> Case:
    """rsample in training mode, the mean in eval mode, with the same loss reported."""

    class M(Waves):
        def pick(self, q):
            return q.rsample() if self.training else q.loc

    return waves(M)


@sick("tokens", "sample-ignores-mu", "sample-ignores-logvar")
def roles_swapped() -> Case:
    """z = μ ε + σ: the mean scales the noise and the scale is added."""

    class M(Tokens):
        def sample(self, mu, log_var):
            return mu * torch.randn_like(mu) + torch.exp(0.5 * log_var)

    return tokens(M)


@sick("clock", "sample-ignores-logvar")
def learnt_common_scale() -> Case:
    """The noise has one learnt σ for all examples; the KL is paid for the encoder's σ."""

    class M(Clock):
        def __init__(self, beta):
            super().__init__(beta)
            self.log_std = nn.Parameter(torch.tensor([-1.0]))

        def sample(self, mean, std):
            return mean + self.log_std.exp() * torch.randn_like(mean)

    return clock(M)


@sick("waves", "sample-ignores-encoder")
def prior_in_place_of_posterior() -> Case:
    """The variable p is sampled where q was meant."""

    class M(Waves):
        def pick(self, q):
            return Normal(torch.zeros_like(q.loc), torch.ones_like(q.scale)).rsample()

    return waves(M)


@sick("residual", "std-as-logvar")
def softplus_called_log_vars() -> Case:
    """A softplus gives σ for the sampler, and the KL takes it for a log-variance."""

    class M(Residual):
        def infer(self, x_in):
            means, raw = super().infer(x_in)
            return means, F.softplus(raw)

        def draw(self, means, log_vars):
            return means + log_vars * torch.randn_like(means)

    return residual(M)
