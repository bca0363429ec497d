"""How z is drawn: does it depend on μ and on the scale, and how does the code read the scale?

All of it is measured. μ and the scale are overwritten with known numbers, the noise is held, and z
is read off where the decoder gets it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vae_tutorial.doctor.reading import View
from vae_tutorial.doctor.record import Edit, Recorder, write
from vae_tutorial.doctor.report import Finding
from vae_tutorial.doctor.subject import Subject

LEVEL = 0.5  # a scale that is neither large nor small under any reading
LOG_GRID = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
POSITIVE_GRID = (0.25, 0.5, 1.0, 2.0, 4.0)
FEW_BITS = 1e-5  # what counts as equal, relative to the largest number


@dataclass
class Sampler:
    """What was found out. `reading` is how the scale becomes σ: `logvar`, `log_std`, `std`,
    `var`, `softplus`, `constant`, or None where it could not be measured."""

    view: View
    recorder: Recorder
    mu_at: int | None = None  # numbers of the operations that give μ, the scale and z
    scale_at: int | None = None
    z_at: int | None = None
    random: bool = False
    uses_mu: bool | None = None
    uses_scale: bool | None = None
    reading: str | None = None
    recon_uses_mu: bool = False
    recon_uses_scale: bool = False

    derived: bool = False
    """Whether the scale that is shown is computed from what spreads z, and does not spread it."""

    def at(self, mu: float, scale: float) -> dict[int, Edit]:
        """Edits that overwrite μ and the scale with constants."""
        return {self.mu_at: write(mu), self.scale_at: write(scale)}


def same(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    a, b = a.detach().nan_to_num(), b.detach().nan_to_num()
    if a.numel() == 0:
        return True
    size = max(a.abs().max().item(), b.abs().max().item(), 1e-30)
    return bool((a - b).abs().max() <= FEW_BITS * size)


def study(subject: Subject) -> Sampler:
    """Watch the forward pass under two seeds and under changed μ and scale."""
    x = subject.x
    view, first = subject.watched(x, seed=0)
    facts = Sampler(view, first)
    if view.recon is None:
        return facts
    other = subject.forward(x, seed=1)
    facts.random = not same(view.recon, other.recon)
    if not view.latent:
        return facts
    facts.mu_at = first.find(view.mu)
    if facts.mu_at is not None:  # both may be zeros: the scale is then the second such result
        facts.scale_at = first.find(view.scale, facts.mu_at + 1)
        facts.scale_at = first.find(view.scale) if facts.scale_at is None else facts.scale_at
    if facts.mu_at is None or facts.scale_at in (None, facts.mu_at):
        return facts
    runs = [
        subject.watched(x, seed, facts.at(mu, scale))
        for seed, mu, scale in ((0, 0.0, LEVEL), (1, 0.0, LEVEL), (0, 1.0, LEVEL),
                                (0, 0.0, LEVEL + 1.0))
    ]  # fmt: skip
    views, recorders = zip(*runs)
    facts.random = facts.random or not same(views[0].recon, views[1].recon)
    facts.recon_uses_mu = not same(views[0].recon, views[2].recon)
    facts.recon_uses_scale = not same(views[0].recon, views[3].recon)
    if facts.random and len({len(run.tensors) for run in recorders}) == 1:
        _find_z(subject, facts, views[0], *recorders)
    return facts


def _find_z(
    subject: Subject, facts: Sampler, view: View, first: Recorder, second: Recorder,
    moved: Recorder, spread: Recorder,
) -> None:  # fmt: skip
    """z is the first result through which all noise passes and that μ or the scale move."""
    size, through = facts.view.mu.shape, []
    for n, tensor in enumerate(first.tensors):
        fits = tensor.dim() >= 2 and tensor.shape[-1] == size[-1]
        fits = fits and tensor.numel() % facts.view.mu.numel() == 0
        if not fits or tensor.shape != second.tensors[n].shape or same(tensor, second.tensors[n]):
            continue
        try:
            edits = {**facts.at(0.0, LEVEL), n: write(tensor)}
            held, _ = subject.watched(subject.x, 1, edits)
        except RuntimeError:
            continue
        if same(held.recon, view.recon):
            by_mu = not same(moved.tensors[n], tensor)
            by_scale = not same(spread.tensors[n], tensor)
            through.append((n, by_mu, by_scale))
    if not through:
        return
    chosen = next((t for t in through if t[1]), None)
    chosen = chosen or next((t for t in through if t[2]), through[0])
    facts.z_at, facts.uses_mu, facts.uses_scale = chosen
    if facts.uses_scale:
        facts.reading = _reading(subject, facts)
        return
    facts.derived = _is_derived(subject)
    facts.reading = None if facts.derived else "constant"


def _is_derived(subject: Subject) -> bool:
    """Whether weights that lead to the scale alone move the reconstruction all the same."""
    view = subject.forward(subject.x)
    weights = [p for p in subject.model.parameters() if p.requires_grad]
    of_mu, of_scale, of_recon = (
        reached(mixed(t), weights) for t in (view.mu, view.scale, view.recon)
    )
    return any(s and r and not m for m, s, r in zip(of_mu, of_scale, of_recon))


def reached(value: Tensor, parameters: list[Tensor]) -> list[bool]:
    """For each parameter: does a gradient of `value` reach it, somewhere other than 0?"""
    if not value.requires_grad:
        return [False] * len(parameters)
    found = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=True)
    return [g is not None and bool((g != 0).any()) for g in found]


def mixed(tensor: Tensor) -> Tensor:
    """One number that depends on every entry of a tensor in its own way."""
    weights = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2))
    return (tensor * weights.to(tensor.dtype)).sum()


def _spread_at(subject: Subject, facts: Sampler, value: float) -> float:
    """The root mean square of z where μ is 0 and the scale is `value`."""
    _, recorder = subject.watched(subject.x, 0, facts.at(0.0, value))
    return recorder.tensors[facts.z_at].double().square().mean().sqrt().item()


def _reading(subject: Subject, facts: Sampler) -> str | None:
    positive = facts.view.kind in ("std", "var")
    grid = torch.tensor(POSITIVE_GRID if positive else LOG_GRID, dtype=torch.float64)
    found = torch.tensor([_spread_at(subject, facts, t) for t in grid.tolist()]).double()
    return match_reading(grid, found)


def sigma_of(reading: str, t: Tensor) -> Tensor:
    """σ for the encoder's number t under a reading of it."""
    return {
        "logvar": lambda: torch.exp(0.5 * t),
        "log_std": lambda: torch.exp(t),
        "std": lambda: t.abs(),
        "var": lambda: t.abs().sqrt(),
        "softplus": lambda: torch.nn.functional.softplus(t),
        "constant": lambda: torch.ones_like(t),
    }[reading]()


