"""The exercises of chapter 3, the ELBO."""

from __future__ import annotations

import math

from vae_tutorial.checks.chapter_03_oracles import (
    beta_suspect,
    draw_gaussians,
    draw_images,
    draw_losses,
    image_sums,
    kl_oracle,
    kl_terms,
    laplace_oracle,
    laplace_terms,
    true_beta,
)
from vae_tutorial.checks.core import (
    Exercise,
    Property,
    Suspect,
    gradient,
    keeps_inputs,
    only_arguments,
)

_KL_SUSPECTS = (
    Suspect(
        lambda mu, logvar: kl_terms(mu, logvar).sum(),
        "You summed over the whole batch. Each image has its own divergence: sum over the latent "
        "dimensions only, `.sum(-1)`, and leave the mean over images to the loss.",
    ),
    Suspect(
        lambda mu, logvar: kl_terms(mu, logvar).sum(-1).mean(),
        "You averaged over the batch. Each image has its own divergence: return all of them, (B,).",
    ),
    Suspect(
        lambda mu, logvar: kl_terms(mu, logvar).mean(),
        "You averaged over batch and latents alike. The divergence is a sum over the latent "
        "dimensions, `.sum(-1)`, and each image has its own.",
    ),
    Suspect(
        lambda mu, logvar: kl_terms(mu, logvar).mean(-1),
        "You averaged over the latent dimensions. The divergence of independent variables is the "
        "sum of their divergences: `.sum(-1)`. With the mean, the KL weighs D times too little.",
    ),
    Suspect(
        lambda mu, logvar: kl_terms(mu, logvar).sum(0),
        "You summed over the images, the first axis. Sum over the latents, the last: `.sum(-1)`.",
    ),
    Suspect(
        kl_terms,
        "One number for each latent came. The divergence of an image is the sum of them: "
        "`.sum(-1)`.",
    ),
    Suspect(
        lambda mu, logvar: -kl_terms(mu, logvar).sum(-1),
        "The sign is wrong: these are minus the divergences. A divergence is never negative; "
        "Kingma and Welling's appendix B gives −KL, the term that is added to the bound.",
    ),
    Suspect(
        lambda mu, logvar: 2 * kl_terms(mu, logvar).sum(-1),
        "The factor ½ in front of the sum is missing: these are twice the right values.",
    ),
    Suspect(
        lambda mu, logvar: kl_terms(mu, 2 * logvar).sum(-1),
        "You took log σ for log σ²: `logvar` is the logarithm of the variance, so that "
        "`logvar.exp()` is σ² already, and not σ.",
    ),
    Suspect(
        lambda mu, logvar: 0.5 * (mu.square() + (0.5 * logvar).exp() - 1 - logvar).sum(-1),
        "You put the standard deviation where the variance belongs: σ² is `logvar.exp()`, and "
        "`(0.5 * logvar).exp()` is σ.",
    ),
    Suspect(
        lambda mu, logvar: 0.5 * (mu.square() + logvar.exp() - logvar).sum(-1),
        "The −1 is missing: your values are D/2 too large. For mu = 0 and logvar = 0 the two "
        "distributions are the same, and the divergence must be 0.",
    ),
    Suspect(
        lambda mu, logvar: kl_terms(mu, logvar).sum(-1) + 0.5 * (mu - mu.square()).sum(-1),
        "The mean is not squared. Then a code left of zero could cost less than nothing.",
    ),
    Suspect(
        lambda mu, logvar: 0.5 * (((1 + mu.square()) / logvar.exp()) - 1 + logvar).sum(-1),
        "That is the divergence the other way round, KL(N(0, I) ‖ q). The order of the two "
        "distributions matters.",
    ),
)


_LAPLACE_SUSPECTS = (
    Suspect(
        lambda x, x_hat, scale: laplace_terms(x, x_hat, scale).sum(),
        "You summed over the whole batch. Each image has its own number: sum over its pixels, "
        "`.flatten(1).sum(1)`.",
    ),
    Suspect(
        lambda x, x_hat, scale: image_sums(laplace_terms(x, x_hat, scale)).mean(),
        "You averaged over the batch. Each image has its own number: return all of them, (B,).",
    ),
    Suspect(
        lambda x, x_hat, scale: laplace_terms(x, x_hat, scale).mean(),
        "You averaged over batch and pixels alike. Each image has its own number, and it is a sum "
        "over its pixels.",
    ),
    Suspect(laplace_terms, "One number for each pixel came. The pixels of an image add up."),
    Suspect(
        lambda x, x_hat, scale: laplace_terms(x, x_hat, scale).flatten(1).mean(1),
        "You averaged over the pixels. Independent pixels multiply their densities, so their "
        "logarithms add up; the mean beside a summed KL is the trap of this chapter.",
    ),
    Suspect(
        lambda x, x_hat, scale: -image_sums(laplace_terms(x, x_hat, scale)),
        "The sign is wrong: that is log p(x | z), and minus it was asked for.",
    ),
    Suspect(
        lambda x, x_hat, scale: image_sums((x - x_hat).abs() / scale),
        "The constant is missing: the density has the factor 1/(2s) in front, for every pixel.",
    ),
    Suspect(
        lambda x, x_hat, scale: image_sums((x - x_hat).abs() / scale) + math.log(2 * scale),
        "The constant is there once for an image. Every pixel has its own factor 1/(2s).",
    ),
    Suspect(
        lambda x, x_hat, scale: image_sums((x - x_hat).abs() / scale + math.log(scale)),
        "The 2 of the factor 1/(2s) is missing: the constant of a pixel is log 2s, not log s.",
    ),
    Suspect(
        lambda x, x_hat, scale: image_sums((x - x_hat).abs() / scale - math.log(2 * scale)),
        "The constant has the wrong sign: minus log of 1/(2s) is plus log 2s.",
    ),
    Suspect(
        lambda x, x_hat, scale: image_sums((x - x_hat).abs() / (2 * scale) + math.log(2 * scale)),
        "The error is divided by s, not by 2s: the 2 of the density stands in front of the "
        "exponential, and not in the exponent.",
    ),
    Suspect(
        lambda x, x_hat, scale: image_sums((x - x_hat) / scale + math.log(2 * scale)),
        "The absolute value is missing: errors of different sign cancel.",
    ),
    Suspect(
        lambda x, x_hat, scale: image_sums(
            (x - x_hat).square() / (2 * scale**2) + 0.5 * math.log(2 * math.pi * scale**2)
        ),
        "That is the energy of a Gaussian. A Laplace density has the absolute error, not the "
        "squared one, in its exponent.",
    ),
    Suspect(
        lambda x, x_hat, scale: image_sums(laplace_terms(x, x_hat, scale)).neg().exp(),
        "That is the density itself. Its logarithm was asked for, with a minus in front.",
    ),
)

