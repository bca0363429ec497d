"""Wrong answers to the exercises of chapter 4."""

import math

import torch
from torch import distributions as td


def latents_variance(mu, logvar, K):
    eps = torch.randn(K, *mu.shape)
    return mu + logvar.exp() * eps


def latents_negated(mu, logvar, K):
    sigma = 1 / torch.sqrt(torch.exp(logvar))
    return mu[None] + sigma[None] * torch.randn(K, *mu.shape)


def latents_detached(mu, logvar, K):
    q = td.Normal(mu, torch.exp(logvar / 2))
    return q.sample((K,))


def latents_no_grad(mu, logvar, K):
    with torch.no_grad():
        return mu + torch.exp(0.5 * logvar) * torch.randn(K, *mu.shape)


def latents_half_detached(mu, logvar, K):
    std = torch.exp(0.5 * logvar).data
    return mu + std * torch.randn(K, *mu.shape)


def latents_without_mu(mu, logvar, K):
    std = logvar.mul(0.5).exp()
    return torch.randn(K, *mu.shape) * std


def latents_logvar_as_sigma(mu, logvar, K):
    return mu + logvar * torch.randn(K, *mu.shape)


def latents_unscaled(mu, logvar, K):
    return mu + torch.randn(K, *mu.shape)


def latents_mean_only(mu, logvar, K):
    return torch.stack([mu + 0 * logvar] * K)


def latents_one_for_all_samples(mu, logvar, K):
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    return z.repeat(K, 1, 1)


def latents_one_for_all_images(mu, logvar, K):
    eps = torch.randn(K, 1, mu.shape[1])
    return mu + torch.exp(0.5 * logvar) * eps


def latents_one_for_all_dimensions(mu, logvar, K):
    eps = torch.randn(K, len(mu), 1)
    return mu + torch.exp(0.5 * logvar) * eps


def latents_same_seed(mu, logvar, K):
    torch.manual_seed(0)
    return mu + torch.exp(0.5 * logvar) * torch.randn(K, *mu.shape)


def latents_no_samples_axis(mu, logvar, K):
    return mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape)


def latents_images_first(mu, logvar, K):
    return torch.stack([mu + torch.exp(0.5 * logvar) * torch.randn_like(mu) for _ in range(K)], 1)


def latents_averaged(mu, logvar, K):
    return (mu + torch.exp(0.5 * logvar) * torch.randn(K, *mu.shape)).mean(dim=0)


def latents_in_place(mu, logvar, K):
    return mu + logvar.mul_(0.5).exp() * torch.randn(K, *mu.shape)


def loo_own_value(values, scores):
    baseline = values.mean(0, keepdim=True)
    return ((values - baseline) * scores).mean(0)


def loo_plain(values, scores):
    return (values * scores).sum(0) / values.shape[0]


def loo_summed(values, scores):
    K = values.shape[0]
    baseline = (values.sum(0, keepdim=True) - values) / (K - 1)
    return torch.sum((values - baseline) * scores, dim=0)


def loo_wrong_sign(values, scores):
    K = values.shape[0]
    baseline = (values.sum(0) - values) / (K - 1)
    return torch.mean((baseline - values) * scores, dim=0)


def loo_sum_of_others(values, scores):
    baseline = values.sum(0) - values
    return torch.mean((values - baseline) * scores, dim=0)


def loo_divided_by_all(values, scores):
    baseline = (values.sum(0) - values) / values.size(0)
    return torch.mean((values - baseline) * scores, dim=0)


def loo_one_baseline(values, scores):
    return torch.mean((values - values.mean()) * scores, dim=0)


def loo_baseline_alone(values, scores):
    K = values.shape[0]
    return torch.mean((values.sum(0) - values) / (K - 1) * scores, dim=0)


def loo_every_term(values, scores):
    rows = []
    for k in range(len(values)):
        others = torch.cat([values[:k], values[k + 1 :]])
        rows.append((values[k] - others.mean(0)) * scores[k])
    return torch.stack(rows)


def loo_one_number(values, scores):
    return loo_every_term(values, scores).mean()


def loo_wrong_axis(values, scores):
    return loo_every_term(values, scores).mean(1)


def loo_in_place(values, scores):
    K = values.shape[0]
    total = values.sum(0)
    values -= (total - values) / (K - 1)
    return torch.mean(values * scores, dim=0)


def _grid(z):
    return torch.stack([torch.linspace(-math.pi, float(end), 3001, dtype=z.dtype) for end in z])


def _bessel(kappa, t):
    return (torch.special.i1(kappa) / torch.special.i0(kappa))[:, None].expand_as(t)


