"""All 10,000 MNIST test images with their 256 grey levels in one file, by bits-back coding.

    python benchmarks/compression_grey.py --out benchmarks/results/compression_grey.json

Protocol: raw bytes, nothing binarised. Fully connected VAE, each pixel a mixture of three logistic
distributions; ELBO with one draw, `vt.fit`. The last 5,000 training images are held out and were
used to choose epochs, width and the number of components. The file is read back and compared bit
for bit. Beside it, on the same bytes: gzip, bz2 and xz; PNG and lossless WebP, a file for each
image and one for a mosaic of all. One thread.

`rounding_bits_per_pixel` is what whole numbers cost in the pixels of the first 2,000 images: the
same z, −log2 p(x | z) by the codec's slots minus that of the original model. The beta-binomial
rows train the likelihood of Townsend and co-authors (2019) with the same network and settings, and
make no file: the package has no code for it.

Weights are kept in `--weights` and rows in the file as soon as they are there: a second call goes
on where the first stopped. `--steps train` makes weights alone.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from compression_binary import HELD_OUT, coded, in_formats, mosaic_of
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Distribution
from training import common

import vae_tutorial as vt
from vae_tutorial.compress import Codec, gaussian

ROUNDING_IMAGES = 2000
SHAPE = (1, 28, 28)


class BetaBinomialLikelihood(nn.Module):
    """Levels 0 … 255, in 255 trials; the decoder gives the raw α and β of each pixel."""

    values, levels = "integer", 256

    def to_encoder(self, x: Tensor) -> Tensor:
        return x / 256

    def outputs(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        return (2, *shape[1:])

    def forward(self, raw: Tensor) -> Distribution:
        return BetaBinomial(*(nn.functional.softplus(raw) + 1e-4).split(1, -3))


class BetaBinomial(Distribution):
    arg_constraints: dict = {}  # noqa: RUF012, torch's own way

    def __init__(self, alpha: Tensor, beta: Tensor) -> None:
        self.alpha, self.beta = alpha, beta
        super().__init__(alpha.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        x, a, b, n = value.to(self.alpha.dtype), self.alpha, self.beta, 255
        ways = math.lgamma(n + 1) - torch.lgamma(x + 1) - torch.lgamma(n - x + 1)
        top = torch.lgamma(x + a) + torch.lgamma(n - x + b) - torch.lgamma(n + a + b)
        return ways + top - torch.lgamma(a) - torch.lgamma(b) + torch.lgamma(a + b)


def untrained(options: argparse.Namespace, name: str) -> vt.VAE:
    likelihood = (
        BetaBinomialLikelihood() if name == "beta-binomial"
        else vt.LogisticMixtureLikelihood(int(name.split()[0]))
    )  # fmt: skip
    widths = tuple(options.widths)
    decoder = vt.MLPDecoder(options.latents, widths, likelihood.outputs(SHAPE))
    return vt.VAE(vt.MLPEncoder(options.latents, widths), decoder, likelihood)


def train(options: argparse.Namespace, name: str, seed: int) -> None:
    images = vt.load_images("mnist").train
    torch.manual_seed(seed)
    model = untrained(options, name)
    history = vt.fit(
        model, images[:-HELD_OUT], validation=images[-HELD_OUT:], epochs=options.epochs,
        batch_size=options.batch_size, learning_rate=options.learning_rate, device="cpu",
        progress=False,
    )  # fmt: skip
    per_bit = 784 * math.log(2)
    row = {
        "likelihood": name,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_seconds": round(history.seconds[-1], 1),
        "validation_bits_per_pixel": [round(v / per_bit, 4) for v in history.validation["loss"]],
    }
    target = weights_file(options, name, seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"row": row, "weights": model.state_dict()}, target)


def weights_file(options: argparse.Namespace, name: str, seed: int) -> Path:
    return options.weights / f"{name.replace(' ', '-')}-{seed}.pt"


def finished(options: argparse.Namespace, name: str, seed: int, x: Tensor) -> dict:
    """The row of a trained model: its −ELBO and, where there is a code, its file."""
    found = torch.load(weights_file(options, name, seed))
    model = untrained(options, name)
    model.load_state_dict(found["weights"])
    terms = vt.evaluate(model, x, objective=vt.elbo)
    row = {**found["row"], "kl_nats_per_image": terms["kl"]}
    if name == "beta-binomial":
        per_bit = 784 * math.log(2)
        return {**row, "negative_elbo_bits_per_pixel": terms["loss"] / per_bit}
    return {**row, "file": coded(model, x, 12), "rounding_bits_per_pixel": rounding(model, x)}


@torch.no_grad()
def rounding(model: vt.VAE, x: Tensor) -> float:
    """What whole numbers cost in the pixels, with the same z: bits a pixel."""
    codec, x = Codec(model, 12), x[:ROUNDING_IMAGES]
    levels, difference = x.flatten(1).numpy(), 0.0
    generator = np.random.default_rng(0)
    for first in range(0, len(x), 500):
        batch = levels[first : first + 500]
        mu, precision = codec._posterior(batch)
        z = codec.buckets.find(generator.integers(0, 1 << gaussian.SLOTS, mu.shape), mu, precision)
        widths = codec.kind.slots_of(batch, codec._parameters(z))[1]
        centres = torch.from_numpy(codec.buckets.centres[z] / 2.0**gaussian.POINT).float()
        exact = model.likelihood(centres).log_prob(x[first : first + 500].long())
        whole = np.log2(widths / 2.0**codec.kind.slots).sum()
        difference += float(exact.double().sum()) / math.log(2) - whole
    return difference / levels.size


def everyday_formats(x: Tensor) -> dict[str, int]:
    """Bytes of the grey images `(B, 1, H, W)` in other formats."""
    pictures = [Image.fromarray(image) for image in x[:, 0].numpy()]
    mosaic = Image.fromarray(mosaic_of(x, 100).numpy())
    raw = x.numpy().tobytes()
    return {"raw bytes": len(raw), **in_formats(raw, pictures, mosaic)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[400])
    parser.add_argument("--latents", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--likelihoods", nargs="+", default=["3 logistics", "beta-binomial"])
    parser.add_argument("--steps", nargs="+", default=["train", "code"])
    parser.add_argument("--weights", type=Path, default=Path("runs/compression_grey"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = vt.load_images("mnist").test.images  # (10000, 1, 28, 28) uint8
    for name in options.likelihoods:
        for seed in options.seeds:
            if "train" in options.steps and not weights_file(options, name, seed).exists():
                train(options, name, seed)
            if "code" in options.steps:
                store(options, name, seed, x)


def store(options: argparse.Namespace, name: str, seed: int, x: Tensor) -> None:
    """Put a row into the file, unless it is there already."""

    def stored() -> dict:
        return json.loads(options.out.read_text("utf-8")) if options.out.exists() else {"rows": []}

    new = []
    if not any((row["likelihood"], row["seed"]) == (name, seed) for row in stored()["rows"]):
        new.append(finished(options, name, seed, x))
        print(json.dumps(new), flush=True)
    there = stored()  # again: another call may have added its own in the meantime
    about = common(options, "compression_grey.py")
    for how in ("weights", "steps"):
        del about["settings"][how]
    result = {
        **about,
        "images": len(x),
        "pixels": x.numel(),
        "everyday_formats": there.get("everyday_formats") or everyday_formats(x),
        "rows": sorted(there["rows"] + new, key=lambda row: (row["likelihood"], row["seed"])),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
