"""Likelihoods p(x | z): what the decoder's raw output says about each pixel.

Each is a module that turns the decoder's output `(..., C, H, W)` into a distribution for every
single pixel. `VAE.likelihood` joins the pixels into one distribution over images, so that
`log_prob` sums over pixels. The attribute `values` declares what the data are:

- `"binary"`: 0 or 1; `fit` draws binary pixels from grey ones unless told otherwise;
- `"unit"`: numbers in [0, 1];
- `"real"`: any finite numbers;
- `"integer"`: whole numbers from 0, such as grey levels, tokens or classes; never rescaled.

The distributions are built with `validate_args=False`: torch's checks read values back from the
device in every call, which makes a GPU wait, and they refuse grey pixels under a Bernoulli
likelihood, which many published results use. `fit` checks the data once instead.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Distribution, Normal
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.nn import functional as F

from vae_tutorial.arguments import positive_number, true_or_false, whole_number


class BernoulliLikelihood(nn.Module):
    """Binary pixels; the decoder's output is the logit of the probability of a one.

    For grey pixels in [0, 1] `log_prob` is minus the binary cross-entropy. That is a usable
    loss, but no log-likelihood: it is not normalised over [0, 1].
    """

    values = "binary"

    def forward(self, logits: Tensor) -> Distribution:
        return Bernoulli(logits=logits, validate_args=False)


class GaussianLikelihood(nn.Module):
    """Real-valued pixels with one standard deviation for all; the output is the mean.

    `sigma` is the standard deviation, in the pixels' own unit, fixed or, with `learned=True`,
    where training starts (one number learnt for the whole image, as in the σ-VAE of Rybkin,
    Daniilidis and Levine, 2021). Raises `ValueError` for a `sigma` that is not positive.
    """

    values = "real"

    def __init__(self, sigma: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        log_sigma = torch.tensor(math.log(positive_number("sigma", sigma)))
        if true_or_false("learned", learned):
            self.log_sigma = nn.Parameter(log_sigma)
        else:  # a buffer: not even model.requires_grad_(True) trains it
            self.register_buffer("log_sigma", log_sigma)

    @property
    def sigma(self) -> Tensor:
        """The standard deviation, a tensor without dimensions."""
        return self.log_sigma.exp()

    @property
    def learned(self) -> bool:
        """Whether the standard deviation is trained."""
        return isinstance(self.log_sigma, nn.Parameter)

    def extra_repr(self) -> str:
        return "learned=True" if self.learned else f"sigma={self.sigma.item():.6g}"

    def forward(self, mean: Tensor) -> Distribution:
        return Normal(mean, self.sigma.to(mean.dtype).expand_as(mean), validate_args=False)


class CategoricalLikelihood(nn.Module):
    """Pixels with `levels` grey levels 0 … L − 1, L = `levels`.

    For images `(..., C, H, W)` the decoder gives `(..., C · L, H, W)`: one logit for each level,
    the L levels of a channel one after the other. The encoder sees the levels as numbers in
    [0, 1].
    """

    values = "integer"

    def __init__(self, levels: int, channels: int = 1) -> None:
        super().__init__()
        self.levels = whole_number("levels", levels, least=2)
        self.channels = whole_number("channels", channels)

    def to_encoder(self, x: Tensor) -> Tensor:
        """Whole numbers 0 … L − 1 as numbers in [0, 1]."""
        return x / (self.levels - 1)

    def forward(self, logits: Tensor) -> Distribution:
        wanted = self.channels * self.levels
        if logits.shape[-3:-2] != (wanted,):
            raise ValueError(
                f"the decoder must give (..., {wanted}, H, W), a logit for each of {self.levels} "
                f"levels, got {tuple(logits.shape)}. Make it with image_shape=({wanted}, H, W)."
            )
        each = logits.unflatten(-3, (self.channels, self.levels))  # (..., C, L, H, W)
        return Categorical(logits=each.movedim(-3, -1), validate_args=False)


class MultinomialLikelihood(nn.Module):
    """Counts of items, one row `(I,)` for each example; the output holds the logits of π.

    How many there are in all, N = Σ_i x_i, counts as given. Used for what a user has watched by
    Liang et al. (2018), who leave the coefficient N! / Π x_i! out: it does not depend on π.
    """

    values = "integer"

    def forward(self, logits: Tensor) -> Distribution:
        return Multinomial(logits)


class Multinomial(Distribution):
    """N draws from I items with probabilities π = softmax(logits), where N is the sum of x.

    `logits` is `(..., I)` and is kept as log π; `log_prob` of counts `(..., I)` is `(...)`, in
    nats. `mean` is π, the expected share of each item.
    """

    arg_constraints: dict = {}  # noqa: RUF012, torch's own way

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits.log_softmax(-1)
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> Multinomial:
        return Multinomial(self.logits.expand(*batch_shape, -1))

    def log_prob(self, value: Tensor) -> Tensor:
        value = value.to(self.logits.dtype)
        ways = torch.lgamma(value.sum(-1) + 1) - torch.lgamma(value + 1).sum(-1)  # log N!/Π x_i!
        return ways + (value * self.logits).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.logits.exp()


class ContinuousBernoulliLikelihood(nn.Module):
    """Grey pixels in [0, 1]; the output is the logit of the parameter λ.

    The Bernoulli's formula with the constant that normalises it over [0, 1]
    (Loaiza-Ganem and Cunningham, 2019). `log_prob` is a density: it may be positive.
    """

    values = "unit"

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
