"""Priors p(z) other than the standard normal. Each is a module for `VAE(..., prior=...)`.

Calling it returns a distribution over `(D,)` without batch dimensions, so that `log_prob` of z
`(..., D)` is `(...)`. Its parameters train together with the model's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from vae_tutorial.arguments import whole_number


class MixturePrior(nn.Module):
    """A mixture of `components` diagonal normals with learnt weights, means and variances.

    Means start as draws from N(0, I) times `spread`, variances at 1, weights equal.
    """

    def __init__(self, latent_dim: int, components: int = 10, spread: float = 1.0) -> None:
        super().__init__()
        self.latent_dim = whole_number("latent_dim", latent_dim)
        self.components = whole_number("components", components)
        self.logits = nn.Parameter(torch.zeros(components))
        self.mu = nn.Parameter(spread * torch.randn(components, latent_dim))
        self.logvar = nn.Parameter(torch.zeros(components, latent_dim))

    def forward(self) -> Distribution:
        parts = Normal(self.mu, torch.exp(0.5 * self.logvar), validate_args=False)
        return _mixture(self.logits, parts)


class VampPrior(nn.Module):
    """The mixture of posteriors of learnt pseudo-inputs (Tomczak and Welling, 2018).

    `encoder` is the model's own encoder, whose weights it shares; the pseudo-inputs are
    `components` images of `image_shape`, kept in [0, 1] by a sigmoid. They start near
    `start`, images `(components, ...)` in [0, 1], or near a uniform grey.
    """

    def __init__(
        self,
        encoder: nn.Module,
        components: int = 50,
        image_shape: Sequence[int] = (1, 28, 28),
        start: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        first = 0.5 + 0.1 * torch.randn(components, *image_shape) if start is None else start
        self.pseudo_inputs = nn.Parameter(torch.logit(first.clamp(0.02, 0.98)))
        self.logits = nn.Parameter(torch.zeros(components))

    def forward(self) -> Distribution:
        mu, logvar = (head.float() if head.dtype in (torch.bfloat16, torch.float16) else head
                      for head in self.encoder(torch.sigmoid(self.pseudo_inputs)))  # fmt: skip
        return _mixture(self.logits, Normal(mu, torch.exp(0.5 * logvar), validate_args=False))


def _mixture(logits: Tensor, parts: Normal) -> Distribution:
    weights = Categorical(logits=logits, validate_args=False)
    return MixtureSameFamily(weights, Independent(parts, 1), validate_args=False)
