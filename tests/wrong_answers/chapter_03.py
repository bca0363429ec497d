"""Wrong answers to the exercises of chapter 3."""

import math

import torch
from torch.nn import functional as F


def kl_one_number(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())


def kl_batch_mean(mu, logvar):
    return torch.mean(-0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1), dim=0)


def kl_mean_of_all(mu, logvar):
    return -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())


def kl_latent_mean(mu, logvar):
    return (-0.5 * (1 + logvar - mu**2 - logvar.exp())).mean(1)


def kl_over_images(mu, logvar):
    return (-0.5 * (1 + logvar - mu**2 - logvar.exp())).sum(0)


def kl_not_summed(mu, logvar):
    return -0.5 * (1 + logvar - mu**2 - logvar.exp())


def kl_wrong_sign(mu, logvar):
    return 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1)


def kl_without_half(mu, logvar):
    return -torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1)


def kl_log_sigma(mu, logvar):
    sigma = torch.exp(logvar)
    return (0.5 * (mu**2 + sigma**2 - 1) - torch.log(sigma)).sum(dim=1)


def kl_sigma_for_variance(mu, logvar):
    sigma = torch.exp(logvar / 2)
    return -0.5 * (1 + logvar - mu**2 - sigma).sum(dim=1)


def kl_without_one(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - logvar).sum(dim=1)


def kl_mean_not_squared(mu, logvar):
    return -0.5 * (1 + logvar - mu - logvar.exp()).sum(dim=1)


def kl_reversed(mu, logvar):
    prior = torch.distributions.Normal(0.0, 1.0)
    q = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    return torch.distributions.kl_divergence(prior, q).sum(1)


def kl_detached(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).detach()


def kl_items(mu, logvar):
    terms = 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
    return torch.tensor([sum(v.item() for v in row) for row in terms])


def kl_numpy(mu, logvar):
    m, v = mu.detach().numpy(), logvar.detach().numpy()
    return torch.from_numpy(0.5 * (m**2 + torch.exp(torch.tensor(v)).numpy() - 1 - v).sum(1))


def kl_half_cut(mu, logvar):
    variance = logvar.exp().detach()
    return 0.5 * (mu**2 + variance - 1 - variance.log()).sum(1)


def kl_returns_numpy(mu, logvar):
    return (0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)).detach().numpy()


def kl_changes_mu(mu, logvar):
    mu **= 2
    return 0.5 * (mu + logvar.exp() - 1 - logvar).sum(1)


scale = 0.5


def kl_from_the_notebook(mu, logvar):
    return scale * (mu**2 + logvar.exp() - 1 - logvar).sum(1)


def laplace_one_number(x, x_hat, scale):
    return F.l1_loss(x_hat, x, reduction="sum") / scale + x.numel() * math.log(2 * scale)


def laplace_batch_mean(x, x_hat, scale):
    return -torch.distributions.Laplace(x_hat, scale).log_prob(x).sum((1, 2, 3)).mean()


def laplace_l1_loss(x, x_hat, scale):
    return F.l1_loss(x_hat, x) / scale + math.log(2 * scale)


def laplace_not_summed(x, x_hat, scale):
    return -torch.distributions.Laplace(x_hat, scale).log_prob(x)


def laplace_pixel_mean(x, x_hat, scale):
    return (torch.abs(x - x_hat) / scale + math.log(2 * scale)).mean((1, 2, 3))


def laplace_log_likelihood(x, x_hat, scale):
    return torch.distributions.Laplace(x_hat, scale).log_prob(x).sum(dim=(1, 2, 3))


def laplace_no_constant(x, x_hat, scale):
    return F.l1_loss(x_hat, x, reduction="none").sum((1, 2, 3)) / scale


def laplace_constant_once(x, x_hat, scale):
    return F.l1_loss(x_hat, x, reduction="none").sum((1, 2, 3)) / scale + math.log(2 * scale)


def laplace_log_scale(x, x_hat, scale):
    n = x[0].numel()
    return (x - x_hat).abs().sum((1, 2, 3)) / scale + n * math.log(scale)


def laplace_constant_sign(x, x_hat, scale):
    n = x[0].numel()
    return (x - x_hat).abs().sum((1, 2, 3)) / scale + n * math.log(1 / (2 * scale))


def laplace_twice_scale(x, x_hat, scale):
    width = 2 * scale
    return ((x - x_hat).abs() / width + math.log(width)).sum((1, 2, 3))


def laplace_no_abs(x, x_hat, scale):
    return ((x - x_hat) / scale + math.log(2 * scale)).sum((1, 2, 3))


def laplace_gaussian(x, x_hat, scale):
    return -torch.distributions.Normal(x_hat, scale).log_prob(x).sum((1, 2, 3))


def laplace_density(x, x_hat, scale):
    return torch.distributions.Laplace(x_hat, scale).log_prob(x).exp().flatten(1).prod(1)


def laplace_cut(x, x_hat, scale):
    each = torch.distributions.Laplace(x_hat.detach(), scale).log_prob(x)
    return -each.flatten(1).sum(1)


def laplace_in_place(x, x_hat, scale):
    x -= x_hat
    return (x.abs() / scale + math.log(2 * scale)).flatten(1).sum(1)


def beta_inverse(loss, n, D):
    zeros, latent = torch.zeros(2, n), torch.zeros(2, D)
    base = loss(zeros, zeros, latent, latent)
    rec = (loss(zeros, zeros + 1, latent, latent) - base) / (n / 2)
    kl = (loss(zeros, zeros, latent + 1, latent) - base) / (D / 2)
    return rec / kl


