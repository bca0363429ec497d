"""The right answers that the checks compare with, against independent ones."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from vae_tutorial.checks import grade
from vae_tutorial.checks.compare import doubles
from vae_tutorial.checks.registry import chapters, exercises, find


def normal(mu: Tensor, logvar: Tensor) -> td.Normal:
    return td.Normal(mu, torch.exp(0.5 * logvar))


def kl_of_two(mu_q, logvar_q, mu_p, logvar_p):
    return td.kl_divergence(normal(mu_q, logvar_q), normal(mu_p, logvar_p)).sum(-1)


def kl(mu, logvar):
    return kl_of_two(mu, logvar, 0 * mu, 0 * mu)


def laplace_energy(x, x_hat, scale):
    return -td.Independent(td.Laplace(x_hat, scale * torch.ones_like(x)), 3).log_prob(x)


def explained_share(x, x_hat):
    """By sums and sums of squares, pixel by pixel: no centred image is formed."""
    left = total = 0.0
    for pixel, rebuilt in zip(x.flatten(1).T.tolist(), x_hat.flatten(1).T.tolist(), strict=True):
        left += sum((a - b) ** 2 for a, b in zip(pixel, rebuilt, strict=True))
        total += sum(a * a for a in pixel) - sum(pixel) ** 2 / len(pixel)
    return 1 - left / total


def best_denoiser(noisy, images, sigma):
    """Bayes' rule with torch's normal density, one pair of images after the other."""
    answers = []
    for one in noisy:
        log_p = torch.stack([td.Normal(clean, sigma).log_prob(one).sum() for clean in images])
        shares = (log_p - torch.logsumexp(log_p, 0)).exp()
        answers.append(sum(share * clean for share, clean in zip(shares, images)))
    return torch.stack(answers)


def coordinate_ascent(mean, covariance, start, sweeps):
    """A sweep solves a triangular system; a variance is that of z_i given all the others."""
    precision, variances = torch.linalg.inv(covariance), []
    error = (start - mean)[:, None]
    for _ in range(sweeps):
        right = -precision.triu(1) @ error
        error = torch.linalg.solve_triangular(precision.tril(), right, upper=False)
    for i, row in enumerate(covariance):
        others = [j for j in range(len(mean)) if j != i]
        known = torch.linalg.solve(covariance[others][:, others], row[others])
        variances.append(row[i] - row[others] @ known)
    return mean + error[:, 0], torch.stack(variances)


def log_mean_weight(log_joint, log_q):
    return torch.stack([exact_log_mean(w) for w in (log_joint - log_q).T.tolist()])


def exact_log_mean(log_w):
    with localcontext() as context:
        context.prec = 50
        weights = [Decimal(each).exp() for each in log_w]
        return torch.tensor(float((sum(weights) / len(weights)).ln()), dtype=torch.float64)


def jackknife(log_w):
    """By sums of the weights themselves, with fifty digits."""
    found = []
    for column in log_w.T.tolist():
        with localcontext() as context:
            context.prec = 50
            weights = [Decimal(each).exp() for each in column]
            total, count = sum(weights), len(weights)
            without = [((total - each) / (count - 1)).ln() for each in weights]
            mean = sum(without) / count
            spread = sum((each - mean) ** 2 for each in without) * (count - 1) / count
            estimate = count * (total / count).ln() - (count - 1) * mean
            found.append((float(estimate), float(spread.sqrt())))
    return tuple(torch.tensor(part, dtype=torch.float64) for part in zip(*found))


def leave_one_out(values, scores):
    """The covariance of each column, with K − 1 below."""
    pairs = torch.stack([values, scores])
    return torch.stack([torch.cov(pairs[:, :, n])[0, 1] for n in range(values.shape[1])])


def bits_per_dim(nats, shape):
    """By the code length: a probability of exp(−nats) is 2^−bits."""
    return torch.from_numpy(-np.log2(np.exp(-nats.numpy()))) / np.zeros(shape).size


def attribute_direction(mu, has, labels):
    """With the groups as weights."""
    codes, mask, classes, steps = mu.numpy(), has.numpy(), labels.numpy(), []
    for label in set(classes.tolist()):
        w = np.where(classes == label, 1.0, 0.0)
        if (w * mask).sum() and (w * ~mask).sum():
            steps.append(np.average(codes, 0, w * mask) - np.average(codes, 0, w * ~mask))
    return sum(steps) / len(steps)


def hidden_beta(loss, n, D):
    per_square = loss.error_weight / (n if loss.mean_over_pixels else 1)
    return loss.kl_weight / (D if loss.mean_over_latents else 1) / (2 * per_square)


def rate_in_three(mu, logvar, z):
    """With torch's own mixtures."""
    (images, latents), stddev = mu.shape, torch.exp(0.5 * logvar)
    own = td.Independent(normal(mu, logvar), 1)
    whole = td.MixtureSameFamily(td.Categorical(torch.ones(images).double()), own)
    single = td.MixtureSameFamily(
        td.Categorical(torch.ones(latents, images).double()),
        td.Normal(mu.T.contiguous(), stddev.T.contiguous()),
    )
    log_q, log_singles = whole.log_prob(z), single.log_prob(z).sum(-1)
    information, correlation = (own.log_prob(z) - log_q).mean(), (log_q - log_singles).mean()
    return information, correlation, kl(mu, logvar).mean() - information - correlation


