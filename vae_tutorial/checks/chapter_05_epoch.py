"""Exercise 5.5, an epoch by hand: a model whose losses are known, and what is checked with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.checks.core import Exercise, Property, Unmet

SLOPE = 2.5
"""The gradient of each loss by each weight. Not 1: at 1, Adam's steps would be as long as SGD's."""


class _Losses(nn.Module):
    """A model whose losses are known: the sum of an image's pixels, plus `SLOPE` times that of all
    weights.

    The gradient is the same whatever the image. So the weights after an epoch do not depend on
    the order of the batches, and tell how many steps there were, and how long. `seen` keeps the
    batches that were asked for.
    """

    def __init__(self, rng: torch.Generator) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(3, generator=rng))
        self.bias = nn.Parameter(torch.randn(1, generator=rng))
        self.last = nn.ModuleDict({"scale": nn.ParameterDict({"a": torch.randn(2, generator=rng)})})
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return x.flatten(1).sum(1) + SLOPE * sum(p.sum() for p in self.parameters())  # (B,)


def _draw_epochs(rng: torch.Generator) -> list[tuple[_Losses, Tensor, float, int]]:
    """A model, images `(N, 1, 2, 2)`, a learning rate and a batch size, with a small last batch.

    The last images are larger: were they lost, or weighted too heavily, it would show.
    """
    # The first optimiser imports for seconds, which should not count as time of an answer.
    torch.optim.SGD([torch.zeros(1)], 0.1)
    return [
        (
            _Losses(rng),
            torch.rand(count, 1, 2, 2, generator=rng) + torch.arange(count).view(-1, 1, 1, 1),
            0.1,
            batch_size,
        )
        for count, batch_size in ((37, 8), (33, 16), (50, 7))
    ]


def _value_without_steps(answer: Callable[..., Any], *inputs: Any) -> Any:
    """What is returned at a learning rate of 0, where the order of the batches is all the same."""
    model, images, _, batch_size = inputs
    return answer(model, images, 0.0, batch_size)


def _weights_after(answer: Callable[..., Any], *inputs: Any) -> tuple[Tensor, ...]:
    model, _, rate, _ = inputs
    before = [p.detach().clone() for p in model.parameters()]
    answer(*inputs)
    steps = [(old - p.detach()) / (SLOPE * rate) for old, p in zip(before, model.parameters())]
    still = [not step.any() for step in steps]
    if any(still) and not all(still):
        raise Unmet(
            f"{sum(still)} of the model's {len(still)} parameters have not moved. Give the "
            "optimiser all of them, `model.parameters()`."
        )
    return tuple(steps)


def _pixels(batches: list[Tensor]) -> list[list[float]]:
    return [batch.flatten(1)[:, 0].tolist() for batch in batches]  # all images differ in this


def _row(batches: list[list[float]]) -> list[float]:
    return [each for batch in batches for each in batch]


def _every_image_once(answer: Callable[..., Any], *inputs: Any) -> bool:
    model, images, _, batch_size = inputs
    answer(*inputs)
    if not model.seen:
        raise Unmet("The model was never called.")
    if max(map(len, model.seen)) > batch_size:
        raise Unmet(
            f"A batch has {max(map(len, model.seen))} images, more than batch_size = {batch_size}."
        )
    seen = _row(_pixels(model.seen))
    missing, known = len(images) - len(set(seen)), set(_pixels([images])[0])
    if not set(seen) <= known:
        raise Unmet("The model saw images that are not in the data set, or changed ones.")
    if missing and len(set(seen)) < len(seen):
        raise Unmet(
            f"{missing} of {len(images)} images were never used, and others more than once: they "
            "are drawn with replacement. `torch.randperm` draws each once."
        )
    if missing:
        raise Unmet(
            f"{missing} of {len(images)} images were never used. Is the last, smaller batch "
            "dropped?"
        )
    if len(seen) > len(images):
        raise Unmet("Some images were used more than once: the model is called once for a batch.")
    if len(model.seen) > math.ceil(len(images) / batch_size):
        raise Unmet(
            f"The model was called {len(model.seen)} times, where {len(images)} images make "
            f"{math.ceil(len(images) / batch_size)} batches of up to {batch_size}."
        )
    return True


def _random_order(answer: Callable[..., Any], *inputs: Any) -> bool:
    """Batches with a chance below 1e-12 to be fixed ones, and an order that is drawn anew."""
    model, images = inputs[:2]
    answer(*inputs)
    first = _pixels(model.seen)
    model.seen.clear()
    answer(*inputs)
    second, given = _pixels(model.seen), _pixels([images])[0]
    if _row(first) == given:
        raise Unmet(
            "The images came in the order of the data set. Where it is sorted by class, every "
            "batch would hold one class: draw a new order with torch.randperm(len(images))."
        )
    if first == second:
        raise Unmet(
            "Two epochs had the same order. Draw a new one in every call, and set no random seed "
            "inside the function."
        )
    if {frozenset(batch) for batch in first} == {frozenset(batch) for batch in second}:
        raise Unmet(
            "The batches are always the same ones, in another order. Draw an order of the images, "
            "and cut that into batches."
        )
    return True


def one_epoch(model: _Losses, images: Tensor, learning_rate: float, batch_size: int) -> Tensor:
    optimiser, total = torch.optim.SGD(model.parameters(), lr=learning_rate), torch.zeros(())
    for index in torch.randperm(len(images)).split(batch_size):
        losses = model(images[index])
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        total = total + losses.detach().sum()
    return total / len(images)


_STEPS = "torch.randperm(len(images)).split(batch_size)"
_SHARE = "total / len(images)"
ONE_EPOCH = Exercise(
    name="one-epoch",
    call_as="one_epoch(model, images, learning_rate, batch_size)",
    returns="the mean loss over all images, one number",
    inputs=_draw_epochs,
    answer=one_epoch,
    sizes=lambda model, images, rate, size: {"N": len(images), "batch_size": size},
    properties=(
        Property("all weights take one step of the right length for each batch", 3,
                 _weights_after, rtol=1e-3),
        Property("every image is used once, the last ones too", 2, _every_image_once, True),
        Property("the mean loss is one over images, with a smaller last batch too", 2,
                 _value_without_steps),
        Property("each loss is taken when its batch is used, before the step", 1, rtol=1e-3),
        Property("the order is random, new in every call", 1, _random_order, True),
    ),
    slips=(
        ("        optimiser.zero_grad()\n", "",
         "The gradients are never cleared: `backward` adds to what is there. Call "
         "`optimiser.zero_grad()` before it."),
        ("losses.mean()", "losses.sum()",
         "You stepped on the sum over the batch. Then a step is longer for a larger batch: take "
         "the mean."),
        ("optim.SGD", "optim.Adam",
         "You stepped with Adam. The exercise asks for plain gradient descent, `torch.optim.SGD`."),
        ("lr=learning_rate", "lr=learning_rate, momentum=0.9",
         "You stepped with momentum. The exercise asks for plain gradient descent."),
        ("        optimiser.step()\n", "",
         "The weights have not changed. Does every batch have its `backward()` and its "
         "`optimiser.step()`?"),
        ("split(batch_size)", "split(len(images))",
         "There was one step for the whole epoch. `optimiser.step()` belongs into the loop over "
         "batches."),
        (_STEPS, f"{_STEPS}[:-1]", "There was one step too few: the last, smaller batch had none."),
        ("losses.mean()", "losses.mean().neg()", "The weights went uphill: the loss is minimised."),
        ("losses.mean()", "(losses.sum() / batch_size)",
         "You divided the sum of the last, smaller batch by batch_size. Divide by its own number "
         "of images, or take `.mean()`."),
        ("losses.mean()", "(losses.sum() / len(images))",
         "You divided the loss of a batch by the number of all images. Take the mean over the "
         "batch."),
        (f"sum()\n    return {_SHARE}", f"mean()\n    return total / len({_STEPS})",
         "You took the mean of the batches' means. The last batch is smaller: its images count "
         "too heavily. Sum first."),
        (_SHARE, "total", "You returned the sum over the images. Divide by their number."),
        (f"sum()\n    return {_SHARE}", "mean()\n    return total",
         "You added the means of the batches. Add up the losses of all images, and divide by "
         "their number."),
        (_SHARE, f"total / len({_STEPS})",
         "You divided the sum over all images by the number of batches. Divide it by the number "
         "of images."),
        (f"sum()\n    return {_SHARE}", f"mean()\n    return {_SHARE}",
         "You added the means of the batches and divided by the number of images. Add up the "
         "losses of the images."),
        (_SHARE, "losses.mean().detach()", "You returned the mean of the last batch only."),
        ("total + losses", "0 * total + losses",
         "You returned the sum of the last batch, divided by the number of all images."),
    ),
)  # fmt: skip
