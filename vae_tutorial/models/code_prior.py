"""An autoregressive prior over codes: p(c) = Π_p p(c_p | c_1 … c_{p−1})."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_tutorial.arguments import whole_number


class MaskedLinear(nn.Linear):
    """A linear layer, some of whose weights are always 0: `mask` is `(outs, ins)`."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class CodePrior(nn.Module):
    """p(c) over P = `positions` codes with K = `categories` values each, by a masked network.

    The network sees the codes one-hot, and its masks let the logits of position p depend on the
    positions before p alone (MADE: Germain, Gregor, Murray and Larochelle, 2015). So one pass
    gives log p(c) of whole sequences, and a draw takes P passes. As the prior of a model with
    codes it stands for itself: calling it without arguments returns it.
    """

    values = "integer"  # the data that it is trained on
    event_shape: torch.Size

    def __init__(self, positions: int, categories: int, hidden: int = 256) -> None:
        super().__init__()
        self.positions = whole_number("positions", positions)
        self.categories = self.levels = whole_number("categories", categories, least=2)
        self.event_shape = torch.Size((positions,))
        inner = torch.arange(whole_number("hidden", hidden)) % positions  # sees positions < inner
        sees = torch.arange(positions).repeat_interleave(categories)  # of inputs and outputs
        self.first = MaskedLinear(sees[None] < inner[:, None])
        self.second = MaskedLinear(inner[None] <= inner[:, None])
        self.last = MaskedLinear(inner[None] <= sees[:, None])
        self.direct = MaskedLinear(sees[None] < sees[:, None])

    def forward(self) -> CodePrior:
        return self

    def logits(self, codes: Tensor) -> Tensor:
        """Logits `(..., P, K)` of each position, given those before it in codes `(..., P)`."""
        if codes.shape[-1] != self.positions:
            raise ValueError(
                f"codes must end in a dimension of size positions={self.positions}, got "
                f"{tuple(codes.shape)}"
            )
        onehot = F.one_hot(codes.long(), self.categories).flatten(-2).to(self.first.weight.dtype)
        return self.logits_from(onehot)

    def logits_from(self, onehot: Tensor) -> Tensor:
        """Logits `(..., P, K)` for one-hot codes `(..., P · K)`, real numbers for gradients."""
        inner = torch.relu(self.first(onehot))
        inner = torch.relu(self.second(inner))
        raw = self.last(inner) + self.direct(onehot)
        return raw.unflatten(-1, (self.positions, self.categories))

    def log_prob(self, codes: Tensor) -> Tensor:
        """log p(c) of codes `(..., P)`, in nats: `(...)`."""
        log_p = self.logits(codes).log_softmax(-1)
        return log_p.gather(-1, codes.long().unsqueeze(-1)).squeeze(-1).sum(-1)

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        """Codes `(*shape, P)`, drawn position by position."""
        device = self.first.weight.device
        codes = torch.zeros(*shape, self.positions, dtype=torch.long, device=device)
        for p in range(self.positions):
            probabilities = self.logits(codes)[..., p, :].softmax(-1).reshape(-1, self.categories)
            codes[..., p] = torch.multinomial(probabilities, 1).view(shape)
        return codes
