"""Stopping and resuming: bit for bit, whatever stopped the run."""

import contextlib
import multiprocessing
import os
import pickle
import random
import signal
import time

import numpy as np
import pytest
import runs_to_kill
import torch

import vae_tutorial as vt
from vae_tutorial.train.engine import checkpoints
from vae_tutorial.train.engine.checkpoints import (
    BEST,
    LAST,
    LOCK,
    PREVIOUS,
    DamagedCheckpointError,
    UnsafeCheckpointError,
    newest,
    read_checkpoint,
)
from vae_tutorial.train.engine.environment import random_state, set_random_state


def assert_same_run(found, expected):
    for name, value in expected["weights"].items():
        assert torch.equal(found["weights"][name], value), name
    assert found["train"] == expected["train"] and found["validation"] == expected["validation"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    start = time.perf_counter()
    with own_threads():
        found = runs_to_kill.small_run(tmp_path_factory.mktemp("undisturbed") / "run")
    return found | {"took": time.perf_counter() - start}


@contextlib.contextmanager
def own_threads():
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def processes():
    """Processes that start with torch already imported, so that a kill costs no seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "vae_tutorial"])
    return context


@pytest.mark.slow
def test_twenty_kills_at_random_moments(processes, tmp_path, undisturbed):
    """SIGKILL leaves no time for anything. Killed 20 times, the run ends as if it never was."""
    folder, result = tmp_path / "run", tmp_path / "result.pt"
    started = folder.with_suffix(".started")
    moments = random.Random(time.time_ns())
    kills, with_checkpoint = 0, 0
    for _ in range(100):
        process = processes.Process(target=runs_to_kill.small_run, args=(folder, result))
        process.start()
        while not started.exists() and process.is_alive():
            time.sleep(0.001)
        # up to a quarter of a run: some die before their first epoch, most in the midst of one
        process.join(moments.uniform(0, undisturbed["took"] / 4) if kills < 20 else None)
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        with_checkpoint += (folder / LAST).exists() and process.exitcode != 0
        assert process.exitcode in (0, -signal.SIGKILL)
        started.unlink(missing_ok=True)
        if result.exists():
            assert_same_run(torch.load(result), undisturbed)
            assert {file.name for file in folder.iterdir()} == {LAST, PREVIOUS, BEST, LOCK}
            if kills == 20:
                break
            result.unlink()  # the run is through: kill the next from its beginning
            for file in folder.iterdir():
                file.unlink()
    assert kills == 20 and with_checkpoint >= 10


@pytest.mark.parametrize("stop_at", [0, 4, 5, 37])
def test_sigterm_in_the_middle_of_an_epoch(stop_at, processes, tmp_path, undisturbed):
    """The step is finished, the checkpoint written; resuming gives the same to the last bit.

    An epoch has 5 steps: call 4 is an epoch's last, the others lie within."""
    folder, result = tmp_path / "run", tmp_path / "result.pt"
    stopped = processes.Process(
        target=runs_to_kill.small_run, args=(folder, result, stop_at)
    )  # fmt: skip
    stopped.start()
    stopped.join()
    assert stopped.exitcode == 0
    epoch = (stop_at + 1) // 5 + 1
    found = torch.load(result)
    assert found["stopped"] == f"interrupted by SIGTERM in epoch {epoch} of 40"
    assert len(found["train"].get("loss", [])) == epoch - 1
    assert read_checkpoint(folder / LAST)["step"] == (stop_at + 1) % 5
    with own_threads():
        assert_same_run(runs_to_kill.small_run(folder), undisturbed)


def test_a_finished_run_is_not_trained_again(tmp_path, small_vae, blobs):
    history = vt.fit(small_vae, blobs, epochs=2, checkpoint=tmp_path)
    weights = {name: value.clone() for name, value in small_vae.state_dict().items()}
    other = vt.VAE(vt.MLPEncoder(2, (32,), (1, 8, 8)), vt.MLPDecoder(2, (32,), (1, 8, 8)))
    again = vt.fit(other, blobs, epochs=2, checkpoint=tmp_path)
    assert again.train == history.train
    assert all(torch.equal(value, weights[name]) for name, value in other.state_dict().items())


def test_a_loader_is_resumed_where_it_stopped(tmp_path, small_vae, blobs):
    """The order of a DataLoader comes from torch's random numbers, and so comes again."""
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(blobs), batch_size=64, shuffle=True
    )
    start = {name: value.clone() for name, value in small_vae.state_dict().items()}
    results, calls = [], iter(range(10**9))

    def objective(model, x):
        if next(calls) == 7:  # the third of five steps in epoch 2
            os.kill(os.getpid(), 15)
        return vt.elbo(model, x)

    for folder, function in ((tmp_path / "a", vt.elbo), (tmp_path / "b", objective)):
        function.__name__ = "elbo"
        small_vae.load_state_dict(start)
        torch.manual_seed(4)
        settings = {"objective": function, "epochs": 3, "checkpoint": folder}
        if function is objective:
            with pytest.raises(vt.TrainingInterrupted) as caught:
                vt.fit(small_vae, loader, **settings)
            assert caught.value.history.epochs == 1
            torch.manual_seed(99)
            settings["resume"] = "seed"
        history = vt.fit(small_vae, loader, **settings)
        results.append(({n: v.clone() for n, v in small_vae.state_dict().items()}, history.train))
    assert results[0][1] == results[1][1]
    assert all(torch.equal(results[0][0][n], results[1][0][n]) for n in start)


