"""The clinic: VAEs with one known fault each, and healthy ones, on which the doctor is judged.

Patients were written before the detectors and without sight of them. `PATIENTS` holds them all:

    from clinic import PATIENTS
    case = PATIENTS["conv_digits-kl_rewarded"].make(seed=0)   # model, loss, data, settings
"""

from clinic import (
    controls,
    controls_likelihood,
    controls_objectives,
    controls_posterior,
    mutants_forward,
    mutants_gradient,
    mutants_kl,
    mutants_likelihood,
    mutants_loops,
    mutants_posterior,
    mutants_sampling,
    mutants_weights,
    real,
    real_forward,
)
from clinic.healthy import HEALTHY
from clinic.patient import PATIENTS, Case, Patient, patients

__all__ = [
    "HEALTHY",
    "PATIENTS",
    "Case",
    "Patient",
    "controls",
    "controls_likelihood",
    "controls_objectives",
    "controls_posterior",
    "mutants_forward",
    "mutants_gradient",
    "mutants_kl",
    "mutants_likelihood",
    "mutants_loops",
    "mutants_posterior",
    "mutants_sampling",
    "mutants_weights",
    "patients",
    "real",
    "real_forward",
]
