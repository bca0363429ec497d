"""Bits-back coding with a VAE (Townsend, Bird and Barber, 2019): images in, one file out.

For one image x, with z in buckets of equal prior probability:

1. *take* z off the stack, as if it had been pushed there under q(z | x): −log2 q(z | x) bits less;
2. *push* x under p(x | z): −log2 p(x | z) bits more;
3. *push* z under p(z): −log2 p(z) bits more.

Together log2 q(z | x) − log2 p(x, z) bits, on average −ELBO. The decoder undoes 3, 2 and 1 in this
order. Since it knows x by then, it knows q(z | x) too, and lays the bits of step 1 back.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number
from vae_tutorial.compress import container, gaussian, integers
from vae_tutorial.compress.pixels import kind_of
from vae_tutorial.compress.rans import Stack, StackEmptyError
from vae_tutorial.models.vae import VAE

FAR_Z = 16.0  # latents and posterior means are kept within ±16
BATCH = 500


class Codec:
    """Compresses images with a trained VAE, and gives them back bit for bit.

    `model` is a `VAE` of the package's networks with the standard normal prior. Its likelihood
    says what the pixels are: `BernoulliLikelihood` zeros and ones, `LogisticMixtureLikelihood`
    grey levels 0 … 255. The codec works with a copy of it in whole numbers, so that a file can be
    read on any machine. `bits` sets the latents' precision: 2**bits buckets in each dimension.

    Raises `TypeError` for another kind of model, `ValueError` for `bits` outside 4 … 16, for
    images too large for the header, and for a decoder whose output does not fit its images.
    """

    def __init__(self, model: VAE, bits: int = 12) -> None:
        _require_plain(model)
        self.kind = kind_of(model.observation_model)
        if not 4 <= whole_number("bits", bits) <= 16:
            raise ValueError(f"bits must lie between 4 and 16, got {bits}")
        self.shape = tuple(model.encoder.image_shape)
        self.pixels, self.latents = int(np.prod(self.shape)), model.latent_dim
        self.lanes = max(self.latents, -(-self.pixels // self.kind.rounds))
        if max(self.shape) > container.MOST_SIDE or self.lanes > container.MOST_LANES:
            raise ValueError(
                f"images of shape {self.shape} with {self.latents} latents are too large: a file "
                f"has room for sides and latents up to {container.MOST_SIDE}, and for "
                f"{self.kind.rounds * container.MOST_LANES} pixels"
            )
        self.buckets = gaussian.Buckets(bits)
        self.encoder = integers.IntegerNetwork(model.encoder, largest=1)
        self.decoder = integers.IntegerNetwork(model.decoder, largest=FAR_Z)
        self._require_outputs()
        content = self.encoder.content() + self.decoder.content() + bytes([bits])
        self.fingerprint = container.fingerprint(content + self.kind.content())

    def encode(self, images: Tensor) -> bytes:
        """The file of images `(B, C, H, W)`: zeros and ones, or grey levels 0 … 255."""
        x = self._pixels_of(images)
        stack = Stack(self.lanes, lend=True)
        for first in reversed(range(0, len(x), BATCH)):  # the last image goes to the bottom
            batch = x[first : first + BATCH]
            for pixels, mu, precision in zip(
                batch[::-1], *(p[::-1] for p in self._posterior(batch))
            ):
                self._push(stack, pixels, mu, precision)
        header = container.Header(self.fingerprint, len(x), self.shape, self.lanes, stack.lent)
        return container.pack(header, stack, self.kind.kind)

    def decode(self, content: bytes) -> Tensor:
        """The images of a file `(B, C, H, W)`: zeros and ones as float32, grey levels as uint8.

        Raises `DamagedFileError` for bytes that this codec did not write; it never returns an image
        that was not there. That is protection against accidents. The fingerprint holds no secret,
        and someone who forges a file can make this take as long as the stated number of images.
        """
        header, stack = container.unpack(
            content, self.fingerprint, self.shape, self.lanes, self.kind.kind
        )
        found = []  # grows with what is there: the header may speak of 2**32 images
        try:
            for _ in range(header.count):
                found.append(self._pop(stack))
        except StackEmptyError as error:
            raise container.DamagedFileError("the file ends before its last image") from error
        if not container.is_at_rest(stack, header.lent):
            raise container.DamagedFileError("the file does not end where its last image does")
        x = np.array(found, np.uint8).reshape(header.count, *self.shape)
        return torch.from_numpy(x).to(self.kind.dtype)

    def bits(self, images: Tensor, seed: int = 0) -> Tensor:
        """−log2 p(x, z) + log2 q(z | x) of each image, with one z from q: float64 `(B,)`, in bits.

        Its mean is minus the ELBO of the model in whole numbers, and what `encode` needs for each
        image, but for rounding and the start of the stack.
        """
        x = self._pixels_of(images)
        generator = np.random.default_rng(seed)
        found = [np.zeros(0)]
        for first in range(0, len(x), BATCH):
            batch = x[first : first + BATCH]
            mu, precision = self._posterior(batch)
            slots = generator.integers(0, 1 << gaussian.SLOTS, mu.shape)
            z = self.buckets.find(slots, mu, precision)
            widths = self._widths(z, mu, precision)[1]
            log_q = np.log2(widths / 2.0**gaussian.SLOTS).sum(1)
            taken = self.kind.slots_of(batch, self._parameters(z))[1]
            log_px = np.log2(taken / 2.0**self.kind.slots).sum(1)
            found.append(log_q - log_px + self.buckets.bits * self.latents)
        return torch.from_numpy(np.concatenate(found))

    def _push(self, stack: Stack, x: np.ndarray, mu: np.ndarray, precision: np.ndarray) -> None:
        slots = stack.peek(self.latents, gaussian.SLOTS).astype(np.int64)
        z = self.buckets.find(slots, mu, precision)  # (D,)
        stack.drop(*self._slots(z, mu, precision), gaussian.SLOTS)
        starts, widths = self.kind.slots_of(x, self._parameters(z[None])[0])
        for first in range(0, self.pixels, self.lanes):
            part = slice(first, first + self.lanes)
            stack.push(starts[part], widths[part], self.kind.slots)
        stack.push(z.astype(np.uint64), np.ones_like(z, np.uint64), self.buckets.bits)

    def _pop(self, stack: Stack) -> np.ndarray:
        z = stack.peek(self.latents, self.buckets.bits)
        stack.drop(z, np.ones_like(z), self.buckets.bits)
        z = z.astype(np.int64)
        parameters = self._parameters(z[None])[0]  # (…, pixels)
        x = np.zeros(self.pixels, np.uint8)
        for first in reversed(range(0, self.pixels, self.lanes)):
            part = slice(first, first + self.lanes)
            slots = stack.peek(len(x[part]), self.kind.slots)
            x[part] = self.kind.find(slots, parameters[..., part])
            starts, widths = self.kind.slots_of(x[part], parameters[..., part])
            stack.drop(starts, widths, self.kind.slots)
        mu, precision = self._posterior(x[None])
        stack.push(*self._slots(z, mu[0], precision[0]), gaussian.SLOTS)
        return x

    def _posterior(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """μ and 1/σ of q(z | x), int64 `(B, D)`, with the places that `Buckets.below` wants."""
        out = self.encoder(self.kind.to_encoder(x.reshape(-1, *self.shape)))
        mu, logvar = np.split(out, 2, axis=1)
        far = FAR_Z * 2**integers.PLACES
        mu = np.clip(mu, -far, far).astype(np.int64) << (gaussian.POINT - integers.PLACES)
        fine = np.rint(logvar * 2.0 ** (gaussian.FINE - integers.PLACES))
        least, most = (
            end << gaussian.FINE for end in (gaussian.LEAST_LOGVAR, gaussian.MOST_LOGVAR)
        )
        index = np.clip(fine, least, most).astype(np.int64) - least
        return mu, gaussian.precision_table()[index]

    def _parameters(self, z: np.ndarray) -> np.ndarray:
        """p(x | z) of every pixel, for buckets `(B, D)`: what `kind` makes of the output."""
        centres = self.buckets.centres[z] >> (gaussian.POINT - integers.PLACES)
        return self.kind.parameters(self.decoder(centres.astype(np.float64)))

    def _widths(self, z: np.ndarray, mu: np.ndarray, precision: np.ndarray) -> tuple:
        start = self.buckets.below(z, mu, precision)
        return start, self.buckets.below(z + 1, mu, precision) - start

    def _slots(self, z: np.ndarray, mu: np.ndarray, precision: np.ndarray) -> tuple:
        return tuple(part.astype(np.uint64) for part in self._widths(z, mu, precision))

    def _require_outputs(self) -> None:
        found = self.decoder(np.zeros((1, self.latents))).shape[1]
        wanted = self.kind.outputs(self.pixels)
        if found != wanted:
            raise ValueError(
                f"the decoder gives {found} numbers, and images of shape {self.shape} need "
                f"{wanted}. Make it with image_shape=likelihood.outputs(image_shape)."
            )

    def _pixels_of(self, images: Tensor) -> np.ndarray:
        if not isinstance(images, Tensor) or tuple(images.shape[1:]) != self.shape:
            found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise ValueError(f"images must be a tensor (B, *{self.shape}), got {found}")
        self.kind.check(images)
        return images.detach().cpu().numpy().reshape(len(images), self.pixels).astype(np.uint8)


def _require_plain(model: VAE) -> None:
    if not isinstance(model, VAE):
        raise TypeError(f"model must be a vt.VAE, got {type(model).__name__}")
    if model.prior_module is not None or model.conditional:
        raise TypeError("a codec needs a model with the standard normal prior and no condition")
    if not hasattr(model.encoder, "image_shape"):
        raise TypeError(
            "a codec needs a model of the package's networks, whose encoder has an image_shape "
            f"(C, H, W), got {type(model.encoder).__name__}"
        )
