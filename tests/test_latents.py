"""Active units, mutual information and the aggregate posterior, against sums done by hand."""

import math

import pytest
import torch
from exact_models import curved_vae, linear_vae, made_by, weights_of
from torch import nn
from torch.distributions import Normal, kl_divergence

import vae_tutorial as vt
from vae_tutorial.measure.latents import active_units, information, log_densities
from vae_tutorial.measure.likelihood import mean_elbo


class Given(nn.Module):
    """An encoder that returns what it is given for the first images, in their order."""

    heads = 2

    def __init__(self, mu: torch.Tensor, logvar: torch.Tensor) -> None:
        super().__init__()
        self.mu, self.logvar, self.latent_dim = mu, logvar, mu.shape[1]

    def forward(self, x):
        return self.mu[: len(x)], self.logvar[: len(x)]


def given_vae(mu: torch.Tensor, logvar: torch.Tensor) -> vt.VAE:
    decoder = vt.MLPDecoder(mu.shape[1], (), (1, 2, 2))
    return vt.VAE(Given(mu, logvar), decoder)


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 1, 2, 2)


def test_active_units_by_hand():
    mu = torch.tensor([[0.0, 1, 0.1], [2, 1, 0.3], [4, 1, 0.1]])
    logvar = torch.tensor([[0.0, 0, -1]]).expand(3, 3)
    found = active_units(given_vae(mu, logvar), images(3))
    assert found.variances.tolist() == pytest.approx([4, 0, 0.04 / 3], rel=1e-6)
    assert found.active.tolist() == [True, False, True] and found.count == 2
    kl = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)).mean(0)
    torch.testing.assert_close(found.kl.float(), kl)
    assert str(found).startswith("2 of 3 units active; ")
    assert active_units(given_vae(mu, logvar), images(3), threshold=0.02).count == 1


def test_kl_of_the_units_adds_up_to_the_rate(small_vae, blobs):
    assert active_units(small_vae, blobs).kl.sum().item() == pytest.approx(
        mean_elbo(small_vae, blobs, 1).rate, rel=1e-5
    )


def test_collapsed_units_carry_nothing():
    found = information(given_vae(torch.zeros(50, 3), torch.zeros(50, 3)), images(50))
    assert abs(found.mutual_information.mean) < 1e-9 and abs(found.aggregate_kl.mean) < 1e-9
    assert found.rate == 0
    assert active_units(given_vae(torch.zeros(5, 3), torch.zeros(5, 3)), images(5)).count == 0


def test_posteriors_that_never_meet_tell_which_image_it_was():
    """I = log N to the last digit, and KL(q(z) ‖ p(z)) is what is left of the rate."""
    mu = torch.arange(8.0).view(8, 1) * 10
    found = information(given_vae(mu, torch.full((8, 1), -4.0)), images(8))
    assert found.mutual_information.mean == pytest.approx(math.log(8), abs=1e-9)
    assert found.ceiling == pytest.approx(math.log(8))
    assert found.mutual_information.mean + found.aggregate_kl.mean == pytest.approx(found.rate)


def test_information_by_quadrature_in_one_dimension():
    mu, logvar = torch.randn(6, 1), torch.randn(6, 1) - 1
    z = torch.linspace(-15, 15, 30_001, dtype=torch.float64)
    parts = Normal(mu.double(), (0.5 * logvar).double().exp()).log_prob(z)  # (6, 30001)
    log_q = parts.logsumexp(0) - math.log(6)
    step = z[1] - z[0]
    aggregate = (log_q.exp() * (log_q - Normal(0.0, 1.0).log_prob(z))).sum() * step
    mutual = ((parts.exp() * (parts - log_q)).sum(1) * step).mean()
    found = information(given_vae(mu, logvar), images(6), samples=20_000)
    for estimate, exact in ((found.mutual_information, mutual), (found.aggregate_kl, aggregate)):
        assert abs(estimate.mean - exact.item()) < 4.5 * estimate.sampling_error
        assert estimate.sampling_error < 0.01
    assert found.rate == pytest.approx((mutual + aggregate).item(), abs=1e-6)


def test_coverage_of_the_stated_error():
    """300 seeds: the estimate lies within 1.96 of its errors about as often as it should."""
    mu, logvar = torch.randn(40, 2), torch.randn(40, 2) - 1
    model, x = given_vae(mu, logvar), images(40)
    best = information(model, x, samples=5000, seed=10**6).mutual_information.mean
    found = [information(model, x, samples=4, seed=s).mutual_information for s in range(300)]
    inside = sum(abs(e.mean - best) < 1.96 * e.sampling_error for e in found)
    assert 0.90 < inside / 300 < 0.985


