"""Amortisation and approximation gap on linear-Gaussian VAEs, where both are known."""

import math

import pytest
import torch
from exact_models import exact_elbo, exact_log_px, exact_posterior, linear_vae, made_by, trained_vae
from torch.distributions import MultivariateNormal, kl_divergence

from vae_tutorial.measure.gaps import inference_gaps, refined_posterior

pytestmark = pytest.mark.slow


def best_diagonal(model, x) -> MultivariateNormal:
    """The diagonal normal next to p(z | x) in KL(q ‖ p): its mean, and 1 / Λ_dd as variances."""
    exact = exact_posterior(model, x)
    variances = 1 / exact.precision_matrix.diagonal(dim1=-2, dim2=-1)
    return MultivariateNormal(exact.mean, torch.diag_embed(variances))


@pytest.mark.parametrize("trained", [False, True])
def test_both_gaps_are_found(trained):
    model = trained_vae(6, 3, epochs=3) if trained else linear_vae(6, 3)
    x, _ = made_by(linear_vae(6, 3, seed=1), 60)
    found = inference_gaps(model, x, steps=250, learning_rate=0.1, samples=1000)
    log_px, elbo = exact_log_px(model, x), exact_elbo(model, x)
    approximation = kl_divergence(best_diagonal(model, x), exact_posterior(model, x))
    amortisation = log_px - elbo - approximation
    for gap, exact in ((found.approximation, approximation), (found.amortisation, amortisation),
                       (found.inference, log_px - elbo)):  # fmt: skip
        # what the search has not found counts as approximation gap: below 0.005 nats here
        assert abs(gap.mean - exact.mean().item()) < 4.5 * gap.sampling_error + 0.005
        assert gap.sampling_error < 0.03
    assert found.amortisation.mean > 0.05
    assert trained or found.approximation.mean > 4 * found.approximation.sampling_error
    total = found.approximation.mean + found.amortisation.mean
    assert found.inference.mean == pytest.approx(total)


def test_the_refined_posterior_is_the_best_diagonal_normal():
    model = linear_vae(6, 3)
    x, _ = made_by(model, 10)
    before = torch.get_rng_state()
    q = refined_posterior(model, x, steps=400, draws=16, learning_rate=0.1)
    assert not torch.equal(before, torch.get_rng_state())  # by itself it uses torch's numbers
    best = best_diagonal(model, x)
    assert (q.mean - best.mean).abs().max() < 0.1
    assert (q.variance / best.variance - 1).abs().max() < 0.15
    assert not q.mean.requires_grad and all(p.grad is None for p in model.parameters())


def test_an_image_does_not_mind_its_neighbours():
    """The stated q* of one image is the same, up to noise, alone and among others far away."""
    model = linear_vae(6, 3)
    x, _ = made_by(model, 8)
    x[1:] *= 50
    alone = refined_posterior(model, x[:1], steps=300, draws=32, learning_rate=0.05)
    among = refined_posterior(model, x, steps=300, draws=32, learning_rate=0.05)
    assert (alone.mean[0] - among.mean[0]).abs().max() < 0.1


def test_it_leaves_no_trace_and_repeats_itself(small_vae, blobs):
    small_vae.train()
    before = torch.get_rng_state()
    how = {"steps": 3, "samples": 5}
    found = [inference_gaps(small_vae, blobs[:9], seed=s, **how) for s in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state()) and small_vae.training
    assert all(p.grad is None for p in small_vae.parameters())
    values = [f.log_px.per_image for f in found]
    assert torch.equal(values[0], values[1]) and not torch.equal(values[0], values[2])
    parts = inference_gaps(small_vae, blobs[:9], chunk=16, **how)  # two images at a time
    assert len(parts.elbo) == len(parts.log_px) == 9 and math.isfinite(parts.inference.mean)
    assert abs(parts.elbo.mean - found[0].elbo.mean) < 2  # the same binary pixels


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be a whole number"),
        ({"draws": 0}, "draws must be a whole number"),
        ({"samples": 0}, "samples must be a whole number"),
        ({"learning_rate": 0}, "learning_rate must be a positive number, got 0"),
    ],
)
def test_bad_arguments_are_named(small_vae, blobs, settings, message):
    with pytest.raises(ValueError, match=message):
        inference_gaps(small_vae, blobs, **settings)
