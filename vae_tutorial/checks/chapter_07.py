"""The exercises of chapter 7, the clinic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_tutorial.checks.core import Exercise, Property, Unmet, keeps_inputs
from vae_tutorial.checks.patients_07 import CANDIDATES

# ---- ten patients

_SIGNS = {
    "healthy": "then every examination of the chart would give its expected value",
    "shared-head": "then μ and the log-variance would be equal, number by number",
    "logvar-nonnegative": "then no entry of the log-variance would be below 0 for any input",
    "mu-nonnegative": "then no entry of μ would be below 0 for any input",
    "sample-ignores-encoder": "then, with the noise held, two different images would give the "
    "same reconstruction",
    "no-noise": "then two calls on the same image would give the same reconstruction",
    "noise-shared": "then all rows of a batch of equal images would have the same reconstruction",
    "exp-logvar-as-std": "then adding 1 to the log-variance would multiply the distance from "
    "z to μ by e and not by √e",
    "gradient-cut": "then the gradient of the reconstruction term to the encoder's weights would "
    "be None or 0",
    "double-sigmoid": "then the reconstruction would lie between 0 and 1 although the loss wants "
    "logits",
    "target-wrong": "then the loss of a batch would change by more than the noise where its order "
    "changes, or fit better to something else than x",
    "reconstruction-sign": "then perfect logits, 20 · (2x − 1), would have a larger loss than bad "
    "ones",
    "reconstruction-averaged": "then perfect logits would gain 1/784 of the nats that they should",
    "kl-sign": "then the loss would fall where μ moves away from 0",
    "kl-part-missing": "then the KL part of the loss, at μ = 0, would have its minimum somewhere "
    "else than at log σ² = 0",
    "kl-averaged-over-latents": "then μ = 1 in all D = 8 dimensions would cost ½ and not D/2 nats",
}
_EXAMINE = {
    1: "hold the noise, add 1 to the log-variance and look at z, or fit the spread of z to it",
    2: "evaluate the loss at μ = 0 and at μ = 1, with the reconstruction held",
    3: "call backward on the reconstruction term alone and look at the encoder's gradients",
    4: "go through the whole chart; a diagnosis needs a measurement that is off",
    5: "evaluate the loss at two reconstructions with μ and the log-variance held",
    6: "put the same image into all rows of a batch and compare the rows",
    7: "look at the range of the reconstruction, and at the lowest loss that it allows",
    8: "evaluate the loss at μ = 0 for several log-variances",
    9: "give the loss perfect logits for x, one image at a time and then two",
    10: "look at the range of the log-variance over many inputs",
}


def ward() -> dict[int, str]:
    return {
        1: "exp-logvar-as-std",
        2: "kl-averaged-over-latents",
        3: "gradient-cut",
        4: "healthy",
        5: "reconstruction-averaged",
        6: "noise-shared",
        7: "double-sigmoid",
        8: "kl-part-missing",
        9: "target-wrong",
        10: "logvar-nonnegative",
    }


def _diagnosed(number: int) -> Property:
    """One point for the right code; else why this one does not fit, and what to examine."""

    def measure(answer: Callable[..., Any]) -> bool:
        code = answer()[number]
        if code == "?":
            raise Unmet("No diagnosis yet.")
        if code not in CANDIDATES:
            raise Unmet(f"{code!r} is not on the list of candidates.")
        if code != ward()[number]:
            raise Unmet(f"Not {code}: {_SIGNS[code]}. To go on, {_EXAMINE[number]}.")
        return True

    return Property(f"patient {number}", 1, measure, expected=True)


_WARD = Exercise(
    name="ward",
    call_as="diagnoses",
    returns='a dictionary from the numbers 1 to 10 to codes from CANDIDATES, or "?" where you '
    "do not know yet",
    answer=ward,
    properties=tuple(map(_diagnosed, range(1, 11))),
)


# ---- the weight of the KL

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _draw_losses(rng: torch.Generator) -> list[tuple[Loss, Tensor, int]]:
    """Losses with weights of their own, binary images `(B, n)` and latent sizes."""
    cases = []
    for batch, pixels, latents in ((6, 20, 3), (5, 12, 4), (3, 30, 2)):
        weights = 0.2 + 3 * torch.rand(2, generator=rng)
        x = torch.rand(batch, pixels, generator=rng).round()
        cases.append((_weighted(*weights.tolist()), x, latents))
    return cases


def _weighted(first: float, second: float) -> Loss:
    """A loss that has `first` × cross-entropy and `second` × KL, averaged over the batch."""

    def loss(logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        each = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
        return (first * each + second * kl).mean()

    return loss


def effective_beta(loss: Loss, x: Tensor, latents: int) -> Tensor:
    zero = torch.zeros(len(x), latents, dtype=x.dtype)
    even, sure = torch.zeros_like(x), 20 * (2 * x - 1)
    kl = loss(even, x, zero + 1, zero) - loss(even, x, zero, zero)
    error = loss(even, x, zero, zero) - loss(sure, x, zero, zero)
    honest = F.softplus(even).sum(1).mean() - F.softplus(torch.full_like(x, -20)).sum(1).mean()
    return (kl / (latents / 2)) / (error / honest)


_BETA = Exercise(
    name="effective-beta",
    call_as="effective_beta(loss, x, latents)",
    returns="one number",
    inputs=_draw_losses,
    answer=effective_beta,
    sizes=lambda loss, x, latents: {"n": x.shape[1], "D": latents, "B": len(x)},
    properties=(
        Property("the weight of the KL over the weight of the reconstruction", 5, rtol=1e-3),
        keeps_inputs(),
    ),
    slips=(
        ("(kl / (latents / 2)) / (error / honest)", "kl / (latents / 2)",
         "That is the weight of the KL alone. A factor in front of everything changes nothing: "
         "divide by the weight of the reconstruction."),
        ("(kl / (latents / 2)) / (error / honest)", "(error / honest) / (kl / (latents / 2))",
         "That is 1/β: the weight of the KL goes on top."),
        ("kl / (latents / 2)", "kl / (1 / 2)",
         "The honest KL of μ = 1 is ½ for each latent dimension: D/2 for all, not ½."),
        ("kl / (latents / 2)", "kl / latents",
         "The honest KL of μ = 1 is ½ for each latent dimension, not 1."),
        ("error / honest", "error",
         "You compared the KL with what it should be, but not the reconstruction: divide its "
         "change by the change in nats that an honest cross-entropy has."),
    ),
)  # fmt: skip


# ---- does the encoder matter?

_NOISE = (
    "This model draws z from a fixed distribution. If you compare two calls, they differ by their "
    "noise alone: seed it alike before each."
)
_KINDS = {
    "both": (True, "This model does z = μ + σε: its encoder matters."),
    "mean": (True, "In this model z = μ: its encoder matters."),
    "prior": (False, _NOISE),
    "spread": (True, "In this model only σ reaches z. Compare reconstructions with the noise held, "
               "not their means."),
    "fixed": (False, _NOISE),
    "cut": (True, "This model's z depends on x, but no gradient flows. Compare values, and leave "
            "gradients to another examination."),
    "idle": (False, "This model multiplies μ by 0: a gradient flows, but z is the same for all x. "
             "Compare values, and leave gradients to another examination."),
}  # fmt: skip
"""What is right for each kind of model, and what is said of another answer."""


class _Small(nn.Module):
    """A VAE on ten numbers whose sampler is one of several."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.encoder, self.decoder = nn.Linear(10, 6), nn.Linear(3, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encoder(x).chunk(2, 1)
        eps = torch.randn_like(mu)
        z = {
            "both": mu + torch.exp(0.5 * logvar) * eps,
            "prior": eps,
            "mean": mu,
            "spread": torch.exp(0.5 * logvar) * eps,
            "cut": (mu + torch.exp(0.5 * logvar) * eps).detach(),
            "fixed": 0.5 * eps + 1,
            "idle": 0.0 * mu + eps,
        }[self.kind]
        return self.decoder(z), mu, logvar


