"""Data: images, stroke digits, ratings, sequences, and the way from a data set to batches."""

from vae_tutorial.data.batches import float_batch
from vae_tutorial.data.image_set import ImageSet
from vae_tutorial.data.images import (
    DamagedDataError,
    DataUnavailableError,
    Images,
    load_images,
)
from vae_tutorial.data.ratings import Ratings, draw_ratings, load_ratings
from vae_tutorial.data.sequences import Sequences, load_sequences
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
    "Ratings",
    "Sequences",
    "draw_factors",
    "draw_images",
    "draw_ratings",
    "draw_strokes",
    "float_batch",
    "load_images",
    "load_ratings",
    "load_sequences",
    "stroke_digit",
]
