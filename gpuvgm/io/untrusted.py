"""Checks of Arrow data that is not trusted, and sizes of what its values stand for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.errors import InputError, printable
from gpuvgm.io.arrow import is_view, reading_options
from gpuvgm.shortage import ARROW_PROBLEMS, reason

MOST_DIGITS = 76  # of a decimal; Arrow reads past its tables of powers where the scale is far beyond


def check_schema(schema: pa.Schema) -> None:
    """Refuse types that Arrow accepts in a schema and fails on later.

    Raises
    ------
    InputError
        For decimals of an impossible scale, naming the column.
    UnicodeError
        For names that are not UTF-8.
    """
    for field in schema:
        _check_type(field.name, field.type)


def _check_type(name: str, type_: Any) -> None:
    if pa.types.is_decimal(type_) and abs(type_.scale) > MOST_DIGITS:
        raise InputError(f'column "{printable(name)}" has decimals of {type_.scale} places; {MOST_DIGITS} are the most')
    if isinstance(type_, pa.BaseExtensionType):
        _check_type(name, type_.storage_type)
    elif pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_):
        _check_type(name, type_.value_type)
    elif pa.types.is_nested(type_):
        for i in range(type_.num_fields):
            _check_type(f"{name}.{type_.field(i).name}", type_.field(i).type)
    elif pa.types.is_timestamp(type_):
        type_.tz  # noqa: B018  # decodes the name, which may be no text


def check_batch(batch: pa.RecordBatch) -> None:
    """Refuse a batch that holds anything that Arrow does not allow; reads all of it once.

    Raises
    ------
    InputError
        Naming the column.
    """
    for _ in checked_columns(batch):
        pass
    batch.validate()


def checked_columns(batch: pa.RecordBatch) -> Iterator[tuple[str, int]]:
    """Check one column after the other; reads all of each once.

    Yields
    ------
    (str, int)
        Name of a column whose buffers are as long as its rows need, and the bytes that its views stand for. When the
        next one is asked for, its values are checked, which takes the longer the more bytes these are: offsets, indices
        and views that point elsewhere, and text that is not UTF-8.

    Raises
    ------
    InputError
        Naming the column.
    """
    for field, column in zip(batch.schema, batch.columns, strict=True):
        shares = _is_shared(field.type)
        with _naming_column(field):
            column.validate()
        yield field.name, viewed_bytes(column) if shares else 0
        with _naming_column(field):
            if shares:
                check_views(column)
            column.validate(full=True)


@dataclass(frozen=True, slots=True)
class UntrustedStream:
    """An Arrow IPC stream of someone else, read in one thread; its schema and its batches are checked when asked for.

    Parameters
    ----------
    reader : pyarrow.RecordBatchReader
        Reader of the stream.
    """

    reader: pa.RecordBatchReader

    @classmethod
    @contextmanager
    def open(cls, stream: pa.Buffer) -> Iterator[Self]:
        """Open a stream in memory."""
        with pa.ipc.open_stream(stream, options=reading_options(use_threads=False)) as reader:
            yield cls(reader)

    @property
    def schema(self) -> pa.Schema:
        """Columns and types, which `check_types` checks."""
        return self.reader.schema

    def check_types(self) -> None:
        """Refuse types that Arrow fails on later; see `check_schema`."""
        check_schema(self.schema)

    def batches(self) -> Iterator[tuple[pa.RecordBatch, Iterator[tuple[str, int]]]]:
        """Each batch, and the checks of its columns, one after the other; see `checked_columns`."""
        return ((batch, checked_columns(batch)) for batch in self.reader)


@contextmanager
def _naming_column(field: pa.Field[Any]) -> Iterator[None]:
    try:
        yield
    except ARROW_PROBLEMS as problem:
        fault = f"holds no valid {field.type}: {reason(problem)}"
        raise InputError(f'column "{printable(field.name)}" {fault}') from None


_VIEW_WORDS = 4  # of 32 bits in a view
_INLINE_BYTES = 12  # of texts that stand in the view itself


def _is_shared(type_: pa.DataType) -> bool:
    """Return whether values of a type may point to shared bytes, or stand for any number of values."""
    is_fixed = pa.types.is_fixed_size_binary(type_) or pa.types.is_decimal(type_)
    return not (is_fixed or pa.types.is_primitive(type_) or pa.types.is_null(type_) or _has_offsets(type_))


def viewed_bytes(array: Any) -> int:
    """Bytes of the texts that the views in an array stand for; those of missing rows count.

    Parameters
    ----------
    array : pyarrow.Array
        One whose buffers have the lengths that they need.
    """
    if is_view(array.type):
        return int(np.sum(np.maximum(_view_words(array)[:, 0], 0), dtype=np.int64))
    return sum(viewed_bytes(part) for part in _child_arrays(array))


def check_views(array: Any) -> None:
    """Refuse views that point out of their buffers, also in missing rows, as Arrow's casts follow them.

    Raises
    ------
    pyarrow.ArrowInvalid
        For any such view.
    """
    if is_view(array.type):
        words = _view_words(array).astype(np.int64)  # sums of 32 bits could overflow
        length, _, index, start = words[words[:, 0] > _INLINE_BYTES].T
        # At least one size, for clipped indices to find.
        sizes = np.array([buffer.size for buffer in array.buffers()[2:]] or [0])
        is_there = (index >= 0) & (index < len(sizes)) & (start >= 0)
        ends = sizes[np.clip(index, 0, len(sizes) - 1)]
        if np.any(words[:, 0] < 0) or not np.all(is_there & (start + length <= ends)):
            raise pa.ArrowInvalid("a view points to what is not there")
    for part in _child_arrays(array):
        check_views(part)


def _view_words(array: Any) -> NDArray[np.int32]:
    """Length, prefix, buffer and place of each view."""
    buffer = array.buffers()[1]
    count = _VIEW_WORDS * (array.offset + len(array)) if buffer is not None else 0
    words = np.frombuffer(buffer or b"", np.int32, count)
    return words.reshape(-1, _VIEW_WORDS)[array.offset :]


def _child_arrays(array: Any) -> list[pa.Array[Any]]:
    """Arrays that an array consists of."""
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        return [array.storage]
    if pa.types.is_dictionary(type_):
        return [array.dictionary]
    if pa.types.is_map(type_):
        return [array.keys, array.items]
    if pa.types.is_struct(type_) or pa.types.is_union(type_):
        return [array.field(i) for i in range(type_.num_fields)]
    return [array.values] if pa.types.is_nested(type_) or pa.types.is_run_end_encoded(type_) else []


def _has_offsets(type_: pa.DataType) -> bool:
    """Return whether values are bytes between two offsets."""
    return any(
        is_one(type_)
        for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def written_bytes(array: pa.Array[Any], value_bytes: int) -> int:
    """Maximum bytes of values written out one by one, with `value_bytes` for each; 0 for types of a few bytes a row.

    Arrow may store one long value, or an empty one, for many rows: a stream of some bytes may so hold any number of
    letters and of values.
    """
    return _written_bytes(array, value_bytes) if _is_shared(array.type) else 0


def _written_bytes(array: Any, value_bytes: int) -> int:
    type_ = array.type
    base = value_bytes * len(array)
    if pa.types.is_dictionary(type_):
        return len(array) * _widest(array.dictionary, value_bytes)
    if pa.types.is_run_end_encoded(type_):
        return len(array) * _widest(array.values, value_bytes)
    if pa.types.is_union(type_):
        return base + len(array) * max((_widest(part, value_bytes) for part in _child_arrays(array)), default=0)
    if is_view(type_):
        return base + viewed_bytes(array)
    if pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_):
        return base + int(pc.sum(array.sizes).as_py() or 0) * _widest(array.values, value_bytes)
    if pa.types.is_nested(type_) or isinstance(type_, pa.BaseExtensionType):
        return base + sum(_written_bytes(part, value_bytes) for part in _child_arrays(array))
    return base + (array.nbytes if _has_offsets(type_) else 0)


def _widest(array: Any, value_bytes: int) -> int:
    """Maximum bytes of one value written out."""
    if not len(array):
        return 0
    if _has_offsets(array.type):
        return value_bytes + int(pc.max(pc.binary_length(array)).as_py() or 0)
    return value_bytes if not _is_shared(array.type) else _written_bytes(array, value_bytes)
