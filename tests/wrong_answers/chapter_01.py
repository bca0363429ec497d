"""Wrong answers to the exercises of chapter 1."""

import torch
from torch.nn import functional as F


def share_left(x, x_hat):
    return F.mse_loss(x_hat, x) / x.var(0, correction=0).mean()


def share_of_power(x, x_hat):
    return 1 - ((x - x_hat) ** 2).sum() / (x**2).sum()


def share_one_grey(x, x_hat):
    return 1 - F.mse_loss(x_hat, x) / x.var(correction=0)


def share_mean_of_pixels(x, x_hat):
    error = ((x - x_hat) ** 2).mean(0)
    return (1 - error / x.var(0, correction=0)).mean()


def share_mean_of_images(x, x_hat):
    B, m = x.shape[0], x.mean(0, keepdim=True)
    error = ((x - x_hat) ** 2).view(B, -1).mean(1)
    return (1 - error / ((x - m) ** 2).view(B, -1).mean(1)).mean()


def share_mean_and_sum(x, x_hat):
    return 1 - F.mse_loss(x_hat, x) / x.var(0, correction=0).sum()


def share_unbiased(x, x_hat):
    error = ((x - x_hat) ** 2).flatten(1).sum(1).mean()
    return 1 - error / torch.var(x, dim=0).sum()


def share_other_mean(x, x_hat):
    return 1 - ((x - x_hat) ** 2).sum() / ((x - x_hat.mean(0)) ** 2).sum()


def share_of_spreads(x, x_hat):
    return x_hat.var(0).sum() / x.var(0).sum()


def share_absolute(x, x_hat):
    return 1 - F.l1_loss(x_hat, x) / F.l1_loss(x.mean(0).expand_as(x), x)


def share_each_image(x, x_hat):
    m = x.mean(0)
    error = torch.sum((x - x_hat) ** 2, dim=(1, 2, 3))
    return 1 - error / torch.sum((x - m) ** 2, dim=(1, 2, 3))


def share_in_place(x, x_hat):
    x_hat -= x
    return 1 - x_hat.pow(2).sum() / (x - x.mean(0)).pow(2).sum()


def _objective(rebuilt, target):
    squared_error = (rebuilt - target).pow(2).flatten(1).sum(1)
    return {"loss": squared_error / 2, "squared_error": squared_error}


def _mask(x, drop):
    return (torch.rand(x.shape) >= drop).float()


def mask_unused(model, x, drop=0.5):
    (x * _mask(x, drop)).mean()
    return _objective(model(x), x)


def mask_dropout(model, x, drop=0.5):
    return _objective(model(F.dropout(x, drop)), x)


def mask_noise(model, x, drop=0.5):
    return _objective(model(x + drop * torch.randn_like(x)), x)


def mask_everything(model, x, drop=0.5):
    return _objective(model(x * (torch.rand_like(x) > 1 + drop)), x)


def mask_turned(model, x, drop=0.5):
    return _objective(model(x * (torch.rand_like(x) < drop)), x)


def mask_always_half(model, x, drop=0.5):
    return _objective(model(torch.where(torch.rand_like(x) < 0.5, 0.0, x)), x)


def mask_fixed(model, x, drop=0.5):
    torch.manual_seed(0)
    return _objective(model(x * _mask(x, drop)), x)


def mask_shared(model, x, drop=0.5):
    return _objective(model(x * _mask(x[:1], drop)), x)


def mask_on_target(model, x, drop=0.5):
    x = x * _mask(x, drop)
    return _objective(model(x), x)


def mask_dropped_only(model, x, drop=0.5):
    keep = _mask(x, drop)
    return _objective(model(x * keep) * (1 - keep), x * (1 - keep))


def mask_mean(model, x, drop=0.5):
    squared_error = (model(x * _mask(x, drop)) - x).pow(2).mean((1, 2, 3))
    return {"loss": squared_error / 2, "squared_error": squared_error}


def mask_distance(model, x, drop=0.5):
    away = torch.linalg.vector_norm(model(x * _mask(x, drop)) - x, dim=(1, 2, 3))
    return {"loss": away / 2, "squared_error": away}


def mask_absolute(model, x, drop=0.5):
    error = torch.abs(model(x * _mask(x, drop)) - x).flatten(1).sum(1)
    return {"loss": 0.5 * error, "squared_error": error}


def mask_halved_twice(model, x, drop=0.5):
    loss = 0.5 * (model(x * _mask(x, drop)) - x).pow(2).flatten(1).sum(1)
    return {"loss": loss, "squared_error": loss}


def mask_no_half(model, x, drop=0.5):
    terms = _objective(model(x * _mask(x, drop)), x)
    return {"loss": terms["squared_error"], "squared_error": terms["squared_error"]}


def mask_one_number(model, x, drop=0.5):
    return {key: value.mean() for key, value in _objective(model(x * _mask(x, drop)), x).items()}


def mask_each_pixel(model, x, drop=0.5):
    error = (model(x * _mask(x, drop)) - x) ** 2
    return {"loss": 0.5 * error, "squared_error": error}


def mask_loss_alone(model, x, drop=0.5):
    return _objective(model(x * _mask(x, drop)), x)["loss"]


def mask_no_grad(model, x, drop=0.5):
    with torch.no_grad():
        rebuilt = model(x * _mask(x, drop))
    return _objective(rebuilt, x)


