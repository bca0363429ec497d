"""What the tests of several processes run under `torchrun`."""

import os
import signal
import sys
import time
from pathlib import Path

import torch

import vae_tutorial as vt
from vae_tutorial.train.engine import distributed


def linear_autoencoder():
    torch.manual_seed(2)
    shape = (1, 8, 8)
    return vt.Autoencoder(
        vt.MLPEncoder(3, (), shape, heads=1), vt.MLPDecoder(3, (), shape), sigmoid=False
    ).double()


def images(count=36):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, 8, 8, generator=generator, dtype=torch.float64)


def fit(model, batch_size, folder=None, objective=vt.reconstruction_error):
    torch.manual_seed(5)
    return vt.fit(
        model, images(), validation=images(11), objective=objective, epochs=3,
        batch_size=batch_size, device="cpu", checkpoint=folder, progress=False,
    )  # fmt: skip


def together(folder):
    """Two processes, 5 images each: what rank 0 has in the end."""
    model = linear_autoencoder()
    if not distributed.is_first():
        torch.nn.init.zeros_(next(model.decoder.parameters()))  # rank 0's weights count
    history = fit(model, 5)
    found = {
        "weights": model.state_dict(),
        "grads": [p.grad for p in model.parameters()],
        "train": history.train,
        "validation": history.validation,
        "processes": history.settings["processes"],
    }
    torch.save(found, folder / f"rank{os.environ['RANK']}.pt")


def noisy(folder):
    """What each process draws in its steps, and a run that is the same when done again."""
    drawn = []

    def objective(model, x):
        drawn.append(torch.rand(1).item())
        return vt.reconstruction_error(model, x)

    model = linear_autoencoder()
    fit(model, 5, objective=objective)
    torch.save((drawn, model.state_dict()), folder / f"rank{os.environ['RANK']}.pt")


def dies(folder):
    """Process 1 kills itself in its second epoch, the first time."""
    died, validations = folder / "died", []

    def objective(model, x):
        if not model.training:
            validations.append(x)
        elif validations and os.environ["RANK"] == "1" and not died.exists():
            died.touch()
            time.sleep(0.2)  # until the other process waits in this step
            os.kill(os.getpid(), signal.SIGKILL)
        return vt.reconstruction_error(model, x)

    model = linear_autoencoder()
    history = fit(model, 5, folder / "checkpoints", objective)
    torch.save((model.state_dict(), history.train), folder / f"rank{os.environ['RANK']}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        with distributed.join("cpu"):
            {"together": together, "noisy": noisy, "dies": dies}[sys.argv[1]](Path(sys.argv[2]))
    except distributed.LostProcessError as error:
        print("LOST:", error, flush=True)
        sys.exit(1)
