"""Dates that stand in the text of another column, such as 20240317 in R20240317-0042."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.laws.codes import Mask
from gpuvgm.laws.sample import LEAST_BROKEN
from gpuvgm.summary import Ints

DAY = 86_400  # seconds
LEAST_SHARE = 0.02  # of the rows, that would hold another date if rows were permuted
MOST_FORMS = 32  # of texts, that may hold dates
LONGEST = 64  # letters of such a text
PROBED = 24  # rows on which places are tried first, of which one may hold another date
MOST_BROKEN = 0.005  # of the rows, that may hold other dates, as where dates were put right later
MOST_WHOLE = 10**9  # beyond all dates that are written as whole numbers
NO_MOMENT = int(np.iinfo(np.int64).min)  # in place of a missing moment
_DIGITS = "0123456789"


def _day_of_year(days: Ints) -> Ints:
    dates = days.astype("M8[D]")
    days_of_year: Ints = (dates - dates.astype("M8[Y]")).astype(np.int64) + 1
    return days_of_year


def _thursday(days: Ints) -> Ints:
    """The Thursday of the week, whose year is that of the week by ISO 8601."""
    return days - (days + 3) % 7 + 3


def _year(days: Ints) -> Ints:
    years: Ints = days.astype("M8[D]").astype("M8[Y]").astype(np.int64) + 1970
    return years


def _month(days: Ints) -> Ints:
    months: Ints = days.astype("M8[D]").astype("M8[M]").astype(np.int64)
    return months


class DatePart(NamedTuple):
    """A part of a date as text: so many digits, and its number, from days and seconds since 1970."""

    digits: int
    number: Callable[[Ints, Ints], Ints]


#: Parts by their letter in `strftime`; the first one that all rows have at a place is taken.
DATE_PARTS = {
    "Y": DatePart(4, lambda days, _: _year(days)),
    "G": DatePart(4, lambda days, _: _year(_thursday(days))),
    "j": DatePart(3, lambda days, _: _day_of_year(days)),
    "y": DatePart(2, lambda days, _: _year(days) % 100),
    "g": DatePart(2, lambda days, _: _year(_thursday(days)) % 100),
    "m": DatePart(2, lambda days, _: days.astype("M8[D]").astype("M8[M]").astype(np.int64) % 12 + 1),
    "d": DatePart(
        2, lambda days, _: (days.astype("M8[D]") - days.astype("M8[D]").astype("M8[M]")).astype(np.int64) + 1
    ),
    "H": DatePart(2, lambda _, seconds: seconds // 3600 % 24),
    "M": DatePart(2, lambda _, seconds: seconds // 60 % 60),
    "S": DatePart(2, lambda _, seconds: seconds % 60),
    "V": DatePart(2, lambda days, _: (_day_of_year(_thursday(days)) - 1) // 7 + 1),
}
#: A letter that hardly any text has, for the digits of each part in texts whose dates are masked.
DATE_MARKS = {part: chr(number) for number, part in enumerate(DATE_PARTS, 0x0E)}
#: Periods of a calendar, the longest first: their number, from days since 1970. Weeks begin on Mondays, as in ISO 8601.
PERIODS: Mapping[str, Callable[[Ints], Ints]] = {
    "year": _year,
    "quarter": lambda days: _month(days) // 3,
    "month": _month,
    "week": lambda days: (days + 3) // 7,
    "day": lambda days: days,
}
Places = tuple[tuple[int, str], ...]  # first letter of each part in a text, and the part


@dataclass(frozen=True, slots=True)
class DatesInText:
    """Where texts hold parts of dates.

    Parameters
    ----------
    places : mapping of str to tuple of (int, str)
        By form of the text, such as "A00000000-0000": the first letter of each part, and the part.
    """

    places: Mapping[str, Places]

    digits: ClassVar[Mapping[str, int]] = {part: of_part.digits for part, of_part in DATE_PARTS.items()}
    marks: ClassVar[Mapping[str, str]] = DATE_MARKS
    periods: ClassVar[Sequence[str]] = tuple(PERIODS)
    MISSING: ClassVar[int] = NO_MOMENT

    @classmethod
    def find(cls, texts: pa.Array[Any], moments: Ints) -> Self:
        """Parts of moments that nearly all texts of a form hold at the same place, and would hardly hold by chance.

        Parameters
        ----------
        texts : pyarrow.Array of shape (rows,)
            Texts, some of which may be missing.
        moments : ndarray of shape (rows,), int64
            Seconds since 1970, `NO_MOMENT` for missing ones.
        """
        of_forms = [(form, digits, moments[rows]) for form, digits, rows in _by_form(texts, moments)]
        found = {form: _places_in(form, *rows) for form, *rows in of_forms}
        known = sorted({*found.values()} - {()}, key=len, reverse=True)
        for form, digits, of_rows in of_forms:  # few rows are no evidence, but may agree
            fitting = (places for places in known if not _breaking(form, digits, of_rows, places).any())
            found[form] = found[form] or next(fitting, ())
        return cls({form: places for form, places in found.items() if places})

    @classmethod
    def of_most(cls, texts: pa.Array[Any], moments: Mapping[str, Ints]) -> tuple[str, Self]:
        """The column whose moments texts hold most of, and where; of those that are held alike the first one.

        Empty where texts hold no dates.
        """
        distinct: list[Any] = texts.drop_null().unique().to_pylist()
        found = {name: cls.find(texts, of_column) for name, of_column in moments.items()}
        held = {name: cls.held(dates.masked(distinct)) for name, dates in found.items()}
        name = max(held, key=lambda name: held[name], default="")
        return (name, found[name]) if held.get(name) else ("", cls({}))

    @staticmethod
    def held(masked: Sequence[str]) -> int:
        """Digits of dates in masked texts."""
        joined = "".join(masked)
        return sum(joined.count(mark) for mark in DATE_MARKS.values())

    @staticmethod
    def moments(column: FittedColumn, values: Any) -> Ints | None:
        """Seconds since 1970 of a column's values, by the clock of its zone; None for a column without dates.

        Whole numbers such as 20240317 are dates, if all are.
        """
        if not isinstance(column, NumericColumn):
            return None
        numbers, plain = column.all_numbers(values), column.codec.plain
        is_missing = np.isnan(numbers)
        if pa.types.is_integer(column.type):
            whole = np.where(is_missing, 0, numbers + plain.base).clip(-MOST_WHOLE, MOST_WHOLE)
            seconds = _of_whole_numbers(whole.astype(np.int64), is_missing)
        else:
            values_on_clock = None if pa.types.is_time(column.type) else plain.on_clock(numbers)
            seconds = None if values_on_clock is None else _in_seconds(values_on_clock, plain.nanoseconds)
        return None if seconds is None else np.where(is_missing, NO_MOMENT, seconds)

    @staticmethod
    def numbers(moments: Ints, part: str) -> Ints:
        """The number that a part of moments is."""
        return DATE_PARTS[part].number(moments // DAY, moments)

    @staticmethod
    def numbers_of_periods(moments: Ints, period: str) -> Ints:
        """Number of the year, quarter, month, week or day of moments; missing ones have one of their own."""
        return PERIODS[period](moments // DAY)

    @staticmethod
    def texts(moments: Ints, part: str) -> pa.Array[Any]:
        """A part of moments as text."""
        length = DATE_PARTS[part].digits
        numbers: Any = pa.array(DatesInText.numbers(moments, part) % 10**length).cast(pa.string())
        texts: pa.Array[Any] = pc.utf8_lpad(numbers, length, "0")
        return texts

    @staticmethod
    def are_held(rows: int, broken: int) -> bool:
        """Whether texts hold dates, of which some may be others."""
        return broken <= MOST_BROKEN * rows

    def masked(self, texts: Sequence[str]) -> list[str]:
        """Texts with a mark, one of `marks`, in place of each digit of a date."""
        forms = forms_of(pa.array(texts, pa.string())).to_pylist()
        return [_masked(text, self.places.get(form, ())) for text, form in zip(texts, forms, strict=True)]

    def share(self, texts: pa.Array[Any], moments: Ints) -> tuple[int, int]:
        """How many rows hold their date, of those whose texts have a form with a date."""
        judged = kept = 0
        for form, digits, rows in _by_form(texts, moments, self.places):
            broken = _breaking(form, digits, moments[rows], self.places[form])
            judged, kept = judged + len(rows), kept + len(rows) - int(np.count_nonzero(broken))
        return kept, judged


def forms_of(texts: Any) -> Any:
    """What the letters of texts are: 0 for digits, A and a for letters of ASCII, others as they are."""
    for pattern, letter in (("[0-9]", "0"), ("[A-Z]", "A"), ("[a-z]", "a")):
        texts = pc.replace_substring_regex(texts, pattern, letter)
    return texts


def _of_whole_numbers(numbers: Ints, is_missing: Mask) -> Ints | None:
    """Seconds since 1970 of dates that are written as numbers, such as 20240317; None unless all are such."""
    years, months, days = numbers // 10_000, numbers // 100 % 100, numbers % 100
    are_dates = (years >= 1000) & (years <= 9999) & (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
    months_since = np.where(are_dates, 12 * (years - 1970) + months - 1, 0)
    dates = months_since.astype("M8[M]").astype("M8[D]") + np.where(are_dates, days - 1, 0)
    are_dates &= dates.astype("M8[M]").astype(np.int64) == months_since
    if is_missing.all() or not np.all(are_dates | is_missing):
        return None
    seconds: Ints = dates.astype(np.int64) * DAY
    return seconds


def _in_seconds(values: Ints, nanoseconds: int) -> Ints:
    """Values in a unit of so many nanoseconds as whole seconds."""
    return values * (nanoseconds // 10**9) if nanoseconds >= 10**9 else values // (10**9 // nanoseconds)


def _by_form(
    texts: pa.Array[Any], moments: Ints, wanted: Collection[str] | None = None
) -> Iterator[tuple[str, NDArray[np.int64], Ints]]:
    """Yield forms of texts beside moments, the most frequent first, their digits, and the places of their rows.

    Digits have shape (rows, letters), with -1 for other letters. Of forms that are not wanted none is yielded; by
    default a few are that may hold dates.
    """
    coded: Any = texts.cast(pa.string()).dictionary_encode()
    of_distinct: Any = forms_of(coded.dictionary).dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    form_of = np.append(of_distinct.indices.to_numpy(zero_copy_only=False).astype(np.int64), -1)
    forms, of_rows = of_distinct.dictionary.to_pylist(), np.where(moments == NO_MOMENT, -1, form_of[codes])
    counts = np.bincount(of_rows[of_rows >= 0], minlength=len(forms))
    places = np.argsort(-counts, kind="stable")[:MOST_FORMS].tolist()
    if wanted is not None:
        places = [place for place, form in enumerate(forms) if form in wanted]
    for place in (place for place in places if counts[place] and len(forms[place]) <= LONGEST):
        if "00" in forms[place]:
            rows = np.flatnonzero(of_rows == place)
            of_form = np.array(coded.dictionary.take(pa.array(codes[rows])).to_pylist(), f"U{len(forms[place])}")
            letters = of_form.view(np.uint32).reshape(len(rows), -1).astype(np.int64) - ord("0")
            yield forms[place], np.where((letters >= 0) & (letters <= 9), letters, -1), rows


def _places_in(form: str, digits: Ints, moments: Ints) -> Places:
    """Parts that all texts of a form hold, where many would not if moments were those of other rows."""
    order = np.random.default_rng(0).permutation(len(moments))
    digits, moments = digits[order], moments[order]
    least, places = max(LEAST_BROKEN, LEAST_SHARE * len(moments)), dict[int, str]()
    free = np.array([letter == "0" for letter in form])
    for part, (length, _) in DATE_PARTS.items():
        for first in range(len(form) - length + 1):
            place, is_free = ((first, part),), free[first : first + length].all()
            if not is_free or np.count_nonzero(_breaking(form, digits[:PROBED], moments[:PROBED], place)) > 1:
                continue
            shifted, broken = (
                int(np.count_nonzero(_breaking(form, digits, of_rows, place)))
                for of_rows in (np.roll(moments, 1), moments)
            )
            if shifted >= least and DatesInText.are_held(len(moments), broken):
                places[first], free[first : first + length] = part, False
    return tuple(sorted(places.items()))


def _breaking(form: str, digits: Ints, moments: Ints, places: Places) -> Mask:
    """Which texts of a form hold other dates than their moments at some places."""
    broken = np.zeros(len(moments), np.bool_)
    for first, part in places:
        length = DATE_PARTS[part].digits
        if form[first : first + length] != _DIGITS[0] * length:
            return np.ones(len(moments), np.bool_)
        written = digits[:, first : first + length] @ 10 ** np.arange(length - 1, -1, -1)
        broken |= written != DatesInText.numbers(moments, part)
    return broken


def _masked(text: str, places: Places) -> str:
    letters = [*text]
    for first, part in places:
        length = DATE_PARTS[part].digits
        letters[first : first + length] = DATE_MARKS[part] * length
    return "".join(letters)
