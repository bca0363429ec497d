"""Exercise 10.3, finite scalars: levels in every dimension, and one number for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.compare import doubles
from vae_tutorial.checks.core import Exercise, Property, Suspect, Unmet, keeps_inputs


def _draw_scalars(rng: torch.Generator) -> list[tuple[Tensor, tuple[int, ...]]]:
    return [(2 * torch.randn(B, len(levels), generator=rng), levels)
            for B, levels in ((9, (3, 4)), (12, (2, 5, 3)), (7, (6, 2)))]  # fmt: skip


def finite_scalars(h: Tensor, levels: Sequence[int]) -> tuple[Tensor, Tensor]:
    tops = torch.tensor(levels, dtype=h.dtype) - 1
    u = (torch.sigmoid(h) * tops).round()
    z = 2 * u / tops - 1
    codes, place = torch.zeros(len(h), dtype=h.dtype), 1
    for d, L in enumerate(levels):
        codes = codes + u[:, d] * place
        place = place * L
    return z, codes


def _one_to_one(answer: Callable[..., Any], h: Tensor, levels: Sequence[int]) -> bool:
    ends = [torch.linspace(-8, 8, 200, dtype=h.dtype)] * len(levels)
    grid = torch.cartesian_prod(*ends[:2]) if len(levels) == 2 else torch.stack(ends, 1)
    codes = doubles(answer(grid.view(-1, len(levels)), levels)[1])
    if codes.min() < 0 or codes.max() > math.prod(levels) - 1:
        raise Unmet(f"Codes run from 0 to {math.prod(levels) - 1} here; yours from "
                    f"{float(codes.min()):g} to {float(codes.max()):g}.")  # fmt: skip
    if len(levels) == 2 and len(codes.unique()) != math.prod(levels):
        raise Unmet(f"There are {math.prod(levels)} combinations of levels, and you give them "
                    f"{len(codes.unique())} numbers. Each needs its own.")  # fmt: skip
    return True


def _last_fastest(h: Tensor, levels: Sequence[int]) -> tuple[Tensor, Tensor]:
    return finite_scalars(h, levels)[0], finite_scalars(h.flip(1), levels[::-1])[1]


def _in_powers(h: Tensor, levels: Sequence[int]) -> tuple[Tensor, Tensor]:
    z = finite_scalars(h, levels)[0]
    places = torch.tensor([[L**d, L - 1] for d, L in enumerate(levels)], dtype=h.dtype)
    return z, ((z + 1) / 2 * places[:, 1] * places[:, 0]).sum(1)


FINITE_SCALARS = Exercise(
    name="finite-scalars",
    call_as="finite_scalars(h, levels)",
    returns="z, (B, D), and the codes, (B,)",
    inputs=_draw_scalars,
    answer=finite_scalars,
    sizes=lambda h, levels: {"D": h.shape[1], "K": math.prod(levels), "L": levels[0]},
    properties=(
        Property("z between −1 and 1", 3, lambda f, *case: f(*case)[0]),
        Property("the numbers of the codes", 3, lambda f, *case: f(*case)[1]),
        Property("each combination of levels has its own number", 2, _one_to_one, True),
        keeps_inputs(),
    ),
    slips=(
        ("- 1\n", "\n", "With L times the sigmoid you round to L + 1 levels, 0 … L. Take L − 1."),
        (".round()", "", "Nothing is rounded."),
        (".round()", ".floor()",
         "You cut the decimals off. The top level is then hardly ever reached: round."),
        ("z = 2 * u / tops - 1", "z = u", "z is the level itself. It lies between −1 and 1."),
        ("z = 2 * u / tops - 1", "z = u / tops", "z lies between 0 and 1. Stretch it to −1 … 1."),
        ("torch.sigmoid(h)", "((torch.tanh(h) + 1) / 2)",
         "You bounded h by the tanh, which is twice as steep. The exercise has the sigmoid."),
        ("place = place * L", "place = place",
         "You added the levels up, so that different codes get the same number. The place of "
         "dimension d is worth the product of the levels before it."),
        ("place = place * L", "place = place * 10",
         "These are decimal places. The place of dimension d is worth the product of the levels "
         "before it."),
        ("codes = codes + u[:, d] * place\n        place = place * L",
         "place = place * L\n        codes = codes + u[:, d] * place",
         "The place of dimension d is worth the product of the levels before it, without its own."),
        ("(torch.sigmoid(h) * tops).round()", "torch.minimum(h.round().clamp(min=0), tops)",
         "You rounded h itself. First the sigmoid brings it between 0 and 1."),
        ("z = 2 * u / tops - 1", "z = u - tops / 2",
         "z runs from −(L − 1)/2 to (L − 1)/2. Divide by (L − 1)/2 as well."),
    ),
    suspects=(
        Suspect(_last_fastest,
                "The last dimension counts single steps here. It should be the first: the place of "
                "dimension d is worth the product of the levels before it."),
        Suspect(_in_powers,
                "A power of its own number of levels is no place. The place of dimension d is "
                "worth the product of the levels before it."),
    ),
)  # fmt: skip
