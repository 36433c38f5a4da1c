"""Checks of Arrow data from outside: buffers, values, and values that share memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.errors import InputError, printable
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


def reading_options(**options: Any) -> Any:
    """Options of reading IPC: memory aligned as the types want it, where this Arrow can see to that."""
    aligned = {"ensure_alignment": pa.ipc.Alignment.DataTypeSpecific} if hasattr(pa.ipc, "Alignment") else {}
    return pa.ipc.IpcReadOptions(**aligned, **options)


def check_batch(batch: pa.RecordBatch) -> None:
    """Refuse a batch that holds anything that Arrow does not allow; reads all of it once.

    Raises
    ------
    InputError
        Naming the column.
    """
    for field, column in zip(batch.schema, batch.columns, strict=True):
        check_buffers(field, column)
        check_values(field, column)
    batch.validate()


def check_buffers(field: pa.Field[Any], column: pa.Array[Any]) -> None:
    """Refuse buffers that are shorter than the rows need.

    Raises
    ------
    InputError
        Naming the column.
    """
    try:
        column.validate()
    except ARROW_PROBLEMS as problem:
        raise _invalid(field, problem) from None


def check_values(field: pa.Field[Any], column: pa.Array[Any]) -> None:
    """Refuse offsets, indices and views that lead elsewhere, and text that is no UTF-8; the buffers are checked.

    Raises
    ------
    InputError
        Naming the column.
    """
    try:
        if is_shared(field.type):
            check_views(column)
        column.validate(full=True)
    except ARROW_PROBLEMS as problem:
        raise _invalid(field, problem) from None


def _invalid(field: pa.Field[Any], problem: Exception) -> InputError:
    return InputError(f'column "{printable(field.name)}" holds no valid {field.type}: {reason(problem)}')


_VIEW_WORDS = 4  # of 32 bits in a view
_INLINE_BYTES = 12  # of texts that stand in the view itself


def is_shared(type_: pa.DataType) -> bool:
    """Whether values of a type may point to what others point to, or hold any number of values."""
    return not (pa.types.is_primitive(type_) or pa.types.is_null(type_) or has_offsets(type_) or _is_fixed(type_))


def viewed_bytes(array: Any) -> int:
    """Bytes of the texts that views in an array stand for; those of missing rows count.

    Parameters
    ----------
    array : pyarrow.Array
        One whose buffers have the lengths that they need.
    """
    if is_view(array.type):
        return int(np.sum(np.maximum(_words(array)[:, 0], 0), dtype=np.int64))
    return sum(viewed_bytes(part) for part in parts(array))


def check_views(array: Any) -> None:
    """Refuse views that point out of their buffers, those of missing rows too: Arrow's casts follow them.

    Raises
    ------
    pyarrow.ArrowInvalid
        Where there are any.
    """
    if is_view(array.type):
        words = _words(array).astype(np.int64)
        length, _, index, start = words[words[:, 0] > _INLINE_BYTES].T
        sizes = np.array([buffer.size for buffer in array.buffers()[2:]] or [0])
        is_there = (index >= 0) & (index < len(sizes)) & (start >= 0)
        ends = sizes[np.clip(index, 0, len(sizes) - 1)]
        if np.any(words[:, 0] < 0) or not np.all(is_there & (start + length <= ends)):
            raise pa.ArrowInvalid("a view points to what is not there")
    for part in parts(array):
        check_views(part)


def _words(array: Any) -> NDArray[np.int32]:
    """Length, prefix, buffer and place of each view."""
    buffer = array.buffers()[1]
    count = _VIEW_WORDS * (array.offset + len(array)) if buffer is not None else 0
    words = np.frombuffer(buffer or b"", np.int32, count)
    return words.reshape(-1, _VIEW_WORDS)[array.offset :]


def parts(array: Any) -> list[pa.Array[Any]]:
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


def is_view(type_: pa.DataType) -> bool:
    """Whether values are views of bytes elsewhere."""
    return pa.types.is_string_view(type_) or pa.types.is_binary_view(type_)


def has_offsets(type_: pa.DataType) -> bool:
    """Whether values are bytes between two offsets."""
    return any(
        is_one(type_)
        for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _is_fixed(type_: pa.DataType) -> bool:
    return pa.types.is_fixed_size_binary(type_) or pa.types.is_decimal(type_)
