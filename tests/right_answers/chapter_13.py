"""Right answers to the exercises of chapter 13."""

import math

import numpy as np
import torch

# ndcg-at


def ndcg_by_loop(ranking, hidden, k):
    wanted = set(hidden.tolist())
    gain = 0.0
    for place, item in enumerate(ranking[:k].tolist(), start=1):
        if item in wanted:
            gain += 1 / math.log2(place + 1)
    best = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(wanted)) + 1))
    return gain / best


def ndcg_by_places(ranking, hidden, k):
    place = torch.empty(len(ranking), dtype=torch.long)
    place[ranking] = torch.arange(1, len(ranking) + 1)
    places = place[hidden]
    gain = (1 / (places[places <= k] + 1).double().log2()).sum()
    ideal = torch.arange(1, min(k, len(hidden)) + 1)
    return gain / (1 / (ideal + 1).double().log2()).sum()


def ndcg_by_numpy(ranking, hidden, k):
    hits = np.isin(np.asarray(ranking)[:k], np.asarray(hidden))
    weights = 1 / np.log2(np.arange(k) + 2)
    return np.float64(weights[hits].sum() / weights[: hits.size][: len(hidden)].sum())


def ndcg_by_sorting(ranking, hidden, k):
    relevance = torch.zeros(len(ranking))
    relevance[hidden] = 1

    def dcg(order):
        values = relevance[order][:k]
        return (values / torch.arange(2, len(values) + 2).log2()).sum()

    return dcg(ranking) / dcg(relevance.argsort(descending=True))


def ndcg_in_nats(ranking, hidden, k):
    """The base of the logarithm cancels."""
    hits = (ranking[:k, None] == hidden).any(1)
    discount = 1 / torch.log(2.0 + torch.arange(k))
    return discount[hits].sum() / discount[: min(k, len(hidden))].sum()


def ndcg_by_lists(ranking, hidden, k):
    ranking, hidden = list(map(int, ranking)), list(map(int, hidden))
    gains = [1 / math.log(ranking.index(h) + 2, 2) for h in hidden if ranking.index(h) < k]
    return torch.tensor(sum(gains) / sum(1 / math.log(r + 2, 2) for r in range(k)[: len(hidden)]))


# basket-log-px


def basket_by_loops(logits, x):
    found = []
    for row, counts in zip(logits.tolist(), x.tolist()):
        top = max(row)
        total = top + math.log(sum(math.exp(v - top) for v in row))
        found.append(sum(c * (v - total) for v, c in zip(row, counts)))
    return found


def basket_by_logsumexp(logits, x):
    return (x * logits).sum(1) - x.sum(1) * torch.logsumexp(logits, 1)


def basket_by_einsum(logits, x):
    return torch.einsum("bi,bi->b", x, torch.log_softmax(logits, dim=1))


def basket_by_torch(logits, x):
    found = []
    for row, counts in zip(logits.double(), x.double()):
        p = torch.distributions.Multinomial(int(counts.sum()), logits=row)
        ways = torch.lgamma(counts.sum() + 1) - torch.lgamma(counts + 1).sum()
        found.append(p.log_prob(counts) - ways)
    return torch.stack(found)


def basket_by_softmax(logits, x):
    pi = torch.softmax(logits.double(), -1)
    return (pi.log() * x).sum(-1)


def basket_by_cross_entropy(logits, x):
    return -torch.nn.functional.cross_entropy(logits, x, reduction="none")


# ease-weights


def ease_by_regressions(X, strength):
    """One ridge regression for each film, on all the others."""
    X = X.double()
    size = X.shape[1]
    B = torch.zeros(size, size, dtype=torch.float64)
    for j in range(size):
        others = [i for i in range(size) if i != j]
        A = X[:, others].T @ X[:, others] + strength * torch.eye(size - 1).double()
        B[others, j] = torch.linalg.solve(A, X[:, others].T @ X[:, j])
    return B


def ease_in_place(X, strength):
    G = X.T @ X
    G[range(len(G)), range(len(G))] += strength
    P = torch.linalg.inv(G)
    B = P / (-torch.diag(P))
    B.fill_diagonal_(0)
    return B


def ease_by_numpy(X, strength):
    X = np.asarray(X, dtype=np.float64)
    P = np.linalg.inv(X.T @ X + strength * np.eye(X.shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    return B


def ease_by_multipliers(X, strength):
    """Steck's own way: I − P diag(λ + γ), with the multipliers γ."""
    eye = torch.eye(X.shape[1]).to(X)
    P = torch.linalg.solve(X.T @ X + strength * eye, eye)
    return eye - P @ torch.diag(1 / P.diagonal())


def ease_by_cholesky(X, strength):
    G = X.double().T @ X.double()
    G += strength * torch.eye(len(G)).double()
    P = torch.cholesky_inverse(torch.linalg.cholesky(G))
    return torch.eye(len(G)).double() - P / P.diag()[None, :]


def ease_by_eigenvectors(X, strength):
    values, vectors = torch.linalg.eigh((X.T @ X).double())
    P = vectors @ torch.diag(1 / (values + strength)) @ vectors.T
    return torch.where(torch.eye(len(P)).bool(), 0.0, -P / P.diagonal().unsqueeze(0))


# annealed-beta


def beta_by_if(step, rise, highest):
    beta = step / rise
    if beta > highest:
        return highest
    return beta


def beta_by_torch(step, rise, highest):
    return torch.tensor(step / rise).clamp(max=highest)


def beta_by_numpy(step, rise, highest):
    return np.clip(step / rise, 0, highest)


def beta_by_steps(step, rise, highest):
    beta = 0.0
    for _ in range(step):
        beta += 1 / rise
    return min(beta, highest)


def beta_by_slope(step, rise, highest):
    last = highest * rise
    return highest * (step / last if step < last else 1)


def beta_by_interpolation(step, rise, highest):
    return float(np.interp(step, [0, highest * rise], [0, highest]))


RIGHT = {
    "ndcg-at": [ndcg_by_loop, ndcg_by_places, ndcg_by_numpy, ndcg_by_sorting, ndcg_in_nats,
                ndcg_by_lists],
    "basket-log-px": [basket_by_loops, basket_by_logsumexp, basket_by_einsum, basket_by_torch,
                      basket_by_softmax, basket_by_cross_entropy],
    "ease-weights": [ease_by_regressions, ease_in_place, ease_by_numpy, ease_by_multipliers,
                     ease_by_cholesky, ease_by_eigenvectors],
    "annealed-beta": [beta_by_if, beta_by_torch, beta_by_numpy, beta_by_steps, beta_by_slope,
                      beta_by_interpolation],
}  # fmt: skip
