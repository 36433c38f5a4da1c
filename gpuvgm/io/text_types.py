"""Types of text: the table of readings for CSV and columns of text, and the parser of both.

A column has the type of the first reading in the table that all its values have, in whatever order they come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.io.text_blocks import Rule, are_plain
from gpuvgm.shortage import ARROW_PROBLEMS

Text = Any  # an Arrow array of texts
FEW = 16


@dataclass(frozen=True, slots=True, eq=False)
class TextReading:
    """A way to read the texts of a column.

    Parameters
    ----------
    type : pyarrow.DataType
        Type of the values.
    pattern : str, optional
        Regular expression of the texts; by default they are what Arrow reads as the type. Whole numbers of more digits
        are read too where the type has their exact value.
    wider : tuple of TextReading
        Readings that every text has which has this one.
    rule : (int, str or None), optional
        Most digits or characters, and the form, of texts that `are_plain` tells to have this reading; most are such.
    padded : bool
        Without a pattern: whether white space around a text is left out.
    """

    type: pa.DataType
    pattern: str | None = None
    wider: tuple[TextReading, ...] = ()
    rule: Rule | None = None
    padded: bool = False

    def may_hold(self, texts: Sequence[str]) -> bool:
        """Return whether a few texts look so, which is faster than asking Arrow."""
        pattern = _DAY_FIRST if self.pattern is None else self.pattern
        is_number = self.rule is not None and self.rule[1] in (None, ".", ",")
        looks = re.compile(rf"{pattern}|{_WHOLE_NUMBER}" if is_number else pattern, re.DOTALL)
        return all(map(looks.fullmatch, texts))

    def holds(self, text: Text) -> bool:
        """Return whether all text that is not missing can be read so."""
        if self.rule is not None and are_plain(text, *self.rule):
            return True
        if self.pattern is None:
            return _are(_without_blanks(text, self.type) if self.padded else text, self.type)
        exceptions = text.filter(pc.invert(pc.match_substring_regex(text, rf"\A(?:{self.pattern})\z")))
        if not len(exceptions):
            return True
        return self in (LONG, FLOAT, COMMA_FLOAT) and EXACT.holds(exceptions) and _are_exact(exceptions, self.type)


def _blanks_around(pattern: str) -> str:
    """Add to a pattern the white space around numbers that the CSV reader removes."""
    return rf"[ \t]*(?:{pattern})[ \t]*"


def _groups(mark: str) -> TextReading:
    """Numbers whose marks may separate thousands or decimals; they are text."""
    return TextReading(pa.string(), _blanks_around(rf"[+-]?({_WHOLE}|{_UNMARKED}|[1-9]\d{{0,2}}([{mark}]\d{{3}})+)"))


def _float_reading(mark: str) -> TextReading:
    fraction = rf"({_WHOLE}[{mark}]\d*|[{mark}]\d+)([eE][+-]?\d+)?"
    number = rf"0|[1-9]\d{{0,14}}|{fraction}|{_UNMARKED}"
    return TextReading(pa.float64(), _blanks_around(f"[+-]?({number})"), rule=(15, mark))


def _whole_numbers(type_: pa.DataType, digits: int, wider: tuple[TextReading, ...]) -> TextReading:
    return TextReading(type_, _blanks_around(rf"-?(0|[1-9]\d{{0,{digits - 1}}})"), wider, (digits, None))


_DAY_FIRST, _WHOLE_NUMBER = r"\s*\d{4}-\d\d-\d\d.*", _blanks_around(r"-?\d+")
_WHOLE = r"(0|[1-9]\d*)"  # codes with leading zeros are no numbers
_UNMARKED = rf"{_WHOLE}[eE][+-]?\d+|(?i:inf|infinity|nan)"  # says nothing about the marks of others
FLOAT, COMMA_FLOAT = _float_reading("."), _float_reading(",")
COMMA_GROUPS, POINT_GROUPS = _groups(","), _groups(".")
#: "+49" and "1E5" are codes, and text, where no other value of the column has a fraction or a sign in the exponent.
CODES = TextReading(pa.string(), _blanks_around(rf"[+-]?{_WHOLE}([eE]\d+)?"))
_TEXTS = (CODES, COMMA_GROUPS, POINT_GROUPS)
EXACT = _whole_numbers(pa.decimal128(38, 0), 38, _TEXTS)
LONG = _whole_numbers(pa.int64(), 18, (EXACT, *_TEXTS))
#: Whole numbers that float64 has, too.
SHORT = _whole_numbers(pa.int64(), 15, (LONG, EXACT, *_TEXTS, FLOAT, COMMA_FLOAT))
BOOL = TextReading(pa.bool_(), "true|True|TRUE|false|False|FALSE", rule=(5, "b"))  # 0 and 1 are numbers


def _moments_in(zone: str | None) -> tuple[TextReading, TextReading]:
    seconds, micros, form = (20, 27, "z") if zone else (19, 26, "d")
    fine = TextReading(pa.timestamp("us", zone), rule=(micros, form))  # finer ones end in 2262
    return TextReading(pa.timestamp("s", zone), wider=(fine,), rule=(seconds, form)), fine


_PADDED_DAYS, _LOCAL = TextReading(pa.date32(), padded=True), _moments_in(None)
_DAYS = TextReading(pa.date32(), wider=(_PADDED_DAYS, *_LOCAL), rule=(10, "d"))
MOMENTS = (_DAYS, _PADDED_DAYS, *_LOCAL, *_moments_in("UTC"))
#: Of columns without values.
NONE = TextReading(pa.null(), r"[^\s\S]")
READINGS = (NONE, SHORT, LONG, EXACT, *_TEXTS, FLOAT, COMMA_FLOAT, BOOL, *MOMENTS)


def parse(text: Text, type_: Any) -> Text:
    """Parse text as values of a type; as times of day too, to which Arrow casts no text.

    Raises
    ------
    pyarrow.ArrowInvalid
        For text that is none.
    """
    if not pa.types.is_time(type_):
        return text.cast(type_)
    moments: Any = pc.binary_join_element_wise("1970-01-01", text, " ")
    storage = pa.int32() if type_.bit_width == 32 else pa.int64()
    return moments.cast(pa.timestamp(type_.unit)).cast(pa.int64()).cast(storage).cast(type_)


def parse_or_null(text: Text, type_: Any) -> Text:
    """Parse text as values of a type; what cannot be parsed, found by bisection, is null."""
    try:
        return parse(text, type_)
    except ARROW_PROBLEMS:
        if len(text) == 1:
            return pa.nulls(1, type_)
        half = len(text) // 2
        return pa.concat_arrays([parse_or_null(text[:half], type_), parse_or_null(text[half:], type_)])


def readings_of(text: Text, before: Sequence[TextReading]) -> tuple[TextReading, ...]:
    """Of the readings of the values before, those that fit these texts too."""
    if text.null_count == len(text):
        return tuple(before)
    readings: list[TextReading] = []
    first = text[:FEW].drop_null().to_pylist()
    for reading in before:
        if any(reading in narrower.wider for narrower in readings) or (reading.may_hold(first) and reading.holds(text)):
            readings.append(reading)
    return tuple(readings)


def rule_of(readings: Sequence[TextReading]) -> Rule | None:
    """The rule of texts all of which have every one of the readings; None where there is none."""
    first = readings[0] if readings else NONE
    return first.rule if all(reading in first.wider for reading in readings[1:]) else None


def common_readings(parts: Sequence[Sequence[TextReading]]) -> list[TextReading]:
    """Readings that fit the values of all parts; each part may have a decimal mark of its own."""
    return [
        reading
        for reading in READINGS
        if all(reading in part or (reading is FLOAT and COMMA_FLOAT in part) for part in parts)
    ]


def type_of_readings(readings: Sequence[TextReading]) -> pa.DataType:
    """Type of a column whose values fit these readings, in the order of the table."""
    return readings[0].type if readings else pa.string()


def _without_blanks(text: Text, type_: pa.DataType) -> Text:
    """Text without the white space that the CSV reader removes for a type."""
    return pc.ascii_trim_whitespace(text) if pa.types.is_date(type_) else text


def _are(text: Text, type_: pa.DataType) -> bool:
    """Return whether Arrow parses all text as a type."""
    try:
        parse(text, type_)
    except ARROW_PROBLEMS:
        return False
    return True


def _are_exact(text: Text, type_: pa.DataType) -> bool:
    """Return whether a type can hold whole numbers exactly."""
    numbers: Any = pc.ascii_trim_whitespace(text).cast(EXACT.type)
    try:
        return bool(numbers.cast(type_).cast(EXACT.type).equals(numbers))
    except ARROW_PROBLEMS:
        return False
