"""The healthy VAEs: three networks, three data sets, five styles."""

from torch import nn

from clinic import data, networks
from clinic.healthy import (
    VAE,
    DictVAE,
    MethodVAE,
    Parts,
    TupleVAE,
    bce,
    bce_logits,
    gaussian,
    gaussian_nll,
    healthy,
)

SMALL, FULL, COLOUR, SERIES = (1, 14, 14), (1, 28, 28), (3, 16, 16), (24, 2)


@healthy("mlp", "digits", "tuple", "bernoulli")
def mlp_digits() -> Parts:
    decoder = networks.mlp_decoder(SMALL, nn.Sigmoid())
    return Parts(TupleVAE(networks.mlp_encoder(SMALL), decoder), bce, data.digits(14))


@healthy("mlp", "digits", "method", "bernoulli", logits=True)
def mlp_digits_method() -> Parts:
    model = MethodVAE(networks.mlp_encoder(FULL), networks.mlp_decoder(FULL))
    return Parts(model, bce_logits, data.digits(28))


@healthy("conv", "digits", "dict", "bernoulli", logits=True)
def conv_digits() -> Parts:
    model = DictVAE(networks.conv_encoder(1, 28), networks.conv_decoder(1, 28))
    return Parts(model, bce_logits, data.digits(28))


@healthy("gru", "digits", "tuple", "bernoulli", logits=True)
def gru_digits() -> Parts:
    """Reads and writes an image row by row."""
    model = TupleVAE(networks.GRUEncoder(14), networks.GRUDecoder(SMALL))
    return Parts(model, bce_logits, data.digits(14))


@healthy("conv", "blobs", "method", "normal")
def conv_blobs() -> Parts:
    model = MethodVAE(networks.conv_encoder(3, 16), networks.conv_decoder(3, 16))
    return Parts(model, gaussian, data.blobs(3))


@healthy("conv", "blobs", "tuple", "normal", sigma=0.2)
def conv_grey_blobs() -> Parts:
    model = TupleVAE(networks.conv_encoder(1, 16), networks.conv_decoder(1, 16))
    return Parts(model, gaussian_nll, data.blobs(1))


@healthy("mlp", "blobs", "functions", "normal", sigma=0.2)
def mlp_blobs() -> Parts:
    model = VAE(networks.mlp_encoder(COLOUR), networks.mlp_decoder(COLOUR))
    return Parts(model, gaussian_nll, data.blobs(3))


@healthy("gru", "series", "dict", "normal", sigma=0.2)
def gru_series() -> Parts:
    model = DictVAE(networks.GRUEncoder(2), networks.GRUDecoder(SERIES))
    return Parts(model, gaussian_nll, data.series())


@healthy("mlp", "series", "adapter", "normal")
def mlp_series() -> Parts:
    model = VAE(networks.mlp_encoder(SERIES), networks.mlp_decoder(SERIES))
    return Parts(model, gaussian, data.series())


@healthy("gru", "series", "method", "normal")
def gru_series_method() -> Parts:
    model = MethodVAE(networks.GRUEncoder(2), networks.GRUDecoder(SERIES))
    return Parts(model, gaussian, data.series())
