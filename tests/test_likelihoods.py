"""Each likelihood against quadrature, textbook formulas and its own samples."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vae_tutorial as vt
from vae_tutorial.models.likelihoods import ContinuousBernoulli, log_normaliser

EXTREME = [-1e4, -88.0, -17.0, -1.0, -0.051, -0.049, -1e-6, 0.0, 0.02, 0.06, 3.0, 40.0, 1e4]


def test_bernoulli_is_the_textbook_formula():
    p = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    pixel = vt.BernoulliLikelihood()(torch.logit(p))
    torch.testing.assert_close(pixel.log_prob(torch.ones(3).double()), p.log())
    torch.testing.assert_close(pixel.log_prob(torch.zeros(3).double()), (1 - p).log())
    torch.testing.assert_close(pixel.mean, p)


@pytest.mark.parametrize(
    "likelihood", [vt.BernoulliLikelihood(), vt.ContinuousBernoulliLikelihood()]
)
def test_finite_in_float32_for_any_logit(likelihood):
    logits = torch.tensor(EXTREME, requires_grad=True)
    for value in (0.0, 0.3, 1.0):
        log_prob = likelihood(logits).log_prob(torch.full_like(logits, value))
        (gradient,) = torch.autograd.grad(log_prob.sum(), logits)
        assert torch.isfinite(log_prob).all() and torch.isfinite(gradient).all()


def test_confident_pixels_still_have_a_gradient():
    logits = torch.tensor([30.0], requires_grad=True)  # torch's own version clamps this to zero
    vt.ContinuousBernoulliLikelihood()(logits).log_prob(torch.zeros(1)).backward()
    assert logits.grad.item() == pytest.approx(-1 + 1 / 30, rel=1e-5)


@pytest.mark.parametrize("eta", [-30.0, -3.0, -0.2, -0.03, 0.0, 0.049, 0.051, 1.0, 12.0])
def test_continuous_bernoulli_against_quadrature(eta):
    x = np.polynomial.legendre.leggauss(200)
    nodes, weights = torch.from_numpy(0.5 * (x[0] + 1)), torch.from_numpy(0.5 * x[1])
    pixel = ContinuousBernoulli(torch.tensor(eta, dtype=torch.float64).expand(200))
    density = pixel.log_prob(nodes).exp()
    assert (density * weights).sum().item() == pytest.approx(1, abs=1e-10)
    # the series for the mean near zero is cut after its first term: error below eta^3 / 720
    assert (density * nodes * weights).sum().item() == pytest.approx(pixel.mean[0].item(), abs=2e-7)


@given(st.floats(-60, 60))
def test_normaliser_is_even_and_at_least_log_two(eta):
    value = log_normaliser(torch.tensor([eta, -eta], dtype=torch.float64))
    assert value[0].item() == pytest.approx(value[1].item(), abs=1e-12)
    assert value[0].item() >= math.log(2) - 1e-12


def test_normaliser_agrees_with_torch_where_torch_is_exact():
    logits = torch.linspace(-8, 8, 81, dtype=torch.float64)
    theirs = torch.distributions.ContinuousBernoulli(logits=logits)
    x = torch.rand(81, dtype=torch.float64)
    torch.testing.assert_close(ContinuousBernoulli(logits).log_prob(x), theirs.log_prob(x),
                               atol=1e-5, rtol=1e-5)  # fmt: skip


def test_continuous_bernoulli_samples_have_its_mean():
    pixel = ContinuousBernoulli(torch.tensor([2.0]))
    draws = pixel.sample((100_000,))
    assert draws.min() >= 0 and draws.max() <= 1
    # 5 standard errors: a false alarm once in 1.7 million runs, were the seed not fixed
    assert abs(draws.mean() - pixel.mean) < 5 * draws.std() / 100_000**0.5


def test_gaussian_is_the_textbook_formula():
    pixel = vt.GaussianLikelihood(sigma=0.5)(torch.tensor([1.0]))
    expected = -0.5 * (0.6 / 0.5) ** 2 - math.log(0.5) - 0.5 * math.log(2 * math.pi)
    assert pixel.log_prob(torch.tensor([1.6])).item() == pytest.approx(expected, rel=1e-6)


def test_learned_sigma_finds_the_spread_of_the_data():
    likelihood = vt.GaussianLikelihood(sigma=1.0, learned=True)
    residuals = 0.2 * torch.randn(4000)
    optimiser = torch.optim.Adam(likelihood.parameters(), lr=0.05)
    for _ in range(300):
        loss = -likelihood(torch.zeros(4000)).log_prob(residuals).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # the maximum-likelihood sigma is the root mean square of the residuals
    assert likelihood.sigma.item() == pytest.approx(
        residuals.square().mean().sqrt().item(), rel=1e-3
    )


def test_fixed_sigma_is_not_trained():
    likelihood = vt.GaussianLikelihood(0.3)
    likelihood.requires_grad_(False).requires_grad_(True)  # as when a model is frozen for a while
    assert not list(likelihood.parameters())
    assert likelihood.state_dict().keys() == vt.GaussianLikelihood(learned=True).state_dict().keys()


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_sigma_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma must be a positive number, got"):
        vt.GaussianLikelihood(sigma)
