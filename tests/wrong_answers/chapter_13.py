"""Wrong answers to the exercises of chapter 13."""

import math

import numpy as np
import torch
from torch.nn import functional as F


def _gain(ranking, hidden, k):
    wanted = set(hidden.tolist())
    return sum(
        1 / math.log2(r + 2) for r, item in enumerate(ranking[:k].tolist()) if item in wanted
    )


def _best(count):
    return sum(1 / math.log2(r + 2) for r in range(count))


def ndcg_not_divided(ranking, hidden, k):
    return _gain(ranking, hidden, k)


def ndcg_of_k_hits(ranking, hidden, k):
    return _gain(ranking, hidden, k) / _best(k)


def ndcg_by_count(ranking, hidden, k):
    return _gain(ranking, hidden, k) / len(hidden)


def ndcg_without_end(ranking, hidden, k):
    return _gain(ranking, hidden, len(ranking)) / _best(len(hidden))


def ndcg_reciprocal(ranking, hidden, k):
    hits = [int(item in hidden.tolist()) for item in ranking[:k].tolist()]
    best = sum(1 / r for r in range(1, min(k, len(hidden)) + 1))
    return sum(hit / r for r, hit in enumerate(hits, 1)) / best


def ndcg_precision(ranking, hidden, k):
    return len(set(ranking[:k].tolist()) & set(hidden.tolist())) / k


def ndcg_recall(ranking, hidden, k):
    return len(set(ranking[:k].tolist()) & set(hidden.tolist())) / min(k, len(hidden))


def ndcg_of_hidden_order(ranking, hidden, k):
    top = ranking[:k].tolist()
    gain = sum(1 / math.log2(r + 2) for r, item in enumerate(hidden.tolist()[:k]) if item in top)
    return gain / _best(min(k, len(hidden)))


def ndcg_late(ranking, hidden, k):
    wanted = hidden.tolist()
    gain = sum(
        1 / math.log2(r + 3) for r, item in enumerate(ranking[:k].tolist()) if item in wanted
    )
    return gain / sum(1 / math.log2(r + 3) for r in range(min(k, len(wanted))))


def ndcg_dies_of_log_one(ranking, hidden, k):
    hits = torch.isin(ranking[:k], hidden).float()
    discount = 1 / torch.log2(torch.arange(1, k + 1))
    return (hits * discount).sum() / discount[: len(hidden)].sum()


def basket_of_logits(logits, x):
    return torch.einsum("bi,bi->b", x, logits)


def basket_of_probabilities(logits, x):
    return (x * F.softmax(logits, 1)).sum(1)


def basket_of_coins(logits, x):
    return (x * torch.sigmoid(logits).log()).sum(1)


def basket_over_users(logits, x):
    return (x * F.log_softmax(logits, 0)).sum(1)


def basket_mean(logits, x):
    return (x * F.log_softmax(logits, 1)).mean(1)


def basket_per_film(logits, x):
    return (x * F.log_softmax(logits, 1)).sum(1) / x.sum(1)


def basket_loss(logits, x):
    return F.cross_entropy(logits, x, reduction="none")


