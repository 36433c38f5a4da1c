"""The rows of exact EM in the memory of a cluster's workers: sums of chunks come up, parameters go down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from gpuvgm.arrays import Array, namespace_of, to_numpy
from gpuvgm.columns.numbers import ordinary_numbers
from gpuvgm.columns.numeric import NumberPlan
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import Engine, get_engine
from gpuvgm.engines.tables import KernelTable
from gpuvgm.execution.context import Run
from gpuvgm.execution.dask import DaskExecutor, Held
from gpuvgm.io import Block, Source
from gpuvgm.mixture.accumulate import Accumulate, added_chunks, sums_of_chunks
from gpuvgm.mixture.posterior import Posterior
from gpuvgm.mixture.rows import Rows
from gpuvgm.mixture.statistics import ComponentStatistics, statistics_of
from gpuvgm.summary.grid import Floats, Frame

SEEDING_ROWS = 1 << 24  # k-means runs on all rows up to so many, which come to this process for it: 128 MiB
Completion = tuple[int, Floats]


@dataclass(frozen=True, slots=True)
class WorkerRows:
    """A column's numbers in the workers' memory, float64, and on their devices where they lie there.

    Sums of each 4,096 rows of the table come up, 3 K + 1 numbers, and are added here in row order: the result has the
    bits of one process that has all rows.

    Parameters
    ----------
    held : Held
        Numbers by portion, NaN for rows without one; a portion holds whole chunks, but for the table's last one.
    engine : str
        Name of the workers' engine.
    here : Engine
        Who adds the chunks up.
    """

    held: Held
    engine: str
    here: Engine

    def ordinary(self) -> Floats:
        """The ordinary numbers of all rows, brought to this process."""
        return np.concatenate([np.empty(0), *self.held.map(ordinary_of)])

    def through(self, sums: Callable[[Floats], Floats], width: int) -> Floats:
        """A pass over the rows; see `passes.Pass`."""
        return np.asarray(added_chunks(self.here, self.held.map(chunk_sums, sums, width), width)[0])

    def accumulate(self, frame: Frame) -> Accumulate:
        """E-step over the rows.

        Parameters
        ----------
        frame : Frame
            Coordinates of the posterior.
        """

        def accumulate(posterior: Posterior) -> ComponentStatistics:
            table = posterior.kernel_table(frame)
            partials = self.held.map(e_step_sums, self.engine, table)
            return statistics_of(added_chunks(self.here, partials, 3 * len(table.means) + 1), table)

        return accumulate


@contextmanager
def rows_on_workers(source: Source, plan: NumberPlan, run: Run) -> Iterator[WorkerRows]:
    """Have the workers of a cluster hold the numbers of a column.

    Parameters
    ----------
    source : Source
        The rows.
    plan : NumberPlan
        The column.
    run : Run
        The cluster.
    """
    assert isinstance(run.executor, DaskExecutor)
    with run.executor.hold(partial(numbers_of, plan), run.blocks(source, [plan.name])) as held:
        held = in_whole_chunks(held)  # the workers drop the portions of before
        yield WorkerRows(held, run.engine, get_engine(run.here.engine))


def in_whole_chunks(held: Held) -> Held:
    """The same rows, with all rows of a chunk in the portion that holds its first row.

    Parameters
    ----------
    held : Held
        A column's numbers, by portion, in row order.
    """
    counts = held.map(len)
    firsts = np.cumsum([0, *counts])[:-1]
    if not np.any(firsts % CHUNK_ROWS):
        return held
    return held.amended(completed, completions(counts, held.map(first_rows)))


def completions(counts: Sequence[int], rows: Sequence[Floats]) -> list[Completion | None]:
    """What makes the chunks of each portion whole: how many rows it gives away, and the rows that it gets at its end.

    Parameters
    ----------
    counts : sequence of int
        Rows of each portion.
    rows : sequence of ndarray
        The first rows of each, as far as they may belong to a chunk that begins before it.

    Returns
    -------
    list of (int, ndarray) or None
        None for a portion that stays as it is.
    """
    firsts = np.cumsum([0, *counts])[:-1]
    amendments: list[Completion | None] = []
    following: list[Floats] = []  # rows after the portion, of a chunk that begins in it or before
    for count, first, leading in reversed(list(zip(counts, firsts, rows, strict=True))):
        surplus = min(int(-first % CHUNK_ROWS), count)
        arriving = following if surplus < count else []
        amendments.append((surplus, np.concatenate([np.empty(0), *arriving])) if surplus or arriving else None)
        passing = [] if surplus < count else following
        following = [leading[:surplus], *passing] if surplus else passing
    return amendments[::-1]


def numbers_of(plan: NumberPlan, blocks: Iterator[Block]) -> Array:
    """The numbers of a portion, shape (rows,), float64, where they lie; NaN for rows without one."""
    parts = []
    for block in blocks:
        numbers = ordinary_numbers(plan.codec, plan.modal, block.column(plan.name))[0]
        xp = namespace_of(numbers)
        parts.append(xp.asarray(numbers, dtype=xp.float64))
    return namespace_of(parts[0]).concatenate(parts) if parts else np.empty(0)


def first_rows(numbers: Array) -> Floats:
    """The rows of a portion that may belong to a chunk before it, on the host."""
    return np.asarray(to_numpy(numbers[: CHUNK_ROWS - 1]))


def completed(numbers: Array, completion: Completion) -> Array:
    """A portion without the rows that it gives away, and with those that it gets."""
    surplus, arriving = completion
    xp = namespace_of(numbers)
    return xp.concatenate([numbers[surplus:], xp.asarray(arriving)])


def ordinary_of(numbers: Array) -> Floats:
    """The ordinary numbers of a portion, on the host."""
    there = to_numpy(numbers)
    return np.asarray(there[np.isfinite(there)])


def chunk_sums(numbers: Array, sums: Callable[[Floats], Floats], width: int) -> Floats:
    """What a function of numbers gives for each chunk of a portion, shape (chunks, width)."""
    there = to_numpy(numbers)
    return np.concatenate([np.empty((0, width)), *(sums(there[part]) for part in Rows.of(there).parts())])


def e_step_sums(numbers: Array, engine: str, table: KernelTable) -> Floats:
    """Sums of an E-step over each chunk of a portion, shape (chunks, 3 K + 1), on the host."""
    blocks = sums_of_chunks(get_engine(engine), Rows.of(numbers), table)
    return np.concatenate([np.empty((0, 3 * len(table.means) + 1)), *map(to_numpy, blocks)])
