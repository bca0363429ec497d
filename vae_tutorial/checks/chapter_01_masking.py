"""Exercise 1.3, an objective that drops pixels: what it gives the model to see, and returns.

The bounds of the statistical rules are at least seven standard errors wide: a right answer fails
with a probability below 1e-9 for a whole check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.checks.core import Exercise, Property, Unmet, keeps_inputs

Objective = Callable[[Any, Tensor, float], dict[str, Any]]


class _Net(nn.Module):
    """A small network between images, whose results differ from its inputs."""

    def __init__(self, rng: torch.Generator, pixels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(pixels, pixels, generator=rng) / pixels)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return 0.1 + (x.flatten(1) @ self.weight.to(x.dtype)).reshape(x.shape)


def _case(rng: torch.Generator, shape: tuple[int, ...], drop: float) -> tuple[Any, ...]:
    """No pixel is 0, so that a dropped one can be told."""
    net = _Net(rng, shape[1] * shape[2] * shape[3])
    return (net, 0.2 + 0.8 * torch.rand(shape, generator=rng), drop)


def _draw_few(rng: torch.Generator) -> list[tuple[nn.Module, Tensor, float]]:
    return [_case(rng, (5, 1, 10, 10), 0.3), _case(rng, (3, 2, 7, 11), 0.7)]


def _draw_many(rng: torch.Generator) -> list[tuple[nn.Module, Tensor, float]]:
    return [_case(rng, (400, 1, 12, 12), drop) for drop in (0.25, 0.8)]


def _right(model: nn.Module, x: Tensor, drop: float = 0.5) -> dict[str, Tensor]:
    error = (model(x * (torch.rand_like(x) > drop)) - x).square().flatten(1).sum(1)
    return {"loss": 0.5 * error, "squared_error": error}


def _form(result: Any, model: nn.Module, x: Tensor, drop: float) -> None:
    """The gate: a dictionary with two entries of shape (B,)."""
    if not isinstance(result, dict):
        raise Unmet(
            f"{type(result).__name__} came, where a dictionary is expected: an objective returns "
            '{"loss": …, "squared_error": …}.'
        )
    for key in ("loss", "squared_error"):
        value = result.get(key)
        if not isinstance(value, Tensor):
            raise Unmet(
                f"The dictionary needs a tensor {key!r}. It has {sorted(map(str, result))}."
            )
        if value.shape != (len(x),):
            reason = {
                (): "One number came for the whole batch. `fit` averages; an objective does not.",
                tuple(x.shape): "The error of each pixel came. Sum over the pixels: "
                "`.flatten(1).sum(1)`.",
            }.get(tuple(value.shape), f"{key!r} has shape {tuple(value.shape)}.")
            raise Unmet(f"{reason} One number for each image is expected, ({len(x)},).")


def _watched(answer: Objective, model: _Net, x: Tensor, drop: float) -> tuple[Any, Tensor]:
    """What the answer returns, and what it gave the model to see, in one call or image by image."""
    model.seen.clear()
    result = answer(model, x, drop)
    seen = [each if each.ndim == x.ndim else each[None] for each in model.seen]
    whole = [each for each in seen if each.shape == x.shape]
    if whole:
        return result, whole[-1].float()
    if seen and torch.cat(seen).shape == x.shape:
        return result, torch.cat(seen).float()
    raise Unmet("The model never saw the images: call `model(…)` on the masked batch.")


def _only_masks(answer: Objective, model: _Net, x: Tensor, drop: float) -> bool:
    """Every pixel that the model sees is 0 or what it was."""
    _, seen = _watched(answer, model, x, drop)
    kept = seen != 0
    if torch.equal(seen, x):
        raise Unmet("The model saw the clean images: there the task is to copy.")
    if not kept.any():
        raise Unmet("Every pixel was dropped: nothing is left to rebuild the image from.")
    if torch.allclose(seen[kept], x[kept], rtol=1e-4, atol=1e-6):
        return True
    if torch.allclose(seen[kept] * (1 - drop), x[kept], rtol=1e-4):
        raise Unmet(
            "Kept pixels are divided by 1 − drop, as `dropout` does it. Masking leaves them as "
            "they are."
        )
    if kept.all():
        raise Unmet(
            "No pixel is 0, and the pixels have changed: that is noise, or a scaling. Masking sets "
            "pixels to 0 and leaves the others as they are."
        )
    raise Unmet(
        "Pixels that are not dropped have changed. Multiply the images by a mask of 0 and 1."
    )


def _independent(answer: Objective, model: _Net, x: Tensor, drop: float) -> bool:
    """Each pixel is dropped with probability `drop`, whatever becomes of the others."""
    masks = [_watched(answer, model, x, drop)[1].flatten(1) == 0 for _ in range(5)]
    gone = masks[0].double()
    share, (images, pixels) = float(gone.mean()), gone.shape
    if not 0 < share < 1:
        raise Unmet("No pixel is dropped." if share == 0 else "Every pixel is dropped.")
    if (masks[0] == masks[0][:1]).all():
        raise Unmet(_SHARED)
    variance = share * (1 - share)
    of_images = float(gone.sum(1).var()) / (pixels * variance)  # 1 ± 0.07
    grid = gone.view(x.shape) - share
    across = float((grid[..., 1:] * grid[..., :-1]).mean()) / variance  # 0 ± 0.0045
    down = float((grid[..., 1:, :] * grid[..., :-1, :]).mean()) / variance
    if of_images > 1.7 or max(abs(across), abs(down)) > 0.04:
        whole = "whole columns" if down > across + 0.2 else "patches or whole images"
        whole = "whole rows" if across > down + 0.2 else whole
        raise Unmet(
            f"Pixels of an image are dropped together: {whole}. Draw the mask in the shape of `x`, "
            "one number for each pixel."
        )
    error = 7 * (drop * (1 - drop) / gone.numel()) ** 0.5
    if abs(share - drop) > error:
        raise Unmet(_share_words(share, drop, error))
    if of_images < 0.5:
        raise Unmet(
            f"Every image lost the same number of pixels, or nearly ({pixels * share:.0f} of "
            f"{pixels}). Each pixel is to be dropped by a draw of its own, so that the number "
            "varies from image to image."
        )
    if all(abs(float(mask.sum()) - drop * mask.numel()) < 1 for mask in masks):  # 1e-10 by chance
        raise Unmet(
            "Exactly the same number of pixels was dropped in each of five calls. Each pixel is to "
            "be dropped or kept by a draw of its own: `torch.rand_like(x) > drop`."
        )
    of_places = float(gone.sum(0).var()) / (images * variance)  # 1 ± 0.12
    if not 0.35 < of_places < 2.1 or len(masks[0].unique(dim=0)) < images:
        raise Unmet("Images share their masks. Draw the mask in the shape of `x`.")
    return True


def _share_words(share: float, drop: float, error: float) -> str:
    if abs(share - (1 - drop)) < error:
        return (
            f"{share:.0%} of the pixels were dropped, where drop is {drop:.0%}: the mask keeps "
            "what it should drop. `torch.rand_like(x) > drop` keeps a pixel with probability "
            "1 − drop."
        )
    if abs(share - 0.5) < error:
        return f"Half of the pixels were dropped, whatever `drop` says; it was {drop}."
    return f"{share:.1%} of the pixels were dropped, where drop is {drop:.0%}."


def _own_masks(answer: Objective, model: _Net, x: Tensor, drop: float) -> bool:
    """Each image has its own mask, and each call new ones."""
    masks = [_watched(answer, model, x, drop)[1] == 0 for _ in range(2)]
    if not masks[0].any():
        raise Unmet("Nothing is dropped.")
    if torch.equal(*masks):
        raise Unmet(
            "Two calls used the same masks. Draw new ones in every call: fixed masks can be learnt "
            "by heart."
        )
    if (masks[0] == masks[0][:1]).all():
        raise Unmet(_SHARED)
    return True


_SHARED = "All images of the batch got the same mask. Draw it in the shape of `x`."


def _clean_target(answer: Objective, model: _Net, x: Tensor, drop: float) -> Tensor:
    """The squared error over what it should be, for the masks that were drawn: 1 for each image."""
    result, seen = _watched(answer, model, x, drop)
    with torch.no_grad():
        off = (model(seen) - x).flatten(1)
        to_mask = (model(seen) - seen).flatten(1)
    got, gone = result["squared_error"].detach().float(), seen.flatten(1) == 0
    wrong = (
        (to_mask.square().sum(1), "You compared with the masked image. Then the best answer is to "
         "copy the mask; compare with the clean image `x`."),
        ((off.square() * gone).sum(1), "You counted the dropped pixels only. Here the whole image "
         "is the target."),
        ((off.square() * ~gone).sum(1), "You counted the kept pixels only. Take all of them."),
        (off.square().mean(1), "You averaged over the pixels. Sum over them, as in (1.1)."),
        (off.norm(dim=1), "That is the distance, not its square."),
        (off.abs().sum(1), "You summed absolute differences. (1.1) has squares."),
        (0.5 * off.square().sum(1), "The ½ belongs to the loss, not to the squared error."),
        (off.sum(1).square(), "You summed before you squared. Square each difference first."),
    )  # fmt: skip
    for value, hint in wrong:
        if torch.allclose(got, value, rtol=1e-3):
            raise Unmet(hint)
    return got / off.square().sum(1)


def _half(answer: Objective, model: _Net, x: Tensor, drop: float) -> Tensor:
    """The loss over the squared error: ½ for each image."""
    result = answer(model, x, drop)
    share = (result["loss"] / result["squared_error"]).detach()
    if torch.allclose(share, torch.ones_like(share)):
        raise Unmet(
            "The loss is the whole squared error. The book's loss has a ½: it is then minus the "
            "logarithm of a Gaussian density with variance 1, up to a constant."
        )
    return share


def _trains(answer: Objective, model: _Net, x: Tensor, drop: float) -> bool:
    loss = answer(model, x, drop)["loss"].sum()
    slope = None
    if loss.requires_grad:
        (slope,) = torch.autograd.grad(loss, model.weight, allow_unused=True)
    if slope is None or not slope.any():
        raise Unmet("No gradient reaches the model: look for .detach(), .data, .item() or no_grad.")
    return True


MASKING = Exercise(
    name="masking-error",
    call_as="masking_error(model, x, drop=0.5)",
    returns='{"loss": (B,), "squared_error": (B,)}',
    inputs=_draw_few,
    answer=_right,
    gate=_form,
    properties=(
        Property("the model sees the images with some pixels at 0", 2, _only_masks, True),
        Property("each pixel is dropped with probability `drop`, independently", 2, _independent,
                 True, _draw_many),
        Property("every image has a mask of its own, new in every call", 1, _own_masks, True),
        Property("the squared error to the clean image, summed over pixels", 3, _clean_target,
                 lambda model, x, drop: torch.ones(len(x)), rtol=1e-3),
        Property("the loss is half of it", 1, _half,
                 lambda model, x, drop: 0.5 * torch.ones(len(x)), rtol=1e-3),
        Property("the model learns from it", 1, _trains, True),
        keeps_inputs(),
    ),
)  # fmt: skip
