"""Text that is dates, times or numbers: read as such, and written back as the same text."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.arrays import Column, decimals, to_numpy
from gpuvgm.codecs.arrays import filled, missing_rows, words_of
from gpuvgm.codecs.base import Bools, Number, NumberType, Refuted, WholeCodec
from gpuvgm.codecs.datetimes import DatetimeCodec, comparable, nanoseconds_of, own_value, stored
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.codecs.integers import IntegerCodec
from gpuvgm.codecs.moments import DAY, SECOND
from gpuvgm.errors import counted_values
from gpuvgm.io import is_text_type, parse_or_null, plain_values_of
from gpuvgm.records import read_as, refuse
from gpuvgm.rules import choice, whole
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.summary import Floats

Text = Any  # an Arrow array of texts
MOST_DIGITS = 15  # of a number, so that float64 tells all of them apart, also in its place within a mode
LONGEST_VALUE = 64  # letters: such digits, as many marks between them, a sign of money and a unit are fewer
MOST_MOMENTS = 1 << 51  # that dates and times are spread over, in the last place written, for the same reason
MARKS = ((".", ("", ",", " ", "\u00a0", "\u202f", "'")), (",", ("", ".", " ", "\u00a0", "\u202f", "'")))
UNITS = {0: "s", 3: "ms", 6: "us", 9: "ns"}  # by digits of a fraction of a second
_SIGNS = "[$\u20ac\u00a3\u00a5]|USD|EUR|GBP|JPY|CHF|CAD|AUD|CNY|INR"
_BLANK = " \u00a0\u202f"
#: A sign, one of money perhaps, digits, and up to ten characters of a unit or of blanks.
_NUMBER = rf"-?(?P<prefix>(?:{_SIGNS})[{_BLANK}]?)?[0-9](?:[0-9., '\u00a0\u202f]*[0-9])?(?P<suffix>[^0-9.,']{{0,10}})"
_NEGATIVE_ZERO = r"\A-[^1-9]*\z"  # no number is written so again
#: Patterns of negative numbers, by how -1 is written; "" where a sign stands first.
NEGATIVES = {"-1": "", "(1)": r"\A\((.*)\)\z", "1-": r"\A(.*)-\z"}
_CLOCK_TEXT = r"\d\d?:\d\d(?P<seconds>:\d\d(?:\.(?P<fraction>\d{1,9}))?)?"
_MONTHS = (
    "January February March April May June July August September October November December"
).split()  # fmt: skip
#: Names of the months by the one of January, by which a form tells them.
MONTHS = {
    "January": _MONTHS,
    "Jan": [name[:3] for name in _MONTHS],
    "JAN": [name[:3].upper() for name in _MONTHS],
}
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
#: Beginnings of texts with names of weekdays, by the one of Monday.
WEEKDAYS = {
    f"{name('Monday')}{mark}": [f"{name(day)}{mark}" for day in _WEEKDAYS]
    for name in (str, lambda day: day[:3])
    for mark in (", ", " ")
}
#: Halves of the day as they are written behind a time, by the first.
HALVES = {
    blank + half: blank + half.translate(str.maketrans("aA", "pP"))
    for blank in ("", " ")
    for half in ("AM", "am", "a.m.")
}
_MOMENT = (
    r"(?P<prefix>\[?)(?P<day>(?P<first>\d{1,4})(?P<mark>[-/. ])\d{1,2}(?P<last>(?P=mark)|, )(?P<third>\d{1,4}))?"
    rf"(?P<separator>[T :]|, )?(?P<time>{_CLOCK_TEXT})?(?P<half> ?(?:[AP]M|[ap]m|[ap]\.m\.))?"
    r"(?P<zone>(?: ?(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?\]?)"
)
_LIKE_NUMBER = (
    "[+-]?(?:(?:0|[1-9][0-9., '\u00a0\u202f]*)(?:[.,][0-9]+)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?(?:[ \u00a0]?%)?"
)
_MONEY = f"(?:[{_BLANK}]?(?:{_SIGNS})[{_BLANK}]?)"
_MONTH = f"(?i:{'|'.join(name[:3] for name in _MONTHS)})[a-z]*"
_D, _M, _Y = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:[12][0-9])?[0-9]{2}"
_DAY = "|".join(
    "[-./]".join(order) for order in ((_Y, _M, _D), (_D, _M, _Y), (_M, _D, _Y))
) + f"|(?:[0-9]{{1,4}}[-/. ]{{1,2}}{_MONTH}|{_MONTH}[-/. ][0-9]{{1,2}})[-/. ,]{{1,2}}[0-9]{{1,4}}"  # fmt: skip
_WEEKDAY = "(?:[A-Za-z]{2,9}[., ]{1,2})?"  # of any language
_CLOCK = "[0-9]{1,3}:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?(?: ?[AaPp][.]?[Mm][.]?)?"
#: Days as pandas or Python write them, and a time, whose hours may be more than a day's.
_DURATION = (
    r"(?P<minus>-?)(?:(?P<days>\d{1,7}) days?,? [+]?)?(?P<hours>\d{1,7}):(?P<minutes>\d\d)"
    r"(?::(?P<seconds>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
)
_ZONE = "(?: ?(?:Z|[A-Za-z]{3,4}|[+-][0-9:]+))?"
#: Days of which no part is beyond those of a calendar, and times, in any order and with any marks.
_LIKE_MOMENT = (
    rf"\[?{_WEEKDAY}(?:{_DAY})(?:(?:[ T:]|, ){_CLOCK}{_ZONE})?\]?|(?:-?[0-9]+ days?,? [+]?)?-?{_CLOCK}{_ZONE}"
)
#: What texts may hold, and the pattern of those that do, in any form.
_CONTENTS = {"dates or times": _LIKE_MOMENT, "numbers": rf"\(?{_MONEY}?{_LIKE_NUMBER}{_MONEY}?[-)]?"}
ORDERS = ("ymd", "dmy", "mdy")
DAY_LETTERS, YEAR_LETTERS, CLOCK_LETTERS = len("2013-01-01"), len("2013"), len("05:00")
LEAST_SHARE = 0.9  # of texts that are alike, so that the others are strays
FEW_WORDS = 10  # more different ones are codes, not strays
#: So many different words in such a share of the rows stand beside numbers, dates or times; with more these are text.
MOST_WORDS, WORDS_SHARE = 20, 0.05
#: Words such as "unknown" or "<0.01" may be in more rows, where each has so many different values beside it; but in
#: fewer than half, so that the median is a value.
VALUES_OF_WORD, LARGEST_WORDS_SHARE = 25, 0.4
PLACED = 10  # values whose text has places of its own, for one in the last place: the last digit says how many
LEAST_PLACED = 256  # different texts of such a form at least; fewer are categories
APART = 1 << 10  # between what stands for words: float64 tells them apart
#: Which of the ways to write a number, or the order of a date, is meant where the texts leave it open.
PARSES = {"decimal_point": ".", "decimal_comma": ",", "day_first": "dmy", "month_first": "mdy"}
FIRST_ROWS = 1_000  # that are looked at before all of a sample
#: Zones with summer time, whose clock tells the offsets of texts: one for all zones that have the same ones.
ZONES = (
    *("Europe/London", "Europe/Berlin", "Europe/Athens", "America/New_York", "America/Chicago", "America/Denver"),
    *("America/Los_Angeles", "America/Halifax", "America/St_Johns", "Australia/Sydney", "Australia/Adelaide"),
    *("Pacific/Auckland", "America/Santiago"),
)
OFFSET = r" ?(?:Z|[+-]\d\d(?::?\d\d)?)"  # from UTC, as a text has it behind the time
MOST_OFFSETS = 1_000  # stretches of time with an offset of their own
ENDS_OF_ZONES = 3_653, 47_481  # 1980 to 2099, when offsets are whole minutes
FIRST_DAY, LAST_DAY = -719_162, 2_932_896  # of the years 1 to 9999, in days since 1970
#: Years of two digits are those from 1969 to 2068, as POSIX reads them.
ENDS_OF_SHORT_YEARS, SHORT_YEARS_OF_2000 = (-365, 36_159), "[0-5][0-9]|6[0-8]"
NEARER = (
    4  # times as near as with the year at the other end lie days that are read rightly, where years have two digits
)
ENDS_OF_NANOSECONDS = -106_650, 106_650  # 1678 to 2261


class UnreadText(Refuted):
    """Text in another form than a column's other text; `at` adds the column and the place.

    Parameters
    ----------
    message : str
        Text of the message.
    row : int
        The first such row, within those that were given.
    values : tuple of str
        Some of the texts.
    """

    def __init__(self, message: str, row: int = 0, values: tuple[str, ...] = ()) -> None:
        super().__init__(message, values)
        self.row = row

    def at(self, column: str, place: str, remedy: str) -> UnreadText:
        """Return the error with column, place and remedy named."""
        return UnreadText(f'column "{column}": {self} (first at {place}); {remedy}', self.row, tuple(self.values))

    def __reduce__(self) -> tuple[type[UnreadText], tuple[Any, ...]]:
        return type(self), (str(self), self.row, self.values)


def _text_type(value: Any, where: str) -> pa.DataType:
    type_ = read_as(pa.DataType, value, where)
    return type_ if is_text_type(type_) else refuse(value, where, "an Arrow type of text")


@dataclass(frozen=True, slots=True)
class TextForm(ABC):
    """Form of a column's text.

    Parameters
    ----------
    type : pyarrow.DataType
        Arrow type of the text.
    example : str
        A text of the column.
    words : tuple of str
        Words that stand for themselves among the values. Each has a value beyond `limits` in its place.
    missing : tuple of str
        Words that mean that a value is missing.
    """

    type: Annotated[Any, _text_type]
    example: str
    words: tuple[str, ...] = field(default=(), kw_only=True)
    missing: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    @abstractmethod
    def value_type(self) -> Any:
        """Arrow type of the values."""

    @property
    @abstractmethod
    def limits(self) -> tuple[int, int]:
        """Ends of what can be read again, in the unit of the values."""

    @abstractmethod
    def parsed(self, text: Text) -> Text:
        """Values of different texts; null for what is written otherwise."""

    @abstractmethod
    def written(self, values: Text) -> Text:
        """Different values as text."""

    def rewritten(self, values: Text, text: Text) -> Text:
        """Different values as they would be written in place of the text that they were read from."""
        return self.written(values)

    @property
    def word_values(self) -> tuple[int, ...]:
        """Number that stands for each word, in the unit of the values."""
        return tuple(self.limits[1] + APART * place for place in range(1, len(self.words) + 1))

    def read(self, column: Text) -> tuple[Text, Bools]:
        """Values of a column of text, and a mask of rows in another form; blank text is missing."""
        coded: Any = plain_values_of(column).dictionary_encode()
        text = coded.dictionary.cast(pa.string())
        missing = _is_missing(text, self.missing)
        text = pc.if_else(missing, pa.scalar(None, text.type), text)
        values = self.parsed(text)
        # A value counts only if it is written as the same text again, so that text comes back letter by letter.
        wrong = np.asarray(pc.fill_null(pc.not_equal(self.rewritten(values, text), text), True))  # noqa: FBT003
        if self.words:
            word = pc.index_in(text, pa.array(self.words))
            values = pc.coalesce(self._word_array.take(word), values)
            wrong = wrong & ~np.asarray(word.is_valid())
        # One more place stands for rows without a text.
        wrong = np.append(wrong & ~np.asarray(missing), [False])  # noqa: FBT003
        places = coded.indices.fill_null(len(text)).to_numpy(zero_copy_only=False)
        return values.take(coded.indices), wrong[places]

    def write(self, values: Text) -> Text:
        """A column of values as text of the form's type."""
        coded: Any = values.dictionary_encode()
        distinct = coded.dictionary
        if self.words:
            word = pc.index_in(distinct, self._word_array)
            value_text = self.written(pc.if_else(word.is_valid(), pa.scalar(None, distinct.type), distinct))
            text = pc.coalesce(pa.array(self.words).take(word), value_text)
        else:
            text = self.written(distinct)
        return text.take(coded.indices).cast(self.type)

    @property
    def _word_array(self) -> Any:
        """Values that stand for the words."""
        type_ = self.value_type
        if pa.types.is_decimal(type_):
            return pa.array([Decimal(value).scaleb(-type_.scale) for value in self.word_values], type_)
        return pa.array(self.word_values, pa.int32() if type_.bit_width == 32 else pa.int64()).view(type_)


