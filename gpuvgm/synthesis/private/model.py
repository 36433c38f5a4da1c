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
from itertools import combinations
from math import sqrt

import numpy as np

from gpuvgm.summary.grid import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.network import JointCounts, Network, NodeTables, Structure
from gpuvgm.synthesis.private.account import Promise, Release
from gpuvgm.synthesis.private.declared import Counted, Domain
from gpuvgm.synthesis.private.mechanism import FAN, Released, level_sizes
from gpuvgm.synthesis.structure import Node

SHARE_OF_COLUMNS = (1, 4)  # of the promise, that counts of columns cost; pairs cost the rest
BINS, LEAST_BINS = 64, 4  # of a column
TAILS = (0.001, 0.002, 0.005, 0.01, 0.02)  # shares of the rows beyond further borders of bins, at both ends
TOLERANCE = 0.25  # of the rows, about, that noise may put into the bins of a pair
MEAN_NOISE = 0.8  # of a standard deviation, is the mean size of a normal variable
SURE = 3  # standard deviations, above which a count is taken for more than noise
DUST = 1e-9  # rows of a cell without any
KEPT = 5e-4  # of what is expected without a pair's counts, at least
ROUNDS = {"nearest": 15, "pair": 25, "triple": 12}
Pair = tuple[int, int]


def releases_of(domain: Domain, promise: Promise) -> tuple[Release, ...]:
    """Noise with which counts of columns, and of pairs, keep a promise together."""
    columns = [*domain.counted.values()]
    tables, pairs = sum(len(level_sizes(column)) for column in columns), len(columns) * (len(columns) - 1) // 2
    rho, rows = promise.rho, promise.rows_per_person
    if not pairs:
        return (Release.within("columns", tables, rho, rows),)
    part, parts = SHARE_OF_COLUMNS
    of_columns = Release.within("columns", tables, rho * part / parts, rows)
    return of_columns, Release.within("pairs", pairs, rho - of_columns.rho, rows)


@dataclass(frozen=True)  # no slots: counts are cached
class NoisyColumns:
    """Counts of columns, made of noisy ones.

    Parameters
    ----------
    domain : Domain
        The columns.
    counts : tuple of ndarray
        Noisy counts, as `Released.columns`.
    releases : tuple of Release
        Their noise, and that of pairs.
    """

    domain: Domain
    counts: tuple[Ints, ...]
    releases: tuple[Release, ...]

    @property
    def columns(self) -> list[Counted]:
        """The columns that rows are counted by."""
        return [*self.domain.counted.values()]

    @cached_property
    def levels(self) -> list[list[Floats]]:
        """Noisy counts of each column, the coarsest level first."""
        counts = iter(self.counts)
        return [[next(counts).astype(np.float64) for _ in level_sizes(column)][::-1] for column in self.columns]

    @cached_property
    def rows(self) -> float:
        """Number of rows, by the coarsest counts of all columns."""
        sums = [float(levels[0].sum()) for levels in self.levels]
        weights = [1 / len(levels[0]) for levels in self.levels]
        return max(1.0, sum(own * weight for own, weight in zip(sums, weights, strict=True)) / sum(weights))

    @cached_property
    def masses(self) -> list[Floats]:
        """Rows of each column's cells."""
        return [_top_down(levels, self.rows) for levels in self.levels]

    @property
    def most_bins(self) -> int:
        """Bins of a column, as many as the noise of pairs allows."""
        if len(self.releases) < 2:
            return BINS
        bins = sqrt(TOLERANCE * self.rows / (MEAN_NOISE * sqrt(self.releases[1].variance)))
        return int(min(max(bins, LEAST_BINS), BINS))

    @cached_property
    def bins(self) -> dict[str, Codes]:
        """Bin of each cell, by column."""
        return {column.name: self._bins(column, mass) for column, mass in zip(self.columns, self.masses, strict=True)}

    def _bins(self, column: Counted, mass: Floats) -> Codes:
        if column.is_ordered:
            noise = sqrt(self.releases[-1].variance)
            tails = [share for share in TAILS if share * self.rows > 20 * noise + 8]
            bins = _grouped(mass[: column.ordinary], self.most_bins, tails)
            others = np.arange(column.cells - column.ordinary)
            return np.append(bins, bins[-1] + 1 + others).astype(np.uint16)
        order = np.argsort(-mass, kind="stable")
        sure = int(np.sum(mass > SURE * sqrt(self.releases[0].variance)))
        bins = np.empty(len(mass), np.uint16)
        bins[order] = np.minimum(np.arange(len(mass)), min(self.most_bins, max(1, sure)))
        return bins


@dataclass(frozen=True)
class GivenNetwork(Network):
    """A network whose tables are given, not counted.

    Parameters
    ----------
    given : tuple of NodeTables
        Probabilities of each node.
    """

    given: tuple[NodeTables, ...] = ()

    @cached_property
    def tables(self) -> tuple[NodeTables, ...]:
        """Probabilities of each node."""
        return self.given


