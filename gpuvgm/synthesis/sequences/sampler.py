"""Rows of keys by their numbers: keys are drawn first, then the first rows of all of them, then the next ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.columns import NumericColumn, TableModel
from gpuvgm.datasets import RowRange
from gpuvgm.execution import LocalExecutor
from gpuvgm.io import taken
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.drawing import MadeRows, within_range
from gpuvgm.synthesis.keys import seed_of_attempt
from gpuvgm.synthesis.learning import RowModel
from gpuvgm.synthesis.sampling import BatchSampler, RowDrawer, Sampler
from gpuvgm.synthesis.sequences.blocks import KeyBlock, KeyBlocks, KeysInTurn, LaidOutKeys
from gpuvgm.synthesis.sequences.fitting import RowsOfKeys
from gpuvgm.synthesis.sequences.model import SequenceModel
from gpuvgm.synthesis.sequences.names import COUNT, PLACE, REMAINING, after, before
from gpuvgm.synthesis.sequences.occurrences import as_text
from gpuvgm.synthesis.sequences.recency import Recency, RecentValues
from gpuvgm.synthesis.sequences.rows import numbers_in_order, start_of
from gpuvgm.synthesis.sequences.steps import Recall, Step, columns_by_themselves, given_columns, readings_of
from gpuvgm.synthesis.sequences.tables import paces

OF_ROWS = -1  # in place of an attempt: seed of what is drawn row after row


@dataclass(frozen=True)  # no slots: what draws rows is cached
class SequenceSampler(BatchSampler):
    """Rows of a model of sequences by their numbers.

    Parameters
    ----------
    sequences : SequenceModel
        The model.
    engine : str
        Name of the engine that draws.
    conditioned : Sampler, optional
        Keys that meet conditions, each with the rows that it is drawn with.
    """

    sequences: SequenceModel
    engine: str
    conditioned: Sampler | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The parameters alone: the rest is made again in another process."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @property
    def model(self) -> TableModel:
        """The fitted columns."""
        return self.sequences.table

    @property
    def choices(self) -> str:
        """What tells samples of a model apart: conditions, and what is no part of its network."""
        conditions = "" if self.conditioned is None else self.conditioned.choices
        return repr((self.sequences.plan, self.sequences.layout, self.sequences.totals, conditions))

    def part(self, first_key: int, keys: int, seed: int) -> RowRange:
        """Rows of consecutive keys."""
        first_row, stop = (self._blocks.rows_before(key, seed) for key in (first_key, first_key + keys))
        return RowRange(first_row, stop - first_row)

    def keys_of(self, part: RowRange, seed: int) -> RowRange:
        """Numbers of the keys of consecutive rows, where none are to meet conditions."""
        return LaidOutKeys(self._keys, self._are_whole, self.sequences.layout).keys_of(part, seed)

    def rows(self, first_row: int, rows: int, seed: int) -> pa.RecordBatch:
        """Consecutive rows."""
        part = RowRange(first_row, rows)
        drawn = [(block.part.first_row, self._of_block(block, seed)) for block in self._blocks.of_rows(part, seed)]
        return self._joined(drawn, part)

    def batches(self, part: RowRange, seed: int, executor: LocalExecutor) -> list[pa.RecordBatch]:
        """Consecutive rows, drawn by the threads of an executor."""
        drawn: list[tuple[int, pa.RecordBatch]] = []
        blocks = self._blocks.of_rows(part, seed)
        executor.map_blocks(lambda block: (block.part.first_row, self._of_block(block, seed)), blocks, drawn.append)
        batches: list[pa.RecordBatch] = self._cut(drawn, part).to_batches()
        return batches

    def _joined(self, drawn: Sequence[tuple[int, pa.RecordBatch]], part: RowRange) -> pa.RecordBatch:
        """These rows as one batch."""
        batches = self._cut(drawn, part).combine_chunks().to_batches()
        return next(iter(batches), pa.RecordBatch.from_pylist([], self.schema))

    def _cut(self, drawn: Sequence[tuple[int, pa.RecordBatch]], part: RowRange) -> pa.Table:
        """Rows of a range, of blocks that follow each other, each with the number of its first row."""
        skipped = part.first_row - drawn[0][0] if drawn else 0
        return pa.Table.from_batches([batch for _, batch in drawn], self.schema).slice(skipped, part.rows)

    def of_parents(
        self, keys: RowRange, first_row: int, parents: Mapping[str, Any], counts: Ints, seed: int
    ) -> pa.RecordBatch:
        """All rows of keys of which columns are given, and how many rows each has.

        Parameters
        ----------
        keys : RowRange
            Numbers of the keys.
        first_row : int
            Number of their first row.
        parents : mapping of str to Array
            The columns that are given.
        counts : ndarray of shape (keys,), int64
            Rows of each key, from 1 on.
        seed : int
            The seed.
        """
        drawer, given = self._keys.drawer, {**parents, COUNT: pa.array(counts)}
        made = drawer.rows(keys.numbers, seed, given_columns(drawer, given))
        made = replace(made, arrays={**made.arrays, **given})
        return self._of_block(KeyBlock(keys, RowRange(first_row, int(counts.sum())), counts, made), seed)

    def totals(self, keys: Mapping[str, Any], rows: Mapping[str, Any], counts: Ints) -> dict[str, Any]:
        """Given columns of keys that laws make of their rows, and what other laws make of these.

        Parameters
        ----------
        keys, rows : mapping of str to Array
            Columns of the keys, and those of their rows, key after key.
        counts : ndarray of shape (keys,), int64
            Rows of each key.
        """
        if not self.sequences.totals:
            return {}
        totalled = RowsOfKeys(self.sequences, counts).with_totals(keys, rows)
        return {name: column for name, column in totalled.items() if column is not keys[name]}

    def _of_block(self, block: KeyBlock, seed: int) -> pa.RecordBatch:
        """All rows of the keys of a block."""
        # Keys with more rows come first, so that those with a further row are always the first ones.
        order = np.argsort(-block.counts, kind="stable")
        made = self._drawn(block.made.taken(order).arrays, block.counts[order], block.keys.numbers[order], seed)
        places = range(int(block.counts.max()))
        keys = np.concatenate([order[: np.count_nonzero(block.counts > place)] for place in places])
        fitting = RowsOfKeys(self.sequences, block.counts)
        made = made.taken(np.argsort(keys, kind="stable"))
        # Texts hold the dates, and numbers rise with the times, that rows have at last.
        arrays = fitting.used_up(block.made.arrays, fitting.within_range(made.arrays))
        made = replace(made, arrays=fitting.rounded(block.made.arrays, fitting.balanced(arrays)))
        rows = self._steps.batch(made, block.part, seed, is_alone=True)
        of_keys = self._keys.batch(block.made, block.keys, seed, is_alone=True)
        return self._table(of_keys, rows, fitting)

    def _drawn(self, keys: Mapping[str, Any], counts: Ints, numbers: NDArray[np.uint64], seed: int) -> MadeRows:
        """Rows of keys: all first ones, then all second ones, and so on.

        Parameters
        ----------
        keys : mapping of str to Array
            Columns of the keys, of which those with more rows come first.
        counts : ndarray of shape (keys,), int64
            Rows of each key.
        numbers : ndarray of shape (keys,), uint64
            Numbers of the keys.
        seed : int
            The seed.
        """
        plan, made = self.sequences.plan, list[MadeRows]()
        (recalled, drawer), going_on = self._of_first, self._of_others
        seed_of_rows = seed_of_attempt(seed, OF_ROWS)
        occurred = {occurrence: np.zeros(len(counts), np.bool_) for occurrence in plan.occurrences}
        of_keys, columns = given_columns(drawer, columns_by_themselves(drawer, keys)), self.sequences.columns
        readings: dict[str, list[Floats]] = {name: [] for name in plan.distinct}
        recalls = [Recall(*of_column, RecentValues.of_none(len(counts))) for of_column in recalled]
        for place in range(int(counts[0])):
            several = int(np.count_nonzero(counts > place))
            asked = {name: array[:several] for name, array in keys.items()}
            if place == 1:
                drawer = going_on[1]
                recalls = [replace(recall, drawer=of) for recall, (_, of) in zip(recalls, going_on[0], strict=True)]
            asked[PLACE] = pa.array(np.full(several, place + 1))
            asked[REMAINING] = pa.array(counts[:several] - place - 1)
            asked |= {before(name): self._before(name, made, keys, several) for name in plan.remembered}
            for handed in plan.handed_over if made else ():
                former, own = (made[-1].arrays[name][:several] for name in (handed.former, handed.column))
                asked[handed.column] = handed.of_rows(former, own, drawer.model.by_name[handed.column])
            asked |= {after(name): self._after(name, made, several) for name in plan.places}
            for occurrence, has_been in occurred.items():
                if made:
                    former = made[-1].arrays[occurrence.column][:several]
                    has_been[:several] |= occurrence.is_in(former, columns[occurrence.column])
                asked[occurrence.name] = as_text(has_been[:several])
            if plan.is_paced:
                first = made[0].arrays[plan.index][:several] if made else asked[before(plan.index)]
                asked |= paces(columns[plan.index], asked, first)
            recalls = [replace(recall, recent=recall.recent.at(slice(several))) for recall in recalls]
            asked |= {recall.recency.variety: pa.array(recall.recent.varieties) for recall in recalls}
            given = given_columns(drawer, asked, of_keys.first(several))
            bounds = self._bounds(asked, made, counts[:several] - place - 1)
            seeds = seed_of_attempt(seed_of_rows, place), seed_of_rows
            step = Step(drawer, numbers[:several], given, seeds, columns, bounds, recalls)
            made.append(self._within_range(step.rows(readings)))
            recalls = [replace(recall, recent=recall.after(made[-1])) for recall in recalls]
            for name, of_places in readings.items():
                of_places.append(readings_of(columns[name], made[-1].arrays[name]))
        return made[0].joined(made[1:])

    def _bounds(
        self, keys: Mapping[str, Any], made: list[MadeRows], remaining: Ints
    ) -> dict[str, tuple[Floats, Floats]]:
        """Lowest and highest number of each column that rises, such that there is room for the rows that follow."""
        columns: Any = self.model.by_name
        unknown, bounds = np.full(len(remaining), np.nan), dict[str, tuple[Floats, Floats]]()
        rising = self.sequences.plan.rising
        room = {rise.column: rise.room(remaining) for rise in rising if rise.former == rise.column}
        for rise in rising:
            varying = rise.former if rise.column in keys else rise.column
            lowest, highest = bounds.get(varying, (unknown, unknown))
            if rise.column in keys:
                last = numbers_in_order(columns[rise.column], keys[rise.column]) - rise.step
                highest = np.fmin(highest, last - room.get(varying, 0))
            elif rise.former in keys:
                lowest = np.fmax(lowest, numbers_in_order(columns[rise.former], keys[rise.former]) + rise.step)
            elif made:
                former = made[-1].arrays[rise.former][: len(remaining)]
                lowest = np.fmax(lowest, numbers_in_order(columns[rise.former], former) + rise.step)
            if rise.former == rise.column and isinstance(columns[rise.column], NumericColumn):
                highest = np.fmin(highest, columns[rise.column].plain_range[1] - room[varying])
            bounds[varying] = lowest, highest
        return bounds

    def _before(self, name: str, made: list[MadeRows], keys: Mapping[str, Any], several: int) -> Any:
        """What a column has in the rows before, of the first keys."""
        if made:
            return made[-1].arrays[name][:several]
        type_: Any = self._steps.model.by_name[before(name)].decoded_type
        start = self.sequences.plan.starts.get(name)
        if start is None:
            return pa.nulls(several, type_)
        return start_of(type_, several, keys[start][:several] if start else None)

    @staticmethod
    def _after(name: str, made: list[MadeRows], several: int) -> Any:
        """What a number of rows within a period is in the next rows of the first keys, if the period goes on."""
        return pc.add(made[-1].arrays[name][:several], 1) if made else pa.array(np.ones(several, np.int64))

    def _within_range(self, rows: MadeRows) -> MadeRows:
        """Rows whose numbers that are counted since those before are in the table's range; the index may go on."""
        columns, plan = self.model.by_name, self.sequences.plan
        names = (name for name in plan.moving if name != plan.index)
        moved = {name: within_range(columns[name], rows.arrays[name]) for name in names}
        return replace(rows, arrays={**rows.arrays, **moved})

    def _table(self, keys: pa.RecordBatch, rows: pa.RecordBatch, fitting: RowsOfKeys) -> pa.RecordBatch:
        """Columns of the table, of those of keys and those of their rows, key after key."""
        of_rows: dict[str, Any] = {name: rows.column(name) for name in self.sequences.plan.varying}
        of_keys = fitting.with_totals(dict(zip(keys.schema.names, keys.columns, strict=True)), of_rows)
        arrays = of_rows | {name: taken(array, fitting.keys) for name, array in of_keys.items()}
        return pa.RecordBatch.from_arrays([arrays[name] for name in self.schema.names], schema=self.schema)

    @cached_property
    def _blocks(self) -> KeyBlocks:
        """Numbers of keys and their rows."""
        if self.conditioned is None:
            return LaidOutKeys(self._keys, self._are_whole, self.sequences.layout)
        return KeysInTurn(self._keys, self._are_whole)

    @property
    def _are_whole(self) -> bool:
        """Whether all keys of a block are drawn together, as texts are numbered among its rows."""
        return any(form.in_groups for form in self.sequences.forms.values())

    @cached_property
    def _keys(self) -> Sampler:
        given = frozenset((COUNT, *self.sequences.plan.given))
        return self.conditioned or Sampler(self._drawer(self.sequences.keys, given))

    @cached_property
    def _steps(self) -> Sampler:
        return Sampler(self._drawer(self.sequences.steps, self.sequences.given))

    @cached_property
    def _of_first(self) -> tuple[list[tuple[Recency, RowDrawer]], RowDrawer]:
        """What draws first rows; see `_recalling`."""
        return self._recalling(self.sequences.given)

    @cached_property
    def _of_others(self) -> tuple[list[tuple[Recency, RowDrawer]], RowDrawer]:
        """What draws all others, which take columns over."""
        taken_over = self.sequences.plan.taken_over
        return self._recalling(self.sequences.given.union(taken_over)) if taken_over else self._of_first

    def _recalling(self, given: frozenset[str]) -> tuple[list[tuple[Recency, RowDrawer]], RowDrawer]:
        """Columns of which values come back, and no law computes, and what draws each; and rows given all of them."""
        steps, structure = self.sequences.steps, self.sequences.steps.network.structure
        order, computed = [*structure.order], {law.target for law in steps.kept_laws.deciding}
        recencies = [recency for recency in self.sequences.plan.recencies if recency.column not in computed]
        recencies.sort(key=lambda recency: order.index(structure.place_of[recency.column]))
        recalled = []
        for recency in recencies:
            recalled.append((recency, self._drawer(steps, given)))
            given = given | {*recency.drawn, recency.column}
        return recalled, self._drawer(steps, given)

    def _drawer(self, model: RowModel, given: frozenset[str]) -> RowDrawer:
        """What draws rows of a model, given some of its columns."""
        laws = model.kept_laws
        return RowDrawer(
            model.table, model.network, {}, model.forms, model.attributes, self.engine, laws=laws, given=given
        )
