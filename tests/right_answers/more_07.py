"""More right answers to the exercises of chapter 7."""

import copy
import random

import numpy as np
import torch
from torch.nn import functional as F

CODES = (
    "exp-logvar-as-std", "kl-averaged-over-latents", "gradient-cut", "healthy",
    "reconstruction-averaged", "noise-shared", "double-sigmoid", "kl-part-missing",
    "target-wrong", "logvar-nonnegative",
)  # fmt: skip


def ward_by_zip():
    return dict(zip(range(1, 11), CODES))


def ward_by_enumerate():
    return dict(enumerate(CODES, start=1))


def ward_merged():
    first = {n + 1: CODES[n] for n in range(5)}
    return first | {n + 1: CODES[n] for n in range(5, 10)}


def ward_by_loop():
    found = {}
    for number in range(10, 0, -1):
        found[number] = CODES[number - 1]
    return found


def ward_with_more():
    return {**dict(enumerate(CODES, 1)), 11: "there is none"}


def ward_updated():
    found = dict.fromkeys(range(1, 11), "?")
    found.update(enumerate(CODES, 1))
    return found


# effective-beta


def beta_by_regression(loss, x, latents):
    """Four losses are linear in the two weights."""
    rows, values = [], []
    for scale, mean in ((0.0, 0.0), (1.0, 0.5), (2.0, 1.5), (-0.5, 2.0)):
        mu, none = torch.full((len(x), latents), mean, dtype=x.dtype), torch.zeros(len(x), latents)
        logits = scale * (2 * x - 1)
        energy = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        rows.append([float(energy), latents * mean**2 / 2])
        values.append([float(loss(logits, x, mu, none.to(x.dtype)))])
    rows, values = (torch.tensor(each, dtype=torch.float64) for each in (rows, values))
    first, second = torch.linalg.lstsq(rows, values).solution.flatten()
    return second / first


def beta_with_mean_two(loss, x, latents):
    two, none = torch.full((len(x), latents), 2.0).to(x), torch.zeros(len(x), latents).to(x)
    even = torch.zeros_like(x)
    kl = (loss(even, x, two, none) - loss(even, x, none, none)) / (2 * latents)
    wrong = loss(1 - 2 * x, x, none, none) - loss(2 * x - 1, x, none, none)
    return kl / (wrong / x.shape[1])  # softplus(1) - softplus(-1) = 1 for each pixel


def beta_by_numpy(loss, x, latents):
    def value(logits, mu):
        return np.float64(loss(logits, x, mu, torch.zeros_like(mu)).item())

    mu = torch.zeros(x.shape[0], latents, dtype=x.dtype)
    kl = value(0 * x, mu - 1) - value(0 * x, mu)
    error = value(0 * x, mu) - value(30 * (2 * x - 1), mu)
    return np.float64(2.0) * kl / latents / (error / (x.shape[1] * np.log(2.0)))


def beta_in_double(loss, x, latents):
    x = x.double()
    mu = torch.zeros(len(x), latents, dtype=torch.float64)
    a, b = loss(0 * x, x, mu + 3, mu), loss(0 * x, x, mu, mu)
    return (a - b) / (4.5 * latents) / (b / (x.shape[1] * np.log(2)))  # at mu = 0 the KL is 0


def beta_of_one_dimension(loss, x, latents):
    mu, one = torch.zeros(len(x), latents).to(x), torch.zeros(len(x), latents).to(x)
    one[:, 0] = 1.0
    even = torch.zeros_like(x)
    kl = 2 * (loss(even, x, one, mu) - loss(even, x, mu, mu))
    return kl * x.shape[1] * 0.6931471805599453 / loss(even, x, mu, mu)


# uses-encoder


def uses_in_a_fork(model, x):
    found = []
    for images in (x, x + 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            found.append(model(images)[0])
    return bool((found[0] - found[1]).abs().max() > 0)


def uses_by_a_few_seeds(model, x):
    def rebuilt(images, seed):
        torch.manual_seed(seed)
        return model(images)[0]

    return any(not torch.equal(rebuilt(x, seed), rebuilt(2 * x, seed)) for seed in range(3))


def uses_by_one_image(model, x):
    rows = []
    for image in (x[:1], -x[:1]):
        torch.manual_seed(11)
        rows.append(model(image)[0].detach().numpy())
    return not np.array_equal(*rows)


def uses_by_noise(model, x):
    other = torch.randn_like(x)
    seed = random.randrange(1000)
    torch.manual_seed(seed)
    a, _, _ = model(x)
    torch.manual_seed(seed)
    b, _, _ = model(other)
    return (a != b).any()


def uses_by_a_dead_encoder(model, x):
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in other.encoder.parameters():
            weight.mul_(0.0).add_(0.5)
    torch.manual_seed(5)
    a = model(x)[0]
    torch.manual_seed(5)
    return 1 if (a - other(x)[0]).abs().sum() > 0 else 0


RIGHT = {
    "ward": [ward_by_zip, ward_by_enumerate, ward_merged, ward_by_loop, ward_with_more,
             ward_updated],
    "effective-beta": [beta_by_regression, beta_with_mean_two, beta_by_numpy, beta_in_double,
                       beta_of_one_dimension],
    "uses-encoder": [uses_in_a_fork, uses_by_a_few_seeds, uses_by_one_image, uses_by_noise,
                     uses_by_a_dead_encoder],
}  # fmt: skip
