"""Healthy VAEs as people write them: priors, conditions, objectives; our own models."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn
from torch.distributions import Normal
from torch.nn import functional as F

import vae_tutorial as vt
from clinic import data, networks
from clinic.healthy import VAE, bce_logits, gaussian, kl, tuple_loss
from clinic.mutants_weights import given_to_doctor, log_weights
from clinic.patient import Case, control
from clinic.vaes import (
    COLOUR,
    FULL,
    SMALL,
    mlp_blobs,
    mlp_digits,
    mlp_series,
)

# ---- priors and estimates of the KL


@control("mlp", "series", "adapter")
def monte_carlo_kl() -> Case:
    """log q(z | x) − log p(z) at the drawn z, in place of the closed form."""

    def loss(model, x):
        mu, logvar = model.encode(x)
        q = Normal(mu, torch.exp(0.5 * logvar))
        z = q.rsample()
        estimate = (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)
        return (gaussian(model.decode(z), x) + estimate).mean()

    case = mlp_series.case()
    return Case(case.model, loss, case.data, case.settings)


@control("mlp", "digits", "functions")
def two_groups_of_latents() -> Case:
    """z1 for the decoder's first layer and z2 for its second, both with standard normal priors."""

    class Ladder(VAE):
        def __init__(self):
            super().__init__(networks.mlp_encoder(SMALL), networks.mlp_decoder(SMALL))
            self.mu, self.logvar = nn.Linear(64, 16), nn.Linear(64, 16)
            self.second = nn.Linear(8, 64)

        def decode(self, z):
            z1, z2 = z.chunk(2, dim=1)
            h = torch.relu(self.decoder[0](z1) + self.second(z2))
            return self.decoder[2:](h)

    def loss(model, x):
        mu, logvar = model.encode(x)
        logits = model.decode(model.reparameterize(mu, logvar))
        return (bce_logits(logits, x) + kl(mu, logvar)).mean()

    return Case(Ladder(), loss, data.digits(14))


@control("mlp", "digits", "functions")
def learnt_prior_of_two_layers() -> Case:
    """p(z2) p(z1 | z2) with a learnt p(z1 | z2): its KL is against no fixed prior."""

    class TwoLayers(VAE):
        def __init__(self):
            super().__init__(networks.mlp_encoder(SMALL), networks.mlp_decoder(SMALL))
            self.mu, self.logvar = nn.Linear(64, 12), nn.Linear(64, 12)
            self.prior = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 16))

        def decode(self, z):
            return self.decoder(z[:, :8])

    def loss(model, x):
        mu, logvar = model.encode(x)
        q = Normal(mu, torch.exp(0.5 * logvar))
        z = q.rsample()
        prior_mu, prior_logvar = model.prior(z[:, 8:]).chunk(2, dim=1)
        log_p = Normal(prior_mu, torch.exp(0.5 * prior_logvar)).log_prob(z[:, :8]).sum(1)
        log_p = log_p + Normal(0.0, 1.0).log_prob(z[:, 8:]).sum(1)
        return (bce_logits(model.decode(z), x) + q.log_prob(z).sum(1) - log_p).mean()

    return Case(TwoLayers(), loss, data.digits(14), {"beta": None})


# ---- many samples, conditions, codes


@control("mlp", "blobs", "functions")
def iwae() -> Case:
    """The importance-weighted bound with five draws, and the weights for the doctor."""
    parts = mlp_blobs.parts()
    given_to_doctor(parts)

    def loss(model, x):
        log_w = log_weights(parts, model, x)  # (5, B)
        return -(torch.logsumexp(log_w, 0) - math.log(len(log_w))).mean()

    parts.loss = loss
    return parts.case("functions")


@control("mlp", "series", "functions")
def three_draws() -> Case:
    """The ELBO with three draws of z for each example, and a KL in closed form."""

    def loss(model, x):
        mu, logvar = model.encode(x)
        draws = [gaussian(model.decode(model.reparameterize(mu, logvar)), x) for _ in range(3)]
        return (torch.stack(draws).mean(0) + kl(mu, logvar)).mean()

    case = mlp_series.case()
    return Case(case.model, loss, case.data)


@control("mlp", "digits", "adapter")
def conditional() -> Case:
    """Encoder and decoder see a label, here whether the digit has much ink; an adapter adds it."""

    class Conditional(VAE):
        def encode(self, x, y):
            h = torch.cat([self.encoder(x), y], 1)
            return self.mu(h), self.logvar(h)

        def decode(self, z, y):
            return self.decoder(torch.cat([z, y], 1))

    model = Conditional(networks.mlp_encoder(FULL), networks.mlp_decoder(FULL))
    model.mu, model.logvar = nn.Linear(66, 8), nn.Linear(66, 8)
    model.decoder[0] = nn.Linear(10, 64)

    def adapter(model, x):
        y = F.one_hot((x.flatten(1).mean(1) > 0.13).long(), 2).to(x.dtype)
        mu, logvar = model.encode(x, y)
        recon = model.decode(model.reparameterize(mu, logvar), y)
        return {"recon": recon, "mu": mu, "logvar": logvar}

    return Case(model, tuple_loss(bce_logits, kl), data.digits(), {"adapter": adapter})


