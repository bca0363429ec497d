"""Wrong answers to the exercises of chapter 12."""

import math

import numpy as np
import torch
from torch.distributions import Bernoulli
from torch.nn import functional as F

# alarm-threshold


def plain_quantile(clean, alpha):
    return sorted(clean.tolist())[math.ceil(len(clean) * (1 - alpha)) - 1]


def one_too_far(clean, alpha):
    return torch.sort(clean)[0][math.ceil((len(clean) + 1) * (1 - alpha))]


def lower_tail(clean, alpha):
    return np.sort(clean.numpy())[math.ceil((len(clean) + 1) * alpha) - 1]


def unsorted(clean, alpha):
    return clean[math.ceil((len(clean) + 1) * (1 - alpha)) - 1]


def from_above(clean, alpha):
    down = sorted(clean.tolist(), reverse=True)
    return down[math.ceil((len(down) + 1) * (1 - alpha)) - 1]


def rounded_down(clean, alpha):
    return torch.sort(clean)[0][int((len(clean) + 1) * (1 - alpha)) - 1]


def interpolated(clean, alpha):
    return np.quantile(clean.numpy(), 1 - alpha)


def normal_limit(clean, alpha):
    return torch.mean(clean) + 1.645 * torch.std(clean)


def the_place(clean, alpha):
    return math.ceil((len(clean) + 1) * (1 - alpha))


def largest(clean, alpha):
    return clean.max()


def all_above(clean, alpha):
    k = math.ceil((len(clean) + 1) * (1 - alpha))
    return torch.sort(clean)[0][k - 1 :]


def sorts_in_place(clean, alpha):
    clean[:] = clean.sort().values
    return clean[math.ceil((len(clean) + 1) * (1 - alpha)) - 1]


# log-seen


def hidden_too(logits, x, seen):
    return Bernoulli(logits=logits).log_prob(x).sum(-1)


def hidden_only(logits, x, seen):
    return torch.where(seen, torch.zeros(()), Bernoulli(logits=logits).log_prob(x)).sum(-1)


def mean_of_pixels(logits, x, seen):
    return (Bernoulli(logits=logits).log_prob(x) * seen).mean(-1)


def mean_of_seen(logits, x, seen):
    return (Bernoulli(logits=logits).log_prob(x) * seen).sum(-1) / seen.sum(-1)


def entropy_sign(logits, x, seen):
    each = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
    return (each * seen).sum(-1)


def unnormalised(logits, x, seen):
    return (logits * x * seen).sum(-1)


def black_where_hidden(logits, x, seen):
    return Bernoulli(logits=logits).log_prob(x * seen).sum(-1)


def coin_where_hidden(logits, x, seen):
    return Bernoulli(logits=logits * seen).log_prob(x).sum(-1)


def a_probability(logits, x, seen):
    return (Bernoulli(logits=logits).log_prob(x) * seen).sum(-1).exp()


def without_the_bit(logits, x, seen):
    return (F.logsigmoid(logits) * seen).sum(-1)


def by_naive_logs(logits, x, seen):
    p = 1 / (1 + torch.exp(-logits))
    each = x * torch.log(p) + (1 - x) * torch.log(1 - p)
    return torch.where(seen, each, torch.zeros_like(each)).sum(-1)


def with_a_corner(logits, x, seen):
    return ((x * logits - F.relu(logits)) * seen).sum(-1)


def over_images(logits, x, seen):
    return (Bernoulli(logits=logits).log_prob(x) * seen).sum(1)


def masks_in_place(logits, x, seen):
    x *= seen
    return (Bernoulli(logits=logits).log_prob(x) * seen).sum(-1)


# clean-bit


def exchanged_rates(white, y, a, b):
    one = torch.where(y == 1, 1 - a, a) * white
    zero = torch.where(y == 1, b, 1 - b) * (1 - white)
    return one / (one + zero)


def b_alone(white, y, a, b):
    one, zero = y * (1 - b) + (1 - y) * b, y * b + (1 - y) * (1 - b)
    return white * one / (white * one + (1 - white) * zero)


