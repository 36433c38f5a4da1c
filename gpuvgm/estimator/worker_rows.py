"""Rows of the estimator in the memory of a cluster's workers: functions are sent there, sums return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, TypeVar

import numpy as np

from gpuvgm.arrays import Array, namespace_of
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import ChunkSums, Engine, get_engine
from gpuvgm.estimator.reading import check_frame, checked_weight, finite_rows
from gpuvgm.execution.context import Run
from gpuvgm.execution.dask import DaskExecutor, HeldShares
from gpuvgm.execution.worker_rows import HeldChunks, in_whole_chunks
from gpuvgm.io import Block, Source
from gpuvgm.mixture.rows import BlockSums, Choice, Rows, sums_of
from gpuvgm.summary.grid import Floats

T = TypeVar("T")


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

    def sums(self, engine: Engine, function: BlockSums, width: int, values: int | None = None) -> ChunkSums:
        """Sums over all chunks, by the workers' engine; see `Rows.sums`."""
        total = ChunkSums(width)
        for nodes in self.shares.map_shares(_nodes, self.engine, self.choice, function, width, values):
            total.add_nodes(nodes)
        return total

    def partial_results(self, engine: Engine, function: Callable[..., T]) -> Iterable[T]:
        """Merged results of a function for the blocks of each partition; see `Rows.partial_results`."""
        return self.shares.map(_merged, self.engine, self.choice, function)

    def each(self, function: Callable[..., T], values: int = Rows.block_values) -> Iterator[T]:
        """Results of a function for each block of each partition; see `Rows.each`."""
        return chain.from_iterable(self.shares.map(_results_of_blocks, self.choice, function, values))


def _rows_of(chunks: HeldChunks, choice: Choice | None = None) -> Rows:
    """The rows of a partition."""
    return replace(Rows.of(chunks.numbers, chunks.weight), first_row=chunks.first * CHUNK_ROWS, choice=choice)


def _nodes(
    share: Sequence[HeldChunks],
    engine: str,
    choice: Choice | None,
    function: BlockSums,
    width: int,
    values: int | None,
) -> list[Floats]:
    """Nodes of the sums over each partition of a share."""
    partitions = [_rows_of(chunks, choice) for chunks in share]
    return [total.nodes for total in sums_of(partitions, get_engine(engine), function, width, values)]


def _merged(chunks: HeldChunks, engine: str, choice: Choice | None, function: Callable[..., T]) -> T:
    """Merged result of a function for the blocks of a partition."""
    return _rows_of(chunks, choice).merged(get_engine(engine), function)


def _results_of_blocks(chunks: HeldChunks, choice: Choice | None, function: Callable[..., T], values: int) -> list[T]:
    """Results of a function for each block of a partition."""
    return list(_rows_of(chunks, choice).each(function, values))


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
    assert isinstance(run.executor, DaskExecutor)
    with run.executor.hold(function, partitions) as worker_partitions:
        shares = in_whole_chunks(worker_partitions, weight)
        del worker_partitions  # the workers drop the partitions of before
        yield RowsOnWorkers(np.broadcast_to(0.0, shape), weight, shares=shares, engine=run.engine)


@contextmanager
def rows_on_cluster(
    estimator: Any, source: Source, executor: DaskExecutor, sample_weight: Any, *, reset: bool
) -> Iterator[RowsOnWorkers]:
    """Rows of a frame of Dask or a matrix, which the workers of a cluster hold until the context ends.

    Parameters
    ----------
    estimator : BayesianGaussianMixture
        Keeps the number and the names of the features.
    source : Source
        The rows.
    executor : DaskExecutor
        The cluster.
    sample_weight, reset
        As for `training_rows`.
    """
    weight = checked_weight(source, sample_weight, reset=reset)
    shape = check_frame(estimator, source, reset=reset)
    run = Run.spread_over(executor, source, estimator.engine)
    with rows_on_workers(_matrix_of, run.blocks(source.schema.names), run, shape, weight) as rows:
        yield rows


def _matrix_of(blocks: Iterator[Block]) -> Array:
    """The rows of a partition, where they lie."""
    parts = list(map(finite_rows, blocks))
    return namespace_of(parts[0]).concatenate(parts)
