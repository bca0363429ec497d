"""The engine of the VAE that trains in the page: against torch, which shares no code with it."""

from __future__ import annotations

import base64
import json
import math

import live_pages
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from vae_tutorial import live

SMALL = {"pixels": 21, "hidden": 11, "latents": 2}  # no multiples of eight: all loops have rests
REAL = {"pixels": 256, "hidden": 64, "latents": 2}
OBJECTIVES = [(beta, mean) for beta in (0, 1, 4) for mean in (False, True)]

GRADIENTS = """([sizes, x, eps, objective]) => {
  const { Vae } = VaeLive.files.train;
  const model = new Vae({ ...sizes, seed: 5 });
  const random = VaeLive.nn.random(6); // biases too: at zero, some mistakes would not show
  for (let i = 0; i < model.parameters.length; i++) model.parameters[i] += 0.1 * random.normal();
  const count = x.length / sizes.pixels;
  for (const noise of [eps.map((e) => e + 1), eps]) { // the second time, nothing may be left over
    model.differentiate(Float64Array.from(x), Float64Array.from(noise), count, objective);
  }
  const terms = model.terms(Float64Array.from(x), count);
  return [model.parameters, model.gradients, terms.reconstruction, terms.kl].map((a) => [...a]);
}"""


@pytest.fixture(scope="module")
def browser():
    with live_pages.chromium() as chromium:
        yield chromium


def engine(browser, folder, change: tuple[str, str] | None = None):
    """A page that has the engine, one of whose lines is changed where `change` says so."""
    scripts = {name: (live.FOLDER / f"{name}.js").read_text() for name in ("core", "nn", "train")}
    if change:
        assert scripts["train"].count(change[0]) == 1, f"not there once: {change[0]}"
        scripts["train"] = scripts["train"].replace(*change)
    body = "".join(f"<script>{text}</script>" for text in scripts.values())
    return live_pages.open_figure(browser, folder, f"{body}<p data-state=live>no figure").page


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    return engine(browser, tmp_path_factory.mktemp("engine"))


def network(parameters: Tensor, sizes: dict) -> nn.ModuleList:
    """The same network of torch's own layers."""
    pixels, hidden, latents = sizes["pixels"], sizes["hidden"], sizes["latents"]
    shapes = [(pixels, hidden), (hidden, 2 * latents), (latents, hidden), (hidden, pixels)]
    layers, at = nn.ModuleList(nn.Linear(i, o).double() for i, o in shapes), 0
    with torch.no_grad():
        for layer in layers:
            i, o = layer.in_features, layer.out_features
            layer.weight.copy_(parameters[at : at + i * o].view(i, o).T)
            layer.bias.copy_(parameters[at + i * o : at + i * o + o])
            at += i * o + o
    assert at == len(parameters)
    return layers


def flat(layers: nn.ModuleList, of) -> Tensor:
    return torch.cat([part for x in layers for part in (of(x.weight).T.flatten(), of(x.bias))])


def terms(layers: nn.ModuleList, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    """−log p(x | z) and KL of each image, by torch.distributions."""
    mu, logvar = layers[1](torch.tanh(layers[0](x))).chunk(2, dim=1)
    q = Normal(mu, (logvar / 2).exp())
    logits = layers[3](torch.tanh(layers[2](mu + q.stddev * eps)))
    kl = kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(1)
    return -Bernoulli(logits=logits).log_prob(x).sum(1), kl


def loss(layers: nn.ModuleList, x: Tensor, eps: Tensor, beta: float, mean: bool) -> Tensor:
    reconstruction, kl = terms(layers, x, eps)
    return (reconstruction / (x.shape[1] if mean else 1) + beta * kl).mean()


def check_gradients(page, sizes: dict, count: int, beta: float, mean: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    x = (torch.rand(count, sizes["pixels"], generator=generator) < 0.3).double()
    eps = torch.randn(count, sizes["latents"], generator=generator, dtype=torch.float64)
    inputs = [sizes, x.flatten().tolist(), eps.flatten().tolist(), {"beta": beta, "mean": mean}]
    found = [torch.tensor(a, dtype=torch.float64) for a in page.evaluate(GRADIENTS, inputs)]
    parameters, gradients, reconstruction, kl = found
    layers = network(parameters, sizes)
    loss(layers, x, eps, beta, mean).backward()
    expected = flat(layers, lambda p: p.grad)
    # float64 on both sides: sums of some hundred products differ by about 1e-15 of their size
    torch.testing.assert_close(gradients, expected, rtol=1e-9, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close((reconstruction, kl), terms(layers, x, eps), rtol=1e-9, atol=0)


@pytest.mark.parametrize(("beta", "mean"), OBJECTIVES)
@pytest.mark.parametrize(("sizes", "count"), [(SMALL, 7), (REAL, 64)])
def test_gradients_are_those_of_autograd(page, sizes, count, beta, mean):
    check_gradients(page, sizes, count, beta, mean)


# Each is a mistake that people make; the check above must notice every one.
MISTAKES = [
    ("(zGradient[i] * eps[i] * sigma) / 2", "zGradient[i] * eps[i] * sigma"),
    ("(zGradient[i] * eps[i] * sigma) / 2", "(zGradient[i] * sigma) / 2"),
    ("sigma * sigma - 1", "sigma - 1"),
    ("(beta * (sigma * sigma - 1)) / (2 * count)", "(beta * (sigma * sigma - 1)) / count"),
    ("(beta * mu[i]) / count", "beta * mu[i]"),
    ("probability[i] - x[i]", "x[i] - probability[i]"),
    ("count * (mean ? pixels : 1)", "count * (mean ? 1 : pixels)"),
    ("count * (mean ? pixels : 1)", "(mean ? pixels : 1)"),
    ("1 - h[i] * h[i]", "1 - h[i]"),
    ("codeGradient[j + latents] =", "codeGradient[j + latents] +="),
    ("biasGradient.fill(0)", "biasGradient"),
    ("this.weightGradient.fill(0)", "this.weightGradient"),
    ("rest < i; rest++", "rest < i - 1; rest++"),
    ("r < rows ? columns : 0", "columns"),
    ("Math.max(l, 0) - x[i] * l", "Math.max(l, 0)"),
]


def check_all(page) -> None:
    for beta, mean in OBJECTIVES:
        check_gradients(page, SMALL, 7, beta, mean)


@pytest.mark.parametrize("change", MISTAKES, ids=[str(n) for n in range(len(MISTAKES))])
def test_a_mistake_in_the_gradient_is_noticed(browser, tmp_path, change):
    page = engine(browser, tmp_path, change)
    with pytest.raises(AssertionError):
        check_all(page)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 7, 5), (2, 8, 3), (5, 29, 4), (4, 64, 9)])
