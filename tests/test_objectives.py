"""Objectives against closed forms, quadrature and a linear-Gaussian model with exact log p(x)."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

import vae_tutorial as vt


class LinearEncoder(nn.Module):
    """mu = A x + a with one fixed variance, on vectors `(B, P)`."""

    def __init__(self, pixels: int, latent_dim: int) -> None:
        super().__init__()
        self.mean, self.latent_dim = nn.Linear(pixels, latent_dim), latent_dim
        self.logvar = nn.Parameter(torch.full((latent_dim,), -0.5))

    def forward(self, x):
        mu = self.mean(x)
        return mu, self.logvar.expand_as(mu)


class LinearDecoder(nn.Linear):
    def __init__(self, pixels: int, latent_dim: int) -> None:
        super().__init__(latent_dim, pixels)
        self.latent_dim = latent_dim


def linear_vae(pixels: int = 6, latent_dim: int = 2, sigma: float = 0.7) -> vt.VAE:
    model = vt.VAE(LinearEncoder(pixels, latent_dim), LinearDecoder(pixels, latent_dim),
                   vt.GaussianLikelihood(sigma))  # fmt: skip
    return model.double()


def exact_log_px(model: vt.VAE, x: torch.Tensor) -> torch.Tensor:
    """x = W z + b + sigma·noise is normal with covariance W Wᵀ + sigma² I."""
    weight, sigma = model.decoder.weight, model.observation_model.sigma
    covariance = weight @ weight.T + sigma**2 * torch.eye(len(weight), dtype=x.dtype)
    return MultivariateNormal(model.decoder.bias, covariance).log_prob(x)


def exact_elbo(model: vt.VAE, x: torch.Tensor) -> torch.Tensor:
    """E_q[log p(x|z)] of a linear decoder in closed form, minus torch's own KL."""
    q, sigma = model.posterior(x), model.observation_model.sigma
    spread = (model.decoder.weight.square() * q.variance[:, None]).sum((1, 2))
    log_px = Normal(model.decoder(q.mean), sigma).log_prob(x).sum(1) - 0.5 * spread / sigma**2
    return log_px - kl_divergence(q.base_dist, Normal(0.0, 1.0)).sum(1)


