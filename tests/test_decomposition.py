"""The rate in three parts, and its estimates from a batch, by oracles that share no code."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

import vae_tutorial as vt
from vae_tutorial.measure.decomposition import (
    batch_log_q,
    batch_weights,
    gaussian_total_correlation,
    rate_parts,
    tc_elbo,
)


def posteriors(images, latents, seed=0):
    rng = torch.Generator().manual_seed(seed)
    mu = torch.randn(images, latents, generator=rng, dtype=torch.float64)
    stddev = 0.2 + 0.5 * torch.rand(images, latents, generator=rng, dtype=torch.float64)
    return mu, stddev


def draws(mu, stddev, count, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return mu + stddev * torch.randn(count, *mu.shape, generator=rng, dtype=torch.float64)


def by_quadrature(mu, stddev):
    """Information, total correlation and dimension-wise KL of two latents, on a fine grid."""
    line = torch.linspace(-7, 7, 701, dtype=torch.float64)
    cell = (line[1] - line[0]).item()
    each = [Normal(mu[:, d], stddev[:, d]).log_prob(line[:, None]).exp() for d in (0, 1)]
    joint = torch.einsum("an,bn->ab", *each) / len(mu)  # q(z)
    single = [p.mean(1) for p in each]  # q(z_d)
    prior = Normal(0.0, 1.0).log_prob(line)
    entropy = (0.5 * math.log(2 * math.pi * math.e) + stddev.log()).sum(1).mean()
    whole = torch.special.xlogy(joint, joint).sum() * cell**2  # −H(z)
    parts = sum(torch.special.xlogy(p, p).sum() * cell for p in single)
    cross = sum((p * prior).sum() * cell for p in single)
    return (-entropy - whole).item(), (whole - parts).item(), (parts - cross).item()


def test_rate_parts_by_quadrature():
    mu, stddev = posteriors(7, 2)
    found = rate_parts(mu, stddev, draws(mu, stddev, 20_000))
    expected = by_quadrature(mu, stddev)
    # 140,000 draws of numbers that spread by a nat or so: an error of 0.005 is two sigma
    assert found.mutual_information == pytest.approx(expected[0], abs=0.01)
    assert found.total_correlation == pytest.approx(expected[1], abs=0.01)
    assert found.dimension_wise == pytest.approx(expected[2], abs=0.01)
    assert found.rate == pytest.approx(vt.gaussian_kl(mu, 2 * stddev.log()).mean().item())


def test_rate_parts_agree_with_information():
    class Model(vt.VAE):
        def posterior(self, x, y=None):
            return Independent(Normal(x[:, 0, 0, :3], x[:, 0, 0, 3:]), 1)

    mu, stddev = posteriors(200, 3)
    model = Model(vt.MLPEncoder(3), vt.MLPDecoder(3), vt.GaussianLikelihood())
    x = torch.cat([mu, stddev], 1)[:, None, None].float()
    other = vt.information(model, x, 20, binarise=False, progress=False)
    found = rate_parts(mu, stddev, draws(mu, stddev, 20))
    error = 4 * other.mutual_information.sampling_error + 0.01
    assert abs(found.mutual_information - other.mutual_information.mean) < error


def test_gaussian_total_correlation_is_a_divergence():
    a = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    cov = a @ a.T + 0.1 * torch.eye(3, dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    apart = MultivariateNormal(zero, torch.diag(cov.diagonal()))
    expected = torch.distributions.kl_divergence(MultivariateNormal(zero, cov), apart)
    assert gaussian_total_correlation(cov).item() == pytest.approx(expected.item())
    turned = torch.stack([cov, torch.eye(3, dtype=torch.float64)])
    assert gaussian_total_correlation(turned)[1].item() == pytest.approx(0, abs=1e-12)


def test_stratified_weights_have_the_right_mean():
    """Over all batches that hold image 0, the mean of the estimate of q(z) is q(z), exactly."""
    mu, stddev = posteriors(6, 2)
    z = draws(mu, stddev, 1)[0]
    exact = Independent(Normal(mu, stddev), 1).log_prob(z[0]).exp().mean()
    found = []
    for others in itertools.combinations(range(1, 6), 2):
        batch = [0, *others]
        joint, _ = batch_log_q(mu[batch], stddev[batch], z[batch], 6, "stratified")
        found.append(joint[0].exp())
    assert torch.stack(found).mean().item() == pytest.approx(exact.item(), rel=1e-5)


def test_weighted_estimate_by_loops():
    mu, stddev = posteriors(4, 3)
    z = draws(mu, stddev, 1)[0]
    joint, apart = batch_log_q(mu, stddev, z, 100)
    for i in range(4):
        each = [Normal(mu[j], stddev[j]).log_prob(z[i]) for j in range(4)]
        whole = sum(e.sum().exp() for e in each) / 400
        assert joint[i].item() == pytest.approx(whole.log().item(), rel=1e-5)
        for d in range(3):
            one = sum(e[d].exp() for e in each) / 400
            assert apart[i, d].item() == pytest.approx(one.log().item(), rel=1e-5)


def test_both_estimates_are_exact_for_the_whole_set():
    mu, stddev = posteriors(5, 2)
    z = draws(mu, stddev, 1)[0]
    for kind in ("weighted", "stratified"):
        weights = batch_weights(5, 5, kind).exp()
        expected = 1.0 if kind == "stratified" else 0.2
        assert torch.allclose(weights.sum(1), torch.tensor(expected, dtype=torch.float64))
    joint, _ = batch_log_q(mu, stddev, z, 5, "stratified")
    exact = Independent(Normal(mu, stddev), 1).log_prob(z[:, None]).logsumexp(1) - math.log(5)
    assert torch.allclose(joint, exact, atol=1e-5)


def model_and_images():
    torch.manual_seed(0)
    shape = (1, 4, 4)
    model = vt.VAE(vt.MLPEncoder(3, (8,), shape), vt.MLPDecoder(3, (8,), shape))
    return model, (torch.rand(12, *shape) > 0.5).float()


def test_tc_elbo_is_the_elbo_where_beta_is_one():
    model, x = model_and_images()
    torch.manual_seed(1)
    ours = tc_elbo(model, x, size=1000)
    torch.manual_seed(1)
    usual = vt.elbo(model, x)
    assert torch.allclose(ours["loss"], usual["loss"], atol=1e-4)
    assert torch.allclose(ours["kl"], usual["kl"], atol=1e-5)


def test_tc_elbo_weighs_the_correlation_alone():
    model, x = model_and_images()
    losses = []
    for beta in (1.0, 3.0):
        torch.manual_seed(1)
        losses.append(tc_elbo(model, x, size=1000, beta=beta, kind="stratified"))
    apart = losses[1]["loss"] - losses[0]["loss"]
    assert torch.allclose(apart, 2 * losses[0]["total_correlation"], atol=1e-4)


def test_tc_elbo_trains():
    model, x = model_and_images()
    objective = partial(tc_elbo, size=12, beta=2.0)
    history = vt.fit(model, x, objective=objective, epochs=2, device="cpu", binarise=False,
                     progress=False)  # fmt: skip
    assert "total_correlation" in history.train


def test_errors_say_what_is_wrong():
    mu, stddev = posteriors(4, 2)
    with pytest.raises(ValueError, match="kind"):
        batch_weights(4, 10, "other")
    with pytest.raises(ValueError, match="size must be"):
        batch_weights(4, 3)
    with pytest.raises(ValueError, match="mu and stddev"):
        batch_log_q(mu, stddev, mu[:2], 10)
