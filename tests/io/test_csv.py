"""CSV: dialects, encodings and types, one per column over all rows and files; what cannot be read is located."""

from __future__ import annotations

import datetime
import gzip
import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

import gpuvgm
from gpuvgm import TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.io import open_source
from tests.io.conftest import rows_of

FIRST_BLOCK = 400_000  # rows of "1,2.5": beyond the 1 MiB that types are inferred from


def write(folder, text, name="t.csv"):
    path = folder / name
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "T.CSV"])
@pytest.mark.parametrize("block_rows", [1, 2, 7])
def test_rows_and_types(tmp_path, name, block_rows):
    text = 'n,x,text,day,at,flag\n1,1.5,"a, b",2024-01-01,2024-01-01 10:00:00,true\n,,,,,\n-3,nan,c,2024-01-03,,false\n'
    source = open_source(write(tmp_path, text, name))
    assert (source.rows, source.repeatable, source.flavour) == (None, True, "path")
    expected = [pa.int64(), pa.float64(), pa.string(), pa.date32(), pa.timestamp("s"), pa.bool_()]
    assert source.schema.types == expected
    table = rows_of(source, block_rows=block_rows)
    assert table.column("n").to_pylist() == [1, None, -3]
    assert table.column("x").to_pylist() == [1.5, None, None]
    assert table.column("text").to_pylist() == ["a, b", None, "c"]
    assert table.column("flag").to_pylist() == [True, None, False]


def test_blank_cells_are_missing_whatever_their_length(tmp_path):
    source = open_source(write(tmp_path, 'n,x,text\n1, ,a\n   ,2.5,   \n"",\t,""\n 4 , 5.5 ,b\n'))
    assert source.schema.types == [pa.int64(), pa.float64(), pa.string()]
    table = rows_of(source)
    assert table.column("n").to_pylist() == [1, None, None, 4]
    assert table.column("x").to_pylist() == [None, 2.5, None, 5.5]
    assert table.column("text").to_pylist() == ["a", None, None, "b"]


