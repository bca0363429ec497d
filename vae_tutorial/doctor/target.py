"""Which numbers does a loss compare the reconstruction with? Read off from its gradient.

For a squared error, a loss' slope in a value r of the reconstruction is 2w (r − t); for a
Bernoulli it is w (σ(r) − t) from logits, and w (r − t) / (r (1 − r)) from probabilities. Two slopes
at each value give the weight w and the target t; a third says which of the three it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vae_tutorial.doctor import reading
from vae_tutorial.doctor.probe import Probe
from vae_tutorial.doctor.report import Finding

LEVELS = (0.2, 0.5, 0.8)
SLOPES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    # what the target is subtracted from, and what the slope is multiplied by
    "Gaussian": (lambda r: r, torch.ones_like),
    "Bernoulli from logits": (torch.sigmoid, torch.ones_like),
    "Bernoulli from probabilities": (lambda r: r, lambda r: r * (1 - r)),
}
NEAR = 0.02  # a difference between target and x that counts as none


def findings(probe: Probe) -> list[Finding]:
    """A target that is read off clearly, and is not x."""
    if probe.subject.whole or probe.recon is None or probe.recon.numel() != probe.x.numel():
        return []
    slopes = [_slope(probe, level) for level in LEVELS]
    if any(s is None for s in slopes):
        return []
    for name, (inner, factor) in SLOPES.items():
        levels = [torch.full_like(slopes[0], level) for level in LEVELS]
        terms = [factor(r) * s for r, s in zip(levels, slopes)]
        weight, again = (
            (terms[k] - terms[0]) / (inner(levels[k]) - inner(levels[0])) for k in (1, 2)
        )
        mean = weight.mean()
        if mean <= 0 or weight.std() > 1e-3 * mean or (again - weight).abs().max() > 1e-3 * mean:
            continue
        target = (inner(levels[0]) - terms[0] / weight).flatten()
        x = probe.x.double().flatten()
        apart = (target - x).abs()
        if apart.max() < NEAR:
            return []
        away = (apart > NEAR).double().mean().item()
        return [Finding("target-wrong", f"{name}: the target differs from x in {100 * away:.0f} % "
                        f"of the values, by {apart.max():.2g} at most")]  # fmt: skip
    return []


def _slope(probe: Probe, level: float) -> Tensor | None:
    """The gradient of the loss in the reconstruction, where all of it is `level`."""
    view = probe.view
    recon = torch.full_like(probe.recon, level, requires_grad=True)
    raw = reading.replaced(view.raw, {id(view.recon): recon})
    other = reading.View(**{**vars(view), "raw": raw, "recon": recon})
    with torch.enable_grad():
        value = probe.subject.loss(other, probe.x)
    if not value.requires_grad:
        return None
    found = torch.autograd.grad(value, recon, allow_unused=True)[0]
    return None if found is None or not torch.isfinite(found).all() else found.double()
