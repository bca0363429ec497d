"""All 10,000 MNIST test images in one file, by bits-back coding, compared with everyday formats.

    python benchmarks/compression_binary.py --out benchmarks/results/compression.json

Protocol: pixels are binarised at random, each grey level g by a coin of probability g / 255 (the
test images once, with seed 0; the training images afresh for every batch). Fully connected VAE,
ELBO with one draw, `vt.fit`; the last 5,000 training images are held out and were used to choose
epochs and widths. The file is read back and compared bit for bit. Beside it: gzip, bz2 and xz of
the packed bits of all images; PNG and lossless WebP, a file for each image and one for a mosaic of
all; and, what no format can beat on average with this model, its −ELBO. One thread.

The model that ships with the package, `mnist-conv`, makes a file too. Lossy: the posterior means of
the first 2,000 grey test images are rounded to a grid, and so are their principal components; JPEG
and lossy WebP get one mosaic. Means and deviations come from the first 10,000 training images.
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
from vae_tutorial.compress.lossy import code_bits, root_mean_square, rounded
from vae_tutorial.models.vae import mean_of

HELD_OUT = 5000
LOSSY_IMAGES = 2000
VAE_STEPS = (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3)  # in units of z
PCA_STEPS = (0.35, 0.5, 0.75, 1, 1.5, 2, 3, 4)  # in units of a pixel's range
QUALITIES = (1, 5, 10, 20, 30, 50)


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
        "model": "fully connected",
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_seconds": round(history.seconds[-1], 1),
        "validation_negative_elbo": [round(value, 2) for value in curve],
    }


def binary_test_images() -> torch.Tensor:
    grey = vt.load_images("mnist").test.images  # (10000, 1, 28, 28) uint8
    coins = torch.randint(0, 255, grey.shape, generator=torch.Generator().manual_seed(0))
    return (grey > coins).float()


def mosaic_of(images: torch.Tensor, columns: int) -> torch.Tensor:
    """Images `(B, 1, H, W)` as one `(rows · H, columns · W)`."""
    return images[:, 0].unflatten(0, (-1, columns)).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)


def everyday_formats(x: torch.Tensor) -> dict[str, int]:
    """Bytes of the images in other formats."""
    pictures = [Image.fromarray(image) for image in x[:, 0].numpy().astype(bool)]
    mosaic = Image.fromarray(mosaic_of(x, 100).numpy().astype(bool))
    packed = np.packbits(x.numpy().astype(bool)).tobytes()
    return {"packed bits": len(packed), **in_formats(packed, pictures, mosaic)}


def in_formats(raw: bytes, pictures: list[Image.Image], mosaic: Image.Image) -> dict[str, int]:
    """Bytes of raw pixels by general compressors, and of pictures by formats for images."""

    def size(picture: Image.Image, **options) -> int:
        target = io.BytesIO()
        picture.save(target, **options)
        return target.tell()

    png = {"format": "PNG", "optimize": True}
    webp = {"format": "WebP", "lossless": True, "quality": 100}
    return {
        "gzip": len(gzip.compress(raw, 9)),
        "bz2": len(bz2.compress(raw, 9)),
        "xz": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)),
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
        "images": len(x),
        "bytes": len(content),
        "bits_per_pixel": 8 * len(content) / x.numel(),
        "decoded_bit_for_bit": same,
        "negative_elbo_bits_per_pixel": terms["loss"] / math.log(2) * len(x) / x.numel(),
        "whole_numbers_bits_per_pixel": float(per_image.sum()) / x.numel(),
        "whole_numbers_standard_error": float(per_image.std()) * len(x) ** 0.5 / x.numel(),
        "encode_images_per_second": round(len(x) / (middle - start)),
        "decode_images_per_second": round(len(x) / (end - middle)),
    }


def files(model: vt.VAE, x: torch.Tensor, options: argparse.Namespace) -> list[dict]:
    """All images with the codec's usual precision, and the first 2,000 with others."""
    others = [coded(model, x[:2000], bits) for bits in options.bits]
    return [coded(model, x, 12), *others]


def grey(split: str, count: int) -> torch.Tensor:
    return getattr(vt.load_images("mnist"), split).images[:count].float() / 255


def point(setting: float, bits: float, difference: torch.Tensor) -> dict:
    """Bytes an image, and the root mean square error in grey levels 0 … 255."""
    return {
        "setting": setting,
        "bytes_per_image": bits / 8,
        "rms_error_grey_levels": 255 * root_mean_square(difference),
    }


@torch.no_grad()
def lossy_vae(model: vt.VAE) -> list[dict]:
    x = grey("test", LOSSY_IMAGES)
    seen = model.posterior(grey("train", 10_000)).mean
    mean, std = seen.mean(0), seen.std(0)
    points = []
    for step in VAE_STEPS:
        codes = mean + rounded(model.posterior(x).mean - mean, step)
        bits = float(code_bits(codes, step, mean, std).mean())
        points.append(point(step, bits, mean_of(model.likelihood(codes)) - x))
    return points


def lossy_pca() -> list[dict]:
    seen, x = grey("train", 10_000).flatten(1), grey("test", LOSSY_IMAGES).flatten(1)
    mean = seen.mean(0)
    basis = torch.linalg.svd(seen - mean, full_matrices=False).Vh  # (784, 784)
    std = ((seen - mean) @ basis.T).std(0)
    points = []
    for step in PCA_STEPS:
        codes = rounded((x - mean) @ basis.T, step)
        bits = float(code_bits(codes, step, 0 * std, std).mean())
        points.append(point(step, bits, (codes @ basis + mean).clamp(0, 1) - x))
    return points


def lossy_format(name: str) -> list[dict]:
    images = vt.load_images("mnist").test.images[:LOSSY_IMAGES]
    mosaic = mosaic_of(images, 50)
    points = []
    for quality in QUALITIES:
        target = io.BytesIO()
        Image.fromarray(mosaic.numpy()).save(target, format=name, quality=quality)
        back = np.asarray(Image.open(target).convert("L"), dtype=np.float64)
        bits = 8 * len(target.getvalue()) / LOSSY_IMAGES
        points.append(point(quality, bits, (torch.tensor(back) - mosaic) / 255))
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[400])
    parser.add_argument("--latents", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 6, 8, 10, 12, 14])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = binary_test_images()
    shipped = vt.load_pretrained("mnist-conv")
    rows = [
        {"model": "mnist-conv", "lossy": lossy_vae(shipped), "files": files(shipped, x, options)}
    ]
    for seed in options.seeds:
        model, row = trained(options, seed)
        row["lossy"] = lossy_vae(model)
        row["files"] = files(model, x, options)
        print(json.dumps(row["files"]), flush=True)
        rows.append(row)
    result = {
        **common(options, "compression_binary.py"),
        "images": len(x),
        "pixels": x.numel(),
        "everyday_formats": everyday_formats(x),
        "lossy": {"PCA": lossy_pca(), **{name: lossy_format(name) for name in ("JPEG", "WebP")}},
        "rows": rows,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
