"""A network from noisy counts: post-processing, which sees no rows and costs no privacy.

Noisy counts are made counts again: each column's cells share those of the level above, and each table of a pair is the
nearest one without negative counts and with the sums of its columns (Dykstra's alternating projections), fitted to
these exactly (iterative proportional fitting, Deming & Stephan 1940). Columns depend on each other as in a tree that
keeps the pairs whose counts differ most from those of independent columns (Chow & Liu 1968, with the L1 distance of
McKenna et al. 2021), and a second parent is adjacent to the first (Zhang et al. 2017); the three columns' counts are
those without interaction of all three that keep the counts of the three pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations
from math import sqrt

import numpy as np

from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.counts import JointCounts, Network, Node, NodeTables, Structure
from gpuvgm.synthesis.private.account import Promise, Release
from gpuvgm.synthesis.private.declared import FAN, Counted, DeclaredNumbers, Domain
from gpuvgm.synthesis.private.mechanism import Released

PARTS = 4  # of the promise: counts of columns cost one, and pairs the rest
BINS, LEAST_BINS = 64, 4  # of a column of numbers
FREQUENT = 2  # times as many bins a column of categories may have, as most categories have few rows
TAILS = (0.001, 0.002, 0.005, 0.01, 0.02)  # shares of the rows beyond further borders of bins, at both ends
TOLERANCE = 0.25  # of the rows, about: noise may put as many into the bins of a pair
MEAN_NOISE = 0.8  # standard deviations, the mean size of a normal variable
SURE = 3  # standard deviations: a larger count is taken for more than noise
DUST = 1e-9  # rows of a cell without any, so that shares can be taken
KEPT = 5e-4  # of the rows that are expected in a cell without the counts of the pair: it keeps so many at least
ROUNDS = {"nearest": 15, "pair": 25, "triple": 12}
Pair = tuple[int, int]
Tables = dict[Pair, Floats]


def releases_of(domain: Domain, promise: Promise) -> tuple[Release, ...]:
    """Noise with which counts of columns, and of pairs, keep a promise together."""
    columns = [*domain.counted.values()]
    tables, pairs = sum(len(column.level_sizes) for column in columns), len(columns) * (len(columns) - 1) // 2
    rho, rows = promise.rho, promise.rows
    first = Release.within("columns", tables, rho / PARTS if pairs else rho, rows)
    return (first, Release.within("pairs", pairs, rho - first.rho, rows)) if pairs else (first,)


@dataclass(frozen=True, slots=True)
class ColumnCounts:
    """Counts of columns, made of noisy ones.

    Parameters
    ----------
    rows : float
        About how many rows there are.
    masses : list of ndarray
        Rows of each column's cells.
    bins : dict of str to ndarray
        Bin of each cell, by column.
    """

    rows: float
    masses: list[Floats]
    bins: dict[str, Codes]

    @classmethod
    def of(cls, domain: Domain, counts: Sequence[Ints], releases: Sequence[Release]) -> ColumnCounts:
        """Counts and bins of what was released of columns; see `Released.columns`."""
        remaining, columns = iter(counts), domain.counted
        levels_of = [
            [next(remaining).astype(np.float64) for _ in column.level_sizes][::-1] for column in columns.values()
        ]
        coarsest = [levels[0] for levels in levels_of]
        weights = np.array([1 / len(level) for level in coarsest])  # a sum of more counts has more noise
        rows = max(1.0, float(np.sum(weights * [level.sum() for level in coarsest]) / np.sum(weights)))
        masses = [_top_down(levels, rows) for levels in levels_of]
        noise, of_pairs = (sqrt(spent.variance) for spent in (releases[0], releases[-1]))
        most = int(np.clip(sqrt(TOLERANCE * rows / (MEAN_NOISE * of_pairs)), LEAST_BINS, BINS))
        tails = [share for share in TAILS if share * rows > 20 * of_pairs + 8]
        bins = {
            name: _intervals(column, mass, most, tails)
            if isinstance(column, DeclaredNumbers)
            else _frequent(mass, FREQUENT * most, SURE * noise)
            for (name, column), mass in zip(columns.items(), masses, strict=True)
        }
        return cls(rows, masses, bins)


def _intervals(column: DeclaredNumbers, mass: Floats, most: int, tails: Sequence[float]) -> Codes:
    """Bins of neighbouring cells with about equal shares, narrower in the tails; special values have their own."""
    ordinary = mass[: column.ordinary] + DUST
    middles = (np.cumsum(ordinary) - ordinary / 2) / ordinary.sum()
    borders = np.unique(np.concatenate((np.arange(1, most) / most, tails, 1 - np.array(tails))))
    bins = np.unique(np.searchsorted(borders, middles, side="right"), return_inverse=True)[1]
    return np.append(bins, bins[-1] + 1 + np.arange(len(column.modal_values))).astype(np.uint16)


def _frequent(mass: Floats, most: int, noise: float) -> Codes:
    """Bins of the most frequent categories, and one for all others."""
    bins = np.empty(len(mass), np.uint16)
    last = min(most, max(1, int(np.sum(mass > noise))))
    bins[np.argsort(-mass, kind="stable")] = np.minimum(np.arange(len(mass)), last)
    return bins


@dataclass(frozen=True, repr=False)
class GivenNetwork(Network):
    """A network whose tables come from noisy counts, and not from counts of its structure.

    Parameters
    ----------
    node_tables : tuple of NodeTables
        Probabilities of each node.
    """

    node_tables: tuple[NodeTables, ...] = ()

    def _texts(self) -> list[tuple[str, str]]:
        """Each column, and its parents."""
        return [(node.name, ", ".join(node.parents)) for node in self.nodes]

    @cached_property
    def tables(self) -> tuple[NodeTables, ...]:
        """Probabilities of each node."""
        return self.node_tables


def network_of(domain: Domain, counts: ColumnCounts, released: Released) -> GivenNetwork:
    """The network of what was released, and of the counts that are made of it."""
    columns = [*domain.counted.values()]
    pairs = _Pairs.of(counts, released)
    parents_of, tables = pairs.joined()
    nodes, node_tables = [], []
    for child, parents in parents_of.items():
        names = tuple(columns[parent].name for parent in parents)
        nodes.append(Node(columns[child].name, names, (0.0,) * len(parents)))
        table = _joint(child, parents, tables, pairs.shares)
        node_tables.append(NodeTables(table, np.ones((len(table), table.shape[2]))))
    bins = [*map(_bins_of, columns, counts.bins.values(), counts.masses, pairs.shares)]
    structure = Structure(tuple(bins[child] for child in parents_of), tuple(nodes), tuple(range(len(nodes))), ())
    return GivenNetwork(structure, JointCounts(0, (), (), ()), node_tables=tuple(node_tables))


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Noisy counts of pairs beside those of their columns.

    Parameters
    ----------
    shares : list of ndarray
        Rows of each column's bins.
    noisy : dict
        Noisy counts by pair, both ways.
    deviation : float
        Standard deviation of their noise.
    """

    shares: list[Floats]
    noisy: Tables
    deviation: float

    @classmethod
    def of(cls, columns: ColumnCounts, released: Released) -> _Pairs:
        """Counts of columns by all that was released of them, weighted by its noise."""
        noisy: Tables = {}
        for (first, second), table in zip(combinations(range(len(columns.bins)), 2), released.pairs, strict=True):
            noisy[first, second], noisy[second, first] = table.astype(np.float64), table.T.astype(np.float64)
        weight_of_column, variance = 1 / (2 * released.releases[0].variance), released.releases[-1].variance
        shares = []
        for place, (bins, mass) in enumerate(zip(columns.bins.values(), columns.masses, strict=True)):
            of_pairs = [table for (first, _), table in noisy.items() if first == place]
            weights = [weight_of_column, *(1 / (table.shape[1] * variance) for table in of_pairs)]
            sums = [np.bincount(bins, mass), *(table.sum(axis=1) for table in of_pairs)]
            mean = np.sum(np.array(weights)[:, None] * sums, axis=0) / np.sum(weights)
            shares.append(_project_rows(mean[None], np.array([columns.rows]))[0])
        return cls(shares, noisy, sqrt(variance))

    def independent(self, pair: Pair) -> Floats:
        """Rows of a pair if its columns were independent."""
        first, second = (self.shares[place] for place in pair)
        return np.asarray(first[:, None] * second / first.sum())

    def distance(self, pair: Pair, expected: Floats) -> int:
        """How many rows more than by noise a table of a pair differs from what is expected."""
        return int(np.abs(self.noisy[pair] - np.rint(expected)).sum()) - int(self.deviation * expected.size)

    def joined(self) -> tuple[dict[int, list[int]], Tables]:
        """Parents of each column, in the order in which they are drawn, and the rows of the pairs that this takes.

        First comes the column whose pairs differ most from independence, then always the one that differs most from
        independence of a column before it, which is its first parent (Prim 1957).
        """
        places, tables = range(len(self.shares)), Tables()
        distances = {pair: self.distance(pair, self.independent(pair)) for pair in permutations(places, 2)}
        first = max(places, key=lambda place: sum(distances[pair] for pair in distances if pair[0] == place))
        parents: dict[int, list[int]] = {first: []}
        while len(parents) < len(places):
            pairs = ((parent, child) for parent in parents for child in places if child not in parents)
            parent, child = pair = max(pairs, key=lambda pair: distances[pair])
            self._add(tables, pair, self.independent(pair))
            child_given_parent = _conditional(tables[pair])
            expected = {
                (second, child): np.asarray((tables[second, parent][:, :, None] * child_given_parent).sum(axis=1))
                for second in parents
                if (second, parent) in tables
            }
            gains = {pair: self.distance(pair, table) for pair, table in expected.items()}
            best = max(gains, key=lambda pair: gains[pair], default=None)
            parents[child] = [parent]
            if best is not None and gains[best] > 0:
                parents[child].append(best[0])
                self._add(tables, best, expected[best])
        return parents, tables

    def _add(self, tables: Tables, pair: Pair, expected: Floats) -> None:
        """Add the rows of a pair: not negative, with the sums of its columns; counts as small as noise count as 0."""
        first, second = (self.shares[place] for place in pair)
        nearest = _nearest(self.noisy[pair], first, second) * (self.noisy[pair] > self.deviation)
        tables[pair] = _fitted(np.maximum(nearest, KEPT * expected), [((0,), first), ((1,), second)], ROUNDS["pair"])
        tables[pair[::-1]] = tables[pair].T