def test_products_of_matrices(page, m, k, n):
    generator = torch.Generator().manual_seed(m)
    a, b, c = (torch.randn(*shape, generator=generator) for shape in ((m, k), (k, n), (m, n)))
    a[torch.rand(m, k, generator=generator) < 0.5] = 0
    code = """([A, B, C, ...sizes]) => { const c = Float64Array.from(C);
      VaeLive.files.train.multiply(Float64Array.from(A), Float64Array.from(B), c, ...sizes);
      return [...c]; }"""
    found = page.evaluate(code, [*(x.flatten().tolist() for x in (a, b, c)), m, k, n])
    expected = c.double() + a.double() @ b.double()
    torch.testing.assert_close(torch.tensor(found, dtype=torch.float64).view(m, n), expected)


def test_adam_is_torchs(page):
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([1e-9, 1e-4, 1.0, 1e3], dtype=torch.float64)
    gradients = scales * torch.randn(30, 4, generator=generator, dtype=torch.float64)
    code = """([gradients, rates]) => { const { Adam } = VaeLive.files.train, adam = new Adam(4);
      const at = new Float64Array([1, 2, 3, 4]);
      return gradients.map((g, i) => { adam.step(at, g, rates[i]); return [...at]; }); }"""
    rates = [0.01] * 20 + [0.003] * 10  # the reader may move the slider
    found = page.evaluate(code, [gradients.tolist(), rates])
    parameter = nn.Parameter(torch.tensor([1.0, 2, 3, 4], dtype=torch.float64))
    adam = torch.optim.Adam([parameter], betas=(0.9, 0.999), eps=1e-8)
    for gradient, rate, one in zip(gradients, rates, found):
        adam.param_groups[0]["lr"], parameter.grad = rate, gradient.clone()
        adam.step()
        expected = torch.tensor(one, dtype=torch.float64)
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-12, atol=0)


