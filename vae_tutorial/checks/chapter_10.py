"""The exercises of chapter 10, discrete latents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vae_tutorial.checks.chapter_10_bits import CODE_BITS
from vae_tutorial.checks.chapter_10_loss import CODE_LOSS
from vae_tutorial.checks.chapter_10_scalars import FINITE_SCALARS
from vae_tutorial.checks.core import Exercise, Property, Suspect, Unmet, keeps_inputs
from vae_tutorial.checks.measures import stacked

# ---- the nearest code, and the gradient straight through


def _draw_vectors(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    sizes = ((4, 3, 2, 5), (2, 5, 3, 7), (6, 1, 4, 3))  # B, P, D, K
    return [(torch.randn(B, P, D, generator=rng), 1.5 * torch.randn(K, D, generator=rng))
            for B, P, D, K in sizes]  # fmt: skip


def quantise(h: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    away = (h[:, :, None, :] - codebook).square().sum(-1)  # (B, P, K)
    codes = away.argmin(-1)
    z = h + (codebook[codes] - h).detach()
    return z, codes


def _slopes(answer: Callable, h: Tensor, codebook: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of a weighted sum of z, divided by the weights."""
    h, codebook = (each.detach().clone().requires_grad_() for each in (h, codebook))
    z = stacked(answer(h, codebook)[0])
    if not isinstance(z, Tensor) or not z.requires_grad:
        raise Unmet("No gradient leaves z: it is cut off, by argmin, indexing, .detach() or numpy. "
                    "Give z the value of the code and the derivative of h.")  # fmt: skip
    weights = torch.arange(1.0, z.numel() + 1, dtype=z.dtype).view_as(z)
    found = torch.autograd.grad((weights * z).sum(), (h, codebook), allow_unused=True)
    return None if found[0] is None else found[0] / weights, found[1]


def _to_h(answer: Callable, h: Tensor, codebook: Tensor) -> Tensor:
    slope, _ = _slopes(answer, h, codebook)
    if slope is None or not slope.any():
        raise Unmet("No gradient reaches h. Write z so that its derivative with respect to h is 1: "
                    "h + (e - h).detach().")  # fmt: skip
    return slope


def _to_codebook(answer: Callable, h: Tensor, codebook: Tensor) -> bool:
    _, slope = _slopes(answer, h, codebook)
    if slope is not None and slope.any():
        raise Unmet("A gradient reaches the codebook through z as well: detach the code.")
    return True


_QUANTISE = Exercise(
    name="quantise",
    call_as="quantise(h, codebook)",
    returns="z, (B, P, D), and the codes, (B, P)",
    inputs=_draw_vectors,
    answer=quantise,
    sizes=lambda h, codebook: {"D": h.shape[-1], "K": len(codebook)},
    properties=(
        Property("the codes are the nearest ones", 3, lambda f, *case: f(*case)[1]),
        Property("z has the values of the codes", 2, lambda f, *case: f(*case)[0]),
        Property("dz/dh = 1", 3, _to_h, lambda h, codebook: torch.ones_like(h)),
        Property("no gradient reaches the codebook", 1, _to_codebook, True),
        keeps_inputs(),
    ),
    slips=(
        ("argmin", "argmax", "That is the code farthest away."),
        ("(h[:, :, None, :] - codebook).square().sum(-1)", "-(h @ codebook.T)",
         "That is the largest inner product. A long code would win too often: take the distance."),
        ("(h[:, :, None, :] - codebook).square().sum(-1)",
         "-(h @ (codebook / codebook.norm(dim=-1, keepdim=True)).T)",
         "That is the largest cosine, which forgets the lengths. Take the distance."),
        (".square().sum(-1)", ".abs().amax(-1)",
         "You compared the largest difference in one coordinate. A distance adds up the squares of "
         "all."),
        ("h + (codebook[codes] - h).detach()", "h",
         "z is h itself. The decoder must get the code: with h, it would get more than 4 bits."),
        ("h + (codebook[codes] - h).detach()", "codebook[codes] + h",
         "h is added and not taken off again: h + (e - h).detach()."),
        ("h + (codebook[codes] - h).detach()", "(-away).softmax(-1) @ codebook",
         "z is a weighted mean of codes. The decoder must get one of the K, not a mixture."),
    ),
)  # fmt: skip


# ---- the use of codes in a set


def _draw_batches(rng: torch.Generator) -> list[tuple[list[Tensor], int]]:
    cases = []
    for K, sizes in ((7, ((4, 3), (2, 3))), (12, ((5,), (9,), (1,))), (5, ((6, 2),) * 4)):
        weights = torch.rand(K, generator=rng) ** 2
        weights[0] = 0  # a code that nobody uses
        batches = [torch.multinomial(weights, math.prod(s), True, generator=rng).view(s)
                   for s in sizes]  # fmt: skip
        cases.append((batches, K))
    return cases


