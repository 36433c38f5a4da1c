"""What a machine runs out of, memory above all, told apart from input that is wrong or damaged."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

#: What Arrow raises for values and bytes: all but `ArrowMemoryError` and `ArrowCancelled`, which say nothing of them.
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
_MEMORY = re.compile("not enough memory|cannot allocate memory|failed to map segment|memory allocation", re.IGNORECASE)
_ASKED = re.compile(r"alloc of size (\d+) failed")
_THREADS = re.compile("can't start new thread|failed to launch worker thread", re.IGNORECASE)


def lacks_memory(problem: BaseException) -> bool:
    """Whether memory ran out; some libraries say so only in their message."""
    if isinstance(problem, MemoryError) or (isinstance(problem, OSError) and problem.errno == errno.ENOMEM):
        return True
    return isinstance(problem, (OSError, ImportError)) and bool(_MEMORY.search(str(problem)))


def lacks_threads(problem: BaseException) -> bool:
    """Whether the system starts no more threads, as where memory or their number is limited."""
    return isinstance(problem, (RuntimeError, pa.ArrowException)) and bool(_THREADS.search(str(problem)))


def is_shortage(problem: BaseException) -> bool:
    """Whether the machine, and not the input, is the reason."""
    if lacks_memory(problem) or lacks_threads(problem):
        return True
    return isinstance(problem, OSError) and problem.errno in _ERRORS


@contextmanager
def damage_told(told: Callable[[Exception], Exception], *others: type[Exception]) -> Iterator[None]:
    """While a file is read: what Arrow finds wrong with it becomes an error that says so; a shortage stays what it is.

    A buffer for which the file claims more bytes than the machine has in all is damage: nothing makes room for it.

    Parameters
    ----------
    told : callable
        From what Arrow raised to what is raised.
    *others : type of exception
        What else says that the file is damaged.
    """
    damage: tuple[type[Exception], ...] = (pa.ArrowException, OSError, UnicodeError, *others)
    try:
        yield
    except damage as problem:
        if is_shortage(problem) and not _asks_too_much(problem):
            raise
        raise told(problem) from problem


def _asks_too_much(problem: Exception) -> bool:
    asked = _ASKED.search(str(problem))
    return asked is not None and int(asked[1]) > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