@control("conv", "blobs", "dict")
def vector_quantised() -> Case:
    """A VQ-VAE: a code book, a straight-through gradient, no noise and no KL."""

    class VQVAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.to_code = networks.conv_encoder(3, 16), nn.Linear(64, 8)
            self.decoder, self.codes = networks.conv_decoder(3, 16), nn.Embedding(32, 4)

        def forward(self, x):
            e = self.to_code(self.encoder(x)).view(-1, 2, 4)  # two codes of four numbers
            index = torch.cdist(e, self.codes.weight.expand(len(e), -1, -1)).argmin(-1)
            q = self.codes(index)
            vq = (q - e.detach()).pow(2).sum((1, 2)) + 0.25 * (q.detach() - e).pow(2).sum((1, 2))
            z = (e + (q - e).detach()).flatten(1)
            return {"recon": self.decoder(z), "z": z, "vq_loss": vq, "indices": index}

    def loss(output, x):
        return (gaussian(output["recon"], x) + output["vq_loss"]).mean()

    return Case(VQVAE(), loss, data.blobs(3), {"beta": None})


# ---- this book's own models


def _ours(shape, likelihood=None, prior=None, conv=False) -> vt.VAE:
    if conv:
        parts = vt.ConvEncoder(6, (8, 16), 64, shape), vt.ConvDecoder(6, (8, 16), 64, shape)
    else:
        parts = vt.MLPEncoder(6, (64,), shape), vt.MLPDecoder(6, (64,), shape)
    return vt.VAE(*parts, likelihood, prior)


@control("conv", "digits", "functions")
def ours_bernoulli() -> Case:
    """vt.VAE with convolutions and vt.elbo, which gives a dict of numbers for each image."""
    return Case(_ours(FULL, conv=True), vt.elbo, data.digits())


@control("mlp", "digits", "functions")
def ours_beta() -> Case:
    """vt.VAE with vt.elbo at β = 2, declared."""
    return Case(_ours(SMALL), partial(vt.elbo, beta=2.0), data.digits(14), {"beta": 2.0})


@control("mlp", "blobs", "functions")
def ours_learnt_sigma() -> Case:
    """vt.VAE with a Gaussian whose σ is learnt."""
    return Case(_ours(COLOUR, vt.GaussianLikelihood(0.5, learned=True)), vt.elbo, data.blobs(3))


@control("conv", "digits", "functions")
def ours_continuous_bernoulli() -> Case:
    """vt.VAE for grey pixels, with a continuous Bernoulli likelihood."""
    likelihood = vt.ContinuousBernoulliLikelihood()
    return Case(_ours(FULL, likelihood, conv=True), vt.elbo, data.digits(binary=False))


@control("mlp", "digits", "functions")
def ours_mixture_prior() -> Case:
    """vt.VAE with a learnt mixture as its prior: the KL is estimated by Monte Carlo."""
    model = _ours(SMALL, prior=vt.MixturePrior(6, components=5))
    return Case(model, vt.elbo, data.digits(14), {"beta": None})


@control("mlp", "digits", "functions")
def ours_vamp_prior() -> Case:
    """vt.VAE with the VampPrior, a mixture of posteriors of learnt images."""
    encoder, decoder = vt.MLPEncoder(6, (64,), SMALL), vt.MLPDecoder(6, (64,), SMALL)
    model = vt.VAE(encoder, decoder, prior=vt.VampPrior(encoder, 10, SMALL))
    return Case(model, vt.elbo, data.digits(14), {"beta": None})


@control("mlp", "digits", "functions")
def ours_iwae() -> Case:
    """vt.VAE trained with the importance-weighted bound."""
    return Case(_ours(SMALL), partial(vt.iwae_bound, samples=5), data.digits(14), {"beta": None})


# ---- a loop


@control("mlp", "digits", "tuple")
def ordinary_epoch() -> Case:
    """zero_grad, backward, step in every batch; the schedule once; the mean over examples."""
    case = mlp_digits.case()

    def epoch(model, batches, optimiser, scheduler):
        total = 0.0
        for x in batches:
            recon, mu, logvar = model(x)
            loss = case.loss(recon, x, mu, logvar)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(x)
        scheduler.step()
        return total / sum(map(len, batches))

    case.settings["epoch"] = epoch
    return case
