"""Batches of synthetic rows: all columns of the training table, in their order and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column
from gpuvgm.columns.model import TableModel
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError, listed
from gpuvgm.synthesis.bins import Bins
from gpuvgm.synthesis.conditions import Interval, interval_finder
from gpuvgm.synthesis.drawing import Drawing, Drawn
from gpuvgm.synthesis.identifiers import IdentifierForm
from gpuvgm.synthesis.network import Network
from gpuvgm.synthesis.streams import seed_of_attempt
from gpuvgm.synthesis.values import Values, unmodelled_values, value_maker

TESTED_ROWS = 1 << 12  # that are drawn again together
FIRST_ATTEMPTS = 1000  # in which one of the rows must meet the conditions
MOST_ATTEMPTS = 10_000  # for a row; where one row of 400 meets the conditions, one of 10^10 is not drawn in so many


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
    engine : str
        Name of the engine that draws.
    tested : mapping of str to tuple
        Intervals of columns of datetimes that are counted from others, as `read_intervals` gives them: rows are drawn
        until they lie in them.
    """

    model: TableModel
    network: Network
    conditions: Mapping[int, Bins]
    identifiers: Mapping[str, IdentifierForm]
    engine: str
    tested: Mapping[str, tuple[Interval | None, ...]] = field(default_factory=dict)

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
        return {bins.name: (place, value_maker(columns, bins)) for place, bins in nodes}

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
            node_draws = [
                (np.concatenate([codes for codes, _ in node]), np.concatenate([numbers for _, numbers in node]))
                for node in zip(*parts, strict=True)
            ]
        else:
            node_draws = self.drawing.rows(first_row, rows, seed)
        values = SampledColumns(self._values, node_draws)
        arrays = [
            values(column.name)
            if column.name in self._values
            else unmodelled_values(column, self.identifiers.get(column.name), first_row, rows, seed)
            for column in self.model.columns
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _rows_that_meet(self, first_row: int, rows: int, seed: int) -> Drawn:
        """Consecutive rows, each drawn again with further seeds until it meets all conditions."""
        draws = self.drawing.rows(first_row, rows, seed)
        unmet = ~self._meet(draws)
        for attempt in range(1, MOST_ATTEMPTS):
            if not unmet.any():
                return draws
            new_draws = self.drawing.rows(first_row, rows, seed_of_attempt(seed, attempt))
            accepted = unmet & self._meet(new_draws)
            draws = [
                (np.where(accepted, codes, old_codes), np.where(accepted, numbers, old_numbers))
                for (codes, numbers), (old_codes, old_numbers) in zip(new_draws, draws, strict=True)
            ]
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
