"""Eight remedies against posterior collapse on one small model: three seeds, three lengths.

    python benchmarks/collapse_remedies.py --epochs 30 60 120 --seeds 0 1 2
    python benchmarks/collapse_remedies.py --epochs 240 --seeds 0 \\
      --recipes untreated "KL annealing" "free bits" "no code"

The decoder of chapter 8 sees, besides z, all pixels before the present one. It is trained on
10,000 stroke digits of 14 × 14 pixels (means of 2 × 2) with fresh binary draws: untreated, with
each remedy, and without a code. Every run is done for each number of epochs, from the start: where
twice the epochs change nothing, the figures have arrived. The file `--out` is written after
every run, and runs that it holds already are left out. Lagging inference stops its extra steps by
1,000 validation images, which come from a seed of their own: no choice sees a test image.

−log p(x) is estimated with `--samples` draws from the encoder on `--images` test images whose
pixels are drawn once; for "no code" it is exact. For seed 0, annealed importance sampling on 50
images stands beside it. The mutual information of image and code is that of 4,000 test images.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import shlex
import sys
import time
from datetime import date
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import vae_tutorial as vt

SHAPE, PIXELS, LATENTS = (1, 14, 14), 196, 8
OUT = Path("benchmarks/results/collapse_remedies.json")
FREE, LEAST = 0.5, 0.4  # nats a dimension; the largest σ of the δ-VAE, for which KL is 0.5 nats


@cache
def images() -> tuple[Tensor, Tensor, Tensor]:
    """Training, validation and test images, of three seeds."""
    train = vt.load_images("stroke-digits").train
    return tuple(halved(digits) for digits in (
        train, vt.draw_strokes(1000, seed=8001), vt.draw_strokes(4000, seed=8000)))  # fmt: skip


def halved(digits: vt.ImageSet) -> Tensor:
    """Means of 2 × 2 pixels, as bytes `(N, 1, 14, 14)`."""
    return F.avg_pool2d(digits.images.float(), 2).round().to(torch.uint8)


class InOrder:
    """p(x | z) of pixels in order: each logit depends on z and, linearly, on the pixels before."""

    def __init__(self, logits: Tensor, weights: Tensor) -> None:
        self.logits, self.weights, self.event_shape = logits, weights, logits.shape[-3:]

    def log_prob(self, x: Tensor) -> Tensor:
        earlier = F.linear(x.flatten(-3), self.weights).unflatten(-1, self.event_shape)
        logits = self.logits + earlier
        return (x * logits - F.softplus(logits)).flatten(-3).sum(-1)


def seen(near: bool) -> Tensor:
    """Which pixels each pixel may see: all before it, or only its four neighbours among them."""
    place = torch.arange(PIXELS)
    row, column = place // 14, place % 14
    before = place[:, None] > place
    close = ((row[:, None] - row).abs() <= 1) & ((column[:, None] - column).abs() <= 1)
    return (before & close if near else before).float()


class InOrderVAE(vt.VAE):
    def __init__(self, encoder: nn.Module, decoder: nn.Module, near: bool = False) -> None:
        super().__init__(encoder, decoder)
        self.context = nn.Parameter(torch.zeros(PIXELS, PIXELS))
        self.register_buffer("seen", seen(near))

    def likelihood(self, z: Tensor) -> InOrder:
        return InOrder(self.decoder(z), self.context * self.seen)


class SkipDecoder(nn.Module):
    """z goes into every layer (Dieng, Kim, Rush and Blei, 2019)."""

    def __init__(self, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.latent_dim = LATENTS
        sizes = [0, *hidden, PIXELS]
        self.layers = nn.ModuleList(nn.Linear(ins + LATENTS, outs) for ins, outs in pairwise(sizes))

    def forward(self, z: Tensor) -> Tensor:
        h = z
        for layer in self.layers[:-1]:
            h = torch.cat([F.relu(layer(h)), z], -1)
        return self.layers[-1](h).unflatten(-1, SHAPE)


class NarrowEncoder(vt.MLPEncoder):
    """σ never above `LEAST`, so that KL(q ‖ N(0, I)) is at least 0.5 nats a dimension."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, raw = super().forward(x)
        return mu, 2 * math.log(LEAST) - F.softplus(raw)


