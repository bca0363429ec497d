"""Films for users never seen before: Mult-VAE and its rivals, on MovieLens 100k and a known truth.

    python benchmarks/recommendation.py --set movielens-100k \\
      --out benchmarks/results/recommendation_movielens.json
    python benchmarks/recommendation.py --set taste-ratings \\
      --out benchmarks/results/recommendation_taste.json

Protocol (Liang et al., 2018): a rating of 4 or 5 counts as liked; users with at least five liked
films. Users are parted into five groups: one is tested, the next chooses settings and the epoch,
the other three train. A fifth of the films of a tested user is hidden. Each user is tested once.
Each method with settings tries three of them in every split and keeps the one with the highest
NDCG@100 on validation users; the networks also keep their best epoch.

`taste-ratings`: the generated set, with two recommenders that know more than anybody can: one knows
each user's true taste, the other the true profiles of the films and infers the taste from what the
user liked, by importance sampling with 20,000 draws from the prior.

Finished rows are stored and skipped when the script is called again. One thread.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from training import common

import vae_tutorial as vt
from vae_tutorial import recommend
from vae_tutorial.measure.ranking import Split, Users, ndcg, recall, split_users

NEIGHBOURS = (30, 100, 300)
STRENGTHS = (100.0, 300.0, 1000.0)
DROPOUTS = (0.3, 0.5, 0.7)
BETAS = (0.1, 0.3, 1.0)
GRIDS = {"Mult-VAE": BETAS, "Mult-DAE": DROPOUTS, "plain ELBO": (1.0,)}
METHODS = ("popularity", "neighbours", "EASE", *GRIDS)
KNOWING = ("knows the taste", "knows the films")  # on the generated set only
LATENT, HIDDEN = 32, (100,)
RISE = 300  # steps until β is reached


def annealed(step: int, steps: int, highest: float) -> float:
    """β rises at the same pace for all, and stops at its highest value."""
    return min(highest, step / RISE)


def network(kind: str, split: Split, setting: float, options: argparse.Namespace, seed: int):
    """A trained network as a recommender, and its curve of validation NDCG@100."""
    torch.manual_seed(seed)
    items = split.train.shape[1]
    if kind == "Mult-DAE":
        model = recommend.mult_dae(items, LATENT, HIDDEN, dropout=setting)
    else:
        model = recommend.mult_vae(items, LATENT, HIDDEN)
    stop = recommend.BestRanking(model, split.validation, options.patience)
    beta = None if kind != "Mult-VAE" else partial(annealed, highest=setting)
    data, objective = split.train, vt.elbo
    if kind == "Mult-DAE":
        data, objective = split.train.float(), recommend.multinomial_error
    vt.fit(
        model, data, objective=objective, epochs=options.epochs, batch_size=50,
        learning_rate=options.learning_rate, schedule=vt.schedules.constant, beta=beta,
        on_epoch=stop, progress=False, device="cpu",
    )  # fmt: skip
    stop.restore()
    return partial(recommend.scores, model), stop.curve


def tried(method: str, split: Split, options: argparse.Namespace, seed: int) -> dict:
    """Of every setting, the recommender and, for networks, its curve."""
    if method in GRIDS:
        return {s: network(method, split, s, options, seed) for s in GRIDS[method]}
    simple = {
        "popularity": {None: recommend.popularity},
        "neighbours": {k: partial(recommend.item_neighbours, neighbours=k) for k in NEIGHBOURS},
        "EASE": {s: partial(recommend.ease, strength=s) for s in STRENGTHS},
    }
    return {setting: (fit(split.train), None) for setting, fit in simple[method].items()}


def measured(scores: Tensor, users: Users) -> dict:
    each = ndcg(scores, users)
    return {
        "ndcg100": round(each.mean().item(), 5),
        "recall20": round(recall(scores, users, 20).mean().item(), 5),
        "recall50": round(recall(scores, users, 50).mean().item(), 5),
        "users": len(each),
        "ndcg_of_each": [round(v, 3) for v in each.tolist()],
    }


def ideal(ratings: vt.Ratings, liked: Tensor, split: Split) -> dict[str, Tensor]:
    """Scores of those who know the truth: each user's taste, or the films' profiles alone."""
    rows = torch.arange(len(ratings.table))[liked.sum(1) >= 5][split.test_index]
    profile, popular = ratings.film_taste[:, :-1], ratings.film_taste[:, -1]
    z = torch.randn(20_000, profile.shape[1], generator=torch.Generator().manual_seed(0))
    log_pi = (z @ profile.T + popular).log_softmax(1)  # (K, I)
    weight = (split.test.seen.float() @ log_pi.T).softmax(1)  # (U, K)
    return {"knows the taste": ratings.taste[rows], "knows the films": weight @ log_pi.exp()}


def one_row(ratings: vt.Ratings, method: str, fold: int, options: argparse.Namespace) -> dict:
    liked = ratings.table >= 4
    split = split_users(liked[liked.sum(1) >= 5], fold)
    row = {"set": ratings.name, "fold": fold, "method": method, "setting": None}
    if method.startswith("knows"):
        return row | measured(ideal(ratings, liked, split)[method], split.test)
    started = time.perf_counter()
    ways = tried(method, split, options, fold)
    seconds = time.perf_counter() - started
    on_validation = {
        setting: ndcg(way(split.validation.seen), split.validation).mean().item()
        for setting, (way, _) in ways.items()
    }
    row["setting"] = best = max(on_validation, key=on_validation.get)
    row |= measured(ways[best][0](split.test.seen), split.test)
    row["settings"] = list(ways)
    row["validation_ndcg100"] = [round(v, 5) for v in on_validation.values()]
    row["test_ndcg100"] = [
        round(ndcg(way(split.test.seen), split.test).mean().item(), 5) for way, _ in ways.values()
    ]
    if ways[best][1]:
        row["curve"] = [round(v, 4) for v in ways[best][1]]
        row["epochs"] = [len(curve) for _, curve in ways.values()]
    return row | {"seconds": round(seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=("movielens-100k", "taste-ratings"), required=True)
    parser.add_argument("--methods", nargs="+", help="all of them, if none is named")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=70)
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seconds", type=float, default=240, help="start nothing after so many")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ratings = vt.load_ratings(options.set)
    result = {**common(options, "recommendation.py"), "rows": []}
    if options.out.exists():
        result["rows"] = json.loads(options.out.read_text("utf-8"))["rows"]
    done = {(row["fold"], row["method"]) for row in result["rows"]}
    methods = [*METHODS, *(KNOWING if ratings.taste is not None else ())]
    begun = time.monotonic()
    for method in options.methods or methods:
        for fold in options.folds:
            if (fold, method) in done or time.monotonic() - begun > options.seconds:
                continue
            row = one_row(ratings, method, fold, options)
            result["rows"].append(row)
            options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
            line = {k: v for k, v in row.items() if k not in ("ndcg_of_each", "curve")}
            print(round(time.monotonic() - begun), json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
