"""Keys: text whose values each name someone and come back in several rows. Samples have new ones, in as many rows.

A row's key is a function of the seed and its number. A period of rows is laid out into keys by the distribution of rows
per key, and row i takes the place that a permutation of the period gives it; each period has keys of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.columns.records import Count
from gpuvgm.datasets.ranges import RowRange
from gpuvgm.io.arrow import is_text_type, plain_column
from gpuvgm.synthesis.streams import shuffled

Hashes = NDArray[np.uint64]
Claims = Set[tuple[str, str]]  # of columns of which the first determines the second
#: Text of no more different values is a code; of those that look like keys, this share looks so.
MOST_CODES = 255
ALIKE = 0.95
REPEATED = 0.995  # of the rows of a sample are different values at most, where other rows may repeat more
#: Columns determine each other where their pairs are at most so many times as many as the values of each.
ONE_TO_ONE = 1.02
LEAST_REPEATED = 10  # values that come back, or nothing is known
NEARLY_AS_MANY = 0.8  # of the values of keys that determine others, for these to be one for each
LEAST_SHARE = 0.5  # of the values of a key that determines another column, for that to be a key
COUNTED_KEYS = 1 << 14  # with the smallest hashes, whose rows are counted
LONGEST_PERIOD = 1 << 20  # rows
FEW_ROWS = 1 << 16  # of a block, that may hold enough keys
LOOKS = {
    "e-mail addresses": r"\A[^@\s]+@[^@\s]+\.[A-Za-z]+\z",
    "IBANs": r"\A[A-Z]{2}[0-9]{2} ?([A-Z0-9] ?){11,30}\z",
    "phone numbers": r"\A(\+[0-9][0-9 ()/.-]{6,}[0-9]|\(?0[0-9]+[ )/-][0-9 ()/-]{4,}[0-9]|"
    r"\(?[0-9]{3}[-. )]+[0-9]{3}[-. ][0-9]{4})\z",
    "payment cards": r"\A[0-9]{4}([ -]?[0-9]{3,6}){2,4}\z",
}


@dataclass(frozen=True, slots=True)
class KeyLayout:
    """Distribution of rows per key, in a chain of keys each of which determines the next one.

    The finest keys are of level 0, such as accounts; those of a level determine those of the next one, such as
    customers. A chain of one level has only the distribution of rows per key.

    Parameters
    ----------
    group : str
        The first column of the finest keys.
    rows : int
        Rows of the table that have all keys.
    sizes : tuple of int
        Rows of the finest keys, those of the same keys of the last level one after the other.
    keys : tuple of int
        How many of the keys of the last level that were counted are alike.
    members : tuple of tuple of int
        For each further level, how many keys of the level below belong to each key.
    """

    group: str
    rows: Count = 0
    sizes: tuple[Count, ...] = ()
    keys: tuple[Count, ...] = ()
    members: tuple[tuple[Count, ...], ...] = ()

    def check(self) -> None:
        """Raise ValueError where the parts of a loaded layout do not fit together."""
        keys = len(self.sizes)
        for members in self.members:
            if sum(members) != keys or 0 in members:
                raise ValueError(f'the keys of "{self.group}" do not belong to others')
            keys = len(members)
        if len(self.keys) != keys:
            raise ValueError(f'the keys of "{self.group}" are not as many as their rows say')

    def numbers(self, part: RowRange, seed: int, skipped: int = 0) -> Hashes:
        """Numbers of the finest keys of consecutive rows, after those of some periods that are skipped."""
        stops = period_of(self).stops
        period = np.uint64(stops[-1])
        rows = np.arange(part.first_row, part.first_row + part.rows, dtype=np.uint64)
        periods, places = np.divmod(rows, period)
        places = shuffled(places, int(period), f"{self.group}/keys", seed)
        keys = np.searchsorted(stops, places.astype(np.int64), side="right").astype(np.uint64)
        return (periods + np.uint64(skipped)) * np.uint64(len(stops)) + keys

    def rows_per_key(self, level: int) -> float:
        """Rows of the keys of a level on average."""
        period = period_of(self)
        keys = len(period.stops) if level == 0 else int(period.owners[level - 1][-1]) + 1
        return float(period.stops[-1]) / keys

    def above(self, numbers: Hashes, level: int) -> Hashes:
        """Numbers of the keys of the next level that keys of a level determine."""
        owners = period_of(self).owners[level]
        periods, places = np.divmod(numbers, np.uint64(len(owners)))
        return periods * np.uint64(owners[-1] + 1) + owners[places].astype(np.uint64)


@dataclass(frozen=True, slots=True)
class Period:
    """Keys of a period of rows.

    Parameters
    ----------
    stops : ndarray of shape (keys,), int64
        Rows up to the end of each of the finest keys.
    owners : tuple of ndarray, int64
        For each level but the last, ascending, the number of the key of the next level that each key determines.
    """

    stops: NDArray[np.int64]
    owners: tuple[NDArray[np.int64], ...]


@lru_cache(maxsize=16)  # which frozen layouts are keys of
def period_of(layout: KeyLayout) -> Period:
    """Keys of a period; a few periods are as long as the table."""
    alike = np.repeat(layout.keys, _finest_of(layout)) if layout.keys else np.empty(0, np.int64)
    counted_keys, counted_rows = sum(layout.keys), int(np.dot(alike, np.array(layout.sizes, np.int64)))
    if not counted_rows:
        none = np.zeros(1, np.int64)
        return Period(none + 1, (none,) * len(layout.members))
    periods = -(-layout.rows // LONGEST_PERIOD)
    count = max(1, round(layout.rows / periods * counted_keys / counted_rows))
    ranks = (np.arange(count) + 0.5) * (counted_keys / count)
    keys, owners = np.searchsorted(np.cumsum(layout.keys), ranks), list[NDArray[np.int64]]()
    for members in map(np.array, reversed(layout.members)):
        counts, ends = members[keys], np.cumsum(members)
        owners.append(np.repeat(np.arange(len(keys)), counts))
        firsts = np.repeat((ends - members)[keys] - np.cumsum(counts) + counts, counts)
        keys = firsts + np.arange(len(firsts))
    return Period(np.cumsum(np.array(layout.sizes)[keys]), tuple(reversed(owners)))


def _finest_of(layout: KeyLayout) -> NDArray[np.int64]:
    """How many of the finest keys each key of the last level has."""
    finest = np.ones(len(layout.sizes), np.int64)
    for members in layout.members:
        finest = np.add.reduceat(finest, np.cumsum(members, dtype=np.int64) - np.array(members, np.int64))
    return finest


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """Rows of the keys with the smallest hashes; merging does not depend on the order.

    Parameters
    ----------
    hashes : ndarray of shape (levels, keys), uint64
        Hashes of the keys of the last level, then of these with the keys of the level below, and so on. Ascending, the
        first ones first.
    rows : ndarray of shape (keys,), int64
        Rows of each of the finest keys.
    all_rows : int
        Rows that have all keys.
    """

    hashes: Hashes
    rows: NDArray[np.int64]
    all_rows: int

    @classmethod
    def of(cls, levels: Sequence[Hashes]) -> KeyCounts:
        """Counts of rows by hashes of their keys of each level, the finest first; 0 where a row has no key."""
        present = np.logical_and.reduce([hashes != 0 for hashes in levels])
        hashes = [levels[-1][present]]
        for finer in reversed(levels[:-1]):
            hashes.append(mixed(finer[present] ^ mixed(hashes[-1], 0), 1))
        for near in low_hashes(hashes[0]):
            counts = _added(np.stack([level[near] for level in hashes]), np.ones(len(near), np.int64))
            if len(counts[1]) == COUNTED_KEYS:
                break
        return cls(*counts, len(hashes[0]))

    def merge(self, other: KeyCounts) -> KeyCounts:
        """Counts of both sets of rows."""
        hashes, rows = np.concatenate((self.hashes, other.hashes), axis=1), np.concatenate((self.rows, other.rows))
        return KeyCounts(*_added(hashes, rows), self.all_rows + other.all_rows)

    def layout(self, group: str) -> KeyLayout:
        """Distribution of rows per key, without the hashes."""
        if len(self.hashes) == 1:
            sizes, keys = np.unique(self.rows, return_counts=True)
            return KeyLayout(group, self.all_rows, tuple(sizes.tolist()), tuple(keys.tolist()))
        last, counts = np.unique(self.hashes[0], return_inverse=True)[1], len(self.rows)
        if counts == COUNTED_KEYS and last.any():  # the keys of the last one may not all be there
            counts = int(np.searchsorted(last, last[-1]))
        last, hashes, rows = last[:counts], self.hashes[:, :counts], self.rows[:counts]
        order = np.lexsort((last, np.bincount(last, rows)[last]))
        hashes, members = hashes[:, order], list[tuple[int, ...]]()
        starts = np.arange(counts)
        for level in hashes[-2::-1]:
            firsts = np.flatnonzero(np.append(True, level[starts][1:] != level[starts][:-1])[: len(starts)])
            members.append(tuple(np.diff(firsts, append=len(starts)).tolist()))
            starts = starts[firsts]
        sizes_of_keys = tuple(rows[order].tolist())
        return KeyLayout(group, self.all_rows, sizes_of_keys, (1,) * len(starts), tuple(members))


def low_hashes(hashes: Hashes) -> Iterator[NDArray[np.int64]]:
    """Yield rows with low hashes, then more of them, and at last all rows: for who needs few keys of many."""
    rows = FEW_ROWS
    while rows < len(hashes):
        yield np.flatnonzero(hashes < np.uint64(2**64 * rows // len(hashes)))
        rows *= 8
    yield np.arange(len(hashes))


def _added(hashes: Hashes, rows: NDArray[np.int64]) -> tuple[Hashes, NDArray[np.int64]]:
    """The smallest different hashes, and the sums of their rows."""
    distinct, first, places = np.unique(hashes[-1], return_index=True, return_inverse=True)
    totals = np.bincount(places, rows, len(distinct)).astype(np.int64)
    order = np.lexsort(hashes[::-1, first])[:COUNTED_KEYS] if len(hashes) > 1 else np.arange(len(distinct))
    order = order[:COUNTED_KEYS]
    return hashes[:, first[order]], totals[order]


# -- which columns are keys


def keys_found(columns: Mapping[str, Any], *, whole: bool) -> dict[str, str]:
    """Names of the columns that hold keys, each with a reason.

    Parameters
    ----------
    columns : mapping of str to pyarrow.ChunkedArray
        A sample of columns whose kind is not declared.
    whole : bool
        Whether the sample is the whole table.
    """
    plain = {name: plain_column(column) for name, column in columns.items()}
    codes = {name: Codes.of(column) for name, column in plain.items() if is_text_type(column.type)}
    most = ALIKE if whole else REPEATED
    codes = {name: one for name, one in codes.items() if MOST_CODES < len(one.texts) < most * one.rows}
    keys = {name: look for name, one in codes.items() if (look := _look_of(one.texts))}
    looked = [*keys]
    for name, one in codes.items():
        if name not in keys and _has_one_form(one.texts):
            beside = next((key for key in looked if _belong(one, codes[key])), None)
            keys |= {name: f'numbers that belong to "{beside}"'} if beside else {}
    return {name: keys[name] for name in columns if name in keys}


@dataclass(frozen=True, slots=True)
class Codes:
    """A column as numbers of its texts.

    Parameters
    ----------
    numbers : ndarray of shape (rows,), int64
        Number of each row's text; -1 without one.
    texts : pyarrow.Array
        The different texts.
    """

    numbers: NDArray[np.int64]
    texts: pa.Array[Any]

    @classmethod
    def of(cls, column: pa.ChunkedArray[Any]) -> Codes:
        """Numbers of a column's texts."""
        encoded: Any = column.cast(pa.string()).cast(pa.large_string()).combine_chunks().dictionary_encode()
        numbers = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(numbers, encoded.dictionary)

    @property
    def rows(self) -> int:
        """Rows with a text."""
        return int(np.count_nonzero(self.numbers >= 0))


