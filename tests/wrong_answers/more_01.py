"""More wrong answers to the exercises of chapter 1, from a trial without a look at the checks."""

import numpy as np
import torch
from torch.nn import functional as F


def share_per_pixel_variance(x, x_hat):
    return 1 - ((x - x_hat) ** 2).mean() / x.var()


def share_of_rebuilt_variance(x, x_hat):
    return 1 - ((x - x_hat) ** 2).sum() / ((x_hat - x_hat.mean(0)) ** 2).sum()


def share_upside_down(x, x_hat):
    return 1 - ((x - x.mean(0)) ** 2).sum() / ((x - x_hat) ** 2).sum()


def share_not_squared(x, x_hat):
    return 1 - (x - x_hat).sum() / (x - x.mean(0)).sum()


def share_of_roots(x, x_hat):
    return 1 - (F.mse_loss(x_hat, x) / x.var(0, correction=0).mean()) ** 0.5


def share_in_per_cent(x, x_hat):
    return 100 * (1 - F.mse_loss(x_hat, x) / x.var(0, correction=0).mean())


def share_as_correlation(x, x_hat):
    return np.corrcoef(x.numpy().ravel(), x_hat.numpy().ravel())[0, 1] ** 2


def share_of_image_means(x, x_hat):
    grey = x.mean(dim=(1, 2, 3), keepdim=True)
    return 1 - ((x - x_hat) ** 2).sum() / ((x - grey) ** 2).sum()


def share_sum_and_mean(x, x_hat):
    return 1 - ((x - x_hat) ** 2).flatten(1).sum(1).mean() / x.var(0, correction=0).mean()


