"""Signals that end a command: it ends once, and finishes cleaning up.

Only the command line installs handlers (`listen`); in other programs nothing here changes what a signal does.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
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
        self.told: float | None = None
        self.outside: Callable[[KeyboardInterrupt], Any] | None = None

    def receive(self, number: int, _: object) -> None:
        """Handle a signal; further ones are ignored while the run cleans up."""
        now = time.monotonic()
        if self.told is not None and now < self.told + PATIENCE:
            return
        self.told, problem = now, RAISED[number]()
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


class working:  # noqa: N801  # used as a function
    """In the body, signals raise an exception."""

    def __enter__(self) -> None:
        self.outside, _SIGNALS.outside = _SIGNALS.outside, None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _SIGNALS.outside = self.outside


class undisturbed:  # noqa: N801  # used as a function
    """In the body, signals wait: it makes or removes files that the code around it keeps track of.

    It has an effect only after `listen`, and in the main thread.
    """

    def __enter__(self) -> None:
        self.here = threading.current_thread() is threading.main_thread()
        _SIGNALS.shields += self.here

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _SIGNALS.shields -= self.here
        if self.here and not _SIGNALS.shields and _SIGNALS.waiting is not None:
            problem, _SIGNALS.waiting = _SIGNALS.waiting, None
            raise problem
