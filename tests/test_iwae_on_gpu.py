"""The benchmark that trains many cells of a published table at once, as far as a CPU can tell."""

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vae_tutorial as vt

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = (
    "--device", "cpu", "--dataset", "stroke-digits", "--images", "300", "--samples", "3",
    "--batch-size", "100",
)  # fmt: skip


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("iwae_on_gpu")


def trained(script, cells: list[str], *further: str) -> dict[str, torch.Tensor]:
    """The last weights of the decoder of each cell, and its losses, after two epochs."""
    options = script.read_options([*SMALL, "--epochs", "2", "--cells", *cells, *further])
    data = vt.load_images("stroke-digits")
    lockstep = script.make_lockstep([(cell, 0) for cell in options.cells], data, options)
    before = lockstep.members[0].model.decoder.layers[0].weight.clone()
    assert len(script.train(lockstep, options)) == 2
    assert not torch.equal(before, lockstep.members[0].model.decoder.layers[0].weight)
    return {
        str(member.cell): torch.cat(
            [torch.tensor(member.losses), member.model.decoder.layers[0].weight.flatten()]
        )
        for member in lockstep.members
    }


def test_a_cell_learns_the_same_alone_and_beside_others(script):
    both = trained(script, ["iwae-k3-2layer", "vae-k2-1layer"])
    for cell in both:
        alone = trained(script, [cell])
        assert torch.equal(alone[cell].detach(), both[cell].detach())
    # the mean loss over an epoch falls
    assert all(weights[1] < weights[0] for weights in both.values())


def test_the_rates_of_a_run_of_given_length_are_those_of_one_cycle(script):
    plan, rates = script.Plan(4, None, 0.0), []
    while plan.left:
        rates += plan.rates(10, 2.0)
        plan.epoch_ends(float(plan.done))
    expected = [2.0 * vt.schedules.one_cycle(step, 40) for step in range(40)]
    torch.testing.assert_close(rates, expected)


def test_a_run_of_given_seconds_ends_in_time_at_rate_zero(script):
    plan, seconds, highest = script.Plan(None, 100.0, 0.5), 0.0, 0.0
    while plan.left:
        rates = plan.rates(20, 1.0)
        highest = max(highest, *rates)
        seconds += 0.5 if plan.done < 20 else 2.0  # the machine becomes slower
        plan.epoch_ends(seconds)
    assert 96 < seconds <= 100
    assert plan.share == 1 and rates[-1] < 1e-3 < 0.99 < highest


def test_cells_are_trained_measured_and_gone_on_with(tmp_path):
    out, stored, work = tmp_path / "out", tmp_path / "stored", tmp_path / "work"
    stored.mkdir()
    (stored / "vae-k1-1layer-seed0.json").write_text("{}")
    small = (
        *SMALL, "--epochs", "1", "--cells", "vae-k1-1layer", "iwae-k2-2layer",
        "--out", str(out), "--stored", str(stored), "--work", str(work),
    )  # fmt: skip
    done = run(*small)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in out.glob("*.json")}
    assert names == {"vae-k1-1layer-seed0-gpu.json", "iwae-k2-2layer-seed0.json"}
    assert done.stdout.index("iwae-k2-2layer-seed0:") < done.stdout.index("vae-k1-1layer-seed0-gpu")
    found = json.loads((out / "iwae-k2-2layer-seed0.json").read_text())
    assert 0 < found["negative_log_likelihood"] < found["negative_elbo"] < 784 * math.log(2)
    assert found["settings"]["in_lockstep_with"] == ["vae-k1-1layer-seed0"]
    assert found["epochs"] == 1 and found["images"] == 300
    assert "iwae_on_gpu.py --device cpu" in found["command"]

    (out / "iwae-k2-2layer-seed0.json").unlink()  # as if it had been stopped while measuring
    again = run(*small)
    assert again.returncode == 0, again.stderr
    assert "epoch 1" not in again.stdout and "vae-k1-1layer-seed0: measured" in again.stdout
    same = json.loads((out / "iwae-k2-2layer-seed0.json").read_text())
    assert same["negative_log_likelihood"] == found["negative_log_likelihood"]


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "iwae_on_gpu.py"), *arguments],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