PAIRS = pytest.mark.parametrize(
    ("early", "late", "wanted"),
    [
        ("1", "1.5", pa.float64()),
        ("1", "99999999999999999999", pa.decimal128(38, 0)),
        ("-9007199254740993", "99999999999999999999", pa.decimal128(38, 0)),
        ("1", "1" * 39, pa.string()),
        ("1.5", "9007199254740992", pa.float64()),
        ("1.5", "-100000000000000000000", pa.float64()),
        ("1.5", "9007199254740993", pa.string()),
        ("1.5", "99999999999999999999", pa.string()),
        ("1", "0x1F", pa.string()),
        ("0x1F", "0x0010", pa.string()),
        ("1E5", "1E05", pa.string()),
        ("1E5", "2.5", pa.float64()),
        ("7", "1e-05", pa.float64()),
        ("+49", "49", pa.string()),
        ("+49", "0.5", pa.float64()),
        ("true", "1", pa.string()),
        ("", "10:00:00Z", pa.string()),
        ("", "2024-01-01 10:00:00Z", pa.timestamp("s", "UTC")),
        (" 2024-01-01", "2024-01-02 10:00:00", pa.string()),
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
    table = rows_of(source)
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
    assert rows_of(source).column("a").to_pylist() == [7.0, 1.0, 7.0, 2.5]


@pytest.mark.parametrize(
    ("commas", "other", "wanted"),
    [
        (["1,234", "5,678"], "x", ["1,234", "5,678"]),
        (["1,234", "12"], "x", ["1,234", "12"]),
        (["1,234", "1,234,567"], "x", ["1,234", "1,234,567"]),
        (["1,234", "1e3"], "x", ["1,234", "1e3"]),
        (["1,234", "inf"], "x", ["1,234", "inf"]),
        (["1,234", "5,67"], "x", [1.234, 5.67]),
        (["1,234", "0,123"], "x", [1.234, 0.123]),
        (["1,5", "1.5"], "x", ["1,5", "1.5"]),
        (["1,5", "N/A"], "x", [1.5, None]),
        (["1.234", "5.678"], "x", [1.234, 5.678]),
        (["1.234", "5.678"], "1,5", ["1.234", "5.678"]),
        (["1.234", "5.67"], "1,5", [1.234, 5.67]),
    ],
)
@pytest.mark.parametrize("many", [1, FIRST_BLOCK // 2])
@pytest.mark.parametrize("turned", [False, True])
def test_a_column_decides_its_decimal_mark(tmp_path, caplog, commas, other, wanted, many, turned):
    rows = [f"{commas[0]};{other}\n"] * many + [f"{commas[1]};{other}\n"]
    path = write(tmp_path, "a;b\n" + "".join(rows[::-1] if turned else rows))
    values = rows_of(path).column("a").to_pylist()
    assert (values[-1:] + values[:1])[:: 1 if turned else -1] == wanted
    told = [record.getMessage() for record in caplog.records]
    mark = "commas" if "," in commas[0] else "points"
    doubtful = wanted == commas and commas[1] not in ("1,234,567", "1.5")
    said = f'{path}: column "a" is read as text: its {mark} may be of thousands or of decimals; write thousands without'
    assert [line[: len(said)] for line in told] == ([said] if doubtful else [])


def test_the_decimal_mark_of_a_column_is_decided_by_all_files(tmp_path):
    write(tmp_path, "a;b\n1,234;x\n", "1.csv")
    write(tmp_path, "a;b\n7;x\n", "2.csv")
    assert rows_of(tmp_path).column("a").to_pylist() == ["1,234", "7"]
    write(tmp_path, "a;b\n5,67;x\n", "3.csv")
    assert rows_of(tmp_path).column("a").to_pylist() == [1.234, 7.0, 5.67]
    write(tmp_path, "a,b\n1E5,x\n", "4.csv")
    assert rows_of(tmp_path).column("a").to_pylist() == [1.234, 7.0, 5.67, 1e5]


@pytest.mark.parametrize(
    ("first", "second", "mark"),
    [("a;b\n1,234;x\n", "a,b\n2.5,3.5\n", "commas"), ("a;b\n1.234;1,5\n", "a,b\n2.5,3.5\n", "points")],
)
def test_a_mark_of_one_dialect_decides_nothing_about_another(tmp_path, caplog, first, second, mark):
    """A point of decimals says nothing about a comma that may be of thousands, 1,234 is no 1.234."""
    write(tmp_path, first, "1.csv")
    write(tmp_path, second, "2.csv")
    assert rows_of(tmp_path).column("a").to_pylist() == [first[4:9], "2.5"]
    assert f'1.csv: column "a" is read as text: its {mark} may be of thousands' in caplog.text
    write(tmp_path, "a;b\n0,5;1,5\n" if mark == "commas" else "a;b\n5.67;1,5\n", "3.csv")
    assert rows_of(tmp_path).column("a").to_pylist()[:2] == [1.234, 2.5]


@pytest.mark.parametrize(
    ("first", "second", "values"),
    [
        ("a;b\n1.234;1,5\n", "a;b\n5.678;9007199254740993\n", [1.234, 5.678]),  # commas of a column that is text
        ("a,b\n1.234,2\n", "a;b\n7;1,5\n", [1.234, 7.0]),  # and of another file than the points
    ],
)
def test_points_are_of_decimals_beside_commas_that_are_not(tmp_path, first, second, values):
    write(tmp_path, first, "1.csv")
    write(tmp_path, second, "2.csv")
    assert rows_of(tmp_path).column("a").to_pylist() == values


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_file_of_a_folder_may_have_a_header_alone(tmp_path, number, delimiter):
    write(tmp_path, f"b{delimiter}a\n", f"{number}.csv")
    write(tmp_path, "a;b\n1;x\n", "2.csv")
    assert rows_of(tmp_path, ["a", "b"]).to_pydict() == {"a": [1], "b": ["x"]}


@pytest.mark.parametrize("kind", ["categorical", "pass", None])
def test_identifiers_beyond_64_bits_stay_apart(tmp_path, kind):
    numbers = [10**19 + 7 * i for i in range(600)]
    path = write(tmp_path, "a\n" + "".join(f"{number}\n" for number in numbers))
    transformer = TableTransformer({"a": kind} if kind else None).fit(path)
    back = transformer.inverse_transform(transformer.transform(path))
    assert [int(value) for value in back.column("a").to_pylist()] == numbers


def test_codes_are_told(tmp_path, caplog):
    path = write(tmp_path, "a,b\n1E5,2\n1E05,3\n")
    assert rows_of(path).column("a").to_pylist() == ["1E5", "1E05"]
    (record,) = caplog.records
    assert 'column "a" is read as text: values such as "+49" and "1E5" may be codes; if' in record.getMessage()


@given(
    values=st.lists(
        st.sampled_from(
            "1 -7 1.5 -.5 5. 1e3 -1e-2 1E05 +4 007 0x1F 9007199254740993 10000000000000000000 inf nan true "
            "False 2024-01-01 2024-01-01T10:00:00Z 10:00:00 word 1,234 1,5 1.234 N/A".split()
        ),
        min_size=1,
        max_size=6,
    ),
    cuts=st.sets(st.integers(1, 5)),
    order=st.randoms(use_true_random=False),
    delimiter=st.sampled_from(",;"),
)
def test_neither_order_nor_files_decide_values(tmp_path_factory, values, cuts, order, delimiter):
    def table(rows, name):
        folder = tmp_path_factory.mktemp("csv")
        places = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)] if name else [0, len(rows)]
        for number, (start, stop) in enumerate(itertools.pairwise(places)):
            text = "".join(f'"{value}"{delimiter}b\n' for value in rows[start:stop])
            write(folder, f"a{delimiter}c\n{text}", f"{number}.csv")
        return rows_of(folder).column("a")

    rows = values[:]
    whole = table(rows, "")
    order.shuffle(rows)
    both_marks = {","} < {mark for value in rows for mark in ",." if mark in value}
    shuffled = table(rows, "" if both_marks else "parts")  # each file may have a decimal mark of its own
    assert shuffled.type == whole.type
    assert sorted(map(repr, shuffled.to_pylist())) == sorted(map(repr, whole.to_pylist()))


def test_whole_numbers_beyond_float_precision_stay_exact(tmp_path):
    source = open_source(write(tmp_path, "a\n9007199254740993\n-9223372036854775808\n"))
    assert rows_of(source).column("a").to_pylist() == [2**53 + 1, -(2**63)]


def test_a_row_after_files_of_unknown_length_is_one_of_them_all(tmp_path):
    pq.write_table(pa.table({"a": [1] * 10}), tmp_path / "a.parquet")
    for name in ("b.csv", "c.csv"):
        (tmp_path / name).write_text("a\n1\n2\n")
    source = open_source([tmp_path / name for name in ("a.parquet", "b.csv", "c.csv")])
    assert source.locate(9).endswith("a.parquet, row 10")
    assert source.locate(12) == f"{source.name}, row 13"


@pytest.mark.parametrize("value", ["{}", "{}.5"])
@pytest.mark.parametrize("at", [7, FIRST_BLOCK])
def test_a_word_among_numbers_is_a_modal_value(tmp_path, value, at):
    rows = [f"{value.format(row % 999)},2\n" for row in range(FIRST_BLOCK)]
    rows.insert(at, "n/k,4\n")
    source = open_source(write(tmp_path, "a,b\n" + "".join(rows)))
    assert source.schema.types == [pa.string(), pa.int64()]
    column = TableTransformer().fit(source).columns_["a"]
    assert ([column.codec.show(one) for one in column.modal_values], column.modal_counts) == (["n/k"], (1,))


def test_line_breaks_inside_quotes_over_block_borders(tmp_path):
    rows = 300_000
    source = open_source(write(tmp_path, "a,b\n" + '"x\n\n\n\n\n\n\ny",1\n' * rows))
    table = rows_of(source)
    assert table.num_rows == rows
    assert table.column("a").unique().to_pylist() == ["x\n\n\n\n\n\n\ny"]


def test_a_header_alone_has_no_rows(tmp_path):
    source = open_source(write(tmp_path, "a,b\n"))
    assert source.schema.names == ["a", "b"]
    assert list(source.blocks(["a", "b"], 10)) == []


def test_timestamps_of_rows(tmp_path):
    table = rows_of(write(tmp_path, "t\n2024-01-01 10:00:00\n2024-01-02\n"))
    assert table.column("t").to_pylist()[1] == datetime.datetime(2024, 1, 2)


def test_a_cut_gzip_is_refused_by_name(tmp_path):
    path = write(tmp_path, "a\n" + "".join(f"{i * 7919 % 10007}\n" for i in range(10**5)), "t.csv.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"t\.csv\.gz: not a readable CSV file \(Truncated compressed stream\)"):
        rows_of(path)


def test_names_of_columns_are_printable_in_messages(tmp_path):
    source = open_source(write(tmp_path, '"a\tb",c\n1,2\n'))
    with pytest.raises(InputError, match=r'columns: "a\\tb", "c"$'):
        source.blocks(["x"], 10)


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
    assert rows_of(written(tmp_path / name, delimiter, point)).to_pydict() == expected


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz"])
@pytest.mark.parametrize(("delimiter", "point"), [(":", "."), (" ", ","), (",", "."), (";", ",")])
def test_a_given_delimiter_is_taken(tmp_path: Path, name: str, delimiter: str, point: str) -> None:
    source = open_source(written(tmp_path / name, delimiter, point), delimiter=delimiter)
    assert source.schema.names == list(HEADER)
    assert source.schema.types == [pa.float64(), pa.string(), pa.int64()]


@pytest.mark.parametrize("delimiter", ",;\t|")
def test_the_first_row_may_hold_line_ends(tmp_path: Path, delimiter: str) -> None:
    (tmp_path / "t.csv").write_text(f'a{delimiter}b\n"x\r\n\ny"{delimiter}1\nz{delimiter}2\n', newline="")
    assert rows_of(tmp_path / "t.csv").to_pydict() == {"a": ["x\r\n\ny", "z"], "b": [1, 2]}


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
    assert rows_of(tmp_path).column("size").to_pylist() == [1.5, -2.25, None] * 3


def test_numbers_with_commas_and_points_are_no_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;b\n1.5;1,250\n2.5;2,500\n")
    assert rows_of(tmp_path / "t.csv").to_pydict() == {"a": [1.5, 2.5], "b": ["1,250", "2,500"]}


@pytest.mark.parametrize("text", ["a;b\n", "", "\n", "a\n1\n", '"a;b"\n1\n'])
def test_files_without_rows_or_with_one_column(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    if text.strip():
        assert len(open_source(path).schema.names) == 1
    else:
        with pytest.raises(InputError, match=r"t\.csv"):
            open_source(path)


@pytest.mark.parametrize(("first", "told"), [("1.5,x", "1.5"), ("-3,x", "-3"), ("a,b", None), ("2019,2020", None)])
def test_a_file_without_a_header_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: str, told: str | None
) -> None:
    (tmp_path / "t.csv").write_text(f"{first}\n2.5,y\n3.5,z\n")
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("café,b\n1,2\n".encode("latin1"), r"t\.csv: the header .* is not UTF-8 text; .*iconv -f latin1 -t utf-8"),
        ("a,b\n1,x\n2,café\n".encode("latin1"), r't\.csv: column "b", row 2: .* is not UTF-8 text; .*iconv'),
        (
            b"a,b\n" + b"1,x\n" * FIRST_BLOCK + "2,café\n".encode("latin1"),
            r'column "b", row 400001: .* is not UTF-8 text',
        ),
        ("a,b\n1,x\n2,café,3\n".encode("latin1"), r"row 2 has 3 values, the header has 2"),
        ("a,b\n1,x\n2,café,3\n".encode(), r"row 2 has 3 values, the header has 2 \('2,café,3'\)"),
        (b"a,b\n1\n", r"row 1 has 1 value, the header has 2"),
        (b"a;b\n1;2;3\n4;5\n", r"row 1 has 3 values, the header has 2 \('1;2;3'\); quote values that hold semicolons"),
        (b'"a","b"\n"1",3,4\n"2",5,6\n', r"row 1 has 3 values, .* commas, or, if the first .* write row\.names=FALSE$"),
        (b"a,b\n1,2\n3,4,5\n", r"row 2 has 3 values, the header has 2 \('3,4,5'\); quote values that hold commas$"),
        (b"a;b\n1,5;x\n2,5;x;y\n", r"row 2 has 3 values, the header has 2 .* quote values that hold semicolons"),
        (
            b"a,b\n" + b"1,2.5\n" * FIRST_BLOCK + b"1,2,3\n",
            rf"t\.csv: row {FIRST_BLOCK + 1} has 3 values, the header has 2 .*quote values",
        ),
        (
            b"n,text\n" + b"1,a\n" * FIRST_BLOCK + b'2,"b\n' + b"1,a\n" * FIRST_BLOCK,
            r"t\.csv: a row after row \d+ is longer .* is a quote not closed\?",
        ),
        (b"PAR1\x15\x04", r"t\.csv: not CSV text: is this a Parquet file\? rename it"),
        (b"a,b\n1,\0\n", r"it holds NUL bytes: is this a Parquet file\?"),
        ("a,b\n1,2\n".encode("utf-16"), r"UTF-16 text; convert it"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), r"is this a compressed file\? rename it so that it ends in \.csv\.gz"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_foreign_text_is_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        rows_of(tmp_path / "t.csv")


def test_a_column_may_have_a_semicolon_in_its_name(tmp_path):
    (tmp_path / "t.csv").write_text("size; cm\n1.5\n2.5\n")
    assert open_source(tmp_path / "t.csv").schema.names == ["size; cm"]


def test_utf8_with_and_without_gzip(tmp_path):
    (tmp_path / "t.csv").write_text("café,b\n1,ü\n", encoding="utf-8")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    for name in ("t.csv", "t.csv.gz"):
        assert rows_of(tmp_path / name).to_pydict() == {"café": [1], "b": ["ü"]}


def test_words_among_numbers_whatever_is_declared(tmp_path):
    numbers = "".join(f"{i},c\n" for i in range(200))
    (tmp_path / "t.csv").write_text("x,word\n" + "1.5,a\n" * 16 + "n.a.,b\n" + numbers)
    for columns in (None, ["x"], {"x": "continuous"}, {"x": "general"}):
        column = TableTransformer(columns).fit(tmp_path / "t.csv").columns_["x"]
        assert column.kind == "mixed"
        assert "n.a." in [column.codec.show(one) for one in column.modal_values]


def test_a_line_for_excel_is_no_header(tmp_path):
    path = write(tmp_path, "sep=;\na;b\n1;2\n")
    with pytest.raises(InputError, match=r"the first line, sep=;, is for Excel alone; delete it"):
        open_source(path)


def test_columns_are_text_where_values_are_not_to_decide(tmp_path, caplog):
    path = tmp_path / "rows.csv"
    path.write_text("code;amount;day;empty\n+49;1,5;2024-01-05;\n1E5;-;05.01.2024;\n")
    assert str(open_source(path).schema.field("empty").type) == "null"
    assert "may be codes" in caplog.text
    caplog.clear()
    source = open_source(path, as_text=True)
    assert [str(field.type) for field in source.schema] == ["string"] * 4
    (block,) = source.blocks(source.schema.names, 10)
    assert block.batch.to_pydict() == {
        "code": ["+49", "1E5"],
        "amount": ["1,5", "-"],
        "day": ["2024-01-05", "05.01.2024"],
        "empty": [None, None],
    }
    assert not caplog.records


def test_values_are_not_read_before_they_are_asked_for(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n" + "x,y,z\n")
    with pytest.raises(InputError, match="row 2"):
        open_source(path)
    source = open_source([path], as_text=True)
    assert source.schema.names == ["a", "b"]
    with pytest.raises(InputError, match="row 2"):
        list(source.blocks(["a"], 10))


def test_no_row_decides_the_delimiter_of_text(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b;c\n1,2;3;4\n")
    assert open_source(path).schema.names == ["a", "b;c"]
    names = set()
    for row in ("1,2", "1;2;3", "1;2", ""):
        path.write_text(f"a;b;c,d\n{row}\n")
        names.add(tuple(open_source(path, as_text=True).schema.names))
    assert len(names) == 1
