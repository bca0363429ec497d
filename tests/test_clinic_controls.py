"""The clinic's controls are healthy: they learn, and are ELBOs with the β that they declare.

What is right is computed from `torch.distributions`.
"""

from __future__ import annotations

import math

import pytest
import torch
from clinic_cases import ORDER, clinic, gradients, loss_of, outputs, parts_of
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    Laplace,
    Normal,
    kl_divergence,
)

PATIENTS = clinic.PATIENTS
CONTROLS = [p.name for p in clinic.patients("control")]
SEEDS = [0, pytest.param(1, marks=pytest.mark.slow)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_learns(name, seed):
    """Its loss is finite, reaches every parameter, and falls under Adam."""
    case = PATIENTS[name].make(seed)
    value = loss_of(case)
    assert math.isfinite(value.item())
    reached = gradients(case, value)
    assert all(math.isfinite(g) for g in reached.values()), reached
    optimiser = torch.optim.Adam(case.model.parameters(), lr=1e-3)
    first = average_loss(case)
    for _ in range(24):
        optimiser.zero_grad()
        loss_of(case).backward()
        optimiser.step()
    assert average_loss(case) < first


def average_loss(case) -> float:
    with torch.no_grad():
        torch.manual_seed(0)
        return sum(loss_of(case).item() for _ in range(8)) / 8


# The likelihood p(x | z) that each control stands for, as a distribution of its output.
PROBABILITIES = lambda recon: Bernoulli(probs=recon)  # noqa: E731
LOGITS = lambda recon: Bernoulli(logits=recon)  # noqa: E731
UNIT = lambda recon: Normal(recon, 1.0)  # noqa: E731
LIKELIHOODS = {
    "pytorch_example": PROBABILITIES,
    "pytorch_example_of_2017": PROBABILITIES,
    "trained_mlp": PROBABILITIES,
    "trained_gru_in_eval_mode": LOGITS,
    "log_std_head": LOGITS,
    "softplus_std": UNIT,
    "clamped_logvar": LOGITS,
    "one_latent": UNIT,
    "named_tuple": LOGITS,
    "data_class": UNIT,
    "other_order": LOGITS,
    "lightning_module": LOGITS,
    "data_parallel": PROBABILITIES,
    "double_precision": LOGITS,
    "batchnorm_in_eval": UNIT,
    "dropout_in_eval": UNIT,
    "logits_loss_summed": LOGITS,
    "bernoulli_object": LOGITS,
    "squared_error_without_half": lambda recon: Normal(recon, math.sqrt(0.5)),
    "learnt_sigma": UNIT,  # where its training starts
    "tanh_outputs": lambda recon: Normal(recon, 0.5),
    "laplace_likelihood": lambda recon: Laplace(recon, 0.3),
    "continuous_bernoulli": lambda recon: ContinuousBernoulli(logits=recon),
    "declared_beta": PROBABILITIES,
    "kld_weight_declared": UNIT,
    "two_groups_of_latents": LOGITS,
    "conditional": LOGITS,
    "ordinary_epoch": PROBABILITIES,
    "ours_bernoulli": PROBABILITIES,
    "ours_beta": PROBABILITIES,
    "ours_learnt_sigma": lambda recon: Normal(recon, 0.5),
}
for whole in clinic.HEALTHY.values():
    family = LOGITS if whole.logits else PROBABILITIES
    if whole.likelihood == "normal":
        family = lambda recon, sigma=whole.sigma: Normal(recon, sigma)  # noqa: E731
    LIKELIHOODS[whole.name + "-as_it_is"] = family
SCALES = {"log_std_head": torch.exp, "softplus_std": lambda std: std}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_control_is_an_elbo_with_its_declared_beta(name, seed):
    """On batches of four, loss = a · (−log p(x | z) + β KL) + c exactly, for one a, β and c.

    Both terms come from `torch.distributions`, at the same draw of z as in the loss. The heads'
    weights are scaled up first, so that the KL differs from batch to batch.
    """
    case = PATIENTS[name].make(seed)
    if "trained" not in name:
        stretch(case.model)
    rows, losses = [], []
    for x in case.data.split(4):
        torch.manual_seed(3)
        losses.append(loss_value(case, x))
        torch.manual_seed(3)
        rows.append([*terms(name, case, x), 1.0])
    table = torch.tensor(rows, dtype=torch.float64)
    target = torch.tensor(losses, dtype=torch.float64)[:, None]
    scale = table.abs().amax(0)
    solution = torch.linalg.lstsq(table / scale, target, driver="gelsd").solution[:, 0] / scale
    residual = (table @ solution[:, None] - target).abs().max() / target.std()
    assert residual < 1e-3
    declared = case.settings.get("beta", 1.0)
    assert (solution[1] / solution[0]).item() == pytest.approx(declared, rel=0.01)


def loss_value(case, x: Tensor) -> float:
    with torch.no_grad():
        return loss_of(case, x).item()


def terms(name: str, case, x: Tensor) -> tuple[float, float]:
    """−log p(x | z) and KL, averaged over the batch, from torch.distributions."""
    with torch.no_grad():
        found = outputs(case, x)
        recon, mu, head = parts_of(found, ORDER.get(name, (0, 1, 2)))
        std = SCALES.get(name, lambda logvar: torch.exp(0.5 * logvar))(head)
        log_px = LIKELIHOODS[name](recon.reshape(x.shape)).log_prob(x)
        divergence = kl_divergence(Normal(mu, std), Normal(torch.zeros_like(mu), 1.0))
        return -log_px.flatten(1).sum(1).mean().item(), divergence.sum(1).mean().item()


def stretch(model) -> None:
    """Make the heads' weights four times as large, whatever they are called."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if {"mu", "logvar", "fc21", "fc22"} & set(name.split(".")):
                parameter.mul_(4)
