"""The reconstruction term of somebody's loss, measured: which likelihood, which target, its weight.

The reconstruction is overwritten with random numbers between 0 and 1, and the changes of the loss
are compared with those of each likelihood that people use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_tutorial.doctor.report import Finding

PATTERNS = 12
SAME = 1e-3  # a misfit that counts as none


def _continuous(logit: Tensor) -> Tensor:
    """log C of the continuous Bernoulli (Loaiza-Ganem and Cunningham 2019), from logits."""
    safe = torch.where(logit.abs() < 1e-3, torch.full_like(logit, 1e-3), logit)
    return torch.log(safe.abs()) - torch.log(torch.tanh(safe.abs() / 2))


# Each: the cost per value, of what the decoder returned (r) and the target (t).
COSTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Bernoulli from logits": lambda r, t: F.softplus(r) - t * r,
    "Bernoulli from probabilities": lambda r, t: -(t * r.log() + (1 - t) * (1 - r).log()),
    "Gaussian": lambda r, t: (r - t).square(),
    "Laplace": lambda r, t: (r - t).abs(),
    "continuous Bernoulli from logits":
        lambda r, t: F.softplus(r) - t * r - _continuous(r),
    "continuous Bernoulli from probabilities":
        lambda r, t: -(t * r.log() + (1 - t) * (1 - r).log()) - _continuous(torch.logit(r)),
    "Gaussian after a sigmoid": lambda r, t: (torch.sigmoid(r) - t).square(),
    "Gaussian after tanh": lambda r, t: (torch.tanh(r) - t).square(),
    "Poisson from logs": lambda r, t: r.exp() - t * r,
    "Huber": lambda r, t: F.smooth_l1_loss(r, t, reduction="none"),
}  # fmt: skip
BERNOULLI = ("Bernoulli from logits", "Bernoulli from probabilities")
WRONG = {
    "categorical over the pixels": lambda r, t: -t * F.log_softmax(r, 1),
    "categorical of probabilities":
        lambda r, t: -t * (r / r.sum(1, keepdim=True)).log(),
    "a cross-entropy with x and the reconstruction exchanged":
        lambda r, t: -(r * t.log().clamp(min=-100) + (1 - r) * (1 - t).log().clamp(min=-100)),
    "a cross-entropy on logits with x and the reconstruction exchanged":
        lambda r, t: F.softplus(t) - r * t,
    "only the ink of a Bernoulli": lambda r, t: -t * r.log(),
    "only the paper of a Bernoulli": lambda r, t: -(1 - t) * (1 - r).log(),
}  # fmt: skip


@dataclass
class Term:
    """The best match: loss = offset + weight × (mean over the batch of summed costs)."""

    cost: str | None = None
    target: str = "x"
    weight: float = 0.0
    offset: float = 0.0
    misfit: float = 1.0

    @property
    def bernoulli(self) -> bool:
        return self.cost in BERNOULLI


def patterns(recon: Tensor, count: int = PATTERNS) -> list[Tensor]:
    """Random reconstructions between 0.05 and 0.95, the same in every examination."""
    generator = torch.Generator().manual_seed(17)
    shapes = [torch.rand(recon.shape, generator=generator) for _ in range(count)]
    return [(0.05 + 0.9 * p).to(recon.dtype) for p in shapes]


def match(value: Callable[[Tensor], float], recon: Tensor, x: Tensor) -> Term | None:
    """What the loss does with reconstructions; None where it ignores them."""
    tried = patterns(recon)
    losses = torch.tensor([value(p) for p in tried], dtype=torch.float64)
    if not torch.isfinite(losses).all():
        return Term()
    if losses.max() - losses.min() <= 1e-7 * max(1.0, losses.abs().max().item()):
        return None
    flat = x.double().flatten(1)
    best = Term()
    for target, t in targets(flat).items():
        for name, cost in {**COSTS, **(WRONG if target == "x" else {})}.items():
            costs = torch.stack([
                cost(p.double().reshape(flat.shape), t).sum(1).mean() for p in tried
            ])  # fmt: skip
            term = _line(costs, losses, name, target)
            if term is not None and term.misfit < 0.2 * best.misfit:
                best = term
    return best


def targets(flat: Tensor) -> dict[str, Tensor]:
    """x first, and what people compare with by mistake."""
    return {
        "x": flat,
        "another example of the batch": flat.roll(1, 0),
        "the batch in reverse": flat.flip(0),
        "1 − x": 1 - flat,
        "2x − 1": 2 * flat - 1,
        "(x + 1)/2": (flat + 1) / 2,
        "255 x": 255 * flat,
        "zeros": torch.zeros_like(flat),
        "ones": torch.ones_like(flat),
        "the mean of the batch": flat.mean(0, keepdim=True).expand_as(flat),
    }


def _line(costs: Tensor, losses: Tensor, name: str, target: str) -> Term | None:
    if not torch.isfinite(costs).all() or costs.max() - costs.min() < 1e-9:
        return None
    design = torch.stack([torch.ones_like(costs), costs], dim=1)
    offset, weight = torch.linalg.lstsq(design, losses[:, None]).solution.flatten().tolist()
    off = (design @ torch.tensor([offset, weight], dtype=torch.float64) - losses).abs().max()
    return Term(name, target, weight, offset, (off / (losses.max() - losses.min())).item())


def best_at_x(value: Callable[[Tensor], float], recon: Tensor, x: Tensor) -> bool:
    """Whether an unknown loss is least where the reconstruction is x itself."""
    there = x.reshape(recon.shape).to(recon.dtype)
    if there.min() >= 0 and there.max() <= 1:
        there = there.clamp(0.31, 0.69)  # so that the steps stay between 0 and 1
        shifted = value(there + 0.2 * (there > 0.5) - 0.2 * (there < 0.5))
        return shifted < value(there) < value(1 - there)
    here = value(there)
    step = 0.3 * torch.sign(torch.randn(
        recon.shape, generator=torch.Generator().manual_seed(3)
    )).to(recon.dtype)  # fmt: skip
    around = all(value(there + s * step) > here for s in (-1.0, -0.3, 0.3, 1.0))
    return around and min(value(0.7 * there), value(1.3 * there)) > here


def blind_to_scale(value: Callable[[Tensor], float], recon: Tensor, x: Tensor) -> bool:
    """Whether half of a reconstruction, or one a little lighter, costs as much as it does itself,
    as with a cosine or with a softmax over the values."""
    there = 0.1 + 0.8 * x.reshape(recon.shape).to(recon.dtype)
    one, half, shifted = value(there), value(0.5 * there), value(there + 0.05)
    return min(abs(one - half), abs(one - shifted)) < 1e-5 * max(1e-3, abs(one))


def findings(
    term: Term | None, value: Callable[[Tensor], float], recon: Tensor, x: Tensor
) -> list[Finding]:
    """What is wrong with the term apart from its weight beside the KL."""
    if term is None:
        return [Finding("reconstruction-missing", "random reconstructions leave the loss as it is")]
    if term.misfit > SAME:
        if best_at_x(value, recon, x) and not blind_to_scale(value, recon, x):
            return []  # a likelihood with a variance of its own, say
        return [Finding("wrong-likelihood", "the loss follows no known log-likelihood, and is not "
                        "least where the reconstruction is x")]  # fmt: skip
    binary = bool(((x == 0) | (x == 1)).all())
    counts = bool(((x >= 0) & (x == x.round())).all())
    if term.cost == "Poisson from logs" and not counts:
        return [Finding("wrong-likelihood", "a Poisson likelihood on data that are no counts")]
    outside = recon.min() < -0.01 or recon.max() > 1.01
    if term.cost == "Laplace" and binary and abs(term.weight / 100 - 1) < 1e-3:
        return [Finding("wrong-likelihood", "x and the reconstruction are exchanged in a cross-"
                        "entropy: its logarithm of x is cut at −100")]  # fmt: skip
    if term.cost in ("Laplace", "Huber") and binary and outside:
        return [Finding("wrong-likelihood", "an absolute error of unbounded outputs, on binary "
                        "data")]  # fmt: skip
    if term.cost in WRONG:
        return [Finding("wrong-likelihood", f"the term is {term.cost}")]
    if term.weight < 0:
        return [Finding("reconstruction-sign", f"a cost of one nat more changes the loss by "
                        f"{term.weight:.3g}")]  # fmt: skip
    out = []
    if term.target != "x" and _spreads(recon, x):
        shown = f"reconstructions {tuple(recon.shape)} and data {tuple(x.shape)}"
        return [Finding("output-shape", f"{shown} are compared all with all: an axis too many")]
    if term.target != "x":
        scaled = term.target in ("2x − 1", "(x + 1)/2", "255 x")
        if not scaled:
            out.append(Finding("target-wrong", f"the target is {term.target}"))
    if term.bernoulli or term.cost.startswith("continuous"):
        low, high = x.min().item(), x.max().item()
        if (low < -1e-6 or high > 1 + 1e-6) and term.target == "x":
            out.append(Finding("data-out-of-range", f"{term.cost} on data between {low:.3g} and "
                               f"{high:.3g}"))  # fmt: skip
        elif term.bernoulli and bool(((x > 1e-6) & (x < 1 - 1e-6)).any()):
            share = ((x > 1e-6) & (x < 1 - 1e-6)).float().mean().item()
            out.append(Finding("bernoulli-on-grey", f"{100 * share:.0f} % of the values lie "
                               "between 0 and 1"))  # fmt: skip
    return out


def _spreads(recon: Tensor, x: Tensor) -> bool:
    """Whether broadcasting makes more of the two shapes than either has."""
    try:
        both = torch.broadcast_shapes(recon.shape, x.shape)
    except RuntimeError:
        return False
    return torch.Size(both).numel() > x.numel()


def range_findings(term: Term | None, outputs: Tensor) -> list[Finding]:
    """Whether the decoder's outputs are what the term takes them for."""
    if term is None or term.cost is None or term.misfit > SAME:
        return []
    low, high = outputs.min().item(), outputs.max().item()
    if high - low < 0.05:
        return []  # they hardly change, so their range says nothing
    shown = f"the decoder's outputs lie between {low:.3g} and {high:.3g}"
    if (
        term.cost in ("Bernoulli from logits", "Gaussian after a sigmoid")
        and low >= 0
        and (high <= 1)
    ):
        return [Finding("double-sigmoid", f"{shown}, and the loss applies a sigmoid")]
    if "from probabilities" in term.cost and (low < -1e-6 or high > 1 + 1e-6):
        return [Finding("logits-as-probabilities", f"{shown}, and the loss takes a logarithm")]
    if low >= 0.499 and high <= 0.7311:
        return [Finding("double-sigmoid", f"{shown}: sigmoid of a sigmoid")]
    return []
