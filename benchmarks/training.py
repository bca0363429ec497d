"""Images per second and memory of `fit`, of the loops people use instead, and of the floor.

    python benchmarks/training.py --out benchmarks/results/training.json

Same model (MLP 784-400-20 and the book's convolutional VAE), same real MNIST in grey pixels, same
batch sizes. Each contender lives in a process of its own. They take turns, epoch by epoch, so that
whatever else the machine does hits all alike; the first epoch of each is a warm-up and thrown
away. Ratios are taken within a round and then their median. The floor is the same step on one
batch that lies ready in memory: no loop over data can be faster in the same arithmetic.

What is timed is the epoch: from before its first batch is made to after its last step. Setting up
is not, for nobody: `fit` and the two trainers tell by callbacks where an epoch begins and ends.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import shlex
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

# No torch here: a new process inherits the peak of memory of the one that starts it.

Result = dict[str, object]
PEERS = ("usual loop", "usual loop, 2 workers", "Lightning", "pythae")


def contenders(options: argparse.Namespace) -> list[str]:
    """Their names, in the order of their turns; `floor:` and `fit:` are followed by settings."""
    extra = [f"fit: {settings}" for settings in options.fit_options]
    floors = ["float32"]
    floors += ["bfloat16"] * (options.device == "cuda" or "precision=bfloat16" in " ".join(extra))
    chosen = [
        *PEERS, "fit", "fit: binarise=True", *extra, *(f"floor: {name}" for name in floors)
    ]  # fmt: skip
    return [name for name in chosen if name not in options.without]


class Group:
    """The contenders of one network and one batch size, each waiting in a process of its own."""

    def __init__(self, names: list[str], job: dict[str, object]) -> None:
        self.job, self.processes, self.lines, self.rows = job, {}, {}, {}
        self.rounds: list[dict[str, dict[str, float]]] = []
        context = multiprocessing.get_context("spawn")
        for name in names:
            self.lines[name], theirs = context.Pipe()
            self.processes[name] = context.Process(target=work, args=(theirs, name, job))
            self.processes[name].start()
            theirs.close()
            self.rows[name] = {"contender": name, **self._answer(name)}

    def measure(self) -> None:
        """All turns. The first round is a warm-up; each later one begins with another contender."""
        names = list(self.lines)
        for turn in range(self.job["epochs"]):
            order = names[turn % len(names) :] + names[: turn % len(names)]
            timed = {name: self._turn(name) for name in order if name in self.lines}
            if turn > 0:
                self.rounds.append(timed)
        for name in list(self.lines):
            self.rows[name] |= self._answer(name)

    def close(self) -> None:
        for line in self.lines.values():
            line.close()
        for process in self.processes.values():
            process.join(timeout=20)
            if process.is_alive():
                process.terminate()

    def _turn(self, name: str) -> dict[str, float]:
        self.lines[name].send("go")
        return self._answer(name)

    def _answer(self, name: str) -> Result:
        """What the contender says next. One that fails says why, and is out."""
        try:
            answer = self.lines[name].recv()
        except EOFError:
            answer = {"problem": "its process died"}
        if "problem" in answer:
            print(f"{name}: {answer['problem']}", file=sys.stderr)
            self.lines.pop(name).close()
            self.rows.setdefault(name, {"contender": name}).update(answer)
        return answer


def work(line: Connection, name: str, job: dict[str, object]) -> None:
    """In the contender's process: be it, one epoch for each word that comes down the line."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)  # notices and progress bars, which are drawn all the same
    import turns  # brings torch

    try:
        turns.take(line, name, job)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass  # the benchmark was stopped
    except Exception as error:
        line.send({"problem": f"{type(error).__name__}: {error}"})


