"""Lossless compression with a VAE: bits-back coding over a stack-like entropy coder.

Read it in this order: `rans` (the entropy coder), `gaussian` (latent variables in buckets),
`integers` (a network in whole numbers), `pixels` (zeros and ones, or grey levels, the latter with
`logistic`), `codec` (bits-back coding), `container` (the file).
"""

from vae_tutorial.compress.codec import Codec
from vae_tutorial.compress.container import DamagedFileError
from vae_tutorial.compress.rans import Stack

__all__ = ["Codec", "DamagedFileError", "Stack"]
