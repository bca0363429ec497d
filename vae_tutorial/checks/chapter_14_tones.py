"""An exercise of chapter 14: a tone is transposed by moving its spectrum."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs


def _draw(rng: torch.Generator, *signs: int) -> list[tuple[Tensor, int, float]]:
    """Spectra above a floor, and a number of bins up (1), down (−1) or none (0)."""
    cases = []
    for count, bins, floor in ((3, 9, -50.0), (1, 12, -40.0), (4, 7, -60.0)):
        for sign in signs:
            by = sign * int(torch.randint(1, bins - 3, (), generator=rng))
            spectra = floor + 1 - floor * torch.rand(count, bins, generator=rng)
            cases.append((spectra, by, floor))
    return cases


def transposed(decibels: Tensor, bins: int, floor: float) -> Tensor:
    moved = torch.roll(decibels, bins, dims=-1)
    place = torch.arange(decibels.shape[-1]) - bins
    inside = (place >= 0) & (place < decibels.shape[-1])
    return torch.where(inside, moved, floor)


def _held_at_the_ends(decibels: Tensor, bins: int, floor: float) -> Tensor:
    place = torch.arange(decibels.shape[-1]) - bins
    return decibels[:, place.clamp(0, decibels.shape[-1] - 1)]


def _rows_moved(decibels: Tensor, bins: int, floor: float) -> Tensor:
    return torch.roll(decibels, bins, dims=0)


def _all_one_run(decibels: Tensor, bins: int, floor: float) -> Tensor:
    """Moved as one long row: what leaves one spectrum comes in at the next."""
    flat = decibels.flatten()
    place = torch.arange(len(flat)) - bins
    inside = (place >= 0) & (place < len(flat))
    return torch.where(inside, flat[place.clamp(0, len(flat) - 1)], floor).view(decibels.shape)


def _louder(decibels: Tensor, bins: int, floor: float) -> Tensor:
    return decibels + bins


TRANSPOSE = Exercise(
    name="transposed",
    call_as="transposed(decibels, bins, floor)",
    returns="spectra of the same shape, (N, F)",
    inputs=lambda rng: _draw(rng, 1, -1, 0),
    answer=transposed,
    sizes=lambda decibels, bins, floor: {"N": len(decibels), "F": decibels.shape[1]},
    properties=(
        Property("spectra moved up", 2, inputs=lambda rng: _draw(rng, 1)),
        Property("spectra moved down", 2, inputs=lambda rng: _draw(rng, -1)),
        Property("by 0 bins nothing moves", 1, inputs=lambda rng: _draw(rng, 0)),
        keeps_inputs(),
    ),
    slips=(
        ("torch.where(inside, moved, floor)", "moved",
         "What leaves at one end comes in at the other. There should be silence, `floor`."),
        ("torch.where(inside, moved, floor)", "torch.where(inside, moved, 0.0)",
         "Silence is not 0 dB, which is as loud as a full sine. Fill the gap with `floor`."),
    ),
    suspects=(
        Suspect(lambda d, bins, floor: transposed(d, -bins, floor),
                "Here your spectra move the other way. Positive `bins` move them up, to larger "
                "indices, and negative ones move them down."),
        Suspect(_held_at_the_ends,
                "You repeat the last bin at the end. Silence, `floor`, comes in there."),
        Suspect(_rows_moved, "You moved tones, not bins: the bins are the last axis."),
        Suspect(_all_one_run,
                "What leaves one spectrum comes in at the next. Move each row for itself."),
        Suspect(_louder, "You added to the levels, which makes the tone louder. Move the bins."),
        Suspect(lambda d, bins, floor: transposed(d, bins + (bins > 0) - (bins < 0), floor),
                "You moved by one bin too many."),
        Suspect(lambda d, bins, floor: transposed(d, 2 * bins, floor),
                "You moved by twice as many bins as asked."),
    ),
)  # fmt: skip
