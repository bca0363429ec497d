"""Stroke digits: 28 × 28 grey digits drawn by a pen whose every movement is known.

Each class has a skeleton: the strokes of a pen, as curves through a few points. An image is made
from its label and the factors in `FACTORS`, and from nothing else: no noise is added afterwards.
So within one class the images form a surface of at most ``len(FACTORS)`` dimensions, and a
chapter can ask whether a latent space has found them.

The same seed gives the same bytes on every platform. Three rules see to that:

- random numbers come from the raw 64-bit stream of PCG64, which numpy promises never to change
  (it makes no such promise for what is built on top, such as ``Generator.permutation``);
- pixels are computed with ``+ - * /``, square root, comparison and rounding alone. IEEE 754
  fixes their results to the last bit; ``sin``, ``exp`` and their kind differ in the last bit
  between libraries and processors, and now and then that bit would flip a rounded pixel;
- arrays meet element by element. Matrix products and ``np.sum`` may add in another order, or
  fuse a product with a sum, on another machine. Python's ``sum`` adds from left to right.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_tutorial.arguments import real_number
from vae_tutorial.data.image_set import ImageSet
from vae_tutorial.data.tensors import check_tensor


class Factor(NamedTuple):
    """One way in which stroke digits differ. Every factor is drawn uniformly and independently.

    `low` and `high` bound the uniform distribution, `neutral` is the value that `stroke_digit`
    takes when none is given, and `unit` may be "1" for a pure number.
    """

    name: str
    unit: str
    low: float
    high: float
    neutral: float
    meaning: str


FACTORS = (
    Factor("slant", "px/px", -0.15, 0.45, 0.0, "pixels to the right per pixel upwards (a shear)"),
    Factor("rotation", "degree", -12.0, 12.0, 0.0, "turn about the centre, clockwise if positive"),
    Factor("scale", "1", 0.8, 1.05, 1.0, "size of the skeleton; 1 is about 18 pixels high"),
    Factor("shift_x", "px", -1.25, 1.25, 0.0, "place of the centre of mass, to the right"),
    Factor("shift_y", "px", -1.25, 1.25, 0.0, "place of the centre of mass, downwards"),
    Factor("thickness", "px", 1.5, 3.7, 2.4, "width of the pen"),
    Factor("style", "1", 0.0, 1.0, 0.5, "from one way of writing the class (0) to another (1)"),
    Factor("wobble", "1", -1.0, 1.0, 0.0, "strength and sign of one smooth bend of the skeleton"),
)
"""The eight factors of a stroke digit, in the order of the columns of `ImageSet.factors`."""
CLASS_NAMES = tuple("0123456789")
FACTOR_NAMES = tuple(factor.name for factor in FACTORS)

SIZE = 28  # pixels on a side, as in MNIST
EDGE = 1.3  # pixels over which the ink's edge fades from full to none
SPANS = 4  # straight segments between neighbouring points of a curve
CHUNK = 64  # images drawn at once: arrays of some 400 kB, which stay in a processor's cache

# The skeletons. One line holds one stroke: its points for style 0, then for style 1, each as
# "x,y" in a box of 20 × 20 pixels with y downwards. Strokes that share an end make a corner; a
# stroke that ends where it began is a closed loop.
_SKELETONS = {
    0: [("10,1.6 5,3.6 2.4,9.6 4.6,16 10.2,18.4 15.8,15.6 17.6,9.6 15,3.4 10,1.6",
         "12.8,3 9.2,2.4 6.4,8 6,15 9,19 12.8,16.6 14.4,9.5 13,3.4 8.8,1")],
    1: [("10.2,1.5 10.1,7 10,13 10,18.5", "10.8,1.5 10.4,7 10.2,13 10,18.5"),
        ("9.6,2.2 9.9,1.8 10.2,1.5", "5.8,6.4 8.6,4.3 10.8,1.5")],
    2: [("4,5.4 6.6,1.8 11.6,1.2 14.8,4.6 13,9 8.6,13.8 3.4,18.2",
         "4.6,6.4 6,2 11,1 13.8,5 12.2,10.6 9,15.6 5.6,18.4"),
        ("3.4,18.2 6.5,18.3 9.5,18.3 13,18.4 17.2,18.2",
         "5.6,18.4 3,17.8 4.6,15 10.4,17.6 16.4,16.8")],
    3: [("4,3.8 7.6,1.2 13.4,1.8 14.6,5.6 11.6,8.4 7.2,9.2",
         "5.4,1.8 9.5,1.3 14.4,1.6 12.8,4.5 10.4,6.5 8,8.2"),
        ("7.2,9.2 13.2,9.9 16.2,13.8 13.2,17.8 8,18.7 3,16",
         "8,8.2 12.8,9.4 14,13.6 11.8,17.6 8.4,19 4.8,18.2")],
    4: [("4.6,2 3.8,5.5 3.4,10 7.4,11.4 11.5,11 16.8,9.8",
         "12.4,1.3 8.6,6 4.2,12.3 8.4,12.5 12.4,12.3 17,11.6"),
        ("14.4,2.5 13.8,7 13.2,12 12.6,19", "12.4,1.3 12.6,7 12.4,12 11.6,19")],
    5: [("17,1.8 12.5,1.9 7.2,2.3", "14.2,2.9 11,2 7.6,2.2"),
        ("7.2,2.3 6,5.5 5,8.8", "7.6,2.2 6.8,5 6.6,8"),
        ("5,8.8 10.2,7.3 15.2,10 15,15.2 10,18.6 3.2,17",
         "6.6,8 10,9.2 12.8,12 12.6,16.4 9,18.9 5,17.6")],
    6: [("14.8,2.7 9,4.8 5,9.8 4,15 8.4,18.8 14.6,17.4 16,12.9 11.6,10.2 6.8,11.8 4.2,15.4",
         "10.4,1.8 8,5.8 6.6,10.5 6.4,16 9.2,19 12.4,17.8 13.2,14.8 10.6,13 8,14.2 6.6,16.6")],
    7: [("3,4.2 5.4,2.9 10.5,3 16.6,2.4", "4.8,2.4 8,2.7 12,2.6 15.4,2.4"),
        ("16.6,2.4 13.2,7.4 10.6,12.4 9.6,17.6", "15.4,2.4 11.6,7.8 9.2,12.7 7.8,17.6"),
        ("11,11 11.2,11 11.4,11", "6.6,11 10.5,10.5 14.4,10")],
    8: [("15,4 10.2,1.4 5,3.8 7.4,7.8 12.8,10.8 15.6,14.6 10.4,18.7 4.4,15.4 7,11.2 12.8,8 15,4",
         "13.8,2 10,1.6 7.6,4.4 9.2,8.4 11.6,11.6 12.2,16 9.4,19 7.2,16 9,11.4 12.2,7.2 13.6,3.4")],
    9: [("15.2,5 10.8,1.3 5.4,4.4 5.4,8.8 10,10.4 14.2,7.8 15.2,5",
         "13.2,4.4 10,1.2 7,3.8 6.8,8 9.6,9.2 12.2,7.4 13.2,4.4"),
        ("15.2,5 14.4,9.4 13.5,13.5 12.9,18", "13.2,4.4 13.6,10.3 11.8,16.2 6,17.6")],
}  # fmt: skip


def _curve(points: str) -> np.ndarray:
    """A smooth curve through the points, as (S, 2, 2): segment, start or end, x or y.

    A Catmull-Rom spline: in each span a cubic whose slope at a point is half the way from the
    point before to the point after. At free ends the missing neighbour is a reflection.
    """
    p = [np.array([float(number) for number in pair.split(",")]) - 10 for pair in points.split()]
    closed = (p[0] == p[-1]).all()
    before = p[-2] if closed else 2 * p[0] - p[1]
    after = p[1] if closed else 2 * p[-1] - p[-2]
    p = [before, *p, after]
    path = [p[1]]
    for span in range(len(p) - 3):
        a, b, c, d = p[span : span + 4]
        for step in range(1, SPANS + 1):
            t = step / SPANS
            bend = ((3 * (b - c) + d - a) * t + (2 * a - 5 * b + 4 * c - d)) * t
            path.append(b + ((bend + (c - a)) * t) / 2)
    return np.stack([np.stack(path[:-1]), np.stack(path[1:])], axis=1)


# for each class (2, S, 2, 2): style 0 or 1, segment, start or end, x or y, in centred pixels
_SEGMENTS = {
    label: np.stack([np.concatenate([_curve(stroke[style]) for stroke in strokes])
                     for style in (0, 1)])
    for label, strokes in _SKELETONS.items()
}  # fmt: skip


def _cos_sin(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine by their Taylor polynomials: the same bits everywhere, unlike ``np.cos``.

    The polynomials serve a quarter of the angle, where they are good to 1e-9; doubling it twice
    gives the whole.
    """
    degrees = degrees - 360 * np.rint(degrees / 360)  # whole turns do not count
    a = degrees * (math.pi / 180) / 4  # within ±π/4
    b = a * a
    cos = 1 - b / 2 * (1 - b / 12 * (1 - b / 30 * (1 - b / 56 * (1 - b / 90))))
    sin = a * (1 - b / 6 * (1 - b / 20 * (1 - b / 42 * (1 - b / 72 * (1 - b / 110)))))
    for _ in range(2):  # double the angle
        cos, sin = cos * cos - sin * sin, 2 * sin * cos
    return cos, sin


