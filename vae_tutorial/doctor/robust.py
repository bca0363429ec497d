"""Batches, modes, shapes and extreme values: does the code hold beyond the case it was tried on?"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vae_tutorial.doctor.probe import Probe, moderate
from vae_tutorial.doctor.reconstruction import Term
from vae_tutorial.doctor.record import RANDOM, write
from vae_tutorial.doctor.report import Finding
from vae_tutorial.doctor.sampler import Sampler, same
from vae_tutorial.doctor.subject import Subject

NORMS = (nn.modules.batchnorm._BatchNorm,)
LEAST_COST = 10.0  # nats that a certain mistake must cost: padding of 1e-5 or less
DROPOUTS = (nn.modules.dropout._DropoutNd,)


def shapes(subject: Subject, facts: Sampler) -> list[Finding]:
    """The reconstruction's shape, and batches of other sizes."""
    x, view = subject.x, facts.view
    if view.recon is not None and view.recon.numel() != x.numel():
        one = view.recon.numel() / len(x)
        return [Finding("output-shape", f"{one:g} values for each example in place of "
                        f"{x[0].numel()}: shape {tuple(view.recon.shape)}")]  # fmt: skip
    for size in (3, 5):
        try:
            other = subject.forward(x[:size])
            if subject.has_loss:
                subject.loss(None if subject.whole else other, x[:size])
        except Exception as error:
            return [Finding("fixed-input-size", f"a batch of {size} fails, one of {len(x)} does "
                            f"not: {first_line(error)}")]  # fmt: skip
    return []


def first_line(error: BaseException) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{type(error).__name__}: {text}"[:200]


def modes(subject: Subject) -> list[Finding]:
    """Whether a forward pass and the loss leave the mode and the weights as they are."""
    out = []
    model = subject.model
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for mode in (True, False):
        kept, subject.training = subject.training, mode
        try:
            view = subject.forward(subject.x)
            if subject.has_loss:
                subject.loss(None if subject.whole else view, subject.x)
        except Exception:  # reported elsewhere
            return []
        finally:
            subject.training = kept
        changed = [n for n, m in model.named_modules() if m.training != mode]
        if changed:
            mode_name = "train" if mode else "eval"
            out.append(Finding("mode-changed", f"called in {mode_name} mode, {len(changed)} "
                               "modules are in the other one afterwards"))  # fmt: skip
            break
    moved = [n for n, p in model.named_parameters() if not torch.equal(before[n], p.detach())]
    if moved:
        out.append(Finding("parameters-changed", f"changed: {', '.join(moved[:3])}"))
    return out


def coupling(subject: Subject, facts: Sampler) -> list[Finding]:
    """Whether an example's output depends on the others of its batch."""
    x = subject.x
    other = torch.cat([x[:1], x[1:].flip(0) * 0.5])
    if not x.is_floating_point():
        other = torch.cat([x[:1], x[1:].flip(0)])
    try:
        changed = subject.forward(other)
    except Exception:  # reported elsewhere
        return []
    here = subject.forward(x)

    def first(view) -> list[Tensor]:
        return [t[:1] for t in (view.recon, view.mu, view.scale) if t is not None and t.dim() > 1]

    if all(same(a, b) for a, b in zip(first(here), first(changed))):
        return []
    normed = any(isinstance(m, NORMS) for m in subject.model.modules())
    if normed and subject.training:  # in eval mode it may be gone
        subject.training = False
        try:
            later = coupling(subject, facts)
        finally:
            subject.training = True
        return later or [Finding("batchnorm-in-bound", "in train mode, other examples in the "
                                 "batch change the output of the first one", "note")]  # fmt: skip
    if normed:
        return [Finding("batchnorm-in-bound", "in eval mode, too, other examples in the batch "
                        "change the output of the first one")]  # fmt: skip
    return [Finding("examples-coupled", "other examples in the batch change the output of the "
                    "first one")]  # fmt: skip


def additive(probe: Probe) -> list[Finding]:
    """A loss that adds up over examples: two changes together do what they do one by one."""
    if probe.recon is None or len(probe.x) < 3 or probe.weighted:
        return []
    base = torch.full_like(probe.recon, 0.4)
    parts: dict[str, Tensor] = {"recon": base}
    if probe.view.latent and not probe.subject.whole:
        parts |= {"mu": probe.view.mu.detach(), "scale": probe.view.scale.detach()}
    for name, values in parts.items():
        if values.shape[0] != len(probe.x):
            continue
        losses = []
        for rows in ((), (0,), (1,), (0, 1)):
            changed = values.clone()
            for row in rows:
                changed[row] += 0.35
            losses.append(probe(**{"recon": base, name: changed}))
        apart = abs(losses[3] - losses[1] - losses[2] + losses[0])
        size = abs(losses[1] - losses[0]) + abs(losses[2] - losses[0])
        if apart > 1e-3 * size + 1e-5 * abs(losses[0]):
            return [Finding("examples-coupled", f"changing two examples ({name}) changes the loss "
                            f"by {apart:.3g} more than each alone")]  # fmt: skip
    return []


