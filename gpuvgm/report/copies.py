"""Synthetic rows that are copies of original rows, beside how often original rows repeat each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import beside, mixed, namespace_of, narrowed, to_numpy, widened
from gpuvgm.columns import cached_parts
from gpuvgm.report.differences import distance_by_chance
from gpuvgm.report.measures import ReportPart, share
from gpuvgm.summary import Floats, Ints

LEAST = 0.01  # of the rows, from which on a difference is worth a word
Words = NDArray[np.uint64]
Blocks = Sequence[NDArray[Any]]  # of a column, one after the other


@dataclass(frozen=True, slots=True)
class Copies(ReportPart):
    """Numbers and shares of synthetic rows that equal an original row, with a yardstick from the original rows.

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
    _DERIVED: ClassVar[tuple[str, ...]] = ("share", "stand_out")

    @property
    def share(self) -> float:
        """Share of the synthetic rows that equal an original row."""
        return self.copied_rows / self.synthetic_rows

    @property
    def share_text(self) -> str:
        """The share, as words."""
        return f"{share(self.share)} of the synthetic rows equal an original row"

    @property
    def text(self) -> str:
        """The share and its yardstick, as words."""
        halves = share(self.half_share), share(self.other_half_share)
        of_halves = f"{halves[0]} equal one of a half of the original rows, and {halves[1]} of the other half's rows do"
        return f"{self.share_text}: {of_halves}"

    @property
    def excess(self) -> float:
        """Difference of the two shares: `half_share` less `other_half_share`."""
        return self.half_share - self.other_half_share

    @property
    def stand_out(self) -> bool:
        """True if the excess is more than chance explains, and at least 0.01."""
        rows = self.synthetic_rows, self.rows
        mean = (rows[0] * self.half_share + rows[1] * self.other_half_share) / sum(rows)
        return self.excess >= max(LEAST, distance_by_chance(rows, np.sqrt(mean * (1 - mean))))


def copies(original: Mapping[str, Blocks], synthetic: Mapping[str, Blocks], modelled: int) -> Copies:
    """Compare the rows of two tables: in the columns that are modelled, and in all.

    Samples have values of their own in columns that no model sees, so that rows are equal in the others alone; where
    these say little, all columns may say more. The answer that stands out most is returned.

    Parameters
    ----------
    original, synthetic : mapping of str to sequence of ndarray
        Columns of both tables in blocks of the same rows: numbers with NaN for missing values, codes, or hashes.
    modelled : int
        Number of modelled columns, which come first.
    """
    names = tuple(original)
    narrow = [_is_narrow(original[name]) or _is_narrow(synthetic[name]) for name in names]
    answers = []
    for count in sorted({modelled, len(names)}):
        original_keys, synthetic_keys = (
            _keys([table[name] for name in names[:count]], narrow) for table in (original, synthetic)
        )
        answers.append(_count_copies(names[:count], original_keys, synthetic_keys))
    return max(answers, key=lambda answer: (answer.stand_out, answer.excess))


def _is_narrow(blocks: Blocks) -> bool:
    """Return whether all values are numbers that float32 represents exactly."""
    # NaN differs from itself.
    return all(
        values.dtype.kind == "f" and ((_of_float32(values) == values) | (values != values)).all() for values in blocks
    )


def _of_float32(numbers: NDArray[Any]) -> Floats:
    """The nearest numbers that float32 represents; infinite for larger ones."""
    with np.errstate(over="ignore"):
        numbers_of_float32: Floats = widened(narrowed(numbers))
    return numbers_of_float32


def _keys(columns: Sequence[Blocks], narrow: Sequence[bool]) -> Words:
    """64 bits for each row of a table, on the device if any column lies there; see `_keys_of_block`."""
    place = next((blocks[0] for blocks in columns if namespace_of(blocks[0]) is not np), columns[0][0])
    xp = namespace_of(place)
    keys = [_keys_of_block([*map(xp.asarray, block)], narrow) for block in zip(*columns, strict=True)]
    all_keys: Words = xp.concatenate(keys)
    return all_keys


def _keys_of_block(columns: Sequence[NDArray[Any]], narrow: Sequence[bool]) -> Words:
    """64 bits for each row, the same for equal rows.

    Parameters
    ----------
    columns : sequence of ndarray of shape (rows,)
        The values.
    narrow : sequence of bool
        Which columns are compared as float32, because one table has no other.
    """
    keys: Words = namespace_of(columns[0]).zeros(len(columns[0]), np.uint64)
    for part in cached_parts(keys):
        key = keys[part]
        for place, (values, as_float32) in enumerate(zip(columns, narrow, strict=False), 1):
            key = mixed(key ^ _value_bits(values[part], as_float32=as_float32), place)
        keys[part] = key
    return keys


def _value_bits(values: NDArray[Any], *, as_float32: bool) -> Words:
    """64 bits for each value; one form of zero and of a missing value among numbers."""
    if values.dtype.kind != "f":
        return values.astype(np.uint64)
    # Adding 0.0 turns -0.0 into 0.0, which compares equal but has other bits.
    numbers = (_of_float32(values) if as_float32 else values) + 0.0
    # NaN has many bit patterns; all rows take the same one.
    bits: Words = namespace_of(numbers).where(numbers != numbers, np.nan, numbers).view(np.uint64)
    return bits


def _count_copies(columns: tuple[str, ...], original: Words, synthetic: Words) -> Copies:
    """Rows of both tables by how often they occur in the original one."""
    xp = namespace_of(original)
    different, rows = xp.unique(original, return_counts=True)
    synthetic = xp.sort(beside(synthetic, original))
    place = xp.minimum(xp.searchsorted(different, synthetic), len(different) - 1)
    times, synthetic_rows = _counted(xp.where(different[place] == synthetic, rows[place], 0))
    original_times, different_rows = _counted(rows)
    # A row that occurs n times lies in a random half with a probability of 1 - 2^-n; an original row does not
    # count itself, so that n - 1 others are left.
    return Copies(
        columns,
        len(original),
        len(synthetic),
        int(np.sum(synthetic_rows[times > 0])),
        float(np.sum(synthetic_rows * (1 - 0.5**times)) / len(synthetic)),
        float(np.sum(different_rows * original_times * (1 - 0.5 ** (original_times - 1))) / len(original)),
    )


def _counted(numbers: Ints) -> tuple[Ints, Ints]:
    """Different ones of whole numbers from 0 on, and how often each occurs, on the host."""
    counts = namespace_of(numbers).bincount(numbers)
    different = namespace_of(numbers).flatnonzero(counts)
    return to_numpy(different), to_numpy(counts[different])
