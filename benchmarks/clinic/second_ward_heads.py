"""The second ward's faults of the heads, of gradients and of weights."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from clinic.patient import Case
from clinic.second_ward import Residual, Tokens, Waves, residual, residual_loss, sick, tokens, waves
from clinic.second_ward_more import Bare, Clock, bag, bare, clock, heads, networks

# ---- heads


@sick("bare", "logvar-nonnegative")
def square_of_a_layer() -> Case:
    """A square makes the log-variance positive, as a variance would have to be."""

    class M(Bare):
        def q(self, x):
            mu, raw = super().q(x)
            return mu, raw**2

    return bare(M)


@sick("waves", "logvar-nonnegative")
def elu_plus_one() -> Case:
    """ELU + 1 on the log-variance: σ can never fall below 1."""

    class M(Waves):
        def statistics(self, x):
            mu, raw = super().statistics(x)
            return mu, F.elu(raw) + 1

    return waves(M)


@sick("tokens", "shared-head")
def first_chunk_twice() -> Case:
    """chunk()[0] is taken for both moments, and the second half is never read."""

    class M(Tokens):
        def moments(self, x):
            mu, _ = super().moments(x)
            return mu, mu

    return tokens(M)


@sick("residual", "mu-nonnegative")
def softplus_on_means() -> Case:
    """The means pass a softplus that was meant for the scale."""

    class M(Residual):
        def infer(self, x_in):
            means, log_vars = super().infer(x_in)
            return F.softplus(means), log_vars

    return residual(M)


@sick("clock", "encode-decode-mismatch", "exception")
def sampler_squeezed() -> Case:
    """squeeze() on the only latent: (B,) and (B, 1) broadcast to a square that does not fit."""

    class M(Clock):
        def sample(self, mean, std):
            return mean.squeeze() + std * torch.randn_like(std)

    return clock(M)


# ---- gradients


@sick("bag", "gradient-cut")
def straight_through() -> Case:
    """μ + (z − μ).detach(): the mean learns and the variance does not."""

    def draw(mu, logvar):
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return mu + (z - mu).detach()

    return bag(draw=draw)


@sick("clock", "gradient-cut")
def noise_scaled_without_gradient() -> Case:
    """The whole draw stands under no_grad."""

    class M(Clock):
        def sample(self, mean, std):
            with torch.no_grad():
                return super().sample(mean, std)

    return clock(M)


@sick("bag", "encoder-unused", "gradient-cut")
def moments_through_lists() -> Case:
    """The moments are turned into Python numbers and back."""

    def copied(nets, x):
        mu, logvar = heads(nets, x)
        return torch.tensor(mu.tolist()), torch.tensor(logvar.tolist())

    return bag(heads=copied)


@sick("waves", "encoder-unused")
def features_ignored() -> Case:
    """The convolutions are computed, and the heads read x."""

    class M(Waves):
        def statistics(self, x):
            self.conv(x)
            return self.stats(x.flatten(1).repeat(1, 3)).split(6, dim=1)

    return waves(M)


@sick("bag", "dead-outputs", "sample-ignores-encoder")
def code_times_zero() -> Case:
    """The code is multiplied by 0, left from a test of the decoder's bias."""

    def draw(mu, logvar):
        return 0 * (mu + torch.exp(0.5 * logvar) * torch.randn_like(mu))

    return bag(draw=draw)


@sick("bag", "posterior-collapsed")
def code_worn_out() -> Case:
    """What long training with too heavy a KL leaves: tiny heads, a decoder that gives the mean."""

    def nets():
        made = networks()
        with torch.no_grad():
            for layer, factor in ((made["recognise"][2], 1e-3), (made["generate"][2], 0.02)):
                layer.weight.mul_(factor)
                layer.bias.zero_()
        return made

    return bag(nets=nets)


@sick("residual", "decoder-unused", "gradient-cut")
def picture_without_gradient() -> Case:
    """The output is detached before the squared error, as it is for the pictures in the log."""

    def loss(x_out, x_in, means, log_vars):
        return residual_loss(x_out.detach(), x_in, means, log_vars)

    return residual(loss=loss)


@sick("clock", "logvar-overflow", "non-finite")
def scale_from_a_difference() -> Case:
    """σ = 1 − tanh(raw), which is exactly 0 where raw is above 9."""

    class M(Clock):
        def scale(self, raw):
            return 1 - torch.tanh(3 * raw)

    return clock(M)
