"""CSV: one type per column over all rows and files; what cannot be read is located."""

from __future__ import annotations

import datetime
import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.io import open_source

FIRST_BLOCK = 400_000  # rows of "1,2.5": beyond the 1 MiB that types are inferred from


def write(folder, text, name="t.csv"):
    path = folder / name
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def columns_of(source, block_rows=100_000):
    tables = [block.table for block in source.blocks(source.schema.names, block_rows)]
    return pa.Table.from_batches(tables)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "T.CSV"])
@pytest.mark.parametrize("block_rows", [1, 2, 7])
def test_rows_and_types(tmp_path, name, block_rows):
    text = 'n,x,text,day,at,flag\n1,1.5,"a, b",2024-01-01,2024-01-01 10:00:00,true\n,,,,,\n-3,nan,c,2024-01-03,,false\n'
    source = open_source(write(tmp_path, text, name))
    assert (source.rows, source.repeatable, source.flavour) == (None, True, "path")
    expected = [pa.int64(), pa.float64(), pa.string(), pa.date32(), pa.timestamp("s"), pa.bool_()]
    assert source.schema.types == expected
    table = columns_of(source, block_rows)
    assert table.column("n").to_pylist() == [1, None, -3]
    assert table.column("x").to_pylist() == [1.5, None, None]
    assert table.column("text").to_pylist() == ["a, b", None, "c"]
    assert table.column("flag").to_pylist() == [True, None, False]


def test_blank_cells_are_missing_whatever_their_length(tmp_path):
    source = open_source(write(tmp_path, 'n,x,text\n1, ,a\n   ,2.5,   \n"",\t,""\n 4 , 5.5 ,b\n'))
    assert source.schema.types == [pa.int64(), pa.float64(), pa.string()]
    table = columns_of(source)
    assert table.column("n").to_pylist() == [1, None, None, 4]
    assert table.column("x").to_pylist() == [None, 2.5, None, 5.5]
    assert table.column("text").to_pylist() == ["a", None, None, "b"]


PAIRS = pytest.mark.parametrize(
    ("early", "late", "wanted"),
    [
        ("1", "1.5", pa.float64()),
        ("1", "99999999999999999999", pa.float64()),
        ("1", "nan", pa.int64()),
        ("", "7", pa.int64()),
        ("", "7.5", pa.float64()),
        ("", "2024-02-03", pa.date32()),
        ("", "word", pa.string()),
        ("2024-01-01", "2024-01-01 10:00:00", pa.timestamp("s")),
        ("2024-01-01", "2024-01-01 10:00:00.25", pa.timestamp("us")),
        ("2024-01-01 10:00:00Z", "2024-01-01T10:00:00.25+02:00", pa.timestamp("us", "UTC")),
        ("2024-01-01", "2024-01-01 10:00:00Z", pa.string()),
        ("1", "007", pa.string()),
        ("1.5", "007", pa.string()),
        ("1", "true", pa.string()),
        ("1.5", "n/k", pa.string()),
        ("2024-01-01", "soon", pa.string()),
        ("true", "maybe", pa.string()),
        ("10:00:00", "noon", pa.string()),
    ],
)


@PAIRS
def test_later_rows_widen_the_type(tmp_path, early, late, wanted):
    source = open_source(write(tmp_path, "a,b\n" + f"{early},2.5\n" * FIRST_BLOCK + f"{late},3\n"))
    assert source.schema.types == [wanted, pa.float64()]
    table = columns_of(source)
    assert table.num_rows == FIRST_BLOCK + 1
    assert table.column("a")[0].is_valid == bool(early)
    assert table.column("a")[-1].is_valid == (late != "nan")


@PAIRS
def test_the_order_of_rows_decides_no_type(tmp_path, early, late, wanted):
    rows = [f"{early},2\n", f"{late},3\n"]
    assert open_source(write(tmp_path, "a,b\n" + "".join(rows))).schema.types == [wanted, pa.int64()]
    assert open_source(write(tmp_path, "a,b\n" + "".join(rows[::-1]))).schema.types == [wanted, pa.int64()]


def test_types_are_those_of_all_files(tmp_path):
    for number, value in enumerate(["", "1", "2.5"]):
        write(tmp_path, f"a\n7\n{value}\n" if value else "a\n,\n".replace(",", ""), f"{number}.csv")
    source = open_source(tmp_path)
    assert source.schema.types == [pa.float64()]
    assert columns_of(source).column("a").to_pylist() == [7.0, 1.0, 7.0, 2.5]


