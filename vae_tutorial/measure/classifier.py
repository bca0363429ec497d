"""A small classifier of images, trained in the book, for the features that `samples` compares.

It is there so that samples can be judged without a network from elsewhere. Its features know what
tells the classes of one data set apart, and nothing else: two images that differ only in what does
not matter for the class may have the same features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_tutorial.arguments import positive_number, whole_number
from vae_tutorial.data.batches import checked, float_batch
from vae_tutorial.data.image_set import ImageSet
from vae_tutorial.models.networks import MNIST_SHAPE, ConvEncoder
from vae_tutorial.train.engine.environment import own_random_numbers, pick_device, progress_bar
from vae_tutorial.train.evaluate import VALIDATION_BATCH, model_device


class Classifier(nn.Module):
    """Two convolutions, a hidden layer, `width` features, and one logit for each class.

    Calling it on images `(B, C, H, W)` in [0, 1] gives logits `(B, classes)`.
    """

    def __init__(
        self, classes: int = 10, width: int = 64, image_shape: tuple[int, int, int] = MNIST_SHAPE
    ) -> None:
        super().__init__()
        self.encoder = ConvEncoder(
            whole_number("width", width), image_shape=image_shape, heads=1
        )  # fmt: skip
        self.last = nn.Linear(width, whole_number("classes", classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.encoder(x)))

    @torch.no_grad()
    def features(self, images: ImageSet | Tensor) -> Tensor:
        """What the last layer sees, `(N, width)`, on the CPU.

        `images` are an `ImageSet`, `uint8` `(N, C, H, W)`, or floats in [0, 1]. Grey images and
        binary ones have different features: compare like with like.
        """
        return torch.cat([F.relu(self.encoder(x)).cpu() for x in self._batches(images)])

    @torch.no_grad()
    def accuracy(self, data: ImageSet) -> float:
        """The share of images whose class it names."""
        found = torch.cat([self(x).argmax(1).cpu() for x in self._batches(data)])
        return (found == data.labels.cpu()).double().mean().item()

    def _batches(self, images: ImageSet | Tensor) -> list[Tensor]:
        device = model_device(self)
        x = images.images if isinstance(images, ImageSet) else images
        parts = checked(x, "images").split(VALIDATION_BATCH)
        return [float_batch(part.to(device), binarise=False) for part in parts]


@torch.enable_grad()
def train_classifier(
    data: ImageSet,
    epochs: int = 5,
    *,
    batch_size: int = 100,
    learning_rate: float = 2e-3,
    width: int = 64,
    device: str | torch.device | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Classifier:
    """A `Classifier` trained on the images and labels of `data`, in evaluation mode.

    Cross-entropy by Adam, with a learning rate that falls to zero along half a cosine. Weights,
    order and result come from `seed` alone; torch's global random numbers stay as they were.
    `device` is by default `pick_device()`; the classifier stays there.

    Raises `TypeError` or `ValueError` for arguments that cannot be meant.
    """
    if not isinstance(data, ImageSet):
        raise TypeError(f"data must be an ImageSet, with labels, got {type(data).__name__}")
    epochs, batch_size = whole_number("epochs", epochs), whole_number("batch_size", batch_size)
    learning_rate = positive_number("learning_rate", learning_rate)
    device = pick_device() if device is None else torch.device(device)
    images, labels = checked(data.images, "data").to(device), data.labels.to(device)
    shape = tuple(images.shape[1:])
    steps = epochs * math.ceil(len(images) / batch_size)
    with own_random_numbers(device, seed), progress_bar(steps, show=progress) as bar:
        model = Classifier(len(data.class_names), width, shape).to(device)
        adam = torch.optim.Adam(model.parameters(), learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(epochs):
            for index in torch.randperm(len(images), device=device).split(batch_size):
                x = float_batch(images[index], binarise=False)
                loss = F.cross_entropy(model(x), labels[index])
                adam.zero_grad(set_to_none=True)
                loss.backward()
                adam.step()
                schedule.step()
                bar.update()
    return model.eval()
