"""Passes over a column's rows, in memory or read again block by block: sums of 4,096 rows, added in row order.

Both ways add the same numbers in the same order, so that their bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gpuvgm.arrays import to_numpy
from gpuvgm.columns.numeric import NumberPlan, ordinary_numbers
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import Engine
from gpuvgm.execution.context import Run
from gpuvgm.io import Source
from gpuvgm.mixture.accumulate import Accumulate, added_chunks
from gpuvgm.mixture.initialization import Seeds
from gpuvgm.mixture.rows import Rows, in_order
from gpuvgm.mixture.statistics import ComponentStatistics, statistics_of
from gpuvgm.summary.grid import Floats, Frame

#: Numbers of some rows to the sums of each chunk of them, shape (chunks, width); then all added up, shape (width,).
#: The function may go to the workers of a cluster.
Pass = Callable[[Callable[[Floats], Floats], int], Floats]


def over_array(engine: Engine, numbers: Floats, pool: Executor | None = None) -> Pass:
    """Passes over an array in memory; NaN counts for nothing.

    Parameters
    ----------
    engine : Engine
        Who adds the chunks up.
    numbers : ndarray of shape (rows,), float64
        The column's numbers.
    pool : Executor, optional
        Threads to share the rows out to.
    """
    rows = Rows.of(numbers)

    def run_through(sums: Callable[[Floats], Floats], width: int) -> Floats:
        blocks = in_order(lambda part: sums(numbers[part]), rows.parts(), pool)
        return np.asarray(added_chunks(engine, blocks, width)[0])

    return run_through


def over_source(source: Source, plan: NumberPlan, run: Run, engine: Engine) -> Pass:
    """Passes over a source that is read again every time; memory holds a few blocks only.

    Parameters
    ----------
    source : Source
        The rows, which can be read again.
    plan : NumberPlan
        Which column, and how its values become numbers.
    run : Run
        How blocks are read; they are whole chunks.
    engine : Engine
        Who adds the chunks up.
    """

    def numbers_of(block: Any) -> Floats:
        numbers = to_numpy(ordinary_numbers(plan.codec, plan.modal, block.column(plan.name))[0])
        return np.ascontiguousarray(numbers, dtype=np.float64)

    def run_through(sums: Callable[[Floats], Floats], width: int) -> Floats:
        totals = [np.zeros((1, width))]

        def add(partials: Floats) -> None:
            totals[0] = engine.add_chunks(totals[0], partials)

        run.executor.map_blocks(lambda block: sums(numbers_of(block)), run.blocks(source, [plan.name]), add)
        return np.asarray(totals[0][0])

    return run_through


def over_blocks(engine: Engine, through: Pass, frame: Frame) -> Accumulate:
    """E-step over the rows of a pass; bits as those of `accumulation.over_rows`.

    Parameters
    ----------
    engine : Engine
        Who runs it.
    through : callable
        The pass.
    frame : Frame
        Coordinates of the posterior.
    """

    def accumulate(posterior: Any) -> ComponentStatistics:
        table = posterior.kernel_table(frame)
        total = through(lambda numbers: engine.e_step(numbers, None, None, table), 3 * len(table.means) + 1)
        return statistics_of(total[None], table)

    return accumulate


@dataclass(frozen=True, slots=True)
class ColumnMoments:
    """Rows with a number, their mean, and their variance with ddof = 1 (1 for a single row), in the frame."""

    rows: int
    mean: float
    variance: float


def moments_over(through: Pass, frame: Frame) -> ColumnMoments:
    """Moments of the rows in two passes: the mean, and squares about it, corrected for its rounding.

    Chan, Golub & LeVeque 1983, The American Statistician 37 (3), equation 1.7.
    """
    count, total, _ = through(partial(_sums, frame, 0.0), 3)
    rough = total / max(count, 1.0)
    _, shift, squares = through(partial(_sums, frame, rough), 3)
    squares -= shift * shift / max(count, 1.0)
    return ColumnMoments(
        int(count), float(rough + shift / max(count, 1.0)), float(squares / (count - 1) if count > 1 else 1.0)
    )


def _sums(frame: Frame, centre: float, numbers: Floats) -> Floats:
    """Count, and sums of the distance to a centre and of its square, of each chunk."""
    y = frame.apply(numbers)
    there = np.isfinite(y)
    d = np.where(there, y - centre, 0.0)
    return np.stack([np.sum(_chunks(part), axis=1) for part in (there.astype(np.float64), d, d * d)], axis=1)


def _chunks(x: Floats) -> Floats:
    """Rows by chunks, the last one filled up with zeros."""
    chunks = -(-len(x) // CHUNK_ROWS)
    full = np.zeros(chunks * CHUNK_ROWS)
    full[: len(x)] = x
    return full.reshape(chunks, CHUNK_ROWS)


def start_over(through: Pass, frame: Frame, seeds: Seeds) -> ComponentStatistics:
    """Statistics of rows that belong to the nearest centre each, as `fit.hard_start` has them.

    Parameters
    ----------
    through : callable
        The pass.
    frame : Frame
        Coordinates of the centres.
    seeds : Seeds
        The centres.
    """
    alone = Seeds(seeds.centres, seeds.labels[:0])
    counts, first, second = through(partial(_starts, frame, alone), 3 * len(seeds.centres)).reshape(3, -1)
    return ComponentStatistics(seeds.centres, counts, first, second, 0.0)


def _starts(frame: Frame, seeds: Seeds, numbers: Floats) -> Floats:
    """Counts and moments of the components, of each chunk."""
    y = frame.apply(numbers)
    chunks = [y[start : start + CHUNK_ROWS] for start in range(0, len(y), CHUNK_ROWS)]
    sums = [_start(chunk[np.isfinite(chunk)], seeds) for chunk in chunks]
    return np.array(sums).reshape(-1, 3 * len(seeds.centres))


def _start(y: Floats, seeds: Seeds) -> Floats:
    component, k = seeds.nearest(y), len(seeds.centres)
    d = y - seeds.centres[component]
    return np.concatenate([np.bincount(component, weight, k) for weight in (np.ones(len(d)), d, d * d)])
