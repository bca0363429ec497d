"""Seed against β: β-VAE and β-TCVAE on stroke digits whose factors are known, five seeds each.

    python benchmarks/disentangle.py --set four --objectives vae tcvae --betas 1 2 4 8
    python benchmarks/disentangle.py --set eight --betas 1 2 4 8

Chapter 8 shows the results of these commands.

The set "four" draws the digit 3 with four free factors (slant, shift to the right, shift down,
thickness) and the other four at their neutral values: 3,000 training images, 30 epochs, 6 latents.
The set "eight" takes digits of all classes with all eight factors free: 9,000 training images, 15
epochs, 10 latents. Images are 14 × 14 (means of 2 × 2), grey, and the likelihood is a normal with
σ = 0.1. Two hidden layers of 200 in encoder and decoder.

After each run: the four scores on 2,000 fresh images, the parts of the rate on 1,000 training
images, and the test ELBO. For `--images` of the test images, q is refined for each image by itself,
and log p(x) is estimated by importance sampling with `--samples` draws from the refined q. Two
probes predict the factors from labelled codes, 50 for "four" and 200 for "eight" (mean R² over
factors and 10 draws of the labelled examples): ridge regression, which does not see a rotation,
and boosted stumps, which cut one code at a time. For "eight" the same probes name the class too.
The file `--out` is written after every run, and runs that it holds already are left out.
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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import vae_tutorial as vt
from vae_tutorial.measure.decomposition import rate_parts, tc_elbo
from vae_tutorial.measure.factors import dci, factor_vae_score, mig, sap

SHAPE, SIGMA = (1, 14, 14), 0.1
NAMES = [factor.name for factor in vt.FACTORS]
FREE = {"four": ["slant", "shift_x", "shift_y", "thickness"], "eight": NAMES}
LATENTS = {"four": 6, "eight": 10}
TRAINING = {"four": 3000, "eight": 9000}  # images
EPOCHS = {"four": 30, "eight": 15}
LABELS = {"four": 50, "eight": 200}  # labelled codes that a probe gets
VOTES, LENGTH = 300, 20  # groups of the FactorVAE score, and images in each


def drawn(which: str, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Labels, all eight factors, and which columns are free."""
    labels, factors = vt.draw_factors(count, seed)
    if which == "four":
        labels = torch.full_like(labels, 3)
        for column, factor in enumerate(vt.FACTORS):
            if factor.name not in FREE["four"]:
                factors[:, column] = factor.neutral
    return labels, factors, torch.tensor([NAMES.index(name) for name in FREE[which]])


def images(labels: Tensor, factors: Tensor) -> Tensor:
    """Bytes `(N, 1, 14, 14)`: means of 2 × 2 pixels."""
    return F.avg_pool2d(vt.draw_images(labels, factors).float(), 2).round().to(torch.uint8)


@cache
def data(which: str) -> dict[str, Tensor]:
    """Training and test images, with the groups of the FactorVAE score."""
    labels, factors, free = drawn(which, TRAINING[which], 1)
    test_labels, test_factors, _ = drawn(which, 2000, 2)
    group_labels, groups, _ = drawn(which, VOTES * LENGTH, 3)
    fixed = torch.randint(len(free), (VOTES,), generator=torch.Generator().manual_seed(3))
    groups = groups.view(VOTES, LENGTH, -1)
    for v, column in enumerate(free[fixed].tolist()):
        groups[v, :, column] = groups[v, 0, column]
    return {
        "train": images(labels, factors), "test": images(test_labels, test_factors),
        "factors": test_factors[:, free], "labels": test_labels, "fixed": fixed,
        "groups": images(group_labels, groups.flatten(0, 1)),
    }  # fmt: skip


