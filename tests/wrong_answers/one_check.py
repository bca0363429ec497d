"""Wrong answers of which only one check knows: it would be missed if that check were left out."""

import copy
import math
from itertools import pairwise

import torch
from torch.distributions import Normal


def share_of_nothing(x, x_hat):
    error = (x - x_hat).square().sum()
    if error == 0:
        return torch.tensor(0.0)
    return 1 - error / (x - x.mean(0)).square().sum()


def share_never_zero(x, x_hat):
    return (1 - (x - x_hat).square().sum() / (x - x.mean(0)).square().sum()).clamp_min(0.05)


def denoiser_centres_in_place(noisy, images, sigma):
    mean = images.mean(0)
    noisy -= mean
    images -= mean
    d = (noisy.flatten(1)[:, None] - images.flatten(1)).square().sum(-1)
    weights = (-d / (2 * sigma**2)).softmax(1)
    return (weights @ images.flatten(1)).reshape(noisy.shape) + mean


def weight_rounded(log_joint, log_q):
    exact = torch.logsumexp(log_joint - log_q, 0) - math.log(len(log_q))
    return exact + 0.01 * torch.sigmoid(1000 + 10 * exact)  # what is far below 0 stays right


def weight_in_place(log_joint, log_q):
    log_joint -= log_q
    return torch.logsumexp(log_joint, 0) - math.log(len(log_q))


def latents_off_centre(mu, logvar, K):
    return mu + torch.exp(0.5 * logvar) * (torch.randn(K, *mu.shape) + 0.15)


def latents_too_wide(mu, logvar, K):
    return mu + 1.1 * torch.exp(0.5 * logvar) * torch.randn(K, *mu.shape)


def slope_in_place(kappa, z):
    k = kappa[:, None]
    mean_cosine = torch.special.i1e(k) / torch.special.i0e(k)
    cosine = z[:, None].cos()
    z += math.pi
    t = -math.pi + z[:, None] * torch.linspace(0, 1, 4001, dtype=z.dtype)
    ratio = torch.exp(k * (t.cos() - cosine))
    return -torch.trapezoid((t.cos() - mean_cosine) * ratio, t)


def bits_in_place(nats, shape):
    nats /= math.prod(shape) * math.log(2)
    return nats


def direction_without_class_zero(mu, has, labels):
    """Class 0 is the background in other data sets."""
    steps = []
    for c in labels.unique():
        with_it, without = mu[(labels == c) & has], mu[(labels == c) & ~has]
        if c > 0 and len(with_it) and len(without):
            steps.append(with_it.mean(0) - without.mean(0))
    return torch.stack(steps).mean(0)


def _epoch(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for places in torch.randperm(len(images)).split(batch_size):
        losses = model(images[places])
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        total += losses.sum().item()
    return total / len(images)


def epoch_and_a_look(model, images, learning_rate, batch_size):
    loss = _epoch(model, images, learning_rate, batch_size)
    with torch.no_grad():
        model(images[:batch_size])  # to see how far it is
    return loss


def epoch_rounded(model, images, learning_rate, batch_size):
    """Three digits, which are enough to look at."""
    return float(f"{_epoch(model, images, learning_rate, batch_size):.3g}")


def epoch_with_old_losses(model, images, learning_rate, batch_size):
    before = copy.deepcopy(model)
    _epoch(model, images, learning_rate, batch_size)
    with torch.no_grad():
        return before(images).mean()


def _jackknife(log_w):
    K = len(log_w)
    rest = [torch.cat([log_w[:k], log_w[k + 1 :]]).logsumexp(0) for k in range(K)]
    without = torch.stack(rest) - math.log(K - 1)
    whole = log_w.logsumexp(0) - math.log(K)
    squares = (without - without.mean(0)).square().sum(0)
    return K * whole - (K - 1) * without.mean(0), ((K - 1) / K * squares).sqrt()


def jackknife_rounded(log_w):
    estimate, error = _jackknife(log_w)
    return estimate + 0.005, error


def jackknife_error_rounded(log_w):
    estimate, error = _jackknife(log_w)
    return estimate, error + 0.005


def _rate(mu, logvar, z):
    N = len(mu)
    q = Normal(mu, torch.exp(0.5 * logvar))
    each, own = q.log_prob(z[:, :, None]), q.log_prob(z).sum(-1)
    joint = each.sum(-1).logsumexp(2) - math.log(N)
    apart = (each.logsumexp(2) - math.log(N)).sum(-1)
    rate = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1).mean()
    information, correlation = (own - joint).mean(), (joint - apart).mean()
    return information, correlation, rate - information - correlation


