"""M2 with 100 labels on MNIST: four ways to train the same model, a fifth, and what y becomes.

    python benchmarks/semi_supervised.py --draws 0 3 4 \\
      --out benchmarks/results/semi_supervised.json

The first four columns are those of Pyro's tutorial: `classifier` (the network of q(y | x) alone,
on the 100 images), `sampled` (one y drawn from q(y | x), score-function gradient), `enumerated`
(the sum over all y), `alpha` (the same with the classification term). `warm` is `alpha` after a
start in which the classifier was trained on the 100 images and then kept, while encoder and
decoder learnt from the labels that it names.

20,000 training images at 14 × 14 pixels (means of 2 × 2, rounded), 100 of them with a label; five
choices of the 100. Finished runs are stored and skipped when the script is called again.

`semi_supervised.json` holds short runs of three choices. The chapter's table has fifty epochs in
every column of M2, six of which are the warm start in `warm`:

    LONGER=benchmarks/results/semi_supervised_longer.json
    python benchmarks/semi_supervised.py --columns classifier alpha --epochs 50 --out $LONGER
    python benchmarks/semi_supervised.py --columns warm --epochs 44 --out $LONGER
    python benchmarks/semi_supervised.py --columns enumerated --epochs 50 --out $LONGER
    python benchmarks/semi_supervised.py --columns sampled --epochs-sampled 50 --out $LONGER
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import vae_tutorial as vt
from vae_tutorial.models.labelled import M2, LabelledDecoder, LabelledEncoder
from vae_tutorial.semi_supervised import MixedBatches, choose_labelled, m2_bound

COLUMNS = ("classifier", "sampled", "enumerated", "alpha", "warm")
SETTINGS = {
    "images": 20_000, "side": 14, "hidden": 200, "latent_dim": 50, "alpha": 50.0, "labels": 100,
    "unlabelled_in_a_step": 100, "labelled_in_a_step": 20, "learning_rate": 4e-3, "epochs": 10,
    "epochs_sampled": 20, "epochs_warm": 6, "binarisation": "dynamic",
    "test": "10,000 grey test images",
}  # fmt: skip
SHAPE = (1, 14, 14)


def halved(images: Tensor) -> Tensor:
    """28 × 28 bytes to 14 × 14 bytes."""
    return F.avg_pool2d(images.float(), 2).round().to(torch.uint8)


def model() -> M2:
    latent, hidden = SETTINGS["latent_dim"], (SETTINGS["hidden"],)
    return M2(
        LabelledEncoder(latent, 10, hidden, SHAPE),
        LabelledDecoder(latent, 10, hidden, SHAPE),
        vt.MLPEncoder(10, hidden, SHAPE, heads=1),
    )


def classification(model: M2, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    return {"loss": F.cross_entropy(model.classifier(x), y, reduction="none")}


@torch.no_grad()
def judged(model: M2, images: Tensor, labels: Tensor) -> dict[str, float]:
    """What q(y | x) says of test images: accuracy, log loss, and how it uses the classes."""
    log_q = model.label_posterior(images / 255).logits
    table = torch.zeros(10, 10)  # the true class, the class that q names
    table.index_put_((labels, log_q.argmax(1)), torch.tensor(1.0), accumulate=True)
    mean = log_q.exp().mean(0)
    return {
        "accuracy": (table.diagonal().sum() / table.sum()).item(),
        "purity": (table.max(0).values.sum() / table.sum()).item(),
        "log_loss": F.nll_loss(log_q, labels).item(),
        "entropy": -(log_q.exp() * log_q).sum(1).mean().item(),
        "entropy_of_mean": -(mean * mean.clamp(min=1e-12).log()).sum().item(),
    }


def warm_start(m2: M2, images: Tensor, labels: Tensor, batches: MixedBatches) -> None:
    """The classifier from its labels; then encoder and decoder, from labels that it names."""
    train_classifier(m2, images, labels)
    m2.classifier.requires_grad_(False)
    objective = partial(m2_bound, labelled_weight=batches.labelled_weight, enumerate_labels=False)
    vt.fit(m2, batches, objective=objective, epochs=SETTINGS["epochs_warm"], learning_rate=3e-3,
           device="cpu", progress=False)  # fmt: skip
    m2.classifier.requires_grad_(True)


def train_classifier(m2: M2, images: Tensor, labels: Tensor) -> None:
    vt.fit(m2, (images, labels), objective=classification, epochs=300, batch_size=100,
           device="cpu", progress=False)  # fmt: skip


def trained(column: str, draw: int, images: Tensor, labels: Tensor, test) -> tuple[M2, dict]:
    index = choose_labelled(labels, SETTINGS["labels"] // 10, draw)
    batches = MixedBatches(images, labels, index, SETTINGS["unlabelled_in_a_step"],
                           SETTINGS["labelled_in_a_step"])  # fmt: skip
    torch.manual_seed(draw)
    m2, curve = model(), []
    if column == "classifier":
        train_classifier(m2, images[index], labels[index])
        return m2, {}
    if column == "warm":
        warm_start(m2, images[index], labels[index], batches)
    objective = partial(
        m2_bound, labelled_weight=batches.labelled_weight,
        alpha=SETTINGS["alpha"] if column in ("alpha", "warm") else 0.0,
        enumerate_labels=column != "sampled",
    )  # fmt: skip
    epochs = SETTINGS["epochs_sampled" if column == "sampled" else "epochs"]
    history = vt.fit(
        m2, batches, objective=objective, learning_rate=SETTINGS["learning_rate"], device="cpu",
        epochs=epochs, progress=False,
        on_epoch=lambda _: curve.append(round(judged(m2, *test)["accuracy"], 4)),
    )  # fmt: skip
    return m2, {"epochs": epochs, "curve": curve, "bound": round(history.train["elbo"][-1], 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", nargs="+", default=COLUMNS)
    parser.add_argument("--draws", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    parser.add_argument("--epochs-sampled", type=int, default=SETTINGS["epochs_sampled"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    SETTINGS["epochs"], SETTINGS["epochs_sampled"] = options.epochs, options.epochs_sampled
    torch.set_num_threads(1)
    mnist = vt.load_images("mnist")
    images = halved(mnist.train.images[: SETTINGS["images"]])
    labels = mnist.train.labels[: SETTINGS["images"]]
    test = halved(mnist.test.images), mnist.test.labels
    result = {
        "command": " ".join(["python benchmarks/semi_supervised.py", *sys.argv[1:]]),
        "torch": torch.__version__,
        "machine": platform.machine(), **SETTINGS, "rows": [],
    }  # fmt: skip
    if options.out and options.out.exists():
        result["rows"] = json.loads(options.out.read_text("utf-8"))["rows"]
    for draw in options.draws:
        for column in options.columns:
            if any((row["column"], row["draw"]) == (column, draw) for row in result["rows"]):
                continue
            start = time.perf_counter()
            m2, about = trained(column, draw, images, labels, test)
            found = {key: round(value, 4) for key, value in judged(m2, *test).items()}
            row = {"column": column, "draw": draw, **found, **about,
                   "seconds": round(time.perf_counter() - start)}  # fmt: skip
            result["rows"].append(row)
            print(row, flush=True)
            if options.out:
                options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
