"""The page of questions: its code runs as it stands there, section by section."""

from __future__ import annotations

import json
import re

import notebooks
import numpy as np
import pytest
import torch
from PIL import Image

PAGE = (notebooks.ROOT / "pages" / "questions.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^### (.+?)$(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
CODE = {
    title: re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for title, text in SECTION.findall(PAGE)
    if "```python" in text
}


def fewer(code: str) -> str:
    return re.sub(r"epochs=(10|20)\b", "epochs=1", code)


@pytest.mark.slow
@pytest.mark.parametrize("title", CODE)
def test_code_of_an_answer_runs(title, tmp_path, monkeypatch):
    """In a folder with ten small pictures; each answer starts with nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAE_TUTORIAL_PROGRESS", "0")
    (tmp_path / "pictures").mkdir()
    for i in range(10):
        pixels = np.random.default_rng(i).integers(0, 256, (70 + i, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
    names: dict = {"__name__": "answer"}
    for block in CODE[title]:
        exec(fewer(block), names)
    if "threes" in names:
        assert names["threes"].shape == (5, 1, 28, 28)
    if "best" in names:
        assert names["best"].posterior(names["digits"].test.images[:2] / 255).mean.shape == (2, 16)
    if "same" in names:
        assert names["same"] and not names["other"]


def test_the_likelihood_of_a_row_is_that_of_its_parts():
    """log p of a table's row against torch's Normal and Categorical."""
    (code,) = next(blocks for title, blocks in CODE.items() if "table" in title)
    names: dict = {}
    exec(code.split("kind = torch.arange")[0], names)
    torch.manual_seed(0)
    raw, log_sigma = torch.randn(5, 7), torch.randn(4)
    x = torch.cat([torch.randn(5, 4), torch.eye(3)[torch.tensor([0, 1, 2, 0, 1])]], 1)
    row = torch.distributions.Independent(names["Row"](raw, log_sigma), 1)
    normal = torch.distributions.Normal(raw[:, :4], log_sigma.exp())
    kind = torch.distributions.Categorical(logits=raw[:, 4:])
    wanted = normal.log_prob(x[:, :4]).sum(1) + kind.log_prob(x[:, 4:].argmax(1))
    torch.testing.assert_close(row.log_prob(x), wanted)
    assert row.mean[:, 4:].sum(1).allclose(torch.ones(5))


# --- measured numbers ---------------------------------------------------------------------------

STORED = json.loads(
    (notebooks.ROOT / "benchmarks" / "results" / "questions.json").read_text(encoding="utf-8")
)
ANSWERS = dict(SECTION.findall(PAGE))


def answer(words: str) -> str:
    (found,) = [text for title, text in ANSWERS.items() if words in title]
    return found


def row(words: str, label: str) -> list[str]:
    """The cells of the row `label` of the table in an answer."""
    (line,) = [line for line in answer(words).splitlines() if line.startswith(f"| {label} |")]
    return [cell.strip() for cell in line.strip("| ").split(" | ")][1:]


def spread(values: list[float], digits: int) -> str:
    """Mean, least and greatest, as the page writes them."""
    numbers = [sum(values) / len(values), min(values), max(values)]
    return "{} ({}–{})".format(*(f"{number:,.{digits}f}" for number in numbers))


def runs(part: str, key: str, **where) -> list[float]:
    """An entry of the stored runs of a part that are as `where` says."""
    rows = STORED[part]["rows"]
    return [r[key] for r in rows if all(r[k] == v for k, v in where.items())]


CHOICES = {
    "Adam": "Adam",
    "AdamW, weight decay 0.01": "AdamW, decay 0.01",
    "Adam with `weight_decay=1e-4`": "Adam, L2 1e-4",
    "SGD, momentum 0.9, rate 3e-3": "SGD, rate 3e-3",
    "Adam, BatchNorm in both networks": "batch normalisation",
}


@pytest.mark.parametrize("label", CHOICES)
def test_optimisers_and_normalisation(label):
    (values,) = runs("choices", "negative_elbo", choice=CHOICES[label])
    assert len(values) == 3
    assert row("Which optimiser", label) == [spread(values, 1)]


def test_bounds_of_the_log_variance_and_seeds():
    (adam,), (clamped,), (softplus,) = (
        runs("choices", "negative_elbo", choice=name)
        for name in ("Adam", "log σ² within ±10", "softplus")
    )
    assert adam == clamped  # to every digit
    text = answer("Clamp the log-variance")
    assert spread(clamped, 1) in text and spread(softplus, 1) in text
    assert f"between {min(adam):.1f} and {max(adam):.1f} nats" in answer("same result again")
    assert np.exp([-5, 5]).round(3).tolist() == [0.007, 148.413]  # σ at ±10


@pytest.mark.parametrize(("label", "labels"), [("100", 100), ("1,000", 1000)])
def test_a_linear_classifier_on_codes(label, labels):
    mu, z, pixels = (
        [100 * share for share in runs("codes", key, labels=labels)]
        for key in ("mu", "z", "pixels")
    )
    assert len(set(pixels)) == 1  # no training, no seed
    assert row("Which embedding", label) == [spread(mu, 0), spread(z, 0), f"{pixels[0]:.0f}"]


@pytest.mark.parametrize(
    ("label", "sigma"), [("one learnt σ", "one"), ("σ for each pixel", "each")]
)
def test_one_sigma_and_one_for_each_pixel(label, sigma):
    elbo, error = (runs("variances", key, sigma=sigma) for key in ("test_elbo", "squared_error"))
    assert row("A variance for each pixel", label) == [spread(elbo, 0), spread(error, 1)]


@pytest.mark.parametrize("beta", [1.0, 0.1])
def test_samples_from_prior_and_from_a_fitted_gaussian(beta):
    error, prior, fitted = (
        runs("samples", key, beta=beta)
        for key in ("squared_error", "prior_frechet", "fitted_frechet")
    )
    assert row("Good reconstructions", f"β = {beta:g}") == [
        spread(error, 1), spread(prior, 0), spread(fitted, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("left_out", [1, 5, 8])
def test_scores_of_anomalies(left_out):
    areas = runs("anomalies", "auroc", left_out=left_out)
    keys = ("negative_elbo", "reconstruction", "kl", "squared_error")
    wanted = [spread([area[key] for area in areas], 2) for key in keys]
    assert len(areas) == 3 and row("Which anomaly score", str(left_out)) == wanted
    found = [100 * share for share in runs("anomalies", "found", left_out=left_out)]
    assert f"{spread(found, 0)} % of the " in answer("Which anomaly score")


def test_false_alarms_at_the_threshold():
    alarms = [100 * share for share in runs("anomalies", "false_alarms")]
    assert f"{spread(alarms, 0)} % of false alarms" in answer("Which anomaly score")


def test_the_contents_name_every_section():
    sections = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    top = PAGE.split("\n## ")[0]
    assert re.findall(r"^- \[(.+?)\]", top, re.MULTILINE) == sections


def test_answers_are_short():
    """Words beside code and tables; the older answers may be a little longer."""
    for title, text in ANSWERS.items():
        prose = re.sub(r"```.*?```|^\|.*$", "", text, flags=re.DOTALL | re.MULTILINE)
        assert len(prose.split()) < 220, title
