"""Generated tones against their own recipe, spectra against one long Fourier transform."""

import math

import pytest
import torch

from vae_tutorial.data import tones

SPECTRA = torch.full((5, tones.BINS), -10.0)


def tone(pitch, brightness=-6.0, hollowness=0.0, **settings):
    factors = torch.tensor([[pitch, brightness, hollowness]])
    return tones.play(factors, **{"noise": 0.0, **settings})[0]


def strength_at(wave, frequency):
    """The amplitude of a sine of this frequency in a long wave, by its inner products."""
    t = torch.arange(len(wave), dtype=torch.float64) / tones.RATE
    angle = 2 * math.pi * frequency * t
    c, s = (wave.double() @ angle.cos(), wave.double() @ angle.sin())
    return 2 / len(wave) * torch.hypot(c, s).item()


@pytest.mark.parametrize("pitch", [0.0, 7.0, 12.0, 24.0])
def test_the_fundamental_is_where_the_pitch_says(pitch):
    """Found by the peak of a Fourier transform of eight seconds, to an eighth of a hertz."""
    wave = tone(pitch, -12.0, samples=8 * tones.RATE)
    peak = torch.fft.rfft(wave).abs().argmax().item() / 8
    assert peak == pytest.approx(110 * 2 ** (pitch / 12), abs=1 / 8)


def test_levels_of_the_harmonics():
    """Slope in dB per octave, even ones lowered, at 220 Hz in whole periods."""
    wave = tone(12.0, -9.0, 20.0, samples=tones.RATE)
    level = [20 * math.log10(strength_at(wave, 220.0 * k)) for k in (1, 2, 3, 4)]
    fall = [level[0] - each for each in level[1:]]
    assert fall == pytest.approx([9 + 20, 9 * math.log2(3), 18 + 20], abs=0.05)
    assert strength_at(wave, 330.0) < 1e-3


def test_no_harmonic_above_the_limit():
    wave = tone(24.0, -3.0, samples=tones.RATE)
    assert strength_at(wave, 440.0 * 8) > 0.05 and strength_at(wave, 440.0 * 9) < 1e-3
    low = tone(0.0, -3.0, samples=tones.RATE)
    assert strength_at(low, 110.0 * 16) > 0.05 and strength_at(low, 110.0 * 17) < 1e-3


def test_power_and_noise():
    wave = tone(5.0, samples=8 * tones.RATE)
    assert wave.square().mean().item() == pytest.approx(1, abs=0.01)
    noisy = tone(5.0, samples=8 * tones.RATE, noise=0.1)
    assert (noisy - wave).std().item() == pytest.approx(0.1, rel=0.02)


def test_draws_fill_their_ranges_and_repeat():
    waves, factors = tones.draw_tones(3000, seed=4)
    assert waves.shape == (3000, tones.SAMPLES) and factors.shape == (3000, 3)
    again = tones.draw_tones(3000, seed=4)
    assert torch.equal(waves, again.waves) and torch.equal(factors, again.factors)
    assert not torch.equal(factors, tones.draw_tones(3000, seed=5).factors)
    for column, (low, high) in zip(factors.T, tones.RANGES, strict=True):
        assert low <= column.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < column.max() <= high
        assert column.var().item() == pytest.approx((high - low) ** 2 / 12, rel=0.06)
    assert (torch.corrcoef(factors.T) - torch.eye(3)).abs().max() < 0.08  # 4 standard errors


def test_phases_change_the_wave_and_not_the_spectrum():
    factors = tones.draw_tone_factors(100)
    one, two = tones.play(factors, 1), tones.play(factors, 2)
    assert (one - two).square().mean() > 1.5  # two independent waves of power 1 would have 2
    gap = tones.spectrum(one) - tones.spectrum(two)
    assert gap.square().mean().sqrt() < 0.5


def test_a_sine_at_the_centre_of_a_bin_is_zero_decibels():
    centre = tones.bin_frequencies()
    assert centre[24].item() == pytest.approx(2 * centre[0].item())
    t = torch.arange(tones.SAMPLES) / tones.RATE
    for index in (5, 40, 100):
        wave = 2**0.5 * torch.sin(2 * math.pi * centre[index] * t + 1)
        found = tones.spectrum(wave[None])[0]
        assert found.argmax() == index and found[index].item() == pytest.approx(0, abs=0.1)
        assert tones.spectrum(0.1 * wave[None])[0, index].item() == pytest.approx(-20, abs=0.1)


def test_silence_has_the_floor():
    silence = tones.spectrum(torch.zeros(1, tones.SAMPLES))
    assert torch.allclose(silence, torch.tensor(tones.FLOOR))
    assert tones.resound(silence).abs().max() == 0


