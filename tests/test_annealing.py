"""Annealed importance sampling and its reverse, on models whose log p(x) is known."""

import math

import pytest
import torch
from exact_models import (
    Fold,
    OneSided,
    coverage,
    curved_vae,
    exact_log_px,
    exact_posterior,
    linear_vae,
    log_px_by_quadrature,
    made_by,
    sets_of,
    trained_vae,
    widened,
)
from torch.distributions import MultivariateNormal

import vae_tutorial as vt
from vae_tutorial.measure import annealing
from vae_tutorial.measure.annealing import ais, bdmc, inverse_temperatures
from vae_tutorial.measure.estimates import Estimate
from vae_tutorial.measure.hamiltonian import Path, transition
from vae_tutorial.measure.likelihood import log_likelihood
from vae_tutorial.recommend import mult_vae
from vae_tutorial.train.engine.environment import progress_bar

pytestmark = pytest.mark.slow

STARTS = ["prior", "posterior"]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(("pixels", "latent_dim"), [(4, 1), (6, 2), (16, 5)])
def test_ais_meets_the_exact_value_within_its_stated_error(pixels, latent_dim, start):
    for model in (linear_vae(pixels, latent_dim), trained_vae(pixels, latent_dim, epochs=4)):
        x, _ = made_by(linear_vae(pixels, latent_dim, seed=1), 30)
        found = ais(model, x, 60, 16, leapfrog=5, start=start)
        low, high = found.interval(errors=4.5)
        assert low < exact_log_px(model, x).mean().item() < high
        assert found.sampling_error < 0.06
        assert 0.4 < found.acceptance.mean() < 0.95 and len(found.acceptance) == 30


def test_coverage_of_the_stated_error():
    """200 times 5 images: the stated 95 % interval of the mean holds the exact value as often."""
    model = trained_vae(6, 2, epochs=4)
    x, _ = made_by(model, 5)
    exact = exact_log_px(model, x)
    found = ais(model, x.repeat(200, 1, 1, 1), 40, 24, leapfrog=4)
    # the binomial standard error is 0.015
    assert 0.9 < coverage(found, exact.repeat(200), 5) <= 0.999


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("temperatures", [1, 2, 4])
def test_weights_have_the_mean_px_however_few_temperatures(start, temperatures):
    """E[w] = p(x) and, backwards from exact draws, E[1 / w] = 1 / p(x): no long run needed."""
    # broad pixels, and a q somewhat wider than p(z | x): so both weights have a variance
    model = widened(linear_vae(3, 2, sigma=1.5, seed=3), 1.3)
    x = made_by(model, 1)[0].expand(4000, 1, 1, 3)
    exact = exact_log_px(model, x[:1]).item()
    plan = annealing._Plan(temperatures, 1, 3, start)
    sizes = [torch.full((4000,), 1.7, dtype=torch.float64)] * (temperatures - 1)  # large steps
    with torch.no_grad(), progress_bar(None, show=False) as bar:
        path = Path(model, x, start)
        forward, rate = annealing._forward(path, plan, sizes, bar)
        z = exact_posterior(model, x).sample()
        backward = annealing._backward(path, plan, sizes, z, bar)
    assert temperatures == 1 or rate.mean() < 0.9  # some moves are refused, as they should be
    for ratio in ((forward - exact).exp(), (exact - backward).exp()):
        assert abs(ratio.mean() - 1) < 4.5 * ratio.std() / math.sqrt(ratio.numel())
        assert 0.001 < ratio.std() < 5  # else the line above says little


def test_the_way_back_takes_the_same_moves_in_reverse_order(monkeypatch):
    seen = []

    def standing_still(path, point, beta, size, leapfrog):
        seen.append((beta, size[0].item(), leapfrog))
        return point, torch.ones_like(point.ratio)

    monkeypatch.setattr(annealing, "transition", standing_still)
    model = linear_vae(6, 2)
    x, z = made_by(model, 3)
    path, plan = Path(model, x, "prior"), annealing._Plan(5, 2, 7, "prior")
    sizes = [torch.full((3,), 0.1 * t) for t in range(1, 5)]
    with torch.no_grad(), progress_bar(None, show=False) as bar:
        annealing._forward(path, plan, sizes, bar)
        log_w = annealing._backward(path, plan, sizes, z, bar)
    betas = inverse_temperatures(5)[1:-1]
    assert seen[:4] == [(b, s[0].item(), 7) for b, s in zip(betas, sizes)]
    assert seen[4:] == seen[3::-1]
    # nobody moved: all steps of β together make 1
    torch.testing.assert_close(log_w, path.at(z.expand(2, 3, 2)).log_ratio)


