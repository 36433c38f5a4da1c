"""Samples of a model as tables of the kind that was fitted, and as files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS, Flavor
from gpuvgm.datasets import Generator, RowRange
from gpuvgm.errors import InputError, counted
from gpuvgm.execution import LocalExecutor
from gpuvgm.io import Source, metadata_of_values, taken
from gpuvgm.rules import whole
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import check_names
from gpuvgm.synthesis.counts import write_network
from gpuvgm.synthesis.drawing import MadeRows
from gpuvgm.synthesis.keys import levels_of_keys, seed_of_attempt, tell_of_longer
from gpuvgm.synthesis.learning import RowModel, SynthesizerSettings, table_maker
from gpuvgm.synthesis.sampling.conditions import sampler_under, warn_of_rare
from gpuvgm.synthesis.sampling.sampler import BatchSampler, Sampler
from gpuvgm.table import RunSummary

Path_ = str | PathLike[str]
_ROWS = whole()


@dataclass(frozen=True, slots=True)
class TableSampler:
    """Draws samples of a model.

    Parameters
    ----------
    model : RowModel
        What rows are drawn from.
    settings : SynthesizerSettings
        Where and how the work is done.
    """

    model: RowModel
    settings: SynthesizerSettings

    @staticmethod
    def part(rows: Any, first_row: int, keys: Any, first_key: int) -> RowRange:
        """Rows by their number, which is checked; none where keys are asked for, whose rows `of_keys` knows.

        Raises
        ------
        InputError
            For both or neither, and for a first one of what is not asked for.
        """
        if (rows is None) == (keys is None):
            raise InputError("sample: give n, a number of rows, or keys, a number of keys")
        if keys is None and first_key:
            raise InputError("first_key: it is for keys: with n give first_row, the number of the first row")
        if rows is None and first_row:
            raise InputError("first_row: it is for n: with keys give first_key, the number of the first key")
        return RowRange(first_row, 0 if rows is None else _ROWS(rows, "n"))

    def under(self, conditions: Mapping[Any, Any]) -> BatchSampler:
        """Sampler of rows that meet conditions by label, with a warning where hardly any do."""
        sampler = sampler_under(self.model, {str(label): met for label, met in conditions.items()}, self._engine)
        if conditions and self.model.attributes:
            sampler = replace(sampler, unconditioned=sampler_under(self.model, {}, self._engine))
        sampler.check_laws()
        if conditions:
            warn_of_rare(sampler)
        return sampler

    def of_keys(self, sampler: BatchSampler, first_key: int, keys: Any, seed: int) -> RowRange:
        """Refuse: rows are drawn each for itself."""
        raise InputError("keys: the fit has no sequence_key, so that each row is drawn for itself: give n")

    def seed_of(self, part: RowRange, seed: int | None) -> int:
        """Seed of rows, by default that of the fit; rows and seed are checked, and new values that are longer told."""
        row_seed = self.model.seed_of(part, seed)
        self.tell_of(part, row_seed)
        return row_seed

    def tell_of(self, part: RowRange, seed: int) -> None:
        """Warn of new values of rows that are longer than those of the table."""
        tell_of_longer(self.model.forms, part, seed)

    def table(self, sampler: BatchSampler, part: RowRange, seed: int) -> Any:
        """Rows as a table of the kind that was fitted."""
        self._tell_of_rounds(part)
        with self.drawing(part) as here:
            batches = sampler.batches(part, seed, here)
        return table_maker(self.model.transformer)(pa.Table.from_batches(batches, sampler.schema))

    def generator(self, sampler: BatchSampler, seed: int, flavor: Flavor | None) -> Generator:
        """Generator of rows that are written, with what tells their types."""
        model = self.model.table.digest(), write_network(self.model.network)
        generator = sampler.generator(seed, model, flavor)
        pandas_dtypes = self.model.transformer.pandas_dtypes_
        of_values = metadata_of_values(pandas_dtypes, sampler.schema, sampler.model.source)
        return replace(generator, described={**generator.described, **of_values})

    def write(self, generator: Generator, out: Path_, part: RowRange, executor: Any, *, resume: bool) -> RunSummary:
        """Write rows to a file or a folder; see `Generator.write`."""
        self._tell_of_rounds(part)
        with self.drawing(part) as here:
            return generator.write(out, part, executor, here=here, resume=resume)

    def _tell_of_rounds(self, part: RowRange) -> None:
        """Warn of numbers that rise with a time, but not over all rows."""
        for name, form in self.model.forms.items():
            if form.curve is not None:
                form.curve.tell_of_rounds(name, part.first_row + part.rows)

    def drawing(self, part: RowRange) -> AbstractContextManager[LocalExecutor]:
        """Executor of this process, in the stage that draws rows."""
        machine = self.settings.machine
        return LocalExecutor.drawing(part.rows, machine["progress"], machine["threads"])

    @property
    def _engine(self) -> str:
        engine: str = self.settings.machine["engine"]
        return engine

    def beside_rows(self, table: Source, part: RowRange, seed: int | None, out: Any) -> Any:
        """Rows with the values of the rows of a table, which may lack columns.

        Rows of the same values are drawn one after the other. They have keys of their own, as attributes depend on the
        conditions.
        """
        if out is not None:
            raise InputError(
                "conditions: rows with the values of a table are not written: give no out, write the result"
            )
        names, row_seed = table.schema.names, self.model.seed_of(part, seed)
        check_names(names, [bins.name for bins in self.model.network.structure.bins])
        places = _places_of_rows(table, part.rows)
        start, every = part.first_row, sampler_under(self.model, {}, self._engine)
        every.check_laws()
        blocks: list[MadeRows] = []
        for number, (values, rows) in enumerate(places.items()):
            sampler = sampler_under(self.model, dict(zip(names, values, strict=True)), self._engine)
            rows_of_values = RowRange(start, len(rows))
            if self.model.attributes:
                sampler = replace(sampler, unconditioned=every if values else None)
                blocks.append(self._with_keys(sampler, rows_of_values, row_seed, number))
            else:
                blocks += [sampler.made(block, row_seed) for block in rows_of_values.ranges(BLOCK_ROWS)]
            start += len(rows)
        made = blocks[0].joined(blocks[1:]) if blocks else every.made(part, row_seed)
        batch = every.batch(made, part, row_seed, is_alone=True)
        order: Ints = np.argsort([place for rows in places.values() for place in rows])
        sample = taken(pa.Table.from_batches([batch], every.schema), order).combine_chunks()
        return table_maker(self.model.transformer)(sample)

    def _with_keys(self, sampler: Sampler, part: RowRange, seed: int, number: int) -> MadeRows:
        """All rows of the same values, with keys of their own: attributes depend on the conditions."""
        levels = [*levels_of_keys(self.model.forms)]
        made = sampler.made(part, seed_of_attempt(seed, number), is_whole=True)
        return made.numbered(part.first_row, levels)


def _places_of_rows(table: Source, rows: int) -> dict[tuple[Any, ...], list[int]]:
    """Places of the rows of a table by their values."""
    conditions = [row for block in table.blocks(table.schema.names, BLOCK_ROWS) for row in block.batch.to_pylist()]
    if len(conditions) != rows:
        raise InputError(f"conditions: {table.name} has {counted(len(conditions), 'row')}, but n is {rows}")
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(conditions):
        places.setdefault(tuple(row.values()), []).append(place)
    return places
