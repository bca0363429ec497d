"""The right answers of chapter 10's exercises, found in another way."""

import math

import torch
from torch.distributions import Categorical

from vae_tutorial.checks.registry import find


def cases(name):
    exercise = find(name)
    for seed in (1, 2):
        for case in exercise.inputs(torch.Generator().manual_seed(seed)):
            double = (x.double() if torch.is_tensor(x) and x.is_floating_point() else x
                      for x in case)  # fmt: skip
            yield exercise.answer, tuple(double)


def test_quantise_by_brute_force():
    for answer, (h, codebook) in cases("quantise"):
        z, codes = answer(h, codebook)
        for b, p in ((b, p) for b in range(h.shape[0]) for p in range(h.shape[1])):
            away = [torch.dist(h[b, p], e).item() for e in codebook]
            assert codes[b, p] == away.index(min(away))
            assert torch.allclose(z[b, p], codebook[codes[b, p]])


def test_perplexity_by_torchs_entropy():
    for answer, (batches, K) in cases("set-perplexity"):
        flat = torch.cat([batch.flatten() for batch in batches]).tolist()
        counts = torch.tensor([flat.count(k) for k in range(K)]).double()
        assert abs(answer(batches, K) - Categorical(probs=counts).entropy().exp()) < 1e-9


def test_finite_scalars_digit_by_digit():
    for answer, (h, levels) in cases("finite-scalars"):
        z, codes = answer(h, levels)
        for row, found, code in zip(h.tolist(), z.tolist(), codes.tolist()):
            for value, level, L in zip(row, found, levels):
                grid = [2 * u / (L - 1) - 1 for u in range(L)]
                wanted = 2 / (1 + math.exp(-value)) - 1
                nearest = min(range(L), key=lambda u: abs(grid[u] - wanted))
                assert abs(level - grid[nearest]) < 1e-9
                assert code % L == nearest
                code = code // L


def test_bits_by_torchs_categorical():
    for answer, (log_px, logits, codes, pixels) in cases("code-bits"):
        nats = -(log_px + Categorical(logits=logits).log_prob(codes).sum(1)).mean()
        assert abs(answer(log_px, logits, codes, pixels) - nats / math.log(2) / pixels) < 1e-9


def test_the_code_loss_has_the_covariance_as_its_gradient():
    """The leave-one-out estimate is the sample covariance, with S − 1 below (Exercise 4.3)."""
    for answer, (log_px, log_q, kl) in cases("code-loss"):
        theta = torch.randn(log_q.shape, dtype=torch.float64, generator=torch.Generator())
        t = torch.zeros(log_q.shape[1], dtype=torch.float64, requires_grad=True)
        answer(log_px, log_q + t * theta, kl).sum().backward()
        for b, found in enumerate(t.grad):
            pair = torch.stack([log_px[:, b], theta[:, b]])
            assert abs(found + torch.cov(pair)[0, 1]) < 1e-9
