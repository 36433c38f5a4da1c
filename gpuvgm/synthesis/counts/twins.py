"""Columns whose rows often have the number of another column, their twin, as most orders are paid when they are due.

Bins say which numbers go together, to their width alone. So in the trees that draw such a column, rows with the number
of its twin are in a further bin. Trees of other columns may ask for the bin in which this number lies, and whether it
is the twin's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.engines import AskedColumn
from gpuvgm.laws import Unit
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import (
    Bins,
    Codes,
    Rows,
    are_same,
    origins_of,
    twin_numbers,
)
from gpuvgm.synthesis.counts.structure import Dependence

PROBED = 1000  # rows that already show of most pairs of columns that they differ
LEAST_ROWS = 100  # of a sample, that have both numbers
LEAST_SHARE = 0.02  # of these rows, that are equal beyond those that bins alone make equal
LEAST_IN_BIN = 0.5  # of the rows in whose bin the twin's number lies, that have it beyond chance
NEAR = 1e-9  # of a number, by which equal ones may differ


def twins_of(
    columns: Mapping[str, FittedColumn],
    bins: Mapping[str, Bins],
    codes: Mapping[str, AskedColumn],
    rows: Rows,
    dependence: Dependence,
) -> dict[str, Bins]:
    """Bins of the columns that have a twin, with its name: of several, that whose number most rows have.

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
    """Pairs of a column and a possible twin that are equal in some of the rows, most often equal ones first.

    Rows whose value has a bin for itself count for nothing: bins say whether such values are equal.
    """
    numeric = {name: column for name, column in columns.items() if isinstance(column, NumericColumn)}
    units = {name: unit for name, column in numeric.items() if (unit := Unit.of(column)) is not None}
    names, shares = [*units], dict[tuple[str, str], float]()
    amounts = np.array([units[name].amounts(numeric[name].all_numbers(rows(name)[:PROBED])) for name in names])
    in_wide = np.array([_are_wide(numeric[name], bins[name])[codes[name].codes[:PROBED]] for name in names])
    for place, numbers in enumerate(amounts):
        with np.errstate(over="ignore", invalid="ignore"):  # of the largest floats
            equal = np.abs(amounts[:place] - numbers) <= NEAR * np.abs(numbers)
        # Where both may have the twin, the later column shall: its pair is entered first, and stays first when sorted.
        for counted, is_later in ((equal & in_wide[place], True), (equal & in_wide[:place], False)):
            for earlier in np.flatnonzero(np.mean(counted, axis=1) >= LEAST_SHARE / 2).tolist():
                if units[names[place]].sort == units[names[earlier]].sort:
                    pair = (names[place], names[earlier]) if is_later else (names[earlier], names[place])
                    shares[pair] = float(np.mean(equal[earlier]))
    return sorted(shares, key=lambda pair: -shares[pair])


def _are_wide(column: NumericColumn, bins: Bins) -> NDArray[np.bool_]:
    """Mask of the bins of a column that have several values."""
    low, high = _ends(bins)
    step = column.codec.plain.spacing if bins.clock is None else 0.0  # readings of a clock have none
    return np.asarray(high - low > 1.5 * step)


def _ends(bins: Bins) -> tuple[Floats, Floats]:
    """Least and largest number of each bin."""
    return np.minimum.reduceat(bins.low, bins.first[:-1]), np.maximum.reduceat(bins.high, bins.first[:-1])


def _are_twins(twin: Any, column: Any, bins: Bins, codes: Codes, rows: Callable[[str], Any]) -> bool:
    """Return whether many rows have the number of a twin beyond chance: that of numbers exchanged within each bin.

    Of the rows in whose bin the twin's number lies, most have to have it. Else the column follows something else of
    that number, as where a date is the first of the twin's month.
    """
    numbers, twins = column.plain_numbers(rows(column.name))[0], twin_numbers(twin, column)(rows)
    shuffled, of_bins = np.random.default_rng(0).permutation(len(codes)), np.argsort(codes, kind="stable")
    exchanged = np.empty_like(numbers)
    exchanged[of_bins] = numbers[shuffled[np.argsort(codes[shuffled], kind="stable")]]
    readings = twins if bins.clock is None else bins.clock.readings(twins)
    low, high = _ends(bins)
    within = np.count_nonzero((readings >= low[codes]) & (readings <= high[codes]) & ~np.isnan(numbers))
    present = np.count_nonzero(~np.isnan(numbers) & ~np.isnan(twins))
    equal, chance = (np.count_nonzero(are_same(column, twins, candidates)) for candidates in (numbers, exchanged))
    least = max(LEAST_SHARE * present, LEAST_IN_BIN * (within - chance))
    return bool(present >= LEAST_ROWS and equal - chance >= least)