def rows_of_keys(column: Any) -> NDArray[np.int64]:
    """One row of each key in a sample of a column, ascending, and all rows without a key."""
    numbers = Codes.of(plain_column(column)).numbers
    firsts, without = np.unique(numbers, return_index=True)[1], np.flatnonzero(numbers < 0)
    return np.union1d(firsts, without)


def _look_of(texts: Any) -> str | None:
    """What nearly all texts look like; None for others."""
    for look, pattern in LOOKS.items():
        share = pc.mean(pc.match_substring_regex(texts, pattern)).as_py()
        if share >= ALIKE and (look != "payment cards" or check_of(texts.to_pylist()) == "luhn"):
            return look
    return None


def _has_one_form(texts: Any) -> bool:
    """Return whether texts are single words with numbers of six digits, or of five beside letters, equally long."""
    alike = pc.mean(pc.match_substring_regex(texts, r"\A([0-9]{6,}|[A-Za-z]+[-_]?[0-9]{4,})\z")).as_py()
    lengths = pc.value_counts(pc.utf8_length(texts)).field("counts")
    return bool(alike >= ALIKE and pc.max(lengths).as_py() >= ALIKE * len(texts))


def _determines(first: Codes, other: Codes) -> bool:
    """Return whether rows with the same value of a column have the same of another one.

    Only values that come back count: where each is in one row, as in a sample of a long table, every column would
    determine every other.
    """
    present = (first.numbers >= 0) & (other.numbers >= 0)
    numbers, other_numbers = first.numbers[present], other.numbers[present]
    repeated = np.bincount(numbers, minlength=len(first.texts)) > 1
    again = repeated[numbers]
    pairs = len(np.unique(numbers[again] * len(other.texts) + other_numbers[again]))
    return LEAST_REPEATED <= pairs <= ONE_TO_ONE * int(repeated.sum())


