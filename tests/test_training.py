"""The loop: that it learns, that its means are right, and what it does when things go wrong."""

import math
import os
import pickle
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

import vae_tutorial as vt
from vae_tutorial.train import loop


def weights_of(model):
    return [value.clone() for value in model.state_dict().values()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_fit_improves_the_elbo(small_vae, blobs):
    before = vt.evaluate(small_vae, blobs)["elbo"]
    history = vt.fit(small_vae, blobs, validation=blobs, epochs=30, batch_size=32)
    after = vt.evaluate(small_vae, blobs)["elbo"]
    assert after > before + 10
    assert history.validation["elbo"][-1] == pytest.approx(after, abs=1e-6)
    assert history.epochs == len(history.train["loss"]) == 30 and history.stopped == ""
    assert history.seconds == sorted(history.seconds)
    assert history.settings["binarisation"] == "dynamic"


def test_fit_reaches_the_exact_optimum_of_a_linear_autoencoder():
    """Trained by `fit`, a linear autoencoder has the error of principal component analysis."""
    data = torch.randn(500, 3, dtype=torch.float64) @ torch.randn(3, 12, dtype=torch.float64)
    data += 0.1 * torch.randn(500, 12)
    data -= data.mean(0)

    class Linear(torch.nn.Module):
        values = "real"

        def __init__(self):
            super().__init__()
            self.down, self.up = torch.nn.Linear(12, 3).double(), torch.nn.Linear(3, 12).double()

        def forward(self, x):
            return self.up(self.down(x))

    model = Linear()
    vt.fit(model, data, objective=vt.reconstruction_error, epochs=400, batch_size=50,
           learning_rate=1e-2)  # fmt: skip
    error = vt.evaluate(model, data, objective=vt.reconstruction_error)["squared_error"]
    smallest = np.linalg.svd(data.numpy(), compute_uv=False)[3:]
    assert error == pytest.approx((smallest**2).sum() / 500, rel=1e-2)


def test_any_objective_trains(small_vae, blobs):
    def three_lines(model, x):
        rebuilt = model.likelihood(model.posterior(x).mean).mean
        return {"loss": (rebuilt - x).square().sum((1, 2, 3))}

    for objective in (three_lines, vt.iwae_bound, partial(vt.elbo, beta=2.0)):
        history = vt.fit(small_vae, blobs, objective=objective, epochs=3, batch_size=64)
        assert history.train["loss"][-1] < history.train["loss"][0]


def test_same_seed_same_weights(blobs):
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        model = vt.VAE(vt.MLPEncoder(2, (8,), (1, 8, 8)), vt.MLPDecoder(2, (8,), (1, 8, 8)))
        history = vt.fit(model, blobs, validation=blobs, epochs=2, batch_size=64)
        runs.append((weights_of(model), history.train, history.validation))
    assert same(runs[0][0], runs[1][0]) and runs[0][1:] == runs[1][1:]


def test_validation_does_not_change_the_training(blobs):
    found = []
    for validation in (None, blobs):
        torch.manual_seed(5)
        model = vt.VAE(vt.MLPEncoder(2, (8,), (1, 8, 8)), vt.MLPDecoder(2, (8,), (1, 8, 8)))
        vt.fit(model, blobs, validation=validation, epochs=2, batch_size=64)
        found.append(weights_of(model))
    assert same(*found)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 300, 1000])
def test_means_count_every_image_once(batch_size, blobs):
    """With a learning rate too small to matter, means equal those of all images at once."""

    class Frozen(torch.nn.Linear):
        def forward(self, x):
            return x + 0 * self.weight.sum()

    def brightness(model, x):
        return {"loss": model(x).sum((1, 2, 3))}

    model = Frozen(1, 1)
    expected = blobs.double().sum((1, 2, 3)).mean().item() / 255
    history = vt.fit(model, blobs, objective=brightness, epochs=1, batch_size=batch_size)
    assert history.train["loss"][0] == pytest.approx(expected, rel=1e-5)
    evaluated = vt.evaluate(model, blobs, objective=brightness, batch_size=batch_size)
    assert evaluated["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_the_mean_over_images(blobs):
    """Adam hides the scale of the loss, so the gradient that the last step left is compared."""
    model = torch.nn.Linear(1, 1, bias=False)

    def scaled_brightness(model, x):
        return {"loss": model.weight.squeeze() * x.sum((1, 2, 3))}

    vt.fit(model, blobs, objective=scaled_brightness, epochs=1, batch_size=300)
    expected = blobs.double().sum((1, 2, 3)).mean().item() / 255
    assert model.weight.grad.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (vt.VAE(vt.MLPEncoder(2), vt.MLPDecoder(2)), "dynamic"),
        (vt.VAE(vt.MLPEncoder(2), vt.MLPDecoder(2), vt.GaussianLikelihood()), "none"),
        (vt.VAE(vt.MLPEncoder(2), vt.MLPDecoder(2), vt.ContinuousBernoulliLikelihood()), "none"),
    ],
)
def test_binarisation_follows_the_likelihood(model, expected):
    images = torch.randint(0, 256, (20, 1, 28, 28), dtype=torch.uint8)
    seen = []

    def spy(model, x):
        seen.append(x)
        return vt.elbo(model, x)

    history = vt.fit(model, images, objective=spy, epochs=1)
    assert history.settings["binarisation"] == expected
    assert (len(seen[0].unique()) == 2) == (expected == "dynamic")


