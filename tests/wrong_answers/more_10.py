"""More wrong answers to the exercises of chapter 10."""

import math

import torch
from torch.nn import functional as F


def _nearest(h, codebook):
    return torch.cdist(h, codebook.expand(len(h), -1, -1)).argmin(-1)


def _through(h, e):
    return h + (e - h).detach()


def quantise_from_one(h, codebook):
    """Codes that are numbered from 1."""
    codes = _nearest(h, codebook)
    return _through(h, codebook[codes]), codes + 1


def quantise_by_cosine(h, codebook):
    codes = (F.normalize(h, dim=-1) @ F.normalize(codebook, dim=-1).T).argmax(-1)
    return _through(h, codebook[codes]), codes


def quantise_without_square(h, codebook):
    codes = (h[:, :, None] - codebook).sum(-1).argmin(-1)
    return _through(h, codebook[codes]), codes


def quantise_by_largest_difference(h, codebook):
    codes = (h[:, :, None] - codebook).abs().amax(-1).argmin(-1)
    return _through(h, codebook[codes]), codes


def quantise_all_detached(h, codebook):
    codes = _nearest(h, codebook)
    return (h + codebook[codes] - h).detach(), codes


def quantise_h_detached(h, codebook):
    codes = _nearest(h, codebook)
    return h.detach() + (codebook[codes] - h.detach()), codes


def quantise_nothing_detached(h, codebook):
    codes = _nearest(h, codebook)
    return h + (codebook[codes] - h), codes


def quantise_twice_h(h, codebook):
    codes = _nearest(h, codebook)
    return 2 * h + (codebook[codes] - 2 * h).detach(), codes


def quantise_softly(h, codebook):
    away = (h[:, :, None] - codebook).square().sum(-1)
    return (-away).softmax(-1) @ codebook.detach(), away.argmin(-1)


def quantise_codes_only(h, codebook):
    return _nearest(h, codebook)


def quantise_in_place(h, codebook):
    codes = _nearest(h, codebook)
    h.data = codebook.data[codes]
    return h, codes


# set-perplexity


def _entropy(codes, K):
    p = torch.bincount(codes.flatten(), minlength=K) / codes.numel()
    return torch.special.entr(p).sum()


def _every(batches):
    return torch.cat([b.flatten() for b in batches])


def perplexity_in_mixed_bases(batches, K):
    return 2 ** _entropy(_every(batches), K)


def perplexity_turned_round(batches, K):
    return torch.exp(-_entropy(_every(batches), K))


def perplexity_of_the_last(batches, K):
    for batch in batches:
        perplexity = _entropy(batch, K).exp()
    return perplexity


def perplexity_of_mean_entropy(batches, K):
    return torch.stack([_entropy(b, K) for b in batches]).mean().exp()


def perplexity_as_share(batches, K):
    return _entropy(_every(batches), K).exp() / K


def perplexity_by_simpson(batches, K):
    p = torch.bincount(_every(batches), minlength=K) / len(_every(batches))
    return 1 / p.square().sum()


def perplexity_added_up(batches, K):
    return sum(_entropy(b, K).exp() for b in batches)


def perplexity_weighted(batches, K):
    """The batches' perplexities, weighted with their sizes."""
    n = sum(b.numel() for b in batches)
    return sum(b.numel() / n * _entropy(b, K).exp() for b in batches)


def perplexity_smoothed(batches, K):
    counts = torch.bincount(_every(batches), minlength=K) + 1
    return torch.special.entr(counts / counts.sum()).sum().exp()


def perplexity_with_zeros(batches, K):
    p = torch.bincount(_every(batches), minlength=K) / len(_every(batches))
    return torch.exp(-(p * p.log()).sum())


def perplexity_pops(batches, K):
    counts = torch.zeros(K)
    while batches:
        counts += torch.bincount(batches.pop().flatten(), minlength=K)
    return torch.special.entr(counts / counts.sum()).sum().exp()


# finite-scalars


def _levels(h, levels):
    tops = torch.tensor(levels) - 1
    u = torch.round(torch.sigmoid(h) * tops)
    return u, 2 * u / tops - 1


def _number(u, levels):
    return sum(u[:, d] * math.prod(levels[:d]) for d in range(len(levels)))


def scalars_last_fastest(h, levels):
    u, z = _levels(h, levels)
    return z, sum(u[:, d] * math.prod(levels[d + 1 :]) for d in range(len(levels)))


def scalars_from_one(h, levels):
    u, z = _levels(h, levels)
    return z, _number(u, levels) + 1


def scalars_own_place(h, levels):
    """The place of a dimension is worth its own number of levels."""
    u, z = _levels(h, levels)
    return z, sum(u[:, d] * math.prod(levels[: d + 1]) for d in range(len(levels)))


def scalars_in_powers(h, levels):
    u, z = _levels(h, levels)
    return z, sum(u[:, d] * levels[d] ** d for d in range(len(levels)))


def scalars_not_rounded(h, levels):
    tops = torch.tensor(levels) - 1
    u = torch.sigmoid(h) * tops
    return 2 * u / tops - 1, _number(u, levels)


