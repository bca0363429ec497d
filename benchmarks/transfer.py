"""Features for few labels: an encoder from another data set, PCA, random weights, and none.

    python benchmarks/transfer.py --models FOLDER --out benchmarks/results/transfer.json

A VAE is trained without labels on one set (source). Its codes are features for the other set
(target), and a logistic regression is fitted to 10, 100 or 1,000 labelled images, all at 14 × 14
pixels. Beside it: the
codes of a VAE trained on the target itself, an untrained encoder, principal components of the
target's and the source's training images, the pixels themselves, and a network trained from
nothing on the labelled images. Five seeds: of the VAEs, the random weights and the labels.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import torch
from semi_supervised import halved
from torch import Tensor, nn
from torch.nn import functional as F

import vae_tutorial as vt
from vae_tutorial.semi_supervised import choose_labelled, linear_probe
from vae_tutorial.train.engine.saved import save_model

LATENT, HIDDEN, IMAGES, SHAPE = 50, (400,), 20_000, (1, 14, 14)
SETS = ("mnist", "fashion-mnist")
COUNTS = (10, 100, 1000)


def source_vae(name: str, seed: int, images: Tensor, folder: Path, epochs: int) -> vt.VAE:
    """The VAE of this name and seed, trained unless its weights lie in `folder`."""
    file = folder / f"{name}-{seed}.pt"
    if file.exists():
        return vt.load(file)
    torch.manual_seed(seed)
    model = vt.VAE(vt.MLPEncoder(LATENT, HIDDEN, SHAPE), vt.MLPDecoder(LATENT, HIDDEN, SHAPE))
    vt.fit(model, images, epochs=epochs, batch_size=200, device="cpu", progress=False)
    save_model(file, model)
    return model


def principal(images: Tensor, count: int = LATENT):
    """The first `count` principal components of images: a function to features."""
    x = (images / 255).flatten(1)
    mean = x.mean(0)
    _, _, V = torch.linalg.svd((x - mean)[:5000], full_matrices=False)
    return lambda y: ((y / 255).flatten(1) - mean) @ V[:count].T


def from_nothing(x: Tensor, y: Tensor, test: Tensor, seed: int) -> Tensor:
    """Logits of the test images, of a network that saw the labelled images alone."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(196, 400), nn.ReLU(), nn.Linear(400, 10))
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    x, test = x / 255, test / 255
    for _ in range(300):
        for part in torch.randperm(len(x)).split(100):
            loss = F.cross_entropy(model(x[part]), y[part])
            adam.zero_grad()
            loss.backward()
            adam.step()
    return model(test).detach()


def features_of(source: str, target: str, seed: int, sets: dict, options) -> dict:
    """Each way to features: a function from images to `(N, F)`."""
    vaes = {name: source_vae(name, seed, sets[name][0], options.models,
                             options.epochs) for name in (source, target)}  # fmt: skip
    torch.manual_seed(100 + seed)
    random = vt.MLPEncoder(LATENT, HIDDEN, SHAPE)
    return {
        "VAE of the other set": lambda x: vaes[source].encoder(x / 255)[0].detach(),
        "VAE of the set itself": lambda x: vaes[target].encoder(x / 255)[0].detach(),
        "random encoder": lambda x: random(x / 255)[0].detach(),
        "PCA of the other set": principal(sets[source][0]),
        "PCA of the set itself": principal(sets[target][0]),
        "pixels": lambda x: (x / 255).flatten(1),
    }  # fmt: skip


def scaled(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both with mean 0 and, averaged over dimensions, variance 1 of the first."""
    mean = train.mean(0)
    spread = (train - mean).square().mean().sqrt()
    return (train - mean) / spread, (test - mean) / spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--models", type=Path, required=True, help="a folder for the VAEs")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.models.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    loaded = {name: vt.load_images(name) for name in SETS}
    sets = {name: (halved(s.train.images[:IMAGES]), s.train.labels[:IMAGES],
                   halved(s.test.images), s.test.labels) for name, s in loaded.items()}  # fmt: skip
    result = {
        "command": "python benchmarks/transfer.py", "torch": torch.__version__,
        "machine": platform.machine(), "images": IMAGES, "epochs": options.epochs,
        "latent_dim": LATENT, "side": 14, "hidden": HIDDEN[0], "test": "10,000 grey test images",
        "rows": [],
    }  # fmt: skip
    if options.out and options.out.exists():
        result["rows"] = json.loads(options.out.read_text("utf-8"))["rows"]
    for seed in options.seeds:
        for source, target in (SETS, SETS[::-1]):
            if any((r["target"], r["seed"]) == (target, seed) for r in result["rows"]):
                continue
            start = time.perf_counter()
            images, labels, seen_images, truth = sets[target]
            ways = features_of(source, target, seed, sets, options)
            for name, way in ways.items():
                unlabelled, seen = scaled(way(images), way(seen_images))
                for count in COUNTS:
                    index = choose_labelled(labels, count // 10, seed)
                    probe = linear_probe(unlabelled[index], labels[index], 10)
                    right = (probe(seen).argmax(1) == truth).double().mean().item()
                    result["rows"].append(
                        {
                            "target": target,
                            "seed": seed,
                            "labels": count,
                            "features": name,
                            "accuracy": round(right, 4),
                        }
                    )
            for count in COUNTS:
                index = choose_labelled(labels, count // 10, seed)
                logits = from_nothing(images[index], labels[index], seen_images, seed)
                right = (logits.argmax(1) == truth).double().mean().item()
                result["rows"].append({"target": target, "seed": seed, "labels": count,
                                       "features": "a network from nothing",
                                       "accuracy": round(right, 4)})  # fmt: skip
            print(target, seed, round(time.perf_counter() - start), "s", flush=True)
            for row in result["rows"][-3 * (len(ways) + 1) :]:
                print("   ", row["features"], row["labels"], row["accuracy"], flush=True)
            if options.out:
                options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
