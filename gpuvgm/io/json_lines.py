"""JSON lines: one object a line, read in blocks by pyarrow, and what is wrong with one said by line and column."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from gpuvgm.errors import InputError, printable, shortened
from gpuvgm.io.arrow import joined_arrays
from gpuvgm.io.block import rows_only
from gpuvgm.io.csv import foreign_bytes
from gpuvgm.io.locations import Location, open_text
from gpuvgm.io.remote import read_ahead
from gpuvgm.io.source import Part
from gpuvgm.io.text_blocks import LongRowError, begin_objects, byte_array, first_text, text_blocks, whole_lines
from gpuvgm.io.text_types import (
    BOOL,
    EXACT,
    FLOAT,
    LONG,
    MOMENTS,
    READINGS,
    SHORT,
    Reading,
    Text,
    parse,
    readings_of,
    trimmed,
    type_of_readings,
)
from gpuvgm.io.threads import in_order
from gpuvgm.shortage import ARROW_PROBLEMS, damage_as, reason

LONGEST_LINE = 1 << 24
MANY_BRACKETS = 1000  # a block with more may be nested so deeply that pyarrow overflows its stack
NUMBER, BOOLEAN, TEXT, LIST, OBJECT = "a number", "a boolean", "text", "a list", "an object"
HELD = {NUMBER: "numbers", BOOLEAN: "booleans", TEXT: TEXT}
ALL_WHOLE = 2.0**53  # the first float64 beyond which whole numbers are left out
Types = Mapping[str, pa.DataType]
Readings = Mapping[str, Sequence[Reading]]
NUMBERS = (SHORT, LONG, EXACT, FLOAT)
READ_AS: Mapping[str | None, Sequence[Reading]] = {NUMBER: NUMBERS, BOOLEAN: (BOOL,), TEXT: MOMENTS}


@dataclass(frozen=True, slots=True)
class JsonPart(Part):
    """A file of JSON lines of a source.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file.
    schema : pyarrow.Schema
        The columns of all files, with the types that all lines agree on.
    rows : int, optional
        Number of rows, where they were counted.
    """

    def read(
        self, columns: Sequence[str], batch_rows: int, groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read the columns through; batches follow blocks of 1 MiB of text."""
        types = {name: self.schema.field(name).type for name in columns}
        return in_order(lambda block: block.batch(types), read_blocks(self.path))


def json_parts(paths: Sequence[Location]) -> list[JsonPart]:
    """Open files of JSON lines that form one table; all are read through, for their columns and types.

    Raises
    ------
    InputError
        Naming the file that cannot be read as a table, with line and column where there are any.
    """
    readings: Readings = {}

    def narrowed(block: LineBlock) -> tuple[LineBlock, Readings, Readings | None]:
        """The block, the readings that it begins from, and what it leaves of them; None where it cannot be read so."""
        before = readings
        try:
            return block, before, block.narrowed(before)
        except InputError:
            return block, before, None

    for path in read_ahead(paths):
        for block, before, left in in_order(narrowed, read_blocks(path)):
            if left is None or before is not readings:  # the blocks between may have left fewer
                left = block.narrowed(readings)
            if left != readings:
                readings = left
    if not readings:
        raise InputError(f"{paths[0]}: holds no columns; write one JSON object a line")
    schema = pa.schema(list(types_of(readings).items()))
    return [JsonPart(path, schema) for path in paths]


