"""Columns of all types of Arrow, in every shape that a column may have in memory, and their values as Python's."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

UNITS = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1, "D": 86_400 * 10**9}
ROWS = 60
MISSING = {"none": lambda i: False, "some": lambda i: i % 3 == 1, "all": lambda i: True}


def _numbers(type_: Any) -> list[Any]:
    if pa.types.is_integer(type_):
        limits = np.iinfo(type_.to_pandas_dtype())
        far = 2**60 + 3 if type_.bit_width == 64 else limits.max // 2
        return [far, far + 2, far + 40, 0, 7]
    if pa.types.is_floating(type_):
        return [type_.to_pandas_dtype()(x) for x in (0.5, -1.25, 3.0, 1e3, 7.0)]
    return [Decimal(text) for text in ("1.50", "-2.25", "100.00", "3.00", "7.10")]


def _moments(type_: Any) -> pa.Array:
    stored = pa.int32() if type_.bit_width == 32 else pa.int64()
    step = 86_400_000 if pa.types.is_date64(type_) else 1
    far = 1_700_000_000_123_456_789 if getattr(type_, "unit", "") == "ns" else 40_000_123
    far = 20_000 if pa.types.is_date(type_) else 40_000 if pa.types.is_time(type_) else far
    return pa.array([step * value for value in (far, far + 1, far - 40, 7, 1_001)], stored).view(type_)


def _extension(type_: Any, storage: list[Any]) -> pa.Array:
    return pa.ExtensionArray.from_storage(type_, pa.array(storage, type_.storage_type))


PLAIN_TYPES = [
    *(getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)),
    pa.float16(), pa.float32(), pa.float64(), pa.decimal128(12, 2), pa.decimal128(30, 2),
    pa.decimal32(9, 2), pa.decimal64(9, 2),
]  # fmt: skip
MOMENT_TYPES = [
    pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "Europe/Rome")),
    *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
]  # fmt: skip
TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view()]
BYTES_TYPES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)]
FAR = 2**60 + 3


def five_values() -> dict[str, pa.Array]:
    """Five different values of every type, by the type's text."""
    found = {str(type_): pa.array(_numbers(type_), type_) for type_ in PLAIN_TYPES}
    found |= {str(type_): _moments(type_) for type_ in MOMENT_TYPES}
    found |= {str(type_): pa.array(["a", "ß", "long " * 9, "d", "e"], type_) for type_ in TEXT_TYPES}
    found |= {str(type_): pa.array([b"a\0", b"\xff\xfe", b"cc", b"dd", b"ee"], type_) for type_ in BYTES_TYPES}
    found["bool"] = pa.array([True, False, True, False, True])
    found["decimal256(50, 2)"] = pa.array(_numbers(pa.decimal256(50, 2)), pa.decimal256(50, 2))
    found["null"] = pa.nulls(5)
    found["list"] = pa.array([[FAR, None], [], [2, 3], [None], [5]])
    found["struct"] = pa.array([{"a": FAR}, {"a": None}, {"a": 2}, {"a": 3}, {"a": 4}])
    found["run ends"] = pc.run_end_encode(pa.array([FAR, FAR, 2, 3, 3]))
    found["uuid"] = _extension(pa.uuid(), [bytes([i]) * 16 for i in range(5)])
    found["opaque"] = _extension(pa.opaque(pa.int64(), "x", "y"), [FAR, 2, 3, 4, 5])
    found["bool8"] = _extension(pa.bool8(), [1, 0, 1, 0, 1])
    found["json"] = _extension(pa.json_(pa.string()), ["1", "{}", "[]", "null", '"a"'])
    return found


ENTRIES = ["int64", "uint8", "double", "halffloat", "bool", "string", "string_view", "binary", "date32[day]",
           "time64[ns]", "timestamp[ns, tz=Europe/Rome]", "duration[s]", "decimal128(12, 2)", "uuid"]  # fmt: skip


def logical(values: pa.Array, missing: str) -> pa.Array:
    """`ROWS` rows of the five values in turn, one contiguous array; some missing."""
    holds = MISSING[missing]
    positions = pa.array([None if holds(i) else (i * i) % 5 for i in range(ROWS)], pa.int64())
    if pa.types.is_run_end_encoded(values.type):
        return pc.run_end_encode(pc.run_end_decode(values).take(positions))
    for view, plain in ((pa.string_view(), pa.string()), (pa.binary_view(), pa.binary())):
        if values.type == view:
            return values.cast(plain).take(positions).cast(view)
    return values.take(positions)


