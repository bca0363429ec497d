"""The models: networks, likelihoods, priors, and the VAE that is made of them."""

from vae_tutorial.models.likelihoods import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
)
from vae_tutorial.models.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from vae_tutorial.models.priors import MixturePrior, VampPrior
from vae_tutorial.models.vae import VAE, Autoencoder

__all__ = [
    "VAE",
    "Autoencoder",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "ContinuousBernoulliLikelihood",
    "ConvDecoder",
    "ConvEncoder",
    "GaussianLikelihood",
    "MLPDecoder",
    "MLPEncoder",
    "MixturePrior",
    "VampPrior",
]
