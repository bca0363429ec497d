"""The stroke digits: the same bytes everywhere, and factors that do what their names say."""

import hashlib
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_tutorial.data.strokes import (
    EDGE,
    FACTOR_NAMES,
    FACTORS,
    _cos_sin,
    _place,
    draw_factors,
    draw_images,
    stroke_digit,
)

# SHA-256 of 300 images with seed 7, and of their labels and factors. These change only when the
# look of the digits is meant to change; then they, and `_STROKES_SHA256` in images.py, are
# replaced by what the failing tests print, and every stored number of the book is measured anew.
GOLDEN_IMAGES = "b9e36f30e437ec12391470c1f9d9900fc1a2d460bd2f9edc403e4e3c648f0b88"
GOLDEN_FACTORS = "9870ef5cb7b1f44782d8cbe22109c717cc8f46cd2cdf8ad692970a2075ab3ff8"

factor_values = st.fixed_dictionaries(
    {factor.name: st.floats(factor.low, factor.high) for factor in FACTORS}
)
labels = st.integers(0, 9)


def sha256(*tensors: torch.Tensor) -> str:
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in tensors)).hexdigest()


def centroid(image: torch.Tensor) -> tuple[float, float]:
    """Centre of mass, x then y, in pixels from the centre of the image."""
    ink, at = image.double(), torch.arange(28.0).double() - 13.5
    return (
        ((ink.sum(0) * at).sum() / ink.sum()).item(),
        ((ink.sum(1) * at).sum() / ink.sum()).item(),
    )


def lean(image: torch.Tensor) -> float:
    """Pixels to the right per pixel upwards, from the second moments of the ink."""
    x, y = centroid(image)
    ink, at = image.double(), torch.arange(28.0).double() - 13.5
    dx, dy = (at - x)[None, :], (at - y)[:, None]
    return (-(ink * dx * dy).sum() / (ink * dy * dy).sum()).item()


def test_golden_bytes():
    labels, factors = draw_factors(300, seed=7)
    assert sha256(labels, factors) == GOLDEN_FACTORS
    assert sha256(draw_images(labels, factors)) == GOLDEN_IMAGES


def test_the_bytes_do_not_hang_on_the_processor():
    # the same digest without the vector instructions that numpy would choose here
    code = (
        "import hashlib; from vae_tutorial.data.strokes import draw_factors, draw_images;"
        "print(hashlib.sha256(draw_images(*draw_factors(300, 7)).numpy().tobytes()).hexdigest())"
    )
    config = np.show_config(mode="dicts")["SIMD Extensions"]
    plain = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(config.get("found", []))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == GOLDEN_IMAGES


@pytest.mark.parametrize("label", range(10))
def test_pixels_against_plain_python(label):
    # an independent drawing of the placed skeleton: one pixel and one segment at a time
    _, factors = draw_factors(10, seed=label)
    row = factors[3:4]
    x, y = _place(label, row.numpy().astype(np.float64))
    radius = row[0, FACTOR_NAMES.index("thickness")].item() / 2
    expected = []
    for i in range(28):
        for j in range(28):
            distance = math.inf
            for (ax, bx), (ay, by) in zip(x[0].tolist(), y[0].tolist(), strict=True):
                length = math.hypot(bx - ax, by - ay)
                along = ((j - ax) * (bx - ax) + (i - ay) * (by - ay)) / length
                along = min(max(along, 0.0), length) / length
                distance = min(
                    distance, math.dist((j, i), (ax + along * (bx - ax), ay + along * (by - ay)))
                )
            expected.append(255 * min(max(0.5 + (radius - distance) / EDGE, 0.0), 1.0))
    drawn = draw_images(torch.tensor([label]), row).flatten().tolist()
    assert max(abs(a - b) for a, b in zip(drawn, expected, strict=True)) < 0.5 + 1e-6


def test_cosine_and_sine():
    degrees = np.linspace(-720, 720, 2881)
    cos, sin = _cos_sin(degrees)
    np.testing.assert_allclose(cos, np.cos(np.radians(degrees)), atol=1e-9)
    np.testing.assert_allclose(sin, np.sin(np.radians(degrees)), atol=1e-9)


def test_every_image_can_be_drawn_again_from_its_factors():
    labels, factors = draw_factors(100, seed=3)
    images = draw_images(labels, factors)
    for image, label, row in zip(images, labels, factors, strict=True):
        chosen = dict(zip(FACTOR_NAMES, row.tolist(), strict=True))
        assert torch.equal(image[0], stroke_digit(label.item(), **chosen))


def test_an_image_does_not_depend_on_its_neighbours():
    labels, factors = draw_factors(500, seed=1)
    some = torch.tensor([400, 3, 77])
    assert torch.equal(draw_images(labels, factors)[some], draw_images(labels[some], factors[some]))


