"""The table of codes: what each finding means, how grave it is, and what to do about it.

The order is that in which causes are named: what keeps a model from running, then the sampler,
gradients, the terms of the loss, their weights, and what is only worth knowing.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """How grave a finding is, its likely cause, the remedy, and where the book explains it."""

    severity: str
    cause: str
    remedy: str
    link: str


CODES: dict[str, Code] = {
    "exception": Code(
        "fault",
        "The model or the loss raises an error on ordinary data.",
        "Read the message; run the model on one batch of the shape that the data have.",
        "chapters/05_conv_vae.html",
    ),
    "encode-decode-mismatch": Code(
        "fault",
        "The latent sizes of encoder, sampler and decoder do not fit together.",
        "Use one latent_dim everywhere.",
        "chapters/05_conv_vae.html",
    ),
    "output-shape": Code(
        "fault",
        "The reconstruction does not have the shape of the data.",
        "Follow the shapes through the decoder; its last layer must end at the size of x.",
        "chapters/05_conv_vae.html",
    ),
    "fixed-input-size": Code(
        "fault",
        "A size is written into the code, so other data or another batch size fail.",
        "Take sizes from x.shape or from the constructor's arguments.",
        "chapters/05_conv_vae.html",
    ),
    "mode-changed": Code(
        "fault",
        "forward or the loss switches between train and eval and leaves it so.",
        "Leave train() and eval() to the training loop, or put the mode back.",
        "chapters/05_conv_vae.html",
    ),
    "parameters-changed": Code(
        "fault",
        "forward or the loss changes the weights.",
        "Only the optimiser may change weights.",
        "chapters/05_conv_vae.html",
    ),
    "non-finite": Code(
        "fault",
        "NaN or infinity appears on ordinary data.",
        "Find the first operation that is not finite: a log of zero, an overflow, a division.",
        "chapters/05_conv_vae.html",
    ),
    "shared-head": Code(
        "fault",
        "μ and the log-variance are the same numbers: both come from one layer.",
        "Give each its own linear layer, or one layer of width 2D that is cut in two.",
        "chapters/04_reparameterization.html",
    ),
    "sample-ignores-encoder": Code(
        "fault",
        "z is drawn without regard to μ and the log-variance.",
        "z = mu + exp(0.5 * logvar) * eps.",
        "chapters/04_reparameterization.html",
    ),
    "sample-ignores-mu": Code(
        "fault",
        "z does not depend on μ.",
        "z = mu + exp(0.5 * logvar) * eps.",
        "chapters/04_reparameterization.html",
    ),
    "sample-ignores-logvar": Code(
        "fault",
        "The spread of z does not depend on the log-variance.",
        "z = mu + exp(0.5 * logvar) * eps.",
        "chapters/04_reparameterization.html",
    ),
    "no-noise": Code(
        "fault",
        "z is no random draw, so this is an autoencoder with a penalty.",
        "Draw eps = torch.randn_like(mu) in training.",
        "chapters/04_reparameterization.html",
    ),
    "noise-shared": Code(
        "fault",
        "The noise is not an independent standard normal number for each entry of z.",
        "eps = torch.randn_like(mu), afresh in every call.",
        "chapters/04_reparameterization.html",
    ),
    "exp-logvar-as-std": Code(
        "fault",
        "The sampler takes exp(logvar) for σ, while the KL reads the output as log σ².",
        "std = exp(0.5 * logvar).",
        "chapters/04_reparameterization.html",
    ),
    "logstd-as-logvar": Code(
        "fault",
        "Sampler and KL read the encoder's output differently: one as log σ², the other as log σ.",
        "Choose one meaning; with log σ², std = exp(0.5 * logvar).",
        "chapters/04_reparameterization.html",
    ),
    "std-as-logvar": Code(
        "fault",
        "A standard deviation is put where a log-variance belongs, or the reverse.",
        "Choose one meaning in sampler and KL: logvar = 2 * std.log().",
        "chapters/04_reparameterization.html",
    ),
    "logvar-nonnegative": Code(
        "fault",
        "The log-variance can never be negative, so q is never narrower than the prior.",
        "End the log-variance with a linear layer.",
        "chapters/04_reparameterization.html",
    ),
    "mu-nonnegative": Code(
        "fault",
        "μ can never be negative.",
        "End μ with a linear layer, without an activation.",
        "chapters/04_reparameterization.html",
    ),
    "gradient-cut": Code(
        "fault",
        "The value of the reconstruction depends on the encoder, but no gradient gets there.",
        "Remove detach, no_grad, .data or numpy on the way; draw z by reparameterization.",
        "chapters/04_reparameterization.html",
    ),
    "gradient-cut-kl": Code(
        "fault",
        "No gradient of the KL reaches the encoder.",
        "Compute the KL from mu and logvar themselves, without detach or .item().",
        "chapters/04_reparameterization.html",
    ),
    "target-wrong": Code(
        "fault",
        "The reconstruction is compared with something else than x.",
        "Pass x itself as the target, in the same order.",
        "chapters/03_elbo.html",
    ),
    "reconstruction-missing": Code(
        "fault",
        "The loss does not depend on the reconstruction.",
        "Add −log p(x|z) to the loss.",
        "chapters/03_elbo.html",
    ),
    "encoder-unused": Code(
        "fault",
        "Weights of the encoder get no gradient from the loss.",
        "Make sure that what they compute is used.",
        "chapters/05_conv_vae.html",
    ),
    "decoder-unused": Code(
        "fault",
        "Weights of the decoder get no gradient from the loss.",
        "Make sure that what they compute is used.",
        "chapters/05_conv_vae.html",
    ),
    "data-out-of-range": Code(
        "fault",
        "A Bernoulli likelihood is used on data outside [0, 1].",
        "Scale the data to [0, 1], or use a Gaussian likelihood.",
        "chapters/05_conv_vae.html",
    ),
    "double-sigmoid": Code(
        "fault",
        "A sigmoid is applied twice: the loss wants logits and gets probabilities.",
        "Leave the sigmoid out of the decoder, or use a loss on probabilities.",
        "chapters/03_elbo.html",
    ),
    "logits-as-probabilities": Code(
        "fault",
        "The loss wants probabilities, and the decoder returns unbounded numbers.",
        "Use binary_cross_entropy_with_logits, or end the decoder with a sigmoid.",
        "chapters/03_elbo.html",
    ),
    "iwae-worst-sample": Code(
        "fault",
        "The importance weights prefer the worst sample.",
        "Weights are softmax(log_w), with log_w = log p(x, z) − log q(z|x).",
        "chapters/06_measuring.html",
    ),
    "iwae-mean-of-logs": Code(
        "fault",
        "The mean of the log-weights is taken in place of the log of their mean.",
        "torch.logsumexp(log_w, 0) − log K.",
        "chapters/06_measuring.html",
    ),
    "reconstruction-sign": Code(
        "fault",
        "The reconstruction term has the wrong sign: training makes reconstructions worse.",
        "The loss is −log p(x|z) + KL.",
        "chapters/03_elbo.html",
    ),
    "wrong-likelihood": Code(
        "fault",
        "The reconstruction term is not the log-likelihood of any model of these data.",
        "Use the Bernoulli or Gaussian log-likelihood, summed over pixels.",
        "chapters/03_elbo.html",
    ),
    "kl-sign": Code(
        "fault",
        "The KL has the wrong sign: training pushes q away from the prior.",
        "The loss is −log p(x|z) + KL.",
        "chapters/03_elbo.html",
    ),
    "kl-missing": Code(
        "fault",
        "There is no KL in the loss, so nothing keeps q near the prior.",
        "Add −0.5 * (1 + logvar − mu² − exp(logvar)), summed over latents.",
        "chapters/03_elbo.html",
    ),
    "kl-part-missing": Code(
        "fault",
        "A term of the KL is missing or wrong, so its minimum is not the prior.",
        "KL = 0.5 * (mu² + exp(logvar) − 1 − logvar), summed over latents.",
        "chapters/03_elbo.html",
    ),
    "kl-wrong-prior": Code(
        "fault",
        "The KL is smallest at another Gaussian than the prior N(0, I).",
        "Use the same prior in the KL and in the sampler.",
        "chapters/03_elbo.html",
    ),
    "kl-constant": Code(
        "warning",
        "The KL is off by a constant, so the reported bound is wrong, though gradients are right.",
        "Do not forget the −1.",
        "chapters/03_elbo.html",
    ),
    "batch-reduction-mixed": Code(
        "fault",
        "One term is summed over the batch, the other averaged: β changes with its size.",
        "Sum over pixels and latents first, then average both over the batch.",
        "chapters/03_elbo.html",
    ),
    "reconstruction-averaged": Code(
        "fault",
        "The reconstruction is averaged over pixels beside a summed KL: a hidden β.",
        "Sum over pixels.",
        "chapters/03_elbo.html",
    ),
    "kl-averaged-over-latents": Code(
        "fault",
        "The KL is averaged over latent dimensions: a hidden β of 1/D.",
        "Sum over latent dimensions.",
        "chapters/03_elbo.html",
    ),
    "kl-averaged-over-pixels": Code(
        "fault",
        "The KL is divided by the number of pixels beside a summed reconstruction: a hidden β.",
        "Divide both terms by the same number, or none.",
        "chapters/03_elbo.html",
    ),
    "kl-without-half": Code(
        "fault",
        "The KL lacks its factor ½: a hidden β of 2.",
        "KL = 0.5 * (mu² + exp(logvar) − 1 − logvar).",
        "chapters/03_elbo.html",
    ),
    "hidden-beta": Code(
        "fault",
        "The weight of the KL is not the declared one.",
        "State β in the code, and report it.",
        "chapters/03_elbo.html",
    ),
    "examples-coupled": Code(
        "fault",
        "The loss of one example depends on the others in the batch.",
        "Sum over an example's own pixels and latents only; average over the batch last.",
        "chapters/03_elbo.html",
    ),
    "logvar-overflow": Code(
        "fault",
        "The loss or the sample is not finite at an extreme log-variance.",
        "Work with logvar, never with log(exp(…)); clamp it if need be.",
        "chapters/04_reparameterization.html",
    ),
    "log-saturates": Code(
        "fault",
        "The loss is not finite where a pixel is saturated: a logarithm of zero.",
        "Use binary_cross_entropy_with_logits.",
        "chapters/05_conv_vae.html",
    ),
    "no-zero-grad": Code(
        "fault",
        "Gradients add up from batch to batch.",
        "Call optimiser.zero_grad() before each backward().",
        "chapters/05_conv_vae.html",
    ),
    "scheduler-wrong": Code(
        "fault",
        "The schedule is never stepped, stepped before the optimiser, or in every batch.",
        "Call scheduler.step() once an epoch, after the optimiser's steps.",
        "chapters/05_conv_vae.html",
    ),
    "last-batch-reported": Code(
        "fault",
        "The loss of the last batch is reported as the epoch's.",
        "Report the mean over all examples.",
        "chapters/05_conv_vae.html",
    ),
    "eval-at-mean": Code(
        "warning",
        "In eval mode the reconstruction is taken at the mean, so the loss there is no ELBO.",
        "Draw z in eval mode too when the bound is reported.",
        "chapters/05_conv_vae.html",
    ),
    "posterior-collapsed": Code(
        "warning",
        "The KL of every latent dimension is nearly 0: the code carries nothing.",
        "Anneal β, use free bits, or make the decoder weaker.",
        "chapters/06_measuring.html",
    ),
    "dead-outputs": Code(
        "warning",
        "Outputs never change, whatever goes in.",
        "Look for a ReLU at the end, a saturated sigmoid, or weights that are not used.",
        "chapters/05_conv_vae.html",
    ),
    "batchnorm-in-bound": Code(
        "warning",
        "Batch normalisation makes an example's bound depend on the batch.",
        "Report the bound in eval mode, or use another normalisation.",
        "chapters/05_conv_vae.html",
    ),
    "dropout-in-bound": Code(
        "note",
        "Dropout adds noise to the bound.",
        "Report the bound in eval mode.",
        "chapters/05_conv_vae.html",
    ),
    "loss-sum-over-batch": Code(
        "note",
        "The loss is a sum over the batch, so it and its gradients grow with the batch.",
        "Average over the batch last.",
        "chapters/03_elbo.html",
    ),
    "bernoulli-on-grey": Code(
        "note",
        "A Bernoulli likelihood is used on grey values; the loss is then no −log p(x).",
        "Binarise the data, or say that it is a bound for their expectation.",
        "chapters/05_conv_vae.html",
    ),
}

WRONG_KL = ("kl-constant", "kl-without-half", "hidden-beta", "kl-averaged-over-latents",
            "kl-averaged-over-pixels", "reconstruction-averaged")  # fmt: skip

EXPLAINS: dict[str, tuple[str, ...]] = {
    "shared-head": ("encoder-unused", "sample-ignores-mu", "sample-ignores-logvar"),
    "parameters-changed": ("gradient-cut-kl",),
    "gradient-cut": ("gradient-cut-kl", "encoder-unused"),
    "target-wrong": ("wrong-likelihood",),
    "examples-coupled": ("wrong-likelihood",),
    "reconstruction-missing": ("decoder-unused",),
    "decoder-unused": ("wrong-likelihood",),
    "kl-part-missing": WRONG_KL,
    "kl-wrong-prior": WRONG_KL,
    "kl-sign": WRONG_KL,
    "std-as-logvar": WRONG_KL,
    "logstd-as-logvar": WRONG_KL,
}
"""What follows from a finding, and is not reported beside it: a KL of the wrong form has no weight
that could be right or wrong, say."""

ORDER = {code: number for number, code in enumerate(CODES)}
