"""The exercises of chapter 8, disentanglement and posterior collapse."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_tutorial.checks.core import Exercise, Property, Suspect, keeps_inputs


def _draw_covariances(rng: torch.Generator) -> list[tuple[Tensor]]:
    roots = [torch.randn(size, size, generator=rng) for size in (2, 3, 5)]
    return [(r @ r.T + 0.3 * torch.eye(len(r)),) for r in roots]


def _draw_diagonal(rng: torch.Generator) -> list[tuple[Tensor]]:
    """Independent latents of different variances."""
    return [(torch.diag(0.3 + 3 * torch.rand(size, generator=rng)),) for size in (2, 4)]


def gaussian_tc(cov: Tensor) -> Tensor:
    return 0.5 * (cov.diagonal().log().sum() - cov.logdet())


GAUSSIAN_TC = Exercise(
    name="gaussian-tc",
    call_as="gaussian_tc(cov)",
    returns="one number",
    inputs=_draw_covariances,
    answer=gaussian_tc,
    sizes=lambda cov: {"D": len(cov)},
    properties=(
        Property("the total correlation", 4, rtol=1e-3, atol=1e-4),
        Property("zero for independent latents", 2, inputs=_draw_diagonal, atol=1e-4),
        keeps_inputs(),
    ),
    slips=(
        ("0.5 * (", "1.0 * (", "The factor ½ of a Gaussian's entropy is missing."),
        ("cov.diagonal().log().sum() - cov.logdet()", "cov.logdet() - cov.diagonal().log().sum()",
         "The sign is turned round: the entropies of the single latents come first, and a total "
         "correlation is never negative."),
        (".log().sum()", ".sum().log()",
         "You took the logarithm of the trace. It is the sum of the logarithms of the variances."),
        ("cov.diagonal().log().sum() - ", "- ",
         "The entropies of the single latents are missing: ½ log Σ_dd for each."),
        ("cov.logdet()", "cov.det()", "The determinant wants a logarithm."),
        (" - cov.logdet()", "",
         "The joint entropy is missing: subtract ½ log det Σ."),
    ),
    suspects=(
        Suspect(
            lambda cov: 0.5 * (cov - torch.diag(cov.diagonal())).square().sum(),
            "A sum of squared covariances is no total correlation: it is zero at the right place, "
            "but not in nats.",
        ),
        Suspect(
            lambda cov: -0.5 * torch.log1p(-(cov[0, 1] ** 2 / (cov[0, 0] * cov[1, 1]))),
            "That is the mutual information of the first two latents. There are D of them.",
        ),
        Suspect(
            lambda cov: 0.5 * (torch.trace(cov) - len(cov) - cov.logdet()),
            "That is KL(N(0, Σ) ‖ N(0, I)). Compare with the product of the single latents' own "
            "distributions, not with the prior.",
        ),
    ),
)  # fmt: skip


def _draw_tables(rng: torch.Generator) -> list[tuple[Tensor]]:
    """Counts `(D, F, b, b)` of 600 examples: rows are bins of a code, columns of a factor."""
    cases = []
    for D, F, b in ((3, 2, 4), (4, 3, 3), (2, 2, 5)):
        rare = torch.arange(1.0, b + 1).expand(F, b)  # the bins of a factor are not equally full
        factors = torch.multinomial(rare, 600, replacement=True, generator=rng).T  # (600, F)
        noise = torch.randint(b, (600, D), generator=rng)
        own = factors[:, torch.randint(F, (D,), generator=rng)]
        codes = torch.where(torch.rand(600, D, generator=rng) < torch.rand(D, generator=rng), own,
                            noise)  # fmt: skip
        pairs = codes[:, :, None] * b + factors[:, None]  # (600, D, F)
        counts = torch.stack([(pairs == cell).sum(0) for cell in range(b * b)], -1)
        cases.append((counts.unflatten(-1, (b, b)).double() + 1.0,))
    return cases


def _draw_ideal(rng: torch.Generator) -> list[tuple[Tensor]]:
    """Each code is a factor of its own: information log b with one, none with the others."""
    cases = []
    for D, b in ((3, 4), (2, 6)):
        table = torch.full((D, D, b, b), 10.0)
        for d in range(D):
            table[d, d] = torch.eye(b)[torch.randperm(b, generator=rng)] * 10 * b
        cases.append((table,))
    return cases


def _draw_copies(rng: torch.Generator) -> list[tuple[Tensor]]:
    """The same, each code twice."""
    return [(torch.cat([table, table]),) for (table,) in _draw_ideal(rng)]


def information_gap(counts: Tensor) -> Tensor:
    joint = counts / counts.sum((2, 3), keepdim=True)  # (D, F, b, b)
    code, factor = joint.sum(3, keepdim=True), joint.sum(2, keepdim=True)
    nats = torch.special.xlogy(joint, joint / (code * factor)).sum((2, 3))  # (D, F)
    p = factor[0, :, 0]  # (F, b)
    entropy = -torch.special.xlogy(p, p).sum(1)  # (F,)
    best = nats.sort(0, descending=True).values
    return ((best[0] - best[1]) / entropy).mean()


def _gap_of_codes(counts: Tensor) -> Tensor:
    """The gap between the two best factors of each code."""
    joint = counts / counts.sum((2, 3), keepdim=True)
    product = joint.sum(3, keepdim=True) * joint.sum(2, keepdim=True)
    nats = torch.special.xlogy(joint, joint / product).sum((2, 3))
    p = joint.sum(2)[0]
    best = nats.topk(2, dim=1).values
    return (best[:, 0] - best[:, 1]).mean() / -torch.special.xlogy(p, p).sum(1).mean()


GAP = Exercise(
    name="information-gap",
    call_as="information_gap(counts)",
    returns="one number",
    inputs=_draw_tables,
    answer=information_gap,
    sizes=lambda counts: {"D": counts.shape[0], "F": counts.shape[1], "b": counts.shape[2]},
    properties=(
        Property("the gap of tables of counts", 4, rtol=1e-3, atol=1e-4),
        Property("one for an ideal code, with empty cells", 2, expected=1.0, inputs=_draw_ideal,
                 atol=1e-3),
        Property("zero for an ideal code of which each latent has a copy", 1, expected=0.0,
                 inputs=_draw_copies, atol=1e-3),
        keeps_inputs(),
    ),
    slips=(
        ("best[0] - best[1]", "best[0] - best[-1]",
         "You subtract the worst code of each factor. The gap is to the second best."),
        ("best[0] - best[1]", "best[0]",
         "That is the best information alone. Subtract the second best of each factor."),
        ("best[0] - best[1]", "best[0] - nats.mean(0)",
         "You subtract the mean over codes. The gap is to the second best."),
        (" / entropy)", ")", "Divide by the entropy of the factor: the gap is a fraction of it."),
        ("/ entropy).mean()", "/ 0.6931472).mean()",
         "That is the gap in bits. Divide by the entropy of the factor."),
        ("p = factor[0, :, 0]", "p = code[0, :, :, 0]",
         "You divide by the entropy of the code. The factor's entropy stands below the gap."),
        ("joint / (code * factor)", "joint",
         "That is minus the joint entropy. The information compares the table with the product of "
         "its margins."),
        ("counts / counts.sum((2, 3), keepdim=True)", "counts / counts.sum()",
         "You divided by the sum of all tables. Each code and factor has a table of its own."),
        ("torch.special.xlogy(joint, joint / (code * factor))",
         "(joint * (joint / (code * factor)).log())",
         "An empty cell gives 0 · log 0 = NaN. It counts nothing: use torch.special.xlogy, or "
         "leave it out."),
        (".mean()", ".sum()", "You summed over the factors. MIG is the mean."),
    ),
    suspects=(
        Suspect(
            _gap_of_codes,
            "You compared the factors of each code. The gap is between the two best *codes* of "
            "each factor.",
        ),
    ),
)  # fmt: skip


def _draw_densities(rng: torch.Generator) -> list[tuple[Tensor, int]]:
    """log q(z_i,d | x_j), `(B, B, D)`, of posteriors that overlap a little."""
    cases = []
    for B, D, N in ((5, 3, 40), (4, 2, 1000), (6, 4, 60)):
        mu = 2 * torch.randn(B, D, generator=rng)
        z = mu + 0.5 * torch.randn(B, D, generator=rng)
        cases.append((torch.distributions.Normal(mu, 0.5).log_prob(z[:, None]), N))
    return cases


def _draw_sunk(rng: torch.Generator) -> list[tuple[Tensor, int]]:
    """Densities of e^−1000; the batch is the whole set."""
    return [(each - 1000, len(each)) for each, _ in _draw_densities(rng)]


def batch_tc(log_q: Tensor, N: int) -> Tensor:
    B = len(log_q)
    weight = torch.full((B, B), (N - 1) / (N * (B - 1)), dtype=log_q.dtype)
    weight = weight.fill_diagonal_(1 / N).log()
    joint = (weight + log_q.sum(2)).logsumexp(1)
    apart = (weight[..., None] + log_q).logsumexp(1).sum(1)
    return (joint - apart).mean()


def _weighted_tc(log_q: Tensor, N: int) -> Tensor:
    log_weight = -torch.log(torch.tensor(float(N * len(log_q))))
    joint = (log_weight + log_q.sum(2)).logsumexp(1)
    return (joint - (log_weight + log_q).logsumexp(1).sum(1)).mean()


_EACH = "(weight[..., None] + log_q).logsumexp(1).sum(1)"
BATCH_TC = Exercise(
    name="batch-tc",
    call_as="batch_tc(log_q, N)",
    returns="one number",
    inputs=_draw_densities,
    answer=batch_tc,
    sizes=lambda log_q, N: {"B": log_q.shape[0], "D": log_q.shape[2], "N": N},
    properties=(
        Property("the stratified estimate", 4, rtol=1e-3, atol=1e-3),
        Property("densities of e^−1000, in a batch that is the whole set", 2, inputs=_draw_sunk,
                 rtol=1e-3, atol=0.05),
        keeps_inputs(),
    ),
    slips=(
        ("(N - 1) / (N * (B - 1))", "1 / (N * B)",
         "The others have the weight of the weighted estimate, 1 / NB. They stand for all N − 1: "
         "(N − 1) / (N (B − 1))."),
        ("(N - 1) / (N * (B - 1))", "1 / (B - 1)",
         "The weights of a row must add up to 1: the others share (N − 1) / N."),
        ("(N - 1) / (N * (B - 1))", "(N - 1) / (N * B)",
         "There are B − 1 other images in the batch, not B."),
        (".fill_diagonal_(1 / N)", "",
         "The image that z came from has no weight of its own: 1 / N, on the diagonal."),
        (".fill_diagonal_(1 / N)", ".index_fill_(1, torch.tensor([0]), 1 / N)",
         "The weight 1 / N stands in the first column. It belongs on the diagonal: each z has its "
         "own image."),
        ("log_q.sum(2)).logsumexp(1)", "log_q.sum(2)).logsumexp(0)",
         "You mixed over the draws z_i. The mixture is over the posteriors j, the second "
         "dimension."),
        (_EACH, "(weight + log_q.sum(2)).logsumexp(1)",
         "Both terms are log q(z), so that their difference is zero. In the second, mix each "
         "dimension on its own, and sum over dimensions afterwards."),
        (_EACH, "(weight[..., None] + log_q).logsumexp(1).mean(1)",
         "The logarithms of the single dimensions are averaged. Sum them."),
        ("joint - apart", "apart - joint",
         "The sign is turned round: TC = E[log q(z) − Σ_d log q(z_d)]."),
        (".mean()", ".sum()", "The sum over the batch came. Take the mean."),
        ("(weight + log_q.sum(2)).logsumexp(1)", "(weight + log_q.sum(2)).exp().sum(1).log()",
         "Densities of e^−1000 are 0 to the computer. Stay with logarithms: torch.logsumexp."),
    ),
    suspects=(
        Suspect(
            _weighted_tc,
            "These are the weights of the weighted estimate, 1 / NB. Here the own image has 1 / N, "
            "and the others stand for all N − 1: (N − 1) / (N (B − 1)).",
        ),
    ),
)  # fmt: skip


def _draw_kl(rng: torch.Generator) -> list[tuple[Tensor, float]]:
    """KL of each image and latent `(B, D)`, below and above the floor."""
    cases = []
    for B, D, floor in ((6, 4, 0.5), (5, 3, 0.3), (8, 2, 1.0)):
        above = torch.arange(D) % 2 * 1.0  # every second latent is above the floor for all images
        share = (0.2 + 0.7 * torch.rand(B, D, generator=rng)) + above
        cases.append((floor * share, floor))
    return cases


def _draw_mixed(rng: torch.Generator) -> list[tuple[Tensor, float]]:
    """Latents that tell much about half of the images and nothing about the others."""
    kl = torch.rand(8, 3, generator=rng) * 0.05
    kl[::2] += 0.9
    return [(kl, 0.3)]


def free_bits(kl: Tensor, floor: float) -> Tensor:
    return kl.mean(0).clamp(min=floor).sum()


FREE_BITS = Exercise(
    name="free-bits",
    call_as="free_bits(kl, floor)",
    returns="one number",
    inputs=_draw_kl,
    answer=free_bits,
    sizes=lambda kl, floor: {"B": kl.shape[0], "D": kl.shape[1]},
    properties=(
        Property("what the batch pays", 4),
        Property("latents that tell much about some images only", 2, inputs=_draw_mixed),
        keeps_inputs(),
    ),
    slips=(
        ("kl.mean(0).clamp(min=floor).sum()", "kl.clamp(min=floor).sum(1).mean()",
         "The maximum is taken for each image. Average over the batch first: then an image may "
         "stay below the floor where others are above."),
        ("kl.mean(0).clamp(min=floor).sum()", "kl.sum(1).mean().clamp(min=floor)",
         "The floor is for the sum of all latents. Each latent has a floor of its own."),
        ("kl.mean(0).clamp(min=floor).sum()", "kl.sum(1).clamp(min=floor).mean()",
         "The floor is for the sum of all latents, image by image. Each latent has its own."),
        (".clamp(min=floor)", ".clamp(max=floor)",
         "That is the smaller of the two. What lies below the floor counts as the floor."),
        ("kl.mean(0).clamp(min=floor)", "(kl.mean(0) - floor).clamp(min=0)",
         "You subtract the floor. Its gradient is right, but its value is not the KL where that is "
         "above the floor: max(KL, λ)."),
        (".sum()", ".mean()", "Average over images, and sum over latents."),
        ("kl.mean(0)", "kl.sum(0)", "The batch is summed. Average over it before the maximum."),
    ),
)  # fmt: skip

EXERCISES = (GAUSSIAN_TC, GAP, BATCH_TC, FREE_BITS)
