"""All 10,000 MNIST test images in one file, by bits-back coding, compared with everyday formats.

    python benchmarks/compression.py --out benchmarks/results/compression.json

Protocol: pixels are binarised at random, each grey level g by a coin of probability g / 255 (the
test images once, with seed 0; the training images afresh for every batch). Fully connected VAE,
ELBO with one draw, `vt.fit`; the last 5,000 training images are held out and were used to choose
epochs and widths. The file is read back and compared bit for bit. Beside it: gzip, bz2 and xz of
the packed bits of all images; PNG and lossless WebP, a file for each image and one for a mosaic of
all; and, what no format can beat on average with this model, its −ELBO. One thread.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from training import common

import vae_tutorial as vt
from vae_tutorial.compress import Codec

HELD_OUT = 5000


def trained(options: argparse.Namespace, seed: int) -> tuple[vt.VAE, dict]:
    images = vt.load_images("mnist").train
    torch.manual_seed(seed)
    widths = tuple(options.widths)
    model = vt.VAE(vt.MLPEncoder(options.latents, widths), vt.MLPDecoder(options.latents, widths))
    history = vt.fit(
        model, images[:-HELD_OUT], validation=images[-HELD_OUT:], epochs=options.epochs,
        batch_size=options.batch_size, learning_rate=options.learning_rate, device="cpu",
        progress=False,
    )  # fmt: skip
    curve = history.validation["loss"]
    return model, {
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_seconds": round(history.seconds[-1], 1),
        "validation_negative_elbo": [round(value, 2) for value in curve],
    }


def binary_test_images() -> torch.Tensor:
    grey = vt.load_images("mnist").test.images  # (10000, 1, 28, 28) uint8
    coins = torch.randint(0, 255, grey.shape, generator=torch.Generator().manual_seed(0))
    return (grey > coins).float()


def everyday_formats(x: torch.Tensor) -> dict[str, int]:
    """Bytes of the images in other formats."""
    pictures = [Image.fromarray(image) for image in x[:, 0].numpy().astype(bool)]
    columns = 100
    rows = x[:, 0].unflatten(0, (-1, columns)).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    mosaic = Image.fromarray(rows.numpy().astype(bool))
    packed = np.packbits(x.numpy().astype(bool)).tobytes()

    def size(picture: Image.Image, **options) -> int:
        target = io.BytesIO()
        picture.save(target, **options)
        return target.tell()

    png = {"format": "PNG", "optimize": True}
    webp = {"format": "WebP", "lossless": True, "quality": 100}
    return {
        "packed bits": len(packed),
        "gzip": len(gzip.compress(packed, 9)),
        "bz2": len(bz2.compress(packed, 9)),
        "xz": len(lzma.compress(packed, preset=9 | lzma.PRESET_EXTREME)),
        "PNG, a file each": sum(size(p, **png) for p in pictures),
        "PNG, one mosaic": size(mosaic, **png),
        "WebP lossless, a file each": sum(size(p.convert("L"), **webp) for p in pictures),
        "WebP lossless, one mosaic": size(mosaic.convert("L"), **webp),
    }


def coded(model: vt.VAE, x: torch.Tensor, bits: int) -> dict:
    codec = Codec(model, bits)
    start = time.perf_counter()
    content = codec.encode(x)
    middle = time.perf_counter()
    same = torch.equal(codec.decode(content), x)
    end = time.perf_counter()
    per_image = codec.bits(x)
    terms = vt.evaluate(model, x, objective=vt.elbo)
    return {
        "bucket_bits": bits,
        "bytes": len(content),
        "bits_per_pixel": 8 * len(content) / x.numel(),
        "decoded_bit_for_bit": same,
        "negative_elbo_bits_per_pixel": terms["loss"] / math.log(2) * len(x) / x.numel(),
        "whole_numbers_bits_per_pixel": float(per_image.sum()) / x.numel(),
        "whole_numbers_standard_error": float(per_image.std()) * len(x) ** 0.5 / x.numel(),
        "encode_images_per_second": round(len(x) / (middle - start)),
        "decode_images_per_second": round(len(x) / (end - middle)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[400])
    parser.add_argument("--latents", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 10, 12, 14])
    parser.add_argument("--weights", type=Path, help="where to write the weights of the first seed")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = binary_test_images()
    rows = []
    for seed in options.seeds:
        model, row = trained(options, seed)
        if options.weights and seed == options.seeds[0]:
            torch.save(model.state_dict(), options.weights)
        row["files"] = [coded(model, x, bits) for bits in options.bits]
        print(json.dumps(row["files"]), flush=True)
        rows.append(row)
    result = {
        **common(options, "compression.py"),
        "images": len(x),
        "pixels": x.numel(),
        "everyday_formats": everyday_formats(x),
        "rows": rows,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
