"""Counts of bins, the one thing that is learnt of rows, and the probabilities that they give.

There are counts in the trees of each column, from which rows are drawn, and joint counts of every column with its
parents: a Bayesian network, for conditions that hardly any row meets. Given its parents a column takes two steps: one
of 24 groups of its bins, which depends on the bin of the first parent and the group of the second; and a bin of that
group, which depends on the bin of the first parent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gpuvgm.arrays import namespace_of, to_numpy
from gpuvgm.columns import html_table
from gpuvgm.engines import CountedColumn, Engine
from gpuvgm.errors import counted, listed
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import PARTS, RARE, TWIN, Bins, Codes, Part, check_origins
from gpuvgm.synthesis.counts.structure import Axis, Node
from gpuvgm.synthesis.counts.tables import backed_off, counts_of_keys
from gpuvgm.synthesis.counts.trees import NodeTrees, TreeSettings, codes_with_twins
from gpuvgm.synthesis.keys import LACKING_CODES, Habit


@dataclass(frozen=True, slots=True)
class JointCounts:
    """Rows by bins of a column and its parents; merging is commutative to the last bit.

    Parameters
    ----------
    rows : int
        All rows.
    pairs : tuple of ndarray of shape (bins of the first parent, bins), int64
        Joint counts of each node, in bins of the network; one row where it has no parent.
    triples : tuple of ndarray of shape (bins of the first parent, groups of the second, groups), int64
        Joint counts of each node; one group where it has no second parent.
    answers : tuple of ndarray of shape (2, nodes of its trees), int64
        Rows of both halves at the nodes of each column's trees that answer for them.
    """

    rows: int
    pairs: tuple[Ints, ...]
    triples: tuple[Ints, ...]
    answers: tuple[Ints, ...]

    def merge(self, other: JointCounts) -> JointCounts:
        """Counts of both sets of rows."""
        kinds = ((self.pairs, other.pairs), (self.triples, other.triples), (self.answers, other.answers))
        sums = [tuple(left + right for left, right in zip(*tables, strict=True)) for tables in kinds]
        return JointCounts(self.rows + other.rows, *sums)


@dataclass(frozen=True)  # no slots: groups are cached
class Structure:
    """Bins of the columns, and the parents of each.

    Parameters
    ----------
    bins : tuple of Bins
        Bins of the columns, in the order of the nodes.
    nodes : tuple of Node
        The columns, each after its parents.
    order : tuple of int
        Places of the columns in the order in which rows are drawn.
    trees : tuple of NodeTrees
        Trees of each column, which ask columns that come before it in that order, and parts of such columns; none where
        rows are drawn from the network of parents alone.
    parts : tuple of Part
        What trees may ask for beside bins. Their places are those after the nodes.
    habits : tuple of Habit
        Days, times and values that keys have of their own.
    """

    bins: tuple[Bins, ...]
    nodes: tuple[Node, ...]
    order: tuple[int, ...]
    trees: tuple[NodeTrees, ...]
    parts: tuple[Part, ...] = ()
    habits: tuple[Habit, ...] = ()

    @cached_property
    def place_of(self) -> dict[str, int]:
        """Place of each column among the nodes."""
        return {bins.name: place for place, bins in enumerate(self.bins)}

    @cached_property
    def place_of_part(self) -> dict[Part, int]:
        """Place of each part, behind the columns."""
        return {part: place for place, part in enumerate(self.parts, len(self.bins))}

    @cached_property
    def parts_of(self) -> dict[int, tuple[int, ...]]:
        """Places of the parts of each column that has some."""
        of_column = dict[int, tuple[int, ...]]()
        for part, place in self.place_of_part.items():
            if place not in self.keys_asked:
                column = self.place_of[part.column]
                of_column[column] = (*of_column.get(column, ()), place)
        return of_column

    @cached_property
    def keys_asked(self) -> dict[int, str]:
        """First column of the keys of which trees ask whether a row lacks them, by place."""
        return {place: part.column for part, place in self.place_of_part.items() if part.name == "missing"}

    @cached_property
    def twins(self) -> dict[int, int]:
        """Columns with a twin, each with the place of the part that marks the rows with its number."""
        return {
            column: place
            for column, places in self.parts_of.items()
            for place in places
            if self.parts[place - len(self.bins)].name == TWIN
        }

    @cached_property
    def made(self) -> tuple[int, ...]:
        """Columns whose parts are those of made values: with a twin, or with an origin that is not drawn."""
        return tuple(place for place, bins in enumerate(self.bins) if place in self.twins or bins.calendar is not None)

    def drawn_codes(self, place: int, codes: Sequence[Codes] | Mapping[int, Codes]) -> Codes:
        """Bins of a column as the trees that draw it have them, see `codes_with_twins`."""
        if place not in self.twins:
            return codes[place]
        return codes_with_twins(codes[place], codes[self.twins[place]], len(self.bins[place]))

    def column_of(self, place: int) -> int:
        """Place of the column of a part; of a column itself."""
        return next((column for column, parts in self.parts_of.items() if place in parts), place)

    def with_parts(
        self, codes: Sequence[tuple[Codes, Mapping[Part, Codes]]], keys: Mapping[Part, Codes]
    ) -> list[Codes]:
        """Codes of all columns, followed by those of `parts`.

        Parameters
        ----------
        codes : sequence of (ndarray, mapping of Part to ndarray)
            Codes of each column, and of its parts.
        keys : mapping of Part to ndarray
            Which keys rows lack; these codes may lie on the host.
        """
        of_parts = {part: codes_of_part for _, parts in codes for part, codes_of_part in parts.items()}
        of_parts |= {part: namespace_of(codes[0][0]).asarray(codes_of_part) for part, codes_of_part in keys.items()}
        return [*(of_column for of_column, _ in codes), *(of_parts[part] for part in self.parts)]

    def codes_of_parts(self, place: int, codes: Codes, readings: Floats, engine: Engine) -> dict[int, Codes]:
        """Codes of the parts of a column by their place, given its bins and its readings in them."""
        names = {part: self.parts[part - len(self.bins)].name for part in self.parts_of.get(place, ())}
        bins, xp, of_parts = self.bins[place], namespace_of(readings), dict[int, Codes]()
        separate = xp.zeros(len(bins), np.bool_)
        separate[xp.asarray(bins.codes[: len(bins.codes) - len(bins.edges) - 1])] = True
        for part in (part for part, name in names.items() if name == RARE):
            of_parts[part] = xp.where(separate[codes], xp.uint16(0), bins.rare_numbers(readings))
        if bins.clock is not None:
            of_clock = {part: name for part, name in names.items() if name in PARTS}
            places = bins.clock.places(readings, engine)
            of_places = bins.clock.codes([*of_clock.values()], readings, places, separate[codes])
            of_parts |= dict(zip(of_clock, of_places, strict=True))
        return of_parts

    def size_of(self, place: int) -> int:
        """Codes of a column, or of a part."""
        if place < len(self.bins):
            return len(self.bins[place])
        if place in self.keys_asked:
            return LACKING_CODES
        return self.bins[self.column_of(place)].size_of(self.parts[place - len(self.bins)].name)

    @cached_property
    def groups(self) -> tuple[Ints, ...]:
        """Which bin of the network of parents each bin belongs to, by node."""
        return tuple(bins.network_groups() for bins in self.bins)

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """Bins of the network of parents, with their groups; all bins where no trees draw them."""
        merged = (bins.merged(groups) for bins, groups in zip(self.bins, self.groups, strict=True))
        return tuple(Axis(bins, is_grouped=bool(self.trees)) for bins in merged)

    def in_network(self, place: int, codes: Codes) -> Codes:
        """Bins of the network of parents from the bins of rows, where these lie."""
        groups = self.groups[place]
        if len(groups) == len(self.axes[place]):
            return codes
        in_network: Codes = namespace_of(codes).asarray(groups.astype(np.uint16))[codes]
        return in_network

    @cached_property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """Places of each node's parents among the nodes."""
        place = {node.name: index for index, node in enumerate(self.nodes)}
        return tuple(tuple(place[name] for name in node.parents) for node in self.nodes)

    def equals(self, other: Structure) -> bool:
        """Return whether counts of both structures can be added."""
        same_order = (self.nodes, self.order, self.parts) == (other.nodes, other.order, other.parts)
        return (
            same_order
            and all(map(Bins.equals, self.bins, other.bins))
            and all(map(NodeTrees.equals, self.trees, other.trees))
        )

    def counts(self, codes: Sequence[Codes], rows: int, engine: Engine) -> JointCounts:
        """Joint counts of rows.

        Parameters
        ----------
        codes : sequence of ndarray of shape (rows,), uint16
            Bins of the rows, by node, and codes of the parts.
        rows : int
            Their number.
        engine : Engine
            Engine that counts, where the bins lie.
        """
        counts, merged = [], [self.in_network(place, codes[place]) for place in range(len(self.bins))]
        for column_codes, parents, axis, column in zip(merged, self.parents, self.axes, self.counted, strict=True):
            counts.append((axis, *engine.joint_counts(column_codes, [merged[place] for place in parents], column)))
        pairs = [to_numpy(pair) for _, pair, _ in counts]
        triples = [
            axis.grouped(pair)[:, None] if triple is None else to_numpy(triple)
            for pair, (axis, _, triple) in zip(pairs, counts, strict=True)
        ]
        answers = tuple(
            engine.count_in_trees(self.drawn_codes(place, codes), node.trees, [codes[asked] for asked in node.asked])
            for place, node in enumerate(self.trees)
        )
        return JointCounts(rows, tuple(pairs), tuple(triples), answers)

    @cached_property
    def counted(self) -> tuple[CountedColumn, ...]:
        """Groups that the rows of each column are counted in."""
        axes = self.axes
        return tuple(
            CountedColumn(
                len(axes[parents[0]]) if parents else 1,
                axes[parents[1]].parent if len(parents) > 1 else np.empty(0, np.int64),
                axis.child,
            )
            for parents, axis in zip(self.parents, axes, strict=True)
        )

    @property
    def pair_shapes(self) -> list[tuple[int, ...]]:
        """Shape of the counts of each column and its first parent."""
        return [(column.first, len(column.child)) for column in self.counted]

    @property
    def triple_shapes(self) -> list[tuple[int, ...]]:
        """Shape of the counts of groups of each column and both its parents."""
        return [(column.first, column.groups, column.children) for column in self.counted]

    def check(self) -> None:
        """Raise ValueError where nodes, bins and trees do not fit together."""
        names = [bins.name for bins in self.bins]
        if names != [node.name for node in self.nodes] or len(set(names)) < len(names):
            raise ValueError("the network's nodes are not its columns")
        for bins in self.bins:
            bins.check()
        check_origins(self.bins)
        self._check_parts()
        for place, node in enumerate(self.nodes):
            if len(node.parents) > 2 or not {*node.parents} <= {*names[:place]}:
                raise ValueError(f'the parents of "{node.name}" do not come before it')
        self._check_trees()
        for place, parents in enumerate(self.parents):
            if len(parents) > 1 and min(parents) not in self.parents[max(parents)]:
                raise ValueError(f'the parents of "{names[place]}" are no neighbours')

    def _check_parts(self) -> None:
        """Raise ValueError for parts that columns have not."""
        clocks = {self.column_of(place) for place, part in enumerate(self.parts, len(self.bins)) if part.name in PARTS}
        if any(self.bins[place].clock_of_parts is None for place in clocks) or len(set(self.parts)) < len(self.parts):
            raise ValueError("there are parts of datetimes that have no clock, or some are there twice")
        if {*self.twins} != {place for place, bins in enumerate(self.bins) if bins.twin is not None}:
            raise ValueError("the rows with the number of a twin are not told")

    def check_answers(self, counts: JointCounts) -> None:
        """Raise ValueError where the counts of trees do not fit them."""
        for bins, node, answers in zip(self.bins, self.trees, counts.answers, strict=True):
            if answers.shape != (2, len(node.trees.nodes)) or np.any(answers < 0):
                raise ValueError(f'the counts of "{bins.name}" do not fit its trees')

    def _check_trees(self) -> None:
        """Raise ValueError where trees ask columns that come later, or do not fit bins."""
        rank = dict.fromkeys(self.keys_asked, -1) | {place: position for position, place in enumerate(self.order)}
        if sorted(self.order) != [*range(len(self.bins))] or len(self.trees) != len(self.bins):
            raise ValueError("the trees are not those of the columns")
        for place, node in enumerate(self.trees):
            ranks = (rank.get(self.column_of(asked), rank[place]) for asked in node.asked)
            if any(rank_of_asked >= rank[place] for rank_of_asked in ranks):
                raise ValueError(f'trees of "{self.bins[place].name}" ask columns that do not come before it')
            node.trees.check(
                len(self.bins[place]) + (place in self.twins), [self.size_of(asked) for asked in node.asked]
            )


