"""Samples of a source for plans; those that take the place of the source in a fit are those of `row_sample`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import ascending
from gpuvgm.execution.context import Run, travelling_rows
from gpuvgm.io import (
    Block,
    FileSource,
    Runs,
    is_datetime_type,
    is_plain_number_type,
    joined_arrays,
)

SAMPLE_RUNS = 32
RUN_ROWS = 4096
FINE_RUNS = ((1 << 24, 512), (1 << 27, 128), (float("inf"), 64))  # by rows of the source
UNKNOWN_SAMPLE_ROWS = 1 << 18  # sampled from the start of a source that does not know its length


def sample_runs(
    rows: int, seed: int, count: int | None = None, *, runs: int | None = SAMPLE_RUNS
) -> list[tuple[int, int]]:
    """Runs (start, length) of a sample of `count` rows: one at a random place in each of equal parts of all rows.

    There are at least `runs` runs, None for those of a fine sample, if there are as many rows, each of 4,096 rows at
    most. By default there are 32 runs of 4,096 rows. A source of no more rows than the sample is one run.
    """
    count = SAMPLE_RUNS * RUN_ROWS if count is None else count
    runs = _fine_runs(rows) if runs is None else runs
    if rows <= count:
        return [(0, rows)] if rows else []
    random = np.random.Generator(np.random.PCG64(seed))
    parts = max(min(runs, count), -(-count // RUN_ROWS))
    borders = [i * rows // parts for i in range(parts + 1)]
    room = np.diff(borders)
    lengths = np.full(parts, count // parts)
    lengths[np.argsort(-room, kind="stable")[: count % parts]] += 1  # the longer runs lie in the longer parts
    return [
        (low + int(random.integers(0, width - length + 1)), int(length))
        for low, width, length in zip(borders[:-1], room, lengths, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Sampled:
    """A sample of the rows of a source.

    Parameters
    ----------
    run : Run
        All rows, and where and how they are worked on.
    rows : pyarrow.Table
        The sample.
    blocks : iterator of Block, optional
        All rows of a source that can be read only once, those read for the sample included.
    """

    run: Run
    rows: pa.Table
    blocks: Iterator[Block] | None = None
    runs: ClassVar = staticmethod(sample_runs)

    @classmethod
    def of(cls, run: Run, names: Sequence[str], seed: int, *, fine: bool = False) -> Sampled:
        """Take a sample of some columns.

        Where the number of rows is known: 2^17 rows in runs at seeded global positions. Elsewhere: the first 2^18 rows.

        Parameters
        ----------
        run : Run
            The rows, and how they are read.
        names : sequence of str
            The columns.
        seed : int
            Seed of the positions.
        fine : bool
            Take more and shorter runs, so that every phase of a sorted table is among them; by default 32 runs.
        """
        source = run.source
        if source.rows is not None and source.repeatable:
            runs = sample_runs(source.rows, seed, runs=None if fine else SAMPLE_RUNS)
            run = replace(run, source=source.keep_sampled(names, runs, run.room))
            rows = _sample_rows(run, tuple(names), runs)
            return cls(run, _join_chunks(rows, run.executor.threads) if fine else rows)
        stream = _first_blocks(run, names)
        head = _blocks_up_to(stream, UNKNOWN_SAMPLE_ROWS)
        # Cut to a fixed length, so that the sample does not depend on the rows of a block.
        rows = _joined(head, source.fields(names)).slice(0, UNKNOWN_SAMPLE_ROWS)
        return cls(run, rows, None if source.repeatable else chain(head, stream))


def _blocks_up_to(blocks: Iterable[Block], rows: int) -> list[Block]:
    """The first blocks, up to the one that has the last of so many rows."""
    head: list[Block] = []
    for block in blocks:
        head.append(block)
        if block.first_row + block.rows >= rows:
            break
    return head


def _joined(blocks: Iterable[Block], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches([block.batch for block in blocks], schema)


def _first_blocks(run: Run, names: Sequence[str]) -> Iterator[Block]:
    """Blocks of a source from its first row on, read by this process.

    Those of a source that can be read only once may go to workers later, and are short enough to travel.
    """
    here = run.here
    limits = [here.rows_of_blocks(len(names))]
    if run.executor.spread:
        limits.append(travelling_rows(len(names)))
    if run.source.repeatable:
        limits.append(UNKNOWN_SAMPLE_ROWS)
    return here.source.blocks(names, min(limits))


def _sample_rows(run: Run, names: tuple[str, ...], runs: Runs) -> pa.Table:
    """The rows of runs; those of files are read by threads of this process or of the workers, some runs each."""
    source, cluster = run.source, run.cluster
    if not runs or not isinstance(source, FileSource):
        return source.sample(names, runs)
    if cluster is None:
        return source.sample_in_threads(names, runs, run.executor.threads)
    shares = source.reachable().shares_of(runs, cluster.worker_threads)
    return pa.concat_tables(cluster.gather("sample", partial(_sample_files, names), shares))


def _sample_files(names: tuple[str, ...], share: tuple[FileSource, Runs]) -> pa.Table:
    files, runs = share
    return files.sample(names, runs)


def _fine_runs(rows: int) -> int:
    """Number of runs of a fine sample: enough to meet all phases of sorted rows, and few enough to read quickly.

    A short table is read through anyway; in a long one each run costs a row group.
    """
    return next(runs for most, runs in FINE_RUNS if rows <= most)


def _join_chunks(table: pa.Table, threads: int) -> pa.Table:
    """The table with one chunk a column, and numbers and datetimes in ascending order: most plans would sort them.

    Work on many short chunks takes longer than the copy.
    """
    with ThreadPoolExecutor(threads) as pool:
        apply = pool.map if table.num_columns > 1 else map
        columns = list(apply(lambda column: _sort_numbers(joined_arrays(column.chunks, column.type)), table.columns))
    return pa.Table.from_arrays(columns, schema=table.schema)


def _sort_numbers(array: pa.Array[Any]) -> pa.Array[Any]:
    """Values of an array; numbers and datetimes are in ascending order, NaN and missing values last."""
    if is_datetime_type(array.type):
        integers = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
        return _sort_numbers(integers).view(array.type)
    if not is_plain_number_type(array.type):
        return array
    values = pa.array(ascending(array.drop_null().to_numpy()), array.type)
    return pa.concat_arrays([values, pa.nulls(array.null_count, array.type)]) if array.null_count else values
