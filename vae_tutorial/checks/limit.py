"""A time limit for calls of a student's code, so that an endless loop does not hang a notebook.

In the main thread of Linux and macOS, where Jupyter and Colab run their cells, the limit is a
timer of the operating system (SIGALRM). On Windows, and in other threads, a second thread asks
Python to raise the error in the first. Both take effect between two steps of Python: a single call
of a library that lasts for minutes is stopped when it returns, and with the second way so is
`time.sleep`. Code that catches every error in an endless loop, with a bare `except`, can be
stopped by the Stop button only.

The limit is one of computing time: where a busy or sleeping machine gave the process less than half
of it, the call gets the same time again, twice at most.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator

SECONDS = 20.0
"""The limit of a call. Slow loops over tiny inputs take less than a tenth of it."""


class TooSlow(BaseException):
    """A call took longer than it may. No `Exception`, which student's code may catch."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises `TooSlow` inside the block after `seconds`."""
    main = threading.current_thread() is threading.main_thread()
    with _alarm(seconds) if main and hasattr(signal, "setitimer") else _watcher(seconds):
        yield


def _patience(seconds: float) -> Callable[[], bool]:
    """A function that says whether to wait once more: little was computed so far."""
    start, tries = time.process_time(), itertools.count(1)

    def patient() -> bool:
        return time.process_time() - start < seconds / 2 and next(tries) < 3

    return patient


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """By the timer of the operating system. A timer that is running is set again afterwards."""

    patient = _patience(seconds)

    def ring(*_: object) -> None:
        if patient():
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            raise TooSlow

    start, before = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
        if left:
            rest = max(left - (time.monotonic() - start), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, rest, interval)


@contextlib.contextmanager
def _watcher(seconds: float) -> Iterator[None]:
    """By a second thread that waits."""
    caller, done, lock = ctypes.c_ulong(threading.get_ident()), threading.Event(), threading.Lock()
    fired = threading.Event()
    patient = _patience(seconds)

    def watch() -> None:
        while not done.wait(seconds):
            if patient():
                continue
            with lock:  # the block may have ended in the meantime
                if not done.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(caller, ctypes.py_object(TooSlow))
                    fired.set()
            return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        with lock:
            done.set()
        if fired.is_set():
            _let_it_arrive()


def _let_it_arrive() -> None:
    """Take an error that was asked for and has not come yet, if the block ended just before it.

    It cannot be called off: asking for no error instead leaves the interpreter with a mark that
    something is pending, for ever, on which Python 3.11 hangs as soon as a profiler runs.
    """
    with contextlib.suppress(TooSlow):
        for _ in range(100):
            time.sleep(0)
