"""Imports all of the second ward, so that `WARD` holds it."""

from clinic import (
    second_ward_controls,
    second_ward_draws,
    second_ward_heads,
    second_ward_kl,
    second_ward_loops,
    second_ward_rest,
    second_ward_shapes,
    second_ward_states,
)
from clinic.second_ward import WARD

__all__ = [
    "WARD",
    "second_ward_controls",
    "second_ward_draws",
    "second_ward_heads",
    "second_ward_kl",
    "second_ward_loops",
    "second_ward_rest",
    "second_ward_shapes",
    "second_ward_states",
]
