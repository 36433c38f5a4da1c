"""Text that is not modelled: new values in the form of those of the table, each a function of its row's number."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.columns import FittedColumn, IdColumn
from gpuvgm.engines import philox_words
from gpuvgm.errors import counted
from gpuvgm.io import plain_values_of
from gpuvgm.laws import DatesInText
from gpuvgm.rules import whole
from gpuvgm.summary import Ints
from gpuvgm.synthesis.keys.curves import CurveSearch, NumberCurve
from gpuvgm.synthesis.keys.keys import KeyLayout
from gpuvgm.synthesis.keys.patterns import MOST_NUMBERED, NUMBER, Pattern, SeenShape
from gpuvgm.synthesis.keys.seen import LONGEST, SeenValues, refined_pattern
from gpuvgm.synthesis.keys.streams import column_number, shuffled

_LOG = logging.getLogger("gpuvgm")
LONGER = -1  # in place of a pattern: texts longer than those of the first one; -2 of the second one, and so on
MORE = 1.5  # times as many values as a table's rows take of a pattern, that it must have
SLOTS = 1 << 10  # of consecutive numbers, which patterns share by their weights
MADE = {
    "number": "running numbers",
    "address": "addresses of no host",
    "shape": "random letters and digits",
    "moment": "missing values",
    "missing": "missing values",
}
FIRST_UNUSED = 0xF0000000  # RFC 1112, section 4: addresses from 240.0.0.0 on are of no host
TIMES_AS_MANY = 3  # rows as in the table, for which patterns by categories must have values


@dataclass(frozen=True, slots=True)
class NewTexts:
    """Which texts of a form rows or keys get.

    Parameters
    ----------
    patterns : ndarray of shape (texts,), int64
        Place of the pattern of each; `LONGER` and below for longer ones.
    numbers : ndarray of shape (texts,), uint64
        Number among the values of the pattern.
    counter : ndarray of shape (texts,), uint64
        Number of the row or the key.
    moments : ndarray of shape (texts,), int64, optional
        Seconds since 1970 that the texts are to hold.
    """

    patterns: Ints
    numbers: NDArray[np.uint64]
    counter: NDArray[np.uint64]
    moments: Ints | None = None

    def at(self, places: Ints) -> NewTexts:
        """Some of them."""
        moments = None if self.moments is None else self.moments[places]
        return NewTexts(self.patterns[places], self.numbers[places], self.counter[places], moments)


@dataclass(frozen=True, slots=True)
class IdentifierForm:
    """Form of the values of a column that is not modelled. No value of it is one of the table.

    Parameters
    ----------
    kind : {"number", "address", "shape", "moment", "missing"}
        Numbers that run on after the largest of the table; IPv4 addresses that no host has; letters and digits drawn
        at the places where all values of a pattern have such, no two rows the same; or missing values, for dates and
        times that are not read, and for sentences.
    patterns : tuple of Pattern
        Patterns of the values, the most frequent first; of numbers a single one.
    width : int
        Least digits of a number.
    largest : int
        Largest number of the table.
    length : int
        Characters of the longest text of the table; 0 where its rows are not read yet.
    key : KeyLayout, optional
        Of a key: which rows have the same one.
    level : int
        Level of the keys of the column in that layout.
    missing : int
        Of 2^32 rows, how many have no value, as in a sample; of keys their layout knows more.
    domains : tuple of str
        Of e-mail addresses: the domains that several have, one of which is drawn behind each value of the pattern.
    domain_values : tuple of int
        Addresses of each domain, in a sample.
    given : str
        Column whose categories say which patterns there are, such as a country that of plates; empty where none does.
    weights : tuple of tuple of int
        For each of its categories the different values of each pattern, in a sample; 0 for those of fewer than five.
    date : str
        Column whose dates the values hold, where their patterns say so; empty where they hold none.
    dated : (int, int)
        Rows that have a date and a text that holds one, and how many of them hold another one.
    busiest : int
        Of 2^32 different values, how many hold the most frequent of these dates, in a sample; all without dates.
    in_groups : bool
        Whether values are numbered beside those with the same pattern and date, and not through all rows.
    curve : NumberCurve, optional
        Of numbers that rise with a time, over all rows: how.
    """

    kind: Literal["number", "address", "shape", "moment", "missing"]
    patterns: tuple[Pattern, ...] = ()
    width: Annotated[int, whole(0, LONGEST)] = 0
    largest: Annotated[int, whole(-(2**63), 2**64 - 1)] = -1
    length: Annotated[int, whole()] = 0
    key: KeyLayout | None = None
    level: Annotated[int, whole()] = 0
    missing: Annotated[int, whole(0, 2**32)] = 0
    domains: tuple[str, ...] = ()
    domain_values: tuple[Annotated[int, whole(1)], ...] = ()
    given: str = ""
    weights: tuple[tuple[Annotated[int, whole()], ...], ...] = ()
    date: str = ""
    dated: tuple[Annotated[int, whole()], Annotated[int, whole()]] = (0, 0)
    busiest: Annotated[int, whole(0, 2**32)] = 2**32
    in_groups: bool = False
    curve: NumberCurve | None = None

    def check(self, levels: Mapping[tuple[str, int], Any]) -> None:
        """Raise ValueError where the parts of a loaded form do not fit together, or are of keys of other levels."""
        if bool(self.given) != bool(self.weights) or any(len(one) != len(self.patterns) for one in self.weights):
            raise ValueError("patterns have other shares beside categories than there are patterns")
        if len(self.domains) != len(self.domain_values):
            raise ValueError("domains of e-mail addresses have no shares")
        if not self.patterns and self.kind in ("number", "shape"):
            raise ValueError("values of a form have no pattern")
        for pattern in self.patterns:
            pattern.require(numbers=self.kind == "number")
        if bool(self.date) != any(pattern.dates for pattern in self.patterns) or (self.date and not self.in_groups):
            raise ValueError("its patterns hold dates of no column")
        if self.curve is not None:
            self.curve.check()
            if self.kind != "number" or self.key is not None:
                raise ValueError("what is no running number rises with a time")
        if self.key is not None:
            self.key.check()
            lacking = [level for level in range(len(self.key.above) + 1) if (self.key.group, level) not in levels]
            if lacking or self.level > len(self.key.above):
                raise ValueError(f'there are no keys of level {[*lacking, self.level][0]} of "{self.key.group}"')

    @property
    def is_read(self) -> bool:
        """True if it depends on what rows hold."""
        return bool(self.patterns or self.key)

    @property
    def is_beside(self) -> bool:
        """True if values depend on what their rows have in modelled columns."""
        return bool(self.given or self.date or self.curve)

    def laws(self, name: str) -> list[str]:
        """Laws of the column of this name that its values keep, as users write them."""
        return [f"{column} -> code({name})" for column in (self.date, self.given) if column]

    @staticmethod
    def tell_of_ended(before: Mapping[str, IdentifierForm], after: Mapping[str, IdentifierForm]) -> None:
        """Warn of forms, given by column, of which some held dates before some rows were counted, and do not after."""
        for name, form in after.items():
            if before[name].date and not form.date:
                rows = counted(form.dated[1], "row")
                law = f"{before[name].date} -> code({name})"
                _LOG.warning('the law "%s" is broken by %s: samples do not keep it', law, rows)

    @property
    def is_plain(self) -> bool:
        """True of running numbers with nothing around them."""
        return self.kind == "number" and [pattern.text for pattern in self.patterns] == [NUMBER]

    def seen(self, values: pa.Array[Any]) -> SeenValues:
        """What some rows hold of the patterns: of e-mail addresses what is before any domain."""
        if not (self.is_plain and pa.types.is_integer(values.type)):
            values = IdColumn.digits(values)
        if self.domains:
            texts: Any = plain_values_of(values).cast(pa.large_string())
            values = pc.list_element(pc.split_pattern(texts, "@", max_splits=1), 0)
        return SeenValues.of(self.patterns, values)

    @staticmethod
    def may_hold(column: FittedColumn | None) -> bool:
        """Whether values may hold dates of a column."""
        if column is None or not column.is_encoded:
            return False
        type_: Any = column.decoded_type
        return DatesInText.moments(column, pa.nulls(0, type_)) is not None

    def count_dates(self, values: pa.Array[Any], column: FittedColumn, dates: pa.Array[Any]) -> tuple[int, int]:
        """How many of some rows have a date and a text that holds one, and how many of them another one."""
        moments = DatesInText.moments(column, dates)
        assert moments is not None
        texts, known = plain_values_of(IdColumn.digits(values)).cast(pa.string()), moments != DatesInText.MISSING
        rows = texts.filter(pa.array(known)), moments[known]
        counts = np.array([pattern.count_dates(*rows) for pattern in self.patterns if pattern.dates])
        held, broken = counts.sum(axis=0).tolist()
        return held, broken

    def with_dates_of(self, rows: int, broken: int) -> IdentifierForm:
        """The form, given how many further rows have texts with dates, and how many hold other dates; see `dated`."""
        dated = (self.dated[0] + rows, self.dated[1] + broken) if self.date else self.dated
        form = replace(self, dated=dated)
        return form if DatesInText.are_held(*dated) else form.without_dates

    @property
    def without_dates(self) -> IdentifierForm:
        """The form with any digits in place of those of dates."""
        if not self.date:
            return self
        patterns = tuple(pattern.without_dates for pattern in self.patterns)
        return replace(self.alike, patterns=patterns, date="", busiest=2**32, in_groups=False)

    def with_curve(
        self, column: FittedColumn, times: Mapping[str, FittedColumn], rows: pa.Table, keys: Ints, in_all: int
    ) -> IdentifierForm:
        """The form with the time with which its numbers rise, if they are no keys and do with one of some columns.

        Parameters
        ----------
        column : FittedColumn
            The column of the form.
        times : mapping of str to FittedColumn
            Columns that may be such times.
        rows, keys, in_all : object
            A sample of the rows; see `CurveSearch`.
        """
        if self.kind != "number" or self.key is not None or self.domains:
            return self
        return replace(self, curve=CurveSearch(column, self, rows, keys, in_all).beside(times))

    def refined(self, values: SeenValues) -> IdentifierForm:
        """The form that makes none of the values of some rows, nor any that it did not make before."""
        if not self.patterns:
            return self
        if self.kind == "number":
            return self if values.largest is None else replace(self, largest=max(self.largest, values.largest))
        count, is_read = len(self.patterns), bool(self.length)
        shapes = values.shapes or (SeenShape(),) * count
        patterns = tuple(
            refined_pattern(pattern, shape, count, is_read=is_read)
            for pattern, shape in zip(self.patterns, shapes, strict=True)
        )
        return replace(self, patterns=patterns, length=max(self.length, values.longest, 1))

    def merge(self, other: IdentifierForm) -> IdentifierForm:
        """The form that makes no value of the tables of both; both come from one form."""
        if bool(self.date) != bool(other.date):  # rows of one table have ended the law
            return self.without_dates.merge(other.without_dates)
        shapes = tuple(map(Pattern.lacking, self.patterns, other.patterns))
        return self.refined(SeenValues(other.largest, other.length, shapes)).with_dates_of(*other.dated)

    def slots(self) -> NDArray[np.int64]:
        """Ends of the shares of the patterns among `SLOTS` numbers that follow each other, the first one at 0."""
        weights = np.cumsum([pattern.weight for pattern in self.patterns])
        rest = SLOTS - len(weights)  # each has one at least
        return np.append(0, weights * rest // weights[-1] + np.arange(1, len(weights) + 1))

    def pattern_of(self, name: str, counter: NDArray[np.uint64], seed: int, categories: Ints | None = None) -> Ints:
        """The pattern that is drawn for each number, beside its category, -1 for one that is not known."""
        of_all = [[pattern.weight for pattern in self.patterns]]
        weights = np.array([*(one if any(one) else of_all[0] for one in self.weights), *of_all], np.float64)
        ends = np.cumsum(weights, axis=1)[np.full(len(counter), -1) if categories is None else categories]
        words = philox_words(counter, column_number(f"{name}/pattern"), seed)[0]
        drawn: Ints = np.sum((words * (ends[:, -1] / 2.0**32))[:, None] >= ends, axis=1)
        return drawn

    def _places_beside(
        self, name: str, counter: NDArray[np.uint64], seed: int, categories: Ints
    ) -> tuple[Ints, NDArray[np.uint64]]:
        """As `places`, of rows with these categories, -1 for those that are not known: patterns are drawn."""
        limits = np.array([pattern.limit for pattern in self.patterns], np.uint64)
        pattern_of = self.pattern_of(name, counter, seed, categories)
        has_pattern = np.array([*self.weights, [pattern.weight for pattern in self.patterns]]) > 0
        has_pattern |= ~has_pattern.any(axis=1, keepdims=True)
        widest = np.argmax(np.where(has_pattern, limits, 0), axis=1)[categories]
        beyond = counter >= limits[pattern_of]
        in_widest = beyond & (counter < limits[widest])
        # As in `places`: the upper half of a pattern is that of numbers which no other pattern has left.
        numbers = np.where(in_widest, counter + limits[widest], counter)
        return np.where(in_widest, widest, np.where(beyond, LONGER, pattern_of)), numbers

    def with_room(self, rows: int) -> IdentifierForm:
        """The form by categories, if all patterns have room for the values of as many rows as the table; else alike.

        Where a pattern has several times as many, rows take its values by their numbers, whichever category they have.
        """
        if not self.given or self.kind == "number":
            return self
        used, in_all = np.any(np.array(self.weights) > 0, axis=0), sum(pattern.weight for pattern in self.patterns)
        patterns = [pattern for pattern, is_used in zip(self.patterns, used.tolist(), strict=True) if is_used]
        if not self.in_groups and all(pattern.limit >= TIMES_AS_MANY * rows for pattern in patterns):
            return self
        expected = [rows * pattern.weight / in_all * self.busiest / 2**32 for pattern in patterns]
        has_room = all(pattern.limit >= MORE * most for pattern, most in zip(patterns, expected, strict=True))
        return replace(self, in_groups=True) if has_room else self.alike

    @property
    def alike(self) -> IdentifierForm:
        """The form with the same patterns beside all categories."""
        return replace(self, given="", weights=(), in_groups=bool(self.date))

    def places(
        self, name: str, counter: NDArray[np.uint64], seed: int, categories: Ints | None = None
    ) -> tuple[Ints, NDArray[np.uint64]]:
        """The pattern of each number, and its number among its values; `LONGER` and the rest where none is left.

        Of a form by categories these are those of the rows, if they are known.
        """
        if self.given and categories is not None:
            return self._places_beside(name, counter, seed, categories)
        limits = np.array([pattern.limit for pattern in self.patterns], np.uint64)
        widest = int(np.argmax(limits))
        pattern_of, numbers = np.zeros(len(counter), np.int64), counter
        if len(limits) > 1:
            ends = self.slots()
            turns, slots = np.divmod(counter, np.uint64(SLOTS))
            slots = shuffled(slots, SLOTS, f"{name}/pattern", seed)
            pattern_of = np.searchsorted(ends, slots.astype(np.int64), side="right") - 1
            sizes = np.diff(ends).astype(np.uint64)
            numbers = turns * sizes[pattern_of] + slots - ends[pattern_of].astype(np.uint64)
        beyond = numbers >= limits[pattern_of]
        in_widest = beyond & (counter < limits[widest])
        # A number past its pattern's limit takes the upper half of the widest pattern, which no turn reaches.
        moved = np.where(in_widest, counter + limits[widest], counter - limits[widest])
        numbers = np.where(beyond, moved, numbers)
        return np.where(in_widest, widest, np.where(beyond, LONGER, pattern_of)), numbers

    @property
    def unlengthened(self) -> int:
        """Numbers below it have values no longer than those of the table."""
        if self.kind == "shape":
            return max(pattern.limit for pattern in self.patterns)
        if self.kind != "number" or not self.width:  # running numbers without zeros before them grow
            return 2**64
        return int(10 ** max(self.width, len(str(self.largest)))) - 1 - self.largest

    @property
    def unlengthened_in_groups(self) -> int:
        """About so many values are no longer than those of the table, where they are numbered in groups."""
        if self.kind == "number":
            return (self.unlengthened << 32) // max(self.busiest, 1)
        of_all = sum(pattern.weight for pattern in self.patterns) << 32
        return min(pattern.limit * of_all // max(pattern.weight * self.busiest, 1) for pattern in self.patterns)

    def room_beside(self, texts: list[str]) -> int:
        """How many values it makes that are no longer than those of some texts, and none of them."""
        return self.refined(self.seen(pa.array(texts))).unlengthened if self.patterns else 0

    def longer(self, name: str, numbers: NDArray[np.uint64], seed: int) -> int:
        """How many of some numbers have values that are longer than those of the table."""
        if self.kind == "shape":
            which, _ = self.places(name, numbers, seed, np.full(len(numbers), -1))
            return int(np.count_nonzero(which < 0))
        return int(np.count_nonzero(numbers >= np.uint64(self.unlengthened)))

    def lacking(self, name: str, rows: NDArray[np.uint64], seed: int) -> NDArray[np.bool_]:
        """Which rows of some numbers have no value, of what is no key: drawn, in the table's share."""
        words = philox_words(rows, column_number(f"{name}/missing"), seed)[0]
        return np.asarray(words < np.uint64(self.missing))

    def values(
        self, name: str, counter: NDArray[np.uint64], seed: int, categories: Ints | None = None
    ) -> pa.Array[Any]:
        """Values by their numbers, those of rows or of keys, as text; of rows with categories of `given`, if known."""
        if MADE[self.kind] == MADE["missing"] or not len(counter):
            return pa.nulls(len(counter), pa.string())
        if self.kind == "address":
            return _unused_addresses(counter, name, seed)
        if self.kind == "number":
            pattern_of = np.zeros(len(counter), np.int64)
            if len(self.patterns) > 1:
                pattern_of = self.pattern_of(name, counter, seed, categories)
            texts = self.texts(name, NewTexts(pattern_of, counter, counter), seed)
        else:
            texts = self.texts(name, NewTexts(*self.places(name, counter, seed, categories), counter), seed)
        if not self.domains:
            return texts
        words = philox_words(counter, column_number(f"{name}/domain"), seed)[0]
        return _with_domains(texts, self.domains, self.domain_values, words)

    def texts(self, name: str, new: NewTexts, seed: int) -> pa.Array[Any]:
        """Texts of patterns, with running numbers after the largest of the table, or of shapes."""
        indices_of_pieces = list[Ints]()
        pieces: list[pa.Array[Any]] = []
        for place in np.unique(new.patterns).tolist():
            indices = np.flatnonzero(new.patterns == place)
            pieces.append(self._texts_of(place, name, new.at(indices), seed))
            indices_of_pieces.append(indices)
        if len(pieces) == 1:
            return pieces[0]
        order: Any = pa.array(np.argsort(np.concatenate(indices_of_pieces), kind="stable"))
        return pa.concat_arrays(pieces).take(order)

    def _texts_of(self, place: int, name: str, new: NewTexts, seed: int) -> pa.Array[Any]:
        """Texts of one pattern, or longer ones."""
        if place < 0:
            return _longer_texts(self.patterns[~place], self.length, name, new, seed)
        stream, pattern = f"{name}/shape {place}" if place else name, self.patterns[place]
        if self.kind == "shape":
            return pattern.texts(new.numbers, stream, seed, moments=new.moments)
        numbers = pa.array(new.numbers.astype(np.int64) + (self.largest + 1)).cast(pa.string())
        # Numbers that rise with a time have as many digits as the last one, so that texts rise as well.
        digits = 0 if self.curve is None else len(str(self.largest + self.curve.most))
        padded = pc.utf8_lpad(numbers, max(self.width, digits), "0") if self.width else numbers
        return pattern.texts(new.counter, stream, seed, padded, new.moments)


