"""The two layouts of encoded rows: compact columns, and the onehot matrix that models train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import Array, Column, DeviceColumn, beside, column_of, on_host, to_numpy
from gpuvgm.columns.model import ColumnModel, TableModel
from gpuvgm.engines import Engine, runs_on_device
from gpuvgm.io import DeviceTable, Source, joined, restore
from gpuvgm.summary.grid import Floats
from gpuvgm.table.encode import Encoded

SCALAR, MODE = ".scalar", ".mode"
_ARROW_TYPES: dict[str, pa.DataType] = {"float32": pa.float32(), "float64": pa.float64()}

Span = tuple[int, int, str]


def spans_of(model: TableModel) -> dict[str, list[Span]]:
    """Spans (start, stop, activation) of the onehot layout, per column; "tanh" for scalars, "softmax" for cells."""
    spans: dict[str, list[Span]] = {}
    start = 0
    for column in model.encoded:
        spans[column.name] = own = []
        for width, activation in ((int(column.has_scalar), "tanh"), (column.width, "softmax")):
            if width:
                own.append((start, start + width, activation))
                start += width
    return spans


def onehot_width(model: TableModel) -> int:
    """Columns of the onehot matrix."""
    return sum(column.has_scalar + column.width for column in model.encoded)


def onehot_names(model: TableModel) -> list[str]:
    """Names of the onehot matrix's columns: `<column>.scalar`, then `<column>.mode.<cell>`."""
    names = []
    for column in model.encoded:
        names += [column.name + SCALAR] * column.has_scalar
        names += [f"{column.name}{MODE}.{cell}" for cell in range(column.width)]
    return names


def compact_names(column: ColumnModel) -> list[str]:
    """Names of a column's parts in the compact layout."""
    if not column.is_encoded:
        return [column.name]
    return [column.name + SCALAR] * column.has_scalar + [column.name + MODE] * (column.width > 0)


def fill_matrix(engine: Engine, model: TableModel, encoded: Encoded, out: Floats) -> Floats:
    """Encoded rows in the onehot layout, written into `out` of shape (rows, width); parts are copied beside it."""
    parts = [(encoded.columns[column.name], column.width) for column in model.encoded]
    there = [(_beside(part.scalar, out), _beside(part.cell, out), width) for part, width in parts]
    engine.fill_onehot(there, out)
    return out


def _beside(array: Array | None, other: Array) -> Array | None:
    return None if array is None else beside(array, other)


class Layout(Protocol):
    """How encoded rows are handed out."""

    schema: pa.Schema

    def batch(self, encoded: Encoded) -> pa.RecordBatch:
        """A block as Arrow columns."""

    def part(self, encoded: Encoded, whole: Floats | None = None) -> Any:
        """A block as it is kept in memory; of a matrix that is there already, its rows."""

    def join(self, parts: Sequence[Any], like: Source, flavour: str | None) -> Any:
        """All blocks as what the caller gave, or as the flavour asked for."""


