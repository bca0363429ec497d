"""Recommenders: popularity, neighbours, EASE, and the autoencoders of Liang et al. (2018).

Each ranks films for users whom it never saw, from the films that they are seen to like: `seen`
`(U, I)`, 0 or 1, becomes scores `(U, I)`, the higher the better. Which scores they are does not
matter, only their order; see `measure.ranking`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_tutorial.arguments import positive_number, real_number, whole_number, whole_numbers
from vae_tutorial.measure.ranking import Users, ndcg
from vae_tutorial.models.likelihoods import MultinomialLikelihood
from vae_tutorial.models.vae import VAE, Autoencoder
from vae_tutorial.train.evaluate import evaluation_mode
from vae_tutorial.train.history import History

Recommender = Callable[[Tensor], Tensor]
"""A function from `seen` `(U, I)` to scores `(U, I)`."""


def popularity(train: Tensor) -> Recommender:
    """The same list for everybody: how many training users have the item."""
    count = train.float().sum(0)
    return lambda seen: count.expand(len(seen), -1)


def item_neighbours(train: Tensor, neighbours: int = 100) -> Recommender:
    """An item scores the summed cosine similarity to the items seen (Sarwar et al., 2001).

    Of each item, only the `neighbours` most similar others count.
    """
    neighbours = min(whole_number("neighbours", neighbours), train.shape[1] - 1)
    x = F.normalize(train.float(), dim=0)
    similar = (x.T @ x).fill_diagonal_(0)  # (I, I)
    least = similar.topk(neighbours, 0).values[-1]
    weights = similar.masked_fill(similar < least, 0)  # column j: the neighbours of item j
    return lambda seen: seen.float() @ weights


def ease(train: Tensor, strength: float = 300.0) -> Recommender:
    """EASE (Steck, 2019): the linear autoencoder without self-loops, in closed form.

    Minimises ‖X − X B‖² + λ ‖B‖² with diag B = 0, λ = `strength`. With P = (XᵀX + λ I)⁻¹ the
    answer is B = I − P / diag P, column by column (equation 8 there).
    """
    x = train.double()
    gram = x.T @ x
    gram.diagonal().add_(positive_number("strength", strength))
    P = torch.linalg.inv(gram)
    B = (-P / P.diagonal()).fill_diagonal_(0).float()
    return lambda seen: seen.float() @ B


class ItemEncoder(nn.Module):
    """From items `(B, I)` to the parameters of q(z | x), or with `heads=1` to a code.

    The row is scaled to length 1, so that users with many items do not have larger inputs, and in
    training each entry is dropped with probability `dropout` (Liang et al., 2018, section 2.4).
    """

    def __init__(
        self, items: int, latent_dim: int, hidden: Sequence[int], dropout: float, heads: int = 2
    ) -> None:
        super().__init__()
        self.latent_dim, self.heads = whole_number("latent_dim", latent_dim), heads
        if not 0 <= real_number("dropout", dropout) < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}")
        self.dropout = nn.Dropout(dropout)
        self.layers = _layers([items, *hidden, heads * latent_dim])

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        out = self.layers(self.dropout(F.normalize(x.float(), dim=-1)))
        return out if self.heads == 1 else tuple(out.chunk(2, -1))


class ItemDecoder(nn.Module):
    """From z `(..., D)` to a raw number for each item, `(..., I)`."""

    def __init__(self, items: int, latent_dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.layers = _layers([latent_dim, *reversed(hidden), items])

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


def mult_vae(
    items: int, latent_dim: int = 64, hidden: Sequence[int] = (200,), dropout: float = 0.5
) -> VAE:
    """The VAE of Liang et al. (2018): a multinomial over `items`, tanh layers, dropped inputs.

    It trains with `elbo` on counts or 0 and 1, `(B, I)`, as whole numbers.
    """
    hidden = whole_numbers("hidden", hidden, "(200,)")
    return VAE(
        ItemEncoder(items, latent_dim, hidden, dropout),
        ItemDecoder(items, latent_dim, hidden),
        MultinomialLikelihood(),
    )


def mult_dae(
    items: int, latent_dim: int = 64, hidden: Sequence[int] = (200,), dropout: float = 0.5
) -> Autoencoder:
    """The denoising autoencoder of Liang et al. (2018): `mult_vae` with a code in place of q.

    It trains with `multinomial_error`, on floats.
    """
    hidden = whole_numbers("hidden", hidden, "(200,)")
    return Autoencoder(
        ItemEncoder(items, latent_dim, hidden, dropout, heads=1),
        ItemDecoder(items, latent_dim, hidden),
        sigmoid=False,
    )


def multinomial_error(model: Autoencoder, x: Tensor) -> dict[str, Tensor]:
    """−log p(x | code) of the multinomial, an objective for `mult_dae`: `"loss"` `(B,)`, nats."""
    return {"loss": -MultinomialLikelihood()(model(x)).log_prob(x)}


@torch.no_grad()
def scores(model: VAE | Autoencoder, seen: Tensor) -> Tensor:
    """log π of every item, `(U, I)`, at the mean of q(z | seen), without dropout."""
    with evaluation_mode(model):
        if isinstance(model, Autoencoder):
            return model(seen.float()).log_softmax(-1)
        return model.likelihood(model.posterior(seen).mean).base_dist.logits


class BestRanking:
    """For `fit(..., on_epoch=…)`: stop when NDCG@100 of `users` rises no more.

    `curve` holds the mean after each epoch; after `patience` epochs without a better one, or at
    the end of the run, `restore()` gives the model its best weights.
    """

    def __init__(self, model: nn.Module, users: Users, patience: int = 30) -> None:
        self.model, self.users = model, users
        self.patience = whole_number("patience", patience)
        self.curve: list[float] = []
        self.best: dict[str, Tensor] = {}

    def __call__(self, history: History) -> bool:
        at = min(100, self.users.seen.shape[1])
        self.curve.append(ndcg(scores(self.model, self.users.seen), self.users, at).mean().item())
        best = max(self.curve)
        if self.curve[-1] == best:
            self.best = copy.deepcopy(self.model.state_dict())
        return len(self.curve) - 1 - self.curve.index(best) >= self.patience

    def restore(self) -> float:
        """Give the model its best weights; returns their NDCG@100.

        Raises `RuntimeError` before the first epoch, when there are none.
        """
        if not self.curve:
            raise RuntimeError(
                "no epoch has been ranked, so that there are no best weights: give this object to "
                "fit as on_epoch first"
            )
        self.model.load_state_dict(self.best)
        return max(self.curve)


def _layers(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with tanh between them; weights by Glorot and Bengio (2010)."""
    parts: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        linear = nn.Linear(fan_in, fan_out)
        nn.init.xavier_normal_(linear.weight)
        nn.init.trunc_normal_(linear.bias, std=0.001)
        parts += [linear, nn.Tanh()]
    return nn.Sequential(*parts[:-1])
