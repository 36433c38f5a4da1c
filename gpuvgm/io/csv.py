"""CSV files: read in blocks by pyarrow, and what is wrong with one said by row and column."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gpuvgm.errors import InputError, printable
from gpuvgm.io.block import trimmed
from gpuvgm.io.locations import Location, arrow_input, open_binary
from gpuvgm.io.source import Runs, check_runs
from gpuvgm.shortage import ARROW_PROBLEMS, damage_as, reason

LEADING_ZERO = r"\A[+-]?0[0-9]"  # of codes, which numbers would lose
BLANKS = [" " * count for count in range(1, 17)] + ["\t"]
NULLS = [*(pyarrow.csv.ConvertOptions().null_values or ()), *BLANKS]
WIDER: Mapping[pa.DataType, tuple[pa.DataType, ...]] = {
    pa.null(): (pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("s"), pa.timestamp("ns"), pa.string()),
    pa.int64(): (pa.float64(),),
    pa.bool_(): (pa.string(),),
    pa.date32(): (pa.timestamp("s"), pa.timestamp("ns"), pa.string()),
    pa.time32("s"): (pa.string(),),
    pa.timestamp("s"): (pa.timestamp("ns"), pa.string()),
    pa.timestamp("ns"): (pa.string(),),
}


@dataclass(frozen=True, slots=True)
class CsvPart:
    """A CSV file of a source.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file.
    schema : pyarrow.Schema
        Its columns, with the types that all files agree on.
    rows : int, optional
        Number of rows, where they were counted.
    """

    path: Location
    schema: pa.Schema
    rows: int | None = None
    sequential: ClassVar[bool] = True

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Read the columns through; batches follow pyarrow's blocks of 1 MiB of text."""
        types = {name: self.schema.field(name).type for name in columns}
        with damage_as(partial(csv_problem, self.path, types, NULLS)), open_csv(self.path, types) as reader:
            for batch in reader:
                yield blank_to_missing(batch)

    def between(self, columns: Sequence[str], batch_rows: int, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Read rows [start, stop), and those before them."""
        return trimmed(self.batches(columns, batch_rows), start, stop - start)

    def sample(self, columns: Sequence[str], runs: Runs) -> list[pa.RecordBatch]:
        """Refused: the number of rows is unknown."""
        check_runs(str(self.path), None, runs)
        return []


def open_csv(
    path: Location, types: Mapping[str, pa.DataType] | None = None, *, as_text: bool = False
) -> pyarrow.csv.CSVStreamingReader:
    """A streaming reader of these columns with these types; of all with inferred types by default."""
    convert = pyarrow.csv.ConvertOptions(
        null_values=NULLS,
        strings_can_be_null=as_text,
        column_types=dict(types or {}),
        include_columns=list(types or ()),
    )
    return pyarrow.csv.open_csv(
        arrow_input(path), parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True), convert_options=convert
    )


def blank_to_missing(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Text that is empty or white space becomes missing."""
    columns = list(batch.columns)
    for position, column in enumerate(columns):
        if pa.types.is_string(column.type):
            blank = pc.equal(pc.utf8_trim_whitespace(column), pa.scalar(""))
            if pc.any(blank).as_py():
                columns[position] = pc.if_else(blank, pa.scalar(None, column.type), column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def csv_parts(paths: Sequence[Location]) -> list[CsvPart]:
    """Open CSV files that form one table.

    Raises
    ------
    InputError
        Naming the file that cannot be read as CSV, with the row where there is one.
    """
    schemas = [first_types(path) for path in paths]
    types = starting_types(schemas)
    doubtful = {name: kind for name, kind in types.items() if kind in WIDER}
    for path, schema in zip(paths, schemas, strict=True):
        here = {name: kind for name, kind in doubtful.items() if name in schema.names and kind in WIDER}
        if here:
            doubtful.update(settled_types(path, here))
    types.update(doubtful)
    return [
        CsvPart(path, pa.schema([(name, types[name]) for name in schema.names]))
        for path, schema in zip(paths, schemas, strict=True)
    ]


def first_types(path: Location) -> pa.Schema:
    """Columns of a file and the types of their first values."""
    refuse_binary(path)
    with damage_as(partial(csv_problem, path, {}, NULLS)), open_csv(path) as reader:
        schema = reader.schema
    foreign = {field.name: pa.string() for field in schema if pa.types.is_binary(field.type)}
    if foreign:  # what pyarrow makes of text that is not UTF-8
        raise csv_problem(path, foreign, NULLS, InputError("not UTF-8 text"))
    return schema


def starting_types(schemas: Sequence[pa.Schema]) -> dict[str, pa.DataType]:
    """For each column the type in the first file that has a value in its first block."""
    types: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            if types.get(field.name, pa.null()) == pa.null():
                types[field.name] = field.type
    return types


def settled_types(path: Location, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Widen the types until they hold every value of the file; memory holds one block of text."""
    settled, strings = dict(types), dict.fromkeys(types, pa.string())
    with damage_as(partial(csv_problem, path, strings, NULLS)), open_csv(path, strings, as_text=True) as reader:
        for batch in reader:
            for name, kind in settled.items():
                if kind in WIDER:
                    settled[name] = widened(pc.utf8_trim_whitespace(batch.column(name)), kind)
    return settled


def widened(text: pa.Array[Any], kind: pa.DataType) -> pa.DataType:
    """The first of the type and its wider ones that every value fits; the widest where none does."""
    if text.null_count == len(text):
        return kind
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if pc.any(pc.match_substring_regex(text, LEADING_ZERO)).as_py():
            return pa.string()
    for candidate in (kind, *WIDER[kind]):
        if fits(text, candidate):
            return candidate
    return WIDER[kind][-1]


def fits(text: pa.Array[Any], kind: pa.DataType) -> bool:
    """Whether every value can be read as this type."""
    try:
        text.cast(kind)
    except ARROW_PROBLEMS:
        return False
    return True


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
