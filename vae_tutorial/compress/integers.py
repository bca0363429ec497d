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
from torch import nn

from vae_tutorial.compress.gaussian import FINE

PLACES = 12  # binary places of inputs, activations and outputs
WEIGHT_PLACES = 14
EXACT = 2**53
PROBABILITY = 16  # a pixel's probability in whole 2**-16
MOST_LOGIT = 16


class IntegerNetwork:
    """The linear layers and ReLUs of `network`, rounded; calling it maps `(B, in)` to `(B, out)`.

    Inputs and outputs are float64 arrays of whole numbers, with PLACES binary places. `largest`
    bounds the inputs' size. Raises `TypeError` for other layers, `ValueError` where a sum could
    leave the range in which float64 is exact.
    """

    def __init__(self, network: nn.Module, largest: float) -> None:
        self.layers: list[tuple[np.ndarray, np.ndarray, bool]] = []
        bound = largest * 2**PLACES
        for layer in _plain_layers(network):
            if isinstance(layer, nn.ReLU):
                self.layers[-1] = (*self.layers[-1][:2], True)
                continue
            weight = np.rint(_array(layer.weight) * 2**WEIGHT_PLACES)  # (out, in)
            bias = np.rint(_array(layer.bias) * 2 ** (WEIGHT_PLACES + PLACES))
            sums = bound * np.abs(weight).sum(1) + np.abs(bias)
            if not np.isfinite(sums).all() or sums.max() >= EXACT:
                raise ValueError(
                    f"a sum in this network may reach {sums.max():.3g}, above 2**53, where float64 "
                    "stops being exact. Are there very large weights?"
                )
            bound = sums.max() / 2**WEIGHT_PLACES + 1
            self.layers.append((np.ascontiguousarray(weight.T), bias, False))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        half = 2 ** (WEIGHT_PLACES - 1)
        for weight, bias, relu in self.layers:
            x = np.floor((x @ weight + bias + half) * 2.0**-WEIGHT_PLACES)
            if relu:
                x = np.maximum(x, 0)
        return x

    def numbers(self) -> bytes:
        """All weights as bytes, for a fingerprint."""
        return b"".join(
            part.astype("<i8").tobytes()
            for weight, bias, _ in self.layers
            for part in (weight, bias)
        )


def probabilities(logits: np.ndarray) -> np.ndarray:
    """sigmoid(logit) in whole 2**-16, from 1 to 2**16 − 1: uint64, like `logits`."""
    fine = np.rint(logits * 2.0 ** (FINE - PLACES)).astype(np.int64)
    most = MOST_LOGIT << FINE
    return sigmoid_table()[np.clip(fine, -most, most) + most]


@cache
def sigmoid_table() -> np.ndarray:
    with localcontext() as context:
        context.prec = 40
        whole, most = 1 << PROBABILITY, MOST_LOGIT << FINE
        values = [
            int((whole / (1 + (-Decimal(k) / (1 << FINE)).exp())).to_integral_value())
            for k in range(-most, most + 1)
        ]
    return np.clip(np.array(values), 1, whole - 1).astype(np.uint64)


def _plain_layers(network: nn.Module) -> list[nn.Module]:
    found = []
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.ReLU)):
            found.append(layer)
        elif not isinstance(layer, (nn.Sequential, nn.Flatten)) and layer is not network:
            raise TypeError(
                f"a network in whole numbers may have linear layers and ReLUs, got "
                f"{type(layer).__name__}. Use vt.MLPEncoder and vt.MLPDecoder."
            )
    return found


def _array(parameter: nn.Parameter) -> np.ndarray:
    return parameter.detach().cpu().double().numpy()