def annealed_weights(log_start, log_target, betas, z, move):
    """Grouped the other way: what each move adds, and the two ends of the path."""
    log_w = -log_start(z)
    for beta in betas[1:-1]:
        height = lambda u, b=beta: torch.lerp(log_start(u), log_target(u), b)  # noqa: E731
        log_w, z = log_w + height(z), move(z, height)
        log_w = log_w - height(z)
    return log_w + log_target(z)


def von_mises_slope(kappa, z):
    """By the definition: the quantile of a fixed level moves, and (4.11) is not used."""
    h = 1e-4 * kappa
    levels = von_mises_cdf(kappa, z)
    return (quantile(kappa + h, levels) - quantile(kappa - h, levels)) / (2 * h)


def von_mises_cdf(kappa, z):
    """By Simpson's rule on both sides of z, 600 steps each."""
    unit, weights = torch.linspace(0, 1, 601).double(), torch.full((601,), 2.0).double()
    weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0

    def mass(low, high):
        t = low[:, None] + (high - low)[:, None] * unit
        return (torch.exp(kappa[:, None] * (t.cos() - 1)) * weights).sum(1) * (high - low) / 1800

    below = mass(torch.full_like(z, -math.pi), z)
    return below / (below + mass(z, torch.full_like(z, math.pi)))


def quantile(kappa, levels):
    low, high = torch.full_like(levels, -math.pi), torch.full_like(levels, math.pi)
    for _ in range(45):  # to 2π / 2^45, about 2e-13
        middle = (low + high) / 2
        below = von_mises_cdf(kappa, middle) < levels
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def one_epoch(model, images, rate, batch_size):
    """In closed form: the gradient of the model is the same for every image and all weights."""
    numbers = sum(p.numel() for p in model.parameters())
    start = images.flatten(1).sum(1).mean() + 2.5 * sum(
        p.detach().sum() for p in model.parameters()
    )
    sizes = [len(part) for part in images.split(batch_size)]
    fall = sum(n * size for n, size in enumerate(sizes)) * 2.5 * numbers * 2.5 * rate
    return start - fall / len(images)


def gaussian_tc(cov):
    """The divergence of the joint normal from the product of its margins, by torch."""
    zero = torch.zeros(len(cov), dtype=cov.dtype)
    return td.kl_divergence(
        td.MultivariateNormal(zero, cov), td.MultivariateNormal(zero, torch.diag(cov.diagonal()))
    )


