"""An entropy coder that works like a stack: rANS (Duda, 2013), in whole numbers alone.

A symbol of probability `width / 2**bits` costs log2(2**bits / width) bits. `push` adds symbols,
and `peek` with `drop` takes them off again, the last one first. So the coder can do something
that an ordinary file cannot: draw a symbol from *any* distribution by taking bits off the stack,
and give them back later. Bits-back coding needs exactly this.

Every state is a 64-bit whole number. Additions, shifts, divisions and remainders of such numbers
are the same on every machine, and so is every file.
"""

from __future__ import annotations

import numpy as np

from vae_tutorial.arguments import whole_number

LOW = 1 << 31  # a state lies in [LOW, LOW << 32)
WORD = 32  # bits that a full state sheds


class StackEmptyError(ValueError):
    """More was taken off a stack than had been pushed."""


class Stack:
    """A message: `lanes` states side by side, above the words that they have shed.

    One call handles one symbol in each of the first N lanes, N ≤ `lanes`. A symbol is the slots
    [start, start + width) of 2**bits slots in all, with at most 31 bits: with more, a state would
    not know when it is full.

    - `lend=True` lets an empty stack lend words of a fixed sequence; `lent` counts them. The first
      image of a bits-back chain takes its latent variables from these.
    """

    def __init__(self, lanes: int, lend: bool = False) -> None:
        self.heads = np.full(whole_number("lanes", lanes), LOW, np.uint64)
        self.lend, self.lent = lend, 0
        self._words = np.zeros(1024, np.uint32)
        self._count = 0

    @property
    def words(self) -> np.ndarray:
        """The words shed so far, the oldest first: uint32 `(W,)`."""
        return self._words[: self._count]

    def push(self, starts: np.ndarray, widths: np.ndarray, bits: int) -> None:
        """Add one symbol to each of the first N lanes: `starts`, `widths` are uint64 `(N,)`.

        Raises `TypeError` for other numbers, `ValueError` for a symbol without slots, or outside
        the 2**bits.
        """
        _require_slots(starts, widths, bits)
        states = self.heads[: len(starts)]
        full = states >= widths << np.uint64(63 - bits)
        self.shed(states[full].astype(np.uint32))  # the lower half
        states[full] >>= np.uint64(WORD)
        whole, rest = np.divmod(states, widths)
        states[:] = (whole << np.uint64(bits)) + rest + starts

    def peek(self, lanes: int, bits: int) -> np.ndarray:
        """A slot in [0, 2**bits) from each of the first `lanes` lanes: uint64 `(N,)`.

        It lies in the symbol that is on top, which is what the caller has to find out.
        """
        return self.heads[:lanes] & np.uint64((1 << bits) - 1)

    def drop(self, starts: np.ndarray, widths: np.ndarray, bits: int) -> None:
        """Take the symbols off again that `peek` showed; the exact inverse of `push`.

        Raises as `push` does, and `StackEmptyError` where there are too few words, which leaves
        the stack as it was.
        """
        _require_slots(starts, widths, bits)
        slots = self.peek(len(starts), bits)
        states = widths * (self.heads[: len(starts)] >> np.uint64(bits)) + slots - starts
        short = states < LOW
        states[short] = (states[short] << np.uint64(WORD)) | self._take(int(short.sum()))
        self.heads[: len(starts)] = states

    def shed(self, words: np.ndarray) -> None:
        """Lay `words`, uint32 `(W,)`, on top of those shed before."""
        if self._count + len(words) > len(self._words):
            room = np.zeros(len(self._words) + len(words), np.uint32)
            self._words = np.concatenate([self._words, room])
        self._words[self._count : self._count + len(words)] = words
        self._count += len(words)

    def _take(self, count: int) -> np.ndarray:
        missing = count - self._count
        if missing > 0:
            if not self.lend:
                raise StackEmptyError(
                    f"the stack holds {self._count} words, and {count} are needed. Was it made "
                    "with the same probabilities in the reverse order?"
                )
            # They go below what there is, and are wanted in this order.
            self._words = np.concatenate([lent_words(self.lent, missing), self._words])
            self._count, self.lent = count, self.lent + missing
        self._count -= count
        return self._words[self._count : self._count + count].astype(np.uint64)


def _require_slots(starts: np.ndarray, widths: np.ndarray, bits: int) -> None:
    for name, values in (("starts", starts), ("widths", widths)):
        if not isinstance(values, np.ndarray) or values.dtype != np.uint64:
            found = getattr(values, "dtype", type(values).__name__)
            raise TypeError(f"{name} must be an array of uint64, got {found}: .astype(np.uint64)")
    whole = np.uint64(1 << bits)
    if not widths.all() or ((widths > whole) | (starts > whole - widths)).any():
        raise ValueError(
            f"each symbol must have a width of at least 1, and lie within the 2**{bits} slots"
        )


def lent_words(first: int, count: int) -> np.ndarray:
    """Words number `first` + `count` − 1 down to `first` of a fixed sequence that looks random."""
    n = np.arange(first, first + count, dtype=np.uint64)[::-1] + np.uint64(1)
    mixed = n * np.uint64(0x9E3779B97F4A7C15)  # the golden ratio times 2**64; wraps around
    mixed ^= mixed >> np.uint64(32)
    return ((mixed * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(32)).astype(np.uint32)
