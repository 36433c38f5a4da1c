"""Encoded rows back from their layouts: compact columns, onehot columns, or a onehot matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, DeviceColumn, beside, is_on_device, namespace_of
from gpuvgm.columns.base import Cells, Coded, refuse_cell
from gpuvgm.columns.codecs.arrays import as_numbers, floats
from gpuvgm.columns.model import ColumnModel, TableModel
from gpuvgm.engines import Engine, runs_on_device
from gpuvgm.errors import InputError
from gpuvgm.execution.context import Run
from gpuvgm.io import Block, Source
from gpuvgm.io.arrow_types import is_plain_number_type
from gpuvgm.io.arrow_values import plain_values_of
from gpuvgm.summary.grid import Floats
from gpuvgm.table.encode import Encoded
from gpuvgm.table.layout import MODE, SCALAR, compact_names, onehot_names, onehot_width


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
        self._columns = [column for column in model.columns if column.is_encoded or column.name in schema.names]
        self.names = [name for column in self._columns for name in compact_names(column)]
        passed = [schema.field(column.name).type for column in self._columns if not column.is_encoded]
        self.passed_types = dict(zip([c.name for c in self._columns if not c.is_encoded], passed, strict=True))

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
        if not column.is_encoded:
            return Coded(passed=block.column(column.name))
        scalar = real_scalars(_array(block, column.name + SCALAR)) if column.has_scalar else None
        if not column.has_cells:
            return Coded(scalar)
        if column.width:
            return _together(scalar, _cells(column, block))
        xp = np if scalar is None else namespace_of(scalar)
        return Coded(scalar, xp.zeros(block.rows, dtype=column.cell_dtype))


def _together(scalar: Floats | None, cell: Cells) -> Coded:
    """Scalars and cells where one of them lies on a device, if one does."""
    if scalar is None:
        return Coded(scalar, cell)
    if is_on_device(scalar):
        return Coded(scalar, beside(cell, scalar))
    return Coded(beside(scalar, cell), cell)


def _cells(column: ColumnModel, block: Block) -> Cells:
    mode = _array(block, column.name + MODE)
    xp = namespace_of(mode)
    if mode.dtype != column.cell_dtype:
        if not column.all_known:
            mode = xp.where(xp.isnan(mode), mode.dtype.type(column.width), mode) if mode.dtype.kind == "f" else mode
        end = column.width + (not column.all_known)
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
        return floats(as_numbers(plain_values_of(column), "numeric"))
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
            (coded[column.name].scalar, coded[column.name].cell, column.cell_positions(), not column.all_known)
            for column in self._model.encoded
        ]
        self._engine.read_onehot(matrix, parts)
        return Encoded(block.first_row, block.rows, coded)


def _empty(column: ColumnModel, matrix: Floats) -> Coded:
    """Room for what a column has in the rows of a matrix."""
    xp = namespace_of(matrix)
    scalar = xp.empty(len(matrix), dtype=matrix.dtype) if column.has_scalar else None
    return Coded(scalar, xp.empty(len(matrix), dtype=column.cell_dtype) if column.has_cells else None)


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
    table = table.as_read(on_device=runs_on_device(engine))
    is_matrix = table.flavour == "matrix"
    names = list(table.schema.names) if is_matrix else onehot_names(model)
    compact = CompactReader(model, table.schema)
    if not is_matrix and (set(compact.names) <= set(table.schema.names) or not set(names) <= set(table.schema.names)):
        _check_numbers(table, [name for name in compact.names if name not in compact.passed_types])
        return compact
    _check_numbers(table, names)
    if len(names) != onehot_width(model):
        raise InputError(f"{table.name}: {len(names)} columns, but the model's onehot layout has {onehot_width(model)}")
    return OnehotReader(engine, model, names, getattr(table, "matrix", None))


def _check_numbers(table: Source, names: Sequence[str]) -> None:
    """Refuse scalars and cells that are no numbers."""
    there = set(table.schema.names)
    for name in names:
        type_ = table.schema.field(name).type if name in there else pa.null()
        held = type_.value_type if pa.types.is_dictionary(type_) else type_
        if not (is_plain_number_type(held) or pa.types.is_boolean(held) or pa.types.is_null(held)):
            raise InputError(f'{table.name}: column "{name}" holds {type_} values, but transform gives numbers')
