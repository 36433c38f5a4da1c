"""Try every column of a loaded model once: its tables, a value of every cell, and how its values are shown."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from gpuvgm.columns.base import Coded, EncodingOptions, Slice
from gpuvgm.columns.categories import check_levels
from gpuvgm.columns.codecs import Codec
from gpuvgm.columns.kinds import decoder_of, encoder_of
from gpuvgm.columns.model import CategoricalColumn, ColumnModel, GeneralColumn, MixtureColumn
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from gpuvgm.shortage import ARROW_PROBLEMS

_PROBLEMS = (ValueError, ArithmeticError, TypeError, LookupError, *ARROW_PROBLEMS)


def try_column(column: ColumnModel) -> None:
    """Decode and encode a value of every cell.

    Raises
    ------
    ValueError
        Naming the column, where its parts do not fit together.
    """
    try:
        with np.errstate(all="ignore"):
            if isinstance(column, MixtureColumn):
                _check_tables(column)
                _try_values(column.codec, column.minimum, column.maximum, *column.modal_values)
                with suppress(InputError):  # of values too extreme to come back, which is no fault of the model
                    _try_cells(column, np.zeros(column.width))
            elif isinstance(column, CategoricalColumn):
                _try_levels(column)
            elif isinstance(column, GeneralColumn):
                _try_values(column.codec, column.minimum, column.maximum)
                _try_range(column)
    except _PROBLEMS as problem:
        text = str(problem) or type(problem).__name__
        raise ValueError(text if f'"{column.name}"' in text else f'column "{column.name}": {text}') from problem


def _try_values(codec: Codec, *values: int | float | None) -> None:
    """Show single values."""
    for value in values:
        if value is not None:
            codec.show(value)


def _check_tables(column: MixtureColumn) -> None:
    """Refuse parameters whose tables hold NaN or infinities."""
    draw, inverse = column.draw_table(), column.inverse_table()
    if draw is None:
        return
    if not len(draw.widths):
        raise ValueError("no component is active")
    vectors = (draw.mixture.half_precisions, draw.mixture.coefficients, draw.widths, inverse.widths)
    if not all(np.all(np.isfinite(vector)) for vector in vectors) or np.min(draw.widths) <= 0:
        raise ValueError("the components' parameters give no densities")
    if not np.isfinite(column.mixture.frame.centre / column.mixture.frame.scale if column.mixture else 0.0):
        raise ValueError("the frame's centre lies outside of all numbers")


def _try_cells(column: MixtureColumn | CategoricalColumn, scalar: Any) -> Any:
    """Decode a value of every cell, encode these again, and return their cells."""
    engine, cells = get_engine("reference"), np.arange(column.width).astype(column.cell_dtype)
    encode = encoder_of(engine, column, EncodingOptions(seed=0))
    decoded = decoder_of(engine, column, check=True)(Coded(scalar, cells), 0)
    return encode(Slice(decoded.array, 0)).cell


def _try_levels(column: CategoricalColumn) -> None:
    """Refuse levels that are not distinct values of the column's type."""
    check_levels(column.width)
    found = _try_cells(column, None)
    if not np.array_equal(found, np.arange(column.width)):
        raise ValueError(f"its levels are not {column.width} different values of {column.type}")


def _try_range(column: GeneralColumn) -> None:
    """Refuse a range that holds no numbers."""
    low, high = column.low, column.high
    if not np.isfinite(high - low) or high < low:
        raise ValueError("its range has no width")
    engine = get_engine("reference")
    encoder_of(engine, column, EncodingOptions(seed=0))
    decoder_of(engine, column, check=True)(Coded(scalar=np.array([-1.0, 0.0, 1.0])), 0)
