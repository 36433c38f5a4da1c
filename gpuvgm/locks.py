"""Folders that one run at a time works in."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gpuvgm.errors import InputError
from gpuvgm.frames import Location, RemoteFile

LOCK = "lock"
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # of file systems that know none


class FolderInUse(InputError):
    """Another run works in the folder, which is its own."""


@contextmanager
def locked(folder: Location) -> Iterator[None]:
    """One run at a time in a folder of this machine; a lock ends with the process that holds it.

    Raises
    ------
    FolderInUse
        Where another run works there.
    """
    if isinstance(folder, RemoteFile):
        yield
        return
    place = folder / LOCK
    with _taken(place):
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def _taken(place: Path) -> IO[str]:
    """The file of a lock that no other run holds; closing it lets the lock go."""
    while True:
        file = place.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, place):
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
        except BlockingIOError:
            file.seek(0)
            holder = file.read()
            file.close()
            raise FolderInUse(f"{place.parent}: process {holder} works there; wait for it, or end it") from None
        except OSError as problem:
            if problem.errno in _NO_LOCKS:
                return file
            file.close()
            raise
        file.close()  # of a run that has ended in between


def _is_at(file: IO[str], place: Path) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), place.stat())
    except FileNotFoundError:
        return False
