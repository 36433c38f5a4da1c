"""The E-step of a fit as one function of the posterior: over cells, or over rows in blocks and threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np

from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import Engine, statistics_of
from gpuvgm.grid import Floats, Frame
from gpuvgm.model import KernelTable
from gpuvgm.posterior import ComponentStatistics, Posterior
from gpuvgm.summary import Cells

CELL_FRAME = Frame(1.0, 0.0)
ROWS_PER_TASK = 64 * CHUNK_ROWS
Accumulate = Callable[[Posterior], ComponentStatistics]


def over_cells(engine: Engine, cells: Cells) -> Accumulate:
    """E-step over the cells of a summary.

    Parameters
    ----------
    engine : Engine
        Who runs it.
    cells : Cells
        The cells; those that hold one value each are rows with a weight.
    """
    scatter = cells.scatter if np.any(cells.scatter) else None

    def accumulate(posterior: Posterior) -> ComponentStatistics:
        table = KernelTable.of(posterior, CELL_FRAME)
        return statistics_of(engine.e_step(cells.mean, cells.weight, scatter, table), table)

    return accumulate


def over_rows(
    engine: Engine, x: Floats, frame: Frame, weight: Floats | None = None, pool: Executor | None = None
) -> Accumulate:
    """E-step over rows; the chunks' sums are added in row order whatever the threads do.

    Parameters
    ----------
    engine : Engine
        Who runs it.
    x : ndarray of shape (rows,), float64
        The rows.
    frame : Frame
        Coordinates of the posterior.
    weight : ndarray of shape (rows,), optional
        Weight of each row.
    pool : Executor, optional
        Threads to share the rows out to.
    """
    parts = [slice(start, start + ROWS_PER_TASK) for start in range(0, len(x), ROWS_PER_TASK)]
    run = map if pool is None else pool.map

    def accumulate(posterior: Posterior) -> ComponentStatistics:
        table = KernelTable.of(posterior, frame)

        def sums(part: slice) -> Floats:
            return engine.e_step(x[part], None if weight is None else weight[part], None, table)

        return statistics_of(np.concatenate(list(run(sums, parts))), table)

    return accumulate