def dictionary(values: pa.Array, missing: str, *, entry_missing: bool) -> pa.Array:
    """The same rows as codes of a dictionary, in which missing rows have no code, or the code of no value."""
    if entry_missing:
        values = pa.concat_arrays([values, pa.nulls(1, values.type)])
    holds = MISSING[missing]
    none = 5 if entry_missing else None
    return pa.DictionaryArray.from_arrays(
        pa.array([none if holds(i) else (i * i) % 5 for i in range(ROWS)], pa.int8()), values
    )


def arrow_columns(missing: str) -> dict[str, pa.Array]:
    """A column of every type, and dictionaries of many."""
    five = five_values()
    columns = {name: logical(values, missing) for name, values in five.items()}
    for name in ENTRIES:
        for entry_missing in (False, True):
            label = f"dictionary of {name}" + (" with a missing entry" if entry_missing else "")
            columns[label] = dictionary(five[name], missing, entry_missing=entry_missing)
    return columns


def _other_dictionary(values: pa.Array) -> pa.Array:
    """The same rows with the dictionary the other way round."""
    last = len(values.dictionary) - 1
    try:
        entries = values.dictionary.take(pa.array(range(last, -1, -1)))
    except pa.ArrowNotImplementedError:
        return values
    indices = pc.subtract(pa.scalar(last, pa.int64()), values.indices.cast(pa.int64())).cast(values.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, entries)


def _chunks(values: pa.Array) -> list[pa.Array]:
    """Chunks of odd lengths, some empty; every second one has its dictionary the other way round."""
    pieces = [values.slice(start, stop - start) for start, stop in ((0, 0), (0, 17), (17, 17), (17, 40), (40, ROWS))]
    if not pa.types.is_dictionary(values.type):
        return [*pieces, values.slice(0, 0)]
    return [_other_dictionary(piece) if i % 2 else piece for i, piece in enumerate(pieces)]


def _behind(values: pa.Array) -> pa.Array:
    """The same rows at an offset, between rows that do not belong to them."""
    return pa.concat_arrays([values.slice(3, 5), values, values.slice(1, 3)]).slice(5, ROWS)


SHAPES: dict[str, Any] = {
    "whole": lambda values: pa.chunked_array([values]),
    "chunks": lambda values: pa.chunked_array(_chunks(values)),
    "offset": lambda values: pa.chunked_array([_behind(values)]),
    "offset chunks": lambda values: pa.chunked_array(_chunks(_behind(values))),
}


def python_values(column: Any) -> list[Any]:
    """What a column of any library holds, as Python's values: None for missing, nanoseconds for datetimes."""
    if isinstance(column, np.ndarray):
        return _of_numpy(column)
    if isinstance(column, pd.Series):
        of_arrow = isinstance(column.dtype, pd.ArrowDtype)
        return python_values(column.array.__arrow_array__() if of_arrow else pa.array(column, from_pandas=True))
    if hasattr(column, "to_arrow"):
        return python_values(column.to_arrow())
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [value for chunk in chunks for value in _of_arrow(chunk)]


def _of_arrow(values: Any) -> list[Any]:
    type_ = values.type
    if pa.types.is_dictionary(type_):
        entries = _of_arrow(values.dictionary)
        return [None if code is None else entries[code] for code in values.indices.to_pylist()]
    if isinstance(type_, pa.BaseExtensionType):
        return _of_arrow(values.storage)
    if pa.types.is_run_end_encoded(type_):
        return _of_arrow(pc.run_end_decode(values))
    if pa.types.is_temporal(type_):
        unit = "D" if pa.types.is_date32(type_) else "ms" if pa.types.is_date64(type_) else type_.unit
        counts = values.view(pa.int32() if type_.bit_width == 32 else pa.int64()).to_pylist()
        return [None if count is None else count * UNITS[unit] for count in counts]
    return [_plain(value) for value in values.to_pylist()]


def _of_numpy(values: np.ndarray) -> list[Any]:
    if values.dtype.kind in "mM":
        step = UNITS[np.datetime_data(values.dtype)[0]]
        none = np.isnat(values)
        return [None if gone else int(x) * step for x, gone in zip(values.astype(np.int64), none, strict=True)]
    return [_plain(value) for value in values.tolist()]


def _plain(value: Any) -> Any:
    """One of Python's values, with one form of what is missing, of times and of what is in lists."""
    if isinstance(value, time):
        of_day = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second)
        return (of_day // timedelta(microseconds=1) + value.microsecond) * 1000
    if isinstance(value, date) and not isinstance(value, datetime):
        return (value - date(1970, 1, 1)).days * UNITS["D"]
    if isinstance(value, (list, np.ndarray)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if hasattr(value, "bytes") and not isinstance(value, bytes):  # a UUID
        return value.bytes
    return None if value is None or (isinstance(value, float) and value != value) else value
