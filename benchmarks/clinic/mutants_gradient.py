"""Faults that leave every value right and cut the gradient."""

import torch
from torch.distributions import Normal

from clinic.healthy import Parts, change, kl, mutant
from clinic.vaes import (
    conv_blobs,
    conv_digits,
    conv_grey_blobs,
    gru_digits,
    gru_series,
    mlp_blobs,
    mlp_digits,
    mlp_digits_method,
    mlp_series,
)


@mutant("gradient-cut", of=(mlp_digits, gru_series))
def z_detached(parts: Parts) -> None:
    """The decoder gets z.detach(): reconstruction teaches the encoder nothing."""
    decode = type(parts.model).decode
    change(parts.model, decode=lambda self, z: decode(self, z.detach()))


@mutant("gradient-cut", of=conv_digits)
def sampled_without_gradient(parts: Parts) -> None:
    """sample() where rsample() is needed: no gradient passes through the draw."""

    def reparameterize(self, mu, logvar):
        return Normal(mu, torch.exp(0.5 * logvar)).sample()

    change(parts.model, reparameterize=reparameterize)


@mutant("gradient-cut", of=mlp_digits_method)
def torch_normal(parts: Parts) -> None:
    """torch.normal(mu, std) draws the right numbers, and its gradient to mu and std is 0."""

    def reparameterize(self, mu, logvar):
        return torch.normal(mu, torch.exp(0.5 * logvar))

    change(parts.model, reparameterize=reparameterize)


@mutant("gradient-cut", of=conv_blobs)
def through_numpy(parts: Parts) -> None:
    """The draw is made in NumPy: the numbers are right and the graph ends there."""

    def reparameterize(self, mu, logvar):
        m, s = mu.detach().numpy(), torch.exp(0.5 * logvar).detach().numpy()
        return torch.from_numpy(m + s * torch.randn(mu.shape, dtype=mu.dtype).numpy())

    change(parts.model, reparameterize=reparameterize)


@mutant("gradient-cut", of=mlp_blobs)
def data_attribute(parts: Parts) -> None:
    """mu.data, from the days of Variable: no gradient of the reconstruction reaches the mean."""

    def reparameterize(self, mu, logvar):
        return mu.data + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    change(parts.model, reparameterize=reparameterize)


@mutant("gradient-cut", of=gru_digits)
def scale_detached(parts: Parts) -> None:
    """The scale is detached: only the KL teaches the variance, and it will stay at 1."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar).detach() * torch.randn_like(mu)

    change(parts.model, reparameterize=reparameterize)


@mutant("decoder-unused", "gradient-cut", of=mlp_digits)
def thresholded_output(parts: Parts) -> None:
    """The output is rounded to 0 or 1 before the loss: a step has no gradient."""
    reconstruction = parts.reconstruction
    parts.reconstruction = lambda recon, x: reconstruction((recon > 0.5).float(), x)


@mutant("decoder-unused", "gradient-cut", of=conv_grey_blobs)
def output_copied(parts: Parts) -> None:
    """The output is copied into a new tensor before the loss, which has no history."""
    reconstruction = parts.reconstruction
    parts.reconstruction = lambda recon, x: reconstruction(recon.detach().clone(), x)


# ---- the KL


@mutant("gradient-cut-kl", of=mlp_digits)
def kl_as_a_number(parts: Parts) -> None:
    """kl.item() is added to the loss: the value is right, its gradient is 0."""
    parts.kl = lambda mu, logvar: kl(mu, logvar).mean().item()


@mutant("gradient-cut-kl", of=gru_series)
def kl_without_gradient(parts: Parts) -> None:
    """The KL is computed under no_grad, like the other numbers that are logged."""
    parts.kl = torch.no_grad()(kl)


@mutant("gradient-cut-kl", of=mlp_series)
def kl_of_detached_mean(parts: Parts) -> None:
    """The KL sees a detached mean: nothing pulls the codes to the prior."""
    parts.kl = lambda mu, logvar: kl(mu.detach(), logvar)
