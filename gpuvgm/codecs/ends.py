"""Least and largest values of columns, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import Column, DeviceColumn, to_numpy
from gpuvgm.codecs.base import Codec, Number
from gpuvgm.codecs.curves import CurvedCodec
from gpuvgm.codecs.datetimes import comparable, own_value
from gpuvgm.codecs.floats import FloatCodec
from gpuvgm.summary import Floats


def ends_of(codec: Codec, values: Column, numbers: Floats, low: float, high: float) -> tuple[Number, Number] | None:
    """Least and largest value of a column in its own unit, exactly.

    Parameters
    ----------
    codec : Codec
        The column's codec.
    values : pyarrow.Array or DeviceColumn
        Rows of the column.
    numbers : ndarray of shape (rows,)
        Their numbers; rows that are not finite are left out.
    low, high : float
        Least and largest finite number.

    Returns
    -------
    tuple of int or float, or None
        None where no number is finite (`low` is above `high`).
    """
    if low > high:
        return None
    if not _are_rounded(codec, values.type, low, high):
        return codec.value(low), codec.value(high)
    return _own_ends(values, numbers == low)[0], _own_ends(values, numbers == high)[1]


def _are_rounded(codec: Codec, type_: pa.DataType | None, low: float, high: float) -> bool:
    """Return whether numbers are rounded, so that they do not give the least and largest value exactly."""
    rounded = isinstance(codec, CurvedCodec) or max(-low, high) >= 2.0**53
    return rounded and not isinstance(codec, FloatCodec) and type_ == codec.type


def _own_ends(values: Column, rows: NDArray[np.bool_]) -> tuple[Number, Number]:
    """Least and largest value of some rows in the unit of their type."""
    if isinstance(values, DeviceColumn):
        integers = to_numpy(values.values[rows])
        return integers.min().item(), integers.max().item()
    ends: Any = pc.min_max(comparable(values.filter(pa.array(rows))))
    return own_value(ends["min"]), own_value(ends["max"])
