"""The exercises of chapter 11, compression."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_11_grey import LEVELS
from vae_tutorial.checks.compare import Misfit, doubles
from vae_tutorial.checks.core import Exercise, Property, Unmet, keeps_inputs

# ---- a symbol off the stack


def _draw_states(rng: torch.Generator) -> list[tuple[int, list[int], list[int], int]]:
    """States just after a push, for tables of three to six symbols."""
    cases = []
    for b, count in ((4, 4), (5, 3), (6, 6), (3, 5)):
        cuts = torch.randperm(2**b - 1, generator=rng)[: count - 1] + 1
        ends = [0, *sorted(cuts.tolist()), 2**b]
        widths = [high - low for low, high in pairwise(ends)]
        state = int(torch.randint(2**b, 5000, (), generator=rng))
        cases.append((state, ends[:-1], widths, b))
    state, starts, widths, b = cases[0]
    edge = state - state % 2**b + starts[2]  # the first slot of a range
    return [*cases, (edge, starts, widths, b)]


def pop_symbol(state: int, starts: list[int], widths: list[int], b: int) -> tuple[int, int]:
    slot = state % 2**b
    symbol = max((k for k in range(len(starts)) if starts[k] <= slot), default=0)
    return symbol, widths[symbol] * (state // 2**b) + slot - starts[symbol]


def _symbol(answer: Callable[..., Any], *case: Any) -> Any:
    return answer(*case)[0]


def _state(answer: Callable[..., Any], *case: Any) -> Any:
    return answer(*case)[1]


_POP = Exercise(
    name="pop-symbol",
    call_as="pop_symbol(state, starts, widths, b)",
    returns="a pair of whole numbers: the symbol, and the state before it was pushed",
    inputs=_draw_states,
    answer=pop_symbol,
    sizes=lambda state, starts, widths, b: {"b": b, "n": len(starts)},
    properties=(
        Property("the symbol", 2, _symbol, rtol=0, atol=0.1),
        Property("the state before the push", 3, _state, rtol=0, atol=0.1),
        keeps_inputs(),
    ),
    slips=(
        ("slot - starts[symbol]", "slot",
         "The slot counts from 0. Within the symbol's range it counts from the range's start: "
         "subtract it."),
        ("slot - starts[symbol]", "0",
         "The remainder of the division is lost. It is the slot's place within the range."),
        ("widths[symbol] * (state // 2**b)", "state // 2**b",
         "The push divided by the width of the symbol. To undo it, multiply by the width."),
        ("(state // 2**b)", "state",
         "The push multiplied by 2ᵇ. To undo it, divide by 2ᵇ, rounded down."),
        ("slot - starts[symbol]", "slot + starts[symbol]",
         "The push added the start of the range. To undo it, subtract it."),
        ("<= slot", "< slot", "A range includes its first slot: use ≤ there."),
        ("state % 2**b", "state % b",
         "You took the remainder of a division by b. There are 2ᵇ slots."),
    ),
)  # fmt: skip


# ---- whole slots


def _draw_probabilities(rng: torch.Generator) -> list[tuple[Tensor, int]]:
    cases = []
    for count, b in ((5, 10), (3, 9), (20, 12), (7, 3)):
        p = torch.rand(count, generator=rng) ** 3
        p[0] = 0.0
        cases.append((p / p.sum(), b))
    return cases


def slots(p: Tensor, b: int) -> Tensor:
    widths = 1 + torch.floor(p / p.sum() * (2**b - len(p)))
    widths[p.argmax()] += 2**b - widths.sum()
    return widths


def _slots_form(result: Any, p: Tensor, b: int) -> None:
    try:
        widths = doubles(result)
    except (Misfit, TypeError, ValueError):
        raise Unmet(f"{type(result).__name__} came, where {len(p)} whole numbers belong.") from None
    if widths.shape != p.shape:
        raise Unmet(f"{tuple(widths.shape)} came, where (n,) is expected, here {tuple(p.shape)}.")
    if not torch.equal(widths, widths.round()):
        raise Unmet("Not all of the numbers are whole. A slot can't be shared.")


def _widths(answer: Callable[..., Any], p: Tensor, b: int) -> Tensor:
    return doubles(answer(p.clone(), b)).flatten()


def _sums(answer: Callable[..., Any], p: Tensor, b: int) -> bool:
    total = float(_widths(answer, p, b).sum())
    if total != 2**b:
        raise Unmet(
            f"The slots sum to {total:.0f}, where 2ᵇ = {2**b} is expected. Rounding leaves a few "
            "over or takes too many: give the difference to the most probable symbol."
        )
    return True


def _positive(answer: Callable[..., Any], p: Tensor, b: int) -> bool:
    least = float(_widths(answer, p, b).min())
    if least < 1:
        raise Unmet(
            f"A symbol got {least:.0f} slots. Then it could not be coded at all. Give every symbol "
            "one slot before you share the rest."
        )
    return True


def _cheap(answer: Callable[..., Any], p: Tensor, b: int) -> bool:
    p = p.double()
    share = _widths(answer, p, b).clamp(min=1e-9) / 2**b
    excess = float((torch.special.xlogy(p, p) - torch.special.xlogy(p, share)).sum() / math.log(2))
    if excess > 0.02:
        raise Unmet(
            f"Symbols drawn from p cost {excess:.3f} bits more than their entropy. The slots must "
            "be nearly proportional to p."
        )
    return True


_SLOTS = Exercise(
    name="slots",
    call_as="slots(p, b)",
    returns="whole numbers, (n,)",
    inputs=_draw_probabilities,
    answer=slots,
    gate=_slots_form,
    properties=(
        Property("they sum to 2ᵇ", 1, _sums, expected=True),
        Property("every symbol has a slot", 1, _positive, expected=True),
        Property("the code is nearly as short as it can be", 3, _cheap, expected=True,
                 inputs=lambda rng: _draw_probabilities(rng)[:3]),
        keeps_inputs(),
    ),
)  # fmt: skip


# ---- what an image costs


def _draw_model(rng: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
    cases = []
    for batch, count in ((4, 3), (1, 5), (6, 2)):
        log_q = torch.randn(batch, count, generator=rng).log_softmax(1)
        log_pz = torch.randn(count, generator=rng).log_softmax(0)
        cases.append((log_q, log_pz, -3 * torch.rand(batch, count, generator=rng) - 0.1))
    sure = torch.full((3, 4), -math.inf)
    sure[torch.arange(3), torch.randperm(4, generator=rng)[:3]] = 0.0
    log_pz = torch.randn(4, generator=rng).log_softmax(0)
    return [*cases, (sure, log_pz, -torch.rand(3, 4, generator=rng))]


def bits_of(log_q: Tensor, log_pz: Tensor, log_px: Tensor) -> Tensor:
    q = log_q.exp()
    nats = torch.where(q > 0, log_q, 0.0) - log_pz - log_px
    return (q * nats).sum(1) / math.log(2)


_BITS = Exercise(
    name="bits-of",
    call_as="bits_of(log_q, log_pz, log_px)",
    returns="one number for each image, (B,)",
    inputs=_draw_model,
    answer=bits_of,
    sizes=lambda log_q, log_pz, log_px: {"B": len(log_q), "n": len(log_pz)},
    properties=(Property("the expected bits of each image", 5), keeps_inputs()),
    slips=(
        (" / math.log(2)", "", "These are nats. Divide by log 2 for bits."),
        (" / math.log(2)", " * math.log(2)", "To turn nats into bits, divide by log 2."),
        ("torch.where(q > 0, log_q, 0.0) - log_pz", "- log_pz",
         "The bits that z takes from the stack are missing: log q(z | x)."),
        ("torch.where(q > 0, log_q, 0.0)", "-torch.where(q > 0, log_q, 0.0)",
         "z is taken from the stack: −log q bits *less*. So log q has a plus."),
        (" - log_pz - log_px", " - log_px",
         "z is pushed too, under the prior: −log p(z) is missing."),
        (" - log_pz - log_px", " - log_pz",
         "That is the KL to the prior. The image is pushed too: −log p(x | z) is missing."),
        ("(q * nats).sum(1)", "nats.sum(1)", "Weigh each z by its probability under q."),
        ("(q * nats).sum(1)", "(q * nats).mean(1)",
         "You divided by the number of values of z. The weights q already sum to 1."),
        ("(q * nats).sum(1)", "(log_pz.exp() * nats).sum(1)",
         "The expectation is over q(z | x): z is popped by q, not by the prior."),
        ("(q * nats).sum(1) / math.log(2)", "-(q * nats).sum(1) / math.log(2)",
         "That is the ELBO. The stack grows by *minus* the ELBO."),
        ("torch.where(q > 0, log_q, 0.0)", "log_q",
         "Where q is 0, 0 · (−∞) is not a number. Such a z costs nothing: leave it out."),
    ),
)  # fmt: skip

EXERCISES = (_POP, _SLOTS, _BITS, LEVELS)
