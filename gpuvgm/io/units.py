"""Datetimes and durations of NumPy, Python and pandas in an Arrow type that holds all of them and loses nothing.

NumPy and Arrow bring values of different units to one by themselves, and then cut off, or wrap around, without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.io.source import is_loaded
from gpuvgm.shortage import ARROW_PROBLEMS

Moments = np.ndarray[Any, Any]  # of datetime64 or timedelta64, or of objects of any library
UNITS = ("s", "ms", "us", "ns")  # Arrow's, from the coarsest to the finest
_OF_DAYS, _FINER = {"Y", "M", "W", "D"}, {"ps", "fs", "as"}
#: Classes by NumPy's kind of dtype; a datetime is a date, and pandas' datetimes and durations are Python's.
_SORTS: dict[str, tuple[type, ...]] = {"M": (date, np.datetime64), "m": (timedelta, np.timedelta64), "O": (time,)}
_MISSING = ("NoneType", "NAType", "NaTType", "MaskedConstant")  # names of types
_SORT_NAMES = {"M": "datetime", "m": "duration", "O": "time of the day"}


def type_of_moments(values: Moments, inferred: pa.DataType | None = None) -> pa.DataType | None:
    """The type of a column of datetimes or durations; None for other objects, and those that Arrow takes as they are.

    It is the one that Arrow infers, else the unit of the finest value, else the finest one that holds all values. Where
    none does, it is the first of these, and `exact_moments` raises an error.

    Parameters
    ----------
    values : ndarray
        All rows.
    inferred : pyarrow.DataType, optional
        What Arrow takes objects for.
    """
    kind = values.dtype.kind
    if values.dtype.hasobject:
        kind = _kind_of(next((value for value in values if not _is_missing(value)), None))
        if not kind or _are_alike(values):
            return None
    if kind == "O":
        return inferred
    try:
        parts = [part for _, part in _parts(values, kind)]
    except OverflowError:  # no unit holds some value
        return pa.timestamp("us") if kind == "M" else pa.duration("us")
    candidates = _candidates(parts, inferred)
    for type_ in candidates:
        with suppress(ValueError, OverflowError):
            for part in parts:
                _exactly(part, type_)
            return type_
    return candidates[0]


def exact_moments(values: Moments, type_: Any) -> pa.Array[Any]:
    """Rows as an array of a type that `type_of_moments` gave.

    Raises
    ------
    ValueError, OverflowError, TypeError
        For a value that the type does not hold.
    """
    dtype = _dtype_of(type_)
    if values.dtype.hasobject:
        _check_sort(values, dtype.kind, has_zone=getattr(type_, "tz", None) is not None)
    if dtype.hasobject:  # times of the day
        times: pa.Array[Any] = pa.array(values, type_, from_pandas=True)
        return times
    moments = np.full(len(values), "NaT", dtype)
    for places, part in _parts(values, dtype.kind):
        moments[places] = _exactly(part, type_)
    ticks, lacks = moments.view(np.int64), np.isnat(moments)
    if pa.types.is_date32(type_):
        ticks = np.where(lacks, 0, ticks).astype(np.int32)
    array: pa.Array[Any] = pa.array(ticks, mask=lacks).view(type_)
    return array


def _kind_of(value: Any) -> str:
    """NumPy's kind of the dtype of a datetime or a duration, "O" for a time of the day; empty for all else."""
    return next((kind for kind, classes in _SORTS.items() if isinstance(value, classes)), "")


def _is_missing(value: Any) -> bool:
    """Return whether an object is None, NaN or NaT, or pandas' NA."""
    return type(value).__name__ in _MISSING or (isinstance(value, float) and value != value)


def _are_alike(values: Moments) -> bool:
    """Return whether all are of one class of Python's, all or none with a zone: Arrow holds these, or refuses them."""
    types = {type_ for type_ in {*map(type, values)} if type_.__name__ not in _MISSING}
    if types == {datetime}:
        return len({value.tzinfo is None for value in values if type(value) is datetime}) == 1
    return types in ({date}, {timedelta}, {time})


def _has_zone(value: Any) -> bool:
    return getattr(value, "tzinfo", None) is not None


def _check_sort(values: Moments, kind: str, *, has_zone: bool) -> None:
    """Refuse objects of another kind, and datetimes without a zone beside those that have one."""
    for value in values:
        if _is_missing(value):
            continue
        if _kind_of(value) != kind:
            raise TypeError(f"{type(value).__name__} is no {_SORT_NAMES[kind]}")
        if kind == "M" and _has_zone(value) != has_zone:
            raise TypeError(f"{value} has {'no' if has_zone else 'a'} time zone, unlike others")


