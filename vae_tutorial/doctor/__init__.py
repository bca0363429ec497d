"""A doctor for VAEs: finds what is wrong with a model that somebody else wrote.

    report = vt.doctor.examine(model, loss, data)
    print(report)

It measures, and never reads the code: it overwrites μ, the log-variance and the reconstruction
with known numbers and looks at what z and the loss do. See `examination.examine`.
"""

from vae_tutorial.doctor.codes import CODES
from vae_tutorial.doctor.examination import examine
from vae_tutorial.doctor.report import Finding, Report

__all__ = ["CODES", "Finding", "Report", "examine"]
