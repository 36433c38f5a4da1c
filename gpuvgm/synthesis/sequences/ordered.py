"""Samples in the order of a column, with running numbers without gaps: drawn, sorted, and numbered while written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.datasets import Generator, RowRange
from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor
from gpuvgm.io import Source, TableSource, plain_values_of, taken
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import check_names
from gpuvgm.synthesis.drawing import unmodelled_columns
from gpuvgm.synthesis.keys import IdentifierForm, RowsBeside
from gpuvgm.synthesis.learning import table_maker
from gpuvgm.synthesis.sampling import BatchSampler, TableSampler
from gpuvgm.synthesis.sequences.sorted_files import PART_BYTES, Hashes, chunks_of, sorted_rows
from gpuvgm.synthesis.sequences.sorting import is_ordered
from gpuvgm.table import RunSummary

Path_ = str | PathLike[str]


@dataclass(frozen=True)  # no slots: ranks of categories are cached
class ValueOrder:
    """The order of a column's values: numbers and times by size, categories in their order; missing ones come last.

    Parameters
    ----------
    column : NumericColumn or CategoricalColumn
        The column.
    """

    column: FittedColumn

    def hashes(self, rows: pa.Table) -> Hashes:
        """The place of each row between the least and the largest value, of 2^53 places."""
        (low, high), numbers = self._ends, self._numbers(rows)
        shares = np.clip((numbers - low) / max(high - low, np.finfo(np.float64).tiny), 0, 1)
        places = np.where(np.isnan(shares), 2.0**54, shares * 2.0**53)
        return np.asarray(places.astype(np.uint64) << np.uint64(9))

    def sort(self, rows: pa.Table) -> pa.Table:
        """Rows in this order; those of equal values keep theirs."""
        ordered: pa.Table = taken(rows, np.argsort(self._numbers(rows), kind="stable"))
        return ordered

    def _numbers(self, rows: pa.Table) -> Floats:
        """Numbers of the values, or ranks of categories; NaN where they are missing."""
        array, column = rows.column(self.column.name).combine_chunks(), self.column
        if isinstance(column, CategoricalColumn):
            places = np.where(np.asarray(array.is_null()), -1, np.asarray(column.index.find(array), np.int64))
            return self._ranks[places]
        assert isinstance(column, NumericColumn)
        return np.asarray(column.all_numbers(array), np.float64)

    @cached_property
    def _ranks(self) -> Floats:
        """Rank of each category, NaN for a missing one and at the end."""
        assert isinstance(self.column, CategoricalColumn)
        count = len(self.column.categories)
        values: Any = self.column.category_values()(np.arange(count))
        plain = values.indices if is_ordered(values.type) else plain_values_of(values)
        ranks = np.full(count + 1, np.nan)
        ranks[np.asarray(pc.sort_indices(plain))] = np.arange(count)
        ranks[np.flatnonzero(np.asarray(plain.is_null()))] = np.nan
        return ranks

    @property
    def _ends(self) -> tuple[float, float]:
        """The least and the largest number of a value."""
        if isinstance(self.column, CategoricalColumn):
            return 0.0, float(len(self.column.categories))
        assert isinstance(self.column, NumericColumn)
        return self.column.plain_range


@dataclass(frozen=True, slots=True)
class NumbersInOrder:
    """Numbers rows without gaps, one block after the other.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        The fitted columns.
    forms : mapping of str to IdentifierForm
        Forms of the columns whose numbers rise with the column by which the rows are in order.
    seed : int
        Seed of the sample.
    """

    columns: Mapping[str, FittedColumn]
    forms: Mapping[str, IdentifierForm]
    seed: int

    def blocks(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows, with numbers that follow each other from the first one of the table on."""
        first_row, counts = 0, dict.fromkeys(self.forms, dict[int, int]())
        for batch in batches:
            part = RowRange(first_row, batch.num_rows)
            for name, form in self.forms.items():
                values, counts[name] = self._numbered(name, form, batch, part, counts[name])
                batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), values)
            yield batch
            first_row += batch.num_rows

    def _numbered(
        self, name: str, form: IdentifierForm, batch: pa.RecordBatch, part: RowRange, before: Mapping[int, int]
    ) -> tuple[Any, dict[int, int]]:
        """Values of a column, and how many rows have one up to these; see `RowsBeside.numbers_in_order`."""
        rows = RowsBeside(part, self.columns, dict(zip(batch.schema.names, batch.columns, strict=True)), {})
        lacks = np.asarray(batch.column(name).is_null())
        numbers, counts = rows.numbers_in_order(name, form, ~lacks, before)
        forms, numbered = {name: replace(form, missing=0)}, replace(rows, numbers={name: numbers})
        values = unmodelled_columns([self.columns[name]], forms, part, self.seed, numbered)[name]
        return taken(values, pa.array(np.arange(part.rows), mask=lacks)), counts


