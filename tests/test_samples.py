"""Fréchet distance, precision and recall against closed forms; the classifier of the features."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vae_tutorial as vt
from vae_tutorial.measure.classifier import Classifier, train_classifier
from vae_tutorial.measure.samples import compare_samples, frechet_distance, precision_recall


def with_moments(mean: torch.Tensor, covariance: torch.Tensor, rows: int = 40) -> torch.Tensor:
    """Points whose sample mean and covariance are exactly these."""
    raw = torch.randn(rows, len(mean), dtype=torch.float64)
    raw = raw - raw.mean(0)
    white = torch.linalg.solve_triangular(
        torch.linalg.cholesky(torch.cov(raw.T)), raw.T, upper=False
    )
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt() @ white).T + mean


def some_covariance(size: int) -> torch.Tensor:
    half = torch.randn(size, size + 1, dtype=torch.float64)
    return half @ half.T / size


def test_commuting_covariances_in_closed_form():
    """With common axes: Σ (m − n)² + Σ (√λ − √κ)²."""
    axes = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    small, large = torch.rand(5).double() + 0.1, 3 * torch.rand(5).double() + 1
    m, n = torch.randn(2, 5, dtype=torch.float64)
    a = with_moments(m, axes * small @ axes.T)
    b = with_moments(n, axes * large @ axes.T, rows=70)
    expected = (m - n).square().sum() + (small.sqrt() - large.sqrt()).square().sum()
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-9)


def test_one_feature_in_closed_form():
    a, b = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [9.0], [5.0]])
    # means 1 and 5, standard deviations √2 and 4
    assert frechet_distance(a, b) == pytest.approx(16 + (4 - math.sqrt(2)) ** 2)


@pytest.mark.parametrize("size", [2, 3, 8])
def test_any_covariances_by_the_eigenvalues_of_their_product(size):
    a, b = torch.randn(2, 50, size, dtype=torch.float64)
    a = a @ torch.randn(size, size, dtype=torch.float64) + 1
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    roots = torch.linalg.eigvals(cov_a @ cov_b).real.sqrt().sum()  # of a matrix not symmetric
    expected = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * roots
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-9)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_it_is_a_distance_that_turning_does_not_change(seed, size):
    torch.manual_seed(seed)
    a, b = torch.randn(2, 20, size, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q
    there, back = frechet_distance(a, b), frechet_distance(b, a)
    assert there >= 0 and there == pytest.approx(back, abs=1e-8)
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(there, abs=1e-8)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * there, abs=1e-7)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-7)
    assert frechet_distance(a, a + 2) == pytest.approx(4 * size, abs=1e-7)


def test_features_that_never_vary_are_no_obstacle():
    a = torch.cat([torch.randn(30, 2), torch.zeros(30, 3)], 1)
    b = torch.cat([torch.randn(30, 2), torch.ones(30, 3)], 1)
    assert frechet_distance(a, b) == pytest.approx(3 + frechet_distance(a[:, :2], b[:, :2]))


def test_from_few_samples_the_distance_is_too_high():
    sizes = [30, 100, 1000]
    found = [
        sum(frechet_distance(*torch.randn(2, size, 8)) for _ in range(20)) / 20 for size in sizes
    ]
    assert found[0] > 2 * found[1] > 4 * found[2] > 0


def test_precision_and_recall_on_a_line_by_hand():
    """With one neighbour, the balls of 0, 1, 3 have radii 1, 1, 2: [−1, 2] and [1, 5]; those of
    −0.5, 4, 10 have radii 4.5, 4.5, 6: [−5, 4], [−0.5, 8.5] and [4, 16]."""
    real = torch.tensor([[0.0], [1.0], [3.0]])
    made = torch.tensor([[-0.5], [4.0], [10.0]])
    assert precision_recall(real, made, neighbours=1) == pytest.approx((2 / 3, 1.0))
    far = torch.tensor([[5.0], [5.0], [6.0]])  # 5 lies on the rim of [1, 5] and counts
    assert precision_recall(real, far, neighbours=1) == pytest.approx((2 / 3, 0.0))


@pytest.mark.parametrize("neighbours", [1, 3])
def test_precision_and_recall_by_the_definition(neighbours):
    real, made = torch.randn(60, 2), torch.randn(45, 2) * 0.7 + 2

    def inside(points, centres):
        hits = 0
        for p in points.tolist():
            reached = False
            for i, c in enumerate(centres.tolist()):
                others = sorted(
                    math.dist(c, o) for j, o in enumerate(centres.tolist()) if j != i
                )  # fmt: skip
                reached |= math.dist(p, c) <= others[neighbours - 1]
            hits += reached
        return hits / len(points)

    precision, recall = precision_recall(real, made, neighbours)
    assert precision == pytest.approx(inside(made, real))
    assert recall == pytest.approx(inside(real, made))
    assert 0 < recall < 1 and 0 < precision < 1


def test_what_precision_and_recall_tell_apart():
    real = torch.cat([torch.randn(300, 3), torch.randn(300, 3) + 20])
    one_mode = torch.randn(600, 3)
    precision, recall = precision_recall(real, one_mode)
    assert precision > 0.9 and 0.4 < recall < 0.55  # real enough, and half is missing
    precision, recall = precision_recall(one_mode, real)
    assert 0.4 < precision < 0.55 and recall > 0.9
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real, real + 1000) == (0.0, 0.0)


def test_many_points_go_through_in_parts(monkeypatch):
    from vae_tutorial.measure import samples

    real, made = torch.randn(101, 4), torch.randn(90, 4) + 1
    whole = precision_recall(real, made)
    monkeypatch.setattr(samples, "ROWS_AT_ONCE", 7)
    assert precision_recall(real, made) == whole


def test_scores_in_one_go():
    made, real = torch.randn(50, 3) + 1, torch.randn(80, 3)
    found = compare_samples(made, real)
    assert found.frechet == frechet_distance(made, real)
    assert (found.precision, found.recall) == precision_recall(real, made)
    assert (found.images, found.real_images) == (50, 80)
    assert "50 images against 80" in str(found)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(5, 1, 2, 2), torch.zeros(5, 4), r"must be features, a tensor \(N, F\)"),
        (torch.zeros(1, 4), torch.zeros(5, 4), "at least two rows"),
        ([1.0], torch.zeros(5, 4), "got list"),
        (torch.zeros(5, 4), torch.zeros(5, 3), "equally many features, got"),
        (torch.full((5, 4), math.nan), torch.zeros(5, 4), "NaN or infinite"),
    ],
)
def test_bad_features_are_named(a, b, message):
    for measure in (frechet_distance, precision_recall, compare_samples):
        with pytest.raises(ValueError, match=message):
            measure(a, b)


def test_too_few_rows_for_the_neighbours():
    with pytest.raises(ValueError, match="neighbours must be below the number of rows, 4, got 4"):
        precision_recall(torch.zeros(9, 2), torch.zeros(4, 2), neighbours=4)


@pytest.fixture(scope="module")
def trained() -> tuple[Classifier, vt.ImageSet]:
    digits = vt.draw_strokes(1500, seed=0)
    return train_classifier(digits[:1200], epochs=4, batch_size=50, device="cpu"), digits[1200:]


def test_the_classifier_learns(trained):
    classifier, held_out = trained
    assert not classifier.training
    assert classifier.accuracy(held_out) > 0.8  # ten classes
    found = classifier.features(held_out)
    assert found.shape == (300, 64) and found.min() == 0 and found.std(0).max() > 0
    whole = held_out.images / 255
    assert torch.equal(found, classifier.features(whole))
    with torch.no_grad():
        torch.testing.assert_close(classifier.last(found), classifier(whole))
    wrong = vt.ImageSet(held_out.images, (held_out.labels + 1) % 10, held_out.class_names)
    assert classifier.accuracy(wrong) < 0.2


def test_its_features_order_samples_by_how_good_they_are(trained):
    classifier, held_out = trained
    real = classifier.features(held_out[:150])
    grey = held_out.images[150:] / 255
    worse = (grey + 0.5 * torch.rand_like(grey)).clamp(max=1)
    found = [frechet_distance(classifier.features(x), real) for x in (grey, worse)]
    assert 0 < 2 * found[0] < found[1]


def test_training_a_classifier_repeats_itself_and_leaves_no_trace():
    digits = vt.draw_strokes(100, seed=0)
    before = torch.get_rng_state()
    one, same, other = (
        train_classifier(digits, epochs=1, device="cpu", seed=s).last.weight for s in (0, 0, 1)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_bad_arguments_of_the_classifier_are_named(trained):
    digits = vt.draw_strokes(20, seed=0)
    with pytest.raises(TypeError, match="data must be an ImageSet, with labels, got Tensor"):
        train_classifier(digits.images)
    with pytest.raises(ValueError, match="epochs must be a whole number"):
        train_classifier(digits, epochs=0)
    with pytest.raises(ValueError, match="learning_rate must be a positive number, got 0"):
        train_classifier(digits, learning_rate=0)
    with pytest.raises(ValueError, match="images must lie in"):
        trained[0].features(torch.full((3, 1, 28, 28), 2.0))
