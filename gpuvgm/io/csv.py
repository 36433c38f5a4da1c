"""CSV files, read in blocks by pyarrow; errors name row and column.

Delimiters are those of each file's header: commas, semicolons, tabs or vertical bars; or the one that is given.
"""

from __future__ import annotations

import csv
import gzip
import io
import logging
import os
import re
import zlib
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice, starmap
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gpuvgm.errors import InputError, counted, printable
from gpuvgm.io.arrow import joined_arrays
from gpuvgm.io.block import rows_only
from gpuvgm.io.ipc import IPC
from gpuvgm.io.locations import Location, arrow_input, open_text
from gpuvgm.io.parquet import PARQUET
from gpuvgm.io.remote import read_ahead
from gpuvgm.io.source import Format, Part, TextOptions, check_unique
from gpuvgm.io.text_blocks import (
    BLOCK,
    BOM,
    LongRowError,
    byte_array,
    first_row,
    first_text,
    length_of_rows,
    plain_columns,
    text_blocks,
)
from gpuvgm.io.text_types import (
    CODES,
    COMMA_FLOAT,
    COMMA_GROUPS,
    FLOAT,
    POINT_GROUPS,
    READINGS,
    Text,
    TextReading,
    common_readings,
    parse,
    parse_or_null,
    readings_of,
    rule_of,
    type_of_readings,
)
from gpuvgm.io.threads import in_order
from gpuvgm.shortage import ARROW_PROBLEMS, damage_as, reason

_LOG = logging.getLogger("gpuvgm")
DELIMITERS = ",;\t|"
COMMAS, TABS = (".csv", ".csv.gz"), (".tsv", ".tsv.gz")  # endings; rows are written with commas
BLANKS = [" " * count for count in range(1, 17)] + ["\t"]
NULLS = [*(pyarrow.csv.ConvertOptions().null_values or ()), *BLANKS]
Readings = dict[str, tuple[TextReading, ...]]
_MARKS = "its {} may be of thousands or of decimals; write thousands without, decimals with two or four digits"
DOUBTS: Mapping[TextReading, str] = {
    CODES: 'values such as "+49" and "1E5" may be codes; if they are numbers, write one with a point, such as "1.0E5"',
    COMMA_GROUPS: _MARKS.format("commas"),
    POINT_GROUPS: _MARKS.format("points"),
}


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
    delimiter : str
        Separator of fields.
    decimal_commas : frozenset of str
        Columns of numbers with a comma before their decimal places.
    """

    delimiter: str = ","
    decimal_commas: frozenset[str] = frozenset()

    def read(
        self, columns: Sequence[str], batch_rows: int, groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read the columns in batches, one for each block of 1 MiB of text."""
        with damage_as(partial(csv_problem, self.path, self.delimiter, columns or self.stored(self.schema.names)[:1])):
            yield from in_order(self.batch_reader(columns), row_blocks(self.path, self.delimiter))

    def batch_reader(self, columns: Sequence[str]) -> Callable[[pa.Buffer], pa.RecordBatch]:
        """From rows of text with the header in front to a batch of the columns."""
        names = columns or self.stored(self.schema.names)[:1]
        types = {name: self.schema.field(name).type for name in names}
        types |= dict.fromkeys(self.decimal_commas.intersection(names), pa.string())

        def batch(text: pa.Buffer) -> pa.RecordBatch:
            table = parse_values(text, self.delimiter, types)
            if not columns:
                return rows_only(table.num_rows)
            pairs = zip(columns, arrays_of(table), strict=True)
            return pa.RecordBatch.from_arrays(list(starmap(self._to_values, pairs)), names=list(columns))

        return batch

    def _to_values(self, name: str, column: Text) -> Text:
        """A column with blank text as missing, and text with decimal commas as numbers."""
        if name in self.decimal_commas:
            return comma_numbers(column)
        return blank_to_missing(column) if pa.types.is_string(column.type) else column


def parse_options(delimiter: str, **options: Any) -> pyarrow.csv.ParseOptions:
    """Options for pyarrow."""
    # By default pyarrow expects no line ends within quoted values.
    return pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, **options)


