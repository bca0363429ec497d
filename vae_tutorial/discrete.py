"""Objectives for models with discrete latent variables (see `models.discrete`), in nats.

Each has the form of every objective, `(model, x) -> dict` of tensors `(B,)` with `"loss"`, so
that `fit` trains with it. `"log_px"` and `"elbo"` are of codes, whole numbers, unless the entry
is called `"relaxed"`: a relaxed ELBO is no bound on log p(x).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from vae_tutorial.arguments import positive_number, real_number, whole_number
from vae_tutorial.models.code_prior import CodePrior
from vae_tutorial.models.discrete import CategoricalVAE, CodeVAE, QuantisedVAE
from vae_tutorial.models.quantisers import straight_through

MOST_CODES = 20_000  # that are enumerated


def quantised_loss(
    model: QuantisedVAE, x: Tensor, *, commitment: float = 0.25
) -> dict[str, Tensor]:
    """The VQ-VAE's loss (van den Oord et al., 2017, equation 3), also for FSQ.

    −log p(x | z(x)) + Σ_p ‖stop(h_p) − e_p‖² + `commitment` · Σ_p ‖h_p − stop(e_p)‖². The second
    term is left out where moving averages teach the codebook. Entries `(B,)`:

    - `"loss"`: that sum, which is no bound: squared distances are no nats;
    - `"log_px"`: log p(x | z(x));
    - `"elbo"`: log p(x | z(x)) − P log K, a lower bound on log p(x) under the uniform prior;
    - `"commitment"`: Σ_p ‖h_p − e_p‖².
    """
    weight = real_number("commitment", commitment, "non-negative", 0.0)
    found = model.quantised(x)
    log_px = model.likelihood_of(found.z.flatten(1)).log_prob(x)
    loss = -log_px + weight * found.commitment_cost.sum(1)
    if getattr(model.quantiser, "decay", 0.0) is None:
        loss = loss + found.codebook_cost.sum(1)
    rate = model.positions * math.log(model.categories)
    return {
        "loss": loss,
        "log_px": log_px.detach(),
        "elbo": log_px.detach() - rate,
        "commitment": found.commitment_cost.sum(1).detach(),
    }


def uniform_kl(logits: Tensor) -> Tensor:
    """KL of P categorical variables from uniform ones, for logits `(B, P, K)`: `(B,)`, nats.

    Σ_p log K − H(q_p), between 0 and P log K. A logit of −∞ is a probability of 0, and counts 0.
    """
    log_q = logits.log_softmax(-1)
    finite = log_q.masked_fill(log_q == -math.inf, 0.0)  # 0 · log 0 would be NaN
    return (log_q.exp() * (finite + math.log(logits.shape[-1]))).sum((-2, -1))


def relaxed_elbo(
    model: CategoricalVAE, x: Tensor, *, temperature: float = 1.0, hard: bool = False
) -> dict[str, Tensor]:
    """One Gumbel-softmax draw for each image (Jang et al., 2017; Maddison et al., 2017).

    With `hard`, the decoder sees the one-hot code and the gradient is that of the soft one
    (straight-through Gumbel). The KL is the exact one between categorical variables, for the
    uniform prior. Entries `(B,)`: `"loss"`, `"kl"`, and `"elbo"` with `hard`, else `"relaxed"`:
    a decoder that sees soft codes gets information that no code has.
    """
    tau = positive_number("temperature", temperature)
    logits = model.logits(x)  # (B, P, K)
    noise = -(-torch.rand_like(logits).clamp(min=1e-20).log()).log()  # Gumbel
    perturbed = logits + noise
    y = (perturbed / tau).softmax(-1)
    if hard:
        onehot = F.one_hot(perturbed.argmax(-1), model.categories).to(y.dtype)
        y = straight_through(onehot, y)
    log_px, kl = model.likelihood_of(y.flatten(1)).log_prob(x), uniform_kl(logits)
    return {"loss": kl - log_px, "kl": kl, "elbo" if hard else "relaxed": log_px - kl}


def leave_one_out_elbo(model: CategoricalVAE, x: Tensor, *, samples: int = 4) -> dict[str, Tensor]:
    """The score-function gradient with a leave-one-out baseline (Kool et al., 2019).

    `samples` codes are drawn for each image; each takes the mean log p(x | z) of the others as
    its baseline. Entries `(B,)`: `"loss"`, whose value is −ELBO and whose gradient is that
    estimate, `"elbo"` and `"kl"` (exact, uniform prior).
    """
    if whole_number("samples", samples) < 2:
        raise ValueError("samples must be at least 2: the baseline is the mean of the others")
    logits = model.logits(x)
    q = _codes(logits)
    z = q.sample((samples,))  # (S, B, P)
    log_px = model.likelihood(z).log_prob(x)  # (S, B)
    values = log_px.detach()
    advantage = (values - values.mean(0)) * samples / (samples - 1)
    score = (advantage * q.log_prob(z)).mean(0)
    kl = uniform_kl(logits)
    elbo = log_px.mean(0) - kl
    return {"loss": score.detach() - score - elbo, "elbo": elbo.detach(), "kl": kl.detach()}


def prior_loss(prior: CodePrior, codes: Tensor) -> dict[str, Tensor]:
    """The objective that trains a prior on codes `(B, P)`: `"loss"` is −log p(c), in nats."""
    return {"loss": -prior.log_prob(codes)}


def all_codes(positions: int, categories: int) -> Tensor:
    """Every code, `(K^P, P)`. Raises `ValueError` for more than 20,000 of them."""
    if categories**positions > MOST_CODES:
        raise ValueError(f"{categories}^{positions} codes are too many to list; sample instead")
    return torch.cartesian_prod(*[torch.arange(categories)] * positions).view(-1, positions)


def every_log_px(model: CodeVAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """All codes `(N, P)`, and log p(x | z) for each of them and each image: `(N, B)`.

    Raises `ValueError` for too many codes, `TypeError` for images that are no floats.
    """
    if not x.is_floating_point():
        raise TypeError(
            f"x must be zeros and ones as floats, got {x.dtype}. Bytes 0 … 255 become such by "
            "(x > 127).float(), whole numbers 0 and 1 by x.float()."
        )
    z = all_codes(model.positions, model.categories).to(x.device)
    logits = model.likelihood(z).base_dist.logits.flatten(1)  # (N, pixels)
    log_px = logits @ x.flatten(1).T - F.softplus(logits).sum(1, keepdim=True)
    return z, log_px


def exact_log_p(model: CodeVAE, x: Tensor) -> Tensor:
    """log p(x) of each image, `(B,)`, exactly: a sum over all codes. Raises as `every_log_px`."""
    z, log_px = every_log_px(model, x)
    return torch.logsumexp(log_px + model.prior().log_prob(z)[:, None], 0)


def exact_elbo(model: CategoricalVAE, x: Tensor) -> dict[str, Tensor]:
    """The ELBO with the expectation as a sum over all codes, for a few of them.

    Its gradient is exact as well, and the KL is to the model's own prior: uniform, or the module
    that it was given. Entries `(B,)`: `"loss"`, `"elbo"`, `"kl"`. Raises as `every_log_px`.
    """
    z, log_px = every_log_px(model, x)
    logits = model.logits(x)
    weights = _codes(logits).log_prob(z[:, None]).exp()  # (N, B)
    kl = uniform_kl(logits)
    if model.prior_module is not None:  # E_q[log p(z)] differs from −P log K then
        log_p = model.prior().log_prob(z)  # (N,)
        kl = kl - (log_p @ weights + model.positions * math.log(model.categories))
    elbo = (weights * log_px).sum(0) - kl
    return {"loss": -elbo, "elbo": elbo.detach(), "kl": kl.detach()}


def _codes(logits: Tensor) -> Distribution:
    """q(z | x) over codes, from its logits `(B, P, K)`."""
    each = torch.distributions.Categorical(logits=logits, validate_args=False)
    return torch.distributions.Independent(each, 1)
