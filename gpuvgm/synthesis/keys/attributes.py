"""Attributes: modelled columns that have one value for each key, as customers have one date of birth.

Samples draw them once per key, so that all rows of a key have the same ones. A sample of rows tells which columns keys
may determine; all rows of the keys with the smallest hashes must confirm it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn, PassthroughColumn
from gpuvgm.io import taken
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.keys.key_counts import low_hashes
from gpuvgm.synthesis.keys.key_search import ONE_TO_ONE, Claims
from gpuvgm.synthesis.keys.keys import Hashes

LEAST_BY_CHANCE = 5  # keys that would have several values by chance: with fewer, a sample says nothing
WITNESSES = 1 << 9  # keys with the smallest hashes, whose rows confirm what keys determine
CHANCE = 0.1  # share of the keys with several values by chance, of which keys that determine a column have fewer
NO_KEY = np.uint64(0)  # of rows without a key, which say nothing of it
ZERO, MISSING_VALUE = np.uint64(2**64 - 2), np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether all rows of a key have one value of other columns; merging does not depend on the order.

    Parameters
    ----------
    hashes : ndarray of shape (keys,), uint64
        The smallest hashes of keys, ascending.
    rows : ndarray of shape (keys,), int64
        Rows of each key.
    lowest, highest : ndarray of shape (columns, keys), uint64
        Least and largest value of each column in these rows, as `values_of` gives them; the largest number and 0 where
        all are missing.
    """

    hashes: Hashes
    rows: Ints
    lowest: Hashes
    highest: Hashes

    @classmethod
    def of(cls, hashes: Hashes, columns: Sequence[Callable[[Ints], Hashes]], keys: int = WITNESSES) -> Evidence:
        """Evidence of rows.

        Parameters
        ----------
        hashes : ndarray of shape (rows,), uint64
            Hash of each row's key, `NO_KEY` without one.
        columns : sequence of callable
            Each gives the values of a column in some rows.
        keys : int
            Keys whose rows are evidence: those with the smallest hashes.
        """
        for low in low_hashes(hashes):
            rows = low[hashes[low] != NO_KEY]
            distinct = np.unique(hashes[rows])[:keys]
            if len(distinct) == keys:
                break
        rows = rows[hashes[rows] <= distinct[-1]] if len(distinct) else rows
        by_key = _ByKey.of(hashes[rows])
        values_of_columns = [column(rows) for column in columns]
        ends = [by_key.ends(np.where(values == NO_KEY, MISSING_VALUE, values), values) for values in values_of_columns]
        lowest, highest = (np.array([pair[end] for pair in ends], np.uint64) for end in (0, 1))
        shape = len(columns), len(by_key.distinct)
        return cls(by_key.distinct, by_key.rows, lowest.reshape(shape), highest.reshape(shape))

    def merge(self, other: Evidence) -> Evidence:
        """Evidence of both sets of rows."""
        by_key = _ByKey.of(np.append(self.hashes, other.hashes), np.append(self.rows, other.rows))
        lowest, highest = by_key.ends(
            np.append(self.lowest, other.lowest, axis=1), np.append(self.highest, other.highest, axis=1)
        )
        kept = slice(WITNESSES)
        return Evidence(by_key.distinct[kept], by_key.rows[kept], lowest[:, kept], highest[:, kept])

    @property
    def confirms(self) -> NDArray[np.bool_]:
        """Whether keys determine a column: hardly any has several values, and far fewer than would by chance."""
        several = self._differ.sum(axis=1)
        are_few = several <= (ONE_TO_ONE - 1) * self._differ.shape[1]
        mask: NDArray[np.bool_] = are_few & (several <= CHANCE * self._by_chance)
        return mask

    @property
    def suggests(self) -> NDArray[np.bool_]:
        """Whether keys determine a column, and enough of them say so."""
        mask: NDArray[np.bool_] = self.confirms & (self._by_chance >= LEAST_BY_CHANCE)
        return mask

    @property
    def _by_chance(self) -> Floats:
        """How many of the keys with several rows would have two values if values had nothing to do with keys."""
        unlike = [_unlike(*ends) for ends in zip(self.lowest, self.highest, strict=True)]
        return np.array(unlike, np.float64) * float(self._differ.shape[1])

    @property
    def _differ(self) -> NDArray[np.bool_]:
        """Mask of the keys with several rows that have several values, by column."""
        mask: NDArray[np.bool_] = (self.lowest < self.highest)[:, self.rows > 1]
        return mask