@dataclass(frozen=True, slots=True)
class NumberText(TextForm):
    """Form of numbers in text: "1,234.50", "1.234,5", "12 %", "-$0.99", "74 bhp", "(1,234.50)", "12,34,567".

    Parameters are those of `TextForm`, and:

    Parameters
    ----------
    mark : str
        Between whole part and decimal places.
    thousands : str
        Between groups of three digits; "" for none.
    least, most : int
        Decimal places: zeros at the end are written up to `least`, other digits up to `most`.
    suffix, prefix : str
        Stand after every number, and before its digits, after the sign.
    negative : str
        How negative numbers are written, as -1 is: "-1", "(1)" as accountants do, or "1-".
    group_digits : int
        Digits of a group, but for the last three: 3, or 2 for lakhs and crores.
    """

    mark: Annotated[str, choice(".", ",")] = "."
    thousands: str = ""
    least: Annotated[int, whole(0, MOST_DIGITS - 1)] = 0
    most: Annotated[int, whole(0, MOST_DIGITS - 1)] = 0
    suffix: str = ""
    prefix: str = ""
    negative: Annotated[str, choice(*NEGATIVES)] = "-1"
    group_digits: Annotated[int, whole(2, 3)] = 3
    name: ClassVar[str] = "number"
    further_digits: ClassVar[int] = 0  # of values, behind the last place

    @property
    def value_type(self) -> Any:
        """Arrow type of the values."""
        return self._number_type

    def parsed(self, text: Text) -> Text:
        """Values of different texts; null for what is written otherwise."""
        plain = pc.if_else(pc.match_substring_regex(text, self._pattern), text, pa.scalar(None, text.type))
        plain = self.with_sign_first(plain)
        for mark, replacement in ((self.suffix, ""), (self.prefix, ""), (self.thousands, ""), (self.mark, ".")):
            plain = pc.replace_substring(plain, mark, replacement) if mark and mark != replacement else plain
        return plain.cast(self._number_type)

    def with_sign_first(self, text: Text) -> Text:
        """Texts with a minus sign before negative numbers, however these are written."""
        pattern = NEGATIVES[self.negative]
        return pc.replace_substring_regex(text, pattern, r"-\1") if pattern else text

    @property
    def _number_type(self) -> Any:
        """Arrow type of the numbers."""
        return pa.decimal128(MOST_DIGITS, self.most) if self.most else pa.int64()

    @property
    def _room(self) -> int:
        """Digits of the whole part; one less if larger values stand for words."""
        return MOST_DIGITS - self.most - self.further_digits - bool(self.words)

    @property
    def _groups(self) -> int:
        """Groups before the last three digits, at most."""
        return max((self._room - 3) // self.group_digits, 0)

    @property
    def limits(self) -> tuple[int, int]:
        """Ends of what can be read again, without the mark."""
        room = min(3, self._room) + self._groups * self.group_digits if self.thousands else self._room
        end = int(10 ** (room + self.most + self.further_digits)) - 1
        return -end, end

    @property
    def _pattern(self) -> str:
        whole_part = rf"[1-9]\d{{0,{self._room - 1}}}"
        if self.thousands:
            mark, digits = re.escape(self.thousands), self.group_digits
            further = rf"(?:{mark}\d{{{digits}}}){{0,{self._groups - 1}}}{mark}\d{{3}}"
            whole_part = r"[1-9]\d{0,2}" + rf"|[1-9]\d{{0,{digits - 1}}}{further}" * bool(self._groups)
        places = rf"{re.escape(self.mark)}\d{{{max(self.least, 1)},{self.most}}}" if self.most else ""
        optional = "" if self.least else "?"
        digits_and_places = rf"(?:0|{whole_part}){f'(?:{places}){optional}' if places else ''}"
        unsigned = f"{re.escape(self.prefix)}{digits_and_places}{re.escape(self.suffix)}"
        signed = {"-1": f"-?{unsigned}", "(1)": rf"{unsigned}|\({unsigned}\)", "1-": f"{unsigned}-?"}
        return rf"\A(?:{signed[self.negative]})\z"

    def written(self, values: Text) -> Text:
        """Different values as text."""
        whole_part, fraction, negative = self._parts(values)
        in_groups = [self._in_groups(number) for number in whole_part.tolist()] if self.thousands else None
        digits: Any = pa.array(whole_part.astype(str) if in_groups is None else in_groups, pa.string())
        if self.thousands not in ("", ","):
            digits = pc.replace_substring(digits, ",", self.thousands)
        before, after = {"-1": ("-", ""), "(1)": ("(", ")"), "1-": ("", "-")}[self.negative]
        parts: list[Any] = [pc.if_else(pa.array(negative), before + self.prefix, self.prefix), digits]
        if self.most:
            padded: Any = pc.utf8_lpad(pa.array(fraction.astype(str), pa.string()), self.most, "0")
            places = self._written_places(padded, values)
            parts += [pc.if_else(pc.equal(places, pa.scalar("")), "", self.mark), places]
        parts.append(pc.if_else(pa.array(negative), self.suffix + after, self.suffix) if after else self.suffix)
        text: Any = pc.binary_join_element_wise(*parts, "")
        return pc.if_else(values.is_valid(), text, pa.scalar(None, text.type))

    def _in_groups(self, number: int) -> str:
        """Digits with commas between their groups."""
        if self.group_digits == 3:
            return f"{number:,}"
        digits, size = str(number), self.group_digits
        first, last = digits[:-3], digits[-3:]
        groups = [first[max(end - size, 0) : end] for end in range(len(first), 0, -size)]
        return ",".join([*groups[::-1], last])

    def _written_places(self, places: Text, values: Text) -> Text:
        """Decimal places, of which all are given, without the zeros at the end that are not written."""
        always: Any = pc.utf8_slice_codeunits(places, 0, self.least)
        return pc.binary_join_element_wise(always, pc.utf8_rtrim(pc.utf8_slice_codeunits(places, self.least), "0"), "")

    def _parts(self, values: Text) -> tuple[Any, Any, Bools]:
        """Whole part and decimal places of values, both without a sign, and which are negative."""
        numbers: Any = words_of(values)[:, 0] if self.most else filled(values)
        missing = missing_rows(values)
        numbers = numbers if missing is None else np.where(missing, 0, numbers)
        whole_part, fraction = np.divmod(np.abs(numbers), 10**self.most)
        return whole_part, fraction, numbers < 0


@dataclass(frozen=True, slots=True)
class PlacedNumberText(NumberText):
    """Form of numbers in text that have decimal places of their own each: "140", "4.60" and "0.050" beside each other.

    The last digit of a value says how many places its text has: of three at most, 4.60 is 4.6002. So values are in the
    order of the numbers.
    """

    name: ClassVar[str] = "number with places"
    further_digits: ClassVar[int] = 1

    @property
    def value_type(self) -> Any:
        """Arrow type of the values."""
        return pa.decimal128(MOST_DIGITS, self.most + 1)

    def parsed(self, text: Text) -> Text:
        """Values of different texts; null for what is written otherwise."""
        numbers: Any = NumberText.parsed(self, text)
        whole_parts = pc.replace_substring_regex(text, rf"{re.escape(self.mark)}\d*", "")
        behind: Any = pc.fill_null(pc.subtract(pc.utf8_length(text), pc.utf8_length(whole_parts)), 0)
        places = np.clip(behind.to_numpy() - len(self.mark), 0, self.most)
        units = np.where(np.asarray(numbers.is_null()), 0, words_of(numbers)[:, 0])
        return decimals(PLACED * units + places, self.value_type, missing_rows(numbers))

    def _written_places(self, places: Text, values: Text) -> Text:
        """Decimal places, of which all are given, as many as the last digit says."""
        counts = self._units_and_places(values)[1].tolist()
        return pa.array([text[:count] for text, count in zip(places.to_pylist(), counts, strict=True)], pa.string())

    def _parts(self, values: Text) -> tuple[Any, Any, Bools]:
        """Whole part and decimal places of values, rounded to their places."""
        units, places = self._units_and_places(values)
        step = PLACED ** (self.most - places)
        units = (units + step // 2) // step * step
        return *np.divmod(np.abs(units), PLACED**self.most), units < 0

    def _units_and_places(self, values: Text) -> tuple[Any, Any]:
        """Values in units of the last place that any text has, and how many places each has."""
        missing = missing_rows(values)
        numbers = words_of(values)[:, 0]
        units, places = np.divmod(numbers if missing is None else np.where(missing, 0, numbers), PLACED)
        return units, np.minimum(places, self.most)


@dataclass(frozen=True, slots=True)
class MomentText(TextForm):
    """Form of dates and times in text: "2013-01-01T05:00:00Z", "05:00", "31.1.13 5:00", "Jan 5, 2013", "5:00 PM".

    Parameters are those of `TextForm`, and:

    Parameters
    ----------
    value : pyarrow.DataType
        Arrow type of the values.
    separator : str
        Between day and time.
    letters : int
        Letters of a text without its suffix, as ISO 8601 writes it.
    suffix : str
        Time zone, the same of all; one of the offsets where the values have a zone, which tells that of each.
    order, mark : str
        Order of year, month and day, and what stands between them.
    padded : bool
        Whether days, months and hours below 10 begin with a zero.
    month : str
        January's name, where months are written by their names (see `MONTHS`); "" for numbers.
    last_mark : str
        Separator before the last of year, month and day; "" for `mark`.
    has_short_year : bool
        Whether years have two digits; see `ENDS_OF_SHORT_YEARS`.
    half : str
        What stands behind the time before noon, where the clock has twelve hours (see `HALVES`); "" for 24 hours.
    weekday : str
        Monday as it begins a text, where weekdays do (see `WEEKDAYS`).
    prefix : str
        Stands before every text.
    """

    value: NumberType
    separator: Annotated[str, choice("", " ", "T", ":", ", ")]
    letters: Annotated[int, whole(CLOCK_LETTERS, 40)]
    suffix: str = ""
    order: Annotated[str, choice(*ORDERS)] = "ymd"
    mark: Annotated[str, choice("-", "/", ".", " ")] = "-"
    padded: bool = True
    month: Annotated[str, choice("", *MONTHS)] = ""
    last_mark: Annotated[str, choice("", ", ")] = ""
    has_short_year: bool = False
    half: Annotated[str, choice("", *HALVES)] = ""
    weekday: Annotated[str, choice("", *WEEKDAYS)] = ""
    prefix: Annotated[str, choice("", "[")] = ""
    name: ClassVar[str] = "moment"

    @property
    def value_type(self) -> Any:
        """Arrow type of the values."""
        return self.value

    @property
    def last_digit(self) -> int:
        """Units of the values in the last place that is written."""
        if pa.types.is_date32(self.value):
            return 1
        seconds = self._clock > CLOCK_LETTERS
        digits = max(self._clock - len("05:00:00."), 0)
        return int(SECOND // nanoseconds_of(self.value_type) // 10**digits * (1 if seconds else 60))

    @property
    def limits(self) -> tuple[int, int]:
        """Ends of what can be read again: the years 1 to 9999, for nanoseconds 1678 to 2261."""
        unit = nanoseconds_of(self.value_type)
        if pa.types.is_time(self.value_type):
            return DatetimeCodec(self.value, 0).limits
        first, last = ENDS_OF_NANOSECONDS if unit == 1 else (FIRST_DAY, LAST_DAY)
        first, last = ENDS_OF_SHORT_YEARS if self.has_short_year else (first, last)
        first, last = ENDS_OF_ZONES if self._zone else (first, last)
        return first * DAY // unit, (last + 1) * DAY // unit - self.last_digit

    @property
    def _zone(self) -> str | None:
        """Zone of the values, which tells the offset of each text."""
        return self.value.tz if pa.types.is_timestamp(self.value) else None

    @property
    def _has_day(self) -> bool:
        return not pa.types.is_time(self.value_type)

    @property
    def _marks(self) -> tuple[str, str]:
        return self.mark, self.last_mark or self.mark

    @property
    def _clock(self) -> int:
        """Letters of the time."""
        return self.letters - (DAY_LETTERS + bool(self.separator)) * self._has_day

    def parsed(self, text: Text) -> Text:
        """Values of different texts; null for what is written otherwise."""
        is_afternoon: Any = None
        iso, suffix = text, self._suffixes
        if self.prefix or self.weekday:
            before = "|".join(WEEKDAYS.get(self.weekday, ()))
            iso = pc.replace_substring_regex(iso, rf"\A{re.escape(self.prefix)}(?:{before})", "")
        if self.half:
            first, second = map(re.escape, (self.half, HALVES[self.half]))
            is_afternoon = pc.match_substring_regex(iso, rf"{second}{suffix}\z")
            iso = pc.replace_substring_regex(iso, rf"(?:{first}|{second})({suffix})\z", r"\1")
        iso = self._as_iso(iso)
        clock = re.sub(r"\d", r"\\d", re.escape("00:00:00.000000000"[: self._clock]))
        shape = (r"\d{4}-\d\d-\d\d" + self._iso_separator) * self._has_day + clock + suffix
        plain = pc.if_else(pc.match_substring_regex(iso, rf"\A{shape}\z"), iso, pa.scalar(None, text.type))
        if self._zone:  # the offset stays with the time, as it tells the moment
            plain = pc.replace_substring_regex(plain, r" ([+-][\d:]+|Z)\z", r"\1")
        else:
            plain = pc.utf8_slice_codeunits(plain, 0, self.letters)
        values = parse_or_null(plain, self.value)
        if is_afternoon is not None:
            is_later: Any = pc.fill_null(is_afternoon, False)  # noqa: FBT003
            values = self._moved(values, np.asarray(is_later) * self._half_day)
        low, high = map(pa.scalar, self.limits)
        is_in_range = pc.and_(pc.greater_equal(comparable(values), low), pc.less_equal(comparable(values), high))
        return pc.if_else(is_in_range, values, pa.scalar(None, values.type))

    @property
    def _half_day(self) -> int:
        """Half a day in the unit of the values."""
        return int(DAY // nanoseconds_of(self.value_type) // 2)

    @staticmethod
    def _moved(values: Text, steps: Any) -> Text:
        """Values later by some steps of their unit."""
        integers = stored(values)
        return pc.add(integers, pa.array(steps.astype(integers.type.to_pandas_dtype()))).view(values.type)

    def can_hold(self, texts: Text) -> bool:
        """Return whether all texts are written so, over no more moments than float64 distinguishes.

        Nine digits of a second are often written of moments that are whole seconds: their common step counts.
        """
        values, wrong = self.read(texts)
        if np.any(wrong):
            return False
        moments: Any = comparable(values)
        step = max(int(np.gcd.reduce(np.asarray(moments.drop_null(), np.int64))), self.last_digit)
        ends: Any = pc.min_max(moments)
        return bool(ends["max"].as_py() - ends["min"].as_py() <= MOST_MOMENTS * step)

    def written(self, values: Text) -> Text:
        """Different values as text."""
        local: Any = pc.local_timestamp(values) if self._zone else values
        return self._written(local, self._offsets(values, local) if self._zone else self.suffix)

    def _written(self, local: Any, suffix: Any) -> Text:
        """Values as the clock shows them as text, with what stands behind it."""
        shown, half = self._on_clock(local) if self.half else (local, "")
        text: Any = pc.utf8_slice_codeunits(shown.cast(pa.string()), 0, self.letters)
        if self.separator == "T":
            text = pc.utf8_replace_slice(text, DAY_LETTERS, DAY_LETTERS + 1, "T")
        for number, name in enumerate(MONTHS.get(self.month, ()), 1):
            text = pc.replace_substring_regex(text, rf"\A(\d{{4}})-{number:02}-", rf"\1-{name}-")
        if not self.padded:
            text = pc.replace_substring_regex(text, r"-0(\d)", r"-\1")
            text = pc.replace_substring_regex(text, r"(\A|[T ])0(\d):", r"\1\2:")
        if self._is_ordered:
            order = self._with_marks({"y": r"\1", "m": r"\2", "d": r"\3"}, self._marks) + self.separator
            year = r"\d\d(\d\d)" if self.has_short_year else r"(\d{4})"
            text = pc.replace_substring_regex(text, rf"\A{year}-([A-Za-z]+|\d\d?)-(\d\d?){self._iso_separator}", order)
        around = [self.prefix, self._weekdays(local), text, half, suffix]
        parts: list[Any] = [part for part in around if not isinstance(part, str) or part]
        return pc.binary_join_element_wise(*parts, "") if len(parts) > 1 else text

    @property
    def _suffixes(self) -> str:
        """Pattern of what stands behind the time."""
        if not self._zone:
            return re.escape(self.suffix)
        blank, mark = self._offset_marks
        return rf"{blank}[+-]\d\d{mark}\d\d"

    @property
    def _offset_marks(self) -> tuple[str, str]:
        """Blank before offsets from UTC, and what stands between their hours and minutes."""
        return " " * self.suffix.startswith(" "), ":" * (":" in self.suffix)

    def _offsets(self, values: Text, local: Text) -> Text:
        """Offsets from UTC, as texts have them behind the time."""
        minutes = (filled(stored(local)) - filled(stored(values))) // (60 * SECOND // nanoseconds_of(self.value_type))
        blank, mark = self._offset_marks
        texts = [
            f"{blank}{'-' if offset < 0 else '+'}{abs(offset) // 60:02}{mark}{abs(offset) % 60:02}"
            for offset in minutes.tolist()
        ]
        return pa.array(texts, pa.string())

    def _on_clock(self, values: Text) -> tuple[Text, Text]:
        """Values at the hour that a clock of twelve hours shows, from 1 to 12, and the half of the day of each."""
        half_day = self._half_day
        hours = filled(stored(values)) % (2 * half_day) // (half_day // 12)
        steps = np.where(hours == 0, half_day, np.where(hours > 12, -half_day, 0))
        return self._moved(values, steps), pc.if_else(pa.array(hours >= 12), HALVES[self.half], self.half)

    def _weekdays(self, values: Text) -> Text:
        """Weekdays of values as they begin their texts; empty where none do."""
        if not self.weekday:
            return ""
        days = filled(stored(values)) // (DAY // nanoseconds_of(self.value_type))
        return pa.array(WEEKDAYS[self.weekday]).take(pa.array((days + 3) % 7))  # 1970 began on a Thursday

    def _as_iso(self, text: Text) -> Text:
        """Rewrite text in ISO 8601; text in another form may become anything."""
        for number, name in enumerate(MONTHS.get(self.month, ()), 1):
            text = pc.replace_substring(text, name, f"{number:02}", max_replacements=1)
        if self._is_ordered:
            marks = [*map(re.escape, self._marks)]
            year = r"(\d\d)" if self.has_short_year else r"(\d{4})"
            fields = self._with_marks({"y": year, "m": r"(\d\d?)", "d": r"(\d\d?)"}, marks)
            iso = "-".join(rf"\{self.order.index(letter) + 1}" for letter in "ymd")
            text = pc.replace_substring_regex(
                text, rf"\A{fields}{re.escape(self.separator)}", iso + self._iso_separator
            )
        if self.has_short_year:
            text = pc.replace_substring_regex(text, rf"\A({SHORT_YEARS_OF_2000})-", r"20\1-")
            text = pc.replace_substring_regex(text, r"\A(\d\d)-", r"19\1-")
        if not self.padded:
            text = pc.replace_substring_regex(text, r"-(\d)\b", r"-0\1")
            text = pc.replace_substring_regex(text, r"(\A|[T ])(\d):", r"\10\2:")  # one digit names a group
        return pc.replace_substring_regex(text, r"(\A|[T ])12:", r"\100:") if self.half else text

    @property
    def _iso_separator(self) -> str:
        """Between day and time in ISO 8601."""
        return "T" if self.separator == "T" else " " * bool(self.separator)

    def _with_marks(self, parts: Mapping[str, str], marks: Sequence[str]) -> str:
        """Year, month and day in their order, with the marks between them."""
        first, second, third = (parts[letter] for letter in self.order)
        return f"{first}{marks[0]}{second}{marks[-1]}{third}"

    @property
    def _is_ordered(self) -> bool:
        """True if days are written otherwise than in ISO 8601."""
        return (self.order, self.mark, self.has_short_year) != ("ymd", "-", False) or len(
            self.separator.strip("T ")
        ) > 0


@dataclass(frozen=True, slots=True)
class OffsetMomentText(MomentText):
    """Form of dates and times with offsets from UTC that no one zone has: "2026-03-29T01:30:00+01:00", "…+05:30", "…Z".

    Values are moments in UTC. A moment is written with the offset of the text that is nearest in time.

    Parameters
    ----------
    offsets : tuple of str
        Offsets as they are written, in the order of time.
    turns : tuple of int
        Values from which on the next of the offsets is written.
    """

    offsets: tuple[str, ...] = field(default=(), kw_only=True)
    turns: tuple[Annotated[int, whole(1 - 2**63)], ...] = field(default=(), kw_only=True)
    name: ClassVar[str] = "moment with offsets"

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.turns) + 1 or not all(re.fullmatch(OFFSET, text) for text in self.offsets):
            raise ValueError("offsets: not one more than turns, or not all are offsets from UTC")
        if list(self.turns) != sorted(self.turns):
            raise ValueError("turns: not in the order of time")

    @property
    def limits(self) -> tuple[int, int]:
        """Ends of what can be read again, by the clock of any offset."""
        day = DAY // nanoseconds_of(self.value_type)
        first, last = ENDS_OF_NANOSECONDS if nanoseconds_of(self.value_type) == 1 else (FIRST_DAY, LAST_DAY)
        first, last = ENDS_OF_SHORT_YEARS if self.has_short_year else (first, last)
        return (first + 1) * day, last * day - self.last_digit

    @property
    def _suffixes(self) -> str:
        """Pattern of what stands behind the time."""
        return OFFSET

    def written(self, values: Text) -> Text:
        """Different values as text."""
        places: Any = np.searchsorted(np.array(self.turns, np.int64), filled(stored(values)), side="right")
        return self._with_offsets(values, pa.array(self.offsets, pa.string()).take(pa.array(places)))

    def rewritten(self, values: Text, text: Text) -> Text:
        """Different values as they would be written with the offset of the text that they were read from."""
        return self._with_offsets(values, _offsets_of(text))

    def _with_offsets(self, values: Text, offsets: Text) -> Text:
        """Values as text with an offset each."""
        coded: Any = offsets.dictionary_encode()
        minutes = np.array([*map(_minutes_of, coded.dictionary.to_pylist()), 0])[coded.indices.fill_null(-1).to_numpy()]
        clock = pa.timestamp(self.value_type.unit)
        steps = minutes * (60 * SECOND // nanoseconds_of(self.value_type))
        return self._written(self._moved(values, steps).view(clock), offsets)

    def with_offsets_of(self, texts: Text) -> OffsetMomentText:
        """The form with the offsets that texts have, from when to when."""
        values, offsets = stored(self.parsed(texts)).to_numpy(), _offsets_of(texts).to_numpy(zero_copy_only=False)
        order = np.lexsort((offsets.astype(np.str_), values))
        values, offsets = values[order], offsets[order]
        first = np.append(True, values[1:] != values[:-1])  # noqa: FBT003
        values, offsets = values[first], offsets[first]
        ends = np.flatnonzero(offsets[1:] != offsets[:-1])
        if len(ends) >= MOST_OFFSETS:
            offsets = _fewer_turns(offsets)
            ends = np.flatnonzero(offsets[1:] != offsets[:-1])
        before, after = values[ends], values[ends + 1]  # centuries apart, in nanoseconds, their sum has no 64 bits
        turns = before // 2 + after // 2 + (before % 2 + after % 2 + 1) // 2
        return replace(self, offsets=(*offsets[ends].tolist(), offsets[-1]), turns=tuple(turns.tolist()))


def _fewer_turns(offsets: Any) -> Any:
    """Offsets of moments in order, as of people all over the world, in stretches that keep the share of each."""
    names, codes = np.unique(offsets.astype(np.str_), return_inverse=True)
    stretch = np.arange(len(offsets)) * MOST_OFFSETS // len(offsets)
    counts = np.zeros((MOST_OFFSETS, len(names)), np.int64)
    np.add.at(counts, (stretch, codes), 1)
    due, chosen = np.zeros(len(names), np.int64), np.zeros(MOST_OFFSETS, np.int64)
    for number, of_names in enumerate(counts):
        due += of_names
        chosen[number] = np.argmax(np.where(of_names > 0, due, np.iinfo(np.int64).min))  # none of another season
        due[chosen[number]] -= np.sum(of_names)
    return names[chosen[stretch]].astype(object)


def _offsets_of(texts: Text) -> Text:
    """Offsets from UTC at the end of texts; null where there is none."""
    found: Any = pc.extract_regex(texts, rf"(?P<offset>{OFFSET})\z")
    return found.field(0)


def _minutes_of(offset: str) -> int:
    """Minutes of an offset from UTC that is written as "+05:30", "+0530", "+05" or "Z"."""
    digits = re.sub(r"\D", "", offset).ljust(4, "0")
    minutes = 60 * int(digits[:2]) + int(digits[2:])
    return -minutes if "-" in offset else minutes


@dataclass(frozen=True, slots=True)
class DurationText(TextForm):
    """Form of durations in text: "0 days 03:04:05" as pandas writes them, "1 day, 3:04:05" as Python does, "27:04:05".

    Parameters are those of `TextForm`, and:

    Parameters
    ----------
    digits : int
        Of the fraction of a second, which texts with days have only where it is not zero.
    days : str
        Who writes days so, "pandas" or "Python"; "" where hours run on.
    has_seconds : bool
        Whether seconds are written.
    padded : bool
        Whether hours below 10 begin with a zero.
    """

    digits: Annotated[int, whole(0, 9)] = 0
    days: Annotated[str, choice("", "pandas", "Python")] = ""
    has_seconds: bool = True
    padded: bool = True
    name: ClassVar[str] = "duration"

    @property
    def value_type(self) -> Any:
        """Arrow type of the values."""
        arrow: Any = pa  # the stubs want literal units
        return arrow.duration(UNITS[-(-self.digits // 3) * 3])

    @property
    def _second(self) -> int:
        """A second in the unit of the values."""
        return SECOND // nanoseconds_of(self.value_type)

    @property
    def last_digit(self) -> int:
        """Units of the values in the last place that is written."""
        return self._second // int(10**self.digits) if self.has_seconds else 60 * self._second

    @property
    def limits(self) -> tuple[int, int]:
        """Ends of what can be read again: hours of seven digits, of which float64 tells all apart."""
        end = min(MOST_MOMENTS, (10**7 - 1) * 3600 * self._second) // self.last_digit * self.last_digit
        return -end, end

    def parsed(self, text: Text) -> Text:
        """Values of different texts; null for what is written otherwise."""
        matches: Any = pc.extract_regex(text, rf"\A{_DURATION}\z")
        parts = {name: matches.field(place) for place, name in enumerate(field.name for field in matches.type)}
        fraction: Any = pc.utf8_slice_codeunits(pc.utf8_rpad(parts["fraction"], 9, "0"), 0, self.digits)
        seconds, days = np.zeros(len(text), np.int64), _whole_numbers(parts["days"])
        for name in ("hours", "minutes", "seconds"):
            seconds = 60 * seconds + _whole_numbers(parts[name])
        length = seconds * self._second + _whole_numbers(fraction) * (self._second // int(10**self.digits) or 1)
        is_negative = np.asarray(pc.fill_null(pc.equal(parts["minus"], pa.scalar("-")), False))  # noqa: FBT003
        day = DAY // SECOND * self._second * days
        length = np.where(is_negative, -day + length if self.days else -length, day + length)
        low, high = self.limits
        is_known = np.asarray(matches.is_valid()) & (length >= low) & (length <= high)
        return pa.array(length, pa.int64(), mask=~is_known).view(self.value_type)

    def written(self, values: Text) -> Text:
        """Different values as text."""
        texts = [None if value is None else self._text(value) for value in stored(values).to_pylist()]
        return pa.array(texts, pa.string())

    def _text(self, length: int) -> str:
        """A length in the unit of the values as text."""
        days, length = divmod(length, DAY // SECOND * self._second) if self.days else (0, length)
        seconds, fraction = divmod(abs(length), self._second)
        text = f"{seconds // 3600:{'02' if self.padded else ''}}:{seconds // 60 % 60:02}"
        text += f":{seconds % 60:02}" if self.has_seconds else ""
        if self.digits and (fraction or not self.days):
            text += f".{fraction * 10**self.digits // self._second:0{self.digits}}"
        if self.days == "pandas":
            return f"{days} days {'+' * (days < 0)}{text}"
        return f"{days} day{'s' * (abs(days) != 1)}, {text}" if days else "-" * (length < 0) + text


def _whole_numbers(texts: Text) -> Any:
    """Whole numbers of text of digits, 0 of empty text and where there is none."""
    is_empty: Any = pc.equal(texts, pa.scalar(""))
    return pc.if_else(pc.fill_null(is_empty, True), "0", texts).cast(pa.int64()).to_numpy()  # noqa: FBT003


def form_of(column: pa.ChunkedArray[Any], parse: str | None = None, missing: Sequence[str] = ()) -> TextForm | None:
    """Find the one form of all texts of a sample, except a few words; None if there is no such form.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Text; blank text is missing.
    parse : str, optional
        One of `PARSES`, which is meant where the texts leave it open.
    missing : sequence of str
        Words that mean that a value is missing.
    """
    if _is_prose(column.slice(0, FIRST_ROWS), missing):
        return None  # nothing of long columns of free text is copied
    counts: Any = column.cast(pa.string()).value_counts()
    counts = counts.filter(pc.invert(_is_missing(counts.field(0), missing)))
    texts, rows = counts.field(0), counts.field(1).to_numpy()
    if not len(texts):
        return None
    type_ = column.type
    form = _form_of_all(texts, type_, parse)
    words = None if form is not None else _stray_words(texts, rows)
    if words is not None:
        form = _form_of_all(texts.filter(pa.array(~words)), type_, parse)
        form = form and replace(form, words=tuple(sorted(texts.filter(pa.array(words)).to_pylist())))
        if form is not None and np.any(form.read(texts)[1]):
            return None
    return form and replace(form, missing=tuple(missing))


def _is_prose(column: pa.ChunkedArray[Any], missing: Sequence[str]) -> bool:
    """Return whether more different texts than words can be are no numbers, dates or times in any form."""
    texts: Any = column.cast(pa.string()).unique()
    texts = texts.filter(pc.invert(_is_missing(texts, missing))).to_pylist()
    words = (len(text) > LONGEST_VALUE or not (_pattern_like(text) or _moment_in(text)) for text in texts)
    return sum(words) > MOST_WORDS


def _form_of_all(texts: Text, type_: pa.DataType, parse: str | None) -> TextForm | None:
    """The form of all texts."""
    return _moment_form(texts, type_, parse) or _number_form(texts, type_, parse) or _duration_form(texts, type_)


def _stray_words(texts: Text, rows: Any) -> Bools | None:
    """Mask of texts that are words among numbers, dates or times, from the rows of each; None for plain text."""
    frequencies: Any = pa.table({"texts": texts, "rows": rows})
    order = pc.select_k_unstable(frequencies, MOST_WORDS + 1, [("rows", "descending"), ("texts", "ascending")])
    zeros = np.asarray(pc.match_substring_regex(texts, _NEGATIVE_ZERO))
    patterns = sorted({*filter(None, map(_pattern_like, texts.take(order).to_pylist()))})
    if not patterns:
        return None
    mismatches = [zeros | ~np.asarray(pc.match_substring_regex(texts, rf"\A(?:{pattern})\z")) for pattern in patterns]
    words = min(mismatches, key=lambda mismatch: int(rows[mismatch].sum()))
    word_count, share = np.count_nonzero(words), rows[words].sum() / rows.sum()
    largest_share = LARGEST_WORDS_SHARE if VALUES_OF_WORD * word_count <= len(words) - word_count else WORDS_SHARE
    return words if word_count <= MOST_WORDS and share <= largest_share else None


def _pattern_like(text: str) -> str | None:
    """Pattern of texts like one that is a number, a date or a time; None for other texts."""
    if re.fullmatch(_LIKE_MOMENT, text):
        return _LIKE_MOMENT
    number = re.fullmatch(_NUMBER, re.sub(NEGATIVES["(1)"].replace(r"\z", r"\Z"), r"\1", text))
    if number is None:
        return None
    prefix, suffix = re.escape(number["prefix"] or ""), re.escape(number["suffix"])
    return rf"\(?-?{prefix}[0-9](?:[0-9.,'{_BLANK}]*[0-9])?{suffix}(?:\)|-)?"


def _is_missing(text: Text, missing: Sequence[str]) -> Text:
    """Mask of texts that are null, blank or mean a missing value."""
    return pc.or_(pc.fill_null(are_blank(text), True), pc.is_in(text, pa.array(missing, pa.string())))  # noqa: FBT003


def are_blank(text: Text) -> Text:
    """Mask of texts that are empty or white space."""
    return pc.equal(pc.utf8_trim_whitespace(text), pa.scalar("", text.type))


def are_like_values(texts: Text) -> bool:
    """Return whether most texts are numbers, dates or times, in any form."""
    return _are_like(texts, f"{_LIKE_NUMBER}|{_LIKE_MOMENT}")


def values_in(texts: Text) -> str:
    """Content of most texts, in any form: "numbers", "dates or times", or "" for others."""
    return next((content for content, pattern in _CONTENTS.items() if _are_like(texts, pattern)), "")


def unread_values(texts: Text) -> str:
    """Remedy where most texts may be numbers, dates or times but are in no readable form; empty for others.

    Such are amounts with a sign of money, dates that do not begin with the year, and numbers of two forms.

    Parameters
    ----------
    texts : pyarrow array of text
        Different texts that are not blank.
    """
    content = values_in(texts)
    if not content:
        return ""
    open_ = [parse for parse in PARSES if _form_of_all(texts, pa.string(), parse)]
    if open_:
        return f"if they are {content}, declare {' or '.join(f'parse={parse!r}' for parse in open_)}"
    first: str = texts[0].as_py()
    form = _form_of_all(texts[:1], pa.string(), None)
    unread = [] if form is None else texts.filter(pa.array(form.read(texts)[1])).to_pylist()
    if 0 < len(unread) <= FEW_WORDS:
        return f'if they are {content}, write "{unread[0]}" as "{first}" is written, or list it in na_values'
    return f'if they are {content}, convert them: "{first}" is not read as such'


def _are_like(texts: Text, pattern: str) -> bool:
    """Return whether most texts match a pattern as a whole."""
    return bool(pc.mean(_match(texts, pattern).cast(pa.float64())).as_py() >= LEAST_SHARE)


def _match(texts: Text, pattern: str) -> Any:
    """Mask of texts that match a pattern as a whole."""
    return pc.match_substring_regex(texts, rf"\A(?:{pattern})\z")


def may_be_values(column: pa.ChunkedArray[Any], distinct: int) -> bool:
    """Return whether most of so many different texts may be numbers, dates or times, as a first part of them shows.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Texts that are not blank.
    distinct : int
        Different ones among them.
    """
    part = column.slice(0, len(column) // 8)  # more than may be unlike where most are like, so that it can decide
    unlike = pc.sum(pc.invert(_match(different_texts(part), "|".join(_CONTENTS.values())))).as_py() or 0
    return (distinct - unlike) / distinct >= LEAST_SHARE


def different_texts(column: pa.ChunkedArray[Any]) -> Text:
    """The different texts of a column that are not blank."""
    texts: Any = column.cast(pa.string()).unique().drop_null()
    return texts.filter(pc.invert(are_blank(texts)))


def _moment_form(texts: Text, type_: pa.DataType, parse: str | None) -> MomentText | None:
    """The form of the first text, if that is a date or a time; of days and months the one order that all texts have."""
    example = texts[0].as_py()
    weekday, plain = _without_weekday(example)
    match = _moment_in(example)
    if match is None:
        return None
    name, months = _month_in(plain)
    if (match["mark"] == " " or match["last"] == ", ") and not months:
        return None
    has_both = bool(match["day"] and match["time"])
    if bool(match["separator"]) != has_both or (match["zone"] and not has_both):
        return None
    if (match["half"] and not match["time"]) or (weekday and not match["day"]):
        return None
    unit = UNITS[-(-len(match["fraction"] or "") // 3) * 3]
    arrow: Any = pa  # the stubs want literal units
    time = arrow.time32 if unit in ("s", "ms") else arrow.time64
    value = arrow.timestamp(unit) if has_both else pa.date32() if match["day"] else time(unit)
    clock = re.sub(r"\A(\d):", r"0\1:", match["time"] or "")
    letters = len(clock) + (DAY_LETTERS + has_both) * bool(match["day"])
    is_year_first = len(match["first"] or "1234") == YEAR_LETTERS
    first = MomentText(
        type_,
        example,
        value,
        match["separator"] or "",
        letters,
        match["zone"],
        mark=match["mark"] or "-",
        last_mark=", " if match["last"] == ", " else "",
        has_short_year=not is_year_first and len(match["third"]) < YEAR_LETTERS,
        half=_first_half(match["half"] or ""),
        weekday=weekday,
        prefix=match["prefix"],
    )
    possible = ORDERS[:1] if is_year_first else ORDERS if first.has_short_year else ORDERS[1:]
    if months and not is_year_first:
        named = ORDERS[2:] if plain.startswith(name, len(match["prefix"])) else ORDERS[1:2]
        possible = named if named[0] == "mdy" or not first.has_short_year else ORDERS[:2]
    orders = [order for order in possible if order == PARSES.get(parse or "")] or possible
    for zoned in _with_zones(first, texts):
        for padded in (True, False) if not match["fraction"] else (True,):
            forms = [
                replace(zoned, order=order, padded=padded, month=month) for order in orders for month in months or [""]
            ]
            fitting = _with_likely_years([form for form in forms if form.can_hold(texts)], texts)
            if fitting:
                form = fitting[0] if len(fitting) == 1 else None
                return form.with_offsets_of(texts) if isinstance(form, OffsetMomentText) else form
    return None


def _with_zones(form: MomentText, texts: Text) -> list[MomentText]:
    """The form; or those with the zones that texts of several offsets may be of, then one with these offsets."""
    if not re.fullmatch(OFFSET, form.suffix) or pc.all(pc.ends_with(texts, form.suffix)).as_py():
        return [form]
    offsets: Any = _offsets_of(texts).unique()
    lengths: Any = pc.unique(pc.utf8_length(offsets))
    has_zone = len(offsets) == 2 and len(lengths) == 1 and len(form.suffix.strip()) >= len("+0100")
    types: list[Any] = [pa.timestamp(form.value.unit, zone) for zone in ZONES if has_zone]
    parts = {part.name: getattr(form, part.name) for part in fields(form)} | {"suffix": ""}
    several = OffsetMomentText(**parts | {"value": pa.timestamp(form.value.unit, "UTC"), "offsets": (form.suffix,)})
    return [*(replace(form, value=type_) for type_ in types if _is_known(type_)), several]


def _is_known(type_: Any) -> bool:
    """Return whether the system's data of time zones has the one of a type."""
    try:
        pc.local_timestamp(pa.array([0], type_))
    except ARROW_PROBLEMS:
        return False
    return True


def _with_likely_years(forms: list[MomentText], texts: Text) -> list[MomentText]:
    """Of forms with the year of two digits at either end those whose days lie far nearer; all where none do."""
    spans: dict[bool, list[int]] = {True: [], False: []}
    for form in forms:
        ends: Any = pc.min_max(comparable(form.parsed(texts)))
        spans[form.order == "ymd"].append(ends["max"].as_py() - ends["min"].as_py())
    if not all(spans.values()):
        return forms
    first, last = min(spans[True]), min(spans[False])
    is_clear = NEARER * min(first, last) < max(first, last)
    return [form for form in forms if not is_clear or (form.order == "ymd") == (first < last)]


def _first_half(half: str) -> str:
    """How the hours before noon are marked, where some half of the day is."""
    return half.translate(str.maketrans("pP", "aA"))


def _without_weekday(text: str) -> tuple[str, str]:
    """Monday as it would begin a text that begins with a weekday ("" for others), and the text without it."""
    for monday, names in WEEKDAYS.items():
        beginning = next((name for name in names if text.startswith(name)), "")
        if beginning:
            return monday, text.removeprefix(beginning)
    return "", text


def _month_in(text: str) -> tuple[str, list[str]]:
    """First word of a text, and the forms of names of months that have it."""
    name = next(iter(re.findall("[A-Za-z]{3,}", text)), "")
    return name, [month for month, names in MONTHS.items() if name in names]


def _moment_in(text: str) -> re.Match[str] | None:
    """Parts of a text that is a date or a time, its month as a number; None for others."""
    text = _without_weekday(text)[1]
    name, months = _month_in(text)
    parts = re.fullmatch(_MOMENT, text.replace(name, "01", 1) if months else text)
    return parts if parts and (parts["day"] or parts["time"]) else None


def _number_form(texts: Text, type_: pa.DataType, parse: str | None) -> NumberText | None:
    """The first form that all texts have."""
    first = NumberText(type_, texts[0].as_py(), negative=_negative_form(texts))
    signed = first.with_sign_first(texts)
    match = re.fullmatch(_NUMBER, signed[0].as_py())
    if match is None:
        return None
    prefix, suffix = match["prefix"] or "", match["suffix"]
    alike = pc.and_(pc.ends_with(signed, suffix), pc.match_substring_regex(signed, rf"\A-?{re.escape(prefix)}[0-9]"))
    if not pc.all(alike).as_py():
        return None
    for mark, marks in [pair for pair in MARKS if pair[0] == PARSES.get(parse or "")] or MARKS:
        for thousands, group_digits in ((mark, digits) for mark in marks for digits in ((3, 2) if mark else (3,))):
            grouped = replace(first, thousands=thousands, group_digits=group_digits)
            form = _with_places(texts, replace(grouped, mark=mark, suffix=suffix, prefix=prefix))
            if form is not None:
                return form
    return None


def _duration_form(texts: Text, type_: pa.DataType) -> DurationText | None:
    """The form of the first text, if that is a duration, that all texts have."""
    match = re.fullmatch(_DURATION, texts[0].as_py())
    if match is None:
        return None
    fractions: Any = pc.extract_regex(texts, r"(?P<fraction>(?:\.\d+)?)\z")
    longest: Any = pc.max(pc.utf8_length(fractions.field(0)))
    days = [name for mark, name in ((", ", "Python"), (" days ", "pandas"), ("", "")) if _any_has(texts, mark)][0]
    first = DurationText(
        type_,
        match.string,
        digits=max(longest.as_py() - 1, 0),
        days=days,
        has_seconds=match["seconds"] is not None,
        padded=days != "Python",
    )
    forms = [first] if days else [first, replace(first, padded=False)]
    return next((form for form in forms if not np.any(form.read(texts)[1])), None)


def _any_has(texts: Text, part: str) -> bool:
    return bool(pc.any(pc.match_substring(texts, part)).as_py())


def _negative_form(texts: Text) -> str:
    """How negative numbers are written: some end with a minus sign, others do not, or some are in brackets."""
    in_brackets, with_sign_behind = (pc.match_substring_regex(texts, NEGATIVES[form]) for form in ("(1)", "1-"))
    if pc.any(in_brackets).as_py():
        return "(1)"
    are_some = pc.any(with_sign_behind).as_py() and not pc.all(with_sign_behind).as_py()
    return "1-" if are_some else "-1"


def _with_places(texts: Text, form: NumberText) -> NumberText | None:
    """A form with as many decimal places as the texts have; None where they are not written so."""
    signed = form.with_sign_first(texts)
    mark_places: Any = np.asarray(pc.find_substring(signed, form.mark))
    length = np.asarray(pc.binary_length(signed)) - len(form.suffix.encode())
    places = np.where(mark_places < 0, 0, length - mark_places - 1)
    low, high = int(places.min()), int(places.max())
    if high + (3 if form.thousands else 1) >= MOST_DIGITS:
        return None  # no room for the whole part, and for words
    # All texts have as many places, or zeros at their ends are left out, down to none or to one.
    least = [high] if low == high else [0, 1] if low < 2 else []
    candidates = [replace(form, least=zeros, most=high) for zeros in least]
    if low < high < min(PLACED, MOST_DIGITS - 4) and len(texts) > LEAST_PLACED:
        parts = {part.name: getattr(form, part.name) for part in fields(form)} | {"most": high}
        candidates.append(PlacedNumberText(**parts))
    return next((candidate for candidate in candidates if not np.any(candidate.read(texts)[1])), None)


# -- codecs


class OfText(WholeCodec):
    """Mixin that makes a codec of numbers or datetimes one of their text; precedes the codec in the bases."""

    __slots__ = ()
    text: TextForm

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return False: text is read on the host."""
        return False

    @property
    def limits(self) -> tuple[int, int]:
        """Ends of what can be read again."""
        return self.text.limits

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the numbers of what can be read again."""
        low, high = map(self.number, self.limits)
        return low, high

    def values_of(self, column: Any) -> Any:
        """Values of rows of text of the host; other columns as they are.

        Raises
        ------
        UnreadText
            For text that is written otherwise.
        """
        values, wrong = self.split(column)
        if wrong.any():
            row = int(np.argmax(wrong))
            wrong_texts = column.filter(pa.array(wrong)).cast(pa.string()).unique()[: MOST_WORDS + 1]
            examples = wrong_texts.to_pylist()
            wrong_rows = int(wrong.sum())
            problem = f"values are not written as {self.text.example!r} is, such as {examples[0][:60]!r}"
            message = counted_values(wrong_rows, problem)
            raise UnreadText(message, row, tuple(examples))
        return values

    def row_with(self, value: Number) -> Any:
        """A row of text that holds a value, or the word that it stands for."""
        word = self.word_of(value)
        return super().row_with(value) if word is None else pa.array([word], self.text.type)

    def split(self, column: Any) -> tuple[Any, Bools]:
        """Values of rows as `values_of` gives them, null where text is written otherwise; and these rows."""
        if not is_text_type(plain_values_of(column[:0]).type):
            return column, np.zeros(len(column), np.bool_)
        values, wrong = self.text.read(column)
        if wrong.any():
            values = pc.if_else(pa.array(wrong), pa.scalar(None, values.type), values)
        return values, wrong

    def written(self, values: Any) -> Column:
        """Text of values in their own type."""
        text: Column = self.text.write(values)
        return text

    def encode(self, column: Column) -> Floats:
        """Numbers of a column of text, or of values, NaN where a word stands; see `Codec.encode`."""
        numbers: Floats = super().encode(self.values_of(column))  # type: ignore[safe-super]
        if self.text.words:
            return np.where(numbers > self.number(self.text.limits[1]), np.nan, numbers)
        return numbers

    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows that are no multiple of the step; see `Codec.off_step`."""
        return super().off_step(self.values_of(column), numbers)  # type: ignore[safe-super]

    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value, or the word that it stands for."""
        values, word = self.values_of(column), self.word_of(value)
        if word is None:
            return super().equals(values, value)  # type: ignore[safe-super]
        word_value = self.text.read(pa.array([word]))[0][0]
        return np.asarray(pc.fill_null(pc.equal(values, word_value), False))  # noqa: FBT003

    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Text of the values that numbers stand for."""
        return self.written(super().decode(to_numpy(numbers)))  # type: ignore[safe-super]

    def parse(self, literal: object) -> Number:
        """A value as the text of the column, or as the codec of values reads it."""
        if isinstance(literal, str):
            values, wrong = self.text.read(pa.array([literal]))
            if values.null_count == 0 and not wrong[0]:
                return int(own_value(comparable(values)[0]))
        return super().parse(literal)  # type: ignore[safe-super]

    @property
    def word_values(self) -> tuple[int, ...]:
        """Number that stands for each word; see `TextForm.word_values`."""
        return self.text.word_values

    def word_of(self, value: Number) -> str | None:
        """The word that a value beyond those of the form stands for; see `Codec.word_of`."""
        places = self.word_values
        return self.text.words[places.index(value)] if value in places else None

    def show(self, value: Number) -> str:
        """A value as people write it, or the word that it stands for."""
        word = self.word_of(value)
        return super().show(value) if word is None else word  # type: ignore[safe-super]


@dataclass(frozen=True, slots=True)
class IntegerText(OfText, IntegerCodec):
    """Text that is whole numbers; parameters as for `IntegerCodec`, and how they are written."""

    text: NumberText = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class DecimalText(OfText, DecimalCodec):
    """Text that is numbers with decimal places; parameters as for `DecimalCodec`, and how they are written."""

    text: NumberText = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class PlacedText(OfText, DecimalCodec):
    """Text that is numbers with decimal places of their own each; parameters as for `DecimalText`."""

    text: PlacedNumberText = field(kw_only=True)
    name: ClassVar[str] = "decimal with places"

    @property
    def most_places(self) -> int:
        """Decimal places that a number has at most."""
        return self.text.most

    def show(self, value: Number) -> str:
        """A value as it is written, or the word that it stands for."""
        word = self.word_of(value)
        written: Any = self.text.written(decimals(np.array([int(value)]), self.type, None))
        return written[0].as_py() if word is None else word


@dataclass(frozen=True, slots=True)
class DatetimeText(OfText, DatetimeCodec):
    """Text that is dates or times; parameters as for `DatetimeCodec`, and how they are written."""

    text: MomentText = field(kw_only=True)

    @property
    def grain(self) -> int:
        """Grain, which every value is a multiple of: the last digit that is written."""
        return self.text.last_digit


@dataclass(frozen=True, slots=True)
class OffsetText(DatetimeText):
    """Text that is dates and times of several offsets from UTC; parameters as for `DatetimeText`."""

    text: OffsetMomentText = field(kw_only=True)
    name: ClassVar[str] = "datetime with offsets"


@dataclass(frozen=True, slots=True)
class LengthText(OfText, DatetimeCodec):
    """Text that is durations; parameters as for `DatetimeCodec`, and how they are written."""

    text: DurationText = field(kw_only=True)
    name: ClassVar[str] = "duration"

    @property
    def grain(self) -> int:
        """Grain, which every value is a multiple of: the last digit that is written."""
        return self.text.last_digit


def text_codec(form: TextForm) -> IntegerText | DecimalText | PlacedText | DatetimeText | LengthText:
    """Codec of text of a form; its base is 0."""
    if isinstance(form, OffsetMomentText):
        return OffsetText(form.value, 0, text=form)
    if isinstance(form, MomentText):
        return DatetimeText(form.value, 0, text=form)
    if isinstance(form, DurationText):
        return LengthText(form.value_type, 0, text=form)
    if isinstance(form, PlacedNumberText):
        return PlacedText(form.value_type, 0, text=form)
    assert isinstance(form, NumberText)
    return (DecimalText if form.most else IntegerText)(form.value_type, 0, text=form)
