"""Live figures: drawn by a script in the page, moved by hand, without network and packages.

    vt.live.figure("bound")

In a notebook, on Colab too, the output holds everything that the figure needs. In the book it is
the still picture alone, and `_ext/live.py` adds the scripts to the page. The scripts are in this
folder; `core.js` says how one is written. `pack` writes a network for them.
"""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SHARED = ("core", "nn")


@dataclass(frozen=True)
class Kind:
    """What a live figure consists of, apart from the shared scripts."""

    description: str
    """What it shows: the text alternative of its still picture, `<name>.png`."""

    size: tuple[int, int]
    """Width and height of the still picture on the page, in CSS pixels."""

    data: tuple[str, ...] = ()
    """What it loads by `live.load`, `<name>.js` each: data, and scripts that figures share."""

    narrow: int = 0
    """Height of the live figure on a phone, in CSS pixels, kept free there until it is live."""


KINDS: dict[str, Kind] = {
    "bound": Kind(
        "The posterior of one image over the code z, which has two humps, and a normal q that can "
        "be moved. Below, a bar: the log probability of the image, divided into the ELBO of q and "
        "the divergence from q to the posterior.",
        (714, 529),
        ("bound-math", "bound-drawing"),
        narrow=790,
    ),
    "trick": Kind(
        "Twenty noise values, each joined to its sample of z, and a function f of z. Left: the "
        "samples move with μ and σ. Right: they stay, and are weighed by their score. Below: both "
        "estimates of the derivative from each sample, and their variances.",
        (714, 639),
        ("trick-math", "trick-drawing"),
        narrow=1250,
    ),
    "explorer": Kind(
        "A map of a latent space of two dimensions: the codes of 2,000 test digits, a mark for "
        "each, in regions named 0 to 9. At its side the digit that the decoder draws at a chosen "
        "point z of the map.",
        (714, 463),
        ("mnist-2d", "small-vae", "latent-map"),
        narrow=870,
    ),
    "draw": Kind(
        "A drawn digit; the same in 28 by 28 pixels, grey and binary; the place and the spread of "
        "its posterior on the map of the latent space; the reconstruction; log p(x given z), KL "
        "and ELBO in nats.",
        (714, 814),
        ("mnist-2d", "small-vae", "latent-map", "pen"),
        narrow=1500,
    ),
    "trainer": Kind(
        "A VAE after 3,000 training steps: controls, a map of 400 test digits in its two latents, "
        "100 decoded codes, curves of −ELBO and its terms, and ten test digits with their "
        "reconstructions.",
        (714, 817),
        ("train", "trainer-measure", "trainer-panels", "small-digits"),
        narrow=1564,
    ),
}


def kind(name: str) -> Kind:
    """The entry of `KINDS`; raises `ValueError` for a name that it does not have."""
    if name not in KINDS:
        raise ValueError(f"name must be one of {sorted(KINDS)}, got {name!r}")
    return KINDS[name]


class LiveFigure:
    """A live figure as Jupyter, Colab and the book show it."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name, self.options, self.kind = name, dict(options), kind(name)

    def still(self) -> str:
        """The element with the still picture; a page's scripts make it live."""
        picture = base64.b64encode((FOLDER / f"{self.name}.png").read_bytes()).decode()
        return element(self.name, self.options, f"data:image/png;base64,{picture}")

    def whole(self) -> str:
        """The element with its style, scripts and data: it needs nothing from the page."""
        scripts = [*SHARED, *self.kind.data, self.name]
        parts = [f"<style>{(FOLDER / 'live.css').read_text(encoding='utf-8')}</style>"]
        parts.append(self.still())
        parts += [f"<script>{_script(name)}</script>" for name in scripts]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        # tools/run_chapters.py sets it: a stored page brings the scripts itself
        return self.still() if os.environ.get("VAE_TUTORIAL_STILL") else self.whole()

    def __repr__(self) -> str:
        return f"<live figure {self.name!r}: shown by Jupyter and Colab>"


def element(name: str, options: Mapping[str, Any], picture: str) -> str:
    """The HTML of a figure that is not live yet; `picture` is the address of its picture."""
    about = kind(name)
    width, height = about.size
    return (
        f'<div class="live-figure" data-live="{name}" style="--live-narrow: {about.narrow}px" '
        f'data-options="{html.escape(json.dumps(dict(options)))}">'
        f'<img class="live-picture" src="{picture}" width="{width}" height="{height}" '
        f'alt="{html.escape(about.description)}"></div>'
    )


def _script(name: str) -> str:
    text = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")


def figure(name: str, **options: Any) -> LiveFigure:
    """The live figure `name` of `KINDS`; `options` are handed to its script.

    Raises `ValueError` for another name.
    """
    return LiveFigure(name, options)


def pack(name: str, networks: Mapping[str, Sequence[tuple[Any, str]]], **extra: Any) -> str:
    """The data script of dense networks: weights in float16, for `nn.js`.

    `networks` maps a name to its layers, `(torch.nn.Linear, activation)` each, where the
    activation is `"none"`, `"relu"`, `"tanh"` or `"sigmoid"`; `extra` is stored with them as JSON.
    """
    shapes: dict[str, list[dict[str, Any]]] = {}
    values = b""
    for key, layers in networks.items():
        shapes[key] = []
        for layer, activation in layers:
            shapes[key].append({
                "inputs": layer.in_features,
                "outputs": layer.out_features,
                "activation": activation,
            })  # fmt: skip
            for part in (layer.weight, layer.bias):
                values += part.detach().cpu().numpy().astype("<f2").tobytes()
    content = {"networks": shapes, "float16": base64.b64encode(values).decode(), **extra}
    return f'VaeLive.files["{name}"] = {json.dumps(content)};\n'