def test_one_temperature_is_plain_importance_sampling():
    model = linear_vae(6, 2)
    x, _ = made_by(model, 5)
    path, plan = Path(model, x, "posterior"), annealing._Plan(1, 7, 5, "posterior")
    torch.manual_seed(3)
    with torch.no_grad():
        log_w, rate = annealing._forward(path, plan, [], None)
        torch.manual_seed(3)
        z = model.posterior(x).sample((7,))
        expected = model.likelihood(z).log_prob(x) + model.prior().log_prob(z)
        expected = expected - model.posterior(x).log_prob(z)
    torch.testing.assert_close(log_w, expected)
    assert rate.isnan().all()


@pytest.mark.parametrize(("beta", "step"), [(0.2, 1.5), (1.0, 1.0)])
def test_a_move_leaves_its_density_as_it_is_and_moves(beta, step):
    """From exact draws of f_β, which is normal here: mean and covariance stay what they are."""
    model = linear_vae(4, 2, seed=2)
    x = made_by(model, 1)[0].expand(20_000, 1, 1, 4)
    weight, sigma = model.decoder.layers[0].weight.detach(), 0.7
    shift = x[0].flatten() - model.decoder.layers[0].bias.detach()
    precision = torch.eye(2, dtype=torch.float64) + beta * weight.T @ weight / sigma**2
    mean = torch.linalg.solve(precision, beta * weight.T @ shift / sigma**2)
    density = MultivariateNormal(mean, precision_matrix=precision)
    z = density.sample((1, 20_000))
    with torch.no_grad():
        path = Path(model, x, "prior")
        size = torch.full((20_000,), step, dtype=torch.float64)  # so large that moves are refused
        new, accepted = transition(path, path.at(z), beta, size, leapfrog=2)
    assert 0.2 < accepted.mean() < 0.95
    moved = (new.z != z).any(-1).double().mean()
    assert abs(moved - accepted.mean()) < 0.02
    white = (new.z[0] - mean) @ torch.linalg.cholesky(precision)  # standard normal
    off = torch.cat(
        [white.mean(0), white.square().mean(0) - 1, (white[:, :1] * white[:, 1:]).mean(0)]
    )
    spread = torch.tensor([1, 1, 2**0.5, 2**0.5, 1]) / math.sqrt(20_000)
    assert (off.abs() < 4.5 * spread).all()
    correlation = ((z - mean) * (new.z - mean)).mean() / (z - mean).square().mean()
    assert correlation < 0.9


def test_the_landscape_is_log_density_and_gradient():
    model = curved_vae().double()
    x = (torch.rand(3, 1, 2, 4) < 0.5).double()
    z = torch.randn(2, 3, 1, dtype=torch.float64)
    for start in STARTS:
        path = Path(model, x, start)
        point = path.at(z)
        base = model.prior().log_prob(z)
        if start == "posterior":
            base = model.posterior(x).log_prob(z)
        joint = model.likelihood(z).log_prob(x) + model.prior().log_prob(z)
        torch.testing.assert_close(point.log_density(0), base)
        torch.testing.assert_close(point.log_density(1), joint)
        up, down = path.at(z + 1e-5), path.at(z - 1e-5)
        slope = (up.log_density(0.3) - down.log_density(0.3)) / 2e-5
        torch.testing.assert_close(point.gradient(0.3)[..., 0], slope, rtol=1e-6, atol=1e-6)


def test_bdmc_catches_log_px_between_bounds_that_close():
    model = trained_vae(16, 4, epochs=4)
    gaps = []
    for temperatures in (3, 12, 80):
        found = bdmc(model, 60, temperatures, 8, leapfrog=5)
        exact = exact_log_px(model, found.images)
        for bound, sign in ((found.lower, 1), (found.upper, -1)):
            room = sign * (exact - bound.per_image)  # in expectation not negative
            assert room.mean() > -4.5 * room.std() / math.sqrt(60)
        low, high = found.interval(errors=4.5)
        assert low < exact.mean().item() < high
        gaps.append(found.gap.mean)
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] and abs(gaps[2]) < 0.2


def test_coverage_of_the_interval_between_the_bounds():
    """100 sets of 20 images: the 95 % interval holds the exact mean in nearly all."""
    model = trained_vae(6, 2, epochs=4)
    found = bdmc(model, 2000, 25, 4, leapfrog=4)
    exact = exact_log_px(model, found.images)
    inside = 0
    for lower, part in zip(sets_of(found.lower, 20), torch.arange(2000).split(20)):
        upper = Estimate(found.upper.per_image[part], found.upper.sampling_errors[part])
        low, high = annealing.BidirectionalBounds(lower, upper, found.images[part]).interval()
        inside += low < exact[part].mean().item() < high
    assert inside >= 93


