"""Generated tones with known pitch and timbre, what a spectrum shows of them, and the way back.

A tone is a sum of sines, its harmonics, at f₀, 2 f₀, 3 f₀, … Three numbers say how it sounds;
the phases of the harmonics are drawn at random, and for a steady tone the ear hardly hears them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vae_tutorial.arguments import positive_number, whole_number
from vae_tutorial.data.tensors import check_finite, check_tensor

RATE = 8000
"""Samples in a second."""
SAMPLES = 1024
"""Samples of a window, which lasts 0.128 s."""
LOWEST = 110.0
"""The fundamental frequency, in Hz, of a pitch of 0 semitones."""
HARMONICS, HIGHEST = 16, 3600.0
"""A tone has so many harmonics at most, and none above this frequency, in Hz."""
NOISE = 0.01
"""Standard deviation of the noise; a tone has 1."""
BINS, BINS_PER_OCTAVE, FIRST_BIN = 128, 24, 98.0
"""Number of bins of a spectrum, and in an octave; the frequency of the first, in Hz."""
FLOOR = -50.0
"""A spectrum's value in dB where there is nothing."""
FACTORS = ("pitch", "brightness", "hollowness")
RANGES = ((0.0, 24.0), (-18.0, -3.0), (0.0, 30.0))
"""Pitch in semitones above `LOWEST`; brightness: the slope of the harmonics, in dB per octave;
hollowness: so many dB are taken off harmonics 2, 4, 6, …"""


class Tones(NamedTuple):
    """Windows `(N, SAMPLES)` with about unit power, and their factors `(N, 3)`."""

    waves: Tensor
    factors: Tensor


def draw_tone_factors(count: int, seed: int = 0) -> Tensor:
    """Factors `(count, 3)`, independent and uniform in `RANGES`, in the order of `FACTORS`."""
    draw = torch.Generator().manual_seed(whole_number("seed", seed, 0))
    low, high = torch.tensor(RANGES).T
    return low + (high - low) * torch.rand(whole_number("count", count), 3, generator=draw)


def play(factors: Tensor, seed: int = 0, samples: int = SAMPLES, noise: float = NOISE) -> Tensor:
    """Waves `(N, samples)` of tones with these `factors` `(N, 3)`.

    The phase of each harmonic is uniform in [0, 2π). Each tone has power 1 before noise is added.
    Raises `ValueError` for factors of another shape or outside `RANGES`.
    """
    factors = _checked(factors)
    draw = torch.Generator().manual_seed(whole_number("seed", seed, 0))
    k = torch.arange(1, HARMONICS + 1)
    pitch, slope, hollow = factors.T[..., None]  # (N, 1) each
    frequency = LOWEST * 2 ** (pitch / 12) * k  # (N, HARMONICS)
    decibel = slope * torch.log2(k) - hollow * (k % 2 == 0)
    amplitude = 10 ** (decibel / 20) * (frequency <= HIGHEST)
    amplitude = amplitude / (amplitude.square().sum(1, keepdim=True) / 2).sqrt()
    phase = 2 * math.pi * torch.rand(frequency.shape, generator=draw)
    waves = add_sines(frequency, amplitude, phase, samples)
    return waves + noise * torch.randn(waves.shape, generator=draw)


def draw_tones(count: int, seed: int = 0) -> Tones:
    """`count` tones with factors, phases and noise at random; the same for the same `seed`."""
    factors = draw_tone_factors(count, seed)
    return Tones(play(factors, seed + 1), factors)


def add_sines(frequency: Tensor, amplitude: Tensor, phase: Tensor, samples: int) -> Tensor:
    """Σ_k a_k sin(2π f_k t + φ_k) at t = 0, 1/RATE, …: from `(N, K)` to `(N, samples)`."""
    t = torch.arange(whole_number("samples", samples)) / RATE
    waves = torch.zeros(len(frequency), samples)
    for f, a, shift in zip(frequency.T, amplitude.T, phase.T, strict=True):
        waves += a[:, None] * torch.sin(2 * math.pi * f[:, None] * t + shift[:, None])
    return waves


def bin_frequencies() -> Tensor:
    """The centres of the spectrum's bins `(BINS,)`, in Hz: equal steps of pitch."""
    return FIRST_BIN * 2 ** (torch.arange(BINS) / BINS_PER_OCTAVE)


def spectrum(waves: Tensor) -> Tensor:
    """How strong each frequency is: `(N, SAMPLES)` to `(N, BINS)`, in dB.

    A Hann window, the squared magnitudes of a discrete Fourier transform, and a sum over each bin
    with triangular weights in log f. A sine of power 1 at the centre of a bin is 0 dB; `FLOOR` is
    added as a power, so that silence has a value. Raises `ValueError` for another shape.
    """
    hint = "a row is one window, and unfold cuts longer waves into windows"
    check_tensor("waves", waves, ("N", SAMPLES), hint)
    power = _power(waves)  # in the precision of the waves
    return 10 * torch.log10(power @ _filters().T.to(power.dtype) + 10 ** (FLOOR / 10))


