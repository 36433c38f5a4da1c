"""Text that is dates, times or numbers: what is read, and that it comes back letter by letter."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings, strategies as st

from gpuvgm.codecs import TextForm, UnreadText, codec_for, codec_of, form_of, unread_values
from gpuvgm.codecs.texts import MOST_OFFSETS, MOST_WORDS, OffsetText, text_codec
from gpuvgm.errors import InputError
from gpuvgm.records import document_of
from tests.codecs.test_arrow_types import reread

READ = [
    (["2013-01-01", "1999-02-28"], "date32[day]"),
    (["2013-01-01 05:00", "2013-01-01 05:07"], "timestamp[s]"),
    (["2013-01-01 05:00:00", "2013-12-31 23:59:59"], "timestamp[s]"),
    (["2013-01-01T05:00:00Z", "2014-01-01T05:00:00Z"], "timestamp[s]"),
    (["2013-01-01 05:00:00.1", "2013-01-01 05:07:00.9"], "timestamp[ms]"),
    (["2013-01-01 05:00:00.123456+02:00", "2013-01-01 05:07:00.900000+02:00"], "timestamp[us]"),
    (["2013-01-01T05:00:00.123456789", "2013-01-01T05:07:00.900000000"], "timestamp[ns]"),
    (["05:00", "23:59"], "time32[s]"),
    (["05:00:00", "23:59:01"], "time32[s]"),
    (["05:00:00.5", "23:59:01.0"], "time32[ms]"),
    (["05:00:00.5123", "23:59:01.0000"], "time64[us]"),
    (["0 days 03:04:05", "2 days 00:00:00", "-1 days +23:59:50"], "duration[s]"),
    (["0 days 03:04:05.500000", "12 days 00:00:00"], "duration[us]"),
    (["3:04:05", "1 day, 0:00:00", "-1 day, 23:59:50", "12 days, 1:00:00"], "duration[s]"),
    (["27:05", "100:59", "-03:07"], "duration[s]"),
    (["7:05:09.25", "30:00:00.00"], "duration[ms]"),
    (["1", "2", "-33"], "int64"),
    (["12.50", "3.00", "-0.01"], "decimal128(15, 2)"),
    (["5.0", "12.25", "-3.5"], "decimal128(15, 2)"),
    (["5", "12.25", "0.125"], "decimal128(15, 3)"),
    (["12,5", "3", "-0,25"], "decimal128(15, 2)"),
    (["12,345", "1,2"], "decimal128(15, 3)"),
    (["1.234,50", "0,99", "-12.345.678,00"], "decimal128(15, 2)"),
    (["1,234", "12", "-1,000,000"], "int64"),
    (["1,234.5", "12.0", "999,999.9"], "decimal128(15, 1)"),
    (["1 234,5", "3,0"], "decimal128(15, 1)"),
    (["1\u202f234", "3"], "int64"),
    (["1'234.00", "3.50"], "decimal128(15, 2)"),
    (["1,23,456", "12", "-1,00,00,000"], "int64"),
    (["1,23,456.50", "999.00", "-12,34,567.05"], "decimal128(15, 2)"),
    (["(1,234.50)", "0.99", "(5.00)"], "decimal128(15, 2)"),
    (["($1,234)", "$5"], "int64"),
    (["(1,23,456)", "12"], "int64"),
    (["1,234.50-", "0.99", "12.00-"], "decimal128(15, 2)"),
    (["12", "1.5", "(0.25)"], "decimal128(15, 2)"),
    (["5 %", "12.5 %"], "decimal128(15, 1)"),
    (["5%", "12%"], "int64"),
    (["999999999999999", "-999999999999999"], "int64"),
    (["$1,234.50", "-$0.99"], "decimal128(15, 2)"),
    (["1.234,50 €", "0,99 €"], "decimal128(15, 2)"),
    (["USD 3", "-USD 1"], "int64"),
    (["23,288  ", "7  "], "int64"),
    (["74 bhp", "101.5 bhp"], "decimal128(15, 1)"),
    (["2013/01/31", "1999/12/01"], "date32[day]"),
    (["31/01/2013", "05/02/2013"], "date32[day]"),
    (["01/31/2013", "02/05/2013"], "date32[day]"),
    (["31.01.2013 05:00", "01.02.2013 23:59"], "timestamp[s]"),
    (["9/30/1990 0:00:00", "12/1/1990 23:05:00"], "timestamp[s]"),
    (["31.1.2013", "1.12.2013"], "date32[day]"),
    (["2013-1-1", "2013-12-31"], "date32[day]"),
    (["Jan 1 2000", "Dec 31 2010"], "date32[day]"),
    (["May 05, 2013", "Oct 31, 2013"], "date32[day]"),
    (["May 5, 2013", "September 30, 1999"], "date32[day]"),
    (["05-MAY-2013", "31-OCT-1999"], "date32[day]"),
    (["1 January 2013 5:00", "31 May 2013 23:59"], "timestamp[s]"),
    (["2013/Jan/05", "1999/May/31"], "date32[day]"),
    (["2013-Jan-05T05:00:00Z", "1999-May-31T23:59:59Z"], "timestamp[s]"),
    (["5:00", "23:09"], "time32[s]"),
    (["08/19/2023 10:29 AM", "12/24/2022 12:05 PM", "01/02/2023 12:00 AM"], "timestamp[s]"),
    (["8/19/23 1:29 AM", "12/24/22 12:05 PM"], "timestamp[s]"),
    (["2023-08-19 10:29:13 am", "2022-12-24 11:59:59 pm"], "timestamp[s]"),
    (["2023-08-19T10:29:13.250PM", "2022-12-24T12:00:00.000AM"], "timestamp[ms]"),
    (["10:29 a.m.", "07:05 p.m.", "12:00 a.m."], "time32[s]"),
    (["1:29 AM", "12:05 PM"], "time32[s]"),
    (["19/08/23", "24/12/22", "01/12/22"], "date32[day]"),
    (["31.01.69", "01.12.68"], "date32[day]"),
    (["19/08/23 10:29", "24/12/22 23:59"], "timestamp[s]"),
    (["23-08-19", "22-12-24", "23-08-31"], "date32[day]"),
    (["23-08-19 10:29:13", "22-12-24 10:29:13", "23-01-31 00:00:00"], "timestamp[s]"),
    (["5 Jan 13", "28 Feb 14"], "date32[day]"),
    (["05-JAN-13", "31-MAY-14", "30-OCT-14"], "date32[day]"),
    (["Sat, 19 Aug 2023 10:29:13 +0000", "Wed, 22 Mar 2023 00:57:22 +0000"], "timestamp[s]"),
    (["Saturday, August 19, 2023", "Tuesday, January 3, 1950"], "date32[day]"),
    (["Sat 08/19/2023 01:29 PM", "Sun 08/20/2023 12:29 AM"], "timestamp[s]"),
    (["[12/May/2024:10:01:22 +0000]", "[01/Oct/1924:23:59:59 +0000]"], "timestamp[s]"),
    (["12/May/2024:10:01:22 +0200", "01/Oct/2024:23:59:59 +0200"], "timestamp[s]"),
    (["2023-08-19T10:29:13+02:00", "2023-01-22T20:57:22+01:00"], "timestamp[s, tz=Europe/Berlin]"),
    (["2023-10-29T02:30:00+0200", "2023-10-29T02:30:00+0100"], "timestamp[s, tz=Europe/Berlin]"),
    (["2023-08-19 10:29:13.250-04:00", "2023-01-22 20:57:22.000-05:00"], "timestamp[ms, tz=America/New_York]"),
    (["Sat, 19 Aug 2023 23:29:13 +0100", "Sun, 22 Jan 2023 00:57:22 +0000"], "timestamp[s, tz=Europe/London]"),
    (["08/19/2023 11:29 PM-02:30", "01/22/2023 12:57 AM-03:30"], "timestamp[s, tz=America/St_Johns]"),
    (["12 May 2024, 10:01 GMT", "01 Oct 2024, 23:59 GMT"], "timestamp[s]"),
    (["2023-08-19T10:29:13+01:00", "2023-01-22T20:57:22+02:00"], "timestamp[s, tz=UTC]"),  # no zone's summer time
    (
        ["2023-08-19T10:29:13+02:00", "2023-01-22T20:57:22+01:00", "2023-01-22T20:57:22+03:00"],
        "timestamp[s, tz=UTC]",
    ),
    (["2013-01-01T05:00Z", "2013-01-01T05:00+01:00"], "timestamp[s, tz=UTC]"),
    (
        ["2023-01-01 05:00:00.25+00", "2023-07-01 05:00:00.50+01", "2023-08-01 05:00:00.75+05:30"],
        "timestamp[ms, tz=UTC]",
    ),
    (["08/19/2023 11:29 PM -0230", "01/22/2023 12:57 AM +0530"], "timestamp[s, tz=UTC]"),
    (["Sat, 19 Aug 2023 23:29:13 +0100", "Sun, 20 Aug 2023 00:57:22 +0200"], "timestamp[s, tz=UTC]"),
]
NOT_READ = [
    ["01", "2"],
    ["007"],
    ["00.5"],
    ["2013-02-30"],
    ["01/02/2013", "03/04/2013"],
    ["31/01/2013", "01/31/2013"],
    ["31/01/2013", "1/2/2013"],
    ["31-01/2013"],
    ["31/01/13"],
    ["24-01-31", "31-01-24"],  # years at either end, as near
    ["01/02/13", "03/04/13"],
    ["31/01/113"],
    ["10:29 AM", "13:00 PM"],
    ["10:29 AM", "00:10 AM"],
    ["10:29 AM", "10:30 am"],
    ["10:29"] * 2 + ["10:30 AM"],
    ["2024-01-31 AM"],
    ["Mon, 19 Aug 2023"],  # it was a Saturday
    ["Mon 10:29"],
    ["[12/May/2024", "12/May/2024"],
    ["2023-08-19T10:29:13+01:00", "2023-01-22T20:57:22"],
    ["2023-08-19T10:29:13+01:00", "2023-01-22T20:57:22 UTC"],
    ["2023-08-19T10:29:13+01:00", "2023-01-22T20:57:22+02:75"],
    ["19. M\u00e4rz 2023"],
    ["Jan 5 2013", "May 05 2013"],
    ["Jan 5 2013", "January 5 2013"],
    ["Jan 5 2013", "Feb 30 2013"],
    ["01 05 2013"],
    ["01 05, 2013"],
    ["Janus 5 2013"],
    ["March 5"],
    ["C1000", "C2000"],
    ["$5", "5"],
    ["$-5", "$7"],
    ["2013-01-01", "2013-01-01 05:00"],
    ["2013-01-01 05:00", "2013-01-01T05:00"],
    ["2013-01-01", "n/a"],
    ["1e5"],
    ["+5"],
    ["-0"],
    ["0.00", "-0.00"],
    [".5"],
    ["5."],
    ["5 %", "5%"],
    ["5", "5 %"],
    ["1234,567.0"],
    ["1,23,4567"],
    ["1000000000000000"],
    ["0.12345678901234"],
    ["2013-01-01", "0000-12-31"],
    ["2262-01-01 00:00:00.000000000"],
    ["1677-12-31 23:59:59.999999999"],
    ["2013-01-01 05:00:00.000000001", "2013-02-01 05:00:00.000000001"],  # more moments than float64 tells apart
    ["1940-01-01 05:00:00.000001", "2013-02-01 05:00:00.000001"],
    [" 5"],
    ["5 ", "5"],
    ["abc", "1"],
    ["", " "],
]


def column_of(texts: list[str | None], type_: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, type_ or pa.string())])


def form(texts: list[str | None]) -> TextForm:
    found = form_of(column_of(texts))
    assert found is not None
    return found


@pytest.mark.parametrize(("texts", "type_"), READ, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("text_type", [pa.string(), pa.large_string()], ids=str)
def test_texts_come_back_letter_by_letter(texts, type_, text_type) -> None:
    column = column_of([*texts, None, "", texts[0]], text_type)
    codec = codec_for("x", column)
    numbers = codec.encode(column.chunk(0))
    assert np.isnan(numbers).tolist() == [False] * len(texts) + [True, True, False]
    back = codec.decode(numbers)
    assert back.type == text_type
    assert back.to_pylist() == [*texts, None, None, texts[0]]
    assert str(codec.type) == type_
    assert codec_of(reread(document_of(codec))) == codec
    assert codec.equals(column.chunk(0), codec.parse(texts[0])).sum() == 2


@pytest.mark.parametrize(("texts", "type_"), READ, ids=lambda value: str(value)[:40])
def test_whatever_is_decoded_can_be_read_again(texts, type_) -> None:
    codec = codec_for("x", column_of(texts))
    ends = codec.decode(np.array([-1e300, -1e16, 1e16, 1e300]))
    assert codec.decode(codec.encode(ends)).equals(ends)


@pytest.mark.parametrize("texts", NOT_READ, ids=str)
def test_what_could_not_be_written_back_is_not_read(texts) -> None:
    assert form_of(column_of(texts)) is None
    with pytest.raises(InputError, match='column "x" holds string values'):
        codec_for("x", column_of(texts))


def test_values_themselves_are_read_too() -> None:
    codec = codec_for("x", column_of(["12,50", "1.000,00"]))
    text = codec.encode(pa.array(["12,50", None]))
    np.testing.assert_array_equal(codec.encode(pa.array([12.5, None])), text)
    np.testing.assert_array_equal(codec.encode(pa.array(["12,50", None]).dictionary_encode()), text)
    assert codec.parse(12.5) == codec.parse("12,50") == 1250


def test_text_in_another_form_is_named_with_its_row() -> None:
    codec = codec_for("x", column_of(["05:00", "06:10"]))
    with pytest.raises(UnreadText, match="2 values are not written as '05:00' is, such as '25:00'") as caught:
        codec.encode(pa.array(["05:00", None, "25:00", "noon"]))
    assert caught.value.row == 2
    assert caught.value.values == ("25:00", "noon")


@settings(deadline=None)
@given(st.lists(st.integers(1 - 10**12, 10**12 - 1), min_size=1, max_size=20), st.integers(0, 3), st.booleans())
def test_any_numbers(values, places, grouped) -> None:
    texts = [f"{'-' * (one < 0)}{abs(one) // 10**places:{',' if grouped else ''}}" for one in values]
    if places:
        texts = [f"{text}.{abs(one) % 10**places:0{places}}" for text, one in zip(texts, values, strict=True)]
    if any(text.startswith("-") and not text.strip("-0.,") for text in texts):
        return
    values_, wrong = form(texts).read(pa.array(texts))
    assert not wrong.any()
    assert [int(one.as_py().scaleb(places)) if places else one.as_py() for one in values_] == values


@settings(deadline=None)
@given(
    st.lists(st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2060, 1, 1)), min_size=1, max_size=20),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_any_moments(moments, digits) -> None:
    texts = [moment.isoformat(timespec=digits) for moment in moments]
    values, wrong = form(texts).read(pa.array(texts))
    assert not wrong.any()
    assert [value.isoformat(timespec=digits) for value in values.to_pylist()] == texts


OFFSETS = st.sampled_from(["Z", "+00:00", "+01:00", "+02:00", "-03:30", "+05:45", "+14:00", "-12:00"])
YEARS = datetime.datetime(1990, 1, 1), datetime.datetime(2060, 1, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.datetimes(*YEARS), OFFSETS), min_size=1, max_size=20))
def test_any_offsets(rows) -> None:
    """Texts are read as moments; what is written has an offset of the texts, and is the same moment."""
    rows = [*rows, (YEARS[0], "+05:45"), (YEARS[1], "-03:30"), (YEARS[1], "Z")]
    texts = [moment.isoformat(timespec="microseconds") + offset for moment, offset in rows]
    column = pa.array(texts)
    codec = codec_for("x", column_of(texts))
    values = codec.values_of(column)
    assert values.to_pylist() == [datetime.datetime.fromisoformat(text) for text in texts]
    back = codec.decode(codec.encode(column))
    assert {text[26:] for text in back.to_pylist()} <= {offset for _, offset in rows}
    assert codec.values_of(back).equals(values)
    assert codec.decode(codec.encode(back)).equals(back)
    of_each = {
        value: {text for text, one in zip(texts, values.to_pylist(), strict=True) if one == value}
        for value in values.to_pylist()
    }
    assert all(text in of_each[value] for text, value in zip(back.to_pylist(), values.to_pylist(), strict=True))
    assert codec_of(reread(document_of(codec))) == codec


def test_a_moment_has_the_offset_of_the_text_nearest_in_time() -> None:
    texts = ["2024-03-10T12:00:00+01:00", "2024-03-20T12:00:00+05:30", "2024-04-20T12:00:00Z"]
    codec = codec_for("x", column_of(texts))
    noons = pa.array([datetime.datetime(2024, month, day, 12) for month, day in ((1, 1), (3, 14), (3, 17), (5, 1))])
    back = codec.decode(codec.encode(noons.cast(pa.timestamp("s", "UTC"))))
    assert [text[19:] for text in back.to_pylist()] == ["+01:00", "+01:00", "+05:30", "Z"]
    assert codec.values_of(back).equals(noons.cast(pa.timestamp("s", "UTC")))
    unseen = codec.encode(pa.array(["2024-03-20T12:00:00-07:00"]))
    assert codec.decode(unseen).to_pylist() == ["2024-03-21T00:30:00+05:30"]
    assert codec.parse("2024-03-20T12:00:00-07:00") == codec.parse("2024-03-20T19:00:00Z")


def test_offsets_of_moments_that_lie_centuries_apart_change_between_them() -> None:
    """Nanoseconds of both together have more than 64 bits."""
    texts = ["1700-06-01T00:00:00.0000000+01:00", "2250-06-01T00:00:00.0000000-08:00", "2250-06-02T00:00:00.0000000Z"]
    codec = codec_for("x", column_of(texts * 100))
    assert codec.text.written(codec.text.parsed(pa.array(texts))).to_pylist() == texts


def test_offsets_of_people_all_over_the_world_keep_their_shares() -> None:
    random = np.random.default_rng(0)
    moments = np.datetime64("2024-01-01T00:00:00") + random.integers(0, 10**7, 20_000)
    offsets = random.choice(["+00:00", "+09:00", "-05:00"], 20_000, p=[0.2, 0.5, 0.3])
    codec = codec_for("x", column_of([f"{moment}{offset}" for moment, offset in zip(moments, offsets, strict=True)]))
    assert isinstance(codec, OffsetText)
    assert len(codec.text.offsets) <= MOST_OFFSETS
    back = codec.decode(np.linspace(-4e6, 4e6, 5_000)).to_pylist()
    shares = [np.mean([text.endswith(offset) for text in back]) for offset in ("+00:00", "+09:00", "-05:00")]
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.3], atol=0.02)


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("turns", [], "offsets: not one more than turns"),
        ("offsets", ["+01:00", "noon", "Z"], "not all are offsets from UTC"),
        ("turns", [2, 1], "turns: not in the order of time"),
        ("turns", ["x", 1], "turns"),
    ],
)
def test_documents_with_other_offsets_are_refused(part: str, value: list[Any], reason: str) -> None:
    texts = ["2024-03-10T12:00:00+01:00", "2024-03-20T12:00:00+05:30", "2024-04-20T12:00:00Z"]
    document: Any = reread(document_of(codec_for("x", column_of(texts))))
    assert codec_of(document).text.turns
    document["text"][part] = value
    with pytest.raises(ValueError, match=reason):
        codec_of(document)


@pytest.mark.parametrize("separator", [" ", "T"])
def test_whole_seconds_may_have_nine_digits_behind_them(separator: str) -> None:
    """As Arrow writes moments in nanoseconds; over years there are more of these than float64 tells apart."""
    moments = pa.array([1_500_000_000, 1_700_000_001, None, 1_900_000_002], pa.timestamp("s")).cast(pa.timestamp("ns"))
    texts = pc.replace_substring(moments.cast(pa.string()), " ", separator)
    values, wrong = form(texts.drop_null().to_pylist()).read(texts)
    assert not wrong.any() and values.equals(moments)
    assert texts[0].as_py().endswith(".000000000")
    in_nanoseconds = pa.array([1_500_000_000 * 10**9 + 1, 1_900_000_000 * 10**9], pa.timestamp("ns")).cast(pa.string())
    assert form_of(column_of(in_nanoseconds.to_pylist())) is None


@settings(deadline=None)
@given(
    st.lists(st.integers(1 - 10**11, 10**11 - 1).filter(bool), min_size=1, max_size=20),
    st.sampled_from(["-{}", "({})", "{}-"]),
    st.booleans(),
)
def test_any_way_to_write_negative_numbers(values, negative, in_lakhs) -> None:
    values = [*values, 123_456_789, -5]
    texts = []
    for value in values:
        amount = f"{abs(value) // 100:,}"
        if in_lakhs:
            first, last = amount.replace(",", "")[:-3], amount[-3:]
            amount = ",".join(filter(None, [*re.findall(r"\d\d?(?=(?:\d\d)*$)", first), last]))
        texts.append((negative if value < 0 else "{}").format(f"{amount}.{abs(value) % 100:02}"))
    values_, wrong = form(texts).read(pa.array(texts))
    assert not wrong.any()
    assert [int(one.as_py().scaleb(2)) for one in values_] == values


@settings(deadline=None)
@given(
    st.lists(st.timedeltas(datetime.timedelta(-4000), datetime.timedelta(4000)), min_size=1, max_size=20),
    st.booleans(),
    st.booleans(),
)
def test_any_durations(lengths, whole, of_pandas) -> None:
    lengths = [datetime.timedelta(one.days, one.seconds) if whole else one for one in (*lengths, 2 * lengths[0])]
    lengths.append(datetime.timedelta(2))
    texts = [str(pd.Timedelta(one) if of_pandas else one) for one in lengths]
    values, wrong = form(texts).read(pa.array(texts))
    assert not wrong.any()
    assert values.to_pylist() == lengths


@given(st.lists(st.datetimes(), min_size=1, max_size=20), st.sampled_from("-/."), st.booleans(), st.booleans())
def test_any_days_before_months(moments, mark, padded, has_clock) -> None:
    moments = [*moments, datetime.datetime(2013, 1, 31)]  # which tells days from months
    two, clocks = "02" if padded else "", [f" {m.hour:{'02' if padded else ''}}:{m.minute:02}" for m in moments]
    days = [mark.join((f"{m.day:{two}}", f"{m.month:{two}}", f"{m.year:04}")) for m in moments]
    texts = [day + clock for day, clock in zip(days, clocks, strict=True)] if has_clock else days
    values, wrong = form(texts).read(pa.array(texts))
    assert not wrong.any()
    wanted = [m.replace(second=0, microsecond=0) for m in moments] if has_clock else [m.date() for m in moments]
    assert values.to_pylist() == wanted


WORDS = [
    (["1", "2"] * 10 + ["n/k"], ["n/k"]),
    (["1,5", "2"] * 20 + ["-", "<0.5"], ["-", "<0.5"]),
    (["$1,234.50", "-$7.00"] * 20 + ["nil"], ["nil"]),
    (["999999999999.99"] * 20 + ["1 or more"], ["1 or more"]),
    (["9999999999999.99"] * 20 + ["more"], None),  # no place is left for the word
    (["2013-01-01"] * 20 + ["soon"], ["soon"]),
    (["2013-01-01T05:00:00.123456789"] * 20 + ["soon"], ["soon"]),
    (["05:00", "06:10"] * 10 + ["closed"], ["closed"]),
    (["05:00:00.5123"] * 20 + ["closed"], ["closed"]),
    (["1", "2"] * 9 + ["n/k"], None),  # more than 5 %
    ([str(i) for i in range(18, 68)] + ["ancient", "n/k"] * 16, ["ancient", "n/k"]),  # 25 values for each word
    ([str(i) for i in range(18, 67)] + ["ancient", "n/k"], ["ancient", "n/k"]),  # fewer values, in few rows
    ([str(i) for i in range(18, 67)] + ["ancient", "n/k"] * 2, None),
    ([str(i) for i in range(18, 68)] + ["ancient", "n/k"] * 17, None),  # more than 40 %
    ([str(i) for i in range(36, 46)] * 4 + ["S", "M", "L"], None),
    ([str(i) for i in range(1_000)] + [f"V{i}" for i in range(MOST_WORDS)], [f"V{i}" for i in range(MOST_WORDS)]),
    ([str(i) for i in range(1_000)] + [f"V{i}" for i in range(MOST_WORDS + 1)], None),
    (["001", "002"] * 10 + ["x"], None),
    (["0", *(f"{i} %" for i in range(1, 40))], ["0"]),  # whatever comes first
    ([*(f"{i} %" for i in range(1, 80)), "0", "0", "0"], ["0"]),
    (["1", "2.5"] * 20 + ["1,5"], None),  # a number of another form
]


@pytest.mark.parametrize(("texts", "words"), WORDS, ids=lambda value: str(value)[-40:])
def test_words_stand_for_themselves_beside_values(texts: list[str], words: list[str] | None) -> None:
    column = column_of(texts)
    found = form_of(column)
    if words is None:
        assert found is None
        return
    assert found is not None
    assert found.words == tuple(sorted(words))
    codec = codec_for("x", column)
    assert codec_of(reread(document_of(codec))) == codec
    numbers = codec.encode(column.chunk(0))
    assert np.isnan(numbers).tolist() == [text in words for text in texts]
    back = codec.decode(numbers)
    for word in words:
        value = codec.parse(word)
        held = codec.equals(column.chunk(0), value)
        assert held.tolist() == [text == word for text in texts]
        assert codec.show(value) == codec.word_of(value) == word
        back = codec.with_value(back, held, value)
    assert back.equals(column.chunk(0))
    assert codec.word_of(codec.parse(next(text for text in texts if text not in words))) is None


@pytest.mark.parametrize("texts", [*(texts for texts, _ in READ + WORDS), *NOT_READ], ids=lambda texts: str(texts)[:40])
def test_what_the_first_rows_rule_out_all_rows_rule_out(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    prose = [f"{'very ' * place}long" for place in range(MOST_WORDS + 1)]
    at_once = [form_of(column_of(rows)) for rows in (texts, prose + texts)]
    monkeypatch.setattr("gpuvgm.codecs.texts._is_prose", lambda column, missing: False)
    assert at_once == [form_of(column_of(rows)) for rows in (texts, prose + texts)]
    assert at_once[1] is None


def test_a_document_with_too_many_words_is_refused() -> None:
    document: Any = reread(document_of(text_codec(form(["2013-01-01"]))))
    document["text"]["words"] = [f"w{i}" for i in range(MOST_WORDS + 1)]
    with pytest.raises(ValueError, match="words are more than 20"):
        codec_of(document)


def test_words_that_mean_missing() -> None:
    column = column_of(["1.50", "2.25", "nil"] * 5 + ["none"])
    assert form_of(column) is None
    found = form_of(column, missing=["nil", "none", "not there"])
    assert found is not None
    values, wrong = found.read(column.chunk(0))
    assert not wrong.any()
    assert values.null_count == 6
    assert codec_of(reread(document_of(text_codec(found)))) == text_codec(found)


@pytest.mark.parametrize(
    ("texts", "parse", "first"),
    [
        (["01/02/2013", "03/04/2013"], "day_first", datetime.date(2013, 2, 1)),
        (["01/02/2013", "03/04/2013"], "month_first", datetime.date(2013, 1, 2)),
        (["1,234", "5,678"], None, 1234),
        (["1,234", "5,678"], "decimal_comma", Decimal("1.234")),
        (["1.234", "5.678"], None, Decimal("1.234")),
        (["1.234", "5.678"], "decimal_comma", 1234),
        (["1,234", "5,678"], "decimal_point", 1234),
    ],
)
def test_what_is_meant_can_be_said(texts: list[str], parse: str | None, first: object) -> None:
    found = form_of(column_of(texts), parse)
    assert found is not None
    values, wrong = found.read(pa.array(texts))
    assert (values[0].as_py(), wrong.any()) == (first, False)


@pytest.mark.parametrize(
    ("texts", "hint"),
    [
        (["$-1,234.50", "$-7.00"], 'if they are numbers, convert them: "$-1,234.50" is not read as such'),
        (["7.00 €", "USD 3"], 'if they are numbers, write "USD 3" as "7.00 €" is written, or list it in na_values'),
        (
            ["01.02.2020", "03.04.2021"],
            "if they are dates or times, declare parse='day_first' or parse='month_first'",
        ),
        (
            ["32:55:59", "9:07"],
            'if they are dates or times, write "9:07" as "32:55:59" is written, or list it in na_values',
        ),
        (
            [*(f"{i}.25" for i in range(20)), "-0.00"],
            'if they are numbers, write "-0.00" as "0.25" is written, or list it in na_values',
        ),
        (
            [*(f"2013-01-{i:02}" for i in range(1, 20)), "05.01.2013"],
            'if they are dates or times, write "05.01.2013" as "2013-01-01" is written, or list it in na_values',
        ),
        ([f"V{i}" for i in range(20)], ""),
        ([f"ORD {i}" for i in range(20)], ""),
        (["00123", "00456"], ""),
    ],
)
def test_what_to_do_with_values_that_have_no_form(texts, hint) -> None:
    assert unread_values(pa.array(texts)) == hint
