"""Rows of each column by strata of its own values."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.io import joined_arrays, plain_values_of, taken

Column: TypeAlias = "pa.ChunkedArray[Any]"


def stratify(table: pa.Table, count: int, seed: int) -> pa.Table:
    """`count` rows of every column, taken from it alone: one from each of equal strata in the order of its values.

    This is systematic sampling from an ordered frame (Cochran 1977, Sampling Techniques, chapter 8) with one random
    offset for all columns. The least and the largest value are always among them, and missing values keep their share.
    Columns without an order get rows at equal steps. The rows of a column stay in the order that they were read in;
    those of different columns no longer belong together, which does not matter to fits of single columns.

    Parameters
    ----------
    table : pyarrow.Table
        More than `count` rows.
    count : int
        Rows to take.
    seed : int
        Seed of the offset.
    """
    offset = float(np.random.Generator(np.random.PCG64(seed)).random())
    columns = [_take_strata(with_one_dictionary(column), count, offset) for column in table.columns]
    return pa.Table.from_arrays(columns, names=table.schema.names)


def with_one_dictionary(column: Column) -> Column:
    """The column; one of dictionaries in a single chunk, so that its codes mean the same in all rows."""
    return (
        pa.chunked_array([joined_arrays(column.chunks, column.type)]) if pa.types.is_dictionary(column.type) else column
    )


def _take_strata(column: Column, count: int, offset: float) -> Any:
    order = _order(column)
    if order is None:
        return taken(column, systematic_positions(len(column), count, offset))
    missing = len(column) - int(np.sum(_has_value(column)))
    missing_count = _share_of_missing(missing, len(column), count)
    value_order, missing_order = order[: len(order) - missing], order[len(order) - missing :]
    positions = systematic_positions(len(value_order), count - missing_count, offset)
    if len(positions) > 1:
        positions[0], positions[-1] = 0, len(value_order) - 1
    rows = np.concatenate((value_order[positions], missing_order[systematic_positions(missing, missing_count, offset)]))
    return taken(column, np.sort(rows))


def _share_of_missing(missing: int, rows: int, count: int) -> int:
    """How many of `count` rows are missing: their share, but neither none nor all where there are others."""
    share = round(count * missing / rows)
    return min(max(share, min(missing, 1)), count - min(rows - missing, 1))


def systematic_positions(rows: int, count: int, offset: float) -> NDArray[np.int64]:
    """Positions of one row in each of `count` equal parts of `rows` rows."""
    # Rounding may reach `rows` itself.
    return np.minimum(((np.arange(count) + offset) * (rows / max(count, 1))).astype(np.int64), rows - 1)


def _has_value(column: Column) -> NDArray[np.bool_]:
    """Mask of rows that hold a value; NaN is none."""
    valid: NDArray[np.bool_] = np.asarray(pc.is_valid(column))
    if pa.types.is_floating(column.type):
        valid &= ~np.asarray(pc.is_null(column, nan_is_null=True))
    return valid


def _order(column: Column) -> NDArray[np.int64] | None:
    """Rows in the order of their values, missing ones last; None for types without an order."""
    if pa.types.is_nested(column.type):
        return None
    try:
        return np.asarray(pc.sort_indices(sortable(column))).astype(np.int64)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return None


def sortable(column: Column) -> Column:
    """The column in a type that Arrow sorts by the same order."""
    column = plain_values_of(column)
    return column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
