"""Tables in the order of a key: the rows of each key next to each other, in the order of an index."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.columns import MISSING, CategoricalColumn, NumericColumn, PassthroughColumn
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.io import Block, Source, TableSource, is_text_type, joined_arrays, plain_type, plain_values_of, taken

_LOG = logging.getLogger("gpuvgm")
PART_BYTES = 64 << 20  # of the rows in memory that are sorted at once
MOST_BITS = 8  # of a hash, by which rows are parted at once: as many files are open
READ_ROWS = 1 << 16  # at most, of a block
VALUE_BYTES = 16  # of a value in memory: a guess, by which a block is a quarter of a part
NO_KEY = np.uint64(0)  # hash of a missing key
Hashes = NDArray[np.uint64]


@contextmanager
def sorted_by(
    source: Source, key: str, index: str | None = None, column: Any = None, *, part_bytes: int = PART_BYTES
) -> Iterator[Source]:
    """A source of the same rows, those of a key next to each other, in the order of the index.

    A source in which they are already is given as it is: one read of both columns says so. Others are sorted by a hash
    of the key, the key, the index, and then all columns, so that the order of the given rows does not matter; without
    an index the rows of a key keep their order. Rows without a key are keys of one row. What is larger than a part, and
    does not lie in memory, is sorted in temporary files, which are removed at the end.

    Parameters
    ----------
    source : Source
        Any table; one that can be read only once is read once.
    key, index, column : object
        See `RowOrder`.
    part_bytes : int
        Size in memory of the rows that are sorted at once. A key with more rows is sorted at once all the same.

    Yields
    ------
    Source
        One that can be read again.

    Raises
    ------
    InputError
        For columns that do not exist, or cannot be sorted.
    """
    order = RowOrder.of(source, key, index, column)
    if source.repeatable and order.is_kept_by(source):
        yield source
        return
    block_rows = min(max(part_bytes // (4 * VALUE_BYTES * len(source.schema.names)), 1), READ_ROWS)
    batches = (block.batch for block in source.blocks(source.schema.names, block_rows))
    chunks = _chunks(batches, source.schema, math.inf if source.in_memory else part_bytes)
    first, second = next(chunks, source.schema.empty_table()), next(chunks, None)
    if second is None:
        yield TableSource(source.name, source.flavour, order.sort(first), getattr(source, "dtypes", None))
        return
    with tempfile.TemporaryDirectory(prefix="gpuvgm-") as folder:
        size = 0.0 if source.rows is None else source.rows * first.nbytes / first.num_rows
        room = f" of {size / 2**20:,.0f} MiB at most" if size else ""
        _LOG.info('%s: not in the order of "%s": sorted in temporary files%s in %s', source.name, key, room, folder)
        files = _PartFiles(Path(folder), order, part_bytes, _Dictionaries(source.schema))
        parts = [*files.sorted_parts(chain([first, second], chunks), size)]
        rows, paths = sum(part.rows for part in parts), tuple(part.path for part in parts)
        yield SortedParts(source.name, source.flavour, rows, paths, files.dictionaries)


def _chunks(batches: Iterable[pa.RecordBatch], schema: pa.Schema, size: float) -> Iterator[pa.Table]:
    """Batches as tables of about so many bytes."""
    waiting, waiting_bytes = list[pa.RecordBatch](), 0
    for batch in batches:
        waiting.append(batch)
        waiting_bytes += batch.nbytes
        if waiting_bytes >= size:
            yield pa.Table.from_batches(waiting, schema)
            waiting, waiting_bytes = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


# -- the order


@dataclass(frozen=True, slots=True)
class RowOrder:
    """In which order rows are.

    Parameters
    ----------
    key : str
        Rows with the same value belong together.
    index : str, optional
        The order of the rows of a key; without one they keep theirs.
    column : FittedColumn, optional
        The fitted column of the index, which reads text of dates or numbers. Without it text is in the order of its
        letters.
    """

    key: str
    index: str | None = None
    column: Any = None

    @classmethod
    def of(cls, source: Source, key: str, index: str | None = None, column: Any = None) -> RowOrder:
        """The order of a source's rows.

        Raises
        ------
        InputError
            For columns that do not exist, or cannot be sorted.
        """
        names = (key,) if index is None else (key, index)
        source.check_request(names)
        for name in names:
            type_ = source.schema.field(name).type
            if not _is_sortable(plain_type(type_)):
                raise InputError(
                    f'{source.name}: rows cannot be put in the order of column "{name}", whose type is {type_}; name '
                    "a column of numbers, times or text"
                )
        return cls(key, index, column)

    def index_values(self, rows: Any) -> Any:
        """Values of the index by which rows are in order: of text that is dates or numbers what it means."""
        if is_ordered(rows.type):
            categories: Any = rows.combine_chunks() if isinstance(rows, pa.ChunkedArray) else rows
            return categories.indices
        values = plain_values_of(rows)
        if not is_text_type(values.type) or not is_read_as_numbers(self.column):
            return values
        if isinstance(values, pa.ChunkedArray):
            return pa.chunked_array([self.index_values(chunk) for chunk in values.chunks], pa.float64())
        if isinstance(self.column, CategoricalColumn):
            return values.cast(pa.float64())
        return pa.array(np.asarray(self.column.all_numbers(values), np.float64), from_pandas=True)

    def hashes(self, rows: pa.RecordBatch | pa.Table) -> Hashes:
        """A hash of each row's key; of rows without a key, one of all their values, so that they are keys of one."""
        hashes = _hashes(rows.column(self.key))
        lacking = np.flatnonzero(hashes == NO_KEY)
        if len(lacking):
            words = np.zeros(len(lacking), np.uint64)
            for name in rows.schema.names:
                words = mixed(words ^ _hashes(taken(rows.column(name), lacking)), 0)
            hashes[lacking] = words
        return hashes

    def places(self, rows: pa.Table) -> Any:
        """Places of the rows in this order."""
        keys = [pa.chunked_array([self.hashes(rows)]), plain_values_of(rows.column(self.key))]
        if self.index is not None:
            ties = (_as_bits(plain_values_of(rows.column(name))) for name in rows.schema.names)
            keys += [self.index_values(rows.column(self.index)), *(tie for tie in ties if _is_sortable(tie.type))]
        table = pa.table(keys, names=[*map(str, range(len(keys)))]).combine_chunks()
        return pc.sort_indices(table, sort_keys=[(name, "ascending") for name in table.schema.names])

    def sort(self, rows: pa.Table) -> pa.Table:
        """The rows in this order."""
        ordered: pa.Table = taken(rows, self.places(rows))
        return ordered

    def is_kept_by(self, source: Source) -> bool:
        """Whether the rows of each key follow each other, with an index that does not fall."""
        names = [self.key] if self.index is None else [self.key, self.index]
        starts, last, before = _Starts(), np.array([NO_KEY]), None
        for block in source.blocks(names, BLOCK_ROWS):
            hashes = np.append(last, _hashes(block.host_column(self.key)))
            has_key = hashes[1:] != NO_KEY
            follows = (hashes[1:] == hashes[:-1]) & has_key
            if self.index is not None:
                values = self.index_values(block.host_column(self.index))
                if np.any(_falls(values, before) & follows):
                    return False
                before = values[-1:]
            if not starts.add(hashes[1:][has_key & ~follows]):
                return False
            last = hashes[-1:]
        return starts.are_different()


