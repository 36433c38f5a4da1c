"""Which columns are keys, and which of them belong to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.codecs import CHECKS
from gpuvgm.io import is_text_type, plain_values_of
from gpuvgm.synthesis.keys.keys import KeyLayout

Claims = Set[tuple[str, str]]  # pairs of columns of which the first is said to determine the second
#: Text of at most so many different values is a code and no key; of values that look like addresses, fewer are codes.
MOST_CODES, MOST_ALIKE = 255, 20
LOOKED_AT = 20_000  # different texts, by which a column's look is judged
ONE_TO_ONE = 1.02  # pairs for each value, at most, where a column determines another one: a few errors are let pass
ALIKE = 0.95  # of the values, as nearly all
LEAST_REPEATED = 10  # values that come back: with fewer, columns may determine each other by chance
NEARLY_AS_MANY = 0.8  # values for each key, from which on a column that keys determine names each of them
LEAST_SHARE = 0.5  # values for each key, from which on numbers that it determines are keys, too
LOOKS = {
    "e-mail addresses": r"\A[^@\s]+@[^@\s]+\.[A-Za-z]+\z",
    "IBANs": r"\A[A-Z]{2}[0-9]{2} ?([A-Z0-9] ?){11,30}\z",
    "phone numbers": r"\A(\+[0-9][0-9 ()/.-]{6,}[0-9]|\(?0[0-9]+[ )/-][0-9 ()/-]{4,}[0-9]|"
    r"\(?[0-9]{3}[-. )]+[0-9]{3}[-. ][0-9]{4})\z",
    "payment cards": r"\A[0-9]{4}([ -]?[0-9]{3,6}){2,4}\z",
}
DATES = r"\A[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ][0-9]{2,4}\z"  # which look like phone numbers


def keys_found(columns: Mapping[str, Any], *, whole: bool) -> dict[str, str]:
    """Names of the columns that hold keys, each with a reason.

    Parameters
    ----------
    columns : mapping of str to pyarrow.ChunkedArray
        A sample of columns whose kind is not declared.
    whole : bool
        Whether the sample is the whole table.
    """
    plain = {name: plain_values_of(column) for name, column in columns.items()}
    codes = {name: Codes.of(column) for name, column in plain.items() if is_text_type(column.type)}
    candidates = {
        name: column
        for name, column in codes.items()
        if len(column.texts) > MOST_ALIKE and column.come_back(whole=whole)
    }
    keys = {name: look for name, column in candidates.items() if (look := _look_of(column.texts))}
    by_look = [*keys]
    for what, look_alike, belong in (("numbers", _has_one_form, _belong), ("names", _are_names, _name_each)):
        for name, column in candidates.items():
            if name not in keys and len(column.texts) > MOST_CODES and look_alike(column.texts):
                key = next((key for key in by_look if belong(column, candidates[key])), "")
                keys |= {name: f'{what} that belong to "{key}"'} if key else {}
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

    def come_back(self, *, whole: bool) -> bool:
        """Return whether texts come back; of a sample a few do, as other rows may repeat more."""
        return len(self.texts) < ALIKE * self.rows if whole else len(self.texts) <= self.rows - LEAST_REPEATED


def rows_of_keys(column: Any) -> NDArray[np.int64]:
    """One row of each key in a sample of a column, ascending, and all rows without a key."""
    numbers = Codes.of(plain_values_of(column)).numbers
    firsts, without = np.unique(numbers, return_index=True)[1], np.flatnonzero(numbers < 0)
    return np.union1d(firsts, without)


def _look_of(texts: Any) -> str | None:
    """What nearly all texts look like; None for others."""
    texts = texts[:LOOKED_AT]
    for look, pattern in LOOKS.items():
        share = _share_like(texts, pattern) - (_share_like(texts, DATES) if look == "phone numbers" else 0)
        if share >= ALIKE and (look != "payment cards" or check_of(texts.to_pylist()) == "luhn"):
            return look
    check = CHECKS.found_in(texts.to_pylist())
    return f"check digits: {check}" if check else None


def _share_like(texts: Any, pattern: str) -> float:
    """Share of the texts that match a pattern."""
    return float(pc.mean(pc.match_substring_regex(texts, pattern)).as_py())


def _has_one_form(texts: Any) -> bool:
    """Return whether texts are single words with numbers of six digits, or of five beside letters, equally long."""
    alike = _share_like(texts, r"\A([0-9]{6,}|[A-Za-z]+[-_]?[0-9]{4,})\z")
    lengths = pc.value_counts(pc.utf8_length(texts)).field("counts")
    return bool(alike >= ALIKE and pc.max(lengths).as_py() >= ALIKE * len(texts))


def _are_names(texts: Any) -> bool:
    """Return whether texts are several words of letters, as names of persons are."""
    return _share_like(texts, r"\A\pL[\pL.'’-]*( \pL[\pL.'’-]*)+\z") >= ALIKE


def _name_each(names: Codes, key: Codes) -> bool:
    """Return whether a key determines names, and has hardly more values."""
    return len(names.texts) >= NEARLY_AS_MANY * len(key.texts) and _determines(key, names)


def _determines(column: Codes, dependent: Codes) -> bool:
    """Return whether rows with the same value of a column have the same value of the dependent.

    Only values that come back count: where each is in a single row, as in a sample of a long table, every column would
    determine every other.
    """
    present = (column.numbers >= 0) & (dependent.numbers >= 0)
    numbers, dependent_numbers = column.numbers[present], dependent.numbers[present]
    repeated = np.bincount(numbers, minlength=len(column.texts)) > 1
    of_repeated = repeated[numbers]
    pairs = len(np.unique(numbers[of_repeated] * len(dependent.texts) + dependent_numbers[of_repeated]))
    return LEAST_REPEATED <= pairs <= ONE_TO_ONE * int(repeated.sum())


def _belong(column: Codes, key: Codes) -> bool:
    """Return whether a column determines a key, or a key determines it and has not many more values."""
    is_fine = len(column.texts) >= LEAST_SHARE * len(key.texts)
    return _determines(column, key) or (is_fine and _determines(key, column))


def trees_of_keys(columns: Mapping[str, Any], refuted: Claims = frozenset()) -> dict[str, tuple[KeyLayout, int]]:
    """For each column of keys the layout of its group, and the column's level there.

    Columns that determine each other in a sample have the same level of the same group. A group is a tree, in which
    the keys of each level determine those of the level above it, such as cards and accounts their customer. It has the
    name of the first column of its finest keys. A column that keys of a tree determine as well, and that has nearly as
    many values, such as a second number that few customers share, has the level of these keys.

    Parameters
    ----------
    columns : mapping of str to pyarrow.ChunkedArray
        A sample of columns of keys.
    refuted : set of (str, str)
        Columns of keys that do not determine another one, whatever the sample says.
    """
    codes = {name: Codes.of(plain_values_of(column)) for name, column in columns.items()}

    @cache
    def determines(name: str, dependent: str) -> bool:
        return (name, dependent) not in refuted and _determines(codes[name], codes[dependent])

    firsts: dict[str, str] = {}
    for name in codes:
        different = dict.fromkeys(firsts.values())
        equivalents = (first for first in different if determines(name, first) and determines(first, name))
        firsts[name] = next(equivalents, name)
    distinct = dict.fromkeys(firsts.values())
    above = {name: [upper for upper in distinct if upper != name and determines(name, upper)] for name in distinct}
    finest_first = sorted(above, key=lambda name: -len(above[name]))
    next_above = {
        name: next((upper for upper in finest_first[place + 1 :] if upper in above[name]), name)
        for place, name in enumerate(finest_first)
    }
    levels = _levels_of_trees(finest_first, next_above)
    groups = [layout.group for layout, _ in levels.values()]
    for name in (name for name in distinct if groups.count(name) == 1):
        most = len(codes[name].texts) / NEARLY_AS_MANY
        below = [levels[lower] for lower in distinct if name in above[lower] and len(codes[lower].texts) <= most]
        levels[name] = max(below, key=lambda key: key[1], default=levels[name])
    return {name: levels[first] for name, first in firsts.items()}


def _levels_of_trees(names: Sequence[str], above: Mapping[str, str]) -> dict[str, tuple[KeyLayout, int]]:
    """Layout of the group of each name, and its level, given the name above it; owners are above themselves.

    A name comes before the one above it.
    """
    owner: dict[str, str] = {}
    for name in reversed(names):
        owner[name] = name if above[name] == name else owner[above[name]]
    levels: dict[str, tuple[KeyLayout, int]] = {}
    for root in dict.fromkeys(owner[name] for name in names):
        group = [name for name in names if owner[name] == root]
        layout = KeyLayout(group[0], tuple(group.index(above[name]) for name in group[:-1]))
        levels |= {name: (layout, level) for level, name in enumerate(group)}
    return levels


def keys_that_determine(
    columns: Mapping[str, Any], dependents: Mapping[str, Any], refuted: Claims = frozenset()
) -> dict[str, str]:
    """For each dependent that keys determine in a sample, the column of keys with the fewest values that does.

    Parameters
    ----------
    columns : mapping of str to pyarrow.ChunkedArray
        A sample of columns of keys.
    dependents : mapping of str to pyarrow.ChunkedArray
        The same rows of columns that keys may determine.
    refuted : set of (str, str)
        Columns of keys that do not determine another one, whatever the sample says.
    """
    codes = {name: Codes.of(plain_values_of(column)) for name, column in columns.items()}
    fewest_first = sorted(codes, key=lambda name: len(codes[name].texts))
    determined: dict[str, str] = {}
    for name, column in dependents.items() if codes else ():
        texts = Codes.of(plain_values_of(column))
        keys = (key for key in fewest_first if (key, name) not in refuted and _determines(codes[key], texts))
        determined[name] = next(keys, "")
    return {name: key for name, key in determined.items() if key}


def check_of(texts: list[str]) -> str:
    """The check digits that nearly all texts have right which look like IBANs or payment cards; else none."""
    for check, look in {"iban": "IBANs", "luhn": "payment cards"}.items():
        if texts and _share_like(pa.array(texts), LOOKS[look]) >= ALIKE and CHECKS.name_of(texts, (check,), 1):
            return check
    return ""