def without_code(model: InOrderVAE, x: Tensor) -> dict[str, Tensor]:
    """Minus log p(x) of a decoder whose z is always zero: what the context alone can do."""
    return {"loss": -model.likelihood(torch.zeros(len(x), LATENTS)).log_prob(x)}


class Lagging:
    """He et al. (2019): at first ten steps of the encoder alone before each step of the decoder.

    Until the mutual information of 500 validation images falls from one epoch to the next.
    """

    def __init__(self, model: InOrderVAE, data: Tensor, validation: Tensor) -> None:
        self.model, self.data, self.validation = model, data, validation
        self.adam = torch.optim.Adam(model.encoder.parameters(), lr=1e-3)
        self.active, self.best, self.epochs = True, 0.0, 0

    def __call__(self, model: InOrderVAE, x: Tensor) -> dict[str, Tensor]:
        if not (self.active and model.training and torch.is_grad_enabled()):
            return vt.elbo(model, x)
        for _ in range(10):
            grey = self.data[torch.randint(len(self.data), (len(x),))] / 255
            self.adam.zero_grad()
            vt.elbo(model, (torch.rand_like(grey) < grey).float())["loss"].mean().backward()
            self.adam.step()
        for weight in model.encoder.parameters():
            weight.requires_grad_(False)
        terms = vt.elbo(model, x)
        for weight in model.encoder.parameters():
            weight.requires_grad_(True)
        return terms

    def after_epoch(self, history: vt.History) -> None:
        if self.active:
            nats = vt.information(self.model, self.validation[:500], progress=False)
            found = nats.mutual_information.mean
            self.active, self.best, self.epochs = found > self.best, found, self.epochs + 1


TWO, ONE = (200, 200), (200,)
ANNEALED = {"beta": partial(vt.schedules.linear, rise=0.5)}
RECIPES: dict[str, dict[str, Any]] = {  # what fit is told
    "untreated": {}, "KL annealing": ANNEALED,
    "cyclical annealing": {"beta": vt.schedules.cyclical},
    "free bits": {"objective": partial(vt.elbo, free_bits=FREE)}, "δ-VAE": {},
    "lagging inference": {}, "skip connections": {}, "shorter path": {}, "weaker context": {},
    "no code": {"objective": without_code},
}  # fmt: skip


def built(recipe: str) -> InOrderVAE:
    hidden = ONE if recipe == "shorter path" else TWO
    encoder = (NarrowEncoder if recipe == "δ-VAE" else vt.MLPEncoder)(LATENTS, hidden, SHAPE)
    plain = vt.MLPDecoder(LATENTS, hidden, SHAPE)
    decoder = SkipDecoder(hidden) if recipe == "skip connections" else plain
    return InOrderVAE(encoder, decoder, recipe == "weaker context")


def measured(model: InOrderVAE, test: Tensor, options: argparse.Namespace) -> dict[str, Any]:
    noise = torch.Generator().manual_seed(0)  # the same pixels for all runs
    grey = test / 255
    x = (torch.rand(grey.shape, generator=noise) < grey).float()
    few = x[: options.images]
    elbo = vt.mean_elbo(model, few, 20, binarise=False, progress=False)
    found = vt.log_likelihood(model, few, options.samples, binarise=False, progress=False)
    units = vt.active_units(model, x, binarise=False)
    nats = vt.information(model, x, 2, binarise=False, progress=False)
    return {
        "rate": elbo.rate, "negative_elbo": -elbo.mean,
        "negative_log_likelihood": -found.mean, "sampling_error": found.sampling_error,
        "standard_error_over_images": found.standard_error,
        "ess_median": found.ess.median().item(),
        "mutual_information": nats.mutual_information.mean,
        "mutual_information_ceiling": nats.ceiling,
        "aggregate_kl": nats.aggregate_kl.mean,
        "active_units": int(units.count), "kl_of_units": [round(v, 3) for v in units.kl.tolist()],
    }  # fmt: skip


