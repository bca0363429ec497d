"""The weight of the KL that a loss really has, as a number, and where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from vae_tutorial.doctor.kl import Fit
from vae_tutorial.doctor.reconstruction import Term
from vae_tutorial.doctor.report import Finding

FREE = ("Gaussian", "Laplace", "Huber")  # likelihoods with a scale


@dataclass
class Weights:
    """Weights for one example and summed costs: 1 and 1 in −ELBO. `batch` is the power of the
    batch size by which a term grows: 0 for a mean over the batch, 1 for a sum."""

    recon: float
    kl: float
    recon_batch: int
    kl_batch: int
    latents: int
    values: int
    free_scale: bool
    """Whether the likelihood has a scale of its own, as a Gaussian has σ."""
    constant: float
    """½ log 2πσ² for each value, in the loss' own unit, where the loss holds it; else 0. Then no
    β can hide in σ."""
    variance: float
    """Of the data, over all values."""

    @property
    def beta(self) -> float:
        """KL over reconstruction; for a squared error, as if it were a Gaussian of variance 1."""
        if self.constant:  # σ is known, and with it what the reconstruction should weigh
            return self.kl
        return self.kl / (2 * self.recon if self.free_scale else self.recon)


def measure(
    term: Term, half_term: Term, found: Fit, half_found: Fit, x: Tensor, latents: int
) -> Weights:
    """From the fits on the whole batch and on half of it."""
    recon_batch = _power(term.weight, half_term.weight)
    kl_batch = _power(found.square, half_found.square)
    size = len(x)
    kl = 2 * found.square / latents / size**kl_batch
    return Weights(
        recon=term.weight / size**recon_batch,
        kl=kl,
        recon_batch=recon_batch,
        kl_batch=kl_batch,
        latents=latents,
        values=x[0].numel(),
        free_scale=term.cost is not None and term.cost.startswith(FREE),
        constant=_gaussian_constant(term, x[0].numel(), size**recon_batch, kl * latents / 2),
        variance=x.double().var().item(),
    )


def _gaussian_constant(term: Term, values: int, batch: int, missing: float) -> float:
    """½ log 2πσ² for each value with the σ of the squared error, where the offset is that, or
    differs by `missing`: a KL without its −1."""
    precision = 2 * term.weight / batch
    if precision <= 0 or term.cost != "Gaussian":
        return 0.0
    wanted = 0.5 * values * math.log(2 * math.pi / precision) * batch
    apart = abs(term.offset - wanted)
    known = apart < 0.01 * abs(wanted) or abs(apart / (missing * batch) - 1) < 0.02
    return wanted if known else 0.0


def _power(whole: float, half: float) -> int:
    if not whole or not half or whole / half <= 0:
        return 0
    return round(math.log2(whole / half))


def near(value: float, wanted: float, tolerance: float = 0.04) -> bool:
    return abs(value / wanted - 1) < tolerance


def findings(weights: Weights, declared: float | None) -> list[Finding]:
    """Batch, pixels, latents, ½: what explains the measured β."""
    if weights.recon_batch != weights.kl_batch:
        words = {0: "mean", 1: "sum", -1: "mean, divided by the batch size again"}
        recon, kl = (
            words.get(p, f"batch size to the power {p}")
            for p in (weights.recon_batch, weights.kl_batch)
        )
        return [Finding("batch-reduction-mixed", f"over the batch, reconstruction: {recon}; "
                        f"KL: {kl}")]  # fmt: skip
    out = []
    if weights.recon_batch == 1:
        out.append(Finding("loss-sum-over-batch", "twice the batch gives twice the loss"))
    if declared is None or declared == 0:
        return out
    named = (_free if weights.free_scale else _other)(weights, declared)
    if named is not None:
        code, why = named
        out.append(Finding(code, f"measured β = {weights.beta:.4g}, declared {declared:g}: {why}"))
    return out


def _other(weights: Weights, declared: float) -> tuple[str, str] | None:
    """The cause for a likelihood whose weight has one right value."""
    ratio, pixels, latents = weights.beta / declared, weights.values, weights.latents
    if near(ratio, 1):
        return None
    return _named(ratio, pixels, latents)


def _named(ratio: float, pixels: int, latents: int) -> tuple[str, str]:
    for wanted, code, why in (
        (2, "kl-without-half", "the KL has no ½"),
        (pixels, "reconstruction-averaged", f"a mean over {pixels} values"),
        (2 * pixels, "reconstruction-averaged", f"a mean over {pixels} values, and no ½"),
        (pixels / latents, "reconstruction-averaged",
         f"means over {pixels} values and over {latents} latents"),
        (1 / latents, "kl-averaged-over-latents", f"a mean over {latents} latents"),
        (2 / latents, "kl-averaged-over-latents", f"a mean over {latents} latents, and no ½"),
        (1 / pixels, "kl-averaged-over-pixels", f"divided by {pixels} values"),
        (1 / pixels / latents, "kl-averaged-over-pixels",
         f"divided by {pixels} values and {latents} latents"),
    ):  # fmt: skip
        if near(ratio, wanted):
            return code, why
    return "hidden-beta", f"{ratio:.4g} times as much"


def _free(weights: Weights, declared: float) -> tuple[str, str] | None:
    """A squared error leaves σ² free. Only where one of the two terms has its usual weight, or
    σ² is far from the data's variance, can the other be judged."""
    pixels, latents, kl, recon = weights.values, weights.latents, weights.kl, weights.recon
    usual_recon = near(recon, 0.5) or near(recon, 1)
    if (weights.constant or usual_recon) and near(kl / declared, 1):
        return None
    if (weights.constant or usual_recon) and near(kl, 1):
        return "hidden-beta", "the declared β is not used"
    plain = latents > 1 and (near(kl / declared, 1 / latents) or near(kl / declared, 2))
    alike = near(weights.beta / declared, 1) or near(weights.beta / declared, 0.5)
    plain = plain or (near(kl / declared, 1 / pixels) and not alike)
    if weights.constant or usual_recon or plain:
        return _named(kl / declared, pixels, latents)
    for usual in (0.5, 1.0):
        if near(recon * pixels, usual) and near(kl / declared, 1):
            return "reconstruction-averaged", f"a mean over {pixels} values"
    ratio = weights.beta / declared
    if near(ratio, 1) or near(ratio, 0.5):
        return None  # both terms divided by the same number
    if ratio < 1e-3 * weights.variance:
        return "hidden-beta", (
            f"as a Gaussian it has σ² = {ratio:.3g}, the data have {weights.variance:.3g}"
        )
    if ratio > 3 * max(weights.variance, 1e-12):
        return "hidden-beta", (
            f"as a Gaussian it has σ² = {ratio:.3g}, the data have {weights.variance:.3g}"
        )
    return None
