"""Conditional VAEs on stroke digits: where the label goes, and sevens that were never thick.

    python benchmarks/conditional.py --out benchmarks/results/conditional.json

- `where`: the label in both networks, or in one of them. Three seeds.
- `unseen`: the label in both, trained with and without the sevens thicker than `THICK`, with the
  KL weighed by β = 2. Three seeds. Thick digits of other classes are
  encoded and decoded as sevens, and their thickness is measured by a ridge regression that was
  fitted to real sevens.
- `classify`: p(y | x) by Bayes' rule from a conditional VAE, and a classifier of the same width,
  both trained on the same n images for 1,000 steps of 100. Three seeds, 300 test images.

log p(x | y) by importance sampling with 500 draws, on 1,000 test images binarised once.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

import vae_tutorial as vt
from vae_tutorial.models.labelled import LabelledDecoder, LabelledEncoder
from vae_tutorial.semi_supervised import label_log_posterior, linear_probe

LATENT, HIDDEN, THICK = 10, (300,), 2.967  # the upper third of the range, in pixels
SAMPLES, IMAGES = 500, 1000
COLUMN = {factor.name: i for i, factor in enumerate(vt.FACTORS)}


class Unlabelled(nn.Module):
    """A network that is given the label and does not look at it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.latent_dim = inner, inner.latent_dim

    def forward(self, first: Tensor, y: Tensor):
        if isinstance(self.inner, vt.MLPEncoder):
            return tuple(part.expand(*y.shape, -1) for part in self.inner(first))
        return self.inner(first)


def model(in_encoder: bool, in_decoder: bool) -> vt.VAE:
    encoder = LabelledEncoder(LATENT, 10, HIDDEN) if in_encoder else Unlabelled(
        vt.MLPEncoder(LATENT, HIDDEN))  # fmt: skip
    decoder = LabelledDecoder(LATENT, 10, HIDDEN) if in_decoder else Unlabelled(
        vt.MLPDecoder(LATENT, HIDDEN))  # fmt: skip
    return vt.VAE(encoder, decoder, conditional=True)


def ridge(images: Tensor, target: Tensor, penalty: float = 30.0):
    """Linear regression of a factor on grey pixels, with a penalty: a function of images."""
    x, mean = (images / 255).flatten(1).double(), target.double().mean()
    centre = x.mean(0)
    x = x - centre
    weight = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]).double(),
                                x.T @ (target.double() - mean))  # fmt: skip
    return lambda y: (y.flatten(1).double() - centre) @ weight + mean


def where(in_encoder: bool, in_decoder: bool, seed: int, digits: vt.Images, epochs: int) -> dict:
    torch.manual_seed(seed)
    vae = model(in_encoder, in_decoder)
    history = vt.fit(vae, digits.train, validation=digits.test, epochs=epochs, device="cpu",
                     progress=False)  # fmt: skip
    test = digits.test[:IMAGES]
    found = vt.log_likelihood(vae, test, SAMPLES, progress=False)
    bound = vt.mean_elbo(vae, test, 20, progress=False)
    mu = [vae.posterior(s.images / 255, s.labels).mean.detach() for s in (digits.train, test)]
    scale = mu[0].std(0).clamp(min=0.1)
    probe = linear_probe(mu[0][:3000] / scale, digits.train.labels[:3000], 10)
    row = {
        "label": {(1, 1): "both", (0, 1): "decoder", (1, 0): "encoder"}[in_encoder, in_decoder],
        "negative_log_likelihood": found.mean and -found.mean, "error": found.standard_error,
        "negative_elbo": -bound.mean, "rate": bound.rate,
        "class_from_z": (probe(mu[1] / scale).argmax(1) == test.labels).double().mean().item(),
        "curve": [round(v, 2) for v in history.validation["loss"][9::10]],
    }  # fmt: skip
    if in_decoder:
        some = test[:300]
        log_q = label_log_posterior(vae, some.images, 10, samples=50)
        row["bayes_accuracy"] = (log_q.argmax(1) == some.labels).double().mean().item()
        row["bayes_log_loss"] = -log_q.gather(1, some.labels[:, None]).mean().item()
    return row


