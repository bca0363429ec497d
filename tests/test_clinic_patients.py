"""The clinic's patients: all build, controls are healthy, and every fault can be measured.

Nothing here looks at a detector. What is right is computed from `torch.distributions`.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import math
import sys
import warnings
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    Laplace,
    Normal,
    kl_divergence,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
clinic = importlib.import_module("clinic")

PATIENTS = clinic.PATIENTS
SICK = [p.name for p in PATIENTS.values() if p.kind != "control"]
CONTROLS = [p.name for p in clinic.patients("control")]
BROKEN = {"exception", "encode-decode-mismatch", "fixed-input-size", "non-finite"}
BROKEN |= {"data-out-of-range", "logvar-overflow", "log-saturates"}  # may raise, or give NaN


ORDER = {"kld_weight_declared": (0, 2, 3), "other_order": (3, 0, 1)}  # of recon, mu, logvar
NAMES = ("recon", "x_hat", "reconstruction"), ("mu", "mean"), ("logvar", "log_var", "std")


def parts_of(output, order: tuple[int, ...] = (0, 1, 2)) -> list[Tensor]:
    """Reconstruction, mean and the second head, from whatever a model or an adapter returns."""
    if isinstance(output, tuple | list):
        return [output[i] for i in order]
    entries = output if isinstance(output, dict) else vars(output)
    return [next(entries[n] for n in names if n in entries) for names in NAMES]


def overrides_forward(model) -> bool:
    return type(model).forward is not torch.nn.Module.forward


def unwrapped(model):
    return getattr(model, "module", model)


def outputs(case, x: Tensor):
    """What the adapter or the model returns; for encode and decode alone, a dict of our own."""
    if "adapter" in case.settings:
        return case.settings["adapter"](case.model, x)
    if not overrides_forward(case.model):
        mu, logvar = case.model.encode(x)
        recon = case.model.decode(case.model.reparameterize(mu, logvar))
        return {"recon": recon, "mu": mu, "logvar": logvar}
    return case.model(x)


def loss_of(case, x: Tensor | None = None) -> Tensor:
    """The loss as one number, from any of the styles."""
    x = case.data if x is None else x
    loss = case.loss or unwrapped(case.model).loss_function
    names = list(inspect.signature(loss).parameters)
    if names[0] == "model":
        found = loss(case.model, x)
    elif "mu" in names or "logvar" in names:
        recon, mu, logvar = parts_of(outputs(case, x))
        found = loss(recon, x, mu, logvar)
    else:
        found = loss(outputs(case, x), x)
    found = found["loss"] if isinstance(found, dict) else found
    return (found[0] if isinstance(found, tuple) else found).mean()


def gradients(case, value: Tensor) -> dict[str, float]:
    case.model.zero_grad(set_to_none=True)
    if value.requires_grad:
        value.backward()
    return {
        name: math.nan if p.grad is None else p.grad.norm().item()
        for name, p in case.model.named_parameters()
    }


# ---- the list


def test_there_are_enough_of_each_kind():
    kinds = Counter(p.kind for p in PATIENTS.values())
    assert kinds["mutant"] >= 70 and kinds["control"] >= 28 and kinds["real"] >= 16
    for trait in ("network", "data", "style"):
        counts = Counter(getattr(PATIENTS[name], trait) for name in SICK)
        assert len(counts) >= 3 and min(counts.values()) >= 10, counts


def test_every_patient_is_told():
    for p in PATIENTS.values():
        assert p.story.endswith((".", '".')) and len(p.story) > 30, p.name
        assert bool(p.codes) == (p.kind != "control"), p.name
        assert p.source.startswith("https://") == (p.kind == "real"), p.name
    assert len({p.source for p in clinic.patients("real")}) >= 16


TABLE = """
sample-ignores-mu sample-ignores-logvar sample-ignores-encoder no-noise eval-at-mean
exp-logvar-as-std logstd-as-logvar std-as-logvar logvar-nonnegative shared-head mu-nonnegative
noise-shared kl-sign kl-missing kl-part-missing kl-constant kl-wrong-prior kl-without-half
kl-averaged-over-latents kl-averaged-over-pixels reconstruction-averaged hidden-beta
batch-reduction-mixed examples-coupled reconstruction-sign reconstruction-missing target-wrong
wrong-likelihood double-sigmoid logits-as-probabilities log-saturates logvar-overflow
data-out-of-range bernoulli-on-grey gradient-cut gradient-cut-kl output-shape fixed-input-size
exception non-finite iwae-worst-sample iwae-mean-of-logs posterior-collapsed dead-outputs
batchnorm-in-bound dropout-in-bound mode-changed parameters-changed no-zero-grad scheduler-wrong
last-batch-reported encoder-unused decoder-unused encode-decode-mismatch
"""
CODES = set(TABLE.split())


def test_codes_are_known_and_each_stands_first_somewhere():
    """`loss-sum-over-batch` is a note on healthy losses: the official example has it."""
    for p in PATIENTS.values():
        assert set(p.codes) <= CODES, p.name
    assert {p.codes[0] for p in PATIENTS.values() if p.codes} == CODES


# ---- all of them


@pytest.mark.parametrize("name", SICK)
def test_a_fault_can_be_measured(name):
    """Against the same VAE without it: another loss, gradient, draw, mode or weight, or none."""
    codes = set(PATIENTS[name].codes)
    for seed in (0, 1):
        case, healthy = PATIENTS[name].make(seed), PATIENTS[name].healthy(seed)
        found, expected = measured(case), measured_healthy(name.split("-")[0], seed)
        assert not isinstance(expected, Exception), expected
        if isinstance(found, Exception):
            assert codes & BROKEN, found
        elif not math.isfinite(found["loss"][0]):
            assert codes & BROKEN
        elif "epoch" in case.settings:
            assert not differ(found, expected)
            assert epoch_differs(case)
        elif case.settings.get("beta") == healthy.settings.get("beta"):
            assert differ(found, expected) or extremes_differ(case, healthy)


@lru_cache
def measured_healthy(name: str, seed: int) -> dict[str, list[float]]:
    return measured(PATIENTS[name + "-as_it_is"].make(seed))


def measured(case) -> dict[str, list[float]] | Exception:
    """Losses, gradients, and what a call does to the model, with one seed; or the exception."""
    result, model = {}, case.model
    try:
        for training in (False, True):
            model.train(training)
            torch.manual_seed(7)
            weights = [p.detach().clone() for p in model.parameters()]
            value = loss_of(case)
            result["loss" if training else "eval"] = [value.item()]
            kept = model.training == training and all(map(torch.equal, weights, model.parameters()))
            result["kept" if training else "kept in eval"] = [float(kept)]
        result["gradients"] = list(gradients(case, value).values())
        torch.manual_seed(7)
        result["few"] = [loss_of(case, case.data[:5]).item()]
        torch.manual_seed(7)
        result["recon"] = [as_floats(outputs(case, case.data))]
    except Exception as error:
        return error
    return result


def as_floats(output) -> float:
    """One number that depends on every entry of what the model returns."""
    entries = output if isinstance(output, tuple | list) else parts_of(output)
    return sum((i + 1) * e.abs().mean().item() for i, e in enumerate(entries))


def differ(found: dict, expected: dict) -> bool:
    """By more than rounding: one part in a thousand."""
    a, b = ([*itertools.chain(*one.values())] for one in (found, expected))
    return len(a) != len(b) or a != pytest.approx(b, rel=1e-3, abs=1e-6, nan_ok=True)


def extremes_differ(case, healthy) -> bool:
    """Faults of arithmetic show where numbers are extreme: one part, scaled up."""
    for part, factor in itertools.product(("mu", "logvar", "decoder"), (10, 30, 100, 300)):
        values = []
        for one in (case, healthy):
            start = {k: v.clone() for k, v in one.model.state_dict().items()}
            with torch.no_grad():
                for parameter in getattr(one.model, part).parameters():
                    parameter.mul_(factor)
            torch.manual_seed(0)
            values.append(loss_of(one).item())
            one.model.load_state_dict(start)
        if math.isfinite(values[1]) and values[0] != pytest.approx(values[1], rel=1e-3):
            return True
    return False


# ---- loops


def ordinary_epoch(case):
    """An epoch as it should be, with the patient's loss."""

    def epoch(model, batches, optimiser, scheduler):
        total = 0.0
        for x in batches:
            optimiser.zero_grad()
            loss = loss_of(case, x)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(x)
        scheduler.step()
        return total / sum(map(len, batches))

    return epoch


