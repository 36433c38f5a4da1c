"""An order of the columns, and trees of counts for each column given those before it.

A column's bins are cut in two at the median of their rows, down to single bins. Each cut has a binary tree over the
bins of former columns, as `Engine.grow_trees` grows it from a sample of rows; all rows are then counted in it. A tree
may take over splits of the tree of the cut above. Where a node has had few rows, the node above counts, too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of
from gpuvgm.engines import AskedColumn, Engine, GrowthRules, Trees
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import LEAST_KEYS, RARE, TWIN, Codes, Part
from gpuvgm.synthesis.counts.structure import Dependence, ready_columns

CANDIDATES = 16  # former columns that a column's trees may ask
BY_CHOICE = ("missing", RARE)  # parts that not all later columns may ask for
ORDER_GROUPS = 16  # of a column's bins, between which information is computed
MORE_THAN_SOURCES = 1.1  # times the information of its sources and a follower, for a computed column to come first
LEAST_INFORMATION = 0.05 * 2**20  # of a computed column and a follower, for each row; engines count in 2^-20 nats


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """How trees are grown, and how far they rely on few rows.

    Parameters
    ----------
    rules : GrowthRules
        What splits may be.
    weights : tuple of float
        Rows that the share of the node above may count for.
    """

    rules: GrowthRules
    weights: tuple[float, ...]

    @classmethod
    def of(cls, *, safer: bool) -> TreeSettings:
        """The default ones, or those of smaller trees that rely on more rows."""
        if safer:
            return cls(GrowthRules(penalty=6.0, inherited_penalty=6.0), (4.0,))
        return cls(GrowthRules(), (0.0625, 0.25, 1.0, 4.0))


@dataclass(frozen=True)  # no slots: levels are cached
class NodeTrees:
    """Trees of a column, and the columns that they ask.

    Parameters
    ----------
    asked : tuple of int
        Places of these columns among the nodes.
    trees : Trees
        The trees.
    """

    asked: tuple[int, ...]
    trees: Trees

    def equals(self, other: NodeTrees) -> bool:
        """Return whether counts in both can be added."""
        arrays = zip(self.trees.walked, other.trees.walked, strict=True)
        return self.asked == other.asked and all(np.array_equal(*pair) for pair in arrays)

    @cached_property
    def _above(self) -> Ints:
        return self.trees.above

    @cached_property
    def _levels(self) -> list[Ints]:
        return self.trees.levels

    def shares(self, counts: Ints, weights: Sequence[float]) -> Floats:
        """Probability of the right half at each node, by the rows at it and below.

        The share of the node above, 1/2 at a root, counts as some rows, so that no share is 0 or 1. As how many it
        counts is the one of `weights` that makes the rows likeliest, each judged by all others.

        Parameters
        ----------
        counts : ndarray of shape (2, nodes), int64
            Rows of both halves, each at the node that answers for it.
        weights : sequence of float
            Rows that the share of the node above may count for.
        """
        sums = self._sums(counts)
        weight = max(weights, key=lambda weight: self._likelihood(counts, sums, weight))
        return self._backed_off(sums[1], sums[0] + sums[1], weight)

    def likelihood(self, counts: Ints, weights: Sequence[float]) -> float:
        """Log-likelihood of all rows, each left out of the counts for itself, in nats; as for `shares`."""
        sums = self._sums(counts)
        return max(self._likelihood(counts, sums, weight) for weight in weights)

    def _sums(self, counts: Ints) -> Ints:
        """Rows of both halves at each node and below."""
        sums, above = counts.copy(), self._above
        for nodes in self._levels[:0:-1]:
            left, right = np.split(nodes, 2)
            sums[:, above[left]] += sums[:, left] + sums[:, right]
        return sums

    def _likelihood(self, counts: Ints, sums: Ints, weight: float) -> float:
        """Log-likelihood of all rows, each left out of the counts for itself, in nats."""
        likelihood, rows = 0.0, np.maximum(sums[0] + sums[1] - 1, 0)
        for is_right in (False, True):
            shares = self._backed_off(np.maximum(sums[1] - is_right, 0), rows, weight)
            answers = np.flatnonzero(counts[int(is_right)])
            probabilities = shares[answers] if is_right else 1 - shares[answers]
            likelihood += float(np.sum(counts[int(is_right), answers] * np.log(probabilities)))
        return likelihood

    def _backed_off(self, right: Ints, rows: Ints, weight: float) -> Floats:
        """Shares of the right half, in which that of the node above counts as `weight` rows."""
        shares = np.full(len(rows), 0.5)
        for depth, nodes in enumerate(self._levels):
            of_above = shares[self._above[nodes]] if depth else shares[nodes]
            shares[nodes] = (right[nodes] + weight * of_above) / (rows[nodes] + weight)
        return shares


def codes_with_twins(codes: Codes, is_twins: Codes, size: int) -> Codes:
    """Bins of a column as the trees that draw it have them: a further one for rows with the number of its twin."""
    xp = namespace_of(codes)
    with_twins: Codes = xp.where(is_twins > 0, xp.uint16(size), codes)
    return with_twins


def grow_all(
    columns_and_parts: Mapping[str | Part, AskedColumn],
    dependence: Dependence,
    engine: Engine,
    threads: int,
    rules: GrowthRules,
    persons: Sequence[Ints] = (),
) -> tuple[tuple[int, ...], tuple[NodeTrees, ...]]:
    """Order of the columns, and the trees of each.

    Parameters
    ----------
    columns_and_parts : mapping of str or Part to AskedColumn
        The bins of a sample of rows, by column; behind them parts of columns that later columns may ask for, and
        whether rows lack keys, which what these determine may. Rows that have the number of a column's twin are in a
        bin of their own for its trees. Which numbers are rare is for what they decide.
    dependence : Dependence
        Which columns may depend on which, and rows that are evidence of it.
    engine : Engine
        Engine that grows.
    threads : int
        Columns whose trees are grown at once.
    rules : GrowthRules
        What splits may be.
    persons : sequence of ndarray of shape (rows,), int64
        Numbers of whose the rows are, by column of keys: each split leaves rows of `LEAST_KEYS` on either side.
    """
    sample = _Sample.of(columns_and_parts)
    information = _information(sample.columns, sample.owners, engine)
    of_missing = sample.information_of_missing(engine)
    allowed, first = dependence.mask(sample.names), sample.places(dependence.first)
    # By place: the order of names in a set differs from process to process.
    by_laws = sorted(map(sample.place, dependence.computed - {*dependence.of_twins}))
    computed = {place: sorted(sample.places(dependence.sources(sample.names[place]))) for place in by_laws}
    least = LEAST_INFORMATION * max((len(column.codes) for column in sample.columns), default=0)
    order = _order_of(information, _with_followers(information, allowed, computed, first, least), first)
    rank = {place: position for position, place in enumerate(order)}

    def grow(place: int) -> NodeTrees:
        former = [column for column in order[: rank[place]] if allowed[place, column]]
        nearest = sorted(former, key=lambda column: (-information[place, column], column))[:CANDIDATES]
        # Of many columns that tell of the numbers none may tell which rows have none.
        lacking = max(former, key=lambda column: of_missing[place, column], default=place)
        if lacking not in nearest and of_missing[place, lacking]:
            nearest[-1] = lacking
        asked = (*sorted(nearest), *sample.parts_to_ask(place, former, dependence))
        rows = dependence.rows_of(sample.names[place])
        codes, size = sample.codes_to_draw(place, rows)
        columns = [replace(sample.columns[at], codes=sample.columns[at].codes[rows]) for at in asked]
        ranges = halved_ranges(np.bincount(codes, minlength=size))
        trees = engine.grow_trees(codes, ranges, columns, rules)
        for numbers in persons:
            trees = trees.pruned(codes, columns, numbers[rows], LEAST_KEYS)
        return NodeTrees(asked, trees)

    with ThreadPoolExecutor(threads) as pool:
        return tuple(order), tuple(pool.map(grow, range(len(sample.names))))


@dataclass(frozen=True, slots=True)
class _Sample:
    """Columns and parts of a sample of rows by place, all columns first.

    Parameters
    ----------
    names : sequence of str
        The columns.
    columns : sequence of AskedColumn
        Codes of columns and parts.
    owners : sequence of int
        Place of the column that each is or belongs to; -1 of parts that not all later columns may ask for.
    keys : mapping of str to int
        By first column of keys, the place of what says that rows lack them.
    rare, twins : mapping of int to int
        By column, the places of its rare numbers, and of the rows that have its twin's number.
    """

    names: Sequence[str]
    columns: Sequence[AskedColumn]
    owners: Sequence[int]
    keys: Mapping[str, int]
    rare: Mapping[int, int]
    twins: Mapping[int, int]

    @classmethod
    def of(cls, columns_and_parts: Mapping[str | Part, AskedColumn]) -> _Sample:
        """The sample that `grow_all` is called with."""
        parts = [part for part in columns_and_parts if isinstance(part, Part)]
        names = [column for column in columns_and_parts if not isinstance(column, Part)]
        count = len(names)
        owners = [*range(count), *(-1 if part.name in BY_CHOICE else names.index(part.column) for part in parts)]
        keys = {part.column: at for at, part in enumerate(parts, count) if part.name == "missing"}
        rare, twins = (
            {names.index(part.column): at for at, part in enumerate(parts, count) if part.name == name}
            for name in (RARE, TWIN)
        )
        return cls(names, [*columns_and_parts.values()], owners, keys, rare, twins)

    def information_of_missing(self, engine: Engine) -> Ints:
        """Mutual information of which rows each two columns lack."""
        count = len(self.names)
        information = np.zeros((count, count), np.int64)
        places = [place for place, column in enumerate(self.columns[:count]) if column.missing >= 0]
        lacking = (self.columns[place].codes == self.columns[place].missing for place in places)
        known = [AskedColumn(rows.astype(np.uint16), 2, is_category=True) for rows in lacking]
        if len(known) > 1:
            information[np.ix_(places, places)] = np.maximum(engine.information(known), 0)
        np.fill_diagonal(information, 0)
        return information

    def place(self, name: str) -> int:
        """Place of a column."""
        return self.names.index(name)

    def places(self, names: Collection[str]) -> list[int]:
        """Places of columns."""
        return [self.place(name) for name in names]

    def parts_to_ask(self, place: int, former: Sequence[int], dependence: Dependence) -> list[int]:
        """Places of the parts that trees of a column may ask for, by the columns that come before it."""
        name = self.names[place]
        deciders = {*self.places(dependence.deciders.get(name, ()))}.intersection(former, self.rare)
        by_choice = {self.keys.get(dependence.keys.get(name, ""), -1), *(self.rare[column] for column in deciders)}
        parts = range(len(self.names), len(self.owners))
        return [part for part in parts if self.owners[part] in former or part in by_choice]

    def codes_to_draw(self, place: int, rows: Ints | slice) -> tuple[Codes, int]:
        """Codes of some rows as the trees that draw a column have them, and how many different ones there are."""
        column = self.columns[place]
        codes = column.codes[rows]
        if place not in self.twins:
            return codes, column.size
        return codes_with_twins(codes, self.columns[self.twins[place]].codes[rows], column.size), column.size + 1


def order_of(columns: Mapping[str, AskedColumn], dependence: Dependence, engine: Engine) -> list[str]:
    """Order of columns without parts, as `grow_all` has it."""
    names = [*columns]
    information = _information([*columns.values()], range(len(names)), engine)
    first = [names.index(name) for name in dependence.first if name in columns]
    return [names[place] for place in _order_of(information, dependence.mask(names), first)]


def halved_ranges(rows: Ints) -> NDArray[np.int32]:
    """Ranges of codes, each cut where its halves have most nearly the same rows; columns as in `Trees`.

    Parameters
    ----------
    rows : ndarray of shape (codes,), int64
        Rows of each code.
    """
    ranges: list[list[int]] = []
    sums = [0, *np.cumsum(rows).tolist()]
    remaining = [(0, len(rows), -1, 0)]
    while remaining:
        low, high, above, half = remaining.pop()
        if high - low < 2:
            continue
        twice_half = sums[low] + sums[high]
        middle = min(bisect_left(sums, twice_half / 2, low + 1, high), high - 1)
        if middle > low + 1 and twice_half - 2 * sums[middle - 1] <= abs(2 * sums[middle] - twice_half):
            middle -= 1
        middle = bisect_left(sums, sums[middle], low + 1, middle)  # the first of codes without rows
        if above >= 0:
            ranges[above][3 + half] = len(ranges)
        remaining += [(middle, high, len(ranges), 1), (low, middle, len(ranges), 0)]
        ranges.append([low, middle, high, -1, -1])
    return np.array(ranges, np.int32).reshape(-1, 5)


def _information(columns: Sequence[AskedColumn], owners: Sequence[int], engine: Engine) -> Ints:
    """Mutual information of each two columns: that of the column or of a part of it, whichever is more.

    Parameters
    ----------
    columns : sequence of AskedColumn
        Columns, then their parts.
    owners : sequence of int
        Place of the column of each; parts with -1 are left out.
    engine : Engine
        Compute engine.
    """
    grouped = [column.grouped(ORDER_GROUPS) for column, owner in zip(columns, owners, strict=True) if owner >= 0]
    count, of_all = max(owners, default=-1) + 1, np.maximum(engine.information(grouped), 0)
    information = of_all[:count, :count].copy()
    owners_of_parts = [owner for owner in owners[count:] if owner >= 0]
    for of_part, owner in zip(of_all[count:, :count], owners_of_parts, strict=True):
        information[owner] = information[:, owner] = np.maximum(information[owner], of_part)
    np.fill_diagonal(information, 0)
    return information


def _with_followers(
    information: Ints,
    allowed: NDArray[np.bool_],
    computed: Mapping[int, Sequence[int]],
    first: Sequence[int],
    least: float,
) -> NDArray[np.bool_]:
    """Which columns may depend on which, so that a computed column comes before those that depend on it most.

    These followers are drawn given the computed column: given its sources alone they would be drawn less well.

    Parameters
    ----------
    information : ndarray of shape (columns, columns)
        As `_information` gives it.
    allowed : ndarray of shape (columns, columns), bool
        Whether the column of each row may depend on that of each place.
    computed : mapping of int to sequence of int
        Columns that laws compute, each with those that it is made of.
    first : sequence of int
        Columns that follow none.
    least : float
        Least information of a computed column and a follower.
    """
    allowed = allowed.copy()
    for target, sources in computed.items():
        of_target = information[target].astype(np.float64)
        followers = (
            (of_target > MORE_THAN_SOURCES * information[sources].max(axis=0))
            & (of_target > least)
            & allowed[:, target]
        )
        followers[[target, *sources, *first]] = False
        for place in np.flatnonzero(followers & ~_before(allowed, target)).tolist():
            allowed[target, place] = False  # only the follower may still depend on the other, and so comes later
    return allowed


def _before(allowed: NDArray[np.bool_], place: int) -> NDArray[np.bool_]:
    """Columns that come before the one at a place in any order."""
    first = allowed & ~allowed.T
    before, remaining = np.zeros(len(allowed), np.bool_), [place]
    while remaining:
        earlier = first[remaining.pop()] & ~before
        before |= earlier
        remaining += np.flatnonzero(earlier).tolist()
    return before


def _order_of(information: Ints, allowed: NDArray[np.bool_], first: Sequence[int]) -> list[int]:
    """Order of the columns, by the mutual information of each two of them.

    Of the columns that may come next, those of `first` come first. Else the one with the most information of all others
    begins, and then always the one of which a column before it has the most.
    """
    order: list[int] = []
    follows, nearest, with_order = allowed & ~allowed.T, information.sum(axis=1), np.zeros(len(information), np.int64)
    while len(order) < len(information):
        ready = ready_columns(follows, order)
        preferred = [place for place in first if place in ready][:1] or ready
        order.append(max(preferred, key=lambda place: (nearest[place], -place)))
        nearest = with_order = np.maximum(with_order, information[order[-1]])
    return order