def match_reading(grid: Tensor, found: Tensor) -> str | None:
    """The reading whose σ is proportional to what was found, within 3 %."""
    if not torch.isfinite(found).all() or bool((found <= 0).any()):
        return None
    for reading in ("logvar", "log_std", "std", "var", "softplus", "constant"):
        ratio = found / sigma_of(reading, grid)
        if ratio.max() / ratio.min() < 1.03:
            return reading
    return None


def findings(subject: Subject, facts: Sampler) -> list[Finding]:
    """What is wrong with the sampler and with the encoder's two outputs."""
    view = facts.view
    if not view.latent:
        return []
    found = _heads(subject, facts)
    if facts.mu_at is None or facts.scale_at in (None, facts.mu_at):
        return found
    if not facts.random:
        if facts.recon_uses_mu or facts.recon_uses_scale:
            found.append(Finding(
                "no-noise", "two runs with different noise give the same reconstruction"
            ))  # fmt: skip
        return found
    if facts.z_at is None:
        return found
    if not facts.uses_mu and not facts.uses_scale:
        found.append(Finding(
            "sample-ignores-encoder", "μ + 1 and scale + 1 change z by 0 each; expected: both move"
        ))  # fmt: skip
    elif not facts.uses_mu:
        found.append(Finding("sample-ignores-mu", "μ + 1 changes z by 0; expected 1"))
    elif facts.derived:
        pass
    elif not facts.uses_scale:
        found.append(Finding("sample-ignores-logvar", "the scale + 1 changes z by 0"))
    else:
        found += _noise(subject, facts)
    return found


