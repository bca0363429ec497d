"""Quantisers: from real vectors to a finite number of codes, with a gradient through that step.

A quantiser is a module. Calling it on vectors h `(..., D)` returns `Quantised`: the vectors that
the decoder gets, the numbers of the codes, and what the choice costs. Rounding has the derivative
zero almost everywhere, so the gradient is passed straight through: see `straight_through`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_tutorial.arguments import real_number, true_or_false, whole_number, whole_numbers


class Quantised(NamedTuple):
    """What a quantiser makes of h `(..., D)`."""

    z: Tensor  # (..., D), the vector of the chosen code; its gradient goes to h
    codes: Tensor  # (...), whole numbers 0 … K − 1
    codebook_cost: Tensor  # (...), ‖stop(h) − e‖²: moves the code to h
    commitment_cost: Tensor  # (...), ‖h − stop(e)‖²: moves h to the code


class CodeUse(NamedTuple):
    """How many of the codes occur, and the exponential of the entropy of their shares."""

    used: int
    perplexity: float


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` (up to rounding) with the derivative of `soft`; one shape for both.

    Bengio, Léonard and Courville (2013), section 4, call it the straight-through estimator.
    """
    if hard.shape != soft.shape:
        raise ValueError(
            f"hard and soft must have one shape, got {tuple(hard.shape)} and {tuple(soft.shape)}"
        )
    return soft + (hard - soft).detach()


def code_use(codes: Tensor, count: int) -> CodeUse:
    """The use of `count` codes in all of `codes`, whole numbers of any shape.

    The perplexity is exp(−Σ_k p_k log p_k), where p_k is the share of code k: 1 if one code does
    everything, `count` if all have the same share. Give it the codes of the whole set: a batch
    of n codes cannot have a perplexity above n, and the mean over batches is too low.
    """
    shares = torch.bincount(codes.flatten().cpu(), minlength=whole_number("count", count)).double()
    if len(shares) > count:
        raise ValueError(f"codes must be below count={count}, got {len(shares) - 1}")
    shares = shares[shares > 0] / shares.sum()
    return CodeUse(len(shares), math.exp(-(shares * shares.log()).sum().item()))


