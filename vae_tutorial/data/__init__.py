"""Data: image sets, the embedded stroke digits, and the way from a data set to batches."""

from vae_tutorial.data.batches import float_batch
from vae_tutorial.data.image_set import ImageSet
from vae_tutorial.data.images import (
    DamagedDataError,
    DataUnavailableError,
    Images,
    load_images,
)
from vae_tutorial.data.strokes import (
    FACTORS,
    draw_factors,
    draw_images,
    draw_strokes,
    stroke_digit,
)

__all__ = [
    "FACTORS",
    "DamagedDataError",
    "DataUnavailableError",
    "ImageSet",
    "Images",
    "draw_factors",
    "draw_images",
    "draw_strokes",
    "float_batch",
    "load_images",
    "stroke_digit",
]
