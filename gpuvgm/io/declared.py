"""Columns that a frame in partitions declares: their types in all partitions, whatever the types in a single one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from gpuvgm.io.arrow import common_type, is_valueless, joined_arrays
from gpuvgm.io.open import open_source
from gpuvgm.io.parts import check_same, promoted_batch
from gpuvgm.io.scans import types_in_pandas
from gpuvgm.io.source import Source, check_unique


@dataclass(frozen=True, slots=True)
class DeclaredColumns:
    """Columns of a frame whose partitions are frames of pandas or cuDF.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns and types, which hold the values of all partitions.
    open : callable
        Makes a source of one partition.
    """

    schema: pa.Schema
    open: Callable[[Any], Source] = open_source

    @classmethod
    def of(cls, name: str, empty: Any) -> DeclaredColumns:
        """The columns of a frame, by its partitions' types without rows.

        Raises
        ------
        InputError
            For duplicate names of columns.
        """
        check_unique(name, [str(label) for label in empty.columns])
        return cls(open_source(empty).schema)

    def with_files(self, path: Any, dataset: Any, columns: Sequence[str], *, has_one_schema: bool) -> DeclaredColumns:
        """The columns with types that hold the values of all Parquet files read; see `types_in_pandas`.

        Raises
        ------
        InputError
            For files that Dask reads wrongly.
        """
        schema = self.schema
        for name, type_ in types_in_pandas(path, dataset, columns, has_one_schema=has_one_schema).items():
            if name in schema.names:
                schema = _with_type(schema, name, common_type([schema.field(name).type, type_]) or type_)
        return replace(self, schema=schema)

    def with_values(self, objects: Iterable[str], partitions: Callable[[], Iterable[Any]]) -> DeclaredColumns:
        """The columns with the types that their values have, where the declared types do not say them.

        Parameters
        ----------
        objects : iterable of str
            Columns whose declared type says nothing about their values.
        partitions : callable
            Gives the partitions with rows, one after the other: the first tells the types of `objects`, and the first
            with values those of columns that have none before.
        """
        schema = self.schema
        untyped = {name for name in schema.names if is_valueless(schema.field(name).type)}.union(objects)
        for frame in partitions() if untyped else ():
            types = self.open(frame).schema
            for name in untyped.intersection(types.names):
                schema = _with_type(schema, name, types.field(name).type)
            untyped = {name for name in untyped if is_valueless(schema.field(name).type)}
            if not untyped:
                break
        return replace(self, schema=schema)

    def source(self, name: str, frame: Any, columns: Sequence[str]) -> Source:
        """Some columns of a partition as a source of the declared types, where these hold all that its own types hold.

        Parameters
        ----------
        name : str
            Name of the partition, for messages.
        frame : pandas.DataFrame or cudf.DataFrame
            Its rows.
        columns : sequence of str
            The columns.

        Raises
        ------
        InputError
            Naming the partition and a column that is missing, or of a type that the declared one does not hold.
        """
        declared = pa.schema([self.schema.field(column) for column in columns])
        labels = [label for label in frame.columns if str(label) in columns]
        frame = frame if len(labels) == len(frame.columns) else frame[labels]
        source = self.open(frame)
        typed_frame = _as_declared(name, frame, source, declared)
        source = source if typed_frame is frame else self.open(typed_frame)
        schema = pa.schema([field for field in source.schema if field.name in declared.names])
        check_same(name, "the first partition that has rows", declared, schema)
        return source


def _with_type(schema: pa.Schema, name: str, type_: pa.DataType) -> pa.Schema:
    place = schema.get_field_index(name)
    return schema.set(place, schema.field(place).with_type(type_))


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