def a_alone(white, y, a, b):
    one, zero = y * (1 - a) + (1 - y) * a, y * a + (1 - y) * (1 - a)
    return white * one / (white * one + (1 - white) * zero)


def joint_only(white, y, a, b):
    return white * (y * (1 - b) + (1 - y) * b)


def of_black(white, y, a, b):
    one, zero = y * (1 - b) + (1 - y) * b, y * a + (1 - y) * (1 - a)
    return (1 - white) * zero / (white * one + (1 - white) * zero)


def without_prior_of_black(white, y, a, b):
    one, zero = y * (1 - b) + (1 - y) * b, y * a + (1 - y) * (1 - a)
    return white * one / (white * one + zero)


def without_prior_of_white(white, y, a, b):
    one, zero = y * (1 - b) + (1 - y) * b, y * a + (1 - y) * (1 - a)
    return one / (one + (1 - white) * zero)


def the_prior(white, y, a, b):
    return white.clone()


def the_scan(white, y, a, b):
    one, zero = y * (1 - b) + (1 - y) * b, y * a + (1 - y) * (1 - a)
    return white * one + (1 - white) * zero


def exchanged_cases(white, y, a, b):
    one, zero = (1 - y) * (1 - b) + y * b, y * a + (1 - y) * (1 - a)
    return white * one / (white * one + (1 - white) * zero)


def scan_is_white(white, y, a, b):
    return white * (1 - b) / (white * (1 - b) + (1 - white) * a)


def scan_is_black(white, y, a, b):
    return white * b / (white * b + (1 - white) * (1 - a))


def decided(white, y, a, b):
    one, zero = y * (1 - b) + (1 - y) * b, y * a + (1 - y) * (1 - a)
    return (white * one > (1 - white) * zero).float()


def rounds_in_place(white, y, a, b):
    white *= y * (1 - b) + (1 - y) * b
    one = y * (1 - b) + (1 - y) * b
    zero = (1 - white / one) * (y * a + (1 - y) * (1 - a))
    return white / (white + zero)


WRONG = {
    "alarm-threshold": [
        (plain_quantile, "takes a place among the scores too"),
        (one_too_far, "Python counts from 0"),
        (lower_tail, "lies *below* this number"),
        (unsorted, "Sort them first"),
        (from_above, "You counted from the largest"),
        (interpolated, "That is the quantile of the N scores"),
        (normal_limit, "for a normal distribution alone"),
        (rounded_down, "Round up, not down"),
        (the_place, "does not depend on `clean`"),
        (largest, "A right answer without `k`"),
        (all_above, "expected: one number"),
        (sorts_in_place, "is changed in place"),
    ],
    "log-seen": [
        (hidden_too, "The hidden pixels are still in the sum"),
        (hidden_only, "The seen ones count"),
        (mean_of_pixels, "a sum over pixels, not a mean"),
        (mean_of_seen, "You averaged over the seen pixels"),
        (entropy_sign, "Turn its sign"),
        (unnormalised, "The normaliser is missing"),
        (black_where_hidden, "count as black"),
        (coin_where_hidden, "costs log 2"),
        (a_probability, "Its logarithm is wanted"),
        (without_the_bit, "Multiply the logit by the bit"),
        (by_naive_logs, "Some of the results are NaN"),
        (with_a_corner, "The largest deviation"),
        (over_images, "with `.sum(1)`"),
        (masks_in_place, "is changed in place"),
    ],
    "clean-bit": [
        (b_alone, "You used b for it"),
        (a_alone, "You used a for it"),
        (joint_only, "Bayes' rule divides"),
        (of_black, "the pixel was black"),
        (without_prior_of_black, "The prior of black"),
        (without_prior_of_white, "The prior of white"),
        (the_prior, "before the scan"),
        (the_scan, "That is the probability of the scan"),
        (exchanged_cases, "A white pixel *stays* white"),
        (scan_is_white, "as if the scan had shown white"),
        (scan_is_black, "as if the scan had shown black"),
        (exchanged_rates, "are exchanged"),
        (decided, "does not depend on `a` and `b`"),
        (rounds_in_place, "is changed in place"),
    ],
}
