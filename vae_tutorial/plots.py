"""The book's figures in one style. Every function draws into `ax` (or a new figure) and returns it.

Colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart,
and lines differ in their dashes, points in their markers too. Figures have an opaque white face,
so they read the same on a light and on a dark page.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from cycler import cycler
from matplotlib.axes import Axes
from torch import Tensor, nn

from vae_tutorial.arguments import whole_number
from vae_tutorial.data.batches import float_batch
from vae_tutorial.data.image_set import ImageSet
from vae_tutorial.models.discrete import CodeVAE
from vae_tutorial.models.vae import VAE, mean_of
from vae_tutorial.objectives import is_conditional
from vae_tutorial.train.history import History

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")

GAP = 2  # pixels of white between the images of a grid

STYLE = {
    "figure.figsize": (6.4, 3.6),
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=DASHES),
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "font.size": 10,
    "legend.frameon": False,
    "image.cmap": "gray_r",  # ink on paper
    "lines.linewidth": 1.8,
}


def use_style() -> None:
    """Set matplotlib's defaults to the book's style, for this process.

    In a notebook, figures get two pixels for one, so that they are sharp on today's screens.
    """
    plt.rcParams.update(STYLE)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if getattr(shell, "kernel", None) is not None:  # Jupyter, Colab
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")


def images(
    batch: Tensor | ImageSet,
    columns: int | None = None,
    title: str = "",
    row_labels: Sequence[str] = (),
    value_range: tuple[float, float] = (0.0, 1.0),
    ax: Axes | None = None,
) -> Axes:
    """A grid of images: grey `(N, 1, H, W)`, where 0 is paper and 1 is ink, or colour
    `(N, 3, H, W)`.

    `uint8` images are divided by 255 first. `columns` is by default what makes the grid some two
    and a half times as wide as high; `row_labels` stand at the left of each row; `value_range` are
    the values that are shown as 0 and 1, `(-1, 1)` or `(0, 15)`, say.

    Raises `TypeError` for anything but images, `ValueError` for another shape, another number of
    `row_labels` than of rows, or values that lie far outside `value_range` and would be shown as a
    wrong picture.
    """
    pictures = _checked_pictures(batch, value_range)
    columns = None if columns is None else whole_number("columns", columns)
    count, channels, height, width = pictures.shape
    columns = min(count, columns or round(math.sqrt(2.5 * count)))
    rows = math.ceil(count / columns)
    if len(row_labels) not in (0, rows):
        raise ValueError(
            f"row_labels must have one entry for each of the {rows} rows of {columns} images, got "
            f"{len(row_labels)}"
        )
    size = rows * (height + GAP) - GAP, columns * (width + GAP) - GAP
    sheet = torch.full((channels, *size), float(channels == 3))  # white between the images
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        sheet[:, top : top + height, left : left + width] = picture
    if ax is None:
        letters = max((len(line) for label in row_labels for line in label.split("\n")), default=0)
        scale = (6.4 - 0.09 * letters) / max(columns, 8)  # inches for one image
        _, ax = plt.subplots(figsize=(6.4, rows * scale + 0.35 * bool(title) + 0.1))
    shown = sheet[0] if channels == 1 else sheet.movedim(0, -1)  # (H, W) or (H, W, 3)
    ax.imshow(shown.numpy(), vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    if row_labels:
        ax.set_yticks([(height + GAP) * r + height / 2 for r in range(rows)], row_labels)
        ax.tick_params(axis="y", length=0)
    return ax


def samples(model: VAE, count: int = 60, temperature: float = 1.0, ax: Axes | None = None) -> Axes:
    """Images drawn from the model: z from the prior, the mean of p(x | z).

    Raises `TypeError` for a model that draws none, or needs a condition y to do so, `ValueError`
    for a `temperature` other than 1 where z are codes.
    """
    if not callable(getattr(model, "sample", None)) or isinstance(model, type):
        raise TypeError(f"model must be a VAE, got {type(model).__name__}: there is no sample()")
    _refuse_condition(model, "vt.plots.images(model.sample(count, y=y))")
    codes = isinstance(model, CodeVAE)
    if codes and temperature != 1:
        raise ValueError(f"temperature must be 1 for a model with codes, got {temperature!r}")
    low, high = _range_of(model)
    pictures = (model.sample(count) if codes else model.sample(count, temperature)).clamp(low, high)
    return images(pictures, value_range=(low, high), ax=ax)


def reconstructions(model: nn.Module, x: Tensor | ImageSet, ax: Axes | None = None) -> Axes:
    """Images `(N, C, H, W)` above what the model makes of them; bytes are divided by 255.

    For a `VAE`, that is the mean of p(x | z) at the mean of q(z | x), for one with discrete codes
    at the most probable ones; for an `Autoencoder`, its output. Raises `TypeError` for a model
    that needs a condition y.
    """
    _refuse_condition(
        model, "vt.plots.images(torch.cat([x, model.reconstruct(x, y)]), columns=len(x))"
    )
    x = x.images if isinstance(x, ImageSet) else x
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be images, a tensor or an ImageSet, got {type(x).__name__}")
    low, high = _range_of(model)
    if getattr(model, "values", "unit") != "integer":
        x = float_batch(x)
    device = next(model.parameters()).device
    with torch.no_grad():
        rebuild = model.reconstruct if isinstance(model, (VAE, CodeVAE)) else model
        rebuilt = rebuild(x.to(device))
    pair = torch.cat([x.cpu().to(rebuilt.dtype), rebuilt.cpu().clamp(low, high)])
    labels = ("data", "model")
    return images(pair, columns=len(x), row_labels=labels, value_range=(low, high), ax=ax)


def history(
    record: History,
    entries: str | Iterable[str] = ("elbo",),
    unit: str = "nats per image",
    ax: Axes | None = None,
) -> Axes:
    """The means of some entries of the objective against the epoch: training and validation.

    Raises `ValueError` for an entry that was not recorded.
    """
    ax = _new(ax)
    for number, entry in enumerate([entries] if isinstance(entries, str) else entries):
        if entry not in record.train and entry not in record.validation:
            raise ValueError(f"entries: no {entry!r} was recorded, only {sorted(record.train)}")
        colour = COLOURS[number % len(COLOURS)]
        for part, means, dash in (
            ("training", record.train, "--"), ("validation", record.validation, "-"),
        ):  # fmt: skip
            if entry in means:
                epochs = range(1, len(means[entry]) + 1)
                ax.plot(
                    epochs, means[entry], dash, color=colour, markersize=4,
                    marker=MARKERS[number % len(MARKERS)], label=f"{entry}, {part}",
                )  # fmt: skip
    ax.set(xlabel="epoch", ylabel=unit)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def latents(
    codes: Tensor, labels: Tensor, class_names: Sequence[str] = (), ax: Axes | None = None
) -> Axes:
    """Two-dimensional codes `(N, 2)` as points: one colour and marker for each label `(N,)`.

    The name of each class stands at the median of its points, so that no legend is needed;
    names that would cover each other are moved a little apart. `class_names[label]` is the name.

    Raises `ValueError` for other shapes, or for labels that no entry of `class_names` belongs to.
    """
    if codes.dim() != 2 or codes.shape[1] != 2 or len(codes) != len(labels):
        raise ValueError(
            f"codes must be (N, 2) and labels (N,), got {tuple(codes.shape)} and "
            f"{tuple(labels.shape)}"
        )
    codes, labels = codes.detach().cpu().numpy(), labels.cpu().numpy()
    classes = np.unique(labels).tolist()
    nameless = [c for c in classes if not isinstance(c, int) or not 0 <= c < len(class_names)]
    if len(class_names) and nameless:
        raise ValueError(
            f"labels must be whole numbers from 0 to {len(class_names) - 1}, one for each of the "
            f"class_names, got {nameless[0]}"
        )
    ax = _new(ax, figsize=(5.2, 4.6))
    for number, label in enumerate(classes):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        points = codes[labels == label]
        ax.scatter(*points.T, s=9, alpha=0.6, linewidths=0, color=colour, marker=marker)
    medians = np.stack([np.median(codes[labels == label], axis=0) for label in classes])
    scale = codes.std(0) + 1e-12
    for label, place in zip(classes, _apart(medians / scale, least=0.35) * scale, strict=True):
        name = class_names[label] if len(class_names) else str(label)
        box = {"facecolor": "white", "alpha": 0.85, "pad": 1.5, "linewidth": 0}
        ax.text(*place, name, weight="bold", ha="center", va="center", bbox=box)
    ax.set(xlabel="$z_1$", ylabel="$z_2$")
    return ax


@torch.no_grad()
def manifold(model: VAE, points: int = 16, ax: Axes | None = None) -> Axes:
    """What a model with two latent dimensions draws over its whole prior.

    The grid has `points` × `points` images at equally probable steps of the prior: the quantiles
    of the standard normal from 2.5 % to 97.5 %, so both axes run from about −2 to 2. Raises
    `ValueError` for another number of dimensions, `TypeError` for a model with a condition y.
    """
    _refuse_condition(model, "vt.plots.images(model.likelihood(z, y).mean, columns=points)")
    if model.latent_dim != 2:
        raise ValueError(f"model must have latent_dim 2 for a map of it, got {model.latent_dim}")
    steps = torch.special.ndtri(torch.linspace(0.025, 0.975, points))
    rows, columns = torch.meshgrid(steps.flip(0), steps, indexing="ij")
    z = torch.stack([columns, rows], -1).reshape(-1, 2).to(model.prior_mean)  # (points², 2)
    if ax is None:
        _, ax = plt.subplots(figsize=(5.6, 5.6))
    low, high = _range_of(model)
    pictures = mean_of(model.likelihood(z)).clamp(low, high)
    ax = images(pictures, columns=points, value_range=(low, high), ax=ax)
    ends = [f"{steps[0]:.1f}", "0", f"{steps[-1]:.1f}"]
    for axis, size in ((ax.yaxis, pictures.shape[-2]), (ax.xaxis, pictures.shape[-1])):
        first, last = (size - 1) / 2, (size - 1) / 2 + (points - 1) * (size + GAP)
        axis.set_ticks([first, (first + last) / 2, last], ends[::-1] if axis is ax.yaxis else ends)
    ax.set(xlabel="$z_1$", ylabel="$z_2$")
    return ax


def _new(ax: Axes | None, **settings: object) -> Axes:
    return plt.subplots(**settings)[1] if ax is None else ax


def _apart(places: np.ndarray, least: float) -> np.ndarray:
    """Points (N, 2), pushed away from each other until none are much closer than `least`."""
    places = places + 1e-3 * np.arange(2 * len(places)).reshape(-1, 2)  # none coincide
    for _ in range(200):
        between = places[:, None] - places[None]  # (N, N, 2)
        distance = np.linalg.norm(between, axis=-1, keepdims=True)
        push = np.maximum(least - distance, 0) * between / np.maximum(distance, 1e-9)
        places = places + 0.1 * push.sum(1)
    return places


def _refuse_condition(model: nn.Module, instead: str) -> None:
    if is_conditional(model):
        raise TypeError(
            f"{type(model).__name__} needs a condition y, for which this figure has no place. Draw "
            f"{instead} instead."
        )


def _range_of(model: nn.Module) -> tuple[float, float]:
    """The values that a model's images are shown between."""
    levels = getattr(model, "levels", None)
    return (0.0, 1.0) if levels is None else (0.0, levels - 1.0)


