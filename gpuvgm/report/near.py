"""Synthetic rows that repeat original rows but for small changes, such as an hour, a cent or some noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.report.copies import Copies, Rows, Words, column_words, sum_of
from gpuvgm.report.pair_trends import even_steps
from gpuvgm.summary import Floats, Ints

NEAR = 0.01  # of the original rows, which may have another row in their cell
_LEAST_BINS, _MOST_BINS = 2, 1 << 14  # of each column of numbers
_LEAST_ROWS = 8  # of a bin: bins around single original values would have anyone's values too
_ROWS = 5_000  # by which the bins are chosen
_NUMBERS = 100_000  # of each column, by which bins end
_REFINED = 3  # times that bins are halved where all rows say that they are too wide
Table = Mapping[str, NDArray[Any]]  # numbers with NaN for missing values, or codes


@dataclass(frozen=True, slots=True)
class NearRows(Copies):
    """Shares of rows that lie in the same cell as an original row; all else as for `Copies`.

    Cells are boxes: numbers in the same bin of each column, and the same categories. The bins have about as many rows
    each, end in the widest gaps nearby, and are so wide that hardly any original row shares its cell.

    Parameters
    ----------
    bins : int
        Bins of each column of numbers, about.
    """

    bins: int = 0
    TITLE: ClassVar[str] = "near rows"
    REMEDY: ClassVar[str] = "The generator repeats original rows but for some noise."
    _OF_HALF: ClassVar[str] = "repeat one of a half of the original rows so"

    @property
    def how(self) -> str:
        """How these rows repeat original ones, as words."""
        return "but for small changes"

    @property
    def what(self) -> str:
        """What these rows do, as words."""
        return f"repeat an original row {self.how}"


def near_rows(tables: Sequence[Table], owners: Words | None) -> NearRows | None:
    """Compare the rows of tables by cells.

    Parameters
    ----------
    tables : sequence of mapping of str to ndarray of shape (rows,)
        The original table, the synthetic one, and the rows that were held out, if there are any.
    owners : ndarray of uint64, optional
        As for `Rows`.

    Returns
    -------
    NearRows or None
        The shares; None where no column has numbers, so that near rows are equal ones, and where only bins of a few
        rows tell original rows apart: anyone's rows would lie in their cells.
    """
    original = tables[0]
    numbers = {name: _Numbers(values) for name, values in original.items() if values.dtype.kind == "f"}
    if not numbers:
        return None
    bins, most = _bins(original, numbers, owners), _equal_share(original, owners) + 2 * NEAR
    for _ in range(_REFINED):
        near = _of_bins(tables, numbers, owners, bins)
        if near.other_half_share <= most:
            break
        bins *= 2
    is_fair = near.other_half_share <= most and bins * _LEAST_ROWS <= len(next(iter(original.values())))
    return replace(near, bins=bins) if is_fair else None


class _Numbers:
    """The different numbers of a column, and where its bins end."""

    def __init__(self, values: Floats) -> None:
        sample = values[even_steps(len(values), _NUMBERS)]
        self.different, counts = np.unique(sample[np.isfinite(sample)], return_counts=True)
        self._upto = np.cumsum(counts)  # rows at or below each

    def borders(self, bins: int) -> Floats:
        """Middles of gaps between numbers: of the widest one of each of so many parts of equal rows.

        Gaps in the middle of a part come first, as the widest ones of all lie far out.
        """
        known = self.different
        if len(known) < 2:
            return known[:0]
        with np.errstate(over="ignore"):  # the widest of all is infinite, which is no matter
            gaps = np.diff(known)
        place = self._upto[:-1] * (bins / self._upto[-1])
        part, within = np.floor(place), place % 1
        order = np.lexsort((gaps, np.abs(within - 0.5) <= 0.25, part))
        widest = order[np.flatnonzero(np.diff(part[order], append=np.inf))]
        middles: Floats = known[widest] / 2 + known[widest + 1] / 2
        return middles


def _equal_share(original: Table, owners: Words | None) -> float:
    """Share of the rows of one half of the original ones that equal a row of the other half."""
    words = sum_of(column_words(values, place) for place, values in enumerate(original.values()))
    return Copies.count([*original], Rows(words, words, None, owners)).other_half_share


def _bins(original: Table, numbers: Mapping[str, _Numbers], owners: Words | None) -> int:
    """The fewest bins with which hardly any original row shares its cell, but with its equals, as some rows show."""
    all_rows = len(next(iter(original.values())))
    places = even_steps(all_rows, _ROWS)
    sample = {name: values[places] for name, values in original.items()}
    owners = None if owners is None else owners[places]
    scale = all_rows / len(places)  # more rows share more cells
    equal = scale * _equal_share(sample, owners)
    bins = _LEAST_BINS
    while bins < _MOST_BINS:
        near = _of_bins((sample, sample), numbers, owners, bins)
        if scale * near.other_half_share <= equal + NEAR:
            break
        bins *= 2
    return bins


def _of_bins(tables: Sequence[Table], numbers: Mapping[str, _Numbers], owners: Words | None, bins: int) -> NearRows:
    borders = {name: column.borders(bins) for name, column in numbers.items()}
    return NearRows.count([*tables[0]], Rows.of((_cells(table, borders) for table in tables), owners))


def _cells(table: Table, borders: Mapping[str, Floats]) -> Iterator[Words]:
    """Words of the bins or categories of each column."""
    for place, (name, values) in enumerate(table.items()):
        if name in borders:
            bins: Ints = np.searchsorted(borders[name], values)
            yield column_words(np.where(np.isnan(values), -1, bins), place)
        else:
            yield column_words(values, place)
