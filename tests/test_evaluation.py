"""Estimators of log p(x), IWAE bounds and ELBO against models whose log p(x) is known."""

import math

import pytest
import torch
from exact_models import (
    coverage,
    curved_vae,
    exact_elbo,
    exact_log_px,
    exact_posterior,
    linear_vae,
    log_px_by_quadrature,
    made_by,
    sets_of,
    some_of,
    trained_vae,
)
from torch import nn
from torch.distributions import Normal

import vae_tutorial as vt
from vae_tutorial.measure.common import TestImages
from vae_tutorial.measure.estimates import Estimate, Groups, LogLikelihood, difference
from vae_tutorial.measure.likelihood import iwae_bounds, log_likelihood, mean_elbo

pytestmark = pytest.mark.slow

SIZES = [(4, 1), (6, 2), (16, 4), (30, 6)]


@pytest.fixture(scope="module")
def trained() -> vt.VAE:
    return trained_vae(6, 2)


class Exact(vt.VAE):
    """A linear-Gaussian VAE that knows p(z | x)."""

    def posterior(self, x):
        return exact_posterior(self, x)


@pytest.mark.parametrize(("pixels", "latent_dim"), SIZES)
def test_log_likelihood_meets_the_exact_value_within_its_stated_error(pixels, latent_dim):
    """After training; and without it, for images where the effective sample size is fair. For
    the others it stays what it always is, a lower bound."""
    for model in (linear_vae(pixels, latent_dim), trained_vae(pixels, latent_dim)):
        x, _ = made_by(linear_vae(pixels, latent_dim, seed=1), 60)
        exact = exact_log_px(model, x)
        found = log_likelihood(model, x, 2000)
        low, _ = found.interval(errors=4.5)
        assert low < exact.mean().item()
        fair = found.ess > 200
        if fair.any():
            low, high = some_of(found, fair).interval(errors=4.5)
            assert low < exact[fair].mean().item() < high and high - low < 1
    # image by image, after training: 5 errors for the worst of 60
    off = ((found.per_image - exact) / found.sampling_errors)[fair]
    assert len(off) > 50 and off.abs().max() < 5 and found.sampling_error < 0.02


def test_coverage_of_the_stated_errors(trained):
    """300 times 10 images: each stated 95 % interval holds the exact value about as often."""
    x, _ = made_by(trained, 10)
    exact = exact_log_px(trained, x).repeat(300)
    found = log_likelihood(trained, x.repeat(300, 1, 1, 1), 300)
    off = (found.per_image - exact) / found.sampling_errors
    # binomial standard errors: 0.004 with 3,000 images, 0.013 with 300 sets
    assert 0.93 < (off.abs() < 1.96).double().mean() < 0.97
    assert 0.91 < coverage(found, exact, 10) <= 0.995


@pytest.mark.parametrize(("pixels", "latent_dim"), [(16, 4), (30, 6)])
def test_coverage_where_the_encoder_knows_nothing(pixels, latent_dim):
    """Weights without a variance: what the delta method states is far off, `interval` is not."""
    model = linear_vae(pixels, latent_dim)
    x, _ = made_by(linear_vae(pixels, latent_dim, seed=1), 2000)
    exact = exact_log_px(model, x)
    found = log_likelihood(model, x, 500)
    assert found.ess.median() < 50
    by_delta = [
        abs(one.mean - mean) < 1.96 * Estimate.sampling_error.fget(one)
        for one, mean in zip(sets_of(found, 20), exact.view(-1, 20).mean(1).tolist())
    ]
    held = coverage(found, exact, 20)
    assert held > 0.75 and sum(by_delta) / 100 < held - 0.15


@pytest.mark.parametrize(("pixels", "latent_dim"), [(4, 1), (30, 6)])
def test_the_bias_is_what_is_missing(pixels, latent_dim):
    """K = 50, 20,000 estimates: with the bias as stated, the mean would be right to a third."""
    model = linear_vae(pixels, latent_dim)
    x, _ = made_by(linear_vae(pixels, latent_dim, seed=1), 20_000)
    found = log_likelihood(model, x, 50)
    short = exact_log_px(model, x).mean().item() - found.mean
    assert short > 4 * found.sampling_error  # plainly biased
    assert abs(short / found.bias - 1) < 0.35


