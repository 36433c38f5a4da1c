"""Cells of rows: in which declared cell each value lies, whatever it is, and whatever the other rows are.

What a value counts as depends on nothing but the value: columns of frames, dictionaries and matrices become Arrow
arrays in which no row decides the type or the text of another one. `mechanism` alone calls this, and lets out counts.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from numbers import Complex, Real
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.codecs import DatetimeCodec, is_null
from gpuvgm.engines import get_engine
from gpuvgm.io import is_loaded, is_moment_type, is_plain_number_type, is_text_type, parse_or_null, plain_values_of
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Codes
from gpuvgm.synthesis.private.declared import UNITS, Counted, DeclaredCategories, DeclaredNumbers

HUGE = 10**300  # beyond all bounds, and yet a float
NOTHING = "\uffff"  # stands for what is neither text nor a number nor a moment: Unicode has no such character
FIRST, LAST = datetime.min, datetime.max  # moments before and after are taken for these, which all bounds lie between
WITHOUT_TEXT = (bytes, bytearray, memoryview, timedelta, time, UUID, list, tuple, dict, set, frozenset, np.ndarray)


def declared_cells(column: Counted, values: Any) -> Codes:
    """The cell of each row, whatever its value: what is no value of the column lies in a declared cell, too."""
    if pa.types.is_dictionary(values.type):
        entries = np.append(declared_cells(column, values.dictionary), np.uint16(_lacking(column)))
        places = values.indices.cast(pa.int64()).fill_null(len(entries) - 1)
        return np.asarray(entries[places.to_numpy()])
    plain = plain_values_of(values)
    return _number_cells(column, plain) if isinstance(column, DeclaredNumbers) else _category_cells(column, plain)


def _lacking(column: Counted) -> int:
    """Cell of missing values; where none are declared, that of what is no value of the column."""
    return column.cells - 1 if column.has_missing else column.rest


def _number_cells(column: DeclaredNumbers, values: Any) -> Codes:
    """Cells of numbers, of which those beyond the bounds lie in the outermost ones."""
    codec = column.codec
    numbers = _moments(codec, values) if isinstance(codec, DatetimeCodec) else _numbers(values)
    codes = np.append(np.arange(column.ordinary), _lacking(column)).astype(np.uint16)
    cells = get_engine().find_bins(numbers, column.edges[1:-1], codes)
    for place, value in enumerate(column.modal_numbers, column.ordinary):
        cells[numbers == value] = place
    return cells


def _category_cells(column: DeclaredCategories, values: Any) -> Codes:
    """Cells of categories."""
    rows: Any
    if pa.types.is_string(column.type):
        rows = _texts(values)
    else:
        of_text = pa.types.is_boolean(column.type) and is_text_type(values.type)
        rows = pa.array(_numbers(parse_or_null(values, pa.bool_()) if of_text else values))
    declared: Any = column.categories[: column.cells - column.has_missing]
    entries: Any = pa.array(declared).cast(rows.type)
    places = pc.index_in(rows, value_set=entries, skip_nulls=True).fill_null(column.rest)
    lacks = values.is_null(nan_is_null=True)
    return np.asarray(pc.if_else(lacks, _lacking(column), places).to_numpy(zero_copy_only=False).astype(np.uint16))


def _is_number_type(type_: pa.DataType) -> bool:
    return is_plain_number_type(type_) or bool(pa.types.is_boolean(type_) or pa.types.is_decimal(type_))


def _texts(values: Any) -> Any:
    """Values as text, each by its own value; missing ones as any."""
    if is_text_type(values.type):
        return values.cast(pa.large_string())
    if is_moment_type(values.type):
        rows: Any = _ticks(values).view("M8[us]")
    elif _is_number_type(values.type):
        rows = _numbers(values)
    else:
        return pa.repeat(pa.scalar(NOTHING, pa.large_string()), len(values))
    distinct, places = np.unique(rows, return_inverse=True)
    return _texts_of(distinct).take(pa.array(places))


def _numbers(values: Any) -> Floats:
    """Values as numbers, of which there is one zero; NaN where they are none."""
    if not is_text_type(values.type) and not _is_number_type(values.type):
        return np.full(len(values), np.nan)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.large_string())  # as floats, Arrow rounds them by their scale
    if is_text_type(values.type):
        values = parse_or_null(pc.utf8_trim_whitespace(values.cast(pa.large_string())), pa.float64())
    return np.array(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)) + 0.0


def _moments(codec: DatetimeCodec, values: Any) -> Floats:
    """Dates and datetimes as numbers; NaN where they are none. Those with a zone count in UTC."""
    if is_text_type(values.type):
        texts = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
        texts = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")  # of nanoseconds
        # Each is parsed in one way alone: which texts are wrong takes long to find, as Arrow does not say it.
        has_zone: Any = pc.match_substring_regex(texts, r"[T ].*(Z|[+-][0-9:]+)$")
        zoned = parse_or_null(pc.if_else(has_zone, texts, None), pa.timestamp("us", "UTC"))
        plain = parse_or_null(pc.if_else(has_zone, None, texts), pa.timestamp("us"))
        values = pc.coalesce(plain, zoned.cast(pa.timestamp("us")))
    if not is_moment_type(values.type):
        return np.full(len(values), np.nan)
    lacks = values.is_null().to_numpy(zero_copy_only=False)
    unit = UNITS["d"] if pa.types.is_date(codec.type) else 1
    return np.where(lacks, np.nan, (_ticks(values) // unit - codec.base).astype(np.float64))


def _ticks(values: Any) -> Ints:
    """Moments in microseconds, those of the years beyond Python's at its ends; missing ones as any."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s" if pa.types.is_date32(values.type) else "ms"))
    ticks, factor = np.array(values.cast(pa.int64()).fill_null(0).to_numpy()), UNITS.get(values.type.unit)
    if factor is None:
        return ticks // 1000
    first, last = (int(end.astype(np.int64)) for end in np.array([FIRST, LAST], "M8[us]"))
    return np.asarray(np.clip(np.clip(ticks, first // factor, last // factor) * factor, first, last))


# -- columns in memory as Arrow arrays


def arrow_array(values: Any) -> Any:
    """A column of a frame, a dictionary or a matrix: as it is if its type holds for all rows, else as text."""
    if is_loaded("pandas", "Index", values) or is_loaded("pandas.api.extensions", "ExtensionArray", values):
        values = sys.modules["pandas"].Series(values)
    if is_loaded("pandas", "Series", values):
        return _array_of_series(values)
    if isinstance(values, np.ndarray):
        return _array_of_numpy(values)
    if not hasattr(values, "dtype") and not hasattr(values, "type"):
        return _array_of_list(list(values) if hasattr(values, "__len__") else [values])
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _array_of_series(series: Any) -> Any:
    """A column of pandas."""
    if isinstance(series.dtype, np.dtype):
        return _array_of_numpy(series.to_numpy())
    if is_loaded("pandas", "CategoricalDtype", series.dtype):
        places = series.cat.codes.to_numpy()
        return pa.DictionaryArray.from_arrays(pa.array(places, mask=places < 0), arrow_array(series.cat.categories))
    try:
        is_foreign = any(is_loaded("pandas", name, series.dtype) for name in ("PeriodDtype", "IntervalDtype"))
        array = _texts_of(series) if is_foreign else pa.array(series, from_pandas=True)
    except Exception:  # noqa: BLE001 - Arrow has no type for it
        return _texts_of(series)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _array_of_numpy(values: Any) -> Any:
    """An array of NumPy, in which rows that are masked are missing."""
    if isinstance(values, np.ma.MaskedArray):
        array = _array_of_numpy(values.data)
        return pc.if_else(pa.array(np.ma.getmaskarray(values)), pa.scalar(None, array.type), array)
    kind = values.dtype.kind
    if kind == "M":
        return pa.array(_in_microseconds(values))
    if kind in "biuf":
        known = values.dtype.newbyteorder("=") if values.dtype.itemsize <= 8 else np.dtype(np.float64)
        return pa.array(values.astype(known, copy=False))
    return _array_of_list(values.tolist()) if kind == "U" else _texts_of(values)


def _array_of_list(values: list[Any]) -> Any:
    """Objects as numbers or texts where all are, which are the same as the texts of each."""
    types = {*map(type, values)}
    if types == {np.datetime64} and len({value.dtype for value in values}) == 1:
        return _array_of_numpy(np.array(values))
    with suppress(OverflowError, UnicodeError, *ARROW_PROBLEMS):
        if types <= {bool, int, float}:
            return pa.array(np.array(values, np.float64))
        if types <= {str}:
            return pa.array(values, pa.large_string())
    return _texts_of(values)


def _in_microseconds(moments: Any) -> Any:
    """NumPy's datetimes of any unit, cut to microseconds; those beyond the first and the last year are at its end."""
    first, last = np.array([FIRST, LAST], "M8[us]")
    unit = np.datetime_data(moments.dtype)[0]
    if unit == "generic":  # NaT alone
        return np.full(len(moments), "NaT", "M8[us]")
    if unit not in ("ns", "ps", "fs", "as"):  # in which the ends wrap around
        moments = np.maximum(np.minimum(moments, last.astype(moments.dtype)), first.astype(moments.dtype))
    return np.maximum(np.minimum(moments.astype("M8[us]"), last), first)


def _texts_of(values: Any) -> Any:
    """Objects as text, each by its own value."""
    return pa.array([_text_of(value) for value in values], pa.large_string())


def _text_of(value: Any) -> bytes | None:
    """Text of a value, which depends on neither its type nor its unit; None where it is missing."""
    try:
        if getattr(value, "ndim", None) == 0:  # of NumPy, or a tensor
            value = value[()]
            value = value if isinstance(value, (np.datetime64, np.timedelta64)) else value.item()
        if is_null(value) or value != value:
            return None
        return _text_of_present(value).encode("utf-8", "replace")
    except Exception:  # noqa: BLE001 - objects may do anything
        return NOTHING.encode()


def _text_of_present(value: Any) -> str:
    """All digits of a number, date and time of a moment, anything else as it writes itself."""
    if isinstance(value, str):
        return str.__str__(value)  # of enumerations too, which write themselves otherwise
    if isinstance(value, Complex) and not isinstance(value, Real):
        if value.imag:
            return NOTHING
        value = value.real
    if isinstance(value, (Real, Decimal)):
        return f"{float(min(max(value, -HUGE), HUGE)) + 0.0:.17g}"  # there is one zero
    if isinstance(value, (date, np.datetime64)) or is_loaded("pandas", "Period", value):
        return _moment_of(value).isoformat(" ").removesuffix(" 00:00:00")
    return NOTHING if isinstance(value, (*WITHOUT_TEXT, np.timedelta64)) else str(value)


def _moment_of(value: Any) -> datetime:
    """A date or a datetime of Python, NumPy or pandas, in UTC if it has a zone, or the beginning of a period."""
    value = getattr(value, "start_time", value)
    if hasattr(value, "to_datetime64"):  # of pandas, which reach further than Python's
        is_near = FIRST.year <= value.year <= LAST.year
        value = value.to_pydatetime(warn=False) if is_near else value.to_datetime64()
    if isinstance(value, np.datetime64):
        moment: datetime = _in_microseconds(np.asarray([value]))[0].item()
        return moment
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date
    shift, moment = value.utcoffset() or timedelta(), value.replace(tzinfo=None, fold=0)
    try:
        return moment - shift
    except OverflowError:
        return FIRST if shift > timedelta() else LAST
