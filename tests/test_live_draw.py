"""The live figure `draw`: from a drawing to its posterior, its reconstruction and its ELBO."""

from __future__ import annotations

import os
from itertools import pairwise

import live_mnist
import live_pages
import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

import vae_tutorial as vt
from vae_tutorial import live

SCRIPTS = ("core", "nn", "draw")
GREY, BINARY = "The drawing in 28 by 28 pixels", "Its binary pixels"
REBUILT = "What the decoder makes of z"
EDGE = 1.3  # pixels over which ink fades


@pytest.fixture(scope="module")
def browser():
    with live_pages.chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def model():
    return live_mnist.Model()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the figure; at the end no page may have complained of anything."""
    readers = []

    def make(**settings):
        html = live.figure("draw").whole()
        readers.append(live_pages.open_figure(browser, tmp_path, html, **settings))
        assert readers[-1].page.locator("[data-state=live]").count() == 1
        return readers[-1]

    yield make
    for reader in readers:
        reader.context.close()
        assert not reader.complaints


def press(reader, name: str) -> None:
    reader.page.get_by_role("button", name=name, exact=True).click()


def terms(reader) -> dict[str, float]:
    """log p(x | z) with its error, KL and ELBO, as the table shows them."""
    cells = reader.page.locator(".live-numbers td").all_inner_texts()
    _, (log_px, error), (kl,), (elbo,) = map(live_mnist.numbers, cells)
    return {"log_px": log_px, "error": error, "kl": kl, "elbo": elbo}


def verdict(reader) -> str:
    return reader.page.locator(".live-verdict").inner_text()


def noise(reader, seed: int) -> torch.Tensor:
    """The figure's 20 draws of ε, (20, 2): they follow on the thresholds of the pixels."""
    draws = reader.page.evaluate(
        "seed => { const r = VaeLive.nn.random(seed);"
        "for (let i = 0; i < 784; i++) r.uniform();"
        "return Array.from({ length: 20 }, () => [r.normal(), r.normal()]); }",
        seed,
    )
    return torch.tensor(draws, dtype=torch.float64)


def normalise(reader, strokes, width: float = 2.4) -> np.ndarray:
    pixels = reader.page.evaluate(
        "([strokes, width]) => [...VaeLive.files.pen.normalise(strokes, width)]", [strokes, width]
    )
    return np.array(pixels).reshape(28, 28)


def ink(strokes: list[np.ndarray], width: float) -> np.ndarray:
    """The picture (28, 28) of strokes (P, 2) in pixels, from points laid densely along them."""
    dense = [
        a + t * (b - a)
        for stroke in strokes
        for a, b in pairwise(stroke)
        for t in np.linspace(0, 1, 200)
    ]
    grid = np.stack(np.meshgrid(np.arange(28), np.arange(28)), -1)  # (28, 28, 2): x and y
    away = np.linalg.norm(grid[:, :, None] - np.array(dense), axis=-1).min(-1)
    return np.clip(0.5 + (width / 2 - away) / EDGE, 0, 1)


def centre(pixels: np.ndarray) -> np.ndarray:
    rows, columns = np.indices((28, 28))
    return np.array([(columns * pixels).sum(), (rows * pixels).sum()]) / pixels.sum()


DRAWINGS = {
    "a hook at the edge": [[[3, 5], [60, 9], [70, 100]]],
    "two wide strokes": [[[20, 200], [260, 210]], [[100, 190], [140, 250]]],
    "a large L": [[[10, 10], [10, 270], [200, 270]]],
}


@pytest.mark.parametrize("name", sorted(DRAWINGS))
@pytest.mark.parametrize("width", [1.8, 3.4])
def test_a_drawing_is_scaled_and_centred_as_mnist_does(opened, name, width):
    strokes = [np.array(stroke, float) for stroke in DRAWINGS[name]]
    found = normalise(opened(), DRAWINGS[name], width)
    assert centre(found) == pytest.approx([14, 14], abs=0.05)
    # the longer side of the ink is 20 pixels, so the skeleton's is shorter by the pen
    points = np.concatenate(strokes)
    scale = (20 - width) / np.ptp(points, axis=0).max()
    shift = np.full(2, 14.0) - scale * points.mean(0)
    for _ in range(8):
        expected = ink([scale * stroke + shift for stroke in strokes], width)
        shift = shift + 14 - centre(expected)
    assert np.abs(found - expected).max() < 0.05
    # measured on the picture: what is at least half ink
    rows, columns = np.nonzero(found >= 0.5)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(20, abs=1)


