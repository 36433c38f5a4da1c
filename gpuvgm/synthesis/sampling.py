"""Batches of synthetic rows: all columns of the training table, in their order and types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from gpuvgm.columns.model import TableModel
from gpuvgm.engines import get_engine
from gpuvgm.synthesis.bins import Bins
from gpuvgm.synthesis.drawing import Drawing
from gpuvgm.synthesis.identifiers import IdentifierForm
from gpuvgm.synthesis.network import Network
from gpuvgm.synthesis.values import Values, sampled_type, unmodelled_values, values_of


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
        How identifiers of text look.
    engine : str
        Name of the engine that draws.
    """

    model: TableModel
    network: Network
    conditions: Mapping[int, Bins]
    identifiers: Mapping[str, IdentifierForm]
    engine: str

    def __getstate__(self) -> dict[str, Any]:
        """The parameters alone: the rest is made again in another process."""
        return {name: getattr(self, name) for name in ("model", "network", "conditions", "identifiers", "engine")}

    @cached_property
    def drawing(self) -> Drawing:
        """What draws bins and places in them."""
        return Drawing(self.network, self.conditions, get_engine(self.engine))

    @cached_property
    def _values(self) -> dict[str, tuple[int, Values]]:
        """Node of each column that is modelled, and what makes its values."""
        nodes = enumerate(self.network.structure.bins)
        return {bins.name: (place, values_of(self.model[bins.name], bins)) for place, bins in nodes}

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the rows."""
        return pa.schema([(column.name, sampled_type(column)) for column in self.model.columns])

    def rows(self, first_row: int, rows: int, seed: int) -> pa.RecordBatch:
        """Consecutive rows."""
        drawn = self.drawing.rows(first_row, rows, seed)
        arrays = []
        for column in self.model.columns:
            if column.name in self._values:
                place, values = self._values[column.name]
                arrays.append(values(*drawn[place]))
            else:
                arrays.append(unmodelled_values(column, self.identifiers.get(column.name), first_row, rows, seed))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
