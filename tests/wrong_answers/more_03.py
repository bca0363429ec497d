"""More wrong answers to the exercises of chapter 3, from a trial without a look at the checks."""

import math

import torch
from torch.nn import functional as F


def laplace_scale_squared(x, x_hat, scale):
    return ((x - x_hat).abs() / scale**2 + math.log(2 * scale)).flatten(1).sum(1)


def laplace_log_of_two_plus_scale(x, x_hat, scale):
    return ((x - x_hat).abs() / scale + math.log(2 + scale)).flatten(1).sum(1)


def laplace_unscaled(x, x_hat, scale):
    return ((x - x_hat).abs() + math.log(2 * scale)).flatten(1).sum(1)


def laplace_squared(x, x_hat, scale):
    return ((x - x_hat) ** 2 / scale + math.log(2 * scale)).flatten(1).sum(1)


def laplace_times_scale(x, x_hat, scale):
    return ((x - x_hat).abs() * scale + math.log(2 * scale)).flatten(1).sum(1)


def laplace_log_two_forgotten(x, x_hat, scale):
    return F.l1_loss(x, x_hat, reduction="none").flatten(1).sum(1) / scale + x[
        0
    ].numel() * math.log(scale)


def laplace_in_bits(x, x_hat, scale):
    return -torch.distributions.Laplace(x_hat, scale).log_prob(x).flatten(1).sum(1) / math.log(2)


def laplace_summed_over_channels(x, x_hat, scale):
    return -torch.distributions.Laplace(x_hat, scale).log_prob(x).sum(1)


def laplace_constant_of_the_batch(x, x_hat, scale):
    off = (x - x_hat).abs().flatten(1).sum(1) / scale
    return off + x.numel() * math.log(2 * scale)


def laplace_l1_only(x, x_hat, scale):
    return (x - x_hat).abs().flatten(1).sum(1)


def laplace_abs_of_sum(x, x_hat, scale):
    n = x[0].numel()
    return (x - x_hat).flatten(1).sum(1).abs() / scale + n * math.log(2 * scale)


def kl_sigma_to_the_fourth(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() ** 2 - 1 - logvar).sum(1)


def kl_log_sign(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 + logvar).sum(1)


def kl_plus_one(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() + 1 - logvar).sum(1)


def kl_without_mean(mu, logvar):
    return 0.5 * (logvar.exp() - 1 - logvar).sum(1)


def kl_half_log(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - 0.5 * logvar).sum(1)


def kl_half_of_first_term(mu, logvar):
    return (0.5 * mu**2 + logvar.exp() - 1 - logvar).sum(1)


def kl_negative_log_variance(mu, logvar):
    return 0.5 * (mu**2 + (-logvar).exp() - 1 + logvar).sum(1)


def kl_mean_minus_one(mu, logvar):
    return 0.5 * ((mu - 1) ** 2 + logvar.exp() - 1 - logvar).sum(1)


def kl_exponential_forgotten(mu, logvar):
    return 0.5 * (mu**2 + logvar - 1 - logvar).sum(1)


def kl_variance_for_log(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - torch.log(1 + logvar.exp())).sum(1)


def kl_keepdim(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1, keepdim=True)


def kl_clamped(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).clamp_min(0.5).sum(1)


def _changes(loss, n, D):
    x, m = torch.zeros(1, n).double(), torch.zeros(1, D).double()
    c = float(loss(x, x, m, m))
    return float(loss(x, x + 1, m, m)) - c, float(loss(x, x, m + 1, m)) - c


def beta_product(loss, n, D):
    error, kl = _changes(loss, n, D)
    return (kl / (D / 2)) * (error / (n / 2))


def beta_sizes_exchanged(loss, n, D):
    error, kl = _changes(loss, n, D)
    return (kl / (n / 2)) / (error / (D / 2))


def beta_of_error(loss, n, D):
    return _changes(loss, n, D)[0] / (n / 2)


def beta_sum(loss, n, D):
    error, kl = _changes(loss, n, D)
    return kl / (D / 2) + error / (n / 2)


