"""Blocks of rows to scalars and modes, and back, with a fitted model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from gpuvgm.frames import Block
from gpuvgm.grid import Floats
from gpuvgm.model import ColumnModel, Draw, TableModel

SCALAR, MODE = ".scalar", ".mode"
BOUND_TOLERANCE = 1e-9  # of the larger of range and magnitude
SCALAR_STEP = 2.0**-24  # relative step of a float32 scalar, which bounds must not trip over

Cells = NDArray[np.unsignedinteger]


@dataclass(frozen=True, slots=True)
class EncodingOptions:
    """How a transform is done.

    Parameters
    ----------
    seed : int
        Seed of the generator.
    most_probable : bool
        Take the most probable mode instead of drawing one.
    dtype : str
        Type of the scalars, "float32" or "float64".
    first_row : int
        Global index of the source's first row.
    uniforms : mapping of str to ndarray
        Uniforms for columns that shall not use the generator, one a row of the source.
    place : callable
        From a row of the source to the words that name its place in messages.
    """

    seed: int
    most_probable: bool = False
    dtype: str = "float32"
    first_row: int = 0
    uniforms: Mapping[str, Floats] | None = None
    place: Callable[[int], str] = "row {}".format


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded rows: a scalar and a cell of the onehot order for each column."""

    first_row: int
    rows: int
    scalars: dict[str, Floats]
    cells: dict[str, Cells]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded rows, and which of them lie within the training range of every column."""

    table: pa.RecordBatch
    valid: NDArray[np.bool_]


def encode_block(engine: str, model: TableModel, options: EncodingOptions, block: Block) -> Encoded:
    """Scalars and cells of a block of rows.

    Raises
    ------
    InputError
        For a value that the model has no place for: the message names column and row.
    """
    scalars: dict[str, Floats] = {}
    cells: dict[str, Cells] = {}
    for column in model.columns:
        numbers = column.codec.encode(block.table.column(column.name))
        _check_numbers(column, numbers, lambda row: options.place(block.first_row + row))
        scalar = np.zeros(len(numbers), options.dtype)
        cell = np.zeros(len(numbers), column.cell_dtype)
        table = column.draw_table()
        if table is None:
            cell[:] = max(column.missing_cell, 0)
        else:
            get_engine(engine).transform(numbers, table, _draw(column, options, block), scalar, cell)
        scalars[column.name], cells[column.name] = scalar, cell
    return Encoded(block.first_row, block.rows, scalars, cells)


def checked_uniforms(
    model: TableModel, uniforms: Mapping[str, NDArray[Any]] | None, rows: int | None
) -> dict[str, Floats]:
    """Uniforms as float64, one a row of the source.

    Raises
    ------
    InputError
        For columns that were not fitted, a wrong number of values, or values outside [0, 1).
    """
    checked = {}
    for name, given in (uniforms or {}).items():
        if name not in model.names:
            raise InputError(f'uniforms are given for column "{name}", which was not fitted')
        values = np.ascontiguousarray(given, dtype=np.float64)
        if values.ndim != 1 or (rows is not None and len(values) != rows):
            raise InputError(f'column "{name}": uniforms need one value a row ({rows}), not shape {values.shape}')
        wrong = np.flatnonzero(~((values >= 0) & (values < 1)))
        if len(wrong):
            raise InputError(f'column "{name}": the uniform {values[wrong[0]]} at row {wrong[0]} is not in [0, 1)')
        checked[name] = values
    return checked


def _draw(column: ColumnModel, options: EncodingOptions, block: Block) -> Draw:
    uniforms = (options.uniforms or {}).get(column.name)
    if uniforms is not None:
        uniforms = uniforms[block.first_row : block.first_row + block.rows]
        if len(uniforms) != block.rows:
            raise InputError(f'column "{column.name}": uniforms has fewer values than the source has rows')
    first_row = options.first_row + block.first_row
    return Draw(options.seed, column.column_id, first_row, uniforms, options.most_probable)


def _check_numbers(column: ColumnModel, numbers: Floats, place: Callable[[int], str]) -> None:
    """Refuse what the column's cells cannot hold: infinities, missing rows without a cell, values without a mixture."""
    finite = np.isfinite(numbers)
    if np.all(finite) if column.mixture is not None else not np.any(finite):
        return
    infinite = np.isinf(numbers)
    if np.any(infinite):
        _refuse(column, infinite, place, "values are infinite", 'fit with inf="missing" or clean them')
    if column.mixture is None:
        shown = f"{numbers[finite][0] + column.codec.base:g}"
        problem = f"values (such as {shown}) are present in a column that had none at fit"
        _refuse(column, finite, place, problem, "fit again with these rows")
    if column.missing_cell < 0:
        problem = "values are missing in a column that had none missing at fit"
        _refuse(column, ~finite, place, problem, "fill them in, or fit with rows that have missing values")


