"""Nats against seconds: test −ELBO of `fit`, of pythae and of the usual loop on one machine.

    python benchmarks/nats.py --out benchmarks/results/nats.json

All train the same model on MNIST whose pixels are binarised afresh each time they are seen, in
batches of the same size, and all are judged by the same code: `vt.evaluate` on the 10,000 test
images, binarised from one seed, with one sample of z for each. The usual loop and pythae run with
Adam at a constant rate, as they are used; each is one run, looked at when its training seconds
reach each mark, with the clock stopped meanwhile. The schedule of `fit` has to know its length, so
`fit` trains anew for each mark, for as many epochs as fit in by the speed of its last run. The
seconds stored are those really used. Setting up and evaluating count for nobody.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from peers import Job, Watch, build, data_folder, usual_loop
from training import common, spread

import vae_tutorial as vt

Row = dict[str, object]


class TimeIsUp(Exception):  # noqa: N818
    """The last mark is passed; ends a loop from within."""


class Marks(Watch):
    """Measures the model when its training seconds reach each mark, and ends the run at the last.

    The clock runs between `epoch_begins` and `epoch_ends` and stands still while measuring.
    """

    def __init__(self, name: str, job: Job, marks: list[float], test: vt.ImageSet) -> None:
        self.name, self.job, self.left, self.test = name, job, sorted(marks), test
        self.rows: list[Row] = []
        self.seconds, self.start, self.steps = 0.0, 0.0, 0

    def ready(self, model: vt.VAE) -> None:
        self.model = model

    def epoch_begins(self) -> None:
        self.start = now(self.job)

    def epoch_ends(self, images: int | None = None) -> None:
        self.seconds += now(self.job) - self.start

    def step_ends(self) -> None:
        self.steps += 1
        seconds = self.seconds + now(self.job) - self.start
        if seconds < self.left[0]:
            return
        epochs = self.steps / math.ceil(self.job.images / self.job.batch_size)
        mark = self.left.pop(0)
        self.rows.append(row(self.name, self.job, mark, seconds, epochs, self.model, self.test))
        if not self.left:
            raise TimeIsUp
        self.seconds, self.start = seconds, now(self.job)


def now(job: Job) -> float:
    """The clock, read when the device has done all that it was told to."""
    if job.device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def run_usual_loop(job: Job, marks: list[float], test: vt.ImageSet) -> list[Row]:
    watch = Marks("usual loop", job, marks, test)
    with contextlib.suppress(TimeIsUp):
        usual_loop(job, watch)
    return watch.rows


def run_pythae(job: Job, marks: list[float], test: vt.ImageSet) -> list[Row]:
    from peer_pythae import pythae_trainer

    watch = Marks("pythae", job, marks, test)
    with contextlib.suppress(TimeIsUp), in_silence():
        pythae_trainer(job, watch)
    return watch.rows


def run_fit(
    job: Job, marks: list[float], test: vt.ImageSet, train: vt.ImageSet, settings: dict
) -> list[Row]:
    """`vt.fit` with its own defaults but for `settings`, once for each mark."""

    def fitted(epochs: int) -> tuple[vt.VAE, vt.History]:
        model = build(job)
        return model, vt.fit(
            model, train, epochs=epochs, batch_size=job.batch_size, device=job.device, **settings
        )

    seconds = fitted(epochs=2)[1].seconds
    epoch, rows = seconds[1] - seconds[0], []
    for mark in sorted(marks):
        model, history = fitted(epochs=max(1, int(mark / epoch)))
        used = history.seconds[-1]
        epoch = used / history.epochs
        rows.append(
            row("fit", job, mark, used, history.epochs, model, test)
            | {"learning_rate": history.settings["learning_rate"], "settings": history.settings}
        )
    return rows


def row(
    name: str, job: Job, mark: float, seconds: float, epochs: float, model: vt.VAE,
    test: vt.ImageSet,
) -> Row:  # fmt: skip
    """Measure `model`, in nats per image; print and return what is stored."""
    per_image: dict[str, list[torch.Tensor]] = {"elbo": [], "kl": []}

    def keep(model: vt.VAE, x: torch.Tensor) -> dict[str, torch.Tensor]:
        terms = vt.elbo(model, x)
        for term, values in per_image.items():
            values.append(terms[term].cpu())
        return terms

    vt.evaluate(model, test, objective=keep, binarise=True, seed=0)
    negative_elbo = -torch.cat(per_image["elbo"])
    found = {
        "contender": name, "network": job.network, "seed": job.seed, "mark_seconds": mark,
        "training_seconds": round(seconds, 2), "epochs": round(epochs, 2),
        "learning_rate": job.learning_rate,
        "test_negative_elbo": round(negative_elbo.mean().item(), 3),
        "standard_error_over_images": round(negative_elbo.std().item() / len(test) ** 0.5, 3),
        "test_kl": round(torch.cat(per_image["kl"]).mean().item(), 3),
    }  # fmt: skip
    print(
        f"{name:12} seed {job.seed}  mark {mark:6.1f} s  used {seconds:6.1f} s  "
        f"{epochs:6.2f} epochs  −ELBO {found['test_negative_elbo']:7.2f} nats",
        flush=True,
    )
    return found


@contextlib.contextmanager
def in_silence() -> Iterator[None]:
    """Without pythae's chatter. Its bar is drawn all the same, into the void."""
    logging.disable(logging.INFO)
    with Path(os.devnull).open("w") as void, contextlib.redirect_stderr(void):
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def summary(rows: list[Row]) -> list[Row]:
    """For each contender and mark: median, least and greatest over the seeds."""
    keys = dict.fromkeys((r["contender"], r["network"], r["mark_seconds"]) for r in rows)
    result = []
    for key in keys:
        same = [r for r in rows if (r["contender"], r["network"], r["mark_seconds"]) == key]
        result.append(dict(zip(("contender", "network", "mark_seconds"), key)) | {
            name: spread([r[name] for r in same], digits=6)
            for name in ("training_seconds", "test_negative_elbo")
        })  # fmt: skip
    return result


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="mlp", choices=["mlp", "conv"])
    parser.add_argument("--marks", nargs="+", type=float, default=[15, 30, 60, 120])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of the peers")
    parser.add_argument("--fit-learning-rate", type=float, help="default: the one of fit itself")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--without", nargs="*", default=[], choices=["fit", "pythae", "usual loop"])
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    options = read_options()
    data = vt.load_images("mnist", root=data_folder())
    rate = options.fit_learning_rate
    settings = {} if rate is None else {"learning_rate": rate}
    job = Job(
        options.network, options.batch_size, epochs=1_000_000, images=len(data.train),
        device=options.device, learning_rate=options.learning_rate, binarise=True,
    )  # fmt: skip
    rows = []
    for seed in options.seeds:
        job = replace(job, seed=seed)
        if "fit" not in options.without:
            rows += run_fit(job, options.marks, data.test, data.train, settings)
        if "pythae" not in options.without:
            rows += run_pythae(job, options.marks, data.test)
        if "usual loop" not in options.without:
            rows += run_usual_loop(job, options.marks, data.test)
    cuda = options.device == "cuda"
    result = {
        "what": "test −ELBO, nats per image, MNIST binarised dynamically, one sample of z, all "
        "10,000 test images, after training for about the seconds of each mark",
        **common(options, Path(__file__).name),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "summary": summary(rows),
        "rows": rows,
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    else:
        json.dump(result["summary"], sys.stdout, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    main()