def test_few_images_lean_as_the_docstring_says():
    """Linear-Gaussian source and encoder: q(z) of the source is normal. KL(q(z) ‖ p(z)) of N
    images is above that normal's on average, and nears it as N grows; I(x; z) is below."""
    model = linear_vae(4, 2, seed=5)
    with torch.no_grad():
        model.encoder.layers[1][0].weight.mul_(2)
    weight, bias, sigma = weights_of(model)
    head, shift = (p.detach() for p in model.encoder.layers[1][0].parameters())
    with torch.no_grad():  # one logvar for all images: only then is q(z) normal
        model.encoder.layers[1][0].weight[2:] = 0
    covariance = weight @ weight.T + sigma**2 * torch.eye(4, dtype=torch.float64)
    spread = head[:2] @ covariance @ head[:2].T + torch.diag(shift[2:].exp())
    mean = head[:2] @ bias + shift[:2]
    exact = 0.5 * (spread.trace() + mean @ mean - 2 - spread.logdet()).item()
    mutual = 0.5 * (spread.logdet() - shift[2:].sum()).item()
    found = []
    for count in (10, 100, 1000):
        sets = [information(model, made_by(model, count)[0], seed=s) for s in range(2000 // count)]
        found.append([
            sum(f.aggregate_kl.mean for f in sets) / len(sets),
            sum(f.mutual_information.mean for f in sets) / len(sets),
        ])  # fmt: skip
    assert found[0][0] > found[1][0] > exact and abs(found[2][0] - exact) < 0.1
    assert found[0][1] < found[1][1] < mutual and abs(found[2][1] - mutual) < 0.1


def test_densities_of_all_normals_at_once():
    z, mean = torch.randn(3, 4, 2).double(), torch.randn(5, 2).double()
    stddev = torch.rand(5, 2).double() / 100 + 1e-3  # narrow: where squares multiplied out suffer
    expected = Normal(mean, stddev).log_prob(z.unsqueeze(-2)).sum(-1)
    torch.testing.assert_close(log_densities(z, mean, stddev), expected, rtol=1e-9, atol=1e-6)


def test_many_images_go_through_in_parts(monkeypatch):
    from vae_tutorial.measure import latents

    model = given_vae(torch.randn(30, 2), torch.randn(30, 2))
    whole = information(model, images(30), samples=500)
    monkeypatch.setattr(latents, "PAIRS_AT_ONCE", 30 * 500 * 4)
    parts = information(model, images(30), samples=500)
    gap = parts.mutual_information.mean - whole.mutual_information.mean
    assert 0 < abs(gap) < 6 * whole.mutual_information.sampling_error


def test_discrete_codes_are_embedded_by_the_most_probable_and_have_no_active_units():
    torch.manual_seed(0)
    shape, x = (1, 2, 4), torch.rand(20, 1, 2, 4).round()
    networks = vt.MLPEncoder(6, (8,), shape, heads=1), vt.MLPDecoder(6, (8,), shape)
    model = vt.CategoricalVAE(*networks, 2, 3)
    codes = torch.from_numpy(vt.embed(model, x))
    assert codes.dtype == torch.int64 and torch.equal(codes, model.encode(x))
    with pytest.raises(TypeError, match=r"those of CategoricalVAE are codes. vt.code_use"):
        active_units(model, x)
    assert vt.code_use(model.encode(x), model.categories).used >= 1  # the way out is one
    with pytest.raises(TypeError, match="or encode"):
        vt.embed(vt.MLPDecoder(2, (), shape), x)


def test_they_leave_no_trace_and_name_bad_arguments(blobs):
    model = curved_vae().train()
    x, before = torch.rand(20, 1, 2, 4), torch.get_rng_state()
    found = [information(model, x, 2, seed=s).mutual_information.per_image for s in (0, 0, 1)]
    active_units(model, x)
    assert torch.equal(before, torch.get_rng_state()) and model.training
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    with pytest.raises(ValueError, match="threshold must be a non-negative number, got -1"):
        active_units(model, x, threshold=-1)
    with pytest.raises(ValueError, match="samples must be a whole number of at least 1, got 0"):
        information(model, x, 0)
    for measure in (active_units, information):
        with pytest.raises(ValueError, match="at least two images"):
            measure(model, x[:1])
