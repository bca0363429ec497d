"""Exercise 1.3, an objective that drops pixels: what it gives the model to see, and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.checks.core import (
    Exercise,
    Property,
    Unmet,
    Within,
    keeps_inputs,
    only_arguments,
)

Objective = Callable[[Any, Tensor, float], dict[str, Tensor]]


class _Net(nn.Module):
    """A small network between images, whose results differ from its inputs."""

    def __init__(self, rng: torch.Generator, pixels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(pixels, pixels, generator=rng) / pixels)

    def forward(self, x: Tensor) -> Tensor:
        return 0.1 + (x.flatten(1) @ self.weight).reshape(x.shape)


class _Spy(nn.Module):
    """The same network, which remembers the last images that it was given."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.seen = net, None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.detach().clone()
        return self.net(x)


def _draw_masked(rng: torch.Generator) -> list[tuple[nn.Module, Tensor, float]]:
    """No pixel is 0, so that a dropped one can be told."""
    return [
        _masked_case(rng, shape, drop) for shape, drop in (((5, 1, 4, 4), 0.3), ((2, 1, 3, 5), 0.7))
    ]


def _draw_many_masked(rng: torch.Generator) -> list[tuple[nn.Module, Tensor, float]]:
    return [_masked_case(rng, (200, 1, 6, 6), drop) for drop in (0.25, 0.8)]


def _masked_case(rng: torch.Generator, shape: tuple[int, ...], drop: float) -> tuple[Any, ...]:
    pixels = shape[2] * shape[3]
    return _Net(rng, pixels), 0.2 + 0.8 * torch.rand(shape, generator=rng), drop


def _right_masking(model: nn.Module, x: Tensor, drop: float = 0.5) -> dict[str, Tensor]:
    kept = torch.distributions.Bernoulli(1 - drop).sample(x.shape)
    error = torch.stack(
        [(one - two).norm() ** 2 for one, two in zip(model(x * kept), x, strict=True)]
    )
    return {"loss": error / 2, "squared_error": error}


def _masking_form(result: Any, model: nn.Module, x: Tensor, drop: float) -> None:
    """The gate: a dictionary with two entries of shape (B,)."""
    if not isinstance(result, dict):
        raise Unmet(
            f"{type(result).__name__} came, where a dictionary is expected: an objective returns "
            '{"loss": …, "squared_error": …}.'
        )
    for key in ("loss", "squared_error"):
        value = result.get(key)
        if not isinstance(value, Tensor):
            raise Unmet(f"The dictionary needs a tensor {key!r}. It has {sorted(result)}.")
        if value.shape == (len(x),):
            continue
        reason = {
            (): "One number came for the whole batch. `fit` averages; an objective does not.",
            tuple(x.shape): "The error of each pixel came. Sum over the pixels: "
            "`.flatten(1).sum(1)`.",
        }.get(tuple(value.shape), f"{key!r} has shape {tuple(value.shape)}.")
        raise Unmet(f"{reason} One number for each image is expected, ({len(x)},).")


def _watched(answer: Objective, model: nn.Module, x: Tensor, drop: float) -> tuple[Any, Tensor]:
    """What the answer returns, and what it gave the model to see."""
    spy = _Spy(model)
    result = answer(spy, x, drop)
    if spy.seen is None or spy.seen.shape != x.shape:
        raise Unmet("The model never saw a batch of images: call `model(…)` on all of them.")
    return result, spy.seen


def _only_masks(answer: Objective, model: nn.Module, x: Tensor, drop: float) -> bool:
    """Every pixel that the model sees is 0 or what it was."""
    _, seen = _watched(answer, model, x, drop)
    kept = seen != 0
    if torch.equal(seen, x):
        raise Unmet("The model saw the clean images: there the task is to copy.")
    if not kept.any():
        raise Unmet("Every pixel was dropped: nothing is left to rebuild the image from.")
    if torch.allclose(seen[kept] * (1 - drop), x[kept]):
        raise Unmet(
            "Kept pixels are divided by 1 − drop, as `dropout` does it. Masking leaves them as "
            "they are."
        )
    if not torch.equal(seen[kept], x[kept]):
        raise Unmet("Pixels that are not dropped have changed. Multiply by a mask of 0 and 1.")
    return True


