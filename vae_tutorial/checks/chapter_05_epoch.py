"""Exercise 5.5, an epoch by hand: a model whose losses are known, and what is checked with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.checks.core import Exercise, Property, Suspect, Unmet, only_arguments

SLOPE = 2.5
"""The gradient of each loss by each weight. Not 1: at 1, Adam's steps would be as long as SGD's."""


class _Losses(nn.Module):
    """A model whose losses are known: the sum of an image's pixels, plus `SLOPE` times that of the
    weights.

    The gradient is the same whatever the image. So the weights after an epoch do not depend on
    the order of the batches, and tell how many steps there were, and how long. `seen` keeps the
    batches that were asked for.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return x.flatten(1).sum(1) + SLOPE * self.weights.sum()  # (B,)


def _draw_epochs(rng: torch.Generator) -> list[tuple[_Losses, Tensor, float, int]]:
    """A model, images `(N, 1, 2, 2)`, a learning rate and a batch size, with a small last batch."""
    return [
        (
            _Losses(torch.randn(3, generator=rng)),
            # the last images are larger: were they lost, or weighted too heavily, it would show
            torch.rand(count, 1, 2, 2, generator=rng) + torch.arange(count).view(-1, 1, 1, 1),
            0.1,
            batch_size,
        )
        for count, batch_size in ((37, 8), (33, 16), (50, 7))
    ]


def _epoch_oracle(model: _Losses, images: Tensor, learning_rate: float, batch_size: int) -> float:
    """In closed form, for `_Losses`: each step takes the same from each of the three weights."""
    count, total, each = len(images), 0.0, SLOPE * learning_rate
    steps = math.ceil(count / batch_size)
    with torch.no_grad():
        for step in range(steps):
            size = min(batch_size, count - step * batch_size)
            total += size * SLOPE * float(model.weights.sum() - 3 * step * each)
        model.weights -= each * steps
    model.seen.extend(images[torch.randperm(count)].split(batch_size))
    return (float(images.sum()) + total) / count


def _value_without_steps(answer: Callable[..., Any], *inputs: Any) -> Any:
    """What is returned at a learning rate of 0, where the order of the batches is all the same."""
    model, images, _, batch_size = inputs
    return answer(model, images, 0.0, batch_size)


def _mean_loss(model: _Losses, images: Tensor, _: float, __: int) -> float:
    return float(images.flatten(1).sum(1).mean() + SLOPE * model.weights.sum())


def _weights_after(answer: Callable[..., Any], *inputs: Any) -> Tensor:
    model = inputs[0]
    answer(*inputs)
    return model.weights.detach()


def _right_weights(model: _Losses, images: Tensor, rate: float, batch_size: int) -> Tensor:
    return model.weights.detach() - SLOPE * rate * math.ceil(len(images) / batch_size)


def _every_image_once(answer: Callable[..., Any], *inputs: Any) -> bool:
    model, images, _, batch_size = inputs
    answer(*inputs)
    if not model.seen:
        raise Unmet("The model was never called.")
    if max(map(len, model.seen)) > batch_size:
        raise Unmet(
            f"A batch has {max(map(len, model.seen))} images, more than batch_size = {batch_size}."
        )
    seen = torch.cat(model.seen)[:, 0, 0, 0].tolist()  # all images differ in this pixel
    missing = len(images) - len(set(seen))
    if missing:
        raise Unmet(
            f"{missing} of {len(images)} images were never used. Is the last, smaller batch "
            "dropped? Are images drawn with replacement?"
        )
    if len(seen) > len(images):
        raise Unmet("Some images were used more than once: the model is called once for a batch.")
    return True


def _random_order(answer: Callable[..., Any], *inputs: Any) -> bool:
    model, images = inputs[:2]
    answer(*inputs)
    answer(*inputs)
    seen = torch.cat(model.seen)[:, 0, 0, 0]
    first, second = seen[: len(images)], seen[len(images) :]
    if torch.equal(first, images[:, 0, 0, 0]):
        raise Unmet(
            "The images came in the order of the data set. Where it is sorted by class, every "
            "batch would hold one class: draw a new order with torch.randperm(len(images))."
        )
    if torch.equal(first, second):
        raise Unmet("Two epochs had the same order: is the random seed set inside the function?")
    return True