def summary(group: Group) -> list[Result]:
    """A row for each contender: medians over rounds, and ratios taken within each round."""
    rows = []
    for name, row in group.rows.items():
        rounds = [timed for timed in group.rounds if "seconds" in timed.get(name, {})]
        if "problem" not in row and rounds:
            row["images_per_second"] = spread([speed(timed[name]) for timed in rounds])
            row["precision"] = rounds[0][name].get("precision", "float32")
            floor = f"floor: {row['precision']}"
            for key, other in (("usual_loop", PEERS[0]), ("pythae", PEERS[3]), ("floor", floor)):
                pairs = [timed for timed in rounds if "seconds" in timed.get(other, {})]
                ratios = [speed(timed[name]) / speed(timed[other]) for timed in pairs]
                row[f"ratio_to_{key}"] = spread(ratios)
            row["epoch_seconds"] = [round(timed[name]["seconds"], 4) for timed in rounds]
        rows.append(row)
    return rows


def speed(timed: dict[str, float]) -> float:
    return timed["images"] / timed["seconds"]


def spread(values: list[float], digits: int = 4) -> dict[str, float] | None:
    """Median, least and greatest, to so many digits."""
    if not values:
        return None
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {key: float(f"{value:.{digits}g}") for key, value in found.items()}


def show(network: str, batch_size: int, rows: list[Result]) -> None:
    print(f"\n{network}, batch size {batch_size}")
    print(f"{'':30}{'images/s':>10}{'/ usual':>9}{'/ pythae':>9}{'/ floor':>9}{'MiB':>8}")
    for row in rows:
        if "images_per_second" not in row:
            print(f"{row['contender']:30}  {row.get('problem', 'not measured')}")
            continue
        ratios = [row[f"ratio_to_{other}"] for other in ("usual_loop", "pythae", "floor")]
        cells = [f"{r['median']:9.2f}" if r else " " * 9 for r in ratios]
        memory = row.get("peak_device_mib") or row["peak_memory_mib"]
        print(f"{row['contender']:30}{row['images_per_second']['median']:10,.0f}"
              f"{''.join(cells)}{memory:8,.0f}")  # fmt: skip


def description(options: argparse.Namespace) -> Result:
    what = (
        "training on MNIST: images per second of whole epochs over grey pixels, median, min and "
        "max over rounds in which the contenders take turns; ratios within a round; peak resident "
        "memory of the contender's own process in MiB, of which `memory_before_mib` was there "
        "before model and data were"
    )
    return {"what": what, **common(options, Path(__file__).name)}


def common(options: argparse.Namespace, script: str) -> Result:
    """What every stored result says of where it came from."""
    packages = ("torch", "torchvision", "lightning", "pythae")
    return {
        "command": " ".join(["python", f"benchmarks/{script}", *map(shlex.quote, sys.argv[1:])]),
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "settings": {key: value for key, value in vars(options).items() if key != "out"},
    }


def processor() -> str:
    """Its name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["mlp", "conv"], choices=["mlp", "conv"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[128, 1024])
    parser.add_argument("--images", type=int, default=60_000, help="in an epoch of the MLP")
    parser.add_argument(
        "--conv-images", type=int, default=None,
        help="in an epoch of the convolutional VAE; default 12,000 on a CPU, else as --images",
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--without", nargs="*", default=[], help="contenders to leave out")
    parser.add_argument(
        "--fit-options", nargs="*", default=["precision=bfloat16", "compile=True"],
        help='further rows of fit, each as "name=value name=value"',
    )  # fmt: skip
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.conv_images is None:
        options.conv_images = 12_000 if options.device == "cpu" else options.images
    return options


def main() -> None:
    options = read_options()
    result = description(options) | {"rows": []}
    start = time.perf_counter()
    for network in options.networks:
        images = options.images if network == "mlp" else options.conv_images
        for batch_size in options.batch_sizes:
            job = {"network": network, "batch_size": batch_size, "images": images,
                   "epochs": 1 + options.repeats, "device": options.device}  # fmt: skip
            group = Group(contenders(options), job)
            try:
                group.measure()
            finally:
                group.close()
            rows = summary(group)
            show(network, batch_size, rows)
            result["rows"] += [
                {"network": network, "batch_size": batch_size, "images": images, **row}
                for row in rows
            ]
            result["seconds"] = round(time.perf_counter() - start)
            if options.out:  # after each group, so that a run cut short leaves what it found
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
