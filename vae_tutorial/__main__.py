"""The command line: `python -m vae_tutorial train …`, `sample …` and `doctor …`."""

from __future__ import annotations

import argparse
import importlib
import io
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes

import vae_tutorial as vt
from vae_tutorial.files import remove_leftovers, write_atomically
from vae_tutorial.train.engine import distributed
from vae_tutorial.train.engine.checkpoints import (
    BusyFolderError,
    read_checkpoint,
    remove_checkpoints,
)
from vae_tutorial.train.engine.environment import PRECISIONS
from vae_tutorial.train.engine.saved import save_model
from vae_tutorial.train.evaluate import model_device

MODEL, CHECKPOINTS = "model.pt", "checkpoints"
RESULTS = (MODEL, "history.csv", "history.json", "samples.png", "reconstructions.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, or 1 with a message on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a log in an old encoding gets "?" for "−", no error
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    matplotlib.use("Agg")  # pictures go to files; a machine without a screen will do
    vt.plots.use_style()
    try:
        return options.run(options)
    except (
        ValueError, OSError, MemoryError, vt.DataUnavailableError, BusyFolderError,
        distributed.LostProcessError,
    ) as error:  # fmt: skip
        print(f"error: {error}", file=sys.stderr)
        return 1


def train(options: argparse.Namespace) -> int:
    """Train a VAE and leave weights, history and pictures in the folder `--out`.

    A run that was stopped is resumed when the same command is given again. Under `torchrun`, all
    processes train together, and the first one writes.
    """
    with distributed.join(options.device) as device:
        first = distributed.is_first()
        out = Path(options.out)
        if first:
            _prepare(out, options.overwrite)
        torch.manual_seed(options.seed)
        model = build(options.network, options.latent_dim)
        with distributed.one_first():
            data = vt.load_images(options.dataset, offline=options.offline)
        status = 0
        try:
            history = vt.fit(
                model, data.train, validation=data.test, epochs=options.epochs,
                batch_size=options.batch_size, learning_rate=options.learning_rate,
                device=device, precision=options.precision, compile=options.compile,
                checkpoint=out / CHECKPOINTS,
            )  # fmt: skip
        except vt.TrainingInterrupted as error:
            history = error.history
            status = 128 + (signal.SIGTERM if "SIGTERM" in history.stopped else signal.SIGINT)
        except vt.TrainingDivergedError as error:
            if first:
                print(f"error: {error}", file=sys.stderr)
            history, status = error.history, 1
        if first:
            about = ("seed", "network", "latent_dim")
            history.settings |= {name: getattr(options, name) for name in about}
            history.settings["dataset"] = data.name
            _leave_results(out, model, history, data, finished=status == 0)
    return status


def _prepare(out: Path, overwrite: bool) -> None:
    """Refuse before the training what would fail, or destroy something, after it."""
    if (out / MODEL).exists() and not overwrite and _is_finished(out / MODEL):
        raise ValueError(
            f"--out: {out} holds a trained model already. Name another folder, or add --overwrite."
        )
    write_atomically(out / ".writable", b"")
    (out / ".writable").unlink()
    remove_leftovers(out, RESULTS)
    if overwrite:
        remove_checkpoints(out / CHECKPOINTS)


def _is_finished(path: Path) -> bool:
    """Whether a file is the model of a whole run; one of an interrupted run may be replaced."""
    try:
        return read_checkpoint(path).get("finished") is not False
    except ValueError:  # damaged, or somebody else's file
        return True


def _leave_results(
    out: Path, model: vt.VAE, history: vt.History, data: vt.Images, finished: bool
) -> None:
    """Write everything, the model last: a run that is killed before can be resumed."""
    try:
        elbo = vt.evaluate(model, data.test)["elbo"]
        history.settings["test_elbo"] = elbo
        history.save(out / "history.csv")
        history.save(out / "history.json")
        x = data.test.images[:12].to(model_device(model)).float() / 255
        _save_picture(out / "reconstructions.png", vt.plots.reconstructions(model, x))
        _save_picture(out / "samples.png", vt.plots.samples(model))
        print(
            f"test −ELBO: {-elbo:.2f} nats per image ({data.name}, {len(data.test):,} test "
            f"images, dynamic binarisation, one sample of z for each image)\n"
            f"{history.epochs} epochs in {sum(history.seconds[-1:]):.0f} s on "
            f"{history.settings['device']}; results are in {out}"
        )
        save_model(out / MODEL, model, dataset=data.name, finished=finished)
    except OSError as error:
        spare = Path(tempfile.mkdtemp(prefix="vae-tutorial-")) / MODEL
        save_model(spare, model, dataset=data.name, finished=finished)
        raise OSError(f"{error}. The trained weights are in {spare} instead") from error
    if history.stopped:
        print(f"Training was {history.stopped}; the same command resumes it.")


def sample(options: argparse.Namespace) -> int:
    """Draw new images from a trained model and write them as one picture."""
    folder = Path(options.folder)
    picture = Path(options.out or folder / "new-samples.png")
    if options.out and picture.exists() and not options.overwrite:
        raise ValueError(f"--out: {picture} exists already. Name another, or add --overwrite.")
    try:
        model = vt.load(folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. One is made by: python -m vae_tutorial train --out {folder}"
        ) from error
    torch.manual_seed(options.seed)
    _save_picture(picture, vt.plots.samples(model, options.count, options.temperature))
    print(f"{options.count} images in {picture}")
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Examine a VAE that somebody else wrote; the exit status is 2 where something is wrong."""
    model = _named(options.model)()
    loss = None if options.loss is None else _named(options.loss)
    data = None
    if options.data is not None:
        data = torch.load(options.data, weights_only=True)
    report = vt.examine(model, loss, data, beta=options.beta, seed=options.seed)
    print(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) if options.json else report)
    return 0 if report.ok else 2


def _named(address: str) -> Callable[..., object]:
    """What `module:name` means; the folder where the command runs is searched too."""
    module, colon, name = address.partition(":")
    if not colon:
        raise ValueError(f"{address!r}: write module:function, as in my_vae:make_vae")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ValueError(f"{address}: there is no module {module!r} here ({error})") from error
    except AttributeError as error:
        raise ValueError(f"{address}: the module {module!r} has no {name!r}") from error


def build(network: str, latent_dim: int) -> vt.VAE:
    """The book's VAE with a Bernoulli likelihood: `network` is `"conv"` or `"mlp"`."""
    if network == "mlp":
        hidden = (400, 400)
        return vt.VAE(vt.MLPEncoder(latent_dim, hidden), vt.MLPDecoder(latent_dim, hidden))
    return vt.VAE(vt.ConvEncoder(latent_dim), vt.ConvDecoder(latent_dim))


def _save_picture(path: Path, ax: Axes) -> None:
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format=path.suffix[1:] or "png", bbox_inches="tight")
    matplotlib.pyplot.close(ax.figure)
    write_atomically(path, buffer.getvalue())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vae_tutorial", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = _command(commands, "train", train)
    add("--dataset", default="stroke-digits", help="stroke-digits, mnist, fashion-mnist or kmnist")
    add("--offline", help="the set to take where the first is not available, e.g. stroke-digits")
    add("--network", choices=["conv", "mlp"], default="conv", help="encoder and decoder")
    add("--latent-dim", type=int, default=32, help="latent dimensions D")
    add("--epochs", type=int, default=5, help="passes over the training images")
    add("--batch-size", type=int, default=128, help="images in one step")
    add("--learning-rate", type=float, default=2e-3, help="the highest of the one-cycle schedule")
    add("--seed", type=int, default=0, help="for weights, batches and noise")
    add("--device", help="e.g. cuda, cuda:1, mps or cpu; by default the best there is")
    add("--precision", choices=PRECISIONS, default="auto", help="of the networks' products")
    add("--compile", action="store_true", help="compile the objective with torch.compile")
    add("--out", required=True, help="folder for weights, history and pictures")
    add("--overwrite", action="store_true", help="replace the model that --out holds")
    add = _command(commands, "sample", sample)
    add("folder", help="the folder that train wrote")
    add("--count", type=int, default=60, help="how many images")
    add("--temperature", type=float, default=1.0, help="scale of the prior's standard deviation")
    add("--seed", type=int, default=0, help="for the draws")
    add("--out", help="the picture's file; by default new-samples.png in the folder")
    add("--overwrite", action="store_true", help="replace the file --out")
    add = _command(commands, "doctor", doctor)
    add("model", help="module:function, called without arguments; it returns the model")
    add("--loss", help="module:function, loss(output, x); by default the model's own")
    add("--data", help="a file that torch.load reads: a batch (B, …); by default stroke digits")
    add("--beta", type=float, default=1.0, help="the weight of the KL that was meant")
    add("--seed", type=int, default=0, help="for the noise")
    add("--json", action="store_true", help="print the report as JSON")
    return parser


def _command(
    commands: argparse._SubParsersAction, name: str, run: Callable[[argparse.Namespace], int]
) -> Callable[..., argparse.Action]:
    """Add a command that calls `run`; returns the function that adds its options."""
    command = commands.add_parser(
        name,
        help=run.__doc__,
        description=run.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.set_defaults(run=run)
    return command.add_argument


if __name__ == "__main__":
    sys.exit(main())
