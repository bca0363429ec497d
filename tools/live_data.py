"""Data scripts of live figures that come from the package's own images.

    python tools/live_data.py

`small-digits.js`: stroke digits in 16 × 16 binary pixels, for the VAE that trains in the page.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import vae_tutorial as vt
from vae_tutorial import live

SIDE = 16
TRAIN, TEST = 4096, 400  # the first so many of each part


def reduced(images: Tensor) -> Tensor:
    """Images (N, 1, 28, 28) of bytes as (N, 256) of `bool`: each pixel is the mean of 1.5 × 1.5
    pixels of the middle 24 × 24, and ink where that is above one half. All in whole numbers, so
    the same on every machine."""
    middle = images[:, 0, 2:26, 2:26].int()
    fine = middle.repeat_interleave(2, 1).repeat_interleave(2, 2)  # (N, 48, 48)
    sums = fine.view(-1, SIDE, 3, SIDE, 3).sum((2, 4))
    return (2 * sums > 9 * 255).flatten(1)


def bits(images: Tensor) -> str:
    """Eight pixels a byte, the first in the highest bit, in base64."""
    return base64.b64encode(np.packbits(images.numpy()).tobytes()).decode()


def small_digits() -> str:
    """The text of `small-digits.js`."""
    digits = vt.load_images("stroke-digits")
    train, test = digits.train[:TRAIN], digits.test[:TEST]
    content = {
        "side": SIDE,
        "train": bits(reduced(train.images)),
        "test": bits(reduced(test.images)),
        "labels": "".join(map(str, test.labels.tolist())),
    }
    return f'VaeLive.files["small-digits"] = {json.dumps(content)};\n'


def main() -> None:
    torch.set_num_threads(1)
    path = Path(live.FOLDER) / "small-digits.js"
    path.write_text(small_digits(), encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
