"""Text in blocks of whole rows, and what is told of it unparsed: in C++ as by patterns, and as Arrow reads it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, strategies as st

from gpuvgm.engines import native_is_built
from gpuvgm.errors import InputError
from gpuvgm.io import csv as csv_files, open_source, text_blocks
from gpuvgm.io.text_types import (
    BOOL,
    COMMA_FLOAT,
    EXACT,
    FLOAT,
    LONG,
    MOMENTS,
    READINGS,
    SHORT,
    TextReading,
    readings_of,
)
from tests.io.conftest import rows_of

NATIVE = pytest.mark.skipif(not native_is_built(), reason="the C++ extension is not built")


def byte_array(text: str) -> Any:
    return np.frombuffer(text.encode(), np.uint8)


@NATIVE
@given(text=st.text(',;"\n\rab', max_size=40), delimiter=st.sampled_from(",;|"))
def test_rows_end_where_patterns_say(text: str, delimiter: str) -> None:
    assert text_blocks.length_of_rows(byte_array(text), delimiter) == text_blocks._length_of_rows(
        byte_array(text), delimiter
    )


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a,b\n1,2\n3", "a,b\n1,2\n"),
        ("a,b", ""),
        ('a,"b\n', ""),
        ('a,"b\n"\nc', 'a,"b\n"\n'),
        ('a,"b""\n"\nc\n"', 'a,"b""\n"\nc\n'),
        ('a,5" pipe\nc,"\n', 'a,5" pipe\n'),
        ('"a"x"\n1\n2', '"a"x"\n1\n'),
        ("a\rb\rc", "a\rb\r"),
        ('a\n""', "a\n"),
        ('a\n""\n', 'a\n""\n'),
    ],
)
@pytest.mark.parametrize("tell", [text_blocks.length_of_rows, text_blocks._length_of_rows])
def test_whole_rows(tell: Any, text: str, whole: str) -> None:
    assert tell(byte_array(text), ",") == len(whole)


@given(text=st.text(',;"\n\rab', max_size=40), delimiter=st.sampled_from(",;|"))
def test_the_first_row_ends_where_whole_rows_do(text: str, delimiter: str) -> None:
    ends = (
        end for end in range(1, len(text) + 1) if text_blocks.length_of_rows(byte_array(text[:end]), delimiter) == end
    )
    first = next((end for end in ends if text[:end].strip("\r\n")), 0)
    wanted = first + text[first - 1 : first + 1].endswith("\r\n") if first else 0
    assert text_blocks.first_row(text.encode(), delimiter) == wanted


@NATIVE
@pytest.mark.parametrize("reading", [SHORT, LONG, EXACT, FLOAT, COMMA_FLOAT], ids=["15", "18", "38", "point", "comma"])
@given(
    texts=st.lists(st.none() | st.text("0011200999+-.,eE \t", max_size=22), min_size=1, max_size=3), skip=st.booleans()
)
def test_numbers_are_what_patterns_say(reading: TextReading, texts: list[str | None], skip: bool) -> None:
    assert reading.rule is not None and reading.pattern is not None
    if skip:
        texts = ["no number", *texts]
    array = pa.array(texts, pa.string())[int(skip) :]
    there = [text for text in texts[int(skip) :] if text is not None]
    expected = all(re.fullmatch(reading.pattern, text) for text in there)
    assert text_blocks.are_plain(array, *reading.rule) == expected
    assert text_blocks.are_plain(pa.chunked_array([array, array]), *reading.rule) == expected


DAYS = ["2024-01-02", "2024-02-29", "2023-02-29", "2023-04-31", "2023-12-31", "0001-01-01", "9999-12-31", "0000-01-01"]
TIMES = [
    "",
    " 01:02:03",
    "T23:59:59",
    " 24:00:00",
    " 01:60:00",
    " 1:02:03",
    " 01:02",
    " 01:02:03.5",
    " 01:02:03.123456",
]
TIMES += [" 01:02:03.", " 01:02:03.1234567", " 01:02:03,5", "T01:02:03-01"]
MOMENT = st.builds("{}{}{}".format, st.sampled_from(DAYS), st.sampled_from(TIMES), st.sampled_from(["", "Z", " "]))


@NATIVE
@given(texts=st.lists(MOMENT | st.text("0129-:. TZ", max_size=20) | st.none(), min_size=1, max_size=2))
def test_moments_are_what_arrow_parses(texts: list[str | None]) -> None:
    """Whatever is told to be plain has the reading, and so have all usual texts."""
    array = pa.array(texts, pa.string())
    for reading in MOMENTS:
        if reading.rule is not None and text_blocks.are_plain(array, *reading.rule):
            assert replace(reading, rule=None).holds(array)
            assert all(replace(one, rule=None).holds(array) for one in reading.wider)


@NATIVE
@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("2024-02-29", [True, True, True, False, False]),
        ("2024-01-02 01:02:03", [False, True, True, False, False]),
        ("2024-01-02T01:02:03.25", [False, False, True, False, False]),
        ("2024-01-02 01:02:03Z", [False, False, False, True, True]),
        ("2024-01-02T01:02:03.123456Z", [False, False, False, False, True]),
        ("2023-02-29", [False] * 5),
        ("2024-01-02 ", [False] * 5),
        ("2024-01-02 01:02:60", [False] * 5),
    ],
)
def test_usual_moments_are_told_without_parsing(text: str, plain: list[bool]) -> None:
    rules = [reading.rule for reading in MOMENTS if reading.rule is not None]
    assert [text_blocks.are_plain(pa.array([text]), *rule) for rule in rules] == plain


@NATIVE
@given(
    texts=st.lists(st.sampled_from(["true", "True", "TRUE", "false", "False", "FALSE", "tRUE", "0", "no"]), min_size=1)
)
def test_booleans_are_what_the_pattern_says(texts: list[str]) -> None:
    assert BOOL.rule is not None and BOOL.pattern is not None
    assert text_blocks.are_plain(pa.array(texts), *BOOL.rule) == all(re.fullmatch(BOOL.pattern, text) for text in texts)


RULES: list[Any] = [(15, None), (15, "."), (18, None), None]


def parsed(text: str, delimiter: str) -> list[list[str]] | None:
    """Columns of rows as Arrow parses them; None where it refuses them."""
    options = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    names = pyarrow.csv.ReadOptions(column_names=["a", "b"], use_threads=False)
    convert = pyarrow.csv.ConvertOptions(
        column_types={"a": pa.string(), "b": pa.string()}, quoted_strings_can_be_null=True
    )
    try:
        return [
            column.to_pylist() for column in pyarrow.csv.read_csv(io.BytesIO(text.encode()), names, options, convert)
        ]
    except pa.ArrowInvalid:
        return None


@NATIVE
@given(
    text=st.text('0119.,-e;"\n\r a', max_size=24),
    delimiter=st.sampled_from(",;"),
    rules=st.tuples(st.sampled_from(RULES), st.sampled_from(RULES)),
)
def test_plain_columns_are_those_that_arrow_parses(text: str, delimiter: str, rules: Any) -> None:
    told = text_blocks.plain_columns(byte_array(text), delimiter, rules)
    columns = parsed(text, delimiter)
    if columns is None:
        assert told == [False, False] or not text.strip("\r\n")
        return
    for values, rule, is_told in zip(columns, rules, told, strict=True):
        filled = pa.array([value for value in values if value], pa.string())
        expected = rule is not None and text_blocks.are_plain(filled, *rule)
        assert is_told <= expected, "a column is told to be numbers only where Arrow's text of it is"
        if '"' not in text:
            assert is_told == expected


@NATIVE
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,2.5\n-3,4\n", [True, True]),
        ("1,\n,4\r\n\r\n 5 ,6", [True, True]),
        ("1,2.5\n1.5,2\n", [False, True]),
        ("01,x\n", [False, False]),
        ('1,"2"\n', [True, False]),
        ('"a,\n""b""",2\n', [False, True]),
        ('"a"b,2\n"",3', [False, True]),
        ("1,2\n3\n", [False, False]),
        ("1,2,3\n", [False, False]),
        ('1,"2\n', [False, False]),
        ("1,NA\n", [True, False]),
        ("1234567890123456,1e5\n", [False, True]),
    ],
)
def test_plain_columns(text: str, told: list[bool]) -> None:
    assert text_blocks.plain_columns(byte_array(text), ",", [(15, None), (15, ".")]) == told
    assert text_blocks.plain_columns(byte_array(text), ",", [(15, None), None]) == [told[0], False]