def information_gap(counts):
    """By conditional entropies, from the counts themselves."""
    gaps = []
    for tables in counts.movedim(1, 0):  # (D, b, b) of one factor: code, factor
        share = tables[0].sum(0) / tables[0].sum()
        entropy = td.Categorical(probs=share).entropy()
        nats = []
        for table in tables:
            rows = table[table.sum(1) > 0]  # of the factor, for each bin of the code
            left = td.Categorical(probs=rows).entropy() @ (rows.sum(1) / table.sum())
            nats.append((td.Categorical(probs=table.sum(0)).entropy() - left).item())
        best, second = sorted(nats)[:-3:-1]
        gaps.append((best - second) / entropy.item())
    return torch.tensor(sum(gaps) / len(gaps), dtype=counts.dtype)


def batch_tc(log_q, N):
    """By mixtures of torch: the own image and the rest of the set as two components."""
    B = len(log_q)
    weight = torch.full((B, B), math.log(1 - 1 / N) - math.log(B - 1), dtype=log_q.dtype)
    weight.diagonal().fill_(-math.log(N))
    total = 0.0
    for i in range(B):
        top = log_q[i].sum(1).max()
        joint = ((log_q[i].sum(1) - top + weight[i]).exp().sum()).log() + top
        for d in range(log_q.shape[2]):
            top = log_q[i, :, d].max()
            joint = joint - ((log_q[i, :, d] - top + weight[i]).exp().sum()).log() - top
        total = total + joint / B
    return total


def free_bits(kl, floor):
    return sum(
        (mean if mean > floor else torch.full_like(mean, floor)) for mean in kl.sum(0) / len(kl)
    )


def pop_by_trying(state, starts, widths, b):
    """The only state and symbol whose push gives this state."""
    found = [
        (k, before)
        for k, (start, width) in enumerate(zip(starts, widths))
        for before in range(state + 1)
        if before // width * 2**b + start + before % width == state
    ]
    assert len(found) == 1
    return found[0]


def bits_by_samples(log_q, log_pz, log_px):
    """Every z in turn, as often as q says, with nothing of weight 0."""
    rows = []
    for row, q in enumerate(log_q.exp()):
        (used,) = q.nonzero(as_tuple=True)
        lengths = (q[used].log2() - (log_pz + log_px[row])[used] / math.log(2)) * q[used]
        rows.append(math.fsum(lengths.tolist()))
    return torch.tensor(rows, dtype=torch.float64)


def unlabelled_bound(logits, joint):
    """By torch's categorical distribution and its divergence from uniform."""
    q = td.Categorical(logits=logits)
    flat = td.Categorical(logits=torch.zeros_like(logits))
    spread = math.log(logits.shape[1]) - td.kl_divergence(q, flat)
    return torch.einsum("bc,bc->b", q.probs, joint) + spread


def label_posterior(log_px, log_prior):
    """In decimal numbers with fifty digits, which do not underflow."""
    rows = []
    with localcontext() as context:
        context.prec = 50
        for row in log_px:
            joint = [
                (Decimal(a) + Decimal(b)).exp()
                for a, b in zip(row.tolist(), log_prior.tolist(), strict=True)
            ]
            rows.append([float((each / sum(joint)).ln()) for each in joint])
    return torch.tensor(rows, dtype=torch.float64)


def classifier_gradient(logits, joint):
    """By finite differences of the bound."""
    gradient, step = torch.zeros_like(logits), 1e-5
    for label in range(logits.shape[1]):
        moved = torch.zeros_like(logits)
        moved[:, label] = step
        rise = unlabelled_bound(logits + moved, joint) - unlabelled_bound(logits - moved, joint)
        gradient[:, label] = rise / (2 * step)
    return gradient


def alarm_threshold(clean, alpha):
    """By exchangeability: the lowest score whose place leaves at most α of N + 1 places above."""
    places = len(clean) + 1
    scores = sorted(clean.tolist())
    return next(s for k, s in enumerate(scores, start=1) if (places - k) / places <= alpha)


def log_seen(logits, x, seen):
    """By torch's Bernoulli, pixel by pixel, skipping the hidden ones."""
    p, found = td.Bernoulli(logits=logits), torch.zeros(logits.shape[:2], dtype=torch.float64)
    each = p.log_prob(x)
    for b, mask in enumerate(seen):
        for i in mask.nonzero().flatten().tolist():
            found[:, b] += each[:, b, i]
    return found


