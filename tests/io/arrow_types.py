"""Columns of all types of Arrow, in every shape that a column may have in memory, and their values as Python's."""

from __future__ import annotations

import re
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


def type_of(text: Any) -> Any:
    """The type that has a text; of numbers, text and datetimes. A type is its own."""
    if isinstance(text, pa.DataType):
        return text
    if decimals := re.fullmatch(r"decimal(\d+)\((\d+), (-?\d+)\)", text):
        bits, precision, scale = map(int, decimals.groups())
        return getattr(pa, f"decimal{bits}")(precision, scale)
    if zoned := re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", text):
        return pa.timestamp(*zoned.groups())
    return pa.type_for_alias(text)


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


# -- every type, nested ones and extensions too


class Own(pa.ExtensionType):
    """An extension type of a user, with a parameter and fields that are never null."""

    def __init__(self, note: str = "") -> None:
        self.note = note
        super().__init__(NOT_NULL, "gpuvgm.tests.own")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.note.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> Own:
        return cls(serialized.decode())


NOT_NULL = pa.struct([pa.field("a", pa.int32(), nullable=False), pa.field("b", pa.string_view(), nullable=False)])
OWN = Own("noted")
pa.register_extension_type(OWN)
ITEM = pa.field("item", pa.int32(), nullable=False)
DEEP = pa.struct([
    pa.field("in", pa.struct([
        pa.field("list", pa.list_(pa.field("x", NOT_NULL, nullable=False)), nullable=False),
        pa.field("map", pa.map_(pa.string(), pa.field("value", pa.int8(), nullable=False)), nullable=False),
        pa.field("code", pa.dictionary(pa.int8(), pa.string(), ordered=True), nullable=False),
        pa.field("moment", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("bytes", pa.binary(3), nullable=False),
        pa.field("own", OWN, nullable=False),
    ]), nullable=False),
    pa.field("maybe", NOT_NULL),
])  # fmt: skip


def _rows(values: Any, type_: Any) -> pa.Array:
    """`ROWS` rows of some values in turn."""
    return pa.array([values[i % len(values)] for i in range(ROWS)], type_)


def _stored(type_: Any, values: list[Any]) -> pa.Array:
    return pa.ExtensionArray.from_storage(type_, _rows(values, type_.storage_type))


def _deep() -> pa.Array:
    pair = _rows([{"a": 1, "b": "x"}, {"a": 2, "b": ""}], NOT_NULL)
    own = pa.ExtensionArray.from_storage(OWN, pair)
    code = _rows(["r", "s"], pa.string()).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))
    code = pa.DictionaryArray.from_arrays(code.indices, code.dictionary, ordered=True)
    inner: Any = DEEP.field("in").type
    parts = [
        pa.ListArray.from_arrays(pa.array(range(ROWS + 1), pa.int32()), pair, inner.field("list").type),
        _rows([[("k", 1)], []], inner.field("map").type), code,
        pa.array(range(ROWS)).cast(inner.field("moment").type), _rows([b"abc"], pa.binary(3)), own,
    ]  # fmt: skip
    inside = pa.StructArray.from_arrays(parts, fields=list(inner))
    return pa.StructArray.from_arrays([inside, pair], fields=list(DEEP))


