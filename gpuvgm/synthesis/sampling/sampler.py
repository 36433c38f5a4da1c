"""Batches of synthetic rows: all columns of the training table, in their order and types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial, reduce
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns import MISSING, CategoricalColumn, TableModel
from gpuvgm.config import BLOCK_ROWS, Flavor
from gpuvgm.datasets import Generator, RowRange
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError, listed
from gpuvgm.execution import DaskExecutor, LocalExecutor, executor_for
from gpuvgm.io import TableSource
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes, Finder, code_finder, finder_of, origins_of
from gpuvgm.synthesis.counts import Network
from gpuvgm.synthesis.drawing import (
    MOST_PILOT_ROWS,
    PILOT_ROWS,
    ComputedColumn,
    ConditionedTrees,
    Drawing,
    Drawn,
    FilteredRows,
    IdentifierForm,
    KeyNumbers,
    KeyTable,
    MadeRows,
    Values,
    Window,
    key_numbers,
    layouts_of,
    levels_of_attributes,
    unmodelled_columns,
    value_maker,
)
from gpuvgm.synthesis.keys import KeyLayout, period_of, seed_of_attempt, with_habits
from gpuvgm.synthesis.laws import Law, LawKeeper, Rule

SHORT_RANGE = 1 << 10  # rows
MOST_WITHIN = 32  # attempts for a row to have computed values that are in the range of their column
#: By which the share of rows is found that meet conditions; where rows of keys of further groups depend on it, more.
PILOT_KEYS, MANY_PILOT_KEYS = 1 << 10, 1 << 14
TESTED_ROWS = 1 << 12  # that are drawn again together
FIRST_ATTEMPTS = 1000  # in which one of the rows must meet the conditions
MOST_ATTEMPTS = 10_000  # for a row; where one row of 400 meets the conditions, one of 10^10 is not drawn in so many


@dataclass(frozen=True, slots=True)
class DrawnRows:
    """Rows that are drawn: bins and places by node, and numbers of keys by group and level."""

    nodes: Drawn
    keys: KeyNumbers

    def followed_by(self, other: DrawnRows) -> DrawnRows:
        """These rows, and further ones."""
        pairs = zip(self.nodes, other.nodes, strict=True)
        nodes = [(np.append(own[0], more[0]), np.append(own[1], more[1])) for own, more in pairs]
        return DrawnRows(nodes, {level: np.append(own, other.keys[level]) for level, own in self.keys.items()})


def _with(values: NDArray[Any], places: Ints, others: NDArray[Any]) -> NDArray[Any]:
    """Values with others at some places."""
    changed = values.copy()
    changed[places] = others
    return changed


def _ranges(mask: NDArray[np.bool_]) -> list[RowRange]:
    """Ranges with all rows that a mask marks, and others: a range of one row takes nearly as long as one of 1,000."""
    marked = np.flatnonzero(mask)
    breaks = np.flatnonzero(np.diff(marked) > SHORT_RANGE)
    firsts, lasts = marked[np.append(0, breaks + 1)], marked[np.append(breaks, len(marked) - 1)]
    return [RowRange(first, last + 1 - first) for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]


def _key_tables(
    forms: Mapping[str, IdentifierForm], attributes: Mapping[str, str], numbers: KeyNumbers, seed: int
) -> dict[str, KeyTable]:
    """For each attribute the keys to draw it for.

    Parameters
    ----------
    forms : mapping of str to IdentifierForm
        Forms of the keys.
    attributes : mapping of str to str
        Columns that keys determine, each with the first column of these keys.
    numbers : mapping of (str, int) to ndarray of shape (rows,)
        Numbers of the rows' keys by group and level.
    seed : int
        Seed of the draws.
    """
    levels, layouts = levels_of_attributes(forms, attributes), layouts_of(forms)
    tables: dict[tuple[str, int], KeyTable] = {}
    for group, level in sorted({(group, path[0]) for group, path in levels.values()}):
        layout, own = layouts[group], numbers[group, level]
        below = {key: table for key, table in tables.items() if key[0] == group and level in layout.path(key[1])}
        above = [layout.numbers_above(table.numbers, key[1], level) for key, table in below.items()]
        every = KeyTable.of(np.concatenate([own, *above]), seed)
        starts = np.cumsum([len(own), *map(len, above)])
        lacking = layout.lacking_of(every.numbers, level)
        tables[group, level] = replace(every, places=every.places[: len(own)], level=level, lacking=lacking)
        for (key, table), places in zip(below.items(), np.split(every.places, starts[:-1])[1:], strict=True):
            tables[key] = replace(table, above={**table.above, level: places})
    return {name: tables[group, path[0]] for name, (group, path) in levels.items()}


@dataclass(frozen=True)  # no slots: what draws rows is cached
class Sampler:
    """Rows of a model by their numbers.

    Parameters
    ----------
    model : TableModel
        The fitted columns.
    network : Network
        The network of those that are modelled.
    conditions : mapping of int to Bins
        See `Drawing`.
    identifiers : mapping of str to IdentifierForm
        Forms of identifiers of text.
    attributes : mapping of str to str
        Columns that keys determine, each with the first column of these keys.
    engine : str
        Name of the engine that draws.
    tested : mapping of str to tuple
        What meets conditions on columns whose values others change, as `read_condition` gives it: rows are drawn until
        they meet it.
    laws : tuple of Law
        Laws between columns, which all rows keep.
    criteria : mapping of str to tuple
        What meets each condition, as `tested` has it.
    unconditioned : Sampler, optional
        Rows without conditions, of which those are taken that meet the conditions; none where keys have no attributes.
    """

    model: TableModel
    network: Network
    conditions: Mapping[int, Bins]
    identifiers: Mapping[str, IdentifierForm]
    attributes: Mapping[str, str]
    engine: str
    tested: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    laws: tuple[Law, ...] = ()
    criteria: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    unconditioned: Sampler | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The parameters alone: the rest is made again in another process."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @cached_property
    def drawing(self) -> Drawing:
        """Drawing of bins and of places in them."""
        laws = [law for law in self.laws if law.sign == "->" and law.target not in self.tested]
        rules = [Rule(law, self.model.by_name) for law in laws]
        nodes = {bins.name: (place, bins) for place, bins in enumerate(self.network.structure.bins)}
        barred = {nodes[rule.law.target][0]: rule.rare_bins(nodes[rule.law.target][1]) for rule in rules}
        return Drawing(self.network, self.conditions, get_engine(self.engine), self._computed, barred)

    def _computed(self, order: Sequence[int]) -> dict[int, ComputedColumn]:
        """Columns that are computed in their turn, in an order of the nodes."""
        structure = self.network.structure
        places = {bins.name: place for place, bins in enumerate(structure.bins)}
        keeper = self._keeper.in_turn([structure.bins[place].name for place in order])

        def computed(keeper: LawKeeper, name: str, *, is_drawn: bool, is_learnt: bool = False) -> ComputedColumn:
            sources = tuple(sorted(places[other] for other in keeper.sources(name)))
            codes = partial(self._computed_codes, keeper, structure.bins[places[name]])
            return ComputedColumn(sources, is_drawn, is_learnt, codes)

        deciding = [law for law in keeper.laws if law.decides]
        of_laws = {
            places[law.target]: computed(
                keeper, law.target, is_drawn=Rule(law, keeper.columns).leaves_rows, is_learnt=law.is_learnt
            )
            for law in deciding
        }
        without_orders, rank = replace(keeper, laws=deciding), {place: at for at, place in enumerate(order)}
        twins = {
            place: computed(without_orders, structure.bins[place].name, is_drawn=True) for place in structure.twins
        }
        return of_laws | {
            place: twin for place, twin in twins.items() if all(rank[one] < rank[place] for one in twin.sources)
        }

    def _computed_codes(
        self, keeper: LawKeeper, bins: Bins, drawn: Mapping[int, tuple[Codes, Floats]]
    ) -> tuple[Codes, dict[int, Codes]]:
        """Bins of the values of a computed column, and codes of its parts by place."""
        structure = self.network.structure
        find = code_finder(self.model.by_name, bins, structure.parts, get_engine(self.engine))
        values = SampledColumns(self._values, drawn, keeper)
        codes, parts = find(values.kept)
        if bins.twin is not None and bins.name in self._tests:
            # A twin's number may lie in a bin that meets the condition in part.
            shares = self.conditions[self._values[bins.name][0]].shares
            meets = self._tests[bins.name](values.kept(bins.name))
            codes = np.where(meets, codes, codes.dtype.type(np.argmin(shares)))
        places = {part: place for place, part in enumerate(structure.parts, len(structure.bins))}
        return codes, {places[part]: own for part, own in parts.items()}

    @cached_property
    def _values(self) -> dict[str, tuple[int, Values]]:
        """Node of each modelled column, and the function that makes its values."""
        columns = self.model.by_name
        nodes = enumerate(self.network.structure.bins)
        make = partial(value_maker, columns, engine=get_engine(self.engine))
        return {bins.name: (place, make(bins, drawn=self.conditions.get(place))) for place, bins in nodes}

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the rows."""
        return pa.schema([(column.name, column.decoded_type) for column in self.model.columns])

    @cached_property
    def _tests(self) -> dict[str, Finder]:
        """Functions that mark the rows that meet a condition, by column."""
        return self._finders(self.tested)

    def _finders(self, criteria: Mapping[str, tuple[Any, ...]]) -> dict[str, Finder]:
        columns: Any = self.model
        return {name: finder_of(columns[name], met) for name, met in criteria.items()}

    @property
    def way(self) -> ConditionedTrees | FilteredRows:
        """How rows are drawn that meet the conditions, if enough do."""
        return self.drawing.trees if self._filtered is None else self._filtered

    @cached_property
    def _filtered(self) -> FilteredRows | None:
        if self.unconditioned is None:
            return None
        return FilteredRows(self.unconditioned, self._finders(self.criteria), self.drawing.trees.least_share)

    def rows(self, first_row: int, rows: int, seed: int) -> pa.RecordBatch:
        """Consecutive rows.

        Raises
        ------
        InputError
            Where hardly any row meets the conditions that are tested.
        """
        part = RowRange(first_row, rows)
        return self.batch(self.made(part, seed), part, seed)

    def made(self, part: RowRange, seed: int, *, is_whole: bool = False) -> MadeRows:
        """Values of consecutive rows; see `rows`.

        Parameters
        ----------
        part : RowRange
            The rows.
        seed : int
            The seed.
        is_whole : bool
            Whether there are no others under these conditions.
        """
        if self._filtered is not None and self._filtered.is_exact:
            return self._filtered.first(part.rows, Window(seed)) if is_whole else self._filtered.rows(part, seed)
        ranges = [*part.ranges(TESTED_ROWS if self.tested else BLOCK_ROWS)]
        first, *more = [self._rows_that_meet(own, seed) for own in ranges or [RowRange(part.first_row, 0)]]
        return first.joined(more)

    def batch(self, made: MadeRows, part: RowRange, seed: int) -> pa.RecordBatch:
        """All columns of consecutive rows, of the values of those that are modelled."""
        others = [column for column in self.model.columns if column.name not in self._values]
        arrays = unmodelled_columns(others, self.identifiers, part, seed, made.keys)
        arrays |= made.arrays
        return pa.RecordBatch.from_arrays([arrays[name] for name in self.schema.names], schema=self.schema)

    def generator(self, seed: int, model: tuple[str, bytes], flavor: Flavor | None) -> Generator:
        """Generator of files of the rows, whose metadata tells samples of another model or under others apart.

        Parameters
        ----------
        seed : int
            The seed.
        model : (str, bytes)
            All that the model's columns and its network are made of.
        flavor : {"spark"}, optional
            See `Generator`.
        """
        conditions = [(place, bins.mass.tolist()) for place, bins in self.conditions.items()]
        text = model[0] + repr((conditions, sorted(self.tested.items()), self.laws))
        digest = sha256(text.encode() + model[1]).hexdigest()
        described = {"gpuvgm.kind": "sample", "gpuvgm.seed": str(seed), "gpuvgm.digest": digest}
        return Generator(self.rows, self.schema, seed, BLOCK_ROWS, described, flavor)

    def executor(self, chosen: Any, threads: int | None, report: Any = None) -> LocalExecutor | DaskExecutor:
        """Executor that writes files of the rows: the cluster that was chosen, or this process."""
        source = TableSource("the sample", "path", pa.Table.from_batches([], self.schema))
        cluster = executor_for(chosen, source)
        return LocalExecutor(threads, report) if cluster is None else cluster.reporting(report)

    def batches(self, part: RowRange, seed: int, executor: LocalExecutor) -> list[pa.RecordBatch]:
        """Consecutive rows in blocks, drawn by the threads of an executor."""
        batches: list[pa.RecordBatch] = []
        executor.map_blocks(
            lambda block: self.rows(block.first_row, block.rows, seed), part.ranges(BLOCK_ROWS), batches.append
        )
        return batches

    def _draw(self, part: RowRange, seed: int, key_seed: int) -> DrawnRows:
        """Consecutive rows; which keys they have depends on the seed, what each key has on the other one."""
        numbers = key_numbers(self.identifiers, part, seed)
        drawn = self.drawing.rows(part.first_row, part.rows, seed, self._keys(numbers, key_seed))
        return DrawnRows(self._with_habits(drawn, numbers, part.first_row, key_seed), numbers)

    def _keys(self, numbers: KeyNumbers, seed: int) -> dict[int, KeyTable]:
        """By node, the keys that attributes are drawn for."""
        tables = _key_tables(self.identifiers, self.attributes, numbers, seed)
        nodes = enumerate(self.network.structure.nodes)
        return {place: tables[node.name] for place, node in nodes if node.name in tables}

    def _with_habits(self, drawn: Drawn, numbers: KeyNumbers, first_row: int, seed: int) -> Drawn:
        """Drawn rows with the days, times and values of their keys, as far as conditions allow."""
        structure, changed = self.network.structure, [*drawn]
        habits = [habit for habit in structure.habits if habit.column not in self.tested]
        if not habits:
            return drawn
        place_of = {bins.name: place for place, bins in enumerate(structure.bins)}
        places = {name: drawn[place][1] for name, place in place_of.items()}
        keys = {name: self._keys_of_habits(name, places, numbers) for name in {habit.key for habit in habits}}
        clocks = {bins.name: bins.clock for bins in structure.bins if bins.clock is not None}
        kept = [(habit, habit.rows(places, keys, first_row, seed)) for habit in habits]
        for name, readings in with_habits(kept, clocks, places, keys, seed).items():
            place = place_of[name]
            if place in self.conditions:
                readings = np.where(self.conditions[place].hold(readings), readings, places[name])
            changed[place] = drawn[place][0], readings
        for habit, at in kept:
            place = place_of[habit.column]
            if habit.part == "value" and place not in self.conditions:
                table = KeyTable.of(keys[habit.key][0][at], seed)
                codes, own = self.drawing.of_keys(place, habit.codes_of(table.numbers, seed), table, habit.stream)
                changed[place] = _with(changed[place][0], at, codes), _with(changed[place][1], at, own)
        return changed

    def _keys_of_habits(
        self, name: str, places: Mapping[str, Floats], numbers: KeyNumbers
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Number of each row's key, of a column of keys or of categories, and whether it has one."""
        column = self.model.by_name[name]
        if isinstance(column, CategoricalColumn):
            is_key = np.array([*(category is not MISSING for category in column.categories), False])
            own = np.minimum(places[name].astype(np.int64), len(column.categories))
            return own.astype(np.uint64), is_key[own]
        layout, level = self.identifiers[name].key, self.identifiers[name].level
        assert layout is not None
        of_rows = numbers[layout.group, level]
        return of_rows, layout.lacking_of(of_rows, level) == 0

    def _rows_that_meet(self, part: RowRange, seed: int) -> MadeRows:
        """Consecutive rows, each drawn again with further seeds until it meets all conditions and keeps all laws.

        A row that is drawn again has another key, so that attributes are those of its key.
        """
        made, unmet = self._made(self._draw(part, seed, seed), 0)
        for attempt in range(1, MOST_ATTEMPTS):
            if not unmet.any():
                return made
            again, own_seed = _ranges(unmet), seed_of_attempt(seed, attempt)
            draws = [self._draw(RowRange(part.first_row + own.first_row, own.rows), own_seed, seed) for own in again]
            others, are_unmet = self._made(reduce(DrawnRows.followed_by, draws), attempt)
            places = np.concatenate([np.arange(own.first_row, own.first_row + own.rows) for own in again])
            accepted = np.flatnonzero(unmet[places] & ~are_unmet)
            if len(accepted):
                made = made.replaced(places[accepted], others, accepted)
            unmet[places[accepted]] = False
            if attempt == FIRST_ATTEMPTS and unmet.all():
                break
        raise InputError(f"conditions: hardly any row of the model meets that on {listed([*self.tested])}; loosen it")

    @cached_property
    def _keeper(self) -> LawKeeper:
        """What makes rows keep the laws."""
        return LawKeeper(self.model.by_name, self.laws, origins_of(self.network.structure.bins))

    @property
    def period(self) -> int:
        """As of `Candidates`."""
        return int(period_of(self._in_turn).stops[-1])

    @property
    def keys_in_turn(self) -> list[tuple[str, int]]:
        """As of `Candidates`."""
        return [(self._in_turn.group, level) for level in range(len(self._in_turn.above) + 1)]

    @cached_property
    def _in_turn(self) -> KeyLayout:
        """Keys that have most attributes, whose rows follow each other."""
        groups = [group for group, _ in levels_of_attributes(self.identifiers, self.attributes).values()]
        return layouts_of(self.identifiers)[max(groups, key=groups.count)]

    @cached_property
    def pilot(self) -> tuple[MadeRows, int]:
        """As of `Candidates`."""
        keys = PILOT_KEYS if len(layouts_of(self.identifiers)) == 1 else MANY_PILOT_KEYS
        rows = int(min(max(PILOT_ROWS, keys * self._in_turn.rows_per_owner), MOST_PILOT_ROWS))
        return self.that_meet(Window(0), RowRange(0, rows), {})[0], rows

    def that_meet(
        self, window: Window, part: RowRange, tests: Mapping[str, Finder], passed: int = 0
    ) -> tuple[MadeRows, int]:
        """As of `Candidates`."""
        plain, order, seed = self._plain & tests.keys(), self.network.structure.order, window.seed
        stop = 1 + max((order.index(self._values[name][0]) for name in plain), default=-1)
        rows, first_row = replace(part, first_row=window.first_row + part.first_row), window.first_row + passed
        laps = [key_numbers(self.identifiers, *lap) for lap in window.laps(part)]
        numbers = {level: np.concatenate([lap[level] for lap in laps]) for level in laps[0]}
        in_turn = self._in_turn.numbers(rows, window.own_seed, by_key=True)
        numbers |= {(self._in_turn.group, level): own for level, own in enumerate(in_turn)}
        first = self.drawing.rows(rows.first_row, part.rows, seed, self._keys(numbers, seed), stop=stop)
        values = SampledColumns(self._values, dict(enumerate(first)), self._keeper)
        met = np.ones(part.rows, np.bool_)
        for name in plain:
            met &= tests[name](values.own(name))
        at = np.flatnonzero(met)
        numbers = {level: own[at] for level, own in numbers.items()}
        keys = self._keys(numbers, seed)
        of_rows = {place: (first[place][0][at], first[place][1][at]) for place in order[:stop] if place not in keys}
        drawn = self.drawing.rows(first_row, len(at), seed, keys, of_rows)
        made, unmet = self._made(DrawnRows(self._with_habits(drawn, numbers, first_row, seed), numbers), 0)
        for name, test in tests.items():
            unmet = unmet | ~test(made.arrays[name])
        return made.taken(np.flatnonzero(~unmet)), len(at)

    @cached_property
    def _plain(self) -> frozenset[str]:
        """Columns whose values are those that are drawn, by themselves: no law, habit or other column changes them."""
        structure = self.network.structure
        changed = self._keeper.changed.union(self._keeper.computed, (habit.column for habit in structure.habits))
        return frozenset(bins.name for bins in structure.bins if bins.made_of is None) - changed

    def _made(self, drawn: DrawnRows, attempt: int) -> tuple[MadeRows, NDArray[np.bool_]]:
        """Values of drawn rows that keep the laws, and which rows meet not all conditions and laws."""
        values = SampledColumns(self._values, dict(enumerate(drawn.nodes)), self._keeper)
        unmet = np.zeros(len(drawn.nodes[0][0]) if drawn.nodes else 0, np.bool_)
        arrays, unordered = self._keeper.ordered(values)
        arrays |= {name: values.kept(name) for name in self._values if name not in arrays}
        unmet |= unordered
        for beyond in values.beyond.values() if attempt < MOST_WITHIN else ():
            unmet |= beyond
        for name, test in self._tests.items():
            unmet = unmet | ~test(arrays[name])
        return MadeRows(arrays, drawn.keys), unmet


@dataclass(frozen=True, slots=True)
class SampledColumns:
    """Values of the columns of drawn rows, each made once.

    A closure that knows itself would keep what was drawn until Python collects garbage.

    Parameters
    ----------
    ways : mapping of str to (int, callable)
        Node of each column, and the function that makes its values.
    drawn : mapping of int to (ndarray, ndarray)
        Bins and places of the rows, by node.
    keeper : LawKeeper
        Laws, which columns are computed by.
    """

    ways: Mapping[str, tuple[int, Values]]
    drawn: Mapping[int, tuple[Codes, Floats]]
    keeper: LawKeeper
    cache: dict[str, Any] = field(default_factory=dict)
    computed: dict[str, Any] = field(default_factory=dict)
    beyond: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __call__(self, name: str) -> Any:
        """The values of a column, as others are counted from it: those drawn where it is computed of these."""
        return self.kept(name) if name in self.keeper.computed and not self.keeper.is_circular(name) else self.own(name)

    def own(self, name: str) -> Any:
        """The values of a column as they are drawn."""
        if name not in self.cache:
            place, values = self.ways[name]
            self.cache[name] = values(*self.drawn[place], self)
        return self.cache[name]

    def kept(self, name: str) -> Any:
        """The values of a column, computed if it is by a law."""
        if name not in self.keeper.computed:
            return self.own(name)
        if name not in self.computed:
            self.computed[name], self.beyond[name] = self.keeper.values(name, self.kept, self.own)
        return self.computed[name]
