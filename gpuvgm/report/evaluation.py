"""Evaluating a fitted model on rows: one scan, in bounded memory.

Everything that is accumulated is a count, a sum of integers or a maximum, so the figures do not depend on blocks,
threads or order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from gpuvgm.columns import EncodingOptions, FittedColumn, TableModel
from gpuvgm.engines import get_engine
from gpuvgm.errors import Results
from gpuvgm.execution import Run, Sampled, map_columns
from gpuvgm.io import taken
from gpuvgm.report.counting import FIRST_COLUMNS, count_table
from gpuvgm.report.pair_trends import PairTrend, even_steps, pair_trends
from gpuvgm.report.report import Report
from gpuvgm.report.round_trip import TRIALS, ColumnTrial, PassedTrial

GRID_ROWS = 1 << 15  # rows of the sample that grids are built from


def evaluate_table(model: TableModel, run: Run) -> Report:
    """Figures of a table in one scan over its rows; a sample before it decides how finely distances are measured.

    Parameters
    ----------
    model : TableModel
        The fitted model; its seed draws the modes.
    run : Run
        The rows, and where and how they are counted.

    Raises
    ------
    InputError
        For rows that the model cannot encode, or when there are none.
    """
    numbers = [column.name for column in model.numeric]
    # a source that can be read only once must give all columns with its sample
    names = numbers if numbers and run.source.repeatable else model.names
    sample = Sampled.of(run, names, model.seed)
    rows = _grid_rows(model, sample.rows)
    options = EncodingOptions(model.seed, place=run.source.place)
    engine = get_engine(run.here.engine)

    def trial(column: FittedColumn) -> ColumnTrial:
        return TRIALS.get(column.kind, PassedTrial)(engine, column, options, rows)

    trials = _results_or_raise(map_columns(run.executor.threads, trial, model.by_name))
    counts = count_table(run, trials, "evaluate", sample.blocks)
    pairs = {name: (trial, counts.columns[name]) for name, trial in trials.items()}
    return Report(
        rows=counts.rows,
        invalid_rows=counts.invalid,
        columns=_results_or_raise(map_columns(run.executor.threads, lambda pair: pair[0].figures(pair[1]), pairs)),
        widths=model.widths,
        first=counts.first,
        pairs=_sample_correlations(model, trials, rows),
    )


def _results_or_raise(results: Results[Any]) -> dict[str, Any]:
    """Results of all columns; raise the first problem if one failed."""
    for problem in results.failed.values():
        raise problem
    return results.good


def _grid_rows(model: TableModel, sample: pa.Table) -> pa.Table:
    """At most `GRID_ROWS` rows of a sample, of the columns of numbers."""
    if sample.num_rows <= GRID_ROWS:
        return sample
    places = even_steps(sample.num_rows, GRID_ROWS)
    rows: pa.Table = taken(sample.select([column.name for column in model.numeric]), places)
    return rows


def _sample_correlations(
    model: TableModel, trials: Mapping[str, ColumnTrial], sample: pa.Table
) -> tuple[PairTrend, ...]:
    """Correlations of the first columns of numbers in a sample, before and after."""
    before, after = {}, {}
    for column in model.numeric[:FIRST_COLUMNS]:
        values = sample.column(column.name).combine_chunks()
        before[column.name], after[column.name] = (
            column.codec.plain.encode(rows) for rows in (values, trials[column.name].decoded(values, 0))
        )
    return pair_trends(before, after)
