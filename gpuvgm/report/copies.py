"""How many synthetic rows are rows of the original table, and how many are so by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.report.differences import distance_by_chance
from gpuvgm.summary.grid import Floats

LEAST = 0.01  # of the rows, from which on a difference is worth a word
Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Copies:
    """Synthetic rows that equal an original row, beside what the original rows do by themselves.

    Tables of few categories repeat their rows anyhow. The yardstick is a random half of the original rows: rows that
    are drawn like these equal one of that half as often as those of the other half do, whatever the table. Shares of
    halves are their means over all ways to halve the table, so that no half is drawn.

    Parameters
    ----------
    columns : tuple of str
        The columns in which rows are equal.
    rows, synthetic_rows : int
        Rows of both tables.
    copied_rows : int
        Synthetic rows that equal an original row.
    half_share : float
        Share of the synthetic rows that equal a row of one half of the original ones.
    other_half_share : float
        Share of the other half's rows that do.
    """

    columns: tuple[str, ...]
    rows: int
    synthetic_rows: int
    copied_rows: int
    half_share: float
    other_half_share: float

    @property
    def share(self) -> float:
        """Share of the synthetic rows that equal an original row."""
        return self.copied_rows / self.synthetic_rows

    @property
    def excess(self) -> float:
        """By how much more than the other half of the original rows synthetic rows equal those of one half."""
        return self.half_share - self.other_half_share

    @property
    def stand_out(self) -> bool:
        """Whether the excess is more than chance, and at least 0.01."""
        rows = self.synthetic_rows, self.rows
        mean = (rows[0] * self.half_share + rows[1] * self.other_half_share) / sum(rows)
        return self.excess >= max(LEAST, distance_by_chance(rows, np.sqrt(mean * (1 - mean))))

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict that JSON can hold."""
        return asdict(self) | {"share": self.share, "stand_out": self.stand_out}


def copies(original: Mapping[str, NDArray[Any]], synthetic: Mapping[str, NDArray[Any]], modelled: int) -> Copies:
    """Compare the rows of two tables: in the columns that are modelled, and in all.

    Samples have values of their own in columns that no model sees, so that rows are equal in the others alone; where
    these say little, all columns may say more. What stands out most is told.

    Parameters
    ----------
    original, synthetic : mapping of str to ndarray of shape (rows,)
        Columns of both tables: numbers with NaN for missing values, codes, or hashes.
    modelled : int
        How many of the columns, the first ones, are modelled.
    """
    names, keys = tuple(original), [np.zeros(1, np.uint64)] * 2
    answers = []
    for place, name in enumerate(names, 1):
        words = _words_of_both(original[name], synthetic[name])
        keys = [mixed(key ^ column, place) for key, column in zip(keys, words, strict=True)]
        if place in (modelled, len(names)):
            answers.append(_count(names[:place], *keys))
    return max(answers, key=lambda answer: (answer.stand_out, answer.excess))


def _words_of_both(one: NDArray[Any], other: NDArray[Any]) -> list[Words]:
    """64 bits for each value of a column of two tables, the same for equal values."""
    if one.dtype.kind != "f":
        return [
            values.astype(np.int64 if values.dtype.kind == "i" else np.uint64).view(np.uint64)
            for values in (one, other)
        ]
    narrow = any(np.array_equal(numbers, numbers.astype(np.float32), equal_nan=True) for numbers in (one, other))
    return [_words(numbers.astype(np.float32).astype(np.float64) if narrow else numbers) for numbers in (one, other)]


def _words(numbers: Floats) -> Words:
    """The bits of numbers, with one form of zero and of a missing value."""
    return np.where(np.isnan(numbers), np.nan, numbers + 0.0).view(np.uint64)


def _count(columns: tuple[str, ...], original: Words, synthetic: Words) -> Copies:
    """Rows of both tables by how often they occur in the original one."""
    different, rows = np.unique(original, return_counts=True)
    synthetic = np.sort(synthetic)
    place = np.minimum(np.searchsorted(different, synthetic), len(different) - 1)
    equal = np.where(different[place] == synthetic, rows[place], 0)
    return Copies(
        columns,
        len(original),
        len(synthetic),
        int(np.count_nonzero(equal)),
        float(np.mean(1 - 0.5**equal)),
        float(np.sum(rows * (1 - 0.5 ** (rows - 1))) / len(original)),
    )
