"""The second ward's faults of the KL and of its weight."""

from __future__ import annotations

import torch
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn import functional as F

from clinic.patient import Case
from clinic.second_ward import Criterion, Tokens, residual, sick, tokens, waves
from clinic.second_ward_more import Clock, bag, bare, clock, closed_kl, divergence, squared

UNIT = Normal(torch.tensor(0.0).double(), torch.tensor(1.0).double())


def tokens_with(divergence) -> Case:
    """A KL term `divergence(mu, log_var)` in the place of the right one."""

    class Changed(Criterion):
        def divergence(self, mu, log_var):
            return divergence(mu, log_var)

    return tokens(criterion=Changed)


def waves_with(kl) -> Case:
    """A KL term `kl(q)` for each example."""

    def loss(out, x):
        return (kl(out["q"]) - Normal(out["recon"], 0.4).log_prob(x).sum((1, 2))).mean()

    return waves(loss=loss)


def clock_with(kl) -> Case:
    class Changed(Clock):
        def kl(self, mean, std):
            return kl(mean, std)

    return clock(Changed)


def half_squares(mean, std):
    """The right KL of a scale, `(B,)`."""
    return (0.5 * (mean**2 + std**2 - 1) - std.log()).sum(-1)


# ---- terms


@sick("tokens", "kl-part-missing")
def arguments_in_wrong_order() -> Case:
    """The KL is called with the log-variance first."""
    return tokens_with(lambda mu, log_var: Criterion().divergence(log_var, mu))


@sick("tokens", "kl-part-missing", "sample-ignores-mu")
def returned_in_wrong_order() -> Case:
    """The two halves are taken in the other order by the sampler than by the output's keys."""

    class M(Tokens):
        def sample(self, mu, log_var):
            return super().sample(log_var, mu)

    return tokens(M)


@sick("bag", "kl-part-missing", "kl-without-half")
def half_of_one_term() -> Case:
    """The ½ stands at μ² alone; the other terms are counted twice."""
    return bag(kl=lambda mu, lv: (0.5 * mu**2 + lv.exp() - 1 - lv).sum(1))


@sick("tokens", "kl-part-missing")
def parenthesis_closed_early() -> Case:
    """−½ Σ(1 + log σ²) − Σμ² − Σσ²: the parenthesis was closed too soon."""
    return tokens_with(
        lambda mu, lv: (-0.5 * (1 + lv).sum(1) - mu.pow(2).sum(1) - lv.exp().sum(1)).mean()
    )


@sick("bare", "kl-part-missing")
def mean_not_squared() -> Case:
    """μ for μ²: the loss falls as the means go to minus infinity."""

    def loss(recon, x, mu, log_var):
        kl = 0.5 * (mu + log_var.exp() - 1 - log_var).sum(1)
        return (squared(recon, x) + kl).mean()

    return bare(loss=loss)


@sick("clock", "kl-part-missing", "kl-wrong-prior")
def log_of_scale_for_log_of_variance() -> Case:
    """½(μ² + σ² − 1 − log σ): the logarithm is of σ, in one of the two places."""
    return clock_with(lambda mean, std: 0.5 * (mean**2 + std**2 - 1 - std.log()).sum(1))


@sick("bag", "kl-part-missing")
def scale_not_squared() -> Case:
    """σ for σ²: the KL falls below 0 where σ is a little above 1."""
    return bag(kl=lambda mu, lv: 0.5 * (mu**2 + (0.5 * lv).exp() - 1 - lv).sum(1))


@sick("tokens", "kl-part-missing")
def last_latent_left_out() -> Case:
    """range(D − 1): the last latent pays nothing."""
    return tokens_with(lambda mu, lv: closed_kl(mu[:, :-1], lv[:, :-1]).mean())


@sick("tokens", "kl-part-missing")
def square_of_the_sum() -> Case:
    """(Σμ)² for Σμ²: means that cancel cost nothing."""
    return tokens_with(lambda mu, lv: 0.5 * (mu.sum(1) ** 2 + (lv.exp() - 1 - lv).sum(1)).mean())


@sick("waves", "kl-part-missing")
def the_other_way_round() -> Case:
    """kl_divergence(p, q): the reverse KL, which is 0 in the same place and is no ELBO's."""
    return waves_with(lambda q: kl_divergence(UNIT, q).sum(1))


@sick("residual", "kl-constant")
def one_forgotten_in_64_latents() -> Case:
    """Without −1 the KL of the prior to itself is 32 nats."""

    def loss(x_out, x_in, means, log_vars):
        kl = 0.5 * (means.square() + log_vars.exp() - log_vars).sum(1)
        return (((x_out - x_in) / 0.3).square().sum((1, 2, 3)) / 2 + kl).mean()

    return residual(loss=loss)


