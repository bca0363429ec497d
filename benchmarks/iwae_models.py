"""The networks of Burda, Grosse and Salakhutdinov (2016), with one and two layers of latents.

Sizes, tanh and the initial weights (Glorot and Bengio, 2010) are the paper's. The bias of the
last layer starts at the log-odds of each pixel's mean over the training images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional as F

import vae_tutorial as vt

Terms = dict[str, Tensor]


def tanh_layers(*sizes: int) -> nn.Sequential:
    """Linear layers of the given sizes with a tanh between them and none after the last."""
    layers: list[nn.Module] = []
    for ins, outs in pairwise(sizes):
        linear = nn.Linear(ins, outs)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class TanhEncoder(nn.Module):
    """Images `(B, C, H, W)` to mean and log-variance, each `(B, D)`."""

    heads = 2

    def __init__(self, pixels: int = 784, hidden: Sequence[int] = (200, 200), latent: int = 50):
        super().__init__()
        self.latent_dim = latent
        self.layers = tanh_layers(pixels, *hidden, 2 * latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.layers(x.flatten(1)).chunk(2, -1)
        return mu, logvar


class TanhDecoder(nn.Module):
    """Latents `(..., D)` to the logits of pixels `(..., C, H, W)`."""

    def __init__(
        self, latent: int = 50, hidden: Sequence[int] = (200, 200),
        shape: Sequence[int] = (1, 28, 28),
    ) -> None:  # fmt: skip
        super().__init__()
        self.latent_dim, self.shape = latent, tuple(shape)
        self.layers = tanh_layers(latent, *reversed(hidden), math.prod(shape))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(-1, self.shape)


class TwoLayerVAE(nn.Module):
    """x ← h1 ← h2, both latents diagonal normals given the layer above; h2 is standard normal.

    The encoder draws h1 from q(h1 | x) and h2 from q(h2 | h1).
    """

    values = "binary"

    def __init__(
        self, shape: Sequence[int] = (1, 28, 28), latents: tuple[int, int] = (100, 50),
        hidden: tuple[int, int] = (200, 100),
    ) -> None:  # fmt: skip
        super().__init__()
        (d1, d2), (wide, narrow) = latents, hidden
        self.encoder = TanhEncoder(math.prod(shape), (wide, wide), d1)
        self.upper_encoder = TanhEncoder(d1, (narrow, narrow), d2)
        self.upper_decoder = TanhDecoder(d2, (narrow, narrow), (2 * d1,))
        self.decoder = TanhDecoder(d1, (wide, wide), shape)

    def encode(self, x: Tensor) -> Tensor:
        """The means of q(h1 | x) for images `(B, C, H, W)`: `(B, D1)`."""
        return self.encoder(x)[0]

    def log_weights(self, x: Tensor, y: Tensor | None = None, samples: int = 1) -> Tensor:
        """log p(x, h1, h2) − log q(h1, h2 | x) for reparameterized draws, `(samples, B)`."""
        q1 = _normal(*self.encoder(x))
        h1 = q1.rsample((samples,))  # (K, B, D1)
        q2 = _normal(*self.upper_encoder.layers(h1).chunk(2, -1))
        h2 = q2.rsample()  # (K, B, D2)
        p1 = _normal(*self.upper_decoder(h2).chunk(2, -1))
        logits = self.decoder(h1)
        surprise = F.binary_cross_entropy_with_logits(
            logits, x.expand_as(logits), reduction="none"
        )  # fmt: skip
        log_p = p1.log_prob(h1).sum(-1) + _standard_log_prob(h2)
        log_q = q1.log_prob(h1).sum(-1) + q2.log_prob(h2).sum(-1)
        return log_p - log_q - surprise.flatten(2).sum(-1)


def two_layer_bound(model: TwoLayerVAE, x: Tensor, samples: int, importance: bool) -> Terms:
    """The ELBO by `samples` draws or, with `importance`, their importance-weighted bound."""
    log_w = model.log_weights(x, samples=samples)
    elbo = log_w.mean(0)
    bound = torch.logsumexp(log_w, 0) - math.log(samples) if importance else elbo
    return {"loss": -bound, "elbo": elbo}


def model_and_objective(network: str, objective: str, k: int) -> tuple[nn.Module, partial]:
    """A fresh model of `network` ("1layer", "2layer" or the book's own "conv"), and what it is to
    be trained with: `objective` is "vae" or "iwae", with `k` draws of the latents."""
    if network == "2layer":
        model: nn.Module = TwoLayerVAE()
        return model, partial(two_layer_bound, samples=k, importance=objective == "iwae")
    if network == "conv":
        model = vt.VAE(vt.ConvEncoder(50), vt.ConvDecoder(50))
    else:
        model = vt.VAE(TanhEncoder(), TanhDecoder())
    return model, partial(vt.iwae_bound if objective == "iwae" else vt.elbo, samples=k)


def start_at_the_mean_image(model: nn.Module, images: Tensor) -> None:
    """Set the bias of the last layer so that zero weights there would give the mean image."""
    mean = images.float().div(255).mean(0).clamp(1e-3, 1 - 1e-3)  # (C, H, W)
    last = [layer for layer in model.decoder.modules() if hasattr(layer, "bias")][-1]
    log_odds = torch.logit(mean).flatten()
    with torch.no_grad():  # a convolution has one bias for all pixels of a channel
        last.bias.copy_(log_odds if last.bias.numel() == log_odds.numel() else log_odds.mean())


def _normal(mu: Tensor, logvar: Tensor) -> Normal:
    return Normal(mu, torch.exp(0.5 * logvar), validate_args=False)


def _standard_log_prob(h: Tensor) -> Tensor:
    return -0.5 * (h.square() + math.log(2 * math.pi)).sum(-1)
