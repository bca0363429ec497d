"""pythae's trainer on the same model: its VAE and its loss around our encoder and decoder.

pythae (Chadebec, Vincent and Allassonnière, 2022) keeps the images as a float tensor in memory
and collates each batch from single images. Its progress bar cannot be switched off and its copy
of the best weights is part of its epoch. Both are left as they are: `fit` has them as well.
"""

from __future__ import annotations

import tempfile

import torch
from peers import LATENT_DIM, Job, Watch, build, mnist_images
from pythae.data.datasets import BaseDataset, DatasetOutput
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

import vae_tutorial as vt


class Encoder(BaseEncoder):
    """Our encoder; pythae wants its two results by name."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> ModelOutput:
        mu, logvar = self.network(x)
        return ModelOutput(embedding=mu, log_covariance=logvar)


class Decoder(BaseDecoder):
    """Our decoder; pythae's cross-entropy wants probabilities where ours takes logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))


class Binarised(BaseDataset):
    """Images whose pixels are drawn afresh each time one is looked at."""

    def __getitem__(self, index: int) -> DatasetOutput:
        return DatasetOutput(data=torch.bernoulli(self.data[index]), labels=self.labels[index])


class Epochs(TrainingCallback):
    """Tells `watch` where an epoch begins and ends, so that the trainer's set-up is not timed."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        self.watch.epoch_begins()

    def on_train_step_end(self, *_: object, **__: object) -> None:
        self.watch.step_ends()

    def on_epoch_end(self, *_: object, **__: object) -> None:
        self.watch.epoch_ends()


def wrapped(model: vt.VAE) -> VAE:
    """pythae's VAE with a Bernoulli likelihood, sharing the weights of `model`."""
    config = VAEConfig(
        input_dim=(1, 28, 28), latent_dim=LATENT_DIM, reconstruction_loss="bce"
    )  # fmt: skip
    return VAE(config, Encoder(model.encoder), Decoder(model.decoder))


def check_same_loss(model: vt.VAE, x: Tensor) -> float:
    """pythae's loss of a batch over ours, with the same noise; raises where they are not one."""
    losses = []
    for loss in (lambda: wrapped(model)({"data": x}).loss, lambda: vt.elbo(model, x)["loss"]):
        torch.manual_seed(0)
        losses.append(loss().mean().item())
    theirs, ours = losses
    if abs(theirs / ours - 1) > 1e-5:
        raise RuntimeError(f"pythae's loss is {theirs}, ours {ours}: not the same work")
    return theirs / ours


def pythae_trainer(job: Job, watch: Watch) -> None:
    """Train with pythae's defaults, but for batch size, epochs, learning rate and seed."""
    model, images = build(job), mnist_images(job)
    check_same_loss(model, images[: job.batch_size] / 255)
    kind = Binarised if job.binarise else BaseDataset
    dataset = kind(images / 255, torch.zeros(len(images)))
    with tempfile.TemporaryDirectory() as folder:  # it insists on writing its last model
        config = BaseTrainerConfig(
            output_dir=folder, per_device_train_batch_size=job.batch_size, num_epochs=job.epochs,
            learning_rate=job.learning_rate, seed=job.seed, no_cuda=job.device == "cpu",
        )  # fmt: skip
        trainer = BaseTrainer(
            wrapped(model), dataset, training_config=config, callbacks=[Epochs(watch)]
        )
        watch.ready(model)
        trainer.train()
