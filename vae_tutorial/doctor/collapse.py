"""A trained model whose code carries nothing."""

from __future__ import annotations

import torch

from vae_tutorial.doctor.report import Finding
from vae_tutorial.doctor.sampler import Sampler, sigma_of
from vae_tutorial.doctor.subject import Subject

LEAST = 0.01  # nats of KL in a latent dimension that carries something
NOTHING = 2e-4  # less than random weights give before any training


def findings(subject: Subject, facts: Sampler) -> list[Finding]:
    """A KL near 0 in every dimension, and reconstructions that have learnt the mean image."""
    view, x = facts.view, subject.x
    if not view.latent or facts.reading in (None, "constant") or view.recon is None:
        return []
    if view.recon.numel() != x.numel():
        return []
    variance = sigma_of(facts.reading, view.scale.detach().double()).square()
    mu = view.mu.detach().double()
    kl = 0.5 * (mu.square() + variance - 1 - variance.log())
    most = kl.flatten(0, -2).mean(0).max().item()
    if most > LEAST:
        return []
    shown = f"the largest mean KL of a dimension is {most:.2g} nats"
    if most < NOTHING:
        return [Finding("posterior-collapsed", shown)]
    recon = view.recon.detach().double().reshape(len(x), -1)
    flat = x.double().reshape(len(x), -1)
    candidates = [recon]
    if recon.min() < 0 or recon.max() > 1:
        candidates.append(torch.sigmoid(recon))  # they may be logits
    mean = flat.mean(0, keepdim=True)  # what a decoder without a code can learn
    of_mean = (flat - mean).square().mean().item()
    of_half = (flat - flat.mean()).square().mean().item()
    errors = [(flat - r).square().mean().item() for r in candidates]
    structured = of_half > 1.05 * of_mean  # the mean image is no constant
    learnt = structured and min(errors) < of_mean + 0.35 * (of_half - of_mean)
    fair = of_mean * len(x) / (len(x) - 1)  # the mean of so few images is fitted to them
    if learnt or (most < LEAST / 5 and min(errors) < 1.02 * fair):
        return [Finding("posterior-collapsed", f"{shown}, and reconstructions are near the "
                        "mean image")]  # fmt: skip
    return []
