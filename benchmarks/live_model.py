"""The model of the live figures `explorer` and `draw`: a small VAE with two latent dimensions.

    python benchmarks/live_model.py --try 96x96x64 128x64 --epochs 20
    python benchmarks/live_model.py --train 96x96x64 --epochs 200

Protocol: MNIST, pixels binarised afresh for every batch, the ELBO with one draw, `vt.fit`. The last
5,000 training images are held out: network and epochs are chosen by the −ELBO on them, and every
trial is stored. `--train` trains the chosen network, rounds its weights to float16, measures that
model on the 10,000 test images, and writes `vae_tutorial/live/mnist-2d.js`. A network is named by
the widths of its encoder's hidden layers; the decoder is the mirror image.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from training import common

import vae_tutorial as vt
from vae_tutorial.data.strokes import FACTOR_NAMES, FACTORS, _place
from vae_tutorial.plots import _apart

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "live_model.json"
TARGET = HERE.parent / "vae_tutorial" / "live" / "mnist-2d.js"
HELD_OUT = 5000
SAMPLES = 20  # of z for each image: as many as the figure `draw` takes
MAP_IMAGES = 2000  # test images whose means the map shows
MAP_EDGE = 4.0  # the map shows both latents from −4 to 4
QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99)


def build(name: str) -> vt.VAE:
    widths = tuple(map(int, name.split("x")))
    return vt.VAE(vt.MLPEncoder(2, widths), vt.MLPDecoder(2, widths))


def fit(name: str, images: vt.ImageSet, options: argparse.Namespace) -> tuple[vt.VAE, dict]:
    """A trained model and its row: −ELBO in nats on the held-out images, seconds, settings."""
    torch.manual_seed(options.seed)
    model = build(name)
    history = vt.fit(
        model, images[:-HELD_OUT], validation=images[-HELD_OUT:], epochs=options.epochs,
        batch_size=options.batch_size, learning_rate=options.learning_rate, device="cpu",
        progress=False,
    )  # fmt: skip
    losses = history.validation["loss"]
    row = {
        "network": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "epochs": history.epochs,
        "seed": options.seed,
        "training_seconds": round(history.seconds[-1], 1),
        "validation_negative_elbo": round(losses[-1], 2),
        "lowest_validation_negative_elbo": round(min(losses), 2),
        "train_negative_elbo": round(history.train["loss"][-1], 2),
        "settings": history.settings,
    }
    print({key: value for key, value in row.items() if key != "settings"}, flush=True)
    return model, row


def measure(model: vt.VAE, test: vt.ImageSet) -> dict[str, object]:
    """On all test images: −ELBO and its terms, and the quantiles of the ELBO, in nats."""
    found = vt.mean_elbo(model, test, samples=SAMPLES, progress=False)
    elbo = found.per_image.numpy()
    return {
        "test_negative_elbo": round(-found.mean, 2),
        "standard_error_over_images": round(found.standard_error, 2),
        "sampling_error": round(found.sampling_error, 3),
        "test_negative_log_px": round(-found.log_px.mean().item(), 2),
        "test_kl": round(found.rate, 2),
        "samples": SAMPLES,
        "images": len(test),
        "elbo_quantiles": {str(q): round(float(np.quantile(elbo, q)), 1) for q in QUANTILES},
    }


def dense(layers: torch.nn.Sequential, last: str) -> list[tuple[torch.nn.Linear, str]]:
    """The linear layers of a network of the package, with a ReLU between them."""
    linear = [layer for layer in layers.modules() if isinstance(layer, torch.nn.Linear)]
    return [(layer, "relu") for layer in linear[:-1]] + [(linear[-1], last)]


@torch.no_grad()
def the_map(model: vt.VAE, test: vt.ImageSet) -> dict[str, object]:
    """Posterior means of binarised test images, a byte for each coordinate, and their labels."""
    torch.manual_seed(0)
    some = test[:MAP_IMAGES]
    means = model.posterior(vt.float_batch(some.images, binarise=True)).mean.numpy()
    outside = (np.abs(means) > MAP_EDGE).any(1).mean()
    print(f"{outside:.2%} of the means lie outside the map and are drawn at its edge")
    bytes_ = np.rint((means / MAP_EDGE + 1) / 2 * 255).clip(0, 255).astype(np.uint8)
    centres = np.stack([np.median(means[some.labels == label], axis=0) for label in range(10)])
    return {
        "edge": MAP_EDGE,
        "centres": _apart(centres, least=0.5).round(2).tolist(),  # where names can be read
        "means": base64.b64encode(bytes_.tobytes()).decode(),
        "labels": "".join(map(str, some.labels.tolist())),
    }


def pens() -> list[list[list[float]]]:
    """For each class the pen strokes of a neutral stroke digit: x, y, x, y, … in pixels."""
    neutral = [factor.neutral for factor in FACTORS]
    neutral[FACTOR_NAMES.index("style")] = 0.2
    found = []
    for label in range(10):
        x, y = _place(label, np.array([neutral]))
        strokes: list[list[float]] = []
        for (x0, x1), (y0, y1) in zip(x[0].round(1).tolist(), y[0].round(1).tolist()):
            if not strokes or strokes[-1][-2:] != [x0, y0]:
                strokes.append([x0, y0])  # the pen was lifted
            strokes[-1] += [x1, y1]
        found.append(strokes)
    return found


def write(model: vt.VAE, test: vt.ImageSet, quantiles: dict[str, float]) -> dict[str, int]:
    """Write the data script; returns its size in bytes, as it is and compressed."""
    networks = {
        "encoder": dense(model.encoder.layers, "none"),
        "decoder": dense(model.decoder.layers, "none"),
    }
    extra = {"map": the_map(model, test), "pens": pens(), "elbo": quantiles}
    text = vt.live.pack("mnist-2d", networks, **extra).encode()
    TARGET.write_bytes(text)
    return {"bytes": len(text), "gzipped": len(gzip.compress(text, 9, mtime=0))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--try", dest="names", nargs="+", default=[], help="networks to compare")
    parser.add_argument("--train", help="the network to train, measure and write")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="the highest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    os.environ.setdefault("VAE_TUTORIAL_PROGRESS", "0")
    data = vt.load_images("mnist")
    result = json.loads(options.out.read_text()) if options.out.exists() else {"trials": []}
    start = time.perf_counter()
    for name in options.names:
        result["trials"].append(fit(name, data.train, options)[1])
    if options.train:
        model, row = fit(options.train, data.train, options)
        model.half().float()  # as the figures have it
        row |= measure(model, data.test)
        row["file"] = write(model, data.test, row["elbo_quantiles"])
        print({key: value for key, value in row.items() if key != "settings"})
        result = {
            "what": "nats per image, MNIST, dynamic binarisation (test pixels drawn once), "
            "weights rounded to float16",
            **common(options, Path(__file__).name),
            "device": "cpu",
            "threads": torch.get_num_threads(),
            "seconds": round(time.perf_counter() - start),
            "model": row,
            "trials": result["trials"],
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
