"""ImageSet: indexing, and what it refuses."""

import pytest
import torch

from vae_tutorial.data.image_set import ImageSet


def good(**changes):
    fields = {
        "images": torch.arange(6 * 4, dtype=torch.uint8).view(6, 1, 2, 2),
        "labels": torch.tensor([0, 1, 2, 0, 1, 2]),
        "class_names": ("a", "b", "c"),
        "factors": torch.arange(12.0).view(6, 2),
        "factor_names": ("p", "q"),
    }
    return ImageSet(**(fields | changes))


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2, 4]),
        (torch.tensor([5, 0]), [5, 0]),
        ([3, 3], [3, 3]),
        ([], []),
        (torch.tensor([1, 0, 0, 1, 0, 0]).bool(), [0, 3]),
    ],
)
def test_indexing(index, rows):
    whole, part = good(), good()[index]
    assert len(part) == len(rows)
    for field in ("images", "labels", "factors"):
        assert torch.equal(getattr(part, field), getattr(whole, field)[rows])
    assert part.class_names == whole.class_names
    assert part.factor_names == whole.factor_names


def test_indexing_without_factors():
    assert good(factors=None, factor_names=())[2:].factors is None


@pytest.mark.parametrize(
    "index",
    [0, (0, 1), torch.tensor(2), torch.zeros(2, 2).long(), "a", torch.zeros(6).byte(), [0.5]],
)
def test_bad_index(index):
    with pytest.raises(TypeError, match="an ImageSet is indexed by a slice"):
        good()[index]


def test_repr_is_short():
    assert repr(good()) == "ImageSet(6 images of 1 × 2 × 2, 3 classes, factors p, q)"


def test_frozen():
    with pytest.raises(AttributeError):
        good().labels = torch.zeros(6)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"images": [[0]]},
            TypeError,
            r"images must be a tensor of shape \(N, C, H, W\), got list",
        ),
        ({"images": torch.zeros(6, 2, 2).byte()}, ValueError, r"images .*got \(6, 2, 2\)"),
        ({"images": torch.zeros(6, 1, 2, 2)}, TypeError, "images must be torch.uint8.*float32"),
        ({"labels": torch.zeros(6)}, TypeError, "labels must be torch.int64, got torch.float32"),
        ({"labels": torch.zeros(6, 1).long()}, ValueError, r"labels must have shape \(N,\)"),
        ({"labels": torch.zeros(5).long()}, ValueError, "labels must be 6, .*got 5"),
        ({"labels": torch.tensor([0, 1, 2, 3, 0, 0])}, ValueError, "labels.*0 to 2.*got 0 to 3"),
        ({"labels": torch.tensor([0, -1, 2, 2, 0, 0])}, ValueError, "labels.*got -1 to 2"),
        ({"class_names": ["a", "b", "c"]}, TypeError, "class_names must be a tuple of str"),
        ({"factors": torch.zeros(6, 2).double()}, TypeError, "factors must be torch.float32"),
        ({"factors": torch.zeros(6, 3)}, ValueError, r"factors .*\(6, 2\).*got \(6, 3\)"),
        ({"factors": torch.zeros(4, 2)}, ValueError, r"factors .*\(6, 2\).*got \(4, 2\)"),
        ({"factors": None}, ValueError, "factor_names name 2 factors, but factors is None"),
    ],
)
def test_bad_image_set(changes, error, message):
    with pytest.raises(error, match=message):
        good(**changes)
