"""Faults that people reported in public, continued: sampling, the heads, shapes, IWAE."""

import torch
from torch import nn
from torch.nn import functional as F

from clinic.healthy import Parts, change, mutant
from clinic.mutants_weights import given_to_doctor, log_weights
from clinic.real import GITHUB
from clinic.vaes import (
    conv_blobs,
    conv_digits,
    conv_grey_blobs,
    gru_series,
    mlp_blobs,
    mlp_digits,
    mlp_series,
)

# ---- sampling


@mutant("exp-logvar-as-std", of=mlp_digits, source=GITHUB + "rachtsingh/ibp_vae/issues/3")
def noise_times_variance(parts: Parts) -> None:
    """mu + noise · logvar.exp(): the reporter saw the test bound change when it was mended."""

    def reparameterize(self, mu, logvar):
        noise = torch.empty_like(mu).normal_(0, 1)
        return mu + noise * logvar.exp()

    change(parts.model, reparameterize=reparameterize)


@mutant("exp-logvar-as-std", of=conv_blobs, source=GITHUB + "keras-team/keras/pull/9972")
def keras_variance(parts: Parts) -> None:
    """Keras's convolutional example sampled with exp(z_log_var); it still learnt something."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(logvar) * torch.randn_like(mu)

    change(parts.model, reparameterize=reparameterize)


@mutant("exp-logvar-as-std", of=mlp_blobs,
        source=GITHUB + "pyg-team/pytorch_geometric/pull/1368")  # fmt: skip
def graph_logvar(parts: Parts) -> None:
    """A graph VAE sampled with exp(logvar) and had exp(logvar) as the variance in its KL."""

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(logvar) * torch.exp(logvar)

    change(parts.model, reparameterize=reparameterize)


@mutant("noise-shared", of=gru_series,
        source=GITHUB + "dferendo/RecommendationSystem/issues/3")  # fmt: skip
def slates_uniform(parts: Parts) -> None:
    """rand_like for randn_like in a recommender; later versions of the file have randn."""

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        return mu + torch.rand_like(std) * std

    change(parts.model, reparameterize=reparameterize)


@mutant("no-noise", of=mlp_series, source=GITHUB + "dmis-lab/VAECox/issues/6")
def decoder_given_mean(parts: Parts) -> None:
    """z is drawn, and then the decoder is given mu."""

    def adapter(model, x):
        mu, logvar = model.encode(x)
        z = model.reparameterize(mu, logvar)
        return {"recon": model.decode(mu), "mu": mu, "logvar": logvar, "z": z}

    parts.settings["adapter"] = adapter


# ---- the heads


@mutant("logvar-nonnegative", of=mlp_digits,
        source=GITHUB + "wohlert/semi-supervised-pytorch/issues/16")  # fmt: skip
def softplus_kept_from_ladder(parts: Parts) -> None:
    """Softplus on logvar, a remainder of a model whose head was the variance. "A mistake"."""

    def encode(self, x):
        h = self.encoder(x)
        return self.mu(h), F.softplus(self.logvar(h))

    change(parts.model, encode=encode)


@mutant("logvar-nonnegative", of=gru_series,
        source=GITHUB + "alexlee-gk/video_prediction/issues/3")  # fmt: skip
def default_activation(parts: Parts) -> None:
    """A layer whose default activation is a ReLU gives the log-variance."""
    parts.model.logvar = nn.Sequential(parts.model.logvar, nn.ReLU())


@mutant("mu-nonnegative", "logvar-nonnegative", of=conv_digits,
        source=GITHUB + "shekkizh/TensorflowProjects/pull/1")  # fmt: skip
def relu_on_both(parts: Parts) -> None:
    """ReLU on both heads; the report shows that log-variances want to be negative."""
    for head in ("mu", "logvar"):
        setattr(parts.model, head, nn.Sequential(getattr(parts.model, head), nn.ReLU()))


@mutant("shared-head", of=conv_grey_blobs, source=GITHUB + "giannifranchi/LP_BNN/issues/3")
def head_called_twice(parts: Parts) -> None:
    """encoder_fcmean is called for the mean and for the log-variance, in every layer."""

    def encode(self, x):
        h = self.encoder(x)
        return self.mu(h), self.mu(h)

    change(parts.model, encode=encode)


@mutant("shared-head", of=mlp_digits, source=GITHUB + "kaist-dmlab/TRAP/pull/1")
def same_slice(parts: Parts) -> None:
    """Of one layer with 2·D outputs the first D are taken twice."""
    parts.model.both = nn.Linear(64, 16)
    del parts.model.mu, parts.model.logvar

    def encode(self, x):
        h = self.both(self.encoder(x))
        return h[:, :8], h[:, :8]

    change(parts.model, encode=encode)


# ---- shapes


@mutant("fixed-input-size", of=conv_digits, source=GITHUB + "keras-team/keras/pull/7716")
def keras_batch_size(parts: Parts) -> None:
    """The noise had the batch size in its shape: data that 96 does not divide fail at the end."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn(96, 8)

    change(parts.model, reparameterize=reparameterize)


# ---- many samples


@mutant("iwae-worst-sample", of=mlp_blobs, source=GITHUB + "YosefLab/scVI-dev/issues/8")
def first_sketch_of_iwae(parts: Parts) -> None:
    """A first sketch: logsumexp of the losses. The mended one, with both signs, followed."""
    given_to_doctor(parts)

    def loss(model, x):
        losses = -log_weights(parts, model, x)
        return torch.logsumexp(losses, 0).mean()

    parts.loss = loss


@mutant("iwae-mean-of-logs", of=mlp_series, source=GITHUB + "arahuja/generative-tf/issues/1")
def log_before_mean(parts: Parts) -> None:
    """The mean of the logs, in code that is called IWAE: a reader asked about equation 8."""
    given_to_doctor(parts)
    parts.loss = lambda model, x: -log_weights(parts, model, x).mean(0).mean()
