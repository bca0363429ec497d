"""Schedules against their definitions, and what reaches the optimiser and the objective."""

import math
from functools import partial

import pytest
import torch

import vae_tutorial as vt
from vae_tutorial import schedules


def test_linear_rises_and_stays():
    values = [schedules.linear(step, 100, rise=0.4) for step in range(100)]
    assert values[:41] == pytest.approx([step / 40 for step in range(41)])
    assert set(values[40:]) == {1.0}


def test_cyclical_is_linear_started_anew():
    values = [schedules.cyclical(step, 120, cycles=3, rise=0.5) for step in range(120)]
    once = [schedules.linear(step, 40, rise=0.5) for step in range(40)]
    assert values == pytest.approx(3 * once)


def test_sigmoid_is_the_logistic_function():
    for step in range(0, 101, 5):
        expected = 1 / (1 + math.exp(-(step / 100 - 0.3) / 0.04))
        found = schedules.sigmoid(step, 100, middle=0.3, width=0.04)
        assert found == pytest.approx(expected, rel=1e-9)
    assert schedules.sigmoid(0, 10**9, middle=1.0, width=1e-9) == 0.0  # no overflow


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedules.linear(1, 2, rise=0), "rise must be a fraction of the run"),
        (lambda: schedules.linear(1, 2, rise=1.5), "rise must be a fraction of the run"),
        (lambda: schedules.cyclical(1, 2, cycles=0), "cycles must be a whole number"),
        (lambda: schedules.sigmoid(1, 2, width=-1), "width must be a fraction of the run"),
    ],
)
def test_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_describe_names_everything():
    describe = schedules.describe
    assert describe(schedules.linear) == "linear"
    assert describe(partial(schedules.linear, rise=0.3)) == "linear(rise=0.3)"
    nested = partial(partial(vt.elbo, beta=4.0), samples=2)
    assert describe(nested) in ("elbo(beta=4.0, samples=2)", "elbo(samples=2, beta=4.0)")
    assert describe(None) == "None"


def test_beta_and_the_rate_reach_every_step(small_vae, blobs):
    """β is what the objective got; the rate is how far Adam's first steps move a weight."""
    seen = []

    def objective(model, x, beta=1.0):
        seen.append(float(beta))
        return vt.elbo(model, x, beta=beta)

    history = vt.fit(
        small_vae, blobs, validation=blobs, objective=objective, epochs=2, batch_size=100,
        beta=lambda step, steps: 10.0 * step + steps,
    )  # fmt: skip
    # three steps an epoch, and one validation batch at the objective's own β
    assert seen == [6.0, 16.0, 26.0, 1.0, 36.0, 46.0, 56.0, 1.0]
    assert history.settings["beta"] == "<lambda>"


def test_the_rate_follows_the_schedule(blobs):
    """With a gradient of constant sign, Adam's step is the rate."""
    model = torch.nn.Linear(1, 1, bias=False)
    places = []

    def objective(model, x):
        places.append(model.weight.item())
        return {"loss": model.weight.squeeze().expand(len(x))}

    rates = [1.0, 0.5, 0.25, 2.0, 0.0, 1.0]
    vt.fit(model, blobs, objective=objective, epochs=2, batch_size=100, learning_rate=0.01,
           schedule=lambda step, steps: rates[step])  # fmt: skip
    moved = [a - b for a, b in zip(places, [*places[1:], model.weight.item()], strict=True)]
    assert moved == pytest.approx([0.01 * rate for rate in rates], rel=1e-4, abs=1e-7)


def test_free_bits_are_free(small_vae, blobs):
    """The loss counts max(KL_d, free_bits) for each dimension, and nothing else changes."""
    x = (blobs / 255).round()
    torch.manual_seed(1)
    plain = vt.elbo(small_vae, x)
    torch.manual_seed(1)
    free = vt.elbo(small_vae, x, free_bits=0.02)
    q = small_vae.posterior(x)
    each = torch.distributions.kl_divergence(q.base_dist, torch.distributions.Normal(0.0, 1.0))
    assert (each < 0.02).any() and (each > 0.02).any()  # both cases occur
    expected = each.clamp(min=0.02).sum(-1) - plain["log_px"]
    torch.testing.assert_close(free["loss"], expected)
    for name in ("elbo", "log_px", "kl"):
        assert torch.equal(free[name], plain[name])
    with pytest.raises(ValueError, match="free_bits must not be negative, got -1"):
        vt.elbo(small_vae, x, free_bits=-1)
