"""Wrong arguments by the thousand: what a user is told when one is given.

    python tests/fuzz.py --cases 6000 --seed 1

Each case calls a public function with valid arguments, of which one or two are replaced by values
that make no sense there. Three outcomes are told apart:

- refused: an error that names the argument (or what it stands for) and comes from the package;
- unhelpful: an error from somewhere inside torch, numpy or Python, or one without the name;
- accepted: no error, although there is nothing that the function could rightly do.

`test_fuzz.py` runs a fixed budget of cases.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import random
import re
import sys
import traceback
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import vae_tutorial as vt

ROOT = str(Path(vt.__file__).parent)
SHAPE = (1, 4, 4)


def vae() -> vt.VAE:
    return vt.VAE(vt.MLPEncoder(2, (4,), SHAPE), vt.MLPDecoder(2, (4,), SHAPE))


def autoencoder() -> vt.Autoencoder:
    return vt.Autoencoder(vt.MLPEncoder(2, (4,), SHAPE, heads=1), vt.MLPDecoder(2, (4,), SHAPE))


def images(count: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (count, *SHAPE)).byte()


def floats(count: int = 6) -> torch.Tensor:
    return torch.rand(count, *SHAPE).round()


def image_set(count: int = 20) -> vt.ImageSet:
    labels = torch.arange(count) % 2
    return vt.ImageSet(images(count), labels, ("a", "b"))


# Values that make no sense, by the kind of the argument. Functions are called anew in each case.

NOT_NUMBERS = ["3", None, [], [1], (2,), {}, object(), 1j, b"1", np.array([1, 2]), "ten"]
BAD = {
    "whole": [0, -1, 1.5, True, float("nan"), np.float64(2.5), torch.ones(2), *NOT_NUMBERS],
    "from 0": [-1, 1.5, True, float("nan"), -(2**70), torch.ones(2), *NOT_NUMBERS],
    "positive": [0, 0.0, -1, -0.1, float("nan"), float("inf"), True, torch.ones(2), *NOT_NUMBERS],
    "digit": ["x", [], "", 2.5, -1, 10, None],
    "number": [float("nan"), float("inf"), True, torch.ones(2), *NOT_NUMBERS],
    "not negative": [-1, -0.1, float("nan"), "3", [], {}, object(), b"1", None],
    "bool": ["no", "True", 1, 0, 0.0, [], np.array([True, False]), "yes"],
    "function": [3, "elbo", 0.5, [], torch.ones(1), {}, object()],
    "module": [None, 3, "vae", vt.VAE, torch.ones(2), [], object(), lambda: 0],
    "model": [None, 3, "vae", vt.VAE, torch.ones(2), [], object(), lambda: nn.Linear(2, 2),
              lambda: nn.DataParallel(vae()), lambda: autoencoder()],
    "widths": [None, 3, "400", (0,), (1.5,), (-4,), ["a"], torch.ones(2), [True]],
    "shape": [None, 3, "28", (0, 4, 4), (1.5, 4, 4), (-1, 4, 4), ["a"], [], (1, None)],
    "data": [
        None, 3, "mnist", {}, object(), vt.ImageSet, lambda: np.zeros((6, *SHAPE)),
        lambda: torch.zeros(0, *SHAPE), lambda: torch.zeros(6),
        lambda: torch.zeros(6, *SHAPE).long(), lambda: torch.zeros(6, *SHAPE, dtype=torch.bool),
        lambda: floats() * float("nan"),
        lambda: floats() * float("inf"), lambda: 255 * torch.rand(6, *SHAPE) + 2,
        lambda: floats() - 2, lambda: images()[:, 0], lambda: torch.zeros(6, 4, 4, 3).byte() + 9,
        lambda: floats().round().byte(), lambda: floats().to(torch.complex64),
        lambda: torch.rand(6, 1, 5, 4), lambda: torch.rand(6, 3, 4, 4), lambda: torch.rand(6, 16),
        lambda: (image_set(), image_set(4)), lambda: (floats(), floats(3)),
        lambda: (floats(), "labels"), lambda: (floats(),), lambda: [floats(), floats() * 300],
        lambda: [np.zeros((6, *SHAPE))], list, lambda: (part for part in floats().split(2)),
        lambda: floats().double(), lambda: floats().to_sparse(), lambda: [None], lambda: ["a"],
    ],
    "x": [
        None, 3, "x", lambda: np.zeros((6, *SHAPE), np.float32), lambda: images(),
        lambda: torch.rand(6, 1, 5, 4), lambda: torch.rand(*SHAPE), lambda: torch.rand(6, 16),
        lambda: floats().long(), lambda: floats().double(), lambda: [floats()], lambda: image_set(),
    ],
    "pictures": [
        None, 3, "x", lambda: np.zeros((6, *SHAPE)), lambda: torch.rand(6, 4, 4),
        lambda: torch.rand(6, 4, 4, 3), lambda: torch.zeros(0, *SHAPE),
        lambda: 200 * torch.rand(6, *SHAPE),
        lambda: floats() * float("nan"), lambda: [floats()], lambda: torch.rand(6, 2, 4, 4),
    ],
    "seed": [-1, 1.5, "0", None, True, [], float("nan"), object()],
    "device": ["gpu", 3.5, "cpu:x", [], "", object()],
    "path": [3, 2.5, [], object(), {}],
    "name": [3, None, "mnst", "", [], "MNIST ", object()],
    "sizes": [3, (), (0,), (1.5,), "12", None, [True], (-1,), {}],
    "labels": [None, 3, "a", lambda: torch.rand(20), lambda: torch.arange(3), lambda: [0] * 20],
    "optional positive": [0, -1, float("nan"), float("inf"), True, "3", [], object()],
    "optional whole": [0, -1, 1.5, True, "3", [], object()],
    "optional bool": ["no", 1, 0, [], "yes"],
    "precision": ["half", 16, "fp16", [], "float64"],
    "choice": ["x", 3, [], "", 2.5],
    "latent model": [None, 3, "vae", vt.VAE, lambda: nn.Linear(2, 2), lambda: autoencoder()],
}  # fmt: skip

MEASURING = {"model": "latent model", "data": "data", "binarise": "optional bool", "seed": "seed"}
SAMPLED = MEASURING | {"samples": "whole", "chunk": "optional whole"}

# function: what makes valid arguments, the kinds of those that are varied, words that an error may
# use for an argument instead of its name
CALLS = {
    "fit": (vt.fit, lambda: {"model": vae(), "data": images(), "epochs": 1}, {
        "model": "model", "data": "data", "validation": "data", "objective": "function",
        "epochs": "whole", "batch_size": "whole", "learning_rate": "optional positive",
        "schedule": "function", "beta": "function", "binarise": "optional bool",
        "optimiser": "function", "clip": "optional positive", "device": "device",
        "precision": "precision", "keep_best": "bool", "on_epoch": "function",
        "progress": "optional bool", "checkpoint": "path"}),
    "evaluate": (vt.evaluate, lambda: {"model": vae(), "data": images()}, {
        "model": "model", "data": "data", "objective": "function", "batch_size": "whole",
        "binarise": "optional bool", "seed": "seed"}),
    "log_likelihood": (vt.log_likelihood, lambda: {"model": vae(), "data": images(),
                                                   "samples": 3}, SAMPLED),
    "mean_elbo": (vt.mean_elbo, lambda: {"model": vae(), "data": images(), "samples": 3}, SAMPLED),
    "iwae_bounds": (vt.iwae_bounds, lambda: {"model": vae(), "data": images(), "samples": (1, 2)},
                    SAMPLED | {"samples": "sizes"}),
    "ais": (vt.ais, lambda: {"model": vae(), "data": images(), "temperatures": 2, "chains": 2,
                             "leapfrog": 1},
            MEASURING | {"temperatures": "whole", "chains": "whole", "leapfrog": "whole",
                         "start": "choice"}),
    "bdmc": (vt.bdmc, lambda: {"model": vae(), "images": 3, "temperatures": 2, "chains": 2,
                               "leapfrog": 1},
             {"model": "latent model", "images": "whole", "temperatures": "whole", "seed": "seed"}),
    "inference_gaps": (vt.inference_gaps, lambda: {"model": vae(), "data": images(), "steps": 2,
                                                   "samples": 4},
                       SAMPLED | {"steps": "whole", "draws": "whole", "learning_rate": "positive"}),
    "active_units": (vt.active_units, lambda: {"model": vae(), "data": images()},
                     MEASURING | {"threshold": "not negative"}),
    "information": (vt.information, lambda: {"model": vae(), "data": images()},
                    MEASURING | {"samples": "whole"}),
    "embed": (vt.embed, lambda: {"model": vae(), "data": images()},
              {"data": "data", "seed": "seed"}),
    "elbo": (vt.elbo, lambda: {"model": vae(), "x": floats()},
             {"model": "latent model", "x": "x", "samples": "whole", "beta": "not negative",
              "free_bits": "not negative"}),
    "iwae_bound": (vt.iwae_bound, lambda: {"model": vae(), "x": floats()},
                   {"model": "latent model", "x": "x", "samples": "whole"}),
    "reconstruction_error": (vt.reconstruction_error, lambda: {"model": autoencoder(),
                                                               "x": floats()}, {"x": "x"}),
    "MLPEncoder": (vt.MLPEncoder, lambda: {"latent_dim": 2},
                   {"latent_dim": "whole", "hidden": "widths", "image_shape": "shape",
                    "heads": "choice"}),
    "MLPDecoder": (vt.MLPDecoder, lambda: {"latent_dim": 2},
                   {"latent_dim": "whole", "hidden": "widths", "image_shape": "shape"}),
    "ConvEncoder": (vt.ConvEncoder, lambda: {"latent_dim": 2},
                    {"latent_dim": "whole", "channels": "widths", "image_shape": "shape",
                     "hidden": "whole"}),
    "ConvDecoder": (vt.ConvDecoder, lambda: {"latent_dim": 2},
                    {"latent_dim": "whole", "channels": "widths", "image_shape": "shape",
                     "hidden": "whole"}),
    "VAE": (vt.VAE, lambda: {"encoder": vt.MLPEncoder(2), "decoder": vt.MLPDecoder(2)},
            {"encoder": "module", "decoder": "module", "likelihood": "function",
             "prior": "function", "conditional": "bool"}),
    "GaussianLikelihood": (vt.GaussianLikelihood, dict, {"sigma": "positive", "learned": "bool"}),
    "CategoricalLikelihood": (vt.CategoricalLikelihood, lambda: {"levels": 4},
                              {"levels": "whole", "channels": "whole"}),
    "LogisticMixtureLikelihood": (vt.LogisticMixtureLikelihood, dict,
                                  {"components": "whole", "channels": "whole"}),
    "MixturePrior": (vt.MixturePrior, lambda: {"latent_dim": 2},
                     {"latent_dim": "whole", "components": "whole"}),
    "sample": (lambda **given: vae().sample(**given), lambda: {"count": 2},
               {"count": "whole", "temperature": "not negative"}),
    "reconstruct": (lambda **given: vae().reconstruct(**given), lambda: {"x": floats()},
                    {"x": "x"}),
    "load_images": (vt.load_images, dict, {"name": "name", "offline": "choice"}),
    "draw_strokes": (vt.draw_strokes, lambda: {"count": 2, "seed": 0},
                     {"count": "from 0", "seed": "seed"}),
    "stroke_digit": (vt.stroke_digit, lambda: {"label": 2},
                     {"label": "digit", "slant": "number", "thickness": "positive"}),
    "ImageSet": (vt.ImageSet, lambda: {"images": images(20), "labels": torch.arange(20) % 2,
                                       "class_names": ("a", "b")},
                 {"images": "x", "labels": "labels", "class_names": "widths"}),
    "train_classifier": (vt.train_classifier, lambda: {"data": image_set(), "epochs": 1},
                         {"data": "data", "epochs": "whole", "batch_size": "whole",
                          "learning_rate": "positive", "seed": "seed"}),
    "plots.images": (vt.plots.images, lambda: {"batch": images()}, {"batch": "pictures",
                                                                    "columns": "optional whole"}),
    "plots.samples": (vt.plots.samples, lambda: {"model": vae(), "count": 2},
                      {"model": "latent model", "count": "whole"}),
    "plots.reconstructions": (vt.plots.reconstructions, lambda: {"model": vae(), "x": floats()},
                              {"x": "pictures"}),
    "load": (vt.load, lambda: {"path": "nowhere"}, {"path": "path", "which": "choice"}),
}  # fmt: skip

FINE = {  # what is no mistake after all
    ("plots.reconstructions", "x", "uint8"),
    ("plots.images", "batch", "uint8"),
}
HELPFUL = (TypeError, ValueError, OSError, MemoryError, vt.TrainingDivergedError,
           vt.DataUnavailableError)  # fmt: skip
WORDS = {"model": ("VAE", "encoder", "model", "posterior", "embed needs"),
         "x": ("images", "x ", "batch"), "images": ("labels",),
         "data": ("data", "images", "batch", "x "), "validation": ("validation", "x "),
         "batch": ("batch", "image"), "device": ("device",), "path": ("path",),
         "likelihood": ("likelihood",), "offline": ("offline",)}  # fmt: skip


def make_case(choose: random.Random) -> tuple[str, list[tuple[str, int]]]:
    """A function, and for one or two of its arguments which bad value each is given."""
    name = choose.choice(list(CALLS))
    kinds = CALLS[name][2]
    names = choose.sample(list(kinds), min(len(kinds), choose.choice((1, 1, 1, 2))))
    return name, [(a, choose.randrange(len(BAD[kinds[a]]))) for a in names]


def run_case(name: str, changes: list[tuple[str, int]]) -> tuple[str, str]:
    """What came of it, and what was given and said."""
    function, valid, kinds = CALLS[name]
    torch.manual_seed(0)
    given, told = valid(), []
    for argument, which in changes:
        value = BAD[kinds[argument]][which]
        is_maker = callable(value) and getattr(value, "__name__", "") == "<lambda>"
        given[argument] = value() if is_maker else value
        told.append(f"{argument}={_short(given[argument])}")
    what = f"{name}({', '.join(told)})"
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            function(**given)
    except HELPFUL as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        message = str(error)
        names = [word for a, _ in changes for word in (a, *WORDS.get(a, ()))]
        named = any(re.search(re.escape(word), message) for word in names)
        ours = frame.filename.startswith(ROOT)
        outcome = "refused" if ours and named else "unhelpful"
        return outcome, f"{what}: {type(error).__name__}: {message[:160]}"
    except Exception as error:
        return "unhelpful", f"{what}: {type(error).__name__}: {str(error)[:160]}"
    finally:
        plt.close("all")
    return "accepted", what


def run(cases: int, seed: int) -> tuple[collections.Counter, dict[str, list[str]]]:
    """So many cases; how many ended how, and the different ones that did not end well."""
    choose, counts, bad = random.Random(seed), collections.Counter(), {}
    for _ in range(cases):
        outcome, said = run_case(*make_case(choose))
        counts[outcome] += 1
        if outcome != "refused":
            bad.setdefault(outcome, []).append(said)
    return counts, bad


def _short(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"tensor {tuple(value.shape)} {value.dtype}"
    text = repr(value)
    return re.sub(r" at 0x\w+", "", text if len(text) < 60 else text[:57] + "...")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts, bad = run(options.cases, options.seed)
    for outcome, said in bad.items():
        for line, times in sorted(collections.Counter(said).items()):
            print(f"{outcome} × {times}: {line}")
    print(f"{options.cases} cases, seed {options.seed}: {dict(counts)}")
    sys.exit(counts["refused"] < options.cases)


if __name__ == "__main__":
    main()
