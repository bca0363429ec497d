"""The five systems of Chapter 7, before and after each healing: test −ELBO, three seeds.

    python benchmarks/clinic_systems.py --out benchmarks/results/clinic_systems.json

The systems are those of the chapter: its code cells with the tag `systems` are run here, so there
is one version of them. Every figure is the mean of −ELBO over the 2,000 test images of the stroke
digits, in nats, pixels binarised dynamically, one draw of z for each image. It is measured by the
chapter's `judge`, which uses a system's encoder and decoder and nothing else of its code. Where
training diverged there is no figure.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

import vae_tutorial as vt

CHAPTER = Path(__file__).parents[1] / "chapters/07_clinic.ipynb"
Row = dict[str, Any]


def systems() -> dict[str, Any]:
    """What the chapter's cells with the tag `systems` define."""
    names: dict[str, Any] = {}
    for cell in json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]:
        if "systems" in cell["metadata"].get("tags", []):
            exec("".join(cell["source"]), names)  # the chapter's own code
    return names


def batch_means(objective: Callable, kept: list[float]) -> Callable:
    """The objective, which also keeps the mean loss of every batch of training."""

    def keeping(system: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        terms = objective(system, x)
        kept.append(terms["loss"].mean().item())
        return terms

    return keeping


class Runs:
    """Trains one system after another and keeps a row for each."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rows, self.names = seed, [], systems()
        digits = vt.load_images("stroke-digits")
        self.train, self.test = digits.train.images, digits.test.images

    def one(
        self, system: int, step: str, make: Callable[[], nn.Module], train: torch.Tensor,
        test: torch.Tensor, objective: Callable | None = None, epochs: int = 5, batch: int = 128,
    ) -> None:  # fmt: skip
        """Train for `epochs` and judge; `epochs=0` judges the untrained networks."""
        torch.manual_seed(self.seed)
        model, means = make(), []
        row: Row = {"system": system, "step": step, "seed": self.seed, "images": len(train),
                    "epochs": epochs, "batch_size": batch}  # fmt: skip
        start = time.process_time()
        try:
            if epochs:
                loss = batch_means(objective or self.names["own_loss"], means)
                history = vt.fit(model, train, objective=loss, epochs=epochs, batch_size=batch,
                                 binarise=True, progress=False)  # fmt: skip
                row["loss_of_epochs"] = history.train["loss"]
                steps = len(means) // epochs
                row["last_batch_of_epochs"] = means[steps - 1 :: steps]
            for weight in model.parameters():
                weight.requires_grad_(True)
            found = vt.evaluate(model, test, objective=self.names["judge"], binarise=True)
            row |= {"negative_elbo": found["loss"], "kl": found["kl"], "log_px": found["log_px"]}
        except vt.TrainingDivergedError as error:
            row |= {"negative_elbo": None, "diverged": str(error).split(". ")[0]}
        row["cpu_seconds"] = round(time.process_time() - start, 1)
        row = {k: None if isinstance(v, float) and not math.isfinite(v) else v
               for k, v in row.items()}  # fmt: skip
        self.rows.append(row)
        print({k: v for k, v in row.items() if "of_epochs" not in k}, flush=True)

    def first_and_fifth(self) -> None:
        names = self.names
        make = lambda: names["System"](names["FullyConnected"](784, (400,), 20))  # noqa: E731
        self.one(1, "as printed: no loss", make, self.train, self.test, epochs=0)
        self.one(1, "a loss and a loop", make, self.train, self.test)
        self.one(5, "in words", make, self.train, self.test, names["in_words"])

    def second(self) -> None:
        names, few = self.names, {"epochs": 5, "batch": 32}
        train = self.train[:4000]
        for step, parts in self.steps("SECOND"):
            turns = names["in_turn"](names["own_loss"])
            self.one(2, step, lambda p=parts: names["second"](**p), train, self.test, turns, **few)
        self.one(2, "not in turn", lambda: names["second"](**parts), train, self.test, **few)

    def third(self) -> None:
        names, small = (
            self.names,
            [self.names["halved"](images) for images in (self.train, self.test)],
        )
        random = torch.Generator().manual_seed(self.seed)
        noise = [torch.randint(0, 256, x.shape, dtype=torch.uint8, generator=random) for x in small]
        steps = list(self.steps("THIRD"))
        self.one(3, "unpacked, on noise", names["third"], *noise, epochs=10)
        healed = steps[-1][1]
        self.one(3, "healed, on noise", lambda: names["third"](**healed), *noise, epochs=10)
        for step, parts in steps:
            self.one(3, step, lambda p=parts: names["third"](**p), *small, epochs=10)

    def fourth(self) -> None:
        make, stable = self.names["fourth"], self.names["cross_entropy"]
        inverted = 255 - self.train, 255 - self.test
        self.one(4, "as printed", make, self.train, self.test)
        self.one(4, "as printed, ink and paper exchanged", make, *inverted)
        self.one(4, "from logits, exchanged", lambda: make(error=stable), *inverted)

    def steps(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each healing with the parts of the system after it."""
        healings = self.names[name]
        for count, step in enumerate(healings, start=1):
            yield step, self.names["after"](healings, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", default=["first_and_fifth", "third", "fourth",
                                                         "second"])  # fmt: skip
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows: list[Row] = []
    for seed in options.seeds:
        runs = Runs(seed)
        for system in options.systems:
            getattr(runs, system)()
        rows += runs.rows
    result = {
        "what": "test −ELBO, nats per image, stroke digits, dynamic binarisation, one draw of z, "
        "all 2,000 test images; systems 1, 2, 4, 5 on 28×28 pixels, system 3 on 10×10",
        "command": "python benchmarks/clinic_systems.py",
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "processor": f"{os.cpu_count()} cores, {platform.machine()}",
        "rows": rows,
    }
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
