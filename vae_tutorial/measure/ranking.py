"""How good a ranking of items is: NDCG and recall among users whom the model never saw.

The protocol is the strong generalisation of Marlin (2004), as in Liang et al. (2018): a model is
trained on some users; of every other user it sees four fifths of the items and must find the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number


class Users(NamedTuple):
    """Users whose items are parted: what a recommender sees, and what it must find."""

    seen: Tensor  # (U, I) int64, 0 or 1
    hidden: Tensor  # (U, I) int64, 0 or 1, never 1 where `seen` is


class Split(NamedTuple):
    """Users to train on, `(U, I)`, users to choose settings with, and users to test with."""

    train: Tensor
    validation: Users
    test: Users
    test_index: Tensor  # the test users' rows in the table


def split_users(items: Tensor, fold: int = 0, folds: int = 5, seed: int = 0) -> Split:
    """Part users, not items: a fifth for testing, a fifth for validation, the rest for training.

    `items` is `(U, I)`, true where the user has the item. The order of the users and the items
    that are hidden, a fifth of each user's and at least one, depend on `seed` alone; `fold`, from
    0 to `folds` − 1, says which part of the users is tested. So every user is tested in exactly
    one fold, and the next fold's users serve for validation.

    Raises `ValueError` for a user with fewer than two items, or a fold that is not there.
    """
    folds = whole_number("folds", folds, 3)
    if whole_number("fold", fold, 0) >= folds:
        raise ValueError(f"fold must be one of 0 to {folds - 1}, got {fold}")
    items = items.bool()
    count = items.sum(1)
    if items.dim() != 2 or len(items) < folds or count.min() < 2:
        raise ValueError(
            f"items must be (U, I) with at least {folds} users who have two items or more, got "
            f"shape {tuple(items.shape)} and a user with {int(count.min())}. Leave such users "
            "out: items[items.sum(1) >= 5]."
        )
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(items), generator=draw)
    lot = torch.rand(items.shape, generator=draw).masked_fill(~items, 2.0)
    place = lot.argsort(1).argsort(1)  # of an item in its user's random order
    hidden = items & (place < (count // 5).clamp(min=1).unsqueeze(1))
    parts = torch.tensor_split(order, folds)
    test, validation = parts[fold], parts[(fold + 1) % folds]
    rest = [part for k, part in enumerate(parts) if k not in (fold, (fold + 1) % folds)]

    def users(index: Tensor) -> Users:
        return Users((items & ~hidden)[index].long(), hidden[index].long())

    return Split(items[torch.cat(rest)].long(), users(validation), users(test), test)


def ranked(scores: Tensor, seen: Tensor, at: int) -> Tensor:
    """The `at` items with the highest scores, best first, never one that was seen: `(U, at)`.

    `scores` is `(U, I)`, any real numbers; `seen` is `(U, I)`. Raises `ValueError` for scores that
    are no numbers or of another shape, or where `at` exceeds the items.
    """
    at = whole_number("at", at)
    if scores.shape != seen.shape or scores.dim() != 2 or at > scores.shape[1]:
        raise ValueError(
            f"scores and seen must be (U, I) with I of at least {at}, got {tuple(scores.shape)} "
            f"and {tuple(seen.shape)}"
        )
    if scores.isnan().any():
        raise ValueError("scores holds NaN; a model that diverged ranks nothing")
    return scores.masked_fill(seen.bool(), -torch.inf).topk(at, 1).indices


def ndcg(scores: Tensor, users: Users, at: int = 100) -> Tensor:
    """Normalised discounted cumulative gain of each user, `(U,)`, from 0 to 1.

    An item found at place r counts 1 / log₂(r + 1); their sum is divided by that of an ideal list,
    with all hidden items at the top (after Järvelin and Kekäläinen, 2002; gains of 0 or 1).
    """
    hits = _hits(scores, users, at)
    discount = 1 / torch.arange(2, at + 2, dtype=torch.float64).log2()
    ideal = torch.cat([torch.zeros(1, dtype=torch.float64), discount.cumsum(0)])
    return (hits @ discount) / ideal[users.hidden.sum(1).clamp(max=at)]


def recall(scores: Tensor, users: Users, at: int = 20) -> Tensor:
    """Share of the hidden items among the first `at`, `(U,)`.

    The divisor is the smaller of `at` and the number of hidden items (Liang et al., 2018,
    section 4.2), so that a perfect list has recall 1.
    """
    return _hits(scores, users, at).sum(1) / users.hidden.sum(1).clamp(max=at)


def _hits(scores: Tensor, users: Users, at: int) -> Tensor:
    if users.hidden.sum(1).min() < 1:
        raise ValueError(
            "users.hidden must have at least one item of every user, found one without"
        )
    return users.hidden.gather(1, ranked(scores, users.seen, at)).double()
