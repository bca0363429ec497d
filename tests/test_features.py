"""What features are good for, against loops; the pendulum against its own laws."""

import pytest
import torch

from vae_tutorial.data import pendulum
from vae_tutorial.measure.features import (
    k_means,
    nearest_precision,
    powers,
    ridge,
    shared_information,
)


def blobs(count=60, seed=0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    centres = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    return centres[labels] + torch.randn(count, 2, generator=draw), labels


def test_nearest_by_loops():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    y = torch.arange(40) % 4
    total = 0.0
    for i in range(40):
        order = sorted((j for j in range(40) if j != i), key=lambda j: float((x[i] - x[j]).norm()))
        total += sum(bool(y[j] == y[i]) for j in order[:5]) / 5
    assert nearest_precision(x, y, 5) == pytest.approx(total / 40)


def test_neighbours_of_clear_groups():
    x, y = blobs()
    assert nearest_precision(x, y, 10) == 1
    with pytest.raises(ValueError, match="equally many rows, more than 60"):
        nearest_precision(x, y, 60)


def test_k_means_finds_clear_groups():
    x, y = blobs()
    found = k_means(x, 3)
    assert shared_information(found, y) == pytest.approx(1)
    assert torch.equal(found, k_means(x, 3))


def test_shared_information_by_hand():
    """Two fair coins, equal in three of four: H = log 2, I by its definition."""
    a, b = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0])
    joint = torch.tensor([[0.5, 0.0], [0.25, 0.25]], dtype=torch.float64)
    pa, pb = joint.sum(1), joint.sum(0)
    mutual = sum(
        joint[i, j] * (joint[i, j] / pa[i] / pb[j]).log()
        for i in range(2) for j in range(2) if joint[i, j] > 0
    )  # fmt: skip
    mean = -((pa * pa.log()).sum() + (pb * pb.log()).sum()) / 2
    assert shared_information(a, b) == pytest.approx(float(mutual / mean))
    assert shared_information(torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])) == (
        pytest.approx(0, abs=1e-12)
    )


def test_shared_information_agrees_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randint(0, 5, (2, 300), generator=draw)
    b[:200] = a[:200]
    expected = metrics.normalized_mutual_info_score(a.numpy(), b.numpy())
    assert shared_information(a, b) == pytest.approx(expected)