def _longer_texts(pattern: Pattern, length: int, name: str, new: NewTexts, seed: int) -> pa.Array[Any]:
    """Texts of a pattern that are longer than a length, by as few letters or digits as possible."""
    start, numbers = 0, new.numbers
    texts: pa.Array[Any] = pa.nulls(len(numbers), pa.string())
    for characters in range(length + 1, LONGEST + 1):
        longer = pattern.longer(characters - pattern.characters)
        stop = start + min(longer.values, MOST_NUMBERED)
        has_length = (numbers >= start) & (numbers < stop)
        moments = None if new.moments is None else new.moments[has_length]
        of_length = longer.texts(numbers[has_length] - np.uint64(start), f"{name}/longer", seed, moments=moments)
        texts = pc.replace_with_mask(texts, pa.array(has_length), of_length)
        if not (numbers >= stop).any():
            break
        start = stop
    return texts


def _with_domains(
    texts: pa.Array[Any], domains: Sequence[str], counts: Sequence[int], words: NDArray[np.uint64]
) -> pa.Array[Any]:
    """E-mail addresses whose domains have the shares that they have in the table, by random words of 32 bits."""
    ends = np.cumsum(counts)
    places = np.searchsorted(ends, words * (ends[-1] / 2.0**32), side="right")
    of_texts: Any = pa.array(domains, pa.string()).take(pa.array(places))
    addresses: pa.Array[Any] = pc.binary_join_element_wise(texts, of_texts, "@")
    return addresses


def _unused_addresses(counter: NDArray[np.uint64], name: str, seed: int) -> pa.Array[Any]:
    """IPv4 addresses of rows that no host has, no two rows the same up to 2^28."""
    count = (1 << 32) - FIRST_UNUSED
    numbers = shuffled(counter % np.uint64(count), count, name, seed).astype(np.uint32) + np.uint32(FIRST_UNUSED)
    parts = [pa.array(numbers >> np.uint32(shift) & np.uint32(255)).cast(pa.string()) for shift in (24, 16, 8, 0)]
    texts: pa.Array[Any] = pc.binary_join_element_wise(*parts, ".")
    return texts
