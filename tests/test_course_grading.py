"""The grader: points for what is right in any state of the notebook, and none for tricks."""

from __future__ import annotations

import csv
import random
import sys

import pytest
from submissions import (
    KL,
    LAPLACE,
    STUB,
    all_right,
    all_wrong,
    damaged,
    hand_in,
    notebook,
    of_answer,
)

from vae_tutorial.course.__main__ import main
from vae_tutorial.course.batch import grade_files
from vae_tutorial.course.tasks import code_task
from vae_tutorial.course.worker import Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are those of Linux")
TASKS = [code_task("kl"), code_task("laplace-energy")]


def graded(folder, *codes, **named):
    """The result of a notebook with these cells: points by task, and all lines."""
    path = hand_in(folder / "one.ipynb", *codes)
    (found,) = grade_files([path], TASKS, 5, **named)
    points = {name: each["points"] for name, each in found.results.items()}
    text = "\n".join(line for each in found.results.values() for line in each["lines"])
    return points, text + "\n".join(found.notes) + found.unreadable


RIGHT = {
    "usual": ["import torch\nimport math", KL, LAPLACE],
    "training and files elsewhere": [
        "import math\nimport torch\nmodel = torch.nn.Linear(9**9, 9**9)", KL, LAPLACE,
        "while True: pass", "open('x', 'w')", "import no_such_module_at_all\n1 / 0"],
    "magics": ["%pip install torch\nimport math\n!ls\n%matplotlib inline", "%%time\n" + KL,
               "if True:\n    %pip install x\n" + LAPLACE, "%%bash\nrm -rf x", "torch.exp?"],
    "doubled, with the stub last": ["import math", KL, LAPLACE, KL, STUB],
    "in another order": [LAPLACE, KL, "import math"],
    "broken neighbours": ["import math\nfoo(", KL + "\nmy_kl(mu, \n", ")\n" + LAPLACE + "\n)))"],
    "another name, as checked": ["import math", STUB, KL.replace("my_kl", "my_kl_2"),
                                 'check("kl", my_kl_2)', LAPLACE],
    "helper and constants": [
        "from math import log\nHALF, ONE = 0.5, 1\nTWO: float = 2 * ONE",
        LAPLACE.replace("math.", ""),
        "def helper(m, v):\n    return HALF * (m**TWO + v.exp() - ONE - v)",
        "class Divergence:\n    def __call__(self, m, v):\n        return helper(m, v).sum(-1)",
        "my_kl = lambda mu, logvar: Divergence()(mu, logvar)",
        "def helper(m, v):\n    return m - v"],
    "typed, with unknown types": ["import math", LAPLACE,
                                  KL.replace("mu, logvar)", "mu: Tensor, logvar: Foo) -> Bar")],
}  # fmt: skip


@pytest.mark.parametrize("codes", RIGHT.values(), ids=RIGHT)
def test_a_right_answer_counts_in_any_state_of_the_notebook(codes, tmp_path):
    points, text = graded(tmp_path, *codes)
    assert points == {"kl": 8, "laplace-energy": 8}, text


