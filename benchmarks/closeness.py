"""How far EM on cells ends from EM on all rows, from the same start: ``python -m benchmarks closeness``.

100 iterations each, ten components. The distance is the largest over components that hold a row: means in their
standard deviation, variances and weights relative. Nothing is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from benchmarks import inputs
from gpuvgm.columns import NumberPlan
from gpuvgm.engines import get_engine
from gpuvgm.mixture import Posterior, Prior, Rows
from gpuvgm.mixture.accumulate import hard_start, over_cells, over_rows
from gpuvgm.mixture.em import Objective, Stopping, fit_mixture
from gpuvgm.mixture.summary_fit import distance, start_components
from gpuvgm.summary import Cells

ITERATIONS = 100
TOGETHER = (1, 4, 16, 64, 256)  # neighbouring occupied cells that are put together; a fit takes the first
WIDTHS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of cells, in sd of the narrowest component
SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "payment amounts in cents": lambda g, n: inputs.amounts(n),
    "lognormal": lambda g, n: g.lognormal(2, 1, n),
    "normal around 1.6e9, sd 1,000": lambda g, n: 1.6e9 + 1e3 * g.normal(size=n),
    "Student's t, 3 degrees of freedom": lambda g, n: g.standard_t(3, n),
    "uniform": lambda g, n: g.uniform(size=n),
    "Pareto, exponent 1.2": lambda g, n: g.pareto(1.2, n),
    "Cauchy": lambda g, n: g.standard_cauchy(n),
    "70 % zeros, else lognormal": lambda g, n: np.where(g.uniform(size=n) < 0.7, 0, g.lognormal(3, 1, n)),
}


def text(rows: int) -> Iterator[str]:
    """The tables of docs/explanation/summary.md as lines of Markdown."""
    yield from ("| column | occupied cells | without the correction | with it |", "|---|--:|--:|--:|")
    for name, shape in SHAPES.items():
        yield line(name, next(measure(shape(np.random.default_rng(0), rows))))
    yield from ("", "| lognormal, cells put together | cells | without the correction | with it |", "|---|--:|--:|--:|")
    levels = measure(SHAPES["lognormal"](np.random.default_rng(0), rows))
    for count, level in zip(TOGETHER, levels, strict=True):
        yield line(f"{count} by {count}", level)
    yield from ("", "| one E-step, cells of equal width | cells | without the correction | with it |")
    yield "|---|--:|--:|--:|"
    steps = one_step(SHAPES["lognormal"](np.random.default_rng(0), rows))
    for width, level in zip(WIDTHS, steps, strict=True):
        yield line(f"1/{1 / width:.0f} sd of the narrowest component", level)


def line(name: str, level: tuple[int, float, float]) -> str:
    """A line of a table."""
    cells, plain, corrected = level
    return f"| {name} | {cells:,} | {plain:.1e} | {corrected:.1e} |"


def measure(x: np.ndarray) -> Iterator[tuple[int, float, float]]:
    """Occupied cells and distances without and with the correction, for ever wider cells of one column."""
    engine, plan = get_engine("auto"), inputs.plan_for(x)
    exact = fit_rows(plan, x)
    narrow = engine.summarise(x, plan.grid).cells()
    for count in TOGETHER:
        cells = put_together(narrow, count)
        plain = replace(cells, scatter=np.zeros_like(cells.scatter))
        apart = [distance(exact, fit_cells(plan, cells, used)) for used in (plain, cells)]
        yield len(cells.mean), apart[0], apart[1]


def one_step(x: np.ndarray) -> Iterator[tuple[int, float, float]]:
    """Cells and the largest shifts of a mean, in sd, of one E-step on cells of equal widths beside one on all rows."""
    engine, plan = get_engine("auto"), inputs.plan_for(x)
    posterior, y = fit_rows(plan, x), plan.grid.frame.apply(x)
    table, deviations = posterior.kernel_table(), np.sqrt(posterior.covariances)
    k = len(deviations)

    def shifts(at: np.ndarray, weight: np.ndarray | None, scatter: np.ndarray | None) -> np.ndarray:
        sums = engine.e_step(at, weight, scatter, table).sum(axis=0)
        return np.asarray(sums[k : 2 * k] / sums[:k] / deviations)

    exact = shifts(y, None, None)
    for width in WIDTHS:
        _, cell = np.unique(np.floor(y / (width * np.min(deviations))), return_inverse=True)
        weight = np.bincount(cell).astype(np.float64)
        mean = np.bincount(cell, y) / weight
        scatter = np.bincount(cell, (y - mean[cell]) ** 2)
        apart = [float(np.max(np.abs(shifts(mean, weight, used) - exact))) for used in (None, scatter)]
        yield len(mean), apart[0], apart[1]


def put_together(cells: Cells, count: int) -> Cells:
    """Neighbouring occupied cells with the same nearest centre as one; weight, mean and scatter are those of all."""
    if count == 1:
        return cells
    order = np.lexsort((cells.mean, cells.label))
    label, mean, weight = cells.label[order], cells.mean[order], cells.weight[order]
    rank = np.arange(len(label)) - np.searchsorted(label, label)
    starts = np.flatnonzero(rank % count == 0)
    lengths = np.diff(np.append(starts, len(label)))
    total = np.add.reduceat(weight, starts)
    merged = np.add.reduceat(weight * mean, starts) / total
    gap = mean - np.repeat(merged, lengths)
    scatter = np.add.reduceat(cells.scatter[order] + weight * gap * gap, starts)
    return Cells(merged, total, scatter, label[starts], cells.parent[order][starts], np.zeros(len(starts)))


def fit_cells(plan: NumberPlan, cells: Cells, used: Cells) -> Posterior:
    """EM on `used`; start and prior are those of `cells`, so that nothing but the E-steps differs."""
    (seeds,) = plan.starts
    mean, variance = cells.mean_and_variance()
    prior = Prior.of_column(mean, variance, plan.grid.frame, plan.config)
    component = start_components(plan.grid, seeds, cells)
    start = hard_start(cells.mean, cells.weight, cells.scatter, component, seeds.centres)
    objective = Objective(over_cells(get_engine("auto"), used), prior, used.rows)
    return fit_mixture(objective, prior.update(start), Stopping(ITERATIONS, 0.0)).posterior


def fit_rows(plan: NumberPlan, x: np.ndarray) -> Posterior:
    """EM on every row."""
    engine, frame = get_engine("auto"), plan.grid.frame
    y = frame.apply(x)
    one, zero = np.ones(len(y)), np.zeros(len(y))
    (seeds,) = plan.starts
    start = hard_start(y, one, zero, seeds.nearest(y), seeds.centres)
    mean, variance = Cells.of_values(y, one).mean_and_variance()
    prior = Prior.of_column(mean, variance, frame, plan.config)
    objective = Objective(over_rows(engine, Rows.of(x), frame), prior, len(x))
    return fit_mixture(objective, prior.update(start), Stopping(ITERATIONS, 0.0)).posterior