@dataclass(frozen=True, slots=True)
class OrderedTableSampler(TableSampler):
    """Draws whole samples in the order of a column.

    Parameters
    ----------
    unordered : TableSampler
        Draws the rows.
    sort : str
        The column.
    """

    unordered: TableSampler
    sort: str

    @staticmethod
    def part(rows: Any, first_row: int, keys: Any, first_key: int) -> RowRange:
        """The rows, of which none are left out at the beginning."""
        for name, first in (("first_row", first_row), ("first_key", first_key)):
            if first:
                raise InputError(f"{name}: with sort, a sample is in order as a whole: give no {name}, or no sort")
        return TableSampler.part(rows, first_row, keys, first_key)

    def under(self, conditions: Mapping[Any, Any]) -> BatchSampler:
        """Sampler of rows that meet conditions, in any order, once the column is checked."""
        forms: Any = self.model.forms
        curve = forms[self.sort].curve if self.sort in forms else None
        if curve is not None:
            raise InputError(f'sort: "{self.sort}" rises with "{curve.column}": give that column')
        check_names([self.sort], [column.name for column in self.model.table.columns if column.is_encoded], "sort")
        return self.unordered.under(conditions)

    def beside_rows(self, table: Source, part: RowRange, seed: int | None, out: Any) -> Any:
        """Refuse a table of conditions, whose rows have an order."""
        raise InputError("sort: rows that are drawn beside a table of conditions are in its order: give no sort")

    def of_keys(self, sampler: BatchSampler, first_key: int, keys: Any, seed: int) -> RowRange:
        """Rows of consecutive keys."""
        return self.unordered.of_keys(sampler, first_key, keys, seed)

    def tell_of(self, part: RowRange, seed: int) -> None:
        """Warn of new values that are longer than those of the table."""
        self.unordered.tell_of(part, seed)

    def table(self, sampler: BatchSampler, part: RowRange, seed: int) -> Any:
        """Rows in order, as a table of the kind that was fitted."""
        with self.drawing(part) as here:
            batches = sampler.batches(part, seed, here)
        rows = self._order.sort(pa.Table.from_batches(batches, sampler.schema))
        numbered = self._numbers(seed).blocks(rows.combine_chunks().to_batches())
        return table_maker(self.model.transformer)(pa.Table.from_batches(numbered, sampler.schema))

    def write(self, generator: Generator, out: Path_, part: RowRange, executor: Any, *, resume: bool) -> RunSummary:
        """Write rows in order: they are drawn, sorted in temporary files, and numbered while they are written.

        Raises
        ------
        InputError
            For a run that is to go on: rows in order are written as a whole.
        """
        if resume:
            raise InputError("resume: with sort, a sample is written as a whole: give no resume")
        # What is drawn is a table whose rows come later.
        drawn = TableSource("the sample", "pyarrow", generator.schema.empty_table())
        with self.drawing(part) as here:
            batches = here.stream(
                lambda block: generator.rows_of(block.first_row, block.rows, generator.seed),
                part.ranges(generator.block_rows),
            )
            chunks = chunks_of(batches, generator.schema, PART_BYTES)
            with sorted_rows(drawn, chunks, self._order, f'the order of "{self.sort}"', PART_BYTES) as rows:
                blocks = (block.batch for block in rows.blocks(generator.schema.names, generator.block_rows))
                numbered = self._numbers(generator.seed).blocks(blocks)
                described = {**generator.described, "gpuvgm.sort": self.sort}
                in_order = replace(generator, rows_of=lambda *_: next(numbered), described=described)
                return in_order.write(out, part, LocalExecutor(1), resume=None)

    @property
    def _order(self) -> ValueOrder:
        return ValueOrder(self.model.columns[self.sort])

    def _numbers(self, seed: int) -> NumbersInOrder:
        """What numbers the columns that rise with that of the order."""
        forms = {name: form for name, form in self.model.forms.items() if form.curve and form.curve.column == self.sort}
        return NumbersInOrder(self.model.columns, forms, seed)
