"""Discrete and continuous latents in one table, the codebook's collapse, and gradients compared.

    python benchmarks/discrete.py --kinds vq fsq gaussian --seeds 0 1 2

MNIST, shrunk to 14×14 by means of 2×2 pixels, with fresh binary draws in training. Every kind of
the main table has eight latent variables; a discrete one has 16 categories (32 bits). Its networks
have one hidden layer of 128; the decoder starts at the mean image. After training, a masked
network learns the prior of the codes, and the bound is measured with it: −log p(x | z) +
log q(z | x) − log p(z), in nats per image, on
`--images` test images whose pixels are drawn once. −log p(x) is estimated by importance sampling
with `--samples` draws. For quantised models the proposal is a softmax of minus the distances,
whose spread is chosen on training images. For seed 0 a part of the images is measured again with
five times the draws, and the prior with twice the epochs. Of the categorical models, which are
trained with several estimators of the gradient, the one trained with the leave-one-out estimator
gets a prior; the others are measured with the uniform one.

Kinds that begin with `book-` have 256 codes: they compare remedies for unused codes, with 20,000
training images; the decoder starts at the mean in three of them only. Kinds that begin with
`two-` have two variables of ten categories, so that log p(x) is a sum over 100 codes.

Each kind has a file in the folder `--out`, which is written again after every run; runs that it
holds already are left out. `--seconds` ends the program after the run during which they are over.
With `--models` trained weights are kept in that folder, so that the measurement alone can be
repeated.
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
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import vae_tutorial as vt
from vae_tutorial import discrete
from vae_tutorial.models.code_prior import CodePrior
from vae_tutorial.models.discrete import CategoricalVAE, QuantisedVAE
from vae_tutorial.models.quantisers import FiniteScalarQuantiser, VectorQuantiser, code_use

OUT = Path(__file__).resolve().parent / "results" / "discrete"
SHAPE, HIDDEN = (1, 14, 14), (128,)
POSITIONS, CATEGORIES, DIM = 8, 16, 8

relaxed, hard = discrete.relaxed_elbo, partial(discrete.relaxed_elbo, hard=True)
CATEGORICAL = {
    "gumbel-1": partial(relaxed, temperature=1.0),
    "gumbel-0.3": partial(relaxed, temperature=0.3),
    "straight-1": partial(hard, temperature=1.0),
    "straight-0.3": partial(hard, temperature=0.3),
    "leave-one-out": discrete.leave_one_out_elbo,
}
TWO = {
    "exact": discrete.exact_elbo,
    **{f"gumbel-{t:g}": partial(relaxed, temperature=t) for t in (2.0, 1.0, 0.5, 0.2)},
    **{f"straight-{t:g}": partial(hard, temperature=t) for t in (2.0, 1.0, 0.5, 0.2)},
    "leave-one-out": discrete.leave_one_out_elbo,
}
BOOKS = {
    "gradient": {"decay": None, "start": "normal"},
    "average": {"start": "normal"},
    "average-mean": {"start": "normal"},
    "average-kmeans": {"start": "data"},
    "average-restart": {"start": "normal", "restart": 0.1},
    "average-normalised": {"start": "normal", "normalise": True},
    "average-all": {"start": "data", "restart": 0.1},
}


def shrunk(images: Tensor) -> Tensor:
    """28×28 bytes -> 14×14 bytes."""
    return F.avg_pool2d(images.float(), 2).round().to(torch.uint8)


def networks(size: int, heads: int = 1, mean: bool = True) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with `size` numbers between them; the decoder starts at the mean."""
    decoder = vt.MLPDecoder(size, HIDDEN, SHAPE)
    if mean:
        vt.start_at_mean(decoder, shrunk(vt.load_images("mnist").train.images))
    return vt.MLPEncoder(size, HIDDEN, SHAPE, heads=heads), decoder


def quantised(quantiser: nn.Module, mean: bool = True) -> nn.Module:
    return QuantisedVAE(*networks(POSITIONS * quantiser.dim, mean=mean), POSITIONS, quantiser)


