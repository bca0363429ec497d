"""A pendulum on its head, drawn as small images: what a controller sees of it, and what it does.

The state is (θ, ω): the angle from upright in radians, positive to the right, and its speed in
radians per second. The rod has mass 1 kg and length 1 m, all mass at its end. All functions take
many pendulums at once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vae_tutorial.arguments import whole_number
from vae_tutorial.data.tensors import check_tensor

STEP = 0.1
"""Seconds between two frames."""
GRAVITY = 9.81
STRONGEST = 8.0
"""The largest torque, in N m; gravity's own is 9.81 sin θ."""


def step(state: Tensor, torque: Tensor) -> Tensor:
    """The states `(N, 2)` one frame later, under `torque` `(N,)`, which is held for that time.

    θ'' = g sin θ + u; first the speed moves, then the angle with the new speed. Raises `TypeError`
    or `ValueError` unless both are tensors of these shapes.
    """
    check_tensor("state", state, ("N", 2))
    check_tensor(
        "torque", torque, (len(state),),
        "that is one number for each state, and squeeze(1) makes it of a column",
    )  # fmt: skip
    u = torque.clamp(-STRONGEST, STRONGEST)
    speed = state[:, 1] + STEP * (GRAVITY * state[:, 0].sin() + u)
    return torch.stack([state[:, 0] + STEP * speed, speed], 1)


def draw_pendulum(angle: Tensor, size: int = 16) -> Tensor:
    """Images `(N, size, size)`, in [0, 1], of rods at `angle` `(N,)`: grey where a pixel is half
    covered, so that a move of a tenth of a pixel can be seen."""
    check_tensor("angle", angle, ("N",))
    size = whole_number("size", size, 8)
    centre, length, width = (size - 1) / 2, 0.42 * size, 0.07 * size
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    x, y = columns - centre, centre + 0.25 * size - rows  # from the pivot, below the middle; up
    dx, dy = angle.sin()[:, None, None], angle.cos()[:, None, None]
    along = (x * dx + y * dy).clamp(0, length)
    distance = ((x - along * dx).square() + (y - along * dy).square()).sqrt()
    return (width + 0.5 - distance).clamp(0, 1)


def frames(state: Tensor, size: int = 16) -> Tensor:
    """What is seen in `state` `(N, 2)`: the frame before and the present one, `(N, 2, size, size)`.

    One frame shows where the rod is; only two show how fast it moves.
    """
    check_tensor("state", state, ("N", 2))
    before = draw_pendulum(state[:, 0] - STEP * state[:, 1], size)
    return torch.stack([before, draw_pendulum(state[:, 0], size)], 1)


def draw_states(count: int, seed: int = 0, angle: float = 1.0, speed: float = 3.0) -> Tensor:
    """States `(count, 2)` at random: θ uniform in ±`angle`, ω uniform in ±`speed`."""
    draw = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(count, 2, generator=draw) - 1) * torch.tensor([angle, speed])


def best_gain(effort: float = 0.01) -> Tensor:
    """The gain K `(2,)` of the best linear policy u = −K · (θ, ω) near upright.

    It minimises the sum over frames of θ² + 0.1 ω² + `effort` u² for the linearised pendulum: a
    linear-quadratic regulator, by iterating its Riccati equation until nothing moves.
    """
    A = torch.tensor([[1 + STEP**2 * GRAVITY, STEP], [STEP * GRAVITY, 1.0]], dtype=torch.float64)
    B = torch.tensor([[STEP**2], [STEP]], dtype=torch.float64)
    Q = torch.diag(torch.tensor([1.0, 0.1], dtype=torch.float64))
    P = Q
    for _ in range(2000):
        K = torch.linalg.solve(effort + B.T @ P @ B, B.T @ P @ A)  # (1, 2)
        P = Q + A.T @ P @ (A - B @ K)
    return K[0].float()


def episode(policy: Callable[[Tensor], Tensor], start: Tensor, count: int = 50) -> Tensor:
    """The states `(count + 1, N, 2)` from `start` `(N, 2)` on, under `policy`.

    `policy` maps states `(N, 2)` to torques `(N,)`; one that sees images calls `frames` first.
    Raises `TypeError` or `ValueError` for a policy that returns anything else.
    """
    check_tensor("start", start, ("N", 2))
    states = [start]
    for _ in range(whole_number("count", count)):
        states.append(step(states[-1], policy(states[-1])))
    return torch.stack(states)