def _belong(column: Codes, key: Codes) -> bool:
    """Return whether a column determines a key, or a key determines it and has not many more values."""
    is_fine = len(column.texts) >= LEAST_SHARE * len(key.texts)
    return _determines(column, key) or (is_fine and _determines(key, column))


def chains_of_keys(columns: Mapping[str, Any], refuted: Claims = frozenset()) -> dict[str, tuple[str, int]]:
    """For each column of keys its group, named by the first column of the finest keys, and its level there.

    Columns that determine each other in a sample have the same level of the same group. A group is a chain, in which
    the keys of each level determine those of the next one. What keys determine beside their chain, and has nearly as
    many values, such as a second thing that few customers share, has the level of these keys.

    Parameters
    ----------
    columns : mapping of str to pyarrow.ChunkedArray
        A sample of columns of keys.
    refuted : set of (str, str)
        Columns of keys that do not determine another one, whatever the sample says.
    """
    codes = {name: Codes.of(plain_column(column)) for name, column in columns.items()}

    @cache
    def determines(name: str, other: str) -> bool:
        return (name, other) not in refuted and _determines(codes[name], codes[other])

    firsts: dict[str, str] = {}
    for name in codes:
        alike = (
            first for first in dict.fromkeys(firsts.values()) if determines(name, first) and determines(first, name)
        )
        firsts[name] = next(alike, name)
    remaining = dict.fromkeys(firsts.values())
    above = {name: [other for other in remaining if other != name and determines(name, other)] for name in remaining}
    levels: dict[str, tuple[str, int]] = {}
    finest_first = sorted(above, key=lambda name: -len(above[name]))
    for name in finest_first:
        chain = [] if name in levels else [name]
        for other in finest_first if chain else ():
            if other not in levels and other in above[chain[-1]]:
                chain.append(other)
        levels |= {other: (name, level) for level, other in enumerate(chain)}
    groups = [group for group, _ in levels.values()]
    for name in (name for name in remaining if groups.count(name) == 1):
        least = len(codes[name].texts) / NEARLY_AS_MANY
        below = [levels[other] for other in remaining if name in above[other] and len(codes[other].texts) <= least]
        levels[name] = max(below, key=lambda key: key[1], default=levels[name])
    return {name: levels[first] for name, first in firsts.items()}


