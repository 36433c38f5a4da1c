"""Rows of a network of declared columns, by their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from gpuvgm.summary.grid import Floats, Ints
from gpuvgm.synthesis.bins import Bins
from gpuvgm.synthesis.conditions import as_list, check_names, two_ends
from gpuvgm.synthesis.drawing import Drawing
from gpuvgm.synthesis.private.declared import (
    LARGEST,
    MISSING_AT,
    CategoryColumn,
    Counted,
    Domain,
    NumberColumn,
    RunningColumn,
)
from gpuvgm.synthesis.private.model import GivenNetwork

DUST = 1e-9  # of a step, by which a value may be off it
Interval = tuple[float, float]


@dataclass(frozen=True)  # no slots: what draws rows is cached
class PrivateRows:
    """Rows of a model by their numbers.

    Parameters
    ----------
    domain : Domain
        The declared columns.
    network : GivenNetwork
        The network that they are drawn from.
    conditions : mapping of int to Bins
        See `Drawing`.
    engine : str
        Name of the engine that draws.
    """

    domain: Domain
    network: GivenNetwork
    conditions: Mapping[int, Bins]
    engine: str

    @classmethod
    def that_meet(
        cls, domain: Domain, network: GivenNetwork, conditions: Mapping[str, Any], engine: str
    ) -> PrivateRows:
        """Rows that meet conditions, which are as for `TableSynthesizer.sample`.

        Raises
        ------
        InputError
            For a condition that no row can meet, and for what is no value of its column.
        """
        check_names(conditions, domain.counted)
        restricted = {}
        for place, bins in enumerate(network.structure.bins):
            if bins.name in conditions:
                restricted[place] = _restricted(domain.counted[bins.name], bins, conditions[bins.name])
        rows = cls(domain, network, restricted, engine)
        if restricted:
            _ = rows._drawing.messages  # refuses what no row can meet together
        return rows

    def __getstate__(self) -> dict[str, Any]:
        """The parameters alone: the rest is made again in another process."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @cached_property
    def _drawing(self) -> Drawing:
        return Drawing(self.network, self.conditions, get_engine(self.engine))

    @cached_property
    def _own_cells(self) -> dict[str, Ints]:
        """For each bin of a column the cell that it is, if that is no ordinary one; else -1."""
        cells = {}
        for bins in self.network.structure.bins:
            column = self.domain.counted[bins.name]
            others = column.cells - column.ordinary if column.is_ordered else 0
            cells[bins.name] = np.concatenate((np.full(len(bins) - others, -1), column.ordinary + np.arange(others)))
        return cells

    def rows(self, first_row: int, rows: int, seed: int) -> pa.RecordBatch:
        """Consecutive rows."""
        bins, drawn = self.network.structure.bins, self._drawing.rows(first_row, rows, seed)
        arrays = {
            own.name: self.domain.counted[own.name].values(self._own_cells[own.name][codes], places)
            for own, (codes, places) in zip(bins, drawn, strict=True)
        }
        for column in self.domain.columns:
            if isinstance(column, RunningColumn):
                arrays[column.name] = pa.array(np.arange(rows) + (column.first + first_row), pa.int64())
        schema = self.domain.schema
        return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)


def _restricted(column: Counted, bins: Bins, condition: Any) -> Bins:
    """Bins of a column with the pieces, or parts of pieces, whose values meet a condition."""
    try:
        if isinstance(column, CategoryColumn):
            met = [column.piece_of(value) for value in as_list(condition) if not _is_missing(column, value)]
            met += [column.cells - 1] * (None in as_list(condition))
            restricted = replace(bins, mass=np.where(np.isin(bins.low, met), bins.mass, 0.0))
        else:
            restricted = _within(column, bins, [_interval(column, value) for value in as_list(condition)])
    except (ValueError, TypeError) as problem:
        raise InputError(f'conditions: column "{column.name}": {problem}') from None
    if not np.any(restricted.mass > 0):
        raise InputError(f'conditions: column "{column.name}": no value of the model meets {condition!r}')
    return restricted


def _is_missing(column: Counted, value: Any) -> bool:
    if isinstance(value, tuple) and isinstance(column, CategoryColumn):
        raise ValueError("its categories have no range: list them")
    if value is None and not column.missing:
        raise ValueError("no values are declared as missing")
    return value is None


def _interval(column: NumberColumn, value: Any) -> Interval:
    """Ends of a value or of a range; missing values have a place of their own."""
    if _is_missing(column, value):
        return MISSING_AT, MISSING_AT
    low, high = two_ends(value) if isinstance(value, tuple) else (value, value)
    first = -LARGEST if low is None else column.read(low)
    last = LARGEST if high is None else column.read(high)
    if first > last:
        raise ValueError(f"the range {value!r} ends before it begins")
    return first, last


def _within(column: NumberColumn, bins: Bins, intervals: list[Interval]) -> Bins:
    """Bins with the parts of their pieces that lie in intervals, of which none overlap another."""
    disjoint: list[Interval] = []
    for low, high in sorted(intervals):
        if disjoint and low <= disjoint[-1][1]:
            low, high = disjoint[-1][0], max(high, disjoint.pop()[1])
        disjoint.append((low, high))
    parts = [_part(column, bins, low, high) for low, high in disjoint]
    piece_bins = np.tile(np.repeat(np.arange(len(bins)), np.diff(bins.first)), len(parts))
    order = np.argsort(piece_bins, kind="stable")
    mass, low_ends, high_ends = (np.concatenate(ends)[order] for ends in zip(*parts, strict=True))
    return replace(bins, first=bins.first * len(parts), mass=mass, low=low_ends, high=high_ends)


def _part(column: NumberColumn, bins: Bins, low: float, high: float) -> tuple[Floats, Floats, Floats]:
    """Mass and ends of the part of each piece that lies in an interval."""
    is_single = bins.low == bins.high
    is_met = (bins.low >= low) & (bins.low <= high)
    if column.step:  # whole steps lie in it
        low = column.low + (np.ceil((low - column.low) / column.step - DUST) - 0.5) * column.step
        high = column.low + (np.floor((high - column.low) / column.step + DUST) + 0.5) * column.step
    first, last = np.clip(bins.low, low, high), np.clip(bins.high, low, high)
    share = (last - first) / np.where(is_single, 1.0, bins.high - bins.low)
    share = np.where(is_single, is_met, share)
    return bins.mass * share, np.where(is_single, bins.low, first), np.where(is_single, bins.high, last)
