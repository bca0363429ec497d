"""The order of the examinations, and what happens where one of them fails."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.data.strokes import draw_strokes
from vae_tutorial.doctor import (
    collapse,
    gradients,
    importance,
    kl,
    loop,
    reconstruction,
    robust,
    sampler,
    target,
    weights,
)
from vae_tutorial.doctor.probe import Probe
from vae_tutorial.doctor.report import Finding, Report
from vae_tutorial.doctor.subject import Subject, random_states_kept

BATCH = 16
EXACT, NOISY = 1e-4, 0.08  # misfits that count as none, without and with noise in the loss


def examine(
    model: nn.Module,
    loss: Callable[..., Any] | None = None,
    data: Any = None,
    *,
    beta: float | None = 1.0,
    epoch: Callable[..., Any] | None = None,
    adapter: Callable[[nn.Module, Tensor], Any] | None = None,
    seed: int = 0,
) -> Report:
    """Look for what is wrong with a VAE that somebody else wrote; nothing is trained.

    - `model(x)` returns a reconstruction or logits, μ and the log-variance `(B, D)`: a tuple, a
      dictionary or a small object. A model with `encode` and `decode`, and the book's own, will
      do too; for anything else, `adapter(model, x)` returns a dictionary with `recon`, `mu` and
      `logvar` (or `std`, `log_std`), and `z` and `log_weights` where there are any.
    - `loss(output, x)` is what is minimised; `loss(recon, x, mu, logvar)` in any order of these
      names, `loss(model, x)`, or the model's own `loss_function` are called as they want to be.
    - `data` is a batch `(B, …)`, a few dozen examples; by default binary stroke
      digits, 28 × 28.
    - `beta` is the weight of the KL that was meant; None leaves the weight unjudged.
    - `epoch(model, batches, optimiser, scheduler)` runs one epoch of training over a list of
      batches and returns the loss that it reports.

    The model is copied: weights, buffers, gradients, mode and random states stay as they were.
    An error in the model is a finding, and never raised. Raises `TypeError` for a `model` that
    is no module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    report = Report()
    with random_states_kept(), warnings.catch_warnings(), torch.enable_grad(), _kept(model):
        warnings.simplefilter("ignore")
        try:
            x = batch_of(data, seed)
            subject = Subject(model, loss, x, adapter)
        except Exception as error:
            report.findings.append(Finding("exception", robust.first_line(error)))
            return report
        whole = data if isinstance(data, Tensor) else None
        try:
            _Examination(subject, report, beta, epoch, whole).run()
        except Exception as error:  # outside every single examination
            report.findings.append(Finding("exception", robust.first_line(error)))
    report.sort()
    return report


