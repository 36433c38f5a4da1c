"""Lookups by two columns, of which each combination goes with one value: origin and destination tell the distance."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations

import numpy as np

from gpuvgm.columns import CategoricalColumn
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Rows
from gpuvgm.synthesis.laws.codes import Columns, Mask, codes_of, read_columns
from gpuvgm.synthesis.laws.law import Law
from gpuvgm.synthesis.laws.lookup import MOST_KEYS, PROBED_KEYS, Keys, Lookup, sides
from gpuvgm.synthesis.laws.sample import FEW_ROWS, LawSample

PROBED_PAIRS = 2000  # rows that pairs of columns are tried on
MOST_DECIDERS = 32  # columns, of which each two are tried
MOST_DIFFERENT = (
    0.65  # of the probed rows that have values of their own: 2,000 values, equally frequent, are in so many
)
LEAST_EVIDENCE = 20.0  # nats, beyond the logarithm of how many laws are tried
LEAST_COMBINATIONS = 8  # that come back: of all evidence that is needed a combination counts as this part at most


class PairLookup(Lookup):
    """The target is looked up in a table by the values of two operands; rare combinations are not in the table."""

    sign = ",->"
    examples = ("a, b -> c",)
    turn = 3  # what arithmetic computes of numbers with few values is no table
    arity = range(2, 3)

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[PairLookup]]:
        """Yield lookups, those of the target that is drawn last first: by the operands with the fewest combinations.

        Numbers decide categories only where these do not decide them, because new numbers may be drawn.
        """
        search = _PairSearch(sample)
        lookups = [law for operands, target in search.probable() if (law := cls._evident(operands, target, search))]

        def rank(law: PairLookup) -> tuple[bool, int, int]:
            *are_operands, is_target = (isinstance(sample.columns[name], CategoricalColumn) for name in law.names)
            return is_target and not all(are_operands), -sample.order.index(law.target), len(law.values)

        return ([law] for law in sorted(lookups, key=rank))

    @classmethod
    def _evident(cls, operands: tuple[str, str], target: str, search: _PairSearch) -> PairLookup | None:
        """The lookup of a target by two columns, if all rows keep it and are evidence of it."""
        codes, keys = search.sample.codes[target], search.keys(operands)
        may_be = len(keys.distinct) <= MOST_KEYS and search.has_usual_numbers(operands)
        if not may_be or not keys.decide(codes) or not search.is_evident(operands, target):
            return None
        law = cls(operands, target)._with_table(keys, codes)
        return law if law.keys else None

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield lookups by two columns, in the order that the table has them in; commas may be part of their names."""
        places = {name: place for place, name in enumerate(names)}
        for left, right in sides(text):
            parts = left.split(",")
            for place in range(1, len(parts)):
                operands = (",".join(parts[:place]).strip(), ",".join(parts[place:]).strip())
                yield cls(tuple(sorted(operands, key=lambda name: places.get(name, -1))), right)

    @property
    def text(self) -> str:
        """The law as users write it."""
        return f"{', '.join(self.operands)} -> {self.target}"

    @property
    def is_learnt(self) -> bool:
        """Trees ask two columns one after the other, and have hardly all their combinations."""
        return False

    def _between(self, columns: Columns, rows: Rows) -> Floats:
        """No numbers: combinations have no neighbours."""
        codes, _ = read_columns(codes_of, columns, self.operands, rows)
        return np.full(len(codes), np.nan)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rows that have the same values of two columns, and the same one of a target.

    Parameters
    ----------
    first, second : ndarray of shape (rows,)
        Values of the two columns, as numbers from 0 on.
    target : ndarray of shape (rows,)
        Values of the target, which the rows of a combination share.
    """

    first: Ints
    second: Ints
    target: Ints

    def evidence(self) -> Floats:
        """Of each combination, how much less likely its rows agree where one column alone, or none, decides; in nats.

        The target of a row that repeats a combination is its first row's with the share that this value has among rows
        with the same value of one column, whichever column tells more, or among all rows. The further rows of the
        combination are left out of them: they would confirm themselves.
        """
        combined = self.first * (self.second.max(initial=0) + 1) + self.second
        _, first_rows, rows = np.unique(combined, return_index=True, return_counts=True)
        everything = np.zeros_like(self.target)
        shares = [self._share(values, first_rows, rows) for values in (self.first, self.second, everything)]
        return (rows - 1) * -np.log(np.max(shares, axis=0))

    def _share(self, values: Ints, first_rows: Ints, rows: Ints) -> Floats:
        """Share of the target's value of each combination among the rows with the same value of a column."""
        with_target = values * (self.target.max(initial=0) + 1) + self.target
        _, places, counts = np.unique(with_target, return_inverse=True, return_counts=True)
        agreeing, all_rows = counts[places][first_rows], np.bincount(values)[values[first_rows]]
        share: Floats = (agreeing - rows + 1) / (all_rows - rows + 1)
        return share


