"""What exercises are made of, tested on made-up ones: gate, properties, suspects, reports."""

from __future__ import annotations

import functools
import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from made_up_exercises import KNEE, NOISE, SQUARE, graded, square_length, text_of
from torch import nn
from torch.nn import functional as F

from vae_tutorial.checks import UnknownExerciseError, check, grade, registry
from vae_tutorial.checks.core import Property, Suspect, Unmet, keeps_inputs


class Module(nn.Module):
    def forward(self, x):
        return x.square().sum(-1)


class WithMethod:
    def length(self, x):
        return x.square().sum(-1)

    __call__ = length


def stored(factor):
    return lambda x: factor * x.square().sum(-1)


two = torch.tensor(2)

RIGHT = {
    "function": square_length,
    "lambda": lambda x: x.square().sum(-1),
    "partial": functools.partial(lambda x, dim: x.square().sum(dim), dim=-1),
    "module": Module(),
    "method": WithMethod().length,
    "callable": WithMethod(),
    "closure": stored(1.0),
    "a value of the notebook": lambda x: (x**two).sum(-1),
    "double": lambda x: x.double().square().sum(-1),
    "numpy": lambda x: (x.numpy() ** 2).sum(1),
    "numpy numbers": lambda x: [np.float32(v) for v in (x.numpy() ** 2).sum(1)],
    "a list": lambda x: x.square().sum(-1).tolist(),
    "a list of tensors": lambda x: [row.square().sum() for row in x],
    "loops": lambda x: torch.stack([sum(v * v for v in row) for row in x]),
    "detached": lambda x: x.square().sum(-1).detach(),
}


@pytest.mark.parametrize("answer", RIGHT.values(), ids=RIGHT)
def test_full_points(answer):
    report = graded(SQUARE, answer)
    assert (report.points, report.of) == (5, 5), report
    assert report.lines[0] == "square-length: 5 of 5 points. All right."


def test_a_gradient_that_nobody_asked_for_is_a_remark():
    report = graded(SQUARE, RIGHT["numpy"])
    assert "Remark, no points lost" in text_of(report)
    assert "No gradient reaches any input." in text_of(report)
    assert "Remark" not in text_of(graded(SQUARE, square_length))


def zeros(x):
    return torch.zeros(len(x))


def in_place(x):
    return x.square_().sum(-1)


def not_a_number(x):
    return (x.square().sum(-1) - 1e6).sqrt()


def nan_for_the_first(x):
    y = x.square().sum(-1)
    return torch.where(torch.arange(len(x)) == 0, torch.nan, y)


def fails_for_one(x):
    return x.square().sum(-1) / (1 if len(x) > 1 else None)


def fails_in_torch(x):
    return F.normalize(x, dim=7)


def pairs(x):
    return x.sum(1)[:, None] - x.sum(1)


# The points, and a piece of the text, for answers that are wrong in one way.
WRONG = {
    "zeros, which keep inputs too": (zeros, 0, "– not counted before the rest is right, 0 of 1"),
    "one for all": (lambda x: x.pow(2).sum(), 0, "These are the sum over the whole batch of"),
    "a mean": (lambda x: (x * x).mean(1), 0, "All results are 1/D times what they should be."),
    "a suspect by its shape": (lambda x: x.square().sum(1)[:, None] + 0 * x, 0, "each column."),
    "a suspect by its numbers": (lambda x: x.norm(dim=1), 0, "Not squared."),
    "no suspect, one number": (lambda x: x.sum(), 0, "One number came for the whole batch"),
    "a number": (lambda x: 3.0, 0, "came: a number"),
    "an axis kept": (lambda x: x.square().sum(-1, keepdim=True), 0, "Axes of length 1 differ"),
    "an axis left": (lambda x: x.square(), 0, "A right answer without `sum` in"),
    "pairs": (pairs, 0, "paired every row with every other"),
    "another device": (lambda x: x.sum(-1).to("meta"), 0, "on the device meta"),
    "sparse": (lambda x: x.sum(-1).to_sparse(), 0, "it raised TypeError: the result is a sparse"),
    "None in a branch": (lambda x: x.square().sum(-1) if len(x) > 1 else None, 0, "came: None"),
    "an object": (lambda x: Module(), 0, "came: an object of type Module"),
    "an error": (fails_for_one, 0, "it raised TypeError: unsupported operand"),
    "its place": (fails_for_one, 0, '(at "return x.square().sum(-1) / (1 if len(x) > 1'),
    "the place in a call of torch": (fails_in_torch, 0, '(at "return F.normalize(x'),
    "its inputs": (fails_for_one, 0, "called as square_length(x) with x (1, 4)"),
    "too many arguments": (lambda x, y: x, 0, "missing 1 required positional argument: 'y'"),
    "not a function": (torch.zeros(5), 0, "expected: the function itself, without brackets"),
    "a factor": (lambda x: 1.5 * x.square().sum(-1), 0, "All results are 1½ times what they"),
    "a constant": (lambda x: x.square().sum(-1) + 0.25, 0, "All results are too large by 0.25."),
    "NaN": (not_a_number, 0, "Some of the results are NaN"),
    "NaN in one place": (nan_for_the_first, 0, "Some of the results are NaN"),
    "infinite": (lambda x: (x.square().sum(-1) + 1e6).exp(), 0, "results are infinite"),
    "inputs changed": (in_place, 4, "Argument 1 is changed in place"),
    "class for function": (WithMethod, 0, "it raised TypeError"),
}


