"""The live figure "bound": its numbers by torch, its climbs by a search, its hands and looks."""

from __future__ import annotations

import functools
import math
import re

import live_pages
import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal

from vae_tutorial import live

IMAGES = ("000110", "000011", "000000")
GUESSES = (
    (-0.8, 0.4),
    (0.0, 1.0),
    (0.8, 0.9),
    (1.59, 0.155),
    (-0.03, 0.148),
    (-2.0, 1.2),
    (3, 0.1),
)


@pytest.fixture(scope="module")
def browser():
    with live_pages.chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def reader(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bound")
    return live_pages.open_figure(browser, folder, live.figure("bound").whole())


@pytest.fixture
def fresh(browser, tmp_path):
    return live_pages.open_figure(browser, tmp_path, live.figure("bound").whole())


def log_joint(image: str, z: torch.Tensor) -> torch.Tensor:
    """log p(x, z) of the pen of chapter 3, for codes (G,): (G,)."""
    x = torch.tensor([float(bit) for bit in image], dtype=torch.float64)
    pen = 5 * torch.exp(-0.5 * (z - 0.8) ** 2)
    logits = 2.5 - 1.5 * (torch.arange(6.0, dtype=torch.float64) - pen[:, None]) ** 2
    return Bernoulli(logits=logits).log_prob(x).sum(-1) + Normal(0.0, 1.0).log_prob(z)


@functools.cache  # to find 1000 nodes takes a second
def legendre(low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(1000))
    return 0.5 * (high - low) * nodes + 0.5 * (high + low), 0.5 * (high - low) * weights


def exact(image: str, mu, sigma) -> dict[str, torch.Tensor]:
    """ELBO, both divergences and log p(x), in nats, by rules laid around q and around p."""
    z, weights = legendre(-12, 12)
    evidence = (weights @ log_joint(image, z).exp()).log()
    log_p = log_joint(image, z) - evidence
    forward = weights @ (log_p.exp() * (log_p - Normal(mu, sigma).log_prob(z)))
    eps, weights = legendre(-9, 9)
    weights = weights * Normal(0.0, 1.0).log_prob(eps).exp()
    z = mu + sigma * eps
    entropy = sigma.log() + 0.5 * math.log(2 * math.pi * math.e)
    elbo = weights @ log_joint(image, z) + entropy
    return {"elbo": elbo, "gap": evidence - elbo, "forward": forward, "evidence": evidence}


def terms(reader, image: str, mu: float, sigma: float) -> dict:
    return reader.page.evaluate(
        """([image, mu, sigma]) => { const b = VaeLive.files['bound-math'], m = b.model(image);
        return { ...b.terms(m, mu, sigma), evidence: m.evidence }; }""",
        [image, mu, sigma],
    )


def shown(reader) -> dict[str, float]:
    """The numbers of the two lines below the bar, and both sliders."""
    lines = " ".join(reader.page.locator("p.live-numbers").all_inner_texts())
    numbers = [float(a.replace("−", "-")) for a in re.findall(r"−?\d+\.\d\d", lines)]
    values = [float(a.input_value()) for a in reader.page.locator("input").all()]
    names = ("elbo", "gap", "evidence", "forward", "mu", "sigma")
    return dict(zip(names, numbers + values, strict=True))


def place(reader, mu: float, sigma: float) -> None:
    for number, value in enumerate((mu, sigma)):
        reader.page.locator("input").nth(number).fill(str(value))


def press(reader, text: str) -> None:
    reader.page.get_by_role("button", name=text).click()


def standing(reader) -> dict[str, float]:
    """What is shown once a climb has ended."""
    reader.page.wait_for_function("document.body.innerText.includes('converged after')")
    return shown(reader)


@pytest.mark.parametrize("image", IMAGES)
def test_terms_are_those_of_torch(reader, image):
    for mu, sigma in GUESSES:
        at = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (mu, sigma)]
        expected, found = exact(image, *at), terms(reader, image, mu, sigma)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value.item(), abs=1e-6), (name, mu, sigma)
        assert abs(found["elbo"] + found["gap"] - found["evidence"]) < 1e-6
        for name, way, sign in (("elbo", "up", 1), ("forward", "cover", -1)):
            by_mu, by_sigma = torch.autograd.grad(expected[name], at, retain_graph=True)
            wanted = [sign * by_mu.item(), sign * by_sigma.item() * sigma]
            assert found[way] == pytest.approx(wanted, rel=1e-5, abs=1e-5), (name, mu, sigma)


def test_numbers_on_the_page_are_exact(fresh):
    for image, (mu, sigma) in zip((*IMAGES, IMAGES[0]), ((-0.8, 0.4), *GUESSES[1:3], (-2, 1.2))):
        fresh.page.locator(f'button[aria-label^="image {image}"]').click()
        place(fresh, mu, sigma)
        at = [torch.tensor(a, dtype=torch.float64) for a in (mu, sigma)]
        found = shown(fresh)
        for name, value in exact(image, *at).items():
            assert abs(found[name] - value) <= 0.005 + 1e-9, (name, image)
    assert not fresh.complaints


def best_near(image: str, mu: float) -> tuple[float, float, float]:
    """The local optimum of the ELBO from (mu, 0.15), by Newton's method on exact derivatives."""
    at = torch.tensor([mu, math.log(0.15)], dtype=torch.float64)

    def elbo(a):
        return exact(image, a[0], a[1].exp())["elbo"]

    for _ in range(30):
        gradient = torch.autograd.functional.jacobian(elbo, at)
        at = at - torch.linalg.solve(torch.autograd.functional.hessian(elbo, at), gradient)
    assert gradient.norm() < 1e-8
    assert torch.linalg.eigvalsh(torch.autograd.functional.hessian(elbo, at)).max() < 0
    return at[0].item(), at[1].exp().item(), elbo(at).item()


