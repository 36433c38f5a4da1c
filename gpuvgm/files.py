"""Files appear whole or not at all: they are written under a partial name, then renamed; signals wait meanwhile.

A lock ends with the process that holds it, so what a killed process left has none. The next process that writes to the
same name removes it. Windows has no such locks: there it stays until someone removes it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple, Self
from weakref import finalize

try:
    import fcntl
except ImportError:  # Windows
    LOCKS = False
else:
    LOCKS = True

_LEFT_OVER = re.compile(r"\.[0-9a-f]{8}\.(partial|old)")
PATIENCE = 5.0  # seconds after a signal in which further ones are ignored, so that the run can clean up


class Terminated(KeyboardInterrupt):
    """SIGTERM; everything is cleaned up as after Ctrl-C."""

    number: int = signal.SIGTERM


class HungUp(Terminated):
    """SIGHUP, of a terminal that was closed; everything is cleaned up as after Ctrl-C."""

    number = 1  # Windows has no name for it


#: What the signals that end a command raise.
RAISED: dict[int, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
}
if hasattr(signal, "SIGHUP"):  # not on Windows
    RAISED[signal.SIGHUP] = HungUp


class Signals:
    """Signals that end a command: when they do, and when they wait. Python runs handlers in the main thread alone."""

    def __init__(self) -> None:
        self.shields = 0
        self.waiting: KeyboardInterrupt | None = None
        self.last: float | None = None
        self.idle_handler: Callable[[KeyboardInterrupt], Any] | None = None

    def listen(self, idle_handler: Callable[[KeyboardInterrupt], Any]) -> None:
        """Install the handlers; signals that are ignored stay so, as SIGHUP after ``nohup``, but not SIGTERM.

        Parameters
        ----------
        idle_handler : callable
            Called where a signal comes before the work begins or after its end (see `working`); ends the process.
        """
        self.idle_handler = idle_handler
        for number in RAISED:
            if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.receive)

    def receive(self, number: int, _: object) -> None:
        """Handle a signal; further ones are ignored while the run cleans up."""
        arrival = time.monotonic()
        if self.last is not None and arrival < self.last + PATIENCE:
            return
        self.last, problem = arrival, RAISED[number]()
        if self.idle_handler is not None:
            self.idle_handler(problem)
        elif self.shields:
            self.waiting = problem
        else:
            raise problem

    @property
    def arrived(self) -> bool:
        """Whether a signal that ends the command has arrived."""
        return self.last is not None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Raise an exception in the body when a signal arrives."""
        idle_handler, self.idle_handler = self.idle_handler, None
        try:
            yield
        finally:
            self.idle_handler = idle_handler

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals in the body, which makes or removes files that the code around it keeps track of.

        It has an effect only after `listen`, and in the main thread.
        """
        in_main_thread = threading.current_thread() is threading.main_thread()
        self.shields += in_main_thread
        try:
            yield
        finally:
            self.shields -= in_main_thread
            if in_main_thread and not self.shields and self.waiting is not None:
                problem, self.waiting = self.waiting, None
                raise problem


SIGNALS = Signals()


@contextmanager
def partial_of(final: Path, *, folder: bool = False, private: bool = False) -> Iterator[Path]:
    """Make a partial file, or folder, next to a final name; it is removed at the end unless it was renamed.

    It has the mode that it is going to have under its final name, which the user's mask gives.

    Parameters
    ----------
    final : pathlib.Path
        The final name.
    folder : bool
        Make a folder.
    private : bool
        Let this user alone read it: for what lies in a folder that all users share, and is not going to be renamed.
    """
    remove_left_over(final)
    partials: list[Partial] = []
    try:
        with SIGNALS.deferred():
            # A signal between creating and noting the file would leave it behind.
            partials.append(Partial.new(final, folder=folder, private=private))
        yield partials[0].path
    finally:
        with SIGNALS.deferred():
            for partial in partials:
                partial.remove()


def temporary_folder(owner: object, name: str) -> Path:
    """Make a folder that only this user may read; it is removed with its owner.

    Parameters
    ----------
    owner : object
        Whoever works in the folder.
    name : str
        Begins the folder's name in the directory for temporary files; what killed processes left under it is removed.
    """
    place = Path(gettempdir(), name)
    remove_left_over(place)
    folder = Partial.new(place, folder=True, private=True)
    finalize(owner, _remove_in_maker, folder, os.getpid())
    return folder.path


def _remove_in_maker(folder: Partial, process: int) -> None:
    """Remove a folder in the process that made it; processes forked from it may still read."""
    if os.getpid() == process:
        folder.remove()


def replace_folder(new: Path, final: Path) -> None:
    """Give a new folder its final name; the old one is removed, or gets its name back if that fails."""
    with SIGNALS.deferred():
        while not _try_replace(new, final):
            pass
        remove_left_over(final)


def _try_replace(new: Path, final: Path) -> bool:
    """Replace a folder; return False where another process gave its own folder the name in between."""
    old = final.with_name(f".{final.name}.{secrets.token_hex(4)}.old")
    with suppress(FileNotFoundError):
        # A folder that is not empty cannot be renamed over: it gets another name first.
        final.rename(old)
    try:
        new.rename(final)
    except BaseException as problem:
        if getattr(problem, "errno", None) in (errno.ENOTEMPTY, errno.EEXIST):
            _remove(old)
            return False
        with suppress(FileNotFoundError):
            old.rename(final)
        raise
    _remove(old)
    return True


def remove_left_over(final: Path) -> None:
    """Remove what ended processes left next to a name; an old folder only where there is a newer one."""
    start = f".{final.name}"
    for name in _names_in(final.parent):
        match = _LEFT_OVER.fullmatch(name.removeprefix(start)) if name.startswith(start) else None
        if match is not None and (match[1] == "partial" or final.exists()):
            _remove_unowned(final.with_name(name))


def remove_temporary(folder: Path, start: str) -> None:
    """Remove the partial files of ended processes in a folder, of all names with a prefix."""
    for name in _names_in(folder):
        if name.startswith(start) and _LEFT_OVER.search(name) and name.endswith(".partial"):
            _remove_unowned(folder / name)


def _remove(path: Path) -> None:
    """Remove a file or a folder as far as that is possible."""
    with suppress(OSError):  # the failure that led here is the one to report
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # writing says what is wrong with it
        return []


class Partial(NamedTuple):
    """A partial file or folder, which no other process removes while the descriptor is open.

    Parameters
    ----------
    path : pathlib.Path
        Its place.
    lock : int, optional
        The descriptor; None where there are no locks.
    """

    path: Path
    lock: int | None

    @classmethod
    def new(cls, final: Path, *, folder: bool, private: bool = False) -> Self:
        """Create and lock a partial file or folder next to a final name; a private one is so from the beginning."""
        while True:
            path = final.with_name(f".{final.name}.{secrets.token_hex(4)}.partial")
            if folder:
                path.mkdir(0o700 if private else 0o777)
            if not LOCKS:
                return cls(path, None)  # Windows renames no file that is open
            mode = 0o600 if private else 0o666
            try:
                lock = os.open(path, os.O_RDONLY if folder else os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
            except FileNotFoundError:
                if folder:
                    continue  # another process took it for left over before it was locked
                raise
            with suppress(OSError):  # on file systems without locks nothing counts as left over
                fcntl.flock(lock, fcntl.LOCK_EX)
            if has_name(lock, path):  # else it was removed as left over before it was locked
                return cls(path, lock)
            os.close(lock)

    def remove(self) -> None:
        """Remove what has its name, if it was not renamed, and give up the lock."""
        _remove(self.path)
        if self.lock is not None:
            os.close(self.lock)


def has_name(descriptor: int, path: Path) -> bool:
    """Return whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove_unowned(path: Path) -> None:
    """Remove a file or folder that no process holds the lock of."""
    if not LOCKS:
        return
    with suppress(OSError):
        if not (stat.S_ISREG(kind := path.lstat().st_mode) or stat.S_ISDIR(kind)):
            return
        # Follow no link, and wait for no writer of a pipe, if the name changed since it was looked at.
        lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
        finally:
            os.close(lock)
