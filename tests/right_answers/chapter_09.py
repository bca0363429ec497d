"""Right answers to the exercises of chapter 9."""

import numpy as np
import torch
from torch.distributions import Categorical

# unlabelled-bound


def bound_by_distribution(logits, joint):
    q = Categorical(logits=logits)
    return (q.probs * joint).sum(1) + q.entropy()


def bound_by_loop(logits, joint):
    log_q = torch.log_softmax(logits, dim=1)
    found = []
    for row, each in zip(log_q, joint, strict=True):
        found.append(sum(lq.exp() * (v - lq) for lq, v in zip(row, each, strict=True)))
    return torch.stack(found)


def bound_by_divergence(logits, joint):
    """log Σ exp L minus the KL of q from its optimum."""
    best, log_q = joint.log_softmax(1), logits.log_softmax(1)
    return joint.logsumexp(1) - (log_q.exp() * (log_q - best)).sum(1)


def bound_by_numpy(logits, joint):
    a, b = logits.numpy(), joint.numpy()
    top = a.max(1, keepdims=True)
    log_q = a - top - np.log(np.exp(a - top).sum(1, keepdims=True))
    return (np.exp(log_q) * (b - log_q)).sum(1)


# label-posterior


def posterior_by_softmax(log_px, log_prior):
    return torch.log_softmax(log_px + log_prior, dim=-1)


def posterior_by_shift(log_px, log_prior):
    joint = log_px + log_prior[None]
    joint = joint - joint.max(dim=1, keepdim=True).values
    return joint - joint.exp().sum(1, keepdim=True).log()


def posterior_by_numpy(log_px, log_prior):
    joint = log_px.numpy() + log_prior.numpy()
    return joint - np.logaddexp.reduce(joint, axis=1)[:, None]


def posterior_by_rows(log_px, log_prior):
    return torch.stack([row + log_prior - torch.logsumexp(row + log_prior, 0) for row in log_px])


# classifier-gradient


def gradient_by_autograd(logits, joint):
    logits = logits.detach().clone().requires_grad_()
    log_q = logits.log_softmax(1)
    return torch.autograd.grad((log_q.exp() * (joint - log_q)).sum(), logits)[0]


def gradient_by_jacobian(logits, joint):
    log_q = logits.log_softmax(1)
    q = log_q.exp()
    jacobian = torch.diag_embed(q) - q[:, :, None] * q[:, None, :]
    return (jacobian @ (joint - log_q)[:, :, None])[:, :, 0]


def gradient_with_ones(logits, joint):
    log_q = torch.log_softmax(logits, -1)
    q, reward = torch.exp(log_q), joint - log_q - 1
    return q * reward - q * (q * reward).sum(-1, keepdim=True)


RIGHT = {
    "unlabelled-bound": [
        bound_by_distribution, bound_by_loop, bound_by_divergence, bound_by_numpy,
    ],
    "label-posterior": [
        posterior_by_softmax, posterior_by_shift, posterior_by_numpy, posterior_by_rows,
    ],
    "classifier-gradient": [gradient_by_autograd, gradient_by_jacobian, gradient_with_ones],
}  # fmt: skip
