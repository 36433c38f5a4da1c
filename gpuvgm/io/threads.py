"""Work on the pieces of a file in threads, with results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Any, TypeVar

import pyarrow as pa

P = TypeVar("P")
R = TypeVar("R")


def in_order(function: Callable[[P], R], pieces: Iterable[P]) -> Generator[R]:
    """Apply a function to each piece on as many threads as Arrow has, and yield the results in order.

    Pieces are read in the caller's thread, at most two more than are worked on; one that is alone is worked on there.
    What reading a piece or the function raises is raised in its turn; whatever follows is given up then, as it is when
    the generator is closed.

    Parameters
    ----------
    function : callable
        Computes the result of a piece; Arrow's functions release Python's lock.
    pieces : iterable
        The pieces.
    """
    threads, under_way = pa.cpu_count(), deque[Future[R]]()
    pool = ThreadPoolExecutor(threads, "gpuvgm-read")
    try:
        inputs = _with_problem(pieces)
        first = list(islice(inputs, 2))
        if len(first) == 1 and not isinstance(first[0], Future):
            yield function(first[0])
            return
        for piece in chain(first, inputs):
            under_way.append(piece if isinstance(piece, Future) else pool.submit(function, piece))
            if len(under_way) > threads + 1:
                yield result_of(under_way.popleft())
        while under_way:
            yield result_of(under_way.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _with_problem(pieces: Iterable[P]) -> Iterator[P | Future[Any]]:
    """The pieces, then the error that ended them, as a future."""
    try:
        yield from pieces
    except Exception as problem:  # whoever waits for it raises it
        future = Future[Any]()
        future.set_exception(problem)
        yield future


def result_of(future: Future[R]) -> R:
    """Wait for the result of another thread; an interrupt of this one is raised as such."""
    try:
        return future.result()
    except RuntimeError as problem:
        if isinstance(problem.__context__, KeyboardInterrupt):  # a signal met Python's condition between its locks
            raise problem.__context__ from None
        raise
