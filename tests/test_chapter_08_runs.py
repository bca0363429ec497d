"""The stored runs of chapter 8: what is measured on them, and on which images."""

from __future__ import annotations

import argparse
import json
import sys

import notebooks
import pytest
import torch

import vae_tutorial as vt
from vae_tutorial import pretrained

sys.path.append(str(notebooks.ROOT / "benchmarks"))
import collapse_remedies
import disentangle


class StoppedError(Exception):
    """Raised in place of a training, with what it was told."""


def test_no_choice_of_the_remedies_sees_a_test_image(monkeypatch):
    drawn, few = vt.draw_strokes, vt.draw_strokes(30, seed=0)
    monkeypatch.setattr(vt, "draw_strokes", lambda count, seed: drawn(40, seed))
    monkeypatch.setattr(vt, "load_images", lambda name: argparse.Namespace(train=few))
    monkeypatch.setattr(vt, "fit", lambda *args, **told: (_ for _ in ()).throw(StoppedError(told)))
    collapse_remedies.images.cache_clear()
    train, validation, test = collapse_remedies.images()
    same = (test[:, None] == torch.cat([train, validation])).flatten(2).all(2)
    assert not same.any()
    with pytest.raises(StoppedError) as caught:
        collapse_remedies.one_run("lagging inference", 0, 1, argparse.Namespace(samples=1))
    collapse_remedies.images.cache_clear()
    (told,) = caught.value.args
    assert torch.equal(told["validation"], validation)
    assert torch.equal(told["objective"].validation, validation)


def test_probes_name_the_class_where_the_code_tells_it():
    torch.manual_seed(0)
    classes, factors = torch.arange(2000) % 10, torch.rand(2000, 2)
    halves = torch.cat([torch.eye(5)[classes // 2], (classes % 2)[:, None].float()], 1)
    telling = torch.cat([halves + 0.05 * torch.randn(2000, 6), factors], 1)
    found = disentangle.probes(telling, factors, classes, 200)
    assert found["class_ridge"] > 0.8 and found["class_stumps"] > 0.7
    assert found["probe_ridge"] > 0.99 and found["probe_stumps"] > 0.9
    blind = disentangle.probes(torch.randn(2000, 12), factors, classes, 200)
    for name in ("class_ridge", "class_stumps"):
        assert blind[name] == pytest.approx(0.1, abs=0.03)  # ten draws of 1,000: sd about 0.01
    assert max(blind["probe_ridge"], blind["probe_stumps"]) < 0.05
    assert "class_ridge" not in disentangle.probes(telling, factors, 0 * classes, 50)


class Line(vt.VAE):
    """x = w z + noise, four pixels and one latent: log p(x) is that of a normal."""

    def __init__(self, spread):
        encoder = vt.MLPEncoder(1, (4,), (1, 2, 2))
        decoder = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Unflatten(-1, (1, 2, 2)))
        decoder.latent_dim = 1
        super().__init__(encoder, decoder, vt.GaussianLikelihood(spread))


def test_log_px_of_a_linear_model_is_exact():
    torch.manual_seed(0)
    model, x = Line(0.5), torch.rand(50, 1, 2, 2)
    line = model.decoder[0]
    w, b = line.weight[:, 0].detach(), line.bias.detach()
    normal = torch.distributions.MultivariateNormal(b, torch.outer(w, w) + 0.25 * torch.eye(4))
    options = argparse.Namespace(images=50, samples=500)
    found = disentangle.likelihood(model, x, options)
    exact = normal.log_prob(x.flatten(1)).mean().item()
    assert found["log_px"] == pytest.approx(exact, abs=5 * found["log_px_sampling_error"] + 0.002)
    assert found["elbo_of_these"] < found["refined_elbo"] < found["log_px"] + 0.01
    assert found["ess_median"] > 400  # the refined q is nearly the posterior


def test_stored_runs_are_whole():
    runs = pretrained.stored_runs("disentangle")
    keys = [(run["set"], run["objective"], run["beta"], run["seed"]) for run in runs]
    assert len(set(keys)) == len(keys)
    wanted = {("four", "vae", b, s) for b in (1, 2, 4, 8) for s in range(5)}
    wanted |= {("four", "tcvae", b, s) for b in (2, 4, 8) for s in range(5)}
    wanted |= {("eight", "vae", b, s) for b in (1, 2, 4, 8) for s in range(5)}
    assert set(keys) == wanted
    assert all(("class_ridge" in run) == (run["set"] == "eight") for run in runs)
    text = (notebooks.ROOT / "benchmarks/results/disentangle.json").read_text("utf-8")
    assert len(json.loads(text)["rows"]) == len(runs)