def types_of(readings: Readings) -> dict[str, pa.DataType]:
    """Types of columns by what their values can be read as."""
    return {name: type_of_readings(left) for name, left in readings.items()}


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a file.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file.
    first_line : int
        Number of the first line, counted from 1.
    text : pyarrow.Buffer
        The lines.
    """

    path: Location
    first_line: int
    text: pa.Buffer

    def batch(self, types: Types) -> pa.RecordBatch:
        """The rows of these columns; keys that are not there are missing values."""
        parsed_as = {name: pa.string() if family(kind) == TEXT else kind for name, kind in types.items()}
        table = self.parsed(parsed_as, "ignore", types)
        if not types:
            return rows_only(table.num_rows)
        with damage_as(partial(self.problem, types)):
            columns = [
                parse(trimmed(joined_arrays(table.column(name).chunks, parsed_as[name]), kind), kind)
                for name, kind in types.items()
            ]
        return pa.RecordBatch.from_arrays(columns, names=list(types))

    def narrowed(self, before: Readings) -> dict[str, Sequence[Reading]]:
        """What the values of these lines and of those before can be read as.

        Raises
        ------
        InputError
            For lists and objects, for a column that holds numbers here and text there, and for whole numbers beyond
            what floating-point numbers hold exactly beside fractions.
        """
        known = types_of(before)
        given = {
            name: pa.string() if family(kind) == TEXT else kind
            for name, kind in known.items()
            if kind == FLOAT.type or family(kind) == TEXT
        }
        table = self.parsed(given, "infer", known)
        names = table.column_names  # in the order of the lines
        texts = {field.name: pa.string() for field in table.schema if family(field.type) == TEXT}
        # pyarrow makes timestamps of some, without fractions and zones; it refuses lists here
        if not texts.keys() <= given.keys():
            table = self.parsed(given | texts, "infer", known)
        readings = {name: before.get(name, READINGS) for name in [*before, *names]}
        for name in names:
            column = table.column(name)
            its = family(column.type)
            if len({its, family(known.get(name, pa.null()))} - {None}) > 1:
                raise self.problem(known)
            if column.null_count == len(column):
                continue
            left = tuple(reading for reading in readings[name] if reading in READ_AS[its])
            if its == TEXT:
                left = readings_of(column, left)
            readings[name] = self.number_readings(name, column, left) if its == NUMBER else left
        return readings

    def number_readings(self, name: str, column: Text, before: Sequence[Reading]) -> Sequence[Reading]:
        """What numbers of these lines and of those before can be read as, without a rounding of whole numbers.

        Raises
        ------
        InputError
            Where that is nothing.
        """
        if pa.types.is_integer(column.type):
            left = readings_of(column.cast(pa.string()), before)
        elif pc.any(pc.greater_equal(pc.abs(column), pa.scalar(ALL_WHOLE))).as_py():
            left = readings_of(pa.array([text for _, text in self.number_texts(name)], pa.string()), before)
        else:
            left = tuple(reading for reading in before if reading is FLOAT)
        return left or self.refuse_inexact(name, before)

    def number_texts(self, name: str) -> Iterator[tuple[int, str | None]]:
        """A column's numbers as they are written, with the numbers of their lines."""
        for number, line in self.lines():
            yield number, json.loads(line, parse_int=str, parse_float=str, parse_constant=str).get(name)

    def refuse_inexact(self, name: str, before: Sequence[Reading]) -> NoReturn:
        """Refuse the first number that has no type together with those before it."""
        left = before
        for line, text in self.number_texts(name):
            left = readings_of(pa.array([text], pa.string()), left)
            if not left:
                raise InputError(
                    f'{self.path}: line {line}, column "{shortened(printable(name))}": no type holds '
                    f"{shortened(str(text))} and the numbers before exactly (beside fractions whole numbers beyond "
                    "2^53 are rounded); write all of the column as text"
                )
        raise AssertionError(f"{self.path}: lines of {name} have a type one by one and none together")

    def parsed(self, types: Types, others: Literal["infer", "ignore"], before: Types) -> pa.Table:
        """The lines as a table: some columns of these types, all others inferred or left out.

        Raises
        ------
        InputError
            For lines that are not JSON, and for values that are not of the types that the columns had before.
        """
        signs = byte_array(self.text)  # whose comparisons leave Python's lock to others
        brackets = sum(np.count_nonzero(signs == ord(mark)) for mark in "[{") - np.count_nonzero(signs == ord("\n"))
        odd = not begin_objects(signs)  # at a line that is null pyarrow 26 ends the process
        if odd or (brackets > MANY_BRACKETS and self.first_problem(before)):
            raise self.problem(before)
        schema = pa.schema(list(types.items()))
        options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others)
        whole = pyarrow.json.ReadOptions(block_size=self.text.size + 1)
        ends: Any = np.array([0, self.text.size], np.int32)
        with damage_as(partial(self.problem, before)):
            pa.Array.from_buffers(pa.binary(), 1, [None, pa.py_buffer(ends), self.text]).cast(
                pa.string()
            )  # JSON's reader takes all
            text: Any = pa.BufferReader(self.text)  # the stubs want a file of Python
            return pyarrow.json.read_json(text, whole, options)

    def problem(self, before: Types, problem: Exception | None = None) -> InputError:
        """The error for lines that cannot be read."""
        found = self.first_problem(before) or self.unreadable_line()
        return InputError(f"{self.path}: {found or f'cannot be read from line {self.first_line} on ({problem})'}")

    def first_problem(self, before: Types) -> str | None:
        """The first thing that is wrong, with its line and column."""
        families = {name: family(kind) for name, kind in before.items()}
        for number, line in self.lines():
            found = wrong_line(line, families)
            if found:
                return f"line {number}{found}"
        return None

    def unreadable_line(self) -> str | None:
        """The first line that only pyarrow refuses: for a number beyond floats, or half of a letter."""
        for number, line in self.lines():
            try:
                text: Any = pa.BufferReader(line)
                pyarrow.json.read_json(text)
            except ARROW_PROBLEMS as problem:
                return f"line {number} cannot be read ({reason(problem).removesuffix(' in row 0')})"
        return None

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Lines that are not blank, with their numbers."""
        return ((i, line) for i, line in enumerate(bytes(self.text).splitlines(), self.first_line) if line.strip())


def read_blocks(path: Location) -> Iterator[LineBlock]:
    """The lines of a file, some at a time, decompressed where the name ends in .gz, without a byte-order mark."""
    first_line = 1

    def explain(problem: Exception) -> InputError:
        if isinstance(problem, LongRowError):
            return InputError(
                f"{path}: line {first_line} is longer than {LONGEST_LINE >> 20} MiB; write one object a line"
            )
        return InputError(f"{path}: cannot be read as JSON lines ({reason(problem)})")

    with damage_as(explain, EOFError, zlib.error), open_text(path) as file:
        start = first_text(file)
        foreign = foreign_bytes(path, start, "JSON lines")
        if foreign:
            raise InputError(f"{path}: {foreign}")
        for text in text_blocks(file, start, whole_lines, longest=LONGEST_LINE):
            if text.size:
                yield LineBlock(path, first_line, text)
            first_line += int(np.count_nonzero(byte_array(text) == ord("\n")))


def family(kind: pa.DataType) -> str | None:
    """What a value of a type is in JSON; None for columns without values."""
    if pa.types.is_null(kind):
        return None
    if pa.types.is_boolean(kind):
        return BOOLEAN
    return NUMBER if kind in [reading.type for reading in NUMBERS] else TEXT


class Pairs(list[tuple[str, Any]]):
    """Keys and values of a JSON object."""


_FAMILIES = {Pairs: OBJECT, list: LIST, str: TEXT, bool: BOOLEAN, int: NUMBER, float: NUMBER}


def wrong_line(line: bytes, families: dict[str, str | None]) -> str | None:
    """What is wrong with a line; it adds to `families` what each column holds."""
    try:
        row = json.loads(line.decode(), object_pairs_hook=Pairs)
    except UnicodeDecodeError:
        return " is not UTF-8 text; convert it, for example: iconv -f latin1 -t utf-8"
    except RecursionError:
        return " is nested too deeply; write single values"
    except ValueError as problem:
        return f" is not JSON ({problem}); write one object a line, as jq -c does"
    if not isinstance(row, Pairs):
        return f" is {_FAMILIES.get(type(row), 'null')}, not an object; for an array of objects: jq -c '.[]'"
    for position, (name, value) in enumerate(row):
        found = _wrong_value(value, families.get(name))
        if any(name == other for other, _ in row[:position]):
            found = "appears twice; keep one"
        if found:
            return f', column "{shortened(printable(name))}": {found}'
        families[name] = families.get(name) or _FAMILIES.get(type(value))
    return None


def _wrong_value(value: Any, before: str | None) -> str | None:
    now = _FAMILIES.get(type(value))
    if now in (LIST, OBJECT):
        return (
            f"{now} is not a single value; write its parts as columns of their own, or leave it out: jq -c 'del(...)'"
        )
    if now is None or before is None or now == before:
        return None
    shown = shortened(printable(json.dumps(value, ensure_ascii=False)))
    return (
        f"{shown} is {now}, the lines before hold {HELD[before]}; write all as one type, and null where none is known"
    )
