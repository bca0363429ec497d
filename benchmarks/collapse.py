"""Posterior collapse and three remedies, trained until nothing moves: three seeds each.

    python benchmarks/collapse.py --epochs 40 80 --seeds 0 1 2

The decoder of chapter 6 sees, besides z, all pixels before the present one. It is trained on the
10,000 stroke digits with fresh binary draws, untreated and with each remedy, and without any code.
Every run is done for each number of epochs in `--epochs`, from the start, each with its own
schedule: where doubling the epochs changes nothing, the figures have arrived. After every run the
file `--out` is written again; runs that it holds already are left out, so a run that was stopped
goes on.

−log p(x) is estimated with `--samples` draws from the encoder on `--images` test images, whose
pixels are drawn once; for "context alone" it is exact.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import vae_tutorial as vt

PIXELS, LATENTS = 784, 16


class InOrder:
    """p(x | z) of pixels in order: each logit depends on z and, linearly, on the pixels before."""

    def __init__(self, logits: Tensor, weights: Tensor) -> None:
        self.logits, self.weights, self.event_shape = logits, weights, logits.shape[-3:]

    def log_prob(self, x: Tensor) -> Tensor:
        earlier = F.linear(x.flatten(-3), self.weights).unflatten(-1, self.event_shape)
        logits = self.logits + earlier
        return (x * logits - F.softplus(logits)).flatten(-3).sum(-1)


class InOrderVAE(vt.VAE):
    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__(encoder, decoder)
        self.context = nn.Parameter(torch.zeros(PIXELS, PIXELS))

    def likelihood(self, z: Tensor) -> InOrder:
        return InOrder(self.decoder(z), self.context.tril(-1))


def without_code(model: InOrderVAE, x: Tensor) -> dict[str, Tensor]:
    """Minus log p(x) of a decoder whose z is always zero: what the context alone can do."""
    return {"loss": -model.likelihood(torch.zeros(len(x), LATENTS, device=x.device)).log_prob(x)}


TWO, ONE = (200, 200), (200,)
RECIPES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {  # hidden layers, what fit is told
    "untreated": (TWO, {}),
    "KL annealing": (TWO, {"beta": partial(vt.schedules.linear, rise=0.5)}),
    "free bits": (TWO, {"objective": partial(vt.elbo, free_bits=0.5)}),
    "shorter path": (ONE, {}),
    "context alone": (TWO, {"objective": without_code}),
}


def one_run(recipe: str, seed: int, epochs: int, options: argparse.Namespace) -> dict[str, Any]:
    digits = vt.load_images("stroke-digits")
    hidden, told = RECIPES[recipe]
    torch.manual_seed(seed)
    encoder, decoder = vt.MLPEncoder(LATENTS, hidden), vt.MLPDecoder(LATENTS, hidden)
    model = InOrderVAE(encoder, decoder)
    cpu = time.process_time()
    history = vt.fit(model, digits.train, validation=digits.test[:1000], epochs=epochs,
                     device="cpu", progress=False, **told)  # fmt: skip
    cpu = time.process_time() - cpu
    noise = torch.Generator().manual_seed(0)  # the same pixels for all runs
    grey = digits.test.images[: options.images] / 255
    x = (torch.rand(grey.shape, generator=noise) < grey).float()
    row: dict[str, Any] = {"recipe": recipe, "seed": seed, "epochs": epochs}
    if recipe == "context alone":
        nats = vt.evaluate(model, x, objective=without_code, binarise=False)["loss"]
        row |= {"negative_elbo": nats, "negative_log_likelihood": nats, "rate": 0.0}
    else:
        elbo = vt.mean_elbo(model, x, 50, binarise=False, progress=False)
        found = vt.log_likelihood(model, x, options.samples, binarise=False, progress=False)
        units = vt.active_units(model, x, binarise=False)
        row |= {
            "rate": elbo.rate, "distortion": elbo.distortion, "negative_elbo": -elbo.mean,
            "negative_log_likelihood": -found.mean, "sampling_error": found.sampling_error,
            "standard_error_over_images": found.standard_error, "bias": found.bias,
            "ess_median": found.ess.median().item(), "active_units": int(units.count),
            "units_with_kl_above_0.1": int((units.kl > 0.1).sum()),
            "validation_kl": [round(v, 2) for v in history.validation["kl"]],
        }  # fmt: skip
    row["train_loss_last_epoch"] = history.train["loss"][-1]
    row["validation_loss"] = [round(v, 2) for v in history.validation["loss"]]
    row["cpu_seconds"] = cpu
    row["settings"] = history.settings
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[40, 80])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/collapse.json"))
    options = parser.parse_args()
    result: dict[str, Any] = {"commands": [], "rows": []}
    if options.out.exists():
        result = json.loads(options.out.read_text("utf-8"))
    command = "python benchmarks/collapse.py " + shlex.join(sys.argv[1:])
    result |= {
        "what": "−log p(x), −ELBO, rate (mean KL), nats per image; "
        f"{options.images} test images of the stroke digits, pixels drawn once; importance "
        f"sampling with {options.samples} draws from the encoder",
        "commands": list(dict.fromkeys([*result["commands"], command.strip()])),
        "torch": str(torch.__version__), "python": platform.python_version(),
        "device": f"CPU, {torch.get_num_threads()} thread(s), {platform.machine()}",
        "date": str(date.today()),
    }  # fmt: skip
    done = {(row["recipe"], row["seed"], row["epochs"]) for row in result["rows"]}
    for epochs in options.epochs:
        for seed in options.seeds:
            for recipe in options.recipes:
                if (recipe, seed, epochs) in done:
                    continue
                row = one_run(recipe, seed, epochs, options)
                result["rows"].append(row)
                text = json.dumps(result, indent=1, ensure_ascii=False)
                options.out.write_text(text + "\n", encoding="utf-8")
                print(recipe, seed, epochs, {k: row[k] for k in ("rate", "negative_elbo",
                      "negative_log_likelihood", "cpu_seconds")}, flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
