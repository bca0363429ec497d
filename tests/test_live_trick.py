"""The live figure "trick": draws by autograd, variances by closed forms, its hands and looks."""

from __future__ import annotations

import math

import live_pages
import numpy as np
import pytest
import torch
from torch.distributions import Normal

from vae_tutorial import live

CASES = ((1.5, 0.2), (0.7, 0.5), (-1.5, 1.0), (2.5, 0.1), (0.0, 0.3))
SHIFTS = (0.0, 10.0, -2.4)
FUNCTIONS = {
    "square": lambda z: z.square(),
    "wave": lambda z: torch.sin(12 * z),
    "jump": lambda z: (z > 0).to(z.dtype) + 0 * z,
}
MATH = "VaeLive.files['trick-math']"
NAMES = ("pathMean", "exact", "pathVariance", "scoreMean", "same", "scoreVariance")


@pytest.fixture(scope="module")
def browser():
    with live_pages.chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def reader(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trick")
    return live_pages.open_figure(browser, folder, live.figure("trick").whole())


@pytest.fixture
def fresh(browser, tmp_path):
    return live_pages.open_figure(browser, tmp_path, live.figure("trick").whole())


def on_a_grid(function, slope, by: str, mu: float, sigma: float, shift: float) -> list[float]:
    """Derivative and the two variances, by equal steps of eps: f must be smooth.

    For smooth integrands that fade on both sides this rule errs by less than rounding.
    """
    eps = np.linspace(-12, 12, 4801)
    weights = np.exp(-0.5 * eps**2)
    weights = weights / weights.sum()
    z = mu + sigma * eps
    path = slope(z) * (1 if by == "mu" else eps)
    score = (function(z) + shift) * (eps if by == "mu" else eps**2 - 1) / sigma
    gradient = weights @ path
    return [gradient, weights @ path**2 - gradient**2, weights @ score**2 - gradient**2]


def of_jump(by: str, mu: float, sigma: float, shift: float) -> list[float]:
    """The same for the jump, from the moments of a normal variable above a = −mu / sigma."""
    a = -mu / sigma
    density = math.exp(-0.5 * a * a) / math.sqrt(2 * math.pi)
    above = 0.5 * math.erfc(a / math.sqrt(2))
    if by == "mu":
        gradient, half, whole = density / sigma, a * density + above, 1.0
    else:
        gradient, half, whole = a * density / sigma, (a**3 + a) * density + 2 * above, 2.0
    squared = (shift**2 * whole + (1 + 2 * shift) * half) / sigma**2
    return [gradient, 0.0, squared - gradient**2]


def expected(f: str, by: str, mu: float, sigma: float, shift: float) -> list[float]:
    if f == "jump":
        return of_jump(by, mu, sigma, shift)
    if f == "square":
        return on_a_grid(np.square, lambda z: 2 * z, by, mu, sigma, shift)
    return on_a_grid(lambda z: np.sin(12 * z), lambda z: 12 * np.cos(12 * z), by, mu, sigma, shift)


def exact(reader, **state) -> dict[str, float]:
    return reader.page.evaluate(f"state => {MATH}.exact(state)", state)


def noise(reader, seed: int) -> torch.Tensor:
    return torch.tensor(reader.page.evaluate(f"{MATH}.noise({seed})"), dtype=torch.float64)


def shown(reader) -> dict[str, float]:
    """The numbers of the table."""
    texts = reader.page.locator("td").all_inner_texts()
    numbers = [float(text.replace("−", "-").replace(",", "")) for text in texts]
    return dict(zip(NAMES, numbers, strict=True))


def sliders(reader) -> list[float]:
    return [float(one.input_value()) for one in reader.page.locator("input").all()]


def place(reader, **values: float) -> None:
    for number, name in enumerate(("mu", "sigma", "shift")):
        if name in values:
            reader.page.locator("input").nth(number).fill(str(values[name]))


def press(reader, text: str) -> None:
    reader.page.get_by_role("button", name=text, exact=True).click()


@pytest.mark.parametrize("by", ["mu", "sigma"])
@pytest.mark.parametrize("f", sorted(FUNCTIONS))
def test_exact_values_are_exact(reader, f, by):
    for mu, sigma in CASES:
        for shift in SHIFTS:
            found = exact(reader, f=f, by=by, mu=mu, sigma=sigma, shift=shift)
            gradient, path, score = expected(f, by, mu, sigma, shift)
            assert found["gradient"] == pytest.approx(gradient, rel=1e-6, abs=1e-8)
            assert found["pathVariance"] == pytest.approx(path, rel=1e-6, abs=1e-8)
            assert found["scoreVariance"] == pytest.approx(score, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("f", sorted(FUNCTIONS))
def test_draws_are_those_of_autograd(reader, f):
    eps = torch.tensor(
        reader.page.evaluate("VaeLive.files['trick-math'].noise(11)"), dtype=torch.float64
    )
    for number, by in enumerate(("mu", "sigma")):
        at = [torch.full_like(eps, a, requires_grad=True) for a in (0.7, 0.5)]
        z = at[0] + at[1] * eps
        path = torch.autograd.grad(FUNCTIONS[f](z).sum(), at)[number]
        log_q = Normal(*at).log_prob(z.detach())
        score = torch.autograd.grad(log_q.sum(), at)[number]
        found = reader.page.evaluate(
            f"state => {MATH}.noise(11).map((eps) => {MATH}.draw(state, eps))",
            {"f": f, "by": by, "mu": 0.7, "sigma": 0.5, "shift": 3.0},
        )
        weighted = (FUNCTIONS[f](z.detach()) + 3) * score
        for name, wanted in (("z", z), ("path", path), ("weighted", weighted)):
            torch.testing.assert_close(
                torch.tensor([one[name] for one in found], dtype=torch.float64), wanted.detach()
            )


def example(reader) -> None:
    """The chapter's first example."""
    place(reader, mu=1.5, sigma=0.2)


def test_the_chapters_example_has_the_chapters_numbers(fresh):
    example(fresh)
    numbers = shown(fresh)
    assert (numbers["exact"], numbers["pathVariance"]) == (3.0, 0.16)
    assert numbers["scoreVariance"] == 158.7
    assert "One pathwise draw is worth 992 score-function draws." in (
        fresh.page.locator("body").inner_text()
    )
    eps = torch.tensor(
        fresh.page.evaluate("VaeLive.files['trick-math'].noise(5)"), dtype=torch.float64
    )
    z = 1.5 + 0.2 * eps
    assert len(eps) == 20
    assert numbers["pathMean"] == pytest.approx((2 * z).mean().item(), abs=0.0051)
    assert numbers["scoreMean"] == pytest.approx((z**2 * eps / 0.2).mean().item(), abs=0.051)


def test_a_shift_moves_the_score_function_alone(fresh):
    example(fresh)
    before, path = shown(fresh), live_pages.pixels(fresh, 1)
    place(fresh, shift=10)
    after = shown(fresh)
    assert after["scoreVariance"] == pytest.approx(3844, abs=0.51)
    assert live_pages.pixels(fresh, 1) != path
    for name in ("pathMean", "pathVariance", "exact", "same"):
        assert after[name] == before[name]
    assert after["scoreMean"] != before["scoreMean"]
    place(fresh, shift=-2.4)
    assert shown(fresh)["scoreVariance"] == pytest.approx(18.26, abs=0.0051)


def test_a_jump_and_a_wave_turn_the_ranking(fresh):
    place(fresh, mu=0.7, sigma=0.5)
    press(fresh, "a jump at 0")
    numbers = shown(fresh)
    assert numbers["pathMean"] == numbers["pathVariance"] == 0
    assert numbers["exact"] == pytest.approx(of_jump("mu", 0.7, 0.5, 0)[0], abs=0.0006)
    assert "do not see a jump" in fresh.page.locator("body").inner_text()
    press(fresh, "sin 12z")
    numbers = shown(fresh)
    assert numbers["pathVariance"] > 10 * numbers["scoreVariance"]
    assert "One score-function draw is worth" in fresh.page.locator("body").inner_text()


def test_the_parameter_can_be_chosen(fresh):
    example(fresh)
    press(fresh, "∂/∂σ")
    numbers = shown(fresh)
    gradient, path, score = expected("square", "sigma", 1.5, 0.2, 0)
    assert numbers["exact"] == pytest.approx(gradient, abs=0.0006)
    assert numbers["pathVariance"] == pytest.approx(path, abs=0.0051)
    assert numbers["scoreVariance"] == pytest.approx(score, abs=0.051)
    pressed = fresh.page.locator("button[aria-pressed=true]").all_inner_texts()
    assert pressed == ["z²", "∂/∂σ"]


def test_new_noise_changes_the_draws_alone(fresh):
    before, charts = shown(fresh), [live_pages.pixels(fresh, n) for n in range(3)]
    press(fresh, "New noise")
    after = shown(fresh)
    assert after["pathMean"] != before["pathMean"]
    assert after["scoreMean"] != before["scoreMean"]
    for name in ("exact", "pathVariance", "scoreVariance"):
        assert after[name] == before[name]
    assert all(live_pages.pixels(fresh, n) != chart for n, chart in enumerate(charts))


def test_q_is_moved_by_mouse_and_keys_while_the_noise_stays(fresh):
    axis = """() => { const c = document.querySelectorAll('canvas')[0], r = c.height / 290;
        const d = c.getContext('2d').getImageData(0, 265 * r, c.width, 1).data;
        return [...d].join(); }"""  # just below the noise's axis: its ticks alone
    before, chart = shown(fresh), live_pages.pixels(fresh, 0)
    ticks = fresh.page.evaluate(axis)
    assert ticks.count("255") >= 10
    live_pages.drag(fresh, 0, (0.7, 0.4), (0.4, 0.55))
    mu, sigma, _ = sliders(fresh)
    assert mu < 0.6
    assert sigma > 0.2
    assert shown(fresh)["exact"] == pytest.approx(2 * mu, abs=0.02)
    assert shown(fresh) != before
    assert live_pages.pixels(fresh, 0) != chart
    assert fresh.page.evaluate(axis) == ticks
    canvas = fresh.page.locator("canvas").first
    canvas.press("ArrowRight")
    assert sliders(fresh)[0] > mu
    assert sliders(fresh)[1] == sigma
    canvas.press("ArrowUp")
    assert sliders(fresh)[1] < sigma
    assert live_pages.frames_at_rest(fresh) == 0
    assert not fresh.complaints


def test_screen_readers_hear_the_numbers(fresh):
    place(fresh, sigma=0.4)
    fresh.page.wait_for_function("document.querySelector('[aria-live]').textContent !== ''")
    spoken = fresh.page.locator("[aria-live]").inner_text()
    assert "σ 0.40" in spoken
    assert "pathwise 0.640" in spoken
    for canvas in fresh.page.locator("canvas").all():
        assert canvas.get_attribute("aria-label")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone_in_both_themes(browser, tmp_path, theme):
    phone = live_pages.open_figure(
        browser, tmp_path, live.figure("trick").whole(), theme,
        viewport={"width": 340, "height": 800}, has_touch=True, device_scale_factor=2,
    )  # fmt: skip
    assert live_pages.sideways(phone) <= 0
    boxes = [one.bounding_box() for one in phone.page.locator("canvas").all()]
    assert all(box["width"] > 290 for box in boxes)
    assert boxes[1]["y"] > boxes[0]["y"] + 200  # one below the other
    assert (live_pages.brightness(phone, 1) > 128) == (theme == "light")
    before = sliders(phone)
    x = boxes[0]["x"] + 0.3 * boxes[0]["width"]
    phone.page.touchscreen.tap(x, boxes[0]["y"] + 0.55 * boxes[0]["height"])
    assert sliders(phone)[0] < before[0]
    assert not phone.complaints


@pytest.mark.parametrize("width", [360, 390, 756])
def test_the_page_does_not_jump_when_the_figure_becomes_live(browser, tmp_path, width):
    page = live_pages.open_figure(
        browser, tmp_path, live.figure("trick").whole(),
        viewport={"width": width, "height": 900}, has_touch=width < 500, is_mobile=width < 500,
    )  # fmt: skip
    now, before = live_pages.heights(page)
    assert abs(now - before) < 40
