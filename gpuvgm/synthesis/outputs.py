"""Whole tables of a network's outputs: the columns that it sees, within their range, and those that it does not see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.config import Flavor
from gpuvgm.datasets import Generator, RowRange
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError, counted
from gpuvgm.execution import LocalExecutor
from gpuvgm.io import Source, metadata_of_values
from gpuvgm.synthesis.bins import row_finders
from gpuvgm.synthesis.drawing import unmodelled_columns, within_range
from gpuvgm.synthesis.keys import IdentifierForm, describe_unmodelled, tell_of_longer, tell_of_samples
from gpuvgm.synthesis.learning import forms_of_table, table_maker
from gpuvgm.table import TableTransformer, onehot_parts

BLOCK_ROWS = 1 << 16  # that are made together, a row group of a file
MOST_TRIES, LEAST_RATE = 1 << 17, 1e-4  # rows before conditions are given up, and the least share to meet them
Matrix = NDArray[Any]


@dataclass(frozen=True, slots=True)
class SampledTable:
    """Makes rows of a table of a network's outputs.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted columns.
    identifiers : mapping of str to IdentifierForm
        Forms of identifiers of text.
    enforce : bool
        Keep numbers within the training range.
    """

    transformer: TableTransformer
    identifiers: Mapping[str, IdentifierForm]
    enforce: bool

    @classmethod
    def of_source(cls, transformer: TableTransformer, source: Source, *, enforce: bool, fitted_by_user: bool) -> Self:
        """Rows like those of a source; warns of choices that may not be wanted in samples.

        Parameters
        ----------
        transformer : TableTransformer
            The fitted columns.
        source : Source
            The rows that the network is trained on.
        enforce : bool
            Keep numbers within the training range.
        fitted_by_user : bool
            The user fitted the columns, and has been warned of what that chose.
        """
        forms = forms_of_table(source, transformer.model_)
        tell_of_samples(transformer.model_, forms, {}, fitted_by_user=fitted_by_user, network=True)
        return cls(transformer, forms, enforce)

    @property
    def unmodelled(self) -> str:
        """How columns are made that the network does not see."""
        return describe_unmodelled(self.transformer.model_, self.identifiers, {})

    @property
    def schema(self) -> pa.Schema:
        """Columns of the rows."""
        return pa.schema([(column.name, column.decoded_type) for column in self.transformer.model_.columns])

    def decode(self, matrix: Matrix, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Values of the columns that the network sees, or of some of them."""
        model, engine = self.transformer.model_, get_engine("auto")
        parts = onehot_parts(engine, model, matrix)
        arrays = {}
        for column in model.encoded if names is None else [model[name] for name in names]:
            values = column.decoder(engine, check=False)(parts[column.name], 0).array
            arrays[column.name] = within_range(column, values) if self.enforce else values
        return arrays

    def rows(self, matrix: Matrix, first_row: int, seed: int) -> pa.RecordBatch:
        """Consecutive rows with all columns."""
        arrays = self.decode(matrix)
        unmodelled = [column for column in self.transformer.model_.columns if column.name not in arrays]
        arrays |= unmodelled_columns(unmodelled, self.identifiers, RowRange(first_row, len(matrix)), seed)
        return pa.RecordBatch.from_arrays([arrays[name] for name in self.schema.names], schema=self.schema)

    def _rows_of(self, outputs: Iterator[Matrix]) -> Callable[[int, int, int], pa.RecordBatch]:
        """Return a function that makes the next rows of outputs, from first row, rows and seed."""
        take = _row_taker(outputs)

        def rows_of(first_row: int, rows: int, seed: int) -> pa.RecordBatch:
            return self.rows(take(rows), first_row, seed)

        return rows_of

    def generator(self, outputs: Iterator[Matrix], seed: int, flavor: Flavor | None = None) -> Generator:
        """Generator of the rows of a network's outputs, which come one after the other.

        Parameters
        ----------
        outputs : iterator of ndarray
            Outputs of the network.
        seed : int
            Seed of the columns that the network does not see.
        flavor : {"spark"}, optional
            Write the types that Spark reads.
        """
        transformer, rows_of = self.transformer, self._rows_of(outputs)
        of_values = metadata_of_values(transformer.pandas_dtypes_, self.schema, transformer.model_.source)
        return Generator(rows_of, self.schema, seed, BLOCK_ROWS, {"gpuvgm.kind": "sample"} | of_values, flavor)

    def table(self, outputs: Iterator[Matrix], part: RowRange, seed: int, executor: LocalExecutor) -> Any:
        """Rows of a network's outputs, as a table of the kind that was fitted.

        Parameters
        ----------
        outputs, seed
            As for `generator`.
        part : RowRange
            As many rows as that is, or fewer.
        executor : LocalExecutor
            Executor of one thread.
        """
        tell_of_longer(self.identifiers, part, seed)
        batches, rows_of = list[pa.RecordBatch](), self._rows_of(outputs)
        executor.map_blocks(
            lambda range_: rows_of(range_.first_row, range_.rows, seed), part.ranges(BLOCK_ROWS), batches.append
        )
        table = table_maker(self.transformer)(pa.Table.from_batches(batches, self.schema))
        return np.stack([*table.values()], axis=1) if self.transformer.frame_ == "matrix" else table

    def that_meet(
        self, conditions: Mapping[str, Any], outputs: Iterator[Matrix], rows: int, tell: Callable[[int, int], None]
    ) -> Iterator[Matrix]:
        """Outputs whose rows meet all conditions; at the end `tell` hears how many of how many did.

        Raises
        ------
        InputError
            For a condition on a column that the network does not see, or on what is no value of it; and where hardly
            any row meets the conditions.
        """
        model = self.transformer.model_
        find = row_finders({column.name: column for column in model.encoded}, conditions)

        def met(matrix: Matrix) -> NDArray[np.bool_]:
            values = self.decode(matrix, find)
            return reduce(np.logical_and, (find[name](values[name]) for name in find))

        return _rows_that_meet(met, outputs, rows, tell)


def _rows_that_meet(
    meets: Callable[[Matrix], NDArray[np.bool_]], outputs: Iterator[Matrix], rows: int, tell: Callable[[int, int], None]
) -> Iterator[Matrix]:
    """Yield at least `rows` rows that meet the conditions."""
    drawn_rows = accepted_rows = 0
    for matrix in outputs:
        rows_that_meet = matrix[meets(matrix)]
        drawn_rows, accepted_rows = drawn_rows + len(matrix), accepted_rows + len(rows_that_meet)
        if drawn_rows >= MOST_TRIES and accepted_rows < LEAST_RATE * drawn_rows:
            raise InputError(
                f"conditions: {counted(accepted_rows, 'row')} of {drawn_rows:,} drawn met them, "
                "which is too few to go on; loosen one"
            )
        if accepted_rows < rows:
            yield rows_that_meet
            continue
        tell(accepted_rows, drawn_rows)  # nothing is asked for after the last rows
        yield rows_that_meet
        return


def _row_taker(outputs: Iterator[Matrix]) -> Callable[[int], Matrix]:
    """Return a function that takes the next rows of outputs."""
    remaining: list[Matrix] = []

    def take(rows: int) -> Matrix:
        while sum(map(len, remaining)) < rows:
            remaining.append(next(outputs))
        matrix = np.concatenate(remaining)
        remaining[:] = [matrix[rows:]]
        return matrix[:rows]

    return take
