"""Structure of the network: a 2-tree, grown by leave-one-out likelihood (Chow & Liu 1968; Zhang et al. 2017).

A column's parents are chosen by how much likelier they make it. Every row is judged by the counts of all other rows, so
that a parent that says nothing never gains. A second parent is adjacent to the first, so that any three columns that
meet in a table are neighbours of each other and sums over tables are exact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines import AskedColumn, Engine
from gpuvgm.rules import finite
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.counts.tables import WEIGHTS, backed_off, left_out

CHILD_GROUPS = 24  # of a child's bins, which depend on both parents
PARENT_GROUPS = 32  # of the bins of each of two parents
LEVELS = (4, 16)  # groups of the first parent's bins, to which its tables back off
CANDIDATES = 8  # parents of a column that are tried
SEARCHED = 64  # groups of a column's bins, at most, by which parents are chosen
LEAST_KEYS = 8  # of a sample, whose values lie in an interval of an attribute
KeyPath = tuple[str, tuple[int, ...]]  # a group of keys, and a level with those above it
_Option = tuple[tuple[float, ...], int, tuple[int, ...]]  # gains, a column and its parents


@dataclass(frozen=True, slots=True)
class Node:
    """A column in a network.

    Parameters
    ----------
    name : str
        The column.
    parents : tuple of str
        None, one or two columns that come before it.
    gains : tuple of float
        By how much each parent raises its log-likelihood, in nats a row.
    """

    name: str
    parents: tuple[str, ...]
    gains: tuple[Annotated[float, finite], ...]


@dataclass(frozen=True)  # no slots: groups are cached
class Axis:
    """Bins of a column and their groups, as tables use them; or each bin as a group of its own."""

    bins: Bins
    is_grouped: bool = True

    def __len__(self) -> int:
        return len(self.bins)

    @cached_property
    def child(self) -> Ints:
        """Groups of a child."""
        return self.bins.groups(CHILD_GROUPS) if self.is_grouped else np.arange(len(self))

    @cached_property
    def parent(self) -> Ints:
        """Groups as one of two parents."""
        return self.bins.groups(PARENT_GROUPS) if self.is_grouped else np.arange(len(self))

    @cached_property
    def starts(self) -> Ints:
        """First bin of each group of a child."""
        return np.flatnonzero(np.diff(self.child, prepend=-1))

    @cached_property
    def levels(self) -> list[Ints]:
        """Groups that tables of the first parent back off to, down to its bins."""
        coarse = [self.bins.groups(group_limit) for group_limit in LEVELS]
        return [np.zeros(len(self), np.int64), *coarse, np.arange(len(self))]

    def grouped(self, counts: Ints) -> Ints:
        """Counts of a child's groups from those of its bins, the last axis."""
        return np.add.reduceat(counts, self.starts, axis=-1)