def epoch_differs(case) -> bool:
    """Whether a loop differs from an ordinary one: in weights, in the rate, in its report."""
    results, model = [], case.model
    start = {k: v.clone() for k, v in model.state_dict().items()}
    for epoch in (case.settings["epoch"], ordinary_epoch(case)):
        model.load_state_dict(start)
        model.zero_grad()
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-4)
        scheduler = torch.optim.lr_scheduler.StepLR(optimiser, 1, gamma=0.5)
        torch.manual_seed(0)
        with warnings.catch_warnings():  # torch itself warns of some of these faults
            warnings.simplefilter("ignore")
            reported = epoch(model, case.data.split(20), optimiser, scheduler)
        norms = [p.detach().norm().item() for p in model.parameters()]
        results.append([*norms, 1e4 * optimiser.param_groups[0]["lr"], reported])
    return results[0] != pytest.approx(results[1], rel=1e-5, abs=1e-6)


def test_the_ordinary_loop_is_ordinary():
    assert not epoch_differs(PATIENTS["ordinary_epoch"].make(0))


# ---- controls


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_learns(name):
    """Its loss is finite, reaches every parameter, and falls under Adam."""
    for seed in (0, 1):
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


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_control_is_an_elbo_with_its_declared_beta(name):
    """On batches of four, loss = a · (−log p(x | z) + β KL) + c exactly, for one a, β and c.

    Both terms come from `torch.distributions`, at the same draw of z as in the loss. The heads'
    weights are scaled up first, so that the KL differs from batch to batch.
    """
    for seed in (0, 1):
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
