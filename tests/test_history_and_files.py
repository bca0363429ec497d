"""Records of a run, and writing that is whole or not at all."""

import csv
import json
import os
import resource
import subprocess
import sys

import pytest

import vae_tutorial as vt
from vae_tutorial.files import write_atomically


def two_epochs() -> vt.History:
    history = vt.History(settings={"device": "cpu"})
    history.append({"loss": 3.5, "kl": 1.0}, {"loss": 4.0, "kl": 1.5}, 10.0)
    history.append({"loss": 2.5, "kl": 2.0}, {"loss": 3.0, "kl": 2.5}, 20.0)
    return history


def test_append_and_epochs():
    history = two_epochs()
    assert history.epochs == 2 and vt.History().epochs == 0
    assert history.train == {"loss": [3.5, 2.5], "kl": [1.0, 2.0]}
    assert history.validation["kl"] == [1.5, 2.5] and history.seconds == [10.0, 20.0]


def test_json_holds_everything(tmp_path):
    history = two_epochs()
    history.save(tmp_path / "history.json")
    assert vt.History(**json.loads((tmp_path / "history.json").read_text())) == history


def test_csv_is_one_row_for_each_epoch(tmp_path):
    two_epochs().save(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert rows[1]["train_loss"] == "2.5" and rows[1]["validation_kl"] == "2.5"


def test_other_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"path must end in \.json or \.csv, got 'history.txt'"):
        two_epochs().save("history.txt")


def test_write_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and [f.name for f in path.parent.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="could not write") as caught:
        write_atomically(tmp_path / "file" / "inside", b"x")
    assert str(tmp_path / "file" / "inside") in str(caught.value)


def test_an_interrupted_write_leaves_no_rest(tmp_path, monkeypatch):
    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"new")
    assert not list(tmp_path.iterdir())


FULL_DISK = """
import resource, signal, sys
from vae_tutorial.files import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the system refuses more, as a full disk
try:
    write_atomically(sys.argv[1], b"n" * 5000)
except OSError as error:
    print("refused:", error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no file size limit here")
def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert "refused:" in done.stdout and "untouched" in done.stdout
    assert path.read_bytes() == b"old" and [f.name for f in tmp_path.iterdir()] == ["file"]