@pytest.mark.slow
@pytest.mark.skipif("VAE_TUTORIAL_DATA" not in os.environ, reason="needs MNIST: VAE_TUTORIAL_DATA")
def test_mnist_is_scaled_and_centred_like_that():
    images = vt.load_images("mnist").test.images[:500, 0].numpy() / 255
    centres = np.array([centre(image) for image in images])
    assert centres.mean(0) == pytest.approx([14, 14], abs=0.05)
    sides = [max(np.ptp(rows), np.ptp(columns)) + 1 for rows, columns in map(np.nonzero, images)]
    assert np.mean(sides) == pytest.approx(20, abs=0.05)


def test_a_larger_drawing_elsewhere_gives_the_same_pixels(opened):
    reader = opened()
    small = [[[100, 100], [150, 105], [120, 180]]]
    large = [[[10 + 1.4 * (x - 100), 20 + 1.4 * (y - 100)] for x, y in small[0]]]
    np.testing.assert_allclose(normalise(reader, small), normalise(reader, large), atol=1e-5)


def test_a_dot_stays_a_dot(opened):
    reader = opened()
    dot = normalise(reader, [[[200, 30]]]).sum()
    assert 3 < dot < 7  # a disc of 2.4 pixels: 4.5
    assert normalise(reader, [[[200, 30], [203, 31]]]).sum() < dot + 4  # a hand that shook


@pytest.mark.parametrize("example", ["Example 2", "Example 8", "Example: a square"])
def test_the_terms_are_those_of_torch(opened, model, example):
    reader = opened()
    press(reader, example)
    reader.page.wait_for_timeout(50)
    check_terms(reader, model, seed=1)
    press(reader, "Draw pixels and samples anew")
    reader.page.wait_for_timeout(50)
    check_terms(reader, model, seed=2)


def check_terms(reader, model, seed: int) -> None:
    x = live_mnist.pixels_of(reader, BINARY)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    q = model.posterior(x)
    z = q.mean + q.stddev * noise(reader, seed)
    log_px = model.log_px(z, x)
    kl = kl_divergence(q, Normal(torch.zeros(2).double(), torch.ones(2).double())).sum()
    shown = live_mnist.numbers(reader.page.locator(".live-numbers td").first.inner_text())
    assert shown == pytest.approx([*q.mean.tolist(), *q.stddev.tolist()], abs=0.006)
    found = terms(reader)
    assert found["log_px"] == pytest.approx(log_px.mean().item(), abs=0.06)
    assert found["error"] == pytest.approx(log_px.std().item() / 20**0.5, abs=0.06)
    assert found["kl"] == pytest.approx(kl.item(), abs=0.06)
    assert found["elbo"] == pytest.approx((log_px.mean() - kl).item(), abs=0.06)


def test_binary_pixels_are_ink_as_often_as_the_grey_value_says(opened):
    reader = opened()
    grey, drawn = live_mnist.pixels_of(reader, GREY), []
    for _ in range(60):
        press(reader, "Draw pixels and samples anew")
        drawn.append(live_mnist.pixels_of(reader, BINARY))
    mean = torch.stack(drawn).mean(0)
    error = (grey * (1 - grey) / 60).sqrt()
    assert ((mean - grey).abs() <= 5 * error + 0.01).all()
    assert mean[(grey > 0.2) & (grey < 0.8)].std() > 0.05


def test_the_reconstruction_is_the_decoders_from_the_mean_or_from_a_sample(opened, model):
    reader = opened()
    x = live_mnist.pixels_of(reader, BINARY)
    q = model.posterior(x)
    caption = reader.page.locator(".live-gallery .live-key").last
    for name, z in (
        ("Decode a sample", q.mean + q.stddev * noise(reader, 1)[0]),
        ("Decode a sample", q.mean + q.stddev * noise(reader, 1)[1]),
        ("Decode μ", q.mean),
    ):
        press(reader, name)
        expected = torch.sigmoid(model.run("decoder", z))
        found = live_mnist.pixels_of(reader, REBUILT)
        torch.testing.assert_close(found, expected, rtol=0, atol=0.01)
        shown = live_mnist.numbers(caption.inner_text().split("=")[-1])
        assert shown == [pytest.approx(model.log_px(z, x).item(), abs=0.06)]


