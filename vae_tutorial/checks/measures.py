"""The measures of the properties that many exercises share: gradients, and inputs unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_tutorial.checks.compare import same
from vae_tutorial.checks.sandbox import copied


class Unmet(Exception):  # noqa: N818 - a verdict, no error
    """Raised by a `measure` or a `gate`: the property does not hold, for the reason given."""


def stacked(result: Any) -> Any:
    """A list or tuple of tensors of one shape as one tensor, with its graph; else `result`."""
    if not isinstance(result, (tuple, list)) or not result:
        return result
    parts = [stacked(each) for each in result]
    alike = all(isinstance(each, Tensor) and each.shape == parts[0].shape for each in parts)
    return torch.stack(parts) if alike else result


def gradients(answer: Callable[..., Any], *inputs: Any) -> tuple[Tensor, ...]:
    """The derivatives of a weighted sum of the results, one for each tensor of fractions.

    The weights differ from entry to entry, so that a result that went to the wrong place in the
    batch shows. For exercises in which every such input matters.
    """
    leaves = [x.detach().clone().requires_grad_() if _is_float(x) else None for x in inputs]
    # Clones, not leaves: changing an input in place is another mistake, with its own property.
    try:
        given = (x if leaf is None else leaf.clone() for x, leaf in zip(inputs, leaves))
        result = stacked(answer(*given))
    except RuntimeError:  # numpy() of a tensor that requires a gradient
        result = None
    flat = [leaf for leaf in leaves if leaf is not None]
    if not isinstance(result, Tensor) or not result.requires_grad:
        raise Unmet(
            "No gradient reaches any input. The path is cut: by .detach(), .data, .item(), "
            "float(), numpy, torch.tensor(…) around a result, or torch.no_grad()."
        )
    weights = torch.linspace(1, 2, result.numel()).view(result.shape)
    found = torch.autograd.grad((result * weights).sum(), flat, allow_unused=True)
    cut = [n for n, g in enumerate(found, start=1) if g is None or not g.any()]
    if cut:
        raise Unmet(f"No gradient reaches argument {' and argument '.join(map(str, cut))}.")
    return found


def unchanged_inputs(answer: Callable[..., Any], *inputs: Any) -> bool:
    """True where the inputs are afterwards what they were before."""
    before = copied(inputs)
    answer(*inputs)
    for place, (now, then) in enumerate(zip(inputs, before), start=1):
        if not same(now, then):
            raise Unmet(
                f"Argument {place} is changed in place, by an operation such as `x += 1`, "
                "`x.exp_()` or `x[0] = 1`. Its caller goes on with the changed values. "
                "Make a new tensor: `x = x + 1`."
            )
    return True


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()
