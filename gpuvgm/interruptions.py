"""Signals that end a command: each ends it once, and not in the middle of clearing up."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

PATIENCE = 5.0  # seconds that a run which was told to end has for clearing up, before a signal ends that too


class Terminated(KeyboardInterrupt):
    """SIGTERM; everything is cleared up as after Ctrl-C."""


class HungUp(Terminated):
    """SIGHUP, of a terminal that was closed; everything is cleared up as after Ctrl-C."""


#: What the signals that end a command raise; Windows has no SIGHUP.
RAISED: dict[int, type[KeyboardInterrupt]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
if hasattr(signal, "SIGHUP"):
    RAISED[signal.SIGHUP] = HungUp


class _Signals:
    """What came, in the main thread, which alone runs handlers of signals."""

    def __init__(self) -> None:
        self.shields = 0
        self.waiting: KeyboardInterrupt | None = None
        self.told: float | None = None
        self.outside: Callable[[KeyboardInterrupt], Any] | None = None

    def receive(self, number: int, _: object) -> None:
        """Handler of the signals; what comes while a run clears up changes nothing."""
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
    """Have signals end the command from now on; SIGHUP only where it is not ignored, as after ``nohup``.

    Parameters
    ----------
    outside : callable
        Ends the process where a signal comes before the work begins or after its end; see `working`.
    """
    _SIGNALS.outside = outside
    for number in RAISED:
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _SIGNALS.receive)


class working:  # noqa: N801  # used as a function
    """While the body runs, signals are raised in it."""

    def __enter__(self) -> None:
        self.outside, _SIGNALS.outside = _SIGNALS.outside, None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _SIGNALS.outside = self.outside


class undisturbed:  # noqa: N801  # used as a function
    """While the body runs, signals wait: it makes or removes what the code around it must know of.

    Only where `listen` was called, and in the main thread: no other runs handlers of signals.
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
