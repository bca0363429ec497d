"""The models: networks, likelihoods, priors, and the VAE that is made of them."""

from vae_tutorial.models.code_prior import CodePrior
from vae_tutorial.models.discrete import CategoricalVAE, QuantisedVAE, start_at_mean
from vae_tutorial.models.grey import LogisticMixtureLikelihood
from vae_tutorial.models.labelled import M2, LabelledDecoder, LabelledEncoder
from vae_tutorial.models.likelihoods import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    MultinomialLikelihood,
)
from vae_tutorial.models.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from vae_tutorial.models.priors import MixturePrior, VampPrior
from vae_tutorial.models.quantisers import (
    FiniteScalarQuantiser,
    VectorQuantiser,
    code_use,
)
from vae_tutorial.models.sequences import LanguageModel, SequenceVAE
from vae_tutorial.models.vae import VAE, Autoencoder

__all__ = [
    "M2",
    "VAE",
    "Autoencoder",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "CategoricalVAE",
    "CodePrior",
    "ContinuousBernoulliLikelihood",
    "ConvDecoder",
    "ConvEncoder",
    "FiniteScalarQuantiser",
    "GaussianLikelihood",
    "LabelledDecoder",
    "LabelledEncoder",
    "LanguageModel",
    "LogisticMixtureLikelihood",
    "MLPDecoder",
    "MLPEncoder",
    "MixturePrior",
    "MultinomialLikelihood",
    "QuantisedVAE",
    "SequenceVAE",
    "VampPrior",
    "VectorQuantiser",
    "code_use",
    "start_at_mean",
]
