"""Where a step of `fit` spends its time: the costliest operators, for both networks.

    python benchmarks/profile_fit.py --out benchmarks/results/profile.json

One epoch of `fit` over some thousand images is recorded by torch's profiler, after another to warm
up. Shares are of the time in operators themselves, without those that they call. `in_operators` is
how much of the recorded epoch passed in operators at all; the rest is Python between them (on CUDA:
time in which the device had nothing to do), and more than there is of it when nobody records.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import torch
from peers import Job, build, mnist_images
from torch.profiler import ProfilerActivity, profile
from training import common

import vae_tutorial as vt


def measure(job: Job, most: int) -> dict[str, object]:
    """The row of one network and batch size."""
    images, model = mnist_images(job), build(job)
    train = partial(
        vt.fit, model, images, epochs=1, batch_size=job.batch_size, device=job.device,
        progress=False,
    )  # fmt: skip
    train()
    plain = min(train().seconds[0] for _ in range(3))
    cuda = job.device == "cuda"
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    with profile(activities=kinds) as recorded:
        seconds = train().seconds[0]
    of = "self_device_time_total" if cuda else "self_cpu_time_total"
    steps = -(-job.images // job.batch_size)
    events = sorted(recorded.key_averages(), key=lambda event: -getattr(event, of))
    total = sum(getattr(event, of) for event in events)  # microseconds
    return {
        "network": job.network, "batch_size": job.batch_size, "steps": steps,
        "microseconds_per_step": round(1e6 * plain / steps, 1),
        "in_operators": round(total / 1e6 / seconds, 3),
        "operators_per_step": round(sum(event.count for event in events) / steps, 1),
        "operators": [
            {"name": event.key, "share": round(getattr(event, of) / total, 4),
             "calls_per_step": round(event.count / steps, 2)}
            for event in events[:most]
        ],
    }  # fmt: skip


def show(row: dict[str, object]) -> None:
    print(
        f"\n{row['network']}, batch size {row['batch_size']}: {row['microseconds_per_step']:,} µs "
        f"a step; {row['in_operators']:.0%} in operators while recorded"
    )
    for operator in row["operators"]:
        print(f"{operator['share']:7.1%} {operator['calls_per_step']:7.1f} ×  {operator['name']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["mlp", "conv"], choices=["mlp", "conv"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[128, 1024])
    parser.add_argument("--images", type=int, default=10_240)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--most", type=int, default=12, help="operators to name")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for network in options.networks:
        for batch_size in options.batch_sizes:
            job = Job(network, batch_size, 1, images=options.images, device=options.device)
            rows.append(measure(job, options.most))
            show(rows[-1])
    result = {
        "what": "operators of a step of fit by their own time (on CUDA: the device's), MNIST "
        "binarised dynamically",
        **common(options, Path(__file__).name),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
