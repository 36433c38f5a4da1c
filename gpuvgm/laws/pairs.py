"""Lookups by two columns, of which each combination goes with one value: origin and destination tell the distance."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations

import numpy as np

from gpuvgm.columns import CategoricalColumn
from gpuvgm.laws.codes import Columns, Mask, Rows, codes_of, read_columns
from gpuvgm.laws.law import Law
from gpuvgm.laws.lookup import MOST_KEYS, PROBED_KEYS, Keys, Lookup, sides
from gpuvgm.laws.owners import Owners
from gpuvgm.laws.sample import FEW_ROWS, LawSample
from gpuvgm.summary import Floats, Ints

PROBED_PAIRS = 2000  # rows that pairs of columns are tried on
MOST_DECIDERS = 32  # columns, of which each two are tried
MOST_DIFFERENT = 0.65  # of these rows, with different values of a column: so many have 2,000 that are equally frequent
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
        probe = _Probe(sample)
        probable = [*probe.pairs()]
        names = {name for operands, _ in probable for name in operands}
        keys = {name: Keys.of(sample.codes[name], cls.persons(sample)) for name in names}
        least, lookups = LEAST_EVIDENCE + np.log(max(probe.tried, 1)), list[PairLookup]()
        for (first, second), targets in probable:
            pair = _Pair(sample, (first, second), (keys[first], keys[second]))
            lookups += (pair.lookup(target) for target in targets if pair.decides(target, least))

        def rank(law: PairLookup) -> tuple[bool, int, int]:
            *are_operands, is_target = (isinstance(sample.columns[name], CategoricalColumn) for name in law.names)
            return is_target and not all(are_operands), -sample.order.index(law.target), len(law.values)

        return ([law] for law in sorted(lookups, key=rank) if law.keys)

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield lookups by two columns, in the order that the table has them in; commas may be part of their names."""
        places = {name: place for place, name in enumerate(names)}
        for left, right in sides(text):
            parts = left.split(",")
            for place in range(1, len(parts)):
                operands = (",".join(parts[:place]).strip(), ",".join(parts[place:]).strip())
                yield cls(tuple(sorted(operands, key=lambda name: places.get(name, -1))), right)

    @classmethod
    def persons(cls, sample: LawSample) -> Owners:
        """Persons by all keys: two values together tell who it is where each alone does not."""
        return sample.owners

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
        evidence: Floats = (rows - 1) * -np.log(np.max(shares, axis=0))
        return evidence

    def _share(self, values: Ints, first_rows: Ints, rows: Ints) -> Floats:
        """Share of the target's value of each combination among the rows with the same value of a column."""
        with_target = values * (self.target.max(initial=0) + 1) + self.target
        _, places, counts = np.unique(with_target, return_inverse=True, return_counts=True)
        agreeing, all_rows = counts[places][first_rows], np.bincount(values)[values[first_rows]]
        share: Floats = (agreeing - rows + 1) / (all_rows - rows + 1)
        return share


@dataclass(frozen=True)  # no slots: keys are cached
class _Pair:
    """Two columns that may decide others.

    Parameters
    ----------
    sample : LawSample
        The rows.
    operands : (str, str)
        The columns.
    keys_of_operands : (Keys, Keys)
        Keys of each of them.
    """

    sample: LawSample
    operands: tuple[str, str]
    keys_of_operands: tuple[Keys, Keys]

    @cached_property
    def keys(self) -> Keys:
        """Their combinations."""
        return reduce(Keys.beside, self.keys_of_operands)

    @cached_property
    def _may_be_listed(self) -> bool:
        """Whether combinations are not too many, and most rows have usual numbers in the columns that hold numbers."""
        columns = [self.sample.columns[name] for name in self.operands]
        of_columns = zip(columns, self.keys_of_operands, strict=True)
        of_numbers = [keys for column, keys in of_columns if not isinstance(column, CategoricalColumn)]
        return len(self.keys.distinct) <= MOST_KEYS and (not of_numbers or reduce(Keys.beside, of_numbers).are_usual)

    def decides(self, target: str, least: float) -> bool:
        """Whether the columns decide another one in all rows, of which few have so much evidence in nats."""
        codes = self.sample.codes[target]
        if not self._may_be_listed or not self.keys.decide(codes):
            return False
        rows = self.sample.shuffled[:FEW_ROWS]
        rows = rows[np.isfinite(codes[rows])]
        rows = rows[_first_of_persons(self.keys.at(rows))]
        first, second = (keys.of_rows[rows] for keys in self.keys_of_operands)
        evidence = Agreement(first, second, np.unique(codes[rows], return_inverse=True)[1]).evidence()
        return bool(np.sum(np.minimum(evidence, least / LEAST_COMBINATIONS)) >= least)

    def lookup(self, target: str) -> PairLookup:
        """The lookup of another column, with its table."""
        return PairLookup(self.operands, target)._with_table(self.keys, self.sample.codes[target])


