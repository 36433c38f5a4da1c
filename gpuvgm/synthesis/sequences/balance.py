"""Sums over the rows of a key that balance: what is debited is credited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.columns import FittedColumn
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.rows import KeyRows, amounts_of, values_of_amounts

LEAST_KEYS = 20  # of several rows, that balance
LEAST_NUMBERS = 10  # different sums of keys
NEAR = 1e-9  # of the largest sum, by which sums may differ

Arrays = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BalancedSum:
    """Two columns with equal sums over the rows of each key, as debit and credit have; or one whose sum is 0.

    Parameters
    ----------
    added, taken_off : str
        The columns; the second one is empty where the sum of the first is 0.
    is_apart : bool
        Whether no row has both, as an account is debited or credited.
    """

    added: str
    taken_off: str = ""
    is_apart: bool = False

    def __str__(self) -> str:
        return f"sum({self.added}) = {f'sum({self.taken_off})' if self.taken_off else 0}"

    @property
    def names(self) -> list[str]:
        """Its columns."""
        return [self.added, self.taken_off] if self.taken_off else [self.added]

    @classmethod
    def each(cls, rows: KeyRows, amounts: Mapping[str, Floats]) -> Iterator[BalancedSum]:
        """Yield those of some columns that balance in all keys, each column once. Missing numbers add nothing."""
        numbers = {name: np.nan_to_num(of_rows) for name, of_rows in amounts.items()}
        sums = {name: np.add.reduceat(of_rows, rows.starts) for name, of_rows in numbers.items()}
        found = set[str]()
        for name, of_keys in sums.items():
            sizes = np.add.reduceat(np.abs(numbers[name]), rows.starts)
            if _are_shown(rows, sizes) and np.all(np.abs(of_keys) <= NEAR * sizes.max()):
                found.add(name)
                yield cls(name)
        for pair in combinations(sums, 2):
            first, second = (numbers[name] for name in pair)
            differ = np.abs(sums[pair[0]] - sums[pair[1]]) > NEAR * np.abs(sums[pair[0]]).max(initial=0)
            if found.isdisjoint(pair) and not differ.any() and np.count_nonzero(first != second) >= LEAST_KEYS:
                if _are_shown(rows, sums[pair[0]]):
                    found.update(pair)
                    yield cls(*pair, is_apart=not np.any((first != 0) & (second != 0)))

    def numbers(self, columns: Mapping[str, FittedColumn], rows: Arrays) -> Floats:
        """Numbers of its columns in some rows, of shape (columns, rows); 0 where they are missing."""
        return np.nan_to_num([amounts_of(columns[name], rows[name]) for name in self.names])

    def balancing(
        self, columns: Mapping[str, FittedColumn], numbers: Floats, starts: Ints, places: Ints
    ) -> dict[str, Any]:
        """Columns of one row of each key with which the sums balance. Where sums do, no number is another one.

        Parameters
        ----------
        columns : mapping of str to FittedColumn
            The columns.
        numbers : ndarray of shape (columns, rows)
            Their numbers, key after key.
        starts, places : ndarray of shape (keys,), int64
            First row of each key, and the one that takes the rest.
        """
        differences = numbers[0] - numbers[1] if self.taken_off else numbers[0]
        others: Floats = np.add.reduceat(differences, starts) - differences[places]
        if not self.taken_off:
            made = [-others]
        elif self.is_apart:
            made = [np.maximum(-others, 0), np.maximum(others, 0)]
        else:
            made = [numbers[0][places], others + numbers[0][places]]
        return {name: self._values(columns[name], of) for name, of in zip(self.names, made, strict=True)}

    def _values(self, column: Any, amounts: Floats) -> Any:
        """Values of a column; where no row has both, one may be missing in place of 0."""
        values = values_of_amounts(column, amounts)
        if not (self.is_apart and column.fit.missing):
            return values
        return pc.if_else(pa.array(amounts != 0), values, pa.scalar(None, values.type))


def _are_shown(rows: KeyRows, sums: Floats) -> bool:
    """Whether enough keys of several rows have sums, and different ones."""
    of_several = sums[(rows.counts > 1) & (sums != 0)]
    return len(of_several) >= LEAST_KEYS and len(np.unique(of_several)) >= LEAST_NUMBERS