TRICKS = {
    "patched in the answer": ["import torch\ndef my_kl(mu, logvar):\n"
                              "    torch.Tensor.detach = lambda s: s\n    return mu.sum(1)"],
    "patched by another name": ["import torch\ndef my_kl(mu, logvar):\n    T = torch.Tensor\n"
                                "    T.__le__ = lambda a, b: True\n    return mu.sum(1)"],
    "patched comparison": [
        "import torch\ndef my_kl(mu, logvar):\n    T = torch.Tensor\n"
        "    T.abs = lambda a: a.detach() * 0\n    return mu.sum(1)"],
    "patched by a default": ["import torch\ndef my_kl(mu, logvar, _=setattr(torch, 'where', max"
                             ")):\n    return mu.sum(1)"],
    "patched above": ["import torch\ntorch.where = lambda *a: 0 * a[-1]", KL.replace("0.5 *", "")],
    "patched by a class": ["import torch\nclass A:\n    torch.where = lambda *a: 0 * a[-1]\n"
                           "def my_kl(mu, logvar):\n    return A and mu.sum(1)"],
    "imported oracle": ["from vae_tutorial.checks.chapter_03 import my_kl"],
    "oracle by another name": ["from vae_tutorial.checks.chapter_03 import my_kl as right\n"
                               "def my_kl(mu, logvar):\n    return right(mu, logvar)"],
    "oracle of the package": ["import vae_tutorial as vt\ndef my_kl(mu, logvar):\n"
                              "    return vt.objectives.kl(mu, logvar)"],
    "oracle by importlib": ["import importlib\ndef my_kl(mu, logvar):\n    return importlib."
                            "import_module('vae_tutorial.checks.chapter_03').my_kl(mu, logvar)"],
    "oracle by dunder import": ["def my_kl(mu, logvar):\n    f = __import__('vae_tutorial.checks."
                                "chapter_03').checks\n    return f.chapter_03.my_kl(mu, logvar)"],
    "oracle by torch's sys": ["import torch\ndef my_kl(mu, logvar):\n    return torch.sys.modules["
                              "'vae_tutorial.checks.chapter_03'].my_kl(mu, logvar)"],
    "oracle by getattr": ["import torch\ndef my_kl(mu, logvar):\n    s = getattr(torch, 's' + 'ys')"
                          "\n    s = s.modules['vae_tutorial.checks.chapter_03']"
                          "\n    return s.my_kl(mu, logvar)"],
    "oracle by eval": ["def my_kl(mu, logvar):\n    return eval('mu')"],
    "frames": ["def my_kl(mu, logvar):\n    try:\n        1 / 0\n    except Exception as e:\n"
               "        return e.__traceback__.tb_frame.f_back.f_locals"],
    "exit": ["import torch\ndef my_kl(mu, logvar):\n    torch.os._exit(0)"],
    "system exit": ["def my_kl(mu, logvar):\n    raise SystemExit"],
    "gigabytes": ["import torch\ndef my_kl(mu, logvar):\n    return torch.ones(10**10).sum()"],
    "gigabytes of python": ["def my_kl(mu, logvar):\n    return list(range(10**9))"],
    "recursion": ["def my_kl(mu, logvar):\n    return my_kl(mu, logvar)"],
    "a deep crash": ["def my_kl(mu, logvar):\n    x = ()\n    for _ in range(10**6):\n"
                     "        x = (x,)\n    return hash(x)"],
    "writes a file": ["def my_kl(mu, logvar):\n    open('a', 'w').write('a')\n"
                      "    return mu.sum(1)"],
    "says it is equal": ["class Yes(float):\n    def __eq__(self, other):\n        return True\n"
                         "def my_kl(mu, logvar):\n    return Yes(1)"],
}  # fmt: skip


@pytest.mark.parametrize("codes", TRICKS.values(), ids=TRICKS)
def test_a_trick_earns_nothing_and_costs_nothing_else(codes, tmp_path):
    points, text = graded(tmp_path, *codes, "import math", LAPLACE)
    assert points == {"kl": 0, "laplace-energy": 8}, text
    assert "kl" in text


ENDLESS = {
    "loop": "def my_kl(mu, logvar):\n    while True: pass",
    "loop that catches everything": "def my_kl(mu, logvar):\n    while True:\n        try:\n"
    "            while True: pass\n        except BaseException: pass",
    "sleep": "import time\ndef my_kl(mu, logvar):\n    time.sleep(3600)",
    "loop in a default": "def my_kl(mu, logvar, x=[i for i in iter(int, 1)]):\n    return mu",
}


@pytest.mark.slow
@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_is_ended(code, tmp_path):
    limits = Limits(call=0.5, task=3, silence=20.0)
    points, text = graded(tmp_path, code, "import math", LAPLACE, limits=limits)
    assert points == {"kl": 0, "laplace-energy": 8}, text


def test_a_value_that_the_notebook_computes_is_named(tmp_path):
    code = "import torch\nweights = torch.ones(3)\ndef my_kl(mu, logvar):\n    return weights * mu"
    points, text = graded(tmp_path, code)
    assert points["kl"] == 0 and "`weights`, which the notebook computes" in text


def test_not_answered_and_not_there_are_told_apart(tmp_path):
    points, text = graded(tmp_path, STUB)
    assert points == {"kl": 0, "laplace-energy": 0}
    assert "kl: not answered yet.\n" in text
    assert "no function `laplace_energy`" in text