def _bins_of(column: Counted, codes: Codes, mass: Floats, share: Floats) -> Bins:
    """Bins of a column, whose pieces are its cells."""
    by_bin = np.argsort(codes, kind="stable")
    low, high = (ends[by_bin] for ends in column.ends)
    first = np.append(np.searchsorted(codes[by_bin], np.arange(len(share))), len(codes))
    weights = mass[by_bin] + DUST
    weights /= np.add.reduceat(weights, first[:-1])[codes[by_bin]]
    missing = isinstance(column, DeclaredNumbers) and column.has_missing
    special = len(column.modal_values) if isinstance(column, DeclaredNumbers) else 0
    order = np.roll(np.arange(len(share)), special)  # special values come first there
    rows = np.rint(share).astype(np.int64)
    return Bins(column.name, np.empty(0), order, rows, first, weights, low, high, has_missing=missing)


def _joint(child: int, parents: Sequence[int], tables: Mapping[Pair, Floats], shares: Sequence[Floats]) -> Floats:
    """Rows by bins of a column's parents and of itself, shape (bins of the first, of the second, bins)."""
    if not parents:
        return shares[child][None, None]
    by_first = tables[parents[0], child]
    if len(parents) < 2:
        return by_first[:, None]
    of_parents, by_second = tables[parents[0], parents[1]], tables[parents[1], child]
    start = of_parents[:, :, None] * _conditional(by_first)[:, None]
    return _fitted(start, [((1, 2), by_second), ((0, 2), by_first), ((0, 1), of_parents)], ROUNDS["triple"])


