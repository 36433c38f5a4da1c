"""Locks: one run at a time writes to a name, or to each numbered file of a folder."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gpuvgm.errors import InputError
from gpuvgm.files import SIGNALS, has_name
from gpuvgm.io.locations import Location, naming_file
from gpuvgm.io.remote import RemoteFile

try:
    # Locks of open file descriptions also exclude other threads, and outlast other descriptors of the file.
    from fcntl import F_OFD_SETLK, F_WRLCK, fcntl
except ImportError:  # not Linux
    LOCKS = False
else:
    LOCKS = True
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # of file systems that know none


class FolderInUse(InputError):
    """Another run writes to the name."""


@contextmanager
def locked(target: Location, numbers: range | None = None) -> Iterator[None]:
    """Let one run at a time write to a name on this machine; a lock ends with the process that holds it.

    The lock file lies beside the name, so that what has the name can be removed and renamed meanwhile.

    Parameters
    ----------
    target : Location
        The folder or file that is going to be written; in stores, and on other systems than Linux, nothing is locked.
    numbers : range, optional
        Lock only these numbered files of a folder, so that several runs can share it; by default all of it.

    Raises
    ------
    FolderInUse
        While another run writes there.
    """
    if isinstance(target, RemoteFile) or not LOCKS:
        yield
        return
    final = Path(os.path.realpath(target))
    place = final.with_name(f".{final.name}.lock")
    span = range(0, 0) if numbers is None else numbers
    locks: list[int] = []
    try:
        with SIGNALS.deferred():
            locks.append(_acquire(place, target, span))
        yield
    finally:
        with SIGNALS.deferred():
            for lock in locks:
                if _lock(lock, range(0, 0)):  # no other run holds a part of it
                    place.unlink(missing_ok=True)
                os.close(lock)


def _acquire(place: Path, target: Path, span: range) -> int:
    """Acquire a lock; closing its descriptor releases it."""
    while True:
        with naming_file(target):
            lock = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(lock, span):
                number = os.pread(lock, 20, 0).decode(errors="replace")
                holder = f"process {number}" if number else "another process"  # that has not said its number yet
                raise FolderInUse(f"{target}: {holder} works there; wait for it, or end it")
            if has_name(lock, place):
                with suppress(OSError):  # of a full disk: the run fails when it writes more
                    os.ftruncate(lock, 0)
                    os.pwrite(lock, str(os.getpid()).encode(), 0)
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)  # of a run that has ended in between


def _lock(lock: int, span: range) -> bool:
    """Lock a span of bytes of a file, all if it is empty; return False where another run holds some of them."""
    # A struct flock; a length of 0 reaches to the end of the file.
    request = struct.pack("hhqqi", F_WRLCK, os.SEEK_SET, span.start, len(span), 0)
    try:
        fcntl(lock, F_OFD_SETLK, request)
    except OSError as problem:
        if problem.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if problem.errno not in _NO_LOCKS:
            raise
    return True
