"""Latent-variable models of nine kinds, made of public parts only, each with its exact log p(x).

Where everything is linear and normal, p(x) is a normal or a mixture of normals. Where z has one
dimension, p(x) is an integral over a line. Neither uses the package's estimators.
"""

from dataclasses import dataclass
from functools import partial

import torch
from exact_models import exact_log_px, linear_vae, made_by
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MultivariateNormal, Normal

import vae_tutorial as vt

SHAPE, PIXELS, SIGMA = (1, 1, 6), 6, 0.7


@dataclass
class Kind:
    """A model, what it trains on, how, and log p(x) of some of its data, computed exactly."""

    model: nn.Module
    data: object
    exact: object  # a function of (x, y): log p(x), (N,)
    objective: object = vt.elbo


def covariance(W: Tensor, inner: Tensor | None = None) -> Tensor:
    """Of W z + σ·noise for z with covariance `inner`, by default the identity."""
    inner = torch.eye(W.shape[1], dtype=W.dtype) if inner is None else inner
    return W @ inner @ W.T + SIGMA**2 * torch.eye(len(W), dtype=W.dtype)


def linear(model: vt.VAE) -> tuple[Tensor, Tensor]:
    last = model.decoder.layers[0]
    return last.weight.detach(), last.bias.detach()


def source(count: int = 600) -> Tensor:
    """Images `(N, 1, 1, 6)` that another linear model made, in two heaps."""
    x, _ = made_by(linear_vae(PIXELS, 2, seed=8), count)
    return x + 1.5 * (torch.arange(count) % 2)[:, None, None, None]


def parts() -> tuple[nn.Module, nn.Module, nn.Module]:
    return vt.MLPEncoder(2, (), SHAPE), vt.MLPDecoder(2, (), SHAPE), vt.GaussianLikelihood(SIGMA)


# Labels


class LabelledEncoder(nn.Module):
    latent_dim, heads = 2, 2

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(PIXELS + 3, 4)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(torch.cat([x.flatten(1), y], 1)).chunk(2, 1)


class LabelledDecoder(nn.Module):
    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.of_z, self.of_y = nn.Linear(2, PIXELS), nn.Linear(3, PIXELS, bias=False)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return (self.of_z(z) + self.of_y(y)).unflatten(-1, SHAPE)


