"""A likelihood for raw grey levels 0 … 255: a mixture of logistic distributions, cut into levels.

The interval [0, 1) holds 256 cells of equal width, one for each grey level. The probability of a
level is what a mixture of logistic distributions puts into its cell; the first cell reaches to −∞
and the last to +∞. So levels next to each other have similar probabilities, and the two ends may
be as probable as they like (Salimans and co-authors, 2017, PixelCNN++). In contrast to
`CategoricalLikelihood(256)` a pixel needs a few numbers instead of 256.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from vae_tutorial.arguments import whole_number

LEVELS = 256
FLOOR = 2.0**-24  # every level has at least this probability
LEAST_LOG_SLOPE = -1
MOST_LOG_SLOPE = 8
START_LOG_SLOPE = 2  # where a raw output of 0 puts it
MOST_COMPONENTS = 8


class LogisticMixtureLikelihood(nn.Module):
    """Grey levels 0 … 255; each pixel is a mixture of `components` logistic distributions.

    For images `(..., C, H, W)` of whole numbers the decoder gives `(..., C · 3K, H, W)`, where K
    is `components`. For each channel these are K logits of the weights, then K shifts b_k, then K
    log-slopes r_k. Component k has the cumulative distribution function
    σ(a_k (t − c_k) − b_k) on the line where level g holds [g / 256, (g + 1) / 256). Its slope
    a_k = exp(r_k + 2) is kept between e^−1 and e^8, and the anchors c_k are fixed: 0, 1/(K − 1),
    … 1. Any place is possible (the median lies at c_k + b_k / a_k); the anchors give training a
    good start, with a component for dark pixels and one for bright ones. The encoder sees the
    levels divided by 256.

    Make the decoder with `image_shape=likelihood.outputs((C, H, W))`. Raises `ValueError` where
    `components` is not 1 … 8 or `channels` not positive.
    """

    values = "integer"
    levels = LEVELS

    def __init__(self, components: int = 2, channels: int = 1) -> None:
        super().__init__()
        self.components = whole_number("components", components)
        self.channels = whole_number("channels", channels)
        if self.components > MOST_COMPONENTS:
            raise ValueError(f"components must be at most {MOST_COMPONENTS}, got {components}")

    def outputs(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape of the decoder's output, `(C · 3K, H, W)`, for images `(C, H, W)`."""
        if len(image_shape) != 3:
            raise ValueError(f"image_shape must be (C, H, W), got {tuple(image_shape)}")
        channels, height, width = image_shape
        if channels != self.channels:
            raise ValueError(
                f"image_shape must have {self.channels} channels, as this likelihood was made for, "
                f"got {tuple(image_shape)}. Other numbers: channels={channels}."
            )
        return 3 * self.components * channels, height, width

    def extra_repr(self) -> str:
        return f"components={self.components}, channels={self.channels}"

    def to_encoder(self, x: Tensor) -> Tensor:
        """Whole numbers 0 … 255 as numbers in [0, 1)."""
        return x / LEVELS

    def forward(self, raw: Tensor) -> Distribution:
        wanted = 3 * self.components * self.channels
        if raw.shape[-3:-2] != (wanted,):
            raise ValueError(
                f"the decoder must give (..., {wanted}, H, W) for {self.components} components, "
                f"got {tuple(raw.shape)}. Make it with image_shape=likelihood.outputs(image_shape)."
            )
        each = raw.unflatten(-3, (self.channels, 3, self.components))  # (..., C, 3, K, H, W)
        return LogisticMixture(*each.unbind(-4))


class LogisticMixture(Distribution):
    """A distribution over 0 … 255 for each pixel, from raw parameters `(..., K, H, W)`.

    `log_prob` of levels `(..., H, W)` is `(..., H, W)`, in nats. The probabilities of the 256
    levels sum to 1: 256 · 2⁻²⁴ of it is shared equally, the rest belongs to the mixture. So none
    is below 2⁻²⁴, which is what an entropy coder with 24 bits can give.
    """

    arg_constraints: dict = {}  # noqa: RUF012, torch's own way

    def __init__(self, logits: Tensor, shifts: Tensor, log_slopes: Tensor) -> None:
        self.logits = logits.log_softmax(-3)  # log-weights
        self.shifts = shifts
        self.slopes = (log_slopes + START_LOG_SLOPE).clamp(LEAST_LOG_SLOPE, MOST_LOG_SLOPE).exp()
        anchors = torch.linspace(0, 1, logits.shape[-3], dtype=shifts.dtype, device=shifts.device)
        self.anchors = anchors.view(-1, 1, 1)  # (K, 1, 1)
        shape = torch.Size((*logits.shape[:-3], *logits.shape[-2:]))
        super().__init__(shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        low = value.to(self.shifts.dtype).unsqueeze(-3) / LEVELS  # (..., 1, H, W)
        below = self.slopes * (low - self.anchors) - self.shifts  # (..., K, H, W)
        above = below + self.slopes / LEVELS
        # σ(−t) = 1 − σ(t): where both ends are small, their difference keeps its digits.
        sign = torch.where(below > 0, -1.0, 1.0)
        below = below.masked_fill(low <= 0, -torch.inf)
        above = above.masked_fill(low >= 1 - 1 / LEVELS, torch.inf)
        mass = (torch.sigmoid(sign * above) - torch.sigmoid(sign * below)).abs()
        mixture = (self.logits.exp() * mass).sum(-3)
        return torch.log((1 - LEVELS * FLOOR) * mixture + FLOOR)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of levels up to `value` `(..., H, W)`: 0 below level 0, 1 from 255 on."""
        high = ((value.to(self.shifts.dtype).unsqueeze(-3) + 1) / LEVELS).clamp(0, 1)
        ends = torch.sigmoid(self.slopes * (high - self.anchors) - self.shifts)
        ends = ends.masked_fill(high <= 0, 0.0).masked_fill(high >= 1, 1.0)
        mixture = (self.logits.exp() * ends).sum(-3)
        return (1 - LEVELS * FLOOR) * mixture + LEVELS * FLOOR * high.squeeze(-3)

    @property
    def mean(self) -> Tensor:
        """The expected level, `(..., H, W)`: the sum of P(level > g) over g = 0 … 254."""
        total = torch.zeros_like(self.shifts.select(-3, 0))
        for level in range(LEVELS - 1):
            total += 1 - self.cdf(torch.full_like(total, level))
        return total

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Levels, int64 `(*sample_shape, ..., H, W)`."""
        shape = torch.Size((*sample_shape, *self.batch_shape))
        chosen = Categorical(logits=self.logits.movedim(-3, -1)).sample(tuple(sample_shape))
        shifts, slopes, anchors = (
            part.expand(self.shifts.shape).movedim(-3, -1).expand(*shape, -1)
            .gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
            for part in (self.shifts, self.slopes, self.anchors)
        )  # fmt: skip
        uniform = torch.rand(shape, dtype=shifts.dtype, device=shifts.device)
        place = anchors + (torch.logit(uniform) + shifts) / slopes
        levels = (place * LEVELS).floor().clamp(0, LEVELS - 1).long()
        any_level = torch.randint(LEVELS, shape, device=levels.device)
        shared = torch.rand(shape, device=levels.device) < LEVELS * FLOOR
        return torch.where(shared, any_level, levels)
