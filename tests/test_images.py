"""Loading images: the cache of the stroke digits, the checks of the real sets, the way offline.

No test goes online: torchvision's download is replaced throughout this file.
"""

import errno
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torchvision import datasets

from vae_tutorial.data import images, strokes
from vae_tutorial.data.images import (
    DamagedDataError,
    DataUnavailableError,
    load_images,
)
from vae_tutorial.data.strokes import draw_strokes

REAL = Path(os.environ.get("VAE_TUTORIAL_DATA") or "nowhere")
FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
FILES = [file for file, _ in images._FILES]


def needs(name):
    there = all((REAL / FOLDERS[name] / "raw" / file).is_file() for file in FILES)
    return pytest.mark.skipif(
        not there, reason=f"needs {name}: VAE_TUTORIAL_DATA names no folder that holds it"
    )


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, no folder of real sets, and no way online."""

    def no_network(self):
        print("torchvision's chatter")
        raise RuntimeError("Error downloading:\nTried https://example.org, got:\nno network")

    monkeypatch.setattr(datasets.MNIST, "download", no_network)
    monkeypatch.delenv("VAE_TUTORIAL_DATA", raising=False)
    monkeypatch.setenv("VAE_TUTORIAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def few(monkeypatch):
    """50 default stroke digits instead of 12,000."""
    monkeypatch.setattr(images, "_TRAIN", (40, 0))
    monkeypatch.setattr(images, "_TEST", (10, 1))
    digits = [draw_strokes(40, 0).images, draw_strokes(10, 1).images]
    digest = images.hashlib.sha256(torch.cat(digits).numpy().tobytes()).hexdigest()
    monkeypatch.setattr(images, "_STROKES_SHA256", digest)


def idx(*shape: int, fill: int = 1) -> bytes:
    """An idx file of bytes, written out independently of the code that reads it."""
    content = bytes([0, 0, 8, len(shape)])
    size = 1
    for n in shape:
        content += bytes([n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255])
        size *= n
    return content + bytes([fill]) * size


@pytest.fixture
def small(monkeypatch):
    """Real sets are expected to hold 600 and 100 images instead of 60,000 and 10,000."""
    shapes = tuple((file, (shape[0] // 100, *shape[1:])) for file, shape in images._FILES)
    monkeypatch.setattr(images, "_FILES", shapes)


def write_bogus(root: Path, name: str) -> Path:
    """Files of the right names and headers and the sizes of `small`, all pixels and labels 1."""
    folder = root / FOLDERS[name] / "raw"
    folder.mkdir(parents=True)
    shapes = [(600, 28, 28), (600,), (100, 28, 28), (100,)]
    for file, shape in zip(FILES, shapes, strict=True):
        (folder / file).write_bytes(idx(*shape))
    return folder


# --- stroke digits and their cache ---------------------------------------------------------


def test_default_set_and_its_digest(cache):
    digits = load_images()
    assert digits.name == "stroke-digits"
    assert digits.train.images.shape == (10_000, 1, 28, 28)
    assert digits.test.images.shape == (2_000, 1, 28, 28)
    assert digits.train.images.dtype == torch.uint8
    assert torch.equal(digits.train.labels.bincount(), torch.full((10,), 1000))
    assert torch.equal(digits.test.labels.bincount(), torch.full((10,), 200))
    assert digits.train.factor_names == strokes.FACTOR_NAMES
    assert digits.train.factors.shape == (10_000, len(strokes.FACTORS))
    # drawn now; what was left in the cache is drawn from _STROKES_SHA256's code
    drawn = torch.cat([digits.train.images, digits.test.images])
    assert images.hashlib.sha256(drawn.numpy().tobytes()).hexdigest() == images._STROKES_SHA256
    # and the two parts share no image
    rows = {image.numpy().tobytes() for image in drawn}
    assert len(rows) == 12_000


def test_cached_set_is_the_drawn_set(cache, few, monkeypatch):
    drawn = load_images()
    (file,) = cache.iterdir()
    assert images._STROKES_SHA256[:12] in file.name
    monkeypatch.setattr(strokes, "draw_images", lambda *_: pytest.fail("drawn, not read"))
    cached = load_images()
    for first, second in ((drawn.train, cached.train), (drawn.test, cached.test)):
        for field in ("images", "labels", "factors"):
            assert torch.equal(getattr(first, field), getattr(second, field))
    cached.train.images[0] = 0  # memory of the caller's own
    assert torch.equal(load_images().train.images, drawn.train.images)


def test_factors_belong_to_their_images(few):
    load_images()
    for part in load_images()[1:]:
        for image, label, row in zip(part.images, part.labels, part.factors, strict=True):
            chosen = dict(zip(part.factor_names, row.tolist(), strict=True))
            assert torch.equal(image[0], strokes.stroke_digit(label.item(), **chosen))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_damaged_cache_is_made_again(cache, few, damage):
    good = load_images()
    (file,) = cache.iterdir()
    content = file.read_bytes()
    flipped = bytes([content[5000] ^ 1])
    file.write_bytes(
        {
            "flip": content[:5000] + flipped + content[5001:],
            "cut": content[:-1],
            "empty": b"",
            "longer": content + b"\0",
        }[damage]
    )
    assert torch.equal(load_images().train.images, good.train.images)
    assert file.read_bytes() == content


@pytest.mark.slow
def test_two_processes_race(cache):
    code = (
        "import vae_tutorial.data.images as m, hashlib;"
        "print(hashlib.sha256(m.load_images().train.images.numpy().tobytes()).hexdigest())"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=-1, stderr=-1, text=True)
        for _ in range(2)
    ]
    (first, errors), (second, more_errors) = (process.communicate() for process in both)
    assert (errors, more_errors) == ("", "")
    assert first == second != ""
    (file,) = cache.iterdir()  # nothing temporary is left
    assert images.hashlib.sha256(file.read_bytes()).hexdigest() == images._STROKES_SHA256


def test_cache_that_cannot_be_written(cache, few):
    cache.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="could not be cached") as caught:
        digits = load_images()
    assert len(digits.train) == 40
    assert len(caught) == 1
    assert caught[0].filename == __file__  # it points at the caller
    assert str(cache) not in str(caught[0].message)  # no path of the machine


def test_full_disk(cache, few, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match=os.strerror(errno.ENOSPC)):
        digits = load_images()
    assert len(digits.test) == 10
    assert list(cache.iterdir()) == []


def test_cache_folder(monkeypatch, tmp_path):
    assert images._cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("VAE_TUTORIAL_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert images._cache_folder() == tmp_path / "xdg" / "vae_tutorial"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert images._cache_folder() == tmp_path / ".cache" / "vae_tutorial"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert images._cache_folder() == tmp_path / "Library" / "Caches" / "vae_tutorial"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert images._cache_folder() == tmp_path / "local" / "vae_tutorial"


# --- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("MNIST", "mnist"), ("fashion_mnist", "fashion-mnist"), ("strokes", "stroke-digits"),
     ("kmist", "kmnist")],
)  # fmt: skip
def test_unknown_name(name, nearest):
    with pytest.raises(ValueError, match=f"unknown name '{name}'; did you mean '{nearest}'"):
        load_images(name)


def test_unknown_offline():
    with pytest.raises(ValueError, match="offline must be None or \"stroke-digits\", got 'mnist'"):
        load_images("kmnist", offline="mnist")


# --- no network ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOLDERS)
def test_no_network_and_no_files(name, tmp_path, capfd):
    with pytest.raises(DataUnavailableError) as caught:
        load_images(name, root=tmp_path / "real")
    message = str(caught.value)
    assert str(tmp_path / "real" / FOLDERS[name] / "raw") in message
    for part in ("no network", "root=", "VAE_TUTORIAL_DATA", 'offline="stroke-digits"', FILES[0]):
        assert part in message
    assert capfd.readouterr() == ("", "")  # torchvision is kept quiet


def test_offline_takes_the_stroke_digits_and_says_so(few, tmp_path, capfd):
    digits = load_images("fashion-mnist", root=tmp_path, offline="stroke-digits")
    assert digits.name == "stroke-digits"
    assert digits.train.factors is not None
    out, err = capfd.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    assert "fashion-mnist" in out
    assert "stroke-digits" in out
    assert "/" not in out


def test_without_torchvision(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # importing it fails
    with pytest.raises(DataUnavailableError, match="ModuleNotFoundError: import of torchvision"):
        load_images("mnist", root=tmp_path)


def test_ctrl_c_is_not_swallowed(tmp_path, monkeypatch):
    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets.MNIST, "download", stop)
    with pytest.raises(KeyboardInterrupt):
        load_images("mnist", root=tmp_path, offline="stroke-digits")
    assert images.socket.getdefaulttimeout() is None


def test_download_into_a_missing_folder(small, tmp_path, monkeypatch, capfd):
    def fetch(self):
        print("9.91M/9.91M")
        write_bogus(Path(self.root), "kmnist")

    monkeypatch.setattr(datasets.MNIST, "download", fetch)
    monkeypatch.setenv("VAE_TUTORIAL_DATA", str(tmp_path / "named"))
    digits = load_images("kmnist", offline="stroke-digits")
    assert digits.name == "kmnist"
    assert len(digits.train) == 600
    assert capfd.readouterr() == ("", "")


# --- files that are there ------------------------------------------------------------------


def test_kmnist_from_files(small, tmp_path):
    write_bogus(tmp_path, "kmnist")
    digits = load_images("kmnist", root=str(tmp_path))
    assert digits.name == "kmnist"
    assert digits.test.images.shape == (100, 1, 28, 28)
    assert digits.train.class_names[1] == "ki"
    assert digits.train.factors is None
    assert digits.test.labels.eq(1).all()


@pytest.mark.parametrize("file", FILES)
def test_bogus_file_is_refused(small, file, tmp_path):
    # the right size and header, the wrong bytes
    folder = write_bogus(tmp_path, "mnist")
    with pytest.raises(DamagedDataError) as caught:
        images._read_idx(folder / file, dict(images._FILES)[file], "0" * 64)
    message = str(caught.value)
    assert str(folder / file) in message
    assert re.search("expected .* bytes with SHA-256 0{64}, found .* SHA-256", message)
    assert "Delete this file" in message


def test_bogus_set_is_refused_even_offline(small, tmp_path):
    write_bogus(tmp_path, "mnist")
    with pytest.raises(DamagedDataError, match=FILES[0]):
        load_images("mnist", root=tmp_path, offline="stroke-digits")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("change", ["cut", "header", "longer"])
def test_damaged_kmnist_is_refused(small, file, change, tmp_path):
    path = write_bogus(tmp_path, "kmnist") / file
    content = path.read_bytes()
    path.write_bytes(
        {"cut": content[:-1], "header": b"\1" + content[1:], "longer": content + b"\0"}[change]
    )
    with pytest.raises(DamagedDataError, match=file):
        load_images("kmnist", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "mean", "first"),
    [
        pytest.param("mnist", 0.1307, [5, 0, 4, 1, 9], marks=needs("mnist")),
        pytest.param("fashion-mnist", 0.2860, [9, 0, 0, 3, 0], marks=needs("fashion-mnist")),
    ],
)
def test_real_set(name, mean, first, monkeypatch):
    monkeypatch.setenv("VAE_TUTORIAL_DATA", str(REAL))
    data = load_images(name)
    assert data.name == name
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert data.train.labels[:5].tolist() == first
    assert abs(data.train.images.double().mean().item() / 255 - mean) < 5e-5
    assert len(data.train.class_names) == 10
    # torchvision reads the same
    theirs = getattr(datasets, FOLDERS[name])(REAL, train=False)
    assert torch.equal(theirs.data.unsqueeze(1), data.test.images)
    assert torch.equal(theirs.targets, data.test.labels)


@needs("mnist")
@pytest.mark.parametrize("change", ["cut", "flip"])
def test_damaged_real_file_is_refused(change, tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for file in FILES:
        (folder / file).symlink_to((REAL / "MNIST" / "raw" / file).resolve())
    assert load_images("mnist", root=tmp_path).name == "mnist"
    path = folder / FILES[2]
    content = bytearray(path.read_bytes())
    content[100_000] ^= 1
    path.unlink()
    path.write_bytes(content[:-500] if change == "cut" else content)
    with pytest.raises(DamagedDataError, match=FILES[2]):
        load_images("mnist", root=tmp_path, offline="stroke-digits")


def test_drawing_and_loading_warn_of_nothing(few):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(draw_strokes(3, 0)) == 3
        load_images()
        load_images()
