"""Distance of synthetic rows to the closest original record, beside that of other original rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.report.detection import LEAST_ROWS, Features, Words
from gpuvgm.report.differences import distance_by_chance
from gpuvgm.report.measures import ReportPart, share, short
from gpuvgm.report.pair_trends import even_steps
from gpuvgm.summary import Floats, Ints

MOST_NEAREST = 1_000  # rows of each table whose closest record is looked for
NEAR = 0.01  # quantile of the distances of original rows, up to which a row is near
LEAST = 0.05  # of the rows, from which on a difference is worth a word
_BLOCK = 100  # rows whose distances are in memory at a time
_MISSING = 2.0  # place of a missing number, beyond all others, which lie in [0, 1]
_HALF, _ORDER = np.uint64(32), np.uint64(33)  # bits of hashes that those of folds do not decide


@dataclass(frozen=True, slots=True)
class ClosestRecords(ReportPart):
    """Distances of rows to the closest of one half of the original rows: of synthetic rows, and of the other half's.

    Where rows were held out of the fit, these are the other half, and the rows that were fitted are the half.

    A distance is Gower's (1971), a sum over columns: of categories 0 or 1, of numbers the share of the half's rows
    between them, interpolated. Rows that repeat original ones but for some noise are much nearer than the other
    half's rows are.

    Parameters
    ----------
    rows : int
        Rows of the half.
    median, other_half_median : float
        Median distance of synthetic rows, and of the other half's rows.
    near_share, other_half_near_share : float
        Share of either that is nearer than 99 % of the other half's rows are, or as near.
    nearest_rows : tuple of int
        Number of either.
    held_out : bool
        Whether the other half is the rows that were held out of the fit.
    """

    rows: int
    median: float
    other_half_median: float
    near_share: float
    other_half_near_share: float
    nearest_rows: tuple[int, int]
    held_out: bool = False
    _DERIVED: ClassVar[tuple[str, ...]] = ("stand_out",)

    @property
    def stand_out(self) -> bool:
        """True if the difference of the shares is more than chance explains, and at least 0.05."""
        mean = np.average([self.near_share, self.other_half_near_share], weights=self.nearest_rows)
        by_chance = distance_by_chance(self.nearest_rows, np.sqrt(mean * (1 - mean)))
        return self.near_share - self.other_half_near_share >= max(LEAST, by_chance)

    @property
    def share_text(self) -> str:
        """The two shares, as words."""
        if self.held_out:
            return (
                f"{share(self.near_share)} of the synthetic rows are as near to a fitted row as "
                f"{share(self.other_half_near_share)} of the rows that were held out are"
            )
        return (
            f"{share(self.near_share)} of the synthetic rows are as near to a row of a half of the original rows as "
            f"{share(self.other_half_near_share)} of the other half's rows are"
        )

    @property
    def text(self) -> str:
        """The two shares and medians, as words."""
        return f"{self.share_text}: median distances are {short(self.median)} and {short(self.other_half_median)}"


def closest_records(
    original: Features, synthetic: Features, hashes: Sequence[Words], held_out: Features | None = None
) -> ClosestRecords | None:
    """Distances of at most a thousand rows of each table to the closest of half the original rows.

    Parameters
    ----------
    original, synthetic, hashes : object
        As for `detect`.
    held_out : mapping of feature to ndarray of shape (rows,), optional
        Original rows that were held out of the fit: they are the other half then, and all of `original` the half.

    Returns
    -------
    ClosestRecords or None
        The distances; None for few rows.
    """
    others = _length(held_out) if held_out is not None else LEAST_ROWS
    if min(*map(len, hashes), others) < LEAST_ROWS:
        return None
    if held_out is None:
        is_first = (hashes[0] >> _HALF) % np.uint64(2) == 0
        other = np.flatnonzero(~is_first)
        half = _taken(original, np.flatnonzero(is_first))
        yardstick = _taken(original, other[_first_by_hash(hashes[0][other])])
    else:
        half, yardstick = original, _taken(held_out, even_steps(others, MOST_NEAREST))
    records = _places(half, half)
    distances, other_distances = (
        _nearest(_places(half, table), records) for table in (_taken(synthetic, _first_by_hash(hashes[1])), yardstick)
    )
    # A rounding of the sum is no distance.
    limit = np.quantile(other_distances, NEAR) + 1e-9
    return ClosestRecords(
        _length(half),
        float(np.median(distances)),
        float(np.median(other_distances)),
        float(np.mean(distances <= limit)),
        float(np.mean(other_distances <= limit)),
        (len(distances), len(other_distances)),
        held_out=held_out is not None,
    )


def _length(table: Features) -> int:
    return len(next(iter(table.values()), ()))


def _first_by_hash(hashes: Words) -> Ints:
    return np.argsort(hashes >> _ORDER, kind="stable")[:MOST_NEAREST]


def _taken(table: Features, rows: Ints) -> Features:
    return {name: values[rows] for name, values in table.items()}


def _places(half: Features, table: Features) -> tuple[Floats, Floats]:
    """Numbers as shares of the half's rows below them, and codes; one row a row, a column a column."""
    numbers, codes = [], []
    for name, rows in table.items():
        if rows.dtype.kind != "f":
            codes.append(rows.astype(np.float64))
            continue
        known, counts = np.unique(half[name][np.isfinite(half[name])], return_counts=True)
        shares = (np.cumsum(counts) - counts / 2) / max(int(np.sum(counts)), 1)
        # Interpolated, so that a row that is another but for some noise is nearer to it than the next one is.
        places = np.interp(rows, known, shares) if len(known) else np.zeros(len(rows))
        numbers.append(np.where(np.isnan(rows), _MISSING, places))
    length = _length(table)
    return _stacked(numbers, length), _stacked(codes, length)


def _stacked(columns: Sequence[NDArray[Any]], length: int) -> Floats:
    return np.column_stack(columns) if columns else np.empty((length, 0))


def _nearest(rows: tuple[Floats, Floats], records: tuple[Floats, Floats]) -> Floats:
    """Distance of each row to the closest record."""
    from scipy.spatial.distance import cdist

    nearest = []
    for start in range(0, len(rows[0]), _BLOCK):
        numbers, codes = (part[start : start + _BLOCK] for part in rows)
        distances = np.zeros((len(numbers), len(records[0])))
        if numbers.shape[1]:
            distances += cdist(numbers, records[0], "cityblock")
        if codes.shape[1]:
            distances += cdist(codes, records[1], "hamming") * codes.shape[1]
        nearest.append(np.min(distances, axis=1))
    return np.concatenate(nearest)