def beta_whole_square(loss, n, D):
    x, mu = torch.rand(1, n), torch.zeros(1, D)
    base = loss(x, x, mu, mu)
    rec = (loss(x, x + 2, mu, mu) - base) / (4 * n)
    kl = (loss(x, x, mu + 2, mu) - base) / (2 * D)
    return float(kl / rec)


def beta_kl_is_d(loss, n, D):
    x, mu = torch.zeros(1, n), torch.zeros(1, D)
    base = loss(x, x, mu, mu)
    rec = (loss(x, x + 1, mu, mu) - base) / (n / 2)
    kl = (loss(x, x, mu + 1, mu) - base) / D
    return float(kl / rec)


def beta_of_changes(loss, n, D):
    x, mu = torch.zeros(1, n), torch.zeros(1, D)
    base = loss(x, x, mu, mu)
    return float((loss(x, x, mu + 1, mu) - base) / (loss(x, x + 1, mu, mu) - base))


def beta_pixels_forgotten(loss, n, D):
    x, mu = torch.zeros(1, n), torch.zeros(1, D)
    base = loss(x, x, mu, mu)
    kl = (loss(x, x, mu + 1, mu) - base) / (D / 2)
    return float(kl / (loss(x, x + 1, mu, mu) - base))


def beta_with_constant(loss, n, D):
    x, mu = torch.zeros(1, n), torch.zeros(1, D)
    rec = loss(x, torch.ones(1, n), mu, mu) / (n / 2)
    kl = loss(x, x, torch.ones(1, D), mu) / (D / 2)
    return (kl / rec).item()


def beta_kl_alone(loss, n, D):
    x, mu = torch.zeros(1, n), torch.zeros(1, D)
    return float(loss(x, x, mu + 1, mu) - loss(x, x, mu, mu)) / (D / 2)


def beta_latents_forgotten(loss, n, D):
    x, mu = torch.zeros(1, n), torch.zeros(1, D)
    base = loss(x, x, mu, mu)
    rec = (loss(x, x + 1, mu, mu) - base) / n
    return float((loss(x, x, mu + 1, mu) - base) / rec)


def beta_one(loss, n, D):
    return 1.0


def beta_tensor(loss, n, D):
    x, mu = torch.zeros(3, n), torch.zeros(3, D)
    return torch.stack(
        [loss(x[i : i + 1], x[i : i + 1], mu[i : i + 1], mu[i : i + 1]) for i in (0, 1)]
    )


WRONG = {
    "kl": [
        (kl_one_number, "You summed over the batch too. Each image has its own divergence."),
        (kl_batch_mean, "You averaged over the batch. Each image has its own."),
        (kl_mean_of_all, "You averaged over batch and latents. Sum over the latents only."),
        (kl_latent_mean, "You averaged over the latents: D times too little. Sum."),
        (kl_over_images, "You summed over the images"),
        (kl_not_summed, "One number for each latent came. The divergence is the sum of them."),
        (kl_wrong_sign, "All results are minus what they should be: the sign is wrong."),
        (kl_without_half, "All results are 2 times what they should be."),
        (kl_log_sigma, "You took log σ for log σ²"),
        (kl_sigma_for_variance, "That is the standard deviation, not the variance."),
        (kl_without_one, "The −½ is missing: for mu = 0 and logvar = 0 it must be 0."),
        (kl_mean_not_squared, "A right answer without the power in `mu ** 2` gives your results."),
        (kl_reversed, "the other way round"),
        (kl_changes_mu, "Argument 1 is changed in place"),
    ],
    "laplace-energy": [
        (laplace_one_number, "You summed over the batch too. Each image has its own."),
        (laplace_batch_mean, "These are the mean over the whole batch of the right results."),
        (laplace_l1_loss, "A right answer with `.mean()` for `.sum(1)` in"),
        (laplace_not_summed, "One number for each pixel came. The pixels of an image add up."),
        (laplace_pixel_mean, "You averaged over the pixels"),
        (laplace_log_likelihood, "All results are minus what they should be: the sign is wrong."),
        (laplace_no_constant, "The constant is missing"),
        (laplace_constant_once, "The constant is there once for an image"),
        (laplace_log_scale, "The 2 of the factor 1/(2s) is missing: the constant is log 2s."),
        (laplace_constant_sign, "The constant has the wrong sign"),
        (laplace_twice_scale, "The error is divided by s: the 2 is not in the exponent."),
        (laplace_no_abs, "The absolute value is missing: errors of different sign cancel."),
        (laplace_gaussian, "That is the energy of a Gaussian"),
        (laplace_density, "That is the density itself"),
        (laplace_in_place, "Argument 1 is changed in place"),
    ],
    "hidden-beta": [
        (beta_inverse, "These are 1 divided by the right results."),
        (beta_whole_square, "Twice the right value: that is the weight compared with ‖x − x̂‖²,"),
        (beta_kl_is_d, "Half of the right value: for mu = 1 and logvar = 0 the KL is D/2, not"),
        (beta_of_changes, "That depends on how far your inputs moved. Divide each change by that"),
        (
            beta_pixels_forgotten,
            "You divided by the KL, D/2, but not by half the squared error, n/2.",
        ),
        (beta_with_constant, "The loss has a constant"),
        (beta_kl_alone, "That is the weight of the KL alone"),
        (beta_latents_forgotten, "All results are D times what they should be."),
        (beta_one, "A β of 1 comes for every loss"),
        (beta_tensor, "a tensor of shape (2,)"),
    ],
}