def test_one_dimension_by_quadrature():
    model = curved_vae()
    x = (torch.rand(200, 1, 2, 4) < 0.5).float()
    exact = log_px_by_quadrature(model, x)
    found = log_likelihood(model, x, 2000)
    low, high = found.interval(errors=4.5)
    assert low < exact.mean().item() < high and found.sampling_error < 0.01
    bounds = iwae_bounds(model, x, (1, 5, 50))
    for k in (1, 5, 50):
        assert bounds[k].mean < exact.mean().item() + 4.5 * bounds[k].sampling_error


def test_the_exact_posterior_as_proposal_leaves_no_error():
    model = linear_vae(6, 2)
    model.__class__ = Exact
    x, _ = made_by(model, 20)
    found = log_likelihood(model, x, 10)
    torch.testing.assert_close(found.per_image, exact_log_px(model, x))
    torch.testing.assert_close(found.ess, torch.full((20,), 10.0, dtype=torch.float64))
    assert found.sampling_error < 1e-6 and found.bias < 1e-6


def test_effective_sample_size_and_error_are_those_of_the_weights():
    """A model that hands out fixed weights: (Σw)² / Σw², and the spread of the mean of w."""
    log_w = torch.randn(12, 3) - 500  # e^−500 is zero in float32: sums must not leave logarithms

    class Fixed(nn.Module):
        drawn = 0

        def log_weights(self, x, y, samples):
            part = log_w[self.drawn : self.drawn + samples]
            self.drawn += samples
            return part

    found = log_likelihood(Fixed(), torch.rand(3, 1, 2, 2), 12, chunk=16)  # 5 at a time
    w = (log_w.double() + 500).exp()
    torch.testing.assert_close(found.per_image, w.mean(0).log() - 500)
    torch.testing.assert_close(found.ess, w.sum(0) ** 2 / w.square().sum(0))
    torch.testing.assert_close(found.sampling_errors, w.std(0) / math.sqrt(12) / w.mean(0))