def parse_values(text: pa.Buffer, delimiter: str, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Rows of these columns and types; a word for a missing value is one in quotes too, but for columns of text."""
    texts = {name: type_ for name, type_ in types.items() if pa.types.is_string(type_)}
    others = {name: type_ for name, type_ in types.items() if name not in texts}
    try:
        rows = parse_rows(text, delimiter, types, as_text=True, quoted=False)
        if not any(_has_nan(rows.column(name)) for name in others):
            return rows
    except pa.ArrowInvalid:  # such as a number that is "NA" in quotes
        if not others:
            raise
    tables = [parse_rows(text, delimiter, others)]
    if texts:
        tables.append(parse_rows(text, delimiter, texts, as_text=True, quoted=False))
    columns = {name: column for table in tables for name, column in zip(table.column_names, table.columns, strict=True)}
    return pa.table([columns[name] for name in types], names=list(types))


def _has_nan(column: pa.ChunkedArray[Any]) -> bool:
    """Whether some number is NaN, as pyarrow reads the word in quotes."""
    return pa.types.is_floating(column.type) and bool(pc.any(pc.is_nan(column)).as_py())


def parse_rows(
    text: pa.Buffer,
    delimiter: str,
    types: Mapping[str, pa.DataType] | None = None,
    *,
    as_text: bool = False,
    quoted: bool = True,
) -> pa.Table:
    """Rows with their header as a table.

    Parameters
    ----------
    text : pyarrow.Buffer
        The rows, with the header in front.
    delimiter : str
        Separator of fields.
    types : mapping of str to pyarrow.DataType, optional
        Columns, and their types; by default all, with inferred types.
    as_text : bool
        Whether text may be missing, too.
    quoted : bool
        Whether values in quotes may be missing.
    """
    convert = pyarrow.csv.ConvertOptions(
        null_values=NULLS,
        strings_can_be_null=as_text,
        quoted_strings_can_be_null=quoted,
        column_types=dict(types or {}),
        include_columns=list(types or ()),
    )
    return _parse_block(text, parse_options(delimiter), convert)


def _parse_block(
    text: pa.Buffer, options: pyarrow.csv.ParseOptions, convert: pyarrow.csv.ConvertOptions | None = None, **args: Any
) -> pa.Table:
    # Blocks are parsed side by side, each by one thread; text of another encoding is longer once it is UTF-8.
    read_options = pyarrow.csv.ReadOptions(use_threads=False, block_size=2 * text.size + 1, **args)
    file: Any = pa.BufferReader(text)  # the stubs want a file of Python
    return pyarrow.csv.read_csv(file, read_options, options, convert)


def arrays_of(table: pa.Table) -> Iterator[Text]:
    """The columns of a table that was read as one block, each as one array."""
    return (joined_arrays(column.chunks, column.type) for column in table.columns)


def row_blocks(path: Location, delimiter: str) -> Generator[pa.Buffer]:
    """Decompressed text of a file in blocks of whole rows, each with the header in front.

    A header without rows is given alone.

    Raises
    ------
    LongRowError
        For a row that does not end within what is read at a time.
    """
    with pa.input_stream(arrow_input(path)) as file:
        start = first_text(file)
        header = len(header_of(start, delimiter))
        yield from text_blocks(file, start, lambda text: length_of_rows(text, delimiter), header)


def header_of(text: bytes, delimiter: str) -> bytes:
    """The first row that is not empty, and what is before it; all of the text where that row does not end."""
    length = first_row(text, delimiter)
    # Shorter text is all of the file.
    if not length and len(text) >= BLOCK - len(BOM):
        raise LongRowError(f"the header is longer than {BLOCK >> 20} MiB")
    return text[:length] if length else text


def blank_to_missing(column: Text) -> Text:
    """Replace text that is empty or white space by missing values."""
    blank: Any = pc.or_(pc.equal(column, pa.scalar("")), pc.utf8_is_space(column))
    return pc.if_else(blank, pa.scalar(None, column.type), column) if pc.any(blank).as_py() else column


def are_missing(column: Text) -> Any:
    """Mark text that means a missing value where a column holds no text."""
    return pc.is_in(column, pa.array(NULLS))


def comma_numbers(column: Text) -> Text:
    """Parse text with decimal commas as numbers."""
    present = pc.if_else(are_missing(column), pa.scalar(None, column.type), column)
    return parse(pc.replace_substring(pc.ascii_trim_whitespace(present), ",", "."), FLOAT.type)


def csv_parts(paths: Sequence[Location], options: TextOptions) -> list[CsvPart]:
    """Open CSV files that form one table, with one delimiter, or each with that of its header.

    Raises
    ------
    InputError
        Naming the file that cannot be read as CSV, with the row where there is one.
    """
    if options.delimiter is not None:
        check_delimiter(options.delimiter)
    files = files_with_delimiters(paths, options.delimiter, by_header=options.as_text)
    readings: list[Readings] = []
    text: set[str] = set()
    for path, mark in files:
        readings.append(readings_of_file(path, mark, None if options.as_text else text))
        text.update(name for name, choices in readings[-1].items() if not choices)
    types = types_of_columns(files, readings)
    floats = {name for name, type_ in types.items() if type_ == FLOAT.type}
    has_commas = any(name in floats and FLOAT not in columns[name] for columns in readings for name in columns)
    return [
        CsvPart(
            path,
            pa.schema([(name, types[name]) for name in columns]),
            delimiter=mark,
            # Numbers without a mark have one where other files, and samples, have decimals.
            decimal_commas=frozenset(n for n in columns if has_commas and n in floats and COMMA_FLOAT in columns[n]),
        )
        for (path, mark), columns in zip(files, readings, strict=True)
    ]


CSV = Format("CSV", (*COMMAS, *TABS), csv_parts)


def files_with_delimiters(
    paths: Sequence[Location], delimiter: str | None, *, by_header: bool = False
) -> list[tuple[Location, str]]:
    """Files and their delimiters; a file of a header alone has one that gives the names of the first with rows."""
    headers = [(path, *delimiter_of(path, delimiter, by_header=by_header)) for path in read_ahead(paths)]
    names, usual = next(
        ((fields(header, mark), mark) for _, header, mark in headers if mark is not None), ([], DELIMITERS[0])
    )

    def splits(header: str) -> str:
        return next((mark for mark in DELIMITERS if sorted(fields(header, mark)) == sorted(names)), usual)

    return [(path, splits(header) if mark is None else mark) for path, header, mark in headers]


def readings_of_file(path: Location, delimiter: str, text: Collection[str] | None) -> Readings:
    """Possible readings of a file's columns; none of columns of text, in this file or in others: of all for None."""
    with damage_as(partial(csv_problem, path, delimiter, ())), pa.input_stream(arrow_input(path)) as file:
        header = header_of(first_text(file), delimiter)
        names = parse_rows(pa.py_buffer(header), delimiter).column_names
    check_unique(str(path), names)
    usual_readings = tuple(reading for reading in READINGS if delimiter != "," or reading is not COMMA_FLOAT)
    readings: Readings = {name: () if text is None or name in text else usual_readings for name in names}
    doubtful = [name for name in names if readings[name]]
    while doubtful:
        doubtful = narrow(readings, path, delimiter, doubtful, len(header))
    return readings


def narrow(readings: Readings, path: Location, delimiter: str, doubtful: Sequence[str], header: int) -> list[str]:
    """Narrow the readings of columns to those that all values have; memory holds a few blocks of text.

    Parameters
    ----------
    readings : dict
        Readings by column, in the order of the file, which are narrowed.
    path : pathlib.Path or RemoteFile
        The file.
    delimiter : str
        Separator of fields.
    doubtful : sequence of str
        Columns to look at.
    header : int
        Length of the file's header.

    Returns
    -------
    list of str
        Columns to start again with, where most turned out to be text, which needs no reading.
    """

    def readings_in(text: pa.Buffer) -> list[tuple[TextReading, ...]]:
        before = {name: readings[name] if name in doubtful else () for name in readings}
        # Values that change no reading, which most are, are told without parsing them.
        rules = [rule_of(choices) for choices in before.values()]
        are_plain = dict(zip(before, plain_columns(byte_array(text)[header:], delimiter, rules), strict=True))
        names = [name for name in doubtful if before[name] and not are_plain[name]]
        types = dict.fromkeys(names, pa.string())
        columns = arrays_of(parse_rows(text, delimiter, types, as_text=True)) if names else iter(())
        in_block = {name: readings_of(column, before[name]) for name, column in zip(names, columns, strict=True)}
        return [in_block.get(name, before[name]) for name in doubtful]

    with (
        damage_as(partial(csv_problem, path, delimiter, doubtful)),
        # Closing ends the threads when the loop returns early.
        closing(in_order(readings_in, row_blocks(path, delimiter))) as blocks,
    ):
        for block_readings in blocks:
            for name, choices in zip(doubtful, block_readings, strict=True):
                readings[name] = tuple(reading for reading in readings[name] if reading in choices)
            names = [name for name in doubtful if readings[name]]
            if 2 * len(names) <= len(doubtful):
                return names
    return []


def types_of_columns(files: Sequence[tuple[Location, str]], by_file: Sequence[Readings]) -> dict[str, pa.DataType]:
    """Types that hold all values of the columns in all files; warns of columns of text that may be numbers."""
    names = dict.fromkeys(name for readings in by_file for name in readings)
    mixed = [readings for (_, delimiter), readings in zip(files, by_file, strict=True) if delimiter != ","]
    commas = any(_are_decimal_commas([readings[name] for readings in mixed if name in readings]) for name in names)
    types = {}
    for name in names:
        of_all, of_mixed = ([readings[name] for readings in part if name in readings] for part in (by_file, mixed))
        readings = common_readings(of_all)
        if FLOAT in readings:
            numbers = [reading for reading in readings if reading not in (COMMA_GROUPS, POINT_GROUPS)]
            doubts = [COMMA_GROUPS] * _may_be_thousands(of_all, COMMA_GROUPS, COMMA_FLOAT, FLOAT)
            doubts += [POINT_GROUPS] * (commas and _may_be_thousands(of_mixed, POINT_GROUPS, FLOAT, COMMA_FLOAT))
            readings = doubts + numbers
            if readings[0] in DOUBTS:
                doubt = DOUBTS[readings[0]]
                _LOG.warning('%s: column "%s" is read as text: %s', files[0][0], printable(name), doubt)
        types[name] = type_of_readings(readings)
    return types


def _are_decimal_commas(parts: Sequence[Sequence[TextReading]]) -> bool:
    """Return whether all values of a column can be read as numbers with decimal commas, and in no way before."""
    candidates = [reading for reading in READINGS if all(reading in part for part in parts)]
    return bool(parts) and candidates[:1] == [COMMA_FLOAT]


def _may_be_thousands(
    parts: Sequence[Sequence[TextReading]], groups: TextReading, floats: TextReading, opposite: TextReading
) -> bool:
    """Return whether a column has marks, and all of them may separate thousands."""
    candidates = [part for part in parts if floats in part and opposite not in part]
    return bool(candidates) and all(groups in part for part in candidates)


def delimiter_of(path: Location, delimiter: str | None = None, *, by_header: bool = False) -> tuple[str, str | None]:
    """Header and delimiter of a file: the one given, or one that splits header and first row into equally many.

    Commas are preferred; None where no delimiter splits both, as in a file without rows. With `by_header` no row is
    asked.

    Raises
    ------
    InputError
        For a file that is no text, saying what it seems to be, and for a delimiter that does not split the header.
    """
    text = start_of_text(path).decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split(r"\r\n|\r|\n", text, maxsplit=2)
    if re.fullmatch("sep=.", lines[0]):
        raise InputError(f"{path}: the first line, {lines[0]}, is for Excel alone; delete it to read the rest")
    if delimiter is None:
        delimiter = "\t" if path.name.lower().endswith(TABS) else _delimiter_of(text, by_header=by_header)
    elif len(fields(lines[0], delimiter)) < 2:
        raise InputError(
            f"{path}: the delimiter {delimiter!r} does not split the header {lines[0][:SHOWN]!r}; give the one that "
            "does, or none, so that gpuvgm finds it"
        )
    note_numbers(path, fields(lines[0], delimiter or DELIMITERS[0]))
    return lines[0], delimiter


def check_delimiter(delimiter: str) -> None:
    """Refuse a delimiter that cannot stand between two fields.

    Raises
    ------
    InputError
        For all but one ASCII character other than a quote, a letter, a digit or a line's end.
    """
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter.isalnum() or delimiter in '"\r\n\0':
        raise InputError(f"{delimiter!r} is no delimiter; give one character, such as a semicolon")


def _delimiter_of(text: str, *, by_header: bool) -> str | None:
    counts = {}
    for delimiter in DELIMITERS:
        header, row = [*islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 2), [], []][:2]
        counts[delimiter] = len(header), len(header if by_header else row)
    alike = [delimiter for delimiter, (names, values) in counts.items() if names == values > 1]
    split = [delimiter for delimiter, (names, values) in counts.items() if min(names, values) > 1]
    return next(iter([*alike, *split]), None)


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


