"""The clinic's patients: all build, each is told, and every fault can be measured.

Nothing here looks at a detector.
"""

from __future__ import annotations

import copy
import itertools
import math
import warnings
from collections import Counter
from functools import lru_cache

import pytest
import torch
from clinic_cases import clinic, gradients, loss_of, outputs, parts_of
from torch import Tensor

PATIENTS = clinic.PATIENTS
SICK = [p.name for p in PATIENTS.values() if p.kind != "control"]
BROKEN = {"exception", "encode-decode-mismatch", "fixed-input-size", "non-finite"}
BROKEN |= {"data-out-of-range", "logvar-overflow", "log-saturates"}  # may raise, or give NaN


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
SEEDS = [0, pytest.param(1, marks=pytest.mark.slow)]


def test_codes_are_known_and_each_stands_first_somewhere():
    """`loss-sum-over-batch` is a note on healthy losses: the official example has it."""
    for p in PATIENTS.values():
        assert set(p.codes) <= CODES, p.name
    assert {p.codes[0] for p in PATIENTS.values() if p.codes} == CODES


# ---- all of them


@pytest.mark.parametrize("name", PATIENTS)
def test_the_seed_decides_weights_and_data(name):
    """One seed gives one patient, another seed another one; models can be copied."""
    before = torch.get_rng_state()
    one, again, other = (PATIENTS[name].make(seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.data, again.data) and not torch.equal(one.data, other.data)
    copied = copy.deepcopy(one.model)
    for a, b, c in zip(again.model.parameters(), copied.parameters(), one.model.parameters()):
        assert torch.equal(a, b) and torch.equal(b, c)
    assert any(map(differs, one.model.parameters(), other.model.parameters()))


def differs(a: Tensor, b: Tensor) -> bool:
    return not torch.equal(a, b)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SICK)
def test_a_fault_can_be_measured(name, seed):
    """Against the same VAE without it: another loss, gradient, draw, mode or weight, or none."""
    codes = set(PATIENTS[name].codes)
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
