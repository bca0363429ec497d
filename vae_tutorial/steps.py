"""One step of training: forward, backward, update; plainly, compiled, or as one CUDA graph.

All three do the same arithmetic. What differs is who tells the device what to do next: Python,
operation by operation; code that `torch.compile` made; or the device itself, from a recording.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_tutorial import devices
from vae_tutorial.devices import Precision
from vae_tutorial.processes import Team, losing_a_process
from vae_tutorial.schedules import Schedule
from vae_tutorial.validation import Objective, checked_terms, sum_of_each

WARM_UP_STEPS = 3
"""Ordinary steps before a CUDA graph is recorded: libraries choose their algorithms in them."""


class Loss(nn.Module):
    """The objective as a module of its own, for what can only wrap modules.

    `forward(x)` computes the objective's terms of a batch `(B, ...)` in the given precision.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, device: torch.device, precision: Precision
    ) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.device, self.precision = device, precision

    def forward(self, x: Tensor, **settings: Tensor) -> dict[str, Tensor]:
        with devices.autocast(self.device, self.precision):
            return self.objective(self.model, x, **settings)


class Step:
    """Calling it trains on one batch and returns the sums of the objective's terms `(entries,)`.

    - `names`: the entries of the objective, known after the first step.
    - `beta`: a tensor without dimensions that the objective gets as `beta`, or `None`.
    """

    def __init__(
        self, loss: nn.Module, optimiser: torch.optim.Optimizer, beta: Tensor | None = None
    ) -> None:
        self.loss, self.optimiser = loss, optimiser
        self.beta, self.settings = beta, {} if beta is None else {"beta": beta}
        self.names: list[str] | None = None

    def __call__(self, x: Tensor, share: float) -> Tensor:
        """`x` is a float batch `(B, ...)`; `share` is the number of images that the loss's sum
        is divided by: B, or with several processes the mean of their B."""
        return self._update(self.loss, x, share)

    def _update(self, loss: nn.Module, x: Tensor, share: float) -> Tensor:
        terms = checked_terms(loss(x, **self.settings), len(x), self.names)
        self.names = list(terms)
        self.optimiser.zero_grad(set_to_none=True)
        (terms["loss"].sum() / share).backward()
        self.optimiser.step()
        return sum_of_each(terms)


class CompiledStep(Step):
    """`Step` with the objective compiled for full batches; a smaller last one runs as before.

    Random numbers are drawn by the same generator as without compiling, so results differ by
    rounding only.
    """

    def __init__(
        self, loss: nn.Module, optimiser: torch.optim.Optimizer, beta: Tensor | None = None
    ) -> None:
        super().__init__(loss, optimiser, beta)
        self.compiled = torch.compile(loss, dynamic=False, options={"fallback_random": True})
        self.full: int | None = None

    def __call__(self, x: Tensor, share: float) -> Tensor:
        self.full = self.full or len(x)
        if len(x) != self.full:
            return self._update(self.loss, x, share)
        return self._update(self._translated, x, share)

    def _translated(self, x: Tensor, **settings: Tensor) -> dict[str, Tensor]:
        try:
            return self.compiled(x, **settings)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise RuntimeError(
                "compile=True: torch.compile could not translate the objective or the networks "
                f"({type(error).__name__}). On a CPU it needs a C++ compiler. Leave out compile."
            ) from error


class GraphStep(Step):
    """`Step` recorded once as a CUDA graph and replayed: one launch instead of a hundred.

    For small networks, whose kernels are shorter than the time that Python takes to launch
    them. The optimiser must be made with `capturable=True`. A smaller last batch runs as an
    ordinary step. The objective must always do the same operations on the device.
    """

    def __init__(
        self, loss: nn.Module, optimiser: torch.optim.Optimizer, beta: Tensor | None = None
    ) -> None:
        super().__init__(loss, optimiser, beta)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.before = 0
        self.x: Tensor | None = None  # where each batch is put for the recording to find it
        self.sums: Tensor | None = None  # where the recording leaves its result

    def __call__(self, x: Tensor, share: float) -> Tensor:
        if self.x is None:
            self.x = torch.empty_like(x)
        if x.shape != self.x.shape:
            return self._update(self.loss, x, share)
        if self.before < WARM_UP_STEPS:
            self.before += 1
            return self._aside(x, share)
        self.x.copy_(x)
        if self.graph is None:
            self._record(share)
        self.graph.replay()
        return self.sums.clone()  # the next replay writes over it

    def _aside(self, x: Tensor, share: float) -> Tensor:
        """An ordinary step on another stream, as recording wants it beforehand."""
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            sums = self._update(self.loss, x, share)
        here.wait_stream(aside)
        return sums

    def _record(self, share: float) -> None:
        self.optimiser.zero_grad(set_to_none=True)  # gradients must come from the graph's memory
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.sums = self._update(self.loss, self.x, share)


def make_optimiser(
    model: nn.Module, learning_rate: float, device: torch.device, cuda_graph: bool = False
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba, 2015) for the weights of `model`."""
    return torch.optim.Adam(
        model.parameters(),
        lr=torch.tensor(learning_rate, device=device) if cuda_graph else learning_rate,
        fused=device.type in ("cpu", "cuda"),  # one kernel for all weights, where torch has it
        capturable=cuda_graph,
    )


def make_step(
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    team: Team,
    kind: str = "plain",
    beta: Tensor | None = None,
) -> Step:
    """The step of the given `kind`: `"plain"`, `"compiled"` or `"cuda graph"`."""
    kinds = {"plain": Step, "compiled": CompiledStep, "cuda graph": GraphStep}
    module: nn.Module = loss
    if team.size > 1:
        with losing_a_process():
            module = nn.parallel.DistributedDataParallel(loss)  # gives all the weights of rank 0
    return kinds[kind](module, optimiser, beta)


class Rates:
    """Sets the learning rate, and β where it has a schedule, before each step."""

    def __init__(
        self, step: Step, steps: int, learning_rate: float, schedule: Schedule,
        beta: Schedule | None,
    ) -> None:  # fmt: skip
        self.step, self.steps = step, steps
        self.learning_rate, self.schedule, self.beta = learning_rate, schedule, beta

    def set(self, now: int) -> None:
        """The rates of step `now`, counted over the whole run."""
        rate = self.learning_rate * self.schedule(now, self.steps)
        for group in self.step.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):  # a CUDA graph looks for it in one place
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        if self.beta is not None:
            self.step.beta.fill_(self.beta(now, self.steps))
