"""CSV files: read in blocks by pyarrow, and what is wrong with one said by row and column.

Delimiters are those of each file's header: commas, semicolons, tabs or vertical bars; or the one that is given.
"""

from __future__ import annotations

import csv
import gzip
import logging
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gpuvgm.errors import InputError, counted, printable
from gpuvgm.io.locations import Location, arrow_input, open_text
from gpuvgm.io.remote import read_ahead
from gpuvgm.io.source import Part
from gpuvgm.io.text_types import parse_or_null, type_of_text
from gpuvgm.shortage import ARROW_PROBLEMS, damage_as, reason

_LOG = logging.getLogger("gpuvgm")
DELIMITERS = ",;\t|"
COMMA_NUMBER, POINT_NUMBER = re.compile(r"[+-]?\d+,\d+"), re.compile(r"[+-]?\d+\.\d+")
BLANKS = [" " * count for count in range(1, 17)] + ["\t"]
NULLS = [*(pyarrow.csv.ConvertOptions().null_values or ()), *BLANKS]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file writes rows and numbers.

    Parameters
    ----------
    delimiter : str
        What stands between two fields.
    decimal_point : str
        A point or a comma.
    """

    delimiter: str = ","
    decimal_point: str = "."

    def parse_options(self, **options: Any) -> pyarrow.csv.ParseOptions:
        """Options for pyarrow."""
        return pyarrow.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True, **options)


PLAIN = Dialect()


@dataclass(frozen=True, slots=True)
class CsvPart(Part):
    """A CSV file of a source.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file.
    schema : pyarrow.Schema
        Its columns, with the types that all files agree on.
    rows : int, optional
        Number of rows, where they were counted.
    dialect : Dialect
        How it is written.
    """

    dialect: Dialect = PLAIN

    def read(
        self, columns: Sequence[str], batch_rows: int, groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read the columns through; batches follow pyarrow's blocks of 1 MiB of text."""
        types = {name: self.schema.field(name).type for name in columns}
        problem = partial(csv_problem, self.path, self.dialect, columns)
        with damage_as(problem), open_csv(self.path, self.dialect, types) as reader:
            for batch in reader:
                yield blank_to_missing(batch)


def open_csv(
    path: Location, dialect: Dialect, types: Mapping[str, pa.DataType] | None = None, *, as_text: bool = False
) -> pyarrow.csv.CSVStreamingReader:
    """A streaming reader of these columns with these types; of all with inferred types by default."""
    convert = pyarrow.csv.ConvertOptions(
        null_values=NULLS,
        strings_can_be_null=as_text,
        column_types=dict(types or {}),
        include_columns=list(types or ()),
        decimal_point=dialect.decimal_point,
    )
    return pyarrow.csv.open_csv(arrow_input(path), parse_options=dialect.parse_options(), convert_options=convert)


