"""Exercise 10.4, the bound of a model with codes in bits per dimension."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs


def _draw_costs(rng: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor, int]]:
    cases = []
    for B, P, K, pixels in ((5, 3, 4, 20), (2, 6, 3, 50), (7, 2, 5, 12)):
        log_px = -10 * torch.rand(B, generator=rng) - 1
        logits = 2 * torch.randn(B, P, K, generator=rng)
        cases.append((log_px, logits, torch.randint(0, K, (B, P), generator=rng), pixels))
    return cases


def bits_per_dimension(log_px: Tensor, prior_logits: Tensor, codes: Tensor, pixels: int) -> Tensor:
    log_p = prior_logits.log_softmax(-1)
    log_pz = log_p.gather(-1, codes[..., None]).squeeze(-1).sum(-1)
    return -(log_px + log_pz).mean() / (pixels * math.log(2))


CODE_BITS = Exercise(
    name="code-bits",
    call_as="bits_per_dimension(log_px, prior_logits, codes, pixels)",
    returns="one number",
    inputs=_draw_costs,
    answer=bits_per_dimension,
    sizes=lambda log_px, logits, codes, pixels: {
        "B": len(log_px), "P": codes.shape[1], "K": logits.shape[2], "n": pixels,
    },
    properties=(
        Property("the bound, in bits per dimension", 5),
        keeps_inputs(),
    ),
    slips=(
        ("prior_logits.log_softmax(-1)", "prior_logits",
         "These are logits, not log-probabilities: they need a log_softmax over the K values."),
        ("log_softmax(-1)", "log_softmax(1)",
         "You normalised over the positions. The K values of a position share its probability."),
        ("prior_logits.log_softmax(-1)", "prior_logits.softmax(-1)",
         "These are probabilities. The cost of a code is minus the logarithm of its probability."),
        ("log_p.gather(-1, codes[..., None]).squeeze(-1)", "log_p.amax(-1)",
         "That is the cost of the likeliest code. Look up the code that came: gather."),
        ("log_p.gather(-1, codes[..., None]).squeeze(-1)", "(log_p.exp() * log_p).sum(-1)",
         "That is the prior's entropy, the cost of a code on average. Look up the code that came."),
        (".squeeze(-1).sum(-1)", ".squeeze(-1).mean(-1)",
         "The code's log-probability is the sum over its positions, not the mean."),
        ("log_px + log_pz", "log_px",
         "The code has to be sent too: its log-probability is missing."),
        ("log_px + log_pz", "log_px - log_pz",
         "The sign of the code's part: both log-probabilities are negative, both cost bits."),
        ("log_px + log_pz", "log_pz",
         "That is the code alone. The pixels given the code are missing."),
        ("-(log_px + log_pz).mean() / (pixels * math.log(2))",
         "-(log_px + log_pz / pixels).mean() / math.log(2)",
         "Only the code's bits are divided by the pixels. Divide both parts."),
        ("(pixels * math.log(2))", "pixels * math.log(2)",
         "You multiplied by log 2. A nat is 1 / log 2 = 1.44 bits: divide."),
        (" * math.log(2)", "", "That is in nats: divide by log 2."),
        ("pixels * math.log(2)", "math.log(2)", "That is bits per image: divide by the pixels."),
        ("-(log_px", "(log_px", "The sign: a cost is minus a log-probability."),
    ),
    suspects=(
        Suspect(
            lambda log_px, logits, codes, pixels: -(
                log_px - codes.shape[1] * math.log(logits.shape[2])
            ).mean() / (pixels * math.log(2)),
            "That is the uniform prior, P log K for every code. Use the prior's logits.",
        ),
    ),
)  # fmt: skip
