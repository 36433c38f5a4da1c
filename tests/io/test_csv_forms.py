"""CSV that is written as the CSV file is that was read."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import open_source
from gpuvgm.io.csv_forms import CsvForm
from gpuvgm.io.sink import CsvSink
from tests.io.conftest import rows_of

ROWS = 600
RANDOM = np.random.default_rng(2)


def _table(delimiter: str, mark: str, line_end: str = "\n", quote: str = "") -> str:
    """A file with one column of each form."""
    moments = np.datetime64("2024-02-01T08:00:00") + RANDOM.integers(0, 10**6, ROWS)
    rows = [
        [
            f"{quote}{RANDOM.choice(['a b', 'c'])}{quote}" if k % 3 else f'"x{delimiter}""y"""',
            "" if k % 11 == 0 else f"{RANDOM.lognormal(4, 1.5):.2f}".replace(".", mark),
            f"{RANDOM.integers(1, 9)}{mark}0",
            str(RANDOM.choice([0.5, 1.25, 3.0])).replace(".", mark),
            RANDOM.choice(["TRUE", "FALSE"]),
            f"{moments[k]}Z",
            f"{moments[k]}.{k % 1000:03d}".replace("T", " "),
            str(moments[k])[:10],
            str(RANDOM.integers(1, 50)),
        ]
        for k in range(ROWS)
    ]
    names = ["text", "amount", "whole", "free", "flag", "at", "fine", "day", "count"]
    header = delimiter.join(f"{quote}{name}{quote}" for name in names)
    return line_end.join([header, *map(delimiter.join, rows), ""])


