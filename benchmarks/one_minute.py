"""How good a VAE is after a minute of training: test −ELBO on real MNIST.

    python benchmarks/one_minute.py --seconds 60 --out benchmarks/results/one_minute.json

For the convolutional and the fully connected VAE of the book: one epoch is timed and thrown away,
the number of epochs that fits into the time is chosen from it, and a fresh model is trained by
`fit` for that many. What is stored is the time that the training took, without evaluation. The
figure is the mean over all 10,000 test images of −ELBO in nats, pixels binarised dynamically, one
sample of z for each image, with its standard error over images.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import torch

import vae_tutorial as vt
from vae_tutorial.__main__ import build


def measure(network: str, data: vt.Images, options: argparse.Namespace) -> dict[str, object]:
    """Train one model for about `options.seconds` and return its row."""

    def train(epochs: int) -> tuple[vt.VAE, vt.History]:
        torch.manual_seed(options.seed)
        model = build(network, options.latent_dim)
        history = vt.fit(
            model, data.train, epochs=epochs, batch_size=options.batch_size,
            learning_rate=options.learning_rate,
        )  # fmt: skip
        return model, history

    epoch_seconds = train(epochs=1)[1].seconds[0]
    model, history = train(epochs=max(1, int(options.seconds / epoch_seconds)))
    per_image = {}

    def keep(model: vt.VAE, x: torch.Tensor) -> dict[str, torch.Tensor]:
        terms = vt.elbo(model, x)
        for name in ("elbo", "kl"):
            per_image.setdefault(name, []).append(terms[name])
        return terms

    vt.evaluate(model, data.test, objective=keep)
    negative_elbo = -torch.cat(per_image["elbo"])
    return {
        "network": network,
        "parameters": sum(p.numel() for p in model.parameters()),
        "epochs": history.epochs,
        "training_seconds": round(history.seconds[-1], 1),
        "test_negative_elbo": round(negative_elbo.mean().item(), 2),
        "standard_error_over_images": round(negative_elbo.std().item() / len(data.test) ** 0.5, 2),
        "test_kl": round(torch.cat(per_image["kl"]).mean().item(), 2),
        "settings": history.settings,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--latent-dim", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    data = vt.load_images("mnist")
    rows = [measure(network, data, options) for network in ("conv", "mlp")]
    result = {
        "what": "test −ELBO, nats per image, MNIST, dynamic binarisation, one sample of z, "
        "all 10,000 test images",
        "command": "python benchmarks/one_minute.py " + " ".join(sys.argv[1:]),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "processor": f"{os.cpu_count()} cores, {platform.machine()}",
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    for row in rows:
        print({key: value for key, value in row.items() if key != "settings"})


if __name__ == "__main__":
    main()
