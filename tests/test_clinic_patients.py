"""The clinic's patients: all build, controls are healthy, and every fault can be measured.

Nothing here looks at a detector. What is right is computed from `torch.distributions`.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
clinic = importlib.import_module("clinic")

PATIENTS = clinic.PATIENTS
SICK = [p.name for p in PATIENTS.values() if p.kind != "control"]
CONTROLS = [p.name for p in clinic.patients("control")]
BROKEN = {"exception", "encode-decode-mismatch", "fixed-input-size", "non-finite"}
BROKEN |= {"data-out-of-range", "logvar-overflow", "log-saturates"}  # may raise, or give NaN


@lru_cache(maxsize=8)
def built(name: str, seed: int, healthy: bool = False):
    patient = PATIENTS[name]
    return (patient.healthy if healthy else patient.make)(seed)


def parts_of(case, output) -> dict[str, Tensor]:
    """recon, mu, logvar of an output in the usual order, or as the adapter says."""
    if isinstance(output, dict):
        names = ("recon", "x_hat"), ("mu",), ("logvar",)
        return {k[0]: next(output[n] for n in k if n in output) for k in names}
    recon, mu, logvar = output
    return {"recon": recon, "mu": mu, "logvar": logvar}


def outputs(case, x: Tensor):
    if "adapter" in case.settings:
        return case.settings["adapter"](case.model, x)
    if type(case.model).forward is torch.nn.Module.forward:  # encode and decode alone
        mu, logvar = case.model.encode(x)
        recon = case.model.decode(case.model.reparameterize(mu, logvar))
        return {"recon": recon, "mu": mu, "logvar": logvar}
    return case.model(x)


def loss_of(case, x: Tensor | None = None) -> Tensor:
    """The loss as one number, from any of the styles."""
    x = case.data if x is None else x
    loss = case.loss or case.model.loss_function
    names = list(inspect.signature(loss).parameters)
    if names[0] == "model":
        found = loss(case.model, x)
    elif "mu" in names or "logvar" in names:
        parts = list(parts_of(case, outputs(case, x)).values())
        found = loss(parts[0], x, *parts[1:])
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


CODES = """sample-ignores-mu sample-ignores-logvar sample-ignores-encoder no-noise eval-at-mean
exp-logvar-as-std logstd-as-logvar std-as-logvar logvar-nonnegative shared-head mu-nonnegative
noise-shared kl-sign kl-missing kl-part-missing kl-constant kl-wrong-prior kl-without-half
kl-averaged-over-latents kl-averaged-over-pixels reconstruction-averaged hidden-beta
batch-reduction-mixed examples-coupled reconstruction-sign reconstruction-missing target-wrong
wrong-likelihood double-sigmoid logits-as-probabilities log-saturates logvar-overflow
data-out-of-range bernoulli-on-grey gradient-cut gradient-cut-kl output-shape fixed-input-size
exception non-finite iwae-worst-sample iwae-mean-of-logs posterior-collapsed dead-outputs
batchnorm-in-bound dropout-in-bound mode-changed parameters-changed no-zero-grad scheduler-wrong
last-batch-reported encoder-unused decoder-unused encode-decode-mismatch""".split()


def test_codes_are_known_and_each_stands_first_somewhere():
    """`loss-sum-over-batch` is a note on healthy losses: the official example has it."""
    for p in PATIENTS.values():
        assert set(p.codes) <= set(CODES), p.name
    assert {p.codes[0] for p in PATIENTS.values() if p.codes} == set(CODES)


# ---- all of them


@pytest.mark.parametrize("name", SICK)
def test_a_fault_can_be_measured(name):
    """Against the same VAE without it: another loss, gradient, draw, mode, weight, or none."""
    codes = set(PATIENTS[name].codes)
    for seed in (0, 1):
        case, healthy = built(name, seed), built(name, seed, True)
        assert case.data.shape[0] == healthy.data.shape[0] > 1
        if "epoch" in case.settings:
            assert epoch_differs(case)
            continue
        found, expected = measured(case), measured(healthy)
        assert math.isfinite(expected["loss"]) and all(map(math.isfinite, expected["grad"]))
        if isinstance(found, Exception):
            assert codes & BROKEN, found
        elif not math.isfinite(found["loss"]):
            assert codes & BROKEN, found
        else:
            assert found != expected or extremes_differ(case, healthy), name


def measured(case, seed: int = 7):
    """Loss, gradients, outputs, and what a call does to the model; or the exception."""
    x, result = case.data, {}
    case.model.train()
    try:
        for mode in (True, False):
            case.model.train(mode)
            torch.manual_seed(seed)
            value = loss_of(case)
            result["mode", mode] = case.model.training == mode
            result["loss", mode] = value.item()
        weights = [p.detach().clone() for p in case.model.parameters()]
        case.model.train()
        torch.manual_seed(seed)
        value = loss_of(case)
        result["loss"] = value.item()
        result["grad"] = [-1.0 if math.isnan(g) else g for g in gradients(case, value).values()]
        result["kept"] = all(map(torch.equal, weights, case.model.parameters()))
        torch.manual_seed(seed)
        case.model.train()
        draws = outputs(case, x)
        if not isinstance(draws, dict | tuple):
            return result
        torch.manual_seed(seed)
        result["few"] = loss_of(case, x[:5]).item()
    except Exception as error:
        return error
    return result


def extremes_differ(case, healthy) -> bool:
    """Faults of arithmetic show where numbers are extreme: with weights 30 times as large."""
    values = []
    for one in (case, healthy):
        with torch.no_grad():
            for parameter in one.model.parameters():
                parameter.mul_(30)
        torch.manual_seed(0)
        values.append(loss_of(one).item())
    built.cache_clear()  # these two are spoilt
    return values[0] != values[1]


def epoch_differs(case) -> bool:
    """Whether a loop differs from an ordinary one: in weights, in rates or in what it reports."""
    results = []
    for epoch in (case.settings["epoch"], ordinary_epoch):
        model = case.model
        start = {k: v.clone() for k, v in model.state_dict().items()}
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.StepLR(optimiser, 1, gamma=0.5)
        torch.manual_seed(0)
        with pytest.warns() if "scheduler.step()" in first_lines(epoch) else no_warning():
            reported = epoch(model, case.data.split(20), optimiser, scheduler)
        end = torch.cat([p.detach().flatten() for p in model.parameters()])
        results.append((end, optimiser.param_groups[0]["lr"], reported))
        model.load_state_dict(start)
    (end, rate, reported), (end_2, rate_2, reported_2) = results
    return not torch.equal(end, end_2) or rate != rate_2 or abs(reported - reported_2) > 1e-4


def first_lines(function) -> str:
    return "".join(inspect.getsource(function).splitlines(keepends=True)[:2])


def no_warning():
    return __import__("contextlib").nullcontext()


def ordinary_epoch(model, batches, optimiser, scheduler):
    raise NotImplementedError


# ---- controls


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_learns(name):
    """Its loss is finite, reaches every parameter, and falls under Adam."""
    for seed in (0, 1):
        case = built(name, seed)
        value = loss_of(case)
        assert math.isfinite(value.item())
        reached = gradients(case, value)
        assert all(math.isfinite(g) for g in reached.values()), reached
    optimiser = torch.optim.Adam(case.model.parameters(), lr=1e-3)
    first = average_loss(case)
    for _ in range(40):
        optimiser.zero_grad()
        loss_of(case).backward()
        optimiser.step()
    assert average_loss(case) < first - (0 if "trained" in name else 1e-3 * abs(first))


def average_loss(case) -> float:
    with torch.no_grad():
        torch.manual_seed(0)
        return sum(loss_of(case).item() for _ in range(5)) / 5
