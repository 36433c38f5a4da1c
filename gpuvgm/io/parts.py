"""Parts of one table, whose types may differ: files, partitions of Dask, and what iterators give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.io.arrow import common_type, is_valueless, joined_arrays, promoted
from gpuvgm.io.source import Source
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


def typed_schema(
    schema: pa.Schema,
    types: Mapping[str, pa.DataType],
    objects: Iterable[str],
    parts: Callable[[], Iterable[pa.Schema]],
) -> pa.Schema:
    """A declared schema with the types that the rows have.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns and types that are declared.
    types : mapping of str to pyarrow.DataType
        Types of rows where they differ, each the common one.
    objects : iterable of str
        Columns whose declared type says nothing about their values.
    parts : callable
        Gives the schemas of the parts with rows, one after the other: those of the first tell the types of `objects`,
        and of columns without values, as far as they have any.
    """
    for name, type_ in types.items():
        schema = _with_type(schema, name, common_type([schema.field(name).type, type_]) or type_)
    untyped = {name for name in schema.names if is_valueless(schema.field(name).type)}.union(objects)
    for part in parts() if untyped else ():
        for name in untyped.intersection(part.names):
            schema = _with_type(schema, name, part.field(name).type)
        untyped = {name for name in untyped if is_valueless(schema.field(name).type)}
        if not untyped:
            break
    return schema


def _with_type(schema: pa.Schema, name: str, type_: pa.DataType) -> pa.Schema:
    place = schema.get_field_index(name)
    return schema.set(place, schema.field(place).with_type(type_))


def declared_source(name: str, frame: Any, declared: pa.Schema, opener: Callable[[Any], Source]) -> Source:
    """A partition as a source of the declared types, where these hold all that its own types hold.

    Parameters
    ----------
    name : str
        Name of the partition, for messages.
    frame : pandas.DataFrame or cudf.DataFrame
        Its rows.
    declared : pyarrow.Schema
        Columns, and types of the whole frame.
    opener : callable
        Makes a source of rows.

    Raises
    ------
    InputError
        Naming the partition and a column that is missing, or of a type that the declared one does not hold.
    """
    source = opener(frame)
    typed_frame = _as_declared(name, frame, source, declared)
    source = source if typed_frame is frame else opener(typed_frame)
    schema = pa.schema([field for field in source.schema if field.name in declared.names])
    check_same(name, "the first partition that has rows", declared, schema)
    return source


def _as_declared(name: str, frame: Any, source: Source, declared: pa.Schema) -> Any:
    """A frame of pandas in which columns of other types have the declared ones, where these hold theirs."""
    own_types = {field.name: field.type for field in source.schema}
    fields = [
        field
        for field in declared
        if own_types.get(field.name, field.type) != field.type
        and common_type([own_types[field.name], field.type]) == field.type
    ]
    if not fields or source.lies_on_device:
        return frame
    import pandas

    names = [field.name for field in fields]
    rows = source.sample(names, [(0, source.rows or 0)])
    arrays = [joined_arrays(column.chunks, column.type) for column in rows.columns]
    batch = promoted_batch(name, pa.RecordBatch.from_arrays(arrays, names), pa.schema(fields))
    cast = {column: pandas.arrays.ArrowExtensionArray(batch.column(column)) for column in names}
    columns = {
        label: pandas.Series(cast[str(label)], frame.index) if str(label) in cast else frame[label]
        for label in frame.columns
    }
    return pandas.DataFrame(columns, frame.index)
