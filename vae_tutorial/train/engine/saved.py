"""Trained models in files: how one is described, written, and loaded again."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vae_tutorial import models
from vae_tutorial.files import write_atomically

PARTS: dict[str, tuple[str, ...]] = {
    "VAE": ("encoder", "decoder", "observation_model", "prior_module"),
    "Autoencoder": ("encoder", "decoder"),
    "MLPEncoder": (), "MLPDecoder": (), "ConvEncoder": (), "ConvDecoder": (),
    "BernoulliLikelihood": (), "ContinuousBernoulliLikelihood": (), "GaussianLikelihood": (),
    "CategoricalLikelihood": (), "MixturePrior": (),
}  # fmt: skip
"""The package's modules that a file can describe, with the attributes that are modules."""

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "MLPEncoder": ("latent_dim", "hidden", "image_shape", "heads"),
    "MLPDecoder": ("latent_dim", "hidden", "image_shape"),
    "ConvEncoder": ("latent_dim", "channels", "hidden", "image_shape", "heads"),
    "ConvDecoder": ("latent_dim", "channels", "hidden", "image_shape"),
    "Autoencoder": ("sigmoid",), "VAE": ("conditional",),
    "GaussianLikelihood": ("learned",), "CategoricalLikelihood": ("levels", "channels"),
    "MixturePrior": ("latent_dim", "components"),
}  # fmt: skip
"""Their other arguments, each an attribute of the same name."""

RENAMED = {"observation_model": "likelihood", "prior_module": "prior"}
"""Attributes whose argument has another name."""


def design_of(module: nn.Module | None) -> dict[str, Any] | None:
    """How to build `module` again, as plain values; `None` for classes of other people."""
    name = type(module).__name__
    if type(module) is not getattr(models, name, None) or name not in PARTS:
        return None
    arguments = {}
    for argument in ARGUMENTS.get(name, ()):
        value = getattr(module, argument)
        arguments[argument] = list(value) if isinstance(value, (tuple, list)) else value
    for part in PARTS[name]:
        inner = getattr(module, part)
        design = None if inner is None else design_of(inner)
        if inner is not None and design is None:
            return None
        arguments[RENAMED.get(part, part)] = design
    return {"class": name, "arguments": arguments}


def build(design: dict[str, Any]) -> nn.Module:
    """The module that `design_of` described, with new weights."""
    name = design["class"]
    if name not in PARTS:
        raise ValueError(f"no class of this package: {name!r}")
    arguments = {
        key: build(value) if isinstance(value, dict) else
        tuple(value) if isinstance(value, list) else value
        for key, value in design["arguments"].items()
    }  # fmt: skip
    return getattr(models, name)(**arguments)


def save_model(path: str | os.PathLike[str], model: nn.Module, **about: Any) -> None:
    """Write the model to `path`, whole or not at all, so that `load` can read it.

    `about` are further plain values to keep with it. Raises `OSError` where it cannot be written.
    """
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({**about, "design": design_of(model), "model": weights}, buffer)
    write_atomically(path, buffer.getvalue())


def load(
    path: str | os.PathLike[str],
    model: nn.Module | None = None,
    *,
    which: str = "last",
    device: str | torch.device = "cpu",
) -> nn.Module:
    """The trained model in `path`, in evaluation mode on `device`. No code in the file is run.

    - `path`: a checkpoint folder of `fit`, the folder of `python -m vae_tutorial train`, or a
      file from either;
    - `model`: a model of the same architecture, which gets the weights. Not needed for models
      made of the package's own parts, which are built anew;
    - `which`: `"last"` or `"best"`, the one with the lowest validation loss.

    Raises `FileNotFoundError`; `ValueError` for a damaged file, weights of another architecture
    (the model then keeps its own), or a model that has to be given.
    """
    from vae_tutorial.train.engine.checkpoints import read_checkpoint

    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a file or a folder, got {path!r}")
    file = _find(Path(path), which)
    stored = read_checkpoint(file)
    if model is None:
        if not isinstance(stored.get("design"), dict):
            raise ValueError(
                f"{file} holds a model with parts that are not this package's. Make one of the "
                "same architecture and give it as well: vt.load(path, model)"
            )
        model = build(stored["design"])
    weights = stored.get("model")
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    if not isinstance(weights, dict) or {n: v.shape for n, v in weights.items()} != shapes:
        raise ValueError(f"{file} holds weights of another architecture than {_short(model)}")
    model.load_state_dict(weights)
    return model.to(device).eval()


def _find(path: Path, which: str) -> Path:
    if which not in ("last", "best"):
        raise ValueError(f'which must be "last" or "best", got {which!r}')
    if path.is_file():
        return path
    names = [f"{which}.pt", f"checkpoints/{which}.pt"]
    if which == "last":
        names.insert(0, "model.pt")
    for name in names:
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(f"no trained model at {path}: none of {', '.join(names)} is there")


def _short(model: nn.Module) -> str:
    return type(model).__name__
