"""The file: a header that says what is needed to read it, a fingerprint, and the stack."""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

import numpy as np

from vae_tutorial.compress.rans import LOW, Stack

MAGIC = b"VAEbits\x01"
HEADER = struct.Struct("<8s8sIHHHHI8s")  # … and a fingerprint of everything before and after


class DamagedFileError(ValueError):
    """The bytes are not a file that this codec wrote."""


class Header(NamedTuple):
    """`model` is the model's fingerprint, `shape` that of one image, `lent` the words lent."""

    model: bytes
    count: int
    shape: tuple[int, int, int]
    lanes: int
    lent: int


def fingerprint(content: bytes) -> bytes:
    """Eight bytes that change with every change of `content`."""
    return hashlib.blake2b(content, digest_size=8).digest()


def pack(header: Header, stack: Stack) -> bytes:
    """The bytes of a file."""
    body = stack.heads.astype("<u8").tobytes() + stack.words.astype("<u4").tobytes()
    fields = (MAGIC, header.model, header.count, *header.shape, header.lanes, header.lent)
    bare = HEADER.pack(*fields, bytes(8))
    return HEADER.pack(*fields, fingerprint(bare + body)) + body


def unpack(content: bytes, model: bytes) -> tuple[Header, Stack]:
    """Header and stack of a file, or `DamagedFileError`, which says what is wrong."""
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"content must be the bytes of a file, got {type(content).__name__}")
    content = bytes(content)
    if content[: len(MAGIC)] != MAGIC:
        raise DamagedFileError(
            f"this is no file of compressed images: it begins with {content[:8]!r}, not {MAGIC!r}"
        )
    if len(content) < HEADER.size:
        raise DamagedFileError(
            f"the file ends within its header, after {len(content)} of {HEADER.size} bytes"
        )
    _, theirs, count, *shape, lanes, lent, stated = HEADER.unpack_from(content)
    body = content[HEADER.size :]
    found = fingerprint(HEADER.pack(MAGIC, theirs, count, *shape, lanes, lent, bytes(8)) + body)
    if found != stated:
        raise DamagedFileError(
            f"the file is damaged or cut short: its fingerprint is {found.hex()}, and it should "
            f"be {stated.hex()}. Copy it again from where it came."
        )
    if theirs != model:
        raise DamagedFileError(
            f"the file was made with another model: its fingerprint is {theirs.hex()}, and this "
            f"model's is {model.hex()}. Only the model that made a file can read it."
        )
    stack = Stack(lanes)
    heads = 8 * lanes
    stack.heads[:] = np.frombuffer(body[:heads], "<u8")
    stack.shed(np.frombuffer(body[heads:], "<u4"))
    return Header(theirs, count, tuple(shape), lanes, lent), stack


def is_at_rest(stack: Stack, lent: np.ndarray) -> bool:
    """Whether nothing is left on a stack but the words that it was lent."""
    return bool((stack.heads == LOW).all()) and np.array_equal(stack.words, lent)