def _log_density(kappa, t):
    return kappa * torch.cos(t) - torch.log(2 * math.pi * torch.special.i0(kappa))


def _moved_mass(kappa, z):
    t = _grid(z)
    density = torch.exp(_log_density(kappa[:, None], t))
    return torch.trapezoid(density * (torch.cos(t) - _bessel(kappa, t)), t)


def circle_no_minus(kappa, z):
    return _moved_mass(kappa, z) / torch.exp(_log_density(kappa, z))


def circle_no_normaliser(kappa, z):
    t = _grid(z)
    inside = torch.cos(t) * torch.exp(kappa[:, None] * torch.cos(t))
    return -torch.trapezoid(inside, t) / torch.exp(kappa * torch.cos(z))


def circle_not_divided(kappa, z):
    return -_moved_mass(kappa, z)


def circle_constant_once(kappa, z):
    return -_moved_mass(kappa, z) / torch.exp(kappa * torch.cos(z))


def circle_constant_twice(kappa, z):
    t = _grid(z)
    inside = (torch.cos(t) - _bessel(kappa, t)) * torch.exp(kappa[:, None] * torch.cos(t))
    return -torch.trapezoid(inside, t) / torch.exp(_log_density(kappa, z))


def circle_score(kappa, z):
    leaf = kappa.clone().requires_grad_()
    log_q = leaf * torch.cos(z) - torch.log(torch.special.i0(leaf))
    return torch.autograd.grad(log_q.sum(), leaf)[0]


def circle_density_integrated(kappa, z):
    t = _grid(z)
    mass = torch.trapezoid(torch.exp(_log_density(kappa[:, None], t)), t)
    return -mass / torch.exp(_log_density(kappa, z))


def circle_as_normal(kappa, z):
    return -0.5 * z / kappa


def circle_one_number(kappa, z):
    return (-_moved_mass(kappa, z) / torch.exp(_log_density(kappa, z))).mean()


WRONG = {
    "draw-latents": [
        (latents_variance, "You took the variance for σ"),
        (latents_negated, "The sign of `logvar` is turned round"),
        (latents_detached, "The samples are cut off from the graph"),
        (latents_no_grad, "The samples are cut off from the graph"),
        (latents_half_detached, "σ is cut off from the gradient"),
        (latents_without_mu, "mu is forgotten"),
        (latents_logvar_as_sigma, "You multiplied the noise by `logvar` itself"),
        (latents_unscaled, "The noise is not scaled"),
        (latents_mean_only, "The K samples of an image are all the same"),
        (latents_one_for_all_samples, "The K samples of an image are all the same"),
        (
            latents_one_for_all_images,
            "Images have the same noise, or noise that depends on each other's",
        ),
        (
            latents_one_for_all_dimensions,
            "The latent dimensions of an image have the same noise, or noise that",
        ),
        (latents_same_seed, "Two calls gave the same samples"),
        (latents_no_samples_axis, "one sample for each image, or their mean"),
        (latents_images_first, "the axes in another order"),
        (latents_averaged, "one sample for each image, or their mean"),
        (latents_in_place, "Argument 2 is changed in place"),
    ],
    "leave-one-out": [
        (loo_own_value, "the mean of all K values"),
        (loo_plain, "There is no baseline"),
        (loo_summed, "You summed over the K samples: K times too large. Take the mean."),
        (loo_wrong_sign, "The sign is turned round: it is the value minus the baseline."),
        (loo_sum_of_others, "The baseline is the sum of the others"),
        (loo_divided_by_all, "You divided the sum of the others by K"),
        (loo_one_baseline, "the mean over all columns"),
        (loo_baseline_alone, "You multiplied the baseline by the score"),
        (loo_every_term, "All K terms of each estimate came, (K, N). Average over the samples,"),
        (loo_one_number, "You averaged over the N estimates as well. Average over the samples"),
        (loo_wrong_axis, "You averaged along the wrong axis: samples are the rows."),
        (loo_in_place, "Argument 1 is changed in place"),
    ],
    "von-mises-slope": [
        (circle_no_minus, "The minus sign of (4.11) is missing"),
        (circle_no_normaliser, "The normalising constant"),
        (circle_not_divided, "Divide it by the density at z"),
        (circle_constant_once, "too small by it"),
        (circle_constant_twice, "too large by it"),
        (circle_score, "That is the score"),
        (circle_density_integrated, "You integrated the density"),
        (circle_as_normal, "the slope of a normal variable"),
        (circle_one_number, "which is one number"),
    ],
}
