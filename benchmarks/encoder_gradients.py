"""The same small VAE trained with four estimators of the gradient that reaches its encoder.

    python benchmarks/encoder_gradients.py --out benchmarks/results/encoder_gradients.json

Stroke digits (10,000 for training, 2,000 for the test), dynamic binarisation, a fully connected
VAE 784-200-10-200-784. The estimators differ in the encoder's gradient from the reconstruction
term. The KL term is exact, and the decoder's gradient is the same formula in all of them. All
models of a seed start from the same weights and see the same binary images; Adam with a constant
learning rate, batches of 128.

What is stored, for each model and seed, is the test −ELBO in nats per image (all test images, one
sample of z for each) along the training, so that a reader sees whether anything still moves.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import vae_tutorial as vt

Objective = Callable[[vt.VAE, Tensor], dict[str, Tensor]]


class Estimator:
    """An objective whose gradient is the estimator called `kind`, and whose value is −ELBO."""

    KINDS = (
        "pathwise", "score, leave-one-out, K = 4", "score, running mean", "score, no baseline"
    )  # fmt: skip

    def __init__(self, kind: str) -> None:
        self.kind, self.running = kind, None

    def __call__(self, model: vt.VAE, x: Tensor) -> dict[str, Tensor]:
        q = model.posterior(x)
        kl = vt.gaussian_kl(q.mean, 2 * q.stddev.log())
        if self.kind == "pathwise":
            log_px = model.likelihood(q.rsample()).log_prob(x)
            return {"loss": kl - log_px}
        z = q.sample((4 if "K = 4" in self.kind else 1,))
        log_px = model.likelihood(z).log_prob(x)  # (K, B)
        signal = log_px.detach() - self.baseline(log_px.detach())
        return {"loss": kl - (log_px + signal * q.log_prob(z)).mean(0)}

    def baseline(self, signal: Tensor) -> Tensor | float:
        if "K = 4" in self.kind:
            return (signal.sum(0) - signal) / (len(signal) - 1)
        if "running" in self.kind:
            now = signal.mean().item()
            before = now if self.running is None else self.running
            self.running = 0.9 * before + 0.1 * now
            return before
        return 0.0


def train(objective: Objective, data: vt.Images, seed: int, steps: int, every: int, rate: float):
    """The test −ELBO after each `every` steps."""
    torch.manual_seed(seed)
    model = vt.VAE(vt.MLPEncoder(10, hidden=(200,)), vt.MLPDecoder(10, hidden=(200,)))
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    batches, curve = torch.Generator().manual_seed(1000 + seed), []
    for step in range(1, steps + 1):
        index = torch.randint(len(data.train), (128,), generator=batches)
        x = data.train.images[index] / 255
        x = (torch.rand(x.shape, generator=batches) < x).float()
        loss = objective(model, x)["loss"].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % every == 0:
            curve.append(round(-vt.evaluate(model, data.test)["elbo"], 2))
    return curve


def summary(values: list[float]) -> dict[str, float]:
    """Mean over the seeds, with its standard error."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return {"mean": round(statistics.mean(values), 2), "standard_error": round(error, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = vt.load_images("stroke-digits")
    result = {
        "what": "test −ELBO, nats per image, stroke digits, dynamic binarisation, one sample of z, "
        "all 2,000 test images",
        "command": "python benchmarks/encoder_gradients.py " + " ".join(sys.argv[1:]),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "every": options.every,
        "estimators": {},
    }
    started = time.time()
    how = {"data": data, "every": options.every, "rate": options.learning_rate}
    for seed in range(options.seeds):
        for kind in Estimator.KINDS:
            curve = train(Estimator(kind), seed=seed, steps=options.steps, **how)
            row = result["estimators"].setdefault(kind, {"curves": []})
            row["curves"].append(curve)
            row["last"] = summary([c[-1] for c in row["curves"]])
            print(f"{time.time() - started:6.0f} s  seed {seed}  {kind}: {curve[-1]}", flush=True)
        result["seconds"] = round(time.time() - started)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
