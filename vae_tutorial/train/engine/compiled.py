"""The objective compiled by `torch.compile`: fewer and larger kernels for the same arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_tutorial.objectives import Objective


class ObjectiveModule(nn.Module):
    """The objective of one model as a module, for what can wrap modules only."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, x: Tensor, **settings: Tensor) -> dict[str, Tensor]:
        return self.objective(self.model, x, **settings)


def compiled(objective: Objective, model: nn.Module, mode: bool | str) -> Objective:
    """`objective` for `model`, compiled for full batches; a smaller last one runs as before.

    `mode` is `True` or the name of one of `torch.compile`'s modes. Random numbers are drawn by
    the same generator as without compiling, so results differ by rounding only.
    """
    options = {} if mode is True else dict(torch._inductor.list_mode_options(mode))
    module = ObjectiveModule(model, objective)
    compiled_module = torch.compile(
        module, dynamic=False, options=options | {"fallback_random": True}
    )
    full: list[int] = []

    def call(model: nn.Module, x: Tensor, **settings: object) -> dict[str, Tensor]:
        if not full:
            full.append(len(x))
        if len(x) != full[0]:
            return objective(model, x, **settings)
        if "beta" in settings:  # a number would be compiled in, and compiled anew when it changes
            settings["beta"] = torch.as_tensor(settings["beta"], device=x.device)
        try:
            return compiled_module(x, **settings)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise RuntimeError(
                "compile=True: torch.compile could not compile the objective or the networks "
                f"({type(error).__name__}). On a CPU it needs a C++ compiler. Leave out compile."
            ) from error

    return call
