"""Anomaly scores of VAEs and of simple rivals, on held-out classes, damaged images, another set.

    python benchmarks/anomalies.py --out benchmarks/results/anomalies.json

Images of 14 × 14 pixels with eight grey levels, so that every method sees the same numbers and
log p(x) is a probability and no density. A VAE (one hidden layer of 200, 16 latents, categorical
pixels) is trained on 20,000 images, without labels. All scores are larger for stranger images:

- VAE: −log p(x) (50 draws), −ELBO, −E_q[log p(x | z)], KL; |−log p(x) − its mean on clean
  images|, called typicality (Nalisnick et al., 2019, for single images); the log-ratio of
  a background model to the model (Ren et al., 2019), where the background model is a VAE of the
  same kind, trained on images in which a fifth of the pixels has a random level.
- rivals: squared error of PCA with 16 components, Mahalanobis distance (Ledoit-Wolf covariance),
  isolation forest (200 trees), distance to the fifth nearest training image, and the bytes of
  the image after zlib.

- `sets`: MNIST and Fashion-MNIST, three seeds; the other set, and six kinds of damage.
- `class`: MNIST without one digit (1, 3, 5, 7 or 9), three seeds; that digit is the anomaly.

A seed chooses the training, validation and test images and the first weights. The threshold is
chosen on 2,000 validation images for 5 per cent false alarms.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import zlib
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn import functional as F

import vae_tutorial as vt
from vae_tutorial.measure.anomaly import alarm_threshold, auroc, surprise

LEVELS, LATENT, HIDDEN, DRAWS = 8, 16, 200, 50
TRAIN, VALIDATION, TEST, RATE = 20_000, 2_000, 1_000, 0.05
CLASSES, SEEDS = (1, 3, 5, 7, 9), (0, 1, 2)


class LevelDecoder(vt.MLPDecoder):
    """A fully connected decoder to one logit for each level of each pixel."""

    def __init__(self) -> None:
        super().__init__(LATENT, (HIDDEN,), (LEVELS, 14, 14))


def levels_of(images: Tensor) -> Tensor:
    """28 × 28 bytes to 14 × 14 levels from 0 to 7."""
    small = F.avg_pool2d(images.float(), 2)
    return (small * LEVELS / 256).floor().to(torch.uint8)


def damaged(x: Tensor, seed: int) -> dict[str, Tensor]:
    """The same images with six kinds of damage, `(N, 1, 14, 14)` each."""
    torch.manual_seed(1000 + seed)
    top = LEVELS - 1
    line, rows = x.clone(), torch.randint(3, 11, (len(x),))
    line[torch.arange(len(x)), 0, rows] = top
    spots = torch.rand(x.shape) < 0.05
    noise = torch.where(spots, torch.randint(0, LEVELS, x.shape).to(x.dtype), x)
    blur = F.avg_pool2d(x.float(), 3, stride=1, padding=1, count_include_pad=False).round()
    return {"noise": noise, "line": line, "blur": blur.to(x.dtype), "faint": x // 2,
            "inverted": top - x, "upside down": x.flip(-1, -2)}  # fmt: skip


def trained(x: Tensor, held: Tensor, seed: int, epochs: int) -> tuple[vt.VAE, list[float]]:
    """A VAE for levels `(N, 1, 14, 14)`, and the validation −ELBO after each epoch."""
    torch.manual_seed(seed)
    model = vt.VAE(vt.MLPEncoder(LATENT, (HIDDEN,), (1, 14, 14)), LevelDecoder(),
                   vt.CategoricalLikelihood(LEVELS))  # fmt: skip
    history = vt.fit(model, x, validation=held, epochs=epochs, batch_size=200, device="cpu",
                     progress=False)  # fmt: skip
    return model, [round(v, 2) for v in history.validation["loss"]]


def perturbed(x: Tensor, seed: int) -> Tensor:
    """A fifth of the pixels gets a random level."""
    torch.manual_seed(2000 + seed)
    random = torch.randint(0, LEVELS, x.shape).to(x.dtype)
    return torch.where(torch.rand(x.shape) < 0.2, random, x)


def deflated(x: Tensor) -> Tensor:
    """Bytes of each image after zlib, without what every file has."""
    packed = [len(zlib.compress(image.numpy().tobytes(), 9)) for image in x]
    return torch.tensor(packed).double() - 8


class Rivals:
    """Scores without a VAE, fitted to training images `(N, 1, 14, 14)`."""

    def __init__(self, x: Tensor, seed: int) -> None:
        x = self.flat(x)
        self.pca = PCA(LATENT, random_state=seed).fit(x)
        self.covariance = LedoitWolf().fit(x)
        self.forest = IsolationForest(n_estimators=200, random_state=seed).fit(x)
        self.near = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(x)

    @staticmethod
    def flat(x: Tensor) -> np.ndarray:
        return (x.flatten(1).float() / (LEVELS - 1)).numpy()

    def scores(self, x: Tensor) -> dict[str, Tensor]:
        bytes_, x = deflated(x), self.flat(x)
        rebuilt = self.pca.inverse_transform(self.pca.transform(x))
        found = {
            "PCA error": ((x - rebuilt) ** 2).sum(1),
            "Mahalanobis": self.covariance.mahalanobis(x),
            "isolation forest": -self.forest.score_samples(x),
            "nearest neighbours": self.near.kneighbors(x)[0][:, -1],
        }
        return {name: torch.as_tensor(v).double() for name, v in found.items()} | {"zlib": bytes_}


def experiment(train: Tensor, held: Tensor, sets: dict[str, Tensor], seed: int,
               epochs: int) -> tuple[list[dict], dict]:  # fmt: skip
    """Rows for every score and kind of anomaly; `sets["normal"]` are clean test images."""
    model, curve = trained(train, held, seed, epochs)
    background, _ = trained(perturbed(train, seed), perturbed(held, 9 + seed), seed, epochs // 2)
    rivals, found = Rivals(train, seed), {}
    for name, x in {"held": held, **sets}.items():
        own, broad = surprise(model, x, DRAWS), surprise(background, x, DRAWS)["log p(x)"]
        if name == "held":
            typical = own["log p(x)"].mean()
        scores = {f"VAE: {key}": value for key, value in own.items()}
        scores["VAE: typicality"] = (own["log p(x)"] - typical).abs()
        scores["VAE: likelihood ratio"] = own["log p(x)"] - broad
        found[name] = scores | rivals.scores(x)
    rows = []
    for score in found["held"]:
        limit = alarm_threshold(found["held"][score], RATE)
        normal = found["normal"][score]
        alarms = int((normal > limit).sum())
        for kind in sets:
            if kind != "normal":
                strange = found[kind][score]
                rows.append({"score": score, "anomaly": kind, "seed": seed,
                             "auroc": round(auroc(normal, strange), 5), "false_alarms": alarms,
                             "of": len(normal),
                             "caught": round((strange > limit).double().mean().item(), 4),
                             "mean": round(strange.mean().item(), 3),
                             "mean_normal": round(normal.mean().item(), 3)})  # fmt: skip
    return rows, {"curve": curve, "found": found, "model": model}


def parts_of(images: vt.Images, seed: int, without: int | None = None) -> tuple[Tensor, ...]:
    """Training, validation and normal test images of a seed, without a class."""
    shuffle = torch.Generator().manual_seed(seed)
    train, test = images.train, images.test
    if without is not None:
        train, test = train[train.labels != without], test[test.labels != without]
    order = torch.randperm(len(train), generator=shuffle)[: TRAIN + VALIDATION]
    x = levels_of(train.images[order])
    normal = levels_of(test.images[torch.randperm(len(test), generator=shuffle)[:TEST]])
    return x[:TRAIN], x[TRAIN:], normal


def explained(result: dict, kinds: tuple[str, ...]) -> dict:
    """What Nalisnick's failure is made of: histograms, and nats beside the bytes of zlib."""
    edges, found = torch.linspace(0, 500, 51, dtype=torch.double), result["found"]
    nll = {kind: found[kind]["VAE: log p(x)"] for kind in kinds}
    both = torch.stack([found["normal"]["VAE: log p(x)"], found["normal"]["zlib"]])
    flat = {}
    for level in (0, 2, 4, 7):
        x = torch.full((1, 1, 14, 14), level, dtype=torch.uint8)
        flat[str(level)] = round(surprise(result["model"], x, 500)["log p(x)"].item(), 2)
    return {
        "edges": edges.tolist(), "flat_images": flat,
        "histograms": {k: torch.histogram(v, edges).hist.int().tolist() for k, v in nll.items()},
        "correlation_with_zlib": round(torch.corrcoef(both)[0, 1].item(), 3),
        "zlib": {kind: round(found[kind]["zlib"].mean().item(), 2) for kind in kinds},
    }  # fmt: skip