def test_one_dimension_with_bernoulli_pixels_by_quadrature():
    model = curved_vae()
    x = (torch.rand(50, 1, 2, 4) < 0.5).float()
    for start in STARTS:
        found = ais(model, x, 60, 16, leapfrog=5, start=start)
        low, high = found.interval(errors=4.5)
        assert low < log_px_by_quadrature(model, x).mean().item() < high
    caught = bdmc(model, 50, 60, 16, leapfrog=5)
    low, high = caught.interval(errors=4.5)
    assert low < log_px_by_quadrature(model, caught.images).mean().item() < high
    assert caught.images.shape == (50, 1, 2, 4) and set(caught.images.unique().tolist()) == {0, 1}


def test_annealing_finds_the_mode_that_the_encoder_has_never_seen():
    """p(z | x) has two peaks, at ±z, and q one: importance sampling loses log 2, and its ESS does
    not tell; annealing from the prior loses nothing."""
    model = vt.VAE(OneSided(), Fold())
    x = torch.tensor([1.0, 1, 1, 0, 1, 0]).view(1, 1, 1, 6).expand(40, 1, 1, 6)
    exact = log_px_by_quadrature(model, x[:1]).item()
    short = exact - log_likelihood(model, x, 500, seed=1).mean
    assert abs(short - math.log(2)) < 0.05
    assert log_likelihood(model, x, 500).ess.median() > 200
    found = ais(model, x, 60, 20, leapfrog=5)
    low, high = found.interval(errors=4.5)
    assert low < exact < high and abs(found.mean - exact) < 0.1


def test_temperatures_are_a_sigmoid_from_0_to_1():
    assert inverse_temperatures(1) == [0.0, 1.0]
    betas = torch.tensor(inverse_temperatures(10), dtype=torch.float64)
    assert betas[0] == 0 and betas[-1] == 1 and len(betas) == 11
    steps = betas.diff()
    assert (steps > 0).all() and steps.argmax() in (4, 5) and steps[0] < steps[4] / 3
    torch.testing.assert_close(betas, 1 - betas.flip(0))
    whole = [1 / (1 + math.exp(-u)) for u in (-4.0, -2.4, 4.0)]
    assert betas[2].item() == pytest.approx((whole[1] - whole[0]) / (whole[2] - whole[0]))


def test_it_leaves_no_trace_and_repeats_itself(small_vae, blobs):
    small_vae.train()
    before = torch.get_rng_state()
    found = [ais(small_vae, blobs[:8], 4, 4, seed=seed) for seed in (0, 0, 1)]
    caught = [bdmc(small_vae, 8, 4, 4, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state()) and small_vae.training
    assert all(p.grad is None for p in small_vae.parameters())
    assert torch.equal(found[0].per_image, found[1].per_image)
    assert not torch.equal(found[0].per_image, found[2].per_image)
    assert torch.equal(caught[0].images, caught[1].images)
    assert torch.equal(caught[0].upper.per_image, caught[1].upper.per_image)
    assert not torch.equal(caught[0].images, caught[2].images)


def test_chunk_bounds_what_is_decoded_at_once(small_vae, blobs):
    seen = []
    small_vae.decoder.register_forward_hook(lambda *call: seen.append(call[1][0].shape[:-1]))
    ais(small_vae, blobs[:9], 4, 5, chunk=20)
    assert max(shape.numel() for shape in seen) == 20 and seen[0][1] == 4
    pixels = [ais(small_vae, blobs[:9], 1, 500, chunk=chunk).mean for chunk in (500, 100_000)]
    assert abs(pixels[0] - pixels[1]) < 2  # the same binary pixels, whatever the chunk


def test_a_likelihood_that_draws_nothing_is_named():
    with pytest.raises(TypeError, match=r"bdmc draws images .* Multinomial has no sample\(\)"):
        bdmc(mult_vae(6, 2, (4,)), 2, 3, 2, progress=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperatures": 0}, "temperatures must be a whole number of at least 1, got 0"),
        ({"chains": 0}, "chains must be a whole number"),
        ({"leapfrog": 1.5}, "leapfrog must be a whole number"),
        ({"start": "middle"}, 'start must be "prior" or "posterior", got \'middle\''),
    ],
)
def test_bad_arguments_are_named(small_vae, blobs, settings, message):
    with pytest.raises(ValueError, match=message):
        ais(small_vae, blobs, **settings)
    with pytest.raises(ValueError, match=message):
        bdmc(small_vae, **settings)
