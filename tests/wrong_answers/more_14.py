"""More wrong answers to the exercises of chapter 14: tones."""

import torch
from torch.nn import functional as F


def _move(decibels, bins, floor):
    size = decibels.shape[1]
    wide = F.pad(decibels, (2 * size, 2 * size), value=floor)
    return wide[:, 2 * size - bins : 3 * size - bins]


def transposed_in_a_circle(decibels, bins, floor):
    return decibels.roll(bins, 1)


def transposed_the_other_way(decibels, bins, floor):
    return _move(decibels, -bins, floor)


def transposed_filled_with_zeros(decibels, bins, floor):
    return _move(decibels, bins, 0.0)


def transposed_with_held_ends(decibels, bins, floor):
    places = (torch.arange(decibels.shape[1]) - bins).clamp(0, decibels.shape[1] - 1)
    return decibels[:, places]


def transposed_tones(decibels, bins, floor):
    return decibels.roll(bins, 0)


def transposed_as_one_row(decibels, bins, floor):
    return _move(decibels.reshape(1, -1), bins, floor).reshape(decibels.shape)


def transposed_only_up(decibels, bins, floor):
    return _move(decibels, abs(bins), floor)


def transposed_louder(decibels, bins, floor):
    return decibels + bins


def transposed_too_far(decibels, bins, floor):
    return _move(decibels, bins + (1 if bins > 0 else -1 if bins < 0 else 0), floor)


def transposed_twice(decibels, bins, floor):
    return _move(decibels, 2 * bins, floor)


def transposed_by_bare_slices(decibels, bins, floor):
    out = torch.full_like(decibels, floor)
    if bins > 0:
        out[:, bins:] = decibels[:, :-bins]
    elif bins < 0:
        out[:, :bins] = decibels[:, -bins:]
    return out  # silence where nothing should move


def transposed_cut(decibels, bins, floor):
    return decibels[:, bins:] if bins > 0 else decibels[:, : decibels.shape[1] + bins]


def transposed_up_in_a_circle(decibels, bins, floor):
    return decibels.roll(bins, 1) if bins > 0 else _move(decibels, bins, floor)


def transposed_down_in_a_circle(decibels, bins, floor):
    return decibels.roll(bins, 1) if bins < 0 else _move(decibels, bins, floor)


def transposed_in_place(decibels, bins, floor):
    decibels.copy_(_move(decibels, bins, floor))
    return decibels


WRONG = {
    "transposed": [
        (transposed_in_a_circle, "comes in at the other"),
        (transposed_the_other_way, "move the other way"),
        (transposed_filled_with_zeros, "Silence is not 0 dB"),
        (transposed_with_held_ends, "You repeat the last bin"),
        (transposed_tones, "the bins are the last axis"),
        (transposed_as_one_row, "Move each row for itself"),
        (transposed_only_up, "negative ones move them down"),
        (transposed_louder, "makes the tone louder"),
        (transposed_too_far, "one bin too many"),
        (transposed_twice, "twice as many bins"),
        (transposed_by_bare_slices, ""),
        (transposed_cut, ""),
        (transposed_up_in_a_circle, ""),
        (transposed_down_in_a_circle, ""),
        (transposed_in_place, "Argument 1 is changed in place"),
    ],
}