class VectorQuantiser(nn.Module):
    """A codebook of K = `codes` vectors `(K, D)`; each h gets the nearest one.

    Van den Oord, Vinyals and Kavukcuoglu (2017). How the codebook learns:

    - `decay=None`: by gradient descent on `codebook_cost`; the codebook is a parameter;
    - `decay=0.99`, say: each code is the mean of the h that chose it, as a moving average over
      batches (their appendix A.1). The codebook is a buffer, and moves in training mode only.

    `start` says where the codes begin: between ±1/K (`"uniform"`), drawn from N(0, I)
    (`"normal"`, as `nn.Embedding` does), or `"data"`. Cures for codes that nobody chooses:

    - `start="data"`: the first batch is clustered (k-means), and its centres are the codes;
    - `restart`: with `decay`, a code that is chosen fewer than so many times in a batch, as a
      moving average, gets the place of a vector of the batch, drawn at random;
    - `normalise=True`: vectors and codes have the length 1, so that nearest means the smallest
      angle.

    Raises `ValueError` for sizes below 1, a `decay` outside [0, 1), another `start`, or
    `restart` without `decay`.
    """

    def __init__(
        self,
        codes: int,
        dim: int,
        decay: float | None = 0.99,
        start: str = "uniform",
        restart: float = 0.0,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.codes, self.dim = whole_number("codes", codes), whole_number("dim", dim)
        if start not in ("uniform", "normal", "data"):
            raise ValueError(f'start must be "uniform", "normal" or "data", got {start!r}')
        if decay is not None and not 0 <= real_number("decay", decay) < 1:
            raise ValueError(f"decay must be None or lie in [0, 1), got {decay!r}")
        self.decay, self.start = decay, start
        self.restart = real_number("restart", restart, "non-negative", 0.0)
        if decay is None and self.restart > 0:
            raise ValueError("restart counts with a moving average and needs decay, as in 0.99")
        self.normalise = true_or_false("normalise", normalise)
        first = torch.randn(codes, dim)
        if start != "normal":
            first = (2 * torch.rand(codes, dim) - 1) / codes
        if decay is None:
            self.codebook = nn.Parameter(first)
        else:
            self.register_buffer("codebook", first)
            self.register_buffer("counts", torch.ones(codes))  # moving averages, per batch
            self.register_buffer("sums", first.clone())
        self.register_buffer("started", torch.tensor(start != "data"))

    @property
    def vectors(self) -> Tensor:
        """The codes as the decoder gets them, `(K, D)`."""
        return F.normalize(self.codebook, dim=-1) if self.normalise else self.codebook

    def distances(self, h: Tensor) -> Tensor:
        """Squared distances of h `(..., D)` to all codes: `(..., K)`."""
        if h.shape[-1] != self.dim:
            raise ValueError(f"h must end in a dimension of size {self.dim}, got {tuple(h.shape)}")
        h, e = self._scaled(h), self.vectors
        return h.square().sum(-1, keepdim=True) - 2 * h @ e.T + e.square().sum(-1)

    def lookup(self, codes: Tensor) -> Tensor:
        """The vectors `(..., D)` of codes `(...)`."""
        return self.vectors[codes]

    def forward(self, h: Tensor) -> Quantised:
        if self.training and not self.started:
            self._start(self._scaled(h.detach()).reshape(-1, self.dim))
        codes = self.distances(h.detach()).argmin(-1)
        h, e = self._scaled(h), self.lookup(codes)
        if self.training and self.decay is not None:
            self._move(h.detach().reshape(-1, self.dim), codes.flatten())
        return Quantised(
            straight_through(e.detach(), h),
            codes,
            (h.detach() - e).square().sum(-1),
            (h - e.detach()).square().sum(-1),
        )

    def _scaled(self, h: Tensor) -> Tensor:
        return F.normalize(h, dim=-1) if self.normalise else h

    @torch.no_grad()
    def _start(self, rows: Tensor) -> None:
        """The centres of `rows` `(N, D)` become the codes."""
        centres = k_means(rows, self.codes)
        self.codebook.copy_(centres)
        if self.decay is not None:
            self.sums.copy_(centres)
        self.started.fill_(True)

    @torch.no_grad()
    def _move(self, rows: Tensor, codes: Tensor) -> None:
        """One step of the moving averages, with `rows` `(N, D)` and their codes `(N,)`."""
        chosen = F.one_hot(codes, self.codes).to(rows.dtype)  # (N, K)
        self.counts.lerp_(chosen.sum(0), 1 - self.decay)
        self.sums.lerp_(chosen.T @ rows, 1 - self.decay)
        if self.restart > 0:
            drawn = rows[torch.randint(len(rows), (self.codes,), device=rows.device)]
            dead = (self.counts < self.restart)[:, None]
            self.sums.copy_(torch.where(dead, drawn, self.sums))
            self.counts.copy_(torch.where(dead[:, 0], torch.ones_like(self.counts), self.counts))
        alive = (self.counts > 1e-6)[:, None]  # below, the mean would be 0/0
        mean = self.sums / self.counts[:, None].clamp(min=1e-6)
        self.codebook.copy_(torch.where(alive, mean, self.codebook))


class FiniteScalarQuantiser(nn.Module):
    """Each of D numbers is rounded to one of L_d = `levels[d]` levels; K is their product.

    After Mentzer, Minnen, Agustsson and Tschannen (2023), who bound h by a tanh; here
    u = (L − 1) · sigmoid(h) lies between 0 and L − 1 for odd and even L, and is rounded. The
    decoder gets 2u/(L − 1) − 1, between −1 and 1. There is no codebook that could be learnt badly,
    and both costs are 0. Codes may still go unused: an encoder whose h are far from 0 sits where
    the sigmoid is flat, and gets no gradient there (`start_at_mean` helps).

    Raises `TypeError` or `ValueError` unless `levels` lists whole numbers of at least 2.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.levels = whole_numbers("levels", levels, "(8, 5, 5)", least=1)
        if min(self.levels) < 2:
            raise ValueError(f"levels must be at least 2 each, got {self.levels}")
        self.dim, self.codes = len(self.levels), math.prod(self.levels)
        self.register_buffer("tops", torch.tensor(self.levels).float() - 1, persistent=False)
        places = [math.prod(self.levels[:d]) for d in range(self.dim)]
        self.register_buffer("places", torch.tensor(places), persistent=False)

    @property
    def vectors(self) -> Tensor:
        """The codes as the decoder gets them, `(K, D)`."""
        return self.lookup(torch.arange(self.codes, device=self.places.device))

    def bounded(self, h: Tensor) -> Tensor:
        """h `(..., D)`, brought between −1 and 1, not yet rounded."""
        if h.shape[-1] != self.dim:
            raise ValueError(f"h must end in a dimension of size {self.dim}, got {tuple(h.shape)}")
        return 2 * torch.sigmoid(h) - 1

    def distances(self, h: Tensor) -> Tensor:
        """Distances of h `(..., D)` to all codes, `(..., K)`: squares in units of a level's step.

        The nearest code is the one that rounding gives.
        """
        steps = (self.bounded(h).unsqueeze(-2) - self.vectors) * self.tops / 2  # (..., K, D)
        return steps.square().sum(-1)

    def lookup(self, codes: Tensor) -> Tensor:
        """The vectors `(..., D)` of codes `(...)`."""
        sizes = torch.tensor(self.levels, device=self.places.device)
        digits = torch.div(codes.unsqueeze(-1), self.places, rounding_mode="floor") % sizes
        return 2 * digits / self.tops - 1

    def number(self, z: Tensor) -> Tensor:
        """The codes `(...)` of vectors `(..., D)`: the inverse of `lookup`."""
        digits = ((z + 1) / 2 * self.tops).round().long()
        return (digits * self.places).sum(-1)

    def forward(self, h: Tensor) -> Quantised:
        inside = self.bounded(h)
        rounded = 2 * ((inside + 1) / 2 * self.tops).round() / self.tops - 1
        free = torch.zeros_like(h[..., 0])
        return Quantised(
            straight_through(rounded.detach(), inside), self.number(rounded.detach()), free, free
        )


@torch.no_grad()
def k_means(rows: Tensor, count: int, steps: int = 10) -> Tensor:
    """`count` centres `(K, D)` of `rows` `(N, D)` by Lloyd's algorithm, from rows at random.

    A centre without rows stays where it is. Where rows are fewer than centres, some of the
    centres are the same.
    """
    order = torch.randperm(len(rows), device=rows.device)
    centres = rows[order[torch.arange(count, device=rows.device) % len(rows)]].clone()
    for _ in range(steps):
        nearest = F.one_hot(torch.cdist(rows, centres).argmin(1), count).to(rows.dtype)  # (N, K)
        sizes = nearest.sum(0)[:, None]
        centres = torch.where(sizes > 0, nearest.T @ rows / sizes.clamp(min=1), centres)
    return centres
