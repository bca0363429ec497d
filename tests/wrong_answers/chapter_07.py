"""Wrong answers to the exercises of chapter 7."""

import torch
from torch.nn import functional as F

RIGHT = {
    1: "exp-logvar-as-std", 2: "kl-averaged-over-latents", 3: "gradient-cut", 4: "healthy",
    5: "reconstruction-averaged", 6: "noise-shared", 7: "double-sigmoid", 8: "kl-part-missing",
    9: "target-wrong", 10: "logvar-nonnegative",
}  # fmt: skip


def beta_of_the_kl(loss, x, latents):
    mu, logits = torch.ones(len(x), latents, dtype=x.dtype), torch.zeros_like(x)
    return (loss(logits, x, mu, 0 * mu) - loss(logits, x, 0 * mu, 0 * mu)) / (latents / 2)


def _both(loss, x, latents):
    mu, logits = torch.ones(len(x), latents, dtype=x.dtype), torch.zeros_like(x)
    kl = loss(logits, x, mu, 0 * mu) - loss(logits, x, 0 * mu, 0 * mu)
    honest = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
    return kl, loss(logits, x, 0 * mu, 0 * mu) / honest


def beta_upside_down(loss, x, latents):
    kl, error = _both(loss, x, latents)
    return error / (kl / (latents / 2))


def beta_of_one_latent(loss, x, latents):
    kl, error = _both(loss, x, latents)
    return kl / 0.5 / error


def beta_without_half(loss, x, latents):
    kl, error = _both(loss, x, latents)
    return kl / latents / error


def uses_without_seed(model, x):
    return not torch.equal(model(x)[0], model(1 - x)[0])


def uses_by_mu(model, x):
    return not torch.equal(model(x)[1], model(1 - x)[1])


def uses_by_gradient(model, x):
    model.zero_grad()
    output = model(x)[0]
    if not output.requires_grad:
        return False
    output.sum().backward()
    return model.encoder.weight.grad is not None


def uses_by_many_means(model, x):
    with torch.no_grad():
        first = torch.stack([model(x)[0] for _ in range(400)]).mean(0)
        second = torch.stack([model(1 - x)[0] for _ in range(400)]).mean(0)
    return bool((first - second).abs().mean() > 0.3)


WRONG = {
    "ward": [
        ({**RIGHT, 1: "sample-ignores-encoder"}, "with the noise held, two different images"),
        ({**RIGHT, 5: "kl-sign"}, "the loss would fall where μ moves away from 0"),
        ({**RIGHT, 4: "shared-head"}, "μ and the log-variance would be equal"),
        ({**RIGHT, 3: "healthy"}, "look at the encoder's gradients"),
        ({**RIGHT, 7: "two sigmoids"}, "is not on the list of candidates"),
        ({**RIGHT, 9: "?"}, "No diagnosis yet"),
    ],
    "effective-beta": [
        (beta_of_the_kl, "That is the weight of the KL alone"),
        (beta_upside_down, "That is 1/β"),
        (beta_of_one_latent, "½ for each latent dimension: D/2"),
        (beta_without_half, "½ for each latent dimension, not 1"),
    ],
    "uses-encoder": [
        (uses_without_seed, "seed it alike before each"),
        (uses_by_mu, "draws z from a fixed distribution"),
        (uses_by_gradient, "Compare values, and leave gradients"),
        (uses_by_many_means, "In this model only σ reaches z"),
    ],
}