def network_of(domain: Domain, released: Released) -> GivenNetwork:
    """The network of what was released."""
    columns = NoisyColumns(domain, released.columns, released.releases)
    tree = _Pairs.of(columns, released.pairs)
    order, parents = tree.order()
    tables = tree.estimated(order, parents)
    seconds = tree.second_parents(order, parents, tables)
    names, bins = [*domain.counted], tree.bins(columns)
    nodes, given = [], []
    for child in order:
        own = parents.get(child)
        others = [] if own is None else [own, *([seconds[child]] if child in seconds else [])]
        nodes.append(Node(names[child], tuple(names[other] for other in others), (0.0,) * len(others)))
        table = _joint(child, others, tables, tree.shares)
        given.append(NodeTables(table, np.ones((len(table), table.shape[2]))))
    structure = Structure(tuple(bins[child] for child in order), tuple(nodes), tuple(range(len(order))), ())
    return GivenNetwork(structure, JointCounts(0, (), (), ()), given=tuple(given))


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Noisy counts of pairs beside those of their columns.

    Parameters
    ----------
    codes : list of ndarray
        Bin of each cell, by column.
    masses, shares : list of ndarray
        Rows of each cell, and of each bin.
    noisy : dict
        Noisy counts by pair, both ways.
    deviation : float
        Standard deviation of their noise.
    """

    codes: list[Codes]
    masses: list[Floats]
    shares: list[Floats]
    noisy: dict[Pair, Floats]
    deviation: float
    rows: float

    @classmethod
    def of(cls, columns: NoisyColumns, pairs: Sequence[Ints]) -> _Pairs:
        """Counts of columns by all that was released of them, weighted by its noise."""
        codes = [*columns.bins.values()]
        noisy = {}
        for (first, second), table in zip(combinations(range(len(codes)), 2), pairs, strict=True):
            noisy[first, second] = table.astype(np.float64)
            noisy[second, first] = noisy[first, second].T
        variance = columns.releases[-1].variance
        own = 1 / (2 * columns.releases[0].variance)
        masses, shares = [], []
        for place, (bins, cells) in enumerate(zip(codes, columns.masses, strict=True)):
            mass = cells + DUST
            start = np.bincount(bins, mass)
            weight, sums = own, start * own
            for (first, _), table in noisy.items():
                if first == place:
                    weight += 1 / (table.shape[1] * variance)
                    sums = sums + table.sum(axis=1) / (table.shape[1] * variance)
            share = _project(sums / weight, columns.rows)
            shares.append(share)
            masses.append(mass * (share / start)[bins])
        return cls(codes, masses, shares, noisy, sqrt(variance), columns.rows)

    def bins(self, columns: NoisyColumns) -> list[Bins]:
        """Bins of the columns, with cells as their pieces."""
        return [
            _bins_of(column, codes, mass, share)
            for column, codes, mass, share in zip(columns.columns, self.codes, self.masses, self.shares, strict=True)
        ]

    def distance(self, pair: Pair, expected: Floats) -> int:
        """How many rows more than by noise a table of a pair differs from what is expected."""
        table = self.noisy[pair]
        return int(np.abs(table - np.rint(expected)).sum()) - int(self.deviation * table.size)

    def independent(self, pair: Pair) -> Floats:
        """Rows of a pair if its columns were independent."""
        first, second = pair
        return self.shares[first][:, None] * self.shares[second] / self.rows

    def order(self) -> tuple[list[int], dict[int, int]]:
        """Columns in the order in which they are drawn, and the first parent of each but the first one."""
        places = range(len(self.shares))
        distances = {pair: self.distance(pair, self.independent(pair)) for pair in combinations(places, 2)}
        part, edges = {place: {place} for place in places}, list[Pair]()
        for first, second in sorted(distances, key=lambda pair: -distances[pair]):
            if part[first] is not part[second]:
                edges.append((first, second))
                joined = part[first] | part[second]
                part.update(dict.fromkeys(joined, joined))
        near = {place: [sum(edge) - place for edge in edges if place in edge] for place in places}
        order, parents = [max(places, key=lambda place: len(near[place]))], dict[int, int]()
        for parent in order:
            for child in near[parent]:
                if child not in order:
                    order.append(child)
                    parents[child] = parent
        return order, parents

    def table(self, pair: Pair, expected: Floats) -> Floats:
        """Rows of a pair: not negative, with the sums of its columns."""
        first, second = (self.shares[place] for place in pair)
        nearest = np.maximum(_nearest(self.noisy[pair], first, second), KEPT * expected)
        return _fitted(nearest, [((0,), first), ((1,), second)], ROUNDS["pair"])

    def estimated(self, order: Sequence[int], parents: Mapping[int, int]) -> dict[Pair, Floats]:
        """Rows of the pairs of each column and its first parent, both ways."""
        tables: dict[Pair, Floats] = {}
        for child in order[1:]:
            pair = parents[child], child
            tables[pair] = self.table(pair, self.independent(pair))
            tables[pair[::-1]] = tables[pair].T
        return tables

    def second_parents(
        self, order: Sequence[int], parents: Mapping[int, int], tables: dict[Pair, Floats]
    ) -> dict[int, int]:
        """The second parent of each column that has one, whose pairs are added to the tables."""
        adjacent, seconds = {frozenset(edge) for edge in parents.items()}, dict[int, int]()
        for at, child in enumerate(order[2:], 2):
            parent, best, chosen = parents[child], 0, None
            for other in order[:at]:
                if other != parent and frozenset((other, parent)) in adjacent:
                    expected = (tables[other, parent][:, :, None] * _conditional(tables[parent, child])).sum(axis=1)
                    distance = self.distance((other, child), expected)
                    if distance > best:
                        best, chosen = distance, (other, expected)
            if chosen is not None:
                other, expected = chosen
                seconds[child] = other
                adjacent.add(frozenset((child, other)))
                tables[other, child] = self.table((other, child), expected)
                tables[child, other] = tables[other, child].T
        return seconds


def _bins_of(column: Counted, codes: Codes, mass: Floats, share: Floats) -> Bins:
    """Bins of a column, whose pieces are its cells."""
    by_bin = np.argsort(codes, kind="stable")
    low, high = column.pieces
    first = np.append(np.searchsorted(codes[by_bin], np.arange(len(share))), len(codes))
    weights = mass[by_bin] + DUST
    weights /= np.add.reduceat(weights, first[:-1])[codes[by_bin]]
    own = np.arange(len(share))
    rows = np.rint(share).astype(np.int64)
    return Bins(column.name, np.empty(0), own, rows, first, weights, low[by_bin], high[by_bin], has_missing=False)


def _joint(child: int, others: Sequence[int], tables: Mapping[Pair, Floats], shares: Sequence[Floats]) -> Floats:
    """Rows by bins of a column's parents and its own, shape (bins of the first, of the second, own)."""
    if not others:
        return shares[child][None, None]
    first = tables[others[0], child]
    if len(others) < 2:
        return first[:, None]
    parents, second = tables[others[0], others[1]], tables[others[1], child]
    start = parents[:, :, None] * _conditional(first)[:, None]
    return _fitted(start, [((1, 2), second), ((0, 2), first), ((0, 1), parents)], ROUNDS["triple"])