def is_ordered(type_: Any) -> bool:
    """Whether values are categories that have an order of their own."""
    return bool(pa.types.is_dictionary(type_) and type_.ordered)


def is_read_as_numbers(column: Any) -> bool:
    """Whether a fitted column has numbers or dates, or categories that are numbers."""
    if not isinstance(column, CategoricalColumn):
        return isinstance(column, NumericColumn)
    texts = [str(category) for category in column.categories if category is not MISSING]
    try:
        return len(pa.array(texts, pa.string()).cast(pa.float64())) > 0
    except pa.ArrowInvalid:
        return False


def _hashes(values: Any) -> Hashes:
    """Hashes of values; 0 for missing ones."""
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    return np.concatenate([np.empty(0, np.uint64), *map(PassthroughColumn.hashes, chunks)])


def _is_sortable(type_: Any) -> bool:
    """Whether Arrow sorts values of a type; it does not sort lists and maps, for example."""
    columns = {"0": pa.nulls(2, type_), "1": pa.nulls(2, type_)}
    try:
        pc.sort_indices(pa.table(columns), sort_keys=[(name, "ascending") for name in columns])
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False
    return not pa.types.is_nested(type_)


def _as_bits(values: Any) -> Any:
    """Floats as whole numbers, so that zeros of either sign, and kinds of NaN, have an order; others as they are."""
    if not pa.types.is_floating(values.type):
        return values
    bits: Any = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[values.type.bit_width]
    return pa.chunked_array([chunk.view(bits) for chunk in values.chunks], bits)


