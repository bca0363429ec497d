"""Measuring a model: log p(x) and its bounds, gaps, latent variables, samples."""

from vae_tutorial.measure.annealing import ais, bdmc
from vae_tutorial.measure.classifier import train_classifier
from vae_tutorial.measure.gaps import inference_gaps
from vae_tutorial.measure.latents import active_units, embed, information
from vae_tutorial.measure.likelihood import iwae_bounds, log_likelihood, mean_elbo
from vae_tutorial.measure.samples import compare_samples

__all__ = [
    "active_units",
    "ais",
    "bdmc",
    "compare_samples",
    "embed",
    "inference_gaps",
    "information",
    "iwae_bounds",
    "log_likelihood",
    "mean_elbo",
    "train_classifier",
]
