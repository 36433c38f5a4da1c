"""Numbers of a column in the memory of a cluster's workers, in partitions of whole chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, namespace_of, to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import Engine, get_engine
from gpuvgm.execution.context import Run
from gpuvgm.execution.dask import DaskExecutor, Held, HeldShares, Passing

Floats = NDArray[np.float64]


class HeldChunks(NamedTuple):
    """A partition's numbers, and the number of its first chunk of 4,096 rows in the table; Dask knows a tuple's size.

    Parameters
    ----------
    first : int
        Number of the first chunk.
    numbers : array of shape (rows,), float64
        Whole chunks, but for the table's last one; NaN for rows without a number.
    """

    first: int
    numbers: Array


@dataclass(frozen=True, slots=True)
class WorkerRows:
    """A column's numbers in the workers' memory, float64, and on their devices where they lie there.

    Parameters
    ----------
    held : HeldShares
        `HeldChunks` of each partition, those of a worker together.
    engine : str
        Name of the workers' engine.
    here : Engine
        The engine of this process.
    """

    held: HeldShares
    engine: str
    here: Engine


@contextmanager
def rows_on_workers(
    function: Callable[..., Any], partitions: Callable[[], Iterable[Any]], run: Run
) -> Iterator[WorkerRows | None]:
    """Have the workers of a cluster hold the numbers of a column; None where there is no cluster.

    Parameters
    ----------
    function : callable
        The numbers of a partition's blocks.
    partitions : callable
        Gives the partitions.
    run : Run
        The cluster.
    """
    if not isinstance(run.executor, DaskExecutor):
        yield None
        return
    with run.executor.hold(function, partitions()) as held:
        shares = in_whole_chunks(held)
        del held  # the workers drop the partitions of before
        yield WorkerRows(shares, run.engine, get_engine(run.here.engine))


def in_whole_chunks(held: Held) -> HeldShares:
    """`HeldChunks` of the same rows, with all rows of a chunk in the partition that holds its first row.

    Parameters
    ----------
    held : Held
        A column's numbers, by partition, in row order.
    """
    counts = held.map(len)
    firsts = -(-np.cumsum([0, *counts])[:-1] // CHUNK_ROWS)
    return held.passing(completions(counts), first_rows, completed).by_worker(HeldChunks, firsts.tolist())


def completions(counts: Sequence[int]) -> list[Passing]:
    """What makes the chunks of each partition whole: the rows of a chunk that begins before it go there.

    Parameters
    ----------
    counts : sequence of int
        Rows of each partition.

    Returns
    -------
    list of Passing
        One for each partition.
    """
    firsts = np.cumsum([0, *counts])[:-1]
    found: list[Passing] = []
    following: list[int] = []  # partitions after this one with rows of a chunk that begins in it or before
    for number, (count, first) in reversed(list(enumerate(zip(counts, firsts, strict=True)))):
        surplus = min(int(-first % CHUNK_ROWS), count)
        found.append(Passing(surplus, tuple(following) if surplus < count else ()))
        later = [] if surplus < count else following
        following = [number, *later] if surplus else later
    return found[::-1]


def first_rows(numbers: Array, surplus: int) -> Floats:
    """The rows that a partition gives away, on the host."""
    return np.asarray(to_numpy(numbers[:surplus]))


def completed(numbers: Array, surplus: int, arriving: Sequence[Floats]) -> Array:
    """A partition without the rows that it gives away, and with those that it gets."""
    xp = namespace_of(numbers)
    return xp.concatenate([numbers[surplus:], *map(xp.asarray, arriving)])


def ordinary_of(partitions: Sequence[HeldChunks]) -> Floats:
    """The ordinary numbers of partitions, on the host."""
    there = np.concatenate([np.empty(0), *(to_numpy(chunks.numbers) for chunks in partitions)])
    return np.asarray(there[np.isfinite(there)])
