"""Samples that take the place of a source in a fit: runs of rows where these differ, single rows elsewhere, strata.

Neighbours are often alike: in a sorted column, or in tables sorted by day. A run of such rows counts as little more
than one of them. Where that is so, and where rows cannot be reached by their number, single rows are taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.errors import InputError, listed
from gpuvgm.execution.sampling import SAMPLE_RUNS, sample_runs
from gpuvgm.execution.strata import Column, sortable, stratify, systematic_positions, with_one_dictionary
from gpuvgm.io import Block, FileSource, Runs, Source, TableSource, row_bytes, taken

STRATIFIED_READS = 4  # times as many rows are read as are taken by strata
STRATIFIED_ROWS = 1 << 15  # that are read at least, so that a decile's share among them is off by 1 % at most
FINEST_RUNS = 2048  # of a source that is too long to be read through for a sample
READ_THROUGH = 1 << 24  # rows
BLOCK_ROWS = 1 << 16  # of a source that is read through
MOST_EFFECT = 2.5  # of the design of runs; random rows have more in less than one of 100,000 columns
LINES_READ = 4  # times as many lines of text are looked at as are taken: neighbours are hardly ever among these
PLACE_BYTES = 24  # of a line
MOST_WINDOWS = 1 << 15  # within a text
PILOT_BYTES, PILOT_WINDOWS = 1 << 16, 16  # of a text, that tell how long its lines are
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
    places : ndarray of shape (rows,), int64, optional
        Rows of the origin, where they are known and the same for all columns.
    """

    origin: Source
    table: pa.Table
    record: dict[str, Any]
    places: NDArray[np.int64] | None = None
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
        return Source.locate(self, row) if self.places is None else self.origin.locate(int(self.places[row]))

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
        Whether each column takes its rows by strata of its own values, from at least four times as many rows.
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
        """Bytes that the sample takes while it is read: twice its rows, or twice those that strata choose from.

        Where the number of rows is unknown, it is three times, as a reservoir holds up to twice as many, and the places
        of the lines that are looked at.
        """
        if total is None:
            return round(self._rows_to_read * (3 * row_bytes(schema) + PLACE_BYTES * LINES_READ))
        return round(2 * min(self._rows_to_read, total) * row_bytes(schema))

    def take(self, source: Source, names: Sequence[str], seed: int) -> SampleSource:
        """The sample of some columns, at places that a seed determines."""
        count, total = self._rows_to_read, source.rows if source.repeatable else None
        rows = _of_unknown_length(source, names, count, seed) if total is None else self._by_number(source, names, seed)
        table, places, total = rows.table, rows.places, rows.total
        if self.stratified and table.num_rows > self.count:
            table, places = stratify(table, self.count, seed), None
        record = {"rows": table.num_rows, "of": total, "seed": seed, "stratified": self.stratified}
        return SampleSource(source, table, record, places)

    def _by_number(self, source: Source, names: Sequence[str], seed: int) -> _Rows:
        """Rows of a source that gives them by their number: in runs, or single ones where these are much alike."""
        count, total = self._rows_to_read, source.rows or 0
        is_read_through = source.in_memory or total <= READ_THROUGH
        if self.stratified and is_read_through and count < total:
            return _single_rows(source, names, total, count, seed)
        # Runs of one length, or the last parts of the table, which have the shorter ones, would count for less.
        finest = -(-count // -(-count // FINEST_RUNS))
        runs = sample_runs(total, seed, count, runs=finest if self.stratified else SAMPLE_RUNS)
        table = source.sample(names, runs)
        alike = [name for name in names if design_effect(table.column(name), runs) > MOST_EFFECT]
        if alike and is_read_through:
            text = "%s: neighbouring rows are alike in %s, so that the sample has single rows; all are read for it"
            _LOG.info(text, source.name, listed(alike))
            return _single_rows(source, names, total, count, seed)
        if alike:
            runs = sample_runs(total, seed, count, runs=finest)
            table = table if self.stratified else source.sample(names, runs)
            text = (
                "%s: neighbouring rows are alike in %s, and %d rows are too many to be read for a sample of single "
                "rows: it has %d runs, each of which may tell little more than one row; a fit of all rows tells more"
            )
            _LOG.warning(text, source.name, listed(alike), total, len(runs))
        places = np.concatenate([np.arange(start, start + length) for start, length in runs] or [np.empty(0, np.int64)])
        return _Rows(table, total, places)

    @property
    def _rows_to_read(self) -> int:
        """Rows that are read; strata choose among more than they take."""
        return max(self.count * STRATIFIED_READS, STRATIFIED_ROWS) if self.stratified else self.count


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of a source, with the number of all of its rows, and their places among these, as far as they are known."""

    table: pa.Table
    total: int | None
    places: NDArray[np.int64] | None = None


def design_effect(column: Column, runs: Runs) -> float:
    """How many rows of runs tell as much as one single row, by the ranks of their values; 1 where runs are random.

    This is Kish's design effect 1 + (m - 1) ρ (Kish 1965, Survey Sampling, section 5.4) of k runs of m rows, where ρ
    is the intraclass correlation (B - W) / (B + (m - 1) W), and B and W are the mean squares between and within runs.
    Columns without an order have an effect of 1.
    """
    lengths = np.array([length for _, length in runs])
    rows, count = len(column), len(lengths)
    if count < 2 or rows == count:
        return 1.0
    try:
        ranks = np.asarray(pc.rank(sortable(column), tiebreaker="min")).astype(np.float64)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return 1.0
    means = np.add.reduceat(ranks, np.cumsum(lengths) - lengths) / lengths
    between = float(np.sum(lengths * (means - ranks.mean()) ** 2)) / (count - 1)
    within = float(np.sum((ranks - np.repeat(means, lengths)) ** 2)) / (rows - count)
    size, total = rows / count, between + (rows / count - 1) * within
    return size * between / total if total else 1.0


def _single_rows(source: Source, names: Sequence[str], total: int, count: int, seed: int) -> _Rows:
    """One row at a random place in each of `count` equal parts of all rows, which are read through."""
    borders = np.arange(count + 1) * total // count
    random = np.random.Generator(np.random.PCG64(seed))
    rows = borders[:-1] + (random.random(count) * np.diff(borders)).astype(np.int64)
    batches = []
    for block in source.as_read(on_device=False).blocks(names, BLOCK_ROWS):
        low, high = np.searchsorted(rows, (block.first_row, block.first_row + block.rows))
        batches.append(_rows_of(block, rows[low:high] - block.first_row))
    return _Rows(pa.Table.from_batches(batches), total, rows)


def _rows_of(block: Block, places: NDArray[np.int64]) -> pa.RecordBatch:
    """Copies of some rows of a block."""
    batch = block.batch
    return pa.RecordBatch.from_arrays([taken(column, places) for column in batch.columns], schema=batch.schema)


def _of_unknown_length(source: Source, names: Sequence[str], count: int, seed: int) -> _Rows:
    """Rows at random places of a text, or of all rows, which are read through."""
    table = _rows_of_text(source, names, count, seed) if isinstance(source, FileSource) else None
    return _reservoir(source, names, count, seed) if table is None else _Rows(table, None)


def _rows_of_text(source: FileSource, names: Sequence[str], count: int, seed: int) -> pa.Table | None:
    """Single rows of files of text that are reached by their place in it; None where reading it through is better.

    Lines that begin within short windows of bytes are as likely to be met whatever their length. From all that are met
    each n-th is taken.
    """
    size = source.text_bytes
    if size is None:
        return None
    pilot = source.lines_within(sample_runs(size, seed, PILOT_BYTES, runs=PILOT_WINDOWS))
    if pilot is None or not len(pilot):
        return None
    windows = min(count, MOST_WINDOWS)
    length = -(-LINES_READ * count * min(PILOT_BYTES, size) // (len(pilot) * windows))
    if 2 * windows * length > size:
        return None
    lines = source.lines_within(sample_runs(size, seed, windows * length, runs=windows))
    if lines is None or len(lines) < count:
        return None
    offset = float(np.random.Generator(np.random.PCG64(seed)).random())
    with suppress(InputError):  # for lines that are no rows, but lie within quotes; else reading it through raises it
        return source.read_lines(names, lines[systematic_positions(len(lines), count, offset)])
    return None


def _reservoir(source: Source, names: Sequence[str], count: int, seed: int) -> _Rows:
    """`count` rows of a source that is read through, every set of so many with the same chance.

    Each row draws a number, and those with the least are taken: a reservoir (Vitter 1985, of keys) whose rows do not
    depend on the length of blocks.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    reservoir, total = _Reservoir(count, source.fields(names)), 0
    for block in source.as_read(on_device=False).blocks(names, BLOCK_ROWS):
        reservoir.add(block, random.random(block.rows))
        total += block.rows
    table, places = reservoir.rows()
    return _Rows(table, total, places)


class _Reservoir:
    """The rows with the least numbers so far, and up to as many more, which are dropped from time to time."""

    def __init__(self, count: int, schema: pa.Schema) -> None:
        self._count, self._limit = count, 1.0
        self._table = schema.empty_table()
        self._numbers, self._places = np.empty(0), np.empty(0, np.int64)
        self._batches: list[tuple[pa.RecordBatch, NDArray[np.float64], NDArray[np.int64]]] = []

    def add(self, block: Block, numbers: NDArray[np.float64]) -> None:
        """Add the rows of a block, each with its number in [0, 1)."""
        rows = np.flatnonzero(numbers < self._limit)
        self._batches.append((_rows_of(block, rows), numbers[rows], block.first_row + rows))
        if len(self._places) + sum(len(batch[1]) for batch in self._batches) > 2 * self._count:
            self._drop()

    def rows(self) -> tuple[pa.Table, NDArray[np.int64]]:
        """The rows in their order, and their places."""
        self._drop()
        return self._table, self._places

    def _drop(self) -> None:
        """Drop all rows but those with the least numbers."""
        added, self._batches = self._batches, []
        numbers = np.concatenate([self._numbers, *(numbers for _, numbers, _ in added)])
        places = np.concatenate([self._places, *(places for _, _, places in added)])
        rows = np.sort(np.argsort(numbers, kind="stable")[: self._count])
        batches = pa.Table.from_batches([batch for batch, _, _ in added], self._table.schema)
        table = pa.concat_tables([self._table, batches])
        columns = [taken(with_one_dictionary(column), rows) for column in table.columns]
        self._table = pa.Table.from_arrays(columns, schema=table.schema)
        self._numbers, self._places = numbers[rows], places[rows]
        if len(rows) == self._count:
            self._limit = float(self._numbers.max())
