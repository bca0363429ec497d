"""Do gradients of the loss and of its parts reach the networks?"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from vae_tutorial.doctor import reading
from vae_tutorial.doctor.report import Finding
from vae_tutorial.doctor.sampler import Sampler, mixed, reached
from vae_tutorial.doctor.subject import Subject

EXTREME = 60.0  # a log-variance whose exponential leaves nothing to measure


def findings(subject: Subject, facts: Sampler) -> list[Finding]:
    """Gradients that are cut between the reconstruction or the KL and the encoder."""
    parameters = [p for p in subject.model.parameters() if p.requires_grad]
    view = subject.forward(subject.x)
    if not parameters or not view.latent or view.recon is None:
        return []
    if view.scale.detach().abs().max() > EXTREME:
        return []  # what is saturated has no gradient, whether it is cut or not
    of_mu = touched(mixed(view.mu), parameters)
    of_scale = touched(mixed(view.scale), parameters)
    of_recon = touched(mixed(view.recon), parameters)
    out = _cut(facts, parameters, of_mu, of_scale, of_recon, view)
    if subject.has_loss and not subject.whole:
        out += _cut_kl(subject, facts, parameters, of_mu, of_scale)
    return out


def touched(value: Tensor, parameters: list[Tensor]) -> list[bool]:
    """For each single weight: is the gradient of `value` other than 0? One layer for μ and for
    the scale has rows for the one and rows for the other."""
    if not value.requires_grad:
        return [False] * sum(p.numel() for p in parameters)
    found = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=True)
    flat = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found)]
    return torch.cat([g.flatten() != 0 for g in flat]).tolist()


def _any(flags: list[bool], where: list[bool]) -> bool:
    return any(f and w for f, w in zip(flags, where))


def _cut(facts, parameters, of_mu, of_scale, of_recon, view) -> list[Finding]:
    encoder = [a or b for a, b in zip(of_mu, of_scale)]
    depends = facts.recon_uses_mu or facts.recon_uses_scale
    if not any(encoder):
        if depends:
            return [Finding("gradient-cut", "μ and the log-variance themselves have no gradient")]
        return []
    if depends and not _any(of_recon, encoder):
        return [Finding("gradient-cut", "μ moves the reconstruction, but no gradient of the "
                        "reconstruction reaches the encoder")]  # fmt: skip
    only_mu = [a and not b for a, b in zip(of_mu, of_scale)]
    only_scale = [b and not a for a, b in zip(of_mu, of_scale)]
    for name, used, own, part, all_of in (
        ("μ", facts.recon_uses_mu, only_mu, view.mu, of_mu),
        ("the log-variance", facts.recon_uses_scale, only_scale, view.scale, of_scale),
    ):
        if not used:
            continue
        if not any(all_of):
            return [Finding("gradient-cut", f"{name} itself has no gradient")]
        if any(own):
            cut = not _any(of_recon, own)
        else:  # one layer for both: ask for the gradient at the output itself
            found = (
                torch.autograd.grad(
                    mixed(view.recon), [part], allow_unused=True, retain_graph=True
                )[0]
                if part.requires_grad and view.recon.requires_grad
                else None
            )
            cut = found is not None and not bool((found != 0).any())
        if cut:
            return [Finding("gradient-cut", f"{name} moves the reconstruction, but gets no "
                            "gradient from it")]  # fmt: skip
    return []


def _cut_kl(subject, facts, parameters, of_mu, of_scale) -> list[Finding]:
    """The loss with the reconstruction held: its gradient is the KL's."""
    view = subject.forward(subject.x)
    held = {id(view.recon): view.recon.detach()}
    raw = reading.replaced(view.raw, held)
    other = reading.View(**{**vars(view), "raw": raw, "recon": view.recon.detach()})
    value = subject.loss(other, subject.x)
    here = touched(value, parameters)
    out = []
    only_mu = [a and not b for a, b in zip(of_mu, of_scale)]
    only_scale = [b and not a for a, b in zip(of_mu, of_scale)]
    of_mu = only_mu if any(only_mu) else of_mu  # weights that both share say nothing
    of_scale = only_scale if any(only_scale) else of_scale
    for name, part, of_part in (("μ", "mu", of_mu), ("the log-variance", "scale", of_scale)):
        moved = {part: getattr(view, part).detach() + 0.01}  # free bits are flat nearby
        by_value = subject.loss_with(view, subject.x, **moved) != subject.loss_with(view, subject.x)
        if by_value and any(of_part) and not _any(here, of_part):
            out.append(Finding("gradient-cut-kl", f"the KL changes with {name}, but no gradient of "
                               "it gets there"))  # fmt: skip
    return out[:1]