def mask_in_place(model, x, drop=0.5):
    clean = x.clone()
    x[torch.rand_like(x) < drop] = 0
    return _objective(model(x), clean)


def _distances(noisy, images):
    return torch.cdist(noisy.flatten(1), images.flatten(1)) ** 2


def _mixed(weights, images):
    return torch.einsum("bn,nchw->bchw", weights, images)


def denoise_two_sigma(noisy, images, sigma):
    return _mixed(F.softmax(-_distances(noisy, images) / 2 / sigma, dim=1), images)


def denoise_no_half(noisy, images, sigma):
    return _mixed(F.softmax(-_distances(noisy, images) / sigma**2, dim=1), images)


def denoise_no_sigma(noisy, images, sigma):
    return _mixed(F.softmax(-_distances(noisy, images), dim=1), images)


def denoise_by_distance(noisy, images, sigma):
    away = torch.cdist(noisy.flatten(1), images.flatten(1))
    return _mixed(F.softmax(-0.5 * away / sigma**2, dim=1), images)


def denoise_mean_square(noisy, images, sigma):
    away = (noisy[:, None] - images[None]).pow(2).mean((2, 3, 4))
    return _mixed(F.softmax(-0.5 * away / sigma**2, dim=1), images)


def denoise_unnormalised(noisy, images, sigma):
    return _mixed(torch.exp(-_distances(noisy, images) / (2 * sigma**2)), images)


def denoise_wrong_axis(noisy, images, sigma):
    return _mixed(F.softmax(-_distances(noisy, images) / (2 * sigma**2), dim=0), images)


def denoise_sign(noisy, images, sigma):
    return _mixed(F.softmax(_distances(noisy, images) / (2 * sigma**2), dim=1), images)


def denoise_nearest(noisy, images, sigma):
    return images[_distances(noisy, images).argmin(1)]


def denoise_mean(noisy, images, sigma):
    return images.mean(0, keepdim=True).repeat(len(noisy), 1, 1, 1)


def denoise_correction(noisy, images, sigma):
    weights = F.softmax(-_distances(noisy, images) / (2 * sigma**2), dim=1)
    return _mixed(weights, images) - noisy


def denoise_score(noisy, images, sigma):
    return denoise_correction(noisy, images, sigma) / sigma**2


def denoise_underflow(noisy, images, sigma):
    p = torch.exp(-_distances(noisy, images) / (2 * sigma**2))
    return _mixed(p / p.sum(dim=1, keepdim=True), images)


def denoise_flat(noisy, images, sigma):
    weights = F.softmax(-_distances(noisy, images) / (2 * sigma**2), dim=1)
    return weights @ images.flatten(1)


WRONG = {
    "explained-share": [
        (share_left, "the share that is left over"),
        (share_of_power, "You divided by the squares of the pixels. Subtract `x.mean(0)` first."),
        (share_one_grey, "one grey for all pixels"),
        (share_mean_of_pixels, "You averaged the shares of the pixels"),
        (share_mean_of_images, "You averaged the shares of the images"),
        (share_mean_and_sum, "The error is a mean over pixels and the variance a sum"),
        (share_unbiased, "divides by N − 1"),
        (share_other_mean, "the mean of the reconstructions"),
        (share_of_spreads, "how much the two sets vary"),
        (share_absolute, "You took absolute differences"),
        (share_each_image, "That is one number for each image"),
        (share_in_place, "Argument 2 is changed in place"),
    ],
    "masking-error": [
        (mask_unused, "The model saw the clean images"),
        (mask_dropout, "divided by 1 − drop"),
        (mask_noise, "No pixel is 0, and the pixels have changed: that is noise, or a"),
        (mask_everything, "Every pixel was dropped"),
        (mask_turned, "the mask keeps what it should drop"),
        (mask_always_half, "whatever `drop` says"),
        (mask_fixed, "Two calls used the same masks"),
        (mask_shared, "All images of the batch got the same mask"),
        (mask_on_target, "You compared with the masked image"),
        (mask_dropped_only, "You counted the dropped pixels only"),
        (mask_mean, "You averaged over the pixels"),
        (mask_distance, "That is the distance, not its square"),
        (mask_absolute, "You summed absolute differences"),
        (mask_halved_twice, "The ½ belongs to the loss"),
        (mask_no_half, "The loss is the whole squared error"),
        (mask_one_number, "One number came for the whole batch"),
        (mask_each_pixel, "The error of each pixel came"),
        (mask_loss_alone, "where a dictionary is expected"),
        (mask_no_grad, "No gradient reaches the model"),
        (mask_in_place, "Argument 2 is changed in place"),
    ],
    "best-denoiser": [
        (denoise_two_sigma, "You divided by 2σ. The exponent has the variance, 2σ²."),
        (denoise_no_half, "The ½ is missing in the exponent"),
        (denoise_no_sigma, "σ is not used"),
        (denoise_by_distance, "You took the distance"),
        (denoise_mean_square, "You averaged the squares over the pixels"),
        (denoise_unnormalised, "The weights do not add up to 1"),
        (denoise_wrong_axis, "You normalised over the noisy images"),
        (denoise_sign, "The sign is turned round"),
        (denoise_nearest, "That is the nearest image"),
        (denoise_mean, "That is the mean of all images"),
        (denoise_correction, "That is the correction"),
        (denoise_score, "That is the score"),
        (denoise_underflow, "0/0 is NaN"),
        (denoise_flat, "a tensor of shape"),
    ],
}
