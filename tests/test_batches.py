"""Whatever the data are, batches hold each example once; what a model cannot use is refused."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

import vae_tutorial as vt
from vae_tutorial.data import batches
from vae_tutorial.data.batches import (
    BatchConverter,
    LoaderBatches,
    TensorBatches,
    checked,
    float_batch,
    open_batches,
)

CPU = torch.device("cpu")


@pytest.fixture
def marked():
    """Images that are told apart by their only pixels, and labels that number them."""
    return torch.arange(230, dtype=torch.float32).view(230, 1, 1, 1) / 230, torch.arange(230)


def test_batches_hold_every_example_once_with_its_label(marked):
    x, y = marked
    for batch_size in (1, 64, 230, 1000):
        source = TensorBatches(x, y, batch_size, CPU)
        shuffled, ordered = list(source.shuffled()), list(source.ordered())
        assert len(shuffled) == len(ordered) == source.steps
        for found in (shuffled, ordered):
            xs, ys = (torch.cat(part) for part in zip(*found, strict=True))
            assert torch.equal(xs, x[ys]) and torch.equal(ys.sort().values, y)
        assert torch.equal(torch.cat([part for _, part in ordered]), y)
        assert not torch.equal(torch.cat([part for _, part in shuffled]), y)


def test_an_epoch_can_begin_in_its_middle(marked):
    source, calls = TensorBatches(*marked, 50, CPU), []
    torch.manual_seed(7)
    whole = list(source.shuffled())
    torch.manual_seed(7)
    rest = list(source.shuffled(3, lambda: calls.append(1)))
    assert len(calls) == 1 and len(whole) == source.steps == 5
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[3:], rest, strict=True))


def test_memory_decides_where_the_data_live(monkeypatch):
    """A tensor on another device than the run's stays there if it takes more than half of what
    is free; torch's device without data stands for the GPU."""
    x, meta = torch.rand(8, 1, 2, 2), torch.device("meta")
    for free, place in ((2 * x.nbytes, "in memory of meta"), (2 * x.nbytes - 1, "of the host")):
        monkeypatch.setattr(batches, "free_memory", lambda device, free=free: free)
        source = open_batches(x, "data", 4, meta)
        assert place in source.place
        (first, _), second = source.ordered()
        assert first.device == second[0].device == meta


# Pairs, data sets of torch, loaders


def test_labels_reach_an_objective_that_asks_for_them(small_vae, blobs):
    """Each image is given its own brightness as the label; shuffling must not part them."""
    y, seen = blobs.float().mean((1, 2, 3)), []

    def objective(model, x, y):
        torch.testing.assert_close(x.mean((1, 2, 3)), y / 255)
        seen.append(len(y))
        return vt.elbo(model, x)

    labels = torch.zeros(300, dtype=torch.int64)
    loader = DataLoader(TensorDataset(blobs, y), batch_size=64, shuffle=True)
    for data in ((blobs, y), loader, TensorDataset(blobs, y)):
        vt.fit(small_vae, data, validation=data, objective=objective, epochs=1, batch_size=64,
               binarise=False)  # fmt: skip
    assert sum(seen) == 3 * 600
    vt.fit(small_vae, vt.ImageSet(blobs, labels, ("blob",)), objective=lambda model, x, y: vt.elbo(
        model, x, y if y.dtype == torch.int64 else None), epochs=1)  # fmt: skip


def test_a_torch_data_set_is_read_through_a_loader(small_vae, blobs):
    history = vt.fit(small_vae, Subset(TensorDataset(blobs), range(200)), epochs=2, batch_size=50)
    assert history.epochs == 2 and history.settings["data"] == "from a loader"
    source = open_batches(TensorDataset(blobs), "data", 50, CPU, shuffle=True)
    assert not torch.equal(torch.cat([x for x, _ in source.shuffled()]), blobs)
    assert torch.equal(torch.cat([x for x, _ in open_batches(TensorDataset(blobs), "data", 50, CPU)
                                  .ordered()]), blobs)  # fmt: skip


