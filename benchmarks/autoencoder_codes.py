"""Autoencoders on stroke digits: size of the code, number of factors, start of the weights.

    python benchmarks/autoencoder_codes.py --out benchmarks/results/autoencoder_codes.json

Chapter 1 shows the results. Everything is the squared error per image (sum over pixels, ink²) on
images that were not used in training, for three seeds.

- `sweep`: one hidden layer of 256 units, D = 8, 16, 32, 40 epochs of 10,000 images;
- `threes`: 3,000 images of the digit 3, k factors vary, D from k - 1 to k + 2, 40 epochs;
- `starts`: three networks with D = 16, PyTorch's own start and a better one, 4 epochs.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import torch
from torch import Tensor, nn

import vae_tutorial as vt

FREE = ("thickness", "slant", "shift_x", "shift_y")  # of the threes; the first k vary
SEEDS = (0, 1, 2)


def mlp_autoencoder(D: int, hidden: tuple[int, ...] = (256,)) -> vt.Autoencoder:
    return vt.Autoencoder(vt.MLPEncoder(D, hidden, heads=1), vt.MLPDecoder(D, hidden))


def convolutional(D: int) -> vt.Autoencoder:
    encoder = vt.ConvEncoder(D, (16, 32), hidden=128, heads=1)
    return vt.Autoencoder(encoder, vt.ConvDecoder(D, (16, 32), hidden=128))


def start_well(model: vt.Autoencoder, ink: float) -> None:
    """Draw all weights with variance 2 / n, and let the decoder begin at the mean ink."""
    for network in (model.encoder, model.decoder):
        for layer in network.modules():
            if hasattr(layer, "weight"):
                n = layer.weight[0].numel()  # the inputs of one output
                if isinstance(layer, nn.ConvTranspose2d):
                    n = layer.weight[:, 0].numel() // 4  # steps of 2: a quarter of the window
                nn.init.normal_(layer.weight, std=(2 / n) ** 0.5)
                nn.init.zeros_(layer.bias)
    with torch.no_grad():  # the last layer begins small, so that its bias decides
        layer.weight.mul_(0.1)
        layer.bias.fill_(torch.logit(torch.tensor(ink)))


def threes(count: int, k: int, seed: int) -> Tensor:
    """Images of the digit 3 of which the first k factors of `FREE` vary."""
    _, factors = vt.draw_factors(count, seed)  # (count, 8)
    for column, factor in enumerate(vt.FACTORS):
        if factor.name not in FREE[:k]:
            factors[:, column] = factor.neutral
    return vt.draw_images(torch.full((count,), 3), factors)


def error_after(
    make, train: Tensor, test: Tensor, seed: int, well: bool = False, **settings
) -> float:
    torch.manual_seed(seed)
    model = make()
    if well:
        start_well(model, (train / 255).mean().item())
    objective = vt.reconstruction_error
    vt.fit(model, train, objective=objective, device="cpu", progress=False, **settings)
    return round(vt.evaluate(model, test, objective=objective)["squared_error"], 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["threes", "starts", "sweep"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[8, 16, 32], help="of the sweep")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    digits, rows = vt.load_images("stroke-digits"), []
    x, x_test = digits.train.images, digits.test.images

    def record(part: str, make, train: Tensor, test: Tensor, well: bool, run: dict, **settings):
        errors = [error_after(make, train, test, s, well, **settings) for s in SEEDS]
        rows.append({"part": part, **run, **settings, "squared_error": errors})
        print(rows[-1], flush=True)
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")

    result = {
        "command": f"python benchmarks/autoencoder_codes.py --parts {' '.join(options.parts)}",
        "torch": torch.__version__, "machine": platform.machine(), "seeds": SEEDS, "rows": rows,
    }  # fmt: skip
    if "threes" in options.parts:
        for k in (2, 3, 4):
            train, test = threes(3000, k, seed=1), threes(500, k, seed=2)
            variance = round((train / 255).var(0).sum().item(), 2)
            for D in range(k - 1, k + 3):
                record(
                    "threes", lambda D=D: mlp_autoencoder(D, (128, 64)), train, test, True,
                    {"k": k, "D": D, "total_variance": variance},
                    epochs=40, batch_size=100, learning_rate=5e-3,
                )  # fmt: skip
    if "starts" in options.parts:
        makes = {
            "wide": lambda: mlp_autoencoder(16, (294,)),
            "deep": lambda: mlp_autoencoder(16, (256, 128)),
            "convolutional": lambda: convolutional(16),
        }
        for name, make in makes.items():
            for well in (False, True):
                run = {"network": name, "well": well}
                record("starts", make, x, x_test, well, run, epochs=4, learning_rate=5e-3)
    if "sweep" in options.parts:
        for D in options.sizes:
            record(
                "sweep", lambda D=D: mlp_autoencoder(D), x, x_test, False, {"D": D},
                epochs=40, learning_rate=5e-3,
            )  # fmt: skip


if __name__ == "__main__":
    main()
