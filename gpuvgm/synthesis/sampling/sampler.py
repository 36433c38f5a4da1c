"""Batches of synthetic rows: all columns of the training table, in their order and types."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from hashlib import sha256
from typing import Any

import pyarrow as pa

from gpuvgm.columns import TableModel
from gpuvgm.config import BLOCK_ROWS, Flavor
from gpuvgm.datasets import Generator, RowRange
from gpuvgm.execution import LocalExecutor
from gpuvgm.synthesis.bins import Bins
from gpuvgm.synthesis.counts import Network
from gpuvgm.synthesis.drawing import (
    ConditionedTrees,
    Drawing,
    FilteredRows,
    MadeRows,
    Window,
    unmodelled_columns,
)
from gpuvgm.synthesis.keys import RowsBeside
from gpuvgm.synthesis.sampling.candidates import KeyAfterKey
from gpuvgm.synthesis.sampling.rows import RowDrawer

TESTED_ROWS = 1 << 12  # that are drawn again together


class BatchSampler(ABC):
    """Draws rows by their numbers, in batches and into files."""

    @property
    @abstractmethod
    def model(self) -> TableModel:
        """The fitted columns."""

    @property
    @abstractmethod
    def choices(self) -> str:
        """What tells samples of a model apart, beside their seed, such as conditions."""

    @abstractmethod
    def rows(self, first_row: int, rows: int, seed: int) -> pa.RecordBatch:
        """Consecutive rows."""

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the rows."""
        return pa.schema([(column.name, column.decoded_type) for column in self.model.columns])

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
        digest = sha256((model[0] + self.choices).encode() + model[1]).hexdigest()
        described = {"gpuvgm.kind": "sample", "gpuvgm.seed": str(seed), "gpuvgm.digest": digest}
        return Generator(self.rows, self.schema, seed, BLOCK_ROWS, described, flavor)

    def batches(self, part: RowRange, seed: int, executor: LocalExecutor) -> list[pa.RecordBatch]:
        """Consecutive rows in blocks, drawn by the threads of an executor."""
        batches: list[pa.RecordBatch] = []
        executor.map_blocks(
            lambda block: self.rows(block.first_row, block.rows, seed), part.ranges(BLOCK_ROWS), batches.append
        )
        return batches


@dataclass(frozen=True)  # no slots: what draws rows is cached
class Sampler(BatchSampler):
    """Rows of a model by their numbers.

    Parameters
    ----------
    drawer : RowDrawer
        Draws rows that meet the conditions.
    criteria : mapping of str to tuple
        What meets each condition, as `read_condition` gives it.
    unconditioned : Sampler, optional
        Rows without conditions, of which those are taken that meet the conditions; none where keys have no attributes.
    """

    drawer: RowDrawer
    criteria: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    unconditioned: Sampler | None = None

    @classmethod
    def of(cls, model: TableModel, network: Network, conditions: Mapping[int, Bins], engine: str) -> Sampler:
        """Sampler of a table without keys and laws; see `RowDrawer`."""
        return cls(RowDrawer(model, network, conditions, {}, {}, engine))

    def __getstate__(self) -> dict[str, Any]:
        """The parameters alone: the rest is made again in another process."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @property
    def model(self) -> TableModel:
        """The fitted columns."""
        return self.drawer.model

    @property
    def drawing(self) -> Drawing:
        """Drawing of bins and of places in them."""
        return self.drawer.drawing

    @property
    def choices(self) -> str:
        """Conditions and laws."""
        conditions = [(place, bins.mass.tolist()) for place, bins in self.drawer.conditions.items()]
        return repr((conditions, sorted(self.drawer.tested.items()), self.drawer.laws))

    @property
    def way(self) -> ConditionedTrees | FilteredRows:
        """How rows are drawn that meet the conditions, if enough do."""
        return self.drawing.trees if self._filtered is None else self._filtered

    @cached_property
    def _filtered(self) -> FilteredRows | None:
        if self.unconditioned is None:
            return None
        candidates = KeyAfterKey(self.unconditioned.drawer)
        return FilteredRows(candidates, self.drawer.finders(self.criteria), self.drawing.trees.least_share)

    def check_laws(self) -> None:
        """Raise InputError where too few rows keep laws that are objects."""
        (self.unconditioned or self).drawer.check_laws()

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
        ranges = [*part.ranges(TESTED_ROWS if self.drawer.tested else BLOCK_ROWS)]
        first, *further = [self.drawer.rows(rows.numbers, seed) for rows in ranges or [RowRange(part.first_row, 0)]]
        return first.joined(further)

    def batch(self, made: MadeRows, part: RowRange, seed: int, *, is_alone: bool = False) -> pa.RecordBatch:
        """All columns of consecutive rows, of the values of those that are modelled.

        Parameters
        ----------
        made : MadeRows
            The values.
        part : RowRange
            The rows.
        seed : int
            The seed.
        is_alone : bool
            Whether texts that depend on rows before depend on these rows alone.
        """
        modelled = self.drawer.place_of
        unmodelled = [column for column in self.model.columns if column.name not in modelled]
        alone = RowsBeside(part, self.model.by_name, made.arrays, made.keys)
        beside = alone if is_alone else self._beside(made, part, seed)
        arrays = unmodelled_columns(unmodelled, self.drawer.identifiers, part, seed, beside)
        arrays |= made.arrays
        return pa.RecordBatch.from_arrays([arrays[name] for name in self.schema.names], schema=self.schema)

    def _beside(self, made: MadeRows, part: RowRange, seed: int) -> RowsBeside:
        """Consecutive rows, of which some are made, with those before them that their texts depend on."""
        needed = RowsBeside.needed(self.drawer.identifiers, part, self._window)
        before = part.first_row - needed.first_row
        rows = self.made(RowRange(needed.first_row, before), seed).joined([made]) if before else made
        return RowsBeside(needed, self.model.by_name, rows.arrays, rows.keys, self._first_period, self._window)

    def _first_period(self, rows: int) -> RowsBeside:
        """The first rows, whatever the seed: they tell how many texts of a period have one date."""
        if rows not in self._first_periods:
            part = RowRange(0, rows)
            self._first_periods[rows] = self._beside(self.made(part, 0), part, 0)
        return self._first_periods[rows]

    @cached_property
    def _first_periods(self) -> dict[int, RowsBeside]:
        return {}

    @cached_property
    def _window(self) -> int:
        """Rows after which keys are others, where these are no longer laid out."""
        return 0 if self._filtered is None or not self._filtered.is_exact else self._filtered.window