def resound(decibels: Tensor, samples: int = RATE // 2) -> Tensor:
    """Waves `(N, samples)` to listen to from spectra `(N, BINS)`: a sine for each peak.

    A peak is a bin that is higher than both neighbours and more than 6 dB above `FLOOR`. A
    parabola through the three gives its frequency and its height. A spectrum has no phases:
    those of the sines come from a fixed draw. Power is 1 where there is any peak. Raises
    `ValueError` for another shape and for values that are not finite.
    """
    check_tensor("decibels", decibels, ("N", BINS))
    check_finite("decibels", decibels)
    left, middle, right = decibels[:, :-2], decibels[:, 1:-1], decibels[:, 2:]
    peak = (middle > left) & (middle >= right) & (middle > FLOOR + 6)
    shift = _vertex(left, middle, right)
    height = middle - (left - right) * shift / 4
    frequency = bin_frequencies()[1:-1] * 2 ** (shift / BINS_PER_OCTAVE)
    amplitude = torch.where(peak, 10 ** (height / 20), 0.0)
    total = (amplitude.square().sum(1, keepdim=True) / 2).sqrt()
    phase = 2 * math.pi * torch.rand(BINS - 2, generator=torch.Generator().manual_seed(0))
    amplitude = amplitude / total.clamp(min=1e-6)
    return add_sines(frequency, amplitude, phase.expand_as(amplitude), samples)


def peak_pitch(decibels: Tensor) -> Tensor:
    """The pitch `(N,)` of each spectrum's highest peak, in semitones above `LOWEST`.

    In these tones the fundamental is the strongest harmonic, so this is their pitch. The tones of
    many instruments have a stronger one above it, and would need another rule.
    """
    check_tensor("decibels", decibels, ("N", BINS))
    index = decibels[:, 1:-1].argmax(1, keepdim=True) + 1
    shift = _vertex(*(decibels.gather(1, index + step) for step in (-1, 0, 1)))
    octaves = (index + shift)[:, 0] / BINS_PER_OCTAVE + math.log2(FIRST_BIN / LOWEST)
    return 12 * octaves


def transpose(decibels: Tensor, semitones: Tensor) -> Tensor:
    """Spectra `(N, BINS)` moved up by `semitones` `(N,)`, between bins by linear interpolation.

    What comes in at an end is `FLOOR`. Raises `ValueError` for other shapes, and for `semitones`
    that are not finite.
    """
    check_tensor("decibels", decibels, ("N", BINS))
    check_tensor("semitones", semitones, (len(decibels),), "that is one number for each spectrum")
    check_finite("semitones", semitones)
    source = torch.arange(BINS) - semitones[:, None] * BINS_PER_OCTAVE / 12  # (N, BINS)
    below = source.floor()
    wide = torch.nn.functional.pad(decibels, (1, 1), value=FLOOR)
    low = wide.gather(1, (below + 1).clamp(0, BINS + 1).long())
    high = wide.gather(1, (below + 2).clamp(0, BINS + 1).long())
    return low + (source - below) * (high - low)


def fade(waves: Tensor, seconds: float = 0.02) -> Tensor:
    """The same waves `(N, T)` with a soft start and a soft end, so that they do not click."""
    ramp = torch.arange(waves.shape[-1]) / (positive_number("seconds", seconds) * RATE)
    return waves * ramp.clamp(max=1) * ramp.flip(0).clamp(max=1)


def _vertex(left: Tensor, middle: Tensor, right: Tensor) -> Tensor:
    """Where a parabola through three neighbours has its top, in steps from the middle."""
    bend = (left - 2 * middle + right).clamp(max=-1e-6)
    return ((left - right) / (2 * bend)).clamp(-0.5, 0.5)


def _power(waves: Tensor) -> Tensor:
    """Squared magnitudes `(N, 2 SAMPLES + 1)` of windowed waves; zeros at the end refine the
    steps between frequencies to a quarter."""
    window = torch.hann_window(SAMPLES)
    return torch.fft.rfft(waves * window, n=4 * SAMPLES).abs().square()


def _filters() -> Tensor:
    """The weights `(BINS, 2 SAMPLES + 1)` with which frequencies count in a bin."""
    frequency = torch.arange(2 * SAMPLES + 1) * RATE / (4 * SAMPLES)
    place = BINS_PER_OCTAVE * torch.log2(frequency.clamp(min=1) / FIRST_BIN)
    weights = (1 - (place - torch.arange(BINS)[:, None]).abs()).clamp(min=0)
    ones = torch.ones(BINS, 1)
    sines = add_sines(bin_frequencies()[:, None], 2**0.5 * ones, 0 * ones, SAMPLES)
    return weights / (_power(sines) * weights).sum(1, keepdim=True)


def _checked(factors: Tensor) -> Tensor:
    check_tensor("factors", factors, ("N", 3), f"its columns are {', '.join(FACTORS)}")
    for name, column, (low, high) in zip(FACTORS, factors.T, RANGES, strict=True):
        if not ((column >= low) & (column <= high)).all():
            raise ValueError(
                f"factors: {name} must lie between {low:g} and {high:g}, got "
                f"{column.min():g} to {column.max():g}"
            )
    return factors
