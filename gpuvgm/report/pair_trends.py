"""Dependence of pairs of columns in two tables: correlations of numbers, joint shares of everything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of, to_numpy
from gpuvgm.report.differences import RARE, distance_by_chance, variation_by_chance
from gpuvgm.report.figures import Reached
from gpuvgm.summary import Floats

ROWS = 50_000  # of each table, at even steps
BINS = 10
TOGETHER = "missing together"  # a measure that is none of SDMetrics'
DENSE = 1 << 16  # joint categories that are counted each, whether they occur or not

#: Rows of a column in the order of the table: float64 with NaN for numbers, int64 codes for categories.
Rows = NDArray[Any]
Codes = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PairTrend(Reached):
    """Similarity of the dependence of two columns in two tables.

    Parameters
    ----------
    one, other : str
        The columns.
    metric : str
        "correlation" of two columns of numbers, else "contingency"; or "missing together", of their missing values.
    score : float or None
        From 0 to 1; None where a column is constant.
    reachable : float
        Score that a pair with the dependence of the original table nearly always reaches: what chance and the
        shares of each column alone leave of 1.
    before, after : float or None
        Correlations in the original and in the synthetic or decoded table, or shares of the rows with a missing value
        in either column that have one in both.
    """

    one: str
    other: str
    metric: str
    score: float | None
    reachable: float
    before: float | None = None
    after: float | None = None

    @property
    def columns(self) -> tuple[str, str]:
        """The names of both columns."""
        return self.one, self.other

    @property
    def of_values(self) -> bool:
        """True for the measures of SDMetrics, which are of values."""
        return self.metric != TOGETHER


def worst_pairs(pairs: Iterable[PairTrend]) -> tuple[PairTrend, ...]:
    """Pairs of columns, those that have lost most first, those without a score last."""
    return tuple(sorted(pairs, key=lambda pair: (pair.score is None, -pair.lost)))


def pair_trends(
    original: Mapping[str, Rows], synthetic: Mapping[str, Rows], groups: Mapping[str, Any] | None = None
) -> tuple[PairTrend, ...]:
    """All pairs of columns, those that have lost most first, those without a score last.

    Scores are SDMetrics' CorrelationSimilarity, 1 - |r - r'| / 2 of Pearson's correlations, and ContingencySimilarity,
    1 less the total variation distance of the joint shares, with numbers in ten bins of one width over the range of
    the original table. Where a few values lie far out, nearly all rows share a bin.

    Parameters
    ----------
    original, synthetic : mapping of str to ndarray of shape (rows,)
        Rows of the columns of both tables, in the same order.
    groups : mapping of str to object, optional
        A group of each column: pairs of one group are left out.
    """
    numbers = {name for name, rows in original.items() if rows.dtype.kind == "f"}
    only_numbers = len(numbers) == len(original)
    codes = {} if only_numbers else {name: _codes_of_both(rows, synthetic[name]) for name, rows in original.items()}
    column_similarity = {name: _similarity(*_shares(pair, _width(pair))) for name, pair in codes.items()}
    tables = (original, synthetic)
    rows = [len(values) for table in tables for values in [*table.values()][:1]]
    trends = []
    for first, second in combinations(original, 2):
        if groups is not None and groups[first] == groups[second]:
            continue
        if numbers >= {first, second}:
            (before, after), common_rows = zip(
                *(_correlation(table[first], table[second]) for table in tables), strict=True
            )
            score = None if before is None or after is None else 1 - abs(before - after) / 2
            reachable = 1 - distance_by_chance(common_rows) / 2
            trends.append(PairTrend(first, second, "correlation", score, reachable, before, after))
        else:
            shares = _joint_shares(codes[first], codes[second])
            reachable = column_similarity[first] * column_similarity[second] - variation_by_chance(*shares, rows)
            trends.append(PairTrend(first, second, "contingency", _similarity(*shares), reachable))
    return worst_pairs(trends)


def missing_together(original: Mapping[str, Bools], synthetic: Mapping[str, Bools]) -> Iterator[PairTrend]:
    """Yield the pairs of columns whose missing values coincide more, or less, than by chance, in either table.

    The score is 1 less the difference of the shares J = |A and B| / |A or B| of the rows A and B where the one and the
    other column is missing (Jaccard 1901).

    Parameters
    ----------
    original, synthetic : mapping of str to ndarray of shape (rows,), bool
        Rows of the columns of both tables that have no value.
    """
    names = [name for name, is_missing in original.items() if np.any(is_missing)]
    if not names:
        return
    tables = [np.column_stack([table[name] for name in names]).astype(np.float64) for table in (original, synthetic)]
    joint = [table.T @ table for table in tables]  # whole numbers, which float64 represents
    missing = [np.diag(rows) for rows in joint]
    either = [first[:, None] + first - rows for first, rows in zip(missing, joint, strict=True)]
    expected = [np.outer(first, first) / max(len(table), 1) for first, table in zip(missing, tables, strict=True)]
    stand_out = [
        np.abs(rows - by_chance) > 1 + RARE * np.sqrt(by_chance)
        for rows, by_chance in zip(joint, expected, strict=True)
    ]
    for pair in combinations(range(len(names)), 2):
        if any(table[pair] for table in stand_out):
            yield _missing_pair(
                names[pair[0]], names[pair[1]], [rows[pair] for rows in joint], [rows[pair] for rows in either]
            )


def _missing_pair(first: str, second: str, joint: Sequence[float], either: Sequence[float]) -> PairTrend:
    """How alike two tables are in the rows where both values are missing, of those where one is."""
    before, after = (float(rows / total) if total else None for rows, total in zip(joint, either, strict=True))
    score = None if before is None or after is None else 1 - abs(before - after)
    p = sum(joint) / sum(either)
    return PairTrend(first, second, TOGETHER, score, 1 - distance_by_chance(either, sqrt(p * (1 - p))), before, after)


def thinned(rows: Rows) -> Rows:
    """At most `ROWS` of the rows of a table, at even steps, on the host."""
    return rows_at(rows, even_steps(len(rows), ROWS))


def rows_at(rows: Rows, places: NDArray[np.int64]) -> Rows:
    """Rows of a column at some places, on the host."""
    rows_on_host: Rows = to_numpy(rows[namespace_of(rows).asarray(places)])
    return rows_on_host


def even_steps(rows: int, most: int) -> NDArray[np.int64]:
    """Indices of at most `most` of `rows` rows, at even steps."""
    count = min(rows, most)
    return np.arange(count) * rows // max(count, 1)


def _correlation(first: Floats, second: Floats) -> tuple[float | None, int]:
    """Pearson's correlation of the rows that have both values, None where one of them is constant; and these rows."""
    have_both = np.isfinite(first) & np.isfinite(second)
    # Correlations do not change with scale: powers of two keep sums of huge numbers finite, the range their squares.
    x, y = (
        np.ldexp(values, -np.frexp(np.max(np.abs(values), initial=0.0))[1])
        for values in (first[have_both], second[have_both])
    )
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None, len(x)
    x, y = ((values - np.mean(values)) / np.ptp(values) for values in (x, y))
    return float(np.clip(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)), -1, 1)), len(x)


