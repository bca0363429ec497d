"""The file: a header that says what is needed to read it, a fingerprint, and the stack."""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

import numpy as np

from vae_tutorial.compress.rans import LOW, WORD, Stack, lent_words

MAGIC = b"VAEbits"  # … and a byte that says what the pixels are
BINARY, GREY = 1, 2
PIXELS = {BINARY: "zeros and ones", GREY: "grey levels"}
HEADER = struct.Struct("<7sB8sIHHHHI8s")  # … and a fingerprint of everything before and after
MOST_LANES = MOST_SIDE = 2**16 - 1  # what the header has room for


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


def pack(header: Header, stack: Stack, kind: int = BINARY) -> bytes:
    """The bytes of a file; `kind` is BINARY or GREY."""
    body = stack.heads.astype("<u8").tobytes() + stack.words.astype("<u4").tobytes()
    fields = (MAGIC, kind, header.model, header.count, *header.shape, header.lanes, header.lent)
    bare = HEADER.pack(*fields, bytes(8))
    return HEADER.pack(*fields, fingerprint(bare + body)) + body


def unpack(
    content: bytes, model: bytes, shape: tuple[int, ...], lanes: int, kind: int = BINARY
) -> tuple[Header, Stack]:
    """Header and stack of a file, or `DamagedFileError`, which says what is wrong.

    `model`, `shape`, `lanes` and `kind` are those of the codec, and the file's must be the same.
    """
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"content must be the bytes of a file, got {type(content).__name__}")
    content = bytes(content)
    if content[: len(MAGIC)] != MAGIC:
        raise DamagedFileError(
            f"this is no file of compressed images: it begins with {content[:7]!r}, not {MAGIC!r}"
        )
    if len(content) < HEADER.size:
        raise DamagedFileError(
            f"the file ends within its header, after {len(content)} of {HEADER.size} bytes"
        )
    _, pixels, theirs, count, *sides, states, lent, stated = HEADER.unpack_from(content)
    body = content[HEADER.size :]
    fields = (MAGIC, pixels, theirs, count, *sides, states, lent)
    found = fingerprint(HEADER.pack(*fields, bytes(8)) + body)
    if found != stated:
        raise DamagedFileError(
            f"the file is damaged or cut short: its fingerprint is {found.hex()}, and it should "
            f"be {stated.hex()}. Copy it again from where it came."
        )
    if pixels != kind:
        raise DamagedFileError(
            f"the file holds {PIXELS.get(pixels, f'pixels of the unknown kind {pixels}')}, and "
            f"this model describes {PIXELS[kind]}"
        )
    if theirs != model:
        raise DamagedFileError(
            f"the file was made with another model: its fingerprint is {theirs.hex()}, and this "
            f"model's is {model.hex()}. Only the model that made a file can read it."
        )
    if (*sides, states) != (*shape, lanes):
        raise DamagedFileError(
            f"the header speaks of images {tuple(sides)} in {states} lanes, and this model's are "
            f"{tuple(shape)} in {lanes}"
        )
    return Header(theirs, count, tuple(sides), lanes, lent), _stack_of(body, lanes)


def is_at_rest(stack: Stack, lent: int) -> bool:
    """Whether nothing is left on a stack but the `lent` words that it was lent."""
    if len(stack.words) != lent:  # before a list of that length is made: a forger may say 2**32
        return False
    return bool((stack.heads == LOW).all()) and np.array_equal(stack.words, lent_words(0, lent))


def _stack_of(body: bytes, lanes: int) -> Stack:
    """The stack in what follows a header: `lanes` states of 8 bytes, then words of 4."""
    heads = 8 * lanes
    if len(body) < heads or len(body) % 4:
        raise DamagedFileError(
            f"{len(body)} bytes follow the header, which are no {lanes} states and whole words"
        )
    stack = Stack(lanes)
    stack.heads[:] = np.frombuffer(body[:heads], "<u8")
    if (stack.heads < LOW).any() or (stack.heads >= LOW << WORD).any():
        raise DamagedFileError("a state in the file lies outside the range that a coder keeps")
    stack.shed(np.frombuffer(body[heads:], "<u4"))
    return stack