def _unions() -> dict[str, pa.Array]:
    parts = [pa.array(range(ROWS)), pa.array([str(i) for i in range(ROWS)])]
    codes = pa.array([5 if i % 2 else 3 for i in range(ROWS)], pa.int8())
    places = pa.array([i // 2 for i in range(ROWS)], pa.int32())
    return {
        "sparse union": pa.UnionArray.from_sparse(codes, parts, ["x", "y"], [3, 5]),
        "dense union": pa.UnionArray.from_dense(codes, places, parts, ["x", "y"], [3, 5]),
    }


def _nested() -> dict[str, pa.Array]:
    entries = pa.array([i % 3 for i in range(ROWS)], pa.uint16())
    lists = {"list": pa.list_, "large list": pa.large_list, "view": pa.list_view, "large view": pa.large_list_view}
    return {
        **{name: _rows([[1, 2], [], None, [3]], make(pa.int32())) for name, make in lists.items()},
        **{f"{name}, never null": _rows([[1, 2], [], [3]], make(ITEM)) for name, make in lists.items()},
        "fixed list": _rows([[1, 2], [3, None]], pa.list_(pa.int32(), 2)),
        "list of an odd name": _rows([[1]], pa.list_(pa.field("a, b: c> not null", pa.int8()))),
        "struct": _rows([{"a": 1}, None, {"a": None}], pa.struct([("a", pa.int32())])),
        "struct, never null": _rows([{"a": 1, "b": "x"}, {"a": 2, "b": ""}], NOT_NULL),
        "struct of nothing": _rows([{}], pa.struct([])),
        "struct of odd names": _rows(
            [{"a: int8, b": 1, " not null": 2}], pa.struct([("a: int8, b", pa.int8()), (" not null", pa.int8())])
        ),
        "struct with metadata": _rows([{"a": 1}], pa.struct([pa.field("a", pa.int8(), metadata={"unit": "m"})])),
        "deep struct": _deep(),
        "map": _rows([[("a", 1)], [], None], pa.map_(pa.string(), pa.int32())),
        "sorted map": _rows([[("a", 1)], []], pa.map_(pa.string(), pa.int32(), keys_sorted=True)),
        "map, never null": _rows([[("a", 1)], []], pa.map_(pa.string(), pa.field("value", pa.int32(), nullable=False))),
        "dictionary of structs": pa.DictionaryArray.from_arrays(entries, _rows([{"a": 1, "b": ""}], NOT_NULL)[:3]),
        **_unions(),
    }


def _extensions() -> dict[str, pa.Array]:
    pair: Any = pa.ExtensionArray.from_storage(OWN, _rows([{"a": 1, "b": "x"}], NOT_NULL))
    return {
        "uuid": _stored(pa.uuid(), [bytes([i]) * 16 for i in range(ROWS)]),
        "json": _stored(pa.json_(pa.string()), ['{"a":1}', "[]", None]),
        "bool8": _stored(pa.bool8(), [1, 0, None]),
        "opaque": _stored(pa.opaque(pa.binary(), "point", "a database"), [b"1", b"2"]),
        "tensor": _stored(pa.fixed_shape_tensor(pa.float32(), [2, 2]), [[1.0, 2.0, 3.0, 4.0]]),
        "own": pair,
        "dictionary of uuid": pa.DictionaryArray.from_arrays(
            pa.array([i % 2 for i in range(ROWS)], pa.int8()), _stored(pa.uuid(), [b"0" * 16, b"1" * 16])[:2]
        ),
        "list of own": pa.ListArray.from_arrays(pa.array(range(ROWS + 1), pa.int32()), pair),
        "not registered": _rows([b"ab", b"cd"], pa.binary(2)),
    }


def _coded() -> dict[str, pa.Array]:
    found: dict[str, pa.Array] = {}
    for bits in (8, 16, 32, 64):
        for sign in ("", "u"):
            codes = pa.array([i % 3 for i in range(ROWS)], getattr(pa, f"{sign}int{bits}")())
            coded = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b", "c"]), ordered=sign == "u")
            found[str(coded.type)] = coded
    return found


def _in_a_row(type_: Any) -> pa.Array:
    """Datetimes one after the other."""
    step = 86_400_000 if pa.types.is_date64(type_) else 1
    return pa.array([step * i for i in range(ROWS)], pa.int32() if type_.bit_width == 32 else pa.int64()).view(type_)


def _ordinary() -> dict[str, pa.Array]:
    scaled = {
        f"decimal{bits}({digits}, {scale})": [Decimal(i).scaleb(-scale) for i in range(ROWS)]
        for bits, digits in ((32, 9), (64, 18), (128, 38), (256, 76))
        for scale in (2, 0, -2)
    }
    zoned = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "+05:30")]
    return {
        **{str(type_): pa.array(range(ROWS)).cast(type_) for type_ in [*PLAIN_TYPES[:11]]},
        **{text: pa.array(values, type_of(text)) for text, values in scaled.items()},
        **{str(type_): _in_a_row(type_) for type_ in MOMENT_TYPES},
        **{str(type_): pa.array([10**9 * i for i in range(ROWS)]).cast(type_) for type_ in zoned},
        **{str(type_): _rows(["a", "b", None], type_) for type_ in TEXT_TYPES},
        **{str(type_): _rows([b"ab", b"cd", None], type_) for type_ in BYTES_TYPES},
        "free text": pa.array([f"some words {i * 7919 % 1000} of {i}" for i in range(ROWS)]),
        "bool": _rows([True, False, None], pa.bool_()),
        "null": pa.nulls(ROWS),
        "interval": _rows([pa.MonthDayNano([1, 2, 3]), pa.MonthDayNano([0, 1, 0]), None], pa.month_day_nano_interval()),
        "run ends": pa.RunEndEncodedArray.from_arrays(pa.array([20, ROWS], pa.int64()), pa.array(["a", None])),
    }


#: `ROWS` rows of each of Arrow's types.
ALL: dict[str, pa.Array] = _ordinary() | _coded() | _nested() | _extensions()


def field_of(name: str) -> pa.Field:
    """Field of one of `ALL`: one as Arrow gives an extension type that is not registered, others with metadata."""
    unknown = {"ARROW:extension:name": "their.own", "ARROW:extension:metadata": "x"}
    return pa.field(name, ALL[name].type, metadata=unknown if name == "not registered" else {"unit": "m"})


def table_with(name: str) -> pa.Table:
    """One of `ALL`, beside numbers and a text."""
    others = [pa.field("number", pa.float64()), pa.field("text", pa.string())]
    columns = [ALL[name], pa.array(np.arange(ROWS) * 1.5), _rows(["a", "b"], pa.string())]
    return pa.table(columns, schema=pa.schema([field_of(name), *others]))