def test_ridge_chooses_by_leaving_one_out():
    """All penalties, all rows left out in turn, solved directly."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(20, 6, generator=draw, dtype=torch.float64)
    y = x @ torch.tensor([1.0, -2, 0, 0, 0, 0.5]).double() + torch.randn(20, generator=draw)
    mean, spread = x.mean(0), (x - x.mean(0)).square().mean().sqrt()

    def solved(x, y, penalty):
        z = (x - mean) / spread
        z = torch.cat([z, torch.ones(len(z), 1)], 1)
        cost = torch.diag(torch.tensor([penalty] * 6 + [0.0])).double()
        return torch.linalg.solve(z.T @ z + cost, z.T @ y)

    def left_out(penalty):
        total = 0.0
        for i in range(20):
            keep = torch.arange(20) != i
            w = solved(x[keep], y[keep], penalty)
            total += float((y[i] - torch.cat([(x[i] - mean) / spread, torch.ones(1)]) @ w) ** 2)
        return total

    penalties = [20 * 10 ** (-6 + k / 2) for k in range(13)]
    w = solved(x, y, min(penalties, key=left_out))
    new = torch.randn(9, 6, generator=draw, dtype=torch.float64)
    expected = torch.cat([(new - mean) / spread, torch.ones(9, 1)], 1) @ w
    assert torch.allclose(ridge(x, y)(new), expected)


def test_ridge_of_a_straight_line_is_exact():
    x = torch.randn(30, 2, dtype=torch.float64)
    law = ridge(x, 3 * x[:, 0] - x[:, 1] + 5)
    new = torch.randn(7, 2, dtype=torch.float64)
    assert torch.allclose(law(new), 3 * new[:, 0] - new[:, 1] + 5, atol=1e-4)


def test_powers():
    x = torch.tensor([[2.0, 3.0], [1.0, -1.0]])
    assert powers(x, 1).tolist() == x.tolist()
    assert powers(x, 2).tolist() == [[2, 3, 4, 6, 9], [1, -1, 1, -1, 1]]
    assert powers(x, 3)[0, 5:].tolist() == [8, 12, 18, 27]
    law = ridge(powers(torch.randn(60, 2).double(), 2), torch.zeros(60).double())
    assert law(powers(x.double(), 2)).abs().max() < 1e-9


# ---- the pendulum


def test_the_frame_before_is_the_one_that_was():
    """Two real steps: what `frames` draws of the second state is what the camera saw."""
    state = pendulum.draw_states(20, 0, 0.5, 1.0)
    after = pendulum.step(state, torch.linspace(-5, 5, 20))
    seen = pendulum.frames(after)
    assert torch.allclose(seen[:, 0], pendulum.draw_pendulum(state[:, 0]), atol=1e-5)
    assert torch.allclose(seen[:, 1], pendulum.draw_pendulum(after[:, 0]), atol=1e-5)


def test_pictures():
    upright, right, left = pendulum.draw_pendulum(torch.tensor([0.0, 0.7, -0.7]))
    assert torch.allclose(upright, upright.flip(1), atol=1e-6)
    assert torch.allclose(right, left.flip(1), atol=1e-6)
    assert upright.min() == 0 and upright.max() == 1 and upright[0].max() == 0
    assert (right * torch.arange(16)).sum() / right.sum() > 8.5  # right is to the right


def test_it_falls_and_a_strong_arm_is_not_stronger():
    state = torch.tensor([[0.1, 0.0]])
    for _ in range(10):
        state = pendulum.step(state, torch.zeros(1))
    assert state[0, 0] > 0.5
    assert torch.equal(pendulum.step(state, torch.tensor([99.0])),
                       pendulum.step(state, torch.tensor([pendulum.STRONGEST])))  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda s: pendulum.step(s, torch.ones(4, 1)), ValueError,
     r"torque must be \(4,\), got \(4, 1\).*squeeze\(1\)"),
    (lambda s: pendulum.step(s, torch.ones(1)), ValueError, r"torque must be \(4,\), got \(1,\)"),
    (lambda s: pendulum.step(s[0], torch.ones(2)), ValueError, r"state must be \(N, 2\), got"),
    (lambda s: pendulum.episode(torch.nn.Linear(2, 1), s, 3), ValueError, r"torque must be \(4,\)"),
    (lambda s: pendulum.episode(lambda _: 0.0, s), TypeError, "torque must be a tensor .*float"),
    (lambda s: pendulum.episode(lambda _: 0.0, s[0]), ValueError, r"start must be \(N, 2\)"),
    (lambda s: pendulum.frames(s[:, 0]), ValueError, r"state must be \(N, 2\), got \(4,\)"),
    (lambda s: pendulum.draw_pendulum(s), ValueError, r"angle must be \(N,\), got \(4, 2\)"),
])  # fmt: skip
def test_states_and_torques_of_other_shapes_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call(pendulum.draw_states(4))


def test_the_gain_is_the_best():
    """No gain nearby costs less, over long episodes of the linearised pendulum."""
    A = torch.tensor([[1 + pendulum.STEP**2 * 9.81, pendulum.STEP], [pendulum.STEP * 9.81, 1]])
    B = torch.tensor([pendulum.STEP**2, pendulum.STEP])

    def cost(gain):
        total = 0.0
        for start in ([1.0, 0.0], [0.0, 1.0]):
            s = torch.tensor(start, dtype=torch.float64)
            for _ in range(300):
                u = -(gain.double() @ s)
                total += float(s[0] ** 2 + 0.1 * s[1] ** 2 + 0.01 * u**2)
                s = A.double() @ s + B.double() * u
        return total

    best = pendulum.best_gain()
    for change in ((0.1, 0), (-0.1, 0), (0, 0.1), (0, -0.1), (0.1, 0.1), (-0.1, -0.1)):
        assert cost(best) < cost(best + torch.tensor(change))


def test_episode_ends_upright():
    gain, start = pendulum.best_gain(), pendulum.draw_states(50, 1, 0.5, 0.5)
    states = pendulum.episode(lambda state: -(state @ gain), start)
    assert states.shape == (51, 50, 2) and torch.equal(states[0], start)
    assert states[-1].abs().max() < 0.01
    fallen = pendulum.episode(lambda state: 0 * state[:, 0], start, 30)
    assert fallen[-1, :, 0].abs().median() > 1
