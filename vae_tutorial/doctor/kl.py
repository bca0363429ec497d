"""The KL in somebody's loss, measured: its shape in μ and σ, its sign, its weight.

For a diagonal Gaussian against N(m₀, v), the KL of one latent dimension is
½ (μ² − 2 m₀ μ + σ²)/v − ½ log σ² and a constant. So the loss is evaluated at a grid of constant μ
and scale, with the reconstruction held, and the four coefficients are fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from vae_tutorial.doctor.report import Finding
from vae_tutorial.doctor.sampler import sigma_of

MEANS = (-1.5, -0.5, 0.0, 0.5, 1.5)
FAR_MEANS = (-5.0, -4.0, -3.0, 3.0, 4.0, 5.0)
LOGS = (-2.0, -1.3, -0.7, 0.4, 0.9, 1.6, 2.1)
FAR_LOGS = (-5.0, -4.5, -4.0, -3.5, -3.0, -2.5)
POSITIVE = (0.15, 0.3, 0.5, 0.8, 1.25, 2.0, 3.0)

Value = Callable[[float, float], float]  # the loss at μ = m, scale = t


@dataclass
class Fit:
    """loss = offset + linear·m + square·m² + sigma2·σ² + log_sigma2·log σ², under a reading of
    the scale; `misfit` is the largest residual relative to the loss' range."""

    reading: str
    offset: float = 0.0
    linear: float = 0.0
    square: float = 0.0
    sigma2: float = 0.0
    log_sigma2: float = 0.0
    misfit: float = 0.0
    free_bits: bool = False

    @property
    def absent(self) -> bool:
        return not any((self.linear, self.square, self.sigma2))


def fit(value: Value, kind: str, sampler: str | None, tolerance: float) -> Fit | None:
    """The best fit over all readings; None where the loss is not finite on the grid.

    Where no fit is within `tolerance`, μ far from 0 is tried: there a KL with free bits is itself.
    """
    first = None
    for means, logs in ((MEANS, LOGS), (FAR_MEANS, FAR_LOGS)):
        grids = [POSITIVE] if kind in ("std", "var") else [logs, POSITIVE]
        fits = [f for grid in grids if (f := _on_grid(value, means, grid, kind, sampler))]
        if not fits:
            return None
        best = min(fits, key=lambda f: f.misfit)
        if best.misfit < tolerance or best.absent:
            best.free_bits = means is FAR_MEANS
            return best
        first = best if means is MEANS else first
    return first


def _on_grid(value: Value, means: tuple, grid: tuple, kind: str, sampler: str | None) -> Fit | None:
    table = torch.tensor([[value(m, t) for t in grid] for m in means], dtype=torch.float64)
    if not torch.isfinite(table).all():
        return None
    m = torch.tensor(means).double()[:, None].expand(table.shape)
    t = torch.tensor(grid).double()[None].expand(table.shape)
    spread = (table.max() - table.min()).item()
    if spread <= 1e-6 * max(1.0, table.abs().max().item()):
        return Fit(sampler or "logvar", offset=table.mean().item())
    positive = grid is POSITIVE
    names = ["logvar", "log_std", "softplus"] + ["std", "var"] * positive
    preferred = [n for n in (sampler, kind) if n in names]
    fits = []
    for name in dict.fromkeys([*preferred, *names]):
        s2 = sigma_of(name, t).square()
        columns = [torch.ones_like(m), m, m.square(), s2, s2.log()]
        design = torch.stack([c.flatten() for c in columns], dim=1)
        weights = torch.linalg.lstsq(design, table.flatten()[:, None]).solution.flatten()
        rounding = 2e-6 * table.abs().max().item()  # of float32
        apart = (design @ weights - table.flatten()).abs().max().item()
        misfit = max(apart - rounding, 0.0) / spread
        small = 1e-5 * spread
        numbers = [0.0 if abs(w) < small else w for w in weights.tolist()[1:]]
        fits.append(Fit(name, weights[0].item(), *numbers, misfit=misfit))
    least = min(f.misfit for f in fits)
    # several readings may fit where a term is missing: then the sampler's own
    return next(f for f in fits if f.misfit <= max(3 * least, 1e-7))


def uneven(value: Callable[[int], float], latents: int) -> list[Finding]:
    """Whether moving μ costs the same in every latent dimension. `value(d)` is the loss where μ is
    1.5 in dimension d and 0 elsewhere, and `value(-1)` where it is 0 everywhere."""
    base = value(-1)
    costs = torch.tensor([value(d) - base for d in range(min(latents, 64))], dtype=torch.float64)
    usual = costs.median().item()
    odd = ((costs - usual).abs() > 0.02 * abs(usual)).nonzero().flatten().tolist()
    if not odd or usual == 0:
        return []
    return [Finding("kl-part-missing", f"moving μ by 1.5 costs {usual:.3g} in most latent "
                    f"dimensions and {costs[odd[0]]:.3g} in dimension {odd[0]}")]  # fmt: skip


def findings(found: Fit, tolerance: float, sampler: str | None, kind: str) -> list[Finding]:
    """What is wrong with the KL apart from its weight."""
    if found.absent:
        return [Finding("kl-missing", "the loss does not change with μ and the log-variance")]
    if found.misfit > tolerance:
        return [Finding("kl-part-missing", "no Gaussian KL has this shape: the best fit is off by "
                        f"{100 * found.misfit:.0f} % of the range")]  # fmt: skip
    a, b, c, d = found.square, found.linear, found.sigma2, found.log_sigma2
    shown = f"coefficients of μ², σ², log σ²: {a:.3g}, {c:.3g}, {d:.3g}"
    near = max(0.02, 3 * tolerance)

    def close(one: float, other: float) -> bool:
        return abs(one - other) <= near * max(abs(one), abs(other))

    out = _readings(found, sampler, kind)
    if a < 0 and c <= 0 and d >= 0:
        return [*out, Finding("kl-sign", f"{shown}; expected: positive, positive, negative")]
    missing = [n for n, v in (("μ²", a), ("σ²", c), ("log σ²", d)) if v == 0]
    if missing:
        return [*out, Finding("kl-part-missing", f"{' and '.join(missing)} missing; {shown}")]
    if a <= 0 or c <= 0 or d >= 0 or not close(a, c):
        return [*out, Finding("kl-part-missing", f"{shown}; expected: w, w and −w")]
    variance, mean = -d / a, -b / (2 * a)
    if out and not close(variance, 1.0):  # no reading makes sense of it
        return [Finding("kl-part-missing", f"{shown}, read as {found.reading}, while the sampler "
                        f"reads {sampler}")]  # fmt: skip
    if not close(variance, 1.0) or abs(mean) > near:
        out.append(Finding("kl-wrong-prior", f"the KL is smallest at mean {mean:.2f} and variance "
                           f"{variance:.2f}; expected 0 and 1"))  # fmt: skip
    return out


def _readings(found: Fit, sampler: str | None, kind: str) -> list[Finding]:
    """Whether the sampler and the KL read the encoder's second output in the same way."""
    if found.sigma2 == 0 or sampler in (None, "constant") or found.reading == sampler:
        return []
    text = f"σ in the sampler: {sampler}; in the KL: {found.reading}"
    logs = {"logvar", "log_std"}
    if {sampler, found.reading} == logs:
        named = "exp-logvar-as-std" if sampler == "log_std" else "logstd-as-logvar"
        return [Finding(named, text)]
    return [Finding("std-as-logvar", text)]
