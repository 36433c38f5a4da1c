"""Columns many rows of which have the number of another one: most orders are paid on the day on which they are due.

Bins say which numbers go together, to their width alone. So in the trees that draw such a column the rows that have its
twin's number have a bin of their own; what other columns ask for is the bin that this number lies in, and whether it is
the twin's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.engines import AskedColumn
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import (
    Bins,
    Codes,
    Rows,
    Unit,
    all_numbers,
    are_same,
    numbers_of_rows,
    origins_of,
    twin_numbers,
)
from gpuvgm.synthesis.counts.structure import Dependence

PROBED = 1000  # rows by which most pairs of columns are found to differ
LEAST_ROWS = 100  # of a sample, with both numbers
LEAST_SHARE = 0.02  # of these rows, that are equal though bins alone would not make them so
MOST = 0.5  # of the rows in whose bin the twin's number lies
NEAR = 1e-9  # of a number, by which equal ones may differ


def twins_of(
    columns: Mapping[str, FittedColumn],
    bins: Mapping[str, Bins],
    codes: Mapping[str, AskedColumn],
    rows: Rows,
    dependence: Dependence,
) -> dict[str, Bins]:
    """Bins of the columns that have a twin, with it: of several, that whose number most rows have.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        Those that are modelled.
    bins : mapping of str to Bins
        Their bins.
    codes : mapping of str to AskedColumn
        Bins of a sample of rows.
    rows : callable
        Gives the rows of a column in this sample.
    dependence : Dependence
        Which columns may depend on which, and which ones are computed.
    """
    twins, later = dict[str, Bins](), {name: {*dependence.first[at:]} for at, name in enumerate(dependence.first)}
    for name, first in _alike(columns, bins, codes, rows):
        made_of = origins_of({**bins, **twins}.values())
        is_made = name in {**made_of, **dependence.levels} or not dependence.computed.isdisjoint({name, first})
        is_before = name in later and first not in {*dependence.first} - later[name]
        is_source = is_before or name in Dependence().counted_from(made_of).sources(first)
        if is_made or is_source or not dependence.allows(name, first):
            continue
        if _are_twins(columns[first], columns[name], bins[name], codes[name].codes, rows):
            twins[name] = replace(bins[name], twin=first)
    return twins


def _alike(
    columns: Mapping[str, FittedColumn],
    bins: Mapping[str, Bins],
    codes: Mapping[str, AskedColumn],
    rows: Callable[[str], Any],
) -> list[tuple[str, str]]:
    """Columns with others that some of their rows are equal to, those that are so most often first.

    Values that have a bin of their own count for nothing: whether they are equal is told by their bins.
    """
    units = dict[str, Unit]()
    for name, column in columns.items():
        unit = Unit.of(column) if isinstance(column, NumericColumn) else None
        if unit is not None:
            units[name] = unit
    names, shares, amounts, wide = [*units], dict[tuple[str, str], float](), [], []
    for name, unit in units.items():
        column, own = columns[name], bins[name]
        assert isinstance(column, NumericColumn)
        amounts.append(unit.amounts(all_numbers(column, rows(name)[:PROBED])))
        low, high = _ends(own)
        step = column.codec.plain.spacing if own.clock is None else 0.0  # readings of a clock have none
        wide.append((high - low > 1.5 * step)[codes[name].codes[:PROBED]])
    matrix, are_wide = np.array(amounts), np.array(wide)
    for at, numbers in enumerate(matrix):
        with np.errstate(over="ignore", invalid="ignore"):  # of the largest floats
            equal = np.abs(matrix[:at] - numbers) <= NEAR * np.abs(numbers)
        for told, is_later in ((equal & are_wide[at], True), (equal & are_wide[:at], False)):
            for other in np.flatnonzero(np.mean(told, axis=1) >= LEAST_SHARE / 2).tolist():
                if units[names[at]].sort == units[names[other]].sort:
                    pair = (names[at], names[other]) if is_later else (names[other], names[at])
                    shares[pair] = float(np.mean(equal[other]))
    # Of both orders the one in which the later column has the twin was found first, and stays before the other.
    return sorted(shares, key=lambda pair: -shares[pair])


def _ends(bins: Bins) -> tuple[Floats, Floats]:
    """Least and largest number of each bin."""
    return np.minimum.reduceat(bins.low, bins.first[:-1]), np.maximum.reduceat(bins.high, bins.first[:-1])


def _are_twins(first: Any, column: Any, bins: Bins, codes: Codes, rows: Callable[[str], Any]) -> bool:
    """Return whether many rows are equal that would not be so with the number of another row of the same bin.

    Of the rows in whose bin the first column's number lies, most have to be: else it is something else of that number
    that decides, as where a date is the first of the other one's month.
    """
    numbers, firsts = numbers_of_rows(column, rows(column.name))[0], twin_numbers(first, column)(rows)
    shuffled, of_bins = np.random.default_rng(0).permutation(len(codes)), np.argsort(codes, kind="stable")
    others = np.empty_like(numbers)
    others[of_bins] = numbers[shuffled[np.argsort(codes[shuffled], kind="stable")]]
    readings = firsts if bins.clock is None else bins.clock.readings(firsts)
    low, high = _ends(bins)
    within = np.count_nonzero((readings >= low[codes]) & (readings <= high[codes]) & ~np.isnan(numbers))
    both = np.count_nonzero(~np.isnan(numbers) & ~np.isnan(firsts))
    equal, chance = (np.count_nonzero(are_same(column, firsts, some)) for some in (numbers, others))
    least = max(LEAST_SHARE * both, MOST * (within - chance))
    return bool(both >= LEAST_ROWS and equal - chance >= least)