def annealed(model: InOrderVAE, test: Tensor, options: argparse.Namespace) -> dict[str, float]:
    """log p(x) of 50 images by annealing and by importance sampling."""
    noise = torch.Generator().manual_seed(0)
    grey = test / 255
    x = (torch.rand(grey.shape, generator=noise) < grey).float()[:50]
    ais = vt.ais(model, x, 100, chains=4, leapfrog=5, start="posterior", binarise=False,
                 progress=False)  # fmt: skip
    again = vt.log_likelihood(model, x, options.samples, binarise=False, progress=False)
    return {"ais_50": -ais.mean, "ais_50_error": ais.sampling_error, "is_50": -again.mean}


def one_run(recipe: str, seed: int, epochs: int, options: argparse.Namespace) -> dict[str, Any]:
    train, validation, test = images()
    torch.manual_seed(seed)
    model, told = built(recipe), dict(RECIPES[recipe])
    if recipe == "lagging inference":
        lag = Lagging(model, train, validation)
        told = {"objective": lag, "on_epoch": lag.after_epoch}
    cpu = time.process_time()
    history = vt.fit(model, train, validation=validation, epochs=epochs, device="cpu",
                     progress=False, **told)  # fmt: skip
    row: dict[str, Any] = {
        "recipe": recipe,
        "seed": seed,
        "epochs": epochs,
        "samples": options.samples,
    }
    row["cpu_seconds"] = time.process_time() - cpu
    if recipe == "no code":
        noise = torch.Generator().manual_seed(0)
        grey = test / 255
        x = (torch.rand(grey.shape, generator=noise) < grey).float()[: options.images]
        nats = vt.evaluate(model, x, objective=without_code, binarise=False)["loss"]
        row |= {"negative_elbo": nats, "negative_log_likelihood": nats, "rate": 0.0,
                "mutual_information": 0.0, "active_units": 0}  # fmt: skip
    else:
        row |= measured(model, test, options)
        if seed == 0:
            row |= annealed(model, test, options)
        row["validation_kl"] = [round(v, 2) for v in history.validation["kl"]]
    if recipe == "lagging inference":
        row["aggressive_epochs"] = lag.epochs
    row["validation_loss"] = [round(v, 2) for v in history.validation["loss"]]
    row["settings"] = {k: v for k, v in history.settings.items() if k != "precision_reason"}
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[30, 60])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=math.inf, help="no new run after these")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/collapse_remedies.json")
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, result = time.monotonic(), {"commands": [], "rows": []}
    if options.out.exists():
        result = json.loads(options.out.read_text("utf-8"))
    command = "python benchmarks/collapse_remedies.py " + shlex.join(sys.argv[1:])
    result |= {
        "what": "−log p(x), −ELBO, rate (mean KL), mutual information, nats per image; "
        f"{options.images} test images of the halved stroke digits, pixels drawn once; importance "
        "sampling with `samples` draws from the encoder",
        "commands": list(dict.fromkeys([*result["commands"], command.strip()])),
        "torch": str(torch.__version__), "python": platform.python_version(),
        "device": f"CPU, {torch.get_num_threads()} thread(s), {platform.machine()}",
        "date": str(date.today()),
    }  # fmt: skip
    done = {(row["recipe"], row["seed"], row["epochs"]) for row in result["rows"]}
    for epochs in options.epochs:
        for seed in options.seeds:
            for recipe in options.recipes:
                if (recipe, seed, epochs) in done or time.monotonic() - start > options.seconds:
                    continue
                row = one_run(recipe, seed, epochs, options)
                result["rows"].append(row)
                text = json.dumps(result, indent=1, ensure_ascii=False)
                options.out.write_text(text + "\n", encoding="utf-8")
                print(recipe, seed, epochs, {k: row[k] for k in ("rate", "mutual_information",
                      "negative_elbo", "negative_log_likelihood", "active_units", "cpu_seconds")},
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