def mean_of(draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean over the first axis and five of its standard errors.

    For a correct estimator each comparison within five errors fails once in 1.7 million seeds.
    """
    return draws.mean(0), 5 * draws.std(0) / len(draws) ** 0.5


finite = st.floats(-20, 20)


@given(finite, finite)
def test_gaussian_kl_is_torchs_divergence(mu, logvar):
    mu, logvar = torch.tensor([mu, 0.3]).double(), torch.tensor([logvar, -0.2]).double()
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum()
    assert vt.gaussian_kl(mu, logvar).item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    assert vt.gaussian_kl(mu, logvar) >= 0


@pytest.mark.parametrize("logvar", [-20.0, -1.0, -1e-3, 0.0, 1e-3, 0.5, 20.0])
def test_gaussian_kl_is_exact_in_float32(logvar):
    logvar = torch.tensor([logvar])
    exact = 0.5 * (math.expm1(logvar.item()) - logvar.item())  # in double precision
    assert vt.gaussian_kl(torch.zeros(1), logvar).item() == pytest.approx(exact, rel=1e-3)


def test_gaussian_kl_gradient_by_finite_differences():
    mu, logvar = torch.randn(3, 4).double(), torch.randn(3, 4).double()
    assert torch.autograd.gradcheck(vt.gaussian_kl, (mu.requires_grad_(), logvar.requires_grad_()))


def test_gaussian_kl_shape():
    assert vt.gaussian_kl(torch.zeros(7, 5, 3), torch.zeros(7, 5, 3)).shape == (7, 5)
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3\) and \(3,\)"):
        vt.gaussian_kl(torch.zeros(2, 3), torch.zeros(3))


def test_gaussian_kl_by_monte_carlo():
    mu, logvar = torch.tensor([0.5, -1.0]), torch.tensor([0.3, -1.2])
    q = Normal(mu, (0.5 * logvar).exp())
    z = q.sample((200_000,))
    draws = (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(-1)
    mean, error = mean_of(draws)
    assert abs(vt.gaussian_kl(mu, logvar) - mean) < error


def test_elbo_estimates_its_closed_form():
    model, x = linear_vae(), torch.randn(3, 6).double()
    with torch.no_grad():
        draws = torch.stack([vt.elbo(model, x, samples=20)["elbo"] for _ in range(2000)])
        mean, error = mean_of(draws)
        assert ((mean - exact_elbo(model, x)).abs() < error).all()


def test_elbo_is_below_log_px_by_the_posterior_kl():
    model, x = linear_vae(), torch.randn(4, 6).double()
    weight, sigma = model.decoder.weight, model.observation_model.sigma
    precision = torch.eye(2).double() + weight.T @ weight / sigma**2
    mean = (x - model.decoder.bias) @ weight / sigma**2 @ precision.inverse()
    q = model.posterior(x)
    gap = kl_divergence(
        MultivariateNormal(q.mean, torch.diag_embed(q.variance)),
        MultivariateNormal(mean, precision_matrix=precision),
    )
    torch.testing.assert_close(exact_log_px(model, x), exact_elbo(model, x) + gap)


def test_elbo_of_a_nonlinear_decoder_against_quadrature():
    """One latent dimension: E_q by Gauss–Hermite quadrature, log p(x) by the same."""
    shape = (1, 4, 4)
    model = vt.VAE(vt.MLPEncoder(1, (8,), shape), vt.MLPDecoder(1, (8,), shape)).double()
    x = torch.rand(1, *shape).round().double()
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    nodes, weights = torch.from_numpy(nodes), torch.from_numpy(weights / math.sqrt(2 * math.pi))
    with torch.no_grad():
        q = model.posterior(x)
        z = (q.mean[0] + q.stddev[0] * nodes)[:, None]
        log_px = (weights * model.likelihood(z).log_prob(x[0])).sum()
        exact = log_px - kl_divergence(q.base_dist, Normal(0.0, 1.0)).sum()
        mean, error = mean_of(vt.elbo(model, x.expand(50_000, *shape))["elbo"])
        assert abs(mean - exact) < error
        evidence = (weights * model.likelihood(nodes[:, None]).log_prob(x[0]).exp()).sum().log()
        assert exact < evidence


def test_iwae_bound_rises_with_samples_towards_log_px():
    model, x = linear_vae(), torch.randn(1, 6).double()
    exact, below = exact_log_px(model, x), exact_elbo(model, x)
    with torch.no_grad():
        for samples in (5, 50, 500):
            draws = vt.iwae_bound(model, x.expand(4000, 6), samples=samples)["bound"]
            mean, error = mean_of(draws)
            assert below + error < mean + 2 * error and mean < exact + error
            below = mean - error
        assert abs(mean - exact) < error + 0.02  # the bias of K = 500 is O(1/K)


def test_iwae_bound_of_the_exact_posterior_is_log_px():
    """With q equal to the posterior every weight is p(x), whatever z was drawn."""
    model, x = linear_vae(latent_dim=1), torch.randn(5, 6).double()
    weight, sigma = model.decoder.weight, model.observation_model.sigma
    precision = 1 + weight.T @ weight / sigma**2  # (1, 1)
    with torch.no_grad():
        model.encoder.mean.weight.copy_(weight.T / sigma**2 / precision)
        model.encoder.mean.bias.copy_(-model.encoder.mean.weight @ model.decoder.bias)
        model.encoder.logvar.copy_(-precision.log()[0])
        for terms in (vt.iwae_bound(model, x, samples=1), vt.iwae_bound(model, x, samples=7)):
            torch.testing.assert_close(terms["bound"], exact_log_px(model, x))
            torch.testing.assert_close(terms["elbo"], exact_log_px(model, x))


def test_iwae_bound_with_one_sample_is_an_elbo_estimate():
    model, x = linear_vae(), torch.randn(1, 6).double()
    with torch.no_grad():
        terms = vt.iwae_bound(model, x.expand(50_000, 6), samples=1)
    torch.testing.assert_close(terms["bound"], terms["elbo"])
    mean, error = mean_of(terms["bound"])
    assert abs(mean - exact_elbo(model, x)) < error


def test_beta_weighs_the_kl_in_the_loss_only(small_vae):
    x = torch.rand(6, 1, 8, 8).round()
    torch.manual_seed(3)
    plain = vt.elbo(small_vae, x)
    torch.manual_seed(3)
    heavy = partial(vt.elbo, beta=4.0)(small_vae, x)
    torch.testing.assert_close(plain["loss"], -plain["elbo"])
    torch.testing.assert_close(heavy["elbo"], plain["elbo"])
    torch.testing.assert_close(heavy["loss"], plain["loss"] + 3 * plain["kl"])


def test_gradients_reach_encoder_and_decoder_and_are_the_exact_ones():
    model, x = linear_vae(), torch.randn(2, 6).double()
    vt.elbo(model, x, samples=100_000)["elbo"].sum().backward()
    estimated = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    exact_elbo(model, x).sum().backward()
    exact = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(estimated) == len(exact) == 5
    for ours, theirs in zip(estimated, exact, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.1, rtol=0.02)


OBJECTIVES = [vt.elbo, partial(vt.elbo, samples=3), vt.iwae_bound]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_number_for_each_image(objective, small_vae):
    terms = objective(small_vae, torch.rand(6, 1, 8, 8).round())
    assert all(term.shape == (6,) for term in terms.values())


def test_images_do_not_depend_on_their_batch(small_vae):
    with torch.no_grad():
        small_vae.encoder.layers[-1][-1].bias[2:] = -80.0  # sigma of e^-40: no noise is left
        x = torch.rand(6, 1, 8, 8).round()
        for objective in OBJECTIVES[:2]:
            whole, one = objective(small_vae, x), objective(small_vae, x[4:5])
            for name in whole:
                torch.testing.assert_close(whole[name][4:5], one[name], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("logvar", [-20.0, 20.0])
def test_finite_in_float32_for_extreme_posteriors(logvar, small_vae):
    with torch.no_grad():
        small_vae.encoder.layers[-1][-1].bias[2:] = logvar
    for objective in (vt.elbo, vt.iwae_bound):
        terms = objective(small_vae, torch.rand(6, 1, 8, 8).round())
        terms["loss"].sum().backward()
        assert all(torch.isfinite(term).all() for term in terms.values())
        assert all(torch.isfinite(p.grad).all() for p in small_vae.parameters())


def test_reconstruction_error_sums_over_pixels():
    model = vt.Autoencoder(vt.MLPEncoder(2, heads=1), vt.MLPDecoder(2))
    x = torch.rand(3, 1, 28, 28)
    terms = vt.reconstruction_error(model, x)
    rebuilt = model(x).detach()
    by_hand = [((rebuilt[i] - x[i]) ** 2).sum().item() for i in range(3)]
    assert terms["squared_error"].tolist() == pytest.approx(by_hand, rel=1e-5)
    torch.testing.assert_close(terms["loss"], 0.5 * terms["squared_error"])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 8)])
def test_a_decoder_of_another_shape_is_refused(objective, shape):
    """Broadcasting would score every image against every reconstruction."""
    model = vt.VAE(vt.MLPEncoder(2, (4,), (1, 8, 8)), vt.MLPDecoder(2, (4,), shape))
    with pytest.raises(ValueError, match=r"shape of x, \(1, 8, 8\), got \("):
        objective(model, torch.rand(6, 1, 8, 8))
    plain = vt.Autoencoder(vt.MLPEncoder(2, (4,), (1, 8, 8), heads=1), model.decoder)
    with pytest.raises(ValueError, match=r"shape of x, \(1, 8, 8\), got \("):
        vt.reconstruction_error(plain, torch.rand(6, 1, 8, 8))


def test_objectives_name_the_model_that_they_need(small_vae):
    x, plain = torch.rand(2, 1, 28, 28), vt.Autoencoder(vt.MLPEncoder(2, heads=1), vt.MLPDecoder(2))
    for objective in OBJECTIVES:
        with pytest.raises(TypeError, match=r"needs a VAE, .*, got Autoencoder"):
            objective(plain, x)
    with pytest.raises(TypeError, match="a VAE trains with elbo"):
        vt.reconstruction_error(small_vae, x)


def test_elbo_of_codes_names_the_objectives_that_train_them():
    shape, x = (1, 4, 4), torch.rand(3, 1, 4, 4).round()
    networks = vt.MLPEncoder(6, (8,), shape, heads=1), vt.MLPDecoder(6, (8,), shape)
    model = vt.CategoricalVAE(*networks, 2, 3)
    for call in (vt.elbo, partial(vt.fit, epochs=1, progress=False)):
        with pytest.raises(TypeError, match=r"Independent\(Categorical\).* vae_tutorial\.discrete"):
            call(model, x)
    assert vt.mean_elbo(model, x, 4, progress=False).per_image.isfinite().all()


@pytest.mark.parametrize("beta", [-0.1, math.nan])
def test_beta_is_refused(beta, small_vae):
    with pytest.raises(ValueError, match="beta must not be negative, got"):
        vt.elbo(small_vae, torch.rand(2, 1, 8, 8), beta=beta)


@pytest.mark.parametrize("samples", [0, -1, 1.5, True])
@pytest.mark.parametrize("objective", [vt.elbo, vt.iwae_bound])
def test_samples_are_refused(objective, samples, small_vae):
    with pytest.raises(ValueError, match="samples must be a whole number of at least 1, got"):
        objective(small_vae, torch.rand(2, 1, 8, 8), samples=samples)
