"""Lightning's Trainer on the same model, data and step."""

from __future__ import annotations

import lightning
import torch
from peers import Job, Watch, build, mnist_dataset
from torch import Tensor
from torch.utils.data import DataLoader

import vae_tutorial as vt


class Module(lightning.LightningModule):
    """The step of the usual loop. Nothing is logged, which saves Lightning some work."""

    def __init__(self, model: vt.VAE, learning_rate: float) -> None:
        super().__init__()
        self.vae, self.learning_rate = model, learning_rate

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        x, _label = batch
        return vt.elbo(self.vae, x)["loss"].mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


class Epochs(lightning.Callback):
    """Tells `watch` where an epoch begins and ends, so that the trainer's set-up is not timed."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_train_epoch_start(self, *_: object) -> None:
        self.watch.epoch_begins()

    def on_train_epoch_end(self, *_: object) -> None:
        self.watch.epoch_ends()


def lightning_trainer(job: Job, watch: Watch) -> None:
    """Train with Lightning; logger, checkpoints, progress bar and summary are off."""
    model = build(job)
    loader = DataLoader(mnist_dataset(job), batch_size=job.batch_size, shuffle=True)
    trainer = lightning.Trainer(
        max_epochs=job.epochs, accelerator="cpu" if job.device == "cpu" else "gpu", devices=1,
        logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[Epochs(watch)],
    )  # fmt: skip
    watch.ready(model)
    trainer.fit(Module(model, job.learning_rate), loader)
