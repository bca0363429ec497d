"""What all live figures share: loading, failing, networks, and the HTML around a figure."""

from __future__ import annotations

import json

import live_pages
import pytest
import torch
from PIL import Image
from torch import nn

from vae_tutorial import live

STUB = """VaeLive.register("stub", async (body, options, live) => {
  const file = await live.load(options.model);
  const { decoder } = live.nn.networks(file);
  const y = live.nn.forward(decoder, file.input);
  body.append(live.make("output", { text: JSON.stringify([...y]) }));
});"""


@pytest.fixture(scope="module")
def browser():
    with live_pages.chromium() as chromium:
        yield chromium


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A figure that prints what a network computes, in a folder of its own."""
    for name in ("core.js", "nn.js", "live.css"):
        (tmp_path / name).write_bytes((live.FOLDER / name).read_bytes())
    (tmp_path / "stub.js").write_text(STUB)
    Image.new("RGB", (40, 20)).save(tmp_path / "stub.png")
    monkeypatch.setattr(live, "FOLDER", tmp_path)
    monkeypatch.setitem(live.KINDS, "stub", live.Kind("A <stub>.", (40, 20), ("model",)))
    return tmp_path


def pack_network(folder) -> torch.Tensor:
    """Write a network of all activations as model.js; returns what torch computes."""
    torch.manual_seed(0)
    x = torch.tensor([0.5, -1.0, 2.0])
    layers, value = [], x
    functions = {"relu": torch.relu, "tanh": torch.tanh, "none": nn.Identity()}
    for (name, function), (i, o) in zip(
        {**functions, "sigmoid": torch.sigmoid}.items(), [(3, 5), (5, 4), (4, 6), (6, 2)]
    ):
        layer = nn.Linear(i, o).half().float()  # what float16 can hold
        layers.append((layer, name))
        value = function(layer(value))
    text = live.pack("model", {"decoder": layers}, input=x.tolist())
    (folder / "model.js").write_text(text)
    return value.detach()


def test_a_network_computes_what_torch_computes(browser, stub):
    expected = pack_network(stub)
    reader = live_pages.open_figure(browser, stub, live.figure("stub", model="model").whole())
    assert not reader.complaints
    shown = json.loads(reader.page.locator("output").inner_text())
    torch.testing.assert_close(torch.tensor(shown), expected, rtol=1e-5, atol=1e-6)
    assert not reader.page.locator(".live-picture").is_visible()


def test_scripts_of_a_page_load_their_data_when_needed(browser, stub):
    pack_network(stub)
    scripts = "".join(f'<script src="{name}.js" defer></script>' for name in ("core", "nn", "stub"))
    body = live.figure("stub", model="model").still() + scripts
    reader = live_pages.open_figure(browser, stub, body)
    assert reader.page.locator("[data-state=live] output").count() == 1
    assert not reader.complaints


def test_the_picture_stays_where_data_are_missing(browser, stub):
    scripts = "".join(f'<script src="{name}.js" defer></script>' for name in ("core", "nn", "stub"))
    body = live.figure("stub", model="nowhere").still() + scripts
    reader = live_pages.open_figure(browser, stub, body)
    assert reader.page.locator("[data-state=error] .live-picture").is_visible()
    assert "nowhere.js" in reader.page.locator(".live-figure").get_attribute("data-error")


def test_float16_is_read_as_numpy_writes_it(browser, stub):
    values = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, -3e-5, 0.333])
    layer = nn.Linear(1, 4)
    with torch.no_grad():
        layer.weight.copy_(values[:4, None])
        layer.bias.copy_(values[4:])
    (stub / "model.js").write_text(live.pack("model", {"decoder": [(layer, "none")]}, input=[0]))
    reader = live_pages.open_figure(browser, stub, live.figure("stub", model="model").whole())
    shown = reader.page.evaluate("[...VaeLive.nn.halves(VaeLive.files.model.float16)]")
    assert shown == values.half().tolist()


def test_random_numbers_are_uniform_and_normal(browser, stub):
    pack_network(stub)
    reader = live_pages.open_figure(browser, stub, live.figure("stub", model="model").whole())
    draws = reader.page.evaluate(
        "(() => { const r = VaeLive.nn.random(7), u = [], n = [];"
        "for (let i = 0; i < 20000; i++) { u.push(r.uniform()); n.push(r.normal()); }"
        "return [u, n]; })()"
    )
    uniform, normal = torch.tensor(draws, dtype=torch.float64)
    # five standard errors: a false alarm in fewer than one of 100,000 seeds; this one is fixed
    error = 20000**-0.5
    assert abs(uniform.mean() - 0.5) < 5 * 12**-0.5 * error
    assert abs(normal.mean()) < 5 * error
    assert abs(normal.var() - 1) < 5 * 2**0.5 * error
    assert abs((normal**4).mean() - 3) < 5 * 96**0.5 * error


def test_a_loop_ends_when_its_work_is_done_and_waits_out_of_view(browser, stub):
    pack_network(stub)
    body = live.figure("stub", model="model").whole()
    reader = live_pages.open_figure(browser, stub, f"{body}<p style='margin-top: 3000px'>below</p>")
    count = """async (selector) => { let n = 0; const element = document.querySelector(selector);
        const loop = VaeLive.loop(element, () => { n += 1; return n < 3; });
        const wait = (ms) => new Promise((done) => setTimeout(done, ms));
        await wait(300); loop.start(); await wait(1000); return [n, loop.running()]; }"""
    assert reader.page.evaluate(count, ".live-figure") == [3, False]
    assert reader.page.evaluate(count, "p:last-child") == [0, True]


def test_numbers_have_a_minus_sign_where_it_says_something(browser, stub):
    pack_network(stub)
    reader = live_pages.open_figure(browser, stub, live.figure("stub", model="model").whole())
    shown = reader.page.evaluate("[-2.664, -0.004, 0, 1.5, -1e3].map(a => VaeLive.number(a, 2))")
    assert shown == ["−2.66", "0.00", "0.00", "1.50", "−1000.00"]


def test_a_stored_notebook_holds_the_picture_alone(stub, monkeypatch):
    (stub / "model.js").write_text("")
    figure = live.figure("stub", model="model")
    assert "<script>" in figure._repr_html_()
    monkeypatch.setenv("VAE_TUTORIAL_STILL", "1")
    still = figure._repr_html_()
    assert "<script" not in still
    assert 'alt="A &lt;stub&gt;."' in still
    assert "data:image/png;base64," in still


def test_an_unknown_figure_is_refused():
    with pytest.raises(ValueError, match="name must be one of"):
        live.figure("no-such-figure")


@pytest.mark.parametrize("name", sorted(live.KINDS))
def test_the_picture_has_the_size_that_is_stated(name):
    width, height = live.KINDS[name].size
    with Image.open(live.FOLDER / f"{name}.png") as picture:
        assert picture.size in [(width, height), (2 * width, 2 * height)]
