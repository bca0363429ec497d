"""What people ask for once they train on their own: optimisers, stopping, resuming, loading."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import vae_tutorial as vt

SHAPE = (1, 8, 8)


def model(**settings):
    torch.manual_seed(0)
    return vt.VAE(vt.MLPEncoder(2, (16,), SHAPE), vt.MLPDecoder(2, (16,), SHAPE), **settings)


def weights_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in second)


def test_any_optimiser_with_its_own_settings(blobs):
    """One full-batch step of plain gradient descent is w − lr · (∂loss/∂w + decay · w)."""
    made, copy = model(), model()
    constant = vt.schedules.constant

    def loss(model, x):  # without draws, so that the gradient can be computed again
        rebuilt = model.likelihood(model.posterior(x).mean).mean
        return {"loss": (rebuilt - x).square().sum((1, 2, 3))}

    vt.fit(made, blobs, objective=loss, epochs=1, batch_size=300, binarise=False, schedule=constant,
           optimiser=partial(torch.optim.SGD, weight_decay=0.1), learning_rate=0.01)  # fmt: skip
    loss(copy, blobs / 255)["loss"].mean().backward()
    for name, p in copy.named_parameters():
        expected = p - 0.01 * (p.grad + 0.1 * p)
        torch.testing.assert_close(made.state_dict()[name], expected.detach(), rtol=1e-4, atol=1e-6)


def test_the_default_rate_is_lower_where_sigma_is_learnt(blobs):
    for likelihood, rate in ((None, 2e-3), (vt.GaussianLikelihood(0.3), 2e-3),
                             (vt.GaussianLikelihood(0.3, learned=True), 5e-4)):  # fmt: skip
        history = vt.fit(model(likelihood=likelihood), blobs, epochs=1)
        assert history.settings["learning_rate"] == rate


def test_clipping_bounds_the_norm_of_the_whole_gradient(blobs):
    norms = []
    for clip in (None, 0.5):
        made = model()
        vt.fit(made, blobs, epochs=1, batch_size=300, clip=clip)
        norms.append(torch.cat([p.grad.flatten() for p in made.parameters()]).norm().item())
    assert norms[0] > 1 and norms[1] == pytest.approx(0.5, rel=1e-3)


def test_on_epoch_ends_a_run(blobs, tmp_path):
    """Early stopping is three lines; the run that ended so is not trained further unasked."""

    def no_better_for_two_epochs(history):
        losses = history.validation["loss"]
        return len(losses) > 3

    settings = {"validation": blobs, "epochs": 50, "on_epoch": no_better_for_two_epochs}
    history = vt.fit(model(), blobs, checkpoint=tmp_path, **settings)
    assert history.epochs == 4 and history.stopped == "ended by on_epoch after epoch 4 of 50"
    again = vt.fit(model(), blobs, checkpoint=tmp_path, **settings)
    assert again.epochs == 4 and again.stopped == history.stopped
    # what a print() or a list's append returns must not end anything
    assert vt.fit(model(), blobs, epochs=3, on_epoch=lambda history: history).epochs == 3


def test_the_best_weights_come_back(blobs, tmp_path):
    """A rate that is far too high at the end makes the validation loss rise again."""
    settings = {"validation": blobs, "epochs": 8, "learning_rate": 1e-2, "keep_best": True,
                "schedule": lambda step, steps: 1.0 if step < steps / 2 else 60.0}  # fmt: skip
    made = model()
    losses = vt.fit(made, blobs, checkpoint=tmp_path, **settings).validation["loss"]
    assert losses[-1] > min(losses) + 1
    assert vt.evaluate(made, blobs)["loss"] == pytest.approx(min(losses))
    again = model()  # resumed after its end, it has them too
    vt.fit(again, blobs, checkpoint=tmp_path, **settings)
    assert same(weights_of(again), weights_of(made))


def test_longer_training_goes_on_from_the_last_epoch(blobs, tmp_path):
    first, second = model(), model()
    short = vt.fit(first, blobs, epochs=2, checkpoint=tmp_path)
    long = vt.fit(second, blobs, epochs=5, checkpoint=tmp_path, resume="epochs")
    assert long.train["loss"][:2] == short.train["loss"] and long.epochs == 5


DESIGNS = {
    "mlp": lambda: model(),
    "conv": lambda: vt.VAE(vt.ConvEncoder(3), vt.ConvDecoder(3)),
    "gaussian": lambda: model(likelihood=vt.GaussianLikelihood(0.3, learned=True)),
    "grey": lambda: model(likelihood=vt.ContinuousBernoulliLikelihood()),
    "mixture": lambda: model(prior=vt.MixturePrior(2, 4)),
    "autoencoder": lambda: vt.Autoencoder(
        vt.MLPEncoder(2, (16,), SHAPE, heads=1), vt.MLPDecoder(2, (16,), SHAPE), sigmoid=False
    ),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_a_finished_run_is_loaded_without_its_code(design, tmp_path):
    made = DESIGNS[design]()
    shape = (1, 28, 28) if design == "conv" else SHAPE
    x = torch.rand(60, *shape)
    objective = vt.reconstruction_error if design == "autoencoder" else vt.elbo
    vt.fit(made, x, validation=x, objective=objective, epochs=2, checkpoint=tmp_path)
    loaded = vt.load(tmp_path)
    assert not loaded.training and same(weights_of(loaded), weights_of(made))
    assert str(loaded) == str(made)
    torch.manual_seed(1)
    expected = made(x)
    torch.manual_seed(1)
    found = loaded(x)
    pairs = [(found, expected)] if design == "autoencoder" else zip(found, expected, strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    best = vt.load(tmp_path, which="best")
    assert vt.evaluate(best, x, objective=objective)["loss"] < 1e9


def test_loading_in_another_process(tmp_path, blobs):
    made = model()
    vt.fit(made, blobs, epochs=1, checkpoint=tmp_path)
    code = (
        "import sys, torch, vae_tutorial as vt; m = vt.load(sys.argv[1]);"
        "print(sum(v.double().sum().item() for v in m.state_dict().values()))"
    )
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)],
                          capture_output=True, text=True, check=True)  # fmt: skip
    total = sum(v.double().sum().item() for v in made.state_dict().values())
    assert float(said.stdout) == pytest.approx(total, abs=1e-9)


class Own(nn.Module):
    """Somebody's own encoder."""

    latent_dim, heads = 2, 2

    def __init__(self, width=3):
        super().__init__()
        self.layer = nn.Linear(64, width * 0 + 4)
        self.extra = nn.Linear(width, 1)

    def forward(self, x):
        return self.layer(x.flatten(1)).chunk(2, 1)