@pytest.mark.parametrize(("answer", "points", "piece"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer(answer, points, piece):
    report = graded(SQUARE, answer)
    assert piece in text_of(report), report
    assert (report.points, report.of) == (points, 5), report


K = 5


def test_values_of_the_notebook_are_noted_where_the_answer_is_wrong():
    report = graded(SQUARE, lambda x: x.square().sum(-1) / K)
    assert "Note: `K` from outside the function." in text_of(report)
    assert "Note" not in text_of(graded(SQUARE, lambda x: K * x.square().sum(-1) / K))


def test_a_hint_is_given_once():
    again = replace(SQUARE, properties=(SQUARE.properties[0],) * 2)
    texts = [line.strip() for line in graded(again, lambda x: x.norm(dim=1)).lines]
    assert texts.count("Hint: Not squared.") == texts.count("Hint: as above.") == 1
    assert graded(SQUARE, zeros).lines[0] == "square-length: 0 of 5 points"


def test_the_largest_deviation_is_told():
    """In units of what is allowed, and with digits that differ."""
    rows = replace(
        SQUARE, answer=lambda x: 0 * x.abs(), properties=(Property("all", 1),), suspects=()
    )

    def wrong(x):
        y = torch.zeros_like(x)
        y[-1, -1], y[0, 0] = (4.0 if len(x) == 5 else -7.0), 2.0
        return y

    text = text_of(graded(replace(rows, inputs=lambda rng: SQUARE.inputs(rng)[:2]), wrong))
    assert "The largest deviation is at result[0][3]: -7 came, expected 0" in text
    exact = replace(rows, properties=(Property("all", 1, rtol=1e-9, atol=0),))
    exact = replace(exact, answer=lambda x: x.double().cos() + 1998.59)
    text = text_of(graded(exact, lambda x: (x.cos() + 1998.59).float()))
    came, expected = text.split(": ")[-1].split(" (")[0].split(" came, expected ")
    assert came != expected


def test_nan_where_nan_is_right():
    """As the slope of a root at 0, or the mean of nothing."""
    empty = replace(
        SQUARE,
        answer=lambda x: x[:, 3:].mean(1),
        inputs=lambda rng: [(torch.ones(2, 3),)],
        properties=(Property("it", 1),),
        suspects=(),
    )
    assert graded(empty, lambda x: x[:, 3:].sum(1) / 0).points == 1
    assert graded(empty, lambda x: x.sum(1)).points == 0
    endless = replace(empty, answer=lambda x: x.sum(1) / 0)
    assert graded(endless, lambda x: (1000 * x[:, 0]).exp()).points == 1
    assert graded(endless, lambda x: -(1000 * x[:, 0]).exp()).points == 0


def stub(x):
    """What it should do."""


def half_written(x):
    length = ...
    return length**2


def not_implemented(x):
    raise NotImplementedError("later")


STUBS = [None, ..., stub, half_written, not_implemented, lambda x: ..., lambda x: (None, ...)]


@pytest.mark.parametrize("answer", STUBS)
def test_not_answered_yet(answer):
    report = graded(SQUARE, answer)
    assert report.points == 0
    assert report.lines == (
        "square-length: not answered yet. square_length(x) should return one number for each row, "
        "(B,). Write it, end it with `return`, and run this cell again.",
    )


def test_a_suspect_that_is_right_within_the_error_explains_nothing():
    near = Suspect(lambda x: x.square().sum(-1) + 1e-7, "No mistake at all.")
    report = graded(replace(SQUARE, suspects=(near,)), lambda x: x.square().sum(-1) + 3e-4)
    assert "No mistake" not in text_of(report)
    assert report.points < report.of


def test_inputs_of_a_property_and_inputs_that_take_no_generator():
    """The same seed draws them alike, and a property may have its own."""
    seen = []
    negative = Property("of −1", 1, inputs=lambda rng: [(-torch.ones(2, 2),)])
    known = replace(
        SQUARE, inputs=lambda rng: [(torch.rand(2, 3),)], properties=(negative,), suspects=()
    )
    for _ in range(2):
        report = graded(known, lambda x: (seen.append(x), x.abs().sum(-1) * x.abs()[:, 0])[1])
        torch.rand(1)
        assert report.points == 1
    assert [len(x.T) for x in seen] == [3, 2, 3, 2]
    assert torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("seed", range(5))
def test_rules(seed):
    right = graded(NOISE, lambda x: torch.randn_like(x) + x, seed)
    assert right.points == right.of, right
    wrong = graded(NOISE, lambda x: torch.randn_like(x) + x + 1, seed)
    assert "The noise is not centred." in text_of(wrong), wrong
    negative = graded(NOISE, lambda x: x - 20, seed)
    assert "It is negative somewhere." in text_of(negative), negative


def test_values():
    for right in (6, torch.tensor(6.0), np.int64(6), lambda: 6, np.array([6]), torch.tensor([6])):
        assert graded(KNEE, right).points == 2, right
    assert "Count the class too." in text_of(graded(KNEE, 5))
    assert "7 came, expected 6 (the value itself)" in text_of(graded(KNEE, 7))
    assert graded(KNEE, 10**400).points == graded(KNEE, math.nan).points == 0
    for other in ("6", np.str_("6"), np.array("6"), 6 + 0j, torch.tensor(6 + 0j)):
        assert "came: " in text_of(graded(KNEE, other)), other
    for nothing in (None, ...):
        line = (
            "knee: not answered yet. Expected: a whole number. Put it in and run this cell again."
        )
        assert graded(KNEE, nothing).lines == (line,)


def test_dictionaries_and_tuples():
    both = replace(
        SQUARE,
        answer=lambda x: {"sum": x.sum(), "rows": (x.sum(0), x.sum(1))},
        properties=(Property("all", 1),),
        suspects=(),
    )
    assert graded(both, lambda x: {"sum": x.sum(), "rows": [x.sum(0), x.sum(1)], "d": 1}).points
    assert "The dictionary lacks 'rows'." in text_of(graded(both, lambda x: {"sum": x.sum()}))
    for rows in [(0,), (0, 1, 1)]:
        answer = lambda x, r=rows: {"sum": x.sum(), "rows": [x.sum(axis) for axis in r]}  # noqa: E731
        assert "2 results are expected, in a tuple." in text_of(graded(both, answer))
    wrong = graded(both, lambda x: {"sum": x.sum(), "rows": (x.sum(0), -x.sum(1))})
    assert "at result['rows'][1][" in text_of(wrong)


def test_a_tuple_may_come_as_one_tensor():
    pair = replace(
        SQUARE, answer=lambda x: (x.sum(), x.mean()), properties=(Property("all", 1),), suspects=()
    )
    for answer in (
        lambda x: torch.stack([x.sum(), x.mean()]),
        lambda x: [float(x.sum()), x.mean()[None]],
        lambda x: np.array([x.sum().item(), x.mean().item()]),
    ):
        assert graded(pair, answer).points == 1
    assert graded(pair, lambda x: torch.stack([x.mean(), x.sum()])).points == 0


def test_changed_weights_of_a_model():
    def halves(f, x):
        y = f(x).sum(1)
        f.weight.data *= 0.5
        return y

    model = replace(
        SQUARE,
        inputs=lambda rng: [(nn.Linear(3, 2), torch.randn(4, 3, generator=rng))],
        answer=lambda f, x: f(x).sum(1),
        properties=(Property("the sum", 1), keeps_inputs()),
        suspects=(),
    )
    report = graded(model, halves)
    assert report.points == 1 and "Argument 1 is changed in place" in text_of(report)


def test_a_gate_of_its_own():
    def gate(result, x):
        if not isinstance(result, str):
            raise Unmet("a text is asked for")

    spoken = replace(SQUARE, gate=gate, properties=(Property("a", 1, expected="hm"),), suspects=())
    assert graded(spoken, lambda x: "hm").points == 1
    assert graded(spoken, lambda x: "so").points == 0
    assert "a text is asked for" in text_of(graded(spoken, lambda x: x))


def test_a_fault_of_the_check_is_not_laid_on_the_student():
    def broken(x):
        raise RuntimeError("a right answer that fails")

    report = graded(replace(SQUARE, answer=broken), square_length)
    assert "this is a fault of the check" in text_of(report)


def test_inputs_are_drawn_afresh():
    seen = []
    answer = lambda mu, logvar: seen.append(mu.clone())  # noqa: E731
    for seed in (1, 1, 2):
        grade("kl", answer, seed=seed)
    firsts = [x for x in seen if x.shape == (5, 3)]
    assert torch.equal(firsts[0], firsts[1]) and not torch.equal(firsts[0], firsts[2])
    seen.clear()
    for _ in range(2):
        check("kl", answer)
    firsts = [x for x in seen if x.shape == (5, 3)]
    assert not torch.equal(firsts[0], firsts[1])


def test_noise_is_not_the_numbers_of_the_inputs():
    """An answer's first draw, in the shape of an input that was drawn first."""
    noise = []

    def answer(x):
        noise.append((torch.randn_like(x), x))
        return x.square().sum(-1)

    graded(SQUARE, answer)
    assert not any(torch.allclose(eps, x) for eps, x in noise)


def test_what_check_prints_is_the_report(capsys):
    assert check("kl", lambda mu, logvar: mu.sum()) is None
    printed = capsys.readouterr().out
    assert printed.startswith("kl: 0 of ")
    assert max(map(len, printed.split("\n"))) <= 92
    report = grade("kl", lambda mu, logvar: mu.sum())
    with pytest.raises(FrozenInstanceError):
        report.points = 10


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("KL", ["There is no exercise 'KL'. Did you mean 'kl'", "Chapter 3 has: "]),
        ("zzzzzz", ["There is no exercise 'zzzzzz'.\n", "Chapter 3 has: "]),
        (square_length, ["got function. The name comes first, the answer second."]),
        (np.zeros(3), ["got ndarray"]),
        (None, ["got NoneType"]),
    ],
)
def test_unknown_names(name, pieces, capsys):
    check(name, square_length)
    printed = capsys.readouterr().out
    for piece in pieces:
        assert piece in printed
    with pytest.raises(UnknownExerciseError):
        grade(name, square_length)


def test_chapters_without_checks_are_passed_over(monkeypatch, tmp_path, capsys):
    """A chapter may have no module, and a module's helpers are no chapters."""
    for name in ("chapter_02.py", "chapter_02_oracles.py", "chapter_07.py", "core.py"):
        (tmp_path / name).touch()
    monkeypatch.setattr(registry, "__file__", str(tmp_path / "registry.py"))
    assert list(registry.chapters()) == [2, 7]
    monkeypatch.setattr(registry, "chapters", list)
    check("kl", square_length)
    assert capsys.readouterr().out == "There is no exercise 'kl'.\n"


def test_a_seed_that_is_none():
    with pytest.raises(ValueError, match=r"seed must be a whole number or None, got 1\.5"):
        grade("kl", square_length, seed=1.5)
    with pytest.raises(ValueError, match="got True"):
        grade("kl", square_length, seed=True)
    assert grade("kl", None, seed=-(2**70)).points == 0
