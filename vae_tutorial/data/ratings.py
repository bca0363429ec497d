"""Ratings of films by users: MovieLens 100k, and a generated set whose factors are known.

MovieLens 100k (Harper and Konstan, 2015) has 100,000 ratings, 1 to 5, by 943 users of 1,682
films. GroupLens allows its use for research and forbids passing it on; so the package brings no
copy of it, and fetches it from GroupLens where it is wanted.
"""

from __future__ import annotations

import hashlib
import io
import os
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number
from vae_tutorial.data.images import (
    DamagedDataError,
    DataUnavailableError,
    check_names,
    data_folder,
)
from vae_tutorial.files import write_atomically

ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
_ZIP_MD5 = "0e33842e24a9c977be4e0107933c0723"  # as GroupLens publishes it
_TABLE_SHA256 = "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"  # of u.data
_HEADER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"  # RecBole adds it
_PLACES = ("ml-100k/u.data", "ml-100k.inter", "*/ml-100k.inter", "*/*/ml-100k.inter")
_USERS, _FILMS = 943, 1682


class Ratings(NamedTuple):
    """What `load_ratings` returns: `name` is the set that was really loaded.

    `table` is `(U, I)` uint8, a row for each user and a column for each film: 1 to 5, and 0
    where the user gave no rating. `taste` `(U, I)` is log p(next film | user) of the generated
    set, and `film_taste` `(I, D + 1)` the films' true factors and, last, their popularity; for a
    real set, where nobody knows them, both are `None`.
    """

    name: str
    table: Tensor
    taste: Tensor | None = None
    film_taste: Tensor | None = None


def load_ratings(
    name: str = "taste-ratings",
    root: str | os.PathLike[str] | None = None,
    offline: str | None = None,
) -> Ratings:
    """Load a table of ratings.

    - ``"taste-ratings"``: `draw_ratings()`, generated in a moment, with the true tastes.
    - ``"movielens-100k"``: 100,000 real ratings, downloaded from GroupLens the first time (5 MB).

    `root` is the folder of the real set, with GroupLens's own ``ml-100k/u.data`` or RecBole's
    ``ml-100k.inter``. By default it is what the environment variable `VAE_TUTORIAL_DATA` names,
    else a folder in the user's cache. With ``offline="taste-ratings"`` the real set, where it is
    not available, is replaced by the generated one, a notice is printed, and `name` of the
    result says so.

    The download is checked by its MD5, which GroupLens publishes, and the table by its SHA-256
    at every load. A damaged file is refused even with `offline`.

    Raises `ValueError` for an unknown name, `DataUnavailableError` where the set is neither
    there nor to be downloaded, and its subclass `DamagedDataError` for an altered file.
    """
    check_names(name, ["taste-ratings", "movielens-100k"], offline)
    if name == "taste-ratings":
        return draw_ratings()
    try:
        path = _find(root)
    except DamagedDataError:
        raise
    except DataUnavailableError:
        if offline is None:
            raise
        # no folder in this line: it may end up in a notebook's stored output
        print(f"Notice: {name} is not at hand and can't be downloaded. Using taste-ratings.")
        return draw_ratings()
    return Ratings(name, _read(path))


def draw_ratings(users: int = 1000, films: int = 600, factors: int = 4, seed: int = 0) -> Ratings:
    """A table of ratings whose tastes are known.

    User u has a taste z_u ~ N(0, I) and film i a profile w_i, each in `factors` dimensions. A
    user picks films one after the other, never one twice, with log-probability z_u · w_i + b_i
    up to a constant; b_i makes some films popular. Those films get 4 or 5. About as many others,
    picked by popularity alone, get 1 to 3: they tell nothing of the taste.
    """
    users, films = whole_number("users", users), whole_number("films", films, 100)
    factors, seed = whole_number("factors", factors), whole_number("seed", seed, 0)
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(users, factors, generator=draw)
    profile = torch.randn(films, factors, generator=draw) * (1.5 / factors**0.5)
    popular = torch.randn(films, generator=draw)
    logits = z @ profile.T + popular  # (U, I)
    count = torch.randn(users, generator=draw).mul(0.7).add(3.5).exp().long().clamp(10, films // 4)

    def picked(weights: Tensor) -> Tensor:
        """The first `count` picks without return: the largest sums with Gumbel noise."""
        noise = torch.rand(users, films, generator=draw).clamp(1e-7, 1 - 1e-7)
        place = (weights - noise.log().neg().log()).argsort(1, descending=True).argsort(1)
        return place < count.unsqueeze(1)

    liked = picked(logits)
    other = picked(popular.expand(users, -1)) & ~liked
    high = torch.randint(4, 6, (users, films), generator=draw)
    low = torch.randint(1, 4, (users, films), generator=draw)
    table = (high * liked + low * other).to(torch.uint8)
    return Ratings(
        "taste-ratings", table, logits.log_softmax(1), torch.cat([profile, popular[:, None]], 1)
    )


def _find(root: str | os.PathLike[str] | None) -> Path:
    """The file with the table, downloaded where there is none."""
    root = data_folder(root)
    for place in _PLACES:
        if found := sorted(root.glob(place)):
            return found[0]
    reason = _download(root / _PLACES[0])
    if reason:
        raise DataUnavailableError(
            f"movielens-100k could not be loaded.\n"
            f"- Looked in {root} for {', '.join(_PLACES)}.\n"
            f"- Tried to download {ADDRESS}: {reason}.\n"
            "Ways out: connect to the network; unpack that archive into a folder and name it by "
            "root= or by the environment variable VAE_TUTORIAL_DATA; or pass "
            'offline="taste-ratings", to use the generated ratings where this set is not available.'
        )
    return root / _PLACES[0]


def _download(target: Path) -> str:
    """Fetch the archive and keep its table. Returns what went wrong, in words, or nothing."""
    try:
        with urllib.request.urlopen(ADDRESS, timeout=30) as answer:
            content = answer.read()
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != _ZIP_MD5:
            return f"the archive has MD5 {found}, expected {_ZIP_MD5}"
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            write_atomically(target, archive.read("ml-100k/u.data"))
    except Exception as error:  # urllib, ssl, http and zipfile each have their own
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def _read(path: Path) -> Tensor:
    """The table `(943, 1682)` of a file of lines: user, film, rating, time."""
    try:
        content = path.read_bytes().replace(b"\r\n", b"\n").removeprefix(_HEADER)
    except OSError as error:
        raise DamagedDataError(
            f"{path} can't be read as a file: {error.strerror}. Remove what is there, so that the "
            "set is fetched again, or name another folder by root= or VAE_TUTORIAL_DATA."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != _TABLE_SHA256:
        raise DamagedDataError(
            f"{path} is truncated or altered: expected the 100,000 lines of GroupLens's u.data "
            f"with SHA-256 {_TABLE_SHA256}, found {len(content.splitlines()):,} lines with "
            f"SHA-256 {found}. Delete this file, so that it is fetched again, or name another "
            "folder by root= or VAE_TUTORIAL_DATA."
        )
    rows = np.loadtxt(io.BytesIO(content), dtype=np.int64, usecols=(0, 1, 2))
    user, film, rating = torch.from_numpy(rows).T
    table = torch.zeros(_USERS, _FILMS, dtype=torch.uint8)
    table[user - 1, film - 1] = rating.to(torch.uint8)
    return table
