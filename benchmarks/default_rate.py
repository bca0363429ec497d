"""Two learning rates for colour images under a Gaussian whose σ is learnt, three seeds each.

    python benchmarks/default_rate.py --out benchmarks/results/default_rate.json

2,000 images of 3 × 64 × 64: a disc of one colour on a shaded ground, with noise. Eight epochs are
500 steps, so that σ, whose logarithm moves by at most the rate in a step, has not arrived; what is
asked is whether a run trains at all.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import torch
from torch import Tensor

import vae_tutorial as vt

SHAPE, CHANNELS = (3, 64, 64), (16, 32, 64, 128)


def discs(count: int) -> Tensor:
    """Images `(N, 3, 64, 64)`, uint8."""
    draw = torch.Generator().manual_seed(0)
    line = torch.linspace(-1, 1, 64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    centre = torch.rand(count, 2, generator=draw) * 1.4 - 0.7
    radius = 0.15 + 0.35 * torch.rand(count, generator=draw)
    disc, ground = (torch.rand(count, 3, generator=draw)[..., None, None] for _ in range(2))
    away = ((x - centre[:, :1, None]).square() + (y - centre[:, 1:, None]).square()).sqrt()
    inside = torch.sigmoid(20 * (radius[:, None, None] - away))[:, None]
    images = ground * (1 - inside) * (0.7 + 0.3 * x) + disc * inside
    images = images + 0.02 * torch.randn(images.shape, generator=draw)
    return (255 * images.clamp(0, 1)).round().byte()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images, rows = discs(options.images), []
    for seed in range(3):
        for rate in (2e-3, 5e-4):
            torch.manual_seed(seed)
            model = vt.VAE(
                vt.ConvEncoder(32, CHANNELS, image_shape=SHAPE),
                vt.ConvDecoder(32, CHANNELS, image_shape=SHAPE),
                vt.GaussianLikelihood(0.1, learned=True),
            )
            row: dict[str, object] = {"seed": seed, "learning_rate": rate}
            try:
                history = vt.fit(model, images, epochs=options.epochs, batch_size=32,
                                 learning_rate=rate, progress=False, device="cpu")  # fmt: skip
                row["train_negative_elbo"] = [round(v, 1) for v in history.train["loss"]]
                row["sigma"] = round(model.observation_model.sigma.item(), 4)
            except vt.TrainingDivergedError as error:
                row["diverged"] = str(error)
            rows.append(row)
            print(row, flush=True)
    result = {
        "what": "−ELBO on the training images after each epoch, nats per image (a density)",
        "command": f"python benchmarks/default_rate.py --images {options.images} "
        f"--epochs {options.epochs}",
        "torch": str(torch.__version__), "python": platform.python_version(), "rows": rows,
    }  # fmt: skip
    if options.out:
        options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