def _conditional(table: Floats) -> Floats:
    """Probabilities of the columns of a table given its rows."""
    return np.asarray(table / np.maximum(table.sum(axis=1, keepdims=True), DUST))


def _project_rows(values: Floats, totals: Floats) -> Floats:
    """The nearest rows without negative values that have these totals.

    A constant is taken from all values of a row, and what is left below 0 is 0 (Duchi et al. 2008).
    """
    ordered = -np.sort(-values, axis=1)
    constants = (np.cumsum(ordered, axis=1) - totals[:, None]) / np.arange(1, values.shape[1] + 1)
    last = np.maximum((ordered > constants).sum(axis=1) - 1, 0)
    projected: Floats = np.maximum(values - constants[np.arange(len(values)), last][:, None], 0.0)
    return projected


def _nearest(values: Floats, rows: Floats, columns: Floats) -> Floats:
    """About the nearest table without negative values that has these sums of rows and columns."""
    table, of_rows, of_columns = values, np.zeros_like(values), np.zeros_like(values)
    for _ in range(ROUNDS["nearest"]):
        halfway = _project_rows(table + of_rows, rows)
        of_rows = table + of_rows - halfway
        table = _project_rows((halfway + of_columns).T, columns).T
        of_columns = halfway + of_columns - table
    return table


def _fitted(table: Floats, margins: Sequence[tuple[tuple[int, ...], Floats]], rounds: int) -> Floats:
    """A table that is scaled to each margin in turn: its sums over all axes but those of the margin."""
    for _ in range(rounds):
        for axes, wanted in margins:
            summed = tuple(axis for axis in range(table.ndim) if axis not in axes)
            factors = wanted / np.maximum(table.sum(axis=summed), 1e-300)
            table = table * np.expand_dims(factors, summed)
    return table


def _top_down(levels: Sequence[Floats], total: float) -> Floats:
    """Counts of the finest level, in which the cells of each run share its count."""
    counts = _project_rows(levels[0][None], np.array([total]))[0]
    for level in levels[1:]:
        lacking = -len(level) % FAN  # cells of the last run that there are not
        padded = np.pad(level, (0, lacking), constant_values=-1e300).reshape(-1, FAN)
        counts = np.asarray(_project_rows(padded, counts).ravel()[: len(level)])
    return np.asarray(counts)
