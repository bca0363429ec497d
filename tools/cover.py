"""Draw the picture of README.md and intro.md: `python tools/cover.py`, about a minute on a CPU.

It trains the book's convolutional VAE on MNIST and shows test digits, their reconstructions and
two rows of digits drawn from the prior, as they come: the first ones for seed 0.
"""

from __future__ import annotations

from pathlib import Path

import torch

import vae_tutorial as vt

PICTURE = Path(__file__).resolve().parent.parent / "_static" / "cover.png"


def main() -> None:
    torch.manual_seed(0)
    vt.plots.use_style()
    data = vt.load_images("mnist")
    model = vt.VAE(vt.ConvEncoder(latent_dim=24), vt.ConvDecoder(latent_dim=24))
    vt.fit(model, data.train, epochs=8, learning_rate=4e-3)
    model.cpu()
    x = data.test.images[:14].float() / 255
    rows = torch.cat([x, model.reconstruct(x), model.sample(28)])
    labels = ("test digit", "reconstruction", "drawn by\nthe model", "")
    ax = vt.plots.images(rows, columns=14, row_labels=labels)
    ax.figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    main()
