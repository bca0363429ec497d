"""Rankings by hand; EASE against one ridge regression a film; the multinomial against torch's."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch.distributions import Multinomial as TorchMultinomial

import vae_tutorial as vt
from vae_tutorial import recommend
from vae_tutorial.measure.ranking import Users, ndcg, ranked, recall, split_users


def users(seen, hidden):
    return Users(torch.tensor(seen), torch.tensor(hidden))


def random_items(count=60, items=30, seed=0):
    return torch.rand(count, items, generator=torch.Generator().manual_seed(seed)) < 0.4


# ---- rankings


def test_ndcg_by_hand():
    """Hidden: items 1 and 3. Item 0 was seen; so the list is 4, 1, 2, 3."""
    one = users([[1, 0, 0, 0, 0]], [[0, 1, 0, 1, 0]])
    scores = torch.tensor([[9.0, 3.0, 2.0, 1.0, 4.0]])
    assert ranked(scores, one.seen, 4).tolist() == [[4, 1, 2, 3]]
    dcg = 1 / math.log2(3) + 1 / math.log2(5)  # at the places 2 and 4
    ideal = 1 / math.log2(2) + 1 / math.log2(3)
    assert ndcg(scores, one, 4).item() == pytest.approx(dcg / ideal)
    assert ndcg(scores, one, 3).item() == pytest.approx(1 / math.log2(3) / ideal)
    assert ndcg(scores, one, 1).item() == 0
    assert recall(scores, one, 2).item() == 0.5
    assert recall(scores, one, 1).item() == 0


def test_the_divisor_of_recall():
    """Three hidden items and a list of two: two of two is a perfect list."""
    one = users([[0, 0, 0, 0]], [[1, 1, 1, 0]])
    assert recall(torch.tensor([[4.0, 3.0, 2.0, 1.0]]), one, 2).item() == 1
    assert ndcg(torch.tensor([[4.0, 3.0, 2.0, 1.0]]), one, 2).item() == pytest.approx(1)


def test_ndcg_by_loops():
    split = split_users(random_items())
    scores = torch.randn(split.test.seen.shape, generator=torch.Generator().manual_seed(1))
    for at in (1, 5, 30):
        found = ndcg(scores, split.test, at)
        for u, row in enumerate(scores.tolist()):
            order = [i for i in sorted(range(30), key=lambda i: -row[i])
                     if not split.test.seen[u, i]][:at]  # fmt: skip
            hidden = split.test.hidden[u].bool().tolist()
            gain = sum(1 / math.log2(place + 2) for place, i in enumerate(order) if hidden[i])
            best = sum(1 / math.log2(k + 2) for k in range(min(at, sum(hidden))))
            assert found[u].item() == pytest.approx(gain / best)


def test_perfect_scores_and_any_increasing_function():
    split = split_users(random_items())
    assert torch.allclose(ndcg(split.test.hidden.float(), split.test, 30), torch.ones(12).double())
    scores = torch.randn(12, 30)
    assert torch.equal(ndcg(scores, split.test, 30), ndcg(scores.exp(), split.test, 30))


def test_bad_scores():
    one = users([[0, 0]], [[1, 0]])
    with pytest.raises(ValueError, match="NaN"):
        ndcg(torch.tensor([[math.nan, 1.0]]), one, 2)
    with pytest.raises(ValueError, match=r"scores and seen must be \(U, I\)"):
        ndcg(torch.zeros(1, 3), one, 2)
    with pytest.raises(ValueError, match="I of at least 5"):
        ndcg(torch.zeros(1, 2), one, 5)
    with pytest.raises(ValueError, match="at least one item of every user"):
        recall(torch.zeros(1, 2), users([[1, 0]], [[0, 0]]), 1)


def test_every_user_is_tested_once():
    items = random_items(53)
    splits = [split_users(items, fold, seed=7) for fold in range(5)]
    assert torch.equal(torch.cat([s.test_index for s in splits]).sort().values, torch.arange(53))
    for fold, s in enumerate(splits):
        assert len(s.train) + len(s.validation.seen) + len(s.test.seen) == 53
        after = splits[(fold + 1) % 5]
        assert torch.equal(s.validation.hidden, after.test.hidden)
        for part in (s.validation, s.test):
            assert not (part.seen & part.hidden).any()
            count, hidden = (part.seen + part.hidden).sum(1), part.hidden.sum(1)
            assert torch.equal(hidden, (count // 5).clamp(min=1))
        assert torch.equal((s.test.seen + s.test.hidden).bool(), items[s.test_index])
    other = split_users(items, 0, seed=8)
    assert not torch.equal(other.test_index, splits[0].test_index)


def test_training_users_are_in_no_other_part():
    items = torch.eye(40, 50).bool()
    items[:, 40:42] = True  # a row names its user
    s = split_users(items, 2)
    found = [s.train[:, :40], (s.validation.seen + s.validation.hidden)[:, :40],
             (s.test.seen + s.test.hidden)[:, :40]]  # fmt: skip
    assert torch.equal(torch.cat(found).sum(0), torch.ones(40).long())


def test_bad_splits():
    with pytest.raises(ValueError, match="fold must be one of 0 to 4"):
        split_users(random_items(), 5)
    with pytest.raises(ValueError, match="Leave such users"):
        split_users(torch.eye(30).bool())


# ---- rivals


def test_popularity_counts():
    train = random_items(40).long()
    assert torch.equal(recommend.popularity(train)(train[:3])[2], train.sum(0).float())


def test_ease_is_one_ridge_regression_a_film():
    """Column j of B: film j regressed on all others, with penalty λ, solved directly."""
    train = random_items(50, 12, 3).long()
    B = recommend.ease(train, 4.0)(torch.eye(12))
    x = train.double()
    for j in range(12):
        others = [i for i in range(12) if i != j]
        left = x[:, others].T @ x[:, others] + 4 * torch.eye(11, dtype=torch.float64)
        weights = torch.linalg.solve(left, x[:, others].T @ x[:, j])
        assert torch.allclose(B[others, j].double(), weights, atol=1e-6)
        assert B[j, j] == 0


def test_neighbours_by_loops():
    train = random_items(40, 10, 5).long()
    weights = recommend.item_neighbours(train, 3)(torch.eye(10))
    for j in range(10):
        cosine = {}
        for i in range(10):
            a, b = train[:, i].float(), train[:, j].float()
            cosine[i] = 0.0 if i == j else float(a @ b / (a.norm() * b.norm()))
        best = sorted(cosine, key=cosine.get, reverse=True)[:3]
        for i in range(10):
            assert weights[i, j].item() == pytest.approx(cosine[i] if i in best else 0, abs=1e-6)


# ---- the multinomial


def test_multinomial_agrees_with_torch():
    logits = torch.randn(4, 3, 7, dtype=torch.float64)
    p = vt.MultinomialLikelihood()(logits)
    x = torch.randint(0, 4, (3, 7))
    assert p.batch_shape == (4, 3) and p.event_shape == (7,)
    for k, b in itertools.product(range(4), range(3)):
        other = TorchMultinomial(int(x[b].sum()), logits=logits[k, b])
        assert p.log_prob(x)[k, b].item() == pytest.approx(other.log_prob(x[b].double()).item())
    assert torch.allclose(p.mean, logits.softmax(-1))
    assert torch.allclose(p.expand((2, 4, 3)).log_prob(x)[1], p.log_prob(x))


def test_probabilities_of_all_baskets_of_a_size_sum_to_one():
    p = vt.MultinomialLikelihood()(torch.randn(4, dtype=torch.float64))
    baskets = [b for b in itertools.product(range(6), repeat=4) if sum(b) == 5]
    total = p.log_prob(torch.tensor(baskets)).exp().sum()
    assert total.item() == pytest.approx(1)


# ---- the autoencoders


def test_a_vae_of_the_package_and_its_objectives():
    x = random_items(80, 30).long()
    torch.manual_seed(0)
    model = recommend.mult_vae(30, 4, (16,))
    before = vt.evaluate(model, x, objective=vt.elbo)["loss"]
    vt.fit(model, x, epochs=20, batch_size=20, progress=False, device="cpu")
    assert vt.evaluate(model, x, objective=vt.elbo)["loss"] < before - 0.5
    assert vt.log_likelihood(model, x, samples=20, progress=False).mean > -before
    dae = recommend.mult_dae(30, 4, (16,))
    objective = recommend.multinomial_error
    start = vt.evaluate(dae, x.float(), objective=objective)["loss"]
    vt.fit(dae, x.float(), objective=objective, epochs=20, batch_size=20, progress=False,
           device="cpu")  # fmt: skip
    assert vt.evaluate(dae, x.float(), objective=objective)["loss"] < start - 0.3


def test_scores_have_no_dropout_and_leave_the_mode():
    x = random_items(9, 30).long()
    for model in (recommend.mult_vae(30, 4), recommend.mult_dae(30, 4)):
        model.train()
        first = recommend.scores(model, x)
        assert torch.equal(first, recommend.scores(model, x)) and model.training
        assert torch.allclose(first.exp().sum(1), torch.ones(9), atol=1e-5)
        model.encoder.dropout.eval()  # a part whose mode differs keeps its own
        recommend.scores(model, x)
        assert model.encoder.layers.training and not model.encoder.dropout.training


def test_a_row_is_scaled_to_length_one():
    """Twice the same row: inputs of three items, each 1/√3."""
    encoder = recommend.ItemEncoder(6, 2, (), 0.0)
    row = torch.tensor([[1, 0, 1, 0, 1, 0]])
    (linear,) = encoder.layers
    expected = linear.weight[:, [0, 2, 4]].sum(1) / 3**0.5 + linear.bias
    assert torch.allclose(torch.cat(encoder(row), 1)[0], expected, atol=1e-6)
    assert torch.allclose(encoder(7 * row)[0], encoder(row)[0], atol=1e-6)


def test_the_best_weights_come_back():
    split = split_users(random_items(80, 30))
    torch.manual_seed(0)
    model = recommend.mult_vae(30, 4, (16,))
    stop = recommend.BestRanking(model, split.validation, patience=3)
    with pytest.raises(RuntimeError, match="no epoch has been ranked"):
        stop.restore()
    history = vt.fit(model, split.train, epochs=60, batch_size=20, learning_rate=0.02,
                     schedule=vt.schedules.constant, on_epoch=stop, progress=False,
                     device="cpu")  # fmt: skip
    assert len(stop.curve) == len(history.train["loss"])
    best = stop.curve.index(max(stop.curve))
    assert len(stop.curve) in (60, best + 4)
    assert stop.restore() == max(stop.curve)
    found = ndcg(recommend.scores(model, split.validation.seen), split.validation, 30)
    assert found.mean().item() == pytest.approx(max(stop.curve))


@pytest.mark.parametrize("make", [recommend.mult_vae, recommend.mult_dae])
def test_bad_networks(make):
    with pytest.raises(ValueError, match="dropout"):
        make(30, dropout=1.0)
    with pytest.raises(TypeError, match="hidden must list"):
        make(30, hidden=200)
    with pytest.raises(ValueError, match="latent_dim"):
        make(30, 0)
    with pytest.raises(ValueError, match="neighbours"):
        recommend.item_neighbours(torch.eye(5), 0)
    with pytest.raises(ValueError, match="strength"):
        recommend.ease(torch.eye(5), 0.0)


def test_on_the_generated_set_the_truth_ranks_best():
    """Nobody beats who knows each user's taste; popularity is behind EASE."""
    ratings = vt.load_ratings()
    liked = ratings.table >= 4
    split = split_users(liked)
    test = split.test
    found = {
        "truth": ndcg(ratings.taste[split.test_index], test).mean(),
        "ease": ndcg(recommend.ease(split.train)(test.seen), test).mean(),
        "popularity": ndcg(recommend.popularity(split.train)(test.seen), test).mean(),
    }
    assert found["truth"] > found["ease"] + 0.05 > found["popularity"] + 0.15
    shuffled = partial(torch.Tensor.roll, shifts=1, dims=0)  # another user's taste
    assert ndcg(shuffled(ratings.taste[split.test_index]), test).mean() < found["ease"]
