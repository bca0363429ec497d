"""Wrong answers to the exercises of chapter 10."""

import math

import torch
from torch.nn import functional as F


def quantise_farthest(h, codebook):
    codes = torch.cdist(h, codebook.expand(len(h), -1, -1)).max(-1).indices
    return h + (codebook[codes] - h).detach(), codes


def quantise_by_product(h, codebook):
    codes = (h @ codebook.T).argmax(-1)
    return h + (codebook[codes] - h).detach(), codes


def _nearest(h, codebook):
    return (h.unsqueeze(2) - codebook).norm(dim=-1).argmin(-1)


def quantise_without_gradient(h, codebook):
    codes = _nearest(h, codebook)
    return codebook[codes].detach(), codes


def quantise_into_the_codebook(h, codebook):
    codes = _nearest(h, codebook)
    return codebook[codes] + h - h.detach(), codes


def quantise_the_codebook_only(h, codebook):
    codes = _nearest(h, codebook)
    return codebook[codes], codes


def quantise_passes_h(h, codebook):
    return h, _nearest(h, codebook)


def _perplexity(codes, K):
    p = torch.bincount(codes.flatten(), minlength=K) / codes.numel()
    return torch.exp(-(p * torch.log(p + 1e-10)).sum())


def perplexity_of_batches(batches, K):
    return sum(_perplexity(b, K) for b in batches) / len(batches)


def perplexity_of_shares(batches, K):
    p = sum(torch.bincount(b.flatten(), minlength=K) / b.numel() for b in batches) / len(batches)
    return torch.exp(-(p * torch.log(p + 1e-10)).sum())


def perplexity_is_entropy(batches, K):
    return _perplexity(torch.cat([b.flatten() for b in batches]), K).log()


def perplexity_is_a_count(batches, K):
    return len(torch.cat([b.flatten() for b in batches]).unique())


def perplexity_with_log2(batches, K):
    codes = torch.cat([b.flatten() for b in batches])
    p = torch.bincount(codes, minlength=K) / len(codes)
    p = p[p > 0]
    return torch.exp(-(p * p.log2()).sum())


def _levels(h, levels):
    tops = torch.tensor(levels) - 1
    return torch.round(torch.sigmoid(h) * tops), tops


def _number(u, levels):
    return sum(u[:, d] * math.prod(levels[:d]) for d in range(len(levels)))


def scalars_one_too_many(h, levels):
    u = torch.round(torch.sigmoid(h) * torch.tensor(levels))
    return 2 * u / torch.tensor(levels) - 1, _number(u, levels)


def scalars_not_stretched(h, levels):
    u, tops = _levels(h, levels)
    return u / tops, _number(u, levels)


def scalars_added_up(h, levels):
    u, tops = _levels(h, levels)
    return 2 * u / tops - 1, u.sum(1)


def scalars_in_tens(h, levels):
    u, tops = _levels(h, levels)
    return 2 * u / tops - 1, sum(u[:, d] * 10**d for d in range(len(levels)))


def scalars_cut_off(h, levels):
    tops = torch.tensor(levels) - 1
    u = torch.floor(torch.sigmoid(h) * tops)
    return 2 * u / tops - 1, _number(u, levels)


def scalars_with_tanh(h, levels):
    tops = torch.tensor(levels) - 1
    u = torch.round((torch.tanh(h) + 1) / 2 * tops)
    return 2 * u / tops - 1, _number(u, levels)


def _cost(prior_logits, codes):
    return F.cross_entropy(prior_logits.movedim(-1, 1), codes, reduction="none")


def bits_without_softmax(log_px, prior_logits, codes, pixels):
    chosen = prior_logits.gather(-1, codes[..., None]).sum((1, 2))
    return -(log_px + chosen).mean() / pixels / math.log(2)


def bits_in_nats(log_px, prior_logits, codes, pixels):
    return (_cost(prior_logits, codes).sum(1) - log_px).mean() / pixels


def bits_per_image(log_px, prior_logits, codes, pixels):
    return (_cost(prior_logits, codes).sum(1) - log_px).mean() / math.log(2)


def bits_mean_over_positions(log_px, prior_logits, codes, pixels):
    return (_cost(prior_logits, codes).mean(1) - log_px).mean() / math.log(2) / pixels


def bits_of_a_uniform_prior(log_px, prior_logits, codes, pixels):
    P, K = prior_logits.shape[1:]
    return (P * math.log(K) - log_px).mean() / math.log(2) / pixels


def bits_without_the_code(log_px, prior_logits, codes, pixels):
    return -log_px.mean() / math.log(2) / pixels


def _advantage(log_px):
    S = len(log_px)
    return ((log_px - log_px.mean(0)) * S / (S - 1)).detach()


def loss_with_own_value(log_px, log_q, kl):
    advantage = (log_px - log_px.mean(0)).detach()
    return kl - log_px.mean(0) - (advantage * log_q).mean(0)


def loss_without_baseline(log_px, log_q, kl):
    return kl - log_px.mean(0) - (log_px.detach() * log_q).mean(0)


def loss_with_a_wrong_sign(log_px, log_q, kl):
    return kl - log_px.mean(0) + (_advantage(log_px) * log_q).mean(0)


def loss_not_detached(log_px, log_q, kl):
    S = len(log_px)
    advantage = (log_px - log_px.mean(0)) * S / (S - 1)
    return kl - log_px.mean(0) - (advantage * log_q).mean(0)


def loss_without_scores(log_px, log_q, kl):
    return kl - log_px.mean(0)


def loss_over_images(log_px, log_q, kl):
    return kl.mean() - log_px.mean() - (_advantage(log_px) * log_q).mean()


WRONG = {
    "quantise": [
        (quantise_farthest, "the code farthest away"),
        (quantise_by_product, "the largest inner product"),
        (quantise_without_gradient, "No gradient leaves z"),
        (quantise_into_the_codebook, "reaches the codebook through z"),
        (quantise_the_codebook_only, "No gradient reaches h"),
        (quantise_passes_h, "z is h itself"),
    ],
    "set-perplexity": [
        (perplexity_of_batches, "mean of the batches' perplexities"),
        (perplexity_of_shares, "You averaged the batches' shares"),
        (perplexity_is_entropy, "That is the entropy, in nats"),
        (perplexity_is_a_count, "the number of codes that occur"),
        (perplexity_with_log2, "Base 2 goes with 2"),
    ],
    "finite-scalars": [
        (scalars_one_too_many, "you round to L + 1 levels"),
        (scalars_not_stretched, "z lies between 0 and 1"),
        (scalars_added_up, "You added the levels up"),
        (scalars_in_tens, "These are decimal places"),
        (scalars_cut_off, "You cut the decimals off"),
        (scalars_with_tanh, "twice as steep"),
    ],
    "code-bits": [
        (bits_without_softmax, "These are logits, not log-probabilities"),
        (bits_in_nats, "That is in nats"),
        (bits_per_image, "That is bits per image"),
        (bits_mean_over_positions, "not the mean"),
        (bits_of_a_uniform_prior, "That is the uniform prior"),
        (bits_without_the_code, "The code has to be sent too"),
    ],
    "code-loss": [
        (loss_with_own_value, "A sample's own value is in it"),
        (loss_without_baseline, "There is no baseline"),
        (loss_with_a_wrong_sign, "The sign of the score term"),
        (loss_not_detached, "the advantage is not detached"),
        (loss_without_scores, "No gradient reaches log_q"),
        (loss_over_images, "mean over the samples, not over images"),
    ],
}
