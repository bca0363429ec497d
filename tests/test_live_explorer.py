"""The live figure `explorer`: the map of two latent dimensions, and what the decoder draws."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import live_mnist
import live_pages
import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

import vae_tutorial as vt
from vae_tutorial import live

SCRIPTS = ("core", "nn", "explorer")
PICTURE = "What the decoder draws at z"
LIMIT = 500_000  # bytes, compressed: what the figures of one page may take


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
        html = live.figure("explorer").whole()
        readers.append(live_pages.open_figure(browser, tmp_path, html, **settings))
        assert readers[-1].page.locator("[data-state=live]").count() == 1
        return readers[-1]

    yield make
    for reader in readers:
        reader.context.close()
        assert not reader.complaints


def shown_z(reader) -> list[float]:
    return live_mnist.numbers(reader.page.locator(".live-z").inner_text())


def map_of(reader):
    return reader.page.locator("canvas[role=application]")


def drag_to(reader, right: float, down: float) -> None:
    """Move z by the mouse to a place given as shares of the map's canvas."""
    box = map_of(reader).bounding_box()
    place = box["x"] + right * box["width"], box["y"] + down * box["height"]
    mouse = reader.page.mouse
    mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 3)
    mouse.down()
    mouse.move(*place, steps=4)
    mouse.up()


def test_the_networks_compute_what_torch_computes(opened, model):
    reader = opened()
    torch.manual_seed(0)
    z = 1.5 * torch.randn(40, 2)
    x = (torch.rand(10, 784) < 0.15).float()
    for name, inputs in (("decoder", z), ("encoder", x)):
        found = reader.page.evaluate(
            "([name, rows]) => { const n = VaeLive.nn.networks(VaeLive.files['mnist-2d'])[name];"
            "return rows.map((row) => [...VaeLive.nn.forward(n, row)]); }",
            [name, inputs.tolist()],
        )
        expected = model.run(name, inputs)
        assert expected.std() > 0.3  # a network that was trained
        torch.testing.assert_close(torch.tensor(found).double(), expected, rtol=1e-4, atol=1e-3)


def test_the_picture_is_the_decoders_mean_at_the_z_that_is_shown(opened, model):
    reader = opened()
    for right, down in ((0.5, 0.5), (0.3, 0.7), (0.75, 0.4)):
        drag_to(reader, right, down)
        reader.page.wait_for_timeout(50)
        z = torch.tensor(shown_z(reader))
        # z is shown to 0.005, so the picture may differ by as much as its slope makes of that
        around = z + 0.006 * torch.tensor([[0, 0], [1, 1], [1, -1], [-1, 1], [-1, -1]])
        means = torch.sigmoid(model.run("decoder", around))
        low, high = means.min(0).values - 0.02, means.max(0).values + 0.02
        found = live_mnist.pixels_of(reader, PICTURE)
        assert ((found > low) & (found < high)).all()


def test_the_mouse_moves_z_to_where_it_points(opened):
    reader = opened()
    before = live_mnist.pixels_of(reader, PICTURE)
    drag_to(reader, (40 + 0.75 * 400) / 446, (6 + 0.25 * 400) / 446)
    edge = live_mnist.Model().content["map"]["edge"]
    assert shown_z(reader) == pytest.approx([edge / 2, edge / 2], abs=0.03)
    assert (live_mnist.pixels_of(reader, PICTURE) - before).abs().max() > 0.2


def test_a_finger_moves_z(opened):
    reader = opened(has_touch=True, viewport={"width": 390, "height": 800})
    box = map_of(reader).bounding_box()
    reader.page.touchscreen.tap(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.3)
    scale = box["width"] / 446
    edge = live_mnist.Model().content["map"]["edge"]
    x = (0.6 * box["width"] / scale - 40) / 400 * 2 * edge - edge
    assert shown_z(reader)[0] == pytest.approx(x, abs=0.05)


def test_arrow_keys_move_z_and_shift_moves_it_less(opened):
    reader = opened()
    before = shown_z(reader)
    pixels = live_mnist.pixels_of(reader, PICTURE)
    map_of(reader).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown"):
        reader.page.keyboard.press(key)
    x, y = shown_z(reader)
    assert [x - before[0], y - before[1]] == pytest.approx([0.4, 0.16], abs=0.011)
    assert (live_mnist.pixels_of(reader, PICTURE) - pixels).abs().max() > 0.1
    spoken = reader.page.locator("[aria-live]")
    spoken.filter(has_text="z is").wait_for(state="attached")
    assert live_mnist.numbers(spoken.inner_text())[:2] == [x, y]


def test_z_stays_on_the_map(opened):
    reader = opened()
    map_of(reader).focus()
    for _ in range(60):
        reader.page.keyboard.press("ArrowLeft")
    assert shown_z(reader)[0] == -live_mnist.Model().content["map"]["edge"]


