"""More wrong answers to the exercises of chapter 7."""

import math

import torch
from torch.nn import functional as F

CODES = (
    "exp-logvar-as-std", "kl-averaged-over-latents", "gradient-cut", "healthy",
    "reconstruction-averaged", "noise-shared", "double-sigmoid", "kl-part-missing",
    "target-wrong", "logvar-nonnegative",
)  # fmt: skip


def _ward(**other):
    return {n: other.get(f"p{n}", code) for n, code in enumerate(CODES, start=1)}


def ward_one():
    return _ward(p1="no-noise")


def ward_two():
    return _ward(p2="kl-sign")


def ward_three():
    return _ward(p3="sample-ignores-encoder")


def ward_four():
    return _ward(p4="mu-nonnegative")


def ward_five():
    return _ward(p5="reconstruction-sign")


def ward_six():
    return _ward(p6="no-noise")


def ward_seven():
    return _ward(p7="healthy")


def ward_eight():
    return _ward(p8="kl-sign")


def ward_nine():
    return _ward(p9="reconstruction-sign")


def ward_ten():
    return _ward(p10="shared-head")


def ward_from_zero():
    return dict(enumerate(CODES))


def ward_capitals():
    return {n: code.upper() for n, code in enumerate(CODES, start=1)}


def ward_a_list():
    return list(CODES)


# effective-beta


def _terms(loss, x, latents):
    """The changes of the loss for mu = 1 and for logits of 0 in place of sure ones."""
    mu, even = torch.zeros(len(x), latents, dtype=x.dtype), torch.zeros_like(x)
    kl = loss(even, x, mu + 1, mu) - loss(even, x, mu, mu)
    return kl, loss(even, x, mu, mu) - loss(20 * (2 * x - 1), x, mu, mu)


def beta_in_bits(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    return (kl / (latents / 2)) / (error / x.shape[1])


def beta_per_pixel(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    return (kl / (latents / 2)) / (error / math.log(2))


def beta_twice(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    return (kl / (latents / 4)) / (error / (x.shape[1] * math.log(2)))


def beta_by_difference(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    return kl / (latents / 2) - error / (x.shape[1] * math.log(2))


def beta_as_product(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    return (kl / (latents / 2)) * (error / (x.shape[1] * math.log(2)))


def beta_with_a_sign(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    return -(kl / (latents / 2)) / (error / (x.shape[1] * math.log(2)))


def beta_root(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    return ((kl / (latents / 2)) / (error / (x.shape[1] * math.log(2)))).sqrt()


def beta_over_the_batch(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    return (kl / (latents / 2)) / (error / (len(x) * x.shape[1] * math.log(2)))


def beta_without_a_difference(loss, x, latents):
    mu, even = torch.zeros(len(x), latents, dtype=x.dtype), torch.zeros_like(x)
    kl = loss(even, x, mu + 1, mu)
    return (kl / (latents / 2)) / (loss(even, x, mu, mu) / (x.shape[1] * math.log(2)))


def beta_for_each_image(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    return ((kl / (latents / 2)) / (error / (x.shape[1] * math.log(2)))).expand(len(x))


def beta_changes_x(loss, x, latents):
    kl, error = _terms(loss, x, latents)
    x.mul_(0.5)
    return (kl / (latents / 2)) / (error / (x.shape[1] * math.log(2)))


def beta_weight_of_reconstruction(loss, x, latents):
    return _terms(loss, x, latents)[1] / (x.shape[1] * math.log(2))


# uses-encoder


def uses_always(model, x):
    return True


def uses_never(model, x):
    return False


def uses_by_two_calls(model, x):
    return not torch.equal(model(x)[0], model(x)[0])


def uses_one_seed_for_both(model, x):
    torch.manual_seed(0)
    return not torch.equal(model(x)[0], model(1 - x)[0])


def uses_by_logvar(model, x):
    _, _, logvar = model(x)
    return bool(logvar.std(0).max() > 0)


def uses_the_same_images(model, x):
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        found.append(model(x)[0])
    return not torch.equal(*found)


def uses_by_a_large_change(model, x):
    found = []
    for images in (x, 1 - x):
        torch.manual_seed(0)
        found.append(model(images)[0])
    return bool((found[0] - found[1]).abs().max() > 1e3)


def uses_turned_round(model, x):
    found = []
    for images in (x, 1 - x):
        torch.manual_seed(0)
        found.append(model(images)[0])
    return torch.equal(*found)


def uses_by_rows(model, x):
    y = model(x)[0]
    return bool((y - y[:1]).abs().max() > 0)


def uses_by_error(model, x):
    y, _, _ = model(x)
    return bool(F.mse_loss(y, x) < 1.0)


def uses_and_spoils_the_model(model, x):
    torch.manual_seed(0)
    before = model(x)[0]
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight.add_(1.0)
    torch.manual_seed(0)
    return not torch.equal(before, model(x)[0])


def uses_by_mean_only(model, x):
    """The noise is averaged away, and with it what only sigma says."""
    means = []
    for images in (x, 1 - x):
        rows = []
        for seed in range(200):
            torch.manual_seed(seed)
            rows.append(model(images)[0])
        means.append(torch.stack(rows).mean(0))
    return bool((means[0] - means[1]).abs().max() > 0.3)


WRONG = {
    "ward": [
        (ward_one, "Not no-noise"),
        (ward_two, "with the reconstruction held"),
        (ward_three, "Not sample-ignores-encoder"),
        (ward_four, "no entry of μ would be below 0"),
        (ward_five, "evaluate the loss at two reconstructions"),
        (ward_six, "compare the rows"),
        (ward_seven, "Not healthy"),
        (ward_eight, "for several log-variances"),
        (ward_nine, "perfect logits for x"),
        (ward_ten, "Not shared-head"),
        (ward_from_zero, "The dictionary lacks 10"),
        (ward_capitals, "is not on the list of candidates"),
        (ward_a_list, "a dictionary from the numbers 1 to 10"),
    ],
    "effective-beta": [
        (beta_in_bits, "1/log 2 times"),
        (beta_per_pixel, "1/n times"),
        (beta_twice, "2 times"),
        (beta_by_difference, "kl / (latents / 2) - error / honest"),
        (beta_as_product, "kl / (latents / 2) * (error / honest)"),
        (beta_with_a_sign, "the sign is wrong"),
        (beta_root, "the root of the right results"),
        (beta_over_the_batch, "B times"),
        (beta_without_a_difference, "without `- loss(even, x, zero, zero)`"),
        (beta_for_each_image, "one number"),
        (beta_changes_x, "Argument 2 is changed in place"),
        (beta_weight_of_reconstruction, "The largest deviation"),
    ],
    "uses-encoder": [
        (uses_always, "draws z from a fixed distribution"),
        (uses_never, "its encoder matters"),
        (uses_by_two_calls, "differ by their noise alone"),
        (uses_one_seed_for_both, "seed it alike before each"),
        (uses_by_logvar, "draws z from a fixed distribution"),
        (uses_the_same_images, "its encoder matters"),
        (uses_by_a_large_change, "with the noise held, not their means"),
        (uses_turned_round, "its encoder matters"),
        (uses_by_rows, "seed it alike before each"),
        (uses_by_error, "its encoder matters"),
        (uses_and_spoils_the_model, "Argument 1 is changed in place"),
        (uses_by_mean_only, "In this model only σ reaches z"),
    ],
}