def beta_whole_kl(loss, n, D):
    error, kl = _changes(loss, n, D)
    return (kl / D) / (error / n) / 2


def beta_root(loss, n, D):
    error, kl = _changes(loss, n, D)
    return ((kl / D) / (error / n)) ** 0.5


def beta_at_logvar_one(loss, n, D):
    x, m = torch.zeros(1, n), torch.zeros(1, D)
    c = loss(x, x, m, m)
    kl = (loss(x, x, m, m + 1) - c) / (D / 2)
    return kl / ((loss(x, x + 1, m, m) - c) / (n / 2))


def beta_difference(loss, n, D):
    error, kl = _changes(loss, n, D)
    return kl / (D / 2) - error / (n / 2)


def beta_constant_in_the_error(loss, n, D):
    x, m = torch.zeros(1, n), torch.zeros(1, D)
    kl = (loss(x, x, m + 1, m) - loss(x, x, m, m)) / (D / 2)
    return float(kl / (loss(x, x + 1, m, m) / (n / 2)))


def beta_half(loss, n, D):
    return 0.5


WRONG = {
    "laplace-energy": [
        (
            laplace_scale_squared,
            "A right answer with the square of `scale` in its place gives your",
        ),
        (laplace_log_of_two_plus_scale, "The largest deviation"),
        (laplace_unscaled, "A right answer without the division by `scale` gives your results."),
        (laplace_squared, "A right answer with the square of `(x - x_hat).abs()` in its place"),
        (laplace_times_scale, "A right answer with `(x - x_hat).abs() * scale` for `(x -"),
        (
            laplace_log_two_forgotten,
            "The 2 of the factor 1/(2s) is missing: the constant is log 2s.",
        ),
        (laplace_in_bits, "All results are 1/log 2 times what they should be."),
        (
            laplace_summed_over_channels,
            "The last axis is still there: it should be summed or averaged over.",
        ),
        (laplace_constant_of_the_batch, "The largest deviation"),
        (laplace_l1_only, "Your result does not depend on `scale`."),
        (laplace_abs_of_sum, "The largest deviation"),
    ],
    "kl": [
        (
            kl_sigma_to_the_fourth,
            "A right answer with the square of `logvar.exp()` in its place gives",
        ),
        (kl_log_sign, "A right answer with the sign of `logvar` turned round gives your"),
        (kl_plus_one, "All results are too large by D."),
        (kl_without_mean, "A right answer without `mu ** 2` gives your results."),
        (kl_half_log, "A right answer with half of `logvar` in its place gives your results."),
        (kl_half_of_first_term, "A right answer with the factor `0.5` on one term only gives your"),
        (kl_negative_log_variance, "The sign of `logvar` is turned round."),
        (kl_mean_minus_one, "The largest deviation"),
        (
            kl_exponential_forgotten,
            "A right answer without `exp` in `logvar.exp()` gives your results.",
        ),
        (kl_variance_for_log, "The largest deviation"),
        (kl_keepdim, "Axes of length 1 differ: look for `keepdim`, `unsqueeze`, `squeeze`"),
        (kl_clamped, "The largest deviation"),
    ],
    "hidden-beta": [
        (beta_product, "A right answer with `kl / (D / 2) * (error / (n / 2))` for `kl / (D /"),
        (beta_sizes_exchanged, "The largest deviation"),
        (beta_of_error, "That is the weight of half the squared error alone. Divide that of"),
        (beta_sum, "A right answer with `kl / (D / 2) + error / (n / 2)` for `kl / (D /"),
        (beta_whole_kl, "Half of the right value: for mu = 1 and logvar = 0 the KL is D/2, not"),
        (beta_root, "These are the root of the right results."),
        (beta_at_logvar_one, "All results are 0.7183 times what they should be."),
        (beta_difference, "A right answer with `kl / (D / 2) - error / (n / 2)` for `kl / (D /"),
        (beta_constant_in_the_error, "A right answer without `- base` gives your results."),
        (beta_half, "The largest deviation"),
    ],
}