class LabelledPrior(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Linear(3, 2)

    def forward(self, y: Tensor) -> Distribution:
        mean = self.mean(y)
        return Independent(Normal(mean, torch.ones_like(mean)), 1)


def conditional() -> Kind:
    model = vt.VAE(LabelledEncoder(), LabelledDecoder(), vt.GaussianLikelihood(SIGMA),
                   LabelledPrior(), conditional=True).double()  # fmt: skip
    x = source()
    y = nn.functional.one_hot(torch.arange(len(x)) % 3, 3).double()

    def exact(x: Tensor, y: Tensor) -> Tensor:
        W = model.decoder.of_z.weight
        mean = model.decoder.of_z(model.prior_module.mean(y)) + model.decoder.of_y(y)
        return MultivariateNormal(mean, covariance(W)).log_prob(x.flatten(1)).detach()

    return Kind(model, (x, y), exact)


# Priors


def exact_mixture(model: vt.VAE, x: Tensor, y: object = None) -> Tensor:
    W, b = linear(model)
    prior = model.prior()
    each = prior.component_distribution.base_dist
    log_px = [
        MultivariateNormal(W @ m + b, covariance(W, torch.diag(s**2))).log_prob(x.flatten(1))
        for m, s in zip(each.mean, each.stddev, strict=True)
    ]
    weights = prior.mixture_distribution.logits.log_softmax(0)
    return torch.logsumexp(torch.stack(log_px, -1) + weights, -1).detach()


def mixture() -> Kind:
    model = vt.VAE(*parts(), prior=vt.MixturePrior(2, 3)).double()
    return Kind(model, source(), partial(exact_mixture, model))


class Unit(nn.Module):
    """Images in [0, 1] for the pseudo-inputs of a VampPrior: the linear model, but for "unit"."""

    values = "unit"

    def forward(self, mean: Tensor) -> Distribution:
        return Normal(mean, torch.full_like(mean, SIGMA))


def vamp() -> Kind:
    encoder, decoder, _ = parts()
    model = vt.VAE(encoder, decoder, Unit(), vt.VampPrior(encoder, 4, SHAPE)).double()
    return Kind(model, torch.sigmoid(source()), partial(exact_mixture, model))


# Posteriors


class FullCovariance(vt.VAE):
    """q(z | x) with correlations, one matrix for all images."""

    def __init__(self) -> None:
        super().__init__(*parts())
        self.below = nn.Parameter(torch.tensor(0.0))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Distribution:
        mu, logvar = self.encoder(x)
        scale = torch.diag_embed((0.5 * logvar).exp())
        lower = torch.zeros_like(scale)
        lower[:, 1, 0] = self.below
        return MultivariateNormal(mu, scale_tril=scale + lower)


def full_covariance() -> Kind:
    model = FullCovariance().double()
    return Kind(model, source(), lambda x, y: exact_log_px(model, x))


class TwoLayers(nn.Module):
    """z2 → z1 → x, told by its log-weights alone; q(z1 | x) q(z2 | z1)."""

    values = "real"

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(2, 3), nn.Linear(3, PIXELS)
        self.first, self.second = nn.Linear(PIXELS, 6), nn.Linear(3, 4)

    def log_weights(self, x: Tensor, y: Tensor | None, samples: int) -> Tensor:
        def normal(mean: Tensor, stddev: object) -> Distribution:
            return Independent(Normal(mean, stddev), 1)

        mu1, logvar1 = self.first(x.flatten(1)).chunk(2, -1)
        q1 = normal(mu1, (0.5 * logvar1).exp())
        z1 = q1.rsample((samples,))
        mu2, logvar2 = self.second(z1).chunk(2, -1)
        q2 = normal(mu2, (0.5 * logvar2).exp())
        z2 = q2.rsample()
        joint = (normal(torch.zeros_like(z2), 1.0).log_prob(z2)
                 + normal(self.up(z2), 0.5).log_prob(z1)
                 + normal(self.down(z1), SIGMA).log_prob(x.flatten(1)))  # fmt: skip
        return joint - q1.log_prob(z1) - q2.log_prob(z2)


def two_layers() -> Kind:
    model = TwoLayers().double()

    def exact(x: Tensor, y: object) -> Tensor:
        A, W = model.up.weight.detach(), model.down.weight.detach()
        inner = A @ A.T + 0.25 * torch.eye(3, dtype=A.dtype)
        mean = model.down(model.up.bias).detach()
        return MultivariateNormal(mean, covariance(W, inner)).log_prob(x.flatten(1))

    return Kind(model, source(), exact)


# Likelihoods; z has one dimension


def by_quadrature(model: nn.Module, x: Tensor, y: object = None) -> Tensor:
    """log ∫ p(x | z) p(z) dz by the trapezium rule, with probabilities from the decoder's output
    and `own_log_px` of the model's kind."""
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    with torch.no_grad():
        each = torch.stack([model.own_log_px(z[:, None], one) for one in x])  # (N, points)
    return (each + Normal(0.0, 1.0).log_prob(z)).logsumexp(1) + (z[1] - z[0]).log()


class SixteenLevels(vt.VAE):
    def __init__(self) -> None:
        encoder = vt.MLPEncoder(1, (8,), (1, 2, 3))
        super().__init__(encoder, vt.MLPDecoder(1, (8,), (16, 2, 3)), vt.CategoricalLikelihood(16))

    def own_log_px(self, z: Tensor, x: Tensor) -> Tensor:
        probabilities = self.decoder(z).softmax(1)  # (points, 16, 2, 3)
        rows, columns = torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")
        return probabilities[:, x[0], rows, columns].log().sum((1, 2))


def sixteen_levels() -> Kind:
    model = SixteenLevels().double()
    base = torch.randint(0, 12, (600, 1, 1, 1))
    x = (base + torch.randint(0, 5, (600, 1, 2, 3))).to(torch.uint8)
    return Kind(model, x, partial(by_quadrature, model))


class PixelVariance(nn.Module):
    """A mean and a log standard deviation for every pixel, from 2 C output channels."""

    values = "real"

    def forward(self, raw: Tensor) -> Distribution:
        mean, log_stddev = raw.chunk(2, -3)
        return Normal(mean, log_stddev.exp())


class OwnVariance(vt.VAE):
    def __init__(self) -> None:
        super().__init__(vt.MLPEncoder(1, (8,), SHAPE), vt.MLPDecoder(1, (8,), (2, 1, 6)),
                         PixelVariance())  # fmt: skip

    def own_log_px(self, z: Tensor, x: Tensor) -> Tensor:
        mean, log_stddev = self.decoder(z).flatten(1).chunk(2, 1)
        off = (x.flatten() - mean) / log_stddev.exp()
        return (-0.5 * off**2 - log_stddev).sum(1) - 0.5 * PIXELS * torch.tensor(2 * torch.pi).log()


def own_variance() -> Kind:
    model = OwnVariance().double()
    return Kind(model, source(), partial(by_quadrature, model))


def volumes() -> Kind:
    shape = (1, 2, 3, 2)
    model = vt.VAE(vt.MLPEncoder(2, (), shape), vt.MLPDecoder(2, (), shape),
                   vt.GaussianLikelihood(SIGMA)).double()  # fmt: skip
    x, _ = made_by(linear_vae(12, 2, seed=8), 600)
    return Kind(model, x.view(-1, *shape), lambda x, y: exact_log_px(model, x))


# Tokens, of varying length


class Tokens(Distribution):
    """p(x | z) of sequences of T tokens. Token 0 ends a sequence, and pads it from there on."""

    arg_constraints = {}  # noqa: RUF012 - torch asks for it

    def __init__(self, network: "TokenVAE", z: Tensor) -> None:
        self.network, self.z = network, z
        super().__init__(z.shape[:-1], torch.Size([network.length]), validate_args=False)

    def log_prob(self, x: Tensor) -> Tensor:
        x = x.expand(*self.batch_shape, -1).reshape(-1, self.network.length)  # (M, T)
        z = self.z.reshape(-1, self.z.shape[-1])
        state, before, total = self.network.start(z), torch.zeros(len(x), dtype=torch.int64), 0.0
        alive = torch.ones(len(x), dtype=z.dtype)
        for t in range(self.network.length):
            state = self.network.cell(self.network.embedding(before), state)
            each = self.network.logits(state).log_softmax(-1)
            total = total + alive * each.gather(1, x[:, t : t + 1])[:, 0]
            alive, before = alive * (x[:, t] != 0), x[:, t]
        return total.view(self.batch_shape)

    def sample(self, shape: torch.Size = ()) -> Tensor:
        z = self.z.expand(*shape, *self.z.shape).reshape(-1, self.z.shape[-1])
        state, before, drawn = self.network.start(z), torch.zeros(len(z), dtype=torch.int64), []
        alive = torch.ones(len(z), dtype=torch.int64)
        for _ in range(self.network.length):
            state = self.network.cell(self.network.embedding(before), state)
            token = Categorical(logits=self.network.logits(state)).sample() * alive
            alive, before = alive * (token != 0), token
            drawn.append(token)
        return torch.stack(drawn, -1).view(*shape, *self.batch_shape, -1)


class TokenVAE(nn.Module):
    """A recurrent encoder and decoder; nothing here is a class of the package."""

    values = "integer"

    def __init__(self, tokens: int = 4, length: int = 5) -> None:
        super().__init__()
        self.length, self.levels = length, tokens
        self.embedding = nn.Embedding(tokens, 6)
        self.reader, self.head = nn.GRU(6, 8, batch_first=True), nn.Linear(8, 2)
        self.start, self.cell, self.logits = nn.Linear(1, 8), nn.GRUCell(6, 8), nn.Linear(8, tokens)

    def prior(self, y: Tensor | None = None) -> Distribution:
        zero = torch.zeros(1, dtype=self.head.weight.dtype)
        return Independent(Normal(zero, zero + 1), 1)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Distribution:
        mu, logvar = self.head(self.reader(self.embedding(x))[1][0]).chunk(2, -1)
        return Independent(Normal(mu, (0.5 * logvar).exp()), 1)

    def likelihood(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        return Tokens(self, z)

    def own_log_px(self, z: Tensor, x: Tensor) -> Tensor:
        """Token by token up to the first 0, for all z at once."""
        state, before, total = self.start(z), torch.zeros(len(z), dtype=torch.int64), 0.0
        for token in x.tolist():
            state = self.cell(self.embedding(before), state)
            total = total + self.logits(state).log_softmax(-1)[:, token]
            if token == 0:
                break
            before = torch.full((len(z),), token)
        return total


def tokens() -> Kind:
    """Sequences of one repeated token, of length 1 to 5, with noise."""
    model = TokenVAE().double()
    first, length = torch.randint(1, 4, (600, 1)), torch.randint(1, 6, (600, 1))
    noisy = torch.where(torch.rand(600, 5) < 0.9, first, torch.randint(1, 4, (600, 5)))
    x = noisy * (torch.arange(5) < length)
    loader = list(x.split(50))
    return Kind(model, loader, partial(by_quadrature, model))


# Discrete codes


class VQ(nn.Module):
    """Vector quantisation (van den Oord et al., 2017): no density, but losses and codes."""

    values = "real"

    def __init__(self, codes: int = 8, latents: int = 2) -> None:
        super().__init__()
        self.encoder = nn.Linear(PIXELS, 2 * latents)
        self.decoder = nn.Linear(2 * latents, PIXELS)
        self.codebook = nn.Parameter(torch.randn(codes, 2))

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        continuous = self.encoder(x.flatten(1)).unflatten(1, (-1, 2))  # (B, L, 2)
        distances = (continuous[:, :, None] - self.codebook).square().sum(-1)
        return continuous, distances.argmin(-1)

    def encode(self, x: Tensor) -> Tensor:
        """The codes `(B, L)`, whole numbers."""
        return self.outputs(x)[1]


def vq_loss(model: VQ, x: Tensor) -> dict[str, Tensor]:
    continuous, codes = model.outputs(x)
    nearest = model.codebook[codes]
    straight = continuous + (nearest - continuous).detach()
    rebuilt = model.decoder(straight.flatten(1)).view_as(x)
    error = (rebuilt - x).square().flatten(1).sum(1)
    codebook = (nearest - continuous.detach()).square().sum((1, 2))
    commitment = (nearest.detach() - continuous).square().sum((1, 2))
    return {"loss": error + codebook + 0.25 * commitment, "squared_error": error,
            "commitment": commitment}  # fmt: skip


def vector_quantised() -> Kind:
    return Kind(VQ().double(), source(), None, vq_loss)


KINDS = {
    "conditional": conditional,
    "mixture prior": mixture,
    "VampPrior": vamp,
    "full covariance": full_covariance,
    "two layers": two_layers,
    "vector quantised": vector_quantised,
    "tokens": tokens,
    "16 grey levels": sixteen_levels,
    "variance of each pixel": own_variance,
    "volumes": volumes,
}
