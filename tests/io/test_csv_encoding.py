"""CSV files that are no UTF-8 text, and number columns with text in them."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.io import open_source


def read(path):
    source = open_source(path)
    return sum(block.rows for block in source.blocks(source.schema.names, 1000))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("café,b\n1,2\n".encode("latin1"), r"t\.csv: the header .* is not UTF-8 text; .*iconv -f latin1 -t utf-8"),
        ("a,b\n1,x\n2,café\n".encode("latin1"), r't\.csv: column "b", row 2: .* is not UTF-8 text; .*iconv'),
        (b"a,b\n" + b"1,x\n" * 400_000 + "2,café\n".encode("latin1"), r'column "b", row 400001: .* is not UTF-8 text'),
        ("a,b\n1,x\n2,café,3\n".encode("latin1"), r"row 2 has 3 values, the header has 2"),
        ("a,b\n1,x\n2,café,3\n".encode(), r"row 2 has 3 values, the header has 2 \('2,café,3'\)"),
        (b"a,b\n1\n", r"row 1 has 1 value, the header has 2"),
        (b"a;b\n1;2;3\n4;5\n", r"row 1 has 3 values, the header has 2 \('1;2;3'\); quote values that hold semicolons"),
        (b"a,b\n1,\0\n", r"it holds NUL bytes: is this a Parquet file\?"),
        ("a,b\n1,2\n".encode("utf-16"), r"UTF-16 text; convert it"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), r"is this a compressed file\? rename it so that it ends in \.csv\.gz"),
    ],
)
def test_foreign_text_is_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "t.csv")


def test_a_column_may_have_a_semicolon_in_its_name(tmp_path):
    (tmp_path / "t.csv").write_text("size; cm\n1.5\n2.5\n")
    assert open_source(tmp_path / "t.csv").schema.names == ["size; cm"]


def test_a_parquet_file_with_a_csv_name(tmp_path):
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"t\.csv: not CSV text: is this a Parquet file\? rename it"):
        read(tmp_path / "t.csv")


def test_utf8_with_and_without_gzip(tmp_path):
    (tmp_path / "t.csv").write_text("café,b\n1,ü\n", encoding="utf-8")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    assert read(tmp_path / "t.csv") == read(tmp_path / "t.csv.gz") == 1


def test_the_first_text_in_a_number_column_is_named(tmp_path):
    numbers = "".join(f"{i},c\n" for i in range(200))
    (tmp_path / "t.csv").write_text("x,word\n" + "1.5,a\n" * 16 + "n.a.,b\n" + numbers)
    for columns in (None, ["x"], {"x": "continuous"}):
        with pytest.raises(InputError, match=r"""t\.csv, row 17: column "x": 'n\.a\.' is no number"""):
            TableTransformer(columns).fit(tmp_path / "t.csv")
