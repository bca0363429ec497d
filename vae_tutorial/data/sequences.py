"""Sequences of tokens: a generated language, surnames of a census, and molecules as text."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import urllib.request
import zlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number
from vae_tutorial.data import toy_language
from vae_tutorial.data.images import (
    DamagedDataError,
    DataUnavailableError,
    check_names,
    data_folder,
)
from vae_tutorial.data.tensors import checked_tokens
from vae_tutorial.files import write_atomically

_SMILES_TOKEN = re.compile(r"Cl|Br|\[[^\]]*\]|%\d\d|.")


class Source(NamedTuple):
    """Where a real set comes from, and what it must hold."""

    place: str  # in the data folder
    package: str  # a small package that ships the file, and its path in there; or neither
    address: str
    sha256: str  # of the entries, one a line
    entries: int


SOURCES = {
    "surnames": Source(
        "surnames/dist.all.last",
        "names/dist.all.last",
        "https://www2.census.gov/topics/genealogy/1990surnames/dist.all.last",
        "1f11e1c64d93744297db1b47699763cf4f89d825c85458658d6ceba7c6dbeea6",
        88_799,
    ),
    "moses": Source(
        "moses/train.csv.gz",
        "moses/dataset/data/train.csv.gz",
        "https://github.com/molecularsets/moses/raw/master/moses/dataset/data/train.csv.gz",
        "7eaef3b172d05cfc7ecd898c3e991835605b438574df1334f1ddb1c8fc82ffb7",
        1_584_663,
    ),
}


class Sequences(NamedTuple):
    """What `load_sequences` returns: `name` is the set that was really loaded.

    `train`, `validation` and `test` are tokens `(N, T)` uint8. A sequence ends with the token 0,
    and zeros fill its row. `symbols` has a text for each token, the empty one for token 0, and
    `gap` stands between two texts when they are joined.
    """

    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    symbols: tuple[str, ...]
    gap: str = ""

    def texts(self, tokens: Tensor) -> list[str]:
        """Rows of tokens `(N, T)` as texts; what stands after the first 0 is left out.

        Raises `TypeError` or `ValueError` unless `tokens` are rows of tokens of the set.
        """
        rows = checked_tokens("tokens", tokens, len(self.symbols)).tolist()
        return [self.gap.join(self.symbols[i] for i in ended(row)) for row in rows]

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Texts as rows of tokens `(N, T)`, with the T of the set.

        The empty text is a row of zeros. Raises `ValueError` for a text with an unknown symbol, and
        for one that is too long; `TypeError` unless `texts` is a list of texts.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"texts must be a list of texts, as in ['one'], got {texts!r}")
        index = {symbol: i for i, symbol in enumerate(self.symbols)}
        rows = torch.zeros(len(texts), self.train.shape[1], dtype=torch.uint8)
        for n, text in enumerate(texts):
            parts = text.split(self.gap) if self.gap and text else _parts(self.name, text)
            unknown = sorted({part for part in parts if not index.get(part)})
            if unknown or len(parts) >= rows.shape[1]:
                reason = f"unknown {unknown}" if unknown else f"{len(parts)} symbols"
                raise ValueError(
                    f"texts must be made of the set's symbols, at most {rows.shape[1] - 1} of "
                    f"them, got {text!r}: {reason}"
                )
            rows[n, : len(parts)] = torch.tensor([index[p] for p in parts], dtype=torch.uint8)
        return rows


def ended(row: Sequence[int]) -> list[int]:
    """The tokens before the first 0."""
    row = list(row)
    return row[: row.index(0)] if 0 in row else row


def load_sequences(
    name: str = "toy-language",
    root: str | os.PathLike[str] | None = None,
    offline: str | None = None,
    count: int = 20_000,
) -> Sequences:
    """Load sequences of tokens: `count` to train on, 2,000 to validate and 2,000 to test.

    - ``"toy-language"``: sentences of `toy_language`, generated; their log p(x) is known.
    - ``"surnames"``: letters of the surnames in the US census of 1990, drawn from the 60,000 most
      frequent ones (public domain; fetched from the Census Bureau, 4 MB, or read from the
      package `names`).
    - ``"moses"``: molecules as SMILES, drawn from the training set of the benchmark MOSES
      (Polykovskiy et al., 2020; MIT licence; fetched from its authors, 10 MB, or read from the
      package `molsets`). A token is an atom, a bond, a bracket or a number.

    `root` is the folder of the real sets; by default it is what the environment variable
    `VAE_TUTORIAL_DATA` names, else a folder in the user's cache. With ``offline="toy-language"`` a
    real set that is not available is replaced by the generated one, a notice is printed, and
    `name` of the result says so. The entries of a file are checked by their SHA-256.

    Raises `ValueError` for an unknown name or a `count` that the set cannot give,
    `DataUnavailableError` where the set is neither there nor to be downloaded, and its subclass
    `DamagedDataError` for an altered file.
    """
    check_names(name, ["toy-language", *SOURCES], offline)
    count = whole_number("count", count)
    if name == "toy-language":
        return _toy(count)
    try:
        texts = _entries(name, data_folder(root))
    except DamagedDataError:
        raise
    except DataUnavailableError:
        if offline is None:
            raise
        # no folder in this line: it may end up in a notebook's stored output
        print(f"Notice: {name} is not at hand and can't be downloaded. Using toy-language.")
        return _toy(count)
    if name == "surnames":
        texts = [text.capitalize() for text in texts[:60_000]]
    if count + 4000 > len(texts):
        raise ValueError(f"count must be at most {len(texts) - 4000:,} for {name}, got {count:,}")
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0))
    return _numbered(name, [texts[i] for i in order[: count + 4000].tolist()], count)


def _toy(count: int) -> Sequences:
    rows = [toy_language.draw_sentences(n, seed)[0] for seed, n in enumerate((count, 2000, 2000))]
    return Sequences("toy-language", *rows, toy_language.VOCABULARY, " ")


def _parts(name: str, text: str) -> list[str]:
    return _SMILES_TOKEN.findall(text) if name == "moses" else list(text)


def _numbered(name: str, texts: list[str], count: int) -> Sequences:
    parts = [_parts(name, text) for text in texts]
    symbols = ("", *sorted({symbol for row in parts for symbol in row}))
    index = {symbol: i for i, symbol in enumerate(symbols)}
    rows = torch.zeros(len(parts), max(map(len, parts)) + 1, dtype=torch.uint8)
    for n, row in enumerate(parts):
        rows[n, : len(row)] = torch.tensor([index[symbol] for symbol in row], dtype=torch.uint8)
    train, validation, test = rows.split([count, 2000, 2000])
    return Sequences(name, train, validation, test, symbols)


def _entries(name: str, root: Path) -> list[str]:
    """The entries of a real set, from the folder, a package, or its publisher."""
    source = SOURCES[name]
    path, reason = root / source.place, ""
    if not path.exists():
        path = _in_package(source) or path
    if not path.exists():
        reason = _download(source, path)
    if reason:
        package = {"surnames": "names", "moses": "molsets"}[name]
        raise DataUnavailableError(
            f"{name} could not be loaded.\n"
            f"- Looked for {path}, and for the package {package}.\n"
            f"- Tried to download {source.address}: {reason}.\n"
            f"Ways out: connect to the network; put that file there; install the package "
            f'{package}; or pass offline="toy-language", to use generated sentences instead.'
        )
    try:
        return _checked(_parsed(path.read_bytes()), source)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ValueError) as error:
        raise DamagedDataError(
            f"{path} is truncated or altered: expected {source.entries:,} entries with SHA-256 "
            f"{source.sha256}; {error}. Delete this file, so that it is fetched again, or name "
            "another folder by root= or VAE_TUTORIAL_DATA."
        ) from error


def _in_package(source: Source) -> Path | None:
    package, inside = source.package.split("/", 1)
    found = find_spec(package)
    places = found.submodule_search_locations if found else None
    return Path(places[0]) / inside if places and (Path(places[0]) / inside).exists() else None


def _parsed(content: bytes) -> list[str]:
    """The first column of each line; a line "SMILES" at the top is a header."""
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    rows = [line.split()[0] for line in content.decode("ascii").splitlines() if line.strip()]
    return rows[1:] if rows[:1] == ["SMILES"] else rows


def _checked(entries: list[str], source: Source) -> list[str]:
    found = hashlib.sha256("\n".join(entries).encode("ascii")).hexdigest()
    if found != source.sha256:
        raise ValueError(f"found {len(entries):,} entries with SHA-256 {found}")
    return entries


def _download(source: Source, target: Path) -> str:
    """Fetch the file, if it is the right one. Returns what went wrong, in words, or nothing."""
    try:
        with urllib.request.urlopen(source.address, timeout=30) as answer:
            content = answer.read()
        _checked(_parsed(content), source)
        write_atomically(target, content)
    except Exception as error:  # urllib, ssl, http and gzip each have their own
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""
