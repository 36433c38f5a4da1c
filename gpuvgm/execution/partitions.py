"""Partitions of a source: consecutive rows that any process can read, and how an engine reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, Protocol

import pyarrow as pa

from gpuvgm.engines import get_engine
from gpuvgm.io import Block, FileSource, Source, TableSource

COUNTED_ROWS = 1 << 16  # of a block, where rows are counted


@dataclass(frozen=True, slots=True)
class Reading:
    """Columns and blocks in which an engine reads a partition.

    Parameters
    ----------
    engine : str
        Name of the engine that gets the blocks.
    columns : tuple of str
        The columns.
    block_rows : int
        Rows of a block.
    """

    engine: str
    columns: tuple[str, ...]
    block_rows: int

    def rows_of(self, source: Source) -> Source:
        """The source as the engine reads it: with cuDF for an engine on a device, else to the host."""
        return source.as_read(on_device=get_engine(self.engine).runs_on_device)


class Partition(Protocol):
    """Consecutive rows of a source, readable in another process."""

    @property
    def source(self) -> Source:
        """The source that holds the rows."""

    @property
    def reading(self) -> Reading:
        """How the rows are read."""

    @property
    def first_row(self) -> int:
        """Global index of the first row."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    def read(self) -> OpenPartition:
        """The partition, as its engine reads it."""


@dataclass(frozen=True, slots=True)
class OpenPartition:
    """Blocks of a partition, and whether they lie on a device."""

    on_device: bool
    blocks: Iterator[Block]


@dataclass(frozen=True, slots=True)
class FileRows:
    """Rows of files.

    Parameters
    ----------
    source : FileSource
        The files that hold them.
    offset : int
        Global index of these files' first row.
    first_row, rows : int
        The rows, globally.
    reading : Reading
        What is read of them.
    """

    source: FileSource
    offset: int
    first_row: int
    rows: int
    reading: Reading

    def read(self) -> OpenPartition:
        """The rows, as the engine reads them."""
        columns, block_rows = self.reading.columns, self.reading.block_rows
        source = self.reading.rows_of(self.source)
        start = self.first_row - self.offset
        blocks = (
            source.blocks(columns, block_rows)
            if self.rows == source.rows
            else source.between(columns, start, start + self.rows, block_rows)
        )
        return OpenPartition(source.lies_on_device, number_from(blocks, self.offset))


@dataclass(frozen=True, slots=True)
class HeldRows:
    """Rows that travel with the partition; parameters as for `FileRows`.

    Parameters
    ----------
    source : Source
        The rows, and no others.
    """

    source: Source
    first_row: int
    reading: Reading

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.source.rows or 0

    def read(self) -> OpenPartition:
        """The rows, as the engine reads them."""
        source = self.reading.rows_of(self.source)
        blocks = source.blocks(self.reading.columns, self.reading.block_rows)
        return OpenPartition(source.lies_on_device, number_from(blocks, self.first_row))


def blocks_of(partition: Any, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
    """Blocks of a partition with other columns and another number of rows than it was made with."""
    reading = replace(partition.reading, columns=tuple(columns), block_rows=block_rows)
    rows: OpenPartition = replace(partition, reading=reading).read()
    return rows.blocks


def number_from(blocks: Iterator[Block], offset: int) -> Iterator[Block]:
    """Blocks whose rows are numbered from `offset`."""
    return (replace(block, first_row=block.first_row + offset) for block in blocks) if offset else blocks


def partitions(source: Source, reading: Reading, partition_rows: int, *, whole_groups: bool = False) -> Iterator[Any]:
    """A source as partitions of `partition_rows` rows.

    Parameters
    ----------
    source : Source
        Files are read by whoever gets a partition; frames of Dask keep the partitions that they have; rows of
        everything else travel with the partition.
    reading : Reading
        What is read.
    partition_rows : int
        Rows of a partition; files that do not know their rows are a partition each.
    whole_groups : bool
        Cut Parquet files between row groups alone, which cuDF reads as a whole: partitions have at most so many rows,
        but for a longer row group, which is one.
    """
    source_partitions = getattr(source, "partitions", None)
    if source_partitions is not None:
        return iter(source_partitions(reading))
    if isinstance(source, FileSource):
        return file_rows(source, reading, _cuts(source, partition_rows, whole_groups=whole_groups))
    return held_rows(source, reading, partition_rows)


def _cuts(source: FileSource, partition_rows: int, *, whole_groups: bool) -> list[int]:
    """First row of each partition of files, and the end of the last one."""
    rows = [part.rows or 0 for part in source.parts]
    if any(part.sequential for part in source.parts):  # a later part could only be read from the file's beginning
        return [*accumulate(rows, initial=0)]
    ends = source.ends_of_groups(partition_rows) if whole_groups else None
    return [*range(0, sum(rows), partition_rows), sum(rows)] if ends is None else [0, *ends]


def file_rows(source: FileSource, reading: Reading, cuts: Sequence[int]) -> Iterator[FileRows]:
    """Rows of files in partitions between cuts; each partition carries only the files that it lies in."""
    bounds = list(pairwise(accumulate((part.rows or 0 for part in source.parts), initial=0)))
    low = 0
    for start, stop in pairwise(cuts):
        if start == stop:
            continue
        while bounds[low][1] <= start:
            low += 1
        high = low
        while bounds[high][1] < stop:
            high += 1
        files = replace(source, parts=source.parts[low : high + 1], stamps=source.stamps[low : high + 1], origins=())
        yield FileRows(files, bounds[low][0], start, stop - start, reading)


def held_rows(source: Source, reading: Reading, partition_rows: int) -> Iterator[HeldRows]:
    """Rows in memory, or of a source that can be read only once, in partitions of equal length."""
    for block in source.blocks(reading.columns, partition_rows):
        table = pa.Table.from_batches([block.batch])
        yield HeldRows(TableSource(source.name, source.flavour, table), block.first_row, reading)


def single_files(source: FileSource) -> list[FileSource]:
    """Each file as a source."""
    return [replace(source, parts=(part,), stamps=(s,)) for part, s in zip(source.parts, source.stamps, strict=True)]


def rows_of_file(source: FileSource) -> int:
    """Rows of one file, counted if the file does not say them."""
    if source.rows is not None:
        return source.rows
    # One column is enough to count rows.
    return sum(block.rows for block in source.blocks(source.schema.names[:1], COUNTED_ROWS))


def with_known_rows(source: FileSource, counts: Sequence[int]) -> FileSource:
    """The files of a source with the rows of each; `counts` fill in those that are unknown."""
    parts: tuple[Any, ...] = source.parts
    pairs = zip(parts, counts, strict=True)
    return replace(source, parts=tuple(replace(part, rows=n) if part.rows is None else part for part, n in pairs))
