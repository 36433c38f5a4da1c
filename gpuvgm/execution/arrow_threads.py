"""Threads of Arrow's own pools, kept within the user's limit while there is work under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import pyarrow as pa


class ArrowThreads:
    """Limits of all runs under way: the pools belong to the process, so the smallest limit holds until its run ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._limits: list[int] = []
        self._before = (0, 0)

    @contextmanager
    def __call__(self, threads: int | None) -> Iterator[None]:
        """Bound Arrow's pools; None leaves them as they are.

        Parameters
        ----------
        threads : int, optional
            Most threads of the pool that computes, and of the one that reads.
        """
        if threads is None:
            yield
            return
        with self._lock:
            if not self._limits:
                self._before = (pa.cpu_count(), pa.io_thread_count())
            self._limits.append(threads)
            self._set()
        try:
            yield
        finally:
            with self._lock:
                self._limits.remove(threads)
                self._set()

    def _set(self) -> None:
        """The smallest limit, or what was before the first one."""
        compute, read = (min([count, *self._limits]) for count in self._before)
        pa.set_cpu_count(compute)
        pa.set_io_thread_count(read)


bounded = ArrowThreads()
