"""`python -m vae_tutorial`: what it leaves behind, and what it says when it cannot."""

import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys

import matplotlib.image
import pytest
import torch

import vae_tutorial as vt
from vae_tutorial import __main__ as command_line
from vae_tutorial.train import history
from vae_tutorial.train.engine import saved


@pytest.fixture
def few_digits(monkeypatch):
    """Every data set is 300 training and 100 test images, so that a command takes a second."""
    whole = vt.load_images("stroke-digits")
    few = vt.Images(whole.name, whole.train[:300], whole.test[:100])
    monkeypatch.setattr(vt, "load_images", lambda name, offline=None: few)
    return few


def train(folder, *options):
    arguments = ["train", "--out", str(folder), "--latent-dim", "3", "--epochs", "2", *options]
    return command_line.main(arguments)


def test_train_leaves_everything(few_digits, tmp_path, capsys):
    assert train(tmp_path / "run", "--network", "mlp") == 0
    said = capsys.readouterr().out
    found = {path.name for path in (tmp_path / "run").iterdir()}
    assert found == {"model.pt", "history.csv", "history.json", "samples.png",
                     "reconstructions.png", "checkpoints"}  # fmt: skip
    for picture in ("samples.png", "reconstructions.png"):
        pixels = matplotlib.image.imread(tmp_path / "run" / picture)
        assert pixels.shape[0] > 50 and pixels.std() > 0.05
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert len(history["seconds"]) == 2 and history["settings"]["dataset"] == "stroke-digits"
    # the printed figure is that of the stored weights
    stored = vt.load(tmp_path / "run")
    expected = -vt.evaluate(stored, few_digits.test)["elbo"]
    printed = re.search(r"test −ELBO: ([\d.]+) nats per image \(stroke-digits, 100 test", said)
    assert float(printed[1]) == pytest.approx(expected, abs=0.02)
    assert history["settings"]["test_elbo"] == pytest.approx(-expected, abs=1e-3)
    assert "dynamic binarisation, one sample of z" in said


def test_sample_draws_from_the_trained_model(few_digits, tmp_path, capsys):
    train(tmp_path, "--network", "conv")
    assert command_line.main(["sample", str(tmp_path), "--count", "7"]) == 0
    first = (tmp_path / "new-samples.png").read_bytes()
    for seed, same in (("0", True), ("1", False)):
        picture = tmp_path / f"{seed}.png"
        arguments = ["sample", str(tmp_path), "--count", "7", "--seed", seed, "--out", str(picture)]
        assert command_line.main(arguments) == 0
        assert (picture.read_bytes() == first) is same
    assert command_line.main(arguments) == 1  # somebody's file is not replaced unasked
    assert "exists already" in capsys.readouterr().err
    assert command_line.main([*arguments, "--overwrite"]) == 0


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(vt, "fit", lambda *a, **k: pytest.fail("trained for nothing"))
    (tmp_path / "file").write_text("in the way")
    assert train(tmp_path / "file") == 1
    assert "could not write" in capsys.readouterr().err


def test_weights_are_saved_elsewhere_when_the_disk_is_full(
    few_digits, tmp_path, capsys, monkeypatch
):
    write = command_line.write_atomically

    def full_disk(path, content):
        if path.parent == tmp_path / "run" and content:
            raise OSError(28, "No space left on device", str(path))
        write(path, content)

    monkeypatch.setattr(command_line, "write_atomically", full_disk)
    assert train(tmp_path / "run") == 1
    message = capsys.readouterr().err
    spare = re.search(r"trained weights are in (\S+) instead", message)[1]
    vt.load(spare)
    command_line.Path(spare).unlink()


def test_an_earlier_model_is_not_overwritten_unasked(few_digits, tmp_path, capsys):
    assert train(tmp_path) == 0
    kept = (tmp_path / "model.pt").read_bytes()
    assert train(tmp_path, "--learning-rate", "1e30") == 1
    assert "holds a trained model already" in capsys.readouterr().err
    assert (tmp_path / "model.pt").read_bytes() == kept
    assert train(tmp_path, "--seed", "1", "--overwrite") == 0
    assert (tmp_path / "model.pt").read_bytes() != kept


def test_a_log_in_an_old_encoding_is_no_error(few_digits, tmp_path, monkeypatch):
    log = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", log)
    assert train(tmp_path) == 0
    log.seek(0)
    assert "test ?ELBO" in log.read()


