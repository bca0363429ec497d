"""The exercises of chapter 13, recommendation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.compare import Misfit, doubles
from vae_tutorial.checks.core import Exercise, Property, Suspect, Unmet, keeps_inputs

# ---- a list and what it should have found


def _draw_lists(rng: torch.Generator) -> list[tuple[Tensor, Tensor, int]]:
    """Rankings of all items, the hidden ones among them, and a length."""
    cases = []
    for items, count, k in ((12, 3, 5), (20, 8, 4), (9, 2, 6), (30, 5, 10)):
        ranking = torch.randperm(items, generator=rng)
        found = ranking[torch.randperm(k, generator=rng)[:2]]  # at least two hits
        others = ranking[k:][torch.randperm(items - k, generator=rng)[: count - 2]]
        cases.append((ranking, torch.cat([others, found]), k))
    return cases


def ndcg_at(ranking: Tensor, hidden: Tensor, k: int) -> Tensor:
    hits = torch.isin(ranking[:k], hidden).double()
    discount = 1 / torch.log2(torch.arange(2, k + 2).double())
    return (hits * discount).sum() / discount[: len(hidden)].sum()


def _ndcg_of_all(ranking: Tensor, hidden: Tensor, k: int) -> Tensor:
    return ndcg_at(ranking, hidden, len(ranking))


def _natural_places(ranking: Tensor, hidden: Tensor, k: int) -> Tensor:
    hits = torch.isin(ranking[:k], hidden).double()
    discount = 1 / torch.arange(1, k + 1).double()
    return (hits * discount).sum() / discount[: len(hidden)].sum()


def _precision(ranking: Tensor, hidden: Tensor, k: int) -> Tensor:
    return torch.isin(ranking[:k], hidden).double().mean()


def _recall_at(ranking: Tensor, hidden: Tensor, k: int) -> Tensor:
    return torch.isin(ranking[:k], hidden).double().sum() / min(k, len(hidden))


def _places_of_hidden(ranking: Tensor, hidden: Tensor, k: int) -> Tensor:
    hits = torch.isin(hidden[:k], ranking[:k]).double()
    discount = 1 / torch.log2(torch.arange(2, len(hits) + 2).double())
    return (hits * discount).sum() / discount.sum()


def _from_one(ranking: Tensor, hidden: Tensor, k: int) -> Tensor:
    hits = torch.isin(ranking[:k], hidden).double()
    discount = 1 / torch.log2(torch.arange(3, k + 3).double())
    return (hits * discount).sum() / discount[: len(hidden)].sum()


_NDCG = Exercise(
    name="ndcg-at",
    call_as="ndcg_at(ranking, hidden, k)",
    returns="one number, from 0 to 1",
    inputs=_draw_lists,
    answer=ndcg_at,
    sizes=lambda ranking, hidden, k: {"k": k, "the number of hidden items": len(hidden)},
    properties=(Property("the NDCG of each list", 5), keeps_inputs()),
    slips=(
        (" / discount[: len(hidden)].sum()", "",
         "This is DCG. Divide by the DCG of an ideal list, with all hidden items at the top."),
        ("discount[: len(hidden)].sum()", "discount.sum()",
         "Your ideal list has k hits. There are only as many hits as hidden items."),
        ("discount[: len(hidden)].sum()", "len(hidden)",
         "You divided by the number of hidden items. Even an ideal list gets less than one for "
         "each: divide by its DCG."),
    ),
    suspects=(
        Suspect(_ndcg_of_all, "You counted hits after place k. The list ends there."),
        Suspect(_natural_places, "You weigh place r by 1 / r. NDCG has 1 / log₂(r + 1)."),
        Suspect(_precision, "This is the share of hits in the list, whatever their places."),
        Suspect(_recall_at, "This is recall: all places count alike. NDCG has 1 / log₂(r + 1)."),
        Suspect(_places_of_hidden,
                "The places are those in `ranking`. The order of `hidden` says nothing."),
        Suspect(_from_one,
                "The first place must count 1 = 1 / log₂ 2. Your places begin one too late."),
    ),
)  # fmt: skip


# ---- the multinomial


def _draw_baskets(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    cases = []
    for batch, items in ((4, 6), (1, 9), (5, 3)):
        x = (torch.rand(batch, items, generator=rng) < 0.5).float()
        x[:, 0] = torch.randint(1, 4, (batch,), generator=rng).float()
        cases.append((2 * torch.randn(batch, items, generator=rng) - 1, x))
    return cases


def basket_log_px(logits: Tensor, x: Tensor) -> Tensor:
    return (x * logits.log_softmax(-1)).sum(-1)


_BASKET = Exercise(
    name="basket-log-px",
    call_as="basket_log_px(logits, x)",
    returns="one number for each user, (B,)",
    inputs=_draw_baskets,
    answer=basket_log_px,
    sizes=lambda logits, x: {"B": len(x), "I": x.shape[1]},
    properties=(Property("log p(x | z) of each user", 5), keeps_inputs()),
    slips=(
        ("logits.log_softmax(-1)", "logits",
         "Logits are no log-probabilities yet: π must sum to 1. Take log_softmax."),
        ("logits.log_softmax(-1)", "logits.softmax(-1)",
         "You summed probabilities. The likelihood is a product: sum their logarithms."),
        ("logits.log_softmax(-1)", "torch.nn.functional.logsigmoid(logits)",
         "That is one coin for each film. Here the films compete for one total of 1: softmax."),
        ("logits.log_softmax(-1)", "logits.log_softmax(0)",
         "You normalised over the users. Probabilities sum to 1 over the films of each user."),
        (".sum(-1)", ".mean(-1)", "Sum over films: a mean would hide a factor I from the KL."),
        ("(x * logits.log_softmax(-1)).sum(-1)",
         "(x * logits.log_softmax(-1)).sum(-1) / x.sum(-1)",
         "You divided by the number of films that the user liked. Every film counts in full."),
        ("(x * logits.log_softmax(-1)).sum(-1)", "-(x * logits.log_softmax(-1)).sum(-1)",
         "This is the loss. The log-likelihood is not above 0."),
        ("(x * logits.log_softmax(-1)).sum(-1)",
         "(x * torch.nn.functional.logsigmoid(logits) "
         "+ (1 - x) * torch.nn.functional.logsigmoid(-logits)).sum(-1)",
         "That is the Bernoulli likelihood, in which a film not liked counts against its logit."),
        (".sum(-1)", ".sum()", "Keep one number for each user: sum over films only."),
    ),
)  # fmt: skip


# ---- EASE


def _draw_tables(rng: torch.Generator) -> list[tuple[Tensor, float]]:
    cases = []
    for users, items, strength in ((30, 6, 5.0), (12, 4, 1.5), (40, 9, 3.0)):
        cases.append(((torch.rand(users, items, generator=rng) < 0.4).float(), strength))
    return cases


def ease_weights(X: Tensor, strength: float) -> Tensor:
    P = torch.linalg.inv(X.T @ X + strength * torch.eye(X.shape[1], dtype=X.dtype))
    return torch.eye(X.shape[1], dtype=X.dtype) - P / P.diagonal()


def _ease_form(result: Any, X: Tensor, strength: float) -> None:
    size = X.shape[1]
    try:
        shape = doubles(result).shape
    except (Misfit, TypeError, ValueError):
        raise Unmet(f"{type(result).__name__} came, where a matrix (I, I) belongs.") from None
    if shape != (size, size):
        what = " These are the users' rows: X.T @ X is (I, I)." * (shape[0:1] == (len(X),))
        raise Unmet(f"{tuple(shape)} came, where (I, I) is expected, here {(size, size)}.{what}")


def _no_loops(answer: Callable[..., Any], X: Tensor, strength: float) -> bool:
    if doubles(answer(X.clone(), strength)).diagonal().abs().max() > 1e-4:
        raise Unmet(
            "The diagonal is not zero. A film that may predict itself learns nothing else: "
            "B = I − P / diag P has zeros there."
        )
    return True


def _between(answer: Callable[..., Any], X: Tensor, strength: float) -> Tensor:
    """The weights from one film to another, (I, I − 1)."""
    B = doubles(answer(X, strength))
    return B[~torch.eye(len(B), dtype=torch.bool)].view(len(B), -1)


_EASE = Exercise(
    name="ease-weights",
    call_as="ease_weights(X, strength)",
    returns="a matrix (I, I)",
    inputs=_draw_tables,
    answer=ease_weights,
    gate=_ease_form,
    sizes=lambda X, strength: {"λ": strength, "U": len(X), "I": X.shape[1]},
    properties=(
        Property("the diagonal is zero", 1, _no_loops, expected=True),
        Property("the weights of other films", 4, _between, rtol=1e-3, atol=1e-4),
        keeps_inputs(),
    ),
    slips=(
        ("P / P.diagonal()", "P / P.diagonal()[:, None]",
         "You divided row i by P_ii. Column j of B belongs to film j: divide it by P_jj."),
        ("strength * torch.eye(X.shape[1], dtype=X.dtype)", "strength",
         "You added λ to all entries. It belongs on the diagonal: λ times the identity."),
        ("strength * torch.eye", "strength**2 * torch.eye", "λ itself is the penalty, not λ²."),
        ("P = torch.linalg.inv(X.T @ X", "P = (X.T @ X",
         "The inverse is missing: P = (XᵀX + λI)⁻¹."),
        ("torch.eye(X.shape[1], dtype=X.dtype) - P / P.diagonal()",
         "P / P.diagonal() - torch.eye(X.shape[1], dtype=X.dtype)",
         "All signs are turned round: B = I − P / diag P."),
        ("torch.eye(X.shape[1], dtype=X.dtype) - P / P.diagonal()",
         "P @ (X.T @ X) - torch.diag((P @ (X.T @ X)).diagonal())",
         "You solved without the rule and then put zeros on the diagonal. The other weights must "
         "know of the rule: B = I − P / diag P."),
    ),
)  # fmt: skip


# ---- the schedule of β


def _draw_rising(rng: torch.Generator) -> list[tuple[int, int, float]]:
    """Steps at which β has not yet reached its highest value."""
    cases = []
    for rise, highest in ((500, 0.2), (100, 1.0), (800, 0.4)):
        early = int(torch.randint(1, int(rise * highest), (), generator=rng))
        cases += [(0, rise, highest), (early, rise, highest)]
    return cases


def _draw_late(rng: torch.Generator) -> list[tuple[int, int, float]]:
    cases = []
    for rise, highest in ((500, 0.2), (100, 1.0), (800, 0.4)):
        between = int(torch.randint(int(rise * highest), rise + 1, (), generator=rng))
        late = int(torch.randint(rise, 3 * rise, (), generator=rng))
        cases += [(between, rise, highest), (late, rise, highest)]
    return cases


def _draw_steps(rng: torch.Generator) -> list[tuple[int, int, float]]:
    return [*_draw_rising(rng), *_draw_late(rng)]


def annealed_beta(step: int, rise: int, highest: float) -> float:
    return min(highest, step / rise)


def _stays(answer: Callable[..., Any], step: int, rise: int, highest: float) -> bool:
    beta = float(doubles(answer(step, rise, highest)))
    if beta > highest + 1e-5:
        raise Unmet(
            f"β went up to {beta:.3g}, above its highest value, {highest:g}. It shall stop there."
        )
    if beta < highest - 1e-5:
        raise Unmet(
            f"At step {step} β is {beta:.3g}. With `rise` = {rise} it has reached its highest "
            f"value, {highest:g}, before that, and stays there."
        )
    return True


_BETA = Exercise(
    name="annealed-beta",
    call_as="annealed_beta(step, rise, highest)",
    returns="one number",
    inputs=_draw_steps,
    answer=annealed_beta,
    sizes=lambda step, rise, highest: {"rise": rise, "highest": highest},
    properties=(
        Property("β while it rises", 2, inputs=_draw_rising),
        Property("β afterwards", 2, _stays, expected=True, inputs=_draw_late),
    ),
    slips=(
        ("min(highest, step / rise)", "highest * min(1.0, step / rise)",
         "Your β reaches its highest value at step `rise`. It shall rise by 1 / rise a step, "
         "whatever its highest value, and stop there."),
        ("min(highest, step / rise)", "highest", "β is at its highest value from the start."),
        ("step / rise", "step // rise", "You divided whole numbers: β jumps from 0 to 1."),
        ("step / rise", "(step + 1) / rise", "At step 0 β is 0. Yours is a step ahead."),
        ("min(highest, step / rise)", "max(0.0, highest - step / rise)",
         "Your β falls. It starts from 0 and rises."),
    ),
)  # fmt: skip

EXERCISES = (_NDCG, _BASKET, _EASE, _BETA)
