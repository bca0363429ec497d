"""Sets of images as tensors in memory: the embedded stroke digits, and three real sets.

Images stay `uint8`, one byte for each pixel; `fit` turns a batch into floats on the device where
it trains. The real sets are MNIST (LeCun et al., 1998), Fashion-MNIST (Xiao et al., 2017) and
KMNIST (Clanuwat et al., 2018).
"""

from __future__ import annotations

import difflib
import hashlib
import io
import math
import os
import socket
import sys
import tempfile
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vae_tutorial.data import strokes
from vae_tutorial.data.image_set import ImageSet
from vae_tutorial.files import write_atomically

# The default stroke digits: (count, seed) of each part, and the SHA-256 of all their pixels,
# training set first. A test draws them afresh and compares.
_TRAIN, _TEST = (10_000, 0), (2_000, 1)
_STROKES_SHA256 = "978d9fcf2f34da5562ef9c86ef5a3a4d4cf5330c4bec9a98dfc54cfaaa4aaf33"


class _Source(NamedTuple):
    """A set that torchvision can fetch: its class there, and the SHA-256 of its unpacked files."""

    torchvision_class: str  # also the folder below the root
    class_names: tuple[str, ...]
    sha256: tuple[str | None, ...]  # in the order of _FILES


_FILES = (
    ("train-images-idx3-ubyte", (60_000, 28, 28)),
    ("train-labels-idx1-ubyte", (60_000,)),
    ("t10k-images-idx3-ubyte", (10_000, 28, 28)),
    ("t10k-labels-idx1-ubyte", (10_000,)),
)
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_SOURCES = {
    "mnist": _Source("MNIST", strokes.CLASS_NAMES, (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    )),
    "fashion-mnist": _Source("FashionMNIST", _CLOTHES, (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    )),
    "kmnist": _Source(
        "KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"), (None,) * 4
    ),
}  # fmt: skip


class DataUnavailableError(RuntimeError):
    """A real set is neither in its folder nor to be downloaded."""


class DamagedDataError(DataUnavailableError):
    """A file of a real set is truncated or altered."""


class Images(NamedTuple):
    """What `load_images` returns: `name` is the set that was really loaded."""

    name: str
    train: ImageSet
    test: ImageSet


def load_images(
    name: str = "stroke-digits",
    root: str | os.PathLike[str] | None = None,
    offline: str | None = None,
) -> Images:
    """Load a set of images, each 28 × 28 and grey, in ten classes.

    - ``"stroke-digits"``: 10,000 and 2,000 digits with their true factors, drawn on the spot in
      a few seconds and then kept in the user's cache folder. It needs no network.
    - ``"mnist"``, ``"fashion-mnist"``, ``"kmnist"``: 60,000 and 10,000 real images, downloaded
      by torchvision the first time (some 12, 31 and 21 MB).

    `root` is the folder of the real sets, laid out as torchvision does
    (``MNIST/raw/train-images-idx3-ubyte``). By default it is what the environment variable
    `VAE_TUTORIAL_DATA` names, else a folder in the user's cache; `VAE_TUTORIAL_CACHE` moves the
    cache. With ``offline="stroke-digits"`` a real set that is not available is replaced by the
    stroke digits, a notice is printed, and `name` of the result says so.

    Torchvision checks the MD5 of what it downloads. The unpacked files are checked at every
    load: MNIST and Fashion-MNIST by SHA-256, KMNIST (whose digests are not known here) only by
    size and header. A damaged file is refused even with `offline`.

    Raises `ValueError` for an unknown name, `DataUnavailableError` where a set is neither there
    nor to be downloaded, and its subclass `DamagedDataError` for a truncated or altered file.
    """
    check_names(name, ["stroke-digits", *_SOURCES], offline)
    if name == "stroke-digits":
        return _load_strokes()
    try:
        folder = _find(name, root)
    except DataUnavailableError:
        if offline is None:
            raise
        # no folder in this line: it may end up in a notebook's stored output
        print(f"Notice: {name} is not at hand and can't be downloaded. Using stroke-digits.")
        return _load_strokes()
    return _read(name, folder)


def _find(name: str, root: str | os.PathLike[str] | None) -> Path:
    """The folder with the four files of a real set, downloaded where they are missing."""
    root = data_folder(root)
    source = _SOURCES[name]
    folder = root / source.torchvision_class / "raw"
    reason = "nothing was tried"
    if _missing(folder):
        reason = _download(source.torchvision_class, root)
    if missing := _missing(folder):
        raise DataUnavailableError(
            f"{name} could not be loaded.\n"
            f"- Looked in {folder}, where these files are missing: {', '.join(missing)}.\n"
            f"- Tried to download them there: {reason}.\n"
            "Ways out: connect to the network; name a folder that holds the files by root= or by "
            'the environment variable VAE_TUTORIAL_DATA; or pass offline="stroke-digits", to '
            "use the embedded digits where this set is not available."
        )
    return folder