def test_the_nearest_digits_are_counted_rightly(opened, model):
    reader = opened()
    places, labels = model.means()
    for z in ([0.13, -0.4], [1.5, 1.2]):
        shown = reader.page.evaluate(
            "z => { const vae = VaeLive.files['small-vae'];"
            "return vae.nearest(vae.read(VaeLive.files['mnist-2d']), z); }",
            z,
        )
        order = np.argsort(((places - z) ** 2).sum(1), kind="stable")[:25]
        counts = np.bincount(labels[order], minlength=10)
        assert dict(shown) == {k: c for k, c in enumerate(counts) if c}
    shown = live_mnist.numbers(reader.page.locator(".live-near").inner_text())
    counts = shown[2:5:2] + shown[5:]  # "25 …: 3 (18), 5 (4), others (3)"
    assert shown[0] == sum(counts) == 25


def test_the_walk_moves_until_it_is_stopped(opened):
    reader = opened()
    walk = reader.page.get_by_role("button", name="Walk")
    before = shown_z(reader)
    walk.click()
    reader.page.wait_for_timeout(400)
    assert shown_z(reader) != before
    walk.click()
    assert walk.get_attribute("aria-pressed") == "false"
    still = shown_z(reader)
    reader.page.wait_for_timeout(200)
    assert shown_z(reader) == still


def test_the_walk_ends_out_of_view(opened):
    reader = opened()
    reader.page.evaluate("document.body.style.paddingBottom = '5000px'")
    walk = reader.page.get_by_role("button", name="Walk")
    walk.click()
    reader.page.evaluate("scrollTo(0, 4000)")
    reader.page.wait_for_function(
        "document.querySelector('[aria-pressed]').getAttribute('aria-pressed') === 'false'"
    )
    still = shown_z(reader)
    reader.page.wait_for_timeout(200)
    assert shown_z(reader) == still


def test_with_reduced_motion_each_press_is_one_step(opened, model):
    reader = opened(reduced_motion="reduce")
    walk = reader.page.get_by_role("button", name="Walk")
    for label in (1, 2, 3):
        walk.click()
        reader.page.wait_for_timeout(100)
        assert shown_z(reader) == pytest.approx(model.content["map"]["centres"][label], abs=0.006)


def test_decoded_digits_lie_below_the_map_when_asked_for(opened):
    reader = opened()
    before = map_of(reader).screenshot()
    toggle = reader.page.get_by_role("button", name="decoder’s digits")
    toggle.click()
    reader.page.wait_for_timeout(300)
    assert toggle.get_attribute("aria-pressed") == "true"
    assert map_of(reader).screenshot() != before


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
    body = live.figure("explorer").still() + scripts
    reader = live_pages.open_figure(browser, tmp_path, body)
    assert not reader.complaints
    assert reader.page.locator("[data-state=live] canvas").count() == 2
    (tmp_path / "mnist-2d.js").unlink()
    reader = live_pages.open_figure(browser, tmp_path, body)
    assert reader.page.locator("[data-state=error] .live-picture").is_visible()
    assert "mnist-2d.js" in reader.page.locator(".live-figure").get_attribute("data-error")


@pytest.mark.slow
@pytest.mark.skipif("VAE_TUTORIAL_DATA" not in os.environ, reason="needs MNIST: VAE_TUTORIAL_DATA")
def test_the_model_is_as_good_as_was_measured(model):
    """Every fifth test image: within 5 standard errors of the stored mean over all 10,000."""
    file = Path(__file__).parents[1] / "benchmarks" / "results" / "live_model.json"
    stored = json.loads(file.read_text(encoding="utf-8"))["model"]
    torch.manual_seed(0)
    x = vt.float_batch(vt.load_images("mnist").test.images[::5], binarise=True).flatten(1)
    q = model.posterior(x)
    kl = kl_divergence(q, Normal(torch.zeros(2).double(), torch.ones(2).double())).sum(-1)
    log_px = model.log_px(q.sample(), x)
    for found, expected in (
        (-log_px, stored["test_negative_log_px"]),
        (kl, stored["test_kl"]),
        (kl - log_px, stored["test_negative_elbo"]),
    ):
        assert abs(found.mean() - expected) < 5 * found.std() / len(x) ** 0.5
    assert model.content["elbo"] == stored["elbo_quantiles"]


def test_a_page_with_the_map_and_the_drawing_is_small():
    names = {"core", "nn", "explorer", "draw"}
    names |= {part for name in ("explorer", "draw") for part in live.KINDS[name].data}
    sizes = [len(gzip.compress((live.FOLDER / f"{name}.js").read_bytes())) for name in names]
    assert sum(sizes) < LIMIT