def _dropped(answer: Objective, model: nn.Module, x: Tensor, drop: float) -> Tensor:
    """The share of dropped pixels."""
    _, seen = _watched(answer, model, x, drop)
    share = (seen == 0).float().mean()
    error = 5 * (0.25 / x.numel()) ** 0.5
    if abs(share - (1 - drop)) < error:
        raise Unmet(
            f"{share:.0%} of the pixels were dropped, where drop is {drop:.0%}: the mask keeps "
            "what it should drop. `torch.rand_like(x) > drop` keeps a pixel with probability "
            "1 − drop."
        )
    if abs(share - 0.5) < error:
        raise Unmet(f"Half of the pixels were dropped, whatever `drop` says; it was {drop}.")
    return share


def _expected_share(model: nn.Module, x: Tensor, drop: float) -> Within:
    return Within(torch.tensor(drop), 5 * (drop * (1 - drop) / x.numel()) ** 0.5)


def _own_masks(answer: Objective, model: nn.Module, x: Tensor, drop: float) -> bool:
    """Each image has its own mask, and each call new ones."""
    masks = [_watched(answer, model, x, drop)[1] == 0 for _ in range(2)]
    if not masks[0].any() or masks[0].all():
        raise Unmet("Nothing is dropped, or all of it.")
    if torch.equal(*masks):
        raise Unmet(
            "Two calls used the same masks. Draw new ones in every call: fixed masks can be learnt "
            "by heart."
        )
    if (masks[0] == masks[0][:1]).all():
        raise Unmet("All images of the batch got the same mask. Draw it in the shape of `x`.")
    return True


def _clean_target(answer: Objective, model: nn.Module, x: Tensor, drop: float) -> Tensor:
    """The squared error over what it should be, for the masks that were drawn: 1 for each image."""
    result, seen = _watched(answer, model, x, drop)
    with torch.no_grad():
        rebuilt = model(seen)
    got, off = result["squared_error"].detach(), (rebuilt - x).flatten(1)
    wrong = (
        ((rebuilt - seen).flatten(1).square().sum(1), _MASKED_TARGET),
        ((off.square() * (seen.flatten(1) == 0)).sum(1), _DROPPED_ONLY),
        (off.square().mean(1), "You averaged over the pixels. Sum over them, as in (1.1)."),
        (off.norm(dim=1), "That is the distance, not its square."),
        (off.abs().sum(1), "You summed absolute differences. (1.1) has squares."),
        (0.5 * off.square().sum(1), "The ½ belongs to the loss, not to the squared error."),
    )
    for value, hint in wrong:
        if torch.allclose(got, value, rtol=1e-3):
            raise Unmet(hint)
    return got / off.square().sum(1)


_MASKED_TARGET = (
    "You compared with the masked image. Then the best answer is to copy the mask; compare with "
    "the clean image `x`."
)
_DROPPED_ONLY = (
    "You counted the dropped pixels only. That is another objective: here the whole image is the "
    "target."
)


def _half(answer: Objective, model: nn.Module, x: Tensor, drop: float) -> Tensor:
    """The loss over the squared error: ½ for each image."""
    result = answer(model, x, drop)
    share = (result["loss"] / result["squared_error"]).detach()
    if torch.allclose(share, torch.ones_like(share)):
        raise Unmet(
            "The loss is the whole squared error. The book's loss has a ½: it is then minus the "
            "logarithm of a Gaussian density with variance 1, up to a constant."
        )
    return share


def _trains(answer: Objective, model: nn.Module, x: Tensor, drop: float) -> bool:
    loss = answer(model, x, drop)["loss"].sum()
    if not loss.requires_grad:
        raise Unmet("No gradient reaches the model: look for .detach(), .data, .item() or no_grad.")
    (slope,) = torch.autograd.grad(loss, model.weight, allow_unused=True)
    if slope is None or not slope.any():
        raise Unmet("No gradient reaches the model's weights.")
    return True


MASKING = Exercise(
    name="masking-error",
    call_as="masking_error(model, x, drop=0.5)",
    returns='{"loss": (B,), "squared_error": (B,)}',
    inputs=_draw_masked,
    oracle=_right_masking,
    gate=_masking_form,
    properties=(
        Property("the model sees the images with some pixels at 0", 2, _only_masks, True),
        Property("a share `drop` of the pixels", 2, _dropped, _expected_share, _draw_many_masked),
        Property("every image has a mask of its own, new in every call", 1, _own_masks, True),
        Property(
            "the squared error to the clean image, summed over pixels",
            3,
            _clean_target,
            lambda model, x, drop: torch.ones(len(x)),
        ),
        Property(
            "the loss is half of it", 1, _half, lambda model, x, drop: 0.5 * torch.ones(len(x))
        ),
        Property("the model learns from it", 1, _trains, True),
        keeps_inputs(1),
        only_arguments(1),
    ),
)