class Random:
    """Python's own version of `random` in nn.js: uniform numbers in [0, 1), and normal ones."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def uniform(self) -> float:
        self.state = (self.state + 0x6D2B79F5) % 2**32
        t = (self.state ^ (self.state >> 15)) * (self.state | 1) % 2**32
        t ^= (t + (t ^ (t >> 7)) * (t | 61)) % 2**32
        return ((t ^ (t >> 14)) % 2**32) / 2**32

    def normal(self) -> float:
        first = math.sqrt(-2 * math.log(1 - self.uniform()))
        return first * math.cos(2 * math.pi * self.uniform())


def digits() -> tuple[Tensor, Tensor]:
    """Training and test images (N, 256) of 0 and 1, as the data script holds them."""
    text = (live.FOLDER / "small-digits.js").read_text()
    file = json.loads(text[text.index("{") : text.rindex(";")])
    parts = (np.frombuffer(base64.b64decode(file[name]), np.uint8) for name in ("train", "test"))
    train, test = (torch.tensor(np.unpackbits(part)).view(-1, 256).double() for part in parts)
    return train, test


RUN = """async ([seed, steps, settings]) => {
  const { Run } = await VaeLive.load("train");
  const { Measure, read } = await VaeLive.load("trainer-measure");
  const data = read(await VaeLive.load("small-digits"));
  const run = new Run(data.train, { pixels: data.pixels, seed });
  const first = [...run.model.parameters];
  for (let n = 0; n < steps; n++) run.advance(settings);
  const measure = new Measure(data);
  for (const _ of measure.measure(run));
  const { reconstruction, kl } = measure.last;
  return { first, last: [...run.model.parameters], reconstruction, kl, eps: [...measure.eps],
    baseline: measure.baseline, data: steps ? null : [data.train.join(""), data.test.join("")] };
}"""


@pytest.fixture(scope="module")
def figure_page(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure")
    return live_pages.open_figure(browser, folder, live.figure("trainer").whole()).page


def test_the_images_arrive_bit_by_bit(figure_page):
    found = figure_page.evaluate(RUN, [1, 0, {}])["data"]
    for part, expected in zip(found, digits()):
        assert part == "".join(map(str, expected.int().flatten().tolist()))
    assert [len(part) for part in digits()] == [4096, 400]


def test_a_training_is_that_of_torch_step_by_step(figure_page):
    """The same start, batches and noise: 70 steps, more than an epoch, with two settings."""
    settings = {"beta": 0.5, "mean": False, "rate": 0.003}
    found = figure_page.evaluate(RUN, [4, 70, settings])
    train, _ = digits()
    random, order = Random(4 + 1_000_000), list(range(4096))
    layers = network(torch.tensor(found["first"], dtype=torch.float64), REAL)
    adam = torch.optim.Adam(layers.parameters(), lr=0.003)
    for step in range(70):
        if step % 64 == 0:
            for i in range(4095, 0, -1):
                j = int(random.uniform() * (i + 1))
                order[i], order[j] = order[j], order[i]
        at = step % 64 * 64
        x = train[order[at : at + 64]]
        eps = torch.tensor([random.normal() for _ in range(128)], dtype=torch.float64).view(64, 2)
        adam.zero_grad()
        loss(layers, x, eps, 0.5, False).backward()
        adam.step()
    last = torch.tensor(found["last"], dtype=torch.float64)
    # Rounding differs, and Adam divides by small numbers: 1e-6 of weights that moved by about 0.1.
    torch.testing.assert_close(flat(layers, lambda p: p.detach()), last, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_it_reaches_what_the_page_says(figure_page):
    """Seed 1, β = 1, 3,000 steps. A start that differs by 1e-12 changes the result by less than
    1e-8 nats after 2,000 steps, so 0.01 nats is room enough for other browsers' rounding."""
    found = figure_page.evaluate(RUN, [1, 3000, {"beta": 1, "mean": False, "rate": 0.003}])
    assert found["reconstruction"] == pytest.approx(57.40, abs=0.01)
    assert found["kl"] == pytest.approx(4.46, abs=0.01)


@pytest.mark.slow
def test_torch_reaches_about_the_same():
    """torch's own start, order and noise. Seeds 1 to 3 of the page end at 61.9 to 62.6 nats; two
    nats to either side leave room for luck, and a wrong objective is further away."""
    train, test = digits()
    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Linear(i, o) for i, o in [(256, 64), (64, 4), (2, 64), (64, 256)])
    adam = torch.optim.Adam(layers.parameters(), lr=0.003)
    train = train.float()
    for step in range(3000):
        if step % 64 == 0:
            batches = torch.randperm(4096).split(64)
        adam.zero_grad()
        loss(layers, train[batches[step % 64]], torch.randn(64, 2), 1, False).backward()
        adam.step()
    with torch.no_grad():
        reconstruction, kl = terms(layers, test.float(), torch.randn(400, 2))
    assert 60 < (reconstruction + kl).mean() < 64.5


def test_independent_pixels_cost_what_torch_says(figure_page):
    train, test = digits()
    share = (train.sum(0) + 0.5) / 4097
    expected = -Bernoulli(share).log_prob(test).sum(1).mean().item()
    found = figure_page.evaluate(RUN, [1, 0, {}])
    assert found["baseline"] == pytest.approx(expected, rel=1e-9)


ROWS = {
    "β = 1": ("beta 1", 3000),
    "β = 8": ("beta 8", 3000),
    "β = 0": ("beta 0", 3000),
    "mean over pixels": ("mean, then sum", 3000),
    "then 3,000 steps with the sum": ("mean, then sum", 6000),
}


def test_the_page_says_what_was_measured():
    root = live.FOLDER.parent.parent
    stored = json.loads((root / "benchmarks/results/playground.json").read_text())
    page = (root / "pages/playground.md").read_text()
    for name, (experiment, step) in ROWS.items():
        rows = [r for r in stored["rows"] if (r["experiment"], r["step"]) == (experiment, step)]
        assert [r["seed"] for r in rows] == [1, 2, 3]
        cells = [
            ", ".join(f"{r[key]:.1f}" for r in rows)
            for key in ("negative_elbo", "reconstruction", "kl")
        ]
        cells.append(", ".join(f"{100 * r['share_of_mu_within_two']:.0f} %" for r in rows))
        assert f"| {name} | {' | '.join(cells)} |" in page
    assert f"{stored['without_latents']:.1f} nats, the dotted line" in page