def test_the_mouse_draws_and_undo_takes_back(opened):
    reader = opened()
    press(reader, "Clear")
    assert live_mnist.pixels_of(reader, GREY).max() == 0
    assert "Draw a digit" in verdict(reader)
    box = reader.page.locator(".live-pad").bounding_box()
    mouse = reader.page.mouse
    mouse.move(box["x"] + 140, box["y"] + 60)
    mouse.down()
    mouse.move(box["x"] + 140, box["y"] + 220, steps=8)
    mouse.up()
    picture = live_mnist.pixels_of(reader, GREY).reshape(28, 28)
    assert picture[14, 14] > 0.8 and picture[14, 3] == 0
    assert terms(reader)["elbo"] < 0
    one = picture
    mouse.move(box["x"] + 200, box["y"] + 60)
    mouse.down()
    mouse.move(box["x"] + 260, box["y"] + 220, steps=8)
    mouse.up()
    assert (live_mnist.pixels_of(reader, GREY).reshape(28, 28) - one).abs().max() > 0.5
    press(reader, "Undo")
    assert torch.equal(live_mnist.pixels_of(reader, GREY).reshape(28, 28), one)


def test_a_finger_draws(opened):
    reader = opened(has_touch=True, viewport={"width": 390, "height": 900})
    press(reader, "Clear")
    reader.page.locator(".live-pad").tap()
    assert live_mnist.pixels_of(reader, GREY).max() > 0.9


def test_the_keyboard_draws(opened):
    reader = opened()
    press(reader, "Clear")
    reader.page.locator(".live-pad").focus()
    for key in ["ArrowUp"] * 5 + [" "] + ["ArrowDown"] * 12 + [" "] + ["ArrowRight"] * 3:
        reader.page.keyboard.press(key)
    picture = live_mnist.pixels_of(reader, GREY).reshape(28, 28)
    assert (picture[5:23, 14] > 0.5).all()  # one straight stroke; the pen was up afterwards
    assert picture[:, :10].max() == 0 and picture[:, 19:].max() == 0
    reader.page.keyboard.press("Backspace")
    assert live_mnist.pixels_of(reader, GREY).max() == 0


def test_every_example_can_be_chosen_by_the_keyboard(opened):
    reader = opened()
    seen = set()
    for n in range(10):
        button = reader.page.get_by_role("button", name=f"Example {n}", exact=True)
        button.focus()
        reader.page.keyboard.press("Enter")
        seen.add(tuple(live_mnist.pixels_of(reader, GREY).tolist()))
    assert len(seen) == 10


def test_the_verdict_follows_the_stored_range(opened, model):
    reader = opened()
    stored = {float(key): value for key, value in model.content["elbo"].items()}
    for example in ("Example 0", "Example 1", "Example 5", "Example 7", "Example: a square"):
        press(reader, example)
        value, text = terms(reader)["elbo"], verdict(reader)
        if value < stored[0.01] - 0.1:
            assert "Unlike any digit" in text
        elif stored[0.05] + 0.1 < value < stored[0.95] - 0.1:
            assert text.startswith("As usual")
        assert live_mnist.numbers(text)[-2:] == [stored[0.05], stored[0.95]], text
    assert "Unlike any digit" in verdict(reader)  # the square
    press(reader, "Clear")
    reader.page.locator(".live-pad").click()
    assert "Little ink" in verdict(reader)


def test_a_wider_pen_gives_more_ink(opened):
    reader = opened()
    thin = live_mnist.pixels_of(reader, GREY).sum()
    slider = reader.page.get_by_role("slider", name="Pen")
    slider.focus()
    for _ in range(10):
        reader.page.keyboard.press("ArrowRight")
    assert live_mnist.pixels_of(reader, GREY).sum() > 1.2 * thin
    assert reader.page.locator(".live-slider output").inner_text() == "3.4 px"


@pytest.mark.parametrize("width", [340, 390, 760])
def test_it_fits_its_page_and_the_height_is_kept(opened, width):
    reader = opened(viewport={"width": width, "height": 900})
    page = reader.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width > 700:
        height = page.locator(".live-figure").bounding_box()["height"]
        page.evaluate("document.querySelector('.live-figure').removeAttribute('data-state')")
        still = page.locator(".live-figure").bounding_box()["height"]
        assert height == pytest.approx(still, rel=0.03)


def test_the_picture_stays_where_the_model_is_missing(browser, tmp_path):
    for path in live.FOLDER.glob("*.js"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    scripts = "".join(f'<script src="{name}.js" defer></script>' for name in SCRIPTS)
    body = live.figure("draw").still() + scripts
    reader = live_pages.open_figure(browser, tmp_path, body)
    assert not reader.complaints
    assert reader.page.locator("[data-state=live] .live-pad").count() == 1
    (tmp_path / "mnist-2d.js").unlink()
    reader = live_pages.open_figure(browser, tmp_path, body)
    assert reader.page.locator("[data-state=error] .live-picture").is_visible()
    assert "mnist-2d.js" in reader.page.locator(".live-figure").get_attribute("data-error")
