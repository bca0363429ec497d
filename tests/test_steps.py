"""Compiled steps do what plain ones do; what goes wrong in a step is explained."""

import math
import shutil

import pytest
import torch

import vae_tutorial as vt


def start_over(model, start):
    model.load_state_dict(start)
    torch.manual_seed(3)


def copy_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs g++")
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
    assert found[1][1].settings["step"] == "compiled"


def test_what_cannot_be_compiled_is_explained(small_vae, blobs, monkeypatch):
    def broken(*args, **kwargs):
        def call(*args, **kwargs):
            raise torch._dynamo.exc.TorchDynamoException("no compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(RuntimeError, match=r"could not translate .* Leave out compile"):
        vt.fit(small_vae, blobs, compile=True)


def test_cuda_graphs_need_cuda(small_vae, blobs):
    with pytest.raises(ValueError, match="cuda_graph needs CUDA and compile=False, got cpu"):
        vt.fit(small_vae, blobs, cuda_graph=True, device="cpu")


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


# What diverged, and how steep it was


def test_divergence_tells_the_largest_gradient(small_vae, blobs):
    """The epoch is run again to look: the reported norm is that of the step that failed."""
    norms = []

    def objective(model, x):
        norms.append(model.decoder.layers[0].weight.grad)
        loss = vt.elbo(model, x)["loss"]
        # infinite from the moment at which the first weight has moved by more than 0.02
        moved = (model.decoder.layers[0].weight - start).abs().max()
        return {"loss": torch.where(moved > 0.02, torch.inf, 1.0) * loss}

    start = small_vae.decoder.layers[0].weight.detach().clone()
    with pytest.raises(vt.TrainingDivergedError) as caught:
        vt.fit(small_vae, blobs, objective=objective, epochs=9, batch_size=30,
               learning_rate=2e-2)  # fmt: skip
    said = str(caught.value)
    assert "not finite: loss. The largest gradient there: " in said
    assert "(one step before: " in said
    inside = said.split("one step before: ")[1].split(")")[0]
    value, name = inside.split(" in ")
    assert 0 < float(value) < 1e4 and name in dict(small_vae.named_parameters())


def test_largest_gradient_against_numbers_known():
    model = torch.nn.Linear(2, 1)
    (3 * model.weight[0, 0] + 4 * model.weight[0, 1] + 2 * model.bias[0]).backward()
    from vae_tutorial.runs import largest_gradient

    assert largest_gradient(model) == "5 in weight"
    model.bias.grad[0] = math.nan
    assert largest_gradient(model) == "nan in bias"


def test_what_cannot_be_repeated_is_not_reported(small_vae, blobs):
    """An objective that fails once, and not when it is asked again."""
    calls = iter(range(10**6))

    def objective(model, x):
        loss = vt.elbo(model, x)["loss"]
        return {"loss": loss * (math.nan if next(calls) == 3 else 1.0)}

    with pytest.raises(vt.TrainingDivergedError) as caught:
        vt.fit(small_vae, blobs, objective=objective, epochs=2, batch_size=50)
    assert "step 4 of 6: not finite: loss. The model has" in str(caught.value)


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
