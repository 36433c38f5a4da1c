"""Values of continuous and mixed columns to scalars and cells, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import DeviceColumn, beside, is_on_device, namespace_of, to_numpy, widened
from gpuvgm.columns.base import (
    Cells,
    Coded,
    EncodingOptions,
    Slice,
    Values,
    refuse,
    refuse_cell,
    refuse_infinite,
)
from gpuvgm.columns.codecs import with_value
from gpuvgm.columns.model import MISSING, MixtureColumn
from gpuvgm.columns.numeric import ORDINARY, ordinary_numbers
from gpuvgm.engines import Engine
from gpuvgm.engines.tables import Draw
from gpuvgm.summary.grid import Floats

BOUND_TOLERANCE = 1e-9  # of the larger of range and magnitude
SCALAR_STEP = 2.0**-24  # relative step of a float32 scalar, which bounds must not trip over


class MixtureEncoder:
    """Encodes a continuous or mixed column.

    Parameters
    ----------
    engine : Engine
        Who runs the rows.
    column : MixtureColumn
        The fitted column.
    options : EncodingOptions
        How to encode.
    """

    def __init__(self, engine: Engine, column: MixtureColumn, options: EncodingOptions) -> None:
        self._engine, self._column, self._options = engine, column, options
        self._table, self._column_id = column.draw_table(), column.column_id
        self._modal_cells = column.cell_positions()[: len(column.modal_values)].astype(column.cell_dtype)

    def __call__(self, part: Slice) -> Coded:
        """Scalars and cells of a part."""
        column, options = self._column, self._options
        numbers, which = ordinary_numbers(column.codec, column.modal_values, part.values)
        self._check(numbers, which, part.first_row)
        xp = namespace_of(numbers)
        scalar, cell = xp.zeros(len(numbers), options.dtype), xp.zeros(len(numbers), column.cell_dtype)
        if self._table is None:
            cell[:] = max(column.missing_cell, 0)
        else:
            first_row = options.first_row + part.first_row
            uniforms = None if part.uniforms is None else beside(part.uniforms, numbers)
            draw = Draw(options.seed, self._column_id, first_row, uniforms, options.most_probable)
            self._engine.transform(numbers, self._table, draw, scalar, cell)
        if which is not None:
            cell = xp.where(which == ORDINARY, cell, xp.asarray(self._modal_cells)[which])
        return Coded(scalar, cell)

    def _check(self, numbers: Floats, which: NDArray[np.int64] | None, first_row: int) -> None:
        """Refuse what the cells cannot hold: infinities, missing rows without a cell, values without a mixture."""
        column, xp = self._column, namespace_of(numbers)
        finite = xp.isfinite(numbers)
        if column.mixture is not None and finite.all():
            return

        def place(row: int) -> str:
            return self._options.place(first_row + row)

        infinite = xp.isinf(numbers)
        if infinite.any():
            refuse_infinite(column, infinite, place)
        if column.mixture is None and finite.any():
            shown = column.codec.show(column.codec.value(float(numbers[finite][0])))
            problem = f"values (such as {shown}) are present in a column that had none at fit"
            refuse(column, finite, place, problem, "fit again with these rows")
        missing = ~finite if which is None else ~finite & (which == ORDINARY)
        if column.missing_cell < 0 and missing.any():
            problem = "values are missing in a column that had none missing at fit"
            refuse(column, missing, place, problem, "fill them in, or fit with rows that have missing values")


class MixtureDecoder:
    """Decodes a continuous or mixed column.

    Parameters
    ----------
    engine : Engine
        Who runs the rows.
    column : MixtureColumn
        The fitted column.
    check : bool
        Whether to find out which rows lie in the training range.
    """

    def __init__(self, engine: Engine, column: MixtureColumn, *, check: bool) -> None:
        self._engine, self._column, self._check = engine, column, check
        self._table = column.inverse_table()
        cells = column.cell_positions()
        self._modal = [(cells[i], value) for i, value in enumerate(column.modal_values) if value is not MISSING]

    def __call__(self, part: Coded, first_row: int) -> Values:
        """Values of scalars and cells."""
        assert part.scalar is not None and part.cell is not None
        column = self._column
        numbers = self._room(part.cell)
        wrong = self._engine.inverse_transform(part.scalar, part.cell, self._table, numbers)
        if wrong >= 0:
            refuse_cell(column, first_row + wrong, int(part.cell[wrong]))
        array = column.codec.decode(numbers)
        cells = part.cell if isinstance(array, DeviceColumn) else to_numpy(part.cell)
        valid = within_bounds(column, column.codec.encode(array), cells) if self._check else None
        for cell, value in self._modal:
            held = cells == cell
            if held.any():
                array = with_value(column.codec, array, held, value)
        return Values(array, valid)

    def _room(self, cells: Cells) -> Floats:
        """Where numbers are written: in float64, or on a device in what the codec makes of them without a loss."""
        dtype = getattr(self._column.codec, "decoded", np.float64) if is_on_device(cells) else np.float64
        room: Floats = namespace_of(cells).empty(len(cells), dtype)
        return room


def within_bounds(column: MixtureColumn, numbers: Floats, cell: Cells) -> NDArray[np.bool_]:
    """Rows whose (rounded) number lies in the training range of the ordinary values; modal and missing rows always do.

    The tolerance is 1e-9 of range or magnitude, and what the step of a float32 scalar amounts to.
    """
    modal = np.zeros(column.width, np.bool_)
    modal[column.cell_positions()[: len(column.modal_values)]] = True
    inside: NDArray[np.bool_] = beside(modal, cell)[cell]
    if column.minimum is None or column.maximum is None:
        return inside
    low, high = column.codec.number(column.minimum), column.codec.number(column.maximum)
    base = column.codec.base
    tolerance = BOUND_TOLERANCE * max(high - low, abs(low + base), abs(high + base))
    tolerance += SCALAR_STEP * max(high - low, column.scalar_step / SCALAR_STEP)
    numbers = widened(numbers)  # bounds must not be rounded to the rows' precision
    inside |= (numbers >= low - tolerance) & (numbers <= high + tolerance)
    return inside
