"""Checks of Arrow data from outside: Arrow itself follows offsets, indices and views wherever they lead."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError, printable
from gpuvgm.io.shared_values import check_views, is_shared
from gpuvgm.io.source import reason
from gpuvgm.shortage import ARROW_PROBLEMS

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
