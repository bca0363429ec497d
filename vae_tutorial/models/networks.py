"""Encoders and decoders: the networks between images and latent variables.

An encoder maps images `(B, C, H, W)` to the parameters of `q(z | x)`: the mean `mu` and
the log-variance `logvar`, both `(B, D)`. A decoder maps latent variables `(..., D)`, with any
number of leading dimensions, to one raw number for each pixel, `(..., C, H, W)`. What that raw
number means (a logit, a mean) is the business of the likelihood, in `likelihoods`.

The last layer of every network is linear: `mu` may be any real number, and so may `logvar`
and a logit. A ReLU there is a mistake often seen: it forbids negative means.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from vae_tutorial.arguments import whole_number, whole_numbers

ImageShape = tuple[int, int, int]
MNIST_SHAPE: ImageShape = (1, 28, 28)


class _Encoder(nn.Module):
    """What the encoders share: `layers` are applied to checked images, and cut into heads."""

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        dtype = next(self.parameters()).dtype
        same = isinstance(x, Tensor) and (
            x.dtype == dtype or (torch.is_autocast_enabled(x.device.type) and x.is_floating_point())
        )
        if not same or x.shape[1:] != self.image_shape:
            raise _wrong_images(x, self.image_shape, dtype)
        outputs = self.layers(x)  # (B, heads · D)
        return outputs if self.heads == 1 else tuple(outputs.chunk(2, dim=-1))


class MLPEncoder(_Encoder):
    """Fully connected encoder.

    `hidden` lists the widths of the hidden layers; `()` makes the encoder linear. With
    `heads=2`, calling it on `x` `(B, C, H, W)` returns `(mu, logvar)`, each `(B, D)`; with
    `heads=1` it returns one code `(B, D)`, as an autoencoder wants.

    Raises `ValueError` for a `latent_dim` below 1 or `heads` other than 1 or 2.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden: Sequence[int] = (400,),
        image_shape: ImageShape = MNIST_SHAPE,
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.latent_dim, self.heads = _checked(latent_dim, heads)
        self.image_shape = _image_shape(image_shape)
        self.hidden = _widths("hidden", hidden)
        pixels = _pixels(image_shape)
        self.layers = nn.Sequential(nn.Flatten(), _mlp([pixels, *hidden, heads * latent_dim]))


class MLPDecoder(nn.Module):
    """Fully connected decoder, the mirror image of `MLPEncoder`.

    Calling it on `z` `(..., D)` returns `(..., C, H, W)`: one raw number for each pixel.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden: Sequence[int] = (400,),
        image_shape: ImageShape = MNIST_SHAPE,
    ) -> None:
        super().__init__()
        self.latent_dim, _ = _checked(latent_dim)
        self.image_shape = _image_shape(image_shape)
        self.hidden = _widths("hidden", hidden)
        self.layers = _mlp([latent_dim, *reversed(hidden), _pixels(image_shape)])

    def forward(self, z: Tensor) -> Tensor:
        if not isinstance(z, Tensor) or z.shape[-1:] != (self.latent_dim,):
            raise _wrong_latents(z, self.latent_dim)
        return self.layers(z).unflatten(-1, self.image_shape)


class ConvEncoder(_Encoder):
    """Convolutional encoder: each convolution halves height and width.

    With the default channels and MNIST's shape: `(B, 1, 28, 28)` → `(B, 16, 14, 14)` →
    `(B, 32, 7, 7)` → `(B, 256)` → `(mu, logvar)`, each `(B, D)` (one code for `heads=1`).

    Raises `ValueError` where height or width cannot be halved once for each entry of `channels`.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: Sequence[int] = (16, 32),
        hidden: int = 256,
        image_shape: ImageShape = MNIST_SHAPE,
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.latent_dim, self.heads = _checked(latent_dim, heads)
        self.image_shape = _image_shape(image_shape)
        self.channels = _widths("channels", channels)
        self.hidden = whole_number("hidden", hidden)
        height, width = _halved(image_shape, len(channels))
        layers: list[nn.Module] = []
        for ins, outs in pairwise([image_shape[0], *channels]):
            layers += [nn.Conv2d(ins, outs, kernel_size=4, stride=2, padding=1), nn.ReLU()]
        features = channels[-1] * height * width
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), _mlp([features, hidden, heads * latent_dim])
        )


