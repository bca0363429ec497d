"""The second ward's other three networks: bare parameters, tied functions, a clock of LSTMs."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinic import second_ward_data as data
from clinic.patient import Case

# ---- nothing but parameters: a table, D = 2


class Bare(nn.Module):
    """No layers, only matrices: 10 columns, 24 hidden units, two latents."""

    latents, columns = 2, 10

    def __init__(self) -> None:
        super().__init__()
        k, d = self.columns, self.latents
        sizes = {"a": (24, k), "m": (d, 24), "s": (d, 24), "b": (24, d), "c": (k, 24)}
        for name, (rows, columns) in sizes.items():
            self.register_parameter(name, nn.Parameter(torch.randn(rows, columns) / columns**0.5))
        self.offset = nn.Parameter(torch.zeros(k))

    def q(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(F.linear(x, self.a))
        return torch.einsum("bh,dh->bd", h, self.m), torch.einsum("bh,dh->bd", h, self.s)

    def noisy(self, mu: Tensor, log_sigma2: Tensor) -> Tensor:
        return mu + log_sigma2.exp().sqrt() * torch.empty_like(mu).normal_()

    def p(self, z: Tensor) -> Tensor:
        return F.linear(torch.tanh(z @ self.b.T), self.c, self.offset)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, log_sigma2 = self.q(x)
        return self.p(self.noisy(mu, log_sigma2)), mu, log_sigma2


def squared(recon: Tensor, x: Tensor) -> Tensor:
    """−log N(x; recon, ½) without its constant: `(B,)`."""
    return ((recon - x) ** 2).sum(-1)


def divergence(mu: Tensor, log_sigma2: Tensor) -> Tensor:
    return 0.5 * torch.einsum("bd->b", mu**2 + torch.exp(log_sigma2) - log_sigma2 - 1.0)


def bare_loss(recon: Tensor, x: Tensor, mu: Tensor, log_var: Tensor) -> tuple[Tensor, ...]:
    rec, kl = squared(recon, x).mean(), divergence(mu, log_var).mean()
    return rec + kl, rec, kl


def bare(kind=Bare, loss=bare_loss, x: Tensor | None = None, **settings) -> Case:
    return Case(kind(), loss, data.table() if x is None else x, settings)


# ---- two networks without a class: 4 × 4 pixels, D = 2


def networks(latents: int = 2) -> nn.ModuleDict:
    recognise = nn.Sequential(nn.Linear(16, 20), nn.GELU(), nn.Linear(20, 2 * latents))
    return nn.ModuleDict(
        {
            "recognise": recognise,
            "generate": nn.Sequential(nn.Linear(latents, 20), nn.GELU(), nn.Linear(20, 16)),
        }
    )


def heads(nets: nn.ModuleDict, x: Tensor) -> tuple[Tensor, Tensor]:
    mu, logvar = torch.tensor_split(nets["recognise"](x.reshape(-1, 16)), 2, dim=1)
    return mu, logvar


def draw(mu: Tensor, logvar: Tensor) -> Tensor:
    return torch.normal(0.0, 1.0, mu.shape) * torch.exp(logvar / 2) + mu


def logits(nets: nn.ModuleDict, z: Tensor) -> Tensor:
    return nets["generate"](z).reshape(-1, 4, 4)


def negative_log_px(output: Tensor, x: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(output, x, reduction="none").sum((1, 2))


def closed_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    return -0.5 * (1 + logvar - mu * mu - logvar.exp()).sum(1)


def bag(
    heads=heads, draw=draw, nll=negative_log_px, kl=closed_kl, nets=networks, x=None, **settings
) -> Case:
    def loss(model, x):
        mu, logvar = heads(model, x)
        return nll(logits(model, draw(mu, logvar)), x).mean() + kl(mu, logvar).mean()

    def adapter(model, x):
        mu, logvar = heads(model, x)
        return {"recon": logits(model, draw(mu, logvar)), "mu": mu, "logvar": logvar}

    settings = {"adapter": adapter} | settings
    return Case(nets(), loss, data.bars() if x is None else x, settings)


# ---- LSTMs that want time first: walks, one latent, an object with a scale


class Clock(nn.Module):
    """`(B, 20, 3)` outside, `(20, B, 3)` inside. σ, not its logarithm, is handed out."""

    latents = 1

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.hparams = {"beta": beta, "sigma": 0.5}
        self.reader = nn.LSTM(3, 16, batch_first=False)
        self.loc, self.raw = nn.Linear(16, self.latents), nn.Linear(16, self.latents)
        self.writer = nn.LSTM(self.latents + 1, 16)
        self.out = nn.Linear(16, 3)

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.reader(x.transpose(0, 1))[0][-1]
        return self.loc(h), self.scale(self.raw(h))

    def scale(self, raw: Tensor) -> Tensor:
        return F.softplus(raw + 0.5) + 1e-3

    def sample(self, mean: Tensor, std: Tensor) -> Tensor:
        return mean + std * torch.randn_like(std)

    def write(self, z: Tensor) -> Tensor:
        t = torch.linspace(0, 1, 20).to(z)[:, None, None].expand(20, len(z), 1)
        h, _ = self.writer(torch.cat([z.expand(20, *z.shape), t], -1))
        return self.out(h).transpose(0, 1)

    def forward(self, x: Tensor) -> SimpleNamespace:
        mean, std = self.read(x)
        x_hat = self.write(self.sample(mean, std))
        return SimpleNamespace(x_hat=x_hat, mean=mean, std=std)

    def error(self, output: SimpleNamespace, x: Tensor) -> Tensor:
        return ((output.x_hat - x) ** 2).sum(dim=(1, 2)) / (2 * self.hparams["sigma"] ** 2)

    def kl(self, mean: Tensor, std: Tensor) -> Tensor:
        return (0.5 * (mean**2 + std**2 - 1) - std.log()).sum(-1)

    def compute_loss(self, output: SimpleNamespace, x: Tensor) -> dict[str, Tensor]:
        kl, error = self.kl(output.mean, output.std), self.error(output, x)
        return {"loss": (error + self.hparams["beta"] * kl).mean(), "kl": kl, "error": error}


def clock(kind=Clock, beta: float = 1.0, x: Tensor | None = None, **settings) -> Case:
    return Case(kind(beta), None, data.walks() if x is None else x, settings)
