"""Where in a CSV file a value or row cannot be read."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gpuvgm.errors import InputError, printable
from gpuvgm.io.locations import Location, arrow_input, open_binary
from gpuvgm.io.source import reason
from gpuvgm.shortage import ARROW_PROBLEMS

SHOWN = 60
HEAD = 1 << 16
NOT_UTF8 = "not UTF-8 text; convert it, for example: iconv -f latin1 -t utf-8"
_MAGIC = {
    b"PAR1": ("a Parquet file", ".parquet"),
    b"ARRO": ("an Arrow file", ".arrow"),
    b"\x1f\x8b": ("a compressed file", ".csv.gz"),
}
_SEPARATORS = {b";": "semicolons", b"\t": "tabs", b"|": "vertical bars"}


def csv_problem(
    path: Location, types: Mapping[str, pa.DataType], nulls: Sequence[str], problem: Exception
) -> InputError:
    """The error for a CSV file that pyarrow refused, with column and row (counted from 1 after the header) if found."""
    if isinstance(problem, OSError) and problem.errno:
        return InputError(f"{path}: cannot be read: {os.strerror(problem.errno)}")
    place = ragged_row(path) or bad_value(path, types, nulls)
    return InputError(f"{path}: {place or f'not a readable CSV file ({reason(problem)})'}")


def refuse_binary(path: Location) -> None:
    """Refuse what is no text or has no readable header, which pyarrow may read as CSV all the same.

    Raises
    ------
    InputError
        Saying what it seems to be.
    """
    try:
        found = foreign_bytes(path) or bad_header(path) or other_separator(path)
    except OSError as problem:
        raise csv_problem(path, {}, (), problem) from problem
    if found:
        raise InputError(f"{path}: {found}")


def foreign_bytes(path: Location) -> str | None:
    """What a file is whose first bytes are not those of text."""
    with open_binary(path) as raw:
        start = raw.read(4)
    if path.suffix.lower() == ".csv":
        for magic, (kind, ending) in _MAGIC.items():
            if start.startswith(magic):
                return f"not CSV text: is this {kind}? rename it so that it ends in {ending}"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text; convert it, for example: iconv -f utf-16 -t utf-8"
    if b"\0" in first_bytes(path):
        return "not CSV text, it holds NUL bytes: is this a Parquet file? rename it so that it ends in .parquet"
    return None


def bad_header(path: Location) -> str | None:
    """The first line, where it is not UTF-8."""
    line = first_bytes(path).partition(b"\n")[0]
    if len(line) < HEAD:
        try:
            line.decode()
        except UnicodeDecodeError:
            return f"the header {_readable(line)!r} is {NOT_UTF8}"
    return None


def other_separator(path: Location) -> str | None:
    """What seems to separate the fields, where the header has no comma."""
    header, row, *_ = [*first_bytes(path).splitlines()[:2], b"", b""]
    if b"," in header or b'"' in header:
        return None
    for separator, name in _SEPARATORS.items():
        if separator in header and separator in row:
            return (
                f"the header {_readable(header)!r} has no comma, but {name}: fields are separated by commas, and "
                "numbers have a point; convert the file, or read it with pandas and pass the frame"
            )
    return None


def first_bytes(path: Location) -> bytes:
    """The start of the text; empty where it cannot be read."""
    try:
        with open_binary(path) as raw:
            file: Any = gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw
            return bytes(file.read(HEAD))
    except (OSError, EOFError, zlib.error):
        return b""


def ragged_row(path: Location) -> str | None:
    """The first row with more or fewer values than the header, or that is longer than what is read at a time."""
    found: list[str] = []
    done = 0

    def note(row: pyarrow.csv.InvalidRow) -> Literal["error"]:
        at = "a row" if row.number is None else f"row {row.number - 1}"
        text = _readable(row.text.encode("latin-1"))
        found.append(
            f"{at} has {_counted(row.actual_columns, 'value')}, the header has {row.expected_columns} ({text!r}); "
            "quote values that hold commas"
        )
        return "error"

    try:
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note)
        read = pyarrow.csv.ReadOptions(use_threads=False, encoding="latin-1")  # else text of other encodings fails
        with pyarrow.csv.open_csv(
            arrow_input(path), read, parse, pyarrow.csv.ConvertOptions(column_types={})
        ) as reader:
            for batch in reader:
                done += batch.num_rows
    except (*ARROW_PROBLEMS, OSError) as problem:
        if "straddling" in str(problem):
            found.append(
                f"a row after row {done} is longer than the 1 MiB of text that are read at a time; is a quote "
                "not closed?"
            )
    return found[0] if found else None


def bad_value(path: Location, types: Mapping[str, pa.DataType], nulls: Sequence[str]) -> str | None:
    """The first value that is not of its column's type."""
    if not types:
        return None
    convert = pyarrow.csv.ConvertOptions(
        null_values=list(nulls),
        strings_can_be_null=True,
        include_columns=list(types),
        column_types=dict.fromkeys(types, pa.binary()),
    )
    row = 1
    try:
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        with pyarrow.csv.open_csv(arrow_input(path), _serial(), parse, convert) as reader:
            for batch in reader:
                for name, kind in types.items():
                    at = first_unfit(batch.column(name), kind)
                    if at is not None:
                        return _described(name, row + at, batch.column(name)[at].as_py(), kind)
                row += batch.num_rows
    except (*ARROW_PROBLEMS, OSError):
        pass
    return None


def first_unfit(values: pa.Array[Any], kind: pa.DataType) -> int | None:
    """Position of the first value that cannot be read as the type, found by halving."""
    if _fits(values, kind):
        return None
    start, stop = 0, len(values)
    while stop - start > 1:
        middle = (start + stop) // 2
        if _fits(values.slice(start, middle - start), kind):
            start = middle
        else:
            stop = middle
    return start


def _fits(values: pa.Array[Any], kind: pa.DataType) -> bool:
    if pa.types.is_null(kind):
        return values.null_count == len(values)
    try:
        pc.utf8_trim_whitespace(values.cast(pa.string())).cast(kind)
    except ARROW_PROBLEMS:
        return False
    return True


def _described(column: str, row: int, value: bytes, kind: pa.DataType) -> str:
    shown, column = _readable(value), printable(column)
    if pa.types.is_string(kind):
        return f'column "{column}", row {row}: {shown!r} is {NOT_UTF8}'
    wanted = "a number" if kind in (pa.int64(), pa.float64()) else f"of type {kind}"
    return (
        f'column "{column}", row {row}: {shown!r} is not {wanted} as in the rows before; '
        "correct it, or leave the cell empty if it is missing"
    )


def _readable(text: bytes) -> str:
    return text[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _serial() -> pyarrow.csv.ReadOptions:
    return pyarrow.csv.ReadOptions(use_threads=False)