def test_most_values_are_not_parsed_to_find_their_types(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first block, which says what a column may be, all others are told by the loop, where it is compiled."""
    start = datetime(2024, 1, 1)
    moments = [start + timedelta(microseconds=1_000_003 * row) for row in range(20_000)]
    rows = [f"{row},{row / 8},{when},{when.date()},{row % 7 == 0}\n" for row, when in enumerate(moments)]
    (tmp_path / "t.csv").write_text("a,b,c,d,e\n" + "".join(rows))
    monkeypatch.setattr(text_blocks, "BLOCK", 1 << 14)
    parse, texts = csv_files.parse_rows, []

    def counting(text: Any, delimiter: str, types: Any = None, **options: Any) -> Any:
        texts.append((types or {}).keys())
        return parse(text, delimiter, types, **options)

    monkeypatch.setattr(csv_files, "parse_rows", counting)
    types = [pa.int64(), pa.float64(), pa.timestamp("us"), pa.date32(), pa.bool_()]
    assert open_source(tmp_path / "t.csv").schema.types == types
    expected = len(list(csv_files.row_blocks(tmp_path / "t.csv", ","))) + 1
    assert expected > 9 and (len(texts) < expected / 2) == native_is_built()
    (tmp_path / "u.csv").write_text("a,b,c,d,e\n" + "".join(rows) + "x,1,2024-01-01,2023-02-29,0\n")
    assert open_source(tmp_path / "u.csv").schema.types == [pa.string(), *types[1:3], pa.string(), pa.string()]


@given(texts=st.lists(st.text("0011200999+-.,eEinfNA \t", max_size=8), min_size=1, max_size=3))
def test_loops_change_no_reading(texts: list[str]) -> None:
    array = pa.array(texts, pa.string())
    told = readings_of(array, READINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_blocks, "_native", None)
        assert readings_of(array, READINGS) == told


@pytest.mark.parametrize(
    "texts", [["2024-01-02"], [" 2024-01-02"], ["2024-01-02", "2024-01-03 "], ["0001-01-01", "9999-12-31"]]
)
def test_readings_wider_than_days_hold(texts: list[str]) -> None:
    array = pa.array(texts, pa.string())
    assert [reading for reading in READINGS if reading.holds(array)] == list(readings_of(array, READINGS))


@given(
    rows=st.lists(st.tuples(st.text('ab",;\n 1', max_size=6), st.integers(-99, 99)), min_size=1, max_size=30),
    size=st.integers(24, 200),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_cut_into_blocks_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], size: int, end: str
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=end)
    writer.writerows([("text", "number"), ("word", 0), *rows])
    path = tmp_path_factory.mktemp("cut") / "t.csv"
    path.write_bytes(file.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_blocks, "BLOCK", size)
        got = rows_of(path)
    blank = {text: None for text, _ in rows if not text.strip()}
    assert got.column("number").to_pylist() == [0, *(number for _, number in rows)]
    expected = ["word", *(blank.get(text, text) for text, _ in rows)]
    assert [None if text is None else str(text) for text in got.column("text").to_pylist()] == expected


@pytest.mark.parametrize("text", ["", "\n", "\n\r\n", "\ufeff", "\ufeff\n"])
def test_a_file_without_a_header_is_refused(tmp_path: Any, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"t\.csv: (the file is empty|not a readable CSV file)"):
        rows_of(path)


def test_a_long_row_is_named(tmp_path: Any) -> None:
    path = tmp_path / "t.csv"
    for text in ('a\n1\n"' + "2\n" * 2_000_000, '"a' + "b\n" * 2_000_000):
        path.write_text(text)
        with pytest.raises(
            InputError, match=r"a row after row \d is longer than the 1 MiB .*; is a quote not closed\?"
        ):
            rows_of(path)


@pytest.mark.parametrize("start", ["\n\n", "\ufeff", "\ufeff\n\r\n", "\r"])
def test_what_is_before_the_header_goes_with_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK", 16)
    path = tmp_path / "t.csv"
    path.write_text(start + '"a\n",b\n' + "1,x\n\n" * 9 + "2,y", newline="")
    assert rows_of(path).to_pydict() == {"a\n": [1] * 9 + [2], "b": ["x"] * 9 + ["y"]}


@pytest.mark.parametrize("header", ["Straße,Größe,Länge", "名前,年齢,住所"])
def test_a_ragged_row_is_named_whatever_the_letters_of_the_header(tmp_path: Any, header: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"row 1 has 2 values, the header has 3 \('1,2'\)"):
        rows_of(path)


def test_rows_of_a_block_are_not_taken_for_those_of_the_file(tmp_path: Any) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 600_000)
    source = open_source(path)
    part = source.parts[0]
    with path.open("a") as file:
        file.write("x,2\n")
    with pytest.raises(InputError, match=r"t\.csv: not a readable CSV file \(In CSV column #0: CSV conversion error"):
        list(part.read(["a"], 1 << 20))
    path.write_bytes(b"t,a\n" + b"x,3\n" * 300_000 + b"\xff,3\n")
    with pytest.raises(InputError, match=r'column "t", row 300001: .* is not UTF-8 text'):
        list(open_source(path).blocks([], 1000))
