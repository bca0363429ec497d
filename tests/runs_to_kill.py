"""What the tests of stopping and resuming run in processes of their own."""

import os
import signal

import torch

import vae_tutorial as vt


def images():
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (230, 1, 8, 8), dtype=torch.uint8, generator=generator)


class Calls:
    """Counts calls and knows at which to stop. A class, since a number in the objective's closure
    would belong to the fingerprint of the run, and another number would be another run."""

    def __init__(self, stop_at):
        self.stop_at, self.count = stop_at, 0

    def time_is_up(self):
        self.count += 1
        return self.stop_at is not None and self.count == self.stop_at + 1


def small_run(folder, result=None, stop_at=None, epochs=40):
    """A short run with everything that has a memory: shuffling, binary pixels, noise, dropout,
    batch statistics, and schedules for the learning rate and β.

    With `stop_at`, the process sends itself SIGTERM in the objective's call of that number.
    Returns weights and recorded means, and writes them to `result`.
    """
    torch.set_num_threads(1)
    folder.with_suffix(".started").unlink(missing_ok=True)
    torch.manual_seed(11)
    shape, calls = (1, 8, 8), Calls(stop_at)
    model = vt.VAE(vt.MLPEncoder(2, (16,), shape), vt.MLPDecoder(2, (16,), shape))
    model.encoder.layers.append(torch.nn.Dropout(0.1))
    model.encoder.layers.append(torch.nn.BatchNorm1d(4))

    def objective(model, x, beta=1.0):
        folder.with_suffix(".started").touch()
        if model.training and calls.time_is_up():
            os.kill(os.getpid(), signal.SIGTERM)
        return vt.elbo(model, x, beta=beta)

    try:
        history = vt.fit(
            model, images(), validation=images()[:50], objective=objective, epochs=epochs,
            batch_size=50, learning_rate=1e-2, beta=vt.schedules.linear, checkpoint=folder,
            progress=False, device="cpu",
        )  # fmt: skip
    except vt.TrainingInterrupted as error:
        history = error.history
    found = {
        "weights": {name: value.clone() for name, value in model.state_dict().items()},
        "train": history.train,
        "validation": history.validation,
        "stopped": history.stopped,
    }
    if result is not None:
        part = result.with_suffix(".part")
        torch.save(found, part)
        part.replace(result)
    return found
