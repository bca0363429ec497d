"""A pendulum steered by codes: a VAE's mean or a sample, principal components, random projections.

    python benchmarks/features.py --out benchmarks/results/features.json

Two frames of 16 × 16 pixels. From codes of a few sizes, ridge regression on 300 pairs gives the
torque that the best linear controller, which knows the true state, would give: as a linear
function of the code, or with its products of up to two or three factors. The penalty is chosen by
leave-one-out error. Each policy then steers 200 pendulums for 50 frames (5 s) by what it sees.
Gaussian VAE with a learnt σ; 6,000 pairs of frames without states train it and PCA. A seed has its
own VAE, projection, frames and demonstrations.

Finished runs are stored and skipped when the script is called again. One thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from training import common

import vae_tutorial as vt
from vae_tutorial.data import pendulum
from vae_tutorial.measure.features import (
    powers,
    ridge,
)

FRAMES, SIZES, VAE_SIZES, DEMONSTRATIONS, STARTS = 6000, (2, 4, 8, 16, 24), (2, 4, 8), 300, 200
Way = Callable[[Tensor], Tensor]


def principal(x: Tensor, count: int) -> Way:
    """The first principal components of rows `(N, F)`."""
    mean = x.mean(0)
    V = torch.linalg.eigh((x - mean).T @ (x - mean)).eigenvectors.flip(1)[:, :count]
    return lambda y: (y.flatten(1) - mean) @ V


def projection(width: int, count: int, seed: int) -> Way:
    R = torch.randn(width, count, generator=torch.Generator().manual_seed(seed)) / width**0.5
    return lambda y: y.flatten(1) @ R


@torch.no_grad()
def posterior_mean(model: vt.VAE, x: Tensor) -> Tensor:
    return model.posterior(x).mean


@torch.no_grad()
def one_sample(model: vt.VAE, x: Tensor) -> Tensor:
    torch.manual_seed(0)
    return model.posterior(x).sample()


def steered(policy: Way, start: Tensor) -> dict[str, float]:
    """What comes of a policy: the median cost of a frame, and who is upright at the end."""
    states = pendulum.episode(policy, start)
    angle, speed = states[1:, :, 0], states[1:, :, 1]
    cost = (angle.square() + 0.1 * speed.square()).clamp(max=10).mean(0)  # (N,)
    upright = (states[-20:, :, 0].abs() < 0.1).all(0)
    return {
        "cost": round(cost.median().item(), 5),
        "upright": round(upright.double().mean().item(), 4),
    }


def standard(way: Way, x: Tensor) -> Way:
    """The same features with mean 0 and variance 1 on `x`."""
    mean, spread = way(x).mean(0), way(x).std(0)
    return lambda y: (way(y) - mean) / spread


def pendulum_ways(seed: int, size: int, options: argparse.Namespace) -> tuple[dict, dict]:
    """Ways from frames to codes of this size, and what is to be stored of the VAE's training."""
    x = pendulum.frames(pendulum.draw_states(FRAMES, 1000 + seed))
    ways: dict[str, Way] = {
        "PCA": principal(x.flatten(1), size),
        "random projection": projection(512, size, seed),
    }
    stored: dict[str, object] = {}
    if size in VAE_SIZES:
        held_out = pendulum.frames(pendulum.draw_states(2000, 2000 + seed))
        torch.manual_seed(seed)
        shape = (2, 16, 16)
        model = vt.VAE(
            vt.MLPEncoder(size, (200,), shape), vt.MLPDecoder(size, (200,), shape),
            vt.GaussianLikelihood(0.2, learned=True),
        )  # fmt: skip
        history = vt.fit(model, x, validation=held_out, epochs=options.epochs, batch_size=100,
                         learning_rate=4e-3, device="cpu", progress=False)  # fmt: skip
        ways["VAE, mean"] = lambda y: posterior_mean(model, y)
        ways["VAE, a sample"] = lambda y: one_sample(model, y)
        stored = {
            "sigma": round(model.observation_model.sigma.item(), 4),
            "validation_loss": [round(v, 2) for v in history.validation["loss"]],
            "validation_kl": round(history.validation["kl"][-1], 2),
            "seconds": round(history.seconds[-1], 1),
        }
    return {name: standard(way, x) for name, way in ways.items()}, stored


def pendulum_run(seed: int, size: int, options: argparse.Namespace) -> list[dict]:
    ways, stored = pendulum_ways(seed, size, options)
    gain, start = pendulum.best_gain(), pendulum.draw_states(STARTS, 77, 0.5, 0.5)
    shown = pendulum.draw_states(DEMONSTRATIONS, 4000 + seed, 0.6, 2.0)
    test = pendulum.draw_states(2000, 3000 + seed, 0.6, 2.0)

    def expert(state: Tensor) -> Tensor:
        return -(state @ gain)

    row = {"size": size, "seed": seed}
    rows = [{**row, "features": "true state", "degree": 1, **steered(expert, start)}]
    for name, way in ways.items():
        for degree in (1, 2, 3) if size <= 8 else (1,):

            def code(state: Tensor, way: Way = way, degree: int = degree) -> Tensor:
                return powers(way(pendulum.frames(state)), degree)

            law = ridge(code(shown), expert(shown))
            error = (law(code(test)) - expert(test)).square().mean() / expert(test).var()
            rows.append({
                **row, "features": name, "degree": degree, "torque_r2": round(1 - error.item(), 4),
                **steered(lambda state, law=law, code=code: law(code(state)), start),
            })  # fmt: skip
    rows[0] |= stored
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=22)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=300, help="start no run after so many")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {**common(options, "features.py"), "rows": []}
    if options.out.exists():
        result["rows"] = json.loads(options.out.read_text("utf-8"))["rows"]
    done = {(row["seed"], row["size"]) for row in result["rows"]}
    begun = time.monotonic()
    for seed in options.seeds:
        for size in SIZES:
            if (seed, size) in done or time.monotonic() - begun > options.seconds:
                continue
            rows = pendulum_run(seed, size, options)
            result["rows"] += rows
            options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
            for row in rows:
                shown = {k: v for k, v in row.items() if k != "validation_loss"}
                print(round(time.monotonic() - begun), json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
