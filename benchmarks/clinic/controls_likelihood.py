"""Healthy VAEs as people write them: likelihoods, and weights of the KL."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import Bernoulli, ContinuousBernoulli, Laplace, Normal
from torch.nn import functional as F

from clinic import data, networks
from clinic.healthy import VAE, MethodVAE, TupleVAE, bce, gaussian, kl, tuple_loss
from clinic.patient import Case, control
from clinic.vaes import (
    COLOUR,
    SERIES,
    SMALL,
    conv_blobs,
    gru_digits,
    gru_series,
    mlp_digits,
)


def blobs_vae(kind: type[VAE] = TupleVAE, last: nn.Module | None = None) -> VAE:
    return kind(networks.mlp_encoder(COLOUR), networks.mlp_decoder(COLOUR, last))


# ---- likelihoods


@control("conv", "digits", "tuple")
def logits_loss_summed() -> Case:
    """BCEWithLogitsLoss(reduction="sum") over the batch size."""
    criterion = nn.BCEWithLogitsLoss(reduction="sum")

    def loss(logits, x, mu, logvar):
        return criterion(logits, x) / len(x) + kl(mu, logvar).mean()

    model = TupleVAE(networks.conv_encoder(1, 28), networks.conv_decoder(1, 28))
    return Case(model, loss, data.digits())


@control("gru", "digits", "tuple")
def bernoulli_object() -> Case:
    """Both terms by torch.distributions."""

    def loss(logits, x, mu, logvar):
        log_px = Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
        q, p = Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)
        return -(log_px - torch.distributions.kl_divergence(q, p).sum(1)).mean()

    case = gru_digits.case()
    return Case(case.model, loss, case.data)


@control("mlp", "blobs", "tuple")
def squared_error_without_half() -> Case:
    """Summed squared error and KL: a Gaussian likelihood with variance ½, up to a constant."""

    def loss(recon, x, mu, logvar):
        return F.mse_loss(recon, x, reduction="sum") / len(x) + kl(mu, logvar).mean()

    return Case(blobs_vae(), loss, data.blobs(3))


@control("mlp", "blobs", "method")
def learnt_sigma() -> Case:
    """One standard deviation for all pixels, learnt with the rest (σ-VAE)."""

    class SigmaVAE(MethodVAE):
        def __init__(self, *parts):
            super().__init__(*parts)
            self.log_sigma = nn.Parameter(torch.zeros(()))

        def loss_function(self, recon, x, mu, logvar):
            log_px = Normal(recon, self.log_sigma.exp()).log_prob(x).flatten(1).sum(1)
            return (kl(mu, logvar) - log_px).mean()

    return Case(blobs_vae(SigmaVAE), None, data.blobs(3))


@control("mlp", "blobs", "tuple")
def tanh_outputs() -> Case:
    """Pixels in [−1, 1], a tanh at the end, a Gaussian with σ = 0.5."""

    def loss(recon, x, mu, logvar):
        log_px = Normal(recon, 0.5).log_prob(x).flatten(1).sum(1)
        return (kl(mu, logvar) - log_px).mean()

    return Case(blobs_vae(last=nn.Tanh()), loss, (2 * data.blobs(3) - 1).clamp(-1, 1))


@control("mlp", "series", "tuple")
def laplace_likelihood() -> Case:
    """Absolute error of real numbers is the log-density of a Laplace distribution."""

    def loss(recon, x, mu, logvar):
        log_px = Laplace(recon, 0.3).log_prob(x).flatten(1).sum(1)
        return (kl(mu, logvar) - log_px).mean()

    model = TupleVAE(networks.mlp_encoder(SERIES), networks.mlp_decoder(SERIES))
    return Case(model, loss, data.series())


@control("mlp", "digits", "tuple")
def continuous_bernoulli() -> Case:
    """Grey pixels under a continuous Bernoulli, with its normalising constant."""

    def loss(logits, x, mu, logvar):
        log_px = ContinuousBernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
        return (kl(mu, logvar) - log_px).mean()

    model = TupleVAE(networks.mlp_encoder(SMALL), networks.mlp_decoder(SMALL))
    return Case(model, loss, data.digits(14, binary=False))


# ---- weights of the KL that are declared


@control("mlp", "digits", "tuple")
def declared_beta() -> Case:
    """A β-VAE with β = 4, as declared."""
    case = mlp_digits.case()
    loss = tuple_loss(bce, lambda mu, logvar: 4 * kl(mu, logvar))
    return Case(case.model, loss, case.data, {"beta": 4.0})


@control("gru", "series", "dict")
def annealed_beta() -> Case:
    """KL annealing, now at 0.3: the weight is not to be judged."""

    def loss(output, x):
        nll = gaussian(output["x_hat"], x)
        return {"loss": (nll + 0.3 * kl(output["mu"], output["logvar"])).mean()}

    case = gru_series.case()
    return Case(case.model, loss, case.data, {"beta": None})


@control("conv", "blobs", "tuple")
def kld_weight_declared() -> Case:
    """The list style of a much used collection, with the β that its weight amounts to.

    Mean squared error over 768 values and weight w: β = w · 768 / 2 at unit variance.
    """

    class ListVAE(VAE):
        def forward(self, x):
            mu, log_var = self.encode(x)
            return [self.decode(self.reparameterize(mu, log_var)), x, mu, log_var]

        def loss_function(self, *args, **kwargs):
            recons, x, mu, log_var = args
            kld = -0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1).mean()
            recons_loss = F.mse_loss(recons, x)
            loss = recons_loss + kwargs["M_N"] * kld
            return {"loss": loss, "Reconstruction_Loss": recons_loss, "KLD": kld}

    healthy, weight = conv_blobs.case(), 0.005
    model = ListVAE(healthy.model.encoder, healthy.model.decoder)

    def loss(output, x):
        recon, _, mu, log_var = output
        return model.loss_function(recon, x, mu, log_var, M_N=weight)

    return Case(model, loss, healthy.data, {"beta": weight * 768 / 2})


@control("mlp", "digits", "tuple")
def free_bits() -> Case:
    """A quarter of a nat for each latent dimension is free: the weight is not to be judged."""

    def free(mu, logvar):
        each = 0.5 * (mu.pow(2) + logvar.exp() - 1 - logvar)
        return each.clamp(min=0.25).sum(1)

    case = mlp_digits.case()
    return Case(case.model, tuple_loss(bce, free), case.data, {"beta": None})
