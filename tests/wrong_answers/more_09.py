"""More wrong answers to the exercises of chapter 9."""

import torch

# unlabelled-bound


def bound_with_equal_weights(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    return joint.mean(1) - (log_q.exp() * log_q).sum(1)


def bound_of_the_optimum(logits, joint):
    return torch.logsumexp(joint, 1)


def bound_with_the_log_outside(logits, joint):
    return torch.logsumexp(joint + torch.log_softmax(logits, 1), 1)


def bound_with_the_prior_twice(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    log_prior = -torch.log(torch.tensor(float(logits.shape[1])))
    return (log_q.exp() * (joint + log_prior - log_q)).sum(1)


def bound_as_a_loss(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    return -(log_q.exp() * (joint - log_q)).sum(1)


def bound_from_logits(logits, joint):
    """Takes the logits for log-probabilities."""
    return (logits.exp() * (joint - logits)).sum(1)


def bound_half_from_logits(logits, joint):
    q = torch.softmax(logits, 1)
    return (q * (joint - logits)).sum(1)


def bound_added_up(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    return joint.sum(1) - (log_q.exp() * log_q).sum(1)


def bound_of_the_batch(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    return (log_q.exp() * (joint - log_q)).sum(1).mean()


def bound_in_bits(logits, joint):
    q = torch.softmax(logits, 1)
    return (q * joint).sum(1) - (q * torch.log2(q + 1e-30)).sum(1)


def bound_in_place(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    joint -= log_q
    return (log_q.exp() * joint).sum(1)


# label-posterior


def posterior_for_the_batch(log_px, log_prior):
    joint = log_px + log_prior
    return joint - joint.logsumexp((0, 1))


def posterior_prior_not_in_the_sum(log_px, log_prior):
    return log_px + log_prior - torch.logsumexp(log_px, 1, keepdim=True)


def posterior_minus_the_largest(log_px, log_prior):
    joint = log_px + log_prior
    return joint - joint.max(1, keepdim=True)[0]


def posterior_in_bits(log_px, log_prior):
    return torch.log_softmax(log_px + log_prior, 1) / torch.log(torch.tensor(2.0))


def posterior_minus_prior(log_px, log_prior):
    return torch.log_softmax(log_px - log_prior, 1)


def posterior_as_product(log_px, log_prior):
    return torch.log_softmax(log_px * log_prior, 1)


def posterior_without_keepdim(log_px, log_prior):
    joint = log_px + log_prior
    return joint - joint.logsumexp(1)


def posterior_prior_added_late(log_px, log_prior):
    return torch.log_softmax(log_px, 1) + log_prior


def posterior_likeliest(log_px, log_prior):
    return (log_px + log_prior).argmax(1)


def posterior_divided(log_px, log_prior):
    joint = log_px + log_prior
    return joint / joint.sum(1, keepdim=True)


def posterior_of_plain_sum(log_px, log_prior):
    joint = log_px + log_prior
    return joint - joint.sum(1, keepdim=True)


def posterior_in_place(log_px, log_prior):
    log_px += log_prior
    return log_px - log_px.logsumexp(1, keepdim=True)


# classifier-gradient


def _q(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    return log_q.exp(), joint - log_q


def gradient_of_probabilities(logits, joint):
    return _q(logits, joint)[1]


def gradient_of_probabilities_less_one(logits, joint):
    """∂U/∂q by hand, with the 1 from the derivative of q log q."""
    return _q(logits, joint)[1] - 1


def gradient_with_mean_for_sum(logits, joint):
    q, reward = _q(logits, joint)
    return q * (reward - (q * reward).mean(1, keepdim=True))


def gradient_plus_entropy(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    q, reward = log_q.exp(), joint + log_q
    return q * (reward - (q * reward).sum(1, keepdim=True))


def gradient_over_images(logits, joint):
    log_q = torch.log_softmax(logits, 0)
    q, reward = log_q.exp(), joint - log_q
    return q * (reward - (q * reward).sum(1, keepdim=True))


def gradient_of_the_mean(logits, joint):
    logits = logits.clone().requires_grad_()
    q, reward = _q(logits, joint)
    (q * reward).sum(1).mean().backward()
    return logits.grad


def gradient_of_a_bernoulli(logits, joint):
    q, reward = _q(logits, joint)
    return q * (1 - q) * reward


def gradient_of_the_likeliest(logits, joint):
    q, reward = _q(logits, joint)
    return q * (reward - reward.gather(1, q.argmax(1, keepdim=True)))


def gradient_towards_the_optimum(logits, joint):
    return joint.softmax(1) - logits.softmax(1)


def gradient_at_the_bounds(logits, joint):
    joint = joint.clone().requires_grad_()
    q, reward = _q(logits, joint)
    return torch.autograd.grad((q * reward).sum(), joint)[0]


def gradient_average_of_bounds(logits, joint):
    q, reward = _q(logits, joint)
    return q * (reward - (q * joint).sum(1, keepdim=True))


def gradient_in_place(logits, joint):
    log_q = torch.log_softmax(logits, 1)
    joint -= log_q
    joint -= (log_q.exp() * joint).sum(1, keepdim=True)
    return log_q.exp() * joint


WRONG = {
    "unlabelled-bound": [
        (bound_with_equal_weights, "The labels count equally"),
        (bound_of_the_optimum, "the best that any q could reach"),
        (bound_with_the_log_outside, "That is log Σ q exp L"),
        (bound_with_the_prior_twice, "log p(y) came twice"),
        (bound_as_a_loss, "the sign is wrong"),
        (bound_from_logits, "Logits are no log-probabilities"),
        (bound_half_from_logits, "with `logits` for `log_q`"),
        (bound_added_up, "without the factor `log_q.exp()`"),
        (bound_of_the_batch, "the mean over the whole batch"),
        (bound_in_bits, "The entropy is in bits"),
        (bound_in_place, "Argument 2 is changed in place"),
    ],
    "label-posterior": [
        (posterior_for_the_batch, "One p(x) for all images together"),
        (posterior_prior_not_in_the_sum, "You left p(y) out of the sum"),
        (posterior_minus_the_largest, "The largest was subtracted"),
        (posterior_in_bits, "1/log 2 times"),
        (posterior_minus_prior, "The sign of `log_prior` is turned round"),
        (posterior_as_product, "You multiplied the logarithms"),
        (posterior_without_keepdim, "it raised"),
        (posterior_prior_added_late, "p(x) is the sum of p(x | y) p(y)"),
        (posterior_likeliest, "That is the likeliest label"),
        (posterior_divided, "You divided logarithms"),
        (posterior_of_plain_sum, "is not the logarithm of a sum"),
        (posterior_in_place, "Argument 1 is changed in place"),
    ],
    "classifier-gradient": [
        (gradient_of_probabilities, "up to a constant"),
        (gradient_of_probabilities_less_one, "with respect to the probabilities q."),
        (gradient_with_mean_for_sum, "not their mean"),
        (gradient_plus_entropy, "The entropy has the wrong sign"),
        (gradient_over_images, "The softmax runs over the images"),
        (gradient_of_the_mean, "the gradient of the mean over the images"),
        (gradient_of_a_bernoulli, "A logit moves the probabilities of all labels"),
        (gradient_of_the_likeliest, "the likeliest label's reward"),
        (gradient_towards_the_optimum, "the step from q to the best q"),
        (gradient_at_the_bounds, "without the factor `reward"),
        (gradient_average_of_bounds, "with `joint` for `reward`"),
        (gradient_in_place, "Argument 2 is changed in place"),
    ],
}
