"""Kinds of laws that comparisons alone know: forms, calendars, ranges, missing values, uniqueness and order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.columns import NumericColumn
from gpuvgm.report.laws.rows import (
    CHECKS,
    CODE,
    DECIMALS,
    FORM,
    MISSING,
    MOST_PLACES,
    NO_NUMBER,
    PARTS_OF_DATES,
    SHAPE,
    VALUE,
    Feature,
    Mask,
    SomeRows,
)
from gpuvgm.summary import Floats, Ints

LEAST_FORBIDDEN = 30  # rows that would break a law by chance, of the half that it is tried on
LEAST_SHARE = 0.02  # of the rows, that would
STRETCH, LEAST_STRETCHES = 64, 16  # rows of one half side by side, and stretches of them at least
MOST_BROKEN = 0.005  # of the rows of the other half, that may break what a half suggests
MOST_OF_CHANCE = 0.1  # of the rows that would by chance
MOST_GIVENS, MOST_GIVEN = 24, 64  # columns on which others may depend, and different values of each
MOST_FORMS = 64  # different ones, from which on runs of digits and letters count as one
LEAST_OF_GIVEN = 20  # rows of such a value, of which a range is known
LEAST_ROWS = 100  # with all columns of a law
LEAST_COLLISIONS, LEAST_PAIRED = 10, 100  # that are expected by chance among values, or pairs of them, without any
MOST_COLUMNS, MOST_NUMBERS = 24, 64  # of which pairs may be unique, or keys; and columns that may be in order
LEAST_KEYS = 60  # of which rows have what is told beside a category
PROBED = 4_000  # rows in which most pairs that are not unique are seen not to be
KEYS = 20, 1.5  # different ones at least, and rows of each on average
LEAST_STEPS = 50  # from one row of a key to the next
ORDERED = 0.99  # of these, that go one way
#: How a law is written of two columns, by where values are missing in no row: in the first alone, or in the second.
MISSING_SIGNS = {(True, False): "->", (False, True): "<-"}
DECIDED = 0.99  # of the rows of a key that follow another one, which have its value
SAME_SIZE = 1.02  # times as many rows, up to which values can be as unique

Share = tuple[int, int]  # rows that keep a law, and those that it judges


class Rule(ABC):
    """A law that a table obeys."""

    columns: tuple[str, ...]

    @property
    def may_be_declared(self) -> bool:
        """Whether `TableSynthesizer(laws=...)` takes the law."""
        return False

    @property
    @abstractmethod
    def text(self) -> str:
        """The law, as people write it."""

    @abstractmethod
    def share(self, rows: SomeRows) -> Share:
        """How many rows keep it, of those that it judges."""


@dataclass(frozen=True, slots=True)
class Seen(Rule):
    """A feature has no values that the original table lacks, or lacks beside those of another column's feature.

    Parameters
    ----------
    columns : tuple of str
        The columns.
    given : (str, str) or None
        Column and part of the feature that it depends on.
    target : (str, str)
        Column and part of the feature.
    words : str
        The law, as people write it.
    seen : frozenset
        Labels of both features that rows of the original table have; of one its label beside None.
    """

    columns: tuple[str, ...]
    given: tuple[str, str] | None
    target: tuple[str, str]
    words: str
    seen: frozenset[tuple[Any, Any]]

    @property
    def may_be_declared(self) -> bool:
        """Whether codes in texts go with another column."""
        return self.given is not None and not self.given[1] and self.target[1] == CODE

    @property
    def text(self) -> str:
        """The law, as people write it."""
        return self.words

    @classmethod
    def find(cls, rows: SomeRows, decided: Sequence[frozenset[str]], halves: Halves) -> Iterator[Seen]:
        """Yield the features of each column that are always of few labels, and what each depends on most.

        Parameters
        ----------
        rows : SomeRows
            Rows of the original table.
        decided : sequence of frozenset of str
            Columns of laws that are known: between these no weaker ones are looked for.
        halves : Halves
            Which rows suggest laws, and which judge them.
        """
        targets = [one for one in rows.features.values() if _may_be_limited(one, rows)]
        limited = (one for one in targets if _is_limited(one, halves.is_first) and not _is_plain(one))
        yield from (cls.of(None, target) for target in limited)
        givens = _givens(rows) if halves.are_many else []
        best: dict[str, tuple[float, Feature, Feature]] = {}
        for target in (one for one in targets if len(one.labels) > 1):
            for given in _undecided(givens, target.column, decided):
                sizes = len(given.labels), len(target.labels)
                forbidden = _forbidden(given.codes, target.codes, sizes, halves.is_first)
                if forbidden > best.get(target.column, (0.0,))[0]:
                    places = _different(given, rows.few_hashes(target.column))
                    if _forbidden(given.codes[places], target.codes[places], sizes, halves.is_first[places]):
                        best[target.column] = forbidden, given, target
        yield from (cls.of(given, target) for _, given, target in best.values())

    @classmethod
    def missing_together(cls, rows: SomeRows, halves: Halves) -> Iterator[Seen]:
        """Yield columns that are missing together, or the one only where the other is; each with one column."""
        flags = [one for one in rows.features.values() if one.part == MISSING]
        alike = set[str]()
        for first, second in combinations(flags, 2):
            are_known = not alike.isdisjoint({first.column, second.column})
            if are_known or not _forbidden(first.codes, second.codes, (2, 2), halves.is_first):
                continue
            if np.array_equal(first.codes, second.codes):
                alike.add(second.column)
            law = cls.of(first, second)
            if law.words:
                yield law

    @classmethod
    def of(cls, given: Feature | None, target: Feature) -> Seen:
        """The law of two features of a table, or of one."""
        of_target = (target.column, target.part)
        if given is None:
            labels = ((None, target.labels[code]) for code in np.unique(target.codes).tolist() if code >= 0)
            return cls((target.column,), None, of_target, target.text, frozenset(labels))
        judged = (given.codes >= 0) & (target.codes >= 0)
        pairs = np.unique(given.codes[judged] * len(target.labels) + target.codes[judged]).tolist()
        seen = frozenset(
            (given.labels[pair // len(target.labels)], target.labels[pair % len(target.labels)]) for pair in pairs
        )
        text = f"{given.text} -> {target.text}"
        if target.part == MISSING:
            lacking = [labels for labels in MISSING_SIGNS if labels not in seen]
            sign = "=" if len(lacking) > 1 else MISSING_SIGNS[lacking[0]] if lacking else ""
            text = f"{given.text} {sign} {target.text}" if sign else ""
        return cls((given.column, target.column), (given.column, given.part), of_target, text, seen)

    def share(self, rows: SomeRows) -> Share:
        """Rows with a label of the first feature that the original table lacks are not judged."""
        target = rows.features.get(self.target) or rows.without(self.target)
        given = None if self.given is None else rows.features.get(self.given) or rows.without(self.given)
        of_given = [None] if given is None else given.labels
        codes = np.zeros(len(target.codes), np.int64) if given is None else given.codes
        known = {label for label, _ in self.seen}
        allowed = np.array([[(first, second) in self.seen for second in target.labels] for first in of_given], np.bool_)
        is_known = np.array([label in known for label in of_given], np.bool_)
        judged = (codes >= 0) & (target.codes >= 0)
        judged[judged] = is_known[codes[judged]]
        return int(np.count_nonzero(allowed[codes[judged], target.codes[judged]])), int(np.count_nonzero(judged))


def _givens(rows: SomeRows) -> list[Feature]:
    """Values of columns on which others may depend."""
    values = (one for one in rows.features.values() if one.part == VALUE and 1 < len(one.labels) <= MOST_GIVEN)
    return [*islice(values, MOST_GIVENS)]


def _undecided(givens: Sequence[Feature], name: str, decided: Sequence[frozenset[str]]) -> Iterator[Feature]:
    """Yield those of other columns than one, between which and this no law is known."""
    for given in givens:
        pair = {given.column, name}
        if len(pair) > 1 and not any(pair <= known for known in decided):
            yield given


def _may_be_limited(target: Feature, rows: SomeRows) -> bool:
    """Whether a feature is one of which there may be few labels: not of numbers with all digits, nor endless forms."""
    if target.part == DECIMALS:
        return not {MOST_PLACES, NO_NUMBER} & {*target.labels}
    has_forms = (target.column, FORM) in rows.features and len(rows.features[target.column, FORM].labels) <= MOST_FORMS
    return target.part not in (VALUE, MISSING, SHAPE if has_forms else FORM)


def _is_plain(target: Feature) -> bool:
    """Whether a feature says of all numbers that are texts that they are whole, which their form says."""
    return target.part == DECIMALS and [*target.labels] == [0]


def _is_limited(target: Feature, is_first: Mask) -> bool:
    """Whether a feature has few of its possible labels, so that others would be seen soon."""
    has_label = target.codes >= 0
    codes, is_first = target.codes[has_label], is_first[has_label]
    if len(codes) < LEAST_ROWS:
        return False
    possible = PARTS_OF_DATES.get(target.part)
    seen = np.unique(codes[is_first])
    by_chance = 0.0 if possible is None else min(len(np.unique(codes)) / possible, 1.0)
    if target.part in CHECKS:
        by_chance = 0.1 if all(target.labels) else 1.0
    judging = codes[~is_first]
    broken = float(np.mean(~np.isin(judging, seen))) if len(judging) else 1.0
    return _is_evident(broken, 1 - by_chance, len(judging))


def _forbidden(given: Ints, target: Ints, sizes: tuple[int, int], is_first: Mask) -> float:
    """Share of the rows that would have a pair of labels which no row has, by chance; 0 where that is no evidence.

    Half of the rows say which pairs there are, the other half whether that is all.
    """
    judged = (given >= 0) & (target >= 0)
    codes, is_first = (given * sizes[1] + target)[judged], is_first[judged]
    rows = int(np.count_nonzero(~is_first))
    if rows < LEAST_ROWS // 2 or sizes[0] * sizes[1] > len(codes) * LEAST_OF_GIVEN:
        return 0.0
    first, second = (
        np.bincount(half, minlength=sizes[0] * sizes[1]).reshape(sizes) for half in (codes[is_first], codes[~is_first])
    )
    shares = second / np.sum(second)
    forbidden = 1 - float(np.sum(np.outer(shares.sum(axis=1), shares.sum(axis=0)) * (first > 0)))
    broken = float(np.sum(shares * (first == 0)))
    return forbidden if _is_evident(broken, forbidden, rows) else 0.0


def _different(given: Feature, hashes: NDArray[np.uint64]) -> Ints:
    """Places of rows with different values beside each label: what rows of a key repeat is no evidence of its own."""
    pairs = hashes * np.uint64(MOST_GIVEN + 1) + (given.codes + 1).astype(np.uint64)
    return np.sort(np.unique(pairs, return_index=True)[1])


@dataclass(frozen=True, slots=True)
class Halves:
    """Rows that suggest laws, and rows that judge them; rows of a key are of one half.

    Parameters
    ----------
    is_first : ndarray of shape (rows,), bool
        Which of the few rows suggest laws.
    are_many : bool
        Whether rows are of so many keys that what they have beside a category is no chance.
    """

    is_first: Mask
    are_many: bool = True

    @classmethod
    def of(cls, rows: SomeRows, key: str | None) -> Halves:
        """By a column of keys; without one every other stretch of rows, as neighbours may be of one person."""
        if key is not None:
            hashes = rows.few_hashes(key)
            return cls(mixed(hashes, 0) % np.uint64(2) == 0, len(np.unique(hashes)) >= LEAST_KEYS)
        count = len(rows.few_hashes(next(iter(rows.columns))))
        stretch = max(min(STRETCH, count // LEAST_STRETCHES), 1)
        return cls(np.arange(count) // stretch % 2 == 0)


def _is_evident(broken: float, forbidden: float, rows: int) -> bool:
    """Whether a law that so large a share of some rows breaks, and so large a one would by chance, is no chance."""
    is_kept = broken <= min(MOST_BROKEN, MOST_OF_CHANCE * forbidden)
    return is_kept and forbidden >= LEAST_SHARE and forbidden * rows >= LEAST_FORBIDDEN


@dataclass(frozen=True, slots=True)
class Within(Rule):
    """Numbers lie in a range of their own for each value of another column.

    Parameters
    ----------
    columns : tuple of str
        The column on which the range depends, and that of the numbers.
    ranges : dict
        Least and largest number for each value.
    """

    columns: tuple[str, ...]
    ranges: dict[Any, tuple[float, float]]

    @classmethod
    def find(cls, rows: SomeRows, decided: Sequence[frozenset[str]], halves: Halves) -> Iterator[Within]:
        """Yield ranges by the column that narrows them most. Parameters as for `Seen.find`."""
        givens = _givens(rows) if halves.are_many else []
        for name, column in rows.columns.items():
            if not isinstance(column, NumericColumn):
                continue
            numbers, best = rows.few_numbers(name), (0.0, givens[:0])
            for given in _undecided(givens, name, decided):
                outside = _outside(given.labels, given.codes, numbers, halves.is_first)
                if outside > best[0]:
                    places = _different(given, rows.few_hashes(name))
                    different = given.codes[places], numbers[places], halves.is_first[places]
                    best = (outside, [given]) if _outside(given.labels, *different) else best
            yield from (cls((one.column, name), _ranges(one.labels, one.codes, numbers)) for one in best[1])

    @property
    def text(self) -> str:
        """The law, as people write it."""
        given, column = self.columns
        return f"{given} -> range({column})"

    def share(self, rows: SomeRows) -> Share:
        """Rows beside values of which no range is known are not judged."""
        name, column = self.columns
        given = rows.features.get((name, VALUE)) or rows.without((name, VALUE))
        ends = np.array([self.ranges.get(label, (np.nan, np.nan)) for label in given.labels])
        low, high = ends[given.codes].T
        numbers = rows.few_numbers(column)
        judged = (given.codes >= 0) & ~np.isnan(numbers) & ~np.isnan(low)
        return int(np.count_nonzero(judged & (numbers >= low) & (numbers <= high))), int(np.count_nonzero(judged))


def _ranges(labels: Sequence[Any], codes: Ints, numbers: Floats) -> dict[Any, tuple[float, float]]:
    """Least and largest number by label, of labels with enough rows."""
    ranges = {}
    for code, label in enumerate(labels):
        of_label = numbers[(codes == code) & ~np.isnan(numbers)]
        if len(of_label) >= LEAST_OF_GIVEN:
            ranges[label] = float(of_label.min()), float(of_label.max())
    return ranges


def _outside(labels: Sequence[Any], codes: Ints, values: Floats, is_first: Mask) -> float:
    """Share of the rows that would lie outside the range of their label by chance; 0 where that is no evidence."""
    ranges = _ranges(labels, codes[is_first], values[is_first])
    ends = np.array([ranges.get(label, (np.nan, np.nan)) for label in labels])
    codes, values = codes[~is_first], values[~is_first]
    low, high = ends[codes].T
    judged = (codes >= 0) & ~np.isnan(values) & ~np.isnan(low)
    rows = int(np.count_nonzero(judged))
    if rows < LEAST_ROWS // 2:
        return 0.0
    low, high, values = low[judged], high[judged], values[judged]
    shuffled = values[np.random.default_rng(0).permutation(rows)]
    broken, by_chance = (float(np.mean((one < low) | (one > high))) for one in (values, shuffled))
    return by_chance if _is_evident(broken, by_chance, rows) else 0.0


@dataclass(frozen=True, slots=True)
class Unique(Rule):
    """No two rows have the same value, or the same values of two columns."""

    columns: tuple[str, ...]
    rows: int  # of the original table: larger ones cannot always be as unique

    @classmethod
    def find(cls, rows: SomeRows) -> Iterator[Unique]:
        """Yield columns and pairs of columns without repeats, where chance would have made some."""
        names = [name for name, column in rows.columns.items() if not _has_all_digits(column)]
        alone = [name for name in names if len(rows.occurrences[name]) >= LEAST_ROWS and _once(rows.occurrences[name])]
        yield from (cls((name,), rows.total) for name in alone if _would_repeat(rows, name))
        paired = [name for name in names if name not in alone and _varies(rows, name)][:MOST_COLUMNS]
        repeats = {name: _repeats(rows, name) for name in paired}
        for pair in combinations(paired, 2):
            hashes = [rows.hashes[name] for name in pair]
            expected = rows.rows.num_rows**2 / 2 * repeats[pair[0]] * repeats[pair[1]]
            if expected < LEAST_PAIRED or not _is_unique(_together([one[:PROBED] for one in hashes])):
                continue
            if _is_unique(_together(hashes)):
                yield cls(pair, rows.total)

    @property
    def text(self) -> str:
        """The law, as people write it."""
        return f"unique({', '.join(self.columns)})"

    def share(self, rows: SomeRows) -> Share:
        """Rows without a value are not judged, nor tables with more rows than the original one."""
        if rows.total > SAME_SIZE * self.rows:
            return 0, 0
        hashes = _together([rows.hashes[name] for name in self.columns])
        counts = np.unique(hashes[hashes != 0], return_counts=True)[1]
        return int(np.count_nonzero(counts == 1)), int(np.sum(counts))


def _once(counts: Ints) -> bool:
    """Whether each value is in one row."""
    return bool(np.all(counts == 1))


def _varies(rows: SomeRows, name: str) -> bool:
    """Whether a column has several values, or is missing in some rows."""
    counts = rows.occurrences[name]
    missing = int(np.sum(counts)) < rows.rows.num_rows
    return len(counts) + missing > 1


def _together(hashes: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """One hash of the values of several columns; 0 where one is missing."""
    if len(hashes) == 1:
        return hashes[0]
    first, second = hashes
    combined = mixed(mixed(first, 0) + second, 1) | np.uint64(1)  # 0 is that of missing values
    return np.where((first == 0) | (second == 0), np.uint64(0), combined)


def _is_unique(hashes: NDArray[np.uint64]) -> bool:
    """Whether no value of many rows repeats another one."""
    present = hashes[hashes != 0]
    return len(present) >= LEAST_ROWS and len(np.unique(present)) == len(present)


def _repeats(rows: SomeRows, name: str) -> float:
    """Probability that two rows have the same value."""
    counts, count = rows.occurrences[name], rows.rows.num_rows
    return float(np.sum(counts * (counts - 1.0))) / max(count * (count - 1), 1)


def _has_all_digits(column: Any) -> bool:
    """Whether a column has floats, of which hardly two are equal by chance."""
    return isinstance(column, NumericColumn) and pa.types.is_floating(column.type)


def _would_repeat(rows: SomeRows, name: str) -> bool:
    """Whether numbers of a column would repeat if they were drawn evenly from their range; text never tells."""
    column = rows.columns[name]
    if name not in rows.numbers or not isinstance(column, NumericColumn):
        return True
    numbers = rows.numbers[name][~np.isnan(rows.numbers[name])]
    with np.errstate(over="ignore"):  # of the largest floats
        places = np.ptp(numbers) / (column.codec.plain.spacing or 1) + 1
    return bool(len(numbers) ** 2 / 2 >= LEAST_COLLISIONS * places)


def _differences(numbers: Floats) -> Floats:
    """Differences of neighbours; those of the largest floats are infinite."""
    with np.errstate(over="ignore"):
        differences: Floats = np.diff(numbers)
    return differences


@dataclass(frozen=True, slots=True)
class Rising(Rule):
    """From one row of a key to the next, numbers or moments go one way.

    Parameters
    ----------
    columns : tuple of str
        The key, and the column that is in order.
    falls : bool
        Whether its numbers fall.
    """

    columns: tuple[str, ...]
    falls: bool = False

    @classmethod
    def find(cls, rows: SomeRows) -> Iterator[Rising]:
        """Yield the columns that are in order within the rows of a key, of several keys that with the fewest values.

        Columns that are in order from row to row of the whole table, whatever the key, are left out: a sample has no
        such order.
        """
        names = [name for name in rows.numbers if not cls.way(_differences(rows.numbers[name]))][:MOST_NUMBERS]
        found = set[str]()
        for key in _keys_of(rows):
            order = np.argsort(rows.hashes[key], kind="stable")
            for name in names:
                way = cls.way(cls._steps(rows, key, name, order)) if name not in {key, *found} else 0
                if way:
                    found.add(name)
                    yield cls((key, name), way < 0)

    @staticmethod
    def _steps(rows: SomeRows, key: str, name: str, order: Ints) -> Floats:
        """Steps of a column from each row of a key to the next, by the order of the keys."""
        hashes = rows.hashes[key][order]
        differences = _differences(rows.numbers[name][order])
        steps: Floats = differences[(hashes[1:] == hashes[:-1]) & (hashes[1:] != 0)]
        return steps

    @staticmethod
    def way(steps: Floats) -> int:
        """1 where nearly all steps that are none of 0 go up, -1 where they go down, else 0."""
        up, down = int(np.count_nonzero(steps > 0)), int(np.count_nonzero(steps < 0))
        if up + down < LEAST_STEPS or max(up, down) < ORDERED * (up + down):
            return 0
        return 1 if up > down else -1

    @property
    def text(self) -> str:
        """The law, as people write it."""
        key, name = self.columns
        return f"{name} {'falls' if self.falls else 'rises'} along {key}"

    def share(self, rows: SomeRows) -> Share:
        """Steps between rows of a key are judged, of other columns none."""
        if self.columns[1] not in rows.numbers:
            return 0, 0
        key, name = self.columns
        steps = self._steps(rows, key, name, np.argsort(rows.hashes[key], kind="stable"))
        along = np.count_nonzero(steps < 0 if self.falls else steps > 0)
        return int(along), int(np.count_nonzero(steps))


@dataclass(frozen=True, slots=True)
class Decides(Rule):
    """Rows with the same value of a column have the same one of another, whichever that is."""

    columns: tuple[str, ...]

    @classmethod
    def find(cls, rows: SomeRows, decided: Sequence[frozenset[str]]) -> Iterator[Decides]:
        """Yield the columns that decide others, without what follows from two others. Parameters as for `Seen.find`."""
        found = dict[tuple[str, str], None]()
        repeats = {name: _repeats(rows, name) for name in rows.hashes}
        for key in _keys_of(rows):
            order = _order_of(rows.hashes[key])
            for name, hashes in rows.hashes.items():
                same, judged = _same_as_before(rows.hashes[key], hashes, order)
                is_evident = judged * (1 - repeats[name]) >= LEAST_FORBIDDEN
                if name != key and is_evident and same >= DECIDED * judged:
                    found[key, name] = None
        for key, name in found:
            between = (middle for middle in rows.hashes if (middle, key) not in found)
            is_implied = any((key, middle) in found and (middle, name) in found for middle in between)
            if not is_implied and not any({key, name} <= known for known in decided):
                yield cls((key, name))

    @property
    def text(self) -> str:
        """The law, as people write it."""
        return " -> ".join(self.columns)

    def share(self, rows: SomeRows) -> Share:
        """Of rows with the same value of the first column each is judged beside the one before."""
        keys, values = (rows.hashes[name] for name in self.columns)
        return _same_as_before(keys, values, _order_of(keys))


def _keys_of(rows: SomeRows) -> list[str]:
    """Columns whose values come again and are many, those with the fewest values first."""
    counts = {name: len(occurrences) for name, occurrences in rows.occurrences.items()}
    return [
        name
        for name in sorted(counts, key=counts.__getitem__)
        if KEYS[0] <= counts[name] <= rows.rows.num_rows / KEYS[1] and not _has_all_digits(rows.columns[name])
    ][:MOST_COLUMNS]


def _order_of(keys: NDArray[np.uint64]) -> Ints:
    """Places of rows by their keys, those of one key in an order of chance: neighbours of a table may be alike."""
    places = np.random.default_rng(0).permutation(len(keys))
    return places[np.argsort(keys[places], kind="stable")]


def _same_as_before(keys: NDArray[np.uint64], values: NDArray[np.uint64], order: Ints) -> tuple[int, int]:
    """How many rows have the value of the row of their key before, of how many that have both."""
    of_key, of_rows = keys[order], values[order]
    judged = (of_key[1:] == of_key[:-1]) & (of_key[1:] != 0) & (of_rows[1:] != 0) & (of_rows[:-1] != 0)
    return int(np.count_nonzero(judged & (of_rows[1:] == of_rows[:-1]))), int(np.count_nonzero(judged))
