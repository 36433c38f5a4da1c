"""Numbers of a column in the memory of a cluster's workers, in partitions of whole chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, namespace_of, to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import Engine, get_engine
from gpuvgm.execution.context import Run
from gpuvgm.execution.dask import DaskExecutor, Held

Floats = NDArray[np.float64]
Completion = tuple[int, Floats]


@dataclass(frozen=True, slots=True)
class WorkerRows:
    """A column's numbers in the workers' memory, float64, and on their devices where they lie there.

    Sums of each 4,096 rows of the table come up, and are added here in row order: the result has the bits of one
    process that has all rows.

    Parameters
    ----------
    held : Held
        Numbers by partition, NaN for rows without one; a partition holds whole chunks, but for the table's last one.
    engine : str
        Name of the workers' engine.
    here : Engine
        Who adds the chunks up.
    """

    held: Held
    engine: str
    here: Engine

    def ordinary(self) -> Floats:
        """The ordinary numbers of all rows, brought to this process."""
        return np.concatenate([np.empty(0), *self.held.map(ordinary_of)])


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
        held = in_whole_chunks(held)  # the workers drop the partitions of before
        yield WorkerRows(held, run.engine, get_engine(run.here.engine))


def in_whole_chunks(held: Held) -> Held:
    """The same rows, with all rows of a chunk in the partition that holds its first row.

    Parameters
    ----------
    held : Held
        A column's numbers, by partition, in row order.
    """
    counts = held.map(len)
    firsts = np.cumsum([0, *counts])[:-1]
    if not np.any(firsts % CHUNK_ROWS):
        return held
    return held.amended(completed, completions(counts, held.map(first_rows)))


def completions(counts: Sequence[int], rows: Sequence[Floats]) -> list[Completion | None]:
    """What makes the chunks of each partition whole: how many rows it gives away, and the rows that it gets at its end.

    Parameters
    ----------
    counts : sequence of int
        Rows of each partition.
    rows : sequence of ndarray
        The first rows of each, as far as they may belong to a chunk that begins before it.

    Returns
    -------
    list of (int, ndarray) or None
        None for a partition that stays as it is.
    """
    firsts = np.cumsum([0, *counts])[:-1]
    amendments: list[Completion | None] = []
    following: list[Floats] = []  # rows after the partition, of a chunk that begins in it or before
    for count, first, leading in reversed(list(zip(counts, firsts, rows, strict=True))):
        surplus = min(int(-first % CHUNK_ROWS), count)
        arriving = following if surplus < count else []
        amendments.append((surplus, np.concatenate([np.empty(0), *arriving])) if surplus or arriving else None)
        later = [] if surplus < count else following
        following = [leading[:surplus], *later] if surplus else later
    return amendments[::-1]


def first_rows(numbers: Array) -> Floats:
    """The rows of a partition that may belong to a chunk before it, on the host."""
    return np.asarray(to_numpy(numbers[: CHUNK_ROWS - 1]))


def completed(numbers: Array, completion: Completion) -> Array:
    """A partition without the rows that it gives away, and with those that it gets."""
    surplus, arriving = completion
    xp = namespace_of(numbers)
    return xp.concatenate([numbers[surplus:], xp.asarray(arriving)])


def ordinary_of(numbers: Array) -> Floats:
    """The ordinary numbers of a partition, on the host."""
    there = to_numpy(numbers)
    return np.asarray(there[np.isfinite(there)])
