"""Players of sound: the WAV file read back by the standard library, and the page's markup."""

import base64
import io
import re
import wave
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from vae_tutorial.audio import Players, wav_bytes

SINE = torch.sin(torch.arange(4000) * 0.3)


def read(content):
    with wave.open(io.BytesIO(content)) as file:
        head = (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes())
        return head, np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def test_a_file_holds_the_samples():
    head, samples = read(wav_bytes(3 * SINE, 8000))
    assert head == (1, 2, 8000, 4000)
    assert np.abs(samples - 0.9 * (SINE / SINE.abs().max()).numpy()).max() < 1 / 32767
    assert not read(wav_bytes(torch.zeros(10)))[1].any()


@pytest.mark.parametrize("samples", [
    torch.tensor([-32768, 16384, 0], dtype=torch.int16), torch.tensor([-128, 64, 0]).char(),
    torch.tensor([-2, 1, 0]),
])  # fmt: skip
def test_whole_numbers_have_no_largest_negative_one(samples):
    assert read(wav_bytes(samples))[1].tolist() == pytest.approx([-0.9, 0.45, 0], abs=1 / 32767)


def test_a_sound_of_ones_and_zeros():
    found = read(wav_bytes(torch.tensor([True, False])))[1]
    assert found.tolist() == pytest.approx([0.9, 0], abs=1 / 32767)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_players_need_no_network_and_have_names():
    shown = Players({"a < b": SINE, "low": SINE[:800]}, 8000)
    tags = Tags(shown._repr_html_())
    players = [attributes for tag, attributes in tags.found if tag == "audio"]
    assert [each["aria-label"] for each in players] == ["a < b", "low"]
    assert [text for text in tags.texts if text] == ["a < b", "low"]
    for each, samples in zip(players, (4000, 800), strict=True):
        assert "controls" in each
        kind, text = each["src"].split(",")
        assert kind == "data:audio/wav;base64"
        assert read(base64.b64decode(text))[0][-1] == samples
    assert not re.search(r"https?:", shown._repr_html_())
    assert repr(shown) == "sound: a < b, 0.50 s\nsound: low, 0.10 s"


@pytest.mark.parametrize(("call", "message"), [
    (lambda: wav_bytes(torch.zeros(2, 5)), r"samples must be a tensor \(T,\), got \(2, 5\)"),
    (lambda: wav_bytes(torch.zeros(0)), "samples must be a tensor"),
    (lambda: wav_bytes(torch.tensor([1.0, float("nan")])), "samples must be finite"),
    (lambda: wav_bytes(SINE, 0), "rate must be a whole number"),
    (lambda: Players({"long": torch.zeros(30_000)}), "'long' has 80,060 characters"),
])  # fmt: skip
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: wav_bytes(SINE.numpy()), "samples must be a tensor .*ndarray.*as_tensor"),
    (lambda: wav_bytes([0.0, 1.0]), "samples must be a tensor .*list"),
    (lambda: Players({1: SINE}), r"sounds must map names, as texts.*\[1\]"),
    (lambda: Players([SINE]), "sounds must map names, .*got list"),
])  # fmt: skip
def test_what_is_no_sound_is_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()
