"""A small network in whole numbers: the same outputs, to the last bit, on every machine.

A file can be decoded only where the network says exactly what it said when the file was made.
Floating-point sums depend on their order, and that differs between processors, thread counts
and library versions. Sums of whole numbers do not. Here weights and activations are rounded to
whole numbers, and kept in float64, where sums are exact as long as they stay below 2**53. A bound
on every sum is proved when the network is made.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_tutorial.compress.gaussian import DECIMAL, FINE

PLACES = 12  # binary places of inputs, activations and outputs
WEIGHT_PLACES = 14
EXACT = 2**53
PROBABILITY = 16  # a pixel's probability in whole 2**-16
MOST_LOGIT = 16
LINEAR = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


class IntegerNetwork:
    """`network`, rounded: calling it maps arrays of whole numbers `(B, …)` to such arrays.

    Inputs and outputs are float64, with PLACES binary places; `largest` bounds the inputs' size.
    The layers may be linear, convolutions and transposed convolutions, ReLUs and changes of shape.

    Raises `TypeError` for other layers, `ValueError` where a sum could leave the range in which
    float64 is exact.
    """

    def __init__(self, network: nn.Module, largest: float) -> None:
        self.steps: list[Step] = []
        bound = largest * 2**PLACES
        for layer in _plain_layers(network):
            if not isinstance(layer, LINEAR):
                self.steps.append(Step(layer))
                continue
            weight = torch.round(layer.weight.detach().cpu().double() * 2**WEIGHT_PLACES)
            bias = torch.round(layer.bias.detach().cpu().double() * 2 ** (WEIGHT_PLACES + PLACES))
            inputs = (0, 2, 3) if isinstance(layer, nn.ConvTranspose2d) else (1, 2, 3)
            sizes = weight.abs().sum(tuple(d for d in inputs if d < weight.dim()))  # (out,)
            most = float((bound * sizes + bias.abs()).max())
            if not most < EXACT:
                raise ValueError(
                    f"a sum in this network may reach {most:.3g}, above 2**53, where float64 stops "
                    "being exact. Are there very large weights?"
                )
            bound = most / 2**WEIGHT_PLACES + 1
            self.steps.append(Step(layer, weight, bias))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        values = torch.from_numpy(x)
        with torch.no_grad():
            for step in self.steps:
                values = step(values)
        return values.flatten(1).numpy()

    def content(self) -> bytes:
        """All that the outputs depend on, as bytes, for a fingerprint: layers and weights."""
        return b"".join(step.content() for step in self.steps)


class Step:
    """One layer, on whole numbers in float64. `weight` and `bias` are rounded already."""

    def __init__(
        self, layer: nn.Module, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> None:
        self.layer, self.weight, self.bias = layer, weight, bias

    def __call__(self, x: Tensor) -> Tensor:
        if self.weight is None:
            return self.layer(x)
        sums, bias = self.sums(x), self.bias
        if sums.dim() == 4:
            bias = bias[:, None, None]
        return torch.floor((sums + bias + 2 ** (WEIGHT_PLACES - 1)) * 2.0**-WEIGHT_PLACES)

    def content(self) -> bytes:
        """The layer's kind and sizes, then its weights: two strides may share one set of weights.

        Written out here, since torch may print a layer in another way tomorrow.
        """
        plan = [type(self.layer).__name__]
        for name in ("stride", "padding", "unflattened_size", "start_dim", "end_dim"):
            size = getattr(self.layer, name, ())
            plan.append(f"{name}={size if isinstance(size, int) else tuple(size)}")
        parts = [part for part in (self.weight, self.bias) if part is not None]
        plan += [f"{tuple(part.shape)}" for part in parts]
        numbers = (part.numpy().astype("<i8").tobytes() for part in parts)
        return ";".join(plan).encode() + b"".join(numbers)

    def sums(self, x: Tensor) -> Tensor:
        """Products and sums alone: a library's fast convolution may compute with fractions."""
        layer, weight = self.layer, self.weight
        if isinstance(layer, nn.Linear):
            return x @ weight.T  # (B, out)
        shape = {"padding": layer.padding, "stride": layer.stride}
        if isinstance(layer, nn.Conv2d):
            patches = F.unfold(x, layer.kernel_size, **shape)  # (B, in · k · k, places)
            sides = [
                (n + 2 * p - k) // s + 1
                for n, p, k, s in zip(
                    x.shape[2:], layer.padding, layer.kernel_size, layer.stride, strict=True
                )
            ]
            return (weight.flatten(1) @ patches).unflatten(2, sides)
        patches = weight.flatten(1).T @ x.flatten(2)  # (B, out · k · k, places)
        sides = [
            (n - 1) * s - 2 * p + k
            for n, p, k, s in zip(
                x.shape[2:], layer.padding, layer.kernel_size, layer.stride, strict=True
            )
        ]
        return F.fold(patches, sides, layer.kernel_size, **shape)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """sigmoid(logit) in whole 2**-16, from 1 to 2**16 − 1: uint64, like `logits`."""
    fine = np.rint(logits * 2.0 ** (FINE - PLACES)).astype(np.int64)
    most = MOST_LOGIT << FINE
    return sigmoid_table()[np.clip(fine, -most, most) + most]


@cache
def sigmoid_table() -> np.ndarray:
    with localcontext(DECIMAL):
        whole, most = 1 << PROBABILITY, MOST_LOGIT << FINE
        values = [
            int((whole / (1 + (-Decimal(k) / (1 << FINE)).exp())).to_integral_value())
            for k in range(-most, most + 1)
        ]
    return np.clip(np.array(values), 1, whole - 1).astype(np.uint64)


def _plain_layers(network: nn.Module) -> list[nn.Module]:
    inner = [part for part in network.modules() if not list(part.children())]
    for layer in inner:
        plain = isinstance(layer, (*LINEAR, nn.ReLU, nn.Flatten, nn.Unflatten))
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
            plain = plain and getattr(layer, "output_padding", (0, 0)) == (0, 0)
            plain = plain and not isinstance(layer.padding, str)  # "same" has no fixed width
        if not plain or (isinstance(layer, LINEAR) and layer.bias is None):
            raise TypeError(
                "a network in whole numbers may have linear layers, plain convolutions, ReLUs and "
                f"changes of shape, got {layer}. The package's own networks have no others."
            )
    return inner
