"""Values that an answer takes out of the notebook are found, and nothing else is."""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import pytest
from made_up_exercises import SQUARE, graded, text_of

from vae_tutorial.checks.names import foreign_values

# Values out of the notebook: the names that are found in a notebook of this code.
NOTEBOOK = """
import math
from functools import partial, lru_cache
from math import pi
from typing import Optional
from elsewhere import prior_of
import numpy as np
import torch
from numpy import exp
import torch.nn.functional as F
from torch import float64, nn
from torch.distributions import Normal

x, model, scale, table = torch.ones(2), nn.Linear(2, 2), 2.0, {{}}
D = 3
device = torch.device("cpu")
prior = Normal(0.0, 1.0)
Pair = tuple[int, int]

def helper(v):
    return v * scale

def pure_helper(v):
    return F.relu(v) * pi

twice = partial(pure_helper)

@lru_cache
def cached(v):
    return v

class Box:
    size = 3
    def double(self, v):
        return 2 * v * D

def make(k):
    def inner(v):
        return k * v
    return inner

{code}
"""
FOREIGN = {
    "def f(v): return v + x": ["x"],
    "def f(v): return model(v)": ["model"],
    "def f(v): return torch.exp(v).to(device, float64) * math.pi * pi": [],
    "def f(v): return [a * scale for a in v]": ["scale"],
    "def f(v):\n    def g(u): return u * scale\n    return g(v)": ["scale"],
    "def f(v): return helper(v)": ["scale"],
    "def f(v): return pure_helper(v) + cached(v)": [],
    "def f(v): return prior.log_prob(v) + D": ["D", "prior"],
    "def f(v): return Normal(v, 1.0).sample() + len(v)": [],
    "def f(v, k=scale): return k * v": [],
    "half = partial(helper)\ndef f(v): return half(v)": ["scale"],
    "def f(v): return prior_of(v)": [],
    "def f(v):\n    global table\n    table = v": ["table"],
    "f = lambda v: v * x": ["x"],
    "f = partial(lambda v, s: v * s + x, s=scale)": ["x"],
    "f = make(scale)": ["k"],
    "f = make": [],
    "f = torch.no_grad()(lambda v: v * x)": ["x"],
    "f = lru_cache(lambda v: v * x)": ["x"],
    "Maybe = int | None\ndef f(v): return isinstance(v, Maybe)": [],
    "f = Box": ["D"],
    "f = Box().double": ["D"],
    "def f(v): return Box().double(v)": ["D"],
    "f = torch.exp": [],
    "f = nn.Linear(2, 2)": [],
    "class f(nn.Module):\n    def forward(self, v): return v * x": ["x"],
    "def f(v: Pair) -> Pair: return Pair(v)": [],
    "def f(v): return f(v - 1) if v else missing": [],
    "def f(v):\n    class Inner:\n        k = scale\n    return Inner.k * v": ["scale"],
    "class f(Box):\n    pass": ["D"],
    "f = type('Small', (Box,), {})().double": ["D"],
    "sum = 3.0\ndef f(v): return v * sum": ["sum"],
    "def f(v): return sum(v) * abs(v)": [],
    "def f(v): return Optional[v], np.exp(v), exp(v), twice(v)": [],
    "f = 3": [],
}


ELSEWHERE = "width = 2.0\ndef prior_of(v): return width * v"


def _module(code: str) -> types.ModuleType:
    """A library of the reader's own: what its functions use is none of the notebook's business."""
    module = types.ModuleType("elsewhere")
    exec(code, module.__dict__)
    return module


@pytest.mark.parametrize(("code", "names"), FOREIGN.items(), ids=FOREIGN)
def test_values_out_of_the_notebook(code, names, monkeypatch):
    monkeypatch.setitem(sys.modules, "elsewhere", _module(ELSEWHERE))
    space = {"__name__": "notebook"}
    exec(NOTEBOOK.format(code=code), space)
    assert foreign_values(space["f"]) == names


def test_values_out_of_the_notebook_cost_nothing_where_nobody_asks():
    factor = 1.0
    lenient = replace(SQUARE, properties=SQUARE.properties[:3])
    report = graded(lenient, lambda x: factor * x.square().sum(-1))
    assert report.points == report.of == 7
    assert "Note: The answer uses `factor` out of the notebook" in text_of(report)
    strict = graded(SQUARE, lambda x: factor * x.square().sum(-1))
    assert strict.points == 7 and "Hint: The answer uses `factor`" in text_of(strict)
