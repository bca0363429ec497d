"""Two processes over gloo: the mathematics of one with the doubled batch, and what if one dies."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import runs_together
import torch

from vae_tutorial.data.batches import TensorBatches
from vae_tutorial.train.engine import distributed

pytestmark = pytest.mark.slow

SCRIPT = Path(runs_together.__file__)


def torchrun(what, folder, expect=0):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone",
        str(SCRIPT), what, str(folder),
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert found.returncode == expect or (expect and found.returncode), found.stderr[-3000:]
    return found.stdout + found.stderr


def ranks(folder):
    return [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    """36 images in batches of 10: the last has 6, so the two processes see 3 of it each.

    In float64; sums run in another order, so equality is to 1e-9."""
    torchrun("together", tmp_path)
    first, second = ranks(tmp_path)
    model = runs_together.linear_autoencoder()
    history = runs_together.fit(model, 10)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(first["weights"][name], value, rtol=1e-9, atol=1e-9)
        assert torch.equal(first["weights"][name], second["weights"][name])
    for ours, p in zip(first["grads"], model.parameters(), strict=True):
        torch.testing.assert_close(ours, p.grad, rtol=1e-9, atol=1e-9)
    for part in ("train", "validation"):
        expected = getattr(history, part)
        for name, values in expected.items():
            assert first[part][name] == pytest.approx(values, rel=1e-9)
            assert second[part][name] == first[part][name]
    assert first["processes"] == 2


def test_random_streams_differ_and_come_again(tmp_path):
    runs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        torchrun("noisy", tmp_path / name)
        runs.append(ranks(tmp_path / name))
    for again, before in zip(*runs, strict=True):
        assert again[0] == before[0]
    assert not set(runs[0][0][0]) & set(runs[0][1][0])  # no number drawn by both


def test_a_killed_process_ends_the_run_which_is_then_resumed(tmp_path):
    start = time.monotonic()
    said = torchrun("dies", tmp_path, expect=1)
    assert time.monotonic() - start < 120
    assert (tmp_path / "died").exists() and not (tmp_path / "rank0.pt").exists()
    assert "LOST: another process of this run has ended" in said
    said = torchrun("dies", tmp_path)
    assert "Training resumes after epoch 1." in said
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "died").touch()
    torchrun("dies", tmp_path / "whole")
    resumed, whole = ranks(tmp_path)[0], ranks(tmp_path / "whole")[0]
    assert resumed[1] == whole[1]
    assert all(torch.equal(resumed[0][name], whole[0][name]) for name in whole[0])


def test_join_without_torchrun_does_nothing(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with distributed.join() as device:
        assert device is None
    with distributed.join("cpu") as device:
        assert device == torch.device("cpu")
    assert distributed.is_first()


def test_an_odd_image_out_is_another_in_each_epoch(monkeypatch):
    """Of 37 images in batches of 2 × 5, the last batch has 7: 3 for each process."""
    x = torch.arange(37.0)[:, None]
    order = iter([torch.randperm(37) for _ in range(40)])

    class Group:
        size = 2

        def __init__(self, rank):
            self.rank = rank

        def broadcast(self, tensor):
            return self.epoch

    whole, left_out = TensorBatches(x, None, 5, torch.device("cpu")), set()
    parts = [distributed.ShardedBatches(whole, Group(rank)) for rank in (0, 1)]
    for epoch in order:
        seen = []
        for part in parts:
            part.group.epoch = epoch
            sizes = [len(found) for found, _ in part.shuffled()]
            assert sizes == [5, 5, 5, 3] and part.steps == 4
            seen += [int(v) for found, _ in part.shuffled() for v in found]
        assert len(set(seen)) == len(seen) == 36
        left_out |= set(range(37)) - set(seen)
    assert len(left_out) > 15
    ordered = [int(v) for part in parts for found, _ in part.ordered() for v in found]
    assert sorted(ordered) == list(range(37))  # validation leaves none out


def test_other_errors_are_not_called_lost(monkeypatch):
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    with pytest.raises(RuntimeError, match="shapes") as caught, distributed.losing_a_process():
        raise RuntimeError("shapes do not match")
    assert not isinstance(caught.value, distributed.LostProcessError)
    lost = pytest.raises(distributed.LostProcessError, match="is resumed from the last checkpoint")
    with lost, distributed.losing_a_process():
        raise RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:5")
