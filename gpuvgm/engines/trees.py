"""Binary trees of counts, by NumPy: what `Engine.grow_trees` and its neighbours give on every engine.

A column's codes are cut in two, and each half again, down to single codes. For each cut a tree says which half a row
lies in, given the codes of other columns. Gains of splits are whole numbers, so that all machines grow the same trees:

    gain = L(left) + L(right) - L(node) - penalty,   L(a, b) = F(a) + F(b) - F(a + b),   F(n) = n ln n in 2^-20 nats,

for a rows of the left half of the codes and b of the right half.

A cut inherits the splits of the cut above it: what parts the codes of a range often parts those of its halves, too. A
node may take over the split of the node that its rows would be at in the tree above, for a lower penalty than that of
a split of its own, which is the best of very many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import distinct_values
from gpuvgm.summary import Floats, Ints

NAT = 1 << 20  # whole numbers that make a nat
_LEAF = (-1, 0, -1, -1)
LEFT, RIGHT, HERE = 0, 1, 2  # sides of a category; HERE: no row of the node had it, and the node answers
Codes = NDArray[np.uint16]
Sides = NDArray[np.uint8]
Places = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class AskedColumn:
    """A column that trees ask for a row's code.

    Parameters
    ----------
    codes : ndarray of shape (rows,), uint16
        Code of each row.
    size : int
        Number of codes.
    is_category : bool
        Whether the order of the codes means nothing.
    missing : int
        The code of missing values; -1 for none.
    """

    codes: Codes
    size: int
    is_category: bool
    missing: int = -1

    def grouped(self, most: int) -> AskedColumn:
        """The column with neighbouring codes put together: at most so many groups, with about equally many rows.

        Missing values are a group for themselves, since columns that lack rows often lack the same.
        """
        rows = np.bincount(self.codes, minlength=self.size)
        middle = (2 * np.cumsum(rows) - rows) * most // max(2 * len(self.codes), 1)
        if self.missing >= 0:
            middle[self.missing] = most
        groups = np.unique(middle, return_inverse=True)[1].astype(np.uint16)
        return AskedColumn(groups[self.codes], int(groups.max(initial=0)) + 1, self.is_category)


@dataclass(frozen=True, slots=True)
class GrowthRules:
    """What splits may be.

    Parameters
    ----------
    penalty : float
        Nats that a split must gain beyond.
    category_penalty : float
        Further nats for each category of a node but for two, as there are so many ways to part them.
    least_rows : int
        Rows on each side of a split, at least.
    most_cuts : int
        Cuts of a column of numbers that a node tries, about.
    inherited_penalty : float
        Nats that a split of the cut above must gain beyond.
    """

    penalty: float = 3.0
    category_penalty: float = 0.5
    least_rows: int = 5
    most_cuts: int = 64
    inherited_penalty: float = 0.5

    @property
    def numbers(self) -> tuple[int, int, int, int, int]:
        """The rules in whole numbers: penalties first."""
        penalties = (self.penalty, self.category_penalty, self.inherited_penalty)
        penalty, of_categories, inherited = (round(nats * NAT) for nats in penalties)
        return penalty, of_categories, inherited, self.least_rows, self.most_cuts


RULES = GrowthRules()


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Trees of a column, one for each cut of its codes, breadth first.

    Parameters
    ----------
    ranges : ndarray of shape (cuts, 5), int32
        Low, middle and high code of each cut, and the cuts of its halves; -1 for a single code.
    root : ndarray of shape (cuts,), int32
        First node of each tree.
    nodes : ndarray of shape (nodes, 4), int32
        The asked column, or -1; the last code that goes left; the left child, which the right one follows; where the
        sides of a category begin, or -1.
    sides : ndarray of shape (entries,), uint8
        LEFT, RIGHT or HERE of each category of the nodes that ask for one.
    """

    ranges: Places
    root: Places
    nodes: Places
    sides: Sides

    @property
    def walked(self) -> tuple[NDArray[Any], ...]:
        """The arrays, for loops."""
        return self.ranges, self.root, self.nodes, self.sides

    def check(self, size: int, asked: Sequence[int]) -> None:
        """Raise ValueError where loops would leave the trees, or never end.

        Parameters
        ----------
        size : int
            Codes of the column.
        asked : sequence of int
            Codes of each column that is asked.
        """
        low, middle, high, *halves = self.ranges.T.astype(np.int64)
        feature, _, left, start = self.nodes.T.astype(np.int64)
        cuts, places, inner = np.arange(len(self.ranges)), np.arange(len(self.nodes)), feature >= 0
        fits = len(self.root) == len(cuts) and (len(cuts) == 0) == (size < 2)
        fits = fits and bool(np.all((low >= 0) & (low < middle) & (middle < high) & (high <= size)))
        fits = fits and all(bool(np.all((half == -1) | ((half > cuts) & (half < len(cuts))))) for half in halves)
        fits = fits and bool(np.all((self.root >= 0) & (self.root < len(places))))
        fits = fits and bool(np.all((feature >= -1) & (feature < len(asked)) & (start >= -1)))
        fits = fits and bool(np.all((left[inner] > places[inner]) & (left[inner] + 1 < len(places))))
        if fits and inner.any():
            ends = np.where(start[inner] >= 0, start[inner] + np.array(asked)[feature[inner]], 0)
            fits = bool(np.all(ends <= len(self.sides)))
        if not fits:
            raise ValueError("trees lead out of themselves")

    def pruned(self, target: Codes, asked: Sequence[AskedColumn], groups: Ints, least: int) -> Trees:
        """Trees without those splits of which a side has rows of too few groups, and without all that is below these.

        Parameters
        ----------
        target : ndarray of shape (rows,), uint16
            The code of each row that the trees were grown from.
        asked : sequence of AskedColumn
            Columns that the trees ask.
        groups : ndarray of shape (rows,), int64
            To which group each row belongs, such as all rows of one person: small numbers from 0 on.
        least : int
            Groups on each side of a split, at least.
        """
        above, levels = self.above, self.levels
        counts = self._groups_of_nodes(target, [column.codes for column in asked], groups, above, levels)
        feature, threshold, left, start = self.nodes.T.astype(np.int64)
        splits = feature >= 0
        splits[splits] = np.minimum(counts[left[splits]], counts[left[splits] + 1]) >= least
        is_kept = np.ones(len(feature), np.bool_)
        for nodes in levels[1:]:
            is_kept[nodes] = is_kept[above[nodes]] & splits[above[nodes]]
        places = np.cumsum(is_kept) - 1
        sizes = np.array([column.size for column in asked], np.int64)
        with_sides = np.flatnonzero(is_kept & splits & (start >= 0))
        widths = sizes[feature[with_sides]]
        sides = [self.sides[begin : begin + width] for begin, width in zip(start[with_sides], widths, strict=True)]
        new_start = np.full(len(feature), -1)
        new_start[with_sides] = np.cumsum(widths) - widths
        nodes = np.where(splits[:, None], np.stack((feature, threshold, places[left], new_start), axis=1), _LEAF)
        return Trees(
            self.ranges,
            places[self.root].astype(np.int32),
            nodes[is_kept].astype(np.int32),
            np.concatenate([self.sides[:0], *sides]),
        )

    @property
    def above(self) -> Ints:
        """The node above each one; -1 above roots."""
        feature, _, left, _ = self.nodes.T
        above, inner = np.full(len(feature), -1), np.flatnonzero(feature >= 0)
        above[left[inner]] = above[left[inner] + 1] = inner
        return above

    @property
    def levels(self) -> list[Ints]:
        """Nodes by depth, the roots first; below them all left ones, then those on their right."""
        levels, nodes = list[Ints](), self.root.astype(np.int64)
        while len(nodes):
            levels.append(nodes)
            feature, _, left, _ = self.nodes[nodes].T
            children = left[feature >= 0].astype(np.int64)
            nodes = np.concatenate((children, children + 1))
        return levels

    def _groups_of_nodes(
        self, target: Codes, codes: Sequence[Codes], groups: Ints, above: Ints, levels: Sequence[Ints]
    ) -> Ints:
        """How many groups have rows at each node or below it."""
        size, counts, met = int(groups.max(initial=0)) + 1, np.zeros(len(self.nodes), np.int64), [np.zeros(0, np.int64)]

        def choose(rows: Ints, cut: Ints, nodes: Ints) -> NDArray[np.bool_]:
            met.append(distinct_values(nodes * size + groups[rows])[0])
            is_right: NDArray[np.bool_] = target[rows] >= self.ranges[cut, 1]
            return is_right

        walk(self, codes, len(target), choose)
        answered, depth = np.concatenate(met), np.zeros(len(self.nodes), np.int64)
        for of_level, nodes in enumerate(levels):
            depth[nodes] = of_level
        depths, from_below = depth[answered // size], answered[:0]
        for of_level in reversed(range(len(levels))):
            here = distinct_values(np.concatenate((answered[depths == of_level], from_below)))[0]
            counts += np.bincount(here // size, minlength=len(counts))
            from_below = above[here // size] * size + here % size
        return counts


@lru_cache(maxsize=4)
def entropies(rows: int) -> Ints:
    """F(n) for n from 0 to `rows`."""
    n = np.arange(rows + 1, dtype=np.float64)
    entropy: Ints = np.rint(n * np.log(np.maximum(n, 1.0)) * NAT).astype(np.int64)
    return entropy


def joint_entropies(columns: Sequence[AskedColumn]) -> Ints:
    """Sums of F of each two columns; see `Engine.joint_entropies`."""
    sums = np.zeros((len(columns), len(columns)), np.int64)
    for i, first in enumerate(columns):
        entropy = entropies(len(first.codes))
        for j, second in enumerate(columns[: i + 1]):
            counts = np.bincount(first.codes.astype(np.int64) * second.size + second.codes)
            sums[i, j] = sums[j, i] = np.sum(entropy[counts])
    return sums


def grow_trees(target: Codes, ranges: Places, asked: Sequence[AskedColumn], rules: GrowthRules) -> Trees:
    """Trees of a column; see `Engine.grow_trees`."""
    grown = _Grown(asked, rules, entropies(len(target)))
    root_above = np.full(len(ranges), -1)
    for cut, (low, middle, high, *halves) in enumerate(ranges.tolist()):
        root_above[[half for half in halves if half >= 0]] = len(grown.nodes)
        rows = np.flatnonzero((target >= low) & (target < high))
        grown.add(rows, target[rows] >= middle, int(root_above[cut]))
    nodes = np.array(grown.nodes, np.int32).reshape(-1, 4)
    return Trees(ranges, np.array(grown.roots, np.int32), nodes, np.concatenate([*grown.sides.values()]))


@dataclass(frozen=True, slots=True)
class _Grown:
    """Trees that grow, one after the other.

    Parameters
    ----------
    asked : sequence of AskedColumn
        Columns that they ask.
    rules : GrowthRules
        What splits may be.
    entropy : ndarray of shape (rows + 1,), int64
        F.
    roots : list of int
        First node of each tree.
    nodes : list of list of int
        As those of `Trees`.
    sides : dict of int to ndarray
        Parts of those of `Trees`, by where they begin.
    """

    asked: Sequence[AskedColumn]
    rules: GrowthRules
    entropy: Ints
    roots: list[int] = field(default_factory=list)
    nodes: list[list[int]] = field(default_factory=list)
    sides: dict[int, Sides] = field(default_factory=lambda: {0: np.empty(0, np.uint8)})

    def add(self, rows: Ints, is_right: NDArray[np.bool_], above: int) -> None:
        """Add the tree of a cut.

        Parameters
        ----------
        rows : ndarray of shape (rows,), int64
            Rows of the cut.
        is_right : ndarray of shape (rows,), bool
            Which of them have codes of the right half.
        above : int
            Root of the tree of the cut above, or -1.
        """
        self.roots.append(len(self.nodes))
        self.nodes.append([*_LEAF])
        queue = [(len(self.nodes) - 1, rows, is_right, above)]
        for place, node_rows, right, passed in queue:
            inherited, above = self._inherited(node_rows, right, passed)
            split = _best_split(node_rows, right, self.asked, self.rules, self.entropy)
            first, node_above = len(self.nodes), (above, above)
            if inherited > 0 and (split is None or inherited >= split[0]):
                feature, threshold, left, sides_at = self.nodes[above]
                node_above = (left, left + 1)
            elif split is not None:
                _, feature, threshold, side = split
                sides_at = -1
                if self.asked[feature].is_category:
                    last_at = next(reversed(self.sides))
                    sides_at = last_at + len(self.sides[last_at])
                    self.sides[sides_at] = side
            else:
                continue
            self.nodes[place] = [feature, threshold, first, sides_at]
            self.nodes.extend(([*_LEAF], [*_LEAF]))
            goes_right = self._goes_right(place, node_rows)
            queue += [
                (first + int(of_right), node_rows[goes_right == of_right], right[goes_right == of_right], node)
                for of_right, node in zip((False, True), node_above, strict=True)
            ]

    def _inherited(self, rows: Ints, is_right: NDArray[np.bool_], above: int) -> tuple[int, int]:
        """What the split gains that rows meet first in the tree above, and its node; nothing where it is no split.

        Parameters
        ----------
        rows, is_right
            As for `add`, those of a node.
        above : int
            Node of the tree above at or below which all of these rows are, or -1.
        """
        count, ones = len(rows), int(np.count_nonzero(is_right))
        while count and above >= 0 and self.nodes[above][0] >= 0:
            goes_right = self._goes_right(above, rows)
            below = int(np.count_nonzero(goes_right))
            if 0 < below < count:
                if min(below, count - below) < self.rules.least_rows:
                    return 0, above
                ones_below = int(np.count_nonzero(is_right & goes_right))
                parts = (below - ones_below, ones_below), (count - below - ones + ones_below, ones - ones_below)
                gain = sum(_likelihood(self.entropy, *part) for part in parts)
                return gain - _likelihood(self.entropy, count - ones, ones) - self.rules.numbers[2], above
            above = self.nodes[above][2] + int(below > 0)
        return 0, above

    def _goes_right(self, node: int, rows: Ints) -> NDArray[np.bool_]:
        """Which rows go right at a node, of which none is in a category that the node did not have."""
        feature, threshold, _, sides_at = self.nodes[node]
        codes = self.asked[feature].codes[rows].astype(np.int64)
        is_right: NDArray[np.bool_] = codes > threshold
        if sides_at >= 0:
            is_right = self.sides[sides_at][codes] == RIGHT
        return is_right


def _best_split(
    rows: Ints, is_right: NDArray[np.bool_], asked: Sequence[AskedColumn], rules: GrowthRules, entropy: Ints
) -> tuple[int, int, int, Sides] | None:
    """The split that gains most: gain, column, threshold and sides. Of equal ones the first column's lowest cut."""
    count, ones = len(rows), int(np.count_nonzero(is_right))
    if count < 2 * rules.least_rows or ones in (0, count):
        return None
    best_gain, best = 0, None
    for feature, column in enumerate(asked):
        codes = column.codes[rows]
        right = np.bincount(codes[is_right], minlength=column.size)
        left = np.bincount(codes, minlength=column.size) - right
        cuts = _cuts_of_categories if column.is_category else _cuts_of_numbers
        for zeros_below, ones_below, penalty, threshold, order in cuts(left, right, rules):
            gain = (
                _likelihood(entropy, zeros_below, ones_below)
                + _likelihood(entropy, count - ones - zeros_below, ones - ones_below)
                - _likelihood(entropy, count - ones, ones)
                - penalty
            )
            if gain > best_gain:
                side = np.full(column.size, HERE if column.is_category else RIGHT, np.uint8)
                side[order[threshold + 1 :]] = RIGHT
                side[order[: threshold + 1]] = LEFT
                best_gain, best = gain, (gain, feature, 0 if column.is_category else threshold, side)
    return best


def _likelihood(entropy: Ints, zeros: int, ones: int) -> int:
    return int(entropy[zeros]) + int(entropy[ones]) - int(entropy[zeros + ones])


Cut = tuple[int, int, int, int, Ints]


def _cuts_of_numbers(left: Ints, right: Ints, rules: GrowthRules) -> Iterator[Cut]:
    """Rows of both halves below each cut, its penalty, the last code below it, and the codes in order."""
    count = int(left.sum() + right.sum())
    step, order = max(1, count // rules.most_cuts), np.arange(len(left))
    zeros = ones = since = 0
    for code, (a, b) in enumerate(zip(left[:-1].tolist(), right[:-1].tolist(), strict=True)):
        zeros, ones, since = zeros + a, ones + b, since + a + b
        if a + b == 0 or zeros + ones < rules.least_rows or since < step:
            continue
        if count - zeros - ones < rules.least_rows:
            return
        since = 0
        yield zeros, ones, rules.numbers[0], code, order


def _cuts_of_categories(left: Ints, right: Ints, rules: GrowthRules) -> Iterator[Cut]:
    """As `_cuts_of_numbers`, the categories that occur by their share of the right half (Breiman et al. 1984)."""

    def compare(first: int, second: int) -> int:
        """Shares by products, so that nothing is rounded."""
        rows = left + right
        return int(right[first]) * int(rows[second]) - int(right[second]) * int(rows[first]) or first - second

    order = np.array(sorted(np.flatnonzero(left + right).tolist(), key=cmp_to_key(compare)), np.int64)
    count = int(left.sum() + right.sum())
    penalty = rules.numbers[0] + rules.numbers[1] * (len(order) - 2)
    zeros = ones = 0
    for place, code in enumerate(order[:-1].tolist()):
        zeros, ones = zeros + int(left[code]), ones + int(right[code])
        if zeros + ones < rules.least_rows:
            continue
        if count - zeros - ones < rules.least_rows:
            return
        yield zeros, ones, penalty, place, order


def walk(
    trees: Trees, codes: Sequence[Codes], rows: int, choose: Callable[[Ints, Ints, Ints], NDArray[np.bool_]]
) -> Codes:
    """Code of each row, by choices of halves.

    Parameters
    ----------
    trees : Trees
        The trees.
    codes : sequence of ndarray of shape (rows,), uint16
        Codes of the asked columns.
    rows : int
        Number of rows.
    choose : callable
        Given rows, the cuts that they have come to and the nodes that answer for them there, which go right.
    """
    code, at = np.zeros(rows, np.uint16), np.zeros(rows if len(trees.ranges) else 0, np.int64)
    walking = np.arange(len(at))
    while len(walking):
        cut = at[walking]
        is_right = choose(walking, cut, _answering_nodes(trees, codes, walking, cut))
        code[walking] = np.where(is_right, trees.ranges[cut, 1], trees.ranges[cut, 0])
        at[walking] = np.where(is_right, trees.ranges[cut, 4], trees.ranges[cut, 3])
        walking = walking[at[walking] >= 0]
    return code


def _answering_nodes(trees: Trees, codes: Sequence[Codes], rows: Ints, cut: Ints) -> Ints:
    """Node of the cut's tree that answers for each row."""
    nodes, walking = trees.root[cut].astype(np.int64), np.arange(len(rows))
    while True:
        walking = walking[trees.nodes[nodes[walking], 0] >= 0]
        if not len(walking):
            return nodes
        feature, threshold, left, sides_at = trees.nodes[nodes[walking]].T
        code = np.zeros(len(walking), np.int64)
        for asked in np.unique(feature):
            here = feature == asked
            code[here] = codes[asked][rows[walking[here]]]
        side, is_category = np.where(code > threshold, RIGHT, LEFT), sides_at >= 0
        side[is_category] = trees.sides[sides_at[is_category] + code[is_category]]
        goes_on = side != HERE
        walking = walking[goes_on]
        nodes[walking] = left[goes_on] + side[goes_on]


def count_in_trees(target: Codes, trees: Trees, codes: Sequence[Codes]) -> Ints:
    """Rows of both halves at the nodes that answer for them; see `Engine.count_in_trees`."""
    counts = np.zeros((2, len(trees.nodes)), np.int64)

    def choose(rows: Ints, cut: Ints, nodes: Ints) -> NDArray[np.bool_]:
        is_right: NDArray[np.bool_] = target[rows] >= trees.ranges[cut, 1]
        np.add.at(counts, (is_right.astype(np.int64), nodes), 1)
        return is_right

    walk(trees, codes, len(target), choose)
    return counts


def draw_in_trees(trees: Trees, codes: Sequence[Codes], shares: Floats, uniforms: Floats) -> Codes:
    """Codes by a uniform number for each row; see `Engine.draw_in_trees`."""
    left_over = uniforms.copy()

    def choose(rows: Ints, cut: Ints, nodes: Ints) -> NDArray[np.bool_]:
        uniform, right = left_over[rows], shares[nodes]
        left = 1.0 - right
        is_right: NDArray[np.bool_] = uniform >= left
        left_over[rows] = np.where(is_right, (uniform - left) / right, uniform / left)
        return is_right

    return walk(trees, codes, len(uniforms), choose)


def log_shares_in_trees(target: Codes, trees: Trees, codes: Sequence[Codes], log_shares: Floats) -> Floats:
    """Sums of logarithms along the ways of the rows' codes; see `Engine.log_shares_in_trees`."""
    sums = np.zeros(len(target))

    def choose(rows: Ints, cut: Ints, nodes: Ints) -> NDArray[np.bool_]:
        is_right: NDArray[np.bool_] = target[rows] >= trees.ranges[cut, 1]
        sums[rows] += log_shares[is_right.astype(np.int64), nodes]
        return is_right

    walk(trees, codes, len(target), choose)
    return sums
