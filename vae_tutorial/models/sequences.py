"""Sequences: a recurrent language model, and a VAE whose decoder is one.

Tokens are whole numbers `(..., T)` of any integer type. A sequence ends with the token 0, and
zeros fill its row: only the first of them counts. Both models are measured in nats per sequence,
the end included.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vae_tutorial.arguments import real_number, whole_number
from vae_tutorial.data.tensors import check_tensor, checked_tokens
from vae_tutorial.models.vae import VAE, at_least_float32


class LanguageModel(nn.Module):
    """p(x) = Π_t p(x_t | x_1 … x_{t−1}) by an LSTM (Hochreiter and Schmidhuber, 1997).

    `symbols` counts the tokens, the end included. Trains with `negative_log_prob`. As the decoder
    of a `SequenceVAE` it has a code of `latent_dim` numbers: z sets the LSTM's first state, and
    stands beside each token that goes in (Bowman et al., 2016). `word_dropout` is the chance that
    a token that goes in is hidden in training; what is to be predicted stays.

    Its methods raise `TypeError` or `ValueError` unless x holds rows of its tokens and z is
    `(N, latent_dim)`, or `None` where there is no code.
    """

    values = "integer"

    def __init__(
        self, symbols: int, hidden: int = 128, latent_dim: int = 0, word_dropout: float = 0.0,
        embedding: int = 32,
    ) -> None:  # fmt: skip
        super().__init__()
        self.levels = whole_number("symbols", symbols, 2)
        self.latent_dim = whole_number("latent_dim", latent_dim, 0)
        self.word_dropout = real_number("word_dropout", word_dropout, "non-negative", 0.0)
        if self.word_dropout > 1:
            raise ValueError(f"word_dropout must be at most 1, got {word_dropout!r}")
        self.start, self.hidden = symbols, symbols + 1  # two tokens that only go in
        self.embedding = nn.Embedding(symbols + 2, whole_number("embedding", embedding))
        self.lstm = nn.LSTM(
            embedding + latent_dim, whole_number("hidden", hidden), batch_first=True
        )
        self.out = nn.Linear(hidden, symbols)
        self.first = nn.Linear(latent_dim, 2 * hidden) if latent_dim else None

    def logits(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Logits `(N, T, symbols)` of each token of x `(N, T)`, given those before it and z."""
        return self._logits(_rows(x, self.levels), z)

    def _logits(self, x: Tensor, z: Tensor | None) -> Tensor:
        before = F.pad(x[:, :-1], (1, 0), value=self.start)
        if self.training and self.word_dropout:
            hide = torch.rand(before.shape, device=x.device) < self.word_dropout
            hide[:, 0] = False
            before = before.masked_fill(hide, self.hidden)
        h, _ = self.lstm(*self._entered(before, z))
        return at_least_float32(self.out(h))

    def log_prob(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """log p(x), or log p(x | z), of sequences `(N, T)`, in nats: `(N,)`."""
        x = _rows(x, self.levels)
        longest = int((x != 0).sum(1).max()) + 1  # rows are filled with zeros: no need to see all
        x = x[:, :longest]
        each = -F.cross_entropy(self._logits(x, z).transpose(1, 2), x, reduction="none")
        return (each * counted(x)).sum(1)

    @torch.no_grad()
    def sample(
        self, count: int, length: int, z: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`count` sequences `(count, length)`, drawn token by token; a row is cut at `length`.

        `temperature` divides the logits; with 0 the most probable token is taken at each place.
        """
        count, length = whole_number("count", count), whole_number("length", length)
        temperature = real_number("temperature", temperature, "non-negative", 0.0)
        device = self.out.weight.device
        token = torch.full((count, 1), self.start, device=device)
        state, rows, open_ = None, [], torch.ones(count, dtype=torch.bool, device=device)
        for _ in range(length):
            inputs, first = self._entered(token, z)
            h, state = self.lstm(inputs, first if state is None else state)
            logits = at_least_float32(self.out(h[:, 0]))
            if temperature > 0:
                token = torch.multinomial((logits / temperature).softmax(-1), 1)
            else:
                token = logits.argmax(-1, keepdim=True)
            token = token * open_[:, None]
            open_ = open_ & (token[:, 0] != 0)
            rows.append(token)
        return torch.cat(rows, 1)

    def _entered(self, before: Tensor, z: Tensor | None) -> tuple[Tensor, tuple | None]:
        """What goes into the LSTM, `(N, T, E + D)`, and its first state."""
        inputs = self.embedding(before)
        if self.first is None:
            if z is not None:
                raise ValueError("z must be None: this language model was made with latent_dim=0")
            return inputs, None
        check_tensor("z", z, (len(before), self.latent_dim), "that is a code for each sequence")
        inputs = torch.cat([inputs, z[:, None].expand(-1, before.shape[1], -1)], -1)
        state = self.first(z)[None].chunk(2, -1)  # (1, N, hidden) each
        return inputs, (torch.tanh(state[0]).contiguous(), state[1].contiguous())


def _rows(x: Tensor, symbols: int) -> Tensor:
    """x `(N, T)` as int64, checked; an LSTM takes no batch without rows or without tokens."""
    x = checked_tokens("x", x, symbols)
    if not x.numel():
        raise ValueError(f"x must be (N, T) with at least one row and token, got {tuple(x.shape)}")
    return x


def counted(x: Tensor) -> Tensor:
    """1 for the tokens of `(..., T)` up to the first 0, which counts too; 0 after it."""
    return F.pad((x[..., :-1] != 0).long().cumprod(-1), (1, 0), value=1)


def negative_log_prob(model: LanguageModel, x: Tensor) -> dict[str, Tensor]:
    """−log p(x) of a language model, an objective for `fit`: `"loss"` `(B,)`, in nats."""
    return {"loss": -model.log_prob(x)}


class SequenceEncoder(nn.Module):
    """From tokens `(B, T)` to μ and log σ² `(B, D)`: a GRU, whose state at the end is read.

    Raises `TypeError` or `ValueError` unless x holds rows of its tokens.
    """

    heads = 2

    def __init__(
        self, symbols: int, latent_dim: int, hidden: int = 128, embedding: int = 32
    ) -> None:
        super().__init__()
        self.latent_dim = whole_number("latent_dim", latent_dim)
        self.embedding = nn.Embedding(whole_number("symbols", symbols, 2), embedding)
        self.gru = nn.GRU(embedding, whole_number("hidden", hidden), batch_first=True)
        self.out = nn.Linear(hidden, 2 * latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = _rows(x, self.embedding.num_embeddings)
        last = (x != 0).sum(1)  # the place of the end, whatever fills the row after it
        last = last.clamp(max=x.shape[1] - 1)
        states, _ = self.gru(self.embedding(x[:, : int(last.max()) + 1]))
        found = states[torch.arange(len(x), device=x.device), last]
        mu, logvar = self.out(found).chunk(2, -1)
        return mu, logvar


class GivenCode(Distribution):
    """p(x | z) over sequences for codes z `(..., D)`: `log_prob` of x `(..., T)` is `(...)`.

    `sample()` is `(..., T)`, cut at the length; there is no mean, since tokens are names. The
    decoder sees the tokens before the one it predicts, so there is no table of probabilities
    to look x up in: the LSTM runs over x whenever `log_prob` is called.
    """

    arg_constraints: dict = {}  # noqa: RUF012, torch's own way

    def __init__(self, decoder: LanguageModel, z: Tensor, length: int) -> None:
        self.decoder, self.z = decoder, z
        super().__init__(z.shape[:-1], torch.Size((length,)), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        try:
            x = value.expand(*self.batch_shape, value.shape[-1])
        except RuntimeError as error:
            raise ValueError(
                f"x must have a sequence for each code, and got x {tuple(value.shape)} for z "
                f"{tuple(self.z.shape)}"
            ) from error
        codes = self.z.reshape(-1, self.z.shape[-1])
        rows = x.reshape(-1, x.shape[-1])
        return self.decoder.log_prob(rows, codes).view(self.batch_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Tokens `(*sample_shape, ..., T)`, drawn one by one."""
        z = self.z.expand(*sample_shape, *self.z.shape)
        codes = z.reshape(-1, z.shape[-1])
        return self.decoder.sample(len(codes), *self.event_shape, codes).view(*z.shape[:-1], -1)

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError(
            "tokens are names and have no mean; model.reconstruct(x) and model.decode(z) give the "
            "most probable ones"
        )


class SequenceVAE(VAE):
    """A VAE over sequences of `length` tokens: z ~ N(0, I), and an LSTM that sees z.

    It fulfils the contract of `VAE`, so that objectives, `fit` and measurements take it as it is.
    (Bowman et al., 2016.) `hidden` is the LSTM's size, `encoder_hidden` that of the encoder's GRU.
    """

    def __init__(
        self, symbols: int, length: int, latent_dim: int = 16, hidden: int = 128,
        word_dropout: float = 0.0, encoder_hidden: int | None = None, embedding: int = 32,
    ) -> None:  # fmt: skip
        encoder = SequenceEncoder(symbols, latent_dim, encoder_hidden or hidden, embedding)
        decoder = LanguageModel(symbols, hidden, latent_dim, word_dropout, embedding)
        super().__init__(encoder, decoder)
        self.length = whole_number("length", length)
        self.values, self.levels = "integer", symbols

    def likelihood(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x | z) for z `(..., D)`: `log_prob` of tokens `(..., T)` is `(...)`, in nats."""
        return GivenCode(self.decoder, z, self.length)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The most probable tokens, one by one, at the mean of q(z | x): `(B, T)`."""
        return self.reconstruct(x)

    @torch.no_grad()
    def decode(self, z: Tensor, temperature: float = 0.0) -> Tensor:
        """Sequences `(N, T)` for codes `(N, D)`; see `LanguageModel.sample`."""
        check_tensor("z", z, ("N", self.latent_dim))
        return self.decoder.sample(len(z), self.length, z, temperature)

    @torch.no_grad()
    def sample(self, count: int, temperature: float = 1.0, y: Tensor | None = None) -> Tensor:
        """`count` sequences `(count, T)`: z from the prior, then tokens one by one.

        `temperature` is that of the tokens; z always comes from the prior itself.
        """
        return self.decode(self.prior().sample((whole_number("count", count),)), temperature)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The most probable tokens, one by one, at the mean of q(z | x): `(B, T)`."""
        return self.decode(self.posterior(x).mean)
