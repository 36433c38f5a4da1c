"""Parts of one table, whose types may differ: files, partitions of frames, and what iterators give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.io.arrow import common_type, promoted
from gpuvgm.shortage import ARROW_PROBLEMS, reason


def check_columns(source: str, first: str, expected: pa.Schema, schema: pa.Schema) -> None:
    """Refuse a part (file, element) whose columns are not those of the first part.

    Raises
    ------
    InputError
        Naming the part and the first column that only one of them has.
    """
    missing = [name for name in expected.names if name not in schema.names]
    if missing:
        raise InputError(f'{source}: column "{missing[0]}" is missing, {first} has it; all parts need the same columns')
    extra = [name for name in schema.names if name not in expected.names]
    if extra:
        raise InputError(f'{source}: column "{extra[0]}" is not in {first}; all parts need the same columns')


def check_same(source: str, first: str, expected: pa.Schema, schema: pa.Schema) -> None:
    """Refuse a part (file, element) whose columns or types differ from those of the first part.

    Raises
    ------
    InputError
        Naming the part and the first column that differs.
    """
    check_columns(source, first, expected, schema)
    for field in expected:
        if schema.field(field.name).type != field.type:
            raise _clash(source, first, field, schema.field(field.name).type)


def _clash(source: str, first: str, field: pa.Field[Any], type_: pa.DataType) -> InputError:
    return InputError(
        f'{source}: column "{field.name}" has type {type_}, in {first} {field.type}; cast it so that all agree'
    )


def common_schema(parts: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """Columns of the first part, with types that hold the values of all parts; see `common_type`.

    Parameters
    ----------
    parts : sequence of (str, pyarrow.Schema)
        Name, for messages, and columns of each part.

    Raises
    ------
    InputError
        Naming a part whose columns are not those of the first, or whose type has none in common with that of the first.
    """
    (first, schema), *others = parts
    others = [(name, other) for name, other in others if not other.equals(schema)]
    for name, other in others:
        check_columns(name, first, schema, other)
    for place, field in enumerate(schema):
        types = [(name, other.field(field.name).type) for name, other in others]
        common = common_type([field.type, *(type_ for _, type_ in types)]) if types else field.type
        if common is None:
            different = [(name, type_) for name, type_ in types if type_ != field.type]
            clashes = [pair for pair in different if common_type([field.type, pair[1]]) is None]
            name, type_ = [*clashes, *different][0]
            raise _clash(name, first, field, type_)
        schema = schema.set(place, field.with_type(common))
    return schema


def promoted_batch(name: str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of a part in the types that all parts have in common.

    Raises
    ------
    InputError
        Naming the part and the column, for datetimes that the unit of another part does not reach.
    """
    columns = []
    for column, field in zip(batch.columns, schema, strict=True):
        try:
            columns.append(promoted(column, field.type))
        except ARROW_PROBLEMS as problem:
            raise InputError(
                f'{name}: column "{field.name}" has type {column.type}, other parts {field.type}, which does not hold '
                f"all its values ({reason(problem)}); cast it so that all agree"
            ) from problem
    return pa.RecordBatch.from_arrays(columns, schema=schema)
