"""Rows in the memory of a cluster's workers, in partitions of whole chunks: functions are sent there, sums return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, namespace_of, to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import ChunkSums, Engine, get_engine
from gpuvgm.execution.context import Run
from gpuvgm.execution.dask import HeldPartitions, HeldShares, Passing
from gpuvgm.mixture import Rows
from gpuvgm.summary import Floats

T = TypeVar("T")


class HeldChunks(NamedTuple):
    """Numbers of a partition, and the number of its first chunk of 4,096 rows in the table.

    Dask measures the size of tuples.

    Parameters
    ----------
    numbers : array of shape (rows,) or (rows, D), float64
        Whole chunks, but for the table's last one; NaN for rows without a number.
    first : int
        Number of the first chunk.
    weight : array of shape (rows,), float64, optional
        Weights of the rows, on the device of the numbers.
    """

    numbers: Array
    first: int
    weight: Array | None


def in_whole_chunks(partitions: HeldPartitions, weight: Floats | None = None) -> HeldShares:
    """`HeldChunks` of some partitions: all rows of a chunk move to the partition that holds its first row.

    Parameters
    ----------
    partitions : HeldPartitions
        Numbers by partition, in row order.
    weight : ndarray of shape (rows,), optional
        Weights of all rows.
    """
    firsts = -(-np.cumsum([0, *partitions.rows])[:-1] // CHUNK_ROWS)
    weights = [None] * len(firsts) if weight is None else np.split(weight, CHUNK_ROWS * firsts[1:])
    chunks = partitions.passing(completions(partitions.rows), first_rows, fill_chunks)
    return chunks.by_worker(_held_chunks, firsts.tolist(), weights)


def _held_chunks(numbers: Array, first: int, weight: Floats | None) -> HeldChunks:
    return HeldChunks(numbers, first, None if weight is None else namespace_of(numbers).asarray(weight))


def completions(counts: Sequence[int]) -> list[Passing]:
    """The passings that make the chunks of each partition whole.

    Rows of a chunk that begins in an earlier partition go there.

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
    passings: list[Passing] = []
    givers: list[int] = []  # partitions after this one with rows of a chunk that begins in it or before
    # From the end: a chunk gets its rows from partitions after the one in which it begins.
    for number, (count, first) in reversed(list(enumerate(zip(counts, firsts, strict=True)))):
        surplus = min(int(-first % CHUNK_ROWS), count)
        passings.append(Passing(surplus, tuple(givers) if surplus < count else ()))
        later_givers = [] if surplus < count else givers
        givers = [number, *later_givers] if surplus else later_givers
    return passings[::-1]


def first_rows(numbers: Array, surplus: int) -> Floats:
    """The rows that a partition gives to an earlier one, on the host."""
    return np.asarray(to_numpy(numbers[:surplus]))


def fill_chunks(numbers: Array, surplus: int, arrivals: Sequence[Floats]) -> Array:
    """A partition without the rows that it gives, and with those that it gets."""
    xp = namespace_of(numbers)
    return xp.concatenate([numbers[surplus:], *map(xp.asarray, arrivals)])


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOnWorkers(Rows):
    """Rows in the memory of workers, in whole chunks; `array` has only their shape.

    Parameters
    ----------
    shares : HeldShares
        `HeldChunks` of each partition, those of a worker together, on the workers' devices where they lie there.
    engine : str
        Name of the workers' engine.
    """

    shares: HeldShares
    engine: str
    lazy: bool = True
    spread: ClassVar[bool] = True

    @property
    def _rows_of(self) -> Callable[[HeldChunks], Rows]:
        """Gives the rows of a partition that count, where it lies."""
        return partial(_rows_of, self.choice)

    def sums(
        self, engine: Engine, function: Callable[[Engine, Rows], Array], width: int, values: int | None = None
    ) -> ChunkSums:
        """Sums over all chunks, by the workers' engine; see `Rows.sums`."""
        total = ChunkSums(width)
        sums = partial(Rows.sums_of_each, function=function, width=width, values=values)
        for nodes in self.shares.map_shares(_nodes, self.engine, self._rows_of, sums):
            total.add_nodes(nodes)
        return total

    def partial_results(self, engine: Engine, function: Callable[..., T]) -> Iterable[T]:
        """Merged results of a function for the blocks of each partition; see `Rows.partial_results`."""
        return self.shares.map(_merged, self.engine, self._rows_of, function)

    def each(self, function: Callable[[Rows], T], values: int = Rows.block_values) -> Iterator[T]:
        """Results of a function for each block of each partition; see `Rows.each`."""
        return chain.from_iterable(self.shares.map(_results_of_blocks, self._rows_of, function, values))


def _rows_of(choice: Callable[[slice], NDArray[np.bool_]] | None, chunks: HeldChunks) -> Rows:
    """The rows of a partition."""
    return replace(Rows.of(chunks.numbers, chunks.weight), first_row=chunks.first * CHUNK_ROWS, choice=choice)


def _nodes(
    share: Sequence[HeldChunks],
    engine: str,
    rows_of: Callable[[HeldChunks], Rows],
    sums: Callable[..., Iterable[ChunkSums]],
) -> list[Floats]:
    """Nodes of the sums over each partition of a share."""
    return [total.nodes for total in sums([*map(rows_of, share)], get_engine(engine))]


def _merged(chunks: HeldChunks, engine: str, rows_of: Callable[[HeldChunks], Rows], function: Callable[..., T]) -> T:
    """Merged result of a function for the blocks of a partition."""
    return rows_of(chunks).merged(get_engine(engine), function)


def _results_of_blocks(
    chunks: HeldChunks, rows_of: Callable[[HeldChunks], Rows], function: Callable[..., T], values: int
) -> list[T]:
    """Results of a function for each block of a partition."""
    return list(rows_of(chunks).each(function, values))


@contextmanager
def rows_on_workers(
    function: Callable[..., Any],
    partitions: Iterable[Any],
    run: Run,
    shape: tuple[int, int] = (0, 1),
    weight: Floats | None = None,
) -> Iterator[RowsOnWorkers]:
    """Have the workers of a cluster hold rows until the context ends.

    Parameters
    ----------
    function : callable
        The rows of a partition's blocks, those without a number as NaN.
    partitions : iterable of Partition
        The partitions.
    run : Run
        The cluster.
    shape : (int, int)
        Rows and features, where these are asked for.
    weight : ndarray of shape (rows,), optional
        Weights of the rows.
    """
    assert run.cluster is not None
    with run.cluster.hold(function, partitions) as worker_partitions:
        shares = in_whole_chunks(worker_partitions, weight)
        del worker_partitions  # the workers drop the partitions of before
        yield RowsOnWorkers(np.broadcast_to(0.0, shape), weight, shares=shares, engine=run.engine)