def share_plus_one(x, x_hat):
    return 1 + ((x - x_hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()


def _terms(rebuilt, x):
    error = ((rebuilt - x) ** 2).flatten(1).sum(1)
    return {"loss": 0.5 * error, "squared_error": error}


def mask_columns(model, x, drop=0.5):
    keep = torch.rand(len(x), 1, 1, x.shape[3]) > drop
    return _terms(model(x * keep), x)


def mask_rows(model, x, drop=0.5):
    keep = torch.rand(len(x), x.shape[1], x.shape[2], 1) > drop
    return _terms(model(x * keep), x)


def mask_exact_count(model, x, drop=0.5):
    n = x[0].numel()
    rank = torch.rand(len(x), n).argsort(1).argsort(1)
    return _terms(model(x * (rank >= round(drop * n)).view(x.shape)), x)


def mask_exact_count_of_the_batch(model, x, drop=0.5):
    order = torch.randperm(x.numel())
    keep = torch.ones(x.numel())
    keep[order[: round(drop * x.numel())]] = 0
    return _terms(model(x * keep.view(x.shape)), x)


def mask_whole_images(model, x, drop=0.5):
    return _terms(model(x * (torch.rand(len(x), 1, 1, 1) > drop)), x)


def mask_patches(model, x, drop=0.5):
    B, _, H, W = x.shape
    small = (torch.rand(B, 1, (H + 1) // 2, (W + 1) // 2) > drop).float()
    return _terms(model(x * F.interpolate(small, scale_factor=2)[:, :, :H, :W]), x)


def mask_pairs_of_images(model, x, drop=0.5):
    keep = torch.rand((len(x) + 1) // 2, *x.shape[1:]).repeat(2, 1, 1, 1)[: len(x)] > drop
    return _terms(model(x * keep), x)


def mask_with_ones(model, x, drop=0.5):
    return _terms(model(torch.where(torch.rand_like(x) > drop, x, torch.ones_like(x))), x)


def mask_squared_drop(model, x, drop=0.5):
    keep = (torch.rand_like(x) > drop) & (torch.rand_like(x) > drop)
    return _terms(model(x * keep), x)


def mask_kept_only(model, x, drop=0.5):
    keep = torch.rand_like(x) > drop
    error = (((model(x * keep) - x) ** 2) * keep).flatten(1).sum(1)
    return {"loss": error / 2, "squared_error": error}


def mask_loss_of_the_batch(model, x, drop=0.5):
    terms = _terms(model(x * (torch.rand_like(x) > drop)), x)
    return {"loss": terms["loss"].mean(), "squared_error": terms["squared_error"]}


def mask_error_alone(model, x, drop=0.5):
    return {"squared_error": _terms(model(x * (torch.rand_like(x) > drop)), x)["squared_error"]}


def _d(noisy, images):
    return ((noisy[:, None] - images) ** 2).flatten(2).sum(2)


def _mix(w, noisy, images):
    return (w @ images.flatten(1)).reshape(noisy.shape)


def denoise_cubed(noisy, images, sigma):
    return _mix(torch.softmax(-_d(noisy, images) / (2 * sigma**3), 1), noisy, images)


def denoise_times_variance(noisy, images, sigma):
    return _mix(torch.softmax(-_d(noisy, images) * 2 * sigma**2, 1), noisy, images)


def denoise_manhattan(noisy, images, sigma):
    d = (noisy[:, None] - images).abs().flatten(2).sum(2)
    return _mix(torch.softmax(-d / (2 * sigma**2), 1), noisy, images)


def denoise_inverse_distance(noisy, images, sigma):
    w = 1 / _d(noisy, images)
    return _mix(w / w.sum(1, keepdim=True), noisy, images)


def denoise_divided_by_n(noisy, images, sigma):
    w = torch.exp(-_d(noisy, images) / (2 * sigma**2)) / len(images)
    return _mix(w, noisy, images)


def denoise_one_maximum(noisy, images, sigma):
    logits = -_d(noisy, images) / (2 * sigma**2)
    w = torch.exp(logits - logits.max())
    return _mix(w / w.sum(1, keepdim=True), noisy, images)


def denoise_normalised_over_all(noisy, images, sigma):
    w = torch.exp(-_d(noisy, images) / (2 * sigma**2))
    return _mix(w / w.sum(), noisy, images)


def denoise_half_way(noisy, images, sigma):
    best = _mix(torch.softmax(-_d(noisy, images) / (2 * sigma**2), 1), noisy, images)
    return (best + noisy) / 2


def denoise_one_image(noisy, images, sigma):
    return denoise_divided_by_n(noisy, images, sigma)[0]


def denoise_nothing(noisy, images, sigma):
    return noisy.clone()


def denoise_weights(noisy, images, sigma):
    return torch.softmax(-_d(noisy, images) / (2 * sigma**2), 1)


WRONG = {
    "explained-share": [
        (share_per_pixel_variance, "The largest deviation"),
        (share_of_rebuilt_variance, "`x` and `x_hat` are exchanged."),
        (share_upside_down, "A right answer with `spread.sum() / error.sum()` for `error.sum() /"),
        (share_not_squared, "The largest deviation"),
        (share_of_roots, "You took the root. The share is one of variance."),
        (share_in_per_cent, "All results are 100 times what they should be."),
        (
            share_as_correlation,
            "`x.mean()` is one grey for all pixels. Take a mean for each pixel,",
        ),
        (share_of_image_means, "The largest deviation"),
        (share_sum_and_mean, "All results are too small by (n − 1)."),
        (share_plus_one, "A right answer with the sign of `error.sum() / spread.sum()` turned"),
    ],
    "masking-error": [
        (mask_columns, "Pixels of an image are dropped together: whole columns. Draw the mask"),
        (mask_rows, "Pixels of an image are dropped together: whole rows. Draw the mask in"),
        (mask_exact_count, "Every image lost the same number of pixels, or nearly (36 of 144)."),
        (
            mask_exact_count_of_the_batch,
            "Exactly the same number of pixels was dropped in each of five calls.",
        ),
        (mask_whole_images, "Pixels of an image are dropped together"),
        (mask_patches, "Pixels of an image are dropped together"),
        (mask_pairs_of_images, "Images share their masks. Draw the mask in the shape of `x`."),
        (mask_with_ones, "No pixel is 0, and the pixels have changed: that is noise, or a"),
        (mask_squared_drop, "of the pixels were dropped, where drop is"),
        (mask_kept_only, "You counted the kept pixels only. Take all of them."),
        (
            mask_loss_of_the_batch,
            "One number came for the whole batch. `fit` averages; an objective",
        ),
        (mask_error_alone, "The dictionary needs a tensor 'loss'. It has ['squared_error']."),
    ],
    "best-denoiser": [
        (denoise_cubed, "The largest deviation"),
        (
            denoise_times_variance,
            "A right answer with `-d * (2 * sigma ** 2)` for `-d / (2 * sigma **",
        ),
        (denoise_manhattan, "You took absolute differences. The density has squares."),
        (
            denoise_inverse_distance,
            "You weighted by the inverse of the squared distance. By Bayes' rule",
        ),
        (
            denoise_divided_by_n,
            "The weights do not add up to 1: you divided by N. Divide by their sum",
        ),
        (denoise_one_maximum, "You subtracted the largest exponent of all noisy images."),
        (
            denoise_normalised_over_all,
            "You normalised over all pairs. For each noisy image the weights add",
        ),
        (denoise_half_way, "The largest deviation"),
        (denoise_one_image, "The first axis is gone: it was summed or averaged over, or taken"),
        (denoise_nothing, "Your result does not depend on `images` and `sigma`."),
        (denoise_weights, "came: a tensor of shape (4, 7)"),
    ],
}