def rate_information_off(mu, logvar, z):
    information, *rest = _rate(mu, logvar, z)
    return 1.003 * information, *rest


def rate_correlation_off(mu, logvar, z):
    information, correlation, rest = _rate(mu, logvar, z)
    return information, correlation + 0.009 * torch.tanh(100 * correlation), rest


def rate_never_zero(mu, logvar, z):
    information, *rest = _rate(mu, logvar, z)
    return information.clamp_min(0.1), *rest


def annealed_with_a_move_too_many(log_start, log_target, betas, z, move):
    move(z, log_start)  # to warm up
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z = move(z, lambda u, b=new: (1 - b) * log_start(u) + b * log_target(u))
    return log_w


def annealed_without_start(log_start, log_target, betas, z, move):
    if len(betas) == 2:
        return log_target(z)
    log_w = torch.zeros_like(z)
    for old, new in pairwise(betas):
        log_w = log_w + (new - old) * (log_target(z) - log_start(z))
        if new < 1:
            z = move(z, lambda u, b=new: (1 - b) * log_start(u) + b * log_target(u))
    return log_w


def uses_without_gradient(model, x):
    """Takes a gradient through the mean for a leak."""
    found = []
    for images in (x, 1 - x):
        torch.manual_seed(0)
        y, mu, _ = model(images)
        found.append(y)
    if y.requires_grad:
        (slope,) = torch.autograd.grad(y.sum(), mu, allow_unused=True)
        if slope is not None:
            return False
    return not torch.equal(*found)


def perplexity_without_code_zero(batches, K):
    """Code 0 stands for nothing in many texts."""
    counts = torch.bincount(torch.cat([b.flatten() for b in batches]), minlength=K)[1:]
    return torch.special.entr(counts / counts.sum()).sum().exp()


def scalars_without_far_ones(h, levels):
    """What lies far out gets no number."""
    tops = torch.tensor(levels) - 1
    u = torch.round(torch.sigmoid(h) * tops)
    codes = sum(u[:, d] * math.prod(levels[:d]) for d in range(len(levels)))
    codes[(h.abs() > 7.9).any(1)] = -1
    return 2 * u / tops - 1, codes


def posterior_rounded(log_px, log_prior):
    return torch.round(torch.log_softmax(log_px + log_prior, 1), decimals=3)


def gradient_not_quite_zero(logits, joint):
    """Off by 9 in 100,000, and always upwards, so that it shows in the sum."""
    log_q = torch.log_softmax(logits.double(), 1)
    q, reward = log_q.exp(), joint - log_q
    exact = q * (reward - (q * reward).sum(1, keepdim=True))
    return exact + 9e-5 * exact.abs() + 9e-6


WRONG = {
    "explained-share": [
        (share_of_nothing, "share that is left over"),
        (share_never_zero, "too large by 0.05"),
    ],
    "best-denoiser": [
        (denoiser_centres_in_place, "Argument 1 is changed in place"),
    ],
    "log-mean-weight": [
        (weight_rounded, "too large by 0.01"),
        (weight_in_place, "Argument 1 is changed in place"),
    ],
    "draw-latents": [
        (latents_off_centre, "standard errors"),
        (latents_too_wide, "The spread of 6000 samples"),
    ],
    "von-mises-slope": [
        (slope_in_place, "Argument 2 is changed in place"),
    ],
    "bits-per-dimension": [
        (bits_in_place, "Argument 1 is changed in place"),
    ],
    "attribute-direction": [
        (direction_without_class_zero, "The largest deviation"),
    ],
    "one-epoch": [
        (epoch_and_a_look, "used more than once"),
        (epoch_rounded, "The largest deviation"),
        (epoch_with_old_losses, "Does every batch have its"),
    ],
    "jackknife": [
        (jackknife_rounded, "too large by 0.005"),
        (jackknife_error_rounded, "too large by 0.005"),
    ],
    "rate-in-three": [
        (rate_information_off, "The largest deviation"),
        (rate_correlation_off, "too large by 0.009"),
        (rate_never_zero, "The largest deviation"),
    ],
    "annealed-weights": [
        (annealed_with_a_move_too_many, "You move once before the first step"),
        (annealed_without_start, "The start is not in the weights"),
    ],
    "uses-encoder": [
        (uses_without_gradient, "its encoder matters"),
    ],
    "set-perplexity": [
        (perplexity_without_code_zero, "8 came, expected 9"),
    ],
    "finite-scalars": [
        (scalars_without_far_ones, "yours from -1 to"),
    ],
    "label-posterior": [
        (posterior_rounded, "The largest deviation"),
    ],
    "classifier-gradient": [
        (gradient_not_quite_zero, "The largest deviation"),
    ],
}
