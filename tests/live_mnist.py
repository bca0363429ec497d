"""The model of the figures `explorer` and `draw`, read from its data script and run by torch."""

from __future__ import annotations

import base64
import json

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from vae_tutorial import live

ACTIVATIONS = {"none": lambda a: a, "relu": torch.relu}


class Model:
    """Encoder and decoder in float64, and what the script holds besides."""

    def __init__(self) -> None:
        text = (live.FOLDER / "mnist-2d.js").read_text(encoding="utf-8")
        self.content = json.loads(text.split(" = ", 1)[1].rstrip(";\n"))
        self.values = np.frombuffer(base64.b64decode(self.content["float16"]), "<f2")
        self.at = 0
        self.networks = {
            name: [self._layer(**layer) for layer in layers]
            for name, layers in self.content["networks"].items()
        }
        assert self.at == len(self.values)

    def _layer(self, inputs: int, outputs: int, activation: str) -> tuple[Tensor, Tensor, str]:
        return self._take(outputs, inputs), self._take(outputs), activation

    def _take(self, *shape: int) -> Tensor:
        count = int(np.prod(shape))
        part = self.values[self.at : self.at + count].astype(np.float64)
        self.at += count
        return torch.from_numpy(part).reshape(shape)

    def run(self, name: str, x: Tensor) -> Tensor:
        for weight, bias, activation in self.networks[name]:
            x = ACTIVATIONS[activation](x.double() @ weight.T + bias)
        return x

    def posterior(self, x: Tensor) -> Normal:
        mu, logvar = self.run("encoder", x).chunk(2, -1)
        return Normal(mu, (logvar / 2).exp())

    def log_px(self, z: Tensor, x: Tensor) -> Tensor:
        return Bernoulli(logits=self.run("decoder", z)).log_prob(x.double()).sum(-1)

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """The map's points (N, 2), and their classes (N,)."""
        stored = self.content["map"]
        bytes_ = np.frombuffer(base64.b64decode(stored["means"]), np.uint8)
        places = (2 * bytes_.astype(np.float64) / 255 - 1) * stored["edge"]
        return places.reshape(-1, 2), np.array(list(map(int, stored["labels"])))


def pixels_of(reader, label: str) -> Tensor:
    """What a picture of a figure shows, (784,): 0 is paper and 1 is ink, on a light page."""
    data = reader.page.evaluate(
        "label => { const c = document.querySelector(`canvas[aria-label='${label}']`);"
        "return [...c.getContext('2d').getImageData(0, 0, 28, 28).data]; }",
        label,
    )
    red = torch.tensor(data, dtype=torch.float64).reshape(784, 4)[:, 0]
    return (255 - red) / (255 - 0x1A)


def numbers(text: str) -> list[float]:
    """All numbers in a text, with a typographic minus."""
    text = text.replace("−", "-")
    words = "".join(c if c.isdigit() or c in ".-" else " " for c in text).split()
    return [float(w.rstrip(".")) for w in words if any(c.isdigit() for c in w)]
