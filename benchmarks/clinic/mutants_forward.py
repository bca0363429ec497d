"""Faults of shapes, of modes, and of what an example is allowed to see."""

import torch
from torch import nn
from torch.nn import functional as F

from clinic.healthy import Parts, change, functions_loss, kl, mutant
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

# ---- shapes


@mutant("output-shape", of=conv_blobs)
def grey_decoder(parts: Parts) -> None:
    """The decoder has one channel and x has three: broadcasting hides it."""
    decode = type(parts.model).decode
    change(parts.model, decode=lambda self, z: decode(self, z)[:, :1])


@mutant("output-shape", of=mlp_series)
def one_step_for_all(parts: Parts) -> None:
    """The decoder gives one step, and broadcasting compares it with every step of x."""
    decode = type(parts.model).decode
    change(parts.model, decode=lambda self, z: decode(self, z)[:, :1])


@mutant("output-shape", "exception", of=conv_grey_blobs)
def two_pixels_short(parts: Parts) -> None:
    """A transposed convolution without padding arithmetic: the output is 14 pixels wide."""
    parts.model.decoder = nn.Sequential(parts.model.decoder, nn.AvgPool2d(3, stride=1))


@mutant("fixed-input-size", of=mlp_digits)
def batch_size_in_noise(parts: Parts) -> None:
    """The noise is made for 96 examples: the last, shorter batch will not fit."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn(96, mu.shape[1])

    change(parts.model, reparameterize=reparameterize)


@mutant("fixed-input-size", "output-shape", "exception", of=mlp_digits_method)
def always_784(parts: Parts) -> None:
    """view(-1, 784) on images of 56 × 56 pixels cuts each into four examples."""
    parts.data = F.interpolate(parts.data, scale_factor=2)
    encode = type(parts.model).encode
    change(parts.model, encode=lambda self, x: encode(self, x.view(-1, 784)))


@mutant("exception", "fixed-input-size", of=conv_digits)
def wrong_flat_size(parts: Parts) -> None:
    """The linear layer after the convolutions was counted for 32 × 32 images."""
    parts.model.encoder[6] = nn.Linear(16 * 8 * 8, 64)


@mutant("exception", of=gru_series)
def key_that_is_not_there(parts: Parts) -> None:
    """The loss asks for an entry "recon" that the model calls "x_hat"."""
    parts.loss = lambda output, x: (output["recon"] - x).pow(2).sum()


# ---- modes and weights


@mutant("mode-changed", of=mlp_digits_method)
def eval_in_forward(parts: Parts) -> None:
    """decode switches to eval mode to be safe, and nobody switches back."""
    decode = type(parts.model).decode
    change(parts.model, decode=lambda self, z: decode(self.eval(), z))


@mutant("mode-changed", of=mlp_blobs)
def train_in_loss(parts: Parts) -> None:
    """The loss calls model.train(), also where the model is being evaluated."""

    def loss(model, x):
        model.train()
        mu, logvar = model.encode(x)
        recon = model.decode(model.reparameterize(mu, logvar))
        return (parts.reconstruction(recon, x) + kl(mu, logvar)).mean()

    parts.loss = loss


@mutant("parameters-changed", of=conv_digits)
def weights_normalised_in_place(parts: Parts) -> None:
    """encode rescales the weights of its last layer in place at every call."""

    def encode(self, x):
        with torch.no_grad():
            self.mu.weight.div_(self.mu.weight.norm())
        h = self.encoder(x)
        return self.mu(h), self.logvar(h)

    change(parts.model, encode=encode)


@mutant("parameters-changed", of=mlp_blobs)
def decay_inside_the_loss(parts: Parts) -> None:
    """Weight decay by hand: every look at the loss shrinks the decoder's weights."""
    healthy = functions_loss(parts.reconstruction, parts.kl)

    def loss(model, x):
        model.decoder[2].weight.data.mul_(0.99)
        return healthy(model, x)

    parts.loss = loss


# ---- neighbours


@mutant("examples-coupled", of=mlp_digits)
def kl_of_batch_mean(parts: Parts) -> None:
    """The KL is taken of the batch's mean μ: single codes may be anywhere."""

    def kl_of_mean(mu, logvar):
        return kl(mu.mean(0, keepdim=True), logvar.mean(0, keepdim=True))

    parts.kl = kl_of_mean


@mutant("examples-coupled", of=gru_digits)
def softmax_over_batch(parts: Parts) -> None:
    """A softmax over dimension 0, which is the batch, in the encoder's attention."""

    def encode(self, x):
        h = self.encoder(x)
        h = h * len(h) * F.softmax(h, dim=0)
        return self.mu(h), self.logvar(h)

    change(parts.model, encode=encode)


@mutant("examples-coupled", of=mlp_series)
def standardised_in_forward(parts: Parts) -> None:
    """encode standardises its input with the mean and spread of the batch."""
    encode = type(parts.model).encode

    def standardised(self, x):
        return encode(self, (x - x.mean(0)) / (x.std(0) + 1e-6))

    change(parts.model, encode=standardised)


@mutant("batchnorm-in-bound", "examples-coupled", of=conv_blobs)
def batchnorm_without_memory(parts: Parts) -> None:
    """BatchNorm without running statistics: in eval mode, too, the bound depends on the batch."""
    parts.model.encoder[1] = nn.BatchNorm2d(8, track_running_stats=False)


@mutant("batchnorm-in-bound", "examples-coupled", of=conv_digits)
def batchnorm_kept_training(parts: Parts) -> None:
    """BatchNorm is called with training=True in every mode."""
    norm = parts.model.encoder[1] = nn.BatchNorm2d(8)

    def forward(self, x):
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True)

    change(norm, forward=forward)


@mutant("dropout-in-bound", of=mlp_digits)
def dropout_always_on(parts: Parts) -> None:
    """F.dropout is on by default, whatever the mode of the model."""

    def encode(self, x):
        h = F.dropout(self.encoder(x), 0.2)
        return self.mu(h), self.logvar(h)

    change(parts.model, encode=encode)


@mutant("dropout-in-bound", of=gru_series)
def dropout_on_z(parts: Parts) -> None:
    """Dropout on z, also in eval mode: the decoder's input is no draw from q."""
    decode = type(parts.model).decode
    change(parts.model, decode=lambda self, z: decode(self, F.dropout(z, 0.3)))
