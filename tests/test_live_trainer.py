"""The VAE that trains in the page: its controls, its numbers and its manners."""

from __future__ import annotations

import re

import live_pages
import pytest

from vae_tutorial import live

TALL = "<p style='height: 4000px'>Far below the figure.</p>"


@pytest.fixture(scope="module")
def browser():
    with live_pages.chromium() as chromium:
        yield chromium


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the figure with options; at the end nothing may have been complained about."""
    readers = []

    def open_it(after: str = "", width: int = 780, height: int = 900, **options):
        html = (
            f"<style>body {{ margin: 0 16px }}</style>{live.figure('trainer', **options).whole()}"
        )
        size = {"width": width, "height": height}
        readers.append(live_pages.open_figure(browser, tmp_path, html + after, viewport=size))
        return readers[-1]

    yield open_it
    assert not [line for reader in readers for line in reader.complaints]
    for reader in readers:
        reader.context.close()


def numbers(reader) -> str:
    return reader.page.locator(".live-numbers").inner_text()


def step(reader) -> int:
    return int(re.match(r"Step ([\d,]+\d|\d)", numbers(reader))[1].replace(",", ""))


def press(reader, name: str) -> None:
    reader.page.get_by_role("button", name=name, exact=True).click()


def until(reader, least: int) -> None:
    """Wait until so many steps are shown."""
    code = (
        "n => Number(document.querySelector('.live-numbers p').textContent.match(/[\\d,]+\\d|\\d/)"
    )
    reader.page.wait_for_function(f"{code}[0].replace(',', '')) >= n", arg=least)


def test_it_trains_and_pauses_by_keyboard(opened):
    reader = opened()
    keys = reader.page.keyboard
    keys.press("Tab")
    assert reader.page.evaluate("document.activeElement.textContent") == "Train"
    keys.press("Enter")
    until(reader, 25)
    assert reader.page.evaluate("document.activeElement.textContent") == "Pause"
    keys.press("Enter")
    paused = step(reader)
    reader.page.wait_for_timeout(300)
    assert step(reader) == paused >= 25
    assert live_pages.frames_at_rest(reader) == 0
    assert f"Step {paused}" in reader.page.locator(".live-announce").inner_text()


def test_one_step_and_the_settings_by_keyboard(opened):
    reader = opened()
    keys = reader.page.keyboard
    for _ in range(2):
        keys.press("Tab")
    keys.press("Space")
    assert step(reader) == 1
    for _ in range(3):
        keys.press("Tab")
    assert reader.page.evaluate("document.activeElement.ariaLabel") == "β"
    keys.press("End")
    assert "Effective β: 8." in numbers(reader)
    for _ in range(2):
        keys.press("Tab")
    keys.press("Space")  # mean over pixels
    assert "Effective β: 2048." in numbers(reader)
    assert reader.page.get_by_role("button", name="mean").get_attribute("aria-pressed") == "true"
    keys.press("Tab")
    keys.press("ArrowRight")
    assert "0.01" in reader.page.locator(".live-slider output").nth(1).inner_text()


def test_the_cross_moves_by_keys_and_by_hand(opened):
    reader = opened()
    before = live_pages.pixels(reader, 3)
    reader.page.locator(".live-figure canvas").first.focus()
    for _ in range(9):
        reader.page.keyboard.press("ArrowRight")
    moved = live_pages.pixels(reader, 3)
    assert moved != before
    live_pages.drag(reader, 0, (0.5, 0.5), (0.3, 0.2))
    assert live_pages.pixels(reader, 3) not in (before, moved)


@pytest.mark.parametrize("settings", [{"beta": 1}, {"beta": 4, "mean": True}])
def test_the_numbers_add_up(opened, settings):
    reader = opened(settings=settings)
    for _ in range(2):
        press(reader, "One step")
    found = re.search(r"−ELBO ([\d.]+) = reconstruction ([\d.]+) \+ KL ([\d.]+)", numbers(reader))
    bound, reconstruction, kl = map(float, found.groups())
    assert bound == pytest.approx(reconstruction + kl, abs=0.101)  # each is rounded
    loss = float(re.search(r"Loss: .* = ([\d.]+)", numbers(reader))[1])
    scale = 1 / 256 if settings.get("mean") else 1
    assert loss == pytest.approx(scale * reconstruction + settings["beta"] * kl, abs=0.25)


def test_reset_and_seeds(opened):
    """Panels are compared pixel by pixel: they show far more than the rounded numbers do."""
    reader = opened()
    start = live_pages.pixels(reader, 1)
    seen = {}
    for name in ("first", "again"):
        for _ in range(3):
            press(reader, "One step")
        seen[name] = numbers(reader), live_pages.pixels(reader, 1)
        press(reader, "Reset")
        assert step(reader) == 0
        assert live_pages.pixels(reader, 1) == start
    assert seen["first"] == seen["again"]
    press(reader, "New seed")
    assert "seed 2" in reader.page.locator(".live-figure").inner_text()
    assert live_pages.pixels(reader, 1) != start


def test_it_pauses_by_itself_and_goes_on(opened):
    reader = opened(leg=20)
    press(reader, "Train")
    reader.page.get_by_role("button", name="Train", exact=True).wait_for()
    assert step(reader) == 20
    press(reader, "Train")
    until(reader, 40)
    reader.page.get_by_role("button", name="Train", exact=True).wait_for()
    assert step(reader) == 40


def test_nothing_is_computed_out_of_view(opened):
    reader = opened(TALL)
    press(reader, "Train")
    until(reader, 25)
    reader.page.evaluate("scrollTo(0, 4000)")
    reader.page.wait_for_timeout(500)
    away = step(reader)
    assert live_pages.frames_at_rest(reader) == 0
    assert step(reader) == away
    reader.page.evaluate("scrollTo(0, 0)")
    until(reader, away + 25)


def test_nothing_is_computed_in_a_hidden_tab(opened):
    reader = opened()
    press(reader, "Train")
    until(reader, 25)
    hide = "Object.defineProperty(document, 'hidden', { value: %s, configurable: true });"
    reader.page.evaluate(hide % "true" + "document.dispatchEvent(new Event('visibilitychange'))")
    assert live_pages.frames_at_rest(reader) == 0
    away = step(reader)
    reader.page.evaluate(hide % "false" + "document.dispatchEvent(new Event('visibilitychange'))")
    until(reader, away + 25)


def test_a_frame_ends_when_its_time_is_over(opened):
    """By a clock that moves by one millisecond at every look, so that no machine is too slow."""
    reader = opened()
    reader.page.evaluate(
        """() => { let now = 1e6, looks = 0; window.most = 0; window.frames = 0;
        performance.now = () => { looks += 1; return (now += 1); };
        const real = requestAnimationFrame; window.requestAnimationFrame = (f) => real((t) => {
          looks = 0; f(t); frames += 1; most = Math.max(most, looks); }); }"""
    )
    press(reader, "Train")
    until(reader, 25)
    press(reader, "Pause")
    most, frames = reader.page.evaluate("[most, frames]")
    # 9 ms, one look before, and those of a measurement that is shown
    assert 9 <= most <= 15
    assert frames >= 3


@pytest.mark.parametrize("width", [340, 390, 600, 780])
def test_the_layout_stays_as_it_is(opened, width):
    reader = opened(width=width)
    now, before = live_pages.heights(reader)
    assert abs(now - before) <= 0.03 * now
    assert live_pages.sideways(reader) <= 0
    press(reader, "mean")
    reader.page.get_by_label("β").fill("7.9")
    press(reader, "Train")
    until(reader, 25)
    assert live_pages.heights(reader)[0] == pytest.approx(now, abs=1)
    assert live_pages.sideways(reader) <= 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panels_have_the_colours_of_the_page(browser, tmp_path, theme):
    reader = live_pages.open_figure(browser, tmp_path, live.figure("trainer").whole(), theme)
    bright = live_pages.brightness(reader, 0)
    assert bright > 200 if theme == "light" else bright < 80