def _checked_pictures(batch: Tensor | ImageSet, value_range: tuple[float, float]) -> Tensor:
    """The images on the CPU, as floats in [0, 1]."""
    pictures = batch.images if isinstance(batch, ImageSet) else batch
    if not isinstance(pictures, Tensor):
        raise TypeError(
            f"batch must be images, a tensor or an ImageSet, got {type(batch).__name__}. A NumPy "
            "array becomes a tensor by torch.from_numpy."
        )
    if pictures.dim() != 4 or pictures.shape[1] not in (1, 3) or len(pictures) == 0:
        way = ""
        if pictures.dim() == 4 and pictures.shape[-1] in (1, 3):
            way = " Channels come first: .movedim(-1, 1)."
        elif pictures.dim() == 3:
            way = " A missing channel axis is added by .unsqueeze(1)."
        raise ValueError(
            f"batch must be grey images (N, 1, H, W) or colour images (N, 3, H, W), got shape "
            f"{tuple(pictures.shape)}.{way}"
        )
    pictures, (low, high) = pictures.detach().cpu(), value_range
    pictures = pictures / 255 if pictures.dtype == torch.uint8 and high <= 1 else pictures.float()
    least, most, reach = pictures.min().item(), pictures.max().item(), high - low
    if not (low - reach / 2 <= least and most <= high + reach / 2):  # NaN too
        raise ValueError(
            f"batch holds values from {least:.4g} to {most:.4g}, far from value_range={value_range}"
            f". Name the values to be shown as 0 and 1: value_range=({least:.4g}, {most:.4g})."
        )
    return ((pictures - low) / reach).clamp(0, 1)