def _parts(values: Moments, kind: str) -> Iterator[tuple[Any, Moments]]:
    """Rows of each dtype of a kind, with their places."""
    if not values.dtype.hasobject:
        yield slice(None), values
        return
    scalars = [_scalar(value) if _kind_of(value) == kind and not _is_missing(value) else None for value in values]
    for dtype in {scalar.dtype for scalar in scalars if scalar is not None}:
        places = [place for place, scalar in enumerate(scalars) if scalar is not None and scalar.dtype == dtype]
        yield places, np.array([scalars[place] for place in places], dtype)


def _scalar(value: Any) -> Any:
    """A datetime or a duration as NumPy's, in its own unit; those with a zone in UTC."""
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return value
    if is_loaded("pandas", "Timestamp", value):
        return value.to_datetime64()
    if is_loaded("pandas", "Timedelta", value):
        return value.to_timedelta64()
    if isinstance(value, datetime):
        return np.datetime64(value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None), "us")
    if isinstance(value, date):
        return np.datetime64(value, "D")
    seconds = 86_400 * value.days + value.seconds  # NumPy itself wraps long durations around
    if not value.microseconds:
        return np.timedelta64(seconds, "s")
    return np.timedelta64(seconds * 10**6 + value.microseconds, "us")


def _candidates(parts: list[Moments], inferred: Any) -> list[pa.DataType]:
    """Types that may hold rows of some dtypes of one kind, the best first."""
    kind, units = parts[0].dtype.kind, {np.datetime_data(part.dtype)[0] for part in parts}
    finest = max(UNITS.index(unit if unit in UNITS else "ns" if unit in _FINER else "s") for unit in units)
    arrow: Any = pa  # its stubs want each unit as a literal
    type_of = partial(arrow.timestamp, tz=getattr(inferred, "tz", None)) if kind == "M" else arrow.duration
    types = [*map(type_of, reversed(UNITS[: finest + 1]))]
    if kind == "M" and units <= _OF_DAYS:
        types.insert(0, pa.date32())
    return [inferred, *types] if inferred is not None and _dtype_of(inferred).kind == kind else types


def _dtype_of(type_: Any) -> np.dtype[Any]:
    """NumPy's dtype of a type of Arrow's; that of objects for those that are no datetimes and no durations."""
    if pa.types.is_date32(type_):
        return np.dtype("M8[D]")
    if pa.types.is_timestamp(type_) or pa.types.is_duration(type_):
        return np.dtype(f"{'M8' if pa.types.is_timestamp(type_) else 'm8'}[{type_.unit}]")
    return np.dtype(object)


def first_failure(convert: Callable[[int, int], object], start: int, stop: int) -> int:
    """First row in [start, stop) that cannot be converted, by bisection; `convert` takes rows from one to another."""
    while stop - start > 1:
        middle = (start + stop) // 2
        try:
            convert(start, middle)
        except (*ARROW_PROBLEMS, TypeError, ValueError, OverflowError):
            stop = middle
        else:
            start = middle
    return start


def _converted(moments: Moments, dtype: np.dtype[Any]) -> Moments:
    """Moments in another unit; from the first one on that lies beyond it, they are missing.

    NumPy refuses such a column from 2.5 on; before, it wrapped values around.
    """
    try:
        return moments.astype(dtype)
    except OverflowError:
        first = first_failure(lambda start, stop: moments[start:stop].astype(dtype), 0, len(moments))
        return np.append(moments[:first].astype(dtype), np.full(len(moments) - first, "NaT", dtype))


def _exactly(moments: Moments, type_: pa.DataType) -> Moments:
    """Datetimes or durations in the unit of a type; ValueError where one is cut off or wraps around."""
    kind, unit, dtype = moments.dtype.kind, np.datetime_data(moments.dtype)[0], _dtype_of(type_)
    is_exact = np.isnat(moments)
    if unit == "generic" or (kind == "m" and unit in ("Y", "M")):  # nobody knows how long these are
        result = np.full(len(moments), "NaT", dtype)
    else:
        # NumPy knows no factor between the finest units and the coarsest.
        nearer = moments.astype(f"{kind}8[ns]") if unit in _FINER else moments
        result = _converted(nearer, dtype)
        is_exact |= (result.astype(nearer.dtype) == nearer) & (nearer.astype(moments.dtype) == moments)
    if pa.types.is_date32(type_):
        is_exact &= np.isnat(result) | (np.abs(result.view(np.int64)) < 2**31)
    if not is_exact.all():
        raise ValueError(f"{moments[~is_exact][0]!s}, in the unit {unit}, is cut off or lies beyond its ends")
    return result