def test_labels_are_balanced_and_shuffled():
    labels, _ = draw_factors(1000, seed=0)
    assert torch.equal(labels.bincount(), torch.full((10,), 100))
    assert not torch.equal(labels, torch.arange(1000) % 10)
    counts = draw_factors(1007, seed=0)[0].bincount(minlength=10)
    assert set(counts.tolist()) == {100, 101}


def test_factors_are_uniform_and_independent():
    _, factors = draw_factors(20_000, seed=0)
    low = torch.tensor([factor.low for factor in FACTORS])
    high = torch.tensor([factor.high for factor in FACTORS])
    unit = ((factors - low) / (high - low)).double()
    assert unit.min() > -1e-6
    assert unit.max() < 1 + 1e-6
    # Fixed seed. For another, each line fails with a probability below 1e-4: largest gap between
    # the empirical and the uniform distribution (Kolmogorov and Smirnov), and correlations.
    ordered = unit.sort(0).values
    steps = torch.arange(1, 20_001).double()[:, None] / 20_000
    assert (ordered - steps).abs().max() < 2.5 / math.sqrt(20_000)
    assert (torch.corrcoef(unit.T) - torch.eye(len(FACTORS))).abs().max() < 5 / math.sqrt(20_000)


def test_seeds_differ_and_repeat():
    first, again, other = (draw_images(*draw_factors(50, seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_intensity_is_that_of_mnist():
    images = draw_images(*draw_factors(1000, seed=2)).double() / 255
    assert abs(images.mean().item() - 0.1307) < 0.01  # the mean pixel of MNIST's training set
    edge = torch.cat([images[..., [0, -1], :].flatten(1), images[..., [0, -1]].flatten(1)], 1)
    assert (edge.amax(1) > 0.5).double().mean() < 0.01  # hardly a digit is cut by the border


@given(label=labels, factors=factor_values)
def test_shift_moves_the_centre_of_mass(label, factors):
    # at a moderate size, so that no ink is cut off by the border
    factors |= {"scale": 0.8, "thickness": 2.0}
    ends_x, ends_y = _place(label, np.array([[factors[name] for name in FACTOR_NAMES]]))
    # The pen's path has its centre exactly where the shifts say: the mean of points that lie
    # densely on each segment, weighted by its length.
    length = np.hypot(ends_x[0, :, 1] - ends_x[0, :, 0], ends_y[0, :, 1] - ends_y[0, :, 0])
    for ends, shift in ((ends_x, factors["shift_x"]), (ends_y, factors["shift_y"])):
        points = np.linspace(ends[0, :, 0], ends[0, :, 1], 101).mean(0)
        assert abs(np.average(points, weights=length) - 13.5 - shift) < 1e-9
    # Ink counts once where strokes run into each other, and ends are round: that moves the centre
    # of the ink from that of the path, by at most 0.85 px in a search over all ten digits.
    x, y = centroid(stroke_digit(label, **factors))
    assert abs(x - factors["shift_x"]) < 1
    assert abs(y - factors["shift_y"]) < 1
    # a shift by whole pixels moves the ink exactly
    still = stroke_digit(label, **(factors | {"shift_x": 0.0, "shift_y": 0.0}))
    moved = stroke_digit(label, **(factors | {"shift_x": 1.0, "shift_y": -1.0}))
    # rounding: a distance one ulp away may round to the next grey
    assert (moved.int() - still.int().roll((-1, 1), (0, 1))).abs().max() <= 1


@given(label=labels, factors=factor_values)
def test_slant_leans_to_the_right(label, factors):
    factors |= {"rotation": 0.0, "thickness": 2.0}
    leans = [lean(stroke_digit(label, **(factors | {"slant": s}))) for s in (-0.15, 0.15, 0.45)]
    # A shear by s adds s to the slope of x on y, exactly so for ink that is sheared with its
    # page; a pen keeps its width, so lines that grow longer gain ink and shift the weights.
    np.testing.assert_allclose(np.diff(leans), 0.3, atol=0.1)


def test_slant_of_a_single_line():
    leans = [lean(stroke_digit(1, slant=s, style=0.0)) for s in (-0.15, 0.15, 0.45)]
    np.testing.assert_allclose(np.diff(leans), 0.3, atol=0.02)


@given(label=labels, factors=factor_values)
def test_thickness_adds_ink_everywhere(label, factors):
    thin, middle, thick = (
        stroke_digit(label, **(factors | {"thickness": t})).int() for t in (1.5, 2.2, 3.7)
    )
    assert (middle >= thin).all()
    assert (thick >= middle).all()
    assert thin.sum() < middle.sum() < thick.sum()


def test_rotation_turns_clockwise():
    # a 1 in style 0 is nearly a vertical line: turned by 12 degrees its top leans right
    upright, turned = (stroke_digit(1, style=0.0, rotation=angle) for angle in (0.0, 12.0))
    turn = math.degrees(math.atan(lean(turned)) - math.atan(lean(upright)))
    assert abs(turn - 12) < 1.5


def test_scale_enlarges():
    def spread(image: torch.Tensor) -> float:  # height of the ink's box
        rows = (image > 127).any(1).nonzero()
        return (rows.max() - rows.min() + 1).item()

    small, large = (spread(stroke_digit(0, scale=s, thickness=1.5)) for s in (0.8, 1.05))
    assert abs((small - 1.5) / (large - 1.5) - 0.8 / 1.05) < 0.08


@pytest.mark.parametrize("name", ["style", "wobble"])
@pytest.mark.parametrize("label", range(10))
def test_style_and_wobble_change_every_class(label, name):
    low, high = next((f.low, f.high) for f in FACTORS if f.name == name)
    first, second = (stroke_digit(label, **{name: value}).float() for value in (low, high))
    assert (first - second).abs().mean() > 5  # of 255
    assert abs(centroid(first)[0] - centroid(second)[0]) < 0.5


def test_defaults_are_neutral():
    neutral = {factor.name: factor.neutral for factor in FACTORS}
    assert torch.equal(stroke_digit(4), stroke_digit(4, **neutral))
    for factor in FACTORS:
        assert factor.low <= factor.neutral <= factor.high
        assert factor.meaning
        assert factor.unit


def test_classes_are_told_apart_by_their_pixels():
    # legible to the simplest reader: the nearest class mean (10 % would be guessing)
    train, test = draw_factors(1000, seed=0), draw_factors(500, seed=1)
    means = torch.stack(
        [draw_images(*train)[train[0] == c].double().mean(0).flatten() for c in range(10)]
    )
    guess = torch.cdist(draw_images(*test).double().flatten(1), means).argmin(1)
    assert (guess == test[0]).double().mean() > 0.75


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": 10}, "label must be an integer from 0 to 9, got 10"),
        ({"label": 2.5}, "label must be an integer from 0 to 9, got 2.5"),
        ({"label": "3"}, "label must be an integer from 0 to 9, got '3'"),
        ({"label": 3, "tilt": 1.0}, "unknown factor 'tilt'.*'slant'"),
        ({"label": 3, "slant": math.nan}, "slant must be a finite number"),
        ({"label": 3, "thickness": 0.0}, "thickness must be positive"),
        ({"label": 3, "scale": -1.0}, "scale must be positive"),
        ({"label": 7, "scale": 1e-300}, "scale must be positive and finite, got 1e-300$"),
        ({"label": 7, "slant": 1e300}, "slant must be a finite number, got 1e"),
    ],
)
def test_bad_digit(arguments, message):
    with pytest.raises(ValueError, match=message):
        stroke_digit(**arguments)


def test_bad_count_or_seed():
    with pytest.raises(ValueError, match="count must be 0 or more, got -1"):
        draw_factors(-1, seed=0)
    with pytest.raises(TypeError, match="count must be an integer, got float"):
        draw_factors(2.0, seed=0)
    with pytest.raises(TypeError, match="seed must be an integer, got NoneType"):
        draw_factors(2, seed=None)


def test_bad_factors():
    with pytest.raises(ValueError, match=r"factors must be \(3, 8\), got \(3, 7\).*each label"):
        draw_images(torch.zeros(3, dtype=torch.int64), torch.ones(3, 7))


@pytest.mark.parametrize(("label", "name", "value", "message"), [
    (10, "style", 0.5, "labels must be integers from 0 to 9, got 10 in row 2"),
    (-1, "style", 0.5, "labels must be integers from 0 to 9, got -1 in row 2"),
    (2.5, "style", 0.5, "labels must be integers from 0 to 9, got 2.5 in row 2"),
    (7, "style", math.nan, "style must be a finite number, got nan in row 2 of factors"),
    (7, "shift_x", math.inf, "shift_x must be a finite number, got inf in row 2"),
    (7, "scale", 0.0, "scale must be positive and finite, got 0 in row 2"),
    (7, "scale", 1e-300, "scale must be positive and finite, got 1e-300 in row 2"),
    (7, "thickness", -1.0, "thickness must be positive and finite, got -1 in row 2"),
])  # fmt: skip
def test_the_first_bad_label_or_factor_is_named(label, name, value, message):
    labels, factors = torch.tensor([3, 4, label, label]), torch.ones(4, 8, dtype=torch.float64)
    factors[2:, FACTOR_NAMES.index(name)] = value
    with pytest.raises(ValueError, match=message):
        draw_images(labels, factors)


def test_labels_and_factors_that_are_no_tensors():
    with pytest.raises(TypeError, match=r"labels must be a tensor \(N,\), got list"):
        draw_images([3], torch.ones(1, 8))
    with pytest.raises(TypeError, match=r"factors must be a tensor \(1, 8\), got ndarray"):
        draw_images(torch.tensor([3]), np.ones((1, 8)))
    with pytest.raises(ValueError, match=r"labels must be \(N,\), got \(2, 1\)"):
        draw_images(torch.tensor([[3], [4]]), torch.ones(2, 8))


def test_nothing_to_draw():
    labels, factors = draw_factors(0, seed=0)
    assert draw_images(labels, factors).shape == (0, 1, 28, 28)
