"""Being asked to stop: by Ctrl-C, and by SIGTERM, with which clusters and containers warn.

Python turns Ctrl-C into an exception between any two lines, which may be in the middle of an
update. Training rather finishes its step: the signal leaves a note, and the loop reads it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """`signal_name` is empty until a signal came; the request is true from then on."""

    signal_name = ""

    def __bool__(self) -> bool:
        return bool(self.signal_name)


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Inside, SIGINT and SIGTERM set the request; a second SIGINT is the usual exception.

    The handlers from before are back afterwards. Signals reach the main thread only, so
    elsewhere the request never comes; a signal that the process was told to ignore (by `nohup`,
    say) stays ignored.
    """
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        if request and number == signal.SIGINT:
            raise KeyboardInterrupt  # somebody is in a hurry, or a step never ends
        request.signal_name = signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    taken = [n for n, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    try:
        for number in taken:
            signal.signal(number, note)
        yield request
    finally:
        for number in taken:
            signal.signal(number, before[number])
