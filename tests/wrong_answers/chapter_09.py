"""Wrong answers to the exercises of chapter 9."""

import torch

# unlabelled-bound


def bound_without_entropy(logits, joint):
    return (torch.softmax(logits, -1) * joint).sum(-1)


def bound_minus_entropy(logits, joint):
    log_q = torch.log_softmax(logits, -1)
    return (log_q.exp() * (joint + log_q)).sum(-1)


def bound_over_images(logits, joint):
    log_q = torch.log_softmax(logits, 0)
    return (log_q.exp() * (joint - log_q)).sum(1)


def bound_of_the_best(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    best = joint[torch.arange(len(joint)), log_q.argmax(1)]
    return best - (log_q.exp() * log_q).sum(1)


def bound_with_zero_log_zero(logits, joint):
    q = torch.softmax(logits, 1)
    return (q * joint).sum(1) - (q * torch.log(q)).sum(1)


def bound_without_weights(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    return (log_q.exp() * joint - log_q).sum(1)


# label-posterior


def posterior_without_prior(log_px, log_prior):
    return torch.log_softmax(log_px, 1)


def posterior_unnormalised(log_px, log_prior):
    return log_px + log_prior[None, :]


def posterior_over_images(log_px, log_prior):
    return torch.log_softmax(log_px + log_prior, 0)


def posterior_as_probabilities(log_px, log_prior):
    return torch.softmax(log_px + log_prior, 1)


def posterior_that_underflows(log_px, log_prior):
    p = torch.exp(log_px) * torch.exp(log_prior)
    return torch.log(p / p.sum(1, keepdim=True))


def posterior_with_plain_prior(log_px, log_prior):
    return torch.log_softmax(log_px + log_prior.exp(), 1)


# classifier-gradient


def gradient_without_average(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    return log_q.exp() * (joint - log_q)


def gradient_without_entropy(logits, joint):
    q = torch.softmax(logits, 1)
    return q * (joint - (q * joint).sum(1, keepdim=True))


def gradient_of_the_loss(logits, joint):
    logits = logits.detach().clone().requires_grad_()
    log_q = logits.log_softmax(1)
    loss = -(log_q.exp() * (joint - log_q)).sum()
    return torch.autograd.grad(loss, logits)[0]


def gradient_plain_mean(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    reward = joint - log_q
    return log_q.exp() * (reward - reward.mean(1, keepdim=True))


def gradient_without_share(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    reward = joint - log_q
    return reward - (log_q.exp() * reward).sum(1, keepdim=True)


WRONG = {
    "unlabelled-bound": [
        (bound_without_entropy, "The entropy of q(y | x) is missing"),
        (bound_minus_entropy, "The entropy has the wrong sign"),
        (bound_over_images, "The softmax runs over the images"),
        (bound_of_the_best, "Only the likeliest label counts"),
        (bound_with_zero_log_zero, "0 · log 0"),
        (bound_without_weights, "Your sum has no weights"),
    ],
    "label-posterior": [
        (posterior_without_prior, "The prior p(y) is missing"),
        (posterior_unnormalised, "That is log p(x, y)"),
        (posterior_over_images, "You normalise over the images"),
        (posterior_as_probabilities, "These are probabilities"),
        (posterior_that_underflows, "exp(−1500) is zero"),
        (posterior_with_plain_prior, "Logarithms add"),
    ],
    "classifier-gradient": [
        (gradient_without_average, "The average over the labels is missing"),
        (gradient_without_entropy, "The entropy sends a gradient as well"),
        (gradient_of_the_loss, "the gradient of the loss"),
        (gradient_plain_mean, "not the plain mean"),
        (gradient_without_share, "Each label's share"),
    ],
}