def _loop(
    model: _Losses,
    images: Tensor,
    learning_rate: float,
    batch_size: int,
    reduce: Callable[[Tensor], Tensor] = torch.Tensor.mean,
    clear: bool = True,
    make: type[torch.optim.Optimizer] = torch.optim.SGD,
) -> tuple[list[Tensor], float]:
    """An epoch whose step can be made wrong. Returns each batch's losses, and the rate."""
    optimiser, record = make(model.parameters(), lr=learning_rate), []
    for index in torch.randperm(len(images)).split(batch_size):
        losses = model(images[index])
        if clear:
            optimiser.zero_grad()
        reduce(losses).backward()
        optimiser.step()
        record.append(losses.detach())
    return record, learning_rate


def _recorded(how: Callable[[list[Tensor]], Tensor], **wrong: Any) -> Callable[..., float]:
    return lambda *inputs: float(how(_loop(*inputs, **wrong)[0]))


def _mean(record: list[Tensor]) -> Tensor:
    return torch.cat(record).mean()


_VALUE_SUSPECTS = (
    Suspect(
        _recorded(lambda record: torch.stack([each.mean() for each in record]).mean()),
        "You took the mean of the batches' means. The last batch is smaller, and its images count "
        "too heavily there: add up the losses of all images, and divide by their number.",
    ),
    Suspect(
        _recorded(lambda record: torch.cat(record).sum()),
        "You returned the sum over the images. Divide by their number.",
    ),
    Suspect(
        _recorded(lambda record: record[-1].mean()),
        "You returned the mean of the last batch only.",
    ),
    Suspect(
        _recorded(lambda record: torch.stack([each.mean() for each in record]).sum()),
        "You added the means of the batches. Add up the losses of all images, and divide by the "
        "number of images.",
    ),
)
_WEIGHT_SUSPECTS = (
    Suspect(
        _recorded(_mean, clear=False),
        "The gradients are never cleared: `backward` adds to what is there, so that each step "
        "repeats all those before. Call `optimiser.zero_grad()` before `backward`.",
    ),
    Suspect(
        _recorded(_mean, reduce=torch.Tensor.sum),
        "You stepped on the sum over the batch. Then a step is longer for a larger batch: take "
        "the mean over the images of the batch.",
    ),
    Suspect(
        _recorded(_mean, make=torch.optim.Adam),
        "You stepped with Adam, whose steps are about as long as the learning rate whatever the "
        "gradient. The exercise asks for plain gradient descent, `torch.optim.SGD`.",
    ),
    Suspect(
        lambda *inputs: 0.0,
        "The weights have not changed. Does every batch have its `backward()` and its "
        "`optimiser.step()`?",
    ),
    Suspect(
        lambda model, images, rate, size: float(_mean(_loop(model, images, rate, len(images))[0])),
        "There was one step for the whole epoch. `optimiser.step()` belongs into the loop over "
        "batches.",
    ),
    Suspect(
        _recorded(_mean, reduce=lambda losses: -losses.mean()),
        "The weights went uphill: the loss is minimised, so its own gradient is the one to take.",
    ),
)

ONE_EPOCH = Exercise(
    name="one-epoch",
    call_as="one_epoch(model, images, learning_rate, batch_size)",
    returns="the mean loss over all images, one number",
    inputs=_draw_epochs,
    oracle=_epoch_oracle,
    properties=(
        Property(
            "the model takes one step of the right length for each batch",
            3,
            measure=_weights_after,
            expected=_right_weights,
            suspects=_WEIGHT_SUSPECTS,
        ),
        Property(
            "every image is used once, the last ones too",
            2,
            measure=_every_image_once,
            expected=True,
        ),
        Property(
            "the mean loss is one over images, with a smaller last batch too",
            2,
            measure=_value_without_steps,
            expected=_mean_loss,
            suspects=_VALUE_SUSPECTS,
        ),
        Property("the order is random", 1, measure=_random_order, expected=True),
        only_arguments(1),
    ),
)
