"""Exact EM over rows that the workers of a cluster hold: K-vectors come up, parameters go down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gpuvgm.accumulation import Accumulate, sums_of_rows
from gpuvgm.cells_fit import climbed
from gpuvgm.distributed import DaskExecutor, Held
from gpuvgm.engines import get_engine, statistics_of
from gpuvgm.errors import SourceChangedError
from gpuvgm.fit import MixtureFit, Stopping, fit_mixture, hard_start, prior_of
from gpuvgm.frames import Block, Source
from gpuvgm.grid import Floats, Frame
from gpuvgm.kinds import mixture
from gpuvgm.kinds.mixture import Outcome
from gpuvgm.kinds.numbers import NumberPlan, ordinary_numbers
from gpuvgm.model import KernelTable
from gpuvgm.multivariate import Array, namespace_of
from gpuvgm.posterior import ComponentStatistics, Posterior, Prior
from gpuvgm.rows import Rows, to_numpy
from gpuvgm.run import Run
from gpuvgm.seeding import Seeds
from gpuvgm.summary import Summary

SEEDING_ROWS = 1 << 24  # k-means runs on all rows up to so many, which come to this process for it: 128 MiB
SeedsOf = Callable[[NumberPlan, Floats, Floats], Seeds]


def fit_over_workers(
    source: Source, plan: NumberPlan, summary: Summary, run: Run, seeds_of: SeedsOf
) -> tuple[NumberPlan, Outcome]:
    """EM with every E-step over every row, one task a worker and iteration.

    Parameters
    ----------
    source : Source
        The rows; the workers keep the column as float64, and on their devices where it lies there.
    plan : NumberPlan
        The column.
    summary : Summary
        Its summary.
    run : Run
        The cluster.
    seeds_of : callable
        k-means on rows, for algorithm="exact" with effort="research" and at most 2^24 rows; else the centres are the
        plan's.

    Returns
    -------
    plan : NumberPlan
        With the centres that the fit started from.
    outcome : Outcome
        The fit. Sums are added in the order of portions: it is within 1e-12 of that over the rows in one process.
    """
    assert isinstance(run.executor, DaskExecutor)
    with run.executor.hold(partial(ordinary_rows, plan), run.blocks(source, [plan.name])) as held:
        counts = held.map(len)
        if sum(counts) != summary.ordinary:
            raise SourceChangedError(f'column "{plan.name}" changed while it was read; give a source that stays')
        frame = plan.grid.frame
        starts_from_rows = plan.config.algorithm == "exact" and plan.config.effort == "research"
        if starts_from_rows and summary.ordinary <= SEEDING_ROWS:
            rows = np.concatenate(held.map(to_numpy))
            plan = replace(plan, seeds=seeds_of(plan, rows, frame.apply(rows)))
        prior = _prior(held, frame, plan)
        accumulate = over_workers(held, run.engine, frame)
        return plan, _climbed(held, plan, summary, run, prior, accumulate)


def _climbed(held: Held, plan: NumberPlan, summary: Summary, run: Run, prior: Prior, accumulate: Accumulate) -> Outcome:
    """The fit from where its effort begins."""
    if plan.config.effort == "best":
        found = mixture.fit_summary(get_engine(run.here.engine), plan, summary)
        end: MixtureFit[Posterior] = climbed(accumulate, prior, found.fit.posterior, summary.ordinary)
        return Outcome(end, 0.0, exact=True, bound_with_fewer=found.bound_with_fewer)
    assert plan.seeds is not None
    seeds = Seeds(plan.seeds.centres, plan.seeds.labels[:0])
    start = prior.update(_added(held.map(nearest_start, plan.grid.frame, seeds)))
    return Outcome(fit_mixture(accumulate, prior, start, Stopping.of(plan.config, summary.ordinary)), 0.0, exact=True)


def over_workers(held: Held, engine: str, frame: Frame) -> Accumulate:
    """E-step over the rows that workers hold.

    Parameters
    ----------
    held : Held
        A column's ordinary numbers, by portion.
    engine : str
        Name of the workers' engine.
    frame : Frame
        Coordinates of the posterior.
    """

    def accumulate(posterior: Posterior) -> ComponentStatistics:
        table = KernelTable.of(posterior, frame)
        total = np.zeros((1, 3 * len(table.means) + 1))
        for part in held.map(portion_sums, engine, table):
            total += part
        return statistics_of(total, table)

    return accumulate


def ordinary_rows(plan: NumberPlan, blocks: Iterator[Block]) -> Array:
    """The ordinary numbers of a portion, shape (rows,), float64, where they lie."""
    parts = []
    for block in blocks:
        numbers = ordinary_numbers(plan.codec, plan.modal, block.column(plan.name))[0]
        xp = namespace_of(numbers)
        parts.append(xp.asarray(numbers[xp.isfinite(numbers)], dtype=xp.float64))
    return namespace_of(parts[0]).concatenate(parts) if parts else np.empty(0)


def portion_sums(numbers: Array, engine: str, table: KernelTable) -> Floats:
    """Sums of an E-step over a portion, shape (1, width), on the host."""
    return sums_of_rows(get_engine(engine), Rows.of(numbers), table)


def moments(numbers: Array, frame: Frame, centre: float) -> tuple[int, float, float]:
    """Rows, sum and sum of squares about a centre, in the frame."""
    d: Any = to_numpy(frame.apply(numbers)) - centre
    return len(d), float(np.sum(d)), float(np.sum(d * d))


def nearest_start(numbers: Array, frame: Frame, seeds: Seeds) -> ComponentStatistics:
    """Statistics of rows given to their nearest centre."""
    y = frame.apply(to_numpy(numbers))
    return hard_start(y, np.ones(len(y)), np.zeros(len(y)), seeds.nearest(y), seeds.centres)


def _prior(held: Held, frame: Frame, plan: NumberPlan) -> Prior:
    """Prior from the moments of all rows, taken about their mean."""
    first = held.map(moments, frame, 0.0)
    total = sum(count for count, _, _ in first)
    mean = sum(part for _, part, _ in first) / total
    about = held.map(moments, frame, mean)
    mean += sum(part for _, part, _ in about) / total
    squares = sum(part for _, _, part in held.map(moments, frame, mean))
    return prior_of(mean, squares / (total - 1) if total > 1 else 1.0, frame, plan.config)


def _added(parts: list[ComponentStatistics]) -> ComponentStatistics:
    """Statistics about the same points, together."""
    total = parts[0]
    for part in parts[1:]:
        total = replace(
            total,
            counts=total.counts + part.counts,
            first=total.first + part.first,
            second=total.second + part.second,
            entropy=total.entropy + part.entropy,
        )
    return total
