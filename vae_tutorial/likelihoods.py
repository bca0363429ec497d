"""Likelihoods p(x | z): what the decoder's raw output says about each pixel.

Each is a module that turns the decoder's output `(..., C, H, W)` into a distribution for every
single pixel, of the same shape. `VAE.likelihood` joins the pixels into one distribution over
images, so that `log_prob` sums over pixels.

The distributions are built with `validate_args=False`: torch's checks read values back from the
device in every call, which makes a GPU wait, and they refuse grey pixels under a Bernoulli
likelihood, which many published results use. `fit` checks the data once instead.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Normal
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.nn import functional as F


class BernoulliLikelihood(nn.Module):
    """Binary pixels; the decoder's output is the logit of the probability of a one.

    For grey pixels in [0, 1] `log_prob` is minus the binary cross-entropy. That is a usable
    loss, but no log-likelihood: it is not normalised over [0, 1].
    """

    binary_pixels = True
    real_pixels = False

    def forward(self, logits: Tensor) -> Distribution:
        return Bernoulli(logits=logits, validate_args=False)


class GaussianLikelihood(nn.Module):
    """Real-valued pixels with one standard deviation for all; the output is the mean.

    `sigma` is the standard deviation, in the pixels' own unit, fixed or, with `learned=True`,
    where training starts (one number learnt for the whole image, as in the σ-VAE of Rybkin,
    Daniilidis and Levine, 2021). Raises `ValueError` for a `sigma` that is not positive.
    """

    binary_pixels = False
    real_pixels = True

    def __init__(self, sigma: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        if not (0 < sigma < math.inf):
            raise ValueError(f"sigma must be a positive number, got {sigma!r}")
        log_sigma = torch.tensor(math.log(sigma))
        if learned:
            self.log_sigma = nn.Parameter(log_sigma)
        else:  # a buffer: not even model.requires_grad_(True) trains it
            self.register_buffer("log_sigma", log_sigma)

    @property
    def sigma(self) -> Tensor:
        """The standard deviation, a tensor without dimensions."""
        return self.log_sigma.exp()

    def forward(self, mean: Tensor) -> Distribution:
        return Normal(mean, self.sigma.to(mean.dtype).expand_as(mean), validate_args=False)


class ContinuousBernoulliLikelihood(nn.Module):
    """Grey pixels in [0, 1]; the output is the logit of the parameter λ.

    The Bernoulli's formula with the constant that normalises it over [0, 1]
    (Loaiza-Ganem and Cunningham, 2019). `log_prob` is a density: it may be positive.
    """

    binary_pixels = False
    real_pixels = False

    def forward(self, logits: Tensor) -> Distribution:
        return ContinuousBernoulli(logits)


class ContinuousBernoulli(TorchContinuousBernoulli):
    """torch's continuous Bernoulli, with `log_prob` and `mean` exact for every logit.

    torch clamps the probability to within 1e-7 of 0 and 1, which cuts the gradient of a
    confident pixel; in terms of the logit η nothing needs to be clamped:
    log p(x) = x η − softplus(η) + log C(η), where C(η) = η / tanh(η / 2).
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> ContinuousBernoulli:
        return ContinuousBernoulli(self.logits.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return value * self.logits - F.softplus(self.logits) + log_normaliser(self.logits)

    @property
    def mean(self) -> Tensor:
        """E[x] = 1 / (1 − e^{−η}) − 1 / η, which is the derivative of softplus(η) − log C(η)."""
        near, eta = _split_near_zero(self.logits)
        series = 0.5 + self.logits / 12
        return torch.where(near, series, -1 / torch.expm1(-eta) - 1 / eta)


def log_normaliser(logits: Tensor) -> Tensor:
    """log C of the continuous Bernoulli at logit η: log η − log tanh(η / 2), even in η.

    Around zero, where that is 0/0, its series log 2 + η²/12 − 7 η⁴/1440 takes over.
    """
    near, eta = _split_near_zero(logits)
    size = eta.abs()
    # log tanh(a/2) = log(1 − e^{−a}) − log(1 + e^{−a}), which neither overflows nor cancels
    exact = size.log() - torch.log(-torch.expm1(-size)) + torch.log1p(torch.exp(-size))
    square = logits.square()
    series = math.log(2) + square / 12 - 7 * square.square() / 1440
    return torch.where(near, series, exact)


def _split_near_zero(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Where the series is used, and the logits with those places replaced by a harmless 1.

    The replacement matters: `torch.where` alone would still send the NaN of the branch not
    taken into the gradient.
    """
    near = logits.abs() < 0.05
    return near, torch.where(near, torch.ones_like(logits), logits)
