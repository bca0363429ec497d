"""Table 1 of Burda, Grosse and Salakhutdinov (2016) on MNIST, cell by cell.

    python benchmarks/iwae_table.py --list
    python benchmarks/iwae_table.py --cells iwae-k5-1layer --seeds 0 --epochs 400

Each cell is a model ("1layer": 50 latents; "2layer": 100 and 50; "conv": the book's own), an
objective ("vae": the ELBO; "iwae": the importance-weighted bound) and k, the draws of the latents
for each image in a step. With k = 1 the two objectives are one, stored as "vae". What is stored
for a cell and a seed is −log p(x) in nats, by importance sampling from the encoder with 5,000
samples, on all 10,000 test images, whose pixels are drawn once from a fixed seed.

As in the paper: the networks, Adam, pixels drawn afresh for every batch in training. Different:
batches of 100 in place of 20, and one cosine from the highest learning rate to zero in place of
eight stages of 3,280 epochs in all; how many epochs is in each stored cell. All 60,000 training
images are used. Cells that are stored are not run again. A run that was stopped is resumed from its
checkpoint when it is started again with the same settings.

With `--start`, a cell begins with the trained weights of another cell of the same network and
seed, and says so. That saves time where the objectives have the same optimum, as the ELBO with one
draw and with five.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from iwae_models import model_and_objective, start_at_the_mean_image

import vae_tutorial as vt
from vae_tutorial.files import write_atomically
from vae_tutorial.train.engine.checkpoints import newest

PAPER = {
    ("vae", 1, "1layer"): 86.76, ("vae", 5, "1layer"): 86.47, ("vae", 50, "1layer"): 86.35,
    ("iwae", 5, "1layer"): 85.54, ("iwae", 50, "1layer"): 84.78,
    ("vae", 1, "2layer"): 85.33, ("vae", 5, "2layer"): 85.01, ("vae", 50, "2layer"): 84.78,
    ("iwae", 5, "2layer"): 83.89, ("iwae", 50, "2layer"): 82.90,
}  # fmt: skip
"""−log p(x) in nats, as the paper's table has it. Its twelve cells are ten: k = 1 stands twice."""

NETWORKS = ("1layer", "2layer", "conv")


@dataclass(frozen=True)
class Cell:
    """A place in the table; written as `iwae-k5-1layer`."""

    objective: str
    k: int
    network: str

    @classmethod
    def read(cls, text: str) -> Cell:
        found = re.fullmatch(r"(vae|iwae)-k([1-9]\d*)-(\w+)", text)
        if not found or found[3] not in NETWORKS:
            raise argparse.ArgumentTypeError(
                f"a cell is written as iwae-k5-1layer, with one of {', '.join(NETWORKS)} at its "
                f"end, got {text!r}"
            )
        objective, k = found[1], int(found[2])
        return cls("vae" if k == 1 else objective, k, found[3])

    def __str__(self) -> str:
        return f"{self.objective}-k{self.k}-{self.network}"


def train(cell: Cell, seed: int, data: vt.Images, options: argparse.Namespace) -> tuple:
    """The trained model of a cell, and what was recorded."""
    torch.manual_seed(seed)
    model, objective = model_and_objective(cell.network, cell.objective, cell.k)
    if options.start:
        begin = newest(checkpoints(options, options.start, seed))
        if begin is None or options.start.network != cell.network:
            raise SystemExit(f"--start {options.start}: no such run of {cell.network}, seed {seed}")
        model.load_state_dict(begin["model"])
    else:
        start_at_the_mean_image(model, data.train.images)
    try:
        history = vt.fit(
            model, data.train, objective=objective, epochs=options.epochs,
            batch_size=options.batch_size, learning_rate=options.learning_rate,
            device=options.device, precision=options.precision, compile=options.compile,
            checkpoint=checkpoints(options, cell, seed),
        )  # fmt: skip
    except vt.TrainingInterrupted as error:
        raise SystemExit(
            f"{cell}, seed {seed}: {error}. Start again with the same settings to resume."
        ) from None
    return model, history


def checkpoints(options: argparse.Namespace, cell: Cell, seed: int) -> Path:
    return options.work / f"{cell}-seed{seed}"


