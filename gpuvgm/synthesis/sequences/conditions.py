"""Samples of models of sequences: of keys that meet conditions, and of keys of which some row does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns import FittedColumn
from gpuvgm.datasets import RowRange
from gpuvgm.errors import InputError, counted, listed
from gpuvgm.execution import LocalExecutor
from gpuvgm.io import Source
from gpuvgm.rules import whole
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import check_names, row_finders
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings
from gpuvgm.synthesis.sampling import BatchSampler, TableSampler, sampler_under
from gpuvgm.synthesis.sequences.blocks import KeyBlock
from gpuvgm.synthesis.sequences.model import SequenceModel
from gpuvgm.synthesis.sequences.names import COUNT
from gpuvgm.synthesis.sequences.ordered import OrderedTableSampler
from gpuvgm.synthesis.sequences.sampler import SequenceSampler

ANY = re.compile(r"any\((.*)\)")  # in place of a column's name: that of one of which some row of a key meets it
EVERY_ROW = RowRange(0, 1 << 62)
MOST_TRIED = 1 << 14  # keys, for each one that meets conditions
_KEYS = whole()


def sampler_of(model: RowModel | SequenceModel, settings: SynthesizerSettings, sort: str | None = None) -> TableSampler:
    """What draws samples of a model, in the order of a column if one is given."""
    of_model: Any = model  # a model of sequences tells what a model of rows tells
    sampler = TableSampler if isinstance(model, RowModel) else SequenceTableSampler
    unordered = sampler(of_model, settings)
    return unordered if sort is None else OrderedTableSampler(of_model, settings, unordered, sort)


@dataclass(frozen=True)  # no slots: what draws rows is cached
class MeetingSampler(SequenceSampler):
    """Rows of those keys of which a row meets each condition; others are drawn and left out.

    Parameters
    ----------
    any_of : mapping
        Conditions by column, which some row of a key meets.
    """

    any_of: Mapping[str, Any] = field(default_factory=dict)

    @property
    def choices(self) -> str:
        """What tells samples of a model apart."""
        return super().choices + repr(sorted(self.any_of.items()))

    def part(self, first_key: int, keys: int, seed: int) -> RowRange:
        """Rows of consecutive keys."""
        starts, before_block = [0, 0], 0
        for _, counts, _ in self._met(0, seed):
            for place, key in enumerate((first_key, first_key + keys)):
                starts[place] += int(counts[: max(key - before_block, 0)].sum())
            before_block += len(counts)
            if before_block >= first_key + keys:
                break
        return RowRange(starts[0], starts[1] - starts[0])

    def rows(self, first_row: int, rows: int, seed: int) -> pa.RecordBatch:
        """Consecutive rows."""
        part, drawn = RowRange(first_row, rows), list[tuple[int, pa.RecordBatch]]()
        for row, counts, batch in self._met(first_row, seed):
            drawn += [(row, batch)] if batch is not None else []
            if row + int(counts.sum()) >= first_row + rows:
                break
        return self._joined(drawn, part)

    def batches(self, part: RowRange, seed: int, executor: LocalExecutor) -> list[pa.RecordBatch]:
        """Consecutive rows: which ones a block has is known when all before it are drawn."""
        return [self.rows(part.first_row, part.rows, seed)]

    def _met(self, first_row: int, seed: int) -> Iterator[tuple[int, Ints, pa.RecordBatch | None]]:
        """Keys that meet the conditions, by blocks of keys that are drawn: first row, rows of each key, and the rows.

        Blocks that end before a row are not drawn again, and have no rows.

        Raises
        ------
        InputError
            Where hardly any key meets the conditions.
        """
        row, keys = 0, 0
        for number, block in enumerate(self._blocks.of_rows(EVERY_ROW, seed)):
            counts, batch = self._counts.get((seed, number)), None
            if counts is None or row + int(counts.sum()) > first_row:
                counts, batch = self._meeting(block, seed)
                self._counts[seed, number] = counts
            yield row, counts, batch
            row, keys = row + int(counts.sum()), keys + len(counts)
            tried = block.keys.first_row + block.keys.rows
            if keys < tried // MOST_TRIED:
                described = listed([f"any({name})" for name in self.any_of])
                raise InputError(
                    f"conditions: {counted(keys, 'key')} of {tried:,} had rows that meet {described}: give wider ones"
                )

    def _meeting(self, block: KeyBlock, seed: int) -> tuple[Ints, pa.RecordBatch]:
        """Keys of a block that meet the conditions: rows of each, and the rows."""
        rows = self._of_block(block, seed)
        keys = np.repeat(np.arange(len(block.counts)), block.counts)
        meets = np.ones(len(block.counts), np.bool_)
        for name, finder in row_finders(self._columns, self.any_of).items():
            meets &= np.bincount(keys, finder(rows.column(name)), len(block.counts)) > 0
        return block.counts[meets], rows.filter(pa.array(meets[keys]))

    @cached_property
    def _counts(self) -> dict[tuple[int, int], Ints]:
        """Rows of the keys of each block that was drawn, by seed and number."""
        return {}

    @property
    def _columns(self) -> dict[str, FittedColumn]:
        return {name: self.sequences.columns[name] for name in self.sequences.plan.asked}


@dataclass(frozen=True, slots=True)
class SequenceTableSampler(TableSampler):
    """Draws samples of a model of sequences."""

    def tell_of(self, part: RowRange, seed: int) -> None:
        """Warn of new values of keys and rows that are longer than those of the table."""
        sequences: Any = self.model
        of_rows = SequenceSampler(sequences, self._engine)
        TableSampler(sequences.keys, self.settings).tell_of(of_rows.keys_of(part, seed), seed)
        TableSampler(sequences.steps, self.settings).tell_of(part, seed)

    def under(self, conditions: Mapping[Any, Any]) -> BatchSampler:
        """Sampler of rows of keys that meet conditions: on their columns, or any(column) on some row of each."""
        sequences: Any = self.model
        met, any_of = dict[str, Any](), dict[str, Any]()
        for label, values in conditions.items():
            of_any = ANY.fullmatch(str(label)) if str(label) not in sequences.columns else None
            (met if of_any is None else any_of)[str(label) if of_any is None else of_any[1]] = values
        plan = sequences.plan
        varying = [name for name in met if name in plan.varying]
        if varying:
            raise InputError(
                f'conditions: "{varying[0]}" differs among the rows of a key: give "any({varying[0]})" for keys of '
                f"which some row meets it, or conditions on columns of keys ({listed(plan.constants)})"
            )
        check_names(met.keys() - {COUNT}, [name for name in plan.constants if sequences.columns[name].is_encoded])
        row_finders({name: sequences.columns[name] for name in plan.asked}, any_of)  # refuses what is no value
        keys = sampler_under(sequences.keys, met, self._engine) if met else None
        if any_of:
            return MeetingSampler(sequences, self._engine, keys, any_of)
        return SequenceSampler(sequences, self._engine, keys)

    def of_keys(self, sampler: BatchSampler, first_key: int, keys: Any, seed: int) -> RowRange:
        """Rows of consecutive keys."""
        assert isinstance(sampler, SequenceSampler)
        part = sampler.part(_KEYS(first_key, "first_key"), _KEYS(keys, "keys"), seed)
        self.tell_of(part, seed)
        return part

    def beside_rows(self, table: Source, part: RowRange, seed: int | None, out: Any) -> Any:
        """Refuse a table of conditions."""
        raise InputError("conditions: rows that belong to keys are not drawn beside a table: give a dict of conditions")
