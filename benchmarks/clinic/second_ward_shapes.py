"""The second ward's faults of shapes, modes and neighbours and of draws by the dozen."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional as F

from clinic.patient import Case
from clinic.second_ward import (
    Criterion,
    Residual,
    Tokens,
    Waves,
    residual,
    sick,
    tokens,
    waves,
    waves_loss,
)
from clinic.second_ward_more import (
    Bare,
    Clock,
    bag,
    bare,
    clock,
    divergence,
    heads,
    logits,
    negative_log_px,
)


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

# ---- shapes, neighbours, modes


@sick("waves", "output-shape")
def one_sample_short() -> Case:
    """The last convolution gives 31 samples, and the loss cuts x to fit."""

    class M(Waves):
        def decode(self, z):
            return super().decode(z)[..., :-1]

    return waves(M, lambda out, x: waves_loss(out, x[..., :-1]))


@sick("bare", "output-shape", "examples-coupled")
def one_axis_too_many() -> Case:
    """The output is (B, 1, 10), and x broadcasts against it to (B, B, 10)."""

    class M(Bare):
        def p(self, z):
            return super().p(z)[:, None]

    return bare(M)


@sick("bare", "fixed-input-size")
def batch_of_a_hundred() -> Case:
    """view(100, 10) in the encoder."""

    class M(Bare):
        def q(self, x):
            return super().q(x.reshape(100, 10))

    return bare(M)


@sick("tokens", "examples-coupled")
def attention_over_the_batch() -> Case:
    """batch_first was forgotten: patches of different images attend to one another."""

    class M(Tokens):
        first = False

    return tokens(M)


@sick("clock", "examples-coupled")
def view_for_transpose() -> Case:
    """view(20, B, 3) where a transpose was meant: time steps of many walks are mixed."""

    class M(Clock):
        def read(self, x):
            return super().read(x.reshape(20, len(x), 3).transpose(0, 1))

    return clock(M)


@sick("bag", "examples-coupled")
def softmax_over_examples() -> Case:
    """The probabilities are a softmax over dimension 0, the examples."""

    def nll(output, x):
        p = (len(x) / 4 * F.softmax(output, dim=0)).clamp(1e-4, 1 - 1e-4)
        return F.binary_cross_entropy(p, x, reduction="none").sum((1, 2))

    return bag(nll=nll)


@sick("residual", "mode-changed")
def always_back_to_training() -> Case:
    """infer runs in eval mode and then calls train(), whatever the mode was."""

    class M(Residual):
        def infer(self, x_in):
            self.eval()
            moments = super().infer(x_in)
            self.train()
            return moments

    return residual(M)


@sick("bare", "parameters-changed")
def weights_clipped_in_forward() -> Case:
    """Weights are clamped to ±0.3 at each call: only the first one changes anything."""

    class M(Bare):
        def p(self, z):
            self.c.data.clamp_(-0.3, 0.3)
            return super().p(z)

    return bare(M)


@sick("residual", "dropout-in-bound")
def dropout_of_channels() -> Case:
    """F.dropout2d(training=True) in the decoder, in both modes."""

    class M(Residual):
        def generate(self, z):
            h = F.dropout2d(self.from_z(z).view(-1, 8, 4, 4), 0.25, training=True)
            return self.leave(F.interpolate(h + self.up(h), scale_factor=2.0))

    return residual(M)


@sick("residual", "non-finite")
def divided_by_its_spread() -> Case:
    """Each image is divided by the spread of a channel of zeros."""

    class M(Residual):
        def infer(self, x_in):
            blank = torch.zeros_like(x_in[:, 0]).flatten(1)
            return super().infer(x_in * (blank.std(1) / blank.std(1))[:, None, None, None])

    return residual(M)


# ---- draws by the dozen


def importance(objective) -> Case:
    """`objective(log_w)` is to be minimised, from the log-weights `(12, B)`."""

    def log_w(model, x):
        mu, logvar = heads(model, x)
        q, weights = Normal(mu, torch.exp(0.5 * logvar)), []
        for _ in range(12):
            z = q.rsample()
            log_pz = Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)
            weights.append(log_pz.sum(1) - negative_log_px(logits(model, z), x))
        return torch.stack(weights)

    case = bag()
    adapter = case.settings["adapter"]
    case.loss = lambda model, x: objective(log_w(model, x)).mean()
    case.settings["adapter"] = lambda model, x: adapter(model, x) | {"log_weights": log_w(model, x)}
    return case


@sick("bag", "iwae-worst-sample")
def minus_inside_logsumexp() -> Case:
    """logsumexp(−log w): the worst of twelve draws decides."""
    return importance(lambda log_w: torch.logsumexp(-log_w, 0))


@sick("bag", "iwae-mean-of-logs")
def mean_of_twelve_logs() -> Case:
    """The twelve log-weights are averaged, and the number is called the IWAE bound."""
    return importance(lambda log_w: -log_w.mean(0))