def blank_to_missing(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Text that is empty or white space becomes missing."""
    columns = list(batch.columns)
    for position, column in enumerate(columns):
        if pa.types.is_string(column.type):
            blank = pc.equal(pc.utf8_trim_whitespace(column), pa.scalar(""))
            if pc.any(blank).as_py():
                columns[position] = pc.if_else(blank, pa.scalar(None, column.type), column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def csv_parts(paths: Sequence[Location], delimiter: str | None = None) -> list[CsvPart]:
    """Open CSV files that form one table, with this delimiter, or each with the one of its header.

    Raises
    ------
    InputError
        Naming the file that cannot be read as CSV, with the row where there is one.
    """
    if delimiter is not None:
        check_delimiter(delimiter)
    dialects = [dialect_of(path, delimiter) for path in read_ahead(paths)]
    schemas = [first_types(path, dialect) for path, dialect in zip(paths, dialects, strict=True)]
    types: dict[str, pa.DataType] = {field.name: pa.null() for schema in schemas for field in schema}
    types |= {field.name: field.type for schema in schemas for field in schema if pa.types.is_string(field.type)}
    files = list(zip(paths, dialects, schemas, strict=True))
    for path, dialect, schema in files:
        types |= widen_types(path, dialect, {name: types[name] for name in schema.names})
    return [
        CsvPart(path, pa.schema([(name, types[name]) for name in schema.names]), dialect=dialect)
        for path, dialect, schema in files
    ]


def dialect_of(path: Location, delimiter: str | None = None) -> Dialect:
    """Delimiter and decimal point of a file, by its header and its first rows.

    If none is given, the delimiter is the one that splits the header and the first row into as many fields, before all
    a comma. Where it is no comma, numbers have a decimal comma if some of the first rows' do, and none of them a point.

    Raises
    ------
    InputError
        For a file that is no text, saying what it seems to be, and for a delimiter that does not split the header.
    """
    lines = re.split(r"\r\n|\r|\n", start_of_text(path).decode("utf-8", "replace").removeprefix("\ufeff"))
    if delimiter is None:
        delimiter = "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else _delimiter_of(lines)
    elif len(fields(lines[0], delimiter)) < 2:
        raise InputError(
            f"{path}: the delimiter {delimiter!r} does not split the header {lines[0][:SHOWN]!r}; give the one that "
            "does, or none, so that gpuvgm finds it"
        )
    note_numbers(path, fields(lines[0], delimiter))
    if delimiter == ",":
        return PLAIN
    values = [value for line in lines[1:-1] for value in fields(line, delimiter)]
    has_commas = any(map(COMMA_NUMBER.fullmatch, values)) and not any(map(POINT_NUMBER.fullmatch, values))
    return Dialect(delimiter, "," if has_commas else ".")


def check_delimiter(delimiter: str) -> None:
    """Refuse what cannot stand between two fields.

    Raises
    ------
    InputError
        For all but one ASCII character other than a quote, a letter, a digit or a line's end.
    """
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter.isalnum() or delimiter in '"\r\n\0':
        raise InputError(f"{delimiter!r} is no delimiter; give one character, such as a semicolon")


def _delimiter_of(lines: Sequence[str]) -> str:
    header, row = [*lines[:2], "", ""][:2]
    counts = {delimiter: (len(fields(header, delimiter)), len(fields(row, delimiter))) for delimiter in DELIMITERS}
    alike = [delimiter for delimiter, (names, values) in counts.items() if names == values > 1]
    split = [delimiter for delimiter, (names, values) in counts.items() if min(names, values) > 1]
    return next(iter([*alike, *split]), ",")


def fields(line: str, delimiter: str) -> list[str]:
    """Fields of a line of text."""
    return next(csv.reader([line], delimiter=delimiter), [])


def note_numbers(path: Location, names: Sequence[str]) -> None:
    """Warn of a file that seems to have no header: one of its names is a number with a fraction or a sign."""
    number = next((name for name in names if re.fullmatch(r"[+-]?\d*[.,]\d+|[+-]\d+", name.strip())), None)
    if number is not None:
        _LOG.warning(
            "%s: the header holds the number %s; if the file has no header, add a first line with the column names",
            path,
            number,
        )


def first_types(path: Location, dialect: Dialect) -> pa.Schema:
    """Columns of a file and the types of their first values."""
    with damage_as(partial(csv_problem, path, dialect, ())), open_csv(path, dialect) as reader:
        schema = reader.schema
    foreign = [field.name for field in schema if pa.types.is_binary(field.type)]
    if foreign:  # what pyarrow makes of text that is not UTF-8
        raise csv_problem(path, dialect, foreign, InputError("not UTF-8 text"))
    return schema


def widen_types(path: Location, dialect: Dialect, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Types that hold every value of the file, and those before; memory holds one block of text."""
    wide = dict(types)
    doubtful = [name for name, kind in types.items() if not pa.types.is_string(kind)]
    if not doubtful:
        return wide
    problem = partial(csv_problem, path, dialect, doubtful)
    with damage_as(problem), open_csv(path, dialect, dict.fromkeys(doubtful, pa.string()), as_text=True) as reader:
        for batch in reader:
            for name in doubtful:
                wide[name] = type_of_text(batch.column(name), wide[name], decimal_point=dialect.decimal_point)
    return wide


_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
SHOWN = 60
HEAD = 1 << 16
NOT_UTF8 = "not UTF-8 text; convert it, for example: iconv -f latin1 -t utf-8"
_MAGIC = {
    b"PAR1": ("a Parquet file", ".parquet"),
    b"ARRO": ("an Arrow file", ".arrow"),
    b"\x1f\x8b": ("a compressed file", "{}.gz"),
}


def csv_problem(path: Location, dialect: Dialect, columns: Sequence[str], problem: Exception) -> InputError:
    """The error for a CSV file that pyarrow refused, with column and row (counted from 1 after the header) if found."""
    if isinstance(problem, OSError) and problem.errno:
        return InputError(f"{path}: cannot be read: {os.strerror(problem.errno)}")
    place = ragged_row(path, dialect) or foreign_value(path, dialect, columns)
    return InputError(f"{path}: {place or f'not a readable CSV file ({reason(problem)})'}")


def start_of_text(path: Location) -> bytes:
    """The first bytes; refuses what is no text or has no readable header, which pyarrow may read as CSV all the same.

    Raises
    ------
    InputError
        Saying what it seems to be.
    """
    try:
        with open_text(path) as file:
            text = bytes(file.read(HEAD))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        text = b""  # pyarrow says what is wrong with it
    except OSError as problem:
        raise csv_problem(path, PLAIN, (), problem) from problem
    found = foreign_bytes(path, text) or bad_header(text)
    if found:
        raise InputError(f"{path}: {found}")
    return text


def foreign_bytes(path: Location, text: bytes, wanted: str = "CSV text") -> str | None:
    """What a file is whose first bytes are not those of text."""
    if path.suffix.lower() != ".gz":
        for magic, (kind, ending) in _MAGIC.items():
            if text.startswith(magic):
                name = ending.format(path.suffix)
                return f"not {wanted}: is this {kind}? rename it so that it ends in {name}"
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text; convert it, for example: iconv -f utf-16 -t utf-8"
    if b"\0" in text:
        return f"not {wanted}, it holds NUL bytes: is this a Parquet file? rename it so that it ends in .parquet"
    return None


def bad_header(text: bytes) -> str | None:
    """The first line, where it is not UTF-8."""
    line = text.partition(b"\n")[0]
    if len(line) < HEAD:
        try:
            line.decode()
        except UnicodeDecodeError:
            return f"the header {_readable(line)!r} is {NOT_UTF8}"
    return None


def ragged_row(path: Location, dialect: Dialect) -> str | None:
    """The first row with more or fewer values than the header, or that is longer than what is read at a time."""
    found: list[str] = []
    done = 0

    def note(row: pyarrow.csv.InvalidRow) -> Literal["error"]:
        at = "a row" if row.number is None else f"row {row.number - 1}"
        text = _readable(row.text.encode("latin-1"))
        found.append(
            f"{at} has {counted(row.actual_columns, 'value')}, the header has {row.expected_columns} ({text!r}); "
            f"quote values that hold {_NAMES.get(dialect.delimiter, repr(dialect.delimiter))}"
        )
        return "error"

    try:
        parse = dialect.parse_options(invalid_row_handler=note)
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


def foreign_value(path: Location, dialect: Dialect, columns: Sequence[str]) -> str | None:
    """The first value that is not UTF-8."""
    if not columns:
        return None
    row = 1
    try:
        with open_csv(path, dialect, dict.fromkeys(columns, pa.binary())) as reader:
            for batch in reader:
                for name, values in zip(columns, batch.columns, strict=True):
                    foreign = parse_or_null(values, pa.string()).is_null()
                    if pc.any(foreign).as_py():
                        at = pc.index(foreign, pa.scalar(value=True)).as_py()
                        shown = _readable(values[at].as_py())
                        return f'column "{printable(name)}", row {row + at}: {shown!r} is {NOT_UTF8}'
                row += batch.num_rows
    except (*ARROW_PROBLEMS, OSError):
        pass
    return None


def _readable(text: bytes) -> str:
    return text[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN]
