"""The second ward's healthy VAEs: networks, outputs and losses."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn import functional as F

from clinic import second_ward_data as data
from clinic.patient import Case
from clinic.second_ward import (
    Waves,
    residual,
    tokens,
    waves,
    well,
)
from clinic.second_ward_more import Bare, bag, bare, clock, divergence, squared

# ---- each network as it is


@well("tokens")
def transformer() -> Case:
    """A transformer on patches; the loss is a module with forward(output, target)."""
    return tokens()


@well("residual")
def group_norm() -> Case:
    """Residual blocks with GroupNorm; squared error over 2σ²; the parameters have other names."""
    return residual()


@well("waves")
def one_dimensional() -> Case:
    """Convolutions over time in float64; both terms by torch.distributions."""
    return waves()


@well("bare")
def parameters_alone() -> Case:
    """Parameters alone, einsum, and a loss that gives (total, reconstruction, KL)."""
    return bare()


@well("bag")
def two_networks() -> Case:
    """Two networks in a ModuleDict, tied together by functions."""
    return bag()


@well("clock")
def time_first() -> Case:
    """LSTMs with time first, one latent, σ through a softplus, the loss a method."""
    return clock()


# ---- outputs and losses


@well("waves")
def only_a_distribution() -> Case:
    """The output holds the reconstruction and q, a Normal, and nothing else."""

    class OnlyQ(Waves):
        def forward(self, x):
            q = self.posterior(x)
            return {"recon": self.decode(q.rsample()), "q": q}

    def loss(out, x):
        kl = kl_divergence(out["q"], Normal(torch.zeros(6).double(), 1.0)).sum(-1)
        return (kl - Normal(out["recon"], 0.4).log_prob(x).sum((1, 2))).mean()

    return waves(OnlyQ, loss)


@well("waves")
def ratio_of_densities() -> Case:
    """log q(z | x) − log p(z) at the drawn z; the loss is a lambda on the model."""

    class Pair(Waves):
        def step(self, x):
            q = self.posterior(x)
            z = q.rsample()
            log_p = Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)
            return Normal(self.decode(z), 0.4).log_prob(x).sum((1, 2)) + log_p.sum(1)

    return waves(Pair, lambda model, x: -model.step(x).mean())


@well("waves")
def spread_of_the_decoder() -> Case:
    """The decoder gives a mean and a variance for each point; nn.GaussianNLLLoss takes both."""

    class TwoChannels(Waves):
        def __init__(self):
            super().__init__()
            self.deconv[2] = nn.ConvTranspose1d(6, 2, 4, 2, 1).double()

        def forward(self, x):
            mu, logvar = self.statistics(x)
            z = torch.distributions.Normal(mu, torch.exp(0.5 * logvar)).rsample()
            mean, raw = self.decode(z).chunk(2, dim=1)
            return {"recon": mean, "x_var": F.softplus(raw), "mu": mu, "logvar": logvar}

    nll = nn.GaussianNLLLoss(reduction="none", full=True)

    def loss(out, x):
        kl = 0.5 * (out["mu"] ** 2 + out["logvar"].exp() - 1 - out["logvar"]).sum(1)
        return (nll(out["recon"], x, out["x_var"]).sum((1, 2)) + kl).mean()

    return waves(TwoChannels, loss)


@well("bare")
def lambda_for_counts() -> Case:
    """Counts under a Poisson likelihood with a log-rate; the loss is a sum over the batch."""

    def total(recon, x, mu, logvar):
        return F.poisson_nll_loss(recon, x, reduction="sum") + divergence(mu, logvar).sum()

    return bare(loss=total, x=data.counts())


@well("bag")
def independent_bernoulli() -> Case:
    """−(log p − KL) with Independent(Bernoulli)."""

    def nll(output, x):
        return -Independent(Bernoulli(logits=output), 2).log_prob(x)

    return bag(nll=nll)


@well("bare")
def object_and_flat_code() -> Case:
    """The output is a plain object, and its code is one tensor that the loss splits."""

    class Plain(Bare):
        def forward(self, x):
            mu, log_var = self.q(x)
            return SimpleNamespace(x_recon=self.p(self.noisy(mu, log_var)), mu=mu, log_var=log_var)

    def loss(output, target):
        return (squared(output.x_recon, target) + divergence(output.mu, output.log_var)).mean()

    return bare(Plain, loss)