@pytest.mark.parametrize(
    ("delimiter", "mark", "line_end", "quote"),
    [(";", ",", "\n", ""), ("\t", ".", "\r\n", ""), (",", ".", "\n", '"'), ("|", ",", "\n", "")],
)
def test_samples_and_decoded_rows_look_like_the_file(
    tmp_path: Path, delimiter: str, mark: str, line_end: str, quote: str
) -> None:
    text = _table(delimiter, mark, line_end, quote)
    (tmp_path / "in.csv").write_bytes(text.encode())
    gpuvgm.TableSynthesizer(hold_out=0.1).fit(tmp_path / "in.csv").save(tmp_path / "m.gpuvgm")
    gpuvgm.load(tmp_path / "m.gpuvgm").sample(300, out=tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_bytes().decode().split(line_end)
    assert lines[0] == text.split(line_end)[0] and lines[-1] == "" and len(lines) == 302
    at, point = re.escape(delimiter), re.escape(mark)
    texts = rf'("x{at}""y"""|{quote}(a b|c){quote})'
    numbers = rf"(\d+{point}\d\d)?{at}\d{point}0{at}(0{point}5|1{point}25|3){at}(TRUE|FALSE)"
    times = r"2024-02-\d\dT\d\d:\d\d:\d\dZ" + at + r"2024-02-\d\d \d\d:\d\d:\d\d\.\d{3}" + at + r"2024-02-\d\d"
    assert [line for line in lines[1:-1] if not re.fullmatch(rf"{texts}{at}{numbers}{at}{times}{at}\d+", line)] == []
    transformer = gpuvgm.TableTransformer(effort="best").fit(tmp_path / "in.csv")
    transformer.transform(tmp_path / "in.csv", out=tmp_path / "coded.parquet")
    transformer.inverse_transform(tmp_path / "coded.parquet", out=tmp_path / "back.csv")
    back, wrote = ((tmp_path / name).read_bytes().decode().split(line_end) for name in ("back.csv", "in.csv"))
    whole = rf"(?<={at}3){point}0(?={at}(TRUE|FALSE))"  # of numbers with different decimal places
    assert [re.sub(whole, "", line) for line in wrote] == back


def test_the_form_holds_no_rows(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(_table(";", ","))
    form = open_source(tmp_path / "in.csv").fingerprint()["csv"]
    assert form == {
        "delimiter": ";", "line_end": "\n", "quoted": False, "commas": ["amount", "free", "whole"],
        "places": {"amount": 2, "whole": 1}, "words": {"flag": ["TRUE", "FALSE"]},
        "moments": {"at": ["T", 0], "fine": [" ", 3]}, "missing": "", "marked": False,
    }  # fmt: skip
    assert CsvForm.from_json(json.loads(json.dumps(form))).to_json() == form


@pytest.mark.parametrize("first", ["", "3;4,5\n12;0,25\n", ";4,5\n;0,25\n", "3e-2;4,5\n12e+1;0,25\n"])
def test_decimals_have_commas_where_the_first_file_has_none(tmp_path: Path, first: str) -> None:
    (tmp_path / "1.csv").write_text(f"x;y\n{first}")
    (tmp_path / "2.csv").write_text("x;y\n1,5;2,25\n2;0,5\n")
    source = open_source(tmp_path)
    assert source.fingerprint()["csv"]["commas"] == ["x", "y"]
    numbers = source.sample(["x"], [(source.rows - 2, source.rows)]) if source.rows else None
    assert numbers is None or numbers["x"].to_pylist() == [1.5, 2.0]


def test_decimals_without_a_digit_before_the_mark_have_places(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x,y\n.50,1\n-.25,2\n1.00,3\n")
    assert open_source(tmp_path / "in.csv").fingerprint()["csv"]["places"] == {"x": 2}


@pytest.mark.parametrize(("mark", "word"), [(b"", "NA"), (b"\xef\xbb\xbf", "NULL"), (b"\xef\xbb\xbf", "")])
def test_missing_values_and_the_mark_of_the_encoding_are_those_of_the_file(
    tmp_path: Path, mark: bytes, word: str
) -> None:
    """Missing text is an empty field, which every reader takes for one."""
    rows = [f"{k % 7 or word},{'' if k % 5 == 0 else 'é'},{word if k % 3 == 0 else k / 4}" for k in range(ROWS)]
    text = mark + "\n".join(["n,text,x", *rows, ""]).encode()
    (tmp_path / "in.csv").write_bytes(text)
    transformer = gpuvgm.TableTransformer(effort="best").fit(tmp_path / "in.csv")
    transformer.transform(tmp_path / "in.csv", out=tmp_path / "coded.parquet")
    transformer.inverse_transform(tmp_path / "coded.parquet", out=tmp_path / "back.csv")
    assert (tmp_path / "back.csv").read_bytes() == re.sub(rb"\.0(?=\n)", b"", text)
    gpuvgm.TableSynthesizer().fit(tmp_path / "in.csv").sample(300, out=tmp_path / "out.csv")
    header, *lines = (tmp_path / "out.csv").read_bytes().split(b"\n")[:-1]
    assert header == mark + b"n,text,x"
    fields = rf"([1-6]|{word}),(é|),([\d.]+|{word})"
    assert [line for line in lines if not re.fullmatch(fields, line.decode())] == []
    assert {line.endswith(word.encode()) for line in lines} == ({True, False} if word else {True})


def test_a_quoted_header_after_empty_lines_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b'\xef\xbb\xbf\r\n\r\n"x","y"\r\n1,2\r\n')
    form = open_source(tmp_path / "in.csv").fingerprint()["csv"]
    assert (form["quoted"], form["line_end"], form["marked"]) == (True, "\r\n", True)


def _written(path: Path, form: CsvForm, **columns: Any) -> list[str]:
    table = pa.table(columns)
    with CsvSink(path, table.schema, form) as sink:
        for batch in table.to_batches(2):
            sink.write(batch)
    return path.read_text().split("\n")[1:-1]


def test_values_that_do_not_fit_the_form_keep_all_digits(tmp_path: Path) -> None:
    form = CsvForm(";", "\n", quoted=False, commas=["x"], places={"x": 2, "y": 2}, moments={"t": ["T", 0]})
    rows = _written(
        tmp_path / "o.csv",
        form,
        x=[1.5, 12.345, 1e300, None, -0.0],
        y=pa.array([1.5, np.inf, 2.0, 0.125, 7.0]),
        t=pa.array([dt.datetime(2024, 1, 2, 3), dt.datetime(2024, 1, 2, 3, 4, 5, 600_000)] + [None] * 3),
    )
    assert rows == [
        "1,50;1.5;2024-01-02T03:00:00", "12,345;inf;2024-01-02T03:04:05.600000", "1e+300;2.00;", ";0.125;", "0,00;7.00;"
    ]  # fmt: skip


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_times_of_any_unit_have_the_places_of_the_file(tmp_path: Path, unit: str) -> None:
    form = CsvForm(moments={"a": ["T", 0], "b": [" ", 3], "c": ["T", 6]})
    moments = pa.array([0, None], pa.timestamp("s", "UTC")).cast(pa.timestamp(unit, "UTC"))
    rows = _written(tmp_path / "o.csv", form, a=moments, b=moments, c=moments)
    assert rows == ["1970-01-01T00:00:00Z,1970-01-01 00:00:00.000Z,1970-01-01T00:00:00.000000Z", ",,"]


def test_fields_that_hold_the_delimiter_are_quoted(tmp_path: Path) -> None:
    columns = {"t": pa.array([dt.time(1, 2, 3), None]), "x": ["a:b", ' "c"'], "y": [1, 2]}
    path = tmp_path / "o.csv"
    assert _written(path, CsvForm(":", quoted=False), **columns) == ['"01:02:03.000000":"a:b":1', ':" ""c""":2']
    assert open_source(path, delimiter=":").schema.names == ["t", "x", "y"]
    assert _written(path, CsvForm(",", quoted=False), x=["", None], y=[1, 2]) == ['"",1', ",2"]
    assert _written(path, CsvForm(","), x=["a", None], y=[1.0, 2.5]) == ['"a",1', ",2.5"]


def test_a_changed_form_is_refused() -> None:
    for document in ({"delimiter": "ab"}, {"separator": ";"}, {"delimiter": 3}, {"missing": "x"}, {"missing": 0}):
        with pytest.raises(InputError, match="the model was changed|it was changed"):
            CsvForm.from_json(document)


def test_other_files_know_no_form(tmp_path: Path) -> None:
    synthesizer = gpuvgm.TableSynthesizer().fit({"x": np.round(RANDOM.normal(size=300), 2), "g": ["a", "b", "c"] * 100})
    synthesizer.sample(30, out=tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().startswith('"x","g"\n')


def test_parquet_says_nothing_of_csv(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(_table(";", ","))
    gpuvgm.TableSynthesizer().fit(tmp_path / "in.csv").sample(30, out=tmp_path / "out.parquet")
    assert b"gpuvgm.csv" not in pa.parquet.read_schema(tmp_path / "out.parquet").metadata


@pytest.mark.parametrize("quoted", [True, False])
def test_a_word_for_missing_values_is_text_in_quotes_alone(tmp_path: Path, *, quoted: bool) -> None:
    """R's write.csv and readr write missing text as NA, and the text NA in quotes."""
    header = '"land","n","note"' if quoted else "land,n,note"
    rows = ["NA,1.5,NA", '"NA",NA,""', 'null,"NA","a"', '"null","2.5",b', '"DE",2.25,b']
    (tmp_path / "in.csv").write_text("\n".join([header, *rows * 50, ""]))
    table = rows_of(tmp_path / "in.csv")
    assert table.schema.types == [pa.string(), pa.float64(), pa.string()]
    assert table["land"].to_pylist() == [None, "NA", None, "null", "DE"] * 50
    assert table["n"].to_pylist() == [1.5, None, None, 2.5, 2.25] * 50
    assert table["note"].to_pylist() == [None, None, "a", "b", "b"] * 50
    synthesizer = gpuvgm.TableSynthesizer(random_state=0).fit(tmp_path / "in.csv")
    for out in ("sample.csv", "sample.parquet"):
        synthesizer.sample(200, seed=1, out=tmp_path / out)
    sample = rows_of(tmp_path / "sample.csv", ["land"])
    assert sample.equals(rows_of(tmp_path / "sample.parquet", ["land"]))
    assert set(sample["land"].to_pylist()) == {None, "NA", "null", "DE"}


@pytest.mark.parametrize("word", ["NaN", "nan", "-nan", "NA"])
def test_words_in_quotes_are_missing_numbers(tmp_path: Path, word: str) -> None:
    (tmp_path / "in.csv").write_text(f'"n","land"\n"1.5","DE"\n"{word}","{word}"\n"inf","AT"\n')
    table = rows_of(tmp_path / "in.csv")
    assert table["n"].to_pylist() == [1.5, None, np.inf]
    assert table["land"].to_pylist() == ["DE", word, "AT"]


def test_words_for_missing_values_are_quoted_where_they_are_text(tmp_path: Path) -> None:
    words = ["NA", None, "n/a", "DE"]
    assert _written(tmp_path / "o.csv", CsvForm(quoted=False), x=words, y=[1, 2, 3, 4]) == [
        '"NA",1',
        ",2",
        '"n/a",3',
        "DE,4",
    ]
    with CsvSink(tmp_path / "a.csv", pa.schema({"x": pa.string(), "y": pa.int64()})) as sink:
        sink.write(pa.record_batch({"x": words, "y": [1, 2, 3, 4]}))
    for name in ("o.csv", "a.csv"):
        assert rows_of(tmp_path / name, ["x"])["x"].to_pylist() == words