def _draw_singles(rng: torch.Generator) -> list[tuple[list[Tensor], int]]:
    """Batches with one code each, all different."""
    order = torch.randperm(9, generator=rng)
    return [([code.view(1, 1) for code in order], 9)]


def set_perplexity(batches: Sequence[Tensor], K: int) -> Tensor:
    codes = torch.cat([batch.flatten() for batch in batches]).long()
    p = torch.bincount(codes, minlength=K).double() / len(codes)
    p = p[p > 0]
    return torch.exp(-(p * p.log()).sum())


def _mean_of_batches(batches: Sequence[Tensor], K: int) -> Tensor:
    return torch.stack([set_perplexity([batch], K) for batch in batches]).mean()


def _mean_of_entropies(batches: Sequence[Tensor], K: int) -> Tensor:
    return torch.stack([set_perplexity([batch], K).log() for batch in batches]).mean().exp()


def _mean_of_shares(batches: Sequence[Tensor], K: int) -> Tensor:
    shares = [torch.bincount(b.flatten().long(), minlength=K).double() / b.numel() for b in batches]
    p = torch.stack(shares).mean(0)
    return torch.exp(-(p[p > 0] * p[p > 0].log()).sum())


def _weighted_mean(batches: Sequence[Tensor], K: int) -> Tensor:
    sizes = torch.tensor([float(batch.numel()) for batch in batches], dtype=torch.float64)
    each = torch.stack([set_perplexity([batch], K) for batch in batches])
    return (sizes * each).sum() / sizes.sum()


_PERPLEXITY = Exercise(
    name="set-perplexity",
    call_as="set_perplexity(batches, K)",
    returns="one number",
    inputs=_draw_batches,
    answer=set_perplexity,
    sizes=lambda batches, K: {"K": K},
    properties=(
        Property("the perplexity of all codes together", 4),
        Property("nine batches with one code each, all different, have 9", 2,
                 inputs=_draw_singles, expected=9.0, rtol=1e-3),
        keeps_inputs(),
    ),
    slips=(
        ("torch.exp(-(p * p.log()).sum())", "-(p * p.log()).sum()",
         "That is the entropy, in nats. The perplexity is its exponential."),
        ("torch.exp(-(p * p.log()).sum())", "torch.tensor(float(len(p)))",
         "That is the number of codes that occur. A code that occurs once counts little."),
        ("torch.exp(-", "torch.exp(", "The sign: an entropy is −Σ p log p."),
        ("(p * p.log())", "(p * p.log2())",
         "Base 2 goes with 2 to the power of the entropy. With exp, take the natural logarithm."),
        ("torch.exp(-(p * p.log()).sum())", "2 ** -(p * p.log()).sum()",
         "A natural logarithm goes with exp. With 2 to a power, take log2."),
        ("torch.exp(-(p * p.log()).sum())", "1 / (p * p).sum()",
         "That is 1 / Σ p², another number of codes. The perplexity is exp of the entropy."),
        ("p = p[p > 0]\n", "\n",
         "A code that nobody uses gives 0 · log 0, which is NaN. Leave it out of the sum."),
        ("torch.bincount(codes, minlength=K).double() / len(codes)",
         "(torch.bincount(codes, minlength=K).double() + 1) / (len(codes) + K)",
         "You added one to each count. A share is a count over the number of all codes."),
    ),
    suspects=(
        Suspect(_mean_of_batches,
                "That is the mean of the batches' perplexities. A batch of n codes cannot have "
                "more than n: count the codes of all batches first."),
        Suspect(_mean_of_entropies,
                "You averaged the batches' entropies. Count the codes of all batches first."),
        Suspect(_mean_of_shares,
                "You averaged the batches' shares. A small batch then counts as much as a large "
                "one: add up the counts."),
        Suspect(_weighted_mean,
                "That is a mean of the batches' perplexities, weighted with their sizes. Count the "
                "codes of all batches first."),
        Suspect(lambda batches, K: sum(set_perplexity([batch], K) for batch in batches),
                "You added up the batches' perplexities: a code in two batches counts twice."),
        Suspect(lambda batches, K: set_perplexity(batches[-1:], K),
                "Only the last batch counts. Collect the codes of all."),
    ),
)  # fmt: skip


EXERCISES = (_QUANTISE, _PERPLEXITY, FINITE_SCALARS, CODE_BITS, CODE_LOSS)