def test_torchvision_without_to_tensor_is_told_the_way(small_vae):
    class Pictures(torch.utils.data.Dataset):
        def __getitem__(self, index):
            return np.zeros((8, 8, 3), np.uint8), 0

        def __len__(self):
            return 5

    class Endless(IterableDataset):
        def __iter__(self):
            yield torch.zeros(1)

    with pytest.raises(TypeError, match=r"must give tensors, got ndarray.*transforms\.ToTensor"):
        vt.fit(small_vae, Pictures())
    with pytest.raises(TypeError, match=r"has no example at index 0.*Give a DataLoader of it"):
        vt.fit(small_vae, Endless())


def test_a_loader_trains_and_validates(small_vae, blobs):
    """A list of batches in the order of the images: means are those of the images themselves."""
    given = [(part, torch.zeros(len(part))) for part in blobs.split(64)]

    def brightness(model, x):
        return {"loss": x.sum((1, 2, 3)) + 0 * model.posterior(x).mean.sum()}

    history = vt.fit(small_vae, given, validation=list(blobs.split(70)), objective=brightness,
                     epochs=2, binarise=False)  # fmt: skip
    expected = blobs.double().sum((1, 2, 3)).mean().item() / 255
    assert history.train["loss"] == pytest.approx([expected] * 2, rel=1e-5)
    assert history.validation["loss"] == pytest.approx([expected] * 2, rel=1e-5)
    assert history.settings["data"] == "from a loader" and history.settings["images"] is None


def test_a_data_loader_with_workers(small_vae, blobs):
    loader = DataLoader(TensorDataset(blobs), batch_size=100, shuffle=True, num_workers=1)
    assert vt.fit(small_vae, loader, epochs=2).epochs == 2
    assert vt.evaluate(small_vae, loader)["loss"] < 50


def test_every_batch_of_a_loader_is_checked(small_vae, blobs):
    good = blobs.float() / 255
    for bad, message in (
        (good * float("nan"), "batch 2 of data holds NaN"),
        (255 * good, r"batch 2 of data must lie in \[0, 1\]"),
        (2 * good - 1, r"batch 2 of data must lie in \[0, 1\] .* from -1"),
    ):
        with pytest.raises(ValueError, match=message):
            vt.fit(small_vae, [good, bad], epochs=1)


def test_loaders_that_cannot_be_used(small_vae, blobs):
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
    with pytest.raises(TypeError, match=r"batch 1 of data must be an ImageSet.*from_numpy"):
        vt.fit(small_vae, [np.zeros((3, 1, 8, 8))])
    with pytest.raises(TypeError, match=r"batch 1 of data must be x or \(x, y\), got 3 parts"):
        vt.fit(small_vae, [(blobs, blobs, blobs)])
    with pytest.raises(ValueError, match="y of batch 1 of data must have 300 rows"):
        vt.fit(small_vae, [(blobs, torch.zeros(3))])
    for nonsense in ("mnist", {"x": blobs}, 3):
        with pytest.raises(TypeError, match="data must be an ImageSet, a tensor"):
            vt.fit(small_vae, nonsense)


def test_open_batches_picks_the_way(blobs):
    assert isinstance(open_batches(blobs, "data", 10, CPU), TensorBatches)
    assert isinstance(open_batches([blobs], "data", 10, CPU), LoaderBatches)
    assert isinstance(open_batches(TensorDataset(blobs), "data", 10, CPU), LoaderBatches)


# What is refused


def image_set(images):
    return vt.ImageSet(images, torch.zeros(len(images), dtype=torch.int64), ("blob",))


def test_training_and_test_data_are_not_a_pair(small_vae, blobs):
    """Taken for two batches, or for x and y, they would train on the test set without a word."""
    with pytest.raises(TypeError, match=r"got a pair of them.*fit\(model, train, validation=test"):
        vt.fit(small_vae, (image_set(blobs), image_set(blobs[:50])))
    with pytest.raises(ValueError, match=r"equally many rows.*fit\(model, train, validation=test"):
        vt.fit(small_vae, (blobs, blobs[:50]))
    with pytest.raises(TypeError, match=r"pair of tensors \(x, y\), got \(Tensor, list\)"):
        vt.fit(small_vae, (blobs, [0] * 300))