def _place(label: int, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the pen's segments on the page: x and y, each (B, S, 2), in pixels."""
    slant, rotation, scale, shift_x, shift_y, _, style, wobble = factors.T[:, :, None, None]
    first, second = np.moveaxis(_SEGMENTS[label], -1, 1)  # (2, S, 2) each: x and y first
    x, y = (a + style * (b - a) for a, b in zip(first, second, strict=True))  # (B, S, 2)

    # the bend: a fixed cubic field, which at 1 moves points by up to some 2 pixels
    u, v = x / 10, y / 10
    x, y = x + wobble * (2.2 * v * v + 3.0 * v * (1 - v * v)), y + wobble * (2.5 * u * v)

    x, y = scale * x, scale * y
    x = x - slant * y  # y points down
    cos, sin = _cos_sin(rotation)
    x, y = cos * x - sin * y, sin * x + cos * y

    # put the centre of mass at the centre of the image, as MNIST does, and then shift it
    dx, dy = x[..., 1] - x[..., 0], y[..., 1] - y[..., 0]  # (B, S)
    mass = np.sqrt(dx * dx + dy * dy)
    total = sum(mass.T)  # (B,)
    centre_x = sum((mass * (x[..., 0] + x[..., 1])).T) / (2 * total)
    centre_y = sum((mass * (y[..., 0] + y[..., 1])).T) / (2 * total)
    middle = (SIZE - 1) / 2  # pixel centres are 0, 1, ..., 27
    return (x - centre_x[:, None, None] + shift_x + middle,
            y - centre_y[:, None, None] + shift_y + middle)  # fmt: skip


def _draw(label: int, factors: np.ndarray) -> np.ndarray:
    """Images (B, 28, 28) uint8 of one class, from factors (B, F)."""
    factors = factors.astype(np.float64)
    x, y = _place(label, factors)
    pixel = np.arange(SIZE, dtype=np.float64)
    nearest = np.full((len(factors), SIZE, SIZE), np.inf)  # squared distance to the skeleton
    for s in range(x.shape[1]):
        dx, dy = x[:, s, 1:] - x[:, s, :1], y[:, s, 1:] - y[:, s, :1]  # (B, 1)
        from_x, from_y = pixel - x[:, s, :1], pixel - y[:, s, :1]  # (B, 28): columns, rows
        square = dx * dx + dy * dy
        # where on the segment the nearest point lies: 0 its start, 1 its end
        t = (from_x * dx / square)[:, None, :] + (from_y * dy / square)[:, :, None]  # (B, 28, 28)
        t = np.minimum(np.maximum(t, 0.0), 1.0)
        away_x = from_x[:, None, :] - t * dx[:, :, None]
        away_y = from_y[:, :, None] - t * dy[:, :, None]
        nearest = np.minimum(nearest, away_x * away_x + away_y * away_y)
    radius = factors[:, FACTOR_NAMES.index("thickness"), None, None] / 2
    ink = 0.5 + (radius - np.sqrt(nearest)) / EDGE  # one half where the pen's edge runs
    return np.rint(255 * np.minimum(np.maximum(ink, 0.0), 1.0)).astype(np.uint8)


def _uniform(seed: int, count: int) -> np.ndarray:
    """`count` numbers in [0, 1), each the upper 53 bits of one raw number of PCG64."""
    raw = np.random.PCG64(seed).random_raw(count)
    return (raw >> np.uint64(11)) * 2.0**-53


def draw_factors(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw the labels (N,) int64 and the factors (N, F) float32 of `count` stroke digits.

    Labels are as balanced as `count` allows, in random order; factors are uniform and
    independent (see `FACTORS`). Nothing else about stroke digits is random.

    Raises `TypeError` or `ValueError` where `count` or `seed` is not an integer of 0 or more.
    """
    for name, value in (("count", count), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
        if value < 0:
            raise ValueError(f"{name} must be 0 or more, got {value}")
    numbers = _uniform(seed, count * (1 + len(FACTORS))).reshape(count, 1 + len(FACTORS))
    # shuffle 0, 1, ..., 9, 0, 1, ... by sorting random keys
    labels = np.argsort(numbers[:, 0], kind="stable").astype(np.int64) % 10
    low = np.array([factor.low for factor in FACTORS])
    high = np.array([factor.high for factor in FACTORS])
    # rounded to float32 before drawing: what is stored is exactly what is drawn
    factors = (low + numbers[:, 1:] * (high - low)).astype(np.float32)
    return torch.from_numpy(labels), torch.from_numpy(factors)


def draw_images(labels: Tensor, factors: Tensor) -> Tensor:
    """Draw the images (N, 1, 28, 28) uint8 of labels (N,) and factors (N, F) in FACTORS' order.

    Raises `TypeError` for what is no tensor, and `ValueError` for other shapes, a label that is
    not 0 to 9, a factor that is not finite, and a thickness or scale that is not positive.
    """
    check_tensor("labels", labels, ("N",))
    check_tensor("factors", factors, (len(labels), len(FACTORS)), "that is a row for each label")
    known = torch.isin(labels, torch.arange(10))
    if not known.all():
        n = int(known.int().argmin())  # the first that is not
        raise ValueError(f"labels must be integers from 0 to 9, got {labels[n].item()} in row {n}")
    _check_factors(factors)
    images = np.zeros((len(labels), 1, SIZE, SIZE), np.uint8)
    for label in range(10):
        for rows in torch.nonzero(labels == label).flatten().split(CHUNK):
            images[rows.numpy(), 0] = _draw(label, factors[rows].numpy())
    return torch.from_numpy(images)


def _check_factors(factors: Tensor) -> None:
    """Raise `ValueError` for values (N, F) with which a pen can't draw, in float32 as here."""
    for name, column in zip(FACTOR_NAMES, factors.float().T, strict=True):
        positive = name in ("thickness", "scale")
        fine = column.isfinite() & (column > 0) if positive else column.isfinite()
        if not fine.all():
            n = int(fine.int().argmin())  # the first that is not
            value = factors[n, FACTOR_NAMES.index(name)].item()
            where = f" in row {n} of factors" if len(factors) > 1 else ""
            wanted = "positive and finite" if positive else "a finite number"
            raise ValueError(f"{name} must be {wanted}, got {value:g}{where}")


def draw_strokes(count: int, seed: int) -> ImageSet:
    """Draw `count` stroke digits: their classes balanced, their factors uniform and independent.

    The same seed gives the same bytes everywhere; the top of this module says how, and `FACTORS`
    what each factor does. Raises `TypeError` or `ValueError` for a count or seed that is not an
    integer of 0 or more.
    """
    labels, factors = draw_factors(count, seed)
    images = draw_images(labels, factors)
    return ImageSet(images, labels, CLASS_NAMES, factors, FACTOR_NAMES)


def stroke_digit(label: int, **factors: float) -> Tensor:
    """Draw one chosen stroke digit: (28, 28) uint8, 0 for paper and 255 for ink.

    `factors` are named as in `FACTORS`; those left out take their neutral value. Values outside
    the ranges of `FACTORS` are drawn too (a chapter may want an unusual digit).

        stroke_digit(7, slant=0.3, thickness=3.0)

    Raises `ValueError` for a label that is not 0 to 9, an unknown factor, a value that is not a
    finite number, and a thickness or scale that is not positive.
    """
    if label not in range(10):
        raise ValueError(f"label must be an integer from 0 to 9, got {label!r}")
    unknown = [name for name in factors if name not in FACTOR_NAMES]
    if unknown:
        raise ValueError(f"unknown factor {unknown[0]!r}; the factors are {list(FACTOR_NAMES)}")
    row = [real_number(f.name, factors.get(f.name, f.neutral)) for f in FACTORS]
    _check_factors(torch.tensor([row], dtype=torch.float64))
    return torch.from_numpy(_draw(int(label), np.array([row], dtype=np.float32))[0])
