"""Gaps, noise and holes in tables: VAEs and simple rivals, on values that nobody showed them.

    python benchmarks/missing.py --what images --out benchmarks/results/missing.json
    python benchmarks/missing.py --what tables --out benchmarks/results/missing_tables.json

- `gaps`: MNIST at 14 × 14, binarised once. A VAE (one hidden layer of 300, 20 latents, 30,000
  images) completes 200 test images whose lower half, whose centre (6 × 6), or of which a random
  half is hidden. Every method gives each hidden pixel a probability of being white, and is
  scored by nats per hidden pixel and by the share of pixels that are wrong at 0.5. The methods'
  settings, and how far probabilities are kept from 0 and 1, are chosen on 100 other images.
- `noise`: the same images, each bit flipped with probability 0.1 or 0.25. The denoising
  autoencoder was trained for 0.1.
- `tables`: two tables of scikit-learn, half of the values removed completely at random, root
  mean square error of the removed values in standard deviations of their columns. Five seeds.

Three seeds for images: of the networks, the pixels, the masks and the noise.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from functools import partial
from pathlib import Path

import sklearn
import torch
from semi_supervised import halved
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (brings IterativeImputer)
from sklearn.impute import IterativeImputer, KNNImputer
from torch import Tensor, nn
from torch.nn import functional as F

import vae_tutorial as vt
from vae_tutorial import missing

SHAPE, LATENT, HIDDEN, TRAIN, EPOCHS = (1, 14, 14), 20, (300,), 30_000, 30
CHOSEN_ON, TEST = 100, 200
STEPS, BURN, DRAWS = 1000, 200, 1000
CLIPS = (0.0005, 0.002, 0.005, 0.01, 0.02, 0.05)
FLIPS, TRAINED_FOR = (0.1, 0.25), 0.1


def hidden_parts(count: int) -> dict[str, Tensor]:
    """Masks `(N, 1, 14, 14)`, True where a pixel is seen."""
    lower, centre = torch.ones(2, count, *SHAPE, dtype=torch.bool)
    lower[..., 7:, :], centre[..., 4:10, 4:10] = False, False
    return {"lower half": lower, "centre": centre, "random half": torch.rand(count, *SHAPE) < 0.5}


def scored(white: Tensor, x: Tensor, scored_at: Tensor) -> dict:
    """Nats and errors per scored pixel of the test images. The clip is chosen on the first ones."""
    white, x, at = (v[:].double() for v in (white, x, scored_at))

    def nats(clip: float, part: slice) -> Tensor:
        p = white[part].clamp(clip, 1 - clip)
        each = F.binary_cross_entropy(p, x[part], reduction="none") * at[part]
        return each.flatten(1).sum(1) / at[part].flatten(1).sum(1).mean()

    choose, test = slice(None, CHOSEN_ON), slice(CHOSEN_ON, None)
    clip = min(CLIPS, key=lambda c: nats(c, choose).mean().item())
    found = nats(clip, test)
    wrong = (((white > 0.5).double() != x) * at)[test].sum() / at[test].sum()
    return {"nats": round(found.mean().item(), 5), "wrong": round(wrong.item(), 5), "clip": clip,
            "error": round(found.std().item() / math.sqrt(len(found)), 5),
            "chosen_on": round(nats(clip, choose).mean().item(), 5)}  # fmt: skip


def best(ways: dict, x: Tensor, at: Tensor) -> dict:
    """The result of the setting with the lowest nats on the images to choose on."""
    found = {setting: scored(white, x, at) for setting, white in ways.items()}
    setting = min(found, key=lambda s: found[s]["chosen_on"])
    return {"setting": setting, **found[setting]}


def by_components(train: Tensor, x: Tensor, seen: Tensor, count: int) -> Tensor:
    """E[x | x_seen] under probabilistic PCA (Tipping and Bishop, 1999) with `count` components."""
    flat, shape = train.flatten(1).double(), x.shape
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(flat.T))
    noise = values[:-count].mean()
    loading = vectors[:, -count:] * (values[-count:] - noise).sqrt()  # (P, count)
    x, seen, filled = x.flatten(1).double(), seen.flatten(1), []
    for image, mask in zip(x, seen):
        w = loading[mask]
        inner = torch.eye(count).double() * noise + w.T @ w
        z = torch.linalg.solve(inner, w.T @ (image - mean)[mask])
        filled.append(mean + loading @ z)
    return torch.stack(filled).view(shape)


def by_neighbours(train: Tensor, x: Tensor, seen: Tensor, count: int) -> Tensor:
    """The mean of the `count` training images that agree best in the seen pixels."""
    a, t, s = x.flatten(1), train.flatten(1), seen.flatten(1).float()
    # |a − t|² = a + t − 2at for bits, over seen pixels
    distance = (a * s).sum(1, keepdim=True) + s @ t.T - 2 * (a * s) @ t.T
    near = distance.topk(count, largest=False).indices
    return t[near].mean(1).view_as(x)


def gibbs_mean(model, x, redraw, corrected, mean=lambda state, p: p.mean) -> tuple[Tensor, float]:
    """The mean of a chain's pixel probabilities after its start, and how often z moved."""
    total, moved = 0.0, 0.0
    steps = missing.gibbs(model, x, redraw, STEPS, corrected=corrected,
                          pseudo_first=20 if corrected else 0)  # fmt: skip
    for step, state in enumerate(steps):
        if step >= BURN:
            with torch.no_grad():
                total = total + mean(state, model.likelihood(state.z))
            moved += state.moved.double().mean().item()
    return total / (STEPS - BURN), moved / (STEPS - BURN)


