"""Right answers to the exercises of chapter 1."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# explained-share


def share_of_sums(x, x_hat):
    return 1 - torch.sum((x - x_hat) ** 2) / torch.sum((x - x.mean(dim=0)) ** 2)


def share_by_numpy(x, x_hat):
    a, b = x.numpy().astype(np.float64), x_hat.numpy().astype(np.float64)
    return 1 - np.sum((a - b) ** 2) / np.sum((a - a.mean(axis=0)) ** 2)


def share_by_variance(x, x_hat):
    return 1 - F.mse_loss(x_hat, x) / x.var(dim=0, correction=0).mean()


def share_as_float(x, x_hat):
    total = x.var(0, unbiased=False).sum()
    return float(1 - (x - x_hat).square().flatten(1).sum(1).mean() / total)


def share_of_shape_one(x, x_hat):
    error, total = (x - x_hat).pow(2).sum(), (x - x.mean(0, keepdim=True)).pow(2).sum()
    return (1 - error / total).reshape(1)


def share_as_difference(x, x_hat):
    total = torch.linalg.vector_norm(x - x.mean(0)) ** 2
    return (total - torch.linalg.vector_norm(x - x_hat) ** 2) / total


def share_by_einsum(x, x_hat):
    def energy(a):
        return torch.einsum("bchw,bchw->", a, a)

    return 1 - energy(x - x_hat) / energy(x - x.mean(0))


def share_by_loops(x, x_hat):
    mean = x.mean(0)
    error = sum(((a - b) ** 2).sum().item() for a, b in zip(x, x_hat))
    return 1 - error / sum(((a - mean) ** 2).sum().item() for a in x)


def share_in_double(x, x_hat):
    x, x_hat = x.flatten(1).double(), x_hat.flatten(1).double()
    return (1 - ((x - x_hat) ** 2).mean() / ((x - x.mean(0)) ** 2).mean()).item()


def share_as_list(x, x_hat):
    return [1 - ((x - x_hat) ** 2).sum().item() / ((x - x.mean(0)) ** 2).sum().item()]


# masking-error


def _terms(rebuilt, x):
    error = ((rebuilt - x) ** 2).sum(dim=(1, 2, 3))
    return {"loss": error / 2, "squared_error": error}


def mask_by_bernoulli(model, x, drop=0.5):
    return _terms(model(x * torch.bernoulli(torch.full_like(x, 1 - drop))), x)


def mask_by_dropout(model, x, drop=0.5):
    return _terms(model(F.dropout(x, drop) * (1 - drop)), x)


def mask_by_where(model, x, drop=0.5):
    return _terms(model(torch.where(torch.rand(x.shape) < drop, torch.zeros(()), x)), x)


def mask_by_fill(model, x, drop=0.5):
    return _terms(model(x.masked_fill(torch.rand_like(x) < drop, 0.0)), x)


def mask_by_numpy(model, x, drop=0.5):
    keep = torch.from_numpy((np.random.rand(*x.shape) > drop).astype(np.float32))
    return _terms(model(x * keep), x)


def mask_in_a_copy(model, x, drop=0.5):
    masked = x.clone()
    masked[torch.rand_like(x) < drop] = 0
    return _terms(model(masked), x)


def mask_image_by_image(model, x, drop=0.5):
    errors = []
    for image in x:
        seen = image * (torch.rand_like(image) >= drop)
        errors.append((model(seen[None])[0] - image).pow(2).sum())
    errors = torch.stack(errors)
    return {"squared_error": errors, "loss": 0.5 * errors}


def mask_by_distribution(model, x, drop=0.5):
    mask = torch.distributions.Bernoulli(probs=1 - drop).sample(x.shape)
    error = F.mse_loss(model(mask * x), x, reduction="none").flatten(1).sum(1)
    return {"loss": error * 0.5, "squared_error": error, "kept": mask.mean()}


def mask_by_module(model, x, drop=0.5):
    layer = nn.Dropout(drop)
    kept = (layer(torch.ones_like(x)) > 0).to(x.dtype)
    return _terms(model(x * kept), x)


class Masking:
    half = 0.5

    def __call__(self, model, x, drop=0.5):
        keep = torch.empty_like(x).uniform_() > drop
        error = torch.linalg.vector_norm((model(x * keep) - x).flatten(1), dim=1) ** 2
        return {"loss": self.half * error, "squared_error": error}


# best-denoiser


def denoise_by_cdist(noisy, images, sigma):
    d = torch.cdist(noisy.flatten(1), images.flatten(1)) ** 2
    return torch.einsum("bn,nchw->bchw", F.softmax(-d / (2 * sigma**2), dim=1), images)


def denoise_by_loops(noisy, images, sigma):
    out = []
    for one in noisy:
        logits = torch.stack([-((one - image) ** 2).sum() / (2 * sigma**2) for image in images])
        w = torch.softmax(logits, 0)
        out.append(sum(a * image for a, image in zip(w, images)))
    return torch.stack(out)


def denoise_by_normal(noisy, images, sigma):
    q = torch.distributions.Normal(images, sigma)
    log_p = q.log_prob(noisy[:, None]).sum((2, 3, 4))
    return torch.tensordot(log_p.softmax(1), images, dims=1)


def denoise_by_logsumexp(noisy, images, sigma):
    a, b = noisy.flatten(1), images.flatten(1)
    logits = -(a[:, None] - b[None]).pow(2).sum(-1) / 2 / sigma / sigma
    weights = (logits - logits.logsumexp(1, keepdim=True)).exp()
    return (weights @ b).view_as(noisy)


def denoise_by_amax(noisy, images, sigma):
    logits = -((noisy[:, None] - images) ** 2).sum((-1, -2, -3)) / (2 * sigma**2)
    w = torch.exp(logits - logits.amax(1, keepdim=True))
    w = w / w.sum(1, keepdim=True)
    return (w[..., None, None, None] * images).sum(1)


def denoise_by_numpy(noisy, images, sigma):
    a = noisy.numpy().reshape(len(noisy), -1).astype(float)
    b = images.numpy().reshape(len(images), -1).astype(float)
    logits = -((a[:, None] - b[None]) ** 2).sum(-1) / (2 * sigma**2)
    w = np.exp(logits - logits.max(1, keepdims=True))
    return ((w / w.sum(1, keepdims=True)) @ b).reshape(noisy.shape)


def denoise_without_the_square_of_noisy(noisy, images, sigma):
    a, b = noisy.flatten(1).double(), images.flatten(1).double()
    logits = (a @ b.T - 0.5 * (b**2).sum(1)) / sigma**2
    return (logits.softmax(-1) @ b).reshape(noisy.shape).float()


def denoise_by_score(noisy, images, sigma):
    x = noisy.double().requires_grad_()
    d = (x.flatten(1)[:, None] - images.double().flatten(1)).square().sum(-1)
    log_p = torch.logsumexp(-d / (2 * sigma**2), 1)
    (score,) = torch.autograd.grad(log_p.sum(), x)
    return (x + sigma**2 * score).detach()


def denoise_in_steps(noisy, images, sigma):
    variance = sigma * sigma

    def one(image):
        w = F.softmax(-0.5 * (images - image).pow(2).flatten(1).sum(1) / variance, dim=0)
        return w.view(-1, 1, 1, 1).mul(images).sum(0)

    return torch.stack([one(image) for image in noisy])


def denoise_by_mse(noisy, images, sigma):
    n = noisy[0].numel()
    d = F.mse_loss(
        noisy[:, None].expand(-1, len(images), -1, -1, -1),
        images[None].expand(len(noisy), -1, -1, -1, -1),
        reduction="none",
    )
    w = torch.softmax(-d.flatten(2).mean(2) * n / (2.0 * math.pow(sigma, 2)), dim=1)
    return torch.matmul(w, images.flatten(1)).unflatten(1, images.shape[1:])


RIGHT = {
    "explained-share": [
        share_of_sums, share_by_numpy, share_by_variance, share_as_float, share_of_shape_one,
        share_as_difference, share_by_einsum, share_by_loops, share_in_double, share_as_list,
    ],
    "masking-error": [
        mask_by_bernoulli, mask_by_dropout, mask_by_where, mask_by_fill, mask_by_numpy,
        mask_in_a_copy, mask_image_by_image, mask_by_distribution, mask_by_module, Masking(),
    ],
    "best-denoiser": [
        denoise_by_cdist, denoise_by_loops, denoise_by_normal, denoise_by_logsumexp,
        denoise_by_amax, denoise_by_numpy, denoise_without_the_square_of_noisy, denoise_by_score,
        denoise_in_steps, denoise_by_mse,
    ],
}  # fmt: skip
