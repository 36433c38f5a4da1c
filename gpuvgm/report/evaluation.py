"""Evaluating a fitted model on rows: one scan, in bounded memory.

Everything that is accumulated is a count, a sum of integers or a maximum, so the figures do not depend on blocks,
threads or order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns.base import EncodingOptions
from gpuvgm.columns.model import ColumnModel, TableModel
from gpuvgm.engines import Engine, get_engine
from gpuvgm.execution.aggregate import Merged, Results, side_by_side
from gpuvgm.execution.context import Run
from gpuvgm.execution.sampling import take_sample
from gpuvgm.io import Block, Source
from gpuvgm.report.category_trial import CategoryTrial, IdTrial, PassedTrial
from gpuvgm.report.counting import count_columns, count_table, merged_columns
from gpuvgm.report.figures import ColumnFigures
from gpuvgm.report.first_rows import COLUMNS, FirstRows
from gpuvgm.report.number_trial import NumberTrial
from gpuvgm.report.pair_trends import PairTrend, even_steps, pair_trends
from gpuvgm.report.profiles import plain_of
from gpuvgm.report.report import Report

GRID_ROWS = 1 << 15  # rows of the sample that grids are built from


class Trial(Protocol):
    """The round trip of one column."""

    def statistics(self, values: pa.Array[Any], first_row: int) -> tuple[Merged, NDArray[np.bool_] | None]:
        """Statistics of consecutive rows, and which of them are valid (None: all)."""

    def decoded(self, values: pa.Array[Any], first_row: int) -> pa.Array[Any]:
        """What comes back of consecutive rows."""

    def figures(self, statistics: Any) -> ColumnFigures:
        """The counts as figures."""


#: (engine, column, how to encode, a sample of the columns of numbers) -> the trial of a column of each kind.
TRIALS: Mapping[str, Callable[[Engine, Any, EncodingOptions, pa.Table], Trial]] = {
    "continuous": NumberTrial,
    "mixed": NumberTrial,
    "general": NumberTrial,
    "categorical": CategoryTrial,
    "id": IdTrial,
    "pass": PassedTrial,
}


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """What is counted of a table: rows, those with an invalid value in any column, a statistics for each column."""

    rows: int
    invalid: int
    columns: dict[str, Any]
    first: FirstRows

    def merge(self, other: TableStatistics) -> TableStatistics:
        """Statistics of both sets of rows."""
        return TableStatistics(
            self.rows + other.rows,
            self.invalid + other.invalid,
            merged_columns(self.columns, other.columns),
            self.first.merge(other.first),
        )


def evaluate_table(model: TableModel, source: Source, run: Run) -> Report:
    """Figures of a table in one scan over its rows; a sample before it decides how finely distances are measured.

    Parameters
    ----------
    model : TableModel
        The fitted model; its seed draws the modes.
    source : Source
        The rows.
    run : Run
        Where and how.

    Raises
    ------
    InputError
        For rows that the model cannot encode, or when there are none.
    """
    numbers = [column.name for column in model.numeric]
    # a source that can be read only once must give all columns with its sample
    names = numbers if numbers and source.repeatable else model.names
    sampled = take_sample(source, names, run, model.seed)
    rows = _thinned(model, sampled.rows)
    trials = _trials(model, sampled.source, rows, run)
    blocks = run.blocks(source, model.names) if sampled.blocks is None else sampled.blocks
    statistics = count_table(
        source, blocks, partial(summarise_block, trials, source.place), TableStatistics.merge, run, "evaluate"
    )
    pairs = {name: (trial, statistics.columns[name]) for name, trial in trials.items()}
    figures = _all_good(side_by_side(run, lambda pair: pair[0].figures(pair[1]), pairs))
    return Report(
        statistics.rows,
        statistics.invalid,
        figures,
        widths=model.widths,
        first=statistics.first,
        pairs=_correlations(model, trials, rows),
    )


def _all_good(results: Results[Any]) -> dict[str, Any]:
    """What came of the columns, unless one failed."""
    for failure in results.failed.values():
        raise failure.problem
    return results.good


def _thinned(model: TableModel, sample: pa.Table) -> pa.Table:
    """At most `GRID_ROWS` rows of a sample, of the columns of numbers."""
    if sample.num_rows <= GRID_ROWS:
        return sample
    kept = even_steps(sample.num_rows, GRID_ROWS)
    return sample.select([column.name for column in model.numeric]).take(pa.array(kept, pa.int64()))


def _correlations(model: TableModel, trials: Mapping[str, Trial], sample: pa.Table) -> tuple[PairTrend, ...]:
    """Correlations of the first columns of numbers in a sample, before and after."""
    before, after = {}, {}
    for column in model.numeric[:COLUMNS]:
        values = sample.column(column.name).combine_chunks()
        before[column.name], after[column.name] = (
            plain_of(column).encode(rows) for rows in (values, trials[column.name].decoded(values, 0))
        )
    return pair_trends(before, after)


def _trials(model: TableModel, source: Source, rows: pa.Table, run: Run) -> dict[str, Trial]:
    options = EncodingOptions(model.seed, place=source.place)
    build = partial(_trial, run.here.engine, options, rows)
    return _all_good(side_by_side(run, build, {column.name: column for column in model.columns}))


def _trial(engine: str, options: EncodingOptions, sample: pa.Table, column: ColumnModel) -> Trial:
    return TRIALS[column.kind](get_engine(engine), column, options, sample)


def summarise_block(trials: Mapping[str, Trial], place: Callable[[int], str], block: Block) -> TableStatistics:
    """Statistics of one block of rows."""
    found = count_columns(trials, block, lambda trial, values: trial.statistics(values, block.first_row), place)
    valid = np.ones(block.rows, np.bool_)
    for _, valid_here in found.values():
        if valid_here is not None:
            valid &= valid_here
    columns = {name: statistics for name, (statistics, _) in found.items()}
    first = FirstRows.of(block, trials, lambda name, values: trials[name].decoded(values, block.first_row))
    return TableStatistics(block.rows, block.rows - int(np.count_nonzero(valid)), columns, first)