def jobs(loaded: dict[str, vt.Images]):
    """Each job's part, source, held-out class, seed, training images, validation and test sets."""
    for seed in SEEDS:
        for source, other in (("mnist", "fashion-mnist"), ("fashion-mnist", "mnist")):
            train, held, normal = parts_of(loaded[source], seed)
            sets = {"normal": normal, **damaged(normal, seed),
                    other: parts_of(loaded[other], seed)[2]}  # fmt: skip
            yield ("sets", source, None, seed), train, held, sets
    for seed in SEEDS:
        for digit in CLASSES:
            train, held, normal = parts_of(loaded["mnist"], seed, digit)
            test = loaded["mnist"].test
            strange = levels_of(test.images[test.labels == digit][:800])
            yield ("class", "mnist", digit, seed), train, held, {"normal": normal, "class": strange}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=300, help="start no job after these")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded = {name: vt.load_images(name) for name in ("mnist", "fashion-mnist")}
    result = {
        "command": "python benchmarks/anomalies.py", "torch": torch.__version__,
        "sklearn": sklearn.__version__, "machine": platform.machine(), "levels": LEVELS,
        "latent_dim": LATENT, "hidden": HIDDEN, "epochs": options.epochs, "draws": DRAWS,
        "train": TRAIN, "validation": VALIDATION, "test": TEST, "rate": RATE, "jobs": [],
    }  # fmt: skip
    if options.out.exists():
        result["jobs"] = json.loads(options.out.read_text("utf-8"))["jobs"]
    start = time.perf_counter()
    for (part, source, digit, seed), train, held, sets in jobs(loaded):
        job = {"part": part, "source": source, "class": digit, "seed": seed}
        if any(job.items() <= done.items() for done in result["jobs"]):
            continue
        if time.perf_counter() - start > options.seconds:
            break
        began = time.perf_counter()
        job["rows"], more = experiment(train, held, sets, seed, options.epochs)
        job["curve"] = more["curve"]
        if part == "sets":
            job |= explained(more, ("normal", next(k for k in sets if "mnist" in k)))
        job["seconds"] = round(time.perf_counter() - began, 1)
        print({key: job[key] for key in ("part", "source", "class", "seed", "seconds")},
              job["curve"][-3:], flush=True)  # fmt: skip
        result["jobs"].append(job)
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
