"""Arrow columns as NumPy arrays: what is missing stays missing, and integers keep their digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.errors import InputError
from gpuvgm.io.arrow_values import plain_column
from gpuvgm.io.source import reason
from gpuvgm.shortage import ARROW_PROBLEMS

LARGEST_WHOLE = 2**53  # float64 holds every integer from -2^53 to 2^53


def numpy_array(name: str, column: Any) -> np.ndarray[Any, Any]:
    """A NumPy array of a column, which the caller may write to.

    Parameters
    ----------
    name : str
        The column, for messages.
    column : pyarrow.ChunkedArray or pyarrow.Array
        Its values; dictionaries, runs and extension types give the values that they stand for.

    Returns
    -------
    ndarray of shape (rows,)
        The column's own dtype where nothing is missing. Missing is NaN in numbers, NaT in datetimes and durations, and
        None in all others. Integers with missing values are float64 while all lie from -2^53 to 2^53, else objects
        (int and None); times of the day are `datetime.time`, those in nanoseconds timedelta64 from midnight.

    Raises
    ------
    InputError
        For values that neither NumPy nor Python has.
    """
    column = plain_column(column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column]))
    if column.type == pa.time64("ns"):  # Python's times have no nanoseconds
        column = column.cast(pa.int64()).cast(pa.duration("ns"))
    try:
        values = _objects(column) if loses_digits(column) else np.asarray(column.to_numpy())
    except (*ARROW_PROBLEMS, ValueError, OverflowError) as problem:
        raise InputError(
            f'column "{name}" holds {column.type} values that NumPy cannot have ({reason(problem)}); '
            "take the result as a pyarrow table"
        ) from problem
    return values if values.flags.writeable else values.copy()


def loses_digits(column: pa.ChunkedArray[Any]) -> bool:
    """Whether integers, in lists and structs too, would become floats that are not equal to them."""
    return any(_beyond_floats(leaf) for chunk in column.chunks for leaf in _leaves(chunk))


def _leaves(values: Any) -> Iterator[Any]:
    """Arrays of the values within lists, maps and structs; an array of none of these itself."""
    type_ = values.type
    if not pa.types.is_nested(type_) or pa.types.is_union(type_):
        yield values
        return
    for part in values.flatten() if pa.types.is_struct(type_) else [values.flatten()]:
        yield from _leaves(part)


def _beyond_floats(values: Any) -> bool:
    if not values.null_count or values.type not in (pa.int64(), pa.uint64()):
        return False
    ends: Any = pc.min_max(values).as_py()
    return ends["min"] is not None and bool(max(-ends["min"], ends["max"]) > LARGEST_WHOLE)


def _objects(column: pa.ChunkedArray[Any]) -> np.ndarray[Any, Any]:
    return np.fromiter(column.to_pylist(), dtype=object, count=len(column))
