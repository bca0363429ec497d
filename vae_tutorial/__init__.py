"""Variational autoencoders, small enough to read: the package behind the book's chapters."""

from vae_tutorial import plots, schedules
from vae_tutorial.annealing import ais, bdmc
from vae_tutorial.classifier import train_classifier
from vae_tutorial.devices import pick_device
from vae_tutorial.evaluation import iwae_bounds, log_likelihood, mean_elbo
from vae_tutorial.gaps import inference_gaps
from vae_tutorial.history import History
from vae_tutorial.image_set import ImageSet
from vae_tutorial.images import DamagedDataError, DataUnavailableError, Images, load_images
from vae_tutorial.latents import active_units, information
from vae_tutorial.likelihoods import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
)
from vae_tutorial.models import VAE, Autoencoder
from vae_tutorial.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from vae_tutorial.objectives import elbo, gaussian_kl, iwae_bound, reconstruction_error
from vae_tutorial.runs import TrainingDivergedError
from vae_tutorial.samples import compare_samples
from vae_tutorial.strokes import FACTORS, draw_strokes, stroke_digit
from vae_tutorial.training import fit
from vae_tutorial.validation import evaluate

__version__ = "0.1.0"

__all__ = [
    "FACTORS",
    "VAE",
    "Autoencoder",
    "BernoulliLikelihood",
    "ContinuousBernoulliLikelihood",
    "ConvDecoder",
    "ConvEncoder",
    "DamagedDataError",
    "DataUnavailableError",
    "GaussianLikelihood",
    "History",
    "ImageSet",
    "Images",
    "MLPDecoder",
    "MLPEncoder",
    "TrainingDivergedError",
    "active_units",
    "ais",
    "bdmc",
    "compare_samples",
    "draw_strokes",
    "elbo",
    "evaluate",
    "fit",
    "gaussian_kl",
    "inference_gaps",
    "information",
    "iwae_bound",
    "iwae_bounds",
    "load_images",
    "log_likelihood",
    "mean_elbo",
    "pick_device",
    "plots",
    "reconstruction_error",
    "schedules",
    "stroke_digit",
    "train_classifier",
]