def cross_entropy(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    return {"loss": nn.functional.cross_entropy(network(x), y, reduction="none")}


def judge(digits: vt.Images) -> nn.Module:
    """A classifier that has seen all training images: which digit has been drawn?"""
    torch.manual_seed(0)
    network = vt.MLPEncoder(10, HIDDEN, heads=1)
    vt.fit(network, digits.train, objective=cross_entropy, epochs=6, device="cpu", progress=False)
    return network


def unseen(left_out: bool, beta: float, seed: int, digits: vt.Images) -> dict:
    train, thickness = digits.train, COLUMN["thickness"]
    thick_seven = (train.labels == 7) & (train.factors[:, thickness] > THICK)
    torch.manual_seed(seed)
    vae = vt.VAE(LabelledEncoder(8, 10, (256, 256)), LabelledDecoder(8, 10, (256, 256)),
                 conditional=True)  # fmt: skip
    vt.fit(vae, train[~thick_seven] if left_out else train, objective=partial(vt.elbo, beta=beta),
           epochs=14, learning_rate=3e-3, device="cpu", progress=False)  # fmt: skip
    _, factors = vt.draw_factors(20_000, 99)
    real = torch.full((3000,), 7), factors[:3000]
    regression = ridge(vt.draw_images(*real), real[1][:, thickness])
    classifier, test = judge(digits), digits.test

    def written(images: vt.ImageSet, new: Tensor) -> Tensor:
        z = vae.posterior(images.images / 255, images.labels).mean
        return vae.likelihood(z, new).mean.detach()

    def error(drawn: Tensor, new: Tensor, factors: Tensor) -> float:
        ideal = vt.draw_images(new, factors) / 255  # the same factors, another class
        return (drawn - ideal).square().flatten(1).sum(1).mean().item()

    other = (test.labels + 3) % 10
    drawn = written(test, other)
    named = (classifier(drawn).argmax(1) == other).double().mean().item()
    whole = {"named_as_asked": named, "squared_error": error(drawn, other, test.factors)}
    thick = test[(test.labels != 7) & (test.factors[:, thickness] > THICK)]
    sevens = torch.full_like(thick.labels, 7)
    drawn = written(thick, sevens)
    pair = vt.draw_images(sevens[:300], thick.factors[:300]), sevens[:300]
    found = vt.log_likelihood(vae, pair, SAMPLES, progress=False)
    return {
        "left_out": left_out, "beta": beta, **whole,
        "wanted": thick.factors[:, thickness].mean().item(),
        "measured": regression(drawn).mean().item(),
        "deviation": (regression(drawn) - thick.factors[:, thickness]).std().item(),
        "named_seven": (classifier(drawn).argmax(1) == 7).double().mean().item(),
        "squared_error_of_thick_sevens": error(drawn, sevens, thick.factors),
        "negative_log_likelihood_of_thick_sevens": -found.mean,
        "error": found.standard_error,
    }  # fmt: skip


def classify(count: int, seed: int, digits: vt.Images) -> dict:
    generator = torch.Generator().manual_seed(seed)
    few = digits.train[torch.randperm(len(digits.train), generator=generator)[:count]]
    settings = {"epochs": 1000 * 100 // count, "batch_size": 100, "device": "cpu",
                "progress": False}  # fmt: skip
    torch.manual_seed(seed)
    vae = model(True, True)
    vt.fit(vae, few, **settings)
    classifier = vt.MLPEncoder(10, HIDDEN, heads=1)
    vt.fit(classifier, few, objective=cross_entropy, binarise=True, **settings)
    test = digits.test[:300]
    x = vt.float_batch(test.images, binarise=True)  # the same binary pixels for both
    found = {}
    for name, log_q in (
        ("bayes", label_log_posterior(vae, x, 10, samples=50).float()),
        ("classifier", classifier(x).log_softmax(1).detach()),
    ):
        right = log_q.argmax(1) == test.labels
        found[f"{name}_accuracy"] = right.double().mean().item()
        found[f"{name}_log_loss"] = nn.functional.nll_loss(log_q, test.labels).item()
        found[f"{name}_confidence"] = log_q.exp().amax(1).mean().item()
    return {"images": count, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["where", "unseen", "classify"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    digits = vt.load_images("stroke-digits")
    result = {
        "command": "python benchmarks/conditional.py", "torch": torch.__version__,
        "machine": platform.machine(), "epochs": options.epochs, "latent_dim": LATENT,
        "hidden": HIDDEN[0], "samples": SAMPLES, "images": IMAGES, "thick": THICK,
        "binarisation": "dynamic", "rows": [],
    }  # fmt: skip
    if options.out and options.out.exists():
        result["rows"] = json.loads(options.out.read_text("utf-8"))["rows"]
    jobs = [("where", s, (e, d)) for s in options.seeds
            for e, d in ((True, True), (False, True), (True, False))]  # fmt: skip
    jobs += [("unseen", s, how) for s in options.seeds
             for how in ((True, 2.0), (False, 2.0))]  # fmt: skip
    jobs += [("classify", s, (n,)) for s in options.seeds for n in (300,)]
    for part, seed, how in jobs:
        known = any((r["part"], r["seed"], r["how"]) == (part, seed, list(how))
                    for r in result["rows"])  # fmt: skip
        if part not in options.parts or known:
            continue
        start = time.perf_counter()
        settings = (options.epochs,) if part == "where" else ()
        job = {"where": where, "unseen": unseen, "classify": classify}[part]
        row = job(*how, seed, digits, *settings)
        row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        result["rows"].append({"part": part, "seed": seed, "how": list(how), **row,
                               "seconds": round(time.perf_counter() - start)})  # fmt: skip
        print(result["rows"][-1], flush=True)
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
