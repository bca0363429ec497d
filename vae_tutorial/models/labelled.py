"""Networks that see a class label too, and Kingma's model M2: a VAE whose label may be missing.

A label enters a network as a bias of its own in the first hidden layer. That is the same as
appending the label to the input as a one-hot vector: the columns of the weight matrix that
belong to the vector are those biases. Written so, one pass over the pixels serves all labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from vae_tutorial.arguments import whole_number
from vae_tutorial.models.networks import MNIST_SHAPE, MLPDecoder, MLPEncoder
from vae_tutorial.models.vae import VAE


class LabelledEncoder(MLPEncoder):
    """The network of q(z | x, y): an `MLPEncoder` with a bias for each of `classes` labels.

    Calling it on x `(B, C, H, W)` and labels y `(..., B)`, whole numbers, returns `(mu, logvar)`,
    each `(..., B, D)`. Labels `(classes, B)` give the answers for every label at once.

    Raises `ValueError` without a hidden layer, `TypeError` or `ValueError` for labels that are
    not whole numbers from 0 to `classes` − 1.
    """

    def __init__(
        self,
        latent_dim: int,
        classes: int = 10,
        hidden: Sequence[int] = (400,),
        image_shape: tuple[int, int, int] = MNIST_SHAPE,
    ) -> None:
        super().__init__(latent_dim, hidden, image_shape)
        self.classes = whole_number("classes", classes)
        self.of_label = _label_biases(self.classes, self.hidden)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        first, rest = _cut(self.layers[1])
        of_x = first(self.layers[0](_checked_images(self, x)))  # (B, hidden)
        h = of_x + _looked_up(self.of_label, y)  # (..., B, hidden)
        return rest(h).chunk(2, dim=-1)


class LabelledDecoder(MLPDecoder):
    """The network of p(x | z, y): an `MLPDecoder` with a bias for each of `classes` labels.

    Calling it on z `(..., B, D)` and labels y, whole numbers `(B,)` or of the shape of z without
    its last dimension, returns one raw number for each pixel, `(..., B, C, H, W)`. Raises as
    `LabelledEncoder` does.
    """

    def __init__(
        self,
        latent_dim: int,
        classes: int = 10,
        hidden: Sequence[int] = (400,),
        image_shape: tuple[int, int, int] = MNIST_SHAPE,
    ) -> None:
        super().__init__(latent_dim, hidden, image_shape)
        self.classes = whole_number("classes", classes)
        self.of_label = _label_biases(self.classes, self.hidden[::-1])

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        if not isinstance(z, Tensor) or z.shape[-1:] != (self.latent_dim,):
            return super().forward(z)  # raises the error that names z
        first, rest = _cut(self.layers)
        h = first(z) + _looked_up(self.of_label, y)  # (..., B, hidden)
        return rest(h).unflatten(-1, self.image_shape)


class M2(VAE):
    """A VAE with a class y and a style z, where y may be missing (Kingma et al., 2014: "M2").

    p(y) is uniform, p(z) a standard normal, p(x | y, z) comes from the decoder. For an image
    without a label q(y, z | x) = q(y | x) q(z | x, y), and q(y | x) is the `classifier`: a module
    from images `(B, C, H, W)` to logits `(B, classes)`. `encoder` and `decoder` take labels
    `(classes, B)`, as `LabelledEncoder` and `LabelledDecoder` do. Given a label it is an ordinary
    conditional VAE. `m2_bound` trains it.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        classifier: nn.Module,
        likelihood: nn.Module | None = None,
        classes: int = 10,
    ) -> None:
        super().__init__(encoder, decoder, likelihood, conditional=True)
        self.classifier = classifier
        self.classes = whole_number("classes", classes, 2)
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            if getattr(part, "classes", self.classes) != self.classes:
                raise ValueError(
                    f"{name} has {part.classes} classes and the model {self.classes}: give both "
                    "the same number"
                )

    def label_posterior(self, x: Tensor) -> Categorical:
        """q(y | x) for images `(B, C, H, W)`: a distribution over the classes for each of B."""
        logits = self.classifier(x)
        if logits.shape != (len(x), self.classes):
            raise ValueError(
                f"the classifier must return logits (B, classes) = {(len(x), self.classes)}, got "
                f"{tuple(logits.shape)}"
            )
        return Categorical(logits=logits, validate_args=False)

    def every_label(self, x: Tensor) -> Tensor:
        """Each label for each of B images: `(classes, B)`."""
        return torch.arange(self.classes, device=x.device)[:, None].expand(-1, len(x))


def _label_biases(classes: int, hidden: Sequence[int]) -> nn.Embedding:
    if not hidden:
        raise ValueError("hidden must list at least one layer, since the label enters there")
    biases = nn.Embedding(classes, hidden[0])
    nn.init.normal_(biases.weight, std=0.1)
    return biases


def _cut(layers: nn.Sequential) -> tuple[nn.Module, nn.Sequential]:
    """The first linear layer, and what follows it."""
    return layers[0], layers[1:]


def _checked_images(encoder: MLPEncoder, x: Tensor) -> Tensor:
    if x.shape[1:] != torch.Size(encoder.image_shape):
        raise ValueError(
            f"x must be images (B, {', '.join(map(str, encoder.image_shape))}), got "
            f"{tuple(x.shape)}"
        )
    return x


def _looked_up(biases: nn.Embedding, y: Tensor) -> Tensor:
    """The bias of each label: `(..., B, hidden)`."""
    last = biases.num_embeddings - 1
    if not isinstance(y, Tensor) or y.is_floating_point() or y.dtype == torch.bool:
        raise TypeError(
            f"y must be a tensor of whole numbers from 0 to {last}, one label for each "
            f"image, got {y.dtype if isinstance(y, Tensor) else type(y).__name__}. One-hot rows "
            "become labels by y.argmax(-1)."
        )
    try:
        return biases(y.long())
    except IndexError:  # asked afterwards, since looking at y makes a GPU wait
        raise ValueError(
            f"y must hold labels from 0 to {last}, got {y.min()} to {y.max()}"
        ) from None