def keys_that_determine(
    columns: Mapping[str, Any], others: Mapping[str, Any], refuted: Claims = frozenset()
) -> dict[str, str]:
    """For each other column that keys determine in a sample, the column of keys with the fewest values that does.

    Parameters
    ----------
    columns, others : mapping of str to pyarrow.ChunkedArray
        A sample of columns of keys, and of others.
    refuted : set of (str, str)
        Columns of keys that do not determine another one, whatever the sample says.
    """
    codes = {name: Codes.of(plain_column(column)) for name, column in columns.items()}
    fewest_first = sorted(codes, key=lambda name: len(codes[name].texts))
    determined: dict[str, str] = {}
    for other, column in others.items() if codes else ():
        texts = Codes.of(plain_column(column))
        keys = (key for key in fewest_first if (key, other) not in refuted and _determines(codes[key], texts))
        determined[other] = next(keys, "")
    return {other: key for other, key in determined.items() if key}


# -- check digits


def check_of(texts: list[str]) -> str:
    """The check digits that nearly all texts have right: "iban" (ISO 7064, mod 97), "luhn" (ISO/IEC 7812) or none."""
    for check in ("iban", "luhn"):
        pattern = LOOKS["IBANs" if check == "iban" else "payment cards"].replace(r"\z", r"\Z")
        right = sum(bool(re.match(pattern, text)) and with_check_digits(text, check) == text for text in texts)
        if texts and right >= ALIKE * len(texts):
            return check
    return ""


def with_check_digits(text: str, check: str) -> str:
    """The text with right check digits: the third and fourth letter of an IBAN, or the last digit."""
    if check == "iban":
        compact = text.replace(" ", "")
        number = int("".join(str(int(letter, 36)) for letter in f"{compact[4:]}{compact[:2]}00"))
        return f"{text[:2]}{98 - number % 97:02d}{text[4:]}"
    digits = [int(letter) for letter in text[:-1] if letter.isdigit()][::-1]
    doubled = [digit if place % 2 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits)]
    return f"{text[:-1]}{-sum(doubled) % 10}"
