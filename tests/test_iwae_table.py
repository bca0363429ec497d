"""The benchmark that reproduces a published table: its models are right, and it goes on."""

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributions import Bernoulli, Normal

import vae_tutorial as vt

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def models(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("iwae_models")


def small_two_layers(models, seed: int = 0):
    """Four pixels, one latent in each layer: small enough to integrate over both."""
    torch.manual_seed(seed)
    model = models.TwoLayerVAE((1, 2, 2), latents=(1, 1), hidden=(6, 5)).double()
    with torch.no_grad():  # weights large enough for the layers to matter
        for parameter in model.parameters():
            parameter.normal_(std=0.7)
        for encoder in (model.encoder, model.upper_encoder):  # broad proposals: weights that
            encoder.layers[-1].weight.mul_(0.2)  # importance sampling can average
            encoder.layers[-1].bias.copy_(torch.tensor([0.0, 2.0]))
    return model


def log_px_by_quadrature(model, x: torch.Tensor) -> torch.Tensor:
    """log p(x) of images `(B, 1, 2, 2)` by the rectangle rule over h1 and h2."""
    grid = torch.linspace(-14, 14, 1401, dtype=torch.float64)
    cell = 2 * math.log(grid[1] - grid[0])
    mu, logvar = model.upper_decoder(grid[:, None]).chunk(2, -1)  # given h2: (G, 1)
    log_h = (
        Normal(mu, (0.5 * logvar).exp()).log_prob(grid)  # (h2, h1)
        + Normal(0.0, 1.0).log_prob(grid)[:, None]
    )
    log_h1 = log_h.logsumexp(0)  # (h1,)
    logits = model.decoder(grid[:, None])  # (h1, 1, 2, 2)
    log_px = Bernoulli(logits=logits).log_prob(x[:, None]).flatten(2).sum(-1)  # (B, h1)
    return (log_px + log_h1).logsumexp(1) + cell


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_layers_of_latents_have_the_log_likelihood_that_quadrature_finds(models, seed):
    model = small_two_layers(models, seed)
    x = torch.tensor([[0, 0, 1, 1], [1, 0, 1, 0]], dtype=torch.float64).view(2, 1, 2, 2)
    exact = log_px_by_quadrature(model, x)
    found = vt.log_likelihood(model, x, samples=200_000, progress=False, binarise=False)
    error = (found.per_image - exact).abs()
    assert found.ess.min() > 1000
    assert (error < 5 * found.sampling_errors).all(), (error, found.sampling_errors)


def test_the_bounds_of_two_layers_are_means_and_log_means_of_weights(models):
    model = small_two_layers(models)
    x = torch.ones(3, 1, 2, 2, dtype=torch.float64)
    torch.manual_seed(5)
    log_w = model.log_weights(x, samples=4)
    torch.manual_seed(5)
    vae = models.two_layer_bound(model, x, 4, importance=False)
    torch.manual_seed(5)
    iwae = models.two_layer_bound(model, x, 4, importance=True)
    torch.testing.assert_close(-vae["loss"], log_w.sum(0) / 4)
    torch.testing.assert_close(-iwae["loss"], (log_w.exp().sum(0) / 4).log())
    assert (iwae["loss"] <= vae["loss"]).all()


def test_every_part_of_the_two_layers_learns(models):
    model = small_two_layers(models)
    loss = models.two_layer_bound(model, torch.ones(5, 1, 2, 2).double(), 3, importance=True)
    loss["loss"].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("network", ["1layer", "2layer", "conv"])
def test_iwae_trains_on_the_tighter_bound(models, network):
    x = (torch.rand(20, 1, 28, 28) < 0.3).float()
    loss = {}
    for objective in ("vae", "iwae"):
        torch.manual_seed(0)
        model, terms = models.model_and_objective(network, objective, 5)
        loss[objective] = terms(model, x)["loss"].mean().item()
    assert 300 < loss["iwae"] < loss["vae"] - 0.1 < 1000  # the same draws; log of mean, mean of log


def test_the_last_bias_starts_at_the_mean_image(models):
    model, _ = models.model_and_objective("1layer", "vae", 1)
    images = torch.randint(0, 256, (50, 1, 28, 28), dtype=torch.uint8)
    models.start_at_the_mean_image(model, images)
    with torch.no_grad():
        model.decoder.layers[-1].weight.zero_()
        found = model.likelihood(torch.zeros(50)).mean
    torch.testing.assert_close(found, (images.double().mean(0) / 255).float())


@pytest.mark.parametrize("cell", ["iwae-k5-3layer", "k5-1layer", "elbo-k1-1layer", "vae-k0-1layer"])
def test_a_cell_that_does_not_exist_is_refused(cell):
    done = run_table("--cells", cell)
    assert done.returncode == 2
    assert cell in done.stderr and "iwae-k5-1layer" in done.stderr


def test_a_cell_is_run_stored_and_not_run_again(tmp_path):
    small = (
        "--cells", "iwae-k1-1layer", "iwae-k2-2layer", "--epochs", "1", "--samples", "3",
        "--batch-size", "1000", "--dataset", "stroke-digits", "--threads", "1",
        "--out", str(tmp_path), "--work", str(tmp_path / "work"),
    )  # fmt: skip
    first = run_table(*small)
    assert first.returncode == 0, first.stderr
    names = sorted(path.name for path in tmp_path.glob("*.json"))
    assert names == ["iwae-k2-2layer-seed0.json", "vae-k1-1layer-seed0.json"]  # k = 1 is the ELBO
    stored = json.loads((tmp_path / names[1]).read_text())
    assert stored["paper"] == 86.76 and stored["images"] == 2000 and stored["samples"] == 3
    assert 0 < stored["negative_log_likelihood"] < 784 * math.log(2)
    assert stored["negative_log_likelihood"] < stored["negative_elbo"]
    later = run_table("--cells", "vae-k2-1layer", "--start", "vae-k1-1layer", *small[3:])
    assert later.returncode == 0, later.stderr
    further = json.loads((tmp_path / "vae-k2-1layer-seed0.json").read_text())
    assert further["started_from"] == "vae-k1-1layer" and stored["started_from"] is None
    assert further["train_loss"] < stored["train_loss"] - 1  # it went on from there
    wrong = run_table("--cells", "vae-k2-2layer", "--start", "vae-k1-1layer", *small[3:])
    assert wrong.returncode == 1 and "no such run of 2layer" in wrong.stderr
    again = run_table(*small)
    assert again.stdout.split("\n")[:2] == [
        "vae-k1-1layer-seed0: stored",
        "iwae-k2-2layer-seed0: stored",
    ]


def run_table(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "iwae_table.py"), *arguments],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
