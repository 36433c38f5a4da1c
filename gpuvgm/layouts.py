"""The two layouts of encoded rows: compact columns, and the onehot matrix that models train on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.codecs.arrays import floats
from gpuvgm.codecs.device_columns import Column, DeviceColumn, beside, column_of, on_host
from gpuvgm.columns import CategoricalColumn, ColumnModel, MixtureColumn, TableModel
from gpuvgm.encoding import Encoded
from gpuvgm.engines import Engine, runs_on_device
from gpuvgm.errors import InputError
from gpuvgm.frames import Block, DeviceSource, DeviceTable, Source, joined, restore
from gpuvgm.grid import Floats, Ints
from gpuvgm.kinds.base import Cells, Coded, refuse_cell
from gpuvgm.multivariate import Array, namespace_of
from gpuvgm.rows import to_numpy
from gpuvgm.run import Run, as_read_by

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
    if column.kind == "pass":
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


def _all_known(column: ColumnModel) -> bool:
    """Whether every row has a cell."""
    return not (isinstance(column, CategoricalColumn) and column.unknown == "ignore")


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
            if column.kind == "pass":
                fields.append(pa.field(column.name, source.field(column.name).type))
            if column.has_scalar:
                fields.append(pa.field(column.name + SCALAR, _ARROW_TYPES[_scalar_type(column, dtype)]))
            if column.width:
                assert isinstance(column, (MixtureColumn, CategoricalColumn))
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
                missing = None if _all_known(column) else part.cell == column.width
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


def _scalar_type(column: ColumnModel, dtype: str) -> str:
    return "float64" if column.kind == "general" else dtype


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
        self._namespace: Any = np
        if isinstance(source, DeviceSource) and runs_on_device(engine):
            self._namespace = source.namespace
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
            whole: Floats = like.namespace.asarray(matrix) if isinstance(like, DeviceSource) else matrix
            return whole
        return restore(pa.Table.from_arrays(_columns_of(matrix), schema=self.schema), like, flavour=flavour)


def _columns_of(matrix: Floats) -> list[pa.Array[Any]]:
    """The columns of a matrix, each in memory of its own, on the host."""
    return [pa.array(column) for column in np.ascontiguousarray(to_numpy(matrix).T)]


class CompactReader:
    """Reads encoded rows from compact columns.

    Parameters
    ----------
    model : TableModel
        The fitted table.
    schema : pyarrow.Schema
        Columns of the encoded table; columns handed through may be absent.
    """

    def __init__(self, model: TableModel, schema: pa.Schema) -> None:
        self._columns = [column for column in model.columns if column.kind != "pass" or column.name in schema.names]
        self.names = [name for column in self._columns for name in compact_names(column)]
        passed = [schema.field(column.name).type for column in self._columns if column.kind == "pass"]
        self.passed_types = dict(zip([c.name for c in self._columns if c.kind == "pass"], passed, strict=True))

    def blocks(self, run: Run, table: Source) -> Iterator[Any]:
        """Blocks to read."""
        return run.blocks(table, self.names)

    def __call__(self, block: Block) -> Encoded:
        """Encoded rows of a block.

        Raises
        ------
        InputError
            For a mode that is missing or no whole number of the column's cells, naming column and row.
        """
        return Encoded(
            block.first_row, block.rows, {column.name: self._read(column, block) for column in self._columns}
        )

    def _read(self, column: ColumnModel, block: Block) -> Coded:
        if column.kind == "pass":
            return Coded(passed=block.column(column.name))
        scalar = real_scalars(_array(block, column.name + SCALAR)) if column.has_scalar else None
        if not isinstance(column, (MixtureColumn, CategoricalColumn)):
            return Coded(scalar)
        if column.width:
            return Coded(scalar, _cells(column, block))
        xp = np if scalar is None else namespace_of(scalar)
        return Coded(scalar, xp.zeros(block.rows, dtype=column.cell_dtype))


def _cells(column: MixtureColumn | CategoricalColumn, block: Block) -> Cells:
    mode = _array(block, column.name + MODE)
    xp = namespace_of(mode)
    if mode.dtype != column.cell_dtype:
        if not _all_known(column):
            mode = xp.where(xp.isnan(mode), mode.dtype.type(column.width), mode) if mode.dtype.kind == "f" else mode
        end = column.width + (not _all_known(column))
        wrong = ~((mode >= 0) & (mode < end) & (mode == xp.floor(mode)))
        if wrong.any():
            first = int(wrong.argmax())
            refuse_cell(column, block.first_row + first, mode[first].item())
        mode = mode.astype(column.cell_dtype)
    contiguous: Cells = xp.ascontiguousarray(mode)
    return contiguous


def _array(block: Block, name: str) -> Array:
    """A column of a block as an array where it lies; floats with NaN where values are missing."""
    column = block.column(name)
    if not isinstance(column, DeviceColumn):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if column.missing is None:
        return column.values
    values = column.values if column.values.dtype.kind == "f" else column.values.astype(np.float64)
    return floats(DeviceColumn(values, pa.float64(), column.missing))


@dataclass(frozen=True, slots=True)
class MatrixBlock:
    """Consecutive rows of a onehot matrix in memory."""

    first_row: int
    matrix: NDArray[Any]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.matrix)

    def halves(self) -> list[MatrixBlock]:
        """The block as two."""
        half = self.rows // 2
        return [MatrixBlock(self.first_row, self.matrix[:half]), MatrixBlock(self.first_row + half, self.matrix[half:])]


class OnehotReader:
    """Reads encoded rows from a onehot matrix: the largest cell wins.

    Ties go to modal values, then to the lowest component or level.

    Parameters
    ----------
    engine : Engine
        Who runs the rows.
    model : TableModel
        The fitted table.
    names : sequence of str
        Names of the matrix's columns.
    matrix : ndarray, optional
        The matrix, where it is in memory.
    """

    def __init__(
        self, engine: Engine, model: TableModel, names: Sequence[str], matrix: NDArray[Any] | None = None
    ) -> None:
        self._engine, self._model, self._matrix, self.names = engine, model, matrix, list(names)
        self.passed_types: dict[str, pa.DataType] = {}

    def blocks(self, run: Run, table: Source) -> Iterator[Any]:
        """Blocks to read."""
        if self._matrix is None:
            return run.blocks(table, self.names)
        matrix, rows = self._matrix, run.rows_of(table, len(self.names))  # the device's, or a view that copies slices
        return (MatrixBlock(start, matrix[start : start + rows]) for start in range(0, len(matrix), rows))

    def __call__(self, block: Block | MatrixBlock) -> Encoded:
        """Encoded rows of a block."""
        matrix: Array = real_scalars(block.matrix if isinstance(block, MatrixBlock) else _stacked(block, self.names))
        coded = {column.name: _empty(column, matrix) for column in self._model.encoded}
        parts = [
            (coded[column.name].scalar, coded[column.name].cell, order_of_ties(column), not _all_known(column))
            for column in self._model.encoded
        ]
        self._engine.read_onehot(matrix, parts)
        return Encoded(block.first_row, block.rows, coded)


def _empty(column: ColumnModel, matrix: Floats) -> Coded:
    """Room for what a column has in the rows of a matrix."""
    xp = namespace_of(matrix)
    scalar = xp.empty(len(matrix), dtype=matrix.dtype) if column.has_scalar else None
    if isinstance(column, (MixtureColumn, CategoricalColumn)):
        return Coded(scalar, xp.empty(len(matrix), dtype=column.cell_dtype))
    return Coded(scalar)


def order_of_ties(column: ColumnModel) -> Ints:
    """All cells of a column, in the order that equal ones are taken in."""
    return column.cell_positions() if isinstance(column, MixtureColumn) else np.arange(column.width)


def _stacked(block: Block, names: Sequence[str]) -> NDArray[Any]:
    """Columns of a block as a matrix."""
    columns = [_array(block, name) for name in names]
    if not columns:
        return np.empty((block.rows, 0))
    stacked: NDArray[Any] = namespace_of(columns[0]).stack(columns, axis=1)
    return stacked


def real_scalars(scalar: Array) -> Floats:
    """Scalars as contiguous float32 or float64, where they lie."""
    kept = scalar.dtype in (np.float32, np.float64)
    contiguous: Floats = namespace_of(scalar).ascontiguousarray(scalar if kept else scalar.astype(np.float64))
    return contiguous


def encoded_reader(engine: Engine, model: TableModel, table: Source) -> CompactReader | OnehotReader:
    """How blocks of an encoded table become encoded rows.

    Parameters
    ----------
    engine : Engine
        Who runs the rows.
    model : TableModel
        The fitted table.
    table : Source
        Compact columns, onehot columns, or a onehot matrix.

    Raises
    ------
    InputError
        For a matrix of another width.
    """
    table = as_read_by(engine, table)
    is_matrix = table.flavour == "matrix"
    names = list(table.schema.names) if is_matrix else onehot_names(model)
    compact = CompactReader(model, table.schema)
    if not is_matrix and (set(compact.names) <= set(table.schema.names) or not set(names) <= set(table.schema.names)):
        return compact
    if len(names) != onehot_width(model):
        raise InputError(f"{table.name}: {len(names)} columns, but the model's onehot layout has {onehot_width(model)}")
    return OnehotReader(engine, model, names, getattr(table, "matrix", None))