def test_evaluate_is_repeatable_and_leaves_no_trace(small_vae, blobs):
    small_vae.train()
    state = torch.get_rng_state()
    before = weights_of(small_vae)
    first = vt.evaluate(small_vae, blobs)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert vt.evaluate(small_vae, blobs) == first
    assert vt.evaluate(small_vae, blobs, seed=1) != first
    assert small_vae.training and same(before, weights_of(small_vae))
    assert all(p.grad is None for p in small_vae.parameters())


@pytest.mark.parametrize("mode", [True, False])
def test_evaluate_gives_modes_back(mode, small_vae, blobs):
    small_vae.train(mode)
    small_vae.encoder.train(not mode)  # parts may differ
    vt.evaluate(small_vae, blobs)
    assert small_vae.training is mode and small_vae.decoder.training is mode
    assert small_vae.encoder.training is not mode


def test_after_fit_the_model_is_in_evaluation_mode(small_vae, blobs):
    vt.fit(small_vae.train(), blobs, validation=blobs, epochs=1)
    assert not any(part.training for part in small_vae.modules())


def test_a_frozen_part_stands_still(blobs):
    """Batch normalisation moves its running means in training mode, without any gradient."""
    norm = torch.nn.BatchNorm2d(1)
    encoder = torch.nn.Sequential(norm, vt.MLPEncoder(2, (16,), (1, 8, 8)))
    model = vt.VAE(encoder, vt.MLPDecoder(2, (16,), (1, 8, 8)))
    encoder.requires_grad_(False)
    before = [value.clone() for value in encoder.state_dict().values()]
    vt.fit(model, blobs, epochs=2)
    assert same(before, encoder.state_dict().values())
    encoder.requires_grad_(True)
    vt.fit(model, blobs, epochs=1)
    assert norm.running_mean.abs() > 0


def test_evaluating_on_the_cpu_leaves_gpus_alone(small_vae, blobs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeded a GPU"))
    vt.evaluate(small_vae, blobs)


def test_validation_of_another_shape_is_refused_before_training(small_vae, blobs):
    before = weights_of(small_vae)
    with pytest.raises(ValueError, match=r"shape of data, \(1, 8, 8\), got \(1, 8, 6\)"):
        vt.fit(small_vae, blobs, validation=blobs[..., :6])
    assert same(before, weights_of(small_vae))


def test_divergence_crosses_processes():
    error = vt.TrainingDivergedError("message", vt.History(seconds=[1.0]))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "message" and again.history == error.history


def test_training_trains_and_evaluation_evaluates(small_vae, blobs):
    """Dropout and batch normalisation behave differently in the two modes."""
    modes = []

    def spy(model, x):
        modes.append((model.training, torch.is_grad_enabled()))
        return vt.elbo(model, x)

    vt.fit(small_vae, blobs, validation=blobs, objective=spy, epochs=2, batch_size=300)
    assert modes == [(True, True), (False, False)] * 2


def test_one_cycle_rises_and_falls():
    factors = [vt.schedules.one_cycle(step, 1000) for step in range(1001)]
    top = factors.index(max(factors))
    assert max(factors) <= 1 and factors[top] > 0.99 and 40 <= top <= 60
    assert factors[:top] == sorted(factors[:top])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert factors[0] > 0 and factors[-1] == pytest.approx(0, abs=1e-12)


def test_one_step_is_adams(small_vae, blobs):
    """Adam's first step moves every weight that has a gradient by the learning rate."""
    before = weights_of(small_vae)
    vt.fit(small_vae, blobs, epochs=1, batch_size=300, learning_rate=1e-3)
    expected = 1e-3 * vt.schedules.one_cycle(0, 1)
    for old, new, p in zip(before, weights_of(small_vae), small_vae.parameters(), strict=True):
        moved = (new - old)[p.grad.abs() > 1e-3].abs()
        torch.testing.assert_close(moved, torch.full_like(moved, expected), rtol=1e-2, atol=0)


# Arguments that are refused


def bytes_(*shape):
    return torch.zeros(shape, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": -2}, "epochs must be a whole number of at least 1, got -2"),
        ({"epochs": 1.5}, "epochs must be a whole number of at least 1, got 1.5"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number, got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be a positive number, got nan"),
    ],
)
def test_settings_are_refused(setting, message, small_vae, blobs):
    before = weights_of(small_vae)
    with pytest.raises(ValueError, match=message):
        vt.fit(small_vae, blobs, **setting)
    assert same(before, weights_of(small_vae))


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (bytes_(5, 28, 28), ValueError, r"\(N, C, H, W\), got \(5, 28, 28\)"),
        (torch.zeros(0, 1, 8, 8), ValueError, r"must hold examples, shape \(N, ...\), got \(0,"),
        (torch.zeros(8), ValueError, r"must hold examples, shape \(N, ...\), got \(8,\)"),
        (bytes_(5, 1, 8, 8).long(), TypeError, "uint8 or floating point, got torch.int64"),
        (255 * torch.ones(5, 1, 8, 8), ValueError, r"in \[0, 1\] .* got values from 255 to 255"),
        (torch.full((5, 1, 8, 8), -0.5), ValueError, "got values from -0.5"),
        (torch.full((5, 1, 8, 8), math.nan), ValueError, "NaN or infinite"),
        (np.zeros((5, 1, 8, 8)), TypeError, "got ndarray.*torch.from_numpy"),
    ],
)
def test_images_are_refused(images, error, message, small_vae, blobs):
    before = weights_of(small_vae)
    for call in (
        lambda: vt.fit(small_vae, images),
        lambda: vt.fit(small_vae, blobs, validation=images),
        lambda: vt.evaluate(small_vae, images),
    ):
        with pytest.raises(error, match=message):
            call()
    assert same(before, weights_of(small_vae))


