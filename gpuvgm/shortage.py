"""Tell a lack of memory, threads or open files from input that is wrong or damaged."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import pyarrow as pa

from gpuvgm.errors import printable

try:
    import resource
except ImportError:  # Windows
    LIMITS = False
else:
    LIMITS = True

MOST_SAID = 250  # letters of a message of another library
#: Bytes that one stored byte can stand for: a block of Zstandard (RFC 8878, 3.1.1.2) holds up to 128 KiB of one byte
#: in four; LZ4 reaches 255.
MOST_COMPRESSED = (128 << 10) // 4

#: What Arrow raises for wrong values and bytes: all but `ArrowMemoryError` and `ArrowCancelled`.
ARROW_PROBLEMS = (
    pa.ArrowInvalid,
    pa.ArrowKeyError,
    pa.ArrowTypeError,
    pa.ArrowNotImplementedError,
    pa.ArrowCapacityError,
    pa.ArrowIndexError,
    pa.ArrowSerializationError,
)
_ERRORS = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)
# "failed to map segment" is the dynamic linker's, in an ImportError.
_MEMORY = re.compile("not enough memory|cannot allocate memory|failed to map segment|memory allocation", re.IGNORECASE)
_ALLOCATION = re.compile(r"alloc of size (\d+) failed")
_THREADS = re.compile("can't start new thread|failed to launch worker thread", re.IGNORECASE)


def machine_memory() -> int:
    """Bytes of memory that the machine has in all; `sys.maxsize` where Python cannot tell, as on Windows."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def shortage_of(problem: BaseException) -> Literal["memory", "threads", "other"] | None:
    """Return what the machine lacks where that, not the input, is the cause of a problem; None where it is not."""
    if _lacks_memory(problem):
        return "memory"
    if isinstance(problem, (RuntimeError, pa.ArrowException)) and _THREADS.search(str(problem)):
        return "threads"  # the system starts no more of them, for lack of memory or because of a limit
    return "other" if isinstance(problem, OSError) and problem.errno in _ERRORS else None


def _lacks_memory(problem: BaseException) -> bool:
    """Return whether memory ran out; some libraries say so in their message alone."""
    if isinstance(problem, MemoryError) or (isinstance(problem, OSError) and problem.errno == errno.ENOMEM):
        return True
    return isinstance(problem, (OSError, ImportError)) and bool(_MEMORY.search(str(problem)))


@contextmanager
def damage_as(
    explain: Callable[[Exception], Exception], *damaging: type[Exception], stored: int | None = None
) -> Iterator[None]:
    """Raise errors that Arrow meets in a damaged file as errors that explain it, but shortages as they are.

    A buffer for which the file claims more bytes than the process can ever have is damage, as nothing makes room for
    it, and so are more bytes than the whole file could be decompressed to.

    Parameters
    ----------
    explain : callable
        From what Arrow raised to what is raised.
    *damaging : type of exception
        Other errors that a damaged file leads to.
    stored : int, optional
        Bytes of the file.
    """
    damage: tuple[type[Exception], ...] = (pa.ArrowException, OSError, UnicodeError, *damaging)
    try:
        yield
    except damage as problem:
        if shortage_of(problem) and not _asks_too_much(problem, stored):
            raise
        raise explain(problem) from problem


def _asks_too_much(problem: Exception, stored: int | None) -> bool:
    """Return whether one buffer needed more bytes than the process may have, or than a file of some bytes can hold."""
    request = _ALLOCATION.search(str(problem))
    if request is None:
        return False
    most = _most_memory() if stored is None else min(_most_memory(), stored * MOST_COMPRESSED)
    return int(request[1]) > most


def _most_memory() -> int:
    """Bytes that the process may ever have."""
    if not LIMITS:
        return machine_memory()
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return machine_memory() if limit == resource.RLIM_INFINITY else min(machine_memory(), limit)


def reason(problem: Exception) -> str:
    """Return a library's message on one line; it is cut, as it may repeat a value of any length."""
    text = printable(" ".join(str(problem).split()).rstrip("."))
    return text if len(text) <= MOST_SAID else f"{text[: MOST_SAID - 1]}…"
