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

from gpuvgm.columns.base import FittedColumn
from gpuvgm.columns.categorical import CategoricalColumn
from gpuvgm.columns.numbers import NumericColumn
from gpuvgm.columns.passthrough import PassthroughColumn
from gpuvgm.summary.grid import Floats, Ints
from gpuvgm.synthesis.keys import LEAST_REPEATED, ONE_TO_ONE, Claims, Hashes, low_hashes
from gpuvgm.synthesis.numbers import numbers_of_rows

WITNESSES = 1 << 10  # keys with the smallest hashes, whose rows confirm what keys determine
CHANCE = 0.1  # of the keys that would have several values by chance, those that may have them
MISSING_VALUE = np.uint64(2**64 - 1)


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
        Least and largest value of each column in these rows, as `values_of` gives them.
    """

    hashes: Hashes
    rows: Ints
    lowest: Hashes
    highest: Hashes

    @classmethod
    def of(cls, hashes: Hashes, columns: Sequence[Callable[[Ints], Hashes]], keys: int = WITNESSES) -> Evidence:
        """Evidence of rows by hashes of their keys, 0 without one, and functions that give values of some rows."""
        for low in low_hashes(hashes):
            rows = low[hashes[low] != 0]
            distinct = np.unique(hashes[rows])[:keys]
            if len(distinct) == keys:
                break
        rows = rows[hashes[rows] <= distinct[-1]] if len(distinct) else rows
        values = np.array([column(rows) for column in columns], np.uint64).reshape(len(columns), len(rows))
        return cls(*_put_together(hashes[rows], np.ones(len(rows), np.int64), values, values, keys))

    def merge(self, other: Evidence) -> Evidence:
        """Evidence of both sets of rows."""
        hashes, rows = np.concatenate((self.hashes, other.hashes)), np.concatenate((self.rows, other.rows))
        lowest = np.concatenate((self.lowest, other.lowest), axis=1)
        highest = np.concatenate((self.highest, other.highest), axis=1)
        return Evidence(*_put_together(hashes, rows, lowest, highest, WITNESSES))

    @property
    def share_of_several(self) -> Floats:
        """Share of the keys with several rows that have several values, by column."""
        return self._differ.mean(axis=1) if self._differ.shape[1] else np.zeros(len(self.lowest))

    @property
    def confirms(self) -> NDArray[np.bool_]:
        """Whether keys determine a column, as far as rows say."""
        mask: NDArray[np.bool_] = self.share_of_several <= ONE_TO_ONE - 1
        return mask

    @property
    def suggests(self) -> NDArray[np.bool_]:
        """Whether keys seem to determine a column: far more have one value than keys of two rows would by chance."""
        by_chance = self._differ.shape[1] * np.array(
            [_unlike(*ends) for ends in zip(self.lowest, self.highest, strict=True)]
        )
        several = self._differ.sum(axis=1)
        mask: NDArray[np.bool_] = self.confirms & (by_chance >= LEAST_REPEATED) & (several <= CHANCE * by_chance)
        return mask

    @property
    def _differ(self) -> NDArray[np.bool_]:
        """Mask of the keys with several rows that have several values, by column."""
        mask: NDArray[np.bool_] = (self.lowest != self.highest)[:, self.rows > 1]
        return mask


def _unlike(lowest: Hashes, highest: Hashes) -> float:
    """Probability that two rows of different keys have different values."""
    counts = np.unique(np.concatenate((lowest, highest)), return_counts=True)[1]
    return 1 - float(np.sum((counts / max(counts.sum(), 1)) ** 2))


def _put_together(
    hashes: Hashes, rows: Ints, lowest: Hashes, highest: Hashes, keys: int
) -> tuple[Hashes, Ints, Hashes, Hashes]:
    """Parts of the evidence of the smallest hashes, each of which may come several times."""
    order = np.argsort(hashes, kind="stable")
    distinct, first = np.unique(hashes[order], return_index=True)
    if not len(distinct):
        return distinct, rows, lowest, highest
    ends = np.minimum.reduceat(lowest[:, order], first, axis=1), np.maximum.reduceat(highest[:, order], first, axis=1)
    return distinct[:keys], np.add.reduceat(rows[order], first)[:keys], ends[0][:, :keys], ends[1][:, :keys]


def values_of(column: FittedColumn, array: pa.Array[Any], rows: Ints) -> Hashes:
    """Numbers that are the same for the same values of some rows of a column."""
    places: Any = pa.array(rows)
    values = array.take(places)
    if isinstance(column, CategoricalColumn):
        return np.asarray(column.index.find(values)).view(np.uint64)
    if isinstance(column, PassthroughColumn):
        return column.hashes(values)
    assert isinstance(column, NumericColumn)
    numbers, which = numbers_of_rows(column, values)
    numbers = numbers.astype(np.float64) + 0.0  # no minus zero
    bits = np.where(np.isnan(numbers), MISSING_VALUE, numbers.view(np.uint64))
    return bits if which is None else np.where(which >= 0, which.astype(np.uint64), bits)


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
    names = [name for name, column in columns.items() if column.is_encoded]
    readers = [partial(values_of, columns[name], rows.column(name).combine_chunks()) for name in names]
    attributes: dict[str, str] = {}
    for key in sorted(keys, key=lambda key: len(np.unique(hashes[key]))):
        suggested = Evidence.of(hashes[key], readers, rows.num_rows).suggests
        mine = [name for name, is_one in zip(names, suggested, strict=True) if is_one and (key, name) not in refuted]
        attributes = {name: key for name in mine} | attributes
    return {name: attributes[name] for name in names if name in attributes}