def test_real_valued_data_want_a_gaussian_likelihood():
    shape = (1, 1, 6)
    model = vt.VAE(
        vt.MLPEncoder(2, (), shape), vt.MLPDecoder(2, (), shape), vt.GaussianLikelihood()
    )
    assert vt.fit(model, 10 * torch.randn(30, *shape), epochs=1).epochs == 1


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda x: x.sum(), 'must return a dict with an entry "loss", got Tensor'),
        (lambda x: {"elbo": x.sum((1, 2, 3))}, r"an entry \"loss\", got \['elbo'\]"),
        (lambda x: {"loss": x.mean()}, r"a tensor \(128,\) for this batch; entry \"loss\" is \(\)"),
        (lambda x: {"loss": x.sum((1, 2, 3)), "kl": 0.0}, 'entry "kl" is float'),
    ],
)
def test_objectives_are_refused(returned, message, small_vae, blobs):
    with pytest.raises(ValueError, match=message):
        vt.fit(small_vae, blobs, objective=lambda model, x: returned(x))


# Trouble on the way


def nan_after(steps, entry="loss"):
    """An objective that is fine for some steps and then returns NaN in one entry."""
    calls = iter(range(10**6))

    def objective(model, x):
        terms = vt.elbo(model, x)
        factor = torch.where(torch.tensor(next(calls) >= steps), torch.nan, 1.0)
        return {name: term * factor if name in ("loss", entry) else term
                for name, term in terms.items()}  # fmt: skip

    return objective


def test_nan_is_named_and_the_last_good_epoch_kept(small_vae, blobs):
    kept = []

    trouble = nan_after(12, "kl")

    def remembering(model, x):
        kept.append(weights_of(model))
        return trouble(model, x)

    with pytest.raises(vt.TrainingDivergedError) as caught:
        vt.fit(small_vae, blobs, objective=remembering, epochs=5, batch_size=64)
    # 300 images in batches of 64 are 5 steps an epoch: step 13 is the third of epoch 3
    assert "epoch 3, step 3 of 5: not finite: loss, kl" in str(caught.value)
    assert caught.value.history.epochs == 2
    assert same(weights_of(small_vae), kept[10])  # as they were when epoch 3 began


def test_nan_in_the_first_epoch_keeps_the_weights_given(small_vae, blobs):
    before = weights_of(small_vae)
    with pytest.raises(vt.TrainingDivergedError, match="its weights of before training again"):
        vt.fit(small_vae, blobs, objective=nan_after(0), epochs=2)
    assert same(before, weights_of(small_vae))


def test_a_weight_that_is_not_finite_is_noticed(small_vae, blobs):
    calls = iter(range(100))

    def last_step_explodes(model, x):
        scale = math.inf if next(calls) == 4 else 0.0  # finite loss, infinite gradient
        loss = vt.elbo(model, x)["loss"]
        for p in model.parameters():
            p.register_hook(lambda g, scale=scale: g + scale) if scale else None
        return {"loss": loss}

    with pytest.raises(vt.TrainingDivergedError, match="epoch 1, step 5 of 5: not finite: weights"):
        vt.fit(small_vae, blobs, objective=last_step_explodes, epochs=1, batch_size=64)
    assert all(torch.isfinite(p).all() for p in small_vae.parameters())


