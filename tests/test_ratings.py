"""Loading ratings: the real set's file and checksums, the way offline, the generated stand-in.

No test goes online: the download is replaced throughout this file.
"""

import hashlib
import io
import os
import urllib.error
import zipfile
from pathlib import Path

import pytest
import torch

import vae_tutorial as vt
from vae_tutorial.data import ratings
from vae_tutorial.data.images import DamagedDataError, DataUnavailableError

REAL = Path(os.environ.get("VAE_TUTORIAL_DATA") or "nowhere")
THERE = any(any(REAL.glob(place)) for place in ratings._PLACES)
LINES = b"1\t5\t3\t881250949\n2\t1682\t4\t881250950\n943\t1\t5\t881250951\n"


@pytest.fixture(autouse=True)
def no_network(tmp_path, monkeypatch):
    def refuse(address, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(ratings.urllib.request, "urlopen", refuse)
    monkeypatch.delenv("VAE_TUTORIAL_DATA", raising=False)
    monkeypatch.setenv("VAE_TUTORIAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small(monkeypatch):
    """A table of three lines passes for the real one."""
    monkeypatch.setattr(ratings, "_TABLE_SHA256", hashlib.sha256(LINES).hexdigest())


def put(root, place, content):
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("place", "header"), [
    ("ml-100k/u.data", b""), ("ml-100k.inter", ratings._HEADER),
    ("ml-100k/ml-100k.inter", ratings._HEADER), ("more/films/ml-100k.inter", ratings._HEADER),
])  # fmt: skip
def test_both_layouts(place, header, small, tmp_path):
    put(tmp_path, place, header + LINES)
    found = vt.load_ratings("movielens-100k", root=tmp_path)
    assert found.name == "movielens-100k" and found.taste is None
    assert found.table.shape == (943, 1682) and found.table.dtype == torch.uint8
    assert [found.table[0, 4], found.table[1, 1681], found.table[942, 0]] == [3, 4, 5]
    assert found.table.long().sum() == 12


def test_line_ends_of_windows(small, tmp_path):
    put(tmp_path, "ml-100k/u.data", LINES.replace(b"\n", b"\r\n"))
    assert vt.load_ratings("movielens-100k", root=tmp_path).table.count_nonzero() == 3


def test_the_folder_that_the_environment_names(small, tmp_path, monkeypatch):
    put(tmp_path, "ml-100k.inter", ratings._HEADER + LINES)
    monkeypatch.setenv("VAE_TUTORIAL_DATA", str(tmp_path))
    assert vt.load_ratings("movielens-100k").name == "movielens-100k"


def test_a_damaged_file_is_refused_even_offline(tmp_path):
    path = put(tmp_path, "ml-100k/u.data", LINES)
    with pytest.raises(DamagedDataError, match="truncated or altered") as caught:
        vt.load_ratings("movielens-100k", root=tmp_path, offline="taste-ratings")
    for part in (str(path), "3 lines", ratings._TABLE_SHA256, "Delete this file"):
        assert part in str(caught.value)


def test_a_folder_in_the_place_of_the_table(tmp_path):
    place = tmp_path / "ml-100k" / "u.data"
    place.mkdir(parents=True)
    with pytest.raises(DamagedDataError, match=r"u\.data can't be read as a file: .*Remove"):
        vt.load_ratings("movielens-100k", root=tmp_path)


def test_without_file_and_network(tmp_path):
    with pytest.raises(DataUnavailableError) as caught:
        vt.load_ratings("movielens-100k", root=tmp_path)
    for part in (str(tmp_path), "ml-100k/u.data", ratings.ADDRESS, "no network",
                 "VAE_TUTORIAL_DATA", 'offline="taste-ratings"'):  # fmt: skip
        assert part in str(caught.value)


def test_the_stand_in_says_so(tmp_path, capsys):
    found = vt.load_ratings("movielens-100k", root=tmp_path, offline="taste-ratings")
    assert found.name == "taste-ratings" and found.taste is not None
    printed = capsys.readouterr().out
    assert "Using taste-ratings" in printed and str(tmp_path) not in printed


@pytest.mark.parametrize("broken", [False, True])
def test_the_download(broken, small, tmp_path, monkeypatch):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ml-100k/u.data", LINES)
    content = stream.getvalue()
    monkeypatch.setattr(ratings, "_ZIP_MD5", hashlib.md5(content).hexdigest())
    answer = io.BytesIO(content[:-1] if broken else content)
    monkeypatch.setattr(ratings.urllib.request, "urlopen", lambda address, timeout: answer)
    if broken:
        with pytest.raises(DataUnavailableError, match="the archive has MD5"):
            vt.load_ratings("movielens-100k", root=tmp_path)
        assert not list(tmp_path.rglob("u.data"))
    else:
        assert vt.load_ratings("movielens-100k", root=tmp_path).table.count_nonzero() == 3
        assert (tmp_path / "ml-100k" / "u.data").read_bytes() == LINES


def test_unknown_names():
    with pytest.raises(ValueError, match="did you mean 'movielens-100k'"):
        vt.load_ratings("movielens")
    with pytest.raises(ValueError, match="offline must be None"):
        vt.load_ratings(offline="stroke-digits")


@pytest.mark.skipif(not THERE, reason="needs MovieLens 100k in VAE_TUTORIAL_DATA")
def test_the_real_set():
    """Counts from GroupLens's own description; the first line of its file."""
    table = vt.load_ratings("movielens-100k", root=REAL).table
    assert table.count_nonzero() == 100_000 and table[195, 241] == 3
    assert (table > 0).sum(1).min() == 20  # every user rated at least twenty films
    assert (table > 0).any(0).all() and table.max() == 5


def test_generated_ratings():
    found = vt.draw_ratings(300, 200, seed=3)
    liked, other = found.table >= 4, (found.table > 0) & (found.table < 4)
    assert found.table.shape == (300, 200) and found.table.max() == 5
    assert liked.sum(1).min() >= 10 and liked.sum(1).max() <= 50
    assert 0.3 < other.sum() / liked.sum() < 1
    assert torch.allclose(found.taste.exp().sum(1), torch.ones(300))
    assert torch.equal(found.table, vt.draw_ratings(300, 200, seed=3).table)
    assert not torch.equal(found.table, vt.draw_ratings(300, 200, seed=4).table)
    # the true taste has rank D + 1 up to each user's constant
    spread = torch.linalg.svdvals(found.taste - found.taste.mean(1, keepdim=True))
    assert spread[5] < 1e-3 * spread[4]


def test_picks_follow_the_taste():
    """Of all pairs liked/not liked of a user, the liked one has the higher log-probability more
    often; picks without return lose to exact sampling in no bin: a film with three times the
    weight is picked first three times as often."""
    found = vt.draw_ratings(4000, 100, seed=0)
    liked = found.table >= 4
    above = [(t[m][:, None] > t[~m]).double().mean() for t, m in zip(found.taste, liked)]
    assert sum(above) / len(above) > 0.8
    # expected picks given one's weight: Poisson-like inclusion 1 − exp(−c π), c solved per user
    expected = torch.zeros(4000, 100, dtype=torch.float64)
    for u in range(0, 4000, 40):
        pi, n = found.taste[u].double().exp(), int(liked[u].sum())
        low, high = 0.0, 1e9
        for _ in range(100):
            c = (low * high) ** 0.5 if low else high / 2
            low, high = (c, high) if (1 - (-c * pi).exp()).sum() < n else (low, c)
        expected[u] = 1 - (-high * pi).exp()
    some = torch.arange(0, 4000, 40)
    p, hit = expected[some].flatten(), liked[some].flatten().double()
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (p >= low) & (p < low + 0.2)
        error = 5 * (p[inside] * (1 - p[inside])).mean().sqrt() / inside.sum() ** 0.5
        assert abs(hit[inside].mean() - p[inside].mean()) < error + 0.01


def test_bad_sizes():
    with pytest.raises(ValueError, match="films must be a whole number of at least 100"):
        vt.draw_ratings(films=10)