def _refuse(
    column: ColumnModel, rows: NDArray[np.bool_], place: Callable[[int], str], problem: str, remedy: str
) -> None:
    first = place(int(np.argmax(rows)))
    raise InputError(f'column "{column.name}": {np.count_nonzero(rows)} {problem} (first at {first}); {remedy}')


def from_onehot(model: TableModel, matrix: Floats, first_row: int) -> Encoded:
    """Encoded rows from a onehot matrix: the largest cell wins; ties go to modal values, then the lowest component."""
    scalars: dict[str, Floats] = {}
    cells: dict[str, Cells] = {}
    start = 0
    for column in model.columns:
        block = matrix[:, start + 1 : start + 1 + column.width]
        positions = column.cell_positions()
        cells[column.name] = positions[np.argmax(block[:, positions], axis=1)].astype(column.cell_dtype)
        scalars[column.name] = real_scalars(matrix[:, start])
        start += 1 + column.width
    return Encoded(first_row, len(matrix), scalars, cells)


def from_compact(model: TableModel, block: Block) -> Encoded:
    """Encoded rows from the compact layout.

    Raises
    ------
    InputError
        For a mode that is missing or no whole number of the column's cells, naming column and row.
    """
    scalars: dict[str, Floats] = {}
    cells: dict[str, Cells] = {}
    for column in model.columns:
        scalar = block.table.column(column.name + SCALAR).to_numpy(zero_copy_only=False)
        scalars[column.name] = real_scalars(scalar)
        mode = block.table.column(column.name + MODE).to_numpy(zero_copy_only=False)
        if mode.dtype != column.cell_dtype:
            wrong = ~((mode >= 0) & (mode < column.width) & (mode == np.floor(mode)))
            if np.any(wrong):
                _refuse_mode(column, block.first_row + int(np.argmax(wrong)), mode[wrong][0])
            mode = mode.astype(column.cell_dtype)
        cells[column.name] = np.ascontiguousarray(mode)
    return Encoded(block.first_row, block.rows, scalars, cells)


def real_scalars(scalar: NDArray[Any]) -> Floats:
    """Scalars as contiguous float32 or float64."""
    kept = scalar.dtype in (np.float32, np.float64)
    return np.ascontiguousarray(scalar if kept else scalar.astype(np.float64))


def _refuse_mode(column: ColumnModel, row: int, mode: object) -> None:
    raise InputError(
        f'column "{column.name}{MODE}": {mode} at row {row} is none of the {column.width} cells '
        f"(0 … {column.width - 1}); was it encoded with another model?"
    )


def decode_rows(engine: str, model: TableModel, encoded: Encoded, *, check: bool = True) -> Decoded:
    """Values of encoded rows in the columns' own types.

    Without `check` nobody looks at bounds, and all rows count as valid.
    """
    arrays, valid = [], np.ones(encoded.rows, np.bool_)
    for column in model.columns:
        numbers = np.empty(encoded.rows)
        cell = encoded.cells[column.name]
        scalar = encoded.scalars[column.name]
        wrong = get_engine(engine).inverse_transform(scalar, cell, column.inverse_table(), numbers)
        if wrong >= 0:
            _refuse_mode(column, encoded.first_row + wrong, cell[wrong])
        values = column.codec.decode(numbers)
        if check:
            valid &= within_bounds(column, column.codec.encode(values), cell)
        arrays.append(values)
    return Decoded(pa.RecordBatch.from_arrays(arrays, names=list(model.names)), valid)


def within_bounds(column: ColumnModel, numbers: Floats, cell: Cells) -> NDArray[np.bool_]:
    """Rows whose (rounded) number lies in the training range; missing rows always do.

    The tolerance is 1e-9 of range or magnitude, and what the step of a float32 scalar amounts to.
    """
    inside = cell == column.missing_cell if column.missing_cell >= 0 else np.zeros(len(numbers), np.bool_)
    if column.minimum is None or column.maximum is None:
        return np.asarray(inside)
    base = column.codec.base
    span = float(column.maximum - column.minimum)
    tolerance = BOUND_TOLERANCE * max(span, abs(float(column.maximum)), abs(float(column.minimum)))
    tolerance += SCALAR_STEP * max(span, column.resolution / SCALAR_STEP)
    low, high = float(column.minimum - base) - tolerance, float(column.maximum - base) + tolerance
    return np.asarray(inside | ((numbers >= low) & (numbers <= high)))
