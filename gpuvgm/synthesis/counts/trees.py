"""Every column given all columns before it: an order, and trees of counts for each.

A column's bins are cut in two at the median of their rows, down to single bins. Each cut has a binary tree over the
bins of former columns, as `Engine.grow_trees` grows it from a sample of rows; all rows are then counted in it. Where
a node has had few rows, the node above counts, too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of
from gpuvgm.engines import AskedColumn, Engine, GrowthRules, Trees
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import RARE, TWIN, Codes, Part
from gpuvgm.synthesis.counts.structure import Dependence, ready_columns

CANDIDATES = 16  # former columns that a column's trees may ask
BY_CHOICE = ("missing", RARE)  # parts that not all later columns may ask for
ORDER_GROUPS = 16  # of a column's bins, by which columns are ordered
MORE, TOLD = 1.1, 0.05 * 2**20  # times that a computed column tells more than its sources, and nats a row, as counted


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
        return cls(GrowthRules(penalty=6.0), (4.0,)) if safer else cls(GrowthRules(), (0.0625, 0.25, 1.0, 4.0))


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
        parts = zip(self.trees.walked, other.trees.walked, strict=True)
        return self.asked == other.asked and all(np.array_equal(one, another) for one, another in parts)

    @cached_property
    def _above(self) -> Ints:
        """The node above each one; -1 above roots."""
        feature, _, left, _ = self.trees.nodes.T
        above, inner = np.full(len(feature), -1), np.flatnonzero(feature >= 0)
        above[left[inner]] = above[left[inner] + 1] = inner
        return above

    @cached_property
    def _levels(self) -> list[Ints]:
        """Nodes by depth, the roots first; below them all left ones, then those on their right."""
        levels, nodes = [], self.trees.root.astype(np.int64)
        while len(nodes):
            levels.append(nodes)
            feature, _, left, _ = self.trees.nodes[nodes].T
            children = left[feature >= 0].astype(np.int64)
            nodes = np.concatenate((children, children + 1))
        return levels

    def shares(self, counts: Ints, weights: Sequence[float]) -> Floats:
        """Probability of the right half at each node, by the rows at it and below.

        The share of the node above counts as some rows, and 1/2 at a root, so that none is 0 or 1: as many of `weights`
        as make the rows likeliest, each judged by all others.

        Parameters
        ----------
        counts : ndarray of shape (2, nodes), int64
            Rows of both halves, each at the node that answers for it.
        weights : sequence of float
            Rows that the share of the node above may count for.
        """
        sums, above = counts.copy(), self._above
        for nodes in self._levels[:0:-1]:
            left, right = np.split(nodes, 2)
            sums[:, above[left]] += sums[:, left] + sums[:, right]
        weight = max(weights, key=lambda weight: self._likelihood(counts, sums, weight))
        return self._backed_off(sums[1], sums[0] + sums[1], weight)

    def _likelihood(self, counts: Ints, sums: Ints, weight: float) -> float:
        """Log-likelihood of all rows, each left out of the counts for itself, in nats."""
        likelihood, rows = 0.0, np.maximum(sums[0] + sums[1] - 1, 0)
        for is_right in (False, True):
            shares = self._backed_off(np.maximum(sums[1] - is_right, 0), rows, weight)
            answers = np.flatnonzero(counts[int(is_right)])
            own = shares[answers] if is_right else 1 - shares[answers]
            likelihood += float(np.sum(counts[int(is_right), answers] * np.log(own)))
        return likelihood

    def _backed_off(self, right: Ints, rows: Ints, weight: float) -> Floats:
        """Shares of the right half, that of the node above as so many rows."""
        shares = np.full(len(rows), 0.5)
        for depth, nodes in enumerate(self._levels):
            of_above = shares[self._above[nodes]] if depth else shares[nodes]
            shares[nodes] = (right[nodes] + weight * of_above) / (rows[nodes] + weight)
        return shares


def codes_with_twins(codes: Codes, same: Codes, size: int) -> Codes:
    """Bins of a column as its own trees have them: rows with the number of a twin in one of their own, the last."""
    xp = namespace_of(codes)
    own: Codes = xp.where(same > 0, xp.uint16(size), codes)
    return own


def grow_all(
    columns_and_parts: Mapping[str | Part, AskedColumn],
    dependence: Dependence,
    engine: Engine,
    threads: int,
    rules: GrowthRules,
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
    """
    parts = [part for part in columns_and_parts if isinstance(part, Part)]
    names = [column for column in columns_and_parts if not isinstance(column, Part)]
    allowed = dependence.mask(names)
    asked_of, count = [*columns_and_parts.values()], len(names)
    owners = [*range(count), *(-1 if part.name in BY_CHOICE else names.index(part.column) for part in parts)]
    keys = {part.column: at for at, part in enumerate(parts, count) if part.name == "missing"}
    rare, twins = (
        {names.index(part.column): at for at, part in enumerate(parts, count) if part.name == name}
        for name in (RARE, TWIN)
    )
    told = _told(asked_of, owners, engine)
    by_laws = dependence.computed - {*dependence.of_twins}
    computed = {names.index(name): [*map(names.index, dependence.sources(name))] for name in by_laws}
    least = TOLD * max(map(len, (own.codes for own in asked_of)), default=0)
    first = [names.index(name) for name in dependence.first]
    order = _order_of(told, _with_followers(told, allowed, computed, first, least), first)
    rank = {place: at for at, place in enumerate(order)}

    def grow(place: int) -> NodeTrees:
        former = [other for other in order[: rank[place]] if allowed[place, other]]
        nearest = sorted(former, key=lambda other: (-told[place, other], other))[:CANDIDATES]
        deciders = {*map(names.index, dependence.deciders.get(names[place], ()))}.intersection(former, rare)
        more = {keys.get(dependence.keys.get(names[place], ""), -1), *(rare[other] for other in deciders)}
        asked = (*sorted(nearest), *(at for at in range(count, len(owners)) if owners[at] in former or at in more))
        rows = dependence.rows_of(names[place])
        own, size = asked_of[place].codes[rows], asked_of[place].size
        if place in twins:
            own, size = codes_with_twins(own, asked_of[twins[place]].codes[rows], size), size + 1
        others = [replace(asked_of[at], codes=asked_of[at].codes[rows]) for at in asked]
        ranges = halved_ranges(np.bincount(own, minlength=size))
        return NodeTrees(asked, engine.grow_trees(own, ranges, others, rules))

    with ThreadPoolExecutor(threads) as pool:
        return tuple(order), tuple(pool.map(grow, range(len(names))))