_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
SHOWN = 60
HEAD = 1 << 16
NOT_UTF8 = "not UTF-8 text; convert it, for example: iconv -f latin1 -t utf-8"
GZIP_MAGIC = b"\x1f\x8b"


def csv_problem(path: Location, delimiter: str, columns: Sequence[str], problem: Exception) -> InputError:
    """The error for a CSV file that pyarrow refused, with column and row (from 1 after the header) where known."""
    if isinstance(problem, OSError) and problem.errno:
        return InputError(f"{path}: cannot be read: {os.strerror(problem.errno)}")
    place = ragged_row(path, delimiter) or foreign_value(path, delimiter, columns)
    message = re.sub(r"Row #\d+: ", "", reason(problem))  # counted from the beginning of a block
    return InputError(f"{path}: {place or f'not a readable CSV file ({message})'}")


def start_of_text(path: Location) -> bytes:
    """Read the first bytes, and refuse what pyarrow may read as CSV though it is no text, or has no header.

    Raises
    ------
    InputError
        Naming the format that the file seems to have.
    """
    try:
        with open_text(path) as file:
            text = bytes(file.read(HEAD))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        text = b""  # pyarrow says what is wrong with it
    except OSError as problem:
        raise csv_problem(path, DELIMITERS[0], (), problem) from problem
    fault = foreign_bytes(path, text) or bad_header(text)
    if fault:
        raise InputError(f"{path}: {fault}")
    return text


