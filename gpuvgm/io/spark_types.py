"""Types of Parquet files that Spark reads, and files of Spark with days of another calendar."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gpuvgm.io.arrow import Array, is_moment_type, out_of_dictionary
from gpuvgm.shortage import ARROW_PROBLEMS

_LEGACY, _LEGACY_INT96 = b"org.apache.spark.legacyDateTime", b"org.apache.spark.legacyINT96"  # keys of a footer
_FIRST_DAY, _FIRST_MOMENT = date(1582, 10, 15), datetime(1900, 1, 1)  # from which on both calendars agree


def legacy_columns(footer: pq.FileMetaData, schema: pa.Schema, int96: Collection[str]) -> frozenset[str]:
    """Columns of dates and moments that Spark wrote in LEGACY mode, in which those before 1582 and 1900 are other ones.

    Local timestamps are never written so. Columns whose statistics show that they begin later are left out.

    Parameters
    ----------
    footer : pyarrow.parquet.FileMetaData
        Footer of the file.
    schema : pyarrow.Schema
        Its columns.
    int96 : collection of str
        Those that hold INT96 timestamps.
    """
    keys = footer.metadata or {}
    names = {name for name in int96 if _LEGACY_INT96 in keys}
    for place in range(footer.num_columns) if _LEGACY in keys else ():
        name = footer.schema.column(place).path
        type_: Any = schema.field(name).type if name in schema.names and name not in int96 else pa.null()
        is_local = pa.types.is_timestamp(type_) and type_.tz is None
        groups = (footer.row_group(number) for number in range(footer.num_row_groups))
        if is_moment_type(type_) and not is_local and any(_may_be_early(group.column(place)) for group in groups):
            names.add(name)
    return frozenset(names)


def _may_be_early(chunk: pq.ColumnChunkMetaData) -> bool:
    """Return whether a column may hold days or moments on which the calendars differ."""
    try:
        least: Any = chunk.statistics.min if chunk.statistics is not None and chunk.statistics.has_min_max else None
    except (*ARROW_PROBLEMS, ValueError, OverflowError):  # before the year 1
        return True
    if isinstance(least, datetime):
        return least.replace(tzinfo=None) < _FIRST_MOMENT
    return not isinstance(least, date) or least < _FIRST_DAY


def spark_values(values: Array) -> Array:
    """Values in a type that Spark reads from Parquet files; most come back as they are.

    Parameters
    ----------
    values : pyarrow.Array
        float16 becomes float32; timestamps in nanoseconds lose what microseconds do not hold; times of the day, UUIDs
        and decimals of more than 38 digits become text. So do those in lists, structs and maps.
    """
    type_: Any = values.type
    if pa.types.is_float16(type_):
        return values.cast(pa.float32())
    if pa.types.is_timestamp(type_) and type_.unit == "ns":
        return values.cast(pa.timestamp("us", type_.tz), safe=False)
    if pa.types.is_time(type_) or pa.types.is_decimal256(type_):
        return values.cast(pa.string())
    if type_ == pa.uuid():
        texts = [None if value is None else str(uuid.UUID(bytes=value)) for value in values.storage.to_pylist()]
        return pa.array(texts, pa.string())
    if pa.types.is_dictionary(type_):
        entries = spark_values(values.dictionary)
        return values if entries.type == type_.value_type else spark_values(out_of_dictionary(values))
    return _nested_values(values) if pa.types.is_nested(type_) else values


def _nested_values(values: Array) -> Array:
    """Lists, structs and maps with children that Spark reads."""
    type_: Any = values.type
    if pa.types.is_struct(type_):
        fields = [type_.field(i) for i in range(type_.num_fields)]
        children = [spark_values(values.field(i)) for i in range(type_.num_fields)]
        new_fields = [field.with_type(child.type) for field, child in zip(fields, children, strict=True)]
        mask = values.is_null() if values.null_count else None  # entries of maps must not have one
        return pa.StructArray.from_arrays(children, fields=new_fields, mask=mask)
    make: Any = _LISTS.get(type_.id)
    inner = spark_values(values.values) if make else None
    if inner is None or inner.type == values.values.type:
        return values
    buffers = values.buffers()[: type_.num_buffers]
    new_type = make(type_, inner.type)
    return pa.Array.from_buffers(new_type, len(values), buffers, values.null_count, values.offset, children=[inner])


#: Types of lists of other values.
_LISTS = {
    pa.lib.Type_LIST: lambda type_, inner: pa.list_(type_.value_field.with_type(inner)),
    pa.lib.Type_LARGE_LIST: lambda type_, inner: pa.large_list(type_.value_field.with_type(inner)),
    pa.lib.Type_FIXED_SIZE_LIST: lambda type_, inner: pa.list_(type_.value_field.with_type(inner), type_.list_size),
    pa.lib.Type_MAP: lambda _, inner: pa.map_(inner.field(0), inner.field(1)),
}


def spark_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows in types that Spark reads from Parquet files; see `spark_values`."""
    columns = list(map(spark_values, batch.columns))
    fields = [field.with_type(column.type) for field, column in zip(batch.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
