"""What holds for codecs of every sort of number: whole numbers are exact, and what is no value is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from gpuvgm.codecs import DatetimeCodec, FloatCodec, IntegerCodec, json_value
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.errors import InputError
from tests.io.arrow_types import type_of

INTEGERS = [type_of(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")]
MOMENTS = ["timestamp[s]", "timestamp[ms]", "timestamp[us, tz=Europe/Berlin]", "timestamp[ns]", "timestamp[ns, tz=UTC]"]
DATES = ["date32[day]", "date64[ms]"]
CLOCKS = ["time32[s]", "time32[ms]", "time64[us]", "time64[ns]"]
LENGTHS = ["duration[s]", "duration[ms]", "duration[us]", "duration[ns]"]
DATETIMES = MOMENTS + DATES + CLOCKS + LENGTHS
DAY = 86_400_000  # milliseconds
BERLIN = "timestamp[us, tz=Europe/Berlin]"
NARROW = [(32, 9), (64, 18)]  # bits and most digits of decimals
Case = tuple[Any, list[int | None]]


@st.composite
def decimal_codecs(draw: st.DrawFn) -> DecimalCodec:
    bits, most = draw(st.sampled_from([*NARROW, (128, 38), (128, 38)]))
    precision = draw(st.integers(1, most))
    return DecimalCodec(type_of(f"decimal{bits}({precision}, {draw(st.integers(-5, precision))})"), 0)


#: Codecs whose base is 0, by sort.
CODECS: dict[str, st.SearchStrategy[Any]] = {
    "integers": st.builds(IntegerCodec, st.sampled_from(INTEGERS), st.just(0)),
    "dates and times": st.builds(DatetimeCodec, st.sampled_from([*map(type_of, DATETIMES)]), st.just(0)),
    "decimals": decimal_codecs(),
}


@st.composite
def columns(draw: st.DrawFn, sort: str) -> Case:
    """A codec with any base, and values within 2^53 of it."""
    codec = draw(CODECS[sort])
    step = DAY if codec.type == pa.date64() else 1
    low, high = -(-codec.limits[0] // step), codec.limits[1] // step
    base, reach = draw(st.integers(low, high)), 2**53 // step
    near = st.integers(max(low, base - reach), min(high, base + reach)).map(lambda value: value * step)
    return replace(codec, base=base * step), draw(st.lists(near | st.none(), max_size=20))


def column_of(values: list[int | None], text: object) -> pa.Array:
    """Column of any type of whole numbers: values as they are stored."""
    type_ = type_of(text)
    stored = [0 if value is None else value for value in values]
    words = b"".join(value.to_bytes(type_.bit_width // 8, "little", signed=value < 0) for value in stored)
    holds = pa.array([value is not None for value in values], pa.bool_()).buffers()[1]
    return pa.Array.from_buffers(type_, len(values), [holds, pa.py_buffer(words)])


@pytest.mark.parametrize("sort", CODECS)
@given(st.data(), st.integers(0, 3))
def test_values_come_back_exactly(sort: str, data: st.DataObject, start: int) -> None:
    codec, values = data.draw(columns(sort))
    column = column_of(values, codec.type)[start:]
    numbers = codec.encode(column)
    back = codec.decode(numbers)
    back.validate(full=True)
    assert numbers.dtype == np.float64 and back.equals(column)
    for number, value in zip(numbers, values[start:], strict=True):
        assert np.isnan(number) if value is None else codec.value(number) == value
        assert value is None or codec.number(value) == number


PRECISIONS = ["decimal128(5, 2)", "decimal128(18, 18)", "decimal128(19, 0)", "decimal128(38, -3)"]
AT_ENDS = [
    *(IntegerCodec(kind, base) for kind in INTEGERS for base in (0, *IntegerCodec(kind, 0).limits)),
    *(DatetimeCodec(type_of(text), 0) for text in MOMENTS + DATES + CLOCKS + LENGTHS),
    *(DecimalCodec(type_of(text), 0, integer) for text in PRECISIONS for integer in (False, True)),
]


@pytest.mark.parametrize("codec", AT_ENDS, ids=str)
def test_decode_keeps_to_the_type(codec: Any) -> None:
    low, high = codec.limits
    found = codec.decode(np.array([np.inf, 1e300, -np.inf, -1e300, np.nan]))
    found.validate(full=True)
    assert found.equals(column_of([high, high, low, low, None], codec.type))
    assert codec.decode(np.empty(0)).type == type_of(codec.type)
    assert codec.encode(column_of([], codec.type)).shape == (0,)
    assert np.isnan(codec.encode(pa.nulls(2))).all()


@pytest.mark.parametrize("sort", CODECS)
@given(st.data())
def test_equality_is_exact(sort: str, data: st.DataObject) -> None:
    codec, values = data.draw(columns(sort))
    column = column_of([None, *values], codec.type)[1:]
    beside = [codec.base - 1, codec.base, codec.base + 1]
    beyond = [2**63, 2**64, 2**70, 2**127, 10**40, -(2**63), -(2**63) - 1, -(2**127) - 1]
    for value in [*filter(None, values), *beside, *beyond]:
        assert codec.equals(column, value).tolist() == [one == value for one in values]
    assert not np.any(codec.equals(column, 0.5))


@pytest.mark.parametrize(
    ("codec", "column", "problem"),
    [
        (FloatCodec(pa.float64()), pa.array(["1"]), "string values, but double values when it was fitted"),
        (IntegerCodec(pa.int64(), 0), pa.array(["1"]), ".* values, but int64 values when it was fitted"),
        (IntegerCodec(pa.int64(), 0), pa.array([date(2024, 1, 1)]), ".* values, but int64 values when it was fitted"),
        (
            DecimalCodec(pa.decimal128(10, 2), 0),
            pa.array(["1"]),
            r"string values, but decimal128\(10, 2\) values when it was fitted",
        ),
    ],
)
def test_rows_that_are_no_numbers_are_refused(codec: Any, column: pa.Array, problem: str) -> None:
    with pytest.raises(InputError, match=f"holds {problem}"):
        codec.encode(column)


@pytest.mark.parametrize(
    ("codec", "error", "left"),
    [
        (FloatCodec(pa.float64()), 0.4, 0.4),
        (FloatCodec(pa.float64(), integer=True), 0.4, 0.0),
        (FloatCodec(pa.float64(), integer=True), 1.5, 2.0),
        (DecimalCodec(pa.decimal128(9, 2), 0), 0.4, 0),
        (DecimalCodec(pa.decimal128(9, 2), 0), 0.5, 1),
        (DecimalCodec(pa.decimal128(9, 2), 0, integer=True), 0.0, 0),
        (DecimalCodec(pa.decimal128(9, 2), 0, integer=True), 49.0, 0),
        (DecimalCodec(pa.decimal128(9, 2), 0, integer=True), 50.0, 100),
        (DecimalCodec(pa.decimal128(9, 2), 0, integer=True), 150.0, 200),
    ],
    ids=str,
)
def test_what_rounding_leaves_of_an_error(codec: Any, error: float, left: float) -> None:
    assert codec.value_error(error, 0, 10**6) == left


NO_VALUES: dict[Any, list[Any]] = {
    FloatCodec(pa.float32()): ["abc", "nan", np.nan, 1e39, 10**400, None, True, np.False_, Decimal("sNaN"), 1j],
    IntegerCodec(pa.int64(), 7): ["12.5", "abc", "", "nan", "inf", "1e999999999", "1e-999999999", 1e300, 0.5, np.nan,
                               True, np.True_, None, 2**63, 1j, b"1", date(2024, 1, 1)],
    DecimalCodec(pa.decimal128(10, 2), 0): ["12.505", "1e8", 99999999.995, np.float32(0.1), None, "x", "nan", True, 1j],
    DatetimeCodec(type_of(BERLIN), 0): [pd.NaT, None, pd.NA, np.nan, "2024", "2024-13-01", "2024-01-31T25:00", 1.5,
                               True, "x",
                               np.datetime64("NaT", "s"), time(1), timedelta(1), "2024-01-31T00:00:00.0000001"],
    DatetimeCodec(pa.timestamp("us", "Nowhere/At_All"), 0): ["2024-01-31"],
    DatetimeCodec(pa.timestamp("us"), 0): ["2024-01-31T00:00Z", pd.Timestamp("2024-01-31", tz="UTC")],
    DatetimeCodec(pa.timestamp("s", "Europe/Berlin"), 0): [np.datetime64(2**62, "s")],
    DatetimeCodec(pa.timestamp("ns"), 0): ["2263-01-01"],
    DatetimeCodec(pa.date32(), 0): ["2024-01-31T00:01", datetime(2024, 1, 31, 1)],
    DatetimeCodec(pa.date64(), 0): [5],
    DatetimeCodec(pa.time64("us"), 0): ["24:00", "1:00", "12:30:00.1234567", time(1, tzinfo=UTC), -1, date(2024, 1, 1)],
    DatetimeCodec(pa.duration("us"), 0): ["", "P", "PT", "1", "5 dogs", "1 day x", pd.NaT, np.timedelta64("NaT", "s"),
                                       "1000000000 days", date(2024, 1, 1), np.timedelta64(1, "ns")],
}  # fmt: skip


@pytest.mark.parametrize(("codec", "given_"), [(codec, one) for codec, given in NO_VALUES.items() for one in given])
def test_parse_refuses_what_is_no_value(codec: Any, given_: object) -> None:
    with pytest.raises(ValueError):
        codec.parse(json_value(given_))