_BETA_SUSPECTS = (
    beta_suspect(
        lambda base, error, kl, n, D: ((error - base) / n) / ((kl - base) / D),
        "That is 1/β: the slope in the error divided by the slope in the KL. β is the weight of "
        "the KL.",
    ),
    beta_suspect(
        lambda base, error, kl, n, D: 2 * ((kl - base) / D) / ((error - base) / n),
        "That is twice the right value: it is the weight against the whole squared error. The "
        "convention is ½‖x − x̂‖² + β KL, and half of the squared error is n/2 where every pixel "
        "is off by 1.",
    ),
    beta_suspect(
        lambda base, error, kl, n, D: 0.5 * ((kl - base) / D) / ((error - base) / n),
        "That is half of the right value: with mu = 1 and logvar = 0 the KL is ½ for each latent "
        "dimension, D/2 in all, and not D.",
    ),
    beta_suspect(
        lambda base, error, kl, n, D: (kl - base) / (error - base),
        "That is the quotient of two changes of the loss, and it depends on how far your inputs "
        "were moved. Divide each change by the change of its term: n/2 for half the squared error, "
        "D/2 for the KL.",
    ),
    beta_suspect(
        lambda base, error, kl, n, D: (kl - base) / (D / 2) / (error - base),
        "You divided the change of the loss by the KL, but not by the squared error: with every "
        "pixel off by 1, half of it is n/2.",
    ),
    beta_suspect(
        lambda base, error, kl, n, D: (kl / D) / (error / n),
        "The loss has a constant, which is in both of your values. Call it once where error and KL "
        "are zero, and subtract that.",
    ),
    beta_suspect(
        lambda base, error, kl, n, D: (kl - base) / (D / 2),
        "That is the weight of the KL alone. What counts is its weight beside that of the squared "
        "error.",
    ),
    beta_suspect(
        lambda base, error, kl, n, D: (kl - base) / (error - base) * n,
        "You divided the change of the loss by the squared error, but not by the KL: with mu = 1 "
        "and logvar = 0 that is D/2. And half of the squared error is n/2.",
    ),
    Suspect(lambda loss, n, D: 1.0, "A β of 1 comes for every loss. Call the loss and see."),
)

_SUMS = ((False, False), (False, False))  # whether a loss averages over pixels, over latents
_MEANS = ((True, False), (False, True), (True, True))
_draw_sums, _draw_means = draw_losses(_SUMS, constant=False), draw_losses(_MEANS, constant=False)
_draw_constants = draw_losses(_SUMS + _MEANS, constant=True)

EXERCISES = (
    Exercise(
        name="laplace-energy",
        call_as="laplace_energy(x, x_hat, scale)",
        returns="minus the log-likelihood of each image, (B,)",
        inputs=draw_images,
        oracle=laplace_oracle,
        properties=(
            Property("it is minus the log-likelihood of each image, in nats", 5),
            gradient(3, "its gradient reaches x and x_hat"),
            keeps_inputs(1),
            only_arguments(1),
        ),
        suspects=_LAPLACE_SUSPECTS,
    ),
    Exercise(
        name="kl",
        call_as="my_kl(mu, logvar)",
        returns="the divergence of each image, (B,)",
        inputs=draw_gaussians,
        oracle=kl_oracle,
        properties=(
            Property("it is the divergence of each image, in nats", 5),
            gradient(3, "its gradient reaches mu and logvar"),
            keeps_inputs(1),
            only_arguments(1),
        ),
        suspects=_KL_SUSPECTS,
    ),
    Exercise(
        name="hidden-beta",
        call_as="hidden_beta(loss, n, D)",
        returns="one number, the β that the loss trains",
        inputs=_draw_sums,
        oracle=true_beta,
        properties=(
            Property("the β of losses that sum over pixels and latents", 3, rtol=1e-2),
            Property("the β of losses that average", 4, inputs=_draw_means, rtol=1e-2),
            Property("the β of losses with a constant", 2, inputs=_draw_constants, rtol=1e-2),
            only_arguments(1),
        ),
        suspects=_BETA_SUSPECTS,
    ),
)