def test_own_networks_are_loaded_into_a_model(tmp_path, blobs):
    made = vt.VAE(Own(), vt.MLPDecoder(2, (16,), SHAPE))
    vt.fit(made, blobs, epochs=1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"give it as well: vt\.load\(path, model\)"):
        vt.load(tmp_path)
    fresh = vt.VAE(Own(), vt.MLPDecoder(2, (16,), SHAPE))
    assert same(weights_of(vt.load(tmp_path, fresh)), weights_of(made))
    other = vt.VAE(Own(width=5), vt.MLPDecoder(2, (16,), SHAPE))
    before = weights_of(other)
    with pytest.raises(ValueError, match="weights of another architecture than VAE"):
        vt.load(tmp_path, other)
    assert same(weights_of(other), before)
    with pytest.raises(FileNotFoundError, match="no trained model at"):
        vt.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match='which must be "last" or "best", got "first"'.replace(
            '"first"', "'first'")):  # fmt: skip
        vt.load(tmp_path, which="first")


def test_calling_a_vae_gives_what_people_expect(small_vae):
    x = torch.rand(5, 1, 8, 8)
    rebuilt, mu, logvar = small_vae(x)
    assert rebuilt.shape == x.shape and mu.shape == logvar.shape == (5, 2)
    torch.testing.assert_close(mu, small_vae.encoder(x)[0])
    torch.testing.assert_close(logvar, small_vae.encoder(x)[1])
    assert small_vae(x).reconstruction.requires_grad
    assert rebuilt.min() >= 0 and rebuilt.max() <= 1


def test_embed_gives_the_means_in_order(small_vae, blobs):
    codes = vt.embed(small_vae, blobs)
    assert isinstance(codes, np.ndarray) and codes.shape == (300, 2)
    with torch.no_grad():
        expected = small_vae.encoder(blobs / 255)[0]
    np.testing.assert_allclose(codes, expected.numpy(), rtol=1e-5, atol=1e-6)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(blobs), batch_size=7)
    np.testing.assert_allclose(vt.embed(small_vae, loader), codes, rtol=1e-5, atol=1e-6)
    plain = vt.Autoencoder(vt.MLPEncoder(2, (), SHAPE, heads=1), vt.MLPDecoder(2, (), SHAPE))
    assert vt.embed(plain, blobs).shape == (300, 2)
    with pytest.raises(TypeError, match=r"posterior\(x\) or encode\(x\), got Linear"):
        vt.embed(nn.Linear(1, 1), blobs)