@pytest.mark.parametrize(("start", "near"), [(-1.5, -0.05), (2.6, 1.6)])
def test_a_climb_ends_at_the_optimum_of_its_side(fresh, start, near):
    place(fresh, start, 0.5)
    press(fresh, "Climb the ELBO")
    found = standing(fresh)
    mu, sigma, elbo = best_near(IMAGES[0], near)
    assert found["mu"] == pytest.approx(mu, abs=0.0051)
    assert found["sigma"] == pytest.approx(sigma, abs=0.0051)
    assert found["elbo"] == pytest.approx(elbo, abs=0.0051)
    assert shown(fresh)["gap"] > 0.2  # neither hump is the whole posterior


def test_the_forward_divergence_matches_mean_and_deviation(fresh):
    z, weights = legendre(-12, 12)
    p = weights * log_joint(IMAGES[0], z).exp()
    p = p / p.sum()
    mean = p @ z
    press(fresh, "Descend the forward KL")
    found = standing(fresh)
    assert found["mu"] == pytest.approx(mean.item(), abs=0.0051)
    assert found["sigma"] == pytest.approx((p @ (z - mean) ** 2).sqrt().item(), abs=0.0051)


def test_a_climb_can_be_stopped(fresh):
    place(fresh, -2, 0.1)
    press(fresh, "Climb the ELBO")
    press(fresh, "Climb the ELBO")  # again: it stops
    halfway = shown(fresh)
    assert live_pages.frames_at_rest(fresh) == 0
    assert shown(fresh) == halfway
    press(fresh, "Climb the ELBO")
    fresh.page.locator("input").first.press("ArrowRight")  # so does moving q
    halfway = shown(fresh)
    assert live_pages.frames_at_rest(fresh) == 0
    assert shown(fresh) == halfway


def test_without_animations_a_climb_ends_at_once(browser, tmp_path):
    calm = live_pages.open_figure(
        browser, tmp_path, live.figure("bound").whole(), reduced_motion="reduce"
    )
    press(calm, "Climb the ELBO")
    assert "converged after" in calm.page.locator("body").inner_text()


def test_the_peak_can_be_dragged_and_moved_by_keys(fresh):
    before, chart, bar = shown(fresh), live_pages.pixels(fresh, 0), live_pages.pixels(fresh, 1)
    live_pages.drag(fresh, 0, (0.3, 0.7), (0.7, 0.3))
    dragged = shown(fresh)
    assert dragged["mu"] > 1.5 > before["mu"]
    assert dragged["sigma"] < 0.2 < before["sigma"]  # a high peak is a narrow one
    assert live_pages.pixels(fresh, 0) != chart
    assert live_pages.pixels(fresh, 1) != bar
    canvas = fresh.page.locator("canvas").first
    canvas.press("ArrowLeft")
    left = shown(fresh)
    assert left["mu"] < dragged["mu"]
    assert left["sigma"] == dragged["sigma"]
    canvas.press("ArrowDown")
    assert shown(fresh)["sigma"] > left["sigma"]
    assert shown(fresh)["mu"] == left["mu"]
    assert live_pages.frames_at_rest(fresh) == 0
    assert not fresh.complaints


def test_the_bar_ends_at_the_same_place(fresh):
    """The dashed line of log p(x) is drawn where it was; what moves is left of it."""
    bar = fresh.page.locator("canvas").nth(1)
    width = bar.bounding_box()["width"]
    end = (width - 66) / 16 * (16 - 2.6594) + 2  # right of it: the number of KL alone
    column = """([x, n]) => { const c = document.querySelectorAll('canvas')[1];
        return [...c.getContext('2d').getImageData(x, 0, n, 20).data].join(); }"""
    before = fresh.page.evaluate(column, [int(end) - 6, 12])
    live_pages.drag(fresh, 0, (0.3, 0.7), (0.6, 0.6))
    live_pages.pixels(fresh, 1)
    assert any(int(value) for value in before.split(","))
    assert fresh.page.evaluate(column, [int(end) - 6, 12]) == before


def test_screen_readers_hear_the_numbers(fresh):
    fresh.page.locator("canvas").first.press("ArrowRight")
    fresh.page.wait_for_function("document.querySelector('[aria-live]').textContent !== ''")
    spoken = fresh.page.locator("[aria-live]").inner_text()
    assert f"ELBO −{-shown(fresh)['elbo']:.2f}" in spoken
    for button in fresh.page.locator("button").all():
        assert button.get_attribute("aria-label") or button.inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone_in_both_themes(browser, tmp_path, theme):
    phone = live_pages.open_figure(
        browser, tmp_path, live.figure("bound").whole(), theme,
        viewport={"width": 340, "height": 800}, has_touch=True, device_scale_factor=2,
    )  # fmt: skip
    assert live_pages.sideways(phone) <= 0
    assert phone.page.locator("canvas").first.bounding_box()["width"] > 290
    assert (live_pages.brightness(phone) > 128) == (theme == "light")
    before = shown(phone)
    box = phone.page.locator("canvas").first.bounding_box()
    phone.page.touchscreen.tap(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"])
    assert shown(phone)["mu"] > before["mu"]
    assert not phone.complaints


@pytest.mark.parametrize("width", [360, 390, 756])
def test_the_page_does_not_jump_when_the_figure_becomes_live(browser, tmp_path, width):
    page = live_pages.open_figure(
        browser, tmp_path, live.figure("bound").whole(),
        viewport={"width": width, "height": 900}, has_touch=width < 500, is_mobile=width < 500,
    )  # fmt: skip
    now, before = live_pages.heights(page)
    assert abs(now - before) < 40