def test_interrupt_keeps_weights_and_history(small_vae, blobs):
    kept, calls = {}, iter(range(100))

    def interrupted(model, x):
        if next(calls) == 7:  # the third of five steps in epoch 2
            kept["weights"] = weights_of(model)
            raise KeyboardInterrupt
        return vt.elbo(model, x)

    with pytest.raises(vt.TrainingInterrupted, match="keeps what it has learnt") as caught:
        vt.fit(small_vae, blobs, objective=interrupted, epochs=5, batch_size=64)
    history = caught.value.history
    assert history.epochs == 1 and history.stopped == "interrupted in epoch 2 of 5"
    assert same(weights_of(small_vae), kept["weights"]) and not small_vae.training
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.history.train == history.train


def test_one_interrupt_ends_the_loop_around_fit_too(small_vae, blobs):
    """Somebody's loop over five runs must not start the second after Ctrl-C."""
    runs = []

    def interrupted(model, x):
        os.kill(os.getpid(), signal.SIGINT)
        return vt.elbo(model, x)

    def five_runs():
        for run in range(5):
            runs.append(run)
            vt.fit(small_vae, blobs, objective=interrupted, epochs=1, batch_size=64)

    with pytest.raises(KeyboardInterrupt):
        five_runs()
    assert runs == [0]


def test_an_interrupted_run_that_had_diverged_keeps_the_last_good_weights(small_vae, blobs):
    kept, calls = [], iter(range(100))

    def diverging(model, x):
        call = next(calls)
        kept.append(weights_of(model))
        if call == 8:
            raise KeyboardInterrupt
        terms = vt.elbo(model, x)
        return {"loss": terms["loss"] * (torch.nan if call == 6 else 1.0)}

    with pytest.raises(vt.TrainingInterrupted, match="keeps its weights of epoch 1"):
        vt.fit(small_vae, blobs, objective=diverging, epochs=5, batch_size=64)
    assert same(weights_of(small_vae), kept[5])


# A shell that starts the tests in the background lets its children ignore SIGINT.
INTERRUPTED = """
import signal, torch, vae_tutorial as vt
signal.signal(signal.SIGINT, signal.default_int_handler)
model = vt.VAE(vt.MLPEncoder(2), vt.MLPDecoder(2))
def objective(model, x):
    print("step", flush=True)
    return vt.elbo(model, x)
try:
    vt.fit(model, torch.rand(5000, 1, 28, 28), objective=objective, epochs=10**6)
except vt.TrainingInterrupted as error:
    print("raised:", error.history.stopped, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for child processes")
def test_ctrl_c_in_a_real_process():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    )
    for _ in range(5):
        assert process.stdout.readline() == "step\n"
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 0
    assert "raised: interrupted in epoch" in rest


def test_nothing_in_a_step_reads_back_from_the_device(small_vae, blobs, monkeypatch):
    """Reading a number back makes a GPU wait. Steps may not; twice an epoch is allowed for."""
    reads = []
    for name in ("item", "tolist", "__bool__", "__float__", "cpu", "numpy"):
        original = getattr(torch.Tensor, name)

        def counting(self, *args, original=original, name=name):
            reads.append(name)
            return original(self, *args)

        monkeypatch.setattr(torch.Tensor, name, counting)
    counts = []
    for batch_size in (300, 10):  # 1 step and 30 steps an epoch
        reads.clear()
        vt.fit(small_vae, blobs, epochs=2, batch_size=batch_size)
        counts.append(len(reads))
    assert counts[0] == counts[1]


# Progress


def test_bar_is_shown_or_not(small_vae, blobs, capsys, monkeypatch):
    vt.fit(small_vae, blobs, epochs=1, progress=True)
    assert "training" in capsys.readouterr().err
    vt.fit(small_vae, blobs, epochs=1, progress=False)
    monkeypatch.setenv("VAE_TUTORIAL_PROGRESS", "0")
    vt.fit(small_vae, blobs, epochs=1)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("VAE_TUTORIAL_PROGRESS", "1")
    vt.fit(small_vae, blobs, epochs=1)
    assert "training" in capsys.readouterr().err


def test_pick_device_prefers_cuda_then_mps(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert vt.pick_device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert vt.pick_device().type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert vt.pick_device().type == "cpu"


def test_device_may_be_named(small_vae, blobs, monkeypatch):
    monkeypatch.setattr(loop, "pick_device", lambda: pytest.fail("not to be asked"))
    assert vt.fit(small_vae, blobs, epochs=1, device="cpu").settings["device"] == "cpu"