def test_other_settings_are_refused(tmp_path, small_vae, blobs):
    vt.fit(small_vae, blobs, epochs=1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"other settings: batch_size=128 \(now 64\); epochs=1"):
        vt.fit(small_vae, blobs, epochs=2, batch_size=64, checkpoint=tmp_path)


def test_another_network_is_refused(tmp_path, small_vae, blobs):
    vt.fit(small_vae, blobs, epochs=1, checkpoint=tmp_path)
    other = vt.VAE(vt.MLPEncoder(3, (32,), (1, 8, 8)), vt.MLPDecoder(3, (32,), (1, 8, 8)))
    with pytest.raises(ValueError, match=r"model: weights\.encoder\S+ \[.*\(now \["):
        vt.fit(other, blobs, epochs=1, checkpoint=tmp_path)


def test_the_best_is_kept(tmp_path, small_vae, blobs):
    """A learning rate that is far too high at the end makes the validation loss rise again."""
    history = vt.fit(
        small_vae, blobs, validation=blobs, epochs=8, checkpoint=tmp_path,
        learning_rate=1e-2, schedule=lambda step, steps: 1.0 if step < steps / 2 else 60.0,
    )  # fmt: skip
    losses = history.validation["loss"]
    best = losses.index(min(losses))
    assert best < 7
    kept = read_checkpoint(tmp_path / BEST)
    assert len(kept["history"]["seconds"]) == best + 1
    small_vae.load_state_dict(kept["model"])
    assert vt.evaluate(small_vae, blobs)["loss"] == pytest.approx(losses[best])


# Damage, and files that are not ours


@pytest.fixture
def written(tmp_path, small_vae, blobs):
    vt.fit(small_vae, blobs, epochs=2, checkpoint=tmp_path)
    return tmp_path


def cut_in_half(content):
    return content[: len(content) // 2]


def one_bit(content):
    """Flipped in the middle of the largest part, the weights."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize("damage", [cut_in_half, one_bit, lambda content: b""])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(damage, written):
    last = written / LAST
    last.write_bytes(damage(last.read_bytes()))
    with pytest.raises(DamagedCheckpointError, match=str(last)):
        read_checkpoint(last)
    with pytest.warns(UserWarning, match=r"last\.pt is damaged.*resuming from previous\.pt"):
        found = newest(written)
    assert len(found["history"]["seconds"]) == 1


def test_all_damaged_is_an_error_with_the_way_out(written):
    for name in (LAST, PREVIOUS):
        (written / name).write_bytes(b"x")
    with pytest.raises(DamagedCheckpointError, match="To begin anew, remove"):
        newest(written)


class Code:
    def __reduce__(self):
        return os.mkdir, ("made-by-the-checkpoint",)


def test_a_checkpoint_with_code_in_it_is_refused(written, monkeypatch, small_vae, blobs):
    monkeypatch.chdir(written)
    torch.save({"model": Code()}, written / LAST)
    with pytest.raises(UnsafeCheckpointError, match=r"last\.pt was not opened"):
        vt.fit(small_vae, blobs, epochs=2, checkpoint=written)
    assert not (written / "made-by-the-checkpoint").exists()
    (written / LAST).write_bytes(pickle.dumps(Code()))  # no archive at all
    with pytest.raises(DamagedCheckpointError):
        read_checkpoint(written / LAST)
    assert not (written / "made-by-the-checkpoint").exists()


def test_dying_between_the_two_renames(written):
    (written / LAST).replace(written / PREVIOUS)
    assert len(newest(written)["history"]["seconds"]) == 2


def test_a_full_disk_is_a_warning(tmp_path, small_vae, blobs, monkeypatch):
    """Here the write itself fails; test_history_and_files has a disk that is really full."""
    real, writes = checkpoints.write_atomically, iter(range(100))

    def full(path, content):
        if next(writes) == 2:  # the first is a trial, before training
            raise OSError(28, "could not write (No space left on device)", str(path))
        real(path, content)

    monkeypatch.setattr(checkpoints, "write_atomically", full)
    with pytest.warns(UserWarning, match="not written, and training continues: .*No space left"):
        history = vt.fit(small_vae, blobs, epochs=3, checkpoint=tmp_path)
    assert history.epochs == 3
    assert len(read_checkpoint(tmp_path / PREVIOUS)["history"]["seconds"]) == 1
    assert len(read_checkpoint(tmp_path / LAST)["history"]["seconds"]) == 3


# Random numbers


def test_all_generators_come_back():
    state = random_state(torch.device("cpu"))
    drawn = [(torch.rand(3), np.random.rand(3), random.random(), np.random.randn())]
    set_random_state(torch.device("cpu"), state)
    drawn.append((torch.rand(3), np.random.rand(3), random.random(), np.random.randn()))
    assert torch.equal(drawn[0][0], drawn[1][0]) and (drawn[0][1] == drawn[1][1]).all()
    assert drawn[0][2:] == drawn[1][2:]


def test_a_generator_state_survives_the_file(tmp_path):
    np.random.randn()  # leaves a second normal number in store, which has to come along
    state = random_state(torch.device("cpu"))
    expected = np.random.randn(), random.random()
    torch.save(state, tmp_path / "state.pt")
    set_random_state(torch.device("cpu"), torch.load(tmp_path / "state.pt", weights_only=True))
    assert (np.random.randn(), random.random()) == expected
