"""JSON lines: one type per column over all lines and files; what cannot be read is located."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import Source, open_source, text_blocks
from tests.io.conftest import rows_of

DAY = datetime.date(2024, 1, 1)
NOON = datetime.datetime(2024, 1, 1, 12)


def written(path: Path, *rows: object) -> Path:
    """Rows as JSON; text and bytes are lines as they are."""
    lines = [
        row if isinstance(row, bytes) else (row if isinstance(row, str) else json.dumps(row)).encode() for row in rows
    ]
    text = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture(params=[8, 1 << 20], ids=["cut", "whole"])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that are read at a time: less than a line, or all."""
    monkeypatch.setattr(text_blocks, "BLOCK", request.param)
    return int(request.param)


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.jsonl.gz", "t.ndjson.gz", "T.JSONL"])
def test_rows_and_types(tmp_path: Path, block: int, name: str) -> None:
    rows = [
        {"n": 1, "x": 1.5, "word": 'a, "b"', "yes": True, "day": "2024-01-01", "at": "2024-01-01T12:00:00"},
        {"n": None},
        {"x": 2, "word": "", "n": -(2**63), "at": "2024-01-01", "new": 7},
    ]
    source = open_source(written(tmp_path / name, *rows))
    assert (source.rows, source.repeatable, source.flavour) == (None, True, "path")
    got = rows_of(source)
    assert got.to_pydict() == {
        "n": [1, None, -(2**63)],
        "x": [1.5, None, 2.0],
        "word": ['a, "b"', None, ""],
        "yes": [True, None, None],
        "day": [DAY, None, None],
        "at": [NOON, None, NOON.replace(hour=0)],
        "new": [None, None, 7],
    }
    assert got.column_names == ["n", "x", "word", "yes", "day", "at", "new"]
    assert got.schema.field("new").type == pa.int64()
    assert rows_of(source, ["new", "n"]).column_names == ["new", "n"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([None, 7], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([1, 10**20], pa.decimal128(38, 0)),
        ([10**20, 1], pa.decimal128(38, 0)),
        ([10**19 + 1, 10**19 + 2], pa.decimal128(38, 0)),
        ([2**53 + 1, 10**20 + 1], pa.decimal128(38, 0)),
        ([1.5, 2**53], pa.float64()),
        ([2**60, 1.5, 10**20], pa.float64()),
        ([" 2024-01-01", "2024-01-02"], pa.date32()),
        ([1, float("nan")], pa.float64()),
        ([None, None], pa.null()),
        ([None, False], pa.bool_()),
        (["2024-01-01", "2024-01-01T10:00:00"], pa.timestamp("s")),
        (["2024-01-01", "2024-01-01 10:00:00.25"], pa.timestamp("us")),
        (["9999-12-31", "2024-01-01 10:00:00.25"], pa.timestamp("us")),
        (["2024-01-01 10:00:00.25", "2024-01-01 10:00:00.1234567"], pa.string()),
        (["2024-01-01T10:00:00Z", "2024-01-01T10:00:00.25Z"], pa.timestamp("us", "UTC")),
        (["2024-01-01T10:00:00Z", "2024-01-01T10:00:00"], pa.string()),
        (["10:00:00", "2024-01-01"], pa.string()),
        (["2024-01-01", "soon"], pa.string()),
        (["12", "13"], pa.string()),
        (["soon", "2024-01-01"], pa.string()),
    ],
)
def test_later_lines_widen_the_type(tmp_path: Path, block: int, values: list[object], wanted: pa.DataType) -> None:
    source = open_source(written(tmp_path / "t.jsonl", *({"a": value} for value in values)))
    assert source.schema.types == [wanted]
    assert rows_of(source).column("a").null_count == values.count(None)
    if wanted == pa.string():
        assert rows_of(source).column("a").to_pylist() == values


