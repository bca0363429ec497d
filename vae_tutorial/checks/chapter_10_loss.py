"""Exercise 10.5, a loss whose gradient is the leave-one-out estimate. Checked by its gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vae_tutorial.checks.core import Exercise, Property, Unmet, keeps_inputs
from vae_tutorial.checks.measures import stacked


def _draw(rng: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
    cases = []
    for S, B in ((3, 4), (2, 5), (5, 2)):
        log_px = -20 * torch.rand(S, B, generator=rng)
        log_q = -3 * torch.rand(S, B, generator=rng)
        cases.append((log_px, log_q, 2 * torch.rand(B, generator=rng)))
    return cases


def code_loss(log_px: Tensor, log_q: Tensor, kl: Tensor) -> Tensor:
    values = log_px.detach()
    S = len(values)
    others = (values.sum(0) - values) / (S - 1)
    score = ((values - others) * log_q).mean(0)
    return kl - log_px.mean(0) - score


def _gradients(answer: Callable[..., Tensor], *case: Tensor) -> list[Tensor]:
    leaves = [each.detach().clone().requires_grad_() for each in case]
    loss = stacked(answer(*leaves))
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        raise Unmet("No gradient leaves the loss: return a tensor that depends on the arguments.")
    found = torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves)]


def _to_scores(answer: Callable[..., Tensor], *case: Tensor) -> Tensor:
    slope = _gradients(answer, *case)[1]
    if not slope.any():
        raise Unmet(
            "No gradient reaches log_q, and the encoder's choice would learn from the KL alone. "
            "Multiply log_q by the (detached) advantage."
        )
    return slope


def _to_decoder(answer: Callable[..., Tensor], *case: Tensor) -> Tensor:
    slope = _gradients(answer, *case)[0]
    wanted = torch.full_like(slope, -1 / len(slope))
    if not torch.allclose(slope, wanted, rtol=1e-3):
        if not slope.any():
            raise Unmet("No gradient reaches log_px: the decoder would not learn.")
        if torch.allclose(slope, wanted * len(slope)):
            raise Unmet("log_px is summed over the S samples. Take the mean.")
        if torch.allclose(slope, -wanted):
            raise Unmet("The sign of log_px: a loss falls where log p(x | z) rises.")
        raise Unmet(
            "The gradient with respect to log_px should be −1/S in every entry. If yours depends "
            "on log_q, the advantage is not detached: the decoder is then trained by the score."
        )
    return slope


def _to_kl(answer: Callable[..., Tensor], *case: Tensor) -> Tensor:
    slope = _gradients(answer, *case)[2]
    if not slope.any():
        raise Unmet("No gradient reaches the KL: it is missing from the loss, or detached.")
    return slope


CODE_LOSS = Exercise(
    name="code-loss",
    call_as="code_loss(log_px, log_q, kl)",
    returns="one loss for each image, (B,)",
    inputs=_draw,
    answer=code_loss,
    sizes=lambda log_px, log_q, kl: {"S": len(log_px), "B": len(kl)},
    gate=lambda result, log_px, log_q, kl: _shape(result, kl),
    properties=(
        Property("the gradient at log_q: minus the advantage, over S", 4, _to_scores, rtol=1e-3),
        Property("the gradient at log_px: −1/S", 2, _to_decoder, rtol=1e-3),
        Property(
            "the gradient at the KL: 1",
            1,
            _to_kl,
            lambda log_px, log_q, kl: torch.ones_like(kl),
        ),
        keeps_inputs(),
    ),
    slips=(
        ("(values.sum(0) - values) / (S - 1)", "values.mean(0)",
         "The baseline is the mean of all S. A sample's own value is in it, which shrinks the "
         "estimate by (S − 1)/S: take the mean of the others."),
        ("(values - others)", "values", "There is no baseline: subtract the mean of the others."),
        ("- score", "+ score", "The sign of the score term: a loss falls where the ELBO rises."),
        ("* log_q).mean(0)", "* log_q).sum(0)", "The score term is summed over the S samples. "
         "Take the mean, as for log_px."),
        ("* log_q)", "* log_q.exp())", "Take log_q, not q: the score is the gradient of log q."),
        ("(values.sum(0) - values) / (S - 1)", "values.mean(1, keepdim=True)",
         "Your baseline is the mean over images. It is the mean over the other samples of the "
         "same image."),
    ),
)  # fmt: skip


def _shape(result: object, kl: Tensor) -> None:
    loss = stacked(result)
    if not isinstance(loss, Tensor):
        raise Unmet(
            f"a tensor (B,) is expected, since gradients are needed; {type(result).__name__} came."
        )
    if loss.shape != kl.shape:
        raise Unmet(f"a tensor of shape {tuple(loss.shape)} came, where (B,) = "
                    f"{tuple(kl.shape)} is expected: mean over the samples, not over "
                    "images.")  # fmt: skip