def test_an_octave_moves_a_spectrum_by_24_bins():
    """Only the levels change a little, since all harmonics share a power of 1."""
    low, high = (tones.spectrum(tone(pitch, -14.0)[None])[0] for pitch in (5.0, 17.0))
    at = low.topk(1).indices.item()
    assert high.argmax() == at + 24
    peaks = [at + round(24 * math.log2(k)) for k in (1, 2, 3)]
    for k in peaks:
        assert high[k + 24].item() == pytest.approx(low[k].item(), abs=4)


def test_the_way_back_has_the_pitch_and_the_spectrum():
    factors = tones.draw_tone_factors(50, seed=2)
    decibels = tones.spectrum(tones.play(factors))
    waves = tones.resound(decibels, 4 * tones.RATE)
    assert waves.square().mean(1).sub(1).abs().max() < 0.05
    found = torch.fft.rfft(waves).abs().argmax(1) / 4  # the fundamental is the loudest here
    wanted = 110 * 2 ** (factors[:, 0] / 12)
    assert (12 * torch.log2(found / wanted)).abs().max() < 0.25  # semitones
    again = tones.spectrum(waves[:, : tones.SAMPLES])
    assert (again - decibels).square().mean().sqrt() < 1.5


def test_the_highest_peak_is_the_fundamental():
    waves, factors = tones.draw_tones(2000, seed=6)
    gap = tones.peak_pitch(tones.spectrum(waves)) - factors[:, 0]
    assert gap.abs().max() < 0.3


def test_whole_bins_of_transposing_are_a_shift():
    decibels = torch.randn(2, tones.BINS)
    up = tones.transpose(decibels, torch.tensor([2.0, -1.0]))  # 4 bins up, 2 down
    assert torch.allclose(up[0, 4:], decibels[0, :-4]) and (up[0, :4] == tones.FLOOR).all()
    assert torch.allclose(up[1, :-2], decibels[1, 2:]) and (up[1, -2:] == tones.FLOOR).all()
    between = tones.transpose(decibels, torch.tensor([0.25, 0.0]))  # half a bin
    assert torch.allclose(between[0, 1:], (decibels[0, 1:] + decibels[0, :-1]) / 2, atol=1e-5)
    assert torch.allclose(between[1], decibels[1], atol=1e-5)


def test_a_fade_starts_and_ends_with_silence():
    wave = tones.fade(torch.ones(2, 4000), 0.05)
    assert wave[:, 0].abs().max() == wave[:, -1].abs().max() == 0
    assert wave[:, 400:-400].min() == 1 and wave[0, 200].item() == pytest.approx(0.5)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: tones.draw_tones(0), "count must be a whole number"),
    (lambda: tones.draw_tones(3, seed=-1), "seed must be a whole number"),
    (lambda: tones.play(torch.zeros(4)), r"factors must be \(N, 3\)"),
    (lambda: tones.play(torch.tensor([[30.0, -6.0, 0.0]])), "pitch must lie between 0 and 24"),
    (lambda: tones.play(torch.tensor([[3.0, 6.0, 0.0]])), "brightness must lie between -18 and -3"),
    (lambda: tones.play(torch.tensor([[3.0, float("nan"), 0.0]])), "brightness must lie"),
    (lambda: tones.spectrum(torch.zeros(2, 500)), r"waves must be \(N, 1024\).*unfold"),
    (lambda: tones.resound(torch.zeros(2, 64)), r"decibels must be \(N, 128\)"),
    (lambda: tones.fade(torch.zeros(1, 9), 0), "seconds must be a positive"),
    (lambda: tones.transpose(SPECTRA, torch.ones(1)), r"semitones must be \(5,\), got \(1,\)"),
    (lambda: tones.transpose(SPECTRA.repeat(1, 2), torch.ones(5)), r"decibels .*got \(5, 256\)"),
    (lambda: tones.transpose(SPECTRA[:, :64], torch.ones(5)), r"decibels must be \(N, 128\)"),
    (lambda: tones.transpose(SPECTRA, torch.full((5,), math.nan)), "semitones must be finite"),
    (lambda: tones.peak_pitch(SPECTRA[0]), r"decibels must be \(N, 128\), got \(128,\)"),
    (lambda: tones.resound(SPECTRA * math.nan), "decibels must be finite"),
    (lambda: tones.resound(SPECTRA.index_fill(1, torch.tensor(9), -math.inf)), "must be finite"),
])  # fmt: skip
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: tones.transpose(SPECTRA, 3.0), r"semitones must be a tensor \(5,\), got float"),
    (lambda: tones.play([[3.0, -6.0, 0.0]]), "factors must be a tensor .*list.*as_tensor"),
    (lambda: tones.spectrum(SPECTRA.numpy()), "waves must be a tensor .*ndarray"),
])  # fmt: skip
def test_what_is_no_tensor_is_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("kind", [torch.float64, torch.int16])
def test_spectra_of_waves_in_other_types(kind):
    waves = (1000 * tones.draw_tones(3).waves).round()
    found = tones.spectrum(waves.to(kind))
    assert torch.allclose(found.float(), tones.spectrum(waves), atol=1e-3)