def test_columns_and_types_are_those_of_all_files(tmp_path: Path) -> None:
    for name, row in {"1.jsonl": {"a": 1}, "2.ndjson": {"b": "x", "a": 2.5}, "3.jsonl": {}}.items():
        written(tmp_path / name, row)
    assert rows_of(tmp_path).to_pydict() == {"a": [1.0, 2.5, None], "b": [None, "x", None]}
    assert open_source(tmp_path).locate(0).endswith("row 1")


@pytest.mark.parametrize("values", [[2**53 + 1, 0.5], [0.5, 2**53 + 1], [10**20 + 1, 2, 0.5], [7, 0.5, 10**38]])
def test_whole_numbers_that_fractions_would_round_are_refused(tmp_path: Path, block: int, values: list[float]) -> None:
    path = written(tmp_path / "t.jsonl", {"a": None}, *({"a": value} for value in values))
    said = rf't\.jsonl: line {len(values) + 1}, column "a": no type holds {values[-1]} and the numbers before exactly'
    with pytest.raises(InputError, match=said):
        open_source(path)


def test_numbers_of_more_digits_than_any_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'line 2, column "a": no type holds 1{20,}.* exactly .*; write all of the'):
        open_source(written(tmp_path / "t.jsonl", {"a": 1}, {"a": int("1" * 39)}))


def test_long_numbers_come_back_from_json(tmp_path: Path, block: int) -> None:
    numbers = [10**19 + i for i in range(600)]
    source = open_source(written(tmp_path / "t.jsonl", *({"a": number} for number in numbers)))
    assert [int(value) for value in rows_of(source).column("a").to_pylist()] == numbers


VALUES = st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.lists(st.fixed_dictionaries({}, optional={"a": VALUES, "b": st.none() | st.text(max_size=5)}), max_size=30)


@given(rows=ROWS, size=st.integers(1, 200))
def test_any_cut_into_blocks_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], size: int
) -> None:
    path = written(tmp_path_factory.mktemp("cut") / "t.jsonl", {"a": None, "b": "word"}, *rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_blocks, "BLOCK", size)
        got = rows_of(path)
    kind = float if any(isinstance(row.get("a"), float) for row in rows) else int  # beside fractions all are float64
    numbers = [None if row.get("a") is None else kind(row["a"]) for row in rows]
    expected = [{"a": a, "b": row.get("b")} for a, row in zip([None, *numbers], [{"b": "word"}, *rows], strict=True)]
    assert got.to_pylist() == expected


def test_blank_lines_byte_order_marks_and_line_ends(tmp_path: Path, block: int) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}\n{"a": 3}')
    assert rows_of(path).column("a").to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"a": "x"}, r'column "a": "x" is text, the lines before hold numbers; write all as one type, and null where'),
        ({"a": True}, r'column "a": true is a boolean, the lines before hold numbers'),
        ({"b": 3}, r'column "b": 3 is a number, the lines before hold text'),
        ({"c": [1]}, r'column "c": a list is not a single value; .*leave it out'),
        ({"c": {"d": 1}}, r'column "c": an object is not a single value; write its parts as columns of their own'),
        ('{"a": 1, "a": 2}', r'column "a": appears twice; keep one'),
        ('{"a": 1', r"is not JSON \(Expecting ',' delimiter.*\); write one object a line, as jq -c does"),
        ("null", r"is null, not an object"),
        ('{"a":\n1}', r"is not JSON"),
        ("[1]", r"is a list, not an object; for an array of objects: jq -c '\.\[\]'"),
        ('{"b": "\xe9t\xe9"}'.encode("latin1"), r"is not UTF-8 text; convert it, for example: iconv"),
        ('{"\xe9": 1}'.encode("latin1"), r"is not UTF-8 text"),
        ('{"c": ' + "[" * 200_000 + "]" * 200_000 + "}", r"is nested too deeply"),
        ('{"c": ' + "[" * 600 + "]" * 600 + ', "d": ' + "[" * 600 + "]" * 600 + "}", r'column "c": a list is not'),
    ],
)
@pytest.mark.parametrize("good", [1, 90_000])
def test_what_is_wrong_is_located(tmp_path: Path, wrong: object, message: str, good: int) -> None:
    path = tmp_path / "t.jsonl"
    line = b'{"a": 1.5, "b": "word"}\n'
    path.write_bytes(line * good + b"\n" + written(tmp_path / "x", wrong).read_bytes() + line)
    with pytest.raises(InputError, match=rf"t\.jsonl: line {good + 2},? {message}"):
        open_source(path)


