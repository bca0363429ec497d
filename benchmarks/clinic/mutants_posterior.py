"""Faults of the encoder's two heads."""

import torch
from torch import nn

from clinic.healthy import Parts, change, mutant
from clinic.vaes import (
    conv_blobs,
    conv_digits,
    gru_digits,
    gru_series,
    mlp_blobs,
    mlp_digits,
    mlp_series,
)


@mutant("logvar-nonnegative", of=(mlp_digits, gru_series))
def softplus_on_logvar(parts: Parts) -> None:
    """Softplus makes positive what may be negative: σ can never fall below 1."""
    parts.model.logvar = nn.Sequential(parts.model.logvar, nn.Softplus())


@mutant("logvar-nonnegative", of=conv_blobs)
def relu_on_logvar(parts: Parts) -> None:
    """A ReLU after every layer, also after the last one."""
    parts.model.logvar = nn.Sequential(parts.model.logvar, nn.ReLU())


@mutant("logvar-nonnegative", of=mlp_blobs)
def absolute_logvar(parts: Parts) -> None:
    """|logvar|, since a variance cannot be negative; its logarithm can."""

    def encode(self, x):
        h = self.encoder(x)
        return self.mu(h), self.logvar(h).abs()

    change(parts.model, encode=encode)


@mutant("shared-head", of=(mlp_digits, conv_digits))
def one_head(parts: Parts) -> None:
    """Mean and log-variance are read from one layer: a slip of copy and paste."""

    def encode(self, x):
        h = self.encoder(x)
        return self.mu(h), self.mu(h)

    change(parts.model, encode=encode)


@mutant("shared-head", of=mlp_series)
def same_half_twice(parts: Parts) -> None:
    """One layer for both, of which the first half is taken twice."""
    parts.model.both = nn.Linear(parts.model.mu.in_features, 2 * parts.model.mu.out_features)
    del parts.model.mu, parts.model.logvar

    def encode(self, x):
        h = self.both(self.encoder(x))
        half = h.shape[1] // 2
        return h[:, :half], h[:, :half]

    change(parts.model, encode=encode)


@mutant("mu-nonnegative", of=(mlp_digits, conv_blobs))
def relu_on_mu(parts: Parts) -> None:
    """A ReLU on the mean: half of the latent space is out of reach."""
    parts.model.mu = nn.Sequential(parts.model.mu, nn.ReLU())


@mutant("mu-nonnegative", of=gru_series)
def sigmoid_on_mu(parts: Parts) -> None:
    """A sigmoid on the mean: every code lies between 0 and 1."""
    parts.model.mu = nn.Sequential(parts.model.mu, nn.Sigmoid())


# ---- numbers that overflow


@mutant("logvar-overflow", of=gru_digits)
def half_precision_variance(parts: Parts) -> None:
    """The KL is computed in half precision, where exp overflows at a log-variance of 11."""

    def kl(mu, logvar):
        mu, logvar = mu.half(), logvar.half()
        return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).float()

    parts.kl = kl


@mutant("logvar-overflow", of=mlp_blobs)
def log_of_variance_in_kl(parts: Parts) -> None:
    """KL from the variance: at a very small one exp gives 0 and its log minus infinity."""

    def kl(mu, logvar):
        variance = torch.exp(4 * logvar).pow(0.25)  # the same number, until exp gives 0 or inf
        return 0.5 * (mu.pow(2) + variance - 1 - variance.log()).sum(1)

    parts.kl = kl


@mutant("logvar-overflow", "non-finite", of=mlp_digits)
def logvar_in_the_hundreds(parts: Parts) -> None:
    """The log-variance head starts with weights a thousand times too large: exp gives infinity."""
    with torch.no_grad():
        parts.model.logvar.weight.mul_(1000)


@mutant("non-finite", "logvar-overflow", of=conv_digits)
def log_of_relu(parts: Parts) -> None:
    """The variance is a ReLU, so it can be 0, and the KL takes its logarithm."""

    def encode(self, x):
        h = self.encoder(x)
        return self.mu(h), torch.relu(self.logvar(h)).log()

    change(parts.model, encode=encode)


# ---- an encoder or a decoder that is not used


@mutant("encoder-unused", "gradient-cut", of=conv_blobs)
def frozen_encoder(parts: Parts) -> None:
    """The features come from a no_grad block, as if the encoder were pretrained; it is not."""

    def encode(self, x):
        with torch.no_grad():
            h = self.encoder(x)
        return self.mu(h), self.logvar(h)

    change(parts.model, encode=encode)


@mutant("encoder-unused", "gradient-cut", of=mlp_digits)
def parameters_switched_off(parts: Parts) -> None:
    """requires_grad_(False) was left on after a test of the decoder alone."""
    for part in (parts.model.encoder, parts.model.mu, parts.model.logvar):
        part.requires_grad_(False)


@mutant("encode-decode-mismatch", "exception", of=(conv_digits, mlp_series))
def latent_sizes_differ(parts: Parts) -> None:
    """The encoder has one latent dimension more than the decoder takes."""
    for head in ("mu", "logvar"):
        old = getattr(parts.model, head)
        setattr(parts.model, head, nn.Linear(old.in_features, old.out_features + 1))


@mutant("encode-decode-mismatch", "exception", of=mlp_digits)
def heads_of_different_size(parts: Parts) -> None:
    """Mean and log-variance have different numbers of dimensions."""
    parts.model.logvar = nn.Linear(parts.model.mu.in_features, 5)
