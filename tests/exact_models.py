"""VAEs whose log p(x) is known, computed here without the package: oracles for its estimators.

A linear decoder with Gaussian pixels makes x = W z + b + σ·noise normal, with covariance
W Wᵀ + σ² I. With one latent dimension, any decoder's log p(x) is an integral over a line.
"""

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

import vae_tutorial as vt
from vae_tutorial.measure.estimates import Estimate, LogLikelihood


def linear_vae(pixels: int, latent_dim: int, sigma: float = 0.7, seed: int = 0) -> vt.VAE:
    """Linear encoder and decoder with torch's random weights, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        shape = (1, 1, pixels)
        encoder, decoder = (
            vt.MLPEncoder(latent_dim, (), shape),
            vt.MLPDecoder(latent_dim, (), shape),
        )
        return vt.VAE(encoder, decoder, vt.GaussianLikelihood(sigma)).double()


def trained_vae(pixels: int, latent_dim: int, epochs: int = 12, seed: int = 0) -> vt.VAE:
    """The same, trained for a moment on images that another such model made."""
    source = linear_vae(pixels, latent_dim, seed=seed + 1)
    model = linear_vae(pixels, latent_dim, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        x, _ = made_by(source, 1000)
        vt.fit(model, x, epochs=epochs, batch_size=50, learning_rate=0.02, device="cpu")
    return model


def weights_of(model: vt.VAE) -> tuple[Tensor, Tensor, Tensor]:
    """W `(P, D)`, b `(P,)` and σ."""
    last = model.decoder.layers[0]
    return last.weight.detach(), last.bias.detach(), model.observation_model.sigma.double()


def made_by(model: vt.VAE, count: int) -> tuple[Tensor, Tensor]:
    """Images `(N, 1, 1, P)` of a linear model, and their z `(N, D)`."""
    weight, bias, sigma = weights_of(model)
    z = torch.randn(count, weight.shape[1], dtype=torch.float64)
    x = z @ weight.T + bias + sigma * torch.randn(count, len(weight), dtype=torch.float64)
    return x[:, None, None], z


def exact_log_px(model: vt.VAE, x: Tensor) -> Tensor:
    weight, bias, sigma = weights_of(model)
    covariance = weight @ weight.T + sigma**2 * torch.eye(len(weight), dtype=torch.float64)
    return MultivariateNormal(bias, covariance).log_prob(x.flatten(1).double())


def exact_posterior(model: vt.VAE, x: Tensor) -> MultivariateNormal:
    """p(z | x) = N(Λ⁻¹ Wᵀ (x − b) / σ², Λ⁻¹) with Λ = I + Wᵀ W / σ²."""
    weight, bias, sigma = weights_of(model)
    precision = torch.eye(weight.shape[1], dtype=torch.float64) + weight.T @ weight / sigma**2
    mean = torch.linalg.solve(precision, weight.T @ (x.flatten(1).double() - bias).T / sigma**2).T
    return MultivariateNormal(mean, precision_matrix=precision)


@torch.no_grad()
def widened(model: vt.VAE, factor: float) -> vt.VAE:
    """The model with an encoder that knows p(z | x), and states `factor` times its variances."""
    weight, bias, sigma = weights_of(model)
    covariance = exact_posterior(model, bias[None]).covariance_matrix[0]
    last = model.encoder.layers[1][0]
    gain = covariance @ weight.T / sigma**2  # (D, P)
    last.weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))
    last.bias.copy_(torch.cat([-gain @ bias, (factor * covariance.diagonal()).log()]))
    return model


def exact_elbo(model: vt.VAE, x: Tensor) -> Tensor:
    """log p(x) minus KL(q ‖ p(z | x)), by torch's own divergence of two normals."""
    q = model.posterior(x)
    full = MultivariateNormal(q.mean.detach(), torch.diag_embed(q.variance.detach()))
    return exact_log_px(model, x) - kl_divergence(full, exact_posterior(model, x))


class Fold(nn.Module):
    """A decoder that cannot tell z from −z: logits of `(1, 1, 6)` binary pixels from |z|."""

    latent_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.tensor([4.0, 4.0, 4.0, -4.0, 3.0, -3.0]))

    def forward(self, z: Tensor) -> Tensor:
        return ((z.square() - 1) * self.slopes).unflatten(-1, (1, 1, 6))


class OneSided(nn.Module):
    """An encoder that has seen positive z only."""

    latent_dim, heads = 1, 2

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        bright = x.flatten(1)[:, :3].mean(1, keepdim=True)
        return 0.6 + 0.9 * bright, torch.full_like(bright, -1.75)


def curved_vae(seed: int = 0) -> vt.VAE:
    """One latent dimension and Bernoulli pixels through a hidden layer, in float32."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        shape = (1, 2, 4)
        model = vt.VAE(vt.MLPEncoder(1, (16,), shape), vt.MLPDecoder(1, (16,), shape))
        with torch.no_grad():  # torch's own first weights make a decoder that is nearly constant
            for parameter in model.decoder.parameters():
                parameter.mul_(3)
    return model


@torch.no_grad()
def log_px_by_quadrature(model: vt.VAE, x: Tensor, points: int = 20_001) -> Tensor:
    """log ∫ p(x | z) p(z) dz over a line, for a one-dimensional z and Bernoulli pixels."""
    z = torch.linspace(-10, 10, points, dtype=torch.float64)
    dtype = next(model.parameters()).dtype
    logits = model.decoder(z[:, None].to(dtype)).flatten(1).double()  # (points, P)
    x = x.flatten(1).double()
    log_px = x @ logits.T - torch.nn.functional.softplus(logits).sum(1)  # (N, points)
    height = log_px + Normal(0.0, 1.0).log_prob(z)
    return height.logsumexp(1) + (z[1] - z[0]).log()


def some_of(found: LogLikelihood, which: Tensor) -> LogLikelihood:
    """The same result for some of the images."""
    smaller = [
        Estimate(e.per_image[which], e.sampling_errors[which]) for e in (found.half, found.quarter)
    ]
    values = found.per_image[which], found.sampling_errors[which], found.ess[which]
    return LogLikelihood(*values, found.samples, *smaller)


def sets_of(found: LogLikelihood, images: int) -> list[LogLikelihood]:
    """The same result for one small set of images after another."""
    return [some_of(found, part) for part in torch.arange(len(found)).split(images)]


def coverage(found: LogLikelihood, exact: Tensor, images: int) -> float:
    """How often the stated interval of a set of `images` holds the mean of `exact`."""
    held = [
        one.interval()[0] < mean < one.interval()[1]
        for one, mean in zip(sets_of(found, images), exact.view(-1, images).mean(1).tolist())
    ]
    return sum(held) / len(held)
