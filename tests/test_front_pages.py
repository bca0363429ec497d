"""The pages around the chapters: their numbers are recomputed, their lists are whole.

The questions say that a test recomputes their numbers, and the page of the data sets says it of
its tables: these are those tests. Each number is looked for on the page as it is printed there.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import notebooks
import pytest
import rules
import torch
import yaml

import vae_tutorial as vt
from vae_tutorial.data.strokes import FACTORS

LN2 = math.log(2)
ROWS = {"stroke digits": "stroke-digits", "MNIST": "mnist", "Fashion-MNIST": "fashion-mnist"}


def page(name: str) -> str:
    folder = notebooks.ROOT / ("pages" if (notebooks.ROOT / "pages" / name).exists() else "")
    return (folder / name).read_text(encoding="utf-8")


def table_row(text: str, first: str, columns: int = 5) -> list[str]:
    """The cells of the one row that starts with `first` and has so many columns."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in text.splitlines()
        if line.startswith(f"| {first} |")
    ]
    (row,) = [row for row in rows if len(row) == columns]
    return row


# --- questions --------------------------------------------------------------------------------

SECTION = re.compile(r"^### (.+?)$(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
ANSWERS = dict(SECTION.findall(page("questions.md")))


def test_what_readers_really_ask_is_answered():
    asked = [
        "GAN", "discrete data", "evaluated", "blurry", "loss 5,000", "overfit", "KL go to zero",
        "own images", "label into", "table", "LSTM", "tanh", "resume", "BatchNorm", "softplus",
        "seeds", "num_workers", "codebook", "variance for each pixel", "bad samples",
        "anomaly score", "μ or z",
    ]  # fmt: skip
    for words in asked:
        assert sum(words in title for title in ANSWERS) == 1, words


# The words around a number as they stand in an answer, and what the number is.
NUMBERS = [
    ("Why is my loss 5,000", "| {:.0f} | $784\\log 2$", 28 * 28 * LN2),
    ("Why is my loss 5,000", "| {:,.0f} | $64\\cdot64\\cdot3\\cdot\\log 2$", 64 * 64 * 3 * LN2),
    ("Why is my loss 5,000", "| {:.2f} | $\\log 2$", LN2),
    ("Why is my loss 5,000", "| {:,.0f} | 128 × 543.4", 128 * 784 * LN2),
    ("Why is my loss 5,000", "$\\beta = {:.0f}$", 28 * 28),
    ("Why is my loss 5,000", "{:.0f} nats for an image of 784", 0.2 * 784),
    ("Why is my loss 5,000", "stops near {:.2f} on MNIST", 205.8 / 784),
    ("Can the loss be negative", "= {:,.0f}$ nats", 784 * 0.5 * math.log(2 * math.pi * 0.1**2)),
    ("Which range must inputs have", "$784\\log 2 = {:.0f}$ nats", 784 * LN2),
    ("Do better likelihoods", "$\\log 100 = {:.1f}$ nats", math.log(100)),
]


@pytest.mark.parametrize(("question", "words", "number"), NUMBERS)
def test_numbers_in_the_answers(question, words, number):
    (answer,) = [answer for title, answer in ANSWERS.items() if question in title]
    wanted = words.format(number)
    assert wanted in answer.replace("{,}", ","), wanted


def test_the_cost_of_a_precise_code():
    """`about four nats for each dimension`, from torch's divergence."""
    narrow, prior = (torch.distributions.Normal(0.0, s) for s in (0.01, 1.0))
    assert round(torch.distributions.kl_divergence(narrow, prior).item()) == 4


def test_the_table_of_data_sets_is_what_the_questions_quote():
    floor, pixels = table_row(page("data.md"), "MNIST")[-2:]
    text = page("questions.md")
    assert f"between {pixels} and {floor} nats per image" in text
    assert f"{pixels} nats, divided by 784" in text


# --- data sets --------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS)
def test_table_of_how_hard_the_sets_are(row):
    name = ROWS[row]
    if name != "stroke-digits" and not os.environ.get("VAE_TUTORIAL_DATA"):
        pytest.skip("VAE_TUTORIAL_DATA names no folder with the real sets")
    images = vt.load_images(name)
    train, test = (part.images.double().flatten(1) / 255 for part in (images.train, images.test))
    mean = train.mean(0).clamp(1e-6, 1 - 1e-6)  # of each pixel
    entropy = -torch.xlogy(test, test) - torch.xlogy(1 - test, 1 - test)
    alone = -(test * mean.log() + (1 - test) * (1 - mean).log())
    dark = 100 * (train == 0).double().mean()
    computed = [
        f"{train.mean():.3f}", f"{dark:.0f} %", f"{entropy.sum(1).mean():.1f}",
        f"{alone.sum(1).mean():.1f}",
    ]  # fmt: skip
    assert computed == table_row(page("data.md"), row)[1:]


def test_sizes_of_the_stroke_digits():
    digits = vt.load_images("stroke-digits")
    counts = f"{len(digits.train.images):,}, {len(digits.test.images):,}"
    assert page("data.md").count(f"| stroke digits | {counts} | none |") == 1


@pytest.mark.parametrize("factor", FACTORS, ids=lambda factor: factor.name)
def test_table_of_factors(factor):
    row = table_row(page("data.md"), factor.name)
    low, high = (float(cell.replace("−", "-")) for cell in row[1:3])
    assert (low, high) == (factor.low, factor.high)
    assert row[3].startswith(factor.unit)


# --- language ----------------------------------------------------------------------------------


def test_pages_docstrings_and_messages_keep_to_plain_english():
    folders = ("pages", "vae_tutorial", "benchmarks", "_ext")
    files = [path for path in notebooks.project_files() if path.parts[0] in folders]
    files += [Path("intro.md"), Path("README.md"), Path("CONTRIBUTING.md")]
    texts = {
        str(path): (notebooks.ROOT / path).read_text(encoding="utf-8")
        for path in files
        if path.suffix in (".md", ".py")
    }
    found = {name: rules.STIFF.findall(text) for name, text in texts.items()}
    assert not {name: phrases for name, phrases in found.items() if phrases}


# --- glossary, introduction, contents ---------------------------------------------------------


def test_every_term_has_its_chinese_one_and_its_place():
    entries = re.findall(r"^(\S.*)\n: (.+)$", page("glossary.md"), re.MULTILINE)
    assert len(entries) == page("glossary.md").count("\n: ") > 50
    names = [re.sub(r" <span.*", "", term) for term, _ in entries]
    assert names == sorted(names, key=str.casefold)
    for term, text in entries:
        assert re.fullmatch(r'[^<]+ <span lang="zh-Hans">[^<>]+</span>', term), term
        chinese = re.search(r">([^<>]+)<", term)[1]
        kept = chinese in ("Gumbel-Softmax", "LogSumExp")  # Chinese texts keep the English word
        assert kept or re.search(r"[\u4e00-\u9fff]", chinese), term
        assert re.search(r"\. \[[\w ]+\]\([\w./]+#[\w-]+\)$", text), f"{term}: where is it?"


def test_the_introduction_knows_every_chapter():
    """In their order; the directive takes titles and times from the chapters."""
    listed = re.search(r"```\{chapter-list\}\n(.*?)```", page("intro.md"), re.DOTALL)[1]
    stems = [line.partition(": ")[0] for line in listed.splitlines()]
    assert stems == [path.stem for path in notebooks.chapter_files()]


def test_the_first_steps_lead_to_the_first_chapter_and_to_colab():
    steps = re.search(r"```\{container\} first-steps\n(.*?)```", page("intro.md"), re.DOTALL)[1]
    first = f"chapters/{notebooks.chapter_files()[0].name}"
    repository = notebooks.repository_address()
    github = repository.replace("github.com", "colab.research.google.com/github")
    assert dict(re.findall(r"\[(.+?)\]\((.+?)\)", steps)) == {
        "Start": first,
        "Open on Colab": f"{github}/blob/main/{first}",
        "For teachers": "pages/teachers.md",
        "PDF": f"{notebooks.site_address(repository)}/vae-tutorial.pdf",
    }


def test_the_chapters_come_early_on_the_front_page():
    """Their list is the first section below the cover."""
    assert re.findall(r"^## (.+)$", page("intro.md"), re.MULTILINE)[0] == "The chapters"


def test_what_teachers_are_told_about_marks_is_true():
    """The page's code runs; the checks that it counts on are in the chapters."""
    (code,) = re.findall(r"```python\n(.*?)```", page("teachers.md"), re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["report"].points == names["report"].of
    headings = [
        heading
        for path in notebooks.chapter_files()
        for cell in notebooks.read(path)["cells"]
        for heading in re.findall(r"^### Exercise .*\((.+), .+\)$", cell["source"], re.MULTILINE)
    ]
    kinds = {kind for heading in headings for kind in heading.split(" and ")}
    assert all(f"*{kind}*" in page("teachers.md") for kind in kinds), kinds


def test_pages_lead_to_no_chapter_that_does_not_exist():
    names = {path.name for path in notebooks.chapter_files()}
    parts = yaml.safe_load(page("_toc.yml"))["parts"]
    pages = [entry["file"] for part in parts for entry in part["chapters"]]
    for name in ["intro", *(name for name in pages if "/" not in name)]:
        linked = set(re.findall(r"chapters/([\w.]+\.ipynb)", page(f"{name}.md")))
        assert linked <= names, name