def active_units(model: torch.nn.Module, data: vt.ImageSet) -> int:
    """Units of the first layer whose posterior mean has a variance above 0.01 over images."""
    means = vt.embed(model, data, binarise=None)  # (N, D)
    return int((means.var(0, ddof=1) > 0.01).sum())


def measured(
    cell: Cell, seed: int, model: torch.nn.Module, history: vt.History, data: vt.Images,
    options: argparse.Namespace, script: str = "iwae_table.py",
) -> dict[str, object]:  # fmt: skip
    """Measure the trained model of one cell; return what is stored. `script` made it."""
    start = time.perf_counter()
    found = vt.log_likelihood(
        model, data.test, samples=options.samples, seed=options.test_seed, chunk=options.chunk
    )
    seconds = time.perf_counter() - start
    elbo = vt.iwae_bounds(
        model, data.test, samples=(1, 100), seed=options.test_seed, chunk=options.chunk
    )[1]
    ess = found.ess.sort().values
    return {
        "what": "−log p(x), nats per image, dynamic binarisation (test pixels drawn once), "
        "importance sampling from the encoder",
        "objective": cell.objective, "k": cell.k, "network": cell.network, "seed": seed,
        "paper": PAPER.get((cell.objective, cell.k, cell.network)),
        "negative_log_likelihood": round(-found.mean, 3),
        "standard_error_over_images": round(found.standard_error, 3),
        "sampling_error": round(found.sampling_error, 4),
        "bias": round(found.bias, 4),
        "samples": found.samples, "images": len(found), "test_seed": options.test_seed,
        "ess_median": round(ess[len(ess) // 2].item(), 1),
        "ess_10th_percentile": round(ess[len(ess) // 10].item(), 1),
        "negative_elbo": round(-elbo.mean, 3),
        "active_units": active_units(model, data.test),
        "started_from": None if options.start is None else str(options.start),
        "epochs": history.epochs, "train_loss": round(history.train["loss"][-1], 3),
        "train_seconds": round(history.seconds[-1], 1), "test_seconds": round(seconds, 1),
        "settings": history.settings,
        "device": device_name(options.device), "threads": torch.get_num_threads(),
        "python": platform.python_version(), "torch": str(torch.__version__),
        "date": time.strftime("%Y-%m-%d"),
        "command": f"python benchmarks/{script} " + " ".join(sys.argv[1:]),
    }  # fmt: skip


def store(path: Path, found: dict[str, object]) -> None:
    """Write what was measured, and tell the main figures."""
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())
    print(
        f"{path.stem}: {found['negative_log_likelihood']} ± "
        f"{found['standard_error_over_images']} nats, the paper {found['paper']}; trained "
        f"{found['train_seconds']} s, tested {found['test_seconds']} s",
        flush=True,
    )


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} cores, {platform.machine()}"


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cells = [Cell(*place) for place in PAPER]
    parser.add_argument("--cells", nargs="+", type=Cell.read, default=cells, metavar="CELL")
    parser.add_argument("--start", type=Cell.read, metavar="CELL", help="whose weights to take")
    parser.add_argument("--list", action="store_true", help="name the cells, and which are stored")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="the highest")
    parser.add_argument("--precision", default="float32", help="of the training; tests: float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--test-seed", type=int, default=0)
    parser.add_argument("--chunk", type=int, help="pairs decoded at once; default: the package's")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, help="of the CPU; default: torch's own choice")
    parser.add_argument("--dataset", default="mnist", help="another is for trying the script out")
    parser.add_argument("--work", type=Path, default=Path("runs/iwae_table"), help="checkpoints")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/iwae_table"))
    return parser.parse_args()


def main() -> None:
    options = read_options()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    data = None
    for cell, seed in itertools.product(options.cells, options.seeds):
        path = options.out / f"{cell}-seed{seed}.json"
        if options.list or path.exists():
            print(f"{path.stem}: {'stored' if path.exists() else 'missing'}")
            continue
        if data is None:
            data = vt.load_images(options.dataset)
        model, history = train(cell, seed, data, options)
        store(path, measured(cell, seed, model, history, data, options))


if __name__ == "__main__":
    main()