def saturation(probe: Probe, term: Term | None) -> list[Finding]:
    """The loss where pixels are saturated, rightly and wrongly."""
    if probe.recon is None or term is None:
        return []
    x = probe.x.reshape(probe.recon.shape) if probe.recon.numel() == probe.x.numel() else None
    if x is None:
        return []
    right = (x > 0.5).to(probe.recon.dtype)
    probabilities = (
        term.cost is None or "probabilities" in term.cost or "of a Bernoulli" in (term.cost)
    )
    if term.cost == "Bernoulli from logits":
        tried = {"logits of ±200": 400 * right - 200, "wrong logits of ±200": 200 - 400 * right}
    elif probabilities:
        tried = {"probabilities of exactly 0 and 1": right, "the same, wrong": 1 - right}
    else:
        return []
    of_recon = probe.of_recon()
    for name, recon in tried.items():
        double, probe.double = probe.double, False  # saturation is a matter of float32
        value = of_recon(recon)
        probe.double = double
        if value != value or abs(value) == float("inf"):
            return [Finding("log-saturates", f"with {name} the loss is {value}")]
    if term.cost is None or term.weight <= 0:
        return []
    right_value, wrong_value = (of_recon(recon) for recon in tried.values())
    worst = (wrong_value - right_value) / term.weight / probe.x[0].numel()
    if worst < LEAST_COST:
        return [Finding("log-saturates", f"a pixel that is certainly wrong costs {worst:.2g} nats; "
                        "the logarithm is padded")]  # fmt: skip
    return []


def overflow(probe: Probe, subject: Subject, facts: Sampler, reading: str | None) -> list[Finding]:
    """The loss and z at extreme log-variances, in one entry."""
    if reading not in ("logvar", "log_std") or not probe.sees_latents:
        return []
    high = 80.0 if reading == "logvar" else 40.0
    held = moderate(probe.recon) if probe.recon is not None else None
    if not math.isfinite(probe(recon=held, mu=0.0, scale=0.0)):
        return []  # it is not the extreme that does it
    for extreme in (high, -40.0):
        scale = torch.zeros_like(probe.view.scale)
        scale[..., :1] = torch.where(
            torch.arange(len(scale)).reshape(-1, *[1] * (scale.dim() - 1)) == 0, extreme, 0.0
        ).to(scale.dtype)
        value = probe(recon=held, mu=torch.zeros_like(probe.view.mu), scale=scale)
        if value != value or abs(value) == float("inf"):
            return [Finding("logvar-overflow", f"one log-variance of {extreme:g} makes the loss "
                            f"{value}")]  # fmt: skip
        if facts.z_at is None:
            continue
        _, recorder = subject.watched(subject.x, 0, {facts.scale_at: write(scale)})
        if not torch.isfinite(recorder.tensors[facts.z_at]).all():
            return [Finding("logvar-overflow", f"one log-variance of {extreme:g} makes z "
                            "infinite or NaN")]  # fmt: skip
    return []


def dropout(subject: Subject) -> list[Finding]:
    """Dropout that is active: a note in train mode, a warning in eval mode."""
    for training, severity in ((False, "warning"), (True, "note")):
        kept, subject.training = subject.training, training
        try:
            _, recorder = subject.watched(subject.x)
        finally:
            subject.training = kept
        if any("dropout" in n or "bernoulli" in n for n in recorder.names if _random(n)):
            mode = "train" if training else "eval"
            return [Finding("dropout-in-bound", f"dropout draws noise in {mode} mode", severity)]
    return []


def _random(name: str) -> bool:
    return any(word in name for word in RANDOM)


def silence_dropout(model: nn.Module) -> None:
    for part in model.modules():
        if isinstance(part, DROPOUTS):
            part.p = 0.0


def wake(subject: Subject) -> bool:
    """Heads that start at 0 give μ = 0 and log σ² = 0 for all x, where nothing can be told apart.
    Give weight matrices of the copy that are 0 in every entry ordinary random numbers."""
    view = subject.forward(subject.x)
    if not view.latent or bool(view.mu.any()) or bool(view.scale.any()):
        return False
    blank = [p for p in subject.model.parameters() if p.dim() > 1 and not p.any()]
    generator = torch.Generator().manual_seed(14)
    with torch.no_grad():
        for p in blank:
            noise = torch.randn(p.shape, generator=generator)
            p.copy_(noise / p[0].numel() ** 0.5)
    return bool(blank)


def outputs(subject: Subject, facts: Sampler) -> Tensor:
    """Reconstructions of ordinary and of extreme inputs and latents, for their range."""
    seen = [facts.view.recon.detach().flatten()]
    for factor in (-20.0, 20.0):
        if facts.z_at is not None:
            z = facts.recorder.tensors[facts.z_at]
            noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(4)).to(z.dtype)
            view, _ = subject.watched(subject.x, 0, {facts.z_at: write(factor * noise)})
            seen.append(view.recon.detach().flatten())
    values = torch.cat(seen)
    return values[torch.isfinite(values)]


def dead(subject: Subject, facts: Sampler) -> list[Finding]:
    """Outputs that never change, though the data do."""
    view, x = facts.view, subject.x
    if view.recon is None or view.recon.numel() != x.numel():
        return []
    if facts.z_at is None:
        rows = view.recon.detach().reshape(len(x), -1)
        still = not facts.random and not facts.recon_uses_mu and not facts.recon_uses_scale
        if still and view.latent and bool((rows == rows[:1]).all()):
            return [Finding("dead-outputs", "every input gives the same output")]
        return []
    z = facts.recorder.tensors[facts.z_at]
    rows = [view.recon.detach().reshape(len(x), -1)]
    for seed in (6, 7):
        noise = 3 * torch.randn(z.shape, generator=torch.Generator().manual_seed(seed)).to(z.dtype)
        other, _ = subject.watched(x, 0, {facts.z_at: write(noise)})
        rows.append(other.recon.detach().reshape(len(x), -1))
    recon = torch.cat(rows)
    alive = x.reshape(len(x), -1).double().var(0) > 1e-6
    still = (recon - recon[:1]).abs().max(0).values == 0
    share = (still & alive).sum().item() / max(1, alive.sum().item())
    if share > 0.2:
        return [Finding("dead-outputs", f"{100 * share:.0f} % of the outputs are the same for all "
                        "inputs and all z, where the data vary")]  # fmt: skip
    return []