def batch_of(data: Any, seed: int) -> Tensor:
    """A batch of at most `BATCH` examples, an even number of them."""
    if data is None:
        data = (draw_strokes(BATCH, seed).images.float() / 255).round()
    if hasattr(data, "images"):
        data = data.images
    if not isinstance(data, Tensor):
        data = torch.as_tensor(data)
    if data.dtype == torch.uint8:
        data = data.float() / 255
    few = data[:BATCH].detach().clone()  # edits in place must not reach the owner's data
    return few[: len(few) // 2 * 2] if len(few) > 1 else few


@contextlib.contextmanager
def _kept(model: nn.Module) -> Iterator[None]:
    """Put weights, buffers, gradients and modes back, even of a model that cannot be copied."""
    tensors = [t for t in [*model.parameters(), *model.buffers()] if _has_numbers(t)]
    state = [t.detach().clone() for t in tensors]
    grads = [(p, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    modes = [(m, m.training) for m in model.modules()]
    dtype = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        with torch.no_grad():
            for tensor, before in zip(tensors, state):
                if tensor.shape == before.shape and not torch.equal(tensor, before):
                    tensor.copy_(before)
        for parameter, grad in grads:
            parameter.grad = grad
        for module, mode in modes:
            module.training = mode


def _has_numbers(tensor: Tensor) -> bool:
    """Neither on the meta device, nor a lazy module's weight before its first call."""
    lazy = isinstance(tensor, nn.parameter.UninitializedTensorMixin)
    return not lazy and not tensor.is_meta


class _Examination:
    """One patient, from the first forward pass to the last note."""

    def __init__(
        self, subject: Subject, report: Report, beta: float | None,
        epoch: Callable[..., Any] | None, all_data: Tensor | None,
    ) -> None:  # fmt: skip
        self.all_data = all_data
        self.subject, self.report, self.beta, self.epoch = subject, report, beta, epoch

    def look(self, name: str, examination: Callable[[], Any]) -> Any:
        """Run one examination; an error in it is noted, and the others go on."""
        try:
            result = examination()
        except Exception as error:  # a broken patient must not end the examination
            self.report.left_out.append(f"{name} ({robust.first_line(error)})")
            return None
        self.report.examined.append(name)
        if isinstance(result, list):
            self.report.findings += result
        return result

    def run(self) -> None:
        subject = self.subject
        if not self._starts():
            return
        self.look("dropout", lambda: robust.dropout(subject))
        robust.silence_dropout(subject.model)
        woken = self.look("heads at 0", lambda: robust.wake(subject))
        facts = self.look("noise", lambda: sampler.study(subject))
        if facts is None:
            return
        self.look("sampler", lambda: sampler.findings(subject, facts))
        self.look("eval mode", lambda: sampler.evaluation(subject, facts))
        self.look("shapes", lambda: robust.shapes(subject, facts))
        self.look("modes", lambda: robust.modes(subject))
        self.look("batch", lambda: robust.coupling(subject, facts))
        self.look("gradients", lambda: gradients.findings(subject, facts))
        self.look("dead outputs", lambda: robust.dead(subject, facts))
        if not woken:
            self.look("collapse", lambda: collapse.findings(subject, facts))
        if subject.has_loss:
            self._loss(facts)
        if self.epoch is not None:
            self.look("loop", lambda: loop.findings(subject, self.epoch))

    def _starts(self) -> bool:
        """The first forward pass and the first loss: an exception in them ends it all."""
        subject = self.subject
        before = _weights(subject)
        try:
            view = subject.forward(subject.x)
        except Exception as error:
            self.report.findings.append(self._first_failure(error))
            return False
        if not subject.has_loss:
            return True
        try:
            value = subject.loss(None if subject.whole else view, subject.x)
        except Exception as error:
            self.report.findings.append(Finding(*why_it_fails(error, view, subject.x)))
            return False
        after = _weights(subject)
        moved = [n for n, w in before.items() if n in after and not torch.equal(w, after[n])]
        if moved:
            self.report.findings.append(Finding(
                "parameters-changed", f"one forward pass and one loss change {', '.join(moved[:3])}"
            ))  # fmt: skip
        extreme = _not_finite(view, value.item())
        if not torch.isfinite(value) or extreme.code == "logvar-overflow":
            self.report.findings.append(extreme)
        return True

    def _first_failure(self, error: Exception) -> Finding:
        """An exception on a part of the data may come from a batch size that is written down."""
        subject = self.subject
        if self.all_data is not None and len(self.all_data) > len(subject.x):
            try:
                subject.forward(self.all_data)
            except Exception:  # then the size is not the reason
                pass
            else:
                text = f"a batch of {len(subject.x)} fails, one of {len(self.all_data)} does not"
                return Finding("fixed-input-size", f"{text}: {robust.first_line(error)}")
        return Finding(*why_it_fails(error, None, subject.x))

    def _loss(self, facts: sampler.Sampler) -> None:
        subject, x = self.subject, self.subject.x
        self.look("unused weights", lambda: gradients.unused(subject))
        probe = self.look("loss", lambda: Probe(subject, x, facts.reading))
        half = self.look("half a batch", lambda: Probe(subject, x[: len(x) // 2], facts.reading))
        if probe is None:
            return
        tolerance = NOISY if probe.noisy else EXACT
        self.look("importance weights", lambda: importance.findings(probe))
        self.weighted = facts.view.log_weights is not None or probe.weighted
        several = any(code.startswith("iwae") for code in self.report.codes)
        if self.weighted or several:  # such a loss is no sum of two terms
            return
        self.look("target", lambda: _target(probe))
        term, half_term = self._terms(probe, half, facts)
        unknown = term is not None and term.misfit > reconstruction.SAME
        if unknown and "target-wrong" not in self.report.codes:
            self.look("target read off", lambda: target.findings(probe))
        found, half_found = self._kl(probe, half, facts, tolerance)
        if subject.whole and found is not None and found.misfit < tolerance and not self.weighted:
            self.look("gradients of the loss", lambda: gradients.by_differences(subject))
        reading = facts.reading if found is None else found.reading
        self.look("saturation", lambda: robust.saturation(probe, term))
        self.look("overflow", lambda: robust.overflow(probe, subject, facts, reading))
        self.look("additivity", lambda: robust.additive(probe))
        complete = all(t is not None for t in (term, half_term, found, half_found))
        if not complete or term.cost is None or found.square <= 0 or term.weight <= 0:
            return
        if term.misfit < 1e-3 and found.misfit < tolerance:
            latents = probe.view.mu[0].numel()
            measured = weights.measure(term, half_term, found, half_found, x, latents)
            self.report.measured["likelihood"] = term.cost
            self.report.measured["beta"] = round(measured.beta, 6)
            judged = None if found.free_bits else self.beta
            self.look("weights", lambda: weights.findings(measured, judged))
            self.look("constant", lambda: _constant(term, found, measured, probe))

    def _terms(self, probe: Probe, half: Probe | None, facts: sampler.Sampler):
        def studied(p: Probe) -> reconstruction.Term | None:
            return reconstruction.match(p.of_recon(), p.recon, p.x)

        if probe.recon is None or probe.recon.numel() != probe.x.numel():
            return None, None
        term = self.look("reconstruction", lambda: studied(probe))
        if "reconstruction" in self.report.examined:
            self.look("likelihood", lambda: reconstruction.findings(
                term, probe.of_recon(), probe.recon, probe.x
            ))  # fmt: skip
            if not self.subject.whole:
                self.look("range", lambda: reconstruction.range_findings(
                    term, robust.outputs(self.subject, facts)
                ))  # fmt: skip
        return term, self.look("half", lambda: studied(half)) if half is not None else None

    def _kl(self, probe, half, facts, tolerance):
        if not probe.sees_latents or (facts.derived and self.subject.whole):
            return None, None
        kind = probe.view.kind
        found = self.look("kl", lambda: kl.fit(probe.of_latents(), kind, facts.reading, tolerance))
        if found is None:
            return None, None
        declared = self.beta is not None  # else the KL may have any shape: free bits, a mixture
        if declared or (found.misfit <= tolerance and not probe.noisy):
            self.look("kl terms", lambda: kl.findings(found, tolerance, facts.reading, kind))
        plain = self.beta is not None and not found.absent and not found.free_bits
        if plain and not probe.noisy and found.misfit <= tolerance:
            latents = probe.view.mu.shape[-1]
            self.look("kl of each latent", lambda: kl.uneven(probe.of_one_latent(), latents))
        if half is None or not half.sees_latents:
            return found, None
        again = self.look("kl of half a batch", lambda: kl.fit(
            half.of_latents(), kind, facts.reading, tolerance
        ))  # fmt: skip
        return found, again


def _target(probe: Probe) -> list[Finding]:
    if probe.depends_on_x():
        return []
    return [Finding("target-wrong", "other data, with the outputs held, leave the loss as it is")]


def _constant(term, found, measured, probe) -> list[Finding]:
    """What is left of the loss where q is the prior, the reconstruction's cost taken off."""
    if probe.noisy or found.free_bits or not (term.bernoulli or measured.free_scale):
        return []
    left = term.offset - measured.constant
    unit = measured.kl * len(probe.x) ** measured.kl_batch / 2  # ½ for each latent
    whole = abs(abs(left) / (unit * measured.latents) - 1) < 0.02
    if whole or (term.bernoulli and abs(left) > 0.2 * unit):
        return [Finding("kl-constant", f"where q is the prior, the KL is {left:.3g}; expected 0")]
    return []


def _weights(subject: Subject) -> dict[str, Tensor]:
    """The weights of the copy and of the owner's model, which a closure may hold."""
    both = {"": subject.model, "(the model that the loss holds) ": subject.original}
    return {
        prefix + name: p.detach().clone()
        for prefix, model in both.items()
        for name, p in model.named_parameters()
        if _has_numbers(p)
    }


def _not_finite(view: Any, value: float) -> Finding:
    """NaN or infinity: because of a log-variance out of range, or for another reason."""
    scale = getattr(view, "scale", None)
    if scale is not None and scale.numel() and view.kind in ("unknown", "logvar", "log_std"):
        largest = scale.detach().abs().max().item()
        if gradients.EXTREME < largest < float("inf"):
            return Finding("logvar-overflow", f"log-variances as large as {largest:.3g} make the "
                           f"loss {value}")  # fmt: skip
    return Finding("non-finite", f"the loss is {value}")


def why_it_fails(error: Exception, view: Any, x: Tensor) -> tuple[str, str]:
    """The code for an exception on ordinary data."""
    text = robust.first_line(error)
    low = text.lower()
    between = "between 0 and 1" in low
    if between and (x.min() < 0 or x.max() > 1):
        return "data-out-of-range", text
    recon = getattr(view, "recon", None)
    if recon is not None and not torch.isfinite(recon).all():
        found = _not_finite(view, float("nan"))
        return found.code, f"{found.evidence}: {text}"
    if between:
        return "logits-as-probabilities", text
    if recon is not None and recon.numel() != x.numel():
        return "output-shape", f"shape {tuple(recon.shape)} for {tuple(x.shape)}: {text}"
    frames, at = [], error.__traceback__
    while at is not None:
        frames.append(at.tb_frame.f_code.co_name.lower())
        at = at.tb_next
    if "is invalid for input of size" in low:
        return "fixed-input-size", text
    if "mat1 and mat2" in low or "size mismatch" in low or "to have" in low:
        decoding = any("decod" in name for name in frames)
        return ("encode-decode-mismatch" if decoding else "exception"), text
    return "exception", text
