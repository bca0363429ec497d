"""The models that come with the package are those that were measured."""

import os
import sys

import notebooks
import pytest
import torch

import vae_tutorial as vt
from vae_tutorial import pretrained

sys.path.append(str(notebooks.ROOT / "benchmarks"))
import ship_runs

TOTAL = 2_500_000  # bytes: everybody who installs the package downloads them


@pytest.mark.parametrize("name", sorted(pretrained.PRETRAINED))
def test_a_model_loads(name):
    state = torch.get_rng_state()
    model = vt.load_pretrained(name)
    assert not model.training
    assert model.latent_dim == pretrained.PRETRAINED[name].latent_dim
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
    assert model.sample(3).shape == (3, 1, 28, 28)
    torch.set_rng_state(state)


def test_all_files_together_are_small():
    files = [pretrained.FOLDER / f"{name}.npz" for name in pretrained.PRETRAINED]
    assert sorted(files) == sorted(pretrained.FOLDER.glob("*.npz"))
    assert sum(path.stat().st_size for path in files) < TOTAL


def test_samples_are_no_noise():
    """A wrong transposition or a missing layer would show: ink is rare and mostly certain."""
    torch.manual_seed(0)
    drawn = vt.load_pretrained("mnist-conv").sample(200)
    assert 0.08 < drawn.mean() < 0.18  # MNIST: 0.13
    assert ((drawn < 0.1) | (drawn > 0.9)).float().mean() > 0.8


@pytest.mark.slow
@pytest.mark.skipif("VAE_TUTORIAL_DATA" not in os.environ, reason="needs MNIST: VAE_TUTORIAL_DATA")
@pytest.mark.parametrize("name", sorted(pretrained.PRETRAINED))
def test_the_bound_is_the_stored_one(name):
    """2,000 test images: within 5 standard errors of the stored mean over all 10,000."""
    torch.manual_seed(0)
    images = vt.load_images("mnist").test.images[:2000]
    x = vt.float_batch(images, binarise=True)
    with torch.no_grad():
        loss = vt.elbo(vt.load_pretrained(name), x)["loss"]
    error = loss.std() / len(loss) ** 0.5
    assert abs(loss.mean() - pretrained.PRETRAINED[name].negative_elbo) < 5 * error


def test_unknown_names():
    with pytest.raises(ValueError, match=r"name must be one of \['mnist-conv', 'mnist-conv-2d'\]"):
        vt.load_pretrained("mnist")


def test_a_damaged_file(tmp_path, monkeypatch):
    good = (pretrained.FOLDER / "mnist-conv.npz").read_bytes()
    (tmp_path / "mnist-conv.npz").write_bytes(good[:-1] + b"x")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(RuntimeError, match="is damaged"):
        vt.load_pretrained("mnist-conv")


def test_stored_runs_are_those_of_the_benchmarks():
    assert ship_runs.TARGET.read_text(encoding="utf-8") == ship_runs.text()
    assert {name: pretrained.stored_runs(name) for name in ship_runs.chosen()} == ship_runs.chosen()


def test_unknown_runs():
    with pytest.raises(ValueError, match=r"name must be one of \['anomalies', 'clinic_systems', "):
        pretrained.stored_runs("table")


def test_what_chapter_10_says_of_the_longest_runs():
    def mean(name, key, epochs, **chosen):
        chosen |= {"epochs": epochs}
        runs = pretrained.stored_runs(name)
        found = [r[key] for r in runs if all(r[k] == v for k, v in chosen.items())]
        assert found
        return sum(found) / len(found)

    gained = [mean("discrete", "bound", epochs, kind="vq", seed=0) for epochs in (12, 24)]
    assert gained[0] - gained[1] > 1


def test_runs_of_sound_have_three_seeds_and_no_repetition():
    rows = pretrained.stored_runs("tones")
    keys = [
        (r["part"], r.get("data"), r["method"], r["size"], r["epochs"], r["seed"]) for r in rows
    ]
    assert len(set(keys)) == len(keys)
    assert all({(*key[:5], seed) for seed in range(3)} <= set(keys) for key in keys)