def _missing(folder: Path) -> list[str]:
    return [file for file, _ in _FILES if not (folder / file).is_file()]


def _download(torchvision_class: str, root: Path) -> str:
    """Let torchvision fetch a set, without its chatter. Returns what came of it, in words."""
    timeout = socket.getdefaulttimeout()
    try:
        from torchvision import datasets  # here, since it takes a second to import

        socket.setdefaulttimeout(timeout or 30)  # or a network that drops packets hangs us
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            getattr(datasets, torchvision_class)(root, download=True)
    except Exception as error:  # urllib, ssl, http, gzip and torchvision each have their own
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    finally:
        socket.setdefaulttimeout(timeout)
    return "it ended without an error, yet left no files"


def _read(name: str, folder: Path) -> Images:
    source = _SOURCES[name]
    tensors = [
        _read_idx(folder / file, shape, digest)
        for (file, shape), digest in zip(_FILES, source.sha256, strict=True)
    ]
    train, test = (
        ImageSet(images.unsqueeze(1), labels.long(), source.class_names)
        for images, labels in (tensors[:2], tensors[2:])
    )
    return Images(name, train, test)


def _read_idx(path: Path, shape: tuple[int, ...], sha256: str | None) -> Tensor:
    """Read a file of bytes in the idx format, refusing any that is not the published one.

    The header is two zeros, 8 for unsigned bytes, the number of dimensions, and each dimension
    as four bytes, most significant first. What is checked is what is parsed: one read.
    """
    content = path.read_bytes()
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    size = len(header) + math.prod(shape)
    found = hashlib.sha256(content).hexdigest()
    if len(content) != size or not content.startswith(header) or sha256 not in (None, found):
        expected = f"SHA-256 {sha256}" if sha256 else f"the idx header of shape {shape}"
        raise DamagedDataError(
            f"{path} is truncated or altered: expected {size:,} bytes with {expected}, found "
            f"{len(content):,} bytes with SHA-256 {found}. Delete this file (and the .gz beside "
            "it, if there is one) so that it is fetched again, or name another folder by root= "
            "or VAE_TUTORIAL_DATA."
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=len(header)).view(shape)


def check_names(name: str, known: list[str], offline: str | None) -> None:
    """Raise `ValueError` for an unknown set, or for a stand-in that is not `known[0]`."""
    if name not in known:
        near = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=0.0)
        raise ValueError(f"unknown name {name!r}; did you mean {near[0]!r}? Known are {known}")
    if offline not in (None, known[0]):
        raise ValueError(f'offline must be None or "{known[0]}", got {offline!r}')


def data_folder(root: str | os.PathLike[str] | None) -> Path:
    """The folder of the real sets: `root`, else what the environment names, else in the cache."""
    root = Path(root or os.environ.get("VAE_TUTORIAL_DATA") or _cache_folder() / "data")
    return root.expanduser()


def _cache_folder() -> Path:
    """Where the user's system keeps what can be made again."""
    if chosen := os.environ.get("VAE_TUTORIAL_CACHE"):
        return Path(chosen).expanduser()
    try:
        home = Path.home()
    except RuntimeError:  # a container whose user has no name and no HOME
        home = Path(tempfile.gettempdir())
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "")
        base = base if base.is_absolute() else home / ".cache"  # the standard ignores others
    return base / "vae_tutorial"


def _load_strokes() -> Images:
    """The default stroke digits, from the cache where it holds exactly them.

    Only pixels are kept, as bare bytes: labels and factors take no time to make again. The file
    is named after the pixels' digest, so versions that draw differently do not share one.
    """
    path = _cache_folder() / f"stroke-digits-{_STROKES_SHA256[:12]}.bin"
    drawn = [strokes.draw_factors(*part) for part in (_TRAIN, _TEST)]
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != _STROKES_SHA256:
        pixels = torch.cat([strokes.draw_images(*part) for part in drawn])
        _keep(path, pixels.numpy().tobytes())
    else:
        pixels = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, 1, 28, 28)
    parts = zip(pixels.split([_TRAIN[0], _TEST[0]]), drawn, strict=True)
    train, test = (
        ImageSet(images, labels, strokes.CLASS_NAMES, factors, strokes.FACTOR_NAMES)
        for images, (labels, factors) in parts
    )
    return Images("stroke-digits", train, test)


def _keep(path: Path, content: bytes) -> None:
    """Put the drawn pixels into the cache. Two processes that race write the same file."""
    try:
        write_atomically(path, content)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        warnings.warn(
            f"The stroke digits could not be cached ({reason}), so they are drawn afresh, in a "
            "few seconds, each time. VAE_TUTORIAL_CACHE can name a folder that can be written.",
            stacklevel=4,  # the caller of load_images
        )
