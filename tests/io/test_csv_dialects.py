"""CSV files with other delimiters than commas, and with decimal commas."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import open_source

HEADER, ROWS = ("size", "word", "count"), (("1.5", "a", "3"), ("-2.25", "b, c", "4"), ("", '"d|e;f"', "5"))


def written(path: Path, delimiter: str, point: str = ".") -> Path:
    """The rows with this delimiter; text that holds it is in quotes."""
    lines = [delimiter.join(HEADER)]
    for size, word, count in ROWS:
        quoted = f'"{word}"' if delimiter in word and not word.startswith('"') else word
        lines.append(delimiter.join((size.replace(".", point), quoted, count)))
    text = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def table(path: Path) -> pa.Table:
    source = open_source(path)
    batches = [block.batch for block in source.blocks(source.schema.names, 100)]
    return pa.Table.from_batches(batches)


@pytest.mark.parametrize(
    ("name", "delimiter", "point"),
    [
        *[("t.csv", delimiter, ".") for delimiter in ",;\t|"],
        *[("t.csv", delimiter, ",") for delimiter in ";\t|"],
        ("t.tsv", "\t", "."),
        ("t.tsv.gz", "\t", ","),
        ("t.csv.gz", ";", ","),
    ],
)
def test_every_delimiter_gives_the_same_rows(tmp_path: Path, name: str, delimiter: str, point: str) -> None:
    expected = {"size": [1.5, -2.25, None], "word": ["a", "b, c", "d|e;f"], "count": [3, 4, 5]}
    assert table(written(tmp_path / name, delimiter, point)).to_pydict() == expected


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz"])
@pytest.mark.parametrize(("delimiter", "point"), [(":", "."), (" ", ","), (",", "."), (";", ",")])
def test_a_given_delimiter_is_taken(tmp_path: Path, name: str, delimiter: str, point: str) -> None:
    source = open_source(written(tmp_path / name, delimiter, point), delimiter=delimiter)
    assert source.schema.names == list(HEADER)
    assert source.schema.types == [pa.float64(), pa.string(), pa.int64()]


def test_a_given_delimiter_overrules_the_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b;c\n1,5;2\n2,5;3\n")
    assert open_source(tmp_path / "t.csv").schema.names == ["a", "b;c"]
    assert open_source(tmp_path / "t.csv", delimiter=";").schema.names == ["a,b", "c"]
    assert open_source([tmp_path / "t.csv"], delimiter=";").schema.types == [pa.float64(), pa.int64()]
    (tmp_path / "t.csv").write_text("a:b\n1:2\n1:2:3\n")
    with pytest.raises(InputError, match="row 2 has 3 values, the header has 2 .*; quote values that hold ':'"):
        open_source(tmp_path / "t.csv", delimiter=":")


@pytest.mark.parametrize(
    ("name", "delimiter", "message"),
    [
        ("t.csv", ";", r"t\.csv: the delimiter ';' does not split the header 'a,b'; give the one that does, or none"),
        *[("t.csv", wrong, "is no delimiter; give one character") for wrong in ("", "::", "x", "1", '"', "\n", "§")],
        ("t.parquet", ";", r"t\.parquet: a delimiter is given, but this is not a CSV file; leave it out"),
    ],
)
def test_a_wrong_delimiter_is_refused(tmp_path: Path, name: str, delimiter: str, message: str) -> None:
    (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=message):
        open_source(tmp_path / name, delimiter=delimiter)


def test_rows_in_memory_have_no_delimiter() -> None:
    with pytest.raises(InputError, match="a delimiter is given, but the source is not a CSV file"):
        open_source({"a": [1]}, delimiter=";")


def test_files_of_a_folder_have_delimiters_of_their_own(tmp_path: Path) -> None:
    written(tmp_path / "1.csv", ",")
    written(tmp_path / "2.csv", ";", ",")
    written(tmp_path / "3.tsv", "\t")
    assert table(tmp_path).column("size").to_pylist() == [1.5, -2.25, None] * 3


def test_numbers_with_commas_and_points_are_no_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;b\n1.5;1,250\n2.5;2,500\n")
    assert table(tmp_path / "t.csv").to_pydict() == {"a": [1.5, 2.5], "b": ["1,250", "2,500"]}


@pytest.mark.parametrize("text", ["a;b\n", "", "\n", "a\n1\n", '"a;b"\n1\n'])
def test_files_without_rows_or_with_one_column(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    if text.strip():
        assert len(open_source(path).schema.names) == 1
    else:
        with pytest.raises(InputError, match=r"t\.csv"):
            open_source(path)


def test_what_is_wrong_is_named_by_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1,5;x\n2,5;x;y\n")
    with pytest.raises(InputError, match="row 2 has 3 values, the header has 2 .* quote values that hold semicolons"):
        table(path)


@pytest.mark.parametrize(("first", "told"), [("1.5,x", "1.5"), ("-3,x", "-3"), ("a,b", None), ("2019,2020", None)])
def test_a_file_without_a_header_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: str, told: str | None
) -> None:
    (tmp_path / "t.csv").write_text(f"{first}\n2.5,y\n3.5,z\n")
    with caplog.at_level(logging.WARNING, "gpuvgm"):
        open_source(tmp_path / "t.csv")
    said = [record.getMessage() for record in caplog.records]
    wanted = f"the header holds the number {told}; if the file has no header, add a first line with the column names"
    assert said == ([f"{tmp_path / 't.csv'}: {wanted}"] if told else [])


def test_a_model_of_one_dialect_encodes_the_other(tmp_path: Path) -> None:
    numbers = [f"{i / 8}" for i in range(400)]
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{x},{i % 3}\n" for i, x in enumerate(numbers)))
    (tmp_path / "b.csv").write_text(
        "x;y\n" + "".join(f"{x.replace('.', ',')};{i % 3}\n" for i, x in enumerate(numbers))
    )
    transformer = gpuvgm.TableTransformer().fit(tmp_path / "a.csv")
    here, there = (transformer.transform(tmp_path / name) for name in ("a.csv", "b.csv"))
    assert here.equals(there)
    assert transformer.evaluate(tmp_path / "b.csv").rows == 400
