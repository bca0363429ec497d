"""The three ways from data to batches give the same images, each once."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import vae_tutorial as vt
from vae_tutorial import devices
from vae_tutorial.batches import Resident, Stream, Travelling, feed, float_batch
from vae_tutorial.floats import Floats
from vae_tutorial.processes import Team

CPU = torch.device("cpu")


@pytest.fixture
def marked():
    """Images that are told apart by their only pixels."""
    return torch.arange(230, dtype=torch.float32).view(230, 1, 1, 1) / 230


def test_images_travel_in_the_same_batches_as_they_would_lie(marked):
    for batch_size in (1, 64, 230, 1000):
        found = []
        for source in (Resident(marked, batch_size, Team()),
                       Travelling(marked, batch_size, CPU, Team())):  # fmt: skip
            torch.manual_seed(7)
            found.append((list(source.shuffled()), list(source.ordered())))
        for ours, theirs in zip(*found, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("kind", [Resident, Travelling])
def test_an_epoch_can_begin_in_its_middle(kind, marked):
    source = kind(marked, 50, CPU, Team()) if kind is Travelling else kind(marked, 50, Team())
    torch.manual_seed(7)
    whole = list(source.shuffled())
    calls = []
    torch.manual_seed(7)
    rest = list(source.shuffled(3, lambda: calls.append(1)))
    assert len(calls) == 1 and len(whole) == source.steps == 5
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], rest, strict=True))


def test_memory_decides_where_images_live(marked, monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(devices, "free_memory", lambda device: 2 * marked.nbytes)
    assert devices.fits(marked, gpu)
    monkeypatch.setattr(devices, "free_memory", lambda device: 2 * marked.nbytes - 1)
    assert not devices.fits(marked, gpu)
    assert devices.fits(marked, CPU)  # where they are already


def test_training_is_the_same_wherever_the_images_live(small_vae, blobs, monkeypatch):
    start = {name: value.clone() for name, value in small_vae.state_dict().items()}
    results = []
    for fits in (True, False):
        monkeypatch.setattr(devices, "fits", lambda images, device, fits=fits: fits)
        small_vae.load_state_dict(start)
        torch.manual_seed(3)
        history = vt.fit(small_vae, blobs, validation=blobs, epochs=2, batch_size=64)
        results.append((history.train, history.validation, history.settings["data"]))
    assert results[0][:2] == results[1][:2]
    assert [result[2] for result in results] == ["in memory of cpu", "in memory of the host"]


# Streams


def test_a_stream_trains_and_validates(small_vae, blobs):
    """A list of batches in the order of the images: means are those of the images themselves."""
    batches = [(part, None) for part in blobs.split(64)]

    def brightness(model, x):
        return {"loss": x.sum((1, 2, 3)) + 0 * model.posterior(x).mean.sum()}

    history = vt.fit(small_vae, batches, validation=list(blobs.split(70)), objective=brightness,
                     epochs=2, binarise=False)  # fmt: skip
    expected = blobs.double().sum((1, 2, 3)).mean().item() / 255
    assert history.train["loss"] == pytest.approx([expected] * 2, rel=1e-5)
    assert history.validation["loss"] == pytest.approx([expected] * 2, rel=1e-5)
    assert history.settings["data"] == "streamed" and history.settings["images"] is None


def test_a_data_loader_with_workers(small_vae, blobs):
    loader = DataLoader(TensorDataset(blobs), batch_size=100, shuffle=True, num_workers=1)
    history = vt.fit(small_vae, loader, epochs=2)
    assert history.epochs == 2
    assert vt.evaluate(small_vae, loader)["loss"] < 50


def test_streams_that_cannot_be_meant(small_vae, blobs):
    with pytest.raises(TypeError, match="data, a generator, must know its number of batches"):
        vt.fit(small_vae, (part for part in blobs.split(64)))

    class Once:
        """Promises five batches in each epoch, and gives them once, as an iterator would."""

        batches = iter(blobs.split(64))

        def __iter__(self):
            return self.batches

        def __len__(self):
            return 5

    with pytest.raises(ValueError, match=r"gave 0 batches instead of the 5 .* starts anew"):
        vt.fit(small_vae, Once(), epochs=2)
    with pytest.raises(ValueError, match="data must hold at least one batch, got none"):
        vt.fit(small_vae, [])
    with pytest.raises(ValueError, match=r"batch 1 of data must lie in \[0, 1\]"):
        vt.fit(small_vae, [blobs.float()])
    with pytest.raises(TypeError, match="batch 1 of data must be an ImageSet or a tensor"):
        vt.fit(small_vae, [np.zeros((3, 1, 8, 8))])
    for nonsense in (TensorDataset(blobs), "mnist", {"x": blobs}, 3):
        with pytest.raises(TypeError, match="data must be an ImageSet or a tensor"):
            vt.fit(small_vae, nonsense)


def test_feed_picks_the_fastest_way(blobs):
    assert isinstance(feed(blobs, "data", 10, CPU, Team(), False), Resident)
    assert isinstance(feed([blobs], "data", 10, CPU, Team(), False), Stream)


@pytest.mark.parametrize("binarise", [False, True])
def test_floats_are_those_of_float_batch_in_the_same_memory(binarise):
    batches = torch.randint(0, 256, (3, 5, 1, 4, 6), dtype=torch.uint8)
    floats, places = Floats(binarise), set()
    for images in (*batches, batches[0, :2], batches[1]):  # a smaller one in between
        torch.manual_seed(3)
        expected, after = float_batch(images, binarise), torch.rand(1)
        torch.manual_seed(3)
        got = floats(images)
        assert torch.equal(got, expected)
        assert torch.equal(torch.rand(1), after)
        places.add(got.data_ptr())
    assert len(places) == 1


def test_floats_leave_floats_alone_and_grow():
    floats = Floats(binarise=False)
    x = torch.rand(4, 3)
    assert floats(x) is x
    small, large = torch.full((1, 1, 2, 2), 51, dtype=torch.uint8), torch.zeros(3, 1, 2, 2).byte()
    assert torch.equal(floats(small), torch.full((1, 1, 2, 2), 0.2))
    assert floats(large).shape == (3, 1, 2, 2)
    assert floats(torch.zeros(3, 1, 5, 2).byte()).shape == (3, 1, 5, 2)
