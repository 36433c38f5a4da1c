"""Signals that end a command: it ends once, and finishes cleaning up.

Only the command line installs handlers (`listen`); in other programs nothing here changes what a signal does.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 5.0  # seconds after a signal in which further ones are ignored, so that the run can clean up


class Terminated(KeyboardInterrupt):
    """SIGTERM; everything is cleaned up as after Ctrl-C."""


class HungUp(Terminated):
    """SIGHUP, of a terminal that was closed; everything is cleaned up as after Ctrl-C."""


#: What the signals that end a command raise.
RAISED: dict[int, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
    signal.SIGHUP: HungUp,
}


class _Signals:
    """State of the handler; Python runs handlers in the main thread alone."""

    def __init__(self) -> None:
        self.shields = 0
        self.waiting: KeyboardInterrupt | None = None
        self.last: float | None = None
        self.outside: Callable[[KeyboardInterrupt], Any] | None = None

    def receive(self, number: int, _: object) -> None:
        """Handle a signal; further ones are ignored while the run cleans up."""
        now = time.monotonic()
        if self.last is not None and now < self.last + PATIENCE:
            return
        self.last, problem = now, RAISED[number]()
        if self.outside is not None:
            self.outside(problem)
        elif self.shields:
            self.waiting = problem
        else:
            raise problem


_SIGNALS = _Signals()


def listen(outside: Callable[[KeyboardInterrupt], Any]) -> None:
    """Install the handlers; signals that are ignored stay so, as SIGHUP after ``nohup``, but not SIGTERM.

    Parameters
    ----------
    outside : callable
        Called where a signal comes before the work begins or after its end (see `working`); ends the process.
    """
    _SIGNALS.outside = outside
    for number in RAISED:
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _SIGNALS.receive)


@contextmanager
def working() -> Iterator[None]:
    """In the body, signals raise an exception."""
    outside, _SIGNALS.outside = _SIGNALS.outside, None
    try:
        yield
    finally:
        _SIGNALS.outside = outside


@contextmanager
def undisturbed() -> Iterator[None]:
    """In the body, signals wait: it makes or removes files that the code around it keeps track of.

    It has an effect only after `listen`, and in the main thread.
    """
    here = threading.current_thread() is threading.main_thread()
    _SIGNALS.shields += here
    try:
        yield
    finally:
        _SIGNALS.shields -= here
        if here and not _SIGNALS.shields and _SIGNALS.waiting is not None:
            problem, _SIGNALS.waiting = _SIGNALS.waiting, None
            raise problem