def test_what_only_arrow_refuses_is_told_with_its_line(tmp_path: Path) -> None:
    for wrong in ('{"a": 1e400}', r'{"b": "\ud800"}'):
        with pytest.raises(InputError, match=r"t\.jsonl: line 2 cannot be read \(JSON parse error: .*\.\)$"):
            open_source(written(tmp_path / "t.jsonl", {"a": 1}, wrong, {"a": 2}))


def test_a_column_that_conflicts_with_another_file_is_located_there(tmp_path: Path) -> None:
    written(tmp_path / "1.jsonl", {"a": 1})
    written(tmp_path / "2.jsonl", {"a": None}, {"a": "two"})
    with pytest.raises(InputError, match=r'2\.jsonl: line 2, column "a": "two" is text, the lines before hold numbers'):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n \n", r"t\.jsonl: holds no columns; write one JSON object a line"),
        (b"{}\n{}\n", r"holds no columns"),
        (b'null\n{"a": 1}\n', r"line 1 is null, not an object"),
        (b'[{"a": 1}]\n', r"line 1 is a list, not an object; for an array of objects: jq -c"),
        ('{"a": 1}\n'.encode("utf-16"), r"UTF-16 text; convert it"),
        (gzip.compress(b'{"a": 1}\n', mtime=0), r"a compressed file\? rename it so that it ends in \.jsonl\.gz"),
        (b"PAR1", r"not JSON lines: is this a Parquet file\? rename it"),
        (b'{"a": "' + b"x" * (1 << 25), r"line 1 is longer than 16 MiB"),
    ],
)
def test_files_that_are_no_json_lines(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_source(tmp_path / "t.jsonl")


def test_a_cut_gzip_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl.gz", *({"a": i * 7919 % 10007} for i in range(10**4)))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"t\.jsonl\.gz: cannot be read as JSON lines \(Compressed file ended"):
        open_source(path)


def test_rows_have_no_positions_to_sample_by(tmp_path: Path) -> None:
    source: Source = open_source(written(tmp_path / "t.jsonl", {"a": 1}))
    with pytest.raises(InputError, match="number is unknown"):
        source.sample(["a"], [(0, 1)])


def test_a_model_treats_json_lines_as_the_same_rows_in_parquet(tmp_path: Path) -> None:
    names = ["amount", "balance", "quantity", "city", "active", "score"]
    types = [pa.float64(), pa.float64(), pa.int64(), pa.string(), pa.bool_(), pa.float64()]
    gpuvgm.generate(tmp_path / "t.parquet", 500, kind="mixed-table")
    rows = pq.read_table(tmp_path / "t.parquet", columns=names).cast(pa.schema(list(zip(names, types, strict=True))))
    pq.write_table(rows, tmp_path / "t.parquet")
    written(tmp_path / "t.jsonl", *({k: v for k, v in row.items() if v is not None} for row in rows.to_pylist()))
    here, there = (gpuvgm.TableTransformer().fit(tmp_path / name) for name in ("t.parquet", "t.jsonl"))
    assert [column.kind for column in there.schema_.columns] == [column.kind for column in here.schema_.columns]
    assert there.transform(tmp_path / "t.jsonl").equals(here.transform(tmp_path / "t.parquet"))
    assert there.evaluate(tmp_path / "t.jsonl").rows == 500
