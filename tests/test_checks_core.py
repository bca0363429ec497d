"""What exercises are made of, tested on made-up ones: gate, properties, suspects, reports."""

from __future__ import annotations

import functools
import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from made_up_exercises import (
    KNEE,
    NOISE,
    SCALER,
    SQUARE,
    Forgetful,
    Scaler,
    graded,
    square_length,
    text_of,
)
from torch import nn
from torch.nn import functional as F

from vae_tutorial.checks import UnknownExerciseError, check, grade, registry
from vae_tutorial.checks.core import Property, Suspect, Unmet, Within, gradient, keeps_inputs


class Module(nn.Module):
    def forward(self, x):
        return x.square().sum(-1)


class WithMethod:
    def length(self, x):
        return x.square().sum(-1)

    __call__ = length


RIGHT = {
    "function": square_length,
    "lambda": lambda x: x.square().sum(-1),
    "partial": functools.partial(torch.linalg.vecdot, dim=-1),
    "module": Module(),
    "method": WithMethod().length,
    "callable": WithMethod(),
    "builtin": functools.partial(lambda x, p: x.pow(p).sum(-1), p=2),
}
RIGHT["partial"] = functools.partial(lambda x, dim: x.square().sum(dim), dim=-1)


@pytest.mark.parametrize("answer", RIGHT.values(), ids=RIGHT)
def test_full_points(answer):
    report = graded(SQUARE, answer)
    assert (report.points, report.of) == (8, 8), report
    assert report.lines[0] == "square-length: 8 of 8 points. All right."


def zeros(x):
    return torch.zeros(len(x))


def in_place(x):
    return x.square_().sum(-1)


def rounded(x):
    return x.square().sum(-1) * 1.5


def shifted(x):
    return x.square().sum(-1) + 0.25


def not_a_number(x):
    return (x.square().sum(-1) - 1e6).sqrt()


def nan_for_the_first(x):
    y = x.square().sum(-1)
    return torch.where(torch.arange(len(x)) == 0, torch.nan, y)


def too_large(x):
    return (x.square().sum(-1) + 1e6).exp()


def cut_in_part(x):
    return x[:, 0].square() + x[:, 1:].square().sum(-1).detach()


def fails_for_one(x):
    return x.square().sum(-1) / (1 if len(x) > 1 else None)


def fails_in_torch(x):
    return F.normalize(x, dim=7)


def whole(x):
    return x.square().sum(-1).long()


# The points, and a piece of the text, for answers that are wrong in one way.
WRONG = {
    "zeros, which keep inputs too": (zeros, 0, "– not counted before the rest is right, 0 of 1"),
    "a suspect by its shape": (lambda x: x.pow(2).sum(), 0, "Hint: One for all."),
    "a suspect by its numbers": (lambda x: (x * x).mean(1), 0, "Hint: A mean over the row."),
    "no suspect, one number": (lambda x: x.sum(), 0, "One number came for the whole batch"),
    "a number": (lambda x: 3.0, 0, "came: a number"),
    "numpy": (lambda x: x.numpy().sum(1), 0, "A numpy array came."),
    "a list": (lambda x: x.sum(-1).tolist(), 0, "Several values came"),
    "an axis kept": (lambda x: x.square().sum(-1, keepdim=True), 0, "Axes of length 1 differ"),
    "an axis left": (lambda x: x.square(), 0, "The last axis is still there"),
    "pairs": (lambda x: x.sum(1)[:, None] - x.sum(1), 0, "paired every row with every other"),
    "another device": (lambda x: x.sum(-1).to("meta"), 0, "shape (5,) on the device meta"),
    "why there": (lambda x: x.sum(-1).to("meta"), 0, "Make new tensors where the others are"),
    "sparse": (lambda x: x.sum(-1).to_sparse(), 0, "it raised TypeError: the result is a sparse"),
    "whole numbers": (whole, 0, "of type torch.int64"),
    "None in a branch": (lambda x: x.square().sum(-1) if len(x) > 1 else None, 0, "came: None"),
    "an object": (lambda x: Module(), 0, "came: an object of type Module"),
    "an error": (fails_for_one, 0, "it raised TypeError: unsupported operand"),
    "its place": (fails_for_one, 0, '(at "return x.square().sum(-1) / (1 if len(x) > 1'),
    "the place in a call of torch": (fails_in_torch, 0, '(at "return F.normalize(x'),
    "its inputs": (fails_for_one, 0, "called as square_length(x) with x (1, 4)"),
    "too many arguments": (lambda x, y: x, 0, "missing 1 required positional argument: 'y'"),
    "not a function": (torch.zeros(5), 0, "expected: the function itself, without brackets"),
    "a factor": (rounded, 0, "All results are 1.5 times what they should be."),
    "a constant": (shifted, 2 + 1 + 1, "All results are 0.25 too large."),
    "NaN": (not_a_number, 0, "Some of the results are NaN"),
    "NaN in one place": (nan_for_the_first, 0, "Some of the results are NaN"),
    "infinite": (too_large, 0, "Some of the results are infinite"),
    "inputs changed": (in_place, 7, "Argument 1 is changed in place"),
    "cut": (lambda x: x.square().sum(-1).detach(), 6, "No gradient reaches any input."),
    "no gradient": (torch.no_grad()(square_length), 6, "No gradient reaches any input."),
    "cut in part": (cut_in_part, 6, "The largest deviation is at result[0]["),
    "class for function": (WithMethod, 0, "it raised TypeError"),
}


