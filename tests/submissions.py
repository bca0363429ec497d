"""Synthetic submissions: notebooks with right and wrong answers, and damage of many kinds."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import json
import pkgutil
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import right_answers
import wrong_answers

from vae_tutorial.course.definitions import Code, read_code
from vae_tutorial.course.export import student_notebook
from vae_tutorial.course.notebook import Cell, read_cells
from vae_tutorial.course.tasks import function_of, masters, options_of, tasks_of

KL = "def my_kl(mu, logvar):\n    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1)\n"
LAPLACE = """\
def laplace_energy(x, x_hat, scale):
    return ((x - x_hat).abs() / scale + math.log(2 * scale)).flatten(1).sum(1)
"""
STUB = 'def my_kl(mu, logvar):\n    """(B, D), (B, D) -> (B,)."""\n    ...  # your code here\n'


def notebook(*codes: str, metadata: bool = True) -> dict[str, Any]:
    """A notebook with these code cells."""
    cells = [
        {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [],
         "source": code.splitlines(keepends=True)}
        for code in codes
    ]  # fmt: skip
    found = {"cells": cells, "nbformat": 4, "nbformat_minor": 5}
    return found | ({"metadata": {"language_info": {"name": "python"}}} if metadata else {})


def hand_in(path: Path, *codes: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook(*codes)), encoding="utf-8")
    return path


def of_answer(name: str, answer: Callable[..., Any]) -> list[str] | None:
    """Cells with an answer from `right_answers` or `wrong_answers`, and what it refers to.

    None where the answer is made by a call, which is no definition.
    """
    if isinstance(answer, dict):
        return [f"{function_of(name)} = {answer!r}\n"]
    module = inspect.getmodule(answer)
    own = getattr(answer, "__name__", "")
    if module is None or getattr(module, own, None) is not answer or "<" in own:
        return None
    code = _code_of(module)
    needed = code.needed(code.versions(own)[-1])
    return [*(ast.unparse(each.node) for each in needed), f"{function_of(name)} = {own}\n"]


@functools.lru_cache
def _code_of(module: Any) -> Code:
    return read_code([Cell(True, inspect.getsource(module))])


def answers(package: Any, table: str) -> list[tuple[str, Callable[..., Any]]]:
    """All answers of a package of the tests, with the exercise's name."""
    found = []
    for each in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{each.name}")
        for name, listed in getattr(module, table).items():
            found += [(name, a[0] if isinstance(a, tuple) else a) for a in listed]
    return found


def all_right() -> list[tuple[str, Callable[..., Any]]]:
    return answers(right_answers, "RIGHT")


def all_wrong() -> list[tuple[str, Callable[..., Any]]]:
    return answers(wrong_answers, "WRONG")


def solutions() -> dict[str, list[str]]:
    """The code cells of the master that asks for a function, solutions included, by exercise."""
    found = {}
    for master in masters():
        cells = read_cells(master)
        codes = [each.text for each in cells if each.code]
        found |= {task.name: codes for task in tasks_of(cells) if task.kind == "code"}
    return found


TROUBLE = {
    "exit": "import torch\ndef {0}(*a):\n    torch.os._exit(0)",
    "recursion": "def {0}(*a):\n    return {0}(*a)",
    "patched": "import torch\ndef {0}(*a):\n    T = torch.Tensor\n    T.abs = lambda a: a * 0\n"
    "    return a[0]",
    "gigabytes": "import torch\ndef {0}(*a):\n    return torch.ones(10**10)",
    "oracle": "import vae_tutorial.checks.chapter_03 as c\ndef {0}(*a):\n    return c.my_kl(*a)",
}