@pytest.mark.parametrize(
    ("x", "values", "levels", "error", "message"),
    [
        (torch.zeros(5, 28, 28).byte(), "unit", None, ValueError, r"\(N, C, H, W\), got \(5, 28"),
        (torch.zeros(5, 8, 9, 3).byte(), "unit", None, ValueError, r"channels last.*permute"),
        (torch.eye(4).byte().view(1, 1, 4, 4), "binary", None, ValueError, r"given as x\.float"),
        (torch.zeros(0, 1, 8, 8), "unit", None, ValueError, r"must hold examples.*got \(0,"),
        (torch.zeros(8), "unit", None, ValueError, r"shape \(N, \.\.\.\), got \(8,\)"),
        (torch.zeros(5, 3).long(), "unit", None, TypeError, "uint8 or floating point, got torch.i"),
        (torch.zeros(5, 3).bool(), "binary", None, TypeError, r"got torch\.bool\. \.float\(\)"),
        (torch.zeros(5, 3, dtype=torch.complex64), "real", None, TypeError, "real numbers"),
        (torch.full((5, 3), torch.inf), "real", None, ValueError, "NaN or infinite"),
        (torch.zeros(5, 3), "integer", None, TypeError, "whole numbers, as uint8 or int64"),
        (torch.tensor([[0, 16]]), "integer", 16, ValueError, "from 0 to 15 for .* got 0 to 16"),
        (torch.tensor([[-1, 3]]), "integer", None, ValueError, "from 0 for .* got -1 to 3"),
    ],
)
def test_data_that_a_model_cannot_use(x, values, levels, error, message):
    with pytest.raises(error, match=message):
        checked(x, "data", values, levels)


@pytest.mark.parametrize(
    ("x", "values"),
    [
        (torch.randn(5, 7), "real"),
        (torch.zeros(5, 1, 8, 8).byte(), "unit"),  # black images
        (torch.full((2, 3, 3, 3), 200).byte(), "unit"),  # three rows, three channels
        (torch.zeros(5, 1, 4, 4, 4).byte(), "unit"),  # volumes
        (torch.randint(0, 9, (5, 12)), "integer"),
        (torch.ones(5, 1, 2, 2).byte(), "integer"),
        (torch.rand(5, 3).round(), "binary"),
    ],
)
def test_data_that_a_model_can_use(x, values):
    assert checked(x, "data", values, 16 if values == "integer" else None) is x


# Bytes become floats


@pytest.mark.parametrize("binarise", [False, True])
def test_the_converter_gives_float_batches_in_the_same_memory(binarise):
    stored = torch.randint(0, 256, (3, 5, 1, 4, 6), dtype=torch.uint8)
    convert, places = BatchConverter("unit", binarise), set()
    for x in (*stored, stored[0, :2], stored[1]):  # a smaller one in between
        torch.manual_seed(3)
        expected, after = float_batch(x, binarise), torch.rand(1)
        torch.manual_seed(3)
        got = convert(x)
        assert torch.equal(got, expected)
        assert torch.equal(torch.rand(1), after)
        places.add(got.data_ptr())
    assert len(places) == 1


def test_the_converter_leaves_floats_alone_and_grows():
    convert = BatchConverter("unit", binarise=False)
    x = torch.rand(4, 3)
    assert convert(x) is x
    small, large = torch.full((1, 1, 2, 2), 51, dtype=torch.uint8), torch.zeros(3, 1, 2, 2).byte()
    assert torch.equal(convert(small), torch.full((1, 1, 2, 2), 0.2))
    assert convert(large).shape == (3, 1, 2, 2)
    assert convert(torch.zeros(3, 1, 5, 2).byte()).shape == (3, 1, 5, 2)
    tokens = BatchConverter("integer", binarise=False)(torch.tensor([[7, 255]]).byte())
    assert tokens.dtype == torch.int64 and tokens.tolist() == [[7, 255]]


def test_dynamic_binarisation_has_the_grey_value_as_its_mean():
    grey = torch.tensor([0, 51, 128, 255], dtype=torch.uint8).expand(40_000, 4)
    x = float_batch(grey, binarise=True)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert (x[:, 0] == 0).all() and (x[:, 3] == 1).all()
    # 5 standard errors of a mean of 40,000 coin flips
    assert (x.mean(0) - grey[0] / 255).abs().max() < 5 * 0.5 / 200
    assert not torch.equal(x, float_batch(grey, binarise=True))
