"""Answers that misbehave: a check raises nothing, and leaves the caller's state alone."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_exercises import SQUARE, graded, square_length, text_of
from torch import nn

from vae_tutorial.checks import check, grade, limit
from vae_tutorial.checks.sandbox import copied


class BadTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError("no")


class BadText:
    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __eq__ = __bool__ = __repr__
    __hash__ = None


class BadError(Exception):
    def __str__(self):
        raise RuntimeError("no")


class BadMeta(type):
    @property
    def __name__(cls):
        raise RuntimeError("no")


class BadClass(metaclass=BadMeta):
    pass


class Liar:
    @property
    def __class__(self):
        raise RuntimeError("no")


def raises(error):
    def answer(*inputs):
        raise error

    return answer


def itself():
    endless = []
    endless.append(endless)
    return endless


def deep(x, *rest):
    return deep(x, *rest)


def closes_output(*inputs):
    sys.stdout.close()
    sys.stderr.close()


def prints(*inputs):
    print("noise " * 1000)
    print("noise", file=sys.stderr)
    return inputs[0].sum(-1)


async def coroutine(*inputs):
    return inputs[0]


def generator(*inputs):
    yield inputs[0]


def resizes(x, *rest):
    x.resize_(0)
    return x


def warns(x, *rest):
    warnings.warn("look out", stacklevel=1)
    return x.sum(-1)


def changes_settings(x, *rest):
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    return torch.rand(len(x))


def changes_device(x, *rest):
    torch.set_default_device("meta")
    return torch.rand(len(x))


NASTY = {
    "system exit": raises(SystemExit(1)),
    "generator exit": raises(GeneratorExit()),
    "base exception": raises(BaseException("base")),
    "class of an error": raises(ValueError),
    "error without text": raises(BadError()),
    "long error": raises(ValueError("x" * 10**5)),
    "exit": lambda *inputs: sys.exit(),
    "recursion": deep,
    "bad tensor": lambda *inputs: torch.zeros(5).as_subclass(BadTensor),
    "bad text": lambda *inputs: BadText(),
    "bad metaclass": lambda *inputs: BadClass(),
    "liar": lambda *inputs: Liar(),
    "liar itself": Liar(),
    "bad class itself": BadClass,
    "bad text itself": BadText(),
    "a list in itself": lambda *inputs: itself(),
    "coroutine": coroutine,
    "generator": generator,
    "closes output": closes_output,
    "prints": prints,
    "warns": warns,
    "resizes its input": resizes,
    "settings": changes_settings,
    "device": changes_device,
    "sparse": lambda x, *rest: x.sum(-1).to_sparse(),
    "meta": lambda x, *rest: torch.zeros(len(x), device="meta"),
    "complex": lambda x, *rest: x.sum(-1) * 1j,
    "quantised": lambda x, *rest: torch.quantize_per_tensor(x.sum(-1), 0.1, 0, torch.qint8),
    "nested": lambda x, *rest: torch.nested.nested_tensor([x.sum(-1)]),
    "parameter": lambda x, *rest: nn.Parameter(x.sum(-1)),
    "huge number": lambda *inputs: 10**5000,
    "text": lambda *inputs: "hm",
    "the inputs": lambda *inputs: inputs,
    "the function": lambda *inputs: square_length,
    "a module": nn.Linear(3, 2),
    "a class": nn.Linear,
    "builtin": print,
    "no arguments": lambda: 1,
    "a number": 3.2,
    "a text": "my_kl",
    "an array": np.zeros(3),
    "a tensor": torch.zeros(2),
}


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", NASTY)
@pytest.mark.parametrize("name", ["kl", "square-length"])
def test_nothing_is_raised(name, kind, capsys):
    answer = NASTY[kind]
    state = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    if name == "kl":
        assert check(name, answer) is None
        printed = capsys.readouterr().out
    else:
        report = graded(SQUARE, answer)
        assert report.points < report.of
        printed = str(report)
    assert printed.startswith(f"{name}: ")
    assert "noise" not in printed
    assert torch.is_grad_enabled() and torch.get_default_dtype() is torch.float32
    assert torch.zeros(1).device.type == "cpu"
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1] and random.getstate() == state[2]


def test_a_call_does_not_change_the_settings_of_the_next():
    seen = []

    def answer(x):
        seen.append((torch.get_default_dtype(), torch.is_grad_enabled()))
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return x.sum(-1)

    graded(SQUARE, answer)
    assert len(seen) > 3 and set(seen) == {(torch.float32, True)}


def test_warnings_of_an_answer_are_not_shown(recwarn):
    graded(SQUARE, warns)
    assert [each.message for each in recwarn if "look out" in str(each.message)] == []


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit(), BaseException("base")])
def test_an_exit_is_laid_on_the_answer(error):
    assert f"it raised {type(error).__name__}" in text_of(graded(SQUARE, raises(error)))


def test_copies_share_nothing_with_their_originals():
    x, array = torch.zeros(2), np.zeros(2)
    copy = copied({"x": [x], "array": (array,)})
    copy["x"][0] += 1
    copy["array"][0][0] = 1
    assert not x.any() and not array.any()


def test_a_long_error_is_cut():
    text = str(graded(SQUARE, NASTY["long error"]))
    assert "xxx" in text and len(text) < 1000


def test_names_are_not_broken_at_their_hyphens():
    assert 'check("square-length", square_length)' in " ".join(str(graded(SQUARE, 1.0)).split())


def test_a_student_can_interrupt():
    with pytest.raises(KeyboardInterrupt):
        check("kl", raises(KeyboardInterrupt()))


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
    st.lists(st.floats()), st.dictionaries(st.text(), st.integers()), st.just(...),
    st.complex_numbers(),
    st.lists(st.integers(0, 4), max_size=4).map(torch.zeros),
    st.lists(st.integers(0, 4), max_size=4).map(lambda shape: torch.full(shape, torch.nan)),
    st.lists(st.integers(0, 4), max_size=3).map(lambda shape: np.zeros(shape, dtype=object)),
    st.sampled_from([object(), int, np, print, np.float32(2), torch.float32, iter([])]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_any_value(value):
    """Whatever comes back, or is handed in, there is a report, and no points for it."""
    for answer in (value, lambda *inputs: value):
        for report in (grade("kl", answer), graded(SQUARE, answer)):
            assert report.points == 0
            assert "this is a fault of the check" not in text_of(report), report
            str(report)


def test_prints_are_noted():
    assert "what the answer prints is not shown here" in text_of(grade("kl", _chatty))


def _chatty(mu, logvar):
    print(mu.shape)
    return mu.sum(-1)


def test_the_callers_settings_do_not_matter_and_are_kept():
    def right(x):
        return x.square().sum(-1)

    try:
        torch.set_default_dtype(torch.float64)
        with torch.inference_mode():
            assert graded(SQUARE, right).points == 5
            assert torch.is_inference_mode_enabled()
        with torch.no_grad():
            assert graded(SQUARE, right).points == 5
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() is torch.float64
        with torch.device("meta"):
            assert graded(SQUARE, right).points == 5
            assert torch.zeros(1).is_meta
        torch.set_default_device("meta")
        assert graded(SQUARE, right).points == 5
        assert torch.zeros(1).is_meta
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


def endless(*inputs):
    while True:
        pass


def endless_with_except(*inputs):
    while True:
        try:
            inputs[0].sum()
        except Exception:
            continue


def sleeps(*inputs):
    time.sleep(60)


@pytest.mark.parametrize("answer", [endless, endless_with_except, sleeps])
def test_a_call_that_does_not_end_is_stopped(answer, monkeypatch):
    monkeypatch.setattr(limit, "SECONDS", 0.2)
    report = graded(SQUARE, answer)
    assert report.points == 0
    assert 'it did not end within 0.2 seconds (at "' in text_of(report)


def test_a_later_call_that_does_not_end_is_stopped_too(monkeypatch):
    monkeypatch.setattr(limit, "SECONDS", 0.5)
    calls = []

    def answer(x):
        calls.append(x)
        return square_length(x) if len(calls) <= 4 else endless()

    text = text_of(graded(SQUARE, answer))
    assert "did not end within 0.5 seconds" in text
    assert "not tried, since a call before did not end" in text


def test_calls_in_another_thread_are_stopped(monkeypatch):
    """Where there is no alarm of the operating system."""
    monkeypatch.setattr(limit, "SECONDS", 0.3)
    reports = []
    thread = threading.Thread(
        target=lambda: reports.extend(graded(SQUARE, f) for f in (endless, square_length))
    )
    thread.start()
    thread.join(20)
    slow, right = reports
    assert "it did not end within 0.3 seconds" in text_of(slow)
    assert right.points == right.of


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarm on Windows")
def test_an_alarm_of_the_caller_still_rings():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        graded(SQUARE, square_length)
        time.sleep(0.5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rung


def test_a_profiler_runs_after_a_limit_that_was_kept():
    """Python 3.11 hangs here if the mark of a pending error is left behind."""
    code = (
        "import sys\n"
        "from vae_tutorial.checks import limit\n"
        "with limit._watcher(30): pass\n"
        "sys.setprofile(lambda *_: None)\n"
        "def f(): return 1\n"
        "assert f() == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
