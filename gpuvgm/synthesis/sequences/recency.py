"""Categories that come back within a key: the products that a customer buys again, the places that an aircraft serves.

A row says which of the different values before it comes back, by how recent it is; only a value that is new is drawn
from trees. That a key has few of many values is thus kept, whatever trees know of the key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.columns import CategoricalColumn, FittedColumn
from gpuvgm.io import plain_values_of, taken
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.occurrences import MOST_CATEGORIES, as_text, codes_in
from gpuvgm.synthesis.sequences.rows import KeyRows

MOST_RECENT = 63  # different values before a row, that may come back
LEAST_KEYS = 40  # of several rows, that show whether values come back
LEAST_GAIN = 0.02  # nats a row, by which it is likelier than the value before makes it
WEIGHT, WEIGHT_OF_RANKS = 5.0, 1.0  # rows that shares of all rows count as beside those of few
NEW = 0  # rank of a value that is none of the recent ones

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Recency:
    """A column of categories that come back within a key.

    Parameters
    ----------
    column : str
        The column.
    """

    column: str

    @property
    def name(self) -> str:
        """Name of the column that says which one does."""
        return f"recency({self.column})"

    @property
    def novelty(self) -> str:
        """Name of the column that says whether none does."""
        return f"novelty({self.column})"

    @property
    def variety(self) -> str:
        """Name of the column that says how many different values there are before a row, up to `MOST_RECENT`."""
        return f"variety({self.column})"

    @property
    def drawn(self) -> tuple[str, ...]:
        """Columns that are drawn before the column, in this order."""
        return self.novelty, self.name

    @property
    def texts(self) -> list[str]:
        """All that rows may have, by rank."""
        return ["new", *(f"{rank} back" for rank in range(1, MOST_RECENT + 1))]

    def of_ranks(self, ranks: Ints) -> dict[str, Any]:
        """Columns that say which value comes back, by its rank."""
        texts = taken(pa.array(self.texts, pa.string()), ranks)
        return {self.novelty: as_text(ranks == NEW), self.name: texts}

    def ranks(self, values: Any) -> Ints:
        """Rank of the value of each row, of the column of this name."""
        return np.asarray(pc.index_in(plain_values_of(values), pa.array(self.texts, pa.string())), np.int64)

    def certain(self, values: Any) -> dict[str, Bools]:
        """Which rows have a certain value, by column: a rank where it is new, and the value where it is not."""
        are_new = self.ranks(values) == NEW
        return {self.name: are_new, self.column: ~are_new}

    def of_codes(self, codes: Ints, are_first: Bools) -> Any:
        """Texts of the ranks of values with these codes; parameters as for `ranks_of`."""
        return self.of_ranks(ranks_of(codes, are_first)[0])[self.name]

    @staticmethod
    def sources(ranks: Ints, are_first: Bools) -> Ints:
        """The first row of its key with the value of each row, given its rank: the row itself where that is new."""
        starts = np.flatnonzero(are_first)
        sources, counts = np.arange(len(ranks)), np.diff(starts, append=len(ranks))
        by_rows, recent = np.argsort(-counts, kind="stable"), RecentValues.of_none(len(starts), ranks.max(initial=NEW))
        for place in range(counts.max(initial=0)) if ranks.any() else ():
            rows = starts[by_rows[: np.count_nonzero(counts > place)]] + place
            recent, are_new = recent.at(slice(len(rows))), ranks[rows] == NEW
            last = recent.recalled(np.maximum(ranks[rows], NEW + 1))
            sources[rows] = np.where(are_new | (last < 0), rows, last)
            recent = recent.followed_by(sources[rows])
        return sources

    def of_rows(self, rows: KeyRows, column: FittedColumn) -> dict[str, Any]:
        """All columns."""
        ranks, recent = ranks_of(codes_in(column, rows.column(self.column)), rows.are_first)
        return {**self.of_ranks(ranks), self.variety: pa.array(_varieties(recent))}


def ranks_of(codes: Ints, are_first: Bools) -> tuple[Ints, list[Ints]]:
    """How recent the value of each row is among the different values before it, and the rows that last had these.

    Parameters
    ----------
    codes : ndarray of shape (rows,), int64
        The values, key after key.
    are_first : ndarray of shape (rows,), bool
        Which rows are the first ones of their key.

    Returns
    -------
    ranks : ndarray of shape (rows,), int64
        1 for the value of the row before, 2 for the one that differs from it and was there last, and so on; `NEW` for
        one that is none of `MOST_RECENT`.
    recent : list of ndarray of shape (rows,), int64
        For each rank from 1 on, as far as there are so many values, the row before that had the value last; -1 where
        there are fewer.
    """
    numbers = np.arange(len(codes))
    last, ranks, recent = np.where(are_first, -1, numbers - 1), np.zeros(len(codes), np.int64), list[Ints]()
    for rank in range(1, MOST_RECENT + 1):
        if not np.any(last >= 0):
            break
        recent.append(last)
        ranks[(last >= 0) & (ranks == NEW) & (codes[last] == codes)] = rank
        # A row whose value is none of these puts it in front of them, so that the last of them has the next rank.
        pushing = np.maximum.accumulate(np.where(ranks == NEW, numbers, -1))
        last = np.where(are_first, -1, last[np.roll(pushing, 1)])
    return ranks, recent


@dataclass(frozen=True, slots=True)
class RecentValues:
    """The different values that rows before had in a column, of several keys.

    Parameters
    ----------
    codes : ndarray of shape (keys, most), int64
        Places of the categories, the most recent one first; -1 where there are fewer.
    """

    codes: Ints

    @classmethod
    def of_none(cls, keys: int, most: int = MOST_RECENT) -> RecentValues:
        """Of keys without rows, so many at most."""
        return cls(np.full((keys, most), -1))

    @property
    def varieties(self) -> Ints:
        """How many different values each key has."""
        varieties: Ints = np.count_nonzero(self.codes >= 0, axis=1)
        return varieties

    def at(self, keys: Ints | slice) -> RecentValues:
        """Those of some of the keys."""
        return RecentValues(self.codes[keys])

    def recalled(self, ranks: Ints) -> Ints:
        """The value with a rank from 1 on of each key, -1 where there is none."""
        values: Ints = np.take_along_axis(self.codes, ranks[:, None] - 1, axis=1)[:, 0]
        return values

    def lack(self, ranks: Ints, codes: Ints) -> Bools:
        """Whether each key has no value of a rank, or has one already that is to be new."""
        are_old = (self.codes == codes[:, None]).any(axis=1)
        lack: Bools = (codes < 0) | ((ranks == NEW) & are_old)
        return lack

    def followed_by(self, codes: Ints) -> RecentValues:
        """The same after a row of each key."""
        moved = np.concatenate([codes[:, None], self.codes[:, :-1]], axis=1)
        before = np.cumsum(self.codes == codes[:, None], axis=1) > 0
        kept = np.concatenate([np.zeros((len(codes), 1), np.bool_), before[:, :-1]], axis=1)
        return RecentValues(np.where(kept, self.codes, moved))


def recencies_of(rows: KeyRows, columns: Mapping[str, FittedColumn], names: Sequence[str]) -> tuple[Recency, ...]:
    """Columns whose values are likelier by how recent they are than by a value of the row before, by how much.

    Each half of the keys is judged by the counts of the other one.

    Parameters
    ----------
    rows : KeyRows
        Rows of whole keys.
    columns : mapping of str to FittedColumn
        The fitted columns.
    names : sequence of str
        Columns that differ among the rows of a key.
    """
    after, gains = np.flatnonzero(~rows.are_first), dict[Recency, float]()
    if np.count_nonzero(rows.counts > 1) < LEAST_KEYS:
        return ()
    for name in names:
        column = columns[name]
        if isinstance(column, CategoricalColumn) and len(column.categories) > MOST_CATEGORIES:
            codes = codes_in(column, rows.column(name)) + 1
            # Another column may have its values, too: a trip begins where the one before it has ended.
            alike = [other for other in names if other != name and columns[other].decoded_type == column.decoded_type]
            former = [codes, *(codes_in(column, rows.column(other)) + 1 for other in alike)]
            ranked = ranks_of(codes, rows.are_first)
            gains[Recency(name)] = sum(_gain(rows, after, former, ranked, half) for half in (0, 1))
    gaining = (recency for recency, gain in gains.items() if gain >= LEAST_GAIN * len(after))
    return tuple(sorted(gaining, key=lambda recency: -gains[recency]))


def _gain(rows: KeyRows, after: Ints, former: Sequence[Ints], ranked: tuple[Ints, list[Ints]], half: int) -> float:
    """By how much ranks make the later rows of one half of the keys likelier, in nats.

    Than the values before make them, or than nothing does, if that is likelier.
    """
    codes, (ranks, recent) = former[0], ranked
    judged, size = rows.keys % 2 == half, int(codes.max(initial=0)) + 1
    known, tested = after[~judged[after]], after[judged[after]]
    shares = (np.bincount(codes[~judged], minlength=size) + WEIGHT / size) / (np.count_nonzero(~judged) + WEIGHT)
    by_value = (
        _likelihood((before[known - 1], codes[known]), (before[tested - 1], codes[tested]), shares, WEIGHT)
        for before in former
    )
    without = max(float(np.sum(np.log(likelihood))) for likelihood in (*by_value, shares[codes[tested]]))
    values, even = _varieties(recent), np.full(MOST_RECENT + 1, 1 / (MOST_RECENT + 1))
    by_rank = _likelihood((values[known], ranks[known]), (values[tested], ranks[tested]), even, WEIGHT_OF_RANKS)
    of_recent = np.sum([np.where(last >= 0, shares[codes[last]], 0.0) for last in recent], axis=0)[tested]
    of_new = shares[codes[tested]] / np.maximum(1 - of_recent, shares.min())
    return float(np.sum(np.log(np.where(ranks[tested] == NEW, by_rank * of_new, by_rank)))) - without


def _varieties(recent: Sequence[Ints]) -> Ints:
    """How many different values there are before each row."""
    varieties: Ints = np.sum([last >= 0 for last in recent], axis=0)
    return varieties


def _likelihood(known: tuple[Ints, Ints], tested: tuple[Ints, Ints], shares: Floats, weight: float) -> Floats:
    """Share of known rows with the first code of each tested row, that have its second one as well.

    Shares of all rows count as some rows more.
    """
    size = len(shares)
    pairs, counts = np.unique(known[0] * size + known[1], return_counts=True)
    asked = tested[0] * size + tested[1]
    places = np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)
    both = np.where(pairs[places] == asked, counts[places], 0)
    alone = np.bincount(known[0], minlength=int(tested[0].max(initial=0)) + 1)[tested[0]]
    return (both + weight * shares[tested[1]]) / (alone + weight)
