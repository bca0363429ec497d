"""Sound on the page: players that need no network, with a name that a screen reader says."""

from __future__ import annotations

import base64
import html
import io
import wave
from collections.abc import Mapping

import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number

FIGURE = "margin: 0 0 0.8em; padding: 0.5em; background: #ffffff"  # reads on pages of both colours
CAPTION = "color: #1a1a1a; background: #ffffff; padding: 0 0 0.3em; font: inherit"
LARGEST = 60_000
"""Characters of one sound on a page, as base64."""


def wav_bytes(samples: Tensor, rate: int = 8000) -> bytes:
    """A WAV file, one channel of 16 bits, of `samples` `(T,)` at `rate` samples in a second.

    The loudest sample becomes 0.9 of what the format can hold; silence stays silent. Raises
    `TypeError` for what is no tensor, `ValueError` for another shape and for samples that are not
    finite.
    """
    rate = whole_number("rate", rate)
    if not isinstance(samples, Tensor):
        raise TypeError(
            f"samples must be a tensor (T,), got {type(samples).__name__}. An array or a list "
            "becomes one by torch.as_tensor."
        )
    if samples.ndim != 1 or not len(samples):
        raise ValueError(
            f"samples must be a tensor (T,), got {tuple(samples.shape)}; choose one row of several"
        )
    if not samples.is_floating_point():
        samples = samples.float()  # whole numbers have no |−32768| among 16 bits
    if not samples.isfinite().all():
        raise ValueError("samples must be finite, got NaN or infinity")
    loudest = samples.abs().max().clamp(min=1e-9)
    levels = (samples.detach().cpu() / loudest * 0.9 * 32767).round().to(torch.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(levels.numpy().astype("<i2").tobytes())
    return file.getvalue()


class Players:
    """One player for each sound, under its name: `Players({"a tone": samples}, rate)`.

    `sounds` maps names to samples `(T,)`. As the last line of a cell it shows the players. Each
    holds its sound as base64, so that the page plays it without a network, from disk too.
    Raises `ValueError` for a sound of more than 60,000 characters, and `TypeError` for names that
    are no texts.
    """

    def __init__(self, sounds: Mapping[str, Tensor], rate: int = 8000) -> None:
        named = isinstance(sounds, Mapping) and all(isinstance(name, str) for name in sounds)
        if not named:
            found = list(sounds) if isinstance(sounds, Mapping) else type(sounds).__name__
            raise TypeError(
                f'sounds must map names, as texts, to samples, as in {{"a tone": samples}}, got '
                f"{found}"
            )
        self.sounds = {}
        for name, samples in sounds.items():
            text = base64.b64encode(wav_bytes(samples, rate)).decode("ascii")
            if len(text) > LARGEST:
                raise ValueError(
                    f"sounds: {name!r} has {len(text):,} characters as base64, and {LARGEST:,} is "
                    f"the most; take fewer samples"
                )
            self.sounds[name] = text
        self.seconds = {name: len(samples) / rate for name, samples in sounds.items()}

    def __repr__(self) -> str:
        return "\n".join(
            f"sound: {name}, {seconds:.2f} s" for name, seconds in self.seconds.items()
        )

    def _repr_html_(self) -> str:
        figures = []
        for name, text in self.sounds.items():
            label = html.escape(name, quote=True)
            figures.append(
                f'<figure style="{FIGURE}">'
                f'<figcaption style="{CAPTION}">{label}</figcaption>'
                f'<audio controls aria-label="{label}" src="data:audio/wav;base64,{text}">'
                f"</audio></figure>"
            )
        return "\n".join(figures)
