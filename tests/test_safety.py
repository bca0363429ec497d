"""What must never happen without a word: another run resumed, weights damaged, numbers misread."""

import multiprocessing
import os
import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import vae_tutorial as vt
from vae_tutorial.train.engine.checkpoints import LAST, BusyFolderError
from vae_tutorial.train.engine.saved import save_model

SHAPE = (1, 8, 8)


def model(likelihood=None):
    torch.manual_seed(0)
    return vt.VAE(vt.MLPEncoder(2, (16,), SHAPE), vt.MLPDecoder(2, (16,), SHAPE), likelihood)


def weights_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def unchanged(module, before):
    return all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


# Another run


def halved(step, steps):
    return 0.5


CHANGES = {
    "other data": (lambda blobs: {"data": blobs.flip(0)}, "contents: x"),
    "another seed": (lambda blobs: {"seed": 5}, "seed: 0 .now 5."),
    "another lambda as a schedule": (
        lambda blobs: {"schedule": lambda step, steps: 0.25}, "functions: schedule",
    ),
    "another lambda as the objective": (
        lambda blobs: {"objective": lambda model, x: vt.elbo(model, x, beta=2.0)}, "functions: obj",
    ),
    "another β": (lambda blobs: {"objective": partial(vt.elbo, beta=2.0)}, "objective="),
    "another σ": (lambda blobs: {"likelihood": vt.GaussianLikelihood(0.5)}, "log_sigma|sigma"),
    "another likelihood": (
        lambda blobs: {"likelihood": vt.ContinuousBernoulliLikelihood()}, "model: classes",
    ),
    "weight decay": (
        lambda blobs: {"optimiser": partial(torch.optim.Adam, weight_decay=0.1)}, "weight_decay",
    ),
    "a gradient norm": (lambda blobs: {"clip": 3.0}, "clip=None .now 3.0."),
    "a loader": (lambda blobs: {"data": list(blobs.split(100))}, "contents|batches"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_another_run_is_not_resumed(change, blobs, tmp_path):
    """Everything that makes it another run is named, and the model keeps its weights."""
    make, message = CHANGES[change]
    original = {"data": blobs, "seed": 0, "likelihood": None, "objective": vt.elbo,
                "schedule": lambda step, steps: 0.5, "optimiser": None, "clip": None}  # fmt: skip
    if "σ" in change:
        original["likelihood"] = vt.GaussianLikelihood(0.4)
    if "lambda as the objective" in change:
        original["objective"] = lambda model, x: vt.elbo(model, x, beta=1.5)

    def run(data, seed, likelihood, **settings):
        made = model(likelihood)
        torch.manual_seed(seed)
        before = weights_of(made)
        return made, before, partial(vt.fit, made, data, epochs=2, binarise=False,
                                     checkpoint=tmp_path, **settings)  # fmt: skip

    run(**original)[2]()
    made, before, fit = run(**original | make(blobs))
    with pytest.raises(ValueError, match=f"checkpoint: .* other settings: .*({message})"):
        fit()
    assert unchanged(made, before)
    made, _, fit = run(**original)
    assert fit().epochs == 2  # the same once more is recognised
    assert not unchanged(made, before)


def test_a_loader_of_another_length_is_another_run(blobs, tmp_path, capsys):
    settings = {"epochs": 2, "checkpoint": tmp_path, "binarise": False}
    torch.manual_seed(1)
    vt.fit(model(), list(blobs.split(100)), **settings)
    with pytest.raises(ValueError, match=r"contents: batches 3 \(now 5\)"):
        vt.fit(model(), list(blobs.split(60)), **settings)
    torch.manual_seed(0)
    vt.fit(model(), list(blobs.split(100)), **settings)
    assert "cannot be compared with the stored run's" in capsys.readouterr().out


def test_what_may_differ_is_named(blobs, tmp_path):
    """Longer, and with another rate, but only when said; and the history goes on."""
    settings = {"batch_size": 100, "checkpoint": tmp_path}
    vt.fit(model(), blobs, epochs=2, **settings)
    with pytest.raises(ValueError, match=r"epochs=2 \(now 4\).*name in resume= what may differ"):
        vt.fit(model(), blobs, epochs=4, **settings)
    history = vt.fit(model(), blobs, epochs=4, learning_rate=1e-4, **settings,
                     resume=("epochs", "learning_rate"))  # fmt: skip
    assert history.epochs == 4 and history.settings["epochs"] == 4
    with pytest.raises(ValueError, match="resume must name settings, such as 'epochs', got 'epoc'"):
        vt.fit(model(), blobs, epochs=5, resume="epoc", **settings)


def train_forever(folder, started):
    def on_epoch(history):
        if history.epochs == 2:  # the checkpoint of the first epoch is written
            started.set()

    vt.fit(model(), torch.rand(300, *SHAPE), epochs=10**6, checkpoint=folder, on_epoch=on_epoch,
           progress=False)  # fmt: skip


def test_two_processes_do_not_mix_in_one_folder(blobs, tmp_path):
    context = multiprocessing.get_context("forkserver")
    started = context.Event()
    other = context.Process(target=train_forever, args=(tmp_path, started))
    other.start()
    try:
        assert started.wait(60)
        with pytest.raises(BusyFolderError, match="another process trains in"):
            vt.fit(model(), blobs, epochs=1, checkpoint=tmp_path)
    finally:
        other.kill()
        other.join()
    # the lock of a killed process is free
    with pytest.raises(ValueError, match="other settings"):
        vt.fit(model(), blobs, epochs=1, checkpoint=tmp_path)


# Files


def test_only_our_own_files_are_ever_removed(blobs, tmp_path):
    """Names that another program could have given stay, however like a temporary file."""
    names = (".notes-20250101", ".last.pt-20250101", "mine.pt", "last.pt.backup", ".best.pt-abc")
    for name in names:
        (tmp_path / name).write_text("mine")
    ours = tmp_path / ".last.pt-a1b2c3d4.vae-tutorial-tmp"
    ours.write_text("left by a killed process")
    vt.fit(model(), blobs, epochs=1, checkpoint=tmp_path)
    vt.fit(model(), blobs, epochs=1, checkpoint=tmp_path)
    assert all((tmp_path / name).read_text() == "mine" for name in names)
    assert not ours.exists()


@pytest.mark.parametrize("file", ["model.pt", LAST])
def test_a_flipped_bit_is_noticed(file, blobs, tmp_path):
    """One bit each, in 100 places: an error, or, in what nothing reads, the same weights."""
    made = model()
    vt.fit(made, blobs, epochs=1, checkpoint=tmp_path)
    save_model(tmp_path / "model.pt", made)
    path, expected = tmp_path / file, weights_of(made)
    whole = path.read_bytes()
    places, noticed = random.Random(0), 0
    for _ in range(100):
        at, bit = places.randrange(len(whole)), 1 << places.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        try:
            loaded = vt.load(path)
        except ValueError:
            noticed += 1
        else:
            assert unchanged(loaded, expected), at
    assert noticed > 50
    path.write_bytes(whole)
    assert unchanged(vt.load(path), expected)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user who is not root")
def test_a_folder_that_cannot_be_written_is_noticed_at_once(blobs, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="could not write"):
        vt.fit(model(), blobs, epochs=1, checkpoint=tmp_path / "run")


def test_a_file_in_the_way_is_noticed_at_once(blobs, tmp_path):
    (tmp_path / "run").write_text("a file")
    made, steps = model(), []

    def objective(model, x):
        steps.append(1)
        return vt.elbo(model, x)

    with pytest.raises(OSError, match="could not write"):
        vt.fit(made, blobs, objective=objective, epochs=1, checkpoint=tmp_path / "run")
    assert not steps


# Numbers that were accepted and then lost, or misread


@pytest.mark.parametrize("rate", [np.float64(1e-3), np.float32(1e-3), torch.tensor(1e-3), 1])
def test_every_accepted_rate_can_be_read_again(rate, blobs, tmp_path):
    for _ in range(2):
        assert vt.fit(model(), blobs, epochs=1, learning_rate=rate, checkpoint=tmp_path).epochs == 1
    assert len(list(tmp_path.glob("*.pt"))) >= 1
    vt.load(tmp_path)


def test_a_rate_given_as_a_tensor_stays_what_it_is(blobs):
    rate, plain, as_tensor = torch.tensor(1e-3), model(), model()
    for made, given in ((plain, 1e-3), (as_tensor, rate)):
        torch.manual_seed(4)
        vt.fit(made, blobs, epochs=3, learning_rate=given)
    assert rate.item() == pytest.approx(1e-3)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(as_tensor.state_dict()[name], value, rtol=1e-5, atol=1e-7)


class EndsInSigmoid(nn.Module):
    latent_dim = 2

    def __init__(self):
        super().__init__()
        self.inner = vt.MLPDecoder(2, (16,), SHAPE)

    def forward(self, z):
        return torch.sigmoid(self.inner(z))


class EndsInSoftplus(nn.Module):
    latent_dim, heads = 2, 2

    def __init__(self):
        super().__init__()
        self.inner = vt.MLPEncoder(2, (16,), SHAPE)

    def forward(self, x):
        mu, logvar = self.inner(x)
        return mu, nn.functional.softplus(logvar)


def test_a_decoder_that_ends_in_a_sigmoid_is_named(blobs):
    made = vt.VAE(vt.MLPEncoder(2, (16,), SHAPE), EndsInSigmoid())
    with pytest.warns(UserWarning, match="as after a sigmoid.*takes them for logits"):
        vt.fit(made, blobs, epochs=1)


def test_a_softplus_taken_for_a_log_variance_is_named(blobs):
    made = vt.VAE(EndsInSoftplus(), vt.MLPDecoder(2, (16,), SHAPE))
    with pytest.warns(UserWarning, match="as after a softplus.*needs a linear last layer"):
        vt.fit(made, blobs, epochs=1)


def test_ordinary_networks_raise_no_warning():
    """The package turns its own warnings into errors here: 60 new models, none is suspected."""
    x = (255 * torch.rand(64, 1, 28, 28)).byte()
    for seed in range(60):
        torch.manual_seed(seed)
        latent_dim = (1, 2, 16)[seed % 3]
        made = vt.VAE(vt.MLPEncoder(latent_dim, (16,)), vt.MLPDecoder(latent_dim, (16,)))
        vt.fit(made, x, epochs=1)


# Messages


REFUSALS = [
    ({"learning_rate": "0.01"}, ValueError, "learning_rate must be a positive number, got '0.01'"),
    ({"learning_rate": True}, ValueError, "learning_rate must be a positive number, got True"),
    ({"epochs": True}, ValueError, "epochs must be a whole number of at least 1, got True"),
    ({"beta": 4.0}, TypeError, r"beta must be a function, got 4\.0.*partial\(vt\.elbo, beta=4"),
    ({"schedule": 1e-3}, TypeError, r"schedule must be a function.*vt\.schedules\.constant"),
    ({"objective": "elbo"}, TypeError, "objective must be a function, got 'elbo'"),
    ({"optimiser": torch.optim.Adam([torch.zeros(1)])}, TypeError, "optimiser must be a function"),
    ({"binarise": "no"}, TypeError, "binarise must be True or False, got 'no'"),
    ({"progress": "no"}, TypeError, "progress must be True or False, got 'no'"),
    ({"keep_best": True}, ValueError, "keep_best=True needs validation data"),
    ({"compile": 3}, TypeError, "compile must be True, False or a mode's name, got 3"),
    ({"clip": -1.0}, ValueError, r"clip must be a positive number, got -1\.0"),
    ({"precision": "half"}, ValueError, "precision must be one of auto"),
    ({"device": "gpu"}, (ValueError, RuntimeError), "gpu"),
]


@pytest.mark.parametrize(("settings", "error", "message"), REFUSALS)
def test_settings_are_refused_before_training(settings, error, message, blobs):
    made = model()
    before = weights_of(made)
    with pytest.raises(error, match=message):
        vt.fit(made, blobs, **settings)
    assert unchanged(made, before)


def test_whole_numbers_of_numpy_are_whole_numbers(blobs, small_vae):
    vt.fit(small_vae, blobs, epochs=np.int64(1), batch_size=np.int32(50))
    vt.evaluate(small_vae, blobs, seed=np.int64(0))
    vt.log_likelihood(small_vae, blobs[:3], np.int64(5), seed=np.int64(1))


@pytest.mark.parametrize("hidden", [400, "400", (400.0,), None])
def test_widths_are_listed(hidden):
    with pytest.raises(TypeError, match=r"hidden must list whole numbers, as in \(400,\), got"):
        vt.MLPEncoder(2, hidden=hidden)


class OneTensor(nn.Module):
    latent_dim = 2

    def forward(self, x):
        return x.flatten(1)[:, :4]


def test_networks_that_do_not_fit_are_told_what_is_wanted(blobs, small_vae):
    with pytest.raises(TypeError, match=r"must return a tuple \(mu, logvar\).*got Tensor"):
        vt.fit(vt.VAE(OneTensor(), vt.MLPDecoder(2, (), SHAPE)), blobs)
    with pytest.raises((TypeError, ValueError), match="ndarray"):
        small_vae.encoder(np.zeros((2, 1, 8, 8), np.float32))
    with pytest.raises(TypeError, match=r"wrapped in DataParallel: give model\.module"):
        vt.fit(nn.DataParallel(small_vae), blobs)
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module, got type"):
        vt.fit(vt.VAE, blobs)


def test_a_last_batch_of_one_with_batch_normalisation(blobs):
    encoder = vt.MLPEncoder(2, (16,), SHAPE)
    encoder.layers.append(nn.BatchNorm1d(4))
    with pytest.raises(ValueError, match=r"batch of one example.*Take another batch_size than 299"):
        vt.fit(vt.VAE(encoder, vt.MLPDecoder(2, (16,), SHAPE)), blobs, batch_size=299)


def test_pictures_of_several_sizes_are_told_the_way(small_vae):
    class Pictures(torch.utils.data.Dataset):
        def __getitem__(self, index):
            return torch.rand(1, 8, 8 + index % 2)

        def __len__(self):
            return 5

    with pytest.raises(ValueError, match=r"several sizes.*transform=Compose\(\[Resize"):
        vt.fit(small_vae, Pictures())


def test_a_cache_without_a_home(monkeypatch, tmp_path):
    from vae_tutorial.data import images

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("VAE_TUTORIAL_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(images.Path, "home", nobody)
    monkeypatch.setattr(images.tempfile, "gettempdir", lambda: str(tmp_path))
    assert tmp_path in images._cache_folder().parents


def test_an_error_frees_the_folder(blobs, tmp_path):
    """After an error in training, the folder can be used again by the same process."""

    def broken(model, x):
        raise LookupError("of the user's own")

    with pytest.raises(LookupError):
        vt.fit(model(), blobs, objective=broken, epochs=1, checkpoint=tmp_path)
    assert vt.fit(model(), blobs, epochs=1, checkpoint=tmp_path).epochs == 1
