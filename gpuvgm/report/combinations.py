"""Synthetic rows that have an original row's combination of a few columns, by which someone may know whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations as subsets
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.report.copies import LEAST, Copies, KnownRows, Rows, Words, column_words, hits_of, sum_of
from gpuvgm.report.differences import RARE
from gpuvgm.report.pair_trends import even_steps

MOST_COLUMNS = 4  # of a combination
CANDIDATES = 12  # columns, of which combinations are taken
MOST_COMBINATIONS = 80
MOST_SHARED = 0.5  # of the rows, which share their combination
FEWEST = 0.01  # of the rows, up to which no more columns are needed
NEEDED = 1.5  # times as many rows share theirs without a column that is needed
REPEATED = 0.5  # of the rows of a column, which share their value
_ROWS = 5_000  # by which columns are chosen
_DONOR = 1  # key of a hash


@dataclass(frozen=True, slots=True)
class Combination(Copies):
    """Shares of rows that have the combination of an original row in a few columns; all else as for `Copies`.

    Tables in which each combination comes once, as of places and days, are full of those that anyone would draw. There
    original rows that have another row's value in one column are the yardstick.

    Parameters
    ----------
    shuffled_share : float
        Share of the other half's rows that would have one, with another row's value in the column where that makes most
        of them; 0 where that is no more than by chance, or nothing stands out.
    """

    shuffled_share: float = 0.0
    TITLE: ClassVar[str] = "real combinations"
    REMEDY: ClassVar[str] = "The generator repeats parts of original rows, by which someone may be known."
    _OF_HALF: ClassVar[str] = "have that of one of a half of the original rows"

    @property
    def what(self) -> str:
        """What these rows do, as words."""
        *first, last = self.columns
        return f"have an original row's combination of {', '.join(first)} and {last}"

    @property
    def yardstick(self) -> float:
        """The largest share of the original rows that `half_share` is compared with."""
        return max(self.other_half_share, self.held_out_share or 0.0, self.shuffled_share)


@dataclass(frozen=True, slots=True)
class Known:
    """Values of a column that someone may know who does not know the table.

    Parameters
    ----------
    tables : sequence of ndarray
        Numbers, days of moments, or codes: of the original table, the synthetic one, and rows that were held out.
    well : bool
        Whether they are days or categories.
    days : bool
        Whether they are days.
    """

    tables: Sequence[NDArray[Any]]
    well: bool
    days: bool


def combinations(columns: Mapping[str, Known], owners: Words | None) -> tuple[Combination, ...]:
    """Compare the combinations in which most original rows differ from all others.

    Parameters
    ----------
    columns : mapping of str to Known
        Columns that are modelled.
    owners : ndarray of uint64, optional
        As for `Rows`.
    """
    chosen = [*_chosen(columns, owners)]
    # The largest excess of so many that chance explains.
    deviations = float(np.sqrt(RARE**2 + 2 * np.log(max(len(chosen), 1))))
    words: dict[str, list[Words]] = {}
    for place, name in enumerate(dict.fromkeys(name for names in chosen for name in names)):
        words[name] = [column_words(table, place) for table in columns[name].tables]
    differ = [names for names in chosen if _most_are_alone([words[name][0] for name in names], owners)]
    return tuple(_count(names, words, owners, deviations) for names in differ)


def _count(
    names: Sequence[str], words: Mapping[str, Sequence[Words]], owners: Words | None, deviations: float
) -> Combination:
    tables = [*zip(*(words[name] for name in names), strict=True)]
    counted = Combination.count(names, Rows.of(tables, owners), deviations)
    if not counted.stand_out:
        return counted
    return replace(counted, shuffled_share=_shuffled_share(tables[0], owners, counted))


def _shuffled_share(columns: Sequence[Words], owners: Words | None, counted: Combination) -> float:
    """Largest share of rows that equal one of a half of the original rows with another row's value in a column.

    Rows that then have what their owner has, or that of the other row, are left out; 0 where the share exceeds the
    other ones by chance at most.
    """
    words = sum_of(columns)
    row_owners = np.arange(len(words), dtype=np.uint64) if owners is None else owners
    donors = (mixed(np.arange(len(words), dtype=np.uint64), _DONOR) % np.uint64(len(words))).astype(np.int64)
    owned = np.unique(mixed(words ^ row_owners, _DONOR))
    known, shares = KnownRows.of(words, owners), []
    for column in columns:
        shuffled = words - column + column[donors]
        of_row, of_donor = (mixed(shuffled ^ keys, _DONOR) for keys in (row_owners, row_owners[donors]))
        either = np.isin(of_row, owned).astype(np.int64) + (np.isin(of_donor, owned) & (of_row != of_donor))
        hits = hits_of(known.owners_of(shuffled)[either == 0], once=counted.once)
        if not len(hits):
            continue
        by_chance = RARE * np.std(hits) / np.sqrt(len(hits))
        shares.append(float(np.mean(hits)) if np.mean(hits) - counted.yardstick >= max(LEAST, by_chance) else 0.0)
    return max(shares, default=0.0)


def _chosen(columns: Mapping[str, Known], owners: Words | None) -> list[tuple[str, ...]]:
    """Combinations of two to four columns in which most original rows have one of their own.

    Each column is needed: without it, half as many rows again share their combination. They are chosen from the
    original table alone, those of columns that are known well first.
    """
    if len(columns) < 2:
        return []
    rows = len(next(iter(columns.values())).tables[0])
    places, size = even_steps(rows, _ROWS), rows
    if owners is not None:
        places, size = places[np.unique(owners[places], return_index=True)[1]], len(np.unique(owners))
    names, words = _candidates(columns, places)
    shared: dict[tuple[str, ...], float] = {}
    chosen = []
    for subset in chain.from_iterable(subsets(names, count) for count in range(1, MOST_COLUMNS + 1)):
        parts = [shared.get(part, 0.0) for part in subsets(subset, len(subset) - 1)] if subset[1:] else [1.0]
        if min(parts) > FEWEST:
            # Of more rows more share theirs.
            shared[subset] = 1 - _alone([words[name] for name in subset]) ** (size / len(places))
            if subset[1:] and shared[subset] <= min(MOST_SHARED, min(parts) / NEEDED):
                chosen.append(subset)
    chosen.sort(key=lambda subset: (sum(not columns[name].well for name in subset), len(subset)))
    return chosen[:MOST_COMBINATIONS]


def _candidates(columns: Mapping[str, Known], places: NDArray[np.int64]) -> tuple[list[str], dict[str, Words]]:
    """Columns whose values repeat, those that tell most rows apart first; and their words."""
    order: dict[str, float] = {}
    words: dict[str, Words] = {}
    for place, (name, column) in enumerate(columns.items()):
        words[name] = column_words(column.tables[0][places], place)
        counts = np.unique(words[name], return_counts=True)[1]
        repeated = np.sum(counts[counts > 1]) / max(len(places), 1)
        if len(counts) > 1 and (column.days or repeated >= REPEATED):
            order[name] = float(np.sum((counts / len(places)) ** 2))
    return sorted(order, key=order.__getitem__)[:CANDIDATES], words


def _most_are_alone(columns: Sequence[Words], owners: Words | None) -> bool:
    """Return whether most rows have a combination that no row of another owner has.

    Combinations are chosen by a row of each owner, and those of their other rows may be the same.
    """
    words = sum_of(columns)
    if owners is not None:
        order = np.lexsort((owners, words))
        words, owners = words[order], owners[order]
        words = words[np.append(True, (np.diff(words) != 0) | (np.diff(owners) != 0))[: len(words)]]
    return 1 - _alone([words]) <= MOST_SHARED


def _alone(words: Sequence[Words]) -> float:
    """Share of rows that no other row equals."""
    ordered = np.sort(sum_of(words))
    differs = np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])
    return float(np.mean(differs[1:] & differs[:-1]))
