"""Rows that are sorted in memory if they are few, else in temporary files, which only this user may read."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.io import Block, Source, TableSource, joined_arrays, taken

_LOG = logging.getLogger("gpuvgm")
PART_BYTES = 64 << 20  # of the rows in memory that are sorted at once
MOST_BITS = 8  # of a hash, by which rows are parted at once: as many files are open
READ_ROWS = 1 << 16  # at most, of a block
Hashes = NDArray[np.uint64]


class Order(Protocol):
    """An order of rows, in which those with a smaller hash come first."""

    def hashes(self, rows: pa.Table) -> Hashes:
        """A hash of each row, by which rows are parted into files."""

    def sort(self, rows: pa.Table) -> pa.Table:
        """Some rows in this order."""


@contextmanager
def sorted_rows(
    source: Source, chunks: Iterator[pa.Table], order: Order, described: str, part_bytes: int
) -> Iterator[Source]:
    """A source of rows in an order, which can be read again until the end.

    Parameters
    ----------
    source : Source
        What the rows are of: its name, kind, columns, and number of rows if that is known.
    chunks : iterator of pyarrow.Table
        The rows. One chunk is sorted in memory, several in files, which are removed at the end.
    order : Order
        The order.
    described : str
        The order, for the log.
    part_bytes : int
        Size in memory of the rows that are sorted at once.
    """
    first, second = next(chunks, source.schema.empty_table()), next(chunks, None)
    if second is None:
        yield TableSource(source.name, source.flavour, order.sort(first), getattr(source, "dtypes", None))
        return
    with tempfile.TemporaryDirectory(prefix="gpuvgm-") as folder:
        size = 0.0 if source.rows is None else source.rows * bytes_of(first) / first.num_rows
        room = f" of {size / 2**20:,.0f} MiB at most" if size else ""
        _LOG.info("%s: not in %s: sorted in temporary files%s in %s", source.name, described, room, folder)
        files = _PartFiles(Path(folder), order, part_bytes, _Dictionaries(source.schema))
        parts = [*files.sorted_parts(chain([first, second], chunks), size)]
        rows, paths = sum(part.rows for part in parts), tuple(part.path for part in parts)
        yield SortedParts(source.name, source.flavour, rows, paths, files.dictionaries)


def chunks_of(batches: Iterable[pa.RecordBatch], schema: pa.Schema, size: float) -> Iterator[pa.Table]:
    """Batches as tables of about so many bytes."""
    waiting, waiting_bytes = list[pa.RecordBatch](), 0
    for batch in batches:
        waiting.append(batch)
        waiting_bytes += bytes_of(batch)
        if waiting_bytes >= size:
            yield pa.Table.from_batches(waiting, schema)
            waiting, waiting_bytes = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def bytes_of(rows: pa.RecordBatch | pa.Table) -> int:
    """Bytes of rows; of views those of their buffers, as pyarrow 23 knows no others."""
    columns: list[Any] = rows.columns
    are_plain = ((column, _of_views(column.type) is None) for column in columns)
    return sum(column.nbytes if is_plain else column.get_total_buffer_size() for column, is_plain in are_plain)


def _of_views(type_: Any) -> Any:
    """The type of plain texts or bytes in place of views; None of others."""
    if pa.types.is_string_view(type_):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(type_) else None


class _Dictionaries:
    """Categories of all columns of a table that have them, so that files hold whole numbers in their place.

    Files hold views as plain texts and bytes: pyarrow 23 ends the process that writes parts of views.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns of the table.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._known = {field.name: pa.nulls(0, field.type) for field in schema if pa.types.is_dictionary(field.type)}
        self._views = {field.name: _of_views(field.type) for field in schema if _of_views(field.type) is not None}

    def codes(self, rows: pa.Table) -> pa.Table:
        """The rows, with the place of each category among all that were met."""
        for name, known in self._known.items():
            values = joined_arrays([known, *rows.column(name).chunks], known.type)
            self._known[name] = pa.DictionaryArray.from_arrays(
                pa.nulls(0, values.type.index_type), values.dictionary, ordered=values.type.ordered
            )
            rows = rows.set_column(rows.schema.get_field_index(name), name, values.indices)
        for name, type_ in self._views.items():
            rows = rows.set_column(rows.schema.get_field_index(name), name, rows.column(name).cast(type_))
        return rows

    def batches(self, path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Rows of a file with their categories, of all columns or of some."""
        names = self.schema.names if columns is None else [*columns]
        fields = [self.schema.get_field_index(name) for name in names] or [0]
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        with pa.OSFile(str(path), "rb") as file, pa.ipc.open_file(file, options=options) as reader:
            for number in range(reader.num_record_batches):
                yield self._values(reader.get_batch(number).select(names))

    def _values(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if not batch.num_columns:
            return batch
        arrays = [
            pa.DictionaryArray.from_arrays(codes, self._known[name].dictionary, ordered=self._known[name].type.ordered)
            if name in self._known
            else codes.cast(self.schema.field(name).type)
            if name in self._views
            else codes
            for name, codes in zip(batch.schema.names, batch.columns, strict=True)
        ]
        fields = [self.schema.field(name) for name in batch.schema.names]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


class _Part:
    """A file of rows whose hashes begin alike, which only this user may read.

    Parameters
    ----------
    folder : pathlib.Path
        Where it lies.
    schema : pyarrow.Schema
        Columns of the file.
    files : ExitStack
        Closes the file at its end.
    """

    def __init__(self, folder: Path, schema: pa.Schema, files: ExitStack) -> None:
        descriptor, path = tempfile.mkstemp(suffix=".arrow", dir=folder)
        self.path, self.rows, self.bytes = Path(path), 0, 0
        self._lowest, self._highest = 2**64, -1
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))  # two thirds of what LZ4 leaves
        file = files.enter_context(os.fdopen(descriptor, "wb"))
        self._writer = files.enter_context(pa.ipc.new_file(file, schema, options=options))

    def write(self, rows: pa.Table) -> None:
        """Add rows."""
        self._writer.write_table(rows, READ_ROWS)
        self.rows, self.bytes = self.rows + rows.num_rows, self.bytes + bytes_of(rows)

    def note_keys(self, hashes: Hashes) -> None:
        """Note the hashes of the keys of rows that are added."""
        self._lowest, self._highest = min(self._lowest, int(hashes.min())), max(self._highest, int(hashes.max()))

    @property
    def is_of_one_key(self) -> bool:
        """Whether all rows have the same key."""
        return self._lowest == self._highest


@dataclass(frozen=True, slots=True)
class _PartFiles:
    """Parts rows by the hashes of their keys, and sorts the parts.

    Parameters
    ----------
    folder : pathlib.Path
        Where the files lie.
    order : Order
        In which rows are sorted.
    part_bytes : int
        Size of a part that is sorted at once.
    dictionaries : _Dictionaries
        Categories of the table.
    """

    folder: Path
    order: Order
    part_bytes: int
    dictionaries: _Dictionaries

    def sorted_parts(self, chunks: Iterable[pa.Table], size: float, used: int = 0) -> Iterator[_Part]:
        """Files of sorted rows, in the order of hashes.

        Parameters
        ----------
        chunks : iterable of pyarrow.Table
            The rows, whose hashes have the same first `used` bits.
        size : float
            Bytes of all chunks in memory; 0 where that is not known.
        used : int
            Bits by which they were parted before.
        """
        bits = math.ceil(math.log2(max(2 * size / self.part_bytes, 2))) if size else MOST_BITS
        bits = min(bits, MOST_BITS, 64 - used)
        for part in self._parted(chunks, used, bits):
            chunks_of_part = chunks_of(self.dictionaries.batches(part.path), self.dictionaries.schema, self.part_bytes)
            if part.bytes > self.part_bytes and not part.is_of_one_key:
                yield from self.sorted_parts(chunks_of_part, part.bytes, used + bits)
            else:
                yield self._sorted(pa.concat_tables(chunks_of_part))
            part.path.unlink()

    def _parted(self, chunks: Iterable[pa.Table], used: int, bits: int) -> list[_Part]:
        """Files of the rows by the next bits of their hashes, in the order of these."""
        parts = dict[int, _Part]()
        with ExitStack() as files:
            for chunk in chunks:
                hashes = self.order.hashes(chunk)
                numbers = (hashes << np.uint64(used) >> np.uint64(64 - bits)).astype(np.uint8)
                places = np.argsort(numbers, kind="stable")
                rows, hashes = taken(self.dictionaries.codes(chunk), places), hashes[places]
                stops = np.cumsum(np.bincount(numbers)).tolist()
                for number, (start, stop) in enumerate(pairwise([0, *stops])):
                    if start == stop:
                        continue
                    if number not in parts:
                        parts[number] = _Part(self.folder, rows.schema, files)
                    parts[number].write(rows.slice(start, stop - start))
                    parts[number].note_keys(hashes[start:stop])
        return [parts[number] for number in sorted(parts)]

    def _sorted(self, rows: pa.Table) -> _Part:
        """A file of the rows in order."""
        with ExitStack() as files:
            codes = self.dictionaries.codes(self.order.sort(rows))
            part = _Part(self.folder, codes.schema, files)
            part.write(codes)
        return part


@dataclass(frozen=True, slots=True)
class SortedParts(Source):
    """Sorted rows in temporary files.

    Parameters
    ----------
    name, flavour, rows : object
        See `Source`.
    parts : tuple of pathlib.Path
        The files, in the order of their rows.
    dictionaries : _Dictionaries
        Columns of the table, and their categories.
    """

    name: str
    flavour: str
    rows: int
    parts: tuple[Path, ...]
    dictionaries: _Dictionaries
    reordered: ClassVar[bool] = True

    @property
    def schema(self) -> pa.Schema:
        """That of the table."""
        return self.dictionaries.schema

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks."""
        self.check_request(columns, block_rows)
        batches = (batch for part in self.parts for batch in self.dictionaries.batches(part, columns))
        return Block.cut(batches, block_rows)

    def sample(self, columns: Sequence[str], runs: Sequence[tuple[int, int]]) -> pa.Table:
        """Rows of each run; see `Source.sample_of_blocks`."""
        return self.sample_of_blocks(columns, runs, READ_ROWS)