def _draw_models(
    rng: torch.Generator, kinds: Sequence[str] = tuple(_KINDS)
) -> list[tuple[nn.Module, Tensor]]:
    return [(_Small(kind).to(torch.float64), torch.randn(8, 10, generator=rng).double())
            for kind in kinds]  # fmt: skip


def uses_encoder(model: nn.Module, x: Tensor) -> bool:
    found = []
    for images in (x, 1 - x):
        torch.manual_seed(0)
        found.append(model(images)[0])
    return not torch.equal(*found)


def _told_apart(text: str, points: int, *kinds: str) -> Property:
    """Right for all of these kinds. Both answers are among them: who always says one gets none."""

    def measure(answer: Callable[..., Any], model: nn.Module, x: Tensor) -> bool:
        got = answer(model, x)
        if isinstance(got, Tensor):
            got = got.item()
        right, hint = _KINDS[model.kind]
        if bool(got) is not right:
            raise Unmet(hint)
        return True

    return Property(text, points, measure, True, lambda rng: _draw_models(rng, kinds))


_USES = Exercise(
    name="uses-encoder",
    call_as="uses_encoder(model, x)",
    returns="True or False",
    inputs=_draw_models,
    answer=uses_encoder,
    properties=(
        _told_apart("a healthy VAE uses its encoder, and one with z from the prior does not", 5,
                    "both", "mean", "prior"),
        _told_apart("it is enough that the spread of z depends on x; a fixed spread does not count",
                    2, "spread", "fixed"),
        _told_apart("what counts is the value of z, and not whether a gradient flows", 2,
                    "cut", "idle"),
        keeps_inputs(),
    ),
)  # fmt: skip

EXERCISES = (_WARD, _BETA, _USES)
