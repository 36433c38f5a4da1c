"""Datetimes and durations of different units and libraries: each comes as it is, or its row is refused."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gpuvgm.errors import InputError
from gpuvgm.io import open_source

SECONDS = {"W": 604_800, "D": 86_400, "h": 3600, "m": 60, "s": 1} | {
    unit: Fraction(1, 1000**power) for power, unit in enumerate(("ms", "us", "ns", "ps", "fs", "as"), 1)
}
EPOCH = dt.datetime(1970, 1, 1)


def seconds_of(value):
    """Seconds of a duration, or since 1970, as an exact fraction, by Python's integers."""
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, (pd.Timestamp, pd.Timedelta)):
        return seconds_of(value.to_datetime64() if isinstance(value, pd.Timestamp) else value.to_timedelta64())
    if isinstance(value, (np.datetime64, np.timedelta64)):
        unit, count = np.datetime_data(value.dtype)
        if np.isnat(value):
            return None
        if unit in "YM":
            year, month = divmod(int(value.astype(int)) * count * (12 if unit == "Y" else 1), 12)
            return Fraction((dt.date(1970 + year, 1 + month, 1) - EPOCH.date()).days * 86_400)
        return int(value.astype(int)) * count * Fraction(SECONDS[unit])
    if isinstance(value, dt.datetime):
        value = value.replace(tzinfo=None) - EPOCH - (value.utcoffset() or dt.timedelta())
    elif isinstance(value, dt.date):
        value = value - EPOCH.date()
    elif isinstance(value, dt.time):
        value = dt.datetime.combine(EPOCH, value) - EPOCH
    return Fraction(value.days * 86_400 + value.seconds) + Fraction(value.microseconds, 10**6)


def seconds_in(array):
    """The same of all rows of an array, by the integers that Arrow holds."""
    unit = SECONDS["D"] if pa.types.is_date32(array.type) else SECONDS[array.type.unit]
    integers = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    return [None if value is None else value * Fraction(unit) for value in integers.to_pylist()]


DATETIMES = [
    *(np.datetime64(7, unit) for unit in ("Y", "M", *SECONDS, "10s", "100ns")),
    *(np.datetime64(-7, unit) for unit in ("Y", "D", "ns", "as")),
    *(np.datetime64("9999-12-31"), np.datetime64("9999-12-31T10:15"), np.datetime64("1650-01-01")),
    *(np.datetime64(2**33, "D"), np.datetime64(2**62, "s"), np.datetime64("NaT", "ns"), np.datetime64(5000, "ns")),
    *(dt.datetime(2024, 1, 5, 10, 15, 1, 7), dt.datetime(9999, 12, 31, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31)),
    *(pd.Timestamp("2024-01-05 10:15:00.123456789"), pd.Timestamp("1600-01-05 01:00").as_unit("s"), pd.NaT, None),
    *(pd.Timestamp("2024-01-05 10:15:00.123456789", tz="Europe/Zurich"), dt.datetime(2024, 1, 5, tzinfo=dt.UTC)),
]
DURATIONS = [
    *(np.timedelta64(7, unit) for unit in SECONDS),
    *(np.timedelta64(2**33, "D"), np.timedelta64(2**50, "h"), dt.timedelta(1, 2, 3), dt.timedelta(999_999_999)),
    *(dt.timedelta(999_999_999, 0, 1), pd.Timedelta(7, "ns"), pd.Timedelta(np.timedelta64(2**40, "s")), None),
]
OTHERS = [dt.time(1, 2), 7, "2024-01-05"]