def foreign_bytes(path: Location, text: bytes) -> str | None:
    """Describe a file whose first bytes are not those of text; None for text."""
    if path.suffix.lower() != ".gz":
        for form, kind in ((PARQUET, "a Parquet file"), (IPC, "an Arrow file")):
            if text.startswith(form.magic):
                return f"not CSV text: is this {kind}? rename it so that it ends in {form.endings[0]}"
        if text.startswith(GZIP_MAGIC):
            return f"not CSV text: is this a compressed file? rename it so that it ends in {path.suffix}.gz"
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text; convert it, for example: iconv -f utf-16 -t utf-8"
    if b"\0" in text:
        return "not CSV text, it holds NUL bytes: is this a Parquet file? rename it so that it ends in .parquet"
    return None


def bad_header(text: bytes) -> str | None:
    """Describe a header that is not UTF-8; None for one that is."""
    line = text.partition(b"\n")[0]
    if len(line) < HEAD:
        try:
            line.decode()
        except UnicodeDecodeError:
            return f"the header {_readable(line)!r} is {NOT_UTF8}"
    return None


def ragged_row(path: Location, delimiter: str) -> str | None:
    """Describe the first row with more or fewer values than the header, or longer than a block."""
    messages: list[str] = []
    count = 0

    def note(row: pyarrow.csv.InvalidRow) -> Literal["error"]:
        at = "a row" if row.number is None else f"row {count + row.number - 1}"
        text = _readable(row.text.encode("latin-1"))  # the bytes of the file, whatever its encoding
        may_name = at == "row 1" and row.actual_columns == row.expected_columns + 1
        messages.append(
            f"{at} has {counted(row.actual_columns, 'value')}, the header has {row.expected_columns} ({text!r}); "
            f"quote values that hold {_NAMES.get(delimiter, repr(delimiter))}"
            + ", or, if the first value is the row's name, as R's write.table has it, write row.names=FALSE"
            * may_name
        )
        return "error"

    try:
        options = parse_options(delimiter, invalid_row_handler=note)
        for text in row_blocks(path, delimiter):
            # Latin-1 has a letter for every byte, so that text of any encoding can be read.
            count += _parse_block(text, options, encoding="latin-1").num_rows
    except LongRowError:
        messages.append(
            f"a row after row {count} is longer than the {BLOCK >> 20} MiB of text that are read at a time; is a quote "
            "not closed?"
        )
    except (*ARROW_PROBLEMS, OSError):
        pass
    return messages[0] if messages else None


def foreign_value(path: Location, delimiter: str, columns: Sequence[str]) -> str | None:
    """Describe the first value that is not UTF-8."""
    if not columns:
        return None
    row = 1
    try:
        for text in row_blocks(path, delimiter):
            table = parse_rows(text, delimiter, dict.fromkeys(columns, pa.binary()))
            for name, values in zip(columns, arrays_of(table), strict=True):
                foreign = parse_or_null(values, pa.string()).is_null()
                if pc.any(foreign).as_py():
                    at = pc.index(foreign, pa.scalar(value=True)).as_py()
                    excerpt = _readable(values[at].as_py())
                    return f'column "{printable(name)}", row {row + at}: {excerpt!r} is {NOT_UTF8}'
            row += table.num_rows
    except (*ARROW_PROBLEMS, OSError):
        pass
    return None


def _readable(text: bytes) -> str:
    return text[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN]
