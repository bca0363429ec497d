"""Training: the loop, its schedules and its record, and means over a data set."""

from vae_tutorial.train import schedules
from vae_tutorial.train.engine.environment import pick_device
from vae_tutorial.train.engine.errors import TrainingDivergedError, TrainingInterrupted
from vae_tutorial.train.engine.saved import load
from vae_tutorial.train.evaluate import evaluate
from vae_tutorial.train.history import History
from vae_tutorial.train.loop import fit

__all__ = [
    "History",
    "TrainingDivergedError",
    "TrainingInterrupted",
    "evaluate",
    "fit",
    "load",
    "pick_device",
    "schedules",
]