def objects(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def rows_of(table):
    """The rows of the one column of a table."""
    (batch,) = [block.batch for block in open_source(table).blocks(open_source(table).schema.names, 9)]
    return batch.column(0)


@pytest.mark.parametrize("sort", [DATETIMES, DURATIONS], ids=["datetimes", "durations"])
@pytest.mark.parametrize("make", [list, objects, lambda values: pd.Series(objects(values), dtype=object)])
def test_two_moments_come_as_they_are_or_name_their_row(sort, make):
    held = 0
    for values in itertools.product(sort, sort + OTHERS[:1]):
        try:
            array = rows_of({"when": make(values)})
        except InputError as problem:
            assert re.match(r'dict: column "when", row [01] does not fit the type .*; convert', str(problem)), values
            continue
        held += 1
        assert pa.types.is_null(array.type) or seconds_in(array) == [*map(seconds_of, values)], values
    assert held > len(sort) ** 2 / 3


def test_a_matrix_of_objects_has_columns_of_one_unit_each():
    matrix = np.stack([objects(DATETIMES[2:4]), objects([np.datetime64(5000, "ns"), np.datetime64("9999-12-31")])], 1)
    (block,) = open_source(matrix).blocks(["1"], 9)
    assert block.batch.schema.types == [pa.timestamp("us")]
    assert seconds_in(block.batch.column(0)) == [Fraction(5, 10**6), seconds_of(np.datetime64("9999-12-31"))]


def test_rows_that_are_masked_are_missing():
    for values in (np.array([7, 8], "M8[m]"), np.array([7, 8], "m8[s]"), objects([np.datetime64(7, "m"), None])):
        masked = np.ma.array(values, mask=[False, True])
        assert seconds_in(rows_of({"when": masked})) == [seconds_of(values[0]), None]


@pytest.mark.parametrize("kind", ["M8", "m8"])
@pytest.mark.parametrize("unit", ["h", "m", "W", "D", "10s", "25us", "s", "ns"])
def test_arrays_of_any_unit_are_read(kind, unit):
    values = np.array([7, -7, "NaT"], f"{kind}[{unit}]")
    assert seconds_in(rows_of({"when": values})) == [*map(seconds_of, values)]
    assert seconds_in(rows_of({"when": values.astype(values.dtype.newbyteorder(">"))})) == [*map(seconds_of, values)]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([np.datetime64(7, "ns"), np.datetime64(7, "D")], pa.timestamp("ns")),
        ([np.datetime64(7000, "ns"), np.datetime64("9999-12-31")], pa.timestamp("us")),
        ([np.datetime64(7, "m"), np.datetime64(7, "h")], pa.timestamp("s")),
        ([np.datetime64(7, "M"), np.datetime64(7, "W")], pa.date32()),
        (np.array([2**40], "M8[D]"), pa.timestamp("s")),
        ([dt.date(2024, 1, 5), dt.datetime(2024, 1, 5, 1)], pa.timestamp("us")),
        ([dt.date(2024, 1, 5), None], pa.date32()),
        ([dt.datetime(2024, 1, 5), pd.NaT], pa.timestamp("us")),
        ([pd.Timestamp("2024-01-05 00:00:00.000000001"), None], pa.timestamp("ns")),
        ([pd.Timestamp("2024-01-05 00:00:00.000000001", tz="UTC")], pa.timestamp("ns", "UTC")),
        ([np.timedelta64(7, "D"), np.timedelta64(7, "ms")], pa.duration("ms")),
    ],
)
def test_the_type_is_the_finest_that_holds_all(values, type_):
    array = rows_of({"when": values})
    assert array.type == type_
    assert seconds_in(array) == [*map(seconds_of, values)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [np.datetime64("9999-12-31"), np.datetime64(7, "ns")],
            r"row 0 .* timestamp\[ns\] \(9999-12-31, in the unit D",
        ),
        ([np.datetime64(7, "m"), np.datetime64(7, "ps")], r"row 1 .* timestamp\[ns\] of the rows before"),
        (np.array([1, 2**62], "M8[h]"), r"row 1 .* timestamp\[s\].*numpy\.array\(column, 'datetime64\[us\]'\)"),
        ([dt.datetime(2024, 1, 5), dt.datetime(2024, 1, 5, tzinfo=dt.UTC)], r"row 1 .*has a time zone, unlike others"),
        ([np.timedelta64(1, "s"), np.timedelta64(1, "M")], r"row 1 .* duration\[s\]"),
        ([np.timedelta64(1, "s"), 7], r"row 1 .* \(int is no duration\)"),
    ],
)
def test_a_row_that_no_unit_holds_is_refused(values, message):
    with pytest.raises(InputError, match='dict: column "when", ' + message):
        rows_of({"when": values})


def test_blocks_of_another_unit_are_those_of_the_first_or_refused():
    days, seconds = np.array([7], "M8[D]"), np.array([7], "M8[s]")
    for first, second in ((seconds, days), (days, seconds), (seconds, np.array([7], "M8[ns]"))):
        source = open_source(iter([{"when": first}, {"when": second}]))
        try:
            arrays = [block.batch.column(0) for block in source.blocks(["when"], 9)]
        except InputError as problem:
            assert 'part 1: column "when"' in str(problem)
        else:
            found = [value for array in arrays for value in seconds_in(array)]
            assert found == [seconds_of(first[0]), seconds_of(second[0])]