def clean_bit(white, y, a, b):
    """In two steps: the joint table of what was and what is scanned, then its columns."""
    channel = torch.tensor([[1 - a, a], [b, 1 - b]], dtype=torch.float64)
    joint = torch.stack([1 - white, white], -1)[..., None] * channel  # (B, P, was, scan)
    given = joint / joint.sum(-2, keepdim=True)
    return given[..., 1, :].gather(-1, y.long()[..., None])[..., 0]


def ndcg_by_swaps(ranking, hidden, k):
    """The ideal list is found by trying: hidden items first, whatever their order."""
    wanted = set(hidden.tolist())
    lists = [ranking.tolist(), sorted(ranking.tolist(), key=lambda item: item not in wanted)]
    got, best = (
        sum(math.log(2) / math.log(place + 1) for place, item in enumerate(each[:k], 1)
            if item in wanted)
        for each in lists
    )  # fmt: skip
    return got / best


def basket_as_draws(logits, x):
    """One categorical draw after the other."""
    rows = []
    for row, counts in zip(logits, x):
        draws = torch.repeat_interleave(torch.arange(len(row)), counts.long())
        rows.append(td.Categorical(logits=row).log_prob(draws).sum())
    return torch.stack(rows)


def ease_by_columns(X, strength):
    """Film j regressed on the others: a ridge regression written as least squares."""
    size = X.shape[1]
    B = torch.zeros(size, size, dtype=torch.float64)
    for j in range(size):
        keep = torch.arange(size) != j
        A = torch.cat([X[:, keep], strength**0.5 * torch.eye(size - 1).double()])
        target = torch.cat([X[:, j], torch.zeros(size - 1).double()])
        B[keep, j] = torch.linalg.lstsq(A, target[:, None]).solution[:, 0]
    return B


def beta_by_counting(step, rise, highest):
    """Exact fractions, one step after the other."""
    beta = Fraction(0)
    for _ in range(step):
        beta = min(beta + Fraction(1, rise), Fraction(highest))
    return float(beta)