@dataclass(frozen=True, slots=True)
class NodeTables:
    """Probabilities of a node.

    Parameters
    ----------
    groups : ndarray of shape (bins of the first parent, groups of the second, groups)
        Probabilities of groups, given the parents.
    inside : ndarray of shape (bins of the first parent, bins)
        Probabilities of bins, given their group and the first parent.
    """

    groups: Floats
    inside: Floats


@dataclass(frozen=True, repr=False)  # no slots: tables are cached
class Network:
    """A structure and its counts: the one place where counts become probabilities.

    Parameters
    ----------
    structure : Structure
        Bins and nodes.
    counts : JointCounts
        Counts of the training rows.
    rows_per_key : mapping of str to float
        Of columns that are drawn once for each key, how many rows a key has on average.
    settings : TreeSettings
        How far trees rely on few rows.
    """

    structure: Structure
    counts: JointCounts
    rows_per_key: Mapping[str, float] = field(default_factory=dict)
    settings: TreeSettings = TreeSettings.of(safer=False)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The columns, each after its parents."""
        return self.structure.nodes

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {counted(len(self.nodes), 'column')}, {counted(self.counts.rows, 'row')} counted>"
        )

    def __str__(self) -> str:
        wide = max((len(node.name) for node in self.nodes), default=0)
        return "\n".join(f"{name:{wide}}  {text}".rstrip() for name, text in self._texts())

    def _repr_html_(self) -> str:
        """HTML that notebooks show."""
        return html_table(("column", "parents, and what each gains in nats a row"), self._texts())

    def _texts(self) -> list[tuple[str, str]]:
        """Each column, and text on its parents."""
        lines = []
        for node, bins in zip(self.nodes, self.structure.bins, strict=True):
            before, clock = bins.direction, bins.clock_of_parts
            dependences = [] if bins.since is None else [f"{before} {bins.since}"]
            parts = [part.name for part in self.structure.parts if part.column == node.name and part.name in PARTS]
            dependences += [] if bins.twin is None else [f"often {bins.twin}"]
            dependences += [] if clock is None else [f"calendar: {listed(parts)}" if parts else "calendar"]
            dependences += [f"{parent} {gain:+.2f}" for parent, gain in zip(node.parents, node.gains, strict=True)]
            lines.append((node.name, ", ".join(dependences)))
        return lines

    @cached_property
    def tables(self) -> tuple[NodeTables, ...]:
        """Probabilities of each node."""
        return tuple(self._tables(place) for place in range(len(self.structure.nodes)))

    def _tables(self, place: int) -> NodeTables:
        axis, parents = self.structure.axes[place], self.structure.parents[place]
        pairs, triples = (self._of_keys(place, tables[place]) for tables in (self.counts.pairs, self.counts.triples))
        levels = self.structure.axes[parents[0]].levels if parents else [np.zeros(1, np.int64)]
        inside = backed_off(pairs, levels, axis.starts).table
        groups = triples.shape[1]
        levels = [np.repeat(level, groups) for level in levels]
        if len(parents) > 1:
            first = np.repeat(self.structure.axes[parents[0]].parent, groups)
            levels.append(first * groups + np.tile(np.arange(groups), len(pairs)))
            levels.append(np.arange(len(pairs) * groups))
        table = backed_off(triples.reshape(len(pairs) * groups, -1), levels).table
        return NodeTables(table.reshape(triples.shape), inside)

    def _of_keys(self, place: int, counts: Ints) -> Ints:
        """Counts of a column's rows, or of its keys where it is drawn once for each."""
        return counts_of_keys(counts, self.rows_per_key.get(self.nodes[place].name, 1))

    @cached_property
    def shares(self) -> tuple[Floats, ...]:
        """Probability of the right half at each node of each column's trees."""
        answers = (self._of_keys(place, counts) for place, counts in enumerate(self.counts.answers))
        nodes = zip(self.structure.trees, answers, strict=True)
        return tuple(node.shares(counts, self.settings.weights) for node, counts in nodes)

    @cached_property
    def _log_shares(self) -> tuple[Floats, ...]:
        """Logarithms of the probabilities of both halves, in nats."""
        return tuple(np.log(np.stack((1 - shares, shares))) for shares in self.shares)

    def log_probability(
        self,
        codes: Mapping[int, Codes],
        rows: int,
        engine: Engine,
        known: Mapping[int, Floats] | None = None,
    ) -> Floats:
        """Logarithm of the probability of rows' bins, in nats.

        Parameters
        ----------
        codes : mapping of int to ndarray of shape (rows,), uint16
            Bins of the columns by place, and codes of all columns and parts that their trees ask.
        rows : int
            Their number.
        engine : Engine
            Engine that computes them.
        known : mapping of int to ndarray of shape (rows,), optional
            By column, the logarithms that are known already; NaN for the other rows.
        """
        sums, known = np.zeros(rows), known or {}
        for place in codes:
            if place < len(self.nodes):  # parts are known where their datetimes are
                by_trees = self.log_shares(place, codes, engine)
                sums += np.where(np.isnan(known[place]), by_trees, known[place]) if place in known else by_trees
        return sums

    def log_shares(self, place: int, codes: Mapping[int, Codes], engine: Engine) -> Floats:
        """Logarithm of the probability of rows' bins of a column, in nats, given those that its trees ask."""
        node = self.structure.trees[place]
        asked = [codes[column] for column in node.asked]
        drawn_codes = self.structure.drawn_codes(place, codes)
        return engine.log_shares_in_trees(drawn_codes, node.trees, asked, self._log_shares[place])

    def log_shares_beside(self, places: Collection[int], codes: Mapping[int, Codes], engine: Engine) -> Floats:
        """The sum of `log_shares` over the columns and parts at some places, and over the columns that ask for them."""
        trees = enumerate(self.structure.trees)
        concerned = [place for place, node in trees if place in places or not {*places}.isdisjoint(node.asked)]
        log_shares: Floats = np.sum([self.log_shares(place, codes, engine) for place in concerned], axis=0)
        return log_shares
