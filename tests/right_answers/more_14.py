"""More right answers to the exercises of chapter 14: tones."""

import numpy as np
import torch
from torch.nn import functional as F

# transposed


def transposed_by_slices(decibels, bins, floor):
    out = torch.full_like(decibels, floor)
    if bins >= 0:
        out[:, bins:] = decibels[:, : decibels.shape[1] - bins]
    else:
        out[:, :bins] = decibels[:, -bins:]
    return out


def transposed_by_loops(decibels, bins, floor):
    count, size = decibels.shape
    out = [[floor] * size for _ in range(count)]
    for n in range(count):
        for f in range(size):
            if 0 <= f - bins < size:
                out[n][f] = float(decibels[n, f - bins])
    return torch.tensor(out)


def transposed_by_padding(decibels, bins, floor):
    size = decibels.shape[1]
    wide = F.pad(decibels, (size, size), value=floor)
    return wide[:, size - bins : 2 * size - bins]


def transposed_by_negative_padding(decibels, bins, floor):
    return F.pad(decibels, (bins, -bins), value=floor)


def transposed_by_a_matrix(decibels, bins, floor):
    size = decibels.shape[1]
    move = torch.diag(torch.ones(size - abs(bins), dtype=decibels.dtype), bins)
    return floor + (decibels - floor) @ move


def transposed_by_roll(decibels, bins, floor):
    out = decibels.clone().roll(bins, 1)
    if bins > 0:
        out[:, :bins] = floor
    if bins < 0:
        out[:, bins:] = floor
    return out


def transposed_by_numpy(decibels, bins, floor):
    rows = np.asarray(decibels)
    gap = np.full((len(rows), abs(bins)), floor)
    parts = [gap, rows] if bins > 0 else [rows, gap]
    joined = np.concatenate(parts, axis=1)
    return joined[:, : rows.shape[1]] if bins > 0 else joined[:, -rows.shape[1] :]


RIGHT = {
    "transposed": [transposed_by_slices, transposed_by_loops, transposed_by_padding,
                   transposed_by_negative_padding, transposed_by_a_matrix, transposed_by_roll,
                   transposed_by_numpy],
}  # fmt: skip