def _conditional(table: Floats) -> Floats:
    """Probabilities of the columns of a table given its rows."""
    return table / np.maximum(table.sum(axis=1, keepdims=True), DUST)


def _project(values: Floats, total: float) -> Floats:
    """The nearest values that are not negative, of a given sum."""
    return _project_rows(values[None], np.array([total]))[0]


def _project_rows(values: Floats, totals: Floats) -> Floats:
    """The same for every row of a table: a constant is taken from all, what is left below 0 is 0."""
    ordered = -np.sort(-values, axis=1)
    constants = (np.cumsum(ordered, axis=1) - totals[:, None]) / np.arange(1, values.shape[1] + 1)
    last = np.maximum((ordered > constants).sum(axis=1) - 1, 0)
    projected: Floats = np.maximum(values - constants[np.arange(len(values)), last][:, None], 0.0)
    return projected


def _nearest(values: Floats, rows: Floats, columns: Floats) -> Floats:
    """About the nearest table that is not negative, with given sums of rows and columns."""
    table, of_rows, of_columns = values, np.zeros_like(values), np.zeros_like(values)
    for _ in range(ROUNDS["nearest"]):
        halfway = _project_rows(table + of_rows, rows)
        of_rows = table + of_rows - halfway
        table = _project_rows((halfway + of_columns).T, columns).T
        of_columns = halfway + of_columns - table
    return table


def _fitted(table: Floats, margins: Sequence[tuple[tuple[int, ...], Floats]], rounds: int) -> Floats:
    """A table scaled to sums over all axes but some, in turn."""
    for _ in range(rounds):
        for axes, wanted in margins:
            others = tuple(axis for axis in range(table.ndim) if axis not in axes)
            factors = wanted / np.maximum(table.sum(axis=others), 1e-300)
            table = table * np.expand_dims(factors, others)
    return table


def _top_down(levels: Sequence[Floats], total: float) -> Floats:
    """Counts of the finest level, in which the cells of each run share its count."""
    counts = _project(levels[0], total)
    for level in levels[1:]:
        lacking = -len(level) % FAN  # cells of the last run that there are not
        padded = np.pad(level, (0, lacking), constant_values=-1e300).reshape(-1, FAN)
        counts = _project_rows(padded, counts).ravel()[: len(level)]
    return counts


def _grouped(mass: Floats, most: int, tails: Sequence[float]) -> Ints:
    """Groups of neighbours with about equal shares, narrower in the tails."""
    own = mass + DUST
    middles = (np.cumsum(own) - own / 2) / own.sum()
    borders = np.unique(np.concatenate((np.arange(1, most) / most, tails, 1 - np.array(tails))))
    return np.unique(np.searchsorted(borders, middles, side="right"), return_inverse=True)[1]
