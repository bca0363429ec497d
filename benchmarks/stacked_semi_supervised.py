"""M1 with a linear probe, and M1+M2, with 100 labels on MNIST.

    python benchmarks/stacked_semi_supervised.py --models FOLDER \\
        --out benchmarks/results/stacked.json

M1 is an ordinary VAE, trained on 50,000 training images at 14 × 14 pixels, without labels.
`probe` is logistic regression on its codes of the 100 labelled images. `M1+M2` is M2 whose data
are M1's codes, drawn afresh from q(z | x) for every batch, with a warm start as in
`semi_supervised.py` and α = 0.1 · 50,000 / 100. The labelled images are those of
`semi_supervised.py`. Settings were chosen by the accuracy on the 10,000 training images that M1
has not seen (`validation`). Finished runs are stored and skipped.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from functools import partial
from pathlib import Path

import torch
from semi_supervised import halved, train_classifier
from torch import Tensor, nn
from torch.nn import functional as F
from transfer import source_vae

import vae_tutorial as vt
from vae_tutorial.models.labelled import M2, LabelledDecoder, LabelledEncoder
from vae_tutorial.semi_supervised import MixedBatches, choose_labelled, linear_probe, m2_bound

IMAGES, LABELS_AMONG = 50_000, 20_000  # semi_supervised.py has 20,000 images


@torch.no_grad()
def codes(model: vt.VAE, images: Tensor) -> Tensor:
    """Mean and log-variance of q(z | x) of each grey image: `(N, 1, 2, D)`."""
    parts = [torch.stack(model.encoder(part / 255), 1) for part in images.split(2000)]
    return torch.cat(parts)[:, None]


class Pixelwise(nn.Module):
    """Real values with a standard deviation of its own for each dimension, learnt."""

    values = "real"

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.full((size,), -0.5))

    def forward(self, mean: Tensor) -> torch.distributions.Distribution:
        sigma = self.log_sigma.exp().expand_as(mean)
        return torch.distributions.Normal(mean, sigma, validate_args=False)


def drawn_bound(model: M2, x: Tensor, y: Tensor, **settings) -> dict[str, Tensor]:
    """`m2_bound` on codes drawn from q(z | x), whose parameters x `(B, 1, 2, D)` holds."""
    mu, logvar = x.split(1, 2)
    return m2_bound(model, mu + torch.exp(0.5 * logvar) * torch.randn_like(mu), y, **settings)


def right(model: M2, x: Tensor, y: Tensor) -> float:
    """Accuracy of q(y | x) on codes `(N, 1, 2, D)`, of which it sees the means."""
    found = model.label_posterior(x[:, :, :1]).logits.argmax(1)
    return round((found == y).double().mean().item(), 4)


def stacked(train: Tensor, labels: Tensor, validation, test, draw: int, options):
    index = choose_labelled(labels[:LABELS_AMONG], 10, draw)
    keep = train[:, 0, 0].std(0) > 0.1  # the codes that M1 uses
    train, (test, truth) = train[..., keep], (test[0][..., keep], test[1])
    validation = validation[0][..., keep], validation[1]
    shape, hidden = (1, 1, int(keep.sum())), (options.hidden,)
    torch.manual_seed(draw)
    model = M2(
        LabelledEncoder(options.latent, 10, hidden, shape),
        LabelledDecoder(options.latent, 10, hidden, shape),
        vt.MLPEncoder(10, hidden, shape, heads=1), Pixelwise(shape[-1]),
    )  # fmt: skip
    batches = MixedBatches(train, labels, index, options.batch, 20)
    bound = partial(drawn_bound, labelled_weight=batches.labelled_weight)
    curve = []

    train_classifier(model, train[index][:, :, :1], labels[index])
    start = right(model, test, truth)
    model.classifier.requires_grad_(False)
    vt.fit(model, batches, objective=partial(bound, enumerate_labels=False), device="cpu",
           epochs=options.warm, learning_rate=3e-3, progress=False)  # fmt: skip
    model.classifier.requires_grad_(True)
    history = vt.fit(model, batches, objective=partial(bound, alpha=options.alpha), device="cpu",
                     epochs=options.epochs, learning_rate=options.rate, progress=False,
                     on_epoch=lambda _: curve.append(right(model, *validation)))  # fmt: skip
    log_q = model.label_posterior(test[:, :, :1]).logits
    return {"accuracy": right(model, test, truth), "validation": curve[-1],
            "log_loss": round(F.nll_loss(log_q, truth).item(), 4),
            "classifier_at_the_start": start, "curve": curve, "codes": shape[-1],
            "bound": round(history.train["elbo"][-1], 3)}  # fmt: skip


def probed(train: Tensor, labels: Tensor, test: Tensor, truth: Tensor, draw: int):
    index = choose_labelled(labels[:LABELS_AMONG], 10, draw)
    logits = linear_probe(train[index, 0, 0], labels[index], 10)(test[:, 0, 0])
    share = (logits.argmax(1) == truth).double().mean().item()
    log_loss = F.cross_entropy(logits, truth).item()
    return {"accuracy": round(share, 4), "log_loss": round(log_loss, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", nargs="+", default=["probe", "M1+M2"])
    parser.add_argument("--draws", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--m1-seed", type=int, default=0)
    parser.add_argument("--m1-epochs", type=int, default=40)
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--alpha", type=float, default=50.0)
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--latent", type=int, default=5)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--models", type=Path, required=True, help="a folder for M1's weights")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.models.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    mnist = vt.load_images("mnist")
    images, labels = halved(mnist.train.images), mnist.train.labels
    settings = {key: value for key, value in vars(options).items()
                if key not in ("models", "out", "draws", "columns")}  # fmt: skip
    result = {"command": "python benchmarks/stacked_semi_supervised.py --models FOLDER", **settings,
              "torch": torch.__version__, "machine": platform.machine(), "images": IMAGES,
              "side": 14, "rows": []}  # fmt: skip
    if options.out and options.out.exists():
        result["rows"] = json.loads(options.out.read_text("utf-8"))["rows"]
    model = source_vae("m1", options.m1_seed, images[:IMAGES], options.models, options.m1_epochs)
    train, held_out = codes(model, images).split((IMAGES, len(images) - IMAGES))
    test = codes(model, halved(mnist.test.images)), mnist.test.labels
    validation = held_out, labels[IMAGES:]
    for column, draw in [(c, d) for c in options.columns for d in options.draws]:
        if any((row["column"], row["draw"]) == (column, draw) for row in result["rows"]):
            continue
        start = time.perf_counter()
        about = (probed(train, labels, *test, draw) if column == "probe" else
                 stacked(train, labels, validation, test, draw, options))  # fmt: skip
        row = {"column": column, "draw": draw, "m1_seed": options.m1_seed, **about,
               "seconds": round(time.perf_counter() - start)}  # fmt: skip
        result["rows"].append(row)
        print(row, flush=True)
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
