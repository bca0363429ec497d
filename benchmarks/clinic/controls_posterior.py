"""Healthy VAEs as people write them: posteriors of many kinds, states of training."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from torch.nn import functional as F

from clinic import data, networks
from clinic.controls import small_mlp
from clinic.healthy import (
    VAE,
    DictVAE,
    MethodVAE,
    TupleVAE,
    bce_logits,
    gaussian,
    kl,
    tuple_loss,
)
from clinic.mutants_weights import train
from clinic.patient import Case, control
from clinic.vaes import COLOUR, SERIES, conv_digits, gru_digits, mlp_digits

# ---- parametrisations of the posterior


@control("mlp", "digits", "tuple")
def log_std_head() -> Case:
    """The second head is log σ, for the sampler and for the KL alike."""

    class LogStd(TupleVAE):
        def reparameterize(self, mu, log_std):
            return mu + log_std.exp() * torch.randn_like(mu)

    def kl_of_log_std(mu, log_std):
        return -0.5 * (1 + 2 * log_std - mu.pow(2) - (2 * log_std).exp()).sum(1)

    return Case(small_mlp(LogStd), tuple_loss(bce_logits, kl_of_log_std), data.digits(14))


@control("conv", "blobs", "dict")
def softplus_std() -> Case:
    """The second head is σ itself through a softplus, called std, for sampler and KL alike."""

    class Softplus(VAE):
        def forward(self, x):
            mu, raw = self.encode(x)
            std = F.softplus(raw) + 1e-5
            return {"recon": self.decode(Normal(mu, std).rsample()), "mu": mu, "std": std}

    def loss(out, x):
        q = Normal(out["mu"], out["std"])
        divergence = kl_divergence(q, Normal(0.0, 1.0)).sum(-1)
        return (gaussian(out["recon"], x) + divergence).mean()

    model = Softplus(networks.conv_encoder(3, 16), networks.conv_decoder(3, 16))
    return Case(model, loss, data.blobs(3))


@control("conv", "digits", "dict")
def clamped_logvar() -> Case:
    """The log-variance is clamped to [−20, 20], which no ordinary run comes near."""

    class Clamped(DictVAE):
        def encode(self, x):
            h = self.encoder(x)
            return self.mu(h), self.logvar(h).clamp(-20, 20)

    healthy = conv_digits.case()
    model = Clamped(healthy.model.encoder, healthy.model.decoder)
    return Case(model, healthy.loss, healthy.data)


@control("mlp", "series", "adapter")
def full_covariance() -> Case:
    """A posterior with a full covariance; logvar are its marginal ones, so beta is not judged."""

    class Full(VAE):
        def __init__(self):
            super().__init__(networks.mlp_encoder(SERIES), networks.mlp_decoder(SERIES))
            self.logvar = nn.Linear(64, 8 * 8)

        def posterior(self, x):
            h = self.encoder(x)
            raw = self.logvar(h).view(-1, 8, 8)
            scale = raw.tril(-1) + torch.diag_embed(F.softplus(raw.diagonal(dim1=1, dim2=2)))
            return MultivariateNormal(self.mu(h), scale_tril=scale)

    def adapter(model, x):
        q = model.posterior(x)
        z = q.rsample()
        return {"recon": model.decode(z), "mu": q.mean, "logvar": q.variance.log(), "z": z}

    def loss(model, x):
        q = model.posterior(x)
        prior = MultivariateNormal(torch.zeros(8), torch.eye(8))
        return (gaussian(model.decode(q.rsample()), x) + kl_divergence(q, prior)).mean()

    return Case(Full(), loss, data.series(), {"adapter": adapter, "beta": None})


@control("mlp", "blobs", "tuple")
def one_latent() -> Case:
    """A single latent dimension, where a mean over latents and a sum are the same."""
    model = TupleVAE(networks.mlp_encoder(COLOUR), networks.mlp_decoder(COLOUR))
    model.mu, model.logvar = nn.Linear(64, 1), nn.Linear(64, 1)
    model.decoder[0] = nn.Linear(1, 64)
    return Case(model, tuple_loss(gaussian, kl), data.blobs(3))


# ---- trained, and in eval mode


@control("mlp", "digits", "tuple")
def trained_mlp() -> Case:
    """Trained for a few seconds, as a user's model would be."""
    parts = mlp_digits.parts()
    case = parts.case("tuple")

    def loss(x):
        recon, mu, logvar = parts.model(x)
        return case.loss(recon, x, mu, logvar)

    train(parts, loss, steps=150)
    return case


@control("gru", "digits", "tuple")
def trained_gru_in_eval_mode() -> Case:
    """Trained, and handed over in eval mode."""
    parts = gru_digits.parts()
    case = parts.case("tuple")

    def loss(x):
        recon, mu, logvar = parts.model(x)
        return case.loss(recon, x, mu, logvar)

    train(parts, loss, steps=50)
    parts.model.eval()
    return case


@control("conv", "blobs", "method")
def batchnorm_in_eval() -> Case:
    """BatchNorm, trained for some batches and handed over in eval mode."""
    model = MethodVAE(networks.conv_encoder(3, 16, norm=True), networks.conv_decoder(3, 16))
    model.reconstruction_term, model.kl_term = gaussian, kl
    x = data.blobs(3)
    for batch in x.split(32) * 10:
        model(batch)
    return Case(model.eval(), None, x)


@control("mlp", "series", "tuple")
def dropout_in_eval() -> Case:
    """Dropout in the encoder, handed over in eval mode."""
    encoder = nn.Sequential(networks.mlp_encoder(SERIES), nn.Dropout(0.2))
    model = TupleVAE(encoder, networks.mlp_decoder(SERIES))
    return Case(model.eval(), tuple_loss(gaussian, kl), data.series())