class ConvDecoder(nn.Module):
    """Convolutional decoder, the mirror image of `ConvEncoder`.

    With the default channels: `(..., D)` → `(..., 256)` → `(..., 32, 7, 7)` →
    `(..., 16, 14, 14)` → `(..., 1, 28, 28)`. Each step up is a transposed convolution with
    kernel 4 and stride 2: a kernel that is a multiple of the stride covers every pixel equally
    often, away from the edges, and leaves no chequerboard (Odena, Dumoulin and Olah, 2016).
    """

    def __init__(
        self,
        latent_dim: int,
        channels: Sequence[int] = (16, 32),
        hidden: int = 256,
        image_shape: ImageShape = MNIST_SHAPE,
    ) -> None:
        super().__init__()
        self.latent_dim, _ = _checked(latent_dim)
        self.image_shape = _image_shape(image_shape)
        self.channels = _widths("channels", channels)
        self.hidden = whole_number("hidden", hidden)
        height, width = _halved(image_shape, len(channels))
        sizes = [*reversed(channels), image_shape[0]]
        layers: list[nn.Module] = [
            _mlp([latent_dim, hidden, sizes[0] * height * width]),
            nn.Unflatten(-1, (sizes[0], height, width)),
        ]
        for ins, outs in pairwise(sizes):
            layers += [nn.ReLU(), nn.ConvTranspose2d(ins, outs, kernel_size=4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        if not isinstance(z, Tensor) or z.shape[-1:] != (self.latent_dim,):
            raise _wrong_latents(z, self.latent_dim)
        images = self.layers(z.reshape(-1, self.latent_dim))  # convolutions want one batch axis
        return images.unflatten(0, z.shape[:-1]) if z.dim() > 1 else images.squeeze(0)


def _mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of the given sizes with a ReLU between them and none after the last."""
    layers: list[nn.Module] = []
    for ins, outs in pairwise(sizes):
        layers += [nn.Linear(ins, outs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _image_shape(image_shape: Sequence[int]) -> tuple[int, ...]:
    return whole_numbers("image_shape", image_shape, "(1, 28, 28)", least=1)


def _pixels(image_shape: Sequence[int]) -> int:
    return torch.Size(image_shape).numel()


def _checked(latent_dim: int, heads: int = 2) -> tuple[int, int]:
    latent_dim = whole_number("latent_dim", latent_dim)
    if type(heads) is not int or heads not in (1, 2):
        raise ValueError(
            f"heads must be 2 (mu and logvar, for a VAE) or 1 (a code, for an autoencoder), "
            f"got {heads!r}"
        )
    return latent_dim, heads


def _widths(name: str, widths: Sequence[int]) -> tuple[int, ...]:
    return whole_numbers(name, widths, "(400,)")


def _halved(image_shape: Sequence[int], times: int) -> tuple[int, int]:
    if len(image_shape) != 3:
        raise ValueError(f"image_shape must be (C, H, W), got {tuple(image_shape)}")
    height, width = image_shape[-2:]
    if times < 1 or height % 2**times or width % 2**times:
        raise ValueError(
            f"channels has {times} entries, so height and width are halved {times} times; that "
            f"needs at least one entry and sizes divisible by {2**times}, got "
            f"image_shape={tuple(image_shape)}. Use fewer channels or pad the images."
        )
    return height // 2**times, width // 2**times


def _wrong_images(x: Tensor, image_shape: Sequence[int], weights: torch.dtype) -> Exception:
    """The error to raise for an encoder's input of another type or shape."""
    wanted = f"(B, {', '.join(map(str, image_shape))})"
    if not isinstance(x, Tensor):
        return TypeError(
            f"x must be a tensor {wanted}, got {type(x).__name__}. A NumPy array becomes one by "
            "torch.from_numpy."
        )
    if x.shape[1:] == torch.Size(image_shape) and x.is_floating_point():
        return ValueError(
            f"x is {x.dtype} and the network's weights are {weights}. Make both one: x.float() "
            "for the usual weights, or model.double() for exact work."
        )
    way = f"other sizes need image_shape={tuple(x.shape[1:])} in encoder and decoder."
    if x.dim() == 4 and x.shape[-1] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        way = "channels come first here: x.movedim(-1, 1)."
    elif x.shape == torch.Size(image_shape):
        way = "a single image becomes a batch of one by x.unsqueeze(0)."
    return ValueError(
        f"x must be floating-point images of shape {wanted}, got {x.dtype} of shape "
        f"{tuple(x.shape)}. uint8 images become floats by x / 255; {way}"
    )


def _wrong_latents(z: Tensor, latent_dim: int) -> Exception:
    if not isinstance(z, Tensor):
        return TypeError(f"z must be a tensor (..., {latent_dim}), got {type(z).__name__}")
    return ValueError(
        f"z must end in a dimension of size latent_dim={latent_dim}, got shape {tuple(z.shape)}"
    )