@dataclass(frozen=True)  # no slots: probes are cached
class _PairSearch:
    """Looks for pairs of columns that decide others.

    Parameters
    ----------
    sample : LawSample
        The rows.
    """

    sample: LawSample

    @cached_property
    def names(self) -> list[str]:
        """All columns."""
        return [*self.sample.columns]

    @cached_property
    def _probe(self) -> tuple[Ints, Ints]:
        """Keys of few rows, and their values as a target, -1 for missing numbers; of shape (rows, columns)."""
        rows, keys, values = self.sample.shuffled[:PROBED_PAIRS], list[Ints](), list[Ints]()
        for codes in self.sample.codes.values():
            keys.append(np.unique(codes[rows], return_inverse=True)[1].astype(np.int32))
            values.append(np.where(np.isfinite(codes[rows]), keys[-1], -1))
        return np.stack(keys, axis=1), np.stack(values, axis=1)

    @cached_property
    def deciders(self) -> list[int]:
        """Places of columns whose values come back, which may decide others: categories first, those of most values."""
        sizes = self._probe[0].max(axis=0, initial=0) + 1
        most = MOST_DIFFERENT * len(self._probe[0])
        are_numbers = [not isinstance(column, CategoricalColumn) for column in self.sample.columns.values()]
        places = np.flatnonzero((sizes > 1) & (sizes <= most)).tolist()
        return sorted(sorted(places, key=lambda place: (are_numbers[place], -sizes[place]))[:MOST_DECIDERS])

    @cached_property
    def _alone(self) -> dict[int, Mask]:
        """By decider, which columns it decides alone in few rows."""
        keys, values = self._probe
        return {place: _agreeing(keys[:, place], values) for place in self.deciders}

    def _undecided(self) -> Iterator[tuple[int, int, Mask]]:
        """Yield pairs of columns, none of which decides the other, and which columns neither of them decides."""
        for first, second in combinations(self.deciders, 2):
            decided = self._alone[first] | self._alone[second]
            if not self._alone[first][second] and not self._alone[second][first]:
                decided[[first, second]] = True
                yield first, second, ~decided

    @cached_property
    def tried(self) -> int:
        """How many laws are tried."""
        return sum(int(np.count_nonzero(targets)) for *_, targets in self._undecided())

    def probable(self) -> Iterator[tuple[tuple[str, str], str]]:
        """Yield pairs of columns, and targets that they decide in few rows."""
        keys, values = self._probe
        for first, second, targets in self._undecided():
            combined = keys[:, first] * (keys[:, second].max() + 1) + keys[:, second]
            for rows in (PROBED_KEYS, PROBED_PAIRS):
                if targets.any():
                    targets[targets] = _agreeing(combined[:rows], values[:rows, targets])
            if targets.any() and np.count_nonzero(np.bincount(combined) > 1) >= LEAST_COMBINATIONS:
                operands = self.names[first], self.names[second]
                yield from ((operands, self.names[place]) for place in np.flatnonzero(targets))

    def keys(self, operands: tuple[str, str]) -> Keys:
        """Combinations of two columns in all rows."""
        first, second = (self._keys(name) for name in operands)
        return first.beside(second)

    def has_usual_numbers(self, operands: tuple[str, str]) -> bool:
        """Whether most rows have usual values, or combinations of them, of the operands that hold numbers."""
        columns = self.sample.columns
        of_numbers = [self._keys(name) for name in operands if not isinstance(columns[name], CategoricalColumn)]
        return not of_numbers or reduce(Keys.beside, of_numbers).are_usual

    @cached_property
    def _keys_by_name(self) -> dict[str, Keys]:
        return {}

    def _keys(self, name: str) -> Keys:
        if name not in self._keys_by_name:
            self._keys_by_name[name] = Keys.of(self.sample.codes[name], self.sample.persons)
        return self._keys_by_name[name]

    def is_evident(self, operands: tuple[str, str], target: str) -> bool:
        """Whether few rows agree far more than they would if one of the columns alone decided the target."""
        rows = self.sample.shuffled[:FEW_ROWS]
        codes = self.sample.codes[target][rows]
        rows, present = rows[np.isfinite(codes)], codes[np.isfinite(codes)]
        first, second = (self._keys(name).of_rows[rows] for name in operands)
        evidence = Agreement(first, second, np.unique(present, return_inverse=True)[1]).evidence()
        least = LEAST_EVIDENCE + np.log(self.tried)
        return bool(np.sum(np.minimum(evidence, least / LEAST_COMBINATIONS)) >= least)


def _agreeing(keys: Ints, values: Ints) -> Mask:
    """Which columns, whose values have shape (rows, columns), have the same value in neighbouring rows of a key."""
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(np.diff(keys[order]) == 0)
    earlier, later = values[order[same]], values[order[same + 1]]
    agreeing: Mask = ~np.any((earlier != later) & (earlier >= 0) & (later >= 0), axis=0)
    return agreeing
