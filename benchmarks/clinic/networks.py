"""Encoders and decoders as plain modules. An encoder gives features `(B, WIDTH)`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH, LATENTS = 64, 8


def mlp_encoder(shape: tuple[int, ...]) -> nn.Module:
    """For examples of any shape: `(B, *shape)` to `(B, WIDTH)`."""
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), WIDTH), nn.ReLU())


def mlp_decoder(shape: tuple[int, ...], last: nn.Module | None = None) -> nn.Module:
    """From z `(B, LATENTS)` to `(B, *shape)`; `last` is an activation after the last layer."""
    layers = [nn.Linear(LATENTS, WIDTH), nn.ReLU(), nn.Linear(WIDTH, torch.Size(shape).numel())]
    return nn.Sequential(*layers, last or nn.Identity(), nn.Unflatten(1, shape))


def conv_encoder(channels: int, size: int, norm: bool = False) -> nn.Module:
    """Two convolutions that halve the image, `(B, channels, size, size)` to `(B, WIDTH)`."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 4, stride=2, padding=1),
        nn.BatchNorm2d(8) if norm else nn.Identity(),
        nn.LeakyReLU(0.1),
        nn.Conv2d(8, 16, 4, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(16 * (size // 4) ** 2, WIDTH),
        nn.LeakyReLU(0.1),
    )


def conv_decoder(channels: int, size: int, last: nn.Module | None = None) -> nn.Module:
    """The mirror image: z `(B, LATENTS)` to `(B, channels, size, size)`."""
    return nn.Sequential(
        nn.Linear(LATENTS, 16 * (size // 4) ** 2),
        nn.Unflatten(1, (16, size // 4, size // 4)),
        nn.LeakyReLU(0.1),
        nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.ConvTranspose2d(8, channels, 4, stride=2, padding=1),
        last or nn.Identity(),
    )


class GRUEncoder(nn.Module):
    """Reads a sequence `(B, T, C)`, or an image row by row, and keeps the last state."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, WIDTH, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.gru(x.flatten(1, -2))  # an image's only channel goes
        return state[0]  # (B, WIDTH)


class GRUDecoder(nn.Module):
    """Writes a sequence: z is the input at every step, and decides the first state."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape  # of one example; the last entry is the number of values in a step
        self.first = nn.Linear(LATENTS, WIDTH)
        self.gru = nn.GRU(LATENTS, WIDTH, batch_first=True)
        self.last = nn.Linear(WIDTH, shape[-1])

    def forward(self, z: Tensor) -> Tensor:
        steps = torch.Size(self.shape[:-1]).numel()
        inputs = z[:, None].expand(-1, steps, -1)  # (B, T, LATENTS)
        states, _ = self.gru(inputs, torch.tanh(self.first(z))[None].contiguous())
        return self.last(states).reshape(-1, *self.shape)
