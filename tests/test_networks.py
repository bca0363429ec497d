"""Shapes, errors, and that no network hides a constraint on what it can express."""

import pytest
import torch

import vae_tutorial as vt

ENCODERS = [vt.MLPEncoder, vt.ConvEncoder]
DECODERS = [vt.MLPDecoder, vt.ConvDecoder]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoder_shapes(encoder):
    x = torch.rand(5, 1, 28, 28)
    mu, logvar = encoder(7)(x)
    assert mu.shape == logvar.shape == (5, 7)
    assert encoder(7, heads=1)(x).shape == (5, 7)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("leading", [(), (5,), (3, 5), (2, 3, 5), (0,)])
def test_decoder_keeps_leading_dimensions(decoder, leading):
    assert decoder(4)(torch.randn(*leading, 4)).shape == (*leading, 1, 28, 28)


@pytest.mark.parametrize("decoder", DECODERS)
def test_sample_dimension_is_only_more_batch(decoder):
    net, z = decoder(4), torch.randn(3, 5, 4)
    one_by_one = torch.stack([torch.stack([net(one) for one in row]) for row in z])
    torch.testing.assert_close(net(z), one_by_one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_images_do_not_depend_on_their_batch(encoder):
    net, x = encoder(4), torch.rand(6, 1, 28, 28)
    torch.testing.assert_close(net(x)[0][2:3], net(x[2:3])[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 28, 20)])
def test_other_image_shapes(shape):
    x = torch.rand(2, *shape)
    for encoder, decoder in zip(ENCODERS, DECODERS, strict=True):
        mu, _ = encoder(3, image_shape=shape)(x)
        assert decoder(3, image_shape=shape)(mu).shape == x.shape


@pytest.mark.parametrize("encoder", ENCODERS)
def test_outputs_may_have_either_sign(encoder):
    mu, logvar = encoder(16)(torch.rand(64, 1, 28, 28))
    for head in (mu, logvar):
        assert (head < 0).any() and (head > 0).any()


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_pixel_depends_on_every_latent(decoder):
    net = decoder(3)
    z = torch.randn(3, requires_grad=True)
    assert net(z).shape == (1, 28, 28)
    spread = net(z + torch.eye(3)) - net(z)
    assert (spread.abs().flatten(1).max(1).values > 0).all()


def test_empty_hidden_is_linear():
    net = vt.MLPDecoder(3, hidden=())
    a, b = torch.randn(2, 3)
    zero = net(torch.zeros(3))
    torch.testing.assert_close(net(a + b) - zero, (net(a) - zero) + (net(b) - zero))


@pytest.mark.parametrize("bad", [0, -3, 2.5, "8", True])
@pytest.mark.parametrize("network", ENCODERS + DECODERS)
def test_latent_dim_is_refused(network, bad):
    with pytest.raises(ValueError, match="latent_dim must be a whole number of at least 1, got"):
        network(bad)


def test_heads_are_refused():
    with pytest.raises(ValueError, match=r"heads must be 2 .* or 1"):
        vt.MLPEncoder(2, heads=3)


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="divisible by 8"):
        vt.ConvEncoder(2, channels=(8, 8, 8))
    with pytest.raises(ValueError, match="divisible by 8"):
        vt.ConvDecoder(2, channels=(8, 8, 8))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_wrong_images_are_refused(encoder):
    with pytest.raises(ValueError, match=r"x must be .* \(B, 1, 28, 28\), got .* \(5, 28, 28\)"):
        encoder(2)(torch.rand(5, 28, 28))
    with pytest.raises(ValueError, match="x must be floating-point images"):
        encoder(2)(torch.zeros(5, 1, 28, 28, dtype=torch.uint8))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_float64_images_for_float32_weights_are_refused(encoder):
    with pytest.raises(ValueError, match=r"x is torch\.float64 .* weights are torch\.float32"):
        encoder(2)(torch.rand(5, 1, 28, 28).double())


@pytest.mark.parametrize("decoder", DECODERS)
def test_wrong_latents_are_refused(decoder):
    with pytest.raises(ValueError, match=r"latent_dim=2, got shape \(5, 3\)"):
        decoder(2)(torch.randn(5, 3))
