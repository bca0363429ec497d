"""The general search: slips that nobody listed are named."""

from __future__ import annotations

import math

import pytest
import torch
from made_up_exercises import ENERGY, graded, text_of

from vae_tutorial.checks.mutants import mutants, replaced
from vae_tutorial.checks.names import foreign_values


def terms(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - logvar)


SLIPS = {
    "All results are minus what they should be": lambda m, v: -terms(m, v).sum(1),
    "All results are 2 times": lambda m, v: 2 * terms(m, v).sum(1),
    "All results are ½ · D times": lambda m, v: terms(m, v).sum(1) * m.shape[1] / 2,
    "All results are 1/B times": lambda m, v: terms(m, v).sum(1) / len(m),
    "All results are 1/D times": lambda m, v: terms(m, v).mean(1),
    "All results are log 2 times": lambda m, v: terms(m, v).sum(1) * math.log(2),
    "All results are 1.234 times": lambda m, v: terms(m, v).sum(1) * 1.234,
    "All results are √B times": lambda m, v: terms(m, v).sum(1) * len(m) ** 0.5,
    "All results are too large by ½ · D": lambda m, v: (terms(m, v) + 0.5).sum(1),
    "All results are too small by log B": lambda m, v: terms(m, v).sum(1) - math.log(len(m)),
    "These are the sum over the whole batch": lambda m, v: terms(m, v).sum(),
    "These are the mean over the whole batch": lambda m, v: terms(m, v).sum(1).mean(),
    "These are the exponential of the right": lambda m, v: terms(m, v).sum(1).exp(),
    "These are the square of the right": lambda m, v: terms(m, v).sum(1) ** 2,
    "These are 1 minus the right": lambda m, v: 1 - terms(m, v).sum(1),
    "`mu` and `logvar` are exchanged": lambda m, v: terms(v, m).sum(1),
    "Rows and columns are exchanged": lambda m, v: terms(m, v).sum(0),
    "You took log σ for log σ²: `logvar`": lambda m, v: terms(m, 2 * v).sum(1),
    "The sign of `logvar` is turned round": lambda m, v: terms(m, -v).sum(1),
    "without `sum` in": terms,
    "`.mean()` for `.sum(-1)`": lambda m, v: terms(m, v).mean(),
    "without `- 0.5 * logvar`": lambda m, v: (terms(m, v) + 0.5 * v).sum(1),
    "the sign of `0.5 * logvar` turned round": lambda m, v: (terms(m, v) + v).sum(1),
    "without the factor `0.5`": lambda m, v: (terms(m, v) + 0.5 * m**2).sum(1),
    "without the power in `mu ** 2`": lambda m, v: (terms(m, v) + 0.5 * (m - m**2)).sum(1),
    "without `exp` in `logvar.exp()`": lambda m, v: (0.5 * m**2).sum(1),
    "with the root of `logvar.exp()`": lambda m, v: (
        terms(m, v) + 0.5 * ((0.5 * v).exp() - v.exp())
    ).sum(1),
    "That is a cosine.": lambda m, v: (terms(m, v) + 0.5 * (v.cosh() - v.exp())).sum(1),
    "Your result does not depend on `logvar`": lambda m, v: (m**3).sum(1),
}


@pytest.mark.parametrize(("piece", "answer"), SLIPS.items(), ids=SLIPS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_slip_is_named(piece, answer, seed):
    report = graded(ENERGY, answer, seed)
    assert report.points == 0
    assert piece in text_of(report), report


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_named_where_nothing_fits(seed):
    answer = lambda mu, logvar: (mu.sin() + logvar.cos()).sum(1)  # noqa: E731
    assert "The largest deviation" in text_of(graded(ENERGY, answer, seed))


def loop(x, n):
    total = 0 * x
    for k in range(n):
        total = total + k * x
        x = x + 1
    return total, x


def test_lines_are_left_out_and_exchanged():
    made = dict(mutants(loop))
    x = torch.ones(2)
    for hint, expected in (
        ("A right answer without the line `x = x + 1` gives your results.", (3.0, 1.0)),
        ("Two steps are in the other order: first comes `total = total + k * x`.", (11.0, 4.0)),
        ("The results are in another order: total, x is the right one.", (4.0, 8.0)),
    ):
        assert tuple(float(part[0]) for part in made[hint](x, 3)) == expected, hint
    assert len(made) > 20


def test_no_source_no_mutants():
    assert mutants(torch.exp) == mutants(eval("lambda x: x")) == ()


def test_a_slip_that_is_not_in_the_source_is_a_fault_of_the_author():
    with pytest.raises(ValueError, match="loop has no 'k / x' in its source"):
        replaced(loop, "k / x", "k")
    assert replaced(loop, "k * x", "k")(torch.ones(1), 3)[0] == 3


scale, shapes = 2.0, [3]
model = torch.nn.Linear(2, 2)


def helper(v):
    return v * scale


def test_values_out_of_the_notebook():
    """Numbers, tensors, lists and models; no functions, modules, classes or constants of math."""
    k = 3
    assert foreign_values(lambda v: v * scale) == ["scale"]
    assert foreign_values(lambda v: [u * k for u in v]) == ["k"]
    assert foreign_values(lambda v: helper(v)) == ["scale"]
    assert foreign_values(lambda v: model(v) + shapes[0]) == ["model", "shapes"]
    assert foreign_values(lambda v: torch.exp(v) * math.pi + len(v)) == []
    assert foreign_values(torch.exp) == foreign_values(3) == []
