"""The second ward's faults of the reconstruction term."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinic import second_ward_data as data
from clinic.patient import Case
from clinic.second_ward import (
    Criterion,
    Tokens,
    residual,
    sick,
    tokens,
    waves,
    waves_loss,
)
from clinic.second_ward_more import Clock, bag, bare, clock, divergence


def tokens_with(reconstruction, x: Tensor | None = None) -> Case:
    """A reconstruction term `reconstruction(logits, target)` in the place of the right one."""

    class Changed(Criterion):
        def reconstruction(self, logits, target):
            return reconstruction(logits, target)

    return tokens(criterion=Changed, x=x)


def bare_with(term) -> Case:
    def loss(recon, x, mu, log_var):
        return (term(recon, x) + divergence(mu, log_var)).mean()

    return bare(loss=loss)


bce = F.binary_cross_entropy_with_logits

# ---- the target and the term


@sick("waves", "target-wrong")
def one_step_late() -> Case:
    """Series are compared one step late."""

    def loss(out, x):
        return waves_loss(out, x.roll(1, dims=-1))

    return waves(loss=loss)


@sick("tokens", "target-wrong")
def mirrored_target() -> Case:
    """The target went through an augmentation that mirrors, the input did not."""
    return tokens_with(lambda logits, x: bce(logits, x.flip(-1), reduction="sum") / len(x))


@sick("tokens", "target-wrong")
def smoothed_labels() -> Case:
    """Label smoothing from a classifier: the targets are 0.1 and 0.9."""
    return tokens_with(lambda logits, x: bce(logits, 0.8 * x + 0.1, reduction="sum") / len(x))


@sick("bare", "target-wrong", "examples-coupled")
def standardised_target() -> Case:
    """The output is compared with x standardised by the batch, which the encoder never sees."""
    return bare_with(lambda recon, x: (recon - (x - x.mean(0)) / (3 * x.std(0))).pow(2).sum(1))


@sick("residual", "reconstruction-missing", "gradient-cut")
def clamped_error() -> Case:
    """The error is clamped to 1 against outliers, and it is never below 1."""

    def loss(x_out, x_in, means, log_vars):
        sse = ((x_out - x_in) / 0.3).square().sum((1, 2, 3)).clamp(max=1.0)
        kl = 0.5 * (means.square() + log_vars.exp() - 1 - log_vars).sum(1)
        return (sse + kl).mean()

    return residual(loss=loss)


@sick("bare", "reconstruction-missing")
def kl_added_to_itself() -> Case:
    """A slip of the pen: the total is kl + kl, while the parts that are logged are right."""

    def loss(recon, x, mu, log_var):
        rec, kl = (recon - x).pow(2).sum(1).mean(), divergence(mu, log_var).mean()
        return kl + kl, rec, kl

    return bare(loss=loss)


@sick("waves", "reconstruction-sign")
def nll_subtracted() -> Case:
    """GaussianNLLLoss is a negative log-likelihood already, and is subtracted."""
    nll = nn.GaussianNLLLoss(reduction="sum")

    def loss(out, x):
        kl = 0.5 * (out["mu"] ** 2 + out["logvar"].exp() - 1 - out["logvar"]).sum(1)
        return kl.mean() - nll(out["recon"], x, torch.full_like(x, 0.16)) / len(x)

    return waves(loss=loss)


@sick("clock", "wrong-likelihood")
def divergence_of_softmaxes() -> Case:
    """F.kl_div with "batchmean", between softmaxes of real numbers."""

    class M(Clock):
        def error(self, output, x):
            log_p, q = output.x_hat.flatten(1).log_softmax(1), x.flatten(1).softmax(1)
            return 20 * F.kl_div(log_p, q, reduction="batchmean")

    return clock(M)


@sick("bare", "examples-coupled", "wrong-likelihood")
def root_of_mean_square() -> Case:
    """The root of the mean squared error over the whole batch."""
    return bare_with(lambda recon, x: 10 * F.mse_loss(recon, x).sqrt())


@sick("tokens", "double-sigmoid")
def sigmoid_before_logits_loss() -> Case:
    """The model ends in a sigmoid, and the softplus form of the loss wants logits."""

    class M(Tokens):
        def render(self, z):
            return super().render(z).sigmoid()

    return tokens(M)


@sick("tokens", "logits-as-probabilities", "log-saturates")
def hard_tanh() -> Case:
    """Unbounded outputs are cut to [0, 1] and taken for probabilities."""

    def reconstruction(logits, x):
        p = F.hardtanh(logits, 1e-4, 1 - 1e-4)
        return F.binary_cross_entropy(p, x, reduction="sum") / len(x)

    return tokens_with(reconstruction)


@sick("bag", "log-saturates")
def probabilities_cut() -> Case:
    """Probabilities are clamped to [0.05, 0.95] before the logarithm."""

    def nll(output, x):
        p = torch.sigmoid(output).clamp(0.05, 0.95)
        return F.binary_cross_entropy(p, x, reduction="none").sum((1, 2))

    return bag(nll=nll)


@sick("tokens", "data-out-of-range")
def plus_and_minus_one() -> Case:
    """Pixels are −1 or 1, and the loss is for 0 or 1."""
    return tokens(x=2 * data.crosses() - 1)


@sick("tokens", "bernoulli-on-grey")
def crosses_of_any_grey() -> Case:
    """Grey crosses under a Bernoulli likelihood."""
    return tokens(x=data.crosses(grey=True))
