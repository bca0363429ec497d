"""The second ward's healthy VAEs: weights, heads and loops."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from clinic.patient import Case
from clinic.second_ward import (
    Criterion,
    Residual,
    Tokens,
    residual,
    residual_loss,
    tokens,
    well,
)
from clinic.second_ward_more import Clock, bag, bare, clock, networks

# ---- weights


@well("tokens")
def means_with_matching_weight() -> Case:
    """Means over everything, and a weight of D / n on the KL that makes them an ELBO."""

    class Means(Criterion):
        def forward(self, output, target):
            mu, log_var = output["z_mu"], output["z_log_var"]
            rec = F.binary_cross_entropy_with_logits(output["logits"], target)
            kld = torch.mean(0.5 * (mu**2 + log_var.exp() - 1 - log_var))
            return {"loss": rec + mu.shape[1] / target[0].numel() * kld}

    return tokens(criterion=Means)


@well("clock")
def beta_in_the_constructor() -> Case:
    """A β of 4 is given to the constructor, and declared."""
    case = clock(beta=4.0)
    case.settings["beta"] = 4.0
    return case


@well("residual")
def loss_over_a_thousand() -> Case:
    """The whole loss is divided by a constant, to make it a handy number."""

    def loss(x_out, x_in, means, log_vars):
        return residual_loss(x_out, x_in, means, log_vars) / 1000

    return residual(loss=loss)


# ---- heads


@well("tokens")
def bounded_by_tanh() -> Case:
    """The log-variance is 6 tanh(·), so it stays between −6 and 6."""

    class Bounded(Tokens):
        def moments(self, x):
            mu, raw = super().moments(x)
            return mu, 6 * torch.tanh(raw / 6)

    return tokens(Bounded)


@well("bag")
def starts_at_zero() -> Case:
    """The encoder's last layer starts at 0, so that training begins at q = p."""

    def nets():
        made = networks()
        nn.init.zeros_(made["recognise"][2].weight)
        nn.init.zeros_(made["recognise"][2].bias)
        return made

    return bag(nets=nets)


@well("residual")
def batchnorm_while_training() -> Case:
    """BatchNorm in the encoder, in training mode: ordinary, and worth a note at most."""

    class Normed(Residual):
        def __init__(self):
            super().__init__()
            self.down[0] = nn.BatchNorm2d(8)

    return residual(Normed)


@well("tokens")
def temperature_of_one() -> Case:
    """The sampler has a temperature for pictures, which is 1 where nobody sets it."""

    class Warm(Tokens):
        def sample(self, mu, log_var, temperature=1.0):
            return mu + temperature * torch.exp(0.5 * log_var) * torch.randn_like(mu)

    return tokens(Warm)


@well("bare")
def seven_examples() -> Case:
    """Seven examples in all."""
    case = bare()
    case.data = case.data[:7]
    return case


@well("clock")
def wide_latent() -> Case:
    """Sixteen latents, and σ = exp(raw), bounded by a clamp on its logarithm."""

    class Wide(Clock):
        latents = 16

        def scale(self, raw):
            return raw.clamp(-7, 4).exp()

    return clock(Wide)


# ---- loops


@well("tokens")
def epoch_that_clips() -> Case:
    """Gradients are clipped by norm, losses are added up as tensors, the schedule comes last."""
    case = tokens()

    def epoch(model, batches, optimiser, scheduler):
        seen = []
        for x in batches:
            optimiser.zero_grad(set_to_none=False)
            out = case.loss(model(x), x)
            out["loss"].backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            seen.append(out["loss"].detach() * len(x))
        scheduler.step()
        return (torch.stack(seen).sum() / sum(len(x) for x in batches)).item()

    case.settings["epoch"] = epoch
    return case


@well("bare")
def mean_of_batch_means() -> Case:
    """The mean of the batches' means is reported: wrong by little where the last is shorter."""
    case = bare()

    def epoch(model, batches, optimiser, scheduler):
        losses = []
        for x in batches:
            loss = case.loss(*(lambda r, m, s, x=x: (r, x, m, s))(*model(x)))[0]
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
        scheduler.step()
        return math.fsum(losses) / len(losses)

    case.settings["epoch"] = epoch
    return case
