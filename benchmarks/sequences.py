"""Posterior collapse of a VAE over sequences, its remedies, and a language model of the same size.

    python benchmarks/sequences.py --sets toy-language surnames --seeds 0 1 2

The decoder of every VAE is the LSTM of the language model, with a code of 16 numbers. Each run is
done with every recipe and seed; `--out` is written after every run, and runs that it holds already
are left out. Reported on the 2,000 test sequences, in nats a sequence, the end included: −log p(x)
of the language model, exactly; of a VAE by importance sampling with `--samples` draws from the
encoder, on 1,000 of them; the KL; the perplexity per token; the share of sequences that come back
unchanged from the mean of q; and, for the toy language, the share of grammatical
sentences among samples and half-way between two codes. `autoencoder` is a VAE with β = 0.001,
whose codes nearly are those of an autoencoder.
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

import torch
from torch import Tensor, nn

import vae_tutorial as vt
from vae_tutorial.data import toy_language
from vae_tutorial.data.sequences import Sequences, load_sequences
from vae_tutorial.models.sequences import (
    LanguageModel,
    SequenceVAE,
    counted,
    negative_log_prob,
)

OUT = Path("benchmarks/results/sequences.json")
LATENTS, FREE = 16, 0.25  # nats of a latent dimension: 4 nats in all
SETTINGS = {  # sequences to train on, the LSTM's size, epochs
    "toy-language": (20_000, 64, 16),
    "surnames": (30_000, 128, 12),
}
RECIPES: dict[str, dict[str, Any]] = {
    "language model": {"objective": negative_log_prob},
    "untreated": {},
    "annealing": {"beta": partial(vt.schedules.linear, rise=0.5)},
    "free bits": {"objective": partial(vt.elbo, free_bits=FREE)},
    "word dropout": {},
    "word dropout, free bits": {"objective": partial(vt.elbo, free_bits=FREE)},
    "β = 0.2": {"objective": partial(vt.elbo, beta=0.2)},
    "autoencoder": {"objective": partial(vt.elbo, beta=0.001)},
}
DROPPED = 0.4


@cache
def data(name: str) -> Sequences:
    return load_sequences(name, count=SETTINGS[name][0])


def built(name: str, recipe: str) -> nn.Module:
    found, hidden = data(name), SETTINGS[name][1]
    if recipe == "language model":
        return LanguageModel(len(found.symbols), hidden)
    dropped = DROPPED * recipe.startswith("word dropout")
    return SequenceVAE(len(found.symbols), found.train.shape[1], LATENTS, hidden, dropped)


def one_run(name: str, recipe: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    found, (_, _, epochs) = data(name), SETTINGS[name]
    torch.manual_seed(seed)
    model, cpu = built(name, recipe), time.process_time()
    history = vt.fit(model, found.train, validation=found.validation, epochs=epochs,
                     batch_size=128, learning_rate=6e-3, clip=5.0, device="cpu", progress=False,
                     **RECIPES[recipe])  # fmt: skip
    row = {"set": name, "recipe": recipe, "seed": seed, "epochs": epochs,
           "cpu_seconds": time.process_time() - cpu,
           "validation_loss": [round(v, 3) for v in history.validation["loss"]]}  # fmt: skip
    test = found.test.long()
    tokens = counted(test[:1000]).sum(1).float().mean().item()
    if isinstance(model, LanguageModel):
        row["nats"] = vt.evaluate(model, found.test, objective=negative_log_prob)["loss"]
        few = vt.evaluate(model, found.test[:1000], objective=negative_log_prob)["loss"]
        row |= {"nats_1000": few, "perplexity": math.exp(few / tokens)}
        samples = model.sample(2000, test.shape[1])
    else:
        bound = vt.evaluate(model, found.test)
        measured = vt.log_likelihood(model, found.test[:1000], options.samples, progress=False)
        row |= {"negative_elbo": -bound["elbo"], "kl": bound["kl"], "nats_1000": -measured.mean,
                "sampling_error": measured.sampling_error,
                "perplexity": math.exp(-measured.mean / tokens),
                "rebuilt": (model.reconstruct(test) == test).all(1).float().mean().item(),
                "active_units": int(vt.active_units(model, found.test).count)}  # fmt: skip
        row |= between(name, model, test)
        samples = model.sample(2000)
    if name == "toy-language":
        row["entropy_1000"] = -toy_language.log_prob(test[:1000]).mean().item()
        row["grammatical"] = grammatical(samples)
    row["distinct"] = len(set(found.texts(samples))) / len(samples)
    row["examples"] = found.texts(samples[:8])
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}


def grammatical(tokens: Tensor) -> float:
    """The share of sentences that the toy language can produce."""
    return (toy_language.log_prob(tokens) > -math.inf).float().mean().item()


def between(name: str, model: SequenceVAE, test: Tensor, pairs: int = 500) -> dict[str, Any]:
    """What is decoded half-way between the codes of two test sequences."""
    mu = model.posterior(test[: 2 * pairs]).mean.detach()
    middle = model.decode((mu[:pairs] + mu[pairs:]) / 2)
    path = [model.decode(mu[:1] + s * (mu[pairs : pairs + 1] - mu[:1])) for s in
            torch.linspace(0, 1, 7).tolist()]  # fmt: skip
    row: dict[str, Any] = {"path": data(name).texts(torch.cat(path))}
    row["path_ends"] = data(name).texts(test[[0, pairs]])
    if name == "toy-language":
        row["middle_grammatical"] = grammatical(middle)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=math.inf, help="no new run after these")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, result = time.monotonic(), {"commands": [], "rows": []}
    if options.out.exists():
        result = json.loads(options.out.read_text("utf-8"))
    command = "python benchmarks/sequences.py " + shlex.join(sys.argv[1:])
    result |= {
        "commands": list(dict.fromkeys([*result["commands"], command.strip()])),
        "torch": str(torch.__version__), "python": platform.python_version(),
        "device": f"CPU, {torch.get_num_threads()} thread, {platform.machine()}",
        "date": str(date.today()), "settings": SETTINGS, "latents": LATENTS,
        "free_bits": FREE, "word_dropout": DROPPED, "samples": options.samples,
    }  # fmt: skip
    done = {(row["set"], row["recipe"], row["seed"]) for row in result["rows"]}
    for name in options.sets:
        for seed in options.seeds:
            for recipe in options.recipes:
                late = time.monotonic() - start > options.seconds
                if (name, recipe, seed) in done or late:
                    continue
                row = one_run(name, recipe, seed, options)
                result["rows"].append(row)
                text = json.dumps(result, indent=1, ensure_ascii=False)
                options.out.write_text(text + "\n", encoding="utf-8")
                print({k: v for k, v in row.items() if not isinstance(v, list)}, flush=True)


if __name__ == "__main__":
    main()