def scalars_without_sigmoid(h, levels):
    tops = torch.tensor(levels) - 1
    u = torch.minimum(h.round().clamp(min=0), tops)
    return 2 * u / tops - 1, _number(u, levels)


def scalars_as_levels(h, levels):
    u, _ = _levels(h, levels)
    return u, _number(u, levels)


def scalars_around_zero(h, levels):
    u, _ = _levels(h, levels)
    return u - (torch.tensor(levels) - 1) / 2, _number(u, levels)


def scalars_codes_in_a_column(h, levels):
    u, z = _levels(h, levels)
    return z, _number(u, levels)[:, None]


def scalars_not_rounded_in_z(h, levels):
    u, _ = _levels(h, levels)
    return 2 * torch.sigmoid(h) - 1, _number(u, levels)


def scalars_in_place(h, levels):
    tops = torch.tensor(levels) - 1
    u = h.sigmoid_().mul_(tops).round_()
    return 2 * u / tops - 1, _number(u, levels)


# code-bits


def _log_prior(prior_logits, codes, axis=-1):
    log_p = prior_logits.log_softmax(axis)
    return log_p.gather(-1, codes[..., None])[..., 0]


def bits_over_positions(log_px, prior_logits, codes, pixels):
    log_p = _log_prior(prior_logits, codes, 1).sum(1)
    return -(log_px + log_p).mean() / pixels / math.log(2)


def bits_with_a_wrong_sign(log_px, prior_logits, codes, pixels):
    log_p = _log_prior(prior_logits, codes).sum(1)
    return (log_px + log_p).mean() / pixels / math.log(2)


def bits_of_the_code_alone(log_px, prior_logits, codes, pixels):
    return -_log_prior(prior_logits, codes).sum(1).mean() / pixels / math.log(2)


def bits_code_given_back(log_px, prior_logits, codes, pixels):
    log_p = _log_prior(prior_logits, codes).sum(1)
    return -(log_px - log_p).mean() / pixels / math.log(2)


def bits_times_log_two(log_px, prior_logits, codes, pixels):
    log_p = _log_prior(prior_logits, codes).sum(1)
    return -(log_px + log_p).mean() / pixels * math.log(2)


def bits_of_probabilities(log_px, prior_logits, codes, pixels):
    p = prior_logits.softmax(-1).gather(-1, codes[..., None])
    return -(log_px + p.sum((1, 2))).mean() / pixels / math.log(2)


def bits_over_latents(log_px, prior_logits, codes, pixels):
    log_p = _log_prior(prior_logits, codes).sum(1)
    return -(log_px + log_p).mean() / codes.shape[1] / math.log(2)


def bits_summed_over_images(log_px, prior_logits, codes, pixels):
    log_p = _log_prior(prior_logits, codes).sum(1)
    return -(log_px + log_p).sum() / pixels / math.log(2)


def bits_of_each_image(log_px, prior_logits, codes, pixels):
    log_p = _log_prior(prior_logits, codes).sum(1)
    return -(log_px + log_p) / pixels / math.log(2)


def bits_of_the_likeliest(log_px, prior_logits, codes, pixels):
    log_p = prior_logits.log_softmax(-1).amax(-1).sum(1)
    return -(log_px + log_p).mean() / pixels / math.log(2)


def bits_of_the_entropy(log_px, prior_logits, codes, pixels):
    log_p = prior_logits.log_softmax(-1)
    cost = -(log_p.exp() * log_p).sum((1, 2))
    return (cost - log_px).mean() / pixels / math.log(2)


def bits_divided_late(log_px, prior_logits, codes, pixels):
    """Only the code's bits are spread over the pixels."""
    cost = -_log_prior(prior_logits, codes).sum(1).mean() / pixels
    return (cost - log_px.mean()) / math.log(2)


def bits_in_place(log_px, prior_logits, codes, pixels):
    prior_logits -= prior_logits.logsumexp(-1, keepdim=True)
    log_p = prior_logits.gather(-1, codes[..., None]).sum((1, 2))
    return -(log_px + log_p).mean() / pixels / math.log(2)


# code-loss


def _advantage(log_px):
    S = len(log_px)
    return (log_px - (log_px.sum(0) - log_px) / (S - 1)).detach()


def loss_with_q(log_px, log_q, kl):
    return kl - (log_px + _advantage(log_px) * log_q.exp()).mean(0)


def loss_summed_scores(log_px, log_q, kl):
    return kl - log_px.mean(0) - (_advantage(log_px) * log_q).sum(0)


def loss_baseline_over_images(log_px, log_q, kl):
    advantage = (log_px - log_px.mean(1, keepdim=True)).detach()
    return kl - log_px.mean(0) - (advantage * log_q).mean(0)


def loss_without_decoder(log_px, log_q, kl):
    return kl - (_advantage(log_px) * log_q).mean(0)


def loss_without_kl(log_px, log_q, kl):
    return -log_px.mean(0) - (_advantage(log_px) * log_q).mean(0)


def loss_rewards_kl(log_px, log_q, kl):
    return -(kl + log_px.mean(0) + (_advantage(log_px) * log_q).mean(0))