def _first_of_persons(keys: Keys) -> Mask:
    """Rows of which no row before has the same key and is of the same person: that is no evidence of its own."""
    is_first = np.ones(len(keys.of_rows), np.bool_)
    for hashes in keys.persons.keys:
        numbers, of_rows = np.unique(hashes, return_inverse=True)
        first_rows = np.unique(keys.of_rows * len(numbers) + of_rows, return_index=True)[1]
        is_first &= np.isin(np.arange(len(hashes)), first_rows) | (hashes == 0)
    return is_first


@dataclass(frozen=True)  # no slots: codes are cached
class _Probe:
    """Few rows, on which all pairs of columns are tried.

    Parameters
    ----------
    sample : LawSample
        All rows.
    """

    sample: LawSample

    @cached_property
    def _codes(self) -> tuple[Ints, Ints]:
        """Keys of the rows, and their values as a target, -1 for missing numbers; of shape (rows, columns)."""
        rows, keys, values = self.sample.shuffled[:PROBED_PAIRS], list[Ints](), list[Ints]()
        for codes in self.sample.codes.values():
            keys.append(np.unique(codes[rows], return_inverse=True)[1].astype(np.int32))
            values.append(np.where(np.isfinite(codes[rows]), keys[-1], -1))
        return np.stack(keys, axis=1), np.stack(values, axis=1)

    @cached_property
    def _deciders(self) -> dict[int, Mask]:
        """Columns whose values come back, by place, and which columns each of them decides alone.

        Of more than may be tried, categories come first, and columns of many values.
        """
        keys, values = self._codes
        sizes = keys.max(axis=0, initial=0) + 1
        are_numbers = [not isinstance(column, CategoricalColumn) for column in self.sample.columns.values()]
        places = np.flatnonzero((sizes > 1) & (sizes <= MOST_DIFFERENT * len(keys))).tolist()
        chosen = sorted(places, key=lambda place: (are_numbers[place], -sizes[place]))[:MOST_DECIDERS]
        return {place: _agree(keys[:, place], values) for place in sorted(chosen)}

    def _undecided(self) -> Iterator[tuple[int, int, Mask]]:
        """Yield two columns, neither of which decides the other, and which columns neither of them decides."""
        for (first, by_first), (second, by_second) in combinations(self._deciders.items(), 2):
            if not by_first[second] and not by_second[first]:
                targets = ~(by_first | by_second)
                targets[[first, second]] = False
                yield first, second, targets

    @property
    def tried(self) -> int:
        """How many laws are tried."""
        return sum(int(np.count_nonzero(targets)) for *_, targets in self._undecided())

    def pairs(self) -> Iterator[tuple[tuple[str, str], list[str]]]:
        """Yield two columns, and those that they may decide together."""
        names, (keys, values) = [*self.sample.columns], self._codes
        for first, second, targets in self._undecided():
            combined = keys[:, first] * (keys[:, second].max() + 1) + keys[:, second]
            for rows in (PROBED_KEYS, PROBED_PAIRS):
                if targets.any():
                    targets[targets] = _agree(combined[:rows], values[:rows, targets])
            if targets.any() and np.count_nonzero(np.unique(combined, return_counts=True)[1] > 1) >= LEAST_COMBINATIONS:
                yield (names[first], names[second]), [names[place] for place in np.flatnonzero(targets)]


def _agree(keys: Ints, values: Ints) -> Mask:
    """Which columns, whose values have shape (rows, columns), have the same value in neighbouring rows of a key."""
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(np.diff(keys[order]) == 0)
    earlier, later = values[order[same]], values[order[same + 1]]
    agree: Mask = ~np.any((earlier != later) & (earlier >= 0) & (later >= 0), axis=0)
    return agree
