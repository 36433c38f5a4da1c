"""CSV files of odd values: read value by value as pandas reads them, whatever the order of their rows and files."""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

import gpuvgm
from gpuvgm.io import open_source
from tests.harness.fuzz.csv_files import NULLS, typed
from tests.harness.fuzz.harness import Target, WrongResult
from tests.harness.fuzz.tables import difference
from tests.io.conftest import rows_of

Rows = list[list[str]]
VALUES: dict[str, Sequence[str]] = {
    "whole": ["0", "-7", "42", "1", "100", " 5 ", "-0"],
    "large": ["9007199254740992", "9007199254740993", "9223372036854775807", "-9223372036854775808"],
    "huge": ["9223372036854775808", "18446744073709551616", "1" + "0" * 30, "9" * 38, "9" * 39],
    "number": ["2.5", "-.5", "5.", "0.1", "1e-5", "3.14E+2", " 2.5", "1e400", "123456789.123456789", "5e-324"],
    "exponent": ["1E5", "1e05", "+49", "+0", "7e0"],
    "code": ["007", "0x1F", "00", "-01", "1_000", "1 000", "٣", "1f", "0b1"],
    "comma": ["1,234", "5,67", "0,123", "1,234,567", "-1,5", ",5"],
    "point": ["1.234", "5.678", "1.234.567"],
    "special": ["inf", "-inf", "NaN", "nan", "Infinity", "-nan", "INF"],
    "missing": ["", " ", "NA", "NULL", "null", "n/a", "\t", "None"],
    "boolean": ["true", "False", "TRUE", "fALSE", "yes"],
    "day": ["2024-01-31", "1969-12-31", "0001-01-01", "2024-02-30", "31.01.2024", " 2024-01-31"],
    "time": ["2024-01-31 10:00:00", "2024-01-31T10:00:00.25", "1600-01-01 00:00:00.000001", "2024-01-31 24:00:00"],
    "zoned": ["2024-01-31T10:00:00Z", "2024-01-31 10:00:00+02:00", "2024-03-31 02:30:00-0930"],
    "hour": ["10:00:00", "23:59:59.5", "25:00:00"],
    "word": ["a", "A", " a", "a ", "b,b", "c;c", 'd"d', "two\nlines", "two\r\nlines", "ä", "a\u0308", "\u2028", "'"],
}
FIRST = 30_000  # rows of a file that is longer than the block that pyarrow takes types from
LEAST = -(2**63)  # pandas takes it for its own mark of a missing value where another value of the column is missing


def columns_of(random: random.Random, rows: int) -> Rows:
    """Rows of two to five columns, each of one to three sorts of values."""
    columns = []
    for _ in range(random.randint(2, 5)):
        pool = [value for sort in random.sample([*VALUES], random.choice((1, 1, 2, 3))) for value in VALUES[sort]]
        few = random.sample(pool, min(len(pool), random.randint(1, 6)))
        columns.append(random.choices(few, k=rows))
    return [list(row) for row in zip(*columns, strict=True)]


def csv_text(header: Sequence[str], rows: Rows, delimiter: str, ends: str, *, quoted: bool) -> bytes:
    """The rows as text, in which what needs no quotes has none unless asked for."""
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, lineterminator=ends, quoting=quoting).writerows([header, *rows])
    return text.getvalue().encode()


def attempt(_: None, random: random.Random, folder: Path) -> None:
    """Read a file, its rows in another order, and the same rows in several files."""
    rows = columns_of(random, random.choice((1, 2, 5, 40)))
    if random.random() < 0.03:
        rows = [*rows[:1] * FIRST, *rows]
    header = [f"c{number}" for number in range(len(rows[0]))]
    delimiter, ends = random.choice(",,;\t|"), random.choice(("\n", "\n", "\r\n"))
    quoted = random.random() < 0.3

    def written(name: str, some: Rows) -> Path:
        body = csv_text(header, some, delimiter, ends, quoted=quoted)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
        return path

    path = written(random.choice(("odd.csv", "odd.csv.gz")), rows)
    found = rows_of(open_source(path, delimiter=delimiter))
    check_texts(found, path, delimiter, quoted=quoted)
    check_numbers(found, path, delimiter)
    order = random.sample(range(len(rows)), len(rows))
    marks = [{mark for value in column for mark in ",." if mark in value} for column in zip(*rows, strict=True)]
    most = 0 if {",", "."} in marks else 3  # each file may have a decimal mark of its own
    cuts = sorted(random.sample(range(len(rows) + 1), min(len(rows), random.randint(0, most))))
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        written(f"parts/odd-{number}.csv", [rows[row] for row in order[start:stop]])
    again = rows_of(open_source(folder / "parts", delimiter=delimiter))
    if text := difference(again, found.take(order).combine_chunks()):
        raise WrongResult(f"in another order and {len(cuts) + 1} files: {text}")
    if random.random() < 0.2:
        check_kept(found, path, delimiter, random)


def check_texts(found: pa.Table, path: Path, delimiter: str, *, quoted: bool) -> None:
    """Refuse values that are not what the texts say which pandas finds in the file."""
    texts = pd.read_csv(path, sep=delimiter, dtype=str, keep_default_na=False, skip_blank_lines=False)
    expected = {}
    for name in texts.columns:
        kind, column = found.schema.field(name).type, texts[name].tolist()
        try:
            expected[name] = typed(column, kind, quoted=quoted)
        except (ValueError, KeyError, ArithmeticError) as problem:
            raise WrongResult(f'column "{name}" is {kind}, which some of its texts are not: {problem}') from problem
    if text := difference(found, pa.table(expected)):
        raise WrongResult(f"another value than the text of the file: {text}")


def check_numbers(found: pa.Table, path: Path, delimiter: str) -> None:
    """Refuse other numbers than pandas', and text where all values are plain numbers."""
    frame = pd.read_csv(path, sep=delimiter, na_values=NULLS, float_precision="round_trip")
    for name in frame.columns:
        numbers, kind = frame[name], found.schema.field(name).type
        if numbers.dtype.kind not in "if" or pa.types.is_null(kind):
            continue
        if pa.types.is_string(kind):
            texts = found.column(name).drop_null().to_pylist()
            plain = all(text.strip(" ") == str(int(text)) for text in texts if text.strip().lstrip("-").isdigit())
            if texts and plain and all(text.strip().lstrip("-").isdigit() for text in texts):
                raise WrongResult(f'column "{name}" is text, and pandas and this file have whole numbers: {texts[:3]}')
        else:
            mine: Any = found.column(name).to_pylist()
            for row, (value, theirs) in enumerate(zip(mine, numbers, strict=True)):
                if value == LEAST and pd.isna(theirs):
                    continue
                if (value is None) != pd.isna(theirs) or (value is not None and float(value) != float(theirs)):
                    raise WrongResult(f'column "{name}", row {row}: {value!r}, and pandas has {theirs!r}')


def check_kept(found: pa.Table, path: Path, delimiter: str, random: random.Random) -> None:
    """Refuse values of columns of categories, and of those that are passed on, that do not come back."""
    kinds = {name: random.choice(("categorical", "pass")) for name in found.column_names}
    source = open_source(path, delimiter=delimiter)
    transformer = gpuvgm.TableTransformer(kinds, threads=1).fit(source)  # type: ignore[arg-type]
    if text := difference(transformer.inverse_transform(transformer.transform(source)), found):
        raise WrongResult(f"{kinds}: {text}")


TARGETS = (Target("csv-values", lambda _: None, attempt, named=("odd",)),)
