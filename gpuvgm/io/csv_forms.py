"""How a CSV file is written: found in its first rows, and kept, so that CSV with rows like its own looks like it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.errors import InputError
from gpuvgm.io.arrow import is_text_type, plain_type
from gpuvgm.io.csv import (
    NULLS,
    CsvPart,
    are_missing,
    arrays_of,
    check_delimiter,
    csv_problem,
    header_of,
    parse_rows,
    row_blocks,
)
from gpuvgm.io.locations import arrow_input
from gpuvgm.io.text_blocks import BLOCK, BOM
from gpuvgm.io.text_types import Text
from gpuvgm.shortage import ARROW_PROBLEMS, damage_as

MOST_PLACES = 6  # of decimals, which Arrow writes without an exponent
WORDS = (("TRUE", "FALSE"), ("True", "False"))  # Arrow writes the others
_MICROSECONDS = 6


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How a CSV file is written, where Arrow would write it otherwise.

    Parameters
    ----------
    delimiter : str
        Separator of fields.
    line_end : str
        End of each line.
    quoted : bool
        Whether all text is quoted, not only what has to be.
    commas : list of str
        Columns of numbers with a comma before their decimal places.
    places : dict of str to int
        Decimal places that all numbers of a column have.
    words : dict of str to list of str
        Words of a column's booleans, true and false.
    moments : dict of str to list
        What stands between date and time in a column, and how many decimal places its seconds have.
    missing : str
        What most missing values of columns that hold no text are written as, such as NA.
    marked : bool
        Whether the file begins with a mark of its encoding, by which spreadsheets know UTF-8.
    """

    delimiter: str = ","
    line_end: str = "\n"
    quoted: bool = True
    commas: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    moments: dict[str, list[Any]] = field(default_factory=dict)
    missing: str = ""
    marked: bool = False

    @classmethod
    def of_part(cls, part: CsvPart) -> Self:
        """The form of a file, by its first block of rows."""
        names = part.stored(part.schema.names)
        with damage_as(partial(csv_problem, part.path, part.delimiter, names)):
            with pa.input_stream(arrow_input(part.path)) as file:
                marked = file.read(len(BOM)) == BOM
            with closing(row_blocks(part.path, part.delimiter)) as blocks:
                text = next(blocks)
            table = parse_rows(text, part.delimiter, dict.fromkeys(names, pa.string()))
        header = header_of(bytes(text[:BLOCK]), part.delimiter).lstrip(b"\r\n")
        line_end = "\r\n" if header.endswith(b"\r\n") else "\n"
        form = cls(part.delimiter, line_end, header.startswith(b'"'), sorted(part.decimal_commas), marked=marked)
        words = Counter[str]()
        for name, column in zip(names, arrays_of(table), strict=True):
            type_, lacks = part.schema.field(name).type, are_missing(column)
            form._look_at(name, type_, pc.ascii_trim_whitespace(column.filter(pc.invert(lacks))))
            if not is_text_type(type_):
                words.update(column.filter(lacks).to_pylist())
        return replace(form, missing=max(words, key=lambda word: words[word], default=""))

    def _look_at(self, name: str, type_: pa.DataType, texts: Text) -> None:
        """Note how the texts of a column are written."""
        first = texts[0].as_py() if len(texts) else ""
        if pa.types.is_floating(type_):
            mark = "," if name in self.commas else "."
            places = len(first.partition(mark)[2])
            if 0 < places <= MOST_PLACES and _match(texts, rf"[+-]?\d*[{mark}]\d{{{places}}}"):
                self.places[name] = places
        elif pa.types.is_boolean(type_):
            words = next((pair for pair in WORDS if first in pair), None)
            if words is not None and _match(texts, "|".join(words)):
                self.words[name] = [*words]
        elif pa.types.is_timestamp(type_) and (
            found := re.match(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d+)?", first)
        ):
            fraction = len(found[2] or ".") - 1
            decimals = rf"\.\d{{{fraction}}}" if fraction else ""
            if _match(texts, rf"[0-9-]{{10}}{found[1]}[0-9:]{{8}}{decimals}([Zz]|[+-][0-9:]+)?"):
                self.moments[name] = [found[1], fraction]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The form that `to_json` gave.

        Raises
        ------
        InputError
            For what it did not give.
        """
        try:
            form = cls(**document)
            check_delimiter(form.delimiter)
            if form.missing not in ("", *NULLS):
                raise TypeError
        except (TypeError, InputError):
            raise InputError("the model does not say how its CSV file was written: it was changed; fit again") from None
        return form

    def to_json(self) -> dict[str, Any]:
        """The form as a document of JSON."""
        return asdict(self)

    def header(self, names: list[str]) -> bytes:
        """The line of the columns' names."""
        line = self.delimiter.join(self._field(pa.array(names)).to_pylist()) + self.line_end
        return (BOM if self.marked else b"") + line.encode()

    def lines(self, rows: pa.RecordBatch) -> memoryview:
        """Rows as text."""
        pairs = zip(rows.schema.names, rows.columns, strict=True)
        texts = [self._field_text(name, column) for name, column in pairs]
        fields: Any = pc.binary_join_element_wise(*texts, self.delimiter)
        lines = pc.binary_join_element_wise(fields, self.line_end, "").cast(pa.large_string())
        _, offsets, body = lines.buffers()
        ends = memoryview(offsets).cast("q")
        return memoryview(body)[ends[lines.offset] : ends[lines.offset + len(lines)]] if body else memoryview(b"")

    def _field_text(self, name: str, column: pa.Array[Any]) -> Text:
        """A column as the texts of its fields; times hold colons, which may be the delimiter."""
        text = self._text(name, column)
        if is_text_type(plain_type(column.type)):
            return pc.fill_null(self._field(text), "")
        has_delimiter = pc.any(pc.match_substring(text, self.delimiter)).as_py()
        return pc.fill_null(self._field(text) if has_delimiter else text, self.missing)

    def _text(self, name: str, column: pa.Array[Any]) -> Text:
        """A column as text without quotes."""
        if pa.types.is_floating(column.type):
            texts = _decimals(column, self.places[name]) if name in self.places else column.cast(pa.string())
            return pc.replace_substring(texts, ".", ",") if name in self.commas else texts
        if pa.types.is_boolean(column.type) and name in self.words:
            return pc.if_else(column, *self.words[name])
        if pa.types.is_timestamp(column.type) and name in self.moments:
            return _moments(column, *self.moments[name])
        return column.cast(pa.string())

    def _field(self, texts: Text) -> Text:
        """Text in quotes, where it has to be or all text is."""
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
        if self.quoted:
            return quoted
        needs_quotes = pc.match_substring_regex(texts, rf'["\r\n{re.escape(self.delimiter)}]|^\s|\s$|^$')
        return pc.if_else(pc.or_(needs_quotes, are_missing(texts)), quoted, texts)


