"""What the answers in `pages/questions.md` quote: small runs on stroke digits, three seeds each.

    python benchmarks/questions.py

Fully connected VAEs, 784-256-16, on one core; 10 epochs, so that recipes are compared at equal
cost, not where nothing moves any more. Each part takes a few minutes:

- `choices`: test −ELBO with one thing changed: optimiser, normalisation, bounds;
- `codes`: a linear classifier on μ, on one z from q(z | x), and on pixels;
- `variances`: grey pixels under Gaussians: one σ for all, and one for each pixel;
- `samples`: β = 1 and less: reconstructions, and images drawn from the prior and from a Gaussian
  fitted to the codes;
- `anomalies`: one class left out of training; how well a score tells it from the others.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from functools import cache, partial
from pathlib import Path

import torch
from question_models import HIDDEN, LATENTS, Bounded, Softplus, gaussian, plain
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.nn import functional as F

import vae_tutorial as vt

SEEDS = (0, 1, 2)
QUIET = {"device": "cpu", "progress": False}
OUT = Path("benchmarks/results/questions.json")


def trained(make, data, seed: int, **settings) -> vt.VAE:
    torch.manual_seed(seed)
    model = make()
    vt.fit(model, data, **{"epochs": 10} | QUIET | settings)
    return model.eval()


ADAMW, SGD = torch.optim.AdamW, partial(torch.optim.SGD, momentum=0.9)
CHOICES = {
    "AdamW, decay 0.01": (plain, {"optimiser": partial(ADAMW, weight_decay=0.01)}),
    "Adam, L2 1e-4": (plain, {"optimiser": partial(torch.optim.Adam, weight_decay=1e-4)}),
    "SGD, rate 3e-3": (plain, {"optimiser": SGD, "learning_rate": 3e-3}),
    "batch normalisation": (partial(plain, normalised=True), {}),
    "log σ² within ±10": (lambda: plain(encoder=Bounded(10)), {}),
    "softplus": (lambda: plain(encoder=Softplus(LATENTS, HIDDEN)), {}),
}


@cache
def baseline(seed: int) -> vt.VAE:
    """Adam at the default rate, binary pixels, β = 1."""
    return trained(plain, vt.load_images("stroke-digits").train, seed)


def choices(digits: vt.Images) -> list[dict]:
    rows = []
    for name, (make, settings) in {"Adam": (None, {}), **CHOICES}.items():
        found = []
        for seed in SEEDS:
            try:
                if make is None:
                    model = baseline(seed)
                else:
                    model = trained(make, digits.train, seed, **settings)
                found.append(-vt.mean_elbo(model, digits.test, 10, progress=False).mean)
            except vt.TrainingDivergedError:
                found.append(None)
        rows.append({"choice": name, "negative_elbo": found})
        print(rows[-1], flush=True)
    return rows


def probe(x: Tensor, y: Tensor, x_test: Tensor, y_test: Tensor) -> float:
    """Accuracy of multinomial logistic regression, with a small penalty, on standardised inputs."""
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    weights = torch.zeros(x.shape[1] + 1, 10, requires_grad=True)
    descent = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        value = F.cross_entropy(x @ weights[:-1] + weights[-1], y)
        value = value + 1e-3 * weights[:-1].square().sum()
        value.backward()
        return value

    descent.step(loss)
    guess = (x_test @ weights[:-1] + weights[-1]).argmax(1)
    return (guess == y_test).double().mean().item()


def codes(digits: vt.Images) -> list[dict]:
    rows = []
    pixels = [part.images.flatten(1) / 255 for part in (digits.train, digits.test)]
    for seed in SEEDS:
        model = baseline(seed)
        with torch.no_grad():
            q = [model.posterior(part.images / 255) for part in (digits.train, digits.test)]
            inputs = {"mu": [d.mean for d in q], "z": [d.sample() for d in q], "pixels": pixels}
        for labels in (100, 1000):
            y, y_test = digits.train.labels[:labels].long(), digits.test.labels.long()
            scores = {k: probe(a[:labels], y, b, y_test) for k, (a, b) in inputs.items()}
            rows.append({"seed": seed, "labels": labels, **scores})
            print(rows[-1], flush=True)
    return rows


def auroc(normal: Tensor, odd: Tensor) -> float:
    """The probability that an odd image scores higher than a normal one."""
    return (odd[:, None] > normal).double().mean().item()


def anomalies(digits: vt.Images) -> list[dict]:
    rows = []
    for left_out in (1, 5, 8):
        for seed in SEEDS:
            train = digits.train.images[digits.train.labels != left_out]
            odd = digits.test.labels == left_out
            model = trained(plain, train[1000:], seed)
            bound = vt.mean_elbo(model, digits.test, 10, progress=False)
            scores = {
                "negative_elbo": -bound.per_image,
                "reconstruction": -bound.log_px,
                "kl": bound.kl,
                "negative_log_likelihood": -vt.log_likelihood(
                    model, digits.test, 100, progress=False
                ).per_image,
                "squared_error": (model.reconstruct(digits.test.images / 255)
                                  - digits.test.images / 255).square().flatten(1).sum(1),
            }  # fmt: skip
            known = -vt.mean_elbo(model, train[:1000], 10, progress=False).per_image
            threshold = known.quantile(0.95)
            alarms = scores["negative_elbo"] > threshold
            rows.append({
                "left_out": left_out, "seed": seed,
                "auroc": {k: auroc(s[~odd], s[odd]) for k, s in scores.items()},
                "false_alarms": alarms[~odd].double().mean().item(),
                "found": alarms[odd].double().mean().item(),
            })  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def variances(digits: vt.Images) -> list[dict]:
    train, test, rows = digits.train.images / 255, digits.test.images / 255, []
    for kind in ("one", "each"):
        for seed in SEEDS:
            row: dict = {"sigma": kind, "seed": seed}
            try:
                model = trained(partial(gaussian, kind), train, seed, learning_rate=5e-4)
                row["train_elbo"] = vt.evaluate(model, train)["elbo"]
                row["test_elbo"] = vt.evaluate(model, test)["elbo"]
                error = (model.reconstruct(test) - test).square().flatten(1).sum(1)
                row["squared_error"] = error.mean().item()
            except vt.TrainingDivergedError as error:
                row["diverged"] = str(error)
            rows.append(row)
            print(row, flush=True)
    return rows


def samples(digits: vt.Images) -> list[dict]:
    judge, rows = vt.train_classifier(digits.train, epochs=3, device="cpu", progress=False), []
    x = digits.test.images / 255
    real = judge.features(x)
    for beta in (1.0, 0.1):
        for seed in SEEDS:
            objective = partial(vt.elbo, beta=beta)
            same = beta == 1
            model = (baseline(seed) if same
                     else trained(plain, digits.train, seed, objective=objective))  # fmt: skip
            with torch.no_grad():
                mu = model.posterior(digits.train.images / 255).sample()
                fitted = MultivariateNormal(mu.mean(0), mu.T.cov()).sample((2000,))
                images = {"prior": model.sample(2000), "fitted": model.likelihood(fitted).mean}
            error = (model.reconstruct(x) - x).square().flatten(1).sum(1).mean().item()
            scores = {k: vt.compare_samples(judge.features(v), real) for k, v in images.items()}
            rows.append({
                "beta": beta, "seed": seed, "squared_error": error,
                "aggregate_kl": vt.information(model, x, progress=False).aggregate_kl.mean,
                **{f"{k}_{s}": getattr(v, s) for k, v in scores.items()
                   for s in ("frechet", "precision", "recall")},
            })  # fmt: skip
            print(rows[-1], flush=True)
    return rows


PARTS = {f.__name__: f for f in (choices, codes, variances, samples, anomalies)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    digits = vt.load_images("stroke-digits")
    result = json.loads(options.out.read_text("utf-8")) if options.out.exists() else {}
    for part in options.parts:
        start = time.process_time()
        rows = PARTS[part](digits)
        result[part] = {
            "command": f"python benchmarks/questions.py --parts {part}",
            "torch": str(torch.__version__), "python": platform.python_version(),
            "cpu_seconds": round(time.process_time() - start), "rows": rows,
        }  # fmt: skip
        text = json.dumps(result, indent=1, ensure_ascii=False)
        options.out.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