@dataclass(frozen=True, slots=True)
class Dependence:
    """Which columns may depend on which, so that attributes are the same in all rows of a key.

    Parameters
    ----------
    levels : mapping of str to (str, tuple of int)
        Group of the keys that determine each attribute, and their level with those above it.
    rows : mapping of (str, tuple of int) to ndarray, int64
        One row of each key of a level in a sample. Further rows of a key are no evidence of their own.
    first : tuple of str
        Columns that are drawn before others that they need not follow.
    keys : mapping of str to str
        First column of the keys that determine each attribute.
    lacking : mapping of str to ndarray of shape (rows,), uint16
        By first column of keys that rows may lack: the code of the keys that a row lacks, see `codes_of_lacking`.
    computed : frozenset of str
        Columns that laws compute, or that have a twin. What their values are made of comes before them.
    made_of : mapping of str to set of str
        Columns that the values of a column are made of: the operands of its law, its origin, those of laws of order.
    of_twins : mapping of str to set of str
        For each column with a twin, all columns that its sampled values are made of, directly or not.
    deciders : mapping of str to set of str
        For each column, those that decide it by a law, directly or not; trees ask for their rare values as one.
    given : frozenset of str
        Columns that are not drawn, and so depend on none.
    """

    levels: Mapping[str, KeyPath] = field(default_factory=dict)
    rows: Mapping[KeyPath, Ints] = field(default_factory=dict)
    first: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, Codes] = field(default_factory=dict)
    computed: frozenset[str] = frozenset()
    made_of: Mapping[str, Set[str]] = field(default_factory=dict)
    of_twins: Mapping[str, Set[str]] = field(default_factory=dict)
    deciders: Mapping[str, Set[str]] = field(default_factory=dict)
    given: frozenset[str] = frozenset()

    def counted_from(self, origins: Mapping[str, str]) -> Dependence:
        """The same, with columns of datetimes that are counted from others."""
        made_of = {name: {*self.made_of.get(name, ()), first} for name, first in origins.items()}
        return replace(self, made_of={**self.made_of, **made_of})

    def with_twins(self, twins: Mapping[str, str], origins: Mapping[str, str]) -> Dependence:
        """The same, with columns that have a twin, which comes before them.

        They have the number that is sampled for the twin. A column that a law keeps in order with such a column, and
        that may change it afterwards, need not come before it.
        """
        before_laws = Dependence().counted_from({**origins, **twins})
        of_twins = dict[str, set[str]]()
        for name in twins:
            sources = before_laws.sources(name)
            of_laws = (self.sources(source) for source in sources & self.computed)
            former = {
                source
                for source in self.made_of.get(name, ())
                if source not in twins and name not in before_laws.sources(source)
            }
            of_twins[name] = sources.union(former, *of_laws) - {name}
        return replace(self.counted_from(twins), computed=self.computed | {*twins}, of_twins=of_twins)

    def sources(self, name: str) -> set[str]:
        """All columns that the values of a column are made of, directly or not; itself where it is made of itself."""
        if name in self.of_twins:
            return {*self.of_twins[name]}
        sources, remaining = set[str](), [*self.made_of.get(name, ())]
        while remaining:
            source = remaining.pop()
            if source not in sources:
                sources.add(source)
                remaining += self.made_of.get(source, ())
        return sources

    @property
    def is_circular(self) -> bool:
        """Whether a computed column is made of itself."""
        return any(name in self.sources(name) for name in self.computed)

    def allows(self, name: str, parent: str) -> bool:
        """Return whether a column may depend on another one."""
        if name in self.given or (parent in self.computed and name in self.sources(parent)):
            return False
        if name not in self.levels:
            return True
        (group, path), (parent_group, parent_path) = self.levels[name], self.levels.get(parent, ("", (-1,)))
        return group == parent_group and parent_path[0] in path

    def rows_of(self, name: str) -> Ints | slice:
        """Rows that are evidence of what a column depends on."""
        return self.rows[self.levels[name]] if name in self.levels else slice(None)

    def intervals(self, name: str, most: int) -> int:
        """Intervals of a column of numbers, at most: those of an attribute have the values of `LEAST_KEYS` keys."""
        if name not in self.levels:
            return most
        return min(most, max(2, len(self.rows[self.levels[name]]) // LEAST_KEYS))

    def mask(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Whether the column of each row may depend on that of each place, shape (columns, columns)."""
        allowed, place = np.ones((len(names), len(names)), np.bool_), {name: index for index, name in enumerate(names)}
        for computed in self.computed & {*names}:
            allowed[[place[name] for name in self.sources(computed) if name in place], place[computed]] = False
        for name in {*self.levels, *self.given} & {*names}:
            allowed[place[name]] = [self.allows(name, parent) for parent in names]
        return allowed


ANY_COLUMNS = Dependence()


def learn_structure(
    bins: Sequence[Bins], codes: Sequence[Codes], engine: Engine, dependence: Dependence = ANY_COLUMNS
) -> tuple[Node, ...]:
    """Return the columns as nodes, in an order in which each comes after its parents.

    Parameters
    ----------
    bins : sequence of Bins
        Bins of the columns.
    codes : sequence of ndarray of shape (rows,), uint16
        The bin of each row of a sample, by column.
    engine : Engine
        Engine that counts pairs of columns.
    dependence : Dependence
        Which columns may depend on which, and rows that are evidence of it; by default all.
    """
    names = [column.name for column in bins]
    allowed = dependence.mask(names)
    searches = _searches(bins, codes, [dependence.levels.get(name) for name in names], dependence)
    candidates_by_search = {search: search.candidates(allowed, engine) for search in dict.fromkeys(searches)}
    candidates = [candidates_by_search[search][place] for place, search in enumerate(searches)]
    dependents_of: list[list[int]] = [[] for _ in bins]
    for child, candidates_of_child in enumerate(candidates):
        for candidate in candidates_of_child:
            dependents_of[candidate].append(child)
    parents_of: dict[int, tuple[int, ...]] = {}
    best_of: dict[int, _Option] = {}  # by column with a parent that gains, until a further parent is placed

    def gain_of_dependents(candidate: int) -> float:
        remaining = (child for child in dependents_of[candidate] if child not in parents_of)
        return sum(searches[child].gain(child, candidate) for child in remaining)

    nodes, follows = [], allowed & ~allowed.T
    while len(parents_of) < len(bins):
        ready = ready_columns(follows, parents_of)
        options = (best_of[child] for child in ready if child in best_of)
        gains, child, parents = max(options, key=_total_gain, default=((), -1, ()))
        if child < 0:  # no remaining column gains by a placed one
            child = max(ready, key=gain_of_dependents)
        parents_of[child] = parents
        for dependent in dependents_of[child]:
            if dependent not in parents_of:
                placed = [parent for parent in candidates[dependent] if parent in parents_of]
                gaining = [*_list_parents(searches[dependent], dependent, placed, parents_of)]
                best_of |= {dependent: max(gaining, key=_total_gain)} if gaining else {}
        rows = max(searches[child].rows, 1)
        nodes.append(Node(names[child], tuple(names[p] for p in parents), tuple(gain / rows for gain in gains)))
    return tuple(nodes)


def _searches(
    bins: Sequence[Bins], codes: Sequence[Codes], levels: Sequence[KeyPath | None], dependence: Dependence
) -> list[_ParentSearch]:
    """The search of each column's parents: columns of a level share one, which has one row of each of its keys."""
    searched = [*map(_searched, bins, codes)]
    by_level: dict[KeyPath | None, _ParentSearch] = {}
    for level in dict.fromkeys(levels):
        rows: Ints | slice = slice(None) if level is None else dependence.rows[level]
        by_level[level] = _ParentSearch([axis for axis, _ in searched], [column[rows] for _, column in searched])
    return [by_level[level] for level in levels]


def _searched(bins: Bins, codes: Codes) -> tuple[Axis, Codes]:
    """A column as the search has it: groups of its bins where there are many, and the group of each row."""
    if len(bins) <= SEARCHED:
        return Axis(bins), codes
    groups = bins.groups(SEARCHED)
    return Axis(replace(bins, rows=np.bincount(groups, bins.rows).astype(np.int64))), groups.astype(np.uint16)[codes]


def ready_columns(follows: NDArray[np.bool_], placed: Collection[int]) -> list[int]:
    """Columns that may come next, as all columns that they follow are placed."""
    remaining = np.ones(len(follows), np.bool_)
    remaining[[*placed]] = False
    ready: list[int] = np.flatnonzero(remaining & ~(follows & remaining).any(axis=1)).tolist()
    return ready


def _total_gain(option: _Option) -> float:
    return sum(option[0])


def _list_parents(
    search: _ParentSearch, child: int, candidates: Sequence[int], parents_of: dict[int, tuple[int, ...]]
) -> Iterator[_Option]:
    """Yield the parents of a column that gain, with the gain of each."""
    for first in candidates:
        gain = search.gain(child, first)
        if gain <= 0:
            continue
        yield (gain,), child, (first,)
        for second in candidates:
            # Only neighbours of each other can both be parents, so that the network stays a 2-tree.
            if first in parents_of[second] or second in parents_of[first]:
                second_gain = search.second_gain(child, first, second)
                if second_gain > 0:
                    yield (gain, second_gain), child, (first, second)


class _ParentSearch:
    """Gains on a sample, each computed once.

    Parameters
    ----------
    axes : sequence of Axis
        The columns.
    codes : sequence of ndarray
        The sample.
    """

    def __init__(self, axes: Sequence[Axis], codes: Sequence[Codes]) -> None:
        self._axes = axes
        self.rows = len(codes[0]) if codes else 0
        self._codes = [code.astype(np.int64) for code in codes]
        self._groups = [axis.child[code] for axis, code in zip(axes, self._codes, strict=True)]
        self._coarse = [axis.parent[code] for axis, code in zip(axes, self._codes, strict=True)]
        self._gains: dict[tuple[int, ...], float] = {}
        self._leave_one_out: dict[tuple[int, int], Floats] = {}

    def candidates(self, allowed: NDArray[np.bool_], engine: Engine) -> list[list[int]]:
        """For each column, those with the largest mutual information; between groups of bins, which is quick."""
        groups = [
            AskedColumn(groups.astype(np.uint16), len(axis.starts), is_category=False)
            for axis, groups in zip(self._axes, self._groups, strict=True)
        ]
        gain = engine.information(groups).astype(np.float64)
        np.fill_diagonal(gain, -np.inf)
        return [
            [int(p) for p in np.argsort(-row, kind="stable")[:CANDIDATES] if p != first and allowed[first, p]]
            for first, row in enumerate(np.where(allowed, gain, -np.inf))
        ]

    def gain(self, child: int, parent: int) -> float:
        """Gain in the leave-one-out log-likelihood of a column by a parent, in nats."""
        if (child, parent) not in self._gains:
            axis, parent_axis = self._axes[child], self._axes[parent]
            counts = joint_counts(self._codes[parent], self._codes[child], len(parent_axis), len(axis))
            # Of a column's group, and of its bin in that group.
            groups = backed_off(axis.grouped(counts), parent_axis.levels).likelihoods
            inside = backed_off(counts, parent_axis.levels, axis.starts).likelihoods
            self._gains[child, parent] = (groups[-1] + inside[-1]) - (groups[1] + inside[1])
        return self._gains[child, parent]

    def second_gain(self, child: int, first: int, second: int) -> float:
        """Further gain by a second parent, in nats."""
        key = (child, first, second)
        if key not in self._gains:
            groups = self._groups[child]
            size, probability = len(self._axes[child].starts), self._probability_by_others(child, first)
            width = int(self._coarse[second].max(initial=0)) + 1
            context = self._coarse[first] * width + self._coarse[second]
            counts = joint_counts(context, groups, int(context.max(initial=0)) + 1, size)
            totals, kinds = counts.sum(axis=1)[context], np.count_nonzero(counts, axis=1)[context]
            n = counts[context, groups]
            likelihoods = [np.sum(np.log(left_out(n, totals, kinds, weight, probability))) for weight in WEIGHTS]
            self._gains[key] = float(max(likelihoods) - np.sum(np.log(probability)))
        return self._gains[key]

    def _probability_by_others(self, child: int, parent: int) -> Floats:
        """Probability of each row's group given its bin of a parent, by the counts of all other rows."""
        if (child, parent) not in self._leave_one_out:
            axis, parent_axis = self._axes[child], self._axes[parent]
            counts = joint_counts(self._codes[parent], self._groups[child], len(parent_axis), len(axis.starts))
            probability = backed_off(counts, parent_axis.levels).leave_one_out
            self._leave_one_out[child, parent] = probability[self._codes[parent], self._groups[child]]
        return self._leave_one_out[child, parent]


def joint_counts(first: Ints, second: Ints, height: int, width: int) -> Ints:
    """Rows of each pair of bins of two columns, shape (height, width)."""
    return np.bincount(first * width + second, minlength=height * width).reshape(height, width)