@sick("waves", "kl-wrong-prior")
def prior_with_variance_for_scale() -> Case:
    """Normal(0, 3): the prior of the KL is three times as wide as the one that is drawn from."""
    return waves_with(lambda q: kl_divergence(q, Normal(UNIT.loc, 3 * UNIT.scale)).sum(1))


@sick("bare", "kl-sign")
def minus_around_both() -> Case:
    """−(log p + KL), where −log p + KL was meant."""

    def loss(recon, x, mu, log_var):
        log_px = Normal(recon, 0.5).log_prob(x).sum(1)
        return torch.mean(-(log_px + divergence(mu, log_var)))

    return bare(loss=loss)


@sick("clock", "kl-missing")
def clamped_from_above() -> Case:
    """clamp(max=0) for clamp(min=0): the KL, which is never negative, is always 0."""
    return clock_with(lambda mean, std: half_squares(mean, std).clamp(max=0.0))


@sick("residual", "kl-missing", "hidden-beta")
def warm_up_at_epoch_zero() -> Case:
    """A weight of epoch / 10, and an epoch that nobody counts."""
    epoch = 0

    def loss(x_out, x_in, means, log_vars):
        sse = ((x_out - x_in) / 0.3).square().sum((1, 2, 3)) / 2
        return (sse + min(1.0, epoch / 10) * closed_kl(means, log_vars)).mean()

    return residual(loss=loss)


@sick("waves", "gradient-cut-kl")
def kl_of_a_detached_normal() -> Case:
    """q is rebuilt from detached moments for the KL."""
    return waves_with(
        lambda q: kl_divergence(Normal(q.loc.detach(), q.scale.detach()), UNIT).sum(1)
    )


# ---- sums, means, weights


@sick("tokens", "kl-without-half")
def half_missing() -> Case:
    """μ² + σ² − 1 − log σ², without the ½, beside a Bernoulli likelihood."""
    return tokens_with(lambda mu, lv: (mu**2 + lv.exp() - 1 - lv).sum(-1).mean())


@sick("bag", "batch-reduction-mixed", "kl-averaged-over-latents")
def summed_over_dimension_zero() -> Case:
    """sum(0) for sum(1), then a mean over what is left, the latents."""
    return bag(kl=lambda mu, lv: 0.5 * (mu**2 + lv.exp() - 1 - lv).sum(0))


@sick("waves", "batch-reduction-mixed")
def sum_of_kl_divergence() -> Case:
    """kl_divergence(q, p).sum() beside a mean of log-likelihoods."""
    return waves_with(lambda q: kl_divergence(q, UNIT).sum())


@sick("tokens", "hidden-beta", "reconstruction-averaged")
def means_of_both() -> Case:
    """.mean() of both terms: β is 144 pixels by 16 latents, so 9."""

    class Means(Criterion):
        def reconstruction(self, logits, target):
            return F.binary_cross_entropy_with_logits(logits, target)

        def divergence(self, mu, log_var):
            return 0.5 * torch.mean(mu**2 + log_var.exp() - 1 - log_var)

    return tokens(criterion=Means)


@sick("tokens", "hidden-beta", "reconstruction-averaged")
def mean_over_rows() -> Case:
    """A mean over the 12 columns and a sum over the rows: β is 12."""

    class Rows(Criterion):
        def reconstruction(self, logits, target):
            nll = -Bernoulli(logits=logits).log_prob(target)
            return nll.mean(-1).sum((1, 2)).mean()

    return tokens(criterion=Rows)


@sick("bag", "kl-averaged-over-latents")
def mean_in_place_of_sum() -> Case:
    """mean(1) for sum(1), with two latents: β is ½."""
    return bag(kl=lambda mu, lv: -0.5 * torch.mean(1 + lv - mu**2 - lv.exp(), dim=1))


@sick("residual", "kl-averaged-over-pixels")
def divided_by_numel() -> Case:
    """The KL is divided by x.numel(), the squared error by the batch size."""

    def loss(x_out, x_in, means, log_vars):
        sse = torch.sum(((x_out - x_in) / 0.3) ** 2) / 2
        return sse / len(x_in) + closed_kl(means, log_vars).sum() / x_in.numel()

    return residual(loss=loss)


@sick("clock", "hidden-beta")
def weight_from_another_paper() -> Case:
    """kld_weight = 0.00025 stands among the hyperparameters; 1 was declared."""
    return clock(beta=0.00025)