def levels_by_integration(w, a, c, b):
    """Each cell by the mixture's density and quadrature; the ends by what lies beyond them."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    cells = torch.arange(256).double()[:, None] + 0.5 + torch.from_numpy(nodes) / 2  # (256, 12)
    s = torch.sigmoid(a * (cells[..., None] / 256 - c) - b)
    p = ((w * a * s * (1 - s)).sum(-1) * torch.from_numpy(weights)).sum(1) / 512
    p[0] += (w / (1 + torch.exp(a * c + b))).sum()
    p[-1] += (w / (1 + torch.exp(a * (1 - c) - b))).sum()
    return p


def sequence_by_symbols(logits, x):
    """Product of probabilities, one symbol after the other, until the end has come."""
    found = []
    for row, tokens in zip(logits.double(), x):
        p = 1.0
        for scores, token in zip(row, tokens):
            p *= scores[token].exp().item() / scores.exp().sum().item()
            if token == 0:
                break
        found.append(math.log(p))
    return torch.tensor(found, dtype=torch.float64)


def perplexity_by_guessing(log_px, x):
    """The number of equally likely tokens under which the whole set would be as probable."""
    tokens = sum([*row.tolist(), 0].index(0) + 1 for row in x)
    return torch.as_tensor(math.prod(math.exp(-v / tokens) for v in log_px.tolist()))


def words_hidden_one_by_one(before, chance, hidden, noise):
    found = before.tolist()
    for b, row in enumerate(found):
        for t in range(1, len(row)):
            if noise[b, t] < chance:
                found[b][t] = hidden
    return torch.tensor(found)


def moved_bin_by_bin(decibels, bins, floor):
    found = torch.full_like(decibels, floor)
    for i in range(decibels.shape[1]):
        if 0 <= i + bins < decibels.shape[1]:
            found[:, i + bins] = decibels[:, i]
    return found


ORACLES = {
    "grey-levels": levels_by_integration,
    "sequence-log-px": sequence_by_symbols,
    "perplexity-of": perplexity_by_guessing,
    "drop-words": words_hidden_one_by_one,
    "transposed": moved_bin_by_bin,
    "alarm-threshold": alarm_threshold,
    "log-seen": log_seen,
    "clean-bit": clean_bit,
    "ndcg-at": ndcg_by_swaps,
    "basket-log-px": basket_as_draws,
    "ease-weights": ease_by_columns,
    "annealed-beta": beta_by_counting,
    "pop-symbol": pop_by_trying,
    "bits-of": bits_by_samples,
    "explained-share": explained_share,
    "best-denoiser": best_denoiser,
    "kl-of-two": kl_of_two,
    "log-mean-weight": log_mean_weight,
    "coordinate-ascent": coordinate_ascent,
    "laplace-energy": laplace_energy,
    "kl": kl,
    "hidden-beta": hidden_beta,
    "leave-one-out": leave_one_out,
    "von-mises-slope": von_mises_slope,
    "bits-per-dimension": bits_per_dim,
    "attribute-direction": attribute_direction,
    "one-epoch": one_epoch,
    "jackknife": jackknife,
    "rate-in-three": rate_in_three,
    "annealed-weights": annealed_weights,
    "gaussian-tc": gaussian_tc,
    "information-gap": information_gap,
    "batch-tc": batch_tc,
    "free-bits": free_bits,
    "unlabelled-bound": unlabelled_bound,
    "label-posterior": label_posterior,
    "classifier-gradient": classifier_gradient,
}


@pytest.mark.parametrize("name", ORACLES)
def test_right_answers_are_right(name):
    exercise = find(name)
    draws = [exercise.inputs, *(each.inputs for each in exercise.properties if each.inputs)]
    single = name == "one-epoch"
    for seed in (1, 2):
        for draw in draws:
            for case in draw(torch.Generator().manual_seed(seed)):
                case = tuple(x if single else in_double(x) for x in case)
                expected, got = ORACLES[name](*case), exercise.answer(*case)
                parts = zip(got, expected) if isinstance(expected, tuple) else [(got, expected)]
                for mine, right in parts:
                    tolerance = 1e-4 if single else 1e-6
                    torch.testing.assert_close(
                        doubles(mine), doubles(right), rtol=tolerance, atol=tolerance
                    )


def in_double(x):
    return x.double() if isinstance(x, Tensor) and x.is_floating_point() else x


def in_form(make, value):
    """A result with each tensor made anew; the containers stay."""
    if isinstance(value, Tensor):
        return make(value) if value.ndim else value
    if isinstance(value, (tuple, list)):
        return type(value)(in_form(make, each) for each in value)
    if isinstance(value, dict):
        return {key: in_form(make, each) for key, each in value.items()}
    return value


FORMS = {
    "a list of rows": list,
    "a tuple of rows": tuple,
    "a list of arrays": lambda x: [row.detach().numpy() for row in x],
    "lists of numbers": Tensor.tolist,
    "an array": lambda x: x.detach().numpy(),
}
TENSORS_ONLY = {"masking-error"}  # an objective of the training loop, as its gate says
GRADIENTS = {"draw-latents", "quantise", "code-loss"}  # worth points; numbers alone have none
COUNTED = [each for chapter in chapters() for each in exercises(chapter)
           if each.inputs is not None and each.name not in TENSORS_ONLY]  # fmt: skip


@pytest.mark.parametrize("exercise", COUNTED, ids=lambda each: each.name)
def test_a_right_answer_counts_in_every_form(exercise):
    """Tensors, arrays or lists: in the measures of the properties, not in the gate alone."""
    for form, make in FORMS.items():
        if exercise.name in GRADIENTS and make not in (list, tuple):
            continue

        def answer(*inputs, make=make):
            return in_form(make, exercise.answer(*inputs))

        report = grade(exercise.name, answer, seed=3)
        assert report.points == report.of, f"{form}\n{report}"
