"""Codecs: Arrow columns to float64 arrays, in which NaN is the one mark of a missing value, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import Column, DeviceColumn, to_numpy
from gpuvgm.columns.codecs.asinh import AsinhCodec
from gpuvgm.columns.codecs.base import Codec, Number, Refuted
from gpuvgm.columns.codecs.curves import CurvedCodec, rounding_in, rounding_variance, unit_of
from gpuvgm.columns.codecs.datetimes import DatetimeCodec, comparable, own_value
from gpuvgm.columns.codecs.decimals import DecimalCodec
from gpuvgm.columns.codecs.floats import FloatCodec
from gpuvgm.columns.codecs.integers import IntegerCodec
from gpuvgm.columns.codecs.logarithms import LogCodec
from gpuvgm.columns.codecs.steps import MOST_STRAYS, are_dust, with_learned_step
from gpuvgm.columns.codecs.texts import OfText, UnreadText
from gpuvgm.columns.codecs.types import check_value, codec_for, read_column, value_codec_of
from gpuvgm.columns.records import read_record
from gpuvgm.summary import Floats

__all__ = [
    "AsinhCodec",
    "Codec",
    "CurvedCodec",
    "DatetimeCodec",
    "DecimalCodec",
    "FloatCodec",
    "IntegerCodec",
    "LogCodec",
    "MOST_STRAYS",
    "Number",
    "OfText",
    "Refuted",
    "SCALES",
    "UnreadText",
    "are_dust",
    "check_value",
    "codec_for",
    "codec_of",
    "ends_of",
    "holds_whole_steps",
    "read_column",
    "rounding_in",
    "rounding_variance",
    "unit_of",
    "with_learned_step",
]


#: Functions around codecs, by their names.
SCALES: dict[str, type[CurvedCodec]] = {kind.name: kind for kind in (AsinhCodec, LogCodec)}


def codec_of(document: Any, where: str = "a codec") -> Codec:
    """Codec from its document, with at most one function around it.

    Raises
    ------
    ValueError
        For a document that is none.
    """
    name = document.get("name") if isinstance(document, dict) else None
    if isinstance(name, str) and name in SCALES:
        return read_record(SCALES[name], document, where)
    return value_codec_of(document, where)


def holds_whole_steps(codec: Codec) -> bool:
    """Return whether decoded values are rounded to whole units: integers, datetimes, decimals, or by option."""
    inner = codec.plain
    return inner.integer if isinstance(inner, FloatCodec) else True


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