def loss_with_kl_over_samples(log_px, log_q, kl):
    S = len(log_px)
    return (kl - log_px.sum(0) - (_advantage(log_px) * log_q).sum(0)) / S


def loss_of_the_elbo(log_px, log_q, kl):
    """What is to be made large, not a loss."""
    return log_px.mean(0) + (_advantage(log_px) * log_q).mean(0) - kl


def loss_scores_detached(log_px, log_q, kl):
    return kl - log_px.mean(0) - (_advantage(log_px) * log_q).detach().mean(0)


def loss_sums_the_decoder(log_px, log_q, kl):
    return kl - log_px.sum(0) - (_advantage(log_px) * log_q).mean(0)


def loss_for_each_sample(log_px, log_q, kl):
    return kl - log_px - _advantage(log_px) * log_q


def loss_as_a_number(log_px, log_q, kl):
    return [float(each) for each in kl - (log_px + _advantage(log_px) * log_q).mean(0)]


def loss_others_not_divided(log_px, log_q, kl):
    others = log_px.sum(0) - log_px
    return kl - log_px.mean(0) - ((log_px - others).detach() * log_q).mean(0)


def loss_in_place(log_px, log_q, kl):
    values = log_px.detach()
    values -= (values.sum(0) - values) / (len(values) - 1)
    return kl - log_px.mean(0) - (values * log_q).mean(0)


WRONG = {
    "quantise": [
        (quantise_from_one, "All results are too large by 1"),
        (quantise_by_cosine, "the largest cosine"),
        (quantise_without_square, "without `square`"),
        (quantise_by_largest_difference, "the largest difference in one coordinate"),
        (quantise_all_detached, "No gradient leaves z"),
        (quantise_h_detached, "A gradient reaches the codebook"),
        (quantise_nothing_detached, "No gradient reaches h"),
        (quantise_twice_h, "All results are 2 times"),
        (quantise_softly, "a weighted mean of codes"),
        (quantise_codes_only, "Only one of the results came"),
        (quantise_in_place, "Argument 1 is changed in place"),
    ],
    "set-perplexity": [
        (perplexity_in_mixed_bases, "With 2 to a power, take log2"),
        (perplexity_turned_round, "The sign: an entropy"),
        (perplexity_of_the_last, "Only the last batch counts"),
        (perplexity_of_mean_entropy, "You averaged the batches' entropies"),
        (perplexity_as_share, "1/K times"),
        (perplexity_by_simpson, "That is 1 / Σ p²"),
        (perplexity_added_up, "You added up the batches' perplexities"),
        (perplexity_weighted, "weighted with their sizes"),
        (perplexity_smoothed, "You added one to each count"),
        (perplexity_with_zeros, "0 · log 0"),
        (perplexity_pops, "Argument 1 is changed in place"),
    ],
    "finite-scalars": [
        (scalars_last_fastest, "The last dimension counts single steps"),
        (scalars_from_one, "yours from 1 to 12"),
        (scalars_own_place, "without its own"),
        (scalars_in_powers, "A power of its own number of levels"),
        (scalars_not_rounded, "you give them"),
        (scalars_without_sigmoid, "You rounded h itself"),
        (scalars_as_levels, "z is the level itself"),
        (scalars_around_zero, "z runs from −(L − 1)/2"),
        (scalars_codes_in_a_column, "Axes of length 1 differ"),
        (scalars_not_rounded_in_z, "Nothing is rounded"),
        (scalars_in_place, "Argument 1 is changed in place"),
    ],
    "code-bits": [
        (bits_over_positions, "You normalised over the positions"),
        (bits_with_a_wrong_sign, "a cost is minus a log-probability"),
        (bits_of_the_code_alone, "That is the code alone"),
        (bits_code_given_back, "The sign of the code's part"),
        (bits_times_log_two, "You multiplied by log 2"),
        (bits_of_probabilities, "These are probabilities"),
        (bits_over_latents, "n/P times"),
        (bits_summed_over_images, "B times"),
        (bits_of_each_image, "without `mean`"),
        (bits_of_the_likeliest, "the cost of the likeliest code"),
        (bits_of_the_entropy, "the prior's entropy"),
        (bits_divided_late, "Only the code's bits are divided"),
        (bits_in_place, "Argument 2 is changed in place"),
    ],
    "code-loss": [
        (loss_with_q, "Take log_q, not q"),
        (loss_summed_scores, "summed over the S samples"),
        (loss_baseline_over_images, "the mean over images"),
        (loss_without_decoder, "No gradient reaches log_px"),
        (loss_without_kl, "No gradient reaches the KL"),
        (loss_rewards_kl, "the sign is wrong"),
        (loss_with_kl_over_samples, "1/S times"),
        (loss_of_the_elbo, "a loss falls where log p(x | z) rises"),
        (loss_scores_detached, "No gradient reaches log_q"),
        (loss_sums_the_decoder, "log_px is summed over the S samples"),
        (loss_for_each_sample, "mean over the samples"),
        (loss_as_a_number, "since gradients are needed"),
        (loss_others_not_divided, "without the division by `S - 1`"),
        (loss_in_place, "Argument 1 is changed in place"),
    ],
}
