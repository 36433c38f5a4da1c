"""Batches of synthetic rows: all columns of the training table, in their order and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column
from gpuvgm.columns.model import TableModel
from gpuvgm.datasets.ranges import RowRange
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError, listed
from gpuvgm.synthesis.bins import Bins
from gpuvgm.synthesis.conditions import Interval, interval_finder
from gpuvgm.synthesis.drawing import Drawing, Drawn, KeyTable
from gpuvgm.synthesis.identifiers import IdentifierForm, KeyNumbers, key_numbers, layouts_of, levels_of_attributes
from gpuvgm.synthesis.network import Network
from gpuvgm.synthesis.streams import seed_of_attempt
from gpuvgm.synthesis.values import Values, unmodelled_columns, value_maker

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

    def replaced(self, mask: NDArray[np.bool_], other: DrawnRows) -> DrawnRows:
        """Other rows where a mask says so."""
        pairs = zip(self.nodes, other.nodes, strict=True)
        nodes = [(np.where(mask, new[0], own[0]), np.where(mask, new[1], own[1])) for own, new in pairs]
        return DrawnRows(nodes, {level: np.where(mask, other.keys[level], own) for level, own in self.keys.items()})


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
        Intervals of columns of datetimes that are counted from others, as `read_intervals` gives them: rows are drawn
        until they lie in them.
    skipped : int
        Periods of keys before those of the rows, so that rows under other conditions have other keys.
    """

    model: TableModel
    network: Network
    conditions: Mapping[int, Bins]
    identifiers: Mapping[str, IdentifierForm]
    attributes: Mapping[str, str]
    engine: str
    tested: Mapping[str, tuple[Interval | None, ...]] = field(default_factory=dict)
    skipped: int = 0

    def __getstate__(self) -> dict[str, Any]:
        """The parameters alone: the rest is made again in another process."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @cached_property
    def drawing(self) -> Drawing:
        """Drawing of bins and of places in them."""
        return Drawing(self.network, self.conditions, get_engine(self.engine))

    @cached_property
    def _values(self) -> dict[str, tuple[int, Values]]:
        """Node of each modelled column, and the function that makes its values."""
        columns = self.model.by_name
        nodes = enumerate(self.network.structure.bins)
        return {bins.name: (place, value_maker(columns, bins, self.conditions.get(place))) for place, bins in nodes}

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the rows."""
        return pa.schema([(column.name, column.decoded_type) for column in self.model.columns])

    @cached_property
    def _tests(self) -> dict[str, Callable[[Column], NDArray[np.bool_]]]:
        """Functions that mark the rows that meet a condition, by column."""
        columns: Any = self.model
        return {name: interval_finder(columns[name], intervals) for name, intervals in self.tested.items()}

    def rows(self, first_row: int, rows: int, seed: int) -> pa.RecordBatch:
        """Consecutive rows.

        Raises
        ------
        InputError
            Where hardly any row meets the conditions that are tested.
        """
        if self.tested and rows:
            starts = range(first_row, first_row + rows, TESTED_ROWS)
            parts = [self._rows_that_meet(start, min(TESTED_ROWS, first_row + rows - start), seed) for start in starts]
            drawn = reduce(DrawnRows.followed_by, parts)
        else:
            drawn = self._draw(RowRange(first_row, rows), seed, seed)
        values = SampledColumns(self._values, drawn.nodes)
        others = [column for column in self.model.columns if column.name not in self._values]
        arrays = unmodelled_columns(others, self.identifiers, RowRange(first_row, rows), seed, drawn.keys)
        arrays |= {name: values(name) for name in self._values}
        return pa.RecordBatch.from_arrays([arrays[name] for name in self.schema.names], schema=self.schema)

    def _draw(self, part: RowRange, seed: int, key_seed: int) -> DrawnRows:
        """Consecutive rows; which keys they have depends on the seed, what each key has on the other one."""
        numbers = key_numbers(self.identifiers, part, seed, self.skipped)
        tables = _key_tables(self.identifiers, self.attributes, numbers, key_seed)
        nodes = enumerate(self.network.structure.nodes)
        keys = {place: tables[node.name] for place, node in nodes if node.name in tables}
        return DrawnRows(self.drawing.rows(part.first_row, part.rows, seed, keys), numbers)

    def _rows_that_meet(self, first_row: int, rows: int, seed: int) -> DrawnRows:
        """Consecutive rows, each drawn again with further seeds until it meets all conditions.

        A row that is drawn again has another key, so that attributes are those of its key.
        """
        part = RowRange(first_row, rows)
        drawn = self._draw(part, seed, seed)
        unmet = ~self._meet(drawn.nodes)
        for attempt in range(1, MOST_ATTEMPTS):
            if not unmet.any():
                return drawn
            new_draws = self._draw(part, seed_of_attempt(seed, attempt), seed)
            accepted = unmet & self._meet(new_draws.nodes)
            drawn = drawn.replaced(accepted, new_draws)
            unmet &= ~accepted
            if attempt == FIRST_ATTEMPTS and unmet.all():
                break
        raise InputError(f"conditions: hardly any row of the model meets that on {listed([*self.tested])}; loosen it")

    def _meet(self, draws: Drawn) -> NDArray[np.bool_]:
        """Mark the rows that meet all tested conditions."""
        values = SampledColumns(self._values, draws)
        meets: NDArray[np.bool_] = np.logical_and.reduce([test(values(name)) for name, test in self._tests.items()])
        return meets


@dataclass(frozen=True, slots=True)
class SampledColumns:
    """Values of the columns of drawn rows, each made once.

    A closure that knows itself would keep what was drawn until Python collects garbage.

    Parameters
    ----------
    ways : mapping of str to (int, callable)
        Node of each column, and the function that makes its values.
    drawn : sequence of (ndarray, ndarray)
        Bins and places of the rows, by node.
    """

    ways: Mapping[str, tuple[int, Values]]
    drawn: Drawn
    cache: dict[str, Any] = field(default_factory=dict)

    def __call__(self, name: str) -> Any:
        """The values of a column."""
        if name not in self.cache:
            place, values = self.ways[name]
            self.cache[name] = values(*self.drawn[place], self)
        return self.cache[name]
