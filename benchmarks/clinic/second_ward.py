"""A second ward: VAEs that are unlike those of the first, for a doctor who has not seen them.

Six networks, six data sets and six habits of writing, none of them shared with the first ward.
The patients and their codes were fixed before the doctor was run on any of them:

    from clinic.second_ward_all import WARD
    case = WARD["tokens-temperature"].make(seed=0)

Each network's function (`tokens`, `residual` …) puts a healthy case together, from a class that
a mutant derives from, and from a loss that a mutant replaces.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinic import second_ward_data as data
from clinic.patient import Case, Patient, seeded, told

WARD: dict[str, Patient] = {}


def admit(network: str, kind: str, codes: tuple[str, ...] = ()) -> Callable:
    def register(build: Callable[[], Case]) -> Callable[[], Case]:
        name = f"{network}-{build.__name__}"
        if name in WARD:
            raise ValueError(f"there is a patient {name} already")
        traits = (network, *TRAITS[network])
        WARD[name] = Patient(name, kind, seeded(build), codes, *traits, story=told(build))
        return build

    return register


def sick(network: str, *codes: str) -> Callable:
    """Decorator: a function that builds a case becomes a patient with a fault."""
    return admit(network, "mutant", codes)


def well(network: str) -> Callable:
    """Decorator: a function that builds a case becomes a healthy patient."""
    return admit(network, "control")


TRAITS = {  # data and style
    "tokens": ("crosses", "dict, a loss that is a module"),
    "residual": ("shades", "tuple, other names"),
    "waves": ("waves", "dict with a distribution, float64"),
    "bare": ("table", "tuple, the loss gives (total, recon, kl)"),
    "bag": ("bars", "two networks tied together by functions"),
    "clock": ("walks", "object with a scale, the loss is a method"),
}


# ---- a transformer on patches: grey images, a dict, a loss that is a module


class Tokens(nn.Module):
    """Nine patches of 4 × 4 pixels, one layer of attention; both moments come in one tensor."""

    latents, first = 16, True

    def __init__(self) -> None:
        super().__init__()
        layer = (32, 4, 64, 0.0)  # width, heads, hidden units, dropout
        self.embed, self.place = nn.Linear(16, 32), nn.Parameter(0.1 * torch.randn(9, 32))
        self.block = nn.TransformerEncoderLayer(*layer, batch_first=self.first)
        self.head = nn.Linear(32, 2 * self.latents)
        self.expand = nn.Linear(self.latents, 9 * 32)
        self.unblock = nn.TransformerEncoderLayer(*layer, batch_first=True)
        self.pixels = nn.Linear(32, 16)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.embed(F.unfold(x, 4, stride=4).mT) + self.place  # (B, 9, 32)
        return self.head(self.block(h).mean(1)).chunk(2, -1)

    def sample(self, mu: Tensor, log_var: Tensor) -> Tensor:
        return torch.addcmul(mu, torch.randn_like(mu), (log_var / 2).exp())

    def render(self, z: Tensor) -> Tensor:
        h = self.unblock(self.expand(z).unflatten(1, (9, 32)) + self.place)
        return F.fold(self.pixels(h).mT, (12, 12), 4, stride=4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        mu, log_var = self.moments(x)
        z = self.sample(mu, log_var)
        return {"z": z, "z_mu": mu, "z_log_var": log_var, "logits": self.render(z)}


class Criterion(nn.Module):
    def reconstruction(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.softplus(logits).sub(target * logits).sum((1, 2, 3)).mean()

    def divergence(self, mu: Tensor, log_var: Tensor) -> Tensor:
        return 0.5 * (mu.square() + torch.expm1(log_var) - log_var).sum(-1).mean()

    def forward(self, output: dict[str, Tensor], target: Tensor) -> dict[str, Tensor]:
        rec = self.reconstruction(output["logits"], target)
        kld = self.divergence(output["z_mu"], output["z_log_var"])
        return {"rec": rec.detach(), "kld": kld.detach(), "loss": rec + kld}


def tokens(kind=Tokens, criterion=Criterion, x: Tensor | None = None, **settings) -> Case:
    return Case(kind(), criterion(), data.crosses() if x is None else x, settings)


# ---- residual convolutions with GroupNorm: colour, a tuple, unusual names


class Residual(nn.Module):
    """Two residual blocks on 8 × 8 images; D = 64."""

    latents = 64

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 3, 3, 1, 1)
        self.down, self.up = self.block(), self.block()
        self.to_means, self.to_log_vars = (nn.Linear(128, self.latents) for _ in range(2))
        self.from_z = nn.Linear(self.latents, 128)

    @staticmethod
    def block() -> nn.Module:
        norm = nn.GroupNorm(2, 8), nn.SiLU()
        return nn.Sequential(*norm, nn.Conv2d(8, 8, 3, 1, 1), nn.SiLU(), nn.Conv2d(8, 8, 1))

    def infer(self, x_in: Tensor) -> tuple[Tensor, Tensor]:
        h = self.enter(x_in)
        h = (h + self.down(h)).flatten(1)
        return self.to_means(h), self.to_log_vars(h)

    def draw(self, means: Tensor, log_vars: Tensor) -> Tensor:
        return means + torch.sqrt(log_vars.exp()) * torch.randn(means.shape)

    def generate(self, z: Tensor) -> Tensor:
        h = self.from_z(z).view(-1, 8, 4, 4)
        return self.leave(F.interpolate(h + self.up(h), scale_factor=2.0))

    def forward(self, x_in: Tensor) -> tuple[Tensor, ...]:
        means, log_vars = self.infer(x_in)
        return self.generate(self.draw(means, log_vars)), means, log_vars


def residual_loss(x_out: Tensor, x_in: Tensor, means: Tensor, log_vars: Tensor) -> Tensor:
    """−log N(x; x_out, 0.3²) without its constant, plus the KL."""
    sse = F.mse_loss(x_out, x_in, reduction="sum") / (2 * 0.3**2)
    kld = -0.5 * torch.sum(1 + log_vars - means**2 - torch.exp(log_vars))
    return (sse + kld) / x_in.size(0)


def residual(kind=Residual, loss=residual_loss, x: Tensor | None = None, **settings) -> Case:
    return Case(kind(), loss, data.shades() if x is None else x, settings)


# ---- one-dimensional convolutions, float64, torch.distributions in the output


class Waves(nn.Module):
    """Series `(B, 1, 32)`; the encoder's one tensor is split; D = 6."""

    latents = 6

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, 6, 5, 2, 2), nn.ELU(), nn.Conv1d(6, 12, 5, 2, 2))
        self.stats = nn.Linear(96, 2 * self.latents)
        self.start = nn.Sequential(nn.Linear(self.latents, 96), nn.ELU(), nn.Unflatten(1, (12, 8)))
        self.deconv = nn.Sequential(
            nn.ConvTranspose1d(12, 6, 4, 2, 1), nn.ELU(), nn.ConvTranspose1d(6, 1, 4, 2, 1)
        )
        self.double()

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.stats(F.elu(self.conv(x)).flatten(1)).split(self.latents, dim=1)

    def posterior(self, x: Tensor) -> torch.distributions.Normal:
        loc, log_var = self.statistics(x)
        return torch.distributions.Normal(loc, log_var.mul(0.5).exp())

    def pick(self, q: torch.distributions.Normal) -> Tensor:
        return q.rsample()

    def decode(self, z: Tensor) -> Tensor:
        return self.deconv(self.start(z))

    def forward(self, x: Tensor) -> dict:
        q = self.posterior(x)
        recon = self.decode(self.pick(q))
        return {"recon": recon, "q": q, "mu": q.loc, "logvar": 2 * q.scale.log()}


def waves_loss(out: dict, x: Tensor) -> Tensor:
    p = torch.distributions.Normal(torch.zeros_like(out["mu"]), 1.0)
    kl = torch.distributions.kl_divergence(out["q"], p).sum(-1)
    log_px = torch.distributions.Normal(out["recon"], 0.4).log_prob(x).sum((1, 2))
    return -(log_px - kl)  # one number for each example


def waves(kind=Waves, loss=waves_loss, x: Tensor | None = None, **settings) -> Case:
    return Case(kind(), loss, data.waves() if x is None else x, settings)