def gaps(model: vt.VAE, train: Tensor, x: Tensor) -> list[dict]:
    rows = []
    frequency = train.mean(0, keepdim=True)
    for name, seen in hidden_parts(len(x)).items():
        at = ~seen
        start = torch.where(seen, x, torch.bernoulli(frequency.expand_as(x)))
        ways = {
            "mean": {"": frequency.expand_as(x)},
            "PCA": {k: by_components(train, x, seen, k) for k in (10, 20, 40, 80, 120)},
            "neighbours": {k: by_neighbours(train, x, seen, k) for k in (10, 20, 40, 80, 160)},
        }
        rates, seconds = {}, {}
        for way, corrected in (("pseudo-Gibbs", False), ("corrected Gibbs", True)):
            began = time.perf_counter()
            ways[way], rates[way] = gibbs_mean(
                model, start, missing.fill_hidden(x, seen), corrected
            )
            ways[way] = {"": ways[way]}
            seconds[way] = round(time.perf_counter() - began, 1)
        began = time.perf_counter()
        z, log_w = missing.weigh_completions(model, start, seen, DRAWS)
        share = log_w.softmax(0)
        with torch.no_grad():
            white = torch.einsum("kb,kbchw->bchw", share, model.likelihood(z).mean)
        ways["importance"] = {"": white}
        seconds["importance"] = round(time.perf_counter() - began, 1)
        rates["importance"] = (1 / share.square().sum(0)).median().item()  # effective draws
        began = time.perf_counter()
        z = missing.most_probable_z(model, start, seen)
        ways["most probable z"] = {"": model.likelihood(z).mean.detach()}
        seconds["most probable z"] = round(time.perf_counter() - began, 1)
        for way, settings in ways.items():
            rows.append({"part": "gaps", "hidden": name, "method": way,
                         "moved_or_draws": round(rates.get(way, math.nan), 3) if way in rates
                         else None, "seconds": seconds.get(way),
                         **best(settings, x, at)})  # fmt: skip
    return rows


