"""The exercises of chapter 9, labels: all, few or none."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_tutorial.checks.compare import doubles
from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs

# ---- the bound of an image without a label


def _draw_bounds(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Logits of q(y | x) and bounds L(x, y), each `(B, C)`."""
    return [
        (2 * torch.randn(B, C, generator=rng), 3 * torch.randn(B, C, generator=rng) - 90)
        for B, C in ((4, 3), (6, 10), (3, 2))
    ]


def _draw_sure(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """The same, with classifiers so sure that other labels have probability zero in float64."""
    cases = []
    for logits, joint in _draw_bounds(rng):
        sure = logits.clone()
        sure[torch.arange(len(sure)), torch.randint(sure.shape[1], (len(sure),), generator=rng)] = (
            2000.0
        )
        cases.append((sure, joint))
    return cases


def unlabelled_bound(logits: Tensor, joint: Tensor) -> Tensor:
    log_q = logits.log_softmax(1)
    entropy = -(log_q.exp() * log_q).sum(1)
    return (log_q.exp() * joint).sum(1) + entropy


_UNLABELLED = Exercise(
    name="unlabelled-bound",
    call_as="unlabelled_bound(logits, joint)",
    returns="the bound U of each image, (B,)",
    inputs=_draw_bounds,
    answer=unlabelled_bound,
    sizes=lambda logits, joint: {"B": len(logits), "C": logits.shape[1]},
    properties=(
        Property("U of each image", 5),
        Property("a classifier that is quite sure", 2, inputs=_draw_sure),
        keeps_inputs(),
    ),
    slips=(
        (" + entropy", "",
         "The entropy of q(y | x) is missing: that is the mean of L over the labels alone."),
        (" + entropy", " - entropy",
         "The entropy has the wrong sign. Being unsure costs nothing: the entropy raises U."),
        ("-(log_q.exp() * log_q)", "-log_q",
         "The entropy weighs −log q(y | x) with q(y | x). Your sum has no weights."),
        (" + entropy", " + entropy - torch.log(torch.tensor(float(logits.shape[1])))",
         "log p(y) came twice: L(x, y) holds it already."),
        ("log_softmax(1)", "log_softmax(0)",
         "The softmax runs over the images. Probabilities add up to 1 over the labels, axis 1."),
        ("(log_q.exp() * joint).sum(1)", "joint.mean(1)",
         "The labels count equally. Weigh each L with q(y | x)."),
        ("(log_q.exp() * joint).sum(1)", "joint.logsumexp(1)",
         "That is log Σ exp L, the best that any q could reach, and not U of this q."),
        ("(log_q.exp() * joint).sum(1)", "joint.gather(1, logits.argmax(1)[:, None])[:, 0]",
         "Only the likeliest label counts. U sums over all of them."),
        ("return (log_q", "return -(log_q", "The first part has the wrong sign."),
        ("logits.log_softmax(1)", "logits",
         "Logits are no log-probabilities: they need a log_softmax over the labels."),
        (" + entropy", " + entropy / torch.tensor(2.0).log()",
         "The entropy is in bits, and L in nats: take the natural logarithm."),
    ),
    suspects=(
        Suspect(
            lambda logits, joint: (
                logits.softmax(1) * (joint - logits.softmax(1).log())
            ).sum(1),
            "A label with probability zero gives 0 · log 0, which is NaN. Take log_softmax, whose "
            "logarithm stays finite.",
        ),
        Suspect(
            lambda logits, joint: (
                joint.exp() * logits.softmax(1)
            ).sum(1).log(),
            "That is log Σ q exp L. The logarithm stands inside the sum: Σ q (L − log q).",
        ),
        Suspect(
            lambda logits, joint: joint.logsumexp(1),
            "That is log Σ exp L, the best that any q could reach, and not U of this q.",
        ),
    ),
)  # fmt: skip


# ---- Bayes' rule


def _draw_likelihoods(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """log p(x | y) `(B, C)` of images with hundreds of nats, and log p(y) `(C,)`."""
    return [
        (2 * torch.randn(B, C, generator=rng) - 4,
         torch.randn(C, generator=rng).log_softmax(0))
        for B, C in ((4, 3), (5, 10), (3, 2))
    ]  # fmt: skip


def _draw_far_likelihoods(rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    return [(each - 1500, prior) for each, prior in _draw_likelihoods(rng)]


def label_posterior(log_px: Tensor, log_prior: Tensor) -> Tensor:
    joint = log_px + log_prior
    return joint - joint.logsumexp(1, keepdim=True)


_BAYES = Exercise(
    name="label-posterior",
    call_as="label_posterior(log_px, log_prior)",
    returns="log p(y | x) of each image and label, (B, C)",
    inputs=_draw_likelihoods,
    answer=label_posterior,
    sizes=lambda log_px, log_prior: {"B": len(log_px), "C": len(log_prior)},
    properties=(
        Property("log p(y | x) of each label", 5),
        Property("images of −1,500 nats", 2, inputs=_draw_far_likelihoods, atol=1e-3),
        keeps_inputs(),
    ),
    slips=(
        ("log_px + log_prior", "log_px",
         "The prior p(y) is missing. Bayes' rule multiplies p(x | y) with it."),
        ("log_px + log_prior", "log_px + log_prior.exp()",
         "The prior was added as a probability. Logarithms add: log p(x | y) + log p(y)."),
        (" - joint.logsumexp(1, keepdim=True)", "",
         "That is log p(x, y). Divide by p(x), the sum over the labels."),
        (".logsumexp(1, keepdim=True)", ".logsumexp(0, keepdim=True)",
         "You normalise over the images. The probabilities of one image's labels add up to 1."),
        (".logsumexp(1, keepdim=True)", ".logsumexp((0, 1), keepdim=True)",
         "One p(x) for all images together. Each image has its own."),
        ("joint - joint.logsumexp(1, keepdim=True)",
         "(joint - joint.logsumexp(1, keepdim=True)).exp()",
         "These are probabilities. Return their logarithms."),
        ("joint.logsumexp(1, keepdim=True)", "log_px.logsumexp(1, keepdim=True)",
         "p(x) is the sum of p(x | y) p(y). You left p(y) out of the sum."),
        ("joint.logsumexp(1, keepdim=True)", "joint.amax(1, keepdim=True)",
         "The largest was subtracted, and nothing else: the probabilities do not add up to 1."),
        ("log_px + log_prior", "log_px * log_prior",
         "You multiplied the logarithms. The product of probabilities is a sum of logarithms."),
        ("joint - joint.logsumexp(1, keepdim=True)", "joint / joint.sum(1, keepdim=True)",
         "You divided logarithms. To divide by p(x), subtract log p(x)."),
        ("joint.logsumexp(1, keepdim=True)", "joint.sum(1, keepdim=True)",
         "A sum of logarithms is not the logarithm of a sum: torch.logsumexp."),
    ),
    suspects=(
        Suspect(
            lambda log_px, log_prior: (
                (log_px + log_prior).exp() / (log_px + log_prior).exp().sum(1, keepdim=True)
            ).log(),
            "exp(−1500) is zero, and 0 / 0 is NaN. Stay with logarithms: torch.logsumexp.",
        ),
        Suspect(
            lambda log_px, log_prior: (log_px + log_prior).argmax(1),
            "That is the likeliest label. Return log p(y | x) of all labels.",
        ),
    ),
)  # fmt: skip


# ---- what moves the classifier


def classifier_gradient(logits: Tensor, joint: Tensor) -> Tensor:
    log_q = logits.log_softmax(1)
    q = log_q.exp()
    reward = joint - log_q
    return q * (reward - (q * reward).sum(1, keepdim=True))


_GRADIENT = Exercise(
    name="classifier-gradient",
    call_as="classifier_gradient(logits, joint)",
    returns="∂U/∂logits of each image, (B, C)",
    inputs=_draw_bounds,
    answer=classifier_gradient,
    sizes=lambda logits, joint: {"B": len(logits), "C": logits.shape[1]},
    properties=(
        Property("the gradient of each image", 5),
        Property("it sums to zero over the labels", 1,
                 lambda f, logits, joint: doubles(f(logits, joint)).sum(1), atol=1e-4),
        keeps_inputs(),
    ),
    slips=(
        (" - (q * reward).sum(1, keepdim=True)", "",
         "The average over the labels is missing. All labels cannot become likelier at once: the "
         "gradient adds up to zero."),
        ("joint - log_q", "joint",
         "The entropy sends a gradient as well: the reward of a label is L − log q(y | x)."),
        ("joint - log_q", "joint + log_q",
         "The entropy has the wrong sign: the reward of a label is L − log q(y | x)."),
        ("return q * (", "return (", "Each label's share q(y | x) is missing as a factor."),
        ("return q * (", "return -q * (",
         "The sign: that is the gradient of the loss −U."),
        ("(q * reward).sum(1, keepdim=True)", "reward.mean(1, keepdim=True)",
         "Subtract the average under q(y | x), and not the plain mean."),
        ("(q * reward).sum(1, keepdim=True)", "(q * reward).mean(1, keepdim=True)",
         "The average under q is a sum of q · reward, not their mean."),
        ("return q * (reward - (q * reward).sum(1, keepdim=True))", "return reward",
         "That is the gradient with respect to the probabilities q, up to a constant. The softmax "
         "lies between them and the logits."),
        ("log_softmax(1)", "log_softmax(0)",
         "The softmax runs over the images. Probabilities add up to 1 over the labels, axis 1."),
        ("return q * (reward - (q * reward).sum(1, keepdim=True))", "return reward - 1",
         "That is the gradient with respect to the probabilities q. The softmax lies between them "
         "and the logits."),
        ("(q * reward).sum(1, keepdim=True)", "q * reward",
         "A logit moves the probabilities of all labels, not its own alone: subtract the average "
         "reward under q(y | x)."),
        ("(q * reward).sum(1, keepdim=True)", "reward.gather(1, q.argmax(1, keepdim=True))",
         "You subtract the likeliest label's reward. Subtract the average under q(y | x)."),
        ("return q * (", "return q / len(q) * (",
         "That is the gradient of the mean over the images. Each U has a gradient of its own."),
    ),
    suspects=(
        Suspect(
            lambda logits, joint: joint.softmax(1) - logits.softmax(1),
            "That is the step from q to the best q. It is zero where the gradient is, but it is "
            "not the gradient.",
        ),
    ),
)  # fmt: skip

EXERCISES = (_UNLABELLED, _BAYES, _GRADIENT)
