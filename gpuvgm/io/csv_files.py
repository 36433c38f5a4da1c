"""CSV files, plain or gzip: read in batches, with one type per column over all files.

pyarrow infers types from the first block of a file, which later rows may contradict. Columns whose first values are
whole numbers, dates, booleans or blank are therefore read through once when the source is opened (as text, in bounded
memory), and widened where needed: whole numbers to float64, dates to timestamps, timestamps to nanoseconds, anything
but a number to text. A number column stays one: text in it is an error that names file, column and row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gpuvgm.errors import InputError
from gpuvgm.io.block import trimmed
from gpuvgm.io.csv_problems import csv_problem, refuse_binary
from gpuvgm.io.locations import Location, arrow_input
from gpuvgm.io.source import Runs, check_runs
from gpuvgm.shortage import ARROW_PROBLEMS, damage_as

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
    """

    path: Location
    schema: pa.Schema
    rows: int | None = None

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