def unused(subject: Subject) -> list[Finding]:
    """Parameters that the whole loss never reaches."""
    named = [(n, p) for n, p in subject.model.named_parameters() if p.requires_grad]
    view = None if subject.whole else subject.forward(subject.x)
    value = subject.loss(view, subject.x)
    if not value.requires_grad:
        return [Finding("gradient-cut", "the loss has no gradient at all")]
    found = torch.autograd.grad(value, [p for _, p in named], allow_unused=True)
    idle = [n for (n, _), g in zip(named, found) if g is None]
    if not idle:
        return []
    code = "encoder-unused" if _encodes(subject, named, idle) else "decoder-unused"
    more = f" and {len(idle) - 4} more" if len(idle) > 4 else ""
    return [Finding(code, f"no gradient reaches {', '.join(idle[:4])}{more}")]


def _encodes(subject: Subject, named: list[tuple[str, Tensor]], idle: list[str]) -> bool:
    """Whether some idle weights belong to the encoder: μ or the scale depend on them, or nothing
    does and they are not called a decoder's."""
    view, weights = subject.forward(subject.x), [p for _, p in named]
    parts = [t for t in (view.mu, view.scale) if t is not None]
    of_latents = [reached(mixed(t), weights) for t in parts]
    of_recon = reached(mixed(view.recon), weights) if view.recon is not None else []
    for k, (name, _) in enumerate(named):
        encoding = any(flags[k] for flags in of_latents)
        decoding = bool(of_recon) and of_recon[k]
        if name in idle and (encoding or not (decoding or "dec" in name.lower())):
            return True
    return False


def by_differences(subject: Subject) -> list[Finding]:
    """For a loss that runs the model itself: does its gradient say how it changes?

    The weights that lead to μ alone, or to the scale alone, are moved a little, in float64.
    """
    other = copy.copy(subject)
    other.model, other.x = copy.deepcopy(subject.model).double(), subject.x.double()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        view = other.forward(other.x)
        parameters = [p for p in other.model.parameters() if p.requires_grad]
        of_mu = reached(mixed(view.mu), parameters)
        of_scale = reached(mixed(view.scale), parameters)
        for name, mine, others in (("μ", of_mu, of_scale), ("the log-variance", of_scale, of_mu)):
            own = [p for p, a, b in zip(parameters, mine, others) if a and not b]
            if own and (pair := _disagreement(other, own)):
                text = f"moving the weights of {name} changes the loss by {pair[0]:.3g} a unit"
                return [Finding("gradient-cut-kl", f"{text}; its gradient says {pair[1]:.3g}")]
    finally:
        torch.set_default_dtype(before)
    return []


def _disagreement(subject: Subject, own: list[nn.Parameter]) -> tuple[float, float] | None:
    """The slope of the loss along one direction, by differences and by its gradient."""
    generator = torch.Generator().manual_seed(9)
    steps = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in own]
    found = torch.autograd.grad(subject.loss(None, subject.x), own, allow_unused=True)
    told = sum(float((g * s).sum()) for g, s in zip(found, steps) if g is not None)
    slopes = [_slope(subject, own, steps, h) for h in (1e-5, 1e-6)]
    if abs(slopes[0] - slopes[1]) > 1e-4 * abs(slopes[0]) + 1e-7:
        return None  # a kink nearby: differences say nothing
    apart = abs(slopes[1] - told)
    return (slopes[1], told) if apart > 1e-3 * max(abs(slopes[1]), abs(told)) + 1e-6 else None


def _slope(subject: Subject, own: list[nn.Parameter], steps: list[Tensor], h: float) -> float:
    values = []
    for sign in (h, -h):
        with torch.no_grad():
            for p, s in zip(own, steps):
                p.add_(sign * s)
            values.append(subject.loss(None, subject.x).item())
            for p, s in zip(own, steps):
                p.sub_(sign * s)
    return (values[0] - values[1]) / (2 * h)
