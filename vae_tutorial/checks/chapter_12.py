"""The exercises of chapter 12, anomalies, gaps and noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vae_tutorial.checks.compare import doubles
from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs

# ---- a threshold


def _draw_scores(rng: torch.Generator) -> list[tuple[Tensor, float]]:
    """Scores in no order. (N + 1)(1 − α) is never whole: rounding of floats plays no part."""
    sizes = ((40, 0.1), (25, 0.2), (60, 0.05), (53, 0.15), (33, 0.15), (73, 0.15))
    return [(50 * torch.randn(n, generator=rng) + 100, alpha) for n, alpha in sizes]


def threshold(clean: Tensor, alpha: float) -> Tensor:
    k = math.ceil((len(clean) + 1) * (1 - alpha))
    return clean.sort().values[k - 1]


def _interpolated(clean: Tensor, alpha: float) -> Tensor:
    return torch.quantile(clean, 1 - alpha)


_THRESHOLD = Exercise(
    name="alarm-threshold",
    call_as="threshold(clean, alpha)",
    returns="one number",
    inputs=_draw_scores,
    answer=threshold,
    sizes=lambda clean, alpha: {"N": len(clean), "alpha": alpha},
    properties=(Property("the threshold", 4), keeps_inputs()),
    slips=(
        ("len(clean) + 1", "len(clean)",
         "The new image takes a place among the scores too: (N + 1)(1 − α), not N (1 − α)."),
        ("[k - 1]", "[k]", "That is the (k + 1)-th smallest. Python counts from 0."),
        ("1 - alpha", "alpha",
         "A share of α lies *below* this number. Alarms are raised above the threshold."),
        ("clean.sort().values", "clean", "The scores come in no order. Sort them first."),
        ("clean.sort().values", "clean.sort(descending=True).values",
         "You counted from the largest. The k-th *smallest* is wanted."),
        ("math.ceil", "math.floor", "Round up, not down: else there are too many alarms."),
    ),
    suspects=(
        Suspect(_interpolated,
                "That is the quantile of the N scores, between two of them. It promises nothing "
                "for a new image: take the k-th smallest score itself."),
        Suspect(lambda clean, alpha: clean.mean() + 1.645 * clean.std(),
                "Mean and standard deviation would do for a normal distribution alone. Count."),
    ),
)  # fmt: skip


# ---- hidden pixels


def _draw_pixels(rng: torch.Generator, scale: float = 2.0) -> list[tuple[Tensor, ...]]:
    cases = []
    for draws, batch, pixels in ((3, 4, 7), (1, 5, 6), (4, 2, 9)):
        logits = scale * torch.randn(draws, batch, pixels, generator=rng)
        x = (torch.rand(batch, pixels, generator=rng) < 0.5).float()
        seen = torch.rand(batch, pixels, generator=rng) < 0.6
        seen[:, 0], seen[:, 1] = True, False
        cases.append((logits, x, seen))
    return cases


def _draw_sure(rng: torch.Generator) -> list[tuple[Tensor, ...]]:
    return [(100 * a.sign() + 50 * a, x, seen) for a, x, seen in _draw_pixels(rng)]


def log_seen(logits: Tensor, x: Tensor, seen: Tensor) -> Tensor:
    each = x * logits - F.softplus(logits)
    return (each * seen).sum(-1)


def _black(logits: Tensor, x: Tensor, seen: Tensor) -> Tensor:
    return (x * seen * logits - F.softplus(logits)).sum(-1)


def _half(logits: Tensor, x: Tensor, seen: Tensor) -> Tensor:
    return log_seen(torch.where(seen, logits, 0.0), x, torch.ones_like(seen))


_SEEN = Exercise(
    name="log-seen",
    call_as="log_seen(logits, x, seen)",
    returns="one number for each draw and image, (K, B)",
    inputs=_draw_pixels,
    answer=log_seen,
    sizes=lambda logits, x, seen: {"K": len(logits), "B": len(x), "P": x.shape[1]},
    properties=(
        Property("log p(x_seen | z) of each draw and image", 4),
        Property("with logits of 200", 1, inputs=_draw_sure),
        keeps_inputs(),
    ),
    slips=(
        ("(each * seen)", "each", "The hidden pixels are still in the sum. Multiply by the mask."),
        ("each * seen", "each * ~seen", "These are the hidden pixels. The seen ones count."),
        (".sum(-1)", ".mean(-1)", "The logarithm of a product is a sum over pixels, not a mean."),
        (".sum(-1)", ".sum(-1) / seen.sum(-1)",
         "You averaged over the seen pixels. The logarithm of a product is a sum."),
        ("x * logits - F.softplus(logits)", "F.softplus(logits) - x * logits",
         "That is −log p, the cross-entropy. Turn its sign."),
        (" - F.softplus(logits)", "",
         "The normaliser is missing: log p = x a − softplus(a) for the logit a."),
        ("x * logits", "logits", "Multiply the logit by the bit: a black pixel has x = 0."),
        ("F.softplus(logits)", "F.softplus(-logits)",
         "The sign inside softplus is wrong: log p = x a − softplus(a)."),
        ("(each * seen).sum(-1)", "(each * seen).sum(-1).exp()",
         "That is the probability. Its logarithm is wanted."),
    ),
    suspects=(
        Suspect(_black, "The hidden pixels count as black here. Leave their whole factor out, not "
                        "only the bit."),
        Suspect(_half, "A logit of 0 means a probability of ½: each hidden pixel costs log 2. "
                       "Leave it out."),
    ),
)  # fmt: skip


# ---- before the noise


def _draw_scans(rng: torch.Generator) -> list[tuple[Tensor, Tensor, float, float]]:
    cases = []
    for batch, pixels, a, b in ((3, 6, 0.1, 0.3), (1, 5, 0.25, 0.05), (4, 4, 0.02, 0.4)):
        white = 0.05 + 0.9 * torch.rand(batch, pixels, generator=rng)
        y = (torch.rand(batch, pixels, generator=rng) < 0.5).float()
        y[:, 0], y[:, 1] = 0.0, 1.0
        cases.append((white, y, a, b))
    return cases


def clean_bit(white: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    from_white = torch.where(y == 1, 1 - b, b) * white
    from_black = torch.where(y == 1, a, 1 - a) * (1 - white)
    return from_white / (from_white + from_black)


def _of_black_scan(white: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    return clean_bit(white, torch.zeros_like(y), a, b)


def _of_white_scan(white: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    return clean_bit(white, torch.ones_like(y), a, b)


_CLEAN = Exercise(
    name="clean-bit",
    call_as="clean_bit(white, y, a, b)",
    returns="one probability for each pixel, (B, P)",
    inputs=_draw_scans,
    answer=clean_bit,
    sizes=lambda white, y, a, b: {"a": a, "b": b},
    properties=(
        Property("where the scan shows white", 2,
                 lambda f, w, y, a, b: doubles(f(w, y, a, b))[y == 1]),
        Property("where the scan shows black", 2,
                 lambda f, w, y, a, b: doubles(f(w, y, a, b))[y == 0]),
        keeps_inputs(),
    ),
    slips=(
        ("y == 1, 1 - b, b", "y == 1, 1 - a, a",
         "A white pixel turns black with probability b. You used a for it."),
        ("y == 1, a, 1 - a", "y == 1, b, 1 - b",
         "A black pixel turns white with probability a. You used b for it."),
        ("1 - b, b", "b, 1 - b",
         "A white pixel *stays* white with probability 1 − b, and turns black with b."),
        ("a, 1 - a", "1 - a, a",
         "A black pixel turns white with probability a, and stays black with 1 − a."),
        (" / (from_white + from_black)", "",
         "Bayes' rule divides by the probability of the scan: the sum over both colours."),
        ("from_white / (", "from_black / (", "That is the probability that the pixel was black."),
        (" * (1 - white)", "", "The prior of black, 1 − π, is missing."),
        (" * white\n", "\n", "The prior of white, π, is missing."),
    ),
    suspects=(
        Suspect(lambda white, y, a, b: white + 0 * y,
                "That is the probability before the scan. What the scan says is left out."),
        Suspect(lambda white, y, a, b: torch.where(y == 1, (1 - b) * white + a * (1 - white),
                                                   b * white + (1 - a) * (1 - white)),
                "That is the probability of the scan. Bayes' rule divides by it."),
        Suspect(_of_black_scan, "You treat every pixel as if the scan had shown black."),
        Suspect(_of_white_scan, "You treat every pixel as if the scan had shown white."),
    ),
)  # fmt: skip

EXERCISES = (_THRESHOLD, _SEEN, _CLEAN)