def _unlike(lowest: Hashes, highest: Hashes) -> float:
    """Probability that two rows of different keys have different values."""
    known = lowest <= highest
    counts = np.unique(np.concatenate((lowest[known], highest[known])), return_counts=True)[1]
    return 1 - float(np.sum((counts / max(counts.sum(), 1)) ** 2))


@dataclass(frozen=True, slots=True)
class _ByKey:
    """Entries by hashes of keys; a key may have several.

    Parameters
    ----------
    distinct : ndarray of shape (keys,), uint64
        The different hashes, ascending.
    rows : ndarray of shape (keys,), int64
        Rows of each key.
    order, first : ndarray, int64
        The entries by key, and the first one of each key in this order.
    """

    distinct: Hashes
    rows: Ints
    order: Ints
    first: Ints

    @classmethod
    def of(cls, hashes: Hashes, rows: Ints | None = None) -> _ByKey:
        """Entries with these hashes, each of several rows, or of one row by default."""
        order = np.argsort(hashes, kind="stable")
        distinct, first = np.unique(hashes[order], return_index=True)
        totals = np.diff(first, append=len(order))
        if rows is not None and len(first):
            totals = np.add.reduceat(rows[order], first)
        return cls(distinct, totals, order, first)

    def ends(self, lowest: Hashes, highest: Hashes) -> tuple[Hashes, Hashes]:
        """Least of the lowest and largest of the highest values of each key, on the last axis."""
        if not len(self.first):
            return lowest, highest
        least: Hashes = np.minimum.reduceat(lowest[..., self.order], self.first, axis=-1)
        largest: Hashes = np.maximum.reduceat(highest[..., self.order], self.first, axis=-1)
        return least, largest


def values_of(column: FittedColumn, array: pa.Array[Any], rows: Ints) -> Hashes:
    """Numbers of a column's values in some rows, equal where these are equal; `NO_KEY` for missing keys alone."""
    values = taken(array, rows)
    if isinstance(column, PassthroughColumn):
        return column.hashes(values)
    if isinstance(column, CategoricalColumn):
        bits = np.asarray(column.index.find(values)).view(np.uint64)
    else:
        assert isinstance(column, NumericColumn)
        numbers, which = column.plain_numbers(values)
        numbers = numbers.astype(np.float64) + 0.0  # no minus zero
        bits = np.where(np.isnan(numbers), MISSING_VALUE, numbers.view(np.uint64))
        bits = bits if which is None else np.where(which >= 0, which.astype(np.uint64), bits)
    return np.where(bits == NO_KEY, ZERO, bits)


def find_attributes(
    columns: Mapping[str, Any], keys: Sequence[str], rows: pa.Table, refuted: Claims = frozenset()
) -> dict[str, str]:
    """For each column that keys seem to determine in a sample, the first column of these keys.

    Parameters
    ----------
    columns : mapping
        The columns by name.
    keys : sequence of str
        Columns of keys; what several determine belongs to the one with the fewest keys.
    rows : pyarrow.Table
        The sample.
    refuted : set of (str, str)
        Keys that do not determine a column, whatever the sample says.
    """
    hashes = {name: columns[name].hashes(rows.column(name).combine_chunks()) for name in keys}
    names = [name for name, column in columns.items() if keys and column.is_encoded]
    readers = [partial(values_of, columns[name], rows.column(name).combine_chunks()) for name in names]
    attributes: dict[str, str] = {}
    for key in sorted(keys, key=lambda key: len(np.unique(hashes[key]))):
        suggested = Evidence.of(hashes[key], readers, rows.num_rows).suggests
        for name, is_attribute in zip(names, suggested, strict=True):
            if is_attribute and (key, name) not in refuted:
                attributes.setdefault(name, key)
    return {name: attributes[name] for name in names if name in attributes}