def test_divergence_is_reported_and_the_last_good_state_saved(few_digits, tmp_path, capsys):
    assert train(tmp_path, "--learning-rate", "1e30") == 1
    assert "training diverged in epoch 1" in capsys.readouterr().err
    weights = vt.load(tmp_path).state_dict().values()
    assert all(torch.isfinite(value).all() for value in weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--latent-dim", "0"], "latent_dim must be a whole number of at least 1, got 0"),
        (["--epochs", "-1"], "epochs must be a whole number of at least 1, got -1"),
        (["--learning-rate", "-1"], "learning_rate must be a positive number"),
    ],
)
def test_bad_settings_are_one_line(options, message, few_digits, tmp_path, capsys):
    assert train(tmp_path, *options) == 1
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_sample_without_a_model_says_how_to_make_one(tmp_path, capsys):
    assert command_line.main(["sample", str(tmp_path)]) == 1
    assert "python -m vae_tutorial train --out" in capsys.readouterr().err


class Payload:
    def __reduce__(self):
        return (pytest.fail, ("code in a weights file was run",))


def test_damaged_and_hostile_weights_are_refused(few_digits, tmp_path, capsys):
    train(tmp_path)
    whole = (tmp_path / "model.pt").read_bytes()
    for content in (whole[:1000], b"", b"text", pickle.dumps(Payload(), protocol=2)):
        (tmp_path / "model.pt").write_bytes(content)
        assert command_line.main(["sample", str(tmp_path)]) == 1
        assert "model.pt is damaged" in capsys.readouterr().err
    torch.save({"model": Payload()}, tmp_path / "model.pt")
    assert command_line.main(["sample", str(tmp_path)]) == 1
    assert "model.pt was not opened" in capsys.readouterr().err


def test_an_interrupted_run_is_resumed_by_the_same_command(few_digits, tmp_path, capsys):
    """Ctrl-C in the second epoch leaves weights and pictures; the same command ends the run as
    if nothing had happened."""
    options = ("--network", "mlp", "--epochs", "4")
    assert train(tmp_path / "whole", *options) == 0
    fit, calls = vt.fit, []

    def interrupted(history):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vt, "fit", lambda *a, **k: fit(*a, on_epoch=interrupted, **k))
        assert train(tmp_path / "run", *options) == 128 + signal.SIGINT
    assert "the same command resumes it" in capsys.readouterr().out
    halfway = vt.load(tmp_path / "run").state_dict()
    assert (tmp_path / "run" / "samples.png").exists()
    assert train(tmp_path / "run", *options) == 0
    assert "Training resumes after epoch 2." in capsys.readouterr().out
    found, expected = (vt.load(tmp_path / name).state_dict() for name in ("run", "whole"))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert any(not torch.equal(found[name], halfway[name]) for name in expected)
    assert train(tmp_path / "run", *options) == 1  # a finished run is not resumed
    assert "holds a trained model already" in capsys.readouterr().err


@pytest.mark.parametrize("written", range(7))
def test_killed_after_training_before_the_last_file(written, few_digits, tmp_path, monkeypatch):
    """Whichever file was the last to be written, the same command writes them all."""

    class Killed(BaseException):
        pass

    real, count = command_line.write_atomically, iter(range(100))

    def dying(path, content):
        if content and next(count) >= written:
            raise Killed
        real(path, content)

    for module in (command_line, history, saved):
        monkeypatch.setattr(module, "write_atomically", dying)
    names = {"model.pt", "history.csv", "history.json", "samples.png", "reconstructions.png"}
    try:
        status = train(tmp_path, "--network", "mlp")
    except Killed:
        status = "killed"
    assert status == ("killed" if written < 5 else 0)
    if status == "killed":
        for module in (command_line, history, saved):
            monkeypatch.setattr(module, "write_atomically", real)
        assert not (tmp_path / "model.pt").exists()
        assert train(tmp_path, "--network", "mlp") == 0
    assert names <= {path.name for path in tmp_path.iterdir()}


def test_overwriting_leaves_other_peoples_files(few_digits, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    names = (".notes-20250101", "checkpoints/.notes-20250101", "checkpoints/mine.pt")
    foreign = [tmp_path / name for name in (*names, ".model.pt-20250101")]
    for path in foreign:
        path.write_text("mine")
    assert train(tmp_path, "--network", "mlp") == 0
    assert train(tmp_path, "--network", "mlp", "--overwrite", "--seed", "1") == 0
    assert all(path.read_text() == "mine" for path in foreign)


@pytest.mark.slow
def test_as_a_module_without_a_command():
    done = subprocess.run([sys.executable, "-m", "vae_tutorial"], capture_output=True, text=True)
    assert done.returncode == 2 and "COMMAND" in done.stderr
    done = subprocess.run([sys.executable, "-m", "vae_tutorial", "train", "--help"],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0 and "--epochs" in done.stdout
