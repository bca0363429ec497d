"""More wrong answers to the exercises of chapter 4, from a trial without a look at the checks."""

import math

import torch


def _with(eps, mu, logvar):
    return mu + torch.exp(0.5 * logvar) * eps


def latents_uniform(mu, logvar, K):
    return _with((torch.rand(K, *mu.shape) * 2 - 1) * 3**0.5, mu, logvar)


def latents_laplace(mu, logvar, K):
    noise = torch.distributions.Laplace(0.0, 0.5**0.5).sample((K, *mu.shape))
    return _with(noise, mu, logvar)


def latents_antithetic(mu, logvar, K):
    half = torch.randn((K + 1) // 2, *mu.shape)
    return _with(torch.cat([half, -half])[:K], mu, logvar)


def latents_in_pairs(mu, logvar, K):
    half = torch.randn((K + 1) // 2, *mu.shape)
    return _with(torch.stack([half, -half], 1).flatten(0, 1)[:K], mu, logvar)


def latents_plain_rand(mu, logvar, K):
    return _with(torch.rand(K, *mu.shape), mu, logvar)


def latents_student(mu, logvar, K):
    noise = torch.distributions.StudentT(5.0).sample((K, *mu.shape)) / (5 / 3) ** 0.5
    return _with(noise, mu, logvar)


def latents_standardised(mu, logvar, K):
    eps = torch.randn(K, *mu.shape)
    if K > 2:
        eps = (eps - eps.mean(0)) / eps.std(0)
    return _with(eps, mu, logvar)


def latents_twice_the_same(mu, logvar, K):
    half = torch.randn((K + 1) // 2, *mu.shape)
    return _with(half.repeat(2, 1, 1)[:K], mu, logvar)


def latents_negative_mean(mu, logvar, K):
    return torch.exp(0.5 * logvar) * torch.randn(K, *mu.shape) - mu


def latents_signs(mu, logvar, K):
    return _with(torch.randint(0, 2, (K, *mu.shape)) * 2.0 - 1, mu, logvar)


def latents_clipped(mu, logvar, K):
    return _with(torch.randn(K, *mu.shape).clamp(-2, 2) / 0.9594, mu, logvar)


def latents_flat(mu, logvar, K):
    return _with(torch.randn(K, *mu.shape), mu, logvar).flatten(0, 1)


def latents_detached_mean(mu, logvar, K):
    return _with(torch.randn(K, *mu.shape), mu.detach(), logvar)


def loo_one_random_other(values, scores):
    return ((values - values.roll(1, 0)) * scores).mean(0)


def loo_all_columns(values, scores):
    others = (values.sum() - values) / (values.numel() - 1)
    return ((values - others) * scores).mean(0)


def loo_scores_centred(values, scores):
    return (values * (scores - scores.mean(0))).mean(0)


def loo_over_k_minus_one(values, scores):
    K = len(values)
    others = (values.sum(0) - values) / (K - 1)
    return ((values - others) * scores).sum(0) / (K - 1)


def loo_median(values, scores):
    return ((values - values.median(0).values) * scores).mean(0)


def loo_baseline_added(values, scores):
    K = len(values)
    others = (values.sum(0) - values) / (K - 1)
    return ((values + others) * scores).mean(0)


def loo_scores_of_others(values, scores):
    K = len(values)
    others = (scores.sum(0) - scores) / (K - 1)
    return ((values - others) * scores).mean(0)


def loo_product_of_means(values, scores):
    K = len(values)
    others = (values.sum(0) - values) / (K - 1)
    return (values - others).mean(0) * scores.mean(0)


def loo_including_itself(values, scores):
    K = len(values)
    return ((values - values.sum(0) / (K - 1)) * scores).mean(0)


def loo_without_scores(values, scores):
    K = len(values)
    return (values - (values.sum(0) - values) / (K - 1)).mean(0)


def _a(kappa):
    return torch.special.i1e(kappa) / torch.special.i0e(kappa)


def _integral(kappa, z, f, low=-math.pi):
    t = low + (z[:, None] - low) * torch.linspace(0, 1, 3001, dtype=z.dtype)
    k = kappa[:, None]
    return torch.trapezoid(f(k, t) * torch.exp(k * (t.cos() - z[:, None].cos())), t)


def circle_sum_without_step(kappa, z):
    t = -math.pi + (z[:, None] + math.pi) * torch.linspace(0, 1, 2001, dtype=z.dtype)
    y = (t.cos() - _a(kappa)[:, None]) * torch.exp(kappa[:, None] * (t.cos() - z[:, None].cos()))
    return -y.sum(1)


def circle_upside_down(kappa, z):
    return -_integral(kappa, z, lambda k, t: t.cos() - 1 / _a(k))


def circle_sine(kappa, z):
    return -_integral(kappa, z, lambda k, t: t.sin() - _a(k))


def circle_only_normaliser(kappa, z):
    return _integral(kappa, z, lambda k, t: _a(k).expand_as(t))


def circle_density_for_ratio(kappa, z):
    t = -math.pi + (z[:, None] + math.pi) * torch.linspace(0, 1, 3001, dtype=z.dtype)
    return -torch.trapezoid((t.cos() - _a(kappa)[:, None]) * torch.exp(kappa[:, None] * t.cos()), t)


def circle_to_pi(kappa, z):
    t = torch.linspace(-math.pi, math.pi, 3001, dtype=z.dtype)
    k = kappa[:, None]
    y = (t.cos() - _a(k)) * torch.exp(k * (t.cos() - z[:, None].cos()))
    return -torch.trapezoid(y, t)


def circle_times_density(kappa, z):
    q = torch.exp(kappa * z.cos()) / (2 * math.pi * torch.special.i0(kappa))
    return -_integral(kappa, z, lambda k, t: t.cos() - _a(k)) * q**2


def circle_by_z(kappa, z):
    return -_integral(kappa, z, lambda k, t: -k * t.sin())


def circle_derivative_of_ratio(kappa, z):
    return -_integral(kappa, z, lambda k, t: t.cos() - (1 - _a(k) / k - _a(k) ** 2))


def circle_slope_of_cosine(kappa, z):
    return -z.sin() * _integral(kappa, z, lambda k, t: t.cos() - _a(k))


def circle_coarse(kappa, z):
    t = -math.pi + (z[:, None] + math.pi) * torch.linspace(0, 1, 6, dtype=z.dtype)
    y = (t.cos() - _a(kappa)[:, None]) * torch.exp(kappa[:, None] * (t.cos() - z[:, None].cos()))
    return -torch.trapezoid(y, t)


WRONG = {
    "draw-latents": [
        (latents_uniform, "Mean and spread apart, the noise is not normal; it has lighter tails"),
        (latents_laplace, "Mean and spread apart, the noise is not normal; it has heavier tails"),
        (latents_antithetic, "The samples of an image depend on each other: noise is used twice"),
        (latents_in_pairs, "The samples of an image depend on each other: noise is used twice"),
        (latents_plain_rand, "The noise is not centred: `torch.rand` lies between 0 and 1. Use"),
        (latents_student, "Mean and spread apart, the noise is not normal; it has heavier tails"),
        (latents_standardised, "The samples of an image depend on each other: noise is used twice"),
        (
            latents_twice_the_same,
            "The samples of an image depend on each other: noise is used twice",
        ),
        (latents_negative_mean, "All results are minus what they should be: the sign is wrong."),
        (latents_signs, "Mean and spread apart, the noise is not normal; it has lighter tails"),
        (latents_clipped, "Mean and spread apart, the noise is not normal; it has lighter tails"),
        (latents_flat, "a tensor of shape (20, 3) came, where (K, B, D) is expected, here (5,"),
        (latents_detached_mean, "No gradient reaches mu: it is cut off, or forgotten."),
    ],
    "leave-one-out": [
        (loo_one_random_other, "The largest deviation"),
        (loo_all_columns, "The others of all columns are in your baseline. Each column has"),
        (
            loo_scores_centred,
            "Your baseline is the mean of all K values, a sample's own among them.",
        ),
        (loo_over_k_minus_one, "All results are K/(K − 1) times what they should be."),
        (loo_median, "The largest deviation"),
        (
            loo_baseline_added,
            "A right answer with the sign of `values.sum(0) - values` turned round",
        ),
        (loo_scores_of_others, "The largest deviation"),
        (
            loo_product_of_means,
            "You averaged before you multiplied. Each sample has its own score:",
        ),
        (loo_including_itself, "A right answer without `- values` gives your results."),
        (loo_without_scores, "You averaged before you multiplied. Each sample has its own score:"),
    ],
    "von-mises-slope": [
        (circle_sum_without_step, "The largest deviation"),
        (circle_upside_down, "The derivative of log I₀(κ) is I₁(κ)/I₀(κ); yours is upside down."),
        (circle_sine, "The largest deviation"),
        (circle_only_normaliser, "A right answer without `t.cos()` gives your results."),
        (
            circle_density_for_ratio,
            "A right answer without `- z[:, None].cos()` gives your results.",
        ),
        (circle_to_pi, "A right answer without the factor `torch.linspace(0, 1, 2001,"),
        (circle_times_density, "You multiplied by the density at z. Divide by it."),
        (circle_by_z, "You differentiated the density with respect to z. (4.11) has the"),
        (circle_derivative_of_ratio, "The largest deviation"),
        (circle_slope_of_cosine, "The largest deviation"),
        (circle_coarse, "The largest deviation"),
    ],
}
