"""Anomaly scores against exact densities; AUROC, thresholds and intervals against closed forms."""

import math

import pytest
import torch
from exact_models import exact_log_px, made_by, trained_vae, widened
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal

import vae_tutorial as vt
from vae_tutorial.measure.anomaly import alarm_threshold, auroc, share_interval, surprise

NUMBERS = st.lists(st.integers(0, 6), min_size=1, max_size=12)


@given(NUMBERS, NUMBERS)
def test_auroc_counts_pairs_and_half_of_the_ties(normal, anomalous):
    pairs = [(a > n) + (a == n) / 2 for a in anomalous for n in normal]
    assert auroc(normal, anomalous) == pytest.approx(sum(pairs) / len(pairs))
    assert auroc(anomalous, normal) == pytest.approx(1 - auroc(normal, anomalous))


@given(NUMBERS, NUMBERS)
@settings(deadline=None)
def test_auroc_as_scikit_learn_has_it(normal, anomalous):
    metrics = pytest.importorskip("sklearn.metrics")
    labels = [0] * len(normal) + [1] * len(anomalous)
    expected = metrics.roc_auc_score(labels, normal + anomalous)
    assert auroc(torch.tensor(normal), torch.tensor(anomalous)) == pytest.approx(expected)


def test_auroc_of_two_normals():
    """P(b > a) = Φ(d / √2). Fails by chance once in 15,000 seeds or so (four deviations)."""
    torch.manual_seed(0)
    a, b = torch.randn(4000), torch.randn(4000) + 0.8
    expected = Normal(0.0, 1.0).cdf(torch.tensor(0.8 / math.sqrt(2))).item()
    assert auroc(a, b) == pytest.approx(expected, abs=4 * 0.0053)
    assert auroc(a.exp(), b.exp()) == pytest.approx(auroc(a, b))  # only the order counts


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0]], [1.0, math.nan]])
def test_scores_that_are_none(bad):
    for arguments in ((bad, [1.0]), ([1.0], bad)):
        with pytest.raises(ValueError, match="must be scores"):
            auroc(*arguments)
    with pytest.raises(ValueError, match="clean must be scores"):
        alarm_threshold(bad, 0.5)


def test_threshold_by_hand():
    assert alarm_threshold([5, 1, 4, 2, 3, 9, 8, 6, 7], 0.1) == 9  # the 9th of 9: ⌈10 · 0.9⌉
    assert alarm_threshold(range(1, 100), 0.05) == 95
    assert alarm_threshold(range(1, 101), 0.05) == 96  # ⌈95.95⌉: the plain quantile says 95
    assert alarm_threshold(range(1, 20), 0.05) == 19
    with pytest.raises(ValueError, match="at least 19"):
        alarm_threshold(range(18), 0.05)
    for rate in (0, 1, -0.1, 5):
        with pytest.raises(ValueError, match="between 0 and 1"):
            alarm_threshold([1.0], rate)


@pytest.mark.parametrize(("count", "rate"), [(19, 0.05), (30, 0.1), (200, 0.05)])
def test_the_threshold_keeps_its_promise_on_average(count, rate):
    """Over many choices of clean images the false-alarm rate is ⌊(N + 1) rate⌋ / (N + 1).

    For scores that are uniform the rate of one choice is 1 − threshold: no test images needed.
    Four standard errors: fails by chance once in 15,000.
    """
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(3000, count, generator=generator, dtype=torch.float64)
    rates = 1 - torch.tensor([alarm_threshold(c, rate) for c in clean])
    expected = math.floor((count + 1) * rate + 1e-9) / (count + 1)
    assert expected <= rate
    error = rates.std().item() / math.sqrt(len(rates))
    assert rates.mean().item() == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (5, 10), (10, 10), (3, 1000)])
def test_the_interval_ends_where_the_deviation_is_196(hits, count):
    low, high = share_interval(hits, count)
    for end in (low, high):
        distance = abs(hits / count - end)
        assert distance == pytest.approx(1.96 * math.sqrt(end * (1 - end) / count), abs=1e-9)
    assert 0 <= low <= hits / count <= high <= 1
    assert share_interval(0, 10)[1] == pytest.approx(0.2775, abs=1e-4)


def test_hits_that_cannot_be():
    with pytest.raises(ValueError, match="hits must be at most"):
        share_interval(11, 10)
    for name, arguments in (("hits", (-1, 10)), ("count", (0, 0))):
        with pytest.raises(ValueError, match=name):
            share_interval(*arguments)


def test_surprise_of_a_linear_model_is_exact():
    model = widened(trained_vae(6, 2), 1.3)
    x, _ = made_by(model, 40)
    found = surprise(model, x, 4000)
    torch.testing.assert_close(found["log p(x)"], -exact_log_px(model, x), atol=0.05, rtol=0)
    bound = vt.mean_elbo(model, x, 4000, progress=False)
    torch.testing.assert_close(found["KL"], bound.kl)
    torch.testing.assert_close(found["ELBO"], -bound.per_image, atol=0.2, rtol=0)
    torch.testing.assert_close(found["ELBO"], found["reconstruction"] + found["KL"])
    assert (found["ELBO"] > found["log p(x)"] - 0.05).all()


def test_surprise_does_not_depend_on_the_chunk_by_more_than_its_draws():
    model = trained_vae(6, 2)
    x, _ = made_by(model, 20)
    state = torch.get_rng_state()
    whole, parts = (surprise(model, x, 3000, chunk=chunk) for chunk in (None, 100))
    for name in whole:
        assert whole[name].shape == (20,)
        torch.testing.assert_close(whole[name], parts[name], atol=0.3, rtol=0)
    assert torch.equal(state, torch.get_rng_state())


def test_surprise_needs_a_posterior():
    with pytest.raises(TypeError):
        surprise(torch.nn.Linear(2, 2), torch.rand(3, 1, 2, 2))
    with pytest.raises(ValueError, match="samples"):
        surprise(trained_vae(6, 2), torch.rand(3, 1, 1, 6).double(), 0)