class CompactLayout:
    """What each column has of `<column>.scalar` and `<column>.mode`; columns handed through keep their name.

    Parameters
    ----------
    model : TableModel
        The fitted table.
    dtype : str
        Type of the scalars; those of general columns are float64.
    metadata : mapping of str to str
        Metadata of the Arrow schema.
    source : pyarrow.Schema
        Columns of the source, for those that are handed through.
    """

    def __init__(self, model: TableModel, dtype: str, metadata: Mapping[str, str], source: pa.Schema) -> None:
        self._model = model
        fields: list[pa.Field[Any]] = []
        for column in model.columns:
            if not column.is_encoded:
                fields.append(pa.field(column.name, source.field(column.name).type))
            if column.has_scalar:
                fields.append(pa.field(column.name + SCALAR, _ARROW_TYPES[column.scalar_dtype or dtype]))
            if column.width:
                fields.append(pa.field(column.name + MODE, pa.from_numpy_dtype(column.cell_dtype)))
        self.schema = pa.schema(fields, _bytes(metadata))

    def batch(self, encoded: Encoded) -> pa.RecordBatch:
        """A block as Arrow columns; a value that is no level has no mode."""
        return pa.RecordBatch.from_arrays([on_host(column) for column in self._columns(encoded)], schema=self.schema)

    def _columns(self, encoded: Encoded) -> list[Column]:
        """The columns of the layout, each where its part lies."""
        columns: list[Column] = []
        for column in self._model.columns:
            part = encoded.columns[column.name]
            if part.passed is not None:
                columns.append(part.passed)
            if part.scalar is not None:
                columns.append(column_of(part.scalar, pa.from_numpy_dtype(part.scalar.dtype), None))
            if part.cell is not None and column.width:
                missing = None if column.all_known else part.cell == column.width
                columns.append(column_of(part.cell, pa.from_numpy_dtype(part.cell.dtype), missing))
        return columns

    def part(self, encoded: Encoded, whole: Floats | None = None) -> pa.RecordBatch | DeviceTable:
        """A block as Arrow columns, or as columns on the device if any of them lies there."""
        columns = self._columns(encoded)
        if any(isinstance(column, DeviceColumn) for column in columns):
            return DeviceTable(dict(zip(self.schema.names, columns, strict=True)), encoded.rows)
        return pa.RecordBatch.from_arrays([on_host(column) for column in columns], schema=self.schema)

    def join(self, parts: Sequence[pa.RecordBatch | DeviceTable], like: Source, flavour: str | None) -> Any:
        """All blocks as what the caller gave, or as the flavour asked for."""
        return restore(joined(parts, self.schema), like, flavour=flavour)


def _bytes(metadata: Mapping[str, str]) -> dict[bytes | str, bytes | str]:
    return {key.encode(): value.encode() for key, value in metadata.items()}


class OnehotLayout:
    """A matrix: for each column its scalar, then one cell a mode; parameters as for `CompactLayout`, and two more.

    Parameters
    ----------
    engine : Engine
        Who runs the rows.
    source : Source, optional
        The table that is encoded; the matrix lies where its rows do if the engine runs there.
    """

    def __init__(
        self, engine: Engine, model: TableModel, dtype: str, metadata: Mapping[str, str], source: Source | None = None
    ) -> None:
        self._engine, self._model, self._dtype = engine, model, dtype
        self._namespace: Any = source.arrays if source is not None and runs_on_device(engine) else np
        self.schema = pa.schema([(name, _ARROW_TYPES[dtype]) for name in onehot_names(model)], _bytes(metadata))

    def empty(self, rows: int) -> Floats:
        """Room for so many rows."""
        room: Floats = self._namespace.empty((rows, len(self.schema)), dtype=self._dtype)
        return room

    def part(self, encoded: Encoded, whole: Floats | None = None) -> Floats:
        """A block as a matrix, or as rows of the whole one."""
        end = encoded.first_row + encoded.rows
        out = self.empty(encoded.rows) if whole is None else whole[encoded.first_row : end]
        return fill_matrix(self._engine, self._model, encoded, out)

    def batch(self, encoded: Encoded) -> pa.RecordBatch:
        """A block as Arrow columns."""
        return pa.RecordBatch.from_arrays(_columns_of(self.part(encoded)), schema=self.schema)

    def join(self, parts: Sequence[Floats], like: Source, flavour: str | None) -> Any:
        """All blocks as one matrix, or as a table of the flavour asked for."""
        matrix = parts[0] if len(parts) == 1 else self._namespace.concatenate([self.empty(0), *parts])
        if flavour is None:
            whole: Floats = like.arrays.asarray(matrix)
            return whole
        return restore(pa.Table.from_arrays(_columns_of(matrix), schema=self.schema), like, flavour=flavour)


def _columns_of(matrix: Floats) -> list[pa.Array[Any]]:
    """The columns of a matrix, each in memory of its own, on the host."""
    return [pa.array(column) for column in np.ascontiguousarray(to_numpy(matrix).T)]