@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 4, 3], [2, 9, 1]])
@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_groups_do_not_depend_on_the_pieces(size, pieces):
    log_w = torch.randn(12, 3, dtype=torch.float64)
    groups = Groups(size)
    for piece in log_w.split(pieces):
        groups.add(piece)
    whole = log_w[: 12 // size * size].view(-1, size, 3).exp().mean(1).log()
    assert groups.count == len(whole)
    torch.testing.assert_close(groups.total, whole.sum(0))
    if len(whole) > 1:
        expected = whole.std(0) / math.sqrt(len(whole))
        torch.testing.assert_close(groups.error(torch.ones(3)), expected)


def test_iwae_bounds_rise_from_the_elbo_to_log_px(trained):
    x, _ = made_by(linear_vae(6, 2, seed=1), 300)
    exact = exact_log_px(trained, x)
    bounds = iwae_bounds(trained, x, (1, 2, 5, 50, 1000))
    assert list(bounds) == [1, 2, 5, 50, 1000]
    elbo = exact_elbo(trained, x).mean().item()
    assert abs(bounds[1].mean - elbo) < 4.5 * bounds[1].sampling_error
    means = [bound.mean for bound in bounds.values()]
    assert means == sorted(means) and means[0] < means[2] - 0.01
    assert abs(means[-1] - exact.mean().item()) < 0.02
    same = log_likelihood(trained, x, 1000)
    assert torch.equal(bounds[1000].per_image, same.per_image)
    assert torch.equal(bounds[1000].sampling_errors, same.sampling_errors)


def test_the_bound_of_two_samples_by_quadrature_in_two_dimensions():
    """L_2 = ∫∫ q(a) q(b) log ½ (w(a) + w(b)), and the coverage of its stated error."""
    model = curved_vae(seed=1)
    x = torch.tensor([[[[1.0, 0, 1, 1], [0, 1, 0, 0]]]])
    with torch.no_grad():
        q = model.posterior(x)
        eps = torch.linspace(-8, 8, 801, dtype=torch.float64)
        z = q.mean.double() + q.stddev.double() * eps[:, None]  # (801, 1)
        log_px = Normal(0.0, 1.0).log_prob(z[:, 0])  # log p(z), then log p(x | z) on top
        logits = model.decoder(z.float()).flatten(1).double()
        log_px = log_px + (x.flatten() * logits - nn.functional.softplus(logits)).sum(1)
        log_w = log_px - Normal(0.0, 1.0).log_prob(eps) + q.stddev.double().log().squeeze()
    weight = Normal(0.0, 1.0).log_prob(eps).exp() * (eps[1] - eps[0])
    pairs = torch.logaddexp(log_w[:, None], log_w[None]) - math.log(2)
    exact = (weight[:, None] * weight[None] * pairs).sum().item()
    found = iwae_bounds(model, x.repeat(1000, 1, 1, 1), (2, 40))[2]
    assert abs(found.mean - exact) < 4.5 * found.sampling_error
    off = (found.per_image - exact) / found.sampling_errors
    assert 0.9 < (off.abs() < 1.96).double().mean() < 0.97  # 20 groups: Student's t, 0.935


def test_the_elbo_is_exact_within_its_error_and_so_are_rate_and_distortion(trained):
    x, _ = made_by(linear_vae(6, 2, seed=1), 1000)
    found = mean_elbo(trained, x, 40)
    exact = exact_elbo(trained, x)
    assert abs(found.mean - exact.mean().item()) < 4.5 * found.sampling_error
    off = (found.per_image - exact) / found.sampling_errors
    # 40 draws of a skew quantity: somewhat below 0.95
    assert 0.88 < (off.abs() < 1.96).double().mean() < 0.97
    q = trained.posterior(x)
    kl = torch.distributions.kl_divergence(q.base_dist, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(found.kl, kl.detach())
    assert found.rate == pytest.approx(kl.mean().item())
    assert found.mean == pytest.approx(-found.rate - found.distortion)


def test_errors_over_images_are_the_spread_of_images():
    values, errors = torch.tensor([1.0, 2.0, 4.0, 7.0]).double(), torch.full((4,), 0.6).double()
    found = Estimate(values, errors)
    assert found.mean == 3.5 and len(found) == 4
    assert found.standard_error == pytest.approx(values.std().item() / 2)
    assert found.sampling_error == pytest.approx(0.3)
    less = difference(found, Estimate(values - 1, torch.full((4,), 0.8).double()))
    assert less.mean == 1 and less.sampling_errors[0].item() == pytest.approx(1.0)
    ess = torch.tensor([9.0, 2, 5, 4]).double()
    half, quarter = Estimate(values - 0.4, errors / 2), Estimate(values - 1.2, errors)
    full = LogLikelihood(values, errors, ess, 10, half, quarter)
    assert full.sampling_error == pytest.approx(0.3)
    assert full.bias == pytest.approx(0.4)  # 0.4 after 0.8: then 0.2, 0.1, …
    assert full.interval(2) == pytest.approx((3.5 - 0.6, 3.5 + 0.8 + 0.6))
    assert full.bits_per_dimension(2) == pytest.approx(-1.75 / math.log(2))
    slow = LogLikelihood(values, errors, ess, 10, half, Estimate(values - 0.9, errors))
    assert slow.bias == pytest.approx(0.4 * 4)  # 0.4 after 0.5: a factor of 0.8, the largest
    wide = LogLikelihood(values, errors, ess, 10, Estimate(values - 0.4, 3 * errors), quarter)
    assert wide.sampling_error == pytest.approx(0.9)
    assert "3.50 nats per image, ± 1.32 over 4 images" in str(full) == repr(full)
    assert "10 samples each" in str(full) and "2 or more" in str(full)
    assert str(found).startswith("3.50 ± 1.32 (standard error over 4 images; 0.300 from")


@pytest.mark.parametrize("chunk", [1, 7, 40, 10_000])
def test_no_more_pairs_are_decoded_at_once_than_chunk_allows(small_vae, blobs, chunk):
    seen = []
    small_vae.decoder.register_forward_hook(lambda *call: seen.append(call[1][0].shape[:-1]))
    found = log_likelihood(small_vae, blobs[:10], 30, chunk=chunk)
    assert max(shape.numel() for shape in seen) <= chunk
    assert sum(shape.numel() for shape in seen) == 300
    seen.clear()
    elbo = mean_elbo(small_vae, blobs[:10], 30, chunk=chunk)
    assert max(shape.numel() for shape in seen) <= chunk
    assert sum(shape.numel() for shape in seen) == 300
    whole = log_likelihood(small_vae, blobs[:10], 30, seed=1)
    assert abs(found.mean - whole.mean) < 1.0  # another order of draws, the same thing
    assert abs(elbo.mean - mean_elbo(small_vae, blobs[:10], 30, seed=1).mean) < 1.0


@pytest.mark.parametrize("measure", [log_likelihood, mean_elbo, iwae_bounds])
def test_a_measurement_leaves_no_trace(small_vae, blobs, measure):
    samples = (1, 3) if measure is iwae_bounds else 3
    small_vae.train()
    small_vae.encoder.eval()
    before, weights = torch.get_rng_state(), [p.clone() for p in small_vae.parameters()]
    found = [measure(small_vae, blobs, samples, seed=seed) for seed in (0, 0, 1)]
    if measure is iwae_bounds:
        found = [bounds[3] for bounds in found]
    assert torch.equal(before, torch.get_rng_state())
    assert small_vae.training and not small_vae.encoder.training and small_vae.decoder.training
    assert all(p.grad is None for p in small_vae.parameters())
    assert all(torch.equal(a, b) for a, b in zip(weights, small_vae.parameters()))
    assert torch.equal(found[0].per_image, found[1].per_image)
    assert not torch.equal(found[0].per_image, found[2].per_image)
    assert found[0].per_image.dtype == torch.float64 and len(found[0]) == 300


def test_dropout_is_off(blobs):
    shape = (1, 8, 8)
    encoder, decoder = vt.MLPEncoder(2, (32,), shape), vt.MLPDecoder(2, (32,), shape)
    model = vt.VAE(nn.Sequential(nn.Dropout(1.0), encoder), decoder).train()
    plain = vt.VAE(encoder, decoder)
    for a, b in ((mean_elbo(model, blobs, 2), mean_elbo(plain, blobs, 2)),):
        assert torch.equal(a.per_image, b.per_image)


def test_binary_pixels_depend_on_the_seed_alone(small_vae, blobs):
    def all_pixels(size: int | None, seed: int = 0, data=blobs) -> torch.Tensor:
        batches = TestImages(small_vae, data, None, seed).batches(size)
        return torch.cat([x for x, _ in batches])

    whole = all_pixels(None)
    assert set(whole.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(whole, all_pixels(7))
    assert torch.equal(whole, all_pixels(None, data=[blobs[:123], blobs[123:]]))
    assert not torch.equal(whole, all_pixels(None, seed=1))
    grey = blobs / 255
    assert abs((whole - grey).mean().item()) < 4.5 * (grey * (1 - grey)).mean().sqrt() / 138
    # the noise of pixels is not the one that z is drawn from
    torch.manual_seed(0)
    assert not torch.equal(whole, (torch.rand(grey.shape) < grey).float())
    plain = TestImages(small_vae, blobs, False, 0).batches()
    assert torch.equal(torch.cat([x for x, _ in plain]), grey)


def test_data_of_every_kind(small_vae, blobs):
    labels = torch.zeros(len(blobs), dtype=torch.int64)
    kinds = [blobs, blobs / 255, vt.ImageSet(blobs, labels, ("blob",)), [blobs[:123], blobs[123:]]]
    found = [log_likelihood(small_vae, data, 20) for data in kinds]
    assert all(torch.equal(found[0].per_image, other.per_image) for other in found[1:3])
    assert len(found[3]) == 300 and abs(found[3].mean - found[0].mean) < 1


def test_one_sample_tells_no_sampling_error(small_vae, blobs):
    assert math.isnan(log_likelihood(small_vae, blobs, 1).sampling_error)
    assert math.isnan(mean_elbo(small_vae, blobs, 1).sampling_error)
    assert math.isnan(log_likelihood(small_vae, blobs[:1], 2).standard_error)
    assert iwae_bounds(small_vae, blobs, (1, 2))[1].sampling_error > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "samples must be a whole number of at least 1, got 0"),
        ({"samples": 2.5}, "samples must be a whole number"),
        ({"chunk": 0}, "chunk must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(small_vae, blobs, settings, message):
    for measure in (log_likelihood, mean_elbo):
        with pytest.raises(ValueError, match=message):
            measure(small_vae, blobs, **settings)


def test_bad_models_and_data_are_named(small_vae, blobs):
    autoencoder = vt.Autoencoder(
        vt.MLPEncoder(2, (), (1, 8, 8), heads=1), vt.MLPDecoder(2, (), (1, 8, 8))
    )
    with pytest.raises(TypeError, match=r"needs a VAE, .*, got Autoencoder"):
        log_likelihood(autoencoder, blobs)
    with pytest.raises(TypeError, match=r"data must be an ImageSet, a tensor, .* got str"):
        log_likelihood(small_vae, "mnist")
    for samples in (5, ()):
        with pytest.raises(ValueError, match="samples must list numbers of samples"):
            iwae_bounds(small_vae, blobs, samples)