def _codes_of_both(original: Rows, synthetic: Rows) -> tuple[Codes, Codes]:
    """Codes of both tables, 0 and on: of categories, or of bins of numbers, missing ones in the last."""
    rows = [original, synthetic]
    if original.dtype.kind == "f":
        edges = _bin_borders(original[np.isfinite(original)])
        rows = [np.where(np.isnan(numbers), BINS, np.digitize(numbers, edges)) for numbers in rows]
    codes = np.unique(np.concatenate(rows), return_inverse=True)[1].astype(np.int64)
    return codes[: len(original)], codes[len(original) :]


def _bin_borders(numbers: Floats) -> Floats:
    """The borders between ten bins of one width over the range of some numbers, those of NumPy's histograms."""
    try:
        return 2 * np.histogram_bin_edges(numbers / 2, BINS)[1:-1]  # of halves, whose range is always a number
    except ValueError:  # the bins are narrower than the gaps between numbers
        return np.unique(numbers)[1:BINS]


def _joint_shares(first_codes: tuple[Codes, Codes], second_codes: tuple[Codes, Codes]) -> tuple[Floats, Floats]:
    """Share of every pair of codes of two columns, in both tables."""
    widths = [_width(pair) for pair in (first_codes, second_codes)]
    keys = [first * widths[1] + second for first, second in zip(first_codes, second_codes, strict=True)]
    if widths[0] * widths[1] <= DENSE:
        return _shares(keys, widths[0] * widths[1])
    codes = np.unique(np.concatenate(keys), return_inverse=True)[1]
    return _shares([codes[: len(keys[0])], codes[len(keys[0]) :]], int(np.max(codes)) + 1)


def _width(codes: Sequence[Codes]) -> int:
    """Number of codes in two tables."""
    return 1 + max(int(np.max(table, initial=0)) for table in codes)


def _shares(codes: Sequence[Codes], width: int) -> tuple[Floats, Floats]:
    """Share of every code in two tables."""
    first, second = (np.bincount(table, minlength=width) / max(len(table), 1) for table in codes)
    return first, second


def _similarity(first: Floats, second: Floats) -> float:
    """1 less the total variation distance of the shares in two tables."""
    return 1.0 - float(np.sum(np.abs(first - second))) / 2
