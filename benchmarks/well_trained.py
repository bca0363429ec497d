"""Well-trained VAEs on MNIST: their weights, how long they took, and how good they are.

    python benchmarks/well_trained.py --list
    python benchmarks/well_trained.py --variants conv32 mlp2 --device cuda --step graph

Protocol: pixels binarised afresh for every batch, the ELBO with one draw, `vt.fit`. The last 5,000
training images are held out; they are what to choose between variants by. All final figures are on
the 10,000 test images, whose pixels are drawn once from a fixed seed. After each epoch the −ELBO on
the test images is noted beside the seconds of training, with the clock stopped meanwhile.

For each variant and seed, `--out` gets the weights in float32 and float16 as soon as training ends,
and a JSON file that is written again after every further measurement. Started again, the script
does only what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

import vae_tutorial as vt
from vae_tutorial.files import write_atomically

HELD_OUT = 5000


@dataclass(frozen=True)
class Variant:
    """A network and how long to train it. Without `channels` it is fully connected."""

    latent_dim: int
    hidden: int
    channels: tuple[int, ...] = ()
    epochs: int = 200
    batch_size: int = 250

    def build(self) -> vt.VAE:
        d, hidden = self.latent_dim, self.hidden
        if self.channels:
            return vt.VAE(
                vt.ConvEncoder(d, self.channels, hidden), vt.ConvDecoder(d, self.channels, hidden)
            )
        return vt.VAE(vt.MLPEncoder(d, (hidden,)), vt.MLPDecoder(d, (hidden,)))


VARIANTS = {
    "conv16": Variant(16, 256, (16, 32)),  # the book's own sizes
    "conv32": Variant(32, 256, (16, 32)),
    "conv32-small": Variant(32, 128, (16, 32)),
    "conv2": Variant(2, 128, (16, 32)),
    "mlp2": Variant(2, 400),
    "mlp2-small": Variant(2, 200),
    "conv50-big": Variant(50, 512, (32, 64)),  # too big to ship: how far size alone goes
}


class Record:
    """The JSON file of one variant and seed, and the weights beside it."""

    def __init__(self, stem: Path) -> None:
        self.stem, self.path = stem, stem.with_name(stem.name + ".json")
        self.content = json.loads(self.path.read_text()) if self.path.exists() else {}

    def add(self, **found: object) -> None:
        self.content |= found
        text = json.dumps(self.content, indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.path, text.encode())

    def weights(self, dtype: torch.dtype) -> Path:
        return self.stem.with_name(f"{self.stem.name}-{str(dtype).removeprefix('torch.')}.pt")

    def save_weights(self, model: nn.Module) -> None:
        """Both files, with their sizes and digests."""
        files = {}
        for dtype in (torch.float32, torch.float16):
            content = io.BytesIO()
            torch.save({k: v.to("cpu", dtype) for k, v in model.state_dict().items()}, content)
            path = self.weights(dtype)
            write_atomically(path, content.getvalue())
            digest = hashlib.sha256(content.getvalue()).hexdigest()
            files[path.name] = {"bytes": len(content.getvalue()), "sha256": digest}
        self.add(weights=files)


def fit(
    variant: Variant, model: vt.VAE, data: vt.Images, options: argparse.Namespace, epochs: int,
    on_epoch: Callable[[vt.History], object] | None = None,
) -> vt.History:  # fmt: skip
    """Train `model`; the images of its last validation are the last of the training set."""
    further = {"compiled": {"compile": True}, "graph": {"compile": "reduce-overhead"}}.get(
        options.step, {}
    )
    held_out = min(HELD_OUT, len(data.train) // 10)
    return vt.fit(
        model, data.train[:-held_out], validation=data.train[-held_out:], epochs=epochs,
        batch_size=options.batch_size or variant.batch_size, learning_rate=options.learning_rate,
        device=options.device, precision=options.precision, on_epoch=on_epoch, progress=False,
        **further,
    )  # fmt: skip


def epochs_that_fit(variant: Variant, data: vt.Images, options: argparse.Namespace) -> int:
    """As many as the variant wants or, with `--seconds`, as there is time for."""
    wanted = options.epochs or variant.epochs
    if options.seconds is None:
        return wanted
    seconds = fit(variant, variant.build(), data, options, epochs=4).seconds
    each = (seconds[-1] - seconds[0]) / 3  # the first has the setting up in it
    most = 10**6 if options.epochs is None and options.fill else wanted
    return max(1, min(most, int(options.seconds / each)))


def train(variant: Variant, data: vt.Images, options: argparse.Namespace, record: Record) -> vt.VAE:
    """A trained model, whose weights, history and curve are written."""
    epochs = epochs_that_fit(variant, data, options)
    torch.manual_seed(options.seed)
    model = variant.build()
    curve: list[dict[str, float]] = []

    def look(history: vt.History) -> None:
        test = vt.evaluate(model, data.test)["loss"]
        curve.append({"seconds": round(history.seconds[-1], 3), "test": round(test, 3)})
        if history.epochs in (1, 2, 5) or history.epochs % 10 == 0 or history.epochs == epochs:
            print(
                f"{record.stem.name}: epoch {history.epochs} of {epochs}, "
                f"{history.seconds[-1]:.1f} s, −ELBO {test:.2f} on test",
                flush=True,
            )

    history = fit(variant, model, data, options, epochs, look)
    record.save_weights(model)
    last = curve[-1]["test"]
    near = next(row["seconds"] for row in curve if row["test"] <= last + 1)
    record.add(
        epochs=history.epochs, train_seconds=round(history.seconds[-1], 2),
        seconds_until_within_one_nat=near,
        validation_negative_elbo=round(history.validation["loss"][-1], 3),
        train_negative_elbo=round(history.train["loss"][-1], 3),
        settings=history.settings, curve=curve,
        validation_curve=[round(loss, 3) for loss in history.validation["loss"]],
    )  # fmt: skip
    return model


def measurements(
    model: vt.VAE, data: vt.Images, options: argparse.Namespace
) -> dict[str, Callable[[], object]]:
    """What is found out about a trained model, in order; each is written as soon as it is known."""

    def rounded(**values: float) -> dict[str, float]:
        return {name: round(value, 4) for name, value in values.items()}

    def bound() -> dict[str, float]:
        found = vt.mean_elbo(model, data.test, samples=min(100, options.samples))
        return rounded(
            negative_elbo=-found.mean, standard_error_over_images=found.standard_error,
            sampling_error=found.sampling_error, rate=found.rate, distortion=found.distortion,
            samples=min(100, options.samples),
        )  # fmt: skip

    def likelihood() -> dict[str, object]:
        found = vt.log_likelihood(model, data.test, samples=options.samples)
        ess = found.ess.sort().values
        values = rounded(
            negative_log_likelihood=-found.mean, sampling_error=found.sampling_error,
            standard_error_over_images=found.standard_error, bias=found.bias,
            samples=found.samples, images=len(found), ess_median=ess[len(ess) // 2].item(),
        )  # fmt: skip
        return {**values, "measured_on": options.device}  # training may have been elsewhere

    def units() -> dict[str, object]:
        found = vt.active_units(model, data.test)
        return {"active": found.count, "of": model.latent_dim}

    return {
        "test_negative_elbo_one_sample": lambda: round(vt.evaluate(model, data.test)["loss"], 3),
        "active_units": units, "test_negative_elbo": bound, "test_log_likelihood": likelihood,
    }  # fmt: skip


def rounded_to_half(record: Record, variant: Variant, data: vt.Images, device: str) -> float:
    """The test −ELBO, one sample, of the weights as float16 holds them."""
    model = variant.build()
    model.load_state_dict(torch.load(record.weights(torch.float16), weights_only=True))
    return round(vt.evaluate(model.to(device), data.test)["loss"], 3)


def trained(name: str, data: vt.Images, options: argparse.Namespace) -> tuple[Record, vt.VAE]:
    """The model of a variant, from its file or trained now."""
    variant = VARIANTS[name]
    record = Record(options.out / f"{name}{options.tag}-seed{options.seed}")
    if "epochs" in record.content:
        model = variant.build()
        model.load_state_dict(torch.load(record.weights(torch.float32), weights_only=True))
        print(f"{record.stem.name}: trained already")
        return record, model.to(options.device)
    cuda = options.device == "cuda"
    record.add(
        what="nats per image, MNIST, dynamic binarisation (test pixels drawn once), objective: "
        "the ELBO with one draw; the last of the training images held out",
        variant=name, seed=options.seed, test_seed=0,
        latent_dim=variant.latent_dim, channels=variant.channels, hidden=variant.hidden,
        parameters=sum(p.numel() for p in variant.build().parameters()),
        held_out=min(HELD_OUT, len(data.train) // 10), dataset=data.name,
        device=torch.cuda.get_device_name() if cuda else f"{os.cpu_count()} cores",
        note=options.note, python=platform.python_version(), torch=str(torch.__version__),
        date=time.strftime("%Y-%m-%d"),
        command=f"python benchmarks/{Path(__file__).name} " + " ".join(sys.argv[1:]),
    )  # fmt: skip
    model = train(variant, data, options, record)
    record.add(
        test_negative_elbo_float16_weights=rounded_to_half(record, variant, data, options.device)
    )
    return record, model


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=["conv32"])
    parser.add_argument("--list", action="store_true", help="name the variants and their sizes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="default: those of the variant")
    parser.add_argument("--seconds", type=float, help="of training, at most, for each variant")
    parser.add_argument("--fill", action="store_true", help="use all the seconds")
    parser.add_argument("--batch-size", type=int, help="default: that of the variant")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="the highest")
    parser.add_argument("--precision", default="auto", help="as for fit")
    parser.add_argument("--step", default="plain", choices=["plain", "compiled", "graph"])
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--samples", type=int, default=5000, help="for log p(x); 0: leave it out")
    parser.add_argument("--curve-only", action="store_true", help="measure nothing further")
    parser.add_argument("--dataset", default="mnist", help="another is for trying the script out")
    parser.add_argument("--images", type=int, help="only the first so many; for trying it out")
    parser.add_argument("--note", default="", help="stored as it is, say what else was running")
    parser.add_argument("--tag", default="", help="added to the names of the files")
    parser.add_argument("--out", type=Path, default=Path("runs/well_trained"))
    return parser.parse_args()


def main() -> None:
    options = read_options()
    os.environ.setdefault("VAE_TUTORIAL_PROGRESS", "0")
    if options.list:
        for name, variant in VARIANTS.items():
            count = sum(p.numel() for p in variant.build().parameters())
            print(f"{name}: {count:,} parameters, {2 * count / 1e6:.2f} MB as float16")
        return
    data = vt.load_images(options.dataset)
    data = data._replace(train=data.train[: options.images], test=data.test[: options.images])
    torch.backends.cudnn.allow_tf32 = False  # of measurements; what fit uses, it sets itself
    models, failed = [], []
    for name in options.variants:
        try:
            models.append(trained(name, data, options))
        except Exception:  # the others may still succeed
            traceback.print_exc()
            failed.append(name)
    measure_all(models, data, options)
    if failed:
        raise SystemExit(f"not trained: {', '.join(failed)}")


def measure_all(
    models: list[tuple[Record, vt.VAE]], data: vt.Images, options: argparse.Namespace
) -> None:
    """What is not measured yet: the quick figures of all models before the slow ones."""
    for step in () if options.curve_only else range(4):
        for record, model in models:
            name, measure = list(measurements(model, data, options).items())[step]
            if name in record.content or (name == "test_log_likelihood" and not options.samples):
                continue
            start = time.perf_counter()
            record.add(**{name: measure()})
            print(
                f"{record.stem.name}: {name} {record.content[name]}, "
                f"{time.perf_counter() - start:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
