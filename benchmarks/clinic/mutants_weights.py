"""Faults that lie in the objective with K draws, and in what training has made of the weights."""

import math

import torch
from torch import nn
from torch.distributions import Normal

from clinic.healthy import Parts, functions_loss, kl, mutant
from clinic.vaes import conv_digits, gru_series, mlp_blobs, mlp_digits, mlp_series

K = 5


def log_weights(parts: Parts, model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """log w = log p(x | z) + log p(z) − log q(z | x) for K draws: `(K, B)`."""
    mu, logvar = model.encode(x)
    q, draws = Normal(mu, torch.exp(0.5 * logvar)), []
    for _ in range(K):
        z = q.rsample()
        log_p = Normal(0.0, 1.0).log_prob(z).sum(1) - parts.reconstruction(model.decode(z), x)
        draws.append(log_p - q.log_prob(z).sum(1))
    return torch.stack(draws)


def given_to_doctor(parts: Parts) -> None:
    """An adapter that hands out the weights beside the usual three."""

    def adapter(model, x):
        mu, logvar = model.encode(x)
        recon = model.decode(model.reparameterize(mu, logvar))
        return {
            "recon": recon,
            "mu": mu,
            "logvar": logvar,
            "log_weights": log_weights(parts, model, x),
        }

    parts.settings["adapter"] = adapter


@mutant("iwae-worst-sample", of=(mlp_blobs, mlp_series))
def logsumexp_of_losses(parts: Parts) -> None:
    """log Σ exp(loss) in place of −log Σ exp(−loss): the worst of the K draws decides."""
    given_to_doctor(parts)

    def loss(model, x):
        losses = -log_weights(parts, model, x)
        return (torch.logsumexp(losses, 0) - math.log(K)).mean()

    parts.loss = loss


@mutant("iwae-worst-sample", of=mlp_blobs)
def worst_draw_counts(parts: Parts) -> None:
    """The largest of K losses stands for the sum; the doctor is given the loss alone."""
    parts.loss = lambda model, x: -log_weights(parts, model, x).min(0).values.mean()


@mutant("iwae-worst-sample", of=mlp_series)
def weights_of_wrong_sign(parts: Parts) -> None:
    """The losses are weighted by softmax(loss), so the worst draw has the largest weight."""
    given_to_doctor(parts)

    def loss(model, x):
        losses = -log_weights(parts, model, x)
        weights = torch.softmax(losses, 0).detach()
        return (weights * losses).sum(0).mean()

    parts.loss = loss


@mutant("iwae-mean-of-logs", of=(mlp_blobs, mlp_series))
def mean_outside_logarithm(parts: Parts) -> None:
    """The mean of log w is an ELBO with K draws; the IWAE bound is the log of the mean of w."""
    given_to_doctor(parts)
    parts.loss = lambda model, x: -log_weights(parts, model, x).mean()


# ---- what training has made of it


def train(parts: Parts, loss, steps: int = 100) -> None:
    """A second of Adam on half of the examples at once. `loss(x)` is a number."""
    optimiser = torch.optim.Adam(parts.model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(parts.data[::2]).backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)


@mutant("posterior-collapsed", of=(mlp_digits, mlp_series))
def trained_with_heavy_kl(parts: Parts) -> None:
    """Trained with a KL weight of 100 for too long: nothing of x is left in z."""
    heavy = functions_loss(parts.reconstruction, lambda mu, logvar: 100 * kl(mu, logvar))
    train(parts, lambda x: heavy(parts.model, x))


@mutant("posterior-collapsed", "dead-outputs", of=gru_series)
def collapsed_heads(parts: Parts) -> None:
    """Both heads have gone to 0 and the decoder gives the mean of the data."""
    with torch.no_grad():
        for head in (parts.model.mu, parts.model.logvar):
            head.weight.mul_(1e-3)
            head.bias.zero_()
        parts.model.decoder.last.weight.mul_(1e-2)
        parts.model.decoder.last.bias.copy_(parts.data.mean((0, 1)))


@mutant("dead-outputs", of=mlp_digits)
def dead_relu_in_decoder(parts: Parts) -> None:
    """A step that was too large has pushed every hidden unit of the decoder below 0 for good."""
    with torch.no_grad():
        parts.model.decoder[0].bias.fill_(-100.0)


@mutant("dead-outputs", of=conv_digits)
def last_layer_at_zero(parts: Parts) -> None:
    """The last layer's weights are 0: the image is its bias, whatever z is."""
    with torch.no_grad():
        parts.model.decoder[5].weight.zero_()
