"""Right answers to the exercises of chapter 7."""

import copy

import torch
from torch.nn import functional as F

ALL = {
    1: "exp-logvar-as-std", 2: "kl-averaged-over-latents", 3: "gradient-cut", 4: "healthy",
    5: "reconstruction-averaged", 6: "noise-shared", 7: "double-sigmoid", 8: "kl-part-missing",
    9: "target-wrong", 10: "logvar-nonnegative",
}  # fmt: skip


def ward_as_a_function():
    return dict(reversed(ALL.items()))


# effective-beta


def beta_by_large_mu(loss, x, latents):
    mu = torch.full((len(x), latents), 3.0, dtype=x.dtype)
    none, dull = torch.zeros_like(mu), torch.zeros_like(x)
    kl = (loss(dull, x, mu, none) - loss(dull, x, none, none)) / (4.5 * latents)
    good = (2 * x - 1) * 3
    bce = F.binary_cross_entropy_with_logits
    honest = (bce(dull, x, reduction="sum") - bce(good, x, reduction="sum")) / len(x)
    return float(kl / ((loss(dull, x, none, none) - loss(good, x, none, none)) / honest))


def beta_by_logvar(loss, x, latents):
    mu, logits = torch.zeros(len(x), latents, dtype=x.dtype), torch.zeros_like(x)
    wide = torch.ones_like(mu)
    kl = loss(logits, x, mu, wide) - loss(logits, x, mu, mu)
    kl = kl / (0.5 * latents * (torch.e - 2))
    rec = loss(logits, x, mu, mu) / (x.shape[1] * torch.log(torch.tensor(2.0, dtype=x.dtype)))
    return kl / rec


def beta_by_gradients(loss, x, latents):
    mu = torch.ones(len(x), latents, dtype=x.dtype, requires_grad=True)
    logits = torch.zeros_like(x).requires_grad_()
    value = loss(logits, x, mu, torch.zeros_like(mu))
    for_mu, for_logits = torch.autograd.grad(value, (mu, logits))
    return (for_mu.mean() / (for_logits / (0.5 - x)).mean()).item()


# uses-encoder


def uses_by_clones(model, x):
    torch.manual_seed(7)
    first, *_ = model(x)
    torch.manual_seed(7)
    second, *_ = model(x.flip(0))
    return bool((first != second).any())


def uses_by_random_state(model, x):
    state = torch.get_rng_state()
    a = model(torch.zeros_like(x))[0]
    torch.set_rng_state(state)
    return not torch.allclose(a, model(torch.ones_like(x))[0])


def uses_by_other_weights(model, x):
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in other.encoder.parameters():
            weight.add_(1.0)
    torch.manual_seed(0)
    first = model(x)[0]
    torch.manual_seed(0)
    return not torch.equal(first, other(x)[0])


RIGHT = {
    "ward": [ALL, ward_as_a_function],
    "effective-beta": [beta_by_large_mu, beta_by_logvar, beta_by_gradients],
    "uses-encoder": [uses_by_clones, uses_by_random_state, uses_by_other_weights],
}