def denoiser(train: Tensor, seed: int) -> nn.Module:
    """A network from noisy to clean bits, trained for flips of probability `TRAINED_FOR`."""
    torch.manual_seed(100 + seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(196, 300), nn.ReLU(), nn.Linear(300, 300),
                            nn.ReLU(), nn.Linear(300, 196), nn.Unflatten(1, SHAPE))  # fmt: skip

    def loss(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
        noisy = flipped(x, TRAINED_FOR)
        each = F.binary_cross_entropy_with_logits(net(noisy), x, reduction="none")
        return {"loss": each.flatten(1).sum(1)}

    vt.fit(network, train, objective=loss, epochs=EPOCHS, batch_size=200, binarise=True,
           device="cpu", progress=False)  # fmt: skip
    return network


def flipped(x: Tensor, rate: float) -> Tensor:
    return torch.where(torch.rand_like(x) < rate, 1 - x, x)


def median(y: Tensor) -> Tensor:
    """The 3 × 3 median; outside the image is black."""
    return F.unfold(F.pad(y, (1, 1, 1, 1)), 3).median(1).values.view_as(y)


def frequencies(bits: tuple[Tensor, ...], clean: Tensor, x: tuple[Tensor, ...]) -> Tensor:
    """P(clean = 1 | bits), counted on training images, looked up for others."""
    key, wanted = (sum(b.long() << i for i, b in enumerate(v)) for v in (bits, x))
    table = torch.stack([clean[key == k].mean() for k in range(2 ** len(bits))])
    return table[wanted]


def noise(model: vt.VAE, network: nn.Module, train: Tensor, x: Tensor) -> list[dict]:
    rows, everywhere = [], torch.ones_like(x, dtype=torch.bool)
    for rate in FLIPS:
        y, noisy = flipped(x, rate), flipped(train[:5000], rate)

        def cleaned(state, p, y=y, rate=rate):
            one, zero = (torch.where(y == bit, 1 - rate, rate) for bit in (1, 0))
            return p.mean * one / (p.mean * one + (1 - p.mean) * zero)

        with torch.no_grad():
            ways = {
                "nothing": {"": frequencies((noisy,), train[:5000], (y,))},
                "median filter": {"": frequencies((noisy, median(noisy)), train[:5000],
                                                  (y, median(y)))},
                "PCA": {k: (by_components(noisy, y, everywhere, k) - rate) / (1 - 2 * rate)
                        for k in (10, 20, 40, 80, 120)},  # E[noisy bit] = rate + (1 − 2 rate) p
                "denoising autoencoder": {"": network(y).sigmoid()},
                "VAE, as if clean": {"": model.likelihood(model.posterior(y).mean).mean},
            }  # fmt: skip
        redraw = missing.undo_flips(y, rate)
        white, moved = gibbs_mean(model, y, redraw, True, cleaned)
        ways["VAE, posterior"] = {"": white}
        ways["VAE, pseudo-Gibbs"] = {"": gibbs_mean(model, y, redraw, False, cleaned)[0]}
        for way, settings in ways.items():
            rows.append({"part": "noise", "rate": rate, "method": way,
                         "moved": round(moved, 3) if way == "VAE, posterior" else None,
                         **best(settings, x, everywhere)})  # fmt: skip
    return rows


def images(seed: int, loaded: vt.Images) -> list[dict]:
    torch.manual_seed(seed)
    train = halved(loaded.train.images)[torch.randperm(60_000)[: TRAIN + 1000]]
    train, held = train[:TRAIN], train[TRAIN:]
    model = vt.VAE(vt.MLPEncoder(LATENT, HIDDEN, SHAPE), vt.MLPDecoder(LATENT, HIDDEN, SHAPE))
    history = vt.fit(model, train, validation=held, epochs=EPOCHS, batch_size=200, device="cpu",
                     progress=False)  # fmt: skip
    grey = halved(loaded.test.images)[torch.randperm(10_000)[: CHOSEN_ON + TEST]]
    x, bits = (torch.bernoulli(v / 255) for v in (grey.float(), train.float()))
    rows = gaps(model, bits, x) + noise(model, denoiser(train, seed), bits, x)
    curve = [round(v, 2) for v in history.validation["loss"]]
    return [{"seed": seed, **row} for row in rows] + [{"part": "curve", "seed": seed,
                                                       "curve": curve}]  # fmt: skip


def miwae(x: Tensor, seen: Tensor, seed: int) -> tuple[Tensor, list[float]]:
    """`x` imputed by the model that did best on a tenth of the seen values, kept back."""
    torch.manual_seed(seed)
    columns = x.shape[1]
    model = vt.VAE(vt.MLPEncoder(10, (128,), (columns,)), vt.MLPDecoder(10, (128,), (columns,)),
                   vt.GaussianLikelihood(0.5, learned=True))  # fmt: skip
    kept = seen & (torch.rand(x.shape) < 0.1)
    shown, curve, state = seen & ~kept, [], None
    filled = torch.where(shown, x, 0.0)
    for _ in range(12):
        vt.fit(model, (filled, shown.float()), objective=partial(missing.miwae_bound, samples=20),
               epochs=40, batch_size=64, learning_rate=1e-3, device="cpu", progress=False,
               schedule=vt.schedules.constant)  # fmt: skip
        error = (missing.impute(model, filled, shown, 200) - x)[kept].square().mean().sqrt().item()
        if not curve or error < min(curve):
            state = {k: v.clone() for k, v in model.state_dict().items()}
        curve.append(round(error, 4))
    model.load_state_dict(state)
    return missing.impute(model, torch.where(seen, x, 0.0), seen, 2000), curve


def gaussian(x: Tensor, seen: Tensor, ridge: float, steps: int = 40) -> Tensor:
    """`x` with conditional means of one normal distribution, fitted by EM to the seen values.

    The covariance gets `ridge` on its diagonal in every step.
    """
    x, eye = torch.where(seen, x, 0.0).double(), torch.eye(x.shape[1]).double()
    mean, cover, filled = x.mean(0), eye, x
    both = (seen[:, :, None] & seen[:, None, :]).double()
    for _ in range(steps):
        # Seen block of the covariance, and the identity elsewhere: one solve for all rows.
        inner = cover * both + torch.diag_embed((~seen).double())
        part = cover * seen[:, None, :]  # covariances of every column with the seen ones
        gain = torch.linalg.solve(inner, part.mT).mT
        filled = mean + torch.einsum("nij,nj->ni", gain, (x - mean) * seen)
        filled = torch.where(seen, x, filled)
        left = (cover - gain @ part.mT) * (~seen)[:, :, None] * (~seen)[:, None, :]
        mean = filled.mean(0)
        cover = torch.cov(filled.T, correction=0) + left.mean(0) + ridge * eye
    return filled.float()


def chosen(x: Tensor, seen: Tensor, seed: int, ways: dict) -> dict:
    """The way with the smallest error on a tenth of the seen values, and its result on all."""
    torch.manual_seed(seed)
    kept = seen & (torch.rand(x.shape) < 0.1)  # as MIWAE keeps some back
    errors = {k: (way(x, seen & ~kept) - x)[kept].square().mean() for k, way in ways.items()}
    best = min(errors, key=errors.get)
    return {"setting": best, "error": _error(ways[best](x, seen), x, seen)}


def _error(found: Tensor, x: Tensor, seen: Tensor) -> float:
    return round((found - x)[~seen].square().mean().sqrt().item(), 5)


def with_holes(name: str, seed: int) -> tuple[Tensor, Tensor]:
    """A table with standardised columns, and the half of it that is seen."""
    x = {"breast cancer": load_breast_cancer, "wine": load_wine}[name]().data
    x = torch.tensor(x, dtype=torch.float32)
    x = (x - x.mean(0)) / x.std(0)
    return x, torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < 0.5


def by_sklearn(imputer, x: Tensor, seen: Tensor) -> Tensor:
    return torch.tensor(imputer.fit_transform(torch.where(seen, x, math.nan).numpy()))


def table(name: str, seed: int) -> list[dict]:
    x, seen = with_holes(name, seed)
    began = time.perf_counter()
    own, curve = miwae(x, seen, seed)
    seconds = time.perf_counter() - began
    linear = IterativeImputer(max_iter=30, random_state=seed, min_value=-6, max_value=12)
    ways = {
        "mean": torch.where(seen, x, math.nan).nanmean(0).expand_as(x),
        "iterative, linear": by_sklearn(linear, x, seen),
        "MIWAE": own,
    }
    rows = [{"part": "tables", "table": name, "seed": seed, "method": way,
             "error": _error(found, x, seen)} for way, found in ways.items()]  # fmt: skip
    rows[-1] |= {"curve": curve, "seconds": round(seconds, 1)}
    return rows


def rivals(name: str, seed: int) -> list[dict]:
    """Nearest neighbours and a normal distribution, with settings chosen as MIWAE's are."""
    x, seen = with_holes(name, seed)
    ways = {
        "nearest neighbours": {
            k: partial(by_sklearn, KNNImputer(n_neighbors=k)) for k in (3, 5, 10, 20, 40)},
        "normal distribution, EM": {
            r: partial(gaussian, ridge=r) for r in (0.003, 0.01, 0.03, 0.1, 0.3)},
    }  # fmt: skip
    return [{"part": "tables", "table": name, "seed": seed, "method": way,
             **chosen(x, seen, seed, settings)} for way, settings in ways.items()]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", choices=("images", "tables"), required=True)
    parser.add_argument("--seconds", type=float, default=300, help="start no job after these")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {"command": f"python benchmarks/missing.py --what {options.what}",
              "torch": torch.__version__,
              "sklearn": sklearn.__version__, "machine": platform.machine(), "train": TRAIN,
              "latent_dim": LATENT, "hidden": HIDDEN[0], "epochs": EPOCHS, "test": TEST,
              "steps": STEPS, "burn": BURN, "draws": DRAWS, "done": {}, "rows": []}  # fmt: skip
    if options.out.exists():
        result |= json.loads(options.out.read_text("utf-8"))
    start = time.perf_counter()
    if options.what == "images":
        loaded = vt.load_images("mnist")
        jobs = {f"images {seed}": partial(images, seed, loaded) for seed in range(3)}
    else:
        jobs = {f"{name}, {kind} {seed}": partial(job, name, seed)
                for kind, job in (("table", table), ("rivals", rivals))
                for name in ("breast cancer", "wine") for seed in range(5)}  # fmt: skip
    for name, job in jobs.items():
        if name in result["done"] or time.perf_counter() - start > options.seconds:
            continue
        began = time.perf_counter()
        result["rows"] += job()
        result["done"][name] = round(time.perf_counter() - began, 1)
        print(name, result["done"][name], "s", flush=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