def ridge(z: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Ridge regression of y `(n, F)` on codes z `(n, D)`: predictions for new codes."""
    middle, level = z.mean(0), y.mean(0)
    gram = (z - middle).T @ (z - middle) + np.eye(z.shape[1])
    return level + (new - middle) @ np.linalg.solve(gram, (z - middle).T @ (y - level))


def stumps(z: np.ndarray, y: np.ndarray, new: np.ndarray, rounds: int = 60) -> np.ndarray:
    """Boosted stumps, one target after the other: each cuts one code at one place."""
    answer = np.zeros((len(new), y.shape[1]))
    cuts = np.quantile(z, np.linspace(0.1, 0.9, 9), axis=0)  # (9, D)
    below = z[None] < cuts[:, None]  # (9, n, D)
    count = below.sum(1).clip(1, len(z) - 1)
    for f in range(y.shape[1]):
        rest, answer[:, f] = y[:, f] - y[:, f].mean(), y[:, f].mean()
        for _ in range(rounds):
            left = (below * rest[None, :, None]).sum(1)
            right = rest.sum() - left
            gain = left**2 / count + right**2 / (len(z) - count)
            c, d = np.unravel_index(gain.argmax(), gain.shape)
            low = 0.3 * left[c, d] / count[c, d]
            high = 0.3 * right[c, d] / (len(z) - count[c, d])
            rest = rest - np.where(below[c, :, d], low, high)
            answer[:, f] += np.where(new[:, d] < cuts[c, d], low, high)
    return answer


def probes(codes: Tensor, factors: Tensor, classes: Tensor, labels: int) -> dict[str, float]:
    """Mean R² over factors, and the share of classes named, over ten draws of the labelled ones.

    A class is named by the largest of ten predictions, one for each class (1 or 0). The share is
    there only where there are several classes.
    """
    z, y = codes.double().numpy(), factors.double().numpy()
    y = (y - y.mean(0)) / y.std(0)
    digit = classes.numpy()
    is_class = (digit[:, None] == np.arange(10)).astype(float)
    found: dict[str, list[float]] = {}
    for draw in range(10):
        order = np.random.default_rng(draw).permutation(len(z))
        few, rest = order[:labels], order[1000:]
        for name, fit in (("ridge", ridge), ("stumps", stumps)):
            error = ((fit(z[few], y[few], z[rest]) - y[rest]) ** 2).mean(0)
            found.setdefault(f"probe_{name}", []).append(float((1 - error / y[rest].var(0)).mean()))
            if len(classes.unique()) > 1:
                named = fit(z[few], is_class[few], z[rest]).argmax(1)
                found.setdefault(f"class_{name}", []).append(float((named == digit[rest]).mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def likelihood(model: vt.VAE, test: Tensor, options: argparse.Namespace) -> dict[str, float]:
    """log p(x) of the first test images, and their ELBO with the encoder's q and with the best."""
    gaps = vt.inference_gaps(model, test[: options.images], steps=150, draws=4,
                             samples=options.samples, progress=False)  # fmt: skip
    found = gaps.log_px
    return {
        "log_px": found.mean, "log_px_error": found.standard_error,
        "log_px_sampling_error": found.sampling_error, "ess_median": found.ess.median().item(),
        "elbo_of_these": gaps.elbo.mean, "refined_elbo": gaps.refined.mean,
    }  # fmt: skip


def new_model(which: str) -> vt.VAE:
    D = LATENTS[which]
    return vt.VAE(vt.MLPEncoder(D, (200, 200), SHAPE), vt.MLPDecoder(D, (200, 200), SHAPE),
                  vt.GaussianLikelihood(SIGMA))  # fmt: skip


@torch.no_grad()
def measured(model: vt.VAE, which: str) -> dict[str, Any]:
    here = data(which)
    codes = torch.from_numpy(vt.embed(model, here["test"]))
    groups = torch.from_numpy(vt.embed(model, here["groups"])).view(VOTES, LENGTH, -1)
    parts = dci(codes, here["factors"])
    q = model.posterior(here["train"][:1000].float() / 255)
    mu, stddev = q.mean, q.stddev
    torch.manual_seed(0)
    rate = rate_parts(mu, stddev, mu + stddev * torch.randn(4, *mu.shape))
    elbo = vt.mean_elbo(model, here["test"], 10, progress=False)
    units = vt.active_units(model, here["test"])
    return {
        "mig": mig(codes, here["factors"]), "sap": sap(codes, here["factors"]),
        "dci_disentanglement": parts.disentanglement, "dci_completeness": parts.completeness,
        "dci_informativeness": parts.informativeness,
        "factor_vae": factor_vae_score(groups, here["fixed"], codes.std(0)),
        "elbo": elbo.mean, "rate": elbo.rate, "active_units": int((units.kl > 0.1).sum()),
        "mutual_information": rate.mutual_information,
        "total_correlation": rate.total_correlation, "dimension_wise": rate.dimension_wise,
        **probes(codes, here["factors"], here["labels"], LABELS[which]),
    }  # fmt: skip


def one_run(objective: str, beta: float, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    which, train = options.set, data(options.set)["train"]
    epochs = options.epochs or EPOCHS[which]
    torch.manual_seed(seed)
    model = new_model(which)
    told = (partial(vt.elbo, beta=beta) if objective == "vae" else
            partial(tc_elbo, beta=beta, size=len(train), kind="stratified"))  # fmt: skip
    cpu = time.process_time()
    history = vt.fit(model, train, validation=data(which)["test"][:500], objective=told,
                     epochs=epochs, batch_size=64, device="cpu", progress=False)  # fmt: skip
    row = {"set": which, "objective": objective, "beta": beta, "seed": seed, "epochs": epochs,
           "labels": LABELS[which], "images": options.images, "samples": options.samples,
           "cpu_seconds": time.process_time() - cpu, **measured(model, which),
           **likelihood(model, data(which)["test"], options)}  # fmt: skip
    row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
    row["validation_elbo"] = [round(v, 1) for v in history.validation["elbo"]]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=list(FREE), default="four")
    parser.add_argument("--objectives", nargs="+", default=["vae"], choices=["vae", "tcvae"])
    parser.add_argument("--betas", type=float, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, help="30 for four, 15 for eight")
    parser.add_argument("--images", type=int, default=200, help="of which log p(x) is estimated")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no run after these")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/disentangle.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, result = time.monotonic(), {"commands": [], "rows": []}
    if options.out.exists():
        result = json.loads(options.out.read_text("utf-8"))
    command = "python benchmarks/disentangle.py " + shlex.join(sys.argv[1:])
    result |= {
        "what": "scores of disentanglement, ELBO and rate (nats per image), R² of two probes, "
        "share of classes that they name; 2,000 fresh test images. log_px: the first `images` of "
        "these, importance sampling with `samples` draws from a q refined for each image",
        "commands": list(dict.fromkeys([*result["commands"], command.strip()])),
        "torch": str(torch.__version__), "python": platform.python_version(),
        "device": f"CPU, {torch.get_num_threads()} thread(s), {platform.machine()}",
        "date": str(date.today()),
    }  # fmt: skip
    keys = ("set", "objective", "beta", "seed", "epochs")
    done = {tuple(row[key] for key in keys) for row in result["rows"]}
    for seed in options.seeds:
        for objective in options.objectives:
            for beta in options.betas:
                run = (options.set, objective, beta, seed, options.epochs or EPOCHS[options.set])
                same = objective == "tcvae" and beta == 1  # the same as the VAE
                late = time.monotonic() - start > options.seconds
                if run in done or same or late:
                    continue
                row = one_run(objective, beta, seed, options)
                result["rows"].append(row)
                text = json.dumps(result, indent=1, ensure_ascii=False)
                options.out.write_text(text + "\n", encoding="utf-8")
                print(*run, {k: row[k] for k in ("mig", "sap", "dci_disentanglement", "factor_vae",
                      "elbo", "rate", "probe_ridge", "probe_stumps",
                      "log_px", "ess_median")}, flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
