"""The models as distributions: shapes, sums, devices, errors."""

import pytest
import torch
from torch.nn import functional as F

import vae_tutorial as vt

LIKELIHOODS = [
    vt.BernoulliLikelihood, vt.GaussianLikelihood, vt.ContinuousBernoulliLikelihood,
]  # fmt: skip


def conv_vae(likelihood=None):
    return vt.VAE(vt.ConvEncoder(3, (4, 8), 16), vt.ConvDecoder(3, (4, 8), 16), likelihood)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_distributions_have_the_documented_shapes(likelihood):
    model, x = conv_vae(likelihood()), torch.rand(5, 1, 28, 28)
    assert model.prior().log_prob(torch.randn(7, 5, 3)).shape == (7, 5)
    assert model.prior().sample((5,)).shape == (5, 3)
    q = model.posterior(x)
    assert q.mean.shape == q.stddev.shape == (5, 3)
    z = q.rsample((7,))
    assert model.likelihood(z[0]).log_prob(x).shape == (5,)
    assert model.likelihood(z).log_prob(x).shape == (7, 5)
    assert model.likelihood(z[0, 0]).log_prob(x[0]).shape == ()
    assert model.likelihood(z).mean.shape == (7, 5, 1, 28, 28)
    assert model.likelihood(z[0]).sample().shape == x.shape


def test_log_likelihood_sums_over_pixels():
    model, x = conv_vae(), torch.rand(5, 1, 28, 28).round()
    z = torch.randn(5, 3)
    entropy = F.binary_cross_entropy_with_logits(model.decoder(z), x, reduction="none")
    torch.testing.assert_close(model.likelihood(z).log_prob(x), -entropy.sum((1, 2, 3)))


def test_posterior_reads_logvar_as_the_log_of_the_variance(small_vae):
    x = torch.rand(4, 1, 8, 8)
    mu, logvar = small_vae.encoder(x)
    q = small_vae.posterior(x)
    torch.testing.assert_close(q.mean, mu)
    torch.testing.assert_close(q.variance, logvar.exp())


def test_prior_is_the_standard_normal(small_vae):
    z = torch.randn(6, 2)
    expected = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)).log_prob(z)
    torch.testing.assert_close(small_vae.prior().log_prob(z), expected)


def test_prior_follows_the_model(small_vae):
    assert small_vae.double().prior().sample().dtype == torch.float64
    assert small_vae.to("meta").prior().mean.device.type == "meta"


def test_samples_depend_on_z_and_reconstructions_on_x(small_vae):
    drawn = small_vae.sample(20)
    assert drawn.shape == (20, 1, 8, 8) and drawn.std(0).max() > 0
    assert small_vae.sample(20, temperature=0.0).std(0).max() < 1e-6
    rebuilt = small_vae.reconstruct(torch.rand(20, 1, 8, 8))
    assert rebuilt.std(0).max() > 0 and not rebuilt.requires_grad


def test_reconstruction_uses_posterior_mean_and_likelihood_mean(small_vae):
    x = torch.rand(3, 1, 8, 8)
    expected = torch.sigmoid(small_vae.decoder(small_vae.encoder(x)[0]))
    torch.testing.assert_close(small_vae.reconstruct(x), expected)


def test_models_leave_their_input_alone(small_vae):
    x = torch.rand(3, 1, 8, 8)
    before = x.clone()
    vt.elbo(small_vae, x)["loss"].sum().backward()
    vt.iwae_bound(small_vae, x)
    assert torch.equal(x, before)


def test_autoencoder_squashes_or_not():
    encoder, decoder = vt.MLPEncoder(2, heads=1), vt.MLPDecoder(2)
    x, z = torch.rand(3, 1, 28, 28), 1000 * torch.randn(9, 2)
    squashed, plain = vt.Autoencoder(encoder, decoder), vt.Autoencoder(encoder, decoder, False)
    assert squashed.decode(z).min() >= 0 and squashed.decode(z).max() <= 1
    torch.testing.assert_close(plain.decode(z), decoder(z))
    torch.testing.assert_close(plain(x), decoder(encoder(x)))


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="a VAE needs an encoder made with heads=2, got heads=1"):
        vt.VAE(vt.MLPEncoder(2, heads=1), vt.MLPDecoder(2))
    with pytest.raises(ValueError, match="an Autoencoder needs an encoder made with heads=1"):
        vt.Autoencoder(vt.MLPEncoder(2), vt.MLPDecoder(2))
    with pytest.raises(ValueError, match="same attribute latent_dim, got encoder 2, decoder 3"):
        vt.VAE(vt.MLPEncoder(2), vt.MLPDecoder(3))


def test_sample_arguments_are_refused(small_vae):
    with pytest.raises(ValueError, match="count must be a whole number of at least 1, got 0"):
        small_vae.sample(0)
    with pytest.raises(ValueError, match="temperature must be a non-negative number, got -1"):
        small_vae.sample(1, temperature=-1)
    with pytest.raises(ValueError, match="temperature must be a non-negative number, got nan"):
        small_vae.sample(1, temperature=float("nan"))
