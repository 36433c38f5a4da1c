"""Dates, times and durations: exact in their unit, with and without a time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given

from gpuvgm.codecs import DatetimeCodec, codec_for, json_value
from gpuvgm.errors import InputError
from tests.codecs.test_laws import BERLIN, DAY, Case, column_of, columns
from tests.io.arrow_types import type_of


@example((DatetimeCodec(pa.date32(), 0), [-719_529, -719_528]))  # the last day before the year 0, and its first one
@given(columns("dates and times"))
def test_what_is_shown_is_read_again(case: Case) -> None:
    codec, values = case
    for value in filter(None, values):
        assert codec.parse(value) == value
        assert codec.parse(codec.show(value)) == value


@pytest.mark.parametrize("text", ["timestamp[ns]", "date32[day]", "duration[us]"])
def test_equality_holds_at_the_ends_of_a_type(text: str) -> None:
    codec = DatetimeCodec(type_of(text), 0)
    for end in codec.limits:
        column = pa.array([end, 0], pa.int32() if text.startswith("date32") else pa.int64()).cast(type_of(text))
        assert codec.equals(column, end).tolist() == [True, False]
    assert not np.any(codec.equals(column, codec.limits[0] - 1))
    assert not np.any(codec.equals(column, 0.5))


def test_nanoseconds_beyond_floats() -> None:
    now = 1_706_659_200_123_456_789
    column = column_of([now, now + 1, None], "timestamp[ns, tz=UTC]")
    codec = codec_for("x", pa.chunked_array([column]))
    assert codec.encode(column)[:2].tolist() == [-1.0, 0.0]
    assert codec.equals(column, now + 1).tolist() == [False, True, False]
    assert codec.show(now) == "2024-01-31T00:00:00.123456789Z"


def test_date64_gives_whole_days() -> None:
    codec = DatetimeCodec(pa.date64(), 10 * DAY)
    found = codec.decode(np.array([0.4 * DAY, 0.6 * DAY, 0.5 * DAY, 1.5 * DAY, -0.6 * DAY, np.nan]))
    assert found.view(pa.int64()).to_pylist() == [10 * DAY, 11 * DAY, 10 * DAY, 12 * DAY, 9 * DAY, None]
    assert [codec.value(part * DAY) for part in (0.4, 0.6, 0.5, 1.5)] == [10 * DAY, 11 * DAY, 10 * DAY, 12 * DAY]
    odd = DatetimeCodec(pa.date64(), 10 * DAY + 7)
    assert odd.decode(np.array([0.0, DAY - 7.0])).view(pa.int64()).to_pylist() == [10 * DAY, 11 * DAY]
    sample = pa.chunked_array([pa.array([3 * DAY + 5]).view(pa.date64())])
    assert codec_for("x", sample).base == 3 * DAY


@pytest.mark.parametrize(
    ("fitted", "column", "number"),
    [
        ("timestamp[us]", column_of([3, None], "timestamp[s]"), 3e6),
        ("timestamp[us]", column_of([3000, None], "timestamp[ns]"), 3.0),
        ("timestamp[s]", column_of([2, None], "date32[day]"), 172_800.0),
        ("timestamp[us]", column_of([5, None], "timestamp[us]"), 5.0),
        (BERLIN, column_of([3, None], "timestamp[s, tz=UTC]"), 3e6),
        ("date32[day]", column_of([2 * DAY, None], "date64[ms]"), 2.0),
        ("date64[ms]", column_of([2, None], "date32[day]"), 2.0 * DAY),
        ("date32[day]", column_of([86_400, None], "timestamp[s]"), 1.0),
        ("time64[us]", column_of([3, None], "time32[s]"), 3e6),
        ("duration[s]", column_of([-3000, None], "duration[ms]"), -3.0),
    ],
)
def test_rows_in_other_units(fitted: str, column: pa.Array, number: float) -> None:
    codec = DatetimeCodec(type_of(fitted), 0)
    np.testing.assert_array_equal(codec.encode(column), [number, np.nan])
    np.testing.assert_array_equal(codec.encode(column[1:]), [np.nan])
    assert codec.equals(column, int(number)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("fitted", "column", "problem"),
    [
        ("timestamp[us]", column_of([1000, 1001, None], "timestamp[ns]"), "1 value .* cannot hold exactly"),
        ("timestamp[ns]", column_of([2**40], "timestamp[s]"), "1 value .* cannot hold exactly"),
        ("timestamp[ns]", column_of([-(2**63)], "timestamp[s]"), "1 value .* cannot hold exactly"),
        ("date32[day]", column_of([5], "timestamp[s]"), "1 value .* cannot hold exactly"),
        ("timestamp[us]", column_of([1], "timestamp[us, tz=UTC]"), "with a time zone, but moments without"),
        (BERLIN, column_of([1], "timestamp[us]"), "without a time zone, but moments with"),
        (BERLIN, column_of([1], "date32[day]"), "without a time zone, but moments with"),
        ("timestamp[us]", pa.array([1]), "holds int64 values, but moments"),
        ("timestamp[us]", pa.array(["2024-01-31"]), "holds string values, but moments"),
        ("time64[us]", column_of([1], "duration[us]"), "holds durations, but times of the day"),
    ],
)
def test_other_rows_are_refused(fitted: str, column: pa.Array, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        DatetimeCodec(type_of(fitted), 0).encode(column)


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ("2024-01-31", "2024-01-31T00:00:00+01:00"),
        ("2024-01-31 12:30", "2024-01-31T12:30:00+01:00"),
        ("2024-01-31T12:30:00.5Z", "2024-01-31T13:30:00.5+01:00"),
        ("2024-07-31T12:30-0530", "2024-07-31T20:00:00+02:00"),
        (date(2024, 1, 31), "2024-01-31T00:00:00+01:00"),
        (datetime(2024, 7, 31, 1, 2, 3, 4), "2024-07-31T01:02:03.000004+02:00"),
        (datetime(2024, 7, 31, tzinfo=UTC), "2024-07-31T02:00:00+02:00"),
        (pd.Timestamp("2024-01-31"), "2024-01-31T00:00:00+01:00"),
        (pd.Timestamp("2024-01-31", tz="US/Eastern"), "2024-01-31T06:00:00+01:00"),
        (np.datetime64("2024-01-31T00:00:00.000001000"), "2024-01-31T00:00:00.000001+01:00"),
        (np.datetime64("2024-02"), "2024-02-01T00:00:00+01:00"),
        (np.datetime64("1969-12-31T23:59:59.999999000000", "ps"), "1969-12-31T23:59:59.999999+01:00"),
        (0, "1970-01-01T01:00:00+01:00"),
    ],
)
def test_moments_in_a_time_zone(given_: object, text: str) -> None:
    codec = DatetimeCodec(type_of(BERLIN), 0)
    assert codec.show(codec.parse(json_value(given_))) == text


def test_pandas_nanoseconds() -> None:
    moment = pd.Timestamp(1_706_659_200_123_456_789)
    assert DatetimeCodec(pa.timestamp("ns"), 0).parse(json_value(moment)) == 1_706_659_200_123_456_789
    assert DatetimeCodec(pa.duration("ns"), 0).parse(json_value(pd.Timedelta(-5, "ns"))) == -5


@pytest.mark.parametrize(
    ("zone", "text"),
    [("+05:45", "1970-01-01T05:45:00+05:45"), ("-03:30", "1969-12-31T20:30:00-03:30"),
     ("Nowhere/At_All", "1970-01-01T00:00:00Z")],
)  # fmt: skip
def test_other_time_zones(zone: str, text: str) -> None:
    codec = DatetimeCodec(type_of(f"timestamp[s, tz={zone}]"), 0)
    assert codec.show(0) == text
    assert codec.parse(text) == 0


@pytest.mark.parametrize(
    ("given_", "seconds"),
    [("1 day, 2:30:00", 95_400), ("-1 days +23:00:00", -3600), ("PT1M1S", 61), ("-P1D", -86_400), ("P1DT1H", 90_000),
     ("26:00:00", 93_600), ("2 days", 172_800), (str(timedelta(-1, 3600)), -82_800), (timedelta(hours=5), 18_000),
     (np.timedelta64(3, "m"), 180), (pd.Timedelta("3h"), 10_800), ("-01:00:00", -3600), (7, 7)],
)  # fmt: skip
def test_durations(given_: object, seconds: int) -> None:
    codec = DatetimeCodec(pa.duration("s"), 0)
    assert codec.parse(json_value(given_)) == seconds
    assert codec.parse(codec.show(seconds)) == seconds


def test_dates_and_times_of_the_day() -> None:
    assert DatetimeCodec(pa.date32(), 0).parse("2024-01-31T00:00") == 19_753
    assert DatetimeCodec(pa.date64(), 0).parse(json_value(date(1970, 1, 2))) == DAY
    assert DatetimeCodec(pa.date64(), 0).show(DAY) == DatetimeCodec(pa.date32(), 0).show(1) == "1970-01-02"
    clock = DatetimeCodec(pa.time64("us"), 0)
    assert clock.parse(json_value(time(1, 2, 3, 4))) == clock.parse("01:02:03.000004") == 3_723_000_004
    assert clock.show(clock.parse("12:30")) == "12:30:00"


def test_moments_far_beyond_the_calendar_are_shown() -> None:
    assert DatetimeCodec(pa.timestamp("s", "Europe/Berlin"), 0).show(2**62).endswith("Z")
    assert DatetimeCodec(pa.timestamp("s"), 0).show(2**62).startswith("146138514283-")


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_infinities_of_databases_are_shown_and_read_as_what_is_stored(zone: str | None) -> None:
    codec = DatetimeCodec(pa.timestamp("us", zone), 0)
    for end, text in ((2**63 - 1, "294247-01-10T04:00:54.775807"), (1 - 2**63, "-290308-12-21T19:59:05.224193")):
        text += "Z" if zone else ""
        assert (codec.show(end), codec.parse(text)) == (text, end)
        assert codec.show(end * 2) == text  # the edge of a bin beyond the end of the type
