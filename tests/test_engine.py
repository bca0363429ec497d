"""Compiled steps do what plain ones do; what goes wrong in a step is explained."""

import math
import shutil
import sysconfig
from pathlib import Path

import pytest
import torch

import vae_tutorial as vt

HEADER = Path(sysconfig.get_path("include")) / "Python.h"  # a package of its own on Debian
CAN_COMPILE = shutil.which("g++") is not None and HEADER.exists()


def start_over(model, start):
    model.load_state_dict(start)
    torch.manual_seed(3)


def copy_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.skipif(not CAN_COMPILE, reason="torch.compile on a CPU needs g++ and Python.h")
def test_compiled_training_agrees_with_plain(small_vae, blobs):
    """The same random numbers, so weights differ by rounding only: 1e-4 of a typical weight
    after 15 steps, where Adam with a wrong gradient would be off by 2e-3 in each. The ragged last
    batch of 44 images runs uncompiled."""
    start, found = copy_of(small_vae), []
    for compiled in (False, True):
        start_over(small_vae, start)
        history = vt.fit(small_vae, blobs, epochs=3, batch_size=64, compile=compiled)
        found.append((copy_of(small_vae), history))
    for name in start:
        torch.testing.assert_close(found[1][0][name], found[0][0][name], rtol=0, atol=1e-4)
    assert found[1][1].train["loss"] == pytest.approx(found[0][1].train["loss"], rel=1e-5)
    assert found[1][1].settings["compile"] is True


def test_what_cannot_be_compiled_is_explained(small_vae, blobs, monkeypatch):
    def broken(*args, **kwargs):
        def call(*args, **kwargs):
            raise torch._dynamo.exc.TorchDynamoException("no compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(RuntimeError, match=r"torch.compile .* Leave out compile"):
        vt.fit(small_vae, blobs, compile=True)


# Out of memory


def hungry(model, x):
    """Asks for more memory than any machine has."""
    torch.empty(2**50, dtype=torch.uint8)


def hungry_gpu(model, x):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("objective", [hungry, hungry_gpu])
def test_out_of_memory_says_what_to_try(objective, small_vae, blobs):
    with pytest.raises(MemoryError, match=r"on cpu with batch_size=64\. Try batch_size=32, fewer"):
        vt.fit(small_vae, blobs, objective=objective, batch_size=64)


# What diverged


def test_divergence_tells_the_losses_before(small_vae, blobs):
    """The message ends with the mean loss of up to four steps before, of the same epoch."""
    losses, calls = [], iter(range(10**6))

    def objective(model, x):
        loss = vt.elbo(model, x)["loss"]
        losses.append(loss.mean().item())
        return {"loss": loss * (math.nan if next(calls) == 8 else 1.0)}

    with pytest.raises(vt.TrainingDivergedError) as caught:
        vt.fit(small_vae, blobs, objective=objective, epochs=3, batch_size=50)
    expected = ", ".join(f"{value:.4g}" for value in losses[6:8])  # 6 steps an epoch
    assert f"step 3 of 6: not finite: loss. Loss in the steps before: {expected}." in str(
        caught.value
    )


def test_divergence_on_unscaled_data_names_the_cause():
    """A lower learning rate does not help a table whose columns reach a million."""
    shape = (1, 1, 4)
    model = vt.VAE(vt.MLPEncoder(2, (8,), shape), vt.MLPDecoder(2, (8,), shape),
                   vt.GaussianLikelihood(0.1))  # fmt: skip
    with pytest.raises(vt.TrainingDivergedError, match=r"reach .*mean 0 and standard deviation 1"):
        vt.fit(model, 1e20 * torch.randn(50, *shape), epochs=3)


# Refusals


def test_a_frozen_model_is_refused(small_vae, blobs):
    small_vae.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        vt.fit(small_vae, blobs)


def test_entries_must_stay_the_same(small_vae, blobs):
    calls = iter(range(100))

    def fickle(model, x):
        loss = vt.elbo(model, x)["loss"]
        return {"loss": loss} if next(calls) < 2 else {"loss": loss, "kl": loss}

    with pytest.raises(ValueError, match=r"same entries for every batch, got \['loss', 'kl'\]"):
        vt.fit(small_vae, blobs, objective=fickle)


def test_training_inside_no_grad_trains(small_vae, blobs):
    before = copy_of(small_vae)
    with torch.no_grad():
        vt.fit(small_vae, blobs, epochs=1)
    assert any(not torch.equal(before[name], value) for name, value in copy_of(small_vae).items())


def test_on_epoch_sees_the_history_grow(small_vae, blobs):
    seen = []
    vt.fit(small_vae, blobs, epochs=3, on_epoch=lambda history: seen.append(history.epochs))
    assert seen == [1, 2, 3]
