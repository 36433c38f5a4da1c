"""Tables in the order of a key: the rows of each key next to each other, in the order of an index."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.columns import MISSING, CategoricalColumn, NumericColumn, PassthroughColumn
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.io import Source, is_text_type, plain_type, plain_values_of, taken
from gpuvgm.synthesis.sequences.sorted_files import PART_BYTES, READ_ROWS, Hashes, chunks_of, sorted_rows

VALUE_BYTES = 16  # of a value in memory: a guess, by which a block is a quarter of a part
NO_KEY = np.uint64(0)  # hash of a missing key


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
    with order.sorted(source, f'the order of "{key}"', part_bytes) as rows:
        yield rows


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
        hashes = self._hashes_of_keys(rows.column(self.key))
        lacking = np.flatnonzero(hashes == NO_KEY)
        if len(lacking):
            words = np.zeros(len(lacking), np.uint64)
            for name in rows.schema.names:
                words = mixed(words ^ _hashes(taken(rows.column(name), lacking)), 0)
            hashes[lacking] = words
        return hashes

    def _hashes_of_keys(self, keys: Any) -> Hashes:
        return _hashes(keys)

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

    @contextmanager
    def sorted(self, source: Source, described: str, part_bytes: int = PART_BYTES) -> Iterator[Source]:
        """A source of the same rows in this order, which can be read again until the end; see `sorted_by`.

        Parameters
        ----------
        source : Source
            The rows, which are read once.
        described : str
            The order, for the log.
        part_bytes : int
            Size in memory of the rows that are sorted at once.
        """
        block_rows = min(max(part_bytes // (4 * VALUE_BYTES * len(source.schema.names)), 1), READ_ROWS)
        batches = (block.batch for block in source.blocks(source.schema.names, block_rows))
        chunks = chunks_of(batches, source.schema, math.inf if source.in_memory else part_bytes)
        with sorted_rows(source, chunks, self, described, part_bytes) as rows:
            yield rows

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


class HashOrder(RowOrder):
    """Rows in the order of a column that has a hash of the key of each; see `RowOrder`."""

    __slots__ = ()

    @classmethod
    def by(cls, key: str, index: str | None, schema: pa.Schema) -> Self:
        """The order of a table's rows by a column of hashes and, if it can be sorted, by that of an index."""
        return cls(key, index if index is not None and _is_sortable(plain_type(schema.field(index).type)) else None)

    def _hashes_of_keys(self, keys: Any) -> Hashes:
        return np.asarray(keys.fill_null(int(NO_KEY)), np.uint64).copy()


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
