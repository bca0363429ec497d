"""Healthy VAEs as people write them: examples that everybody knows, and outputs of many kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinic import data, networks
from clinic.healthy import (
    HEALTHY,
    VAE,
    MethodVAE,
    TupleVAE,
    bce_logits,
    gaussian,
    kl,
)
from clinic.patient import Case, Patient, admit, control, seeded
from clinic.vaes import SMALL, conv_digits, mlp_blobs, mlp_digits

for whole in HEALTHY.values():  # those that mutants are made from are patients themselves
    traits = ((), whole.network, whole.data, whole.style)
    story = "A healthy VAE, of which mutants are made."
    admit(Patient(f"{whole.name}-as_it_is", "control", seeded(whole.case), *traits, story=story))


def small_mlp(kind: type[VAE] = TupleVAE, last: nn.Module | None = None) -> VAE:
    return kind(networks.mlp_encoder(SMALL), networks.mlp_decoder(SMALL, last))


# ---- the official example


class ExampleVAE(nn.Module):
    """The shape of PyTorch's own example: flat images in, flat probabilities out."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = F.relu(self.fc1(x.view(-1, 784)))
        mu, logvar = self.fc21(h), self.fc22(h)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar


def example_loss(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    likelihood = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    return likelihood - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


@control("mlp", "digits", "tuple")
def pytorch_example() -> Case:
    """Both terms are summed over the batch, which changes the learning rate and nothing else."""
    return Case(ExampleVAE(), example_loss, data.digits())


@control("mlp", "digits", "tuple")
def pytorch_example_of_2017() -> Case:
    """Both terms divided by batch and pixels: readers doubted it (examples #290), and β is 1."""

    def loss(recon_x, x, mu, logvar):
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return F.binary_cross_entropy(recon_x, x.view(-1, 784)) + kld / (len(x) * 784)

    return Case(ExampleVAE(), loss, data.digits())


# ---- other kinds of output


class Output(NamedTuple):
    reconstruction: Tensor
    mu: Tensor
    log_var: Tensor


@control("mlp", "digits", "tuple")
def named_tuple() -> Case:
    """The model returns a named tuple."""

    class Named(TupleVAE):
        def forward(self, x):
            return Output(*super().forward(x))

    def loss(output, x):
        return (bce_logits(output.reconstruction, x) + kl(output.mu, output.log_var)).mean()

    return Case(small_mlp(Named), loss, data.digits(14))


@dataclass
class VAEOutput:
    x_hat: Tensor
    mean: Tensor
    logvar: Tensor
    z: Tensor


@control("mlp", "blobs", "dict")
def data_class() -> Case:
    """The model returns a data class, and the loss a tuple with the loss first."""

    class Classy(VAE):
        def forward(self, x):
            mean, logvar = self.encode(x)
            z = self.reparameterize(mean, logvar)
            return VAEOutput(self.decode(z), mean, logvar, z)

    def loss(output, x):
        nll, divergence = gaussian(output.x_hat, x), kl(output.mean, output.logvar)
        return (nll + divergence).mean(), nll.mean(), divergence.mean()

    healthy = mlp_blobs.case()
    return Case(Classy(healthy.model.encoder, healthy.model.decoder), loss, healthy.data)


@control("gru", "digits", "tuple")
def other_order() -> Case:
    """The tuple is (mu, logvar, z, logits), and the loss gives one number for each example."""

    class Reordered(VAE):
        def forward(self, x):
            mu, logvar = self.encode(x)
            z = self.reparameterize(mu, logvar)
            return mu, logvar, z, self.decode(z)

    def loss(output, x):
        mu, logvar, _, logits = output
        return bce_logits(logits, x) + kl(mu, logvar)

    model = Reordered(networks.GRUEncoder(14), networks.GRUDecoder(SMALL))
    return Case(model, loss, data.digits(14))


@control("mlp", "digits", "method")
def lightning_module() -> Case:
    """The style of Lightning: training_step, configure_optimizers, a loss of its own."""

    class LitVAE(MethodVAE):
        def loss_function(self, recon, x, mu, logvar):
            nll = F.binary_cross_entropy_with_logits(recon, x, reduction="sum") / len(x)
            return nll + kl(mu, logvar).mean()

        def training_step(self, batch, batch_idx):
            recon, mu, logvar = self(batch)
            return self.loss_function(recon, batch, mu, logvar)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    return Case(small_mlp(LitVAE), None, data.digits(14))


@control("mlp", "digits", "tuple")
def data_parallel() -> Case:
    """Wrapped in DataParallel, which on a CPU passes everything on."""
    case = mlp_digits.case()
    return Case(nn.DataParallel(case.model), case.loss, case.data)


@control("conv", "digits", "dict")
def double_precision() -> Case:
    """Weights and data in double precision, float64."""
    case = conv_digits.case()
    return Case(case.model.double(), case.loss, case.data.double())