def test_a_python_file_is_read_too(tmp_path):
    path = tmp_path / "one.py"
    path.write_text("import math\n# %% [markdown]\n# Text\n# %%\n" + KL + LAPLACE)
    (found,) = grade_files([path], TASKS, 5)
    assert [each["points"] for each in found.results.values()] == [8, 8]


def test_notebooks_of_format_3_are_read(tmp_path):
    path = tmp_path / "old.ipynb"
    cells = [{"cell_type": "code", "input": KL}]
    path.write_text(__import__("json").dumps({"worksheets": [{"cells": cells}], "nbformat": 3}))
    (found,) = grade_files([path], TASKS, 5)
    assert found.results["kl"]["points"] == 8


def fuzz(folder, count):
    """Damaged notebooks whose answers are wrong, between two good ones."""
    rng = random.Random(count)
    whole = notebook("import torch\nimport math", KL.replace("0.5 *", ""), "x = 3", STUB)
    paths = [hand_in(folder / "a.ipynb", KL)]
    for number in range(count):
        path = folder / f"b{number}.ipynb"
        path.write_bytes(damaged(whole, rng))
        paths.append(path)
    paths.append(hand_in(folder / "c.ipynb", KL))
    found = grade_files(paths, TASKS[:1], 5)
    points = [each.results.get("kl", {"points": 0})["points"] for each in found]
    assert points == [8, *[0] * count, 8]
    assert all(each.unreadable or each.results for each in found)
    return found


def test_damaged_notebooks_stop_no_batch_and_earn_nothing(tmp_path):
    found = fuzz(tmp_path, 50)
    assert 5 < sum(bool(each.unreadable) for each in found) < 45


@pytest.mark.slow
def test_many_damaged_notebooks(tmp_path):
    fuzz(tmp_path, 500)


def class_of_100(folder):
    """Right, wrong and missing answers to two exercises, and a few students who make trouble."""
    answers = [(n, a) for n, a in all_right() + all_wrong() if n in ("kl", "laplace-energy")]
    cells = [found for found in (of_answer(*each) for each in answers) if found]
    trouble = [[TRICKS[key][0]] for key in ("exit", "gigabytes", "patched comparison", "recursion")]
    trouble += [[ENDLESS["loop"]], [ENDLESS["sleep"]]]
    made = [*trouble, *([STUB], ["import math", KL, LAPLACE]), *cells]
    for number in range(99):
        codes = made[number % len(made)]
        hand_in(folder / f"student{number}_{1000 + number}_77_work.ipynb", *codes)
    (folder / "broken_5_77_work.ipynb").write_text('{"cells": [{')


@pytest.mark.slow
def test_a_class_graded_twice_gives_the_same_table(tmp_path, capsys):
    class_of_100(tmp_path / "in")
    tables = []
    for out in ("first.csv", "second.csv"):
        arguments = ["grade", str(tmp_path / "in"), "--out", str(tmp_path / out), "--seed", "9",
                     "--exercises", "kl,laplace-energy"]  # fmt: skip
        assert main(arguments) == 0
        tables.append((tmp_path / out).read_text(encoding="utf-8"))
    assert tables[0] == tables[1]
    assert len(list(csv.reader(tables[0].splitlines()))) == 101


@pytest.mark.slow
def test_the_answers_of_the_tests_get_their_points_as_submissions(tmp_path):
    """Right ones all, wrong ones not all."""
    by_exercise = {}
    for right, pairs in ((True, all_right()), (False, all_wrong())):
        for name, answer in pairs:
            if codes := of_answer(name, answer):
                own = getattr(answer, "__name__", repr(answer))  # some are values
                by_exercise.setdefault(name, []).append((right, own, codes))
    assert len(by_exercise) >= 18
    for name, listed in by_exercise.items():
        task = code_task(name)
        paths = [
            hand_in(tmp_path / name / f"{n}.ipynb", *codes)
            for n, (_, _, codes) in enumerate(listed)
        ]
        for (right, own, _), found in zip(listed, grade_files(paths, [task], 8)):
            result = found.results[name]
            assert (result["points"] == task.of) is right, (own, result["lines"])
