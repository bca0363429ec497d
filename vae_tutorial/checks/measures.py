"""The measures of the properties that many exercises share: gradients, inputs, foreign values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae_tutorial.checks.compare import same
from vae_tutorial.checks.names import foreign_values
from vae_tutorial.checks.sandbox import copied

CUT = (
    "No gradient reaches {}. The path is cut: by .detach(), .data, .item(), float(), numpy, "
    "torch.tensor(…) around a result, or torch.no_grad()."
)


class Unmet(Exception):  # noqa: N818 - a verdict, no error
    """Raised by a `measure` or a `gate`: the property does not hold, for the reason given."""


def gradients(answer: Callable[..., Any], *inputs: Any) -> tuple[Tensor | None, ...]:
    """The derivatives of a weighted sum of the results, one entry for each input.

    The weights differ from entry to entry, so that a result that went to the wrong place in the
    batch shows. An entry has the shape of its input; for a module it is the derivative with respect
    to all of its parameters in a row, and for an input without derivative it is None.
    """
    leaves = [_leaves(value) for value in inputs]
    # Clones, not leaves: changing an input in place is another mistake, with its own property.
    arguments = [
        leaf[0].clone() if isinstance(value, Tensor) and leaf else value
        for value, leaf in zip(inputs, leaves)
    ]
    total = _weighted_sum(answer(*arguments))
    if total is None or not total.requires_grad:
        raise Unmet(CUT.format("any input"))
    flat = [leaf for each in leaves for leaf in each]
    found = torch.autograd.grad(total, flat, allow_unused=True)
    filled = iter([torch.zeros_like(x) if g is None else g for x, g in zip(flat, found)])
    return tuple(
        _joined([next(filled) for _ in each], value) for each, value in zip(leaves, inputs)
    )


def explain_gradient(got: Any, expected: Any, names: Sequence[str]) -> str | None:
    """Names the inputs that no gradient reaches, though one should."""
    cut = [
        name
        for name, mine, right in zip(names, got, expected)
        if right is not None and bool(right.any()) and not bool(mine.any())
    ]
    return CUT.format(" and ".join(cut)) if cut else None


def unchanged_inputs(answer: Callable[..., Any], *inputs: Any) -> bool:
    """True where the inputs are afterwards what they were before."""
    before = copied(inputs)
    answer(*inputs)
    for place, (now, then) in enumerate(zip(inputs, before), start=1):
        if not same(now, then):
            raise Unmet(
                f"Argument {place} is changed in place, by an operation such as `x += 1`, "
                "`x.exp_()` or `x[0] = 1`. Whoever called goes on with the changed values. Make a "
                "new tensor: `x = x + 1`."
            )
    return True


def no_foreign_values(answer: Any, *_: Any) -> bool:
    """True where the answer uses no values out of the notebook."""
    if names := foreign_values(answer):
        raise Unmet(foreign_text(names))
    return True


def foreign_text(names: Sequence[str]) -> str:
    """What is said of values that come from the notebook."""
    listed = ", ".join(f"`{name}`" for name in names)
    one = len(names) == 1
    return (
        f"The answer uses {listed} out of the notebook, and goes wrong as soon as "
        f"{'it is' if one else 'they are'} changed or missing. Pass {'it' if one else 'them'} as "
        f"{'an argument' if one else 'arguments'}, or compute {'it' if one else 'them'} inside."
    )


def _leaves(value: Any) -> list[Tensor]:
    if isinstance(value, nn.Module):
        return [each for each in value.parameters() if each.requires_grad]
    if isinstance(value, Tensor) and value.is_floating_point():
        return [value.detach().clone().requires_grad_()]
    return []


def _joined(parts: list[Tensor], value: Any) -> Tensor | None:
    if not parts:
        return None
    return parts[0] if isinstance(value, Tensor) else torch.cat([each.flatten() for each in parts])


def _weighted_sum(result: Any) -> Tensor | None:
    """One number from a tensor, or from a tuple, list or dictionary of tensors."""
    if isinstance(result, Tensor):
        if not result.is_floating_point():
            return None
        weights = torch.linspace(1, 2, result.numel()).view(result.shape)
        return (result * weights).sum()
    if not isinstance(result, (tuple, list, dict)):
        return None
    parts = result.values() if isinstance(result, dict) else result
    sums = [each for each in map(_weighted_sum, parts) if each is not None]
    return sum(sums[1:], sums[0]) if sums else None