def test_whole_numbers_beyond_float_precision_stay_exact(tmp_path):
    source = open_source(write(tmp_path, "a\n9007199254740993\n-9223372036854775808\n"))
    assert columns_of(source).column("a").to_pylist() == [2**53 + 1, -(2**63)]


def test_a_row_after_files_of_unknown_length_is_one_of_them_all(tmp_path):
    pq.write_table(pa.table({"a": [1] * 10}), tmp_path / "a.parquet")
    for name in ("b.csv", "c.csv"):
        (tmp_path / name).write_text("a\n1\n2\n")
    source = open_source([tmp_path / name for name in ("a.parquet", "b.csv", "c.csv")])
    assert source.locate(9).endswith("a.parquet, row 10")
    assert source.locate(12) == f"{source.name}, row 13"


@pytest.mark.parametrize("value", ["{}", "{}.5"])
@pytest.mark.parametrize("at", [7, FIRST_BLOCK])
def test_text_among_numbers_is_located(tmp_path, value, at):
    rows = [f"{value.format(row % 999)},2\n" for row in range(FIRST_BLOCK)]
    rows.insert(at, "n/k,4\n")
    source = open_source(write(tmp_path, "a,b\n" + "".join(rows)))
    assert source.schema.types == [pa.string(), pa.int64()]
    with pytest.raises(InputError, match=rf"t\.csv, row {at + 1}\b.*n/k"):
        TableTransformer().fit(source)


@pytest.mark.parametrize(("rows", "bad"), [(1, 2), (FIRST_BLOCK, FIRST_BLOCK + 1)])
def test_a_row_of_another_length_is_located(tmp_path, rows, bad):
    path = write(tmp_path, "a,b\n" + "1,2.5\n" * rows + "1,2,3\n")
    with pytest.raises(InputError, match=rf"t\.csv: row {bad} has 3 values, the header has 2 .*quote values"):
        columns_of(open_source(path))


def test_text_that_is_not_utf8_is_located(tmp_path):
    path = write(tmp_path, b"a,b\n" + b"x,1.5\n" * FIRST_BLOCK + b"\xe9t\xe9,1\n")
    with pytest.raises(InputError, match=rf'column "a", row {FIRST_BLOCK + 1}: .* is not UTF-8 text'):
        columns_of(open_source(path))


def test_line_breaks_inside_quotes_over_block_borders(tmp_path):
    rows = 300_000
    source = open_source(write(tmp_path, "a,b\n" + '"x\n\n\n\n\n\n\ny",1\n' * rows))
    table = columns_of(source)
    assert table.num_rows == rows
    assert table.column("a").unique().to_pylist() == ["x\n\n\n\n\n\n\ny"]


def test_a_header_alone_has_no_rows(tmp_path):
    source = open_source(write(tmp_path, "a,b\n"))
    assert source.schema.names == ["a", "b"]
    assert list(source.blocks(["a", "b"], 10)) == []


def test_timestamps_of_rows(tmp_path):
    table = columns_of(open_source(write(tmp_path, "t\n2024-01-01 10:00:00\n2024-01-02\n")))
    assert table.column("t").to_pylist()[1] == datetime.datetime(2024, 1, 2)


def test_a_cut_gzip_is_refused_by_name(tmp_path):
    path = write(tmp_path, "a\n" + "".join(f"{i * 7919 % 10007}\n" for i in range(10**5)), "t.csv.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"t\.csv\.gz: not a readable CSV file \(Truncated compressed stream\)"):
        columns_of(open_source(path))


def test_a_quote_that_is_never_closed_is_said(tmp_path):
    rows = "1,a\n" * FIRST_BLOCK
    with pytest.raises(InputError, match=r"t\.csv: a row after row \d+ is longer .* is a quote not closed\?"):
        columns_of(open_source(write(tmp_path, f'n,text\n{rows}2,"b\n{rows}')))


def test_names_of_columns_are_printable_in_messages(tmp_path):
    source = open_source(write(tmp_path, '"a\tb",c\n1,2\n'))
    with pytest.raises(InputError, match=r'columns: "a\\tb", "c"$'):
        source.blocks(["x"], 10)