def build(kind: str) -> tuple[nn.Module, Any]:
    """The model of a kind, and its objective."""
    family, _, rest = kind.partition("-")
    if family == "two":
        return CategoricalVAE(*networks(20), 2, 10), TWO[rest]
    if family == "book":
        quantiser = (
            FiniteScalarQuantiser((4, 4, 4, 4)) if rest == "fsq"
            else VectorQuantiser(256, DIM, **BOOKS[rest])
        )  # fmt: skip
        with_mean = rest in ("average-mean", "average-all", "fsq")
        return quantised(quantiser, with_mean), discrete.quantised_loss
    if kind == "gaussian":
        return vt.VAE(*networks(POSITIONS, heads=2)), vt.elbo
    if kind == "vq":
        quantiser = VectorQuantiser(CATEGORIES, DIM, start="data", restart=0.1)
        return quantised(quantiser), discrete.quantised_loss
    if kind == "fsq":
        return quantised(FiniteScalarQuantiser((4, 4))), discrete.quantised_loss
    size = POSITIONS * CATEGORIES
    return CategoricalVAE(*networks(size), POSITIONS, CATEGORIES), CATEGORICAL[kind]


@torch.no_grad()
def drawn_codes(model: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([model.posterior(part).sample() for part in x.split(5000)])


def learn_prior(model: nn.Module, x: Tensor, seed: int, epochs: int = 12) -> CodePrior:
    """A prior trained on the codes of training images, one draw each."""
    torch.manual_seed(seed)
    prior = CodePrior(model.positions, model.categories, 128)
    codes = drawn_codes(model, x)
    vt.fit(prior, codes, objective=discrete.prior_loss, epochs=epochs, batch_size=200,
           progress=False)  # fmt: skip
    return prior


def choose_spread(model: nn.Module, x: Tensor) -> float:
    """The spread, in units of the mean distance to the nearest code, with the best estimate.

    Doubled and halved until the best one has a neighbour on both sides.
    """
    with torch.no_grad():
        unit = model.quantiser.distances(model.heads(x)).min(-1).values.mean().item()
    found: dict[float, float] = {}
    todo = [0.5, 1.0, 2.0]
    while todo:
        for factor in todo:
            model.spread = factor * unit
            found[factor] = vt.log_likelihood(model, x, 500, binarise=False, progress=False).mean
        best = max(found, key=found.get)
        todo = [f for f in (best / 2, best * 2) if f not in found]
    model.spread = best * unit
    return best


def measure_bound(model: nn.Module, x: Tensor) -> dict[str, float]:
    """Distortion, rate and their sum in nats per image; also with the uniform prior."""
    if isinstance(model, vt.VAE):
        terms = vt.evaluate(model, x, binarise=False)
        return {"distortion": -terms["log_px"], "rate": terms["kl"], "bound": terms["loss"]}
    with torch.no_grad():
        q = model.posterior(x)
        z = q.sample((20,)) if isinstance(model, CategoricalVAE) else q.sample((1,))
        distortion = -model.likelihood(z).log_prob(x).mean().item()
        log_q, log_p = q.log_prob(z).mean().item(), model.prior().log_prob(z).mean().item()
    flat = log_q + model.positions * math.log(model.categories)
    used, perplexity = code_use(z[0], model.categories)
    return {
        "distortion": distortion, "rate": log_q - log_p, "bound": distortion + log_q - log_p,
        "uniform_rate": flat, "uniform_bound": distortion + flat,
        "used": used, "perplexity": perplexity,
    }  # fmt: skip


def perplexities(model: nn.Module, x: Tensor) -> dict[str, float]:
    """Of the codes of all images, and the mean over batches of 16, 64 and 256 images."""
    z = model.encode(x)
    means = {
        f"perplexity_{n}": sum(code_use(part, model.categories).perplexity
                               for part in z[: len(z) // n * n].split(n)) / (len(z) // n)
        for n in (16, 64, 256)
    }  # fmt: skip
    return {**code_use(z, model.categories)._asdict(), **means}


def pictures(model: nn.Module, seed: int, count: int = 10) -> list[str]:
    """Samples, a hexadecimal digit for each pixel's mean."""
    torch.manual_seed(seed)
    means = model.sample(count).flatten(1).mul(15).round().long()
    return ["".join(f"{v:x}" for v in row) for row in means.tolist()]


def one_run(kind: str, seed: int, epochs: int, args: argparse.Namespace) -> dict[str, Any]:
    images = vt.load_images("mnist")
    train, test = shrunk(images.train.images), shrunk(images.test.images)
    noise = torch.Generator().manual_seed(99)
    x_test = (torch.rand(test.shape, generator=noise) < test / 255).float()
    torch.manual_seed(seed)
    model, objective = build(kind)
    if kind.startswith("book-"):
        train = train[:20_000]
    begun = time.perf_counter()
    kept = args.models and args.models / f"{kind}-{seed}-{epochs}.pt"
    if kept and kept.exists():
        model.load_state_dict(torch.load(kept))
        row = json.loads(kept.with_suffix(".json").read_text("utf-8"))
    else:
        history = vt.fit(model, train, objective=objective, epochs=epochs, batch_size=200,
                         binarise=True, progress=False)  # fmt: skip
        row = {"kind": kind, "seed": seed, "epochs": epochs,
               "training_seconds": round(time.perf_counter() - begun, 1),
               "training_loss": history.train["loss"][-1]}  # fmt: skip
        if kept:
            torch.save(model.state_dict(), kept)
            kept.with_suffix(".json").write_text(json.dumps(row), "utf-8")
    torch.manual_seed(seed)
    x = x_test[: args.images]
    if kind.startswith("book-"):
        row |= {**measure_bound(model, x_test), **perplexities(model, x_test)}
    elif kind.startswith("two-"):
        with torch.no_grad():
            row["bound"] = discrete.exact_elbo(model, x_test)["loss"].mean().item()
            row["negative_log_likelihood"] = -discrete.exact_log_p(model, x_test).mean().item()
            if "relaxed" in (terms := objective(model, x_test)):
                row["relaxed_bound"] = -terms["relaxed"].mean().item()
    else:
        row |= table_row(model, objective, kind, seed, train, x, args)
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}


def table_row(
    model: nn.Module, objective: Any, kind: str, seed: int, train: Tensor, x: Tensor,
    args: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """What the main table needs: with a learnt prior for codes, and with N(0, I) otherwise."""
    row: dict[str, Any] = {}
    if kind != "gaussian":
        noise = torch.Generator().manual_seed(seed)
        x_train = (torch.rand(train.shape, generator=noise) < train / 255).float()
        if kind in CATEGORICAL:
            uniform = vt.log_likelihood(model, x, args.samples, binarise=False, progress=False)
            row["uniform_negative_log_likelihood"] = -uniform.mean
            with torch.no_grad():
                terms = objective(model, x)
            if "relaxed" in terms:
                row["relaxed_bound"] = -terms["relaxed"].mean().item()
            if kind != "leave-one-out":  # the one that stands in the main table
                return row | measure_bound(model, x)
        if seed == 0:
            model.prior_module = learn_prior(model, x_train, seed, epochs=24)
            row["rate_longer_prior"] = measure_bound(model, x)["rate"]
        model.prior_module = learn_prior(model, x_train, seed)
    row |= measure_bound(model, x)
    if isinstance(model, QuantisedVAE):
        row["spread"] = choose_spread(model, x_train[:200])
    found = vt.log_likelihood(model, x, args.samples, binarise=False, progress=False)
    row |= {
        "negative_log_likelihood": -found.mean, "sampling_error": found.sampling_error,
        "median_ess": found.ess.median().item(), "images": len(x), "samples": args.samples,
    }  # fmt: skip
    if seed == 0:
        row["pictures"] = pictures(model, seed)
        for times in (1, 5):
            again = vt.log_likelihood(model, x[:200], times * args.samples, binarise=False,
                                      progress=False)  # fmt: skip
            row[f"first_200_by_{times * args.samples}"] = -again.mean
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.models:
        args.models.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    for seed in args.seeds:
        for kind in args.kinds:
            file = args.out / f"{kind}.json"
            rows = json.loads(file.read_text("utf-8"))["rows"] if file.exists() else []
            if any(r["seed"] == seed and r["epochs"] == args.epochs for r in rows):
                continue
            if time.perf_counter() - begun > args.seconds:
                return
            rows.append(one_run(kind, seed, args.epochs, args))
            rows.sort(key=lambda r: (r["epochs"], r["seed"]))
            settings = {
                "command": "python benchmarks/" + shlex.join([Path(sys.argv[0]).name,
                           "--kinds", kind, "--epochs", str(args.epochs)]),
                "date": date.today().isoformat(), "torch": torch.__version__,
                "python": platform.python_version(), "threads": torch.get_num_threads(),
            }  # fmt: skip
            file.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")
            print(kind, seed, args.epochs, round(time.perf_counter() - begun), flush=True)


if __name__ == "__main__":
    main()