def basket_bernoulli(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


def basket_one_number(logits, x):
    return (x * F.log_softmax(logits, 1)).sum()


def basket_best_film(logits, x):
    return F.log_softmax(logits, 1).max(1).values


def ease_rows(X, strength):
    P = torch.linalg.inv(X.T @ X + strength * torch.eye(X.shape[1]))
    return torch.eye(X.shape[1]) - P / P.diag().reshape(-1, 1)


def ease_everywhere(X, strength):
    P = torch.linalg.pinv(X.T @ X + strength)
    return torch.eye(X.shape[1]) - P / P.diag()


def ease_squared(X, strength):
    P = torch.linalg.inv(X.T @ X + strength**2 * torch.eye(X.shape[1]))
    return torch.eye(X.shape[1]) - P / P.diag()


def ease_not_inverted(X, strength):
    G = X.T @ X + strength * torch.eye(X.shape[1])
    return torch.eye(X.shape[1]) - G / G.diag()


def ease_signs(X, strength):
    P = torch.linalg.inv(X.T @ X + strength * torch.eye(X.shape[1]))
    return P / P.diag() - torch.eye(X.shape[1])


def ease_masked_ridge(X, strength):
    B = torch.linalg.solve(X.T @ X + strength * torch.eye(X.shape[1]), X.T @ X)
    return B.fill_diagonal_(0)


def ease_ridge(X, strength):
    return torch.linalg.solve(X.T @ X + strength * torch.eye(X.shape[1]), X.T @ X)


def ease_of_users(X, strength):
    P = torch.linalg.inv(X @ X.T + strength * torch.eye(len(X)))
    return torch.eye(len(X)) - P / P.diag()


def ease_without_identity(X, strength):
    P = torch.linalg.inv(X.T @ X + strength * torch.eye(X.shape[1]))
    return -P / P.diag()


def ease_text(X, strength):
    return "a matrix"


def beta_scaled(step, rise, highest):
    return highest * np.clip(step / rise, 0, 1)


def beta_to_one(step, rise, highest):
    return 1.0 if step >= rise else step / rise


def beta_endless(step, rise, highest):
    return 1 / rise * step


def beta_constant(step, rise, highest):
    return highest


def beta_larger(step, rise, highest):
    return highest if step / rise < highest else step / rise


def beta_jumps(step, rise, highest):
    return min(step // rise, highest)


def beta_ahead(step, rise, highest):
    return min((1 + step) / rise, highest)


def beta_falls(step, rise, highest):
    return max(highest - step / rise, 0)


def beta_endless_and_slow(step, rise, highest):
    return step * highest / rise


def beta_sudden(step, rise, highest):
    return highest if step else 0.0


def beta_nothing(step, rise, highest):
    return 0.0


def ndcg_sorts_hidden(ranking, hidden, k):
    gain = _gain(ranking, hidden, k)
    hidden[:] = hidden.sort().values.flip(0)
    return gain / _best(min(k, len(hidden)))


def basket_centred_in_place(logits, x):
    logits -= logits.mean(1, keepdim=True)
    return (x * F.log_softmax(logits, 1)).sum(1)


def ease_as_bits_in_place(X, strength):
    P = torch.linalg.inv(X.T @ X + strength * torch.eye(X.shape[1]).to(X))
    X *= 2
    return torch.eye(X.shape[1]).to(X) - P / P.diag()


WRONG = {
    "ndcg-at": [
        (ndcg_sorts_hidden, ""),
        (ndcg_not_divided, "Divide by the DCG of an ideal list"),
        (ndcg_of_k_hits, "only as many hits as hidden items"),
        (ndcg_by_count, "divided by the number of hidden items"),
        (ndcg_without_end, "hits after place k"),
        (ndcg_reciprocal, "weigh place r by 1 / r"),
        (ndcg_precision, "share of hits in the list"),
        (ndcg_recall, "This is recall"),
        (ndcg_of_hidden_order, "The order of `hidden` says nothing"),
        (ndcg_late, "begin one too late"),
        (ndcg_dies_of_log_one, ""),
    ],
    "basket-log-px": [
        (basket_centred_in_place, ""),
        (basket_of_logits, "Take log_softmax"),
        (basket_of_probabilities, "The likelihood is a product"),
        (basket_of_coins, "one coin for each film"),
        (basket_over_users, "normalised over the users"),
        (basket_mean, "a mean would hide a factor I"),
        (basket_per_film, "Every film counts in full"),
        (basket_loss, "This is the loss"),
        (basket_bernoulli, "Bernoulli likelihood"),
        (basket_one_number, "sum over films only"),
        (basket_best_film, ""),
    ],
    "ease-weights": [
        (ease_as_bits_in_place, ""),
        (ease_rows, "divide it by P_jj"),
        (ease_everywhere, "It belongs on the diagonal"),
        (ease_squared, "not λ²"),
        (ease_not_inverted, "The inverse is missing"),
        (ease_signs, "signs are turned round"),
        (ease_masked_ridge, "You solved without the rule"),
        (ease_ridge, "The diagonal is not zero"),
        (ease_of_users, "X.T @ X is (I, I)"),
        (ease_without_identity, "The diagonal is not zero"),
        (ease_text, "where a matrix (I, I) belongs"),
    ],
    "annealed-beta": [
        (beta_scaled, "reaches its highest value at step `rise`"),
        (beta_to_one, "above its highest value"),
        (beta_endless, "It shall stop there"),
        (beta_constant, "from the start"),
        (beta_larger, "β went up to"),
        (beta_jumps, "whole numbers"),
        (beta_ahead, "a step ahead"),
        (beta_falls, "Your β falls"),
        (beta_endless_and_slow, "at step `rise`"),
        (beta_nothing, "and stays there"),
        (beta_sudden, ""),
    ],
}
