"""The ten patients of Chapter 7's exercise. Each is a small VAE with its loss; one is healthy.

    model, loss = patient(3)
    output = model(x)                  # (reconstruction, mu, logvar), for x (B, 1, 28, 28)
    loss(output, x)                    # one number; the reconstruction is what this loss expects

Reading this file is a way to diagnose them as well, but not the one that the exercise teaches.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Output = tuple[Tensor, Tensor, Tensor]
PIXELS, LATENTS = 784, 8

CANDIDATES = {
    "healthy": "nothing is wrong: the loss is −ELBO, up to a factor in front of all of it",
    "shared-head": "μ and the log-variance are the same numbers",
    "logvar-nonnegative": "the log-variance can never be negative",
    "mu-nonnegative": "μ can never be negative",
    "sample-ignores-encoder": "z is drawn without regard to the encoder",
    "no-noise": "z is μ itself, without any noise",
    "noise-shared": "the examples of a batch do not get noise of their own",
    "exp-logvar-as-std": "the sampler takes exp(logvar) for σ, while the KL reads log σ²",
    "gradient-cut": "the reconstruction depends on the encoder, but sends it no gradient",
    "double-sigmoid": "a sigmoid is applied twice",
    "target-wrong": "the reconstruction is compared with something else than its image",
    "reconstruction-sign": "the reconstruction term has the wrong sign",
    "reconstruction-averaged": "the reconstruction is averaged over pixels, the KL is not",
    "kl-sign": "the KL has the wrong sign",
    "kl-part-missing": "a term of the KL is missing, so its minimum is not the prior",
    "kl-averaged-over-latents": "the KL is averaged over latents, the reconstruction is not",
}

_A = {1: (1.0,), 6: (0.5, 1)}
_B = {2: 8.0, 5: 784.0}


class _Patient(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(PIXELS, 64), nn.ReLU(), nn.Linear(64, 2 * LATENTS)
        )
        self.decoder = nn.Sequential(nn.Linear(LATENTS, 64), nn.ReLU(), nn.Linear(64, PIXELS))

    def forward(self, x: Tensor) -> Output:
        mu, logvar = self.encoder(x).chunk(2, 1)  # (B, D) each
        if self.number == 10:
            logvar = F.softplus(logvar)
        power, *rows = _A.get(self.number, (0.5,))
        eps = torch.randn(*(rows or [len(mu)]), LATENTS, device=x.device)
        z = mu + torch.exp(power * logvar) * eps
        y = self.decoder(z.detach() if self.number == 3 else z).view_as(x)
        return (torch.sigmoid(y) if self.number == 7 else y), mu, logvar


def _loss(number: int) -> Callable[[Output, Tensor], Tensor]:
    weight = _B.get(number, 1.0)

    def loss(output: Output, x: Tensor) -> Tensor:
        y, mu, logvar = output
        x = x.roll(1, 0) if number == 9 else x
        first = F.binary_cross_entropy_with_logits(y, x, reduction="none").flatten(1).sum(1)
        terms = mu.square() + logvar.exp() - 1 - (0 if number == 8 else logvar)
        second = 0.5 * terms.sum(1)
        pair = (first / weight, second) if number == 5 else (first, second / weight)
        return (pair[0] + pair[1]).mean()

    return loss


def patient(number: int) -> tuple[nn.Module, Callable[[Output, Tensor], Tensor]]:
    """Patient `number`, 1 to 10: an untrained model and its loss. Always the same weights."""
    if number not in range(1, 11):
        raise ValueError(f"the patients are numbered from 1 to 10, got {number!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        return _Patient(number), _loss(number)