def order_of(columns: Mapping[str, AskedColumn], dependence: Dependence, engine: Engine) -> list[str]:
    """Order of columns without parts, as `grow_all` has it."""
    names = [*columns]
    told = _told([*columns.values()], range(len(names)), engine)
    first = [names.index(name) for name in dependence.first]
    return [names[place] for place in _order_of(told, dependence.mask(names), first)]


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
        both = sums[low] + sums[high]
        middle = min(bisect_left(sums, both / 2, low + 1, high), high - 1)
        if middle > low + 1 and both - 2 * sums[middle - 1] <= abs(2 * sums[middle] - both):
            middle -= 1
        middle = bisect_left(sums, sums[middle], low + 1, middle)  # the first of codes without rows
        if above >= 0:
            ranges[above][3 + half] = len(ranges)
        remaining += [(middle, high, len(ranges), 1), (low, middle, len(ranges), 0)]
        ranges.append([low, middle, high, -1, -1])
    return np.array(ranges, np.int32).reshape(-1, 5)


def _told(columns: Sequence[AskedColumn], owners: Sequence[int], engine: Engine) -> Ints:
    """What each two columns tell of each other: they or their parts, of which `owners` are the columns; -1 for none."""
    own = [column.grouped(ORDER_GROUPS) for column, owner in zip(columns, owners, strict=True) if owner >= 0]
    count, information = max(owners, default=-1) + 1, np.maximum(engine.information(own), 0)
    told = information[:count, :count].copy()
    for of_part, owner in zip(information[count:, :count], (one for one in owners[count:] if one >= 0), strict=True):
        told[owner] = told[:, owner] = np.maximum(told[owner], of_part)
    np.fill_diagonal(told, 0)
    return told


def _with_followers(
    told: Ints, allowed: NDArray[np.bool_], computed: Mapping[int, Sequence[int]], first: Sequence[int], least: float
) -> NDArray[np.bool_]:
    """Which columns may depend on which, so that a computed one comes before those that it tells most of.

    They are drawn given what is computed: given its sources alone they would be drawn less well, and these given them.

    Parameters
    ----------
    told : ndarray of shape (columns, columns)
        As `_told` gives it.
    allowed : ndarray of shape (columns, columns), bool
        Whether the column of each row may depend on that of each place.
    computed : mapping of int to sequence of int
        Columns that laws compute, each with those that it is made of.
    first : sequence of int
        Columns that follow none.
    least : float
        What a column that follows is told at least.
    """
    allowed = allowed.copy()
    for target, sources in computed.items():
        of_target = told[target].astype(np.float64)
        followers = (of_target > MORE * told[sources].max(axis=0)) & (of_target > least) & allowed[:, target]
        followers[[target, *sources, *first]] = False
        for place in np.flatnonzero(followers & ~_before(allowed, target)).tolist():
            allowed[target, place] = False
    return allowed


def _before(allowed: NDArray[np.bool_], place: int) -> NDArray[np.bool_]:
    """Columns that come before another one in any order."""
    first = allowed & ~allowed.T
    before, remaining = np.zeros(len(allowed), np.bool_), [place]
    while remaining:
        more = first[remaining.pop()] & ~before
        before |= more
        remaining += np.flatnonzero(more).tolist()
    return before


def _order_of(told: Ints, allowed: NDArray[np.bool_], first: Sequence[int]) -> list[int]:
    """Order of the columns, by what each two of them tell of each other.

    Without others the column that tells most of all others comes first; then always the one that any before it tells
    most of, of those that may come next.
    """
    order: list[int] = []
    follows, nearest, told_by_order = allowed & ~allowed.T, told.sum(axis=1), np.zeros(len(told), np.int64)
    while len(order) < len(told):
        ready = ready_columns(follows, order)
        preferred = [place for place in first if place in ready][:1] or ready
        order.append(max(preferred, key=lambda place: (nearest[place], -place)))
        nearest = told_by_order = np.maximum(told_by_order, told[order[-1]])
    return order
