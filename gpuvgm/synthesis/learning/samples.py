"""Samples of a table's rows, which structures are learnt from; and tables that are read twice."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import Column
from gpuvgm.columns import IdColumn, TableModel
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.execution import Sampled, any_source
from gpuvgm.io import ParquetSink, Source, TableSource, restore, taken
from gpuvgm.report import HoldOut
from gpuvgm.summary import Ints
from gpuvgm.table import TableTransformer

_LOG = logging.getLogger("gpuvgm")
SAMPLE_ROWS = 20_000  # of a sample, by which parents are chosen
THIN_RUN = 64  # rows of a sample that follow each other in a smaller one
TREE_ROWS = 200_000  # of a sample, from which trees are grown


@dataclass(frozen=True, slots=True)
class TableSample:
    """Some rows of a table, in their order: runs from everywhere, or the first ones of unknown length.

    Parameters
    ----------
    rows : pyarrow.Table
        The rows.
    is_whole : bool
        Whether they are all rows of the table.
    """

    rows: pa.Table
    is_whole: bool

    @classmethod
    def of(cls, table: Source, names: Sequence[str], seed: int) -> TableSample:
        """A sample of some columns, of `TREE_ROWS` rows at most; UUIDs are the text that people write."""
        rows = sampled_rows(table, names, seed, TREE_ROWS)
        for place, field in enumerate(rows.schema):
            if field.type == pa.uuid():
                rows = rows.set_column(place, field.name, IdColumn.digits(rows.column(place)))
        return cls(rows, rows.num_rows == table.rows or rows.num_rows < TREE_ROWS)

    @classmethod
    def of_model(cls, table: Source, model: TableModel, left_out: Sequence[str] = ()) -> TableSample:
        """A sample of the columns that are modelled or have a form; and of some that the model leaves out."""
        texts = [column for column in model.columns if column.kind == "pass" and column.holds_text]
        names = [column.name for column in model.columns if column.is_encoded or column in (*model.identifiers, *texts)]
        return cls.of(table, [*names, *left_out], model.seed)

    def column(self, name: str) -> Column:
        """The rows of a column."""
        return self.rows.column(name).combine_chunks()

    @property
    def thin_places(self) -> Ints:
        """Places of short runs from everywhere, about `SAMPLE_ROWS` rows in all: neighbours may be of one key."""
        places = np.arange(self.rows.num_rows)
        kept: Ints = places[places // THIN_RUN % max(-(-len(places) // SAMPLE_ROWS), 1) == 0]
        return kept

    @property
    def thinned(self) -> TableSample:
        """The rows at these places; a sample of `SAMPLE_ROWS` or fewer is taken as it is."""
        if self.rows.num_rows <= SAMPLE_ROWS:
            return self
        return TableSample(taken(self.rows, self.thin_places), is_whole=False)


def sampled_rows(table: Source, names: Sequence[str], seed: int, most: int) -> pa.Table:
    """Rows of some columns, as `TableSample` has them."""
    if table.rows is not None:
        return table.sample(names, Sampled.runs(table.rows, seed, most, runs=None))
    batches, rows = [], 0
    for block in table.blocks(names, most):
        batches.append(block.batch)
        rows += block.rows
        if rows >= most:
            break
    return pa.Table.from_batches(batches, table.fields(names)).slice(0, most)


@contextmanager
def read_twice(table: Source, rule: HoldOut | None = None) -> Iterator[Source]:
    """A source that can be read again, without the rows that are held out.

    Rows that can be read only once are copied to a file; so are those that are left of files of known length, because
    samples of them come from everywhere.
    """
    rows = table if rule is None else rule.part(table, held=False)
    if table.repeatable and (rule is None or table.rows is None):
        yield rows
    elif rule is not None and table.in_memory:
        yield rule.left_in_memory(table)
    else:
        why = "can be read only once" if rule is None else "some rows are held out"
        _LOG.info("%s: %s; its rows are copied to a temporary file", table.name, why)
        with tempfile.TemporaryDirectory(prefix="gpuvgm-") as folder:
            path = Path(folder) / "rows.parquet"
            with ParquetSink(path, table.schema) as sink:
                for block in rows.blocks(table.schema.names, BLOCK_ROWS):
                    sink.write(block.batch)
            yield any_source(path)


def table_maker(transformer: TableTransformer) -> Callable[[pa.Table], Any]:
    """Return a function that makes rows a table of the kind that was fitted; it can travel to a worker."""
    flavour = "pandas" if transformer.frame_ == "dask" else transformer.frame_
    like = TableSource("the sample", flavour, pa.table({}))
    return partial(restore, like=like, dtypes=transformer.pandas_dtypes_, labels=dict(transformer.labels_))