def _moments(column: Any, mark: str, fraction: int) -> Text:
    """Dates and times with a mark between the two, and so many decimal places of a second where these are all."""
    if column.type.unit in {"s", "ms"}:  # as which Parquet keeps seconds
        column = column.cast(pa.timestamp("us", column.type.tz))
    texts = pc.replace_substring(column.cast(pa.string()), " ", mark, max_replacements=1)
    if fraction == _MICROSECONDS:
        return texts
    zeros = rf"0{{{_MICROSECONDS - fraction}}}(Z?)$"
    kept = rf"(\.\d{{{fraction}}}){zeros}" if fraction else rf"()\.{zeros}"
    return pc.replace_substring_regex(texts, kept, r"\1\2")


def _decimals(column: pa.Array[Any], places: int) -> Text:
    """Numbers with so many decimal places; those that have more keep them."""
    try:
        decimals: Any = column.cast(pa.decimal128(38, places)).cast(pa.string())
    except ARROW_PROBLEMS:  # infinities, or numbers of more digits
        return column.cast(pa.string())
    numbers = column.to_numpy(zero_copy_only=False)  # Arrow rounds decimals that become floats
    nearest = (np.rint(numbers * 10.0**places) / 10.0**places).astype(numbers.dtype)
    has_more = (nearest != numbers) & ~np.isnan(numbers)
    return pc.if_else(pa.array(has_more), column.cast(pa.string()), decimals) if has_more.any() else decimals


def _match(texts: Text, pattern: str) -> bool:
    """Return whether all texts have a pattern."""
    return bool(pc.all(pc.match_substring_regex(texts, rf"\A(?:{pattern})\z")).as_py())
