"""Well-trained models that come with the package: weights in float16, loaded with one call.

    model = vt.load_pretrained("mnist-conv")

How they were made stands in `benchmarks/well_trained.py`; its measurements, with the command, the
device and the checksum of each file of weights, in `benchmarks/results/gpu/`. The files here are
written from those by `benchmarks/ship_weights.py`.

`stored_runs` gives the results of runs too long for a chapter, as `benchmarks/ship_runs.py` wrote
them from `benchmarks/results/`.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vae_tutorial.models.networks import ConvDecoder, ConvEncoder
from vae_tutorial.models.vae import VAE

FOLDER = Path(__file__).parent
CHANNELS = (16, 32)


@dataclass(frozen=True)
class Pretrained:
    """Checksum of the file of weights, sizes of the networks, and how good the model is."""

    sha256: str
    latent_dim: int
    hidden: int
    negative_elbo: float
    """Nats per image: 10,000 test images of MNIST, dynamic binarisation, 100 samples of z."""

    def build(self) -> VAE:
        sizes = (self.latent_dim, CHANNELS, self.hidden)
        return VAE(ConvEncoder(*sizes), ConvDecoder(*sizes))


PRETRAINED = {
    "mnist-conv": Pretrained(
        "4a46faea4700609225bf9a864844cb462c6c35c7b0f5986034b1bb5e4f032eab",
        32,
        256,
        90.12,
    ),
    "mnist-conv-2d": Pretrained(
        "ee1837b971843bd18328934e7cc2c4426ce7603937300ddd06c29137125ae441",
        2,
        128,
        139.36,
    ),
}


def load_pretrained(name: str, device: str | torch.device = "cpu") -> VAE:
    """A trained VAE, in float32 and in evaluation mode, on `device`.

    - `"mnist-conv"`: chapter 5's convolutional VAE, 32 latent dimensions, 124 epochs on MNIST;
      test −ELBO 90.1 nats per image.
    - `"mnist-conv-2d"`: a smaller one with two latent dimensions, for maps; 139.4 nats.

    Both were trained on the first 55,000 training images with dynamic binarisation, one seed.
    Raises `ValueError` for another name, and `RuntimeError` where the file is damaged.
    """
    if name not in PRETRAINED:
        raise ValueError(f"name must be one of {sorted(PRETRAINED)}, got {name!r}")
    which = PRETRAINED[name]
    file = FOLDER / f"{name}.npz"
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != which.sha256:
        raise RuntimeError(
            f"{file} is damaged: its checksum is not the one that was stored. "
            "Install the package again."
        )
    with np.load(io.BytesIO(content)) as arrays:
        weights = {key: torch.from_numpy(arrays[key]).float() for key in arrays.files}
    model = which.build()
    model.load_state_dict(weights)
    return model.eval().to(device)


def stored_runs(name: str) -> list[dict[str, Any]]:
    """What runs too long for a chapter gave, one dictionary for each; nats per image.

    - `"clinic_systems"`: three seeds of each step of five systems (chapter 7);
    - `"collapse"`: three seeds of each remedy against posterior collapse (chapter 6);
    - `"collapse_remedies"`: three seeds of each of eight remedies on a smaller model, after several
      numbers of `"epochs"`, with the mutual information (chapter 8);
    - `"disentangle"`: five seeds for each of four β, with scores, probes and log p(x) (chapter 8):
      `"objective"` "vae" or "tcvae", `"set"` "four" or "eight" factors; choose by both;
    - `"conditional"`: where the label goes, sevens that were never thick, and Bayes' rule beside a
      classifier (chapter 9), three seeds;
    - `"semi_supervised"`, `"stacked"`: M2, M1 and M1+M2 with 100 labels, several choices of the
      labelled images; columns of M2 after a fifth of the epochs are called "short …" (chapter 9);
    - `"transfer"`: logistic regression on features from another data set (chapter 9);
    - `"discrete"`: three seeds of each model with codes, remedy and estimator (chapter 10);
    - `"compression"`: files of all MNIST test images, and lossy codes, of four models (chapter 11);
      the first run holds the sizes of other formats too;
    - `"compression_grey"`: the same with 256 grey levels, three seeds of each likelihood (chapter
      11); the first run holds the sizes of other formats;
    - `"recommendation"`: recommenders on five splits of MovieLens 100k, and of a generated set
      with two that know the truth (chapter 13);
    - `"features"`: a pendulum steered by codes of its frames (chapter 13), three seeds;
    - `"sequences"`: VAEs over sentences and surnames, and a language model; `"molecules"`: the same
      for molecules, `"molecule_search"`: the search for a property (chapter 14), three seeds;
    - `"iwae_table"`: cells of Table 1 of Burda, Grosse and Salakhutdinov (2016), with their own
      figure as `"paper"`.

    Raises `ValueError` for another name.
    """
    sets = json.loads((FOLDER / "runs.json").read_text(encoding="utf-8"))
    if name not in sets:
        raise ValueError(f"name must be one of {sorted(sets)}, got {name!r}")
    return sets[name]
