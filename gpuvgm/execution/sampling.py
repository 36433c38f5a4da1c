"""Samples of a source: for plans, and for fits on a part of the rows, stratified or not."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import ascending
from gpuvgm.errors import InputError
from gpuvgm.execution.context import Run, travelling_rows
from gpuvgm.io import (
    Block,
    FileSource,
    Runs,
    Source,
    TableSource,
    is_datetime_type,
    is_plain_number_type,
    joined_arrays,
    plain_values_of,
    row_bytes,
    taken,
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


STRATIFIED_READS = 4  # times as many rows are read as are taken by strata
STRATIFIED_ROWS = 1 << 15  # that are read at least, so that a decile's share among them is off by 1 % at most
STRATIFIED_RUNS = 2048  # of a source that is too long to be read through for a sample
READ_THROUGH = 1 << 24  # rows
HEAD_BLOCK_ROWS = 1 << 16
Column: TypeAlias = "pa.ChunkedArray[Any]"
_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class SampleSource(Source):
    """Sampled rows of a source, as a source.

    Parameters
    ----------
    origin : Source
        Source of the rows.
    table : pyarrow.Table
        The rows of those columns that are used.
    record : dict
        How the sample was taken: "rows", "of" (None: unknown), "seed" and "stratified"; part of the fingerprint.
    runs : sequence of (int, int), optional
        Rows of the origin, if the same ones were sampled for all columns.
    """

    origin: Source
    table: pa.Table
    record: dict[str, Any]
    runs: Runs | None = None
    flavour: str = "sample"
    in_memory: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Name of the origin, and that it is a sample."""
        return f"sample of {self.origin.name}"

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of the origin."""
        return self.origin.schema

    @property
    def rows(self) -> int:
        """Number of sampled rows."""
        return int(self.table.num_rows)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks."""
        return self._table_source.blocks(columns, block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Sampled rows by their position in the sample."""
        return self._table_source.sample(columns, runs)

    def fingerprint(self) -> dict[str, Any]:
        """Fingerprint of the origin, and how the sample was taken."""
        return self.origin.fingerprint() | {"sample": self.record}

    def locate(self, row: int) -> str:
        """Describe the place of a sampled row in the origin, as far as that is known."""
        offset = row
        for start, length in self.runs or ():
            if offset < length:
                return self.origin.locate(start + offset)
            offset -= length
        return Source.locate(self, row)

    @property
    def _table_source(self) -> TableSource:
        return TableSource(self.name, self.flavour, self.table)


@dataclass(frozen=True, slots=True)
class RowSample:
    """A sample of a source, for a fit in its place.

    Parameters
    ----------
    count : int
        Rows of the sample; all rows where there are no more.
    stratified : bool
        Whether each column takes its rows by strata of its own values, from at least four times as many rows. These
        are single rows of all parts of the source; of a source of more than 2^24 rows they are 2,048 runs.
    """

    count: int
    stratified: bool

    @classmethod
    def of(cls, sample_rows: object, *, stratified: bool) -> RowSample | None:
        """The sample of a user's settings; None for all rows.

        Raises
        ------
        InputError
            For less than one row, and for strata without a sample.
        """
        if sample_rows is None:
            if stratified:
                raise InputError("stratified=True is a way to take a sample: give sample_rows too")
            return None
        if not isinstance(sample_rows, (int, np.integer)) or isinstance(sample_rows, bool) or sample_rows < 1:
            raise InputError(f"sample_rows must be an integer of at least 1, got {sample_rows!r}")
        return cls(int(sample_rows), stratified)

    def size(self, schema: pa.Schema, total: int | None) -> int:
        """Bytes that the sample takes while it is read: twice its rows, or twice those that strata choose from."""
        rows = self._rows_to_read if total is None else min(self._rows_to_read, total)
        return round(2 * rows * row_bytes(schema))

    def take(self, source: Source, names: Sequence[str], seed: int) -> SampleSource:
        """The sample of some columns, at places that a seed determines.

        Of sources that do not know their number of rows it is the first rows, which the log says.
        """
        rows = self._rows_to_read
        total = source.rows if source.repeatable else None
        runs = [(0, rows)]
        if total is None:
            table = _head(source, names, rows)
        elif self.stratified and rows < total <= READ_THROUGH:
            table = _single_rows(source, names, total, rows, seed)
        else:
            runs = sample_runs(total, seed, rows, runs=STRATIFIED_RUNS if self.stratified else SAMPLE_RUNS)
            table = source.sample(names, runs)
        by_strata = self.stratified and table.num_rows > self.count
        if by_strata:
            table = stratify(table, self.count, seed)
        record = {"rows": table.num_rows, "of": total, "seed": seed, "stratified": self.stratified}
        return SampleSource(source, table, record, None if by_strata else runs)

    @property
    def _rows_to_read(self) -> int:
        """Rows that are read; strata choose among more than they take."""
        return max(self.count * STRATIFIED_READS, STRATIFIED_ROWS) if self.stratified else self.count


def _single_rows(source: Source, names: Sequence[str], total: int, count: int, seed: int) -> pa.Table:
    """One row at a random place in each of `count` equal parts of all rows, which are read through.

    Runs of neighbours would count as little more than one row each wherever neighbours are alike: in sorted columns,
    and in those that go up and down with the order of rows, such as the time of day in a table sorted by day.
    """
    borders = np.arange(count + 1) * total // count
    random = np.random.Generator(np.random.PCG64(seed))
    rows = borders[:-1] + (random.random(count) * np.diff(borders)).astype(np.int64)
    batches = []
    for block in source.as_read(on_device=False).blocks(names, HEAD_BLOCK_ROWS):
        low, high = np.searchsorted(rows, (block.first_row, block.first_row + block.rows))
        arrays = [taken(column, rows[low:high] - block.first_row) for column in block.batch.columns]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=block.batch.schema))
    return pa.Table.from_batches(batches)


def _head(source: Source, names: Sequence[str], count: int) -> pa.Table:
    """The first rows of a source."""
    _LOG.warning("%s: its number of rows is unknown: the sample is its first rows, not a random one", source.name)
    head = _blocks_up_to(source.blocks(names, min(count, HEAD_BLOCK_ROWS)), count)
    return _joined(head, source.fields(names)).slice(0, count)


def stratify(table: pa.Table, count: int, seed: int) -> pa.Table:
    """`count` rows of every column, taken from it alone: one from each of equal strata in the order of its values.

    This is systematic sampling from an ordered frame (Cochran 1977, Sampling Techniques, chapter 8) with one random
    offset for all columns. The least and the largest value are always among them, and missing values keep their share.
    Columns without an order get rows at equal steps. The rows of a column stay in the order that they were read in;
    those of different columns no longer belong together, which does not matter to fits of single columns.

    Parameters
    ----------
    table : pyarrow.Table
        More than `count` rows.
    count : int
        Rows to take.
    seed : int
        Seed of the offset.
    """
    offset = float(np.random.Generator(np.random.PCG64(seed)).random())
    columns = [_take_strata(_with_one_dictionary(column), count, offset) for column in table.columns]
    return pa.Table.from_arrays(columns, names=table.schema.names)


def _with_one_dictionary(column: Column) -> Column:
    """The column; one of dictionaries in a single chunk, so that its codes mean the same in all rows."""
    return (
        pa.chunked_array([joined_arrays(column.chunks, column.type)]) if pa.types.is_dictionary(column.type) else column
    )


def _take_strata(column: Column, count: int, offset: float) -> Any:
    order = _order(column)
    if order is None:
        return taken(column, _systematic_positions(len(column), count, offset))
    missing = len(column) - int(np.sum(_has_value(column)))
    missing_count = _share_of_missing(missing, len(column), count)
    value_order, missing_order = order[: len(order) - missing], order[len(order) - missing :]
    positions = _systematic_positions(len(value_order), count - missing_count, offset)
    if len(positions) > 1:
        positions[0], positions[-1] = 0, len(value_order) - 1
    rows = np.concatenate(
        (value_order[positions], missing_order[_systematic_positions(missing, missing_count, offset)])
    )
    return taken(column, np.sort(rows))


def _share_of_missing(missing: int, rows: int, count: int) -> int:
    """How many of `count` rows are missing: their share, but neither none nor all where there are others."""
    share = round(count * missing / rows)
    return min(max(share, min(missing, 1)), count - min(rows - missing, 1))


def _systematic_positions(rows: int, count: int, offset: float) -> NDArray[np.int64]:
    """Positions of one row in each of `count` equal parts of `rows` rows."""
    # Rounding may reach `rows` itself.
    return np.minimum(((np.arange(count) + offset) * (rows / max(count, 1))).astype(np.int64), rows - 1)


def _has_value(column: Column) -> NDArray[np.bool_]:
    """Mask of rows that hold a value; NaN is none."""
    valid: NDArray[np.bool_] = np.asarray(pc.is_valid(column))
    if pa.types.is_floating(column.type):
        valid &= ~np.asarray(pc.is_null(column, nan_is_null=True))
    return valid


def _order(column: Column) -> NDArray[np.int64] | None:
    """Rows in the order of their values, missing ones last; None for types without an order."""
    if pa.types.is_nested(column.type):
        return None
    try:
        return np.asarray(pc.sort_indices(_sortable(column))).astype(np.int64)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return None


def _sortable(column: Column) -> Column:
    """The column in a type that Arrow sorts by the same order."""
    column = plain_values_of(column)
    return column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