def _falls(values: Any, before: Any) -> NDArray[np.bool_]:
    """Whether each value is less than the one before; NaN is more than all numbers, and what is missing more than all.

    `before` is an array of the value before the first; None where there is none.
    """
    values = pa.concat_arrays([pa.nulls(1, values.type) if before is None else before, values])
    missing = 2 * np.asarray(values.is_null()).astype(np.int8)
    if pa.types.is_floating(values.type):
        missing += _as_mask(pc.is_nan(values))
    comparable = values.cast(pa.uint8()) if pa.types.is_boolean(values.type) else values
    return _as_mask(pc.less(comparable[1:], comparable[:-1])) | (np.diff(missing) < 0)


def _as_mask(booleans: Any) -> NDArray[np.bool_]:
    """Booleans of Arrow, false where they are missing."""
    return np.asarray(pc.fill_null(booleans, False))  # noqa: FBT003


class _Starts:
    """Hashes of the keys whose rows begin, which are looked through whenever they are twice as many."""

    def __init__(self) -> None:
        self._hashes: list[Hashes] = []
        self._count, self._next = 0, READ_ROWS

    def add(self, hashes: Hashes) -> bool:
        """Add the keys of some rows; returns False where a key is known to begin twice."""
        self._hashes.append(hashes)
        self._count += len(hashes)
        if self._count < self._next:
            return True
        self._next = 2 * self._count
        return self.are_different()

    def are_different(self) -> bool:
        """Whether no key begins twice."""
        self._hashes = [np.sort(np.concatenate([np.empty(0, np.uint64), *self._hashes]))]
        return not np.any(self._hashes[0][1:] == self._hashes[0][:-1])


# -- temporary files


class _Dictionaries:
    """Categories of all columns of a table that have them, so that files hold whole numbers in their place.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns of the table.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._known = {field.name: pa.nulls(0, field.type) for field in schema if pa.types.is_dictionary(field.type)}

    def codes(self, rows: pa.Table) -> pa.Table:
        """The rows, with the place of each category among all that were met."""
        for name, known in self._known.items():
            values = joined_arrays([known, *rows.column(name).chunks], known.type)
            self._known[name] = pa.DictionaryArray.from_arrays(
                pa.nulls(0, values.type.index_type), values.dictionary, ordered=values.type.ordered
            )
            rows = rows.set_column(rows.schema.get_field_index(name), name, values.indices)
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
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        file = files.enter_context(os.fdopen(descriptor, "wb"))
        self._writer = files.enter_context(pa.ipc.new_file(file, schema, options=options))

    def write(self, rows: pa.Table) -> None:
        """Add rows."""
        self._writer.write_table(rows, READ_ROWS)
        self.rows, self.bytes = self.rows + rows.num_rows, self.bytes + rows.nbytes

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
    order : RowOrder
        In which rows are sorted.
    part_bytes : int
        Size of a part that is sorted at once.
    dictionaries : _Dictionaries
        Categories of the table.
    """

    folder: Path
    order: RowOrder
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
            chunks_of_part = _chunks(self.dictionaries.batches(part.path), self.dictionaries.schema, self.part_bytes)
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

    @property
    def schema(self) -> pa.Schema:
        """That of the table."""
        return self.dictionaries.schema

    def locate(self, row: int) -> str:
        """Describe the place of a row, which is not its place in the table."""
        return self.place(row)

    @property
    def place(self) -> Callable[[int], str]:
        """`locate` without the rows."""
        return f"{self.name}, row {{}} of its rows when they are sorted".format

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks."""
        self.check_request(columns, block_rows)
        batches = (batch for part in self.parts for batch in self.dictionaries.batches(part, columns))
        return Block.cut(batches, block_rows)

    def sample(self, columns: Sequence[str], runs: Sequence[tuple[int, int]]) -> pa.Table:
        """Rows of each run, one after the other; all rows up to the last of them are read, and these are copied."""
        self.check_sample(columns, runs)
        pieces: list[list[pa.RecordBatch]] = [[] for _ in runs]
        end = max((start + length for start, length in runs), default=0)
        for block in self.blocks(columns, READ_ROWS):
            if block.first_row >= end:
                break
            for number, (start, length) in block.shares_of(runs):
                pieces[number].append(_copied(block.batch, start, length))
        return pa.Table.from_batches([batch for run in pieces for batch in run], self.fields(columns))


def _copied(batch: pa.RecordBatch, start: int, length: int) -> pa.RecordBatch:
    """A copy of some rows: a slice would hold all of the batch in memory."""
    places = np.arange(start, start + length)
    arrays = [taken(column, places) for column in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema) if arrays else batch.slice(start, length)