@pytest.mark.parametrize(("answer", "points", "piece"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer(answer, points, piece):
    report = graded(SQUARE, answer)
    assert piece in text_of(report), report
    assert (report.points, report.of) == (points, 8), report


def test_a_hint_is_given_once():
    report = graded(SQUARE, lambda x: x.square().mean(-1))
    assert report.lines[2].endswith("Hint: A mean over the row.")
    assert graded(SQUARE, zeros).lines[0] == "square-length: 0 of 8 points"
    texts = [line.strip() for line in graded(SQUARE, lambda x: (x * x).mean(1)).lines]
    assert texts.count("Hint: A mean over the row.") == texts.count("Hint: as above.") == 1


def test_axes_the_other_way_round():
    rows = replace(SQUARE, oracle=lambda x: x + 1, properties=(Property("it", 1),), suspects=())
    assert "The axes are the other way round." in text_of(graded(rows, lambda x: x.T + 1))
    assert "The first axis is gone" in text_of(graded(rows, lambda x: x.sum(0)))


def test_results_that_are_nearly_right_are_not_called_a_multiple():
    """0.1 per cent off is what rounding does."""
    assert "times what they should be" not in text_of(
        graded(SQUARE, lambda x: 1.001 * x.square().sum(-1))
    )


def test_all_right_is_said_of_full_points_only():
    assert graded(SQUARE, in_place).lines[0] == "square-length: 7 of 8 points"


def test_the_largest_deviation_is_told():
    """Of all cases and entries; where errors are known, in units of them."""
    entry = replace(
        SQUARE, oracle=lambda x: x.new_zeros(x.shape), properties=(Property("all", 1),), suspects=()
    )

    def wrong(x):
        y = torch.zeros_like(x)
        y[-1, -1], y[0, 0] = (4.0 if len(x) == 5 else -7.0), 2.0
        return y

    assert "The largest deviation is at result[0][3]: -7 came, expected 0" in text_of(
        graded(replace(entry, inputs=lambda rng: SQUARE.inputs(rng)[:2]), wrong)
    )
    known = Property("one", 1, expected=lambda x: Within(torch.zeros(2), torch.tensor([9.0, 1.0])))
    pair = replace(entry, oracle=lambda x: x.new_zeros(2), properties=(known,))
    hint = text_of(graded(pair, lambda x: torch.tensor([6.0, 2.0])))
    assert "at result[1]: 2 came, expected 0" in hint


def test_nan_where_nan_is_right():
    """As the slope of a root at 0, or the mean of nothing."""
    mean = replace(
        SQUARE, oracle=lambda x: x[:, 3:].mean(1), properties=(Property("it", 1),), suspects=()
    )
    assert graded(mean, lambda x: x[:, 3:].sum(1) / (x.shape[1] - 3)).points == 0
    empty = replace(mean, inputs=lambda rng: [(torch.ones(2, 3),)])
    assert graded(empty, lambda x: x[:, 3:].sum(1) / 0).points == 1
    assert graded(empty, lambda x: x.sum(1)).points == 0
    endless = replace(empty, oracle=lambda x: x.sum(1) / 0)
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


def test_an_answer_that_is_right_where_it_should_be_wrong_is_not_taken_for_a_suspect():
    """A suspect that is right within the error explains nothing."""
    near = Suspect(lambda x: x.square().sum(-1) + 1e-7, "No mistake at all.")
    report = graded(replace(SQUARE, suspects=(near,)), lambda x: x.square().sum(-1) + 1e-4)
    assert "No mistake" not in text_of(report)
    assert report.points < report.of


def test_a_suspect_within_the_error_of_the_right_result_is_not_named():
    known = replace(
        SQUARE,
        properties=(Property("it", 1, expected=lambda x: Within(x.square().sum(-1), 1.0)),),
        suspects=(Suspect(lambda x: x.square().sum(-1) + 0.8, "No mistake at all."),),
    )
    report = graded(known, lambda x: x.square().sum(-1) + 1.5)
    assert report.points == 0 and "No mistake" not in text_of(report)


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


def test_the_suspects_of_a_property_come_first():
    own = Property("it", 1, suspects=(Suspect(lambda x: x.square().mean(-1), "Its own."),))
    text = text_of(graded(replace(SQUARE, properties=(own,)), lambda x: (x * x).mean(-1)))
    assert "Its own." in text and "A mean over the row." not in text


@pytest.mark.parametrize("seed", range(5))
def test_numbers_that_are_known_within_an_error(seed):
    """Five standard errors for 20 entries each: it fails for 1 seed in 80,000."""
    right = graded(NOISE, lambda x: torch.randn_like(x) + x, seed)
    assert right.points == right.of, right
    wrong = graded(NOISE, lambda x: torch.randn_like(x) + x + 1, seed)
    assert "The noise is not centred." in text_of(wrong), wrong
    negative = graded(NOISE, lambda x: x - 20, seed)
    assert "It is negative somewhere." in text_of(negative), negative


def test_errors_of_parts():
    """`Within` inside a tuple, and a suspect that is matched within it."""
    pair = replace(
        NOISE,
        gate=lambda result, x: None,
        properties=(
            Property(
                "both",
                1,
                measure=lambda f, x: (f(x).mean(), 1),
                expected=lambda x: (Within(x.mean(), 9), 1),
            ),
        ),
        suspects=(Suspect(lambda x: x + 100 + torch.randn_like(x), "A hundred."),),
    )
    assert graded(pair, lambda x: x + 1).points == 1
    assert "A hundred." in text_of(graded(pair, lambda x: x + 99))


def test_values():
    assert graded(KNEE, 6).points == graded(KNEE, torch.tensor(6.0)).points == 2
    assert graded(KNEE, np.int64(6)).points == graded(KNEE, lambda: 6).points == 2
    assert "Count the class too." in text_of(graded(KNEE, 5))
    assert "7 came, expected 6 (the value itself)" in text_of(graded(KNEE, 7))
    assert graded(KNEE, 10**400).points == graded(KNEE, math.nan).points == 0
    for other in (np.float32(6), np.array(6), np.array(True) * 6, 6.0):
        assert graded(KNEE, other).points == 2, other
    for other in (
        "6",
        np.str_("6"),
        np.array("6"),
        6 + 0j,
        torch.tensor(6 + 0j),
        torch.tensor([6]),
    ):
        assert "came: " in text_of(graded(KNEE, other)), other
    for nothing in (None, ...):
        line = (
            "knee: not answered yet. Expected: a whole number. Put it in and run this cell again."
        )
        assert graded(KNEE, nothing).lines == (line,)


def test_classes():
    assert graded(SCALER, Scaler).points == 6
    report = graded(SCALER, Forgetful)
    assert report.points == 0 and "The mean is still in it." in text_of(report)

    class Stub:
        def fit(self, x):
            raise NotImplementedError

    assert "not answered yet" in text_of(graded(SCALER, Stub))


def test_dictionaries_and_tuples():
    both = replace(
        SQUARE,
        oracle=lambda x: {"sum": x.sum(), "rows": (x.sum(0), x.sum(1))},
        properties=(Property("all", 1), gradient(1)),
        suspects=(),
    )
    right = {"rows": 0, "sum": 0, "more": 1}
    assert (
        graded(both, lambda x: right | {"sum": x.sum(), "rows": [x.sum(0), x.sum(1)]}).points == 2
    )
    assert "The dictionary lacks 'rows'." in text_of(graded(both, lambda x: {"sum": x.sum()}))
    for rows in [(0,), (0, 1, 1)]:
        answer = lambda x, r=rows: {"sum": x.sum(), "rows": [x.sum(axis) for axis in r]}  # noqa: E731
        assert f"'rows': {len(rows)} values" in text_of(graded(both, answer))
    wrong = graded(both, lambda x: {"sum": x.sum(), "rows": (x.sum(0), -x.sum(1))})
    assert "at result['rows'][1][" in text_of(wrong)


def test_gradients_of_the_weights_of_a_model():
    draw = lambda rng: [(nn.Linear(3, 2), torch.randn(4, 3, generator=rng))]  # noqa: E731
    linear = replace(
        SQUARE, inputs=draw, oracle=lambda f, x: f(x).sum(1), suspects=(), properties=(gradient(1),)
    )
    assert graded(linear, lambda f, x: f(x)[:, 0] + f(x)[:, 1]).points == 1
    assert graded(linear, lambda f, x: f(x).flip(0).sum(1)).points == 0
    half = graded(linear, lambda f, x: x @ f.weight.detach().T.sum(1) + f.bias.sum().detach())
    assert "No gradient reaches f." in text_of(half)


def test_changed_weights_of_a_model():
    def halves(f, x):
        y = f(x).sum(1)
        f.weight.data *= 0.5
        return y

    model = replace(
        SQUARE,
        inputs=lambda rng: [(nn.Linear(3, 2), torch.randn(4, 3, generator=rng))],
        oracle=lambda f, x: f(x).sum(1),
        properties=(Property("the sum", 1), keeps_inputs(1)),
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
        raise RuntimeError("an oracle that fails")

    report = graded(replace(SQUARE, oracle=broken), square_length)
    assert "this is a fault of the check" in text_of(report)


def test_inputs_are_drawn_afresh(capsys):
    seen = []
    for seed in (1, 1, 2):
        answer = lambda mu, logvar: seen.append(mu.clone())  # noqa: E731
        grade("kl", answer, seed=seed)
    first, again, other = seen[0], seen[len(seen) // 3], seen[-len(seen) // 3]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    seen.clear()
    for _ in range(2):
        check("kl", answer)
    assert not torch.equal(seen[0], seen[len(seen) // 2])


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
    report = grade("kl", lambda mu, logvar: mu.sum())
    assert printed == f"{report}\n"
    assert max(map(len, printed.split("\n"))) <= 92
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
    monkeypatch.setattr(registry, "chapters", lambda: iter([]))
    check("kl", square_length)
    assert capsys.readouterr().out == "There is no exercise 'kl'.\n"


def test_a_seed_that_is_none():
    with pytest.raises(ValueError, match=r"seed must be a whole number or None, got 1\.5"):
        grade("kl", square_length, seed=1.5)
    with pytest.raises(ValueError, match="got True"):
        grade("kl", square_length, seed=True)
    assert grade("kl", None, seed=-(2**70)).points == 0
