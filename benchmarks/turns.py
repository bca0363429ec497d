"""A contender's side of `training.py`: an epoch at a time, timed where it runs."""

from __future__ import annotations

import inspect
import resource
import sys
import time
from ast import literal_eval
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection

import torch
from peers import Job, Watch, build, mnist_images, parameters, usual_loop

import vae_tutorial as vt


class Turns(Watch):
    """Waits for its turn before an epoch, and tells the seconds after it."""

    def __init__(self, line: Connection, job: Job) -> None:
        self.line, self.job, self.start = line, job, 0.0
        self.before = peak_memory()

    def ready(self, model: vt.VAE) -> None:
        device = "cpu" if self.job.device == "cpu" else torch.cuda.get_device_name()
        self.line.send(
            {"device": device, "threads": torch.get_num_threads(), "parameters": parameters(model)}
        )

    def epoch_begins(self) -> None:
        self.line.recv()
        self.start = self.now()

    def epoch_ends(self, images: int | None = None, **more: object) -> None:
        seconds = self.now() - self.start
        self.line.send({"seconds": seconds, "images": images or self.job.images, **more})

    def now(self) -> float:
        """The clock, read when the device has done all that it was told to."""
        if self.job.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    def finished(self) -> None:
        self.line.send({
            "memory_before_mib": self.before,
            "peak_memory_mib": peak_memory(),
            "peak_device_mib": None if self.job.device == "cpu"
            else round(torch.cuda.max_memory_allocated() / 2**20, 1),
        })  # fmt: skip


def take(line: Connection, name: str, job: dict[str, object]) -> None:
    """Be the contender `name` until it has had all its turns."""
    job = Job(**job)
    if "workers" in name and job.device == "cpu":
        job = replace(job, images=min(job.images, 12_000))  # very slow where cores are few
    turns = Turns(line, job)
    contender(name)(job, turns)
    turns.finished()


def contender(name: str) -> object:
    """The function `(job, watch)` of that name. Peers are imported only where they are wanted."""
    kind, _, settings = name.partition(": ")
    if kind == "floor":
        return partial(floor, precision=settings)
    if kind == "fit":
        return partial(fit, settings=settings)
    if kind == "Lightning":
        from peer_lightning import lightning_trainer as chosen
    elif kind == "pythae":
        from peer_pythae import pythae_trainer as chosen
    else:
        chosen = partial(usual_loop, workers=2 if "2 workers" in kind else 0)
    return chosen


def fit(job: Job, turns: Turns, settings: str = "") -> None:
    """One run of `vt.fit` that waits for its turn before each epoch."""
    chosen = {"binarise": job.binarise, "device": job.device, "learning_rate": job.learning_rate}
    for setting in settings.split():
        key, value = setting.split("=")
        chosen[key] = literal_eval(value) if value in ("True", "False") else value
    if missing := [key for key in chosen if key not in inspect.signature(vt.fit).parameters]:
        raise TypeError(f"this version of fit has no argument {', '.join(missing)}")

    def next_epoch(history: vt.History) -> None:
        turns.epoch_ends(precision=history.settings["precision"])
        if history.epochs < job.epochs:
            turns.epoch_begins()

    images, model = mnist_images(job), build(job)
    turns.ready(model)
    turns.epoch_begins()
    vt.fit(
        model, images, epochs=job.epochs, batch_size=job.batch_size, on_epoch=next_epoch, **chosen
    )


def floor(job: Job, turns: Turns, precision: str) -> None:
    """The same step again and again on one float batch that lies on the device."""
    model = build(job).to(job.device).train()
    x = mnist_images(job)[: job.batch_size].to(job.device) / 255
    optimiser = torch.optim.Adam(model.parameters(), lr=job.learning_rate, fused=True)
    half = partial(torch.autocast, job.device, torch.bfloat16, enabled=precision == "bfloat16")
    steps = job.images // job.batch_size
    turns.ready(model)
    for _ in range(job.epochs):
        turns.epoch_begins()
        for _ in range(steps):
            with half():
                loss = vt.elbo(model, x)["loss"].mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        turns.epoch_ends(images=steps * job.batch_size)


def peak_memory(who: int = resource.RUSAGE_SELF) -> float:
    """The largest resident set so far, in MiB; macOS counts bytes, others KiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(who).ru_maxrss / unit, 1)