def _heads(subject: Subject, facts: Sampler) -> list[Finding]:
    view, found = facts.view, []
    if same(view.mu, view.scale):
        return [Finding("shared-head", "μ and the log-variance agree in every entry")]
    far_mu, far_scale = [view.mu], [view.scale]
    for factor in (-30.0, 30.0, 1.0, -1.0):
        try:
            noise = torch.randn(subject.x.shape, generator=torch.Generator().manual_seed(5))
            x = factor * noise.to(subject.x.dtype) if subject.x.is_floating_point() else subject.x
            other = subject.forward(x)
        except Exception:  # an input of that size is refused: the data themselves must do
            continue
        if other.latent:
            far_mu.append(other.mu)
            far_scale.append(other.scale)
    mu = torch.cat([m.detach().flatten() for m in far_mu])
    scale = torch.cat([s.detach().flatten() for s in far_scale])
    if mu.min() >= 0 and mu.numel() >= 40 and mu.max() > 0:
        found.append(Finding("mu-nonnegative", f"the smallest of {mu.numel()} entries of μ, inputs "
                             f"of all sizes, is {mu.min():.3g}"))  # fmt: skip
    if view.kind == "std" and facts.uses_scale and scale.min() >= 1 and scale.max() > 1.001:
        found.append(Finding("logvar-nonnegative", f"the smallest of {scale.numel()} standard "
                             f"deviations, inputs of all sizes, is {scale.min():.3g}"))  # fmt: skip
    reads_log = facts.reading in ("logvar", "log_std")
    if reads_log and view.kind not in ("std", "var") and scale.min() >= 0 and scale.max() > 0:
        found.append(Finding("logvar-nonnegative", f"the smallest of {scale.numel()} log-"
                             f"variances, inputs of all sizes, is {scale.min():.3g}"))  # fmt: skip
    return found


def _noise(subject: Subject, facts: Sampler) -> list[Finding]:
    """Whether the noise in z is an independent N(0, 1) for every entry."""
    if facts.reading not in ("logvar", "log_std", "std", "var", "softplus"):
        return []
    level = 1.0
    sigma = sigma_of(facts.reading, torch.tensor(level).double()).item()
    if any("dropout" in name or "bernoulli" in name for name in facts.recorder.names):
        return []  # dropout that cannot be silenced spoils the measurement
    edits = facts.at(0.0, level)
    runs = max(4, 4000 // facts.view.mu.numel())
    draws = []
    for seed in range(min(runs, 60)):
        _, recorder = subject.watched(subject.x, seed, edits)
        draws.append(recorder.tensors[facts.z_at].double() / sigma)
    one = draws[0].reshape(-1, draws[0].shape[-1])
    if len(one) > 1 and same(one[0], one[1]):
        return [Finding("noise-shared", "all examples of a batch get the same noise")]
    if one.shape[1] > 1 and same(one[:, 0], one[:, 1]):
        return [Finding("noise-shared", "all latent dimensions get the same noise")]
    noise = torch.cat([d.flatten() for d in draws])
    n = len(noise)
    mean, variance = noise.mean().item(), noise.var().item()
    kurtosis = ((noise - mean) ** 4).mean().item() / variance**2
    usual = (6 / n**0.5, 6 * (2 / n) ** 0.5, 6 * (24 / n) ** 0.5)  # six standard errors
    if abs(mean) > usual[0] or abs(variance - 1) > usual[1] or abs(kurtosis - 3) > usual[2]:
        return [Finding("noise-shared", f"the noise has mean {mean:.2f}, variance {variance:.2f} "
                        f"and kurtosis {kurtosis:.2f}; expected 0, 1 and 3")]  # fmt: skip
    return []


def evaluation(subject: Subject, facts: Sampler) -> list[Finding]:
    """Whether z is still drawn in eval mode."""
    if not facts.random or not facts.view.latent or facts.z_at is None:
        return []
    before, subject.training = subject.training, False
    try:
        one, other = subject.forward(subject.x, 0), subject.forward(subject.x, 1)
    finally:
        subject.training = before
    if same(one.recon, other.recon):
        return [Finding("eval-at-mean", "in eval mode two seeds give the same reconstruction")]
    return []