def class_of(folder: Path, master: Path, count: int, seed: int) -> dict[str, str]:
    """Notebooks of made-up students, and what each is: filled in, unsolved, trouble or broken.

    Seven answers in ten are right. One student in twenty has handed in the stubs, as many make
    trouble, and as many files are damaged.
    """
    rng = random.Random(seed)
    right, wrong = cells_by_exercise(all_right()), cells_by_exercise(all_wrong())
    cells = read_cells(master)
    whole = student_notebook(master)
    kinds: dict[str, str] = {}
    for number in range(count):
        path = folder / f"student{number}_{1000 + number}_77_work.ipynb"
        kind = {0: "unsolved", 1: "trouble", 2: "broken"}.get(number % 20, "filled in")
        book = json.loads(json.dumps(whole))
        for cell, made in zip(cells, book["cells"]):
            options = options_of(cell)
            if kind == "unsolved":
                continue
            if name := options.get("answer"):
                pool = right[name] if rng.random() < 0.7 else wrong[name]
                text = "\n\n".join(rng.choice(pool))
                if kind == "trouble":
                    text = rng.choice(list(TROUBLE.values())).format(function_of(name))
                made["source"] = text
            elif "measured" in options:
                low, high = map(float, options["between"].split(","))
                value = (low + high) / 2 if rng.random() < 0.8 else high + 10
                made["source"] = f"{options['measured']} = {value}"
            elif "written" in options:
                made["source"] = f"**Answer {options['written']}**\n\nA text of student {number}."
        data = damaged(book, rng) if kind == "broken" else json.dumps(book).encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        kinds[path.name] = kind
    return kinds


def cells_by_exercise(pairs: list[tuple[str, Any]]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for name, answer in pairs:
        if cells := of_answer(name, answer):
            found.setdefault(name, []).append(cells)
    return found


def damaged(whole: dict[str, Any], rng: random.Random) -> bytes:
    """The notebook, damaged in a way that chance chooses."""
    book = json.loads(json.dumps(whole))
    for _ in range(rng.randint(1, 3)):
        rng.choice(CELL_DAMAGES)(book, rng)
    data = json.dumps(book).encode()
    return rng.choice(FILE_DAMAGES)(data, rng)


def _cell(book: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    cells = [each for each in book.get("cells") or [] if isinstance(each, dict)]
    return rng.choice(cells) if cells else {}


def _set(key: str, *values: Any) -> Callable[[dict[str, Any], random.Random], None]:
    def change(book: dict[str, Any], rng: random.Random) -> None:
        cell = _cell(book, rng)
        cell[key] = rng.choice(values)

    return change


def _drop(book: dict[str, Any], rng: random.Random) -> None:
    if isinstance(book.get("cells"), list) and book["cells"]:
        book["cells"].pop(rng.randrange(len(book["cells"])))


def _double(book: dict[str, Any], rng: random.Random) -> None:
    if isinstance(book.get("cells"), list):
        book["cells"].append(_cell(book, rng))


def _shuffle(book: dict[str, Any], rng: random.Random) -> None:
    if isinstance(book.get("cells"), list):
        rng.shuffle(book["cells"])


def _cut_cell(book: dict[str, Any], rng: random.Random) -> None:
    cell = _cell(book, rng)
    text = "".join(map(str, cell.get("source") or []))
    at = rng.randrange(len(text) + 1)
    cell["source"] = text[:at] if rng.random() < 0.5 else text[at:]


def _noise(book: dict[str, Any], rng: random.Random) -> None:
    cell = _cell(book, rng)
    text = "".join(map(str, cell.get("source") or []))
    at = rng.randrange(len(text) + 1)
    cell["source"] = text[:at] + rng.choice(NOISE) + text[at:]


NOISE = ["(", '"""', "\x00", "\udcff", ">>>>>>> HEAD\n", "\t", "%%bash\n", "(" * 400, "-" * 3000]
CELL_DAMAGES = [
    _drop, _double, _shuffle, _cut_cell, _noise,
    _set("source", None, 7, [], [1, None], {"a": 1}, ["x = 1\n", None]),
    _set("cell_type", "markdown", "raw", None, 3), _set("metadata", None, [], "?"),
    lambda book, rng: book.update(cells=rng.choice([None, {}, "cells", [None, 3, "x", []]])),
    lambda book, rng: book.pop("metadata", None),
]  # fmt: skip
FILE_DAMAGES = [
    lambda data, rng: data,
    lambda data, rng: data,
    lambda data, rng: data[: rng.randrange(len(data) + 1)],
    lambda data, rng: data[rng.randrange(len(data)) :],
    lambda data, rng: data.replace(b"{", b"[", 1),
    lambda data, rng: b"\xff\xfe" + data.decode().encode("utf-16-le"),
    lambda data, rng: b"\xef\xbb\xbf" + data,
    lambda data, rng: b"",
    lambda data, rng: bytes(rng.randrange(256) for _ in range(200)),
    lambda data, rng: b"[" * 100_000,
    lambda data, rng: b"<html>please log in</html>",
]
