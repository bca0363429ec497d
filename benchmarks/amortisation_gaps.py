"""The amortisation gap of chapter 2's two encoders, by length of training and by seed.

    python benchmarks/amortisation_gaps.py --out benchmarks/results/amortisation_gaps.json

The small model of the chapter: one latent number, two pixels. For 2,000 fresh images, each
encoder's ELBO is compared with that of the best of seven climbs for each image. Every setting is
trained with each seed from scratch, the learning rate falling to zero, on 512 fresh samples of the
model in every step.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

import vae_tutorial as vt

A, SIGMA = 1.5, 0.25
ENCODERS = {"narrow": (6,), "wide": (64, 64)}


def decode(z: Tensor) -> Tensor:
    return torch.stack([torch.cos(A * z), torch.sin(A * z)], dim=-1)


def sample_images(count: int) -> Tensor:
    return decode(torch.randn(count)) + SIGMA * torch.randn(count, 2)


def elbo(x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """In closed form: x (..., 2), mu and logvar (...) -> (...), nats."""
    shrink = torch.exp(-0.5 * A**2 * logvar.exp())
    squared_distance = x.square().sum(-1) + 1 - 2 * shrink * (x * decode(mu)).sum(-1)
    log_px = -squared_distance / (2 * SIGMA**2) - math.log(2 * math.pi * SIGMA**2)
    return log_px - vt.gaussian_kl(mu.unsqueeze(-1), logvar.unsqueeze(-1))


def descend(
    loss_of: Callable[[], Tensor], parameters: list[Tensor], steps: int, rate: float
) -> None:
    optimiser = torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=steps)
    for _ in range(steps):
        loss = loss_of()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def make_encoder(*hidden: int) -> nn.Sequential:
    sizes, layers = [2, *hidden], []
    for ins, outs in pairwise(sizes):
        layers += [nn.Linear(ins, outs), nn.Tanh()]
    last = nn.Linear(sizes[-1], 2)
    nn.init.constant_(last.bias[1], -2.0)
    return nn.Sequential(*layers, last)


def best_elbo(x: Tensor) -> Tensor:
    mu = torch.linspace(-3, 3, 7).repeat(len(x), 1).requires_grad_()
    logvar = torch.full((len(x), 7), -2.0, requires_grad=True)
    descend(lambda: -elbo(x[:, None], mu, logvar).sum(), [mu, logvar], 500, 0.05)
    return elbo(x[:, None], mu, logvar).detach().amax(1)


def gap_of(hidden: tuple[int, ...], steps: int, seed: int, x: Tensor, best: Tensor) -> Tensor:
    torch.manual_seed(seed)
    encoder = make_encoder(*hidden)

    def loss() -> Tensor:
        batch = sample_images(512)
        return -elbo(batch, *encoder(batch).unbind(-1)).mean()

    descend(loss, list(encoder.parameters()), steps, 0.005)
    with torch.no_grad():
        return best - elbo(x, *encoder(x).unbind(-1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(12)
    x = sample_images(2000)
    best, rows = best_elbo(x), []
    for steps in arguments.steps:
        for name, hidden in ENCODERS.items():
            for seed in range(arguments.seeds):
                gap = gap_of(hidden, steps, seed, x, best)
                rows.append({
                    "encoder": name, "steps": steps, "seed": seed,
                    "mean": round(gap.mean().item(), 4),
                    "standard_error": round((gap.std() / len(x) ** 0.5).item(), 4),
                    "median": round(gap.median().item(), 5),
                })  # fmt: skip
                print(rows[-1], flush=True)
    record = {
        "what": "amortisation gap in nats per image of chapter 2's encoders, 2,000 test images",
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
